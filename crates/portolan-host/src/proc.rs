//! /proc as a folder that is opened once: reading below it into buffers that are used again.
//!
//! Paths stay relative to one descriptor, so a later mount over /proc changes nothing half way.
//! Every read may fail because the process has just ended; that is for the caller to weigh.

use std::fmt::{self, Write as _};
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, FileType, Mode, OFlags, RawDir};
use rustix::io::{self, Errno};

/// The root of procfs.
#[derive(Debug)]
pub(crate) struct Proc(OwnedFd);

impl Proc {
    /// Opens /proc.
    ///
    /// # Errors
    /// When it is not mounted or not to be read.
    pub(crate) fn open() -> io::Result<Self> {
        fs::openat(fs::CWD, c"/proc", FOLDER, Mode::empty()).map(Self)
    }

    /// The ids of every process that may be seen, ascending.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn pids(&self) -> io::Result<Vec<u32>> {
        let mut pids = Vec::with_capacity(512);
        let folder = fs::openat(&self.0, c".", FOLDER, Mode::empty())?;
        each_entry(folder.as_fd(), &mut entry_buffer(), |name, _, _| {
            pids.extend(decimal(name).and_then(|n| u32::try_from(n).ok()));
            ControlFlow::Continue(())
        })?;
        pids.sort_unstable();
        Ok(pids)
    }

    /// The threads of a process but the first.
    ///
    /// # Errors
    /// When it has ended or is hidden.
    pub(crate) fn threads(&self, pid: u32) -> io::Result<Vec<u32>> {
        let mut threads = Vec::new();
        each_entry(self.folder(pid, "task")?.as_fd(), &mut entry_buffer(), |name, _, _| {
            let tid = decimal(name).and_then(|tid| u32::try_from(tid).ok());
            threads.extend(tid.filter(|tid| *tid != pid));
            ControlFlow::Continue(())
        })?;
        Ok(threads)
    }

    /// Opens the folder `/proc/PID/name`.
    pub(crate) fn folder(&self, pid: u32, name: &str) -> io::Result<OwnedFd> {
        fs::openat(&self.0, path(pid, name).as_bytes(), FOLDER, Mode::empty())
    }

    /// The whole file `/proc/PID/name`, in `buffer`.
    pub(crate) fn read<'b>(
        &self,
        pid: u32,
        name: &str,
        buffer: &'b mut Vec<u8>,
    ) -> io::Result<&'b [u8]> {
        read_at(self.0.as_fd(), path(pid, name).as_bytes(), buffer)
    }

    /// What the link `/proc/PID/name` says, in `buffer`.
    pub(crate) fn link<'b>(
        &self,
        pid: u32,
        name: &str,
        buffer: &'b mut [MaybeUninit<u8>],
    ) -> io::Result<&'b [u8]> {
        let (text, _) = fs::readlinkat_raw(&self.0, path(pid, name).as_bytes(), buffer)?;
        Ok(text)
    }

    /// The effective user of a process. Only the folder itself always belongs to that user; what
    /// is inside belongs to root when the process is not dumpable (fs/proc/base.c, task_dump_owner).
    pub(crate) fn owner(&self, pid: u32) -> io::Result<u32> {
        let stat = fs::statat(&self.0, path(pid, "").as_bytes(), fs::AtFlags::empty())?;
        Ok(stat.st_uid)
    }

    /// Whether a process has more than one thread: the kernel's own have not.
    pub(crate) fn has_threads(&self, pid: u32) -> bool {
        let stat = fs::statat(&self.0, path(pid, "task").as_bytes(), fs::AtFlags::empty());
        stat.is_ok_and(|stat| stat.st_nlink > 3) // a folder a thread, its own entry, and `.`
    }
}

/// Reads the whole file `path` below `folder` into `buffer`, whose old content goes.
pub(crate) fn read_at<'b>(
    folder: BorrowedFd<'_>,
    path: &[u8],
    buffer: &'b mut Vec<u8>,
) -> io::Result<&'b [u8]> {
    let file = fs::openat(folder, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    buffer.clear();
    loop {
        buffer.reserve(1024);
        match io::read(&file, rustix::buffer::spare_capacity(buffer)) {
            Ok(0) => return Ok(buffer),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Calls `visit` with name, kind and inode of every entry of `folder` but `.` and `..`, until it
/// breaks off.
pub(crate) fn each_entry(
    folder: BorrowedFd<'_>,
    buffer: &mut [MaybeUninit<u8>],
    mut visit: impl FnMut(&[u8], FileType, u64) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut entries = RawDir::new(folder, buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if visit(name, entry.file_type(), entry.ino()).is_break() {
            break;
        }
    }
    Ok(())
}

/// Calls `visit` with number and target of every link in a folder of descriptors (proc_pid_fd(5)),
/// until it breaks off. What is closed meanwhile is left out.
///
/// # Errors
/// When the links may not be followed. That the folder is listed does not mean they may: the list
/// asks for the user, a link for the right to trace (fs/proc/fd.c, fs/proc/base.c).
pub(crate) fn each_descriptor(
    folder: BorrowedFd<'_>,
    buffer: &mut [MaybeUninit<u8>],
    mut visit: impl FnMut(Descriptor<'_>) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut refusal = None;
    each_entry(folder, buffer, |name, _, _| {
        let mut target = [MaybeUninit::uninit(); 32];
        match fs::readlinkat_raw(folder, name, &mut target[..]) {
            Ok((target, _)) => visit(Descriptor { name, target }),
            Err(Errno::NOENT) => ControlFlow::Continue(()),
            Err(error) => {
                refusal = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    refusal.map_or(Ok(()), Err)
}

/// A link in a folder of descriptors.
pub(crate) struct Descriptor<'a> {
    name: &'a [u8],
    /// What it is, as far as 32 bytes go: `socket:[12345]`.
    pub(crate) target: &'a [u8],
}

impl Descriptor<'_> {
    /// Its number.
    pub(crate) fn number(&self) -> Option<i32> {
        decimal(self.name).and_then(|n| i32::try_from(n).ok())
    }
}

/// A buffer that takes some thousand entries a system call.
pub(crate) fn entry_buffer() -> Box<[MaybeUninit<u8>]> {
    Box::new_uninit_slice(32 * 1024)
}

/// A number written in decimal digits only.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0, |n, d| d.is_ascii_digit().then(|| n * 10 + u64::from(d - b'0')))
}

/// What the descriptor of an io_uring links to.
pub(crate) const IO_URING: &[u8] = b"anon_inode:[io_uring]";

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// `PID/name` on the stack: this is made for every process there is.
fn path(pid: u32, name: &str) -> PathBuffer {
    let mut path = PathBuffer { bytes: [0; 32], length: 0 };
    write!(path, "{pid}/{name}").expect("ten digits, a slash and a name of /proc fit 32 bytes");
    path
}

struct PathBuffer {
    bytes: [u8; 32],
    length: usize,
}

impl PathBuffer {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl fmt::Write for PathBuffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_is_among_those_seen() {
        let proc = Proc::open().unwrap();
        assert!(proc.pids().unwrap().contains(&std::process::id()));
    }

    #[test]
    fn the_folder_of_a_process_tells_its_effective_user() {
        let proc = Proc::open().unwrap();
        assert_eq!(proc.owner(std::process::id()), Ok(rustix::process::geteuid().as_raw()));
    }

    #[test]
    fn only_digits_are_a_number() {
        assert_eq!(decimal(b"4026531840"), Some(4_026_531_840));
        for text in [&b""[..], b"-1", b"12x", b"99999999999999999999"] {
            assert_eq!(decimal(text), None);
        }
    }
}
