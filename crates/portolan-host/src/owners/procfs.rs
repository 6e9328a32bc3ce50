//! The owner engine that works everywhere: every descriptor of every process, read from /proc.
//!
//! What costs is the kernel making a directory entry for each descriptor, so everything else is
//! kept out of the way: getdents64 and readlinkat into buffers that are used again, nothing
//! allocated for a descriptor, and as many threads as there are processors, up to four. A process
//! that ends while it is read is no error.

use std::cmp::Ordering;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::sync::atomic::{self, AtomicUsize};
use std::thread;

use portolan_core::socket::procpid::{
    descriptors_in_flight, io_uring_sockets, mapped_sockets, socket_inode,
};
use portolan_core::socket::{Holder, Via};
use rustix::io::{self, Errno};

use super::in_flight::Mailbox;
use super::pass::{Holding, Pass};
use crate::id_index::IdIndex;
use crate::kernel::tables::compare_files;
use crate::proc::{IO_URING, Proc, each_descriptor, entry_buffer};
use crate::processes::{Details, Reader};

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Descriptors of processes: where nearly every socket is held.
    Descriptors,
    /// Also what is registered with io_uring or on its way over a unix socket.
    Everything,
    /// Memory of processes, for sockets that are mapped into it.
    Mappings,
}

/// Finds every holder of the sockets in `wanted`.
///
/// # Errors
/// When /proc cannot be read at all.
pub(super) fn search(wanted: &IdIndex, details: Details, depth: Depth) -> io::Result<Pass> {
    search_where(|_| true, wanted, details, depth)
}

/// The same in the processes that `is_asked` says yes to.
///
/// # Errors
/// When /proc cannot be read at all.
pub(super) fn search_where(
    is_asked: impl FnMut(&u32) -> bool,
    wanted: &IdIndex,
    details: Details,
    depth: Depth,
) -> io::Result<Pass> {
    let proc = Proc::open()?;
    let mut pids = proc.pids()?;
    if pids.is_empty() {
        return Err(Errno::NOENT); // not even ourselves: it is no procfs
    }
    // Process 1 is there as long as its pid namespace is, so not to see it is not to see others.
    let hidden = pids.first() != Some(&1);
    pids.retain(is_asked);
    Ok(Pass { hidden, ..visit(&proc, &pids, wanted, details, depth) })
}

