//! All sockets that were seen, joined with their owners.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::{Container, Holder, KernelUse, Placement, Process, Socket, Unowned};

/// Sockets, the processes that hold them, and the namespaces they live in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketTable {
    /// The sockets, in the order of the dump until sorted.
    pub sockets: Vec<Held>,
    /// Every process named by a holder, by pid.
    pub processes: HashMap<u32, Process>,
    /// Placement by cgroup id, for sockets whose holder cannot be seen.
    pub cgroups: HashMap<u64, Placement>,
    /// Login names by user id, for the ids that occur.
    pub users: HashMap<u32, Arc<str>>,
    /// The network namespaces that were looked into, our own first.
    pub namespaces: Vec<Netns>,
    /// What the kernel itself uses ports for; read only where a socket has no other holder.
    pub kernel_uses: Vec<KernelUse>,
    /// How their holders were found.
    pub engine: Engine,
    /// Whether some of the sockets asked for may be missing: the kernel was not able to tell, or
    /// there may be network namespaces that could not be found.
    pub may_lack_sockets: bool,
}

/// How the holders of sockets are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// Every descriptor of every process, read from /proc: works everywhere.
    #[default]
    Procfs,
    /// A program that the kernel runs for every open file.
    Bpf,
}

impl Engine {
    /// The word used on the command line and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Procfs => "procfs",
            Self::Bpf => "bpf",
        }
    }
}

/// A socket and who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The socket.
    pub socket: Socket,
    /// Its holders, by pid and descriptor; several share a socket after fork().
    pub holders: Vec<Holder>,
    /// Why no holder is proved; `None` when one is.
    pub unowned: Option<Unowned>,
}

/// A network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Netns {
    /// Inode of its nsfs file; 0 where unknown, or a number that stands in for it.
    pub inode: u64,
    /// What it is called: `host` for that of process 1, its name under /run/netns, or the file it
    /// is mounted on.
    pub name: Option<Box<str>>,
    /// The container of its first process.
    pub container: Option<Arc<Container>>,
    /// How many processes live in it, where that was looked at.
    pub processes: Option<usize>,
    /// The first of them, by id.
    pub pid: Option<u32>,
    /// Whether nothing of it could be seen: that no socket is told of it then says nothing.
    pub is_unseen: bool,
    /// What its TCP listeners turned away, where that was looked at.
    pub turned_away: Option<TurnedAway>,
}

/// Connections that TCP listeners turned away since the namespace was made (TcpExt of
/// /proc/net/netstat).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnedAway {
    /// ListenOverflows: the accept queue was full.
    pub overflows: u64,
    /// ListenDrops: for any reason, overflows among them.
    pub drops: u64,
}

impl Netns {
    /// A number for a namespace whose inode may not be asked for, from one that tells it apart.
    #[must_use]
    pub const fn stand_in(id: u64) -> u64 {
        id | STAND_IN
    }

    /// The inode, where it is known.
    #[must_use]
    pub const fn known_inode(&self) -> Option<u64> {
        if self.inode == 0 || Self::is_stand_in(self.inode) { None } else { Some(self.inode) }
    }

    /// Whether a number only stands in for an inode.
    #[must_use]
    pub const fn is_stand_in(inode: u64) -> bool {
        inode & STAND_IN != 0
    }
}

impl fmt::Display for Netns {
    /// `network namespace lab`; by inode or first process where it has no name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("network namespace ")?;
        match (&self.name, &self.container, self.known_inode(), self.pid) {
            (Some(name), ..) => f.write_str(name),
            (_, Some(container), ..) => {
                write!(f, "of {} {}", container.runtime, container.short_name())
            }
            (.., Some(inode), _) => inode.fmt(f),
            (.., Some(pid)) => write!(f, "of process {pid}"),
            _ => f.write_str("unknown"),
        }
    }
}

