//! The owner engine that asks the kernel itself: one program, one pass over every open file.
//!
//! Nothing is made in /proc for it, so it takes a fraction of the time; it sees the descriptors of
//! processes that nobody may look into, and what sock_diag does not tell of a socket. It takes the
//! rights to load programs (CAP_BPF and CAP_PERFMON), a kernel that describes its types, and the
//! first pid namespace, whose numbers it speaks in.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;

use portolan_core::socket::task_file::{self, Layout, Missing, Record, Selection, Subject};
use portolan_core::socket::{Family, Holder, Placement, Process, StateSet, Via};
use portolan_core::wire::btf::{Btf, BtfError};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::pass::{Holding, Pass, Settings};
use crate::id_index::IdIndex;
use crate::kernel::bpf::{LoadError, iterate};
use crate::kernel::types::{self, Types};
use crate::proc::Proc;
use crate::processes::{Details, Reader};
use crate::{cgroups, namespace};

/// Why this engine does not run here.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// Our process numbers are not the kernel's own.
    #[error("it speaks in the process numbers of the first pid namespace, and this is another")]
    OtherPidNamespace,
    /// Nothing tells whose process numbers ours are.
    #[error("it speaks in process numbers, and without /proc nothing tells what ours are")]
    NoProc,
    /// The kernel does not describe its types.
    #[error("read {}", types::PATH)]
    NoTypes(#[source] io::Error),
    /// It describes them in a way that is not known.
    #[error("read {}", types::PATH)]
    BadTypes(#[source] BtfError),
    /// Its structures are not those that are known.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The program may not be loaded.
    #[error(transparent)]
    Load(#[from] LoadFailure),
    /// What it wrote could not be read.
    #[error("read what the program wrote")]
    Read(#[source] io::Error),
}

/// Why the program could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct LoadFailure(LoadError);

impl Unavailable {
    /// What helps.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Load(LoadFailure(LoadError::Refused(_))) if geteuid().is_root() => {
                "a container or the kernel keeps it even from root here: use --engine procfs"
            }
            Self::Load(LoadFailure(LoadError::Refused(_))) => {
                "run with sudo (it takes CAP_BPF and CAP_PERFMON), or use --engine procfs"
            }
            Self::NoProc => "mount /proc",
            Self::OtherPidNamespace => "ask outside of this container, or use --engine procfs",
            _ => "use --engine procfs, which works everywhere",
        }
    }
}

/// The kernel, with the places of the fields that are read.
pub(super) struct Kernel {
    layout: Layout,
}

/// What one pass of the program showed.
pub(super) struct Found {
    /// Holders and processes.
    pub(super) pass: Pass,
    /// Processes that may hold sockets without a descriptor, where they were asked for.
    pub(super) suspects: BTreeSet<u32>,
    /// Processes of which the kernel told anything at all.
    pub(super) witnesses: HashSet<u32>,
}

impl Kernel {
    /// Finds out where the fields stand.
    ///
    /// # Errors
    /// When the engine cannot run here.
    pub(super) fn open() -> Result<Self, Unavailable> {
        match namespace::has_every_process() {
            Some(true) => {}
            Some(false) => return Err(Unavailable::OtherPidNamespace),
            None => return Err(Unavailable::NoProc),
        }
        let types = Types::of_kernel().map_err(Unavailable::NoTypes)?;
        let types = Btf::parse(&types).map_err(Unavailable::BadTypes)?;
        Ok(Self { layout: Layout::read(&types)? })
    }

    /// Finds every holder of the sockets in `wanted`, which `selection` has to cover.
    ///
    /// # Errors
    /// When the program may not be loaded, or not be read.
    pub(super) fn search(
        &self,
        wanted: &IdIndex,
        selection: &Selection,
        details: Details,
    ) -> Result<Found, Unavailable> {
        let mut census = Census::new(wanted);
        let take = |records: &[u8]| Record::each(records).for_each(|record| census.take(&record));
        self.read(selection, take)?;
        Ok(census.finish(details))
    }

    /// Runs the program and hands on its records as it writes them, several at a time.
    fn read(&self, selection: &Selection, take: impl FnMut(&[u8])) -> Result<(), Unavailable> {
        let program = task_file::program(&self.layout, selection);
        let iterator = iterate(&program, self.layout.attach).map_err(LoadFailure)?;
        each_part(&iterator, take).map_err(Unavailable::Read)
    }
}

/// All that is held, seen before it is known which sockets are wanted.
pub(super) struct Glance {
    kernel: Kernel,
    records: Vec<u8>,
}

