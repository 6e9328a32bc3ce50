//! Taking hold of the process that /proc calls by a number (pidfd_open(2)).
//!
//! /proc numbers processes as the pid namespace does that it was mounted in, pidfd_open(2) as our own
//! does. Where the two differ (unshare(1) with `--pid` and without `--mount-proc`) one number means
//! two processes, and we would look at one and touch the other. The kernel tells of a pidfd which
//! number its process has in that /proc, so that it is compared.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// A handle on the process that /proc calls `pid`.
///
/// # Errors
/// ESRCH when it has ended; what has no number of errno(3) says that /proc is another namespace's.
pub(crate) fn open(pid: u32) -> io::Result<OwnedFd> {
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let handle = match pidfd_open(number, PidfdFlags::empty()) {
        Err(Errno::SRCH) if Path::new("/proc").join(pid.to_string()).exists() => {
            return Err(io::Error::other(FOREIGN));
        }
        opened => opened?,
    };
    match number_in_proc(&handle)? {
        Some(told) if told == pid => Ok(handle),
        // It has ended and was waited for (-1).
        None => Err(Errno::SRCH.into()),
        Some(_) => Err(io::Error::other(FOREIGN)),
    }
}

const FOREIGN: &str = "its number is of another pid namespace: mount a /proc of our own";

/// A duplicate of a descriptor of the process that /proc calls `pid` (pidfd_getfd(2), Linux 5.6).
///
/// # Errors
/// EBADF when nothing is open there, EPERM when we may not trace the process, and those of [`open`].
pub(crate) fn duplicate(pid: u32, fd: i32) -> io::Result<OwnedFd> {
    Ok(pidfd_getfd(open(pid)?, fd, PidfdGetfdFlags::empty())?)
}

/// The line `Pid:` of a pidfd's fdinfo (proc_pid_fdinfo(5)): 0 for a process that this /proc does not
/// number, none once it has ended.
fn number_in_proc(handle: &OwnedFd) -> io::Result<Option<u32>> {
    let told = fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", handle.as_raw_fd()))?;
    let number = told.lines().find_map(|line| line.strip_prefix("Pid:"));
    let number = number.ok_or_else(|| io::Error::other("fdinfo of a pidfd without its Pid"))?;
    Ok(number.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn we_have_the_number_that_proc_gives_us() {
        let ours = open(std::process::id()).unwrap();
        assert_eq!(number_in_proc(&ours).unwrap(), Some(std::process::id()));
    }

    #[test]
    fn who_has_ended_is_not_there() {
        let mut child = Command::new("true").spawn().unwrap();
        let handle = open(child.id());
        child.wait().unwrap();
        assert_eq!(open(child.id()).unwrap_err().raw_os_error(), Some(Errno::SRCH.raw_os_error()));
        if let Ok(handle) = handle {
            assert_eq!(number_in_proc(&handle).unwrap(), None, "-1 is no number");
        }
    }
}
