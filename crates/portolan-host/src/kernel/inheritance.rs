//! Which descriptors a program we start inherits: close_range(2), which has no safe wrapper because
//! it can close what others own. Here it only marks.
#![expect(unsafe_code, reason = "close_range(2) takes numbers of descriptors that are not ours")]

use rustix::io::{Errno, Result};

/// Has every descriptor above standard error closed in the programs that are started from now on;
/// what this process has open stays open.
///
/// # Errors
/// Linux before 5.11 does not know how.
pub(crate) fn keep_to_ourselves() -> Result<()> {
    // SAFETY: with CLOSE_RANGE_CLOEXEC the call sets a flag on each descriptor and closes none, and
    // it takes no pointers.
    let answer =
        unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if answer == 0 { Ok(()) } else { Err(last_error()) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::NOSYS)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::Command;

    use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

    use super::*;

    #[test]
    fn a_descriptor_that_would_be_inherited_is_not() {
        let open = File::open("/dev/null").unwrap();
        fcntl_setfd(&open, FdFlags::empty()).unwrap();
        keep_to_ourselves().unwrap();
        assert_eq!(fcntl_getfd(&open), Ok(FdFlags::CLOEXEC));
        let listed = Command::new("ls").arg("/proc/self/fd").output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let numbers = listed.lines().filter_map(|n| n.parse::<u32>().ok());
        // 3 is the folder that `ls` itself has open.
        assert_eq!(numbers.filter(|n| *n > 3).count(), 0, "{listed}");
    }
}