impl Glance {
    /// Looks.
    ///
    /// # Errors
    /// When the engine cannot run here.
    pub(super) fn take(selection: &Selection) -> Result<Self, Unavailable> {
        let kernel = Kernel::open()?;
        let mut records = Vec::new();
        kernel.read(selection, |part| records.extend_from_slice(part))?;
        Ok(Self { kernel, records })
    }

    /// Those that hold what is wanted.
    pub(super) fn recognise(self, wanted: &IdIndex, details: Details) -> (Kernel, Found) {
        let mut census = Census::new(wanted);
        Record::each(&self.records).for_each(|record| census.take(&record));
        (self.kernel, census.finish(details))
    }
}

/// A descriptor of a socket in a network namespace that nothing else leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stray {
    /// The process.
    pub(crate) pid: u32,
    /// Its descriptor.
    pub(crate) fd: i32,
    /// The socket's inode.
    pub(crate) inode: u64,
    /// Inode of the namespace.
    pub(crate) netns: u64,
}

/// The descriptors of IP sockets in other network namespaces than the `known` ones.
///
/// # Errors
/// When the program may not be loaded, or not be read.
pub(crate) fn strays(known: &HashSet<u64>) -> Result<Vec<Stray>, Unavailable> {
    let kernel = Kernel::open()?;
    let families = vec![Family::Ipv4, Family::Ipv6];
    let selection = Selection { families, states: StateSet::ALL, netns: None, suspects: false };
    let mut found = Vec::new();
    let mut take = |record: Record| {
        let Record { pid, fd, inode, .. } = record;
        let netns = u64::from(record.socket_netns);
        if record.subject == Subject::Socket && netns != 0 && !known.contains(&netns) {
            found.push(Stray { pid, fd, inode, netns });
        }
    };
    kernel.read(&selection, |records| Record::each(records).for_each(&mut take))?;
    Ok(found)
}

