//! Memory that is shared with the kernel (mmap(2)): rings of sockets, and what they point to.
#![expect(unsafe_code, reason = "no crate maps the rings of sockets")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A mapping, as long as it lives. An offset that is not inside is a mistake of ours.
#[derive(Debug)]
pub(crate) struct Mapping {
    memory: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone and is as good in one thread as in another.
unsafe impl Send for Mapping {}

// SAFETY: two threads change it through whole words only, see `store`.
unsafe impl Sync for Mapping {}

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
    #[inline]
    pub(crate) fn word(&self, at: usize) -> &AtomicU32 {
        let place = self.checked::<AtomicU32>(at, 1);
        // SAFETY: it lies inside the mapping, at a multiple of its size, and lives as long as it; the
        // kernel changes it in one piece.
        unsafe { AtomicU32::from_ptr(place.as_ptr().cast()) }
    }

    /// The same, several of eight bytes.
    #[inline]
    pub(crate) fn double_words(&self, at: usize, count: usize) -> &[AtomicU64] {
        let place = self.checked::<AtomicU64>(at, count);
        // SAFETY: as above, for each of them.
        unsafe { slice::from_raw_parts(place.as_ptr().cast(), count) }
    }

    /// Writes bytes, zeros behind them up to a whole word.
    pub(crate) fn store(&self, at: usize, bytes: &[u8]) {
        let (whole, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let words = self.double_words(at, bytes.len().div_ceil(8));
        for (word, bytes) in words.iter().zip(whole.iter().chain([&last])) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
    }

    /// Bytes that nobody writes to while they are looked at.
    pub(crate) fn bytes(&self, at: usize, length: usize) -> &[u8] {
        assert!(at + length <= self.length, "inside the mapping");
        // SAFETY: inside the mapping, and whoever calls knows that nobody writes here.
        unsafe { slice::from_raw_parts(self.memory.add(at).as_ptr(), length) }
    }

    #[inline]
    fn checked<T>(&self, at: usize, count: usize) -> NonNull<u8> {
        let size = size_of::<T>();
        assert!(at.is_multiple_of(size) && at + count * size <= self.length, "inside the mapping");
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
