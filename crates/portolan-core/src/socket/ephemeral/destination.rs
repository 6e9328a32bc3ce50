//! Where outgoing connections lead: each source address and destination has the range anew.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::{ReusePolicy, TIME_WAIT, TimeWaitReuse};
use crate::net::{Endpoint, Port};
use crate::socket::{Socket, State};

/// The connections from one address of this machine to one endpoint, whose ports the kernel chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The address they leave from.
    pub source: IpAddr,
    /// Where they lead.
    pub peer: Endpoint,
    /// Connections in any state but TIME-WAIT.
    pub live: usize,
    /// Connections in TIME-WAIT.
    pub time_wait: usize,
    /// Those in TIME-WAIT whose port a new connection may have (net.ipv4.tcp_tw_reuse).
    pub reusable: usize,
    /// When the first in TIME-WAIT gives its port back.
    pub first_end: Option<Duration>,
    /// When the last one does.
    pub last_end: Option<Duration>,
    ports: Vec<Port>,
}

impl Destination {
    /// How many ports a new connection along here cannot have.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.live + self.time_wait - self.reusable
    }

    /// How many connections there are, in any state.
    #[must_use]
    pub const fn connections(&self) -> usize {
        self.live + self.time_wait
    }

    fn new(source: IpAddr, peer: Endpoint) -> Self {
        let (live, time_wait, reusable) = (0, 0, 0);
        let (first_end, last_end, ports) = (None, None, Vec::new());
        Self { source, peer, live, time_wait, reusable, first_end, last_end, ports }
    }

    fn take(&mut self, socket: &Socket, port: Port, reuse: TimeWaitReuse) {
        self.ports.push(port);
        if socket.state != State::TimeWait {
            self.live += 1;
            return;
        }
        self.time_wait += 1;
        let Some(left) = socket.timer.map(|timer| timer.left) else { return };
        self.first_end = Some(self.first_end.map_or(left, |first| first.min(left)));
        self.last_end = Some(self.last_end.map_or(left, |last| last.max(left)));
        self.reusable += usize::from(reuse.allows(self.source, self.peer.address, left));
    }

    /// Ports of the odd half, which connect() leaves alone while the even one has room.
    fn out_of_turn(&self, low: Port, even_room: usize) -> usize {
        let odd = self.ports.iter().filter(|port| is_odd(low, **port)).count();
        let even = self.ports.len() - odd;
        if even < even_room { odd } else { 0 }
    }
}

impl TimeWaitReuse {
    /// Whether a connection with so much of TIME-WAIT left may be followed by a new one
    /// (net/ipv4/tcp_ipv4.c, tcp_twsk_unique).
    fn allows(self, source: IpAddr, peer: IpAddr, left: Duration) -> bool {
        let by_policy = match self.policy {
            ReusePolicy::Never => false,
            ReusePolicy::Always => true,
            ReusePolicy::Loopback => source.is_loopback() || peer.is_loopback(),
        };
        by_policy && self.timestamps && TIME_WAIT.saturating_sub(left) > self.after
    }
}

/// Whether `port` is in the half of the range that bind(0) takes first, counted from its low end.
pub(super) const fn is_odd(low: Port, port: Port) -> bool {
    port.0.wrapping_sub(low.0) % 2 == 1
}

/// The same endpoint with an IPv4 address where it only maps one.
pub(super) fn canonical(endpoint: Endpoint) -> Endpoint {
    Endpoint::new(endpoint.address.to_canonical(), endpoint.port)
}

/// Destinations while they are counted.
pub(super) struct Destinations {
    reuse: TimeWaitReuse,
    found: HashMap<(IpAddr, Endpoint), Destination>,
}

impl Destinations {
    pub(super) fn new(reuse: TimeWaitReuse) -> Self {
        Self { reuse, found: HashMap::new() }
    }

    /// Counts a socket, if it is connected.
    pub(super) fn take(&mut self, socket: &Socket, local: Endpoint) {
        let Some(peer) = socket.peer_endpoint() else { return };
        // An IPv6 socket that speaks IPv4 shares the kernel's table with those of IPv4.
        let key = (local.address.to_canonical(), canonical(peer));
        let destination = self.found.entry(key).or_insert_with(|| Destination::new(key.0, key.1));
        destination.take(socket, local.port, self.reuse);
    }

    /// The fullest first, and how many connections look bound before they connected.
    /// `even_room` is how many ports of the even half any connection could have.
    pub(super) fn finish(self, low: Port, even_room: usize) -> (Vec<Destination>, usize) {
        let mut all: Vec<Destination> = self.found.into_values().collect();
        all.sort_by_key(|d| (Reverse((d.used(), d.connections())), d.source, d.peer));
        let out_of_turn = all.iter().map(|d| d.out_of_turn(low, even_room)).sum();
        (all, out_of_turn)
    }
}