/// Reads what the program writes, in whole records.
fn each_part(iterator: &OwnedFd, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut filled = 0;
    loop {
        match rustix::io::read(iterator, &mut buffer[filled..]) {
            Ok(0) => return Ok(()),
            Ok(length) => filled += length,
            // The kernel rests after a million files without a record (kernel/bpf/bpf_iter.c).
            Err(Errno::AGAIN | Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let whole = filled - filled % task_file::RECORD;
        take(&buffer[..whole]);
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
    }
}

/// The records that are of use, gathered by process.
struct Census<'w> {
    wanted: &'w IdIndex,
    pass: Pass,
    /// One record of each process that holds something.
    processes: Vec<Record>,
    known: HashSet<u32>,
    suspects: BTreeSet<u32>,
    witnesses: HashSet<u32>,
}

impl<'w> Census<'w> {
    fn new(wanted: &'w IdIndex) -> Self {
        Self {
            wanted,
            pass: Pass::default(),
            processes: Vec::new(),
            known: HashSet::new(),
            suspects: BTreeSet::new(),
            witnesses: HashSet::new(),
        }
    }

    fn take(&mut self, record: &Record) {
        match record.subject {
            Subject::Socket => self.take_socket(record),
            Subject::Ring | Subject::Mailbox => {
                self.suspects.insert(record.pid);
            }
            Subject::Other => {
                self.witnesses.insert(record.pid);
            }
        }
    }

    fn take_socket(&mut self, record: &Record) {
        let Some(position) = self.wanted.position(record.inode) else { return };
        let holder = Holder { pid: record.pid, fd: Some(record.fd), via: Via::Fd };
        let settings = Some(Settings { reuse: record.reuse, v6only: record.v6only });
        self.pass.holdings.push(Holding { position, holder, settings });
        // A process's files come one after the other, so it is mostly the one before.
        let is_same = self.processes.last().is_some_and(|last| last.pid == record.pid);
        if !is_same && self.known.insert(record.pid) {
            self.processes.push(*record);
        }
    }

    fn finish(mut self, details: Details) -> Found {
        self.pass.processes = describe(&self.processes, details);
        self.witnesses.extend(&self.known);
        self.witnesses.extend(&self.suspects);
        Found { pass: self.pass, suspects: self.suspects, witnesses: self.witnesses }
    }
}

/// The processes of which these are records. For a table the records say all but the path of the
/// cgroup; for more, /proc is asked, and where that may not be read the records have to do.
fn describe(records: &[Record], details: Details) -> Vec<Process> {
    let proc = Proc::open().ok();
    let mut reader = proc.as_ref().map(|proc| Reader::new(proc, details));
    let mut places = HashMap::new();
    let mut processes = Vec::with_capacity(records.len());
    for record in records {
        let process = describe_one(record, reader.as_mut(), details, &mut places);
        processes.push(process);
    }
    place(records, &mut processes, &places);
    processes
}

fn describe_one(
    record: &Record,
    reader: Option<&mut Reader<'_>>,
    details: Details,
    places: &mut HashMap<u64, Placement>,
) -> Process {
    let from_record = || Process {
        pid: record.pid,
        name: record.process_name(),
        uid: Some(record.uid),
        netns: (record.netns != 0).then_some(record.netns.into()),
        ..Process::default()
    };
    let Some(reader) = reader else { return from_record() };
    if details == Details::Full
        && let Ok(process) = reader.process(record.pid)
    {
        places.insert(group(record), process.placement.clone());
        return process;
    }
    if !places.contains_key(&group(record))
        && let Some(placement) = reader.placement(record.pid)
    {
        places.insert(group(record), placement);
    }
    from_record()
}

/// Unit and container: processes that share their cgroups share them, so that /proc is asked of one
/// of them for all. Where it hides them all, the unified hierarchy is searched for the cgroup's id.
fn place(records: &[Record], processes: &mut [Process], places: &HashMap<u64, Placement>) {
    let lost = records.iter().filter(|record| !places.contains_key(&group(record)));
    let lost: HashSet<u64> = lost.map(|record| record.cgroup).collect();
    let found = if lost.is_empty() { HashMap::new() } else { cgroups::find(&lost) };
    for (record, process) in records.iter().zip(processes) {
        let by_id = || found.get(&record.cgroup).map(|cgroup| &cgroup.placement);
        let placement = places.get(&group(record)).or_else(by_id);
        process.placement = placement.cloned().unwrap_or_default();
    }
}

/// What processes with the same cgroups have in common; where the kernel did not tell, each has its
/// own. It tells addresses of its memory, where process numbers are none.
fn group(record: &Record) -> u64 {
    if record.cgroups == 0 { record.pid.into() } else { record.cgroups }
}

/// More than the kernel gathers before it hands something out (8 pages).
const BUFFER: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;

    use portolan_core::socket::Reuse;
    use rustix::fs::fstat;

    use super::*;

    /// The kernel, where we may ask it.
    fn kernel() -> Option<Kernel> {
        let may_load = geteuid().is_root();
        Kernel::open().ok().filter(|_| may_load)
    }

    fn of(families: Vec<Family>, suspects: bool) -> Selection {
        Selection { families, states: StateSet::LISTENING, netns: None, suspects }
    }

    #[test]
    fn the_kernel_takes_every_program_there_is() {
        let Some(kernel) = kernel() else { return };
        let nothing = IdIndex::new([].into_iter());
        for families in [vec![], vec![Family::Ipv4, Family::Ipv6], vec![Family::Unix]] {
            for suspects in [false, true] {
                for (states, netns) in [(StateSet::LISTENING, Some(1)), (StateSet::ALL, None)] {
                    let selection = Selection { states, netns, ..of(families.clone(), suspects) };
                    match kernel.search(&nothing, &selection, Details::Brief) {
                        Ok(found) => assert_eq!(found.witnesses.is_empty(), !suspects),
                        Err(Unavailable::Load(LoadFailure(LoadError::Refused(_)))) => return,
                        Err(error) => panic!("{selection:?}: {error}"),
                    }
                }
            }
        }
    }

    #[test]
    fn a_socket_of_ours_is_told_with_its_options_and_our_name() {
        let Some(kernel) = kernel() else { return };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap(); // sets SO_REUSEADDR
        let index = IdIndex::new([fstat(&listener).unwrap().st_ino].into_iter());
        let selection = of(vec![Family::Ipv4], false);
        let Ok(found) = kernel.search(&index, &selection, Details::Brief) else { return };
        let pid = std::process::id();
        let holder = Holder { pid, fd: Some(listener.as_raw_fd()), via: Via::Fd };
        let settings = Some(Settings { reuse: Reuse::ADDRESS, v6only: false });
        assert!(found.pass.holdings.contains(&Holding { position: 0, holder, settings }));
        let mut ourselves = crate::processes::read([pid], Details::Brief);
        ourselves[0].netns = Some(namespace::network().inode);
        assert_eq!(found.pass.processes, ourselves);
    }
}
