//! Connections that are open and that the kernel does not track: it is told of them before rules are
//! loaded that ask it.
//!
//! Where no rule asks for connection tracking the kernel has none (net/netfilter/nf_conntrack_proto.c).
//! Loading rules that do begins it, and then the next packet of a connection that was open already
//! looks like the first of a new one, which they may refuse. When tracking begins, the kernel forgets of
//! every TCP entry what it knew of the windows (nf_ct_tcp_fixup): such an entry does not disturb.

use std::collections::HashSet;
use std::net::IpAddr;

use portolan_core::firewall::protocol_of;
use portolan_core::net::{Endpoint, Observed, Port, PortRange, Transport};
use portolan_core::socket::{Address, Socket, SocketTransport, State, StateSet};
use portolan_core::wire::conntrack::{Entry, Tuple};

use crate::conntrack;
use crate::sockets::{self, InetFamily, Query};

/// The open connections of this machine's sockets that are none of `known`.
#[must_use]
pub fn untracked(known: &[Entry]) -> Observed<Vec<Entry>> {
    let tuples: HashSet<Tuple> =
        known.iter().flat_map(|entry| [entry.original, entry.reply]).collect();
    let mut found = open();
    found.value.retain(|entry| !tuples.contains(&entry.original) && !tuples.contains(&entry.reply));
    found
}

/// Has the kernel track the open connections that it does not, but none of `ends`. What cannot be done is
/// left: who asks for the table of connections has been told that there is none.
pub(super) fn adopt(ends: &[Entry]) {
    let ends: HashSet<Tuple> = ends.iter().map(|entry| entry.original).collect();
    let open = open().value;
    let _ = conntrack::track(open.iter().filter(|entry| !ends.contains(&entry.original)));
}

/// The connections of this machine's sockets with others.
fn open() -> Observed<Vec<Entry>> {
    let Ok(no_port) = PortRange::new(Port(0), Port(0)) else { return Observed::whole(Vec::new()) };
    let query = Query {
        transports: vec![SocketTransport::Tcp, SocketTransport::Udp],
        families: vec![InetFamily::V4, InetFamily::V6],
        states: OPEN.into_iter().fold(StateSet::of(State::Listen), |all, s| all | StateSet::of(s)),
        choice_of: StateSet::NONE,
        ephemeral: no_port,
        netns: 0,
        elsewhere: Vec::new(),
    };
    let seen = sockets::read(&query);
    Observed { value: entries(&seen.value), gaps: seen.gaps }
}

/// Who called whom: who listens at his port was called.
fn entries(sockets: &[Socket]) -> Vec<Entry> {
    let listening = sockets.iter().filter(|socket| socket.state == State::Listen);
    let called: HashSet<Port> =
        listening.filter_map(|socket| socket.local.endpoint()).map(|end| end.port).collect();
    let entry = |socket: &Socket| {
        let transport = socket.transport.with_ports()?;
        let own = ends(socket.local.endpoint()?);
        let peer = ends(socket.peer.as_ref().and_then(Address::endpoint)?);
        let is_local = peer.0.is_loopback() || own.0.is_loopback();
        if !OPEN.contains(&socket.state) || is_local || own.0.is_ipv4() != peer.0.is_ipv4() {
            return None;
        }
        let is_called = transport == Transport::Tcp && called.contains(&Port(own.1));
        let (from, to) = if is_called { (peer, own) } else { (own, peer) };
        Some(Entry::open(protocol_of(transport), from, to))
    };
    sockets.iter().filter_map(entry).collect()
}

fn ends(end: Endpoint) -> (IpAddr, u16) {
    (end.address.to_canonical(), end.port.0)
}

/// The states in which a connection carries data, one way at least; of UDP, that it has a peer.
const OPEN: [State; 4] = [State::Established, State::CloseWait, State::FinWait1, State::FinWait2];
