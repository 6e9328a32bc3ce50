//! What a socket in the way is: a server, a client, or what one of them left behind.

use super::{Claim, Meeting, Verdict};
use crate::net::{Endpoint, PortRange};
use crate::socket::{Address, Held, PortChoice, Socket, State, Unowned, Via};

/// What a socket's cause depends on beside itself.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Every listener of the machine.
    pub listeners: &'a [Socket],
    /// What the kernel chooses ports from.
    pub ephemeral: PortRange,
}

/// What `held` is, as the holder of a port. Who is behind it (a container, socket activation, a
/// lease) is not asked here.
#[must_use]
pub fn cause(held: &Held, around: &Surroundings<'_>) -> Verdict {
    let socket = &held.socket;
    match socket.state {
        State::TimeWait => Verdict::TimeWait,
        State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck => Verdict::FinWait,
        State::CloseWait if !is_outgoing(socket, around) => Verdict::FinWait,
        _ if held.unowned == Some(Unowned::Kernel) => Verdict::Kernel,
        _ => by_means(held).unwrap_or_else(|| by_role(socket, around)),
    }
}

/// Sockets held by other means than an open descriptor, and by those alone.
fn by_means(held: &Held) -> Option<Verdict> {
    let first = held.holders.first()?.via;
    if held.holders.iter().any(|h| h.via != first) {
        return None;
    }
    match first {
        Via::IoUring => Some(Verdict::IoUring),
        Via::InFlight => Some(Verdict::InFlight),
        Via::Kernel => Some(Verdict::Kernel),
        Via::Fd | Via::Mapping | Via::Cgroup => None,
    }
}

fn by_role(socket: &Socket, around: &Surroundings<'_>) -> Verdict {
    let is_port_shared = socket.reuse.is_some_and(|reuse| reuse.port);
    match socket.state {
        State::Bound => Verdict::BoundInactive,
        _ if socket.is_listener() && is_port_shared => Verdict::ListenerShared,
        _ if socket.is_listener() => Verdict::Listener,
        _ if is_outgoing(socket, around) => Verdict::Outgoing,
        _ => Verdict::EstablishedLeftover,
    }
}

impl Surroundings<'_> {
    /// Whether a listener serves `end`, as far as is known.
    #[must_use]
    pub fn is_served(&self, like: &Socket, end: Endpoint) -> bool {
        let end = Socket { local: Address::Inet(end), peer: None, device: None, ..like.clone() };
        let Some(end) = Claim::of_socket(&end) else { return false };
        let is_there = |s: &&Socket| s.is_listener() && s.netns == like.netns;
        let claims = self.listeners.iter().filter(is_there);
        claims.filter_map(Claim::of_socket).any(|there| {
            there.transport == end.transport
                && there.port == end.port
                && end.meets(&there) == Meeting::Meet
        })
    }
}

/// Whether a connection began here. The kernel does not keep that, so it is told from the ports:
/// a server is reached at the port of a listener or at a chosen number, a client comes from a
/// number the kernel gave it.
#[must_use]
pub fn is_outgoing(socket: &Socket, around: &Surroundings<'_>) -> bool {
    let (Some(local), Some(peer)) = (socket.local_endpoint(), socket.peer_endpoint()) else {
        return false;
    };
    let (ours, theirs) =
        (around.ephemeral.contains(local.port), around.ephemeral.contains(peer.port));
    match () {
        // A UDP socket that is connected waits for one peer only: it asked for something.
        () if socket.state == State::SynSent || socket.transport.as_str() == "udp" => true,
        () if around.is_served(socket, local) => false,
        () if around.is_served(socket, peer) => true,
        // Accepted connections always count as chosen by the kernel (PortChoice::of).
        () if ours && socket.port_choice == Some(PortChoice::Fixed) => true,
        // connect() starts at the low end's parity, bind(0) at the other: of two numbers that the
        // kernel gave, that tells the client's (net/ipv4/inet_hashtables.c, __inet_hash_connect).
        () if ours && theirs => local.port.0 % 2 == around.ephemeral.first().0 % 2,
        () if ours != theirs => ours,
        () => local.port > peer.port,
    }
}
