//! How close a network namespace is to having no port left that the kernel could choose.
//!
//! Two questions have two limits (net/ipv4/inet_connection_sock.c and inet_hashtables.c, measured on
//! 6.18). `bind(address, 0)` needs a port that nobody has at that address: it fails with EADDRINUSE.
//! `connect()` without a bind needs one that no bind() holds at *any* address and that is not yet
//! connected to the same destination: it fails with EADDRNOTAVAIL, and each pair of source address
//! and destination has the whole range anew. Works on values only; a table of every state comes in,
//! one namespace at a time.

mod advice;
mod destination;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

pub use advice::{Advice, Circumstances, PRESSING};
pub use destination::Destination;
use destination::{Destinations, canonical, is_odd};

use super::{LocalPorts, PortChoice, Socket, SocketTransport, State};
use crate::net::{Endpoint, Port, PortRange, PortSet};

/// How much of the range is in use.
#[derive(Clone, Debug)]
pub struct Usage {
    range: PortRange,
    choosable: PortSet,
    /// TCP ports that some bind() holds, whatever its address: no connect() is given them.
    bound: PortSet,
    taken: HashMap<Place, HashSet<Port>>,
    destinations: Vec<Destination>,
    likely_bound: usize,
    reuse: TimeWaitReuse,
}

/// Where a port is taken: of sockets on a place only those that overlap with it matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    transport: SocketTransport,
    address: IpAddr,
    v6only: bool,
}

/// Ports in use out of those there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Ports that cannot be had.
    pub used: usize,
    /// Ports the kernel chooses from: the range without what is reserved.
    pub usable: usize,
}

/// What decides whether a connection in TIME-WAIT gives its port to a new one early (ip-sysctl).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWaitReuse {
    /// net.ipv4.tcp_tw_reuse.
    pub policy: ReusePolicy,
    /// net.ipv4.tcp_tw_reuse_delay (Linux 6.14 and later; before, a second).
    pub after: Duration,
    /// Whether net.ipv4.tcp_timestamps is on; without timestamps nothing is used again early.
    pub timestamps: bool,
}

/// The settings that decide when a connection that has ended gives its port back (ip-sysctl).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosingSettings {
    /// For connections in TIME-WAIT.
    pub reuse: TimeWaitReuse,
    /// net.ipv4.tcp_fin_timeout: for those in FIN-WAIT-2 that no process has open. It does not
    /// shorten TIME-WAIT.
    pub fin_timeout: Duration,
}

/// The values of net.ipv4.tcp_tw_reuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReusePolicy {
    /// 0: never.
    Never,
    /// 1: for every new connection to the same destination.
    Always,
    /// 2, Linux's default: only over loopback.
    Loopback,
}

impl Usage {
    /// Counts what `sockets`, of one network namespace and in every state, hold of `ports`.
    pub fn of<'a>(
        sockets: impl IntoIterator<Item = &'a Socket>,
        ports: &LocalPorts,
        reuse: TimeWaitReuse,
    ) -> Self {
        let mut choosable: PortSet = std::iter::once(ports.ephemeral).collect();
        ports.reserved.iter().for_each(|port| choosable.remove(port));
        let inside: Vec<(&Socket, Endpoint)> = sockets
            .into_iter()
            .filter_map(|socket| Some((socket, port_holder(socket)?)))
            .filter(|(_, local)| choosable.contains(local.port))
            .collect();
        let bound = bound_ports(&inside);
        let mut taken: HashMap<Place, HashSet<Port>> = HashMap::new();
        let mut destinations = Destinations::new(reuse);
        for (socket, local) in inside {
            taken.entry(Place::of(socket, local)).or_default().insert(local.port);
            if socket.transport == SocketTransport::Tcp && !bound.contains(local.port) {
                destinations.take(socket, local);
            }
        }
        let low = ports.ephemeral.first();
        let even = choosable.iter().filter(|p| !is_odd(low, *p) && !bound.contains(*p));
        let (destinations, likely_bound) = destinations.finish(low, even.count());
        let range = ports.ephemeral;
        Self { range, choosable, bound, taken, destinations, likely_bound, reuse }
    }

    /// How many ports the kernel chooses from.
    #[must_use]
    pub fn usable(&self) -> usize {
        self.choosable.len()
    }

    /// Whether the kernel may choose `port`.
    #[must_use]
    pub fn is_choosable(&self, port: Port) -> bool {
        self.choosable.contains(port)
    }

    /// Whether the range has an odd number of ports: both searches go in steps of two through an
    /// even number of them, so that the last one is now and then not found.
    #[must_use]
    pub const fn is_odd(&self) -> bool {
        self.range.len() > 1 && self.range.len() % 2 == 1
    }

    /// TCP ports of the range that no connect() is given, since a bind() holds them.
    #[must_use]
    pub const fn bound(&self) -> &PortSet {
        &self.bound
    }

    /// Connections that look as if they had bound before they connected: bind(0) takes the odd half
    /// (counted from the low end) first and connect() the even one. Each such port is lost to every
    /// destination and not to one; IP_BIND_ADDRESS_NO_PORT avoids that.
    #[must_use]
    pub const fn likely_bound(&self) -> usize {
        self.likely_bound
    }

    /// What is left for `bind(address, 0)`; [`Ipv6Addr::UNSPECIFIED`] stands for both families.
    #[must_use]
    pub fn at(&self, transport: SocketTransport, address: IpAddr) -> Fill {
        let wanted = Place { transport, address: address.to_canonical(), v6only: false };
        let overlapping: Vec<_> =
            self.taken.iter().filter(|(place, _)| place.overlaps(wanted)).collect();
        let used = match overlapping[..] {
            [(_, only)] => only.len(),
            _ => overlapping.iter().flat_map(|(_, ports)| *ports).collect::<HashSet<_>>().len(),
        };
        Fill { used, usable: self.usable() }
    }

    /// The addresses at which ports of `transport` are taken, each with what is left there, the
    /// fullest first.
    #[must_use]
    pub fn addresses(&self, transport: SocketTransport) -> Vec<(IpAddr, Fill)> {
        let places = self.taken.keys().filter(|place| place.transport == transport);
        let mut addresses: Vec<IpAddr> = places.map(|place| place.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let mut filled: Vec<_> =
            addresses.into_iter().map(|address| (address, self.at(transport, address))).collect();
        filled.sort_by_key(|(address, fill)| (std::cmp::Reverse(fill.used), *address));
        filled
    }

    /// The destinations of outgoing TCP connections, the fullest first.
    #[must_use]
    pub fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// What is left for connect() along `destination`.
    #[must_use]
    pub fn toward(&self, destination: &Destination) -> Fill {
        Fill { used: self.bound.len() + destination.used(), usable: self.usable() }
    }

    /// What is left for connect() from `source` to `peer`.
    #[must_use]
    pub fn between(&self, source: IpAddr, peer: Endpoint) -> Fill {
        let (source, peer) = (source.to_canonical(), canonical(peer));
        let known = self.destinations.iter().find(|d| d.source == source && d.peer == peer);
        known.map_or(Fill { used: self.bound.len(), usable: self.usable() }, |d| self.toward(d))
    }
}

