//! What a socket of the port is to whoever wants the port: a listener, a client, a remainder.
//!
//! The kernel does not say whether a connection was made from here or accepted here. A listener at
//! its own end tells it; where none is left, `conflict::is_outgoing` judges as `explain` does.

use std::collections::HashSet;

use crate::net::{Endpoint, Port, PortRange, Transport};
use crate::socket::conflict::{self, is_outgoing};
use crate::socket::{Family, Held, PortChoice, Socket, SocketTable, State};

/// What a socket is to the port it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It waits for others, or holds the number without listening.
    Listener,
    /// It uses the number as its own end, mostly because the kernel chose it.
    Client,
    /// A connection of a listener that is there: it goes with its listener or lives on without.
    Accepted,
    /// It keeps the port although nobody listens: TIME-WAIT, an orphan, a connection that outlived
    /// its listener.
    Leftover,
}

/// The roles in one table.
pub(super) struct Roles {
    listeners: Vec<Socket>,
    /// Ports with a listener, to look among the others only when it can matter.
    ports: HashSet<Port>,
    ephemeral: PortRange,
}

impl Roles {
    pub(super) fn new(table: &SocketTable, ephemeral: PortRange) -> Self {
        let sockets = table.sockets.iter().map(|held| &held.socket);
        let listeners: Vec<Socket> = sockets.filter(|s| waits(s)).cloned().collect();
        let ports = listeners.iter().filter_map(Socket::local_port).collect();
        Self { listeners, ports, ephemeral }
    }

    /// The role of a socket that has a port.
    pub(super) fn of(&self, held: &Held) -> Role {
        let socket = &held.socket;
        let ends = socket.local_endpoint().zip(socket.peer_endpoint());
        match (socket.state, ends) {
            (State::TimeWait, _) => Role::Leftover,
            _ if waits(socket) => Role::Listener,
            (State::Bound, _) if socket.port_choice != Some(PortChoice::Kernel) => Role::Listener,
            (_, Some((local, _))) => self.of_connection(socket, local),
            _ => Role::Client,
        }
    }

    fn of_connection(&self, socket: &Socket, local: Endpoint) -> Role {
        let Some(transport) = socket.transport.with_ports() else { return Role::Client };
        let is_orphan = socket.inode == 0;
        let is_closing = !matches!(socket.state, State::Established | State::SynRecv);
        match self.listens(transport, local) {
            true if is_orphan && is_closing => Role::Leftover,
            true => Role::Accepted,
            false if !is_orphan && is_outgoing(socket, &self.around()) => Role::Client,
            false => Role::Leftover,
        }
    }

    fn around(&self) -> conflict::Surroundings<'_> {
        conflict::Surroundings { listeners: &self.listeners, ephemeral: self.ephemeral }
    }

    /// Whether something here listens on this very end.
    fn listens(&self, transport: Transport, end: Endpoint) -> bool {
        self.ports.contains(&end.port)
            && self.listeners.iter().any(|listener| covers(listener, transport, end))
    }
}

/// Whether it waits for others. A UDP socket whose number the kernel chose is a client's: servers
/// ask for theirs.
fn waits(socket: &Socket) -> bool {
    let is_tcp = socket.transport.with_ports() == Some(Transport::Tcp);
    socket.is_listener() && (is_tcp || socket.port_choice != Some(PortChoice::Kernel))
}

fn covers(listener: &Socket, transport: Transport, end: Endpoint) -> bool {
    let Some(place) = listener.local_endpoint() else { return false };
    let (own, other) = (place.address.to_canonical(), end.address.to_canonical());
    let takes_family = own.is_ipv4() == other.is_ipv4()
        || (listener.family == Family::Ipv6 && listener.v6only != Some(true));
    listener.transport.with_ports() == Some(transport)
        && place.port == end.port
        && (own == other || (own.is_unspecified() && takes_family))
}
