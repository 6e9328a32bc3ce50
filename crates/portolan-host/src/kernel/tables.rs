//! Which threads share their table of descriptors: kcmp(2), which no crate wraps.
#![expect(unsafe_code, reason = "no crate wraps kcmp(2)")]

use std::cmp::Ordering;

use rustix::io::{Errno, Result};

/// How the tables of descriptors of two threads stand to each other: equal where they share one,
/// else in an order of the kernel's that stays the same.
///
/// # Errors
/// When one has ended, may not be traced, or the kernel was built without kcmp.
pub(crate) fn compare_files(one: u32, other: u32) -> Result<Ordering> {
    // SAFETY: KCMP_FILES takes no pointers; it compares two numbers inside the kernel.
    let answer = unsafe { libc::syscall(libc::SYS_kcmp, one, other, FILES, 0usize, 0usize) };
    match answer {
        0 => Ok(Ordering::Equal),
        1 => Ok(Ordering::Less),
        2 => Ok(Ordering::Greater),
        3 => Err(Errno::INVAL), // different, without an order
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::NOSYS)),
    }
}

/// KCMP_FILES of include/uapi/linux/kcmp.h.
const FILES: libc::c_int = 2;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn we_share_our_table_with_ourselves_and_not_with_a_child() {
        let own = std::process::id();
        let Ok(same) = compare_files(own, own) else { return };
        assert_eq!(same, Ordering::Equal);
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let (there, back) = (compare_files(own, child.id()), compare_files(child.id(), own));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_ne!(there.unwrap(), Ordering::Equal);
        assert_eq!(there.unwrap(), back.unwrap().reverse());
    }

    #[test]
    fn who_is_not_there_is_compared_with_nobody() {
        assert!(compare_files(std::process::id(), i32::MAX.cast_unsigned()).is_err());
    }
}
