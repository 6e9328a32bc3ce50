//! Memory that is shared with the kernel (mmap(2)): rings of sockets, and what they point to.
#![expect(unsafe_code, reason = "no crate maps the rings of sockets")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// A mapping, as long as it lives. An offset that is not inside is a mistake of ours.
#[derive(Debug)]
pub(crate) struct Mapping {
    memory: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone and is as good in one thread as in another.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Memory of the kernel that a socket shows at `offset`.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub(crate) fn of(socket: BorrowedFd<'_>, offset: u64, length: usize) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        Self::new(length, libc::MAP_SHARED, socket.as_raw_fd(), offset)
    }

    /// Memory of ours that begins with a page, zeros.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub(crate) fn anonymous(length: usize) -> io::Result<Self> {
        Self::new(length, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    }

    fn new(length: usize, flags: i32, descriptor: i32, offset: libc::off_t) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let address =
            unsafe { libc::mmap(ptr::null_mut(), length, protection, flags, descriptor, offset) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(address.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { memory, length })
    }

    /// Where it begins.
    pub(crate) fn address(&self) -> u64 {
        self.memory.addr().get() as u64
    }

    /// A word that the kernel and we read and write.
    pub(crate) fn word(&self, at: usize) -> &AtomicU32 {
        let place = self.checked::<AtomicU32>(at);
        // SAFETY: it lies inside the mapping, at a multiple of its size, and lives as long as it; the
        // kernel changes it in one piece.
        unsafe { AtomicU32::from_ptr(place.as_ptr().cast()) }
    }

    /// The same of eight bytes.
    pub(crate) fn double_word(&self, at: usize) -> &AtomicU64 {
        let place = self.checked::<AtomicU64>(at);
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(place.as_ptr().cast()) }
    }

    /// Bytes that the kernel does not write to while they are looked at.
    pub(crate) fn bytes(&self, at: usize, length: usize) -> &[u8] {
        assert!(at + length <= self.length, "inside the mapping");
        // SAFETY: inside the mapping, and whoever calls knows that the kernel does not write here.
        unsafe { slice::from_raw_parts(self.memory.add(at).as_ptr(), length) }
    }

    /// Bytes that the kernel does not use while they are written.
    pub(crate) fn bytes_mut(&mut self, at: usize, length: usize) -> &mut [u8] {
        assert!(at + length <= self.length, "inside the mapping");
        // SAFETY: inside the mapping, borrowed alone, and the kernel leaves them alone meanwhile.
        unsafe { slice::from_raw_parts_mut(self.memory.add(at).as_ptr(), length) }
    }

    fn checked<T>(&self, at: usize) -> NonNull<u8> {
        assert!(at + size_of::<T>() <= self.length && at.is_multiple_of(size_of::<T>()), "inside");
        // SAFETY: the offset is inside the mapping.
        unsafe { self.memory.add(at) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped; nothing borrowed from it outlives it.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.length) };
    }
}
