//! Who holds each socket, or why nobody can be named.
//!
//! "Could not look" is never "nobody": a socket without a visible holder is the kernel's own only
//! when every process of the machine could be read, twice, while the socket was still there.

mod bpf;
mod in_flight;
mod pass;
mod procfs;

use std::collections::{BTreeSet, HashSet};
use std::thread::{self, JoinHandle};

pub use bpf::Unavailable;
use bpf::{Glance, Kernel};
pub(crate) use bpf::{Stray, strays};
use in_flight::Mailbox;
use pass::{Holding, Pass, Settings};
use portolan_core::net::{Gap, Observed, Why};
use portolan_core::socket::task_file::Selection;
use portolan_core::socket::{
    Engine, Family, Held, Holder, KernelUse, Socket, SocketTable, SocketTransport, StateSet,
    Unowned, Via,
};
use procfs::Depth;
use rustix::process::geteuid;

use crate::id_index::IdIndex;
use crate::processes::Details;
use crate::sockets::{self, Query};
use crate::{cgroups, kernel_uses, namespace, processes, users};

/// Which engine is to find holders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// bpf where it runs, else procfs.
    #[default]
    Auto,
    /// This one or none.
    Only(Engine),
}

/// A search for holders. Where there may be many sockets it begins before they are read: either
/// takes its time in the kernel, and there is more than one processor.
pub struct Search {
    choice: Choice,
    early: Option<JoinHandle<Result<Glance, Unavailable>>>,
}

impl Search {
    /// Begins to look for holders of the sockets that `query` will give.
    #[must_use]
    pub fn begin(query: &Query, choice: Choice) -> Self {
        let is_large = query.states.without(StateSet::LISTENING) != StateSet::NONE;
        let may_ask = choice != Choice::Only(Engine::Procfs);
        let selection = selection_of(query);
        let look = move || Glance::take(&selection);
        // Where no thread is to be had (RLIMIT_NPROC), it is looked for afterwards.
        let begin = || thread::Builder::new().spawn(look).ok();
        Self { choice, early: (is_large && may_ask).then(begin).flatten() }
    }

    /// The sockets that `query` gave, joined with their holders.
    ///
    /// # Errors
    /// When the bpf engine was asked for and does not run here.
    pub fn attach(
        self,
        sockets: Vec<Socket>,
        query: &Query,
        details: Details,
    ) -> Result<Observed<SocketTable>, Unavailable> {
        let mut join = Join::new(sockets, details);
        join.search(self)?;
        join.recognise_kernel(query);
        if join.may_find_more() {
            join.look_again(query);
        }
        join.conclude();
        join.name_kernel(query);
        Ok(join.finish())
    }
}

/// What covers all the sockets that `query` may give.
fn selection_of(query: &Query) -> Selection {
    let mut families = Vec::new();
    for transport in &query.transports {
        match transport {
            SocketTransport::Unix => families.push(Family::Unix),
            SocketTransport::Packet => families.push(Family::Packet),
            _ => families.extend([Family::Ipv4, Family::Ipv6]),
        }
    }
    families.sort_unstable();
    families.dedup();
    let netns = u32::try_from(query.netns).ok();
    let netns = netns.filter(|inode| *inode != 0 && query.elsewhere.is_empty());
    Selection { families, states: StateSet::ALL, netns, suspects: false }
}

struct Join {
    table: SocketTable,
    details: Details,
    /// The kernel, where the bpf engine runs.
    kernel: Option<Kernel>,
    /// What kept processes from being read.
    obstacle: Option<Obstacle>,
    /// Unix sockets with descriptors on their way.
    mailboxes: Vec<Mailbox>,
    gaps: Vec<Gap>,
}

/// Why a holder may have been overlooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// /proc itself cannot be read.
    NoProc,
    /// Processes of others keep their descriptors to themselves.
    Refused,
    /// The same, and we are root already: a security module or a user namespace protects them.
    Protected,
    /// /proc shows our own processes only.
    Hidden,
    /// Processes outside our pid namespace are not in our /proc.
    OtherNamespace,
}

