//! The kernel's description of its own types, as memory.
//!
//! sysfs hands out such a file a page a call, and it has more than a thousand of them; since 6.16 it
//! can be mapped, which takes none. Where it cannot be, it is read.
#![expect(unsafe_code, reason = "no safe mmap(2): a file may change under it, this one cannot")]

use std::fs::{self, File};
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd as _;
use std::ptr::{self, NonNull};
use std::slice;

use rustix::fs::fstatfs;

/// The file.
pub(crate) const PATH: &str = "/sys/kernel/btf/vmlinux";

/// What stands in it.
#[derive(Debug)]
pub(crate) enum Types {
    /// The kernel's own memory.
    Mapped(Mapping),
    /// A copy.
    Read(Vec<u8>),
}

impl Types {
    /// The types of the running kernel.
    ///
    /// # Errors
    /// When the kernel does not describe them, or not to us.
    pub(crate) fn of_kernel() -> io::Result<Self> {
        let file = File::open(PATH)?;
        match Mapping::of(&file) {
            Some(mapping) => Ok(Self::Mapped(mapping)),
            None => fs::read(PATH).map(Self::Read),
        }
    }
}

impl Deref for Types {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(mapping) => mapping,
            Self::Read(bytes) => bytes,
        }
    }
}

/// Memory of the kernel that we may read.
#[derive(Debug)]
pub(crate) struct Mapping {
    address: NonNull<u8>,
    length: usize,
}

impl Mapping {
    /// Maps a file of sysfs that the kernel lets be mapped: of those that hold its types.
    fn of(file: &File) -> Option<Self> {
        // Mounted over it could be a file that somebody writes to.
        let is_of_kernel = fstatfs(file).is_ok_and(|system| system.f_type == SYSFS);
        let length = file.metadata().ok().filter(|_| is_of_kernel)?.len();
        let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
        let (protection, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let address =
            unsafe { libc::mmap(ptr::null_mut(), length, protection, flags, file.as_raw_fd(), 0) };
        if address == libc::MAP_FAILED {
            return None;
        }
        Some(Self { address: NonNull::new(address.cast())?, length })
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: these are `length` bytes that are mapped until `self` is dropped, and what they
        // hold is read-only memory of the kernel (kernel/bpf/sysfs_btf.c): nobody writes to it.
        unsafe { slice::from_raw_parts(self.address.as_ptr(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped; no slice of it outlives `self`.
        unsafe { libc::munmap(self.address.as_ptr().cast(), self.length) };
    }
}

/// SYSFS_MAGIC of include/uapi/linux/magic.h.
const SYSFS: rustix::fs::FsWord = 0x6265_6572;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mapped_is_what_is_read() {
        let Ok(types) = Types::of_kernel() else { return }; // the kernel does not tell
        assert!(fs::read(PATH).unwrap() == *types);
    }

    #[test]
    fn an_ordinary_file_is_never_mapped() {
        assert!(Mapping::of(&tempfile::tempfile().unwrap()).is_none());
        let ours = File::open(std::env::current_exe().unwrap()).unwrap();
        assert!(Mapping::of(&ours).is_none());
    }
}
