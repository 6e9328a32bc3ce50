//! TCP questions as connections that are never used: connect(2), look, reset.
//!
//! Each socket is used again and again. connect() on a socket that is connecting tells how that went
//! and, when it failed, makes the socket as new (__inet_stream_connect of net/ipv4/af_inet.c);
//! connect() to AF_UNSPEC ends whatever there is, with RST where there is a connection
//! (tcp_disconnect of net/ipv4/tcp.c). So a refused port costs three system calls and no socket.
//!
//! The kernel sends a SYN again after a second; a socket whose time is up before sends no second one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use portolan_core::net::{Moment, Port};
use portolan_core::scan::{LocalError, Manner, Probe, Reply};
use portolan_core::wire::extended_error::ExtendedError;
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::sockopt::socket_error;
use rustix::net::{RecvFlags, SocketType, connect, connect_unspec, getsockname, recv};

use super::{Key, Post, of};
use crate::kernel::socket::Message;
use crate::probe::fault::{self, Verdict};
use crate::probe::window::Window;

/// Every connection under way, and the sockets that wait to be used again.
#[derive(Debug)]
pub(super) struct Connections {
    slots: Vec<Slot>,
    /// Places without a socket.
    vacant: Vec<usize>,
    /// Places whose socket is unused: of IPv4, of IPv6. The last one is warm in the cache.
    idle: [Vec<usize>; 2],
    under_way: usize,
    window: Window,
    deadlines: BinaryHeap<Reverse<(Moment, usize, u32)>>,
    /// Hosts on our links one of whose sockets stays longer, see [`Self::stays`].
    neighbours: HashSet<IpAddr>,
    eagerness: Eagerness,
    message: Message,
}

#[derive(Debug, Default)]
struct Slot {
    socket: Option<OwnedFd>,
    /// Whether epoll watches the socket.
    watched: bool,
    /// How often the place was used: tells an old deadline from a new one.
    uses: u32,
    errand: Option<Errand>,
}

/// What a socket is out for.
#[derive(Clone, Copy, Debug)]
struct Errand {
    probe: Probe,
    address: SocketAddr,
    sent: Moment,
    /// Set once the connection was accepted and is held to see whether it stays.
    accepted_after: Option<Duration>,
    /// Whether it is out for longer than it was asked to wait.
    stayed: bool,
}

impl Connections {
    pub(super) fn new(window: Window) -> Self {
        Self {
            slots: Vec::new(),
            vacant: Vec::new(),
            idle: [Vec::new(), Vec::new()],
            under_way: 0,
            window,
            deadlines: BinaryHeap::new(),
            neighbours: HashSet::new(),
            eagerness: Eagerness::default(),
            message: Message::new(0),
        }
    }

    pub(super) fn room(&self) -> usize {
        self.window.size().saturating_sub(self.under_way)
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.deadlines.peek().map(|Reverse((at, ..))| *at)
    }

    pub(super) fn send(
        &mut self,
        post: &mut Post,
        epoll: BorrowedFd<'_>,
        probe: Probe,
        port: Port,
    ) {
        let place = match self.take(post, &probe) {
            Ok(place) => place,
            Err(errno) => return self.refuse(post, &probe, errno),
        };
        let address = post.way.address(probe.target, port.0);
        let slot = &mut self.slots[place];
        slot.uses = slot.uses.wrapping_add(1);
        let Some(socket) = &slot.socket else { return };
        let sent = post.watch.now();
        let begun = connect(socket, &address);
        slot.errand = Some(Errand { probe, address, sent, accepted_after: None, stayed: false });
        self.under_way += 1;
        match begun {
            Ok(()) => self.accepted(post, place, post.watch.now()),
            Err(Errno::INPROGRESS) => self.under_way(post, place),
            Err(errno) => {
                self.done(place, After::AsNew);
                return self.refuse(post, &probe, errno);
            }
        }
        self.window.sent();
        self.watch(post, epoll, place);
    }

    /// A look at once: on a near network the answer has come before connect() returns.
    fn under_way(&mut self, post: &mut Post, place: usize) {
        if !self.eagerness.tries() {
            return;
        }
        let now = post.watch.now();
        self.look(post, place, now, epoll::EventFlags::empty());
        self.eagerness.learn(self.slots[place].errand.is_none());
    }

