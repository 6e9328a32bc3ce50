//! How a project's number stands now: free, served by the project itself, or taken by somebody else.
//!
//! A process belongs to the project when its working folder does. One that cannot be looked into
//! belongs to another user, and so to somebody else.

use std::path::Path;

use anyhow::Result;
use portolan_core::net::{Gap, Port, Transport, TransportSet};
use portolan_core::socket::{Bind, Held, Reuse, SocketTable, SocketTransport, State};
use portolan_host::processes::Details;
use portolan_host::{bind, holder};

use crate::ops::{project, registry, sockets};

/// How a number stands.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// A server can have it.
    Free,
    /// A server of the project's has it.
    Ours,
    /// Only what an earlier server left is on it: one that sets SO_REUSEADDR can have it.
    Leftover,
    /// Somebody else has it.
    Taken(Taken),
}

/// Who has a number.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    /// The number.
    pub(crate) port: Port,
    /// The sockets in the way, with their owners; empty where the kernel refuses and shows none.
    pub(crate) by: Box<SocketTable>,
}

impl Standing {
    /// Whether a number that no socket is known to use can be had.
    pub(super) fn is_unused(port: Port, transports: TransportSet) -> bool {
        can_be_served(port, transports)
    }

    /// How a number stands, whatever is on it. `reserved` are the processes that hold ports for
    /// the project.
    pub(super) fn of(
        port: Port,
        transports: TransportSet,
        project: &Path,
        reserved: &[u32],
        gaps: &mut Vec<Gap>,
    ) -> Result<Self> {
        let mut table = sockets_on(port, transports, gaps)?;
        let is_own = |held: &Held| {
            held.holders.iter().any(|h| reserved.contains(&h.pid) || works_in(h.pid, project))
        };
        let own: Vec<bool> = table.sockets.iter().map(is_own).collect();
        let mut sockets = table.sockets.iter().zip(&own);
        let foreign = sockets.clone().any(|(held, own)| !own && is_held_open(held));
        let served = sockets.any(|(held, own)| *own && held.socket.is_listener());
        let left = table.sockets.iter().all(|held| held.socket.inode == 0);
        match () {
            () if !foreign && served => Ok(Self::Ours),
            () if !foreign && can_be_served(port, transports) => Ok(Self::Free),
            () if left && !table.sockets.is_empty() => Ok(Self::Leftover),
            () => {
                let mut own = own.into_iter();
                table.sockets.retain(|held| own.next() == Some(false) || is_held_open(held));
                table.sockets.sort_by_key(|held| !held.socket.is_listener());
                Ok(Self::Taken(Taken { port, by: table.into() }))
            }
        }
    }

    pub(super) const fn is_ours(&self) -> bool {
        matches!(self, Self::Ours)
    }

    pub(super) const fn is_taken(&self) -> bool {
        matches!(self, Self::Taken(_))
    }

    pub(super) const fn is_leftover(&self) -> bool {
        matches!(self, Self::Leftover)
    }

    pub(super) const fn taken(&self) -> Option<&Taken> {
        match self {
            Self::Taken(taken) => Some(taken),
            _ => None,
        }
    }

    pub(super) fn into_taken(self) -> Option<Taken> {
        match self {
            Self::Taken(taken) => Some(taken),
            _ => None,
        }
    }
}

/// Every socket whose local port is `port`, with its owners.
pub(crate) fn sockets_on(
    port: Port,
    transports: TransportSet,
    gaps: &mut Vec<Gap>,
) -> Result<SocketTable> {
    let registry = registry::load().into_value(gaps);
    let words = ["sport".to_owned(), "=".to_owned(), format!(":{port}")];
    let request = sockets::Request {
        transports: transports.iter().map(socket_transport).collect(),
        filter: sockets::filter(&words, &registry)?,
        ..sockets::Request::every_state(Details::Full)
    };
    Ok(sockets::observe(&request)?.into_value(gaps))
}

/// The sockets of a transport.
pub(super) const fn socket_transport(transport: Transport) -> SocketTransport {
    match transport {
        Transport::Tcp => SocketTransport::Tcp,
        Transport::Udp => SocketTransport::Udp,
        Transport::Sctp => SocketTransport::Sctp,
        Transport::Dccp => SocketTransport::Dccp,
    }
}

/// Whether a socket is kept open to serve, now or later: it is in the way for good. Connections and
/// what is left of them go by themselves; whether they are in the way the kernel is asked.
fn is_held_open(held: &Held) -> bool {
    let socket = &held.socket;
    socket.is_listener() || socket.state == State::Bound || socket.transport == SocketTransport::Udp
}

fn works_in(pid: u32, root: &Path) -> bool {
    holder::working_folder(pid).is_some_and(|folder| project::root_of(&folder) == root)
}

/// Whether a server as most are, with SO_REUSEADDR where that means no stealing, could start.
fn can_be_served(port: Port, transports: TransportSet) -> bool {
    transports.iter().all(|transport| {
        let reuse = if transport == Transport::Udp { Reuse::NONE } else { Reuse::ADDRESS };
        let attempt = |bind: &Bind| bind::attempt(&bind.clone().with(reuse));
        bind::everywhere(transport, port, attempt).is_ok()
    })
}
