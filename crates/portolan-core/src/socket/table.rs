//! All sockets that were seen, joined with their owners.

use std::collections::HashMap;
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
    /// The network namespaces the sockets live in.
    pub namespaces: Vec<Netns>,
    /// What the kernel itself uses ports for; read only where a socket has no other holder.
    pub kernel_uses: Vec<KernelUse>,
    /// How their holders were found.
    pub engine: Engine,
    /// Whether some of the sockets asked for may be missing: the kernel was not able to tell.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netns {
    /// Inode of its nsfs file.
    pub inode: u64,
    /// Its name under /run/netns, if it has one.
    pub name: Option<Box<str>>,
}

impl SocketTable {
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
