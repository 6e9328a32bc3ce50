//! One port of this machine that waits for others to come: every socket bound to it, together.
//!
//! A server with a socket for each family, or for each worker, is one thing to a person; so the
//! chart has a row and the audit a finding for each (port, transport), not for each socket.

use crate::net::{Port, Transport};
use crate::socket::{Held, PortChoice, SocketTable};

use super::Reach;

/// A port and the sockets that listen on it.
#[derive(Clone, Debug)]
pub struct Listening<'a> {
    /// The number.
    pub port: Port,
    /// Its transport; UDP-Lite is counted with UDP.
    pub transport: Transport,
    /// The sockets, at least one, by address.
    pub sockets: Vec<&'a Held>,
}

impl<'a> Listening<'a> {
    /// Every listening port of `table`, by port and transport.
    #[must_use]
    pub fn all(table: &'a SocketTable) -> Vec<Self> {
        let listeners = table.sockets.iter().filter(|held| held.socket.is_listener());
        let mut keyed: Vec<(Port, Transport, &Held)> =
            listeners.filter_map(|held| key(held).map(|(port, t)| (port, t, held))).collect();
        keyed.sort_by(|a, b| {
            (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| a.2.socket.local.cmp(&b.2.socket.local))
        });
        keyed
            .chunk_by(|a, b| (a.0, a.1) == (b.0, b.1))
            .map(|same| Self {
                port: same[0].0,
                transport: same[0].1,
                sockets: same.iter().map(|(_, _, held)| *held).collect(),
            })
            .collect()
    }

    /// The farthest a socket of it can be reached from, as far as its binding goes.
    #[must_use]
    pub fn reach(&self) -> Reach {
        Reach::of_sockets(self.sockets.iter().copied())
    }

    /// Whether the kernel chose the number: a client that waits for answers, or a server that
    /// tells its number some other way.
    #[must_use]
    pub fn is_kernel_chosen(&self) -> bool {
        self.sockets.iter().all(|held| held.socket.port_choice == Some(PortChoice::Kernel))
    }

    /// Whether an undeclared one is a finding: every TCP listener, and a UDP socket only where it
    /// is known that its program asked for this number, since every UDP client has a port too.
    #[must_use]
    pub fn is_deliberate(&self) -> bool {
        self.transport != Transport::Udp
            || self.sockets.iter().any(|held| held.socket.port_choice == Some(PortChoice::Fixed))
    }
}

fn key(held: &Held) -> Option<(Port, Transport)> {
    Some((held.socket.local_port()?, held.socket.transport.with_ports()?))
}
