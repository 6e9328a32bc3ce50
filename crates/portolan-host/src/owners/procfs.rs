//! The owner engine that works everywhere: every descriptor of every process, read from /proc.
//!
//! What costs is the kernel making a directory entry for each descriptor, so everything else is
//! kept out of the way: getdents64 and readlinkat into buffers that are used again, nothing
//! allocated for a descriptor, and as many threads as there are processors, up to four. A process
//! that ends while it is read is no error.

use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use portolan_core::socket::{Holder, Process, Via};
use rustix::fs;
use rustix::io::{self, Errno};

use crate::id_index::IdIndex;
use crate::proc::{Proc, decimal, each_entry, entry_buffer};
use crate::processes::{Details, Reader};

/// What one pass over /proc showed.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// Position of a socket in the index, and who holds it; in no order.
    pub(super) holdings: Vec<(u32, Holder)>,
    /// The processes that hold one.
    pub(super) processes: Vec<Process>,
    /// Processes whose descriptors may not be read.
    pub(super) refused: usize,
    /// /proc hides the processes of others (hidepid=2, proc(5)).
    pub(super) hidden: bool,
}

/// Finds every holder of the sockets in `wanted`.
///
/// # Errors
/// When /proc cannot be read at all.
pub(super) fn search(wanted: &IdIndex, details: Details) -> io::Result<Pass> {
    let proc = Proc::open()?;
    let pids = proc.pids()?;
    let next = AtomicUsize::new(0);
    let work = || Worker::new(&proc, wanted, details).run(&pids, &next);
    let mut pass = thread::scope(|scope| {
        let others: Vec<_> = (1..threads(pids.len())).map(|_| scope.spawn(work)).collect();
        others.into_iter().fold(work(), |pass, other| match other.join() {
            Ok(part) => pass.and(part),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    });
    // Process 1 is there as long as its pid namespace is, so not to see it is not to see others.
    pass.hidden = pids.first() != Some(&1);
    Ok(pass)
}

impl Pass {
    fn and(mut self, other: Self) -> Self {
        self.holdings.extend(other.holdings);
        self.processes.extend(other.processes);
        self.refused += other.refused;
        self
    }
}

/// A thread for every hundred processes, as far as processors go: a thread costs as much as reading
/// a small process, and beyond four they wait for the kernel's locks on its directory cache.
fn threads(processes: usize) -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    processors.min(4).min(processes.div_ceil(100)).max(1)
}

struct Worker<'a> {
    proc: &'a Proc,
    wanted: &'a IdIndex,
    reader: Reader<'a>,
    entries: Box<[MaybeUninit<u8>]>,
    pass: Pass,
}

impl<'a> Worker<'a> {
    fn new(proc: &'a Proc, wanted: &'a IdIndex, details: Details) -> Self {
        let reader = Reader::new(proc, details);
        Self { proc, wanted, reader, entries: entry_buffer(), pass: Pass::default() }
    }

    /// Takes processes off the common list until it is empty.
    fn run(mut self, pids: &[u32], next: &AtomicUsize) -> Pass {
        while let Some(pid) = pids.get(next.fetch_add(1, Ordering::Relaxed)) {
            match self.visit(*pid) {
                Ok(()) | Err(Errno::NOENT | Errno::SRCH) => {}
                Err(_) => self.pass.refused += 1,
            }
        }
        self.pass
    }

    /// Reads the descriptors of one process. That they are listed does not mean they may be followed:
    /// the list asks for the user, a link for the right to trace (fs/proc/fd.c, fs/proc/base.c).
    fn visit(&mut self, pid: u32) -> io::Result<()> {
        let folder = self.proc.folder(pid, "fd")?;
        let before = self.pass.holdings.len();
        let (wanted, holdings) = (self.wanted, &mut self.pass.holdings);
        let mut refusal = None;
        each_entry(folder.as_fd(), &mut self.entries, |name, _, _| {
            let mut target = [MaybeUninit::uninit(); 32];
            let target = match fs::readlinkat_raw(&folder, name, &mut target[..]) {
                Ok((target, _)) => target,
                Err(Errno::NOENT) => return ControlFlow::Continue(()), // closed meanwhile
                Err(error) => {
                    refusal = Some(error);
                    return ControlFlow::Break(());
                }
            };
            if let Some(position) = socket_inode(target).and_then(|i| wanted.position(i)) {
                let fd = decimal(name).and_then(|n| i32::try_from(n).ok());
                holdings.push((position, Holder { pid, fd, via: Via::Fd }));
            }
            ControlFlow::Continue(())
        })?;
        if self.pass.holdings.len() > before {
            // It may have ended since; then its holdings went with it.
            self.pass.processes.push(self.reader.process(pid)?);
        }
        refusal.map_or(Ok(()), Err)
    }
}

/// The inode in `socket:[12345]`, which is what the link of a socket's descriptor says.
fn socket_inode(link: &[u8]) -> Option<u64> {
    decimal(link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_of_sockets_have_an_inode() {
        assert_eq!(socket_inode(b"socket:[278583]"), Some(278_583));
        for link in [&b"pipe:[278583]"[..], b"socket:[]", b"socket:[12", b"/tmp/socket:[12]"] {
            assert_eq!(socket_inode(link), None);
        }
    }
}