fn visit(proc: &Proc, pids: &[u32], wanted: &IdIndex, details: Details, depth: Depth) -> Pass {
    let next = AtomicUsize::new(0);
    let work = || Worker::new(proc, wanted, details, depth).run(pids, &next);
    thread::scope(|scope| {
        // Where no further thread is to be had (RLIMIT_NPROC), those there are do it all.
        let more = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads(pids.len())).map_while(more).collect();
        others.into_iter().fold(work(), |pass, other| match other.join() {
            Ok(part) => pass.and(part),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
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
    depth: Depth,
    reader: Reader<'a>,
    entries: Box<[MaybeUninit<u8>]>,
    text: Vec<u8>,
    pass: Pass,
}

impl<'a> Worker<'a> {
    fn new(proc: &'a Proc, wanted: &'a IdIndex, details: Details, depth: Depth) -> Self {
        let reader = Reader::new(proc, details);
        let (entries, text) = (entry_buffer(), Vec::new());
        Self { proc, wanted, depth, reader, entries, text, pass: Pass::default() }
    }

    /// Takes processes off the common list until it is empty.
    fn run(mut self, pids: &[u32], next: &AtomicUsize) -> Pass {
        while let Some(pid) = pids.get(next.fetch_add(1, atomic::Ordering::Relaxed)) {
            match self.visit(*pid) {
                Ok(()) | Err(Errno::NOENT | Errno::SRCH) => {}
                Err(_) => self.pass.refused += 1,
            }
        }
        self.pass
    }

    fn visit(&mut self, pid: u32) -> io::Result<()> {
        let before = self.pass.holdings.len();
        let outcome = match self.depth {
            Depth::Mappings => self.visit_mappings(pid),
            Depth::Descriptors | Depth::Everything => self.visit_files(pid),
        };
        if self.pass.holdings.len() > before {
            match self.reader.process(pid) {
                Ok(process) => self.pass.processes.push(process),
                // It has ended since, and its holdings with it.
                Err(_) => self.pass.holdings.truncate(before),
            }
        }
        outcome
    }

    fn visit_files(&mut self, pid: u32) -> io::Result<()> {
        let files = self.read_folder(pid, "fd")?;
        if self.depth == Depth::Everything {
            files.rings.iter().for_each(|fd| self.read_ring(pid, *fd));
            files.sockets.iter().for_each(|fd| self.read_mailbox(pid, *fd));
        }
        if self.proc.has_threads(pid) {
            self.visit_threads(pid, files.count);
        }
        Ok(())
    }

    fn read_folder(&mut self, pid: u32, folder: &str) -> io::Result<Files> {
        let folder = self.proc.folder(pid, folder)?;
        let (wanted, depth, holdings) = (self.wanted, self.depth, &mut self.pass.holdings);
        let mut files = Files::default();
        each_descriptor(folder.as_fd(), &mut self.entries, |descriptor| {
            files.count += 1;
            let inode = socket_inode(descriptor.target);
            if let Some(position) = inode.and_then(|i| wanted.position(i)) {
                let holder = Holder { pid, fd: descriptor.number(), via: Via::Fd };
                holdings.push(Holding { position, holder, settings: None });
            } else if inode.is_some() && depth == Depth::Everything {
                files.sockets.extend(descriptor.number());
            } else if depth == Depth::Everything && descriptor.target == IO_URING {
                files.rings.extend(descriptor.number());
            }
            ControlFlow::Continue(())
        })?;
        Ok(files)
    }

    /// Sockets that were registered with an io_uring live on when their descriptor is closed.
    fn read_ring(&mut self, pid: u32, fd: i32) {
        let file = format!("fdinfo/{fd}");
        let Ok(text) = self.proc.read(pid, &file, &mut self.text) else { return };
        for position in io_uring_sockets(text).filter_map(|inode| self.wanted.position(inode)) {
            let holder = Holder { pid, fd: Some(fd), via: Via::IoUring };
            self.pass.holdings.push(Holding { position, holder, settings: None });
        }
    }

    /// Only unix sockets tell of descriptors that wait in them; which sockets are, no link says.
    fn read_mailbox(&mut self, pid: u32, fd: i32) {
        let file = format!("fdinfo/{fd}");
        let Ok(text) = self.proc.read(pid, &file, &mut self.text) else { return };
        let waiting = descriptors_in_flight(text);
        if waiting > 0 {
            self.pass.mailboxes.push(Mailbox { pid, fd, waiting });
        }
    }

    /// A mapping keeps a socket when its descriptor is closed.
    fn visit_mappings(&mut self, pid: u32) -> io::Result<()> {
        let maps = self.proc.read(pid, "maps", &mut self.text)?;
        for position in mapped_sockets(maps).filter_map(|inode| self.wanted.position(inode)) {
            let holder = Holder { pid, fd: None, via: Via::Mapping };
            self.pass.holdings.push(Holding { position, holder, settings: None });
        }
        Ok(())
    }

    /// Threads share the table of the first one, which is left with none when it ends before them;
    /// some gave it up for one of their own (CLONE_FILES of unshare(2)). Each table is read once.
    fn visit_threads(&mut self, pid: u32, mut seen: usize) {
        let mut tables = Tables::of(pid);
        for tid in self.proc.threads(pid).unwrap_or_default() {
            let is_new = match tables.take(tid) {
                Ok(is_new) => is_new,
                // Not to be told apart: a closer look reads them all, a quick one the first.
                Err(_) => seen == 0 || self.depth == Depth::Everything,
            };
            if is_new && let Ok(files) = self.read_folder(pid, &format!("task/{tid}/fd")) {
                seen += files.count;
            }
        }
    }
}

/// A thread of each table of descriptors that a process has, in the kernel's order of the tables.
struct Tables(Vec<u32>);

impl Tables {
    fn of(pid: u32) -> Self {
        Self(vec![pid])
    }

    /// Whether a thread has a table that none before had.
    fn take(&mut self, tid: u32) -> io::Result<bool> {
        let mut failure = None;
        let place = self.0.binary_search_by(|known| {
            compare_files(*known, tid).unwrap_or_else(|error| {
                failure = Some(error);
                Ordering::Equal
            })
        });
        match (failure, place) {
            (Some(error), _) => Err(error),
            (None, Ok(_)) => Ok(false),
            (None, Err(at)) => {
                self.0.insert(at, tid);
                Ok(true)
            }
        }
    }
}

/// What a folder of descriptors holds beside the sockets that are wanted.
#[derive(Default)]
struct Files {
    count: usize,
    /// Descriptors of io_urings.
    rings: Vec<i32>,
    /// Descriptors of sockets, wanted for what may wait in them.
    sockets: Vec<i32>,
}