    /// Lets epoll and the clock know of a socket that is still out.
    fn watch(&mut self, post: &mut Post, epoll: BorrowedFd<'_>, place: usize) {
        let slot = &mut self.slots[place];
        let (Some(errand), Some(socket)) = (slot.errand, &slot.socket) else { return };
        if !slot.watched {
            if let Err(errno) = epoll::add(epoll, socket, Key::Tcp.with(place), INTEREST) {
                self.done(place, After::Gone);
                return self.refuse(post, &errand.probe, errno);
            }
            slot.watched = true;
        }
        // A connection that is held already has its own deadline.
        if errand.accepted_after.is_none() {
            self.deadlines.push(Reverse((errand.sent + errand.probe.wait, place, slot.uses)));
        }
    }

    pub(super) fn event(
        &mut self,
        post: &mut Post,
        now: Moment,
        place: usize,
        flags: epoll::EventFlags,
    ) {
        match self.slots.get(place).and_then(|slot| slot.errand) {
            None => {}
            Some(errand) => match errand.accepted_after {
                None => self.look(post, place, now, flags),
                Some(rtt) => self.look_at_held(post, place, rtt),
            },
        }
    }

    /// Asks how connecting goes.
    fn look(&mut self, post: &mut Post, place: usize, now: Moment, flags: epoll::EventFlags) {
        let slot = &self.slots[place];
        let (Some(errand), Some(socket)) = (slot.errand, &slot.socket) else { return };
        let rtt = errand.rtt(now);
        match connect(socket, &errand.address) {
            Ok(()) | Err(Errno::ISCONN) => self.accepted(post, place, now),
            // Accepted, and reset before we looked: a refusal would be ECONNREFUSED (tcp_reset of
            // net/ipv4/tcp_input.c), which says EPIPE after a FIN.
            Err(Errno::CONNRESET) => self.accepted_once(post, place, rtt, Reply::Dropped),
            Err(Errno::PIPE) => self.accepted_once(post, place, rtt, Reply::Kept),
            // An ICMP error that arrives while connect() itself still runs ends nothing
            // (tcp_v4_err of net/ipv4/tcp_ipv4.c), but stands in the queue.
            Err(Errno::ALREADY) if !flags.contains(epoll::EventFlags::ERR) => {}
            Err(errno) => self.failed(post, place, rtt, errno),
        }
    }

    fn failed(&mut self, post: &mut Post, place: usize, rtt: Option<Duration>, errno: Errno) {
        let slot = &self.slots[place];
        let (Some(errand), Some(socket)) = (slot.errand, &slot.socket) else { return };
        let target = errand.probe.target;
        if let Some(verdict) = reported(&mut self.message, socket, |e| post.own.judge(target, e)) {
            self.done(place, After::Gone);
            return post.judged(&errand.probe, verdict, rtt);
        }
        match errno {
            Errno::ALREADY => {}
            Errno::CONNREFUSED => {
                self.done(place, After::AsNew);
                post.answer(&errand.probe, Reply::Reset, target, rtt);
            }
            // The kernel has given up before us: silence.
            Errno::TIMEDOUT => self.done(place, After::Gone),
            _ => {
                self.done(place, After::Gone);
                self.refuse(post, &errand.probe, errno);
            }
        }
    }

    fn accepted(&mut self, post: &mut Post, place: usize, now: Moment) {
        let slot = &mut self.slots[place];
        let (Some(errand), Some(socket)) = (&mut slot.errand, &slot.socket) else { return };
        let (probe, rtt) = (errand.probe, errand.rtt(now));
        if post.own.has(probe.target) && is_own_mirror(socket, errand.address) {
            self.done(place, After::Connected);
            return post.answer(&probe, Reply::Reset, probe.target, rtt);
        }
        match probe.manner {
            Manner::Ask => {
                self.done(place, After::Connected);
                post.answer(&probe, Reply::SynAck, probe.target, rtt);
            }
            Manner::Verify => {
                errand.accepted_after = Some(now - errand.sent);
                slot.uses = slot.uses.wrapping_add(1);
                self.deadlines.push(Reverse((now + probe.wait, place, slot.uses)));
                // Whatever came with the acceptance was one event.
                self.look_at_held(post, place, now - self.sent(place));
            }
        }
    }

    fn sent(&self, place: usize) -> Moment {
        self.slots[place].errand.map_or(Moment::START, |errand| errand.sent)
    }

    fn accepted_once(&mut self, post: &mut Post, place: usize, rtt: Option<Duration>, fate: Reply) {
        let Some(Errand { probe, .. }) = self.slots[place].errand else { return };
        self.done(place, After::AsNew);
        let reply = if probe.manner == Manner::Ask { Reply::SynAck } else { fate };
        post.answer(&probe, reply, probe.target, rtt);
    }

