//! The kernel's refusals by the names that errno(3) lists, the same in every report.

use rustix::io::Errno;

/// `EADDRINUSE`; `errno 71` for one that bind(2) and listen(2) are not known to give.
pub(crate) fn errno_name(errno: Errno) -> String {
    let name = match errno {
        Errno::ADDRINUSE => "EADDRINUSE",
        Errno::ADDRNOTAVAIL => "EADDRNOTAVAIL",
        Errno::ACCESS => "EACCES",
        Errno::PERM => "EPERM",
        Errno::INVAL => "EINVAL",
        Errno::AFNOSUPPORT => "EAFNOSUPPORT",
        Errno::PROTONOSUPPORT => "EPROTONOSUPPORT",
        Errno::NODEV => "ENODEV",
        Errno::MFILE => "EMFILE",
        Errno::NFILE => "ENFILE",
        Errno::NOBUFS => "ENOBUFS",
        Errno::NOMEM => "ENOMEM",
        other => return format!("errno {}", other.raw_os_error()),
    };
    name.to_owned()
}