impl Fill {
    /// Whether nothing is left.
    #[must_use]
    pub const fn is_full(self) -> bool {
        self.used >= self.usable
    }

    /// How much is in use, in percent, 100 only when nothing is left; an empty range is full.
    #[must_use]
    pub const fn percent(self) -> u8 {
        if self.is_full() {
            return 100;
        }
        (self.used * 100 / self.usable) as u8
    }
}

impl ReusePolicy {
    /// The number in the file.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Never => 0,
            Self::Always => 1,
            Self::Loopback => 2,
        }
    }

    /// From the number in the file; what the kernel does not know is `None`.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Never),
            1 => Some(Self::Always),
            2 => Some(Self::Loopback),
            _ => None,
        }
    }
}

impl Default for ClosingSettings {
    /// Linux's own defaults (include/net/tcp.h, TCP_FIN_TIMEOUT).
    fn default() -> Self {
        Self { reuse: TimeWaitReuse::default(), fin_timeout: Duration::from_secs(60) }
    }
}

impl Default for TimeWaitReuse {
    /// Linux's own defaults (net/ipv4/tcp_ipv4.c, tcp_sk_init).
    fn default() -> Self {
        Self { policy: ReusePolicy::Loopback, after: Duration::from_secs(1), timestamps: true }
    }
}

impl Place {
    fn of(socket: &Socket, local: Endpoint) -> Self {
        let address = local.address.to_canonical();
        Self { transport: socket.transport, address, v6only: socket.v6only == Some(true) }
    }

    /// Whether a socket here keeps another from the same port there.
    fn overlaps(self, other: Self) -> bool {
        self.transport == other.transport
            && match (self.address, other.address) {
                (IpAddr::V4(a), IpAddr::V4(b)) => {
                    a == b || a.is_unspecified() || b.is_unspecified()
                }
                (IpAddr::V6(a), IpAddr::V6(b)) => {
                    a == b || a.is_unspecified() || b.is_unspecified()
                }
                (IpAddr::V6(a), IpAddr::V4(_)) => is_dual(a, self.v6only),
                (IpAddr::V4(_), IpAddr::V6(b)) => is_dual(b, other.v6only),
            }
    }
}

const fn is_dual(address: Ipv6Addr, v6only: bool) -> bool {
    address.is_unspecified() && !v6only
}

/// The local endpoint of a socket that takes a port out of the range.
fn port_holder(socket: &Socket) -> Option<Endpoint> {
    TRANSPORTS.contains(&socket.transport).then(|| socket.local_endpoint()).flatten()
}

/// The ports that a bind() holds: of listeners with all they have accepted, of sockets that are
/// bound and do nothing yet, and of connections whose program chose the number.
fn bound_ports(sockets: &[(&Socket, Endpoint)]) -> PortSet {
    let tcp = sockets.iter().filter(|(socket, _)| socket.transport == SocketTransport::Tcp);
    tcp.filter(|(socket, _)| {
        matches!(socket.state, State::Listen | State::Bound)
            || socket.port_choice == Some(PortChoice::Fixed)
    })
    .map(|(_, local)| PortRange::from(local.port))
    .collect()
}

/// The transports whose ports the kernel chooses from the range.
pub const TRANSPORTS: [SocketTransport; 2] = [SocketTransport::Tcp, SocketTransport::Udp];

/// How long a connection stays in TIME-WAIT; no setting changes it (include/net/tcp.h,
/// TCP_TIMEWAIT_LEN).
pub const TIME_WAIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