impl Obstacle {
    const fn hint(self) -> &'static str {
        match self {
            Self::NoProc => "mount /proc",
            Self::Refused => "run with sudo",
            Self::Protected => "even root may not look into some processes here",
            Self::Hidden => "run with sudo: /proc is mounted with hidepid",
            Self::OtherNamespace => "their processes may be outside this container: ask the host",
        }
    }
}

impl Join {
    fn new(sockets: Vec<Socket>, details: Details) -> Self {
        let rows = sockets.into_iter().map(|socket| Held {
            unowned: (socket.inode == 0).then_some(Unowned::NoFile),
            socket,
            holders: Vec::new(),
        });
        let table = SocketTable { sockets: rows.collect(), ..SocketTable::default() };
        Self {
            table,
            details,
            kernel: None,
            obstacle: None,
            mailboxes: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// Searches the holders of every socket that a file stands for.
    fn search(&mut self, search: Search) -> Result<(), Unavailable> {
        let index = self.index();
        let Search { choice, early } = search;
        if choice != Choice::Only(Engine::Procfs) && (choice != Choice::Auto || !index.is_empty()) {
            match self.ask_kernel(&index, early) {
                Ok(()) => return Ok(()),
                Err(error) if choice != Choice::Auto => return Err(error),
                Err(_) => (),
            }
        }
        self.read_proc(&index, Depth::Descriptors);
        Ok(())
    }

    /// The sockets without a holder, by their inodes.
    fn index(&self) -> IdIndex {
        let sockets = self.table.sockets.iter();
        IdIndex::new(sockets.map(|h| if h.is_open() { h.socket.inode } else { 0 }))
    }

    fn ask_kernel(
        &mut self,
        index: &IdIndex,
        early: Option<JoinHandle<Result<Glance, Unavailable>>>,
    ) -> Result<(), Unavailable> {
        let (kernel, found) = match early.map(JoinHandle::join) {
            Some(Ok(glance)) => glance?.recognise(index, self.details),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => {
                let kernel = Kernel::open()?;
                let found = kernel.search(index, &self.selection(), self.details)?;
                (kernel, found)
            }
        };
        self.take(found.pass);
        self.share(index);
        self.kernel = Some(kernel);
        self.table.engine = Engine::Bpf;
        Ok(())
    }

    fn read_proc(&mut self, index: &IdIndex, depth: Depth) {
        if index.is_empty() {
            return;
        }
        match procfs::search(index, self.details, depth) {
            Ok(pass) => self.take(pass),
            Err(_) => self.obstacle = Some(Obstacle::NoProc),
        }
        self.share(index);
    }

    /// What covers all the sockets that are looked for.
    fn selection(&self) -> Selection {
        let mut families = Vec::new();
        let (mut namespaces, mut listening) = (BTreeSet::new(), true);
        for Held { socket, .. } in self.open() {
            if !families.contains(&socket.family) {
                families.push(socket.family);
            }
            namespaces.insert(socket.netns);
            listening &= StateSet::LISTENING.contains(socket.state);
        }
        // A connection changes its state while we look; what listens does so until it is closed.
        let states = if listening { StateSet::LISTENING } else { StateSet::ALL };
        let netns = namespaces.pop_first().filter(|_| namespaces.is_empty());
        let netns = netns.and_then(|inode| u32::try_from(inode).ok()).filter(|inode| *inode != 0);
        Selection { families, states, netns, suspects: false }
    }

    /// Several kernel sockets may have one inode, and so one holder: the subflows of an MPTCP
    /// connection (net/mptcp/subflow.c, mptcp_subflow_create_socket).
    fn share(&mut self, index: &IdIndex) {
        for own in 0..self.table.sockets.len() {
            let held = &self.table.sockets[own];
            let found = if held.is_open() { index.position(held.socket.inode) } else { None };
            if let Some(other) = found.map(|p| p as usize).filter(|other| *other != own) {
                self.table.sockets[own].holders = self.table.sockets[other].holders.clone();
            }
        }
    }

    fn take(&mut self, pass: Pass) {
        for Holding { position, holder, settings } in pass.holdings {
            let held = &mut self.table.sockets[position as usize];
            held.holders.push(holder);
            if let Some(settings) = settings {
                held.socket.learn(settings);
            }
        }
        for held in self.table.sockets.iter_mut().filter(|h| h.holders.len() > 1) {
            held.holders.sort_unstable();
            held.holders.dedup(); // threads that outlive their first one are asked one by one
        }
        self.table.processes.extend(pass.processes.into_iter().map(|p| (p.pid, p)));
        self.mailboxes.extend(pass.mailboxes);
        self.obstacle = match () {
            () if pass.hidden => Some(Obstacle::Hidden),
            () if pass.refused > 0 && geteuid().is_root() => Some(Obstacle::Protected),
            () if pass.refused > 0 => Some(Obstacle::Refused),
            () if !namespace::sees_every_process() => Some(Obstacle::OtherNamespace),
            () => None,
        };
    }

    /// Whether a closer look can show more: a stranger would be refused again.
    fn may_find_more(&self) -> bool {
        matches!(self.obstacle, None | Some(Obstacle::Protected | Obstacle::OtherNamespace))
            && self.open().next().is_some()
    }

    fn open(&self) -> impl Iterator<Item = &Held> {
        self.table.sockets.iter().filter(|h| h.is_open())
    }

    fn settle(&mut self, judge: impl Fn(&Socket) -> Option<Unowned>) {
        for held in self.table.sockets.iter_mut().filter(|h| h.is_open()) {
            held.unowned = judge(&held.socket);
        }
    }

    /// Sockets that the kernel holds for a tunnel (VXLAN, wireguard …) or a service of its own: it
    /// tells their ports, so that no process need be asked.
    fn recognise_kernel(&mut self, query: &Query) {
        if !self.open().any(|h| h.socket.local_port().is_some()) {
            return;
        }
        let uses = in_each_namespace(query, kernel_uses::read);
        self.settle(|socket| {
            let (transport, port) = (socket.transport.with_ports()?, socket.local_port()?);
            let serves =
                |u: &KernelUse| (u.netns, u.transport, u.port) == (socket.netns, transport, port);
            uses.iter().any(serves).then_some(Unowned::Kernel)
        });
        self.table.kernel_uses = uses;
    }

    /// What else the kernel has bound is likely what its settings say.
    fn name_kernel(&mut self, query: &Query) {
        let is_nameless = |held: &Held| {
            held.unowned == Some(Unowned::Kernel) && self.table.kernel_use(held).is_none()
        };
        if self.table.sockets.iter().any(is_nameless) {
            self.table.kernel_uses.extend(in_each_namespace(query, kernel_uses::likely));
        }
    }

    /// Sockets without a holder are gone, or changed hands while we looked, or are held by other
    /// means than a descriptor.
    fn look_again(&mut self, query: &Query) {
        let now: HashSet<u64> = sockets::read(query).value.iter().map(|s| s.inode).collect();
        self.settle(|socket| (!now.contains(&socket.inode)).then_some(Unowned::Vanished));
        let index = self.index();
        match self.ask_suspects(&index) {
            Some(pass) => {
                self.take(pass);
                self.share(&index);
            }
            None => self.read_proc(&index, Depth::Everything),
        }
        self.read_proc(&self.index(), Depth::Mappings);
        self.open_mailboxes();
    }

    /// The kernel knows who may hold sockets without a descriptor; /proc tells more of those, and
    /// of processes the kernel kept quiet about.
    fn ask_suspects(&self, index: &IdIndex) -> Option<Pass> {
        let kernel = self.kernel.as_ref()?;
        let (mut selection, mut pass) = (self.selection(), Pass::default());
        if selection.families.contains(&Family::Unix) {
            // A unix socket is either what is looked for or where to look.
            pass = kernel.search(index, &selection, self.details).ok()?.pass;
            selection.families.clear();
        }
        selection.suspects = true;
        let found = kernel.search(index, &selection, self.details).ok()?;
        let closer = |pid: &u32| found.suspects.contains(pid) || !found.witnesses.contains(pid);
        let of_proc = procfs::search_where(closer, index, self.details, Depth::Everything).ok()?;
        Some(pass.and(found.pass).and(of_proc))
    }

    /// Sockets that nobody has received yet. What cannot be looked into may hold any of the rest.
    fn open_mailboxes(&mut self) {
        let mut unseen = Vec::new();
        for mailbox in std::mem::take(&mut self.mailboxes) {
            let content = mailbox.peek();
            let holder = Holder { pid: mailbox.pid, fd: Some(mailbox.fd), via: Via::InFlight };
            let sent = |held: &&mut Held| {
                content.sockets.contains(&held.socket.inode) && held.is_only_in_flight()
            };
            self.table.sockets.iter_mut().filter(sent).for_each(|held| held.holders.push(holder));
            unseen.extend((content.unseen > 0).then_some(holder));
        }
        if !unseen.is_empty() {
            // Where processes are hidden, one of those may hold it just as well.
            let why = self.obstacle.map_or(Unowned::InFlight, |_| Unowned::NotPermitted);
            for held in self.table.sockets.iter_mut().filter(|held| held.is_open()) {
                held.holders.clone_from(&unseen);
                held.unowned = Some(why);
            }
        }
        let receivers = self.table.sockets.iter().flat_map(|held| &held.holders);
        let receivers = receivers.filter(|h| h.via == Via::InFlight).map(|h| h.pid).collect();
        self.read_processes(receivers);
    }

    fn read_processes(&mut self, mut pids: HashSet<u32>) {
        pids.retain(|pid| !self.table.processes.contains_key(pid));
        let found = processes::read(pids, self.details).into_iter().map(|p| (p.pid, p));
        self.table.processes.extend(found);
    }

    /// What has no holder now is the kernel's own if every process was read, else it is hidden.
    fn conclude(&mut self) {
        match self.obstacle {
            None => self.settle(|_| Some(Unowned::Kernel)),
            Some(_) => self.ask_cgroups(),
        }
    }

    /// What the kernel tells everybody: in which cgroup a socket was made. Its processes are the
    /// likely holders.
    fn ask_cgroups(&mut self) {
        let ids: HashSet<u64> = self.open().filter_map(|h| h.socket.cgroup).collect();
        if ids.is_empty() {
            return;
        }
        let cgroups = cgroups::find(&ids);
        let candidates = |id: Option<u64>| {
            let group = cgroups.get(&id?)?;
            let is_one_service = group.path != "/" && group.processes.len() <= CANDIDATES;
            is_one_service.then_some(&*group.processes)
        };
        let mut named = HashSet::new();
        for held in self.table.sockets.iter_mut().filter(|h| h.is_open()) {
            for pid in candidates(held.socket.cgroup).unwrap_or_default() {
                held.holders.push(Holder { pid: *pid, fd: None, via: Via::Cgroup });
                named.insert(*pid);
            }
            held.unowned = Some(Unowned::NotPermitted);
        }
        self.read_processes(named);
        self.table.cgroups = cgroups.into_iter().map(|(id, g)| (id, g.placement)).collect();
    }

    fn finish(mut self) -> Observed<SocketTable> {
        self.settle(|_| Some(Unowned::NotPermitted));
        self.name_users();
        self.tell();
        Observed { value: self.table, gaps: self.gaps }
    }

    fn name_users(&mut self) {
        let names = users::read();
        for process in self.table.processes.values_mut() {
            process.user = process.uid.and_then(|uid| names.get(&uid).cloned());
        }
        let ids: HashSet<u32> = self.table.sockets.iter().filter_map(|h| h.socket.uid).collect();
        let known = ids.into_iter().filter_map(|uid| Some((uid, names.get(&uid)?.clone())));
        self.table.users = known.collect();
    }

    fn tell(&mut self) {
        let count = |what| self.table.sockets.iter().filter(|h| h.unowned == Some(what)).count();
        let (hidden, gone) = (count(Unowned::NotPermitted), count(Unowned::Vanished));
        if hidden > 0 {
            let hint = self.obstacle.map_or("", Obstacle::hint);
            self.gaps.push(Gap::new(owners_of(hidden), Why::NotPermitted, hint));
        }
        if gone > 0 {
            self.gaps.push(Gap::aside(owners_of(gone), Why::Vanished, ""));
        }
    }
}

/// What the kernel's own records add to a dump.
trait Learn {
    fn learn(&mut self, settings: Settings);
}

impl Learn for Socket {
    fn learn(&mut self, settings: Settings) {
        self.reuse = Some(settings.reuse);
        if self.family == Family::Ipv6 && self.v6only.is_none() {
            self.v6only = Some(settings.v6only);
        }
    }
}

/// What the kernel tells of itself in every network namespace that is looked into.
fn in_each_namespace(query: &Query, read: fn(u64) -> Vec<KernelUse>) -> Vec<KernelUse> {
    let mut uses = read(query.netns);
    for place in &query.elsewhere {
        // Where we may not enter, its sockets stay without a name.
        uses.extend(place.enter(|| read(place.netns.inode)).unwrap_or_default());
    }
    uses
}

/// Whether a file stands for it, and who holds that is not known yet.
trait Open {
    fn is_open(&self) -> bool;

    /// The same, or those who may receive it are its only holders so far.
    fn is_only_in_flight(&self) -> bool;
}

impl Open for Held {
    fn is_open(&self) -> bool {
        self.holders.is_empty() && self.unowned.is_none()
    }

    fn is_only_in_flight(&self) -> bool {
        self.unowned.is_none() && self.holders.iter().all(|h| h.via == Via::InFlight)
    }
}

fn owners_of(sockets: usize) -> String {
    match sockets {
        1 => "the owner of 1 socket".to_owned(),
        n => format!("owners of {n} sockets"),
    }
}

/// A cgroup with more processes than that (a login session, a whole container) names no holder.
const CANDIDATES: usize = 16;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;

    use portolan_core::net::{Port, PortRange};
    use portolan_core::socket::{SocketTransport, StateSet};

    use super::*;
    use crate::sockets::InetFamily;

    fn query() -> Query {
        Query {
            transports: vec![SocketTransport::Tcp],
            families: vec![InetFamily::V4],
            states: StateSet::LISTENING,
            choice_of: StateSet::NONE,
            ephemeral: PortRange::ALL,
            netns: 0,
            elsewhere: Vec::new(),
        }
    }

    fn search() -> Search {
        Search::begin(&query(), Choice::Auto)
    }

    fn ours(listener: &TcpListener) -> Vec<Socket> {
        let port = listener.local_addr().unwrap().port();
        let mut sockets = sockets::read(&query()).value;
        sockets.retain(|s| s.local_port() == Some(Port(port)));
        sockets
    }

    #[test]
    fn a_listener_of_our_own_is_held_by_our_own_descriptor() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let observed = search().attach(ours(&listener), &query(), Details::Full).unwrap();
        let [held] = &observed.value.sockets[..] else { panic!("one socket: {observed:?}") };
        let fd = Some(listener.as_raw_fd());
        assert!(held.holders.contains(&Holder { pid: std::process::id(), fd, via: Via::Fd }));
        assert_eq!((held.unowned, observed.gaps.len()), (None, 0));
    }

    #[test]
    fn sockets_with_one_inode_have_the_same_holders() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let twice = [ours(&listener), ours(&listener)].concat();
        let table = search().attach(twice, &query(), Details::Brief).unwrap().value;
        assert_eq!(table.sockets.len(), 2);
        assert!(!table.sockets[0].holders.is_empty());
        assert_eq!(table.sockets[0].holders, table.sockets[1].holders);
    }

    #[test]
    fn a_socket_that_closed_meanwhile_is_no_gap_in_what_was_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sockets = ours(&listener);
        drop(listener);
        let observed = search().attach(sockets, &query(), Details::Brief).unwrap();
        // Where nobody may look at every process, it could as well be hidden.
        let unowned = observed.value.sockets[0].unowned;
        assert!(matches!(unowned, Some(Unowned::Vanished | Unowned::NotPermitted)));
        assert_eq!(observed.is_partial(), unowned == Some(Unowned::NotPermitted));
    }
}