    /// Whether a connection that is held was kept, so far.
    fn look_at_held(&mut self, post: &mut Post, place: usize, rtt: Duration) {
        let slot = &self.slots[place];
        let (Some(Errand { probe, .. }), Some(socket)) = (slot.errand, &slot.socket) else {
            return;
        };
        let reply = match recv(socket, &mut [0; 1], RecvFlags::PEEK) {
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(Errno::CONNRESET) => Reply::Dropped,
            // It speaks, or has said goodbye in order.
            Ok(_) | Err(_) => Reply::Kept,
        };
        self.done(place, After::Connected);
        post.answer(&probe, reply, probe.target, Some(rtt));
    }

    /// Ends what has waited long enough.
    pub(super) fn expire(&mut self, post: &mut Post, now: Moment) {
        while let Some(Reverse((at, place, uses))) = self.deadlines.peek().copied() {
            if at > now {
                break;
            }
            self.deadlines.pop();
            let slot = &self.slots[place];
            let Some(errand) = slot.errand.filter(|_| slot.uses == uses) else { continue };
            if self.stays(post, &errand, now) {
                self.slots[place].errand = Some(Errand { stayed: true, ..errand });
                self.deadlines.push(Reverse((errand.sent + UNRESOLVED, place, uses)));
                continue;
            }
            self.done(place, After::Connected);
            if let Some(rtt) = errand.accepted_after {
                let target = errand.probe.target;
                post.answer(&errand.probe, Reply::Kept, target, Some(rtt));
            }
        }
        // Deadlines of sockets that were answered are only in the way.
        if self.deadlines.len() > FORGOTTEN + 4 * self.under_way {
            let slots = &self.slots;
            let is_current =
                |place: usize, uses| slots[place].uses == uses && slots[place].errand.is_some();
            self.deadlines.retain(|Reverse((_, place, uses))| is_current(*place, *uses));
        }
    }

    /// Whether a socket stays beyond its time: one for each host on our links, because only a socket
    /// that is still there is told that nobody answers ARP or neighbour discovery, and the kernel
    /// takes three seconds to find out (arp(7): mcast_solicit times retrans_time).
    fn stays(&mut self, post: &Post, errand: &Errand, now: Moment) -> bool {
        let target = errand.probe.target;
        errand.accepted_after.is_none()
            && now < errand.sent + UNRESOLVED
            && self.neighbours.len() < self.window.size() / 8
            && post.own.is_beside(target)
            && self.neighbours.insert(target)
    }

    /// A place with a socket of the probe's family.
    fn take(&mut self, post: &Post, probe: &Probe) -> Result<usize, Errno> {
        let six = usize::from(probe.target.is_ipv6());
        if let Some(place) = self.idle[six].pop() {
            return Ok(place);
        }
        // Unused sockets of the other family hold descriptors too.
        if self.slots.len() - self.vacant.len() >= self.window.size()
            && let Some(place) = self.idle[1 - six].pop()
        {
            self.close(place);
        }
        let family = of(Some(probe.target));
        let socket = post.way.socket(family, SocketType::STREAM, None)?;
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        self.slots[place].socket = Some(socket);
        Ok(place)
    }

    /// The errand is over: the socket becomes idle, or goes.
    fn done(&mut self, place: usize, after: After) {
        let slot = &mut self.slots[place];
        let Some(errand) = slot.errand.take() else { return };
        self.under_way -= 1;
        if errand.stayed {
            self.neighbours.remove(&errand.probe.target);
        }
        let is_usable = match (after, &slot.socket) {
            (After::AsNew, _) => true,
            (After::Connected, Some(socket)) => reset(socket).is_ok(),
            _ => false,
        };
        if is_usable {
            self.idle[usize::from(errand.probe.target.is_ipv6())].push(place);
        } else {
            self.close(place);
        }
    }

    fn close(&mut self, place: usize) {
        let slot = &mut self.slots[place];
        slot.socket = None;
        slot.watched = false;
        self.vacant.push(place);
    }

    fn refuse(&mut self, post: &mut Post, probe: &Probe, errno: Errno) {
        let error = match fault::local(errno) {
            // With nothing of ours under way no port can be missing: there is no address to send
            // from.
            LocalError::Ports if self.under_way == 0 => LocalError::NoRoute,
            error => error,
        };
        if error.is_passing() {
            self.window.shrink(self.under_way);
        }
        post.refuse(probe, error);
    }
}