impl TurnedAway {
    /// Reads the two lines of `TcpExt:` in /proc/net/netstat: names, then numbers.
    #[must_use]
    pub fn parse(netstat: &str) -> Option<Self> {
        let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
        let (names, numbers) = (lines.next()?, lines.next()?);
        let counters = || names.split_whitespace().zip(numbers.split_whitespace());
        let counter = |wanted| counters().find(|(name, _)| *name == wanted)?.1.parse().ok();
        Some(Self { overflows: counter("ListenOverflows")?, drops: counter("ListenDrops")? })
    }
}

impl SocketTable {
    /// The namespace with this inode, or this number that stands in for it.
    #[must_use]
    pub fn namespace(&self, inode: u64) -> Option<&Netns> {
        self.namespaces.iter().find(|netns| netns.inode == inode)
    }

    /// The namespace of a socket that is in another one than whoever asked.
    #[must_use]
    pub fn elsewhere(&self, held: &Held) -> Option<&Netns> {
        let own = self.namespaces.first().map(|own| own.inode);
        self.namespace(held.socket.netns).filter(|netns| Some(netns.inode) != own)
    }

    /// The namespace a process lives in, where that is not the one of the socket it holds.
    #[must_use]
    pub fn namespace_apart(&self, held: &Held, process: &Process) -> Option<u64> {
        process.netns.filter(|inode| held.socket.netns != 0 && *inode != held.socket.netns)
    }

    /// The processes that hold `held`, each once, by pid.
    pub fn owners<'a>(&'a self, held: &'a Held) -> impl Iterator<Item = &'a Process> {
        let mut last = None;
        held.holders
            .iter()
            .filter(move |h| last.replace(h.pid) != Some(h.pid))
            .filter_map(|h| self.processes.get(&h.pid))
    }

    /// What the kernel uses a socket of its own for, where that could be told.
    #[must_use]
    pub fn kernel_use(&self, held: &Held) -> Option<&KernelUse> {
        let socket = &held.socket;
        let (transport, port) = (socket.transport.with_ports()?, socket.local_port()?);
        let mut uses = self.kernel_uses.iter().filter(|_| held.unowned == Some(Unowned::Kernel));
        uses.find(|u| (u.netns, u.transport, u.port) == (socket.netns, transport, port))
    }

    /// The unit and container of a socket: its first holder's, else its cgroup's.
    #[must_use]
    pub fn placement(&self, held: &Held) -> Placement {
        Placement {
            unit: self.places(held).find_map(|place| place.unit.clone()),
            container: self.places(held).find_map(|place| place.container.clone()),
        }
    }

    /// The container of a socket: its first holder's, else its cgroup's.
    #[must_use]
    pub fn container<'a>(&'a self, held: &'a Held) -> Option<&'a Container> {
        self.places(held).find_map(|place| place.container.as_deref())
    }

    /// The systemd unit of a socket: its first holder's, else its cgroup's.
    #[must_use]
    pub fn unit<'a>(&'a self, held: &'a Held) -> Option<&'a str> {
        self.places(held).find_map(|place| place.unit.as_deref())
    }

    fn places<'a>(&'a self, held: &'a Held) -> impl Iterator<Item = &'a Placement> {
        let of_holder = self.owners(held).next().map(|p| &p.placement);
        let of_cgroup = held.socket.cgroup.and_then(|id| self.cgroups.get(&id));
        of_holder.into_iter().chain(of_cgroup)
    }
}

/// No inode of nsfs is that large: they are 32 bits (fs/nsfs.c).
const STAND_IN: u64 = 1 << 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_names() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 9 2 3\nIpExt: A\nIpExt: 1\n";
        assert_eq!(TurnedAway::parse(text), Some(TurnedAway { overflows: 2, drops: 3 }));
        for odd in ["", "TcpExt: ListenDrops\n", "TcpExt: ListenOverflows ListenDrops\nTcpExt: 1\n"]
        {
            assert_eq!(TurnedAway::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_stand_in_is_no_inode() {
        let with = |inode| Netns { inode, ..Netns::default() }.known_inode();
        assert_eq!(with(4_026_531_840), Some(4_026_531_840));
        assert_eq!((with(0), with(Netns::stand_in(7))), (None, None));
    }
}