impl Drop for Connections {
    /// Nothing of ours stays half open at a target: what is accepted is reset.
    fn drop(&mut self) {
        let out = self.slots.iter().filter(|slot| slot.errand.is_some());
        out.filter_map(|slot| slot.socket.as_ref()).for_each(|socket| {
            let _ = connect_unspec(socket);
        });
    }
}

impl Errand {
    /// The round trip; unknown where the kernel may have sent a second SYN.
    fn rtt(&self, now: Moment) -> Option<Duration> {
        Some(now - self.sent).filter(|rtt| *rtt < RETRANSMISSION)
    }
}

/// In which state an errand leaves its socket.
#[derive(Clone, Copy, Debug)]
enum After {
    /// As if it had never been used.
    AsNew,
    /// Connected or connecting.
    Connected,
    /// Something may be left in its queues: not to be used again.
    Gone,
}

/// Makes a socket as new, with RST where there was a connection. The kernel notes ECONNRESET for the
/// program, which is taken off.
fn reset(socket: &OwnedFd) -> rustix::io::Result<()> {
    connect_unspec(socket)?;
    socket_error(socket).map(drop)
}

/// What stands in the error queue of a socket.
fn reported(
    message: &mut Message,
    socket: &OwnedFd,
    judge: impl Fn(&ExtendedError) -> Option<Verdict>,
) -> Option<Verdict> {
    while message.receive_error(socket.as_fd()).is_ok() {
        let verdict = ExtendedError::parse(message.control()).and_then(|error| judge(&error));
        if verdict.is_some() {
            return verdict;
        }
    }
    None
}

/// Whether a connection leads to itself: two SYNs that cross (RFC 9293 §3.5) between a port and
/// itself, when the kernel happened to choose the port asked as ours.
fn is_own_mirror(socket: &OwnedFd, address: SocketAddr) -> bool {
    let here = getsockname(socket).ok().and_then(|here| SocketAddr::try_from(here).ok());
    here.is_some_and(|here| (here.ip(), here.port()) == (address.ip(), address.port()))
}

/// Whether it pays to look for an answer right after connect(): as long as answers keep being there.
#[derive(Debug)]
struct Eagerness {
    /// Looks left before giving up.
    credit: u32,
    /// Probes since giving up.
    rested: u32,
}

impl Default for Eagerness {
    fn default() -> Self {
        Self { credit: Self::CREDIT, rested: 0 }
    }
}

impl Eagerness {
    const CREDIT: u32 = 32;
    const REST: u32 = 512;

    fn tries(&mut self) -> bool {
        if self.credit > 0 {
            return true;
        }
        self.rested += 1;
        if self.rested == Self::REST {
            *self = Self { credit: 1, rested: 0 };
        }
        self.credit > 0
    }

    fn learn(&mut self, hit: bool) {
        self.credit = if hit { Self::CREDIT } else { self.credit - 1 };
    }
}

/// Edge-triggered: each change is told once.
const INTEREST: epoll::EventFlags = epoll::EventFlags::IN
    .union(epoll::EventFlags::OUT)
    .union(epoll::EventFlags::RDHUP)
    .union(epoll::EventFlags::ET);

/// After this long the kernel sends a SYN again (TCP_TIMEOUT_INIT, RFC 6298 §2.1).
const RETRANSMISSION: Duration = Duration::from_secs(1);

/// How long it takes at most to find out that nobody answers for an address.
const UNRESOLVED: Duration = Duration::from_millis(3500);

/// Deadlines that may stand about for nothing.
const FORGOTTEN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_to_itself_is_known_as_one() {
        let new = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let mirror = new().unwrap();
        mirror.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = mirror.local_addr().unwrap();
        mirror.connect(&address).unwrap();
        let address = address.as_socket().unwrap();
        assert!(is_own_mirror(&OwnedFd::from(mirror), address));

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = new().unwrap();
        socket.connect(&address.into()).unwrap();
        assert!(!is_own_mirror(&OwnedFd::from(socket), address));
    }

    #[test]
    fn looking_at_once_stops_when_it_does_not_pay_and_is_tried_again() {
        let mut eagerness = Eagerness::default();
        for _ in 0..Eagerness::CREDIT {
            assert!(eagerness.tries());
            eagerness.learn(false);
        }
        assert!((1..Eagerness::REST).all(|_| !eagerness.tries()));
        assert!(eagerness.tries());
        eagerness.learn(true);
        assert!(eagerness.tries());
    }
}
