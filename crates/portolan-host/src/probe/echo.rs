//! Echo requests: a datagram socket of ICMP where net.ipv4.ping_group_range lets us (icmp(7)), a raw
//! one where we have CAP_NET_RAW, else none.
//!
//! Which reply is ours says a keyed hash in the payload, so nothing is remembered: not even when it
//! was sent, which stands beside it.

use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use portolan_core::net::Moment;
use portolan_core::scan::{LocalError, Manner, Probe, Question, Reply, SipHash};
use portolan_core::wire::checksum::Sum;
use portolan_core::wire::extended_error::ExtendedError;
use portolan_core::wire::icmp::{Echo, Message, Version};
use portolan_core::wire::sockaddr;
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketType, ipproto, sendto};

use super::connect::{Key, Post, Way};
use super::fault;
use crate::kernel::socket::{self, set_option};

/// A socket a family, where there may be one.
#[derive(Debug)]
pub(crate) struct Echoes {
    sockets: [Option<Socket>; 2],
    token: SipHash,
    message: socket::Message,
}

#[derive(Debug)]
struct Socket {
    socket: OwnedFd,
    /// A raw socket hears every reply there is, IPv4's with the IP header before it.
    is_raw: bool,
    /// Stands in our requests; the kernel sets its own where the socket is not raw.
    identifier: u16,
}

impl Echoes {
    /// Opens what is allowed.
    pub(crate) fn open(way: &Way, epoll: BorrowedFd<'_>) -> Self {
        let random = || std::hash::RandomState::new().hash_one(0);
        let families = [AddressFamily::INET, AddressFamily::INET6];
        let sockets = families.map(|family| {
            let place = usize::from(family == AddressFamily::INET6);
            Socket::open(way, family, (random() & 0xffff) as u16)
                .filter(|s| epoll::add(epoll, &s.socket, Key::Echo.with(place), IN).is_ok())
        });
        let token = SipHash::new(random(), random());
        Self { sockets, token, message: socket::Message::new(LONGEST) }
    }

    /// Whether any request can be sent.
    pub(crate) fn is_possible(&self) -> bool {
        self.sockets.iter().any(Option::is_some)
    }

    /// Asks a host.
    pub(crate) fn send(&mut self, post: &mut Post, now: Moment, probe: Probe) {
        let place = usize::from(probe.target.is_ipv6());
        let Some(socket) = &self.sockets[place] else {
            return post.refuse(&probe, LocalError::NotPermitted);
        };
        let request = self.request(socket.identifier, now, &probe);
        let address = post.way.address(probe.target, 0);
        let mut last = Errno::AGAIN;
        for _ in 0..TRIES {
            let Some(socket) = &self.sockets[place] else { break };
            match sendto(&socket.socket, &request, SendFlags::empty(), &address) {
                Ok(_) => return,
                Err(errno) => last = errno,
            }
            if matches!(last, Errno::PERM | Errno::NOBUFS | Errno::AGAIN) {
                break;
            }
            // What another request met makes this one fail, once.
            self.take_errors(post, place);
        }
        post.refuse(&probe, fault::local(last));
    }

    /// Our token, and when it was sent. ICMPv6's checksum is the kernel's (RFC 3542 §3.1).
    fn request(&self, identifier: u16, now: Moment, probe: &Probe) -> Vec<u8> {
        let sent = u64::try_from(now.since_start().as_nanos()).unwrap_or(u64::MAX);
        let token = self.token(probe.target, probe.attempt, sent);
        let data = [token.to_be_bytes(), sent.to_be_bytes()].concat();
        let version = if probe.target.is_ipv6() { Version::V6 } else { Version::V4 };
        Echo { identifier, sequence: probe.attempt, data: &data }.request(version, Sum::new())
    }

    fn token(&self, target: IpAddr, attempt: u16, sent: u64) -> u64 {
        let address = match target {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let bits = address.to_bits();
        self.token.hash_words(&[(bits >> 64) as u64, bits as u64, attempt.into(), sent])
    }

    /// Something has arrived.
    pub(crate) fn event(&mut self, post: &mut Post, now: Moment, place: usize) {
        self.take_errors(post, place);
        for _ in 0..AT_ONCE {
            if !self.next(place, 0) {
                return;
            }
            if let Some((target, attempt, sent)) = self.reply(place) {
                let rtt = now - Moment::after(Duration::from_nanos(sent));
                post.answer(&question(target, attempt), Reply::Echo, target, Some(rtt));
            }
        }
    }

    /// Whom the message at hand is a reply of, to which request, and when that was sent.
    fn reply(&self, place: usize) -> Option<(IpAddr, u16, u64)> {
        let socket = self.sockets.get(place)?.as_ref()?;
        let target = sockaddr::parse(self.message.name())?.ip();
        let data = self.message.data();
        let data = if socket.is_raw && place == 0 { behind_header(data)? } else { data };
        let Message::EchoReply(echo) = Message::parse(VERSIONS[place], data)? else { return None };
        let (token, rest) = echo.data.split_first_chunk()?;
        let sent = u64::from_be_bytes(*rest.first_chunk()?);
        let is_ours = u64::from_be_bytes(*token) == self.token(target, echo.sequence, sent);
        is_ours.then_some((target, echo.sequence, sent))
    }

    fn take_errors(&mut self, post: &mut Post, place: usize) {
        for _ in 0..AT_ONCE {
            if !self.next(place, libc::MSG_ERRQUEUE) {
                return;
            }
            let Some(error) = ExtendedError::parse(self.message.control()) else { continue };
            let Some((target, attempt)) = self.quoted(place) else { continue };
            if let Some(verdict) = post.own.judge(target, &error) {
                post.judged(&question(target, attempt), verdict, None);
            }
        }
    }

    /// Which of our requests an error is about: its quotation has at least the ICMP header
    /// (RFC 792).
    fn quoted(&self, place: usize) -> Option<(IpAddr, u16)> {
        let socket = self.sockets.get(place)?.as_ref()?;
        let target = sockaddr::parse(self.message.name())?.ip();
        let quoted = Message::parse(VERSIONS[place], self.message.data())?;
        let Message::EchoRequest(echo) = quoted else { return None };
        let is_ours = !socket.is_raw || echo.identifier == socket.identifier;
        is_ours.then_some((target, echo.sequence))
    }

    fn next(&mut self, place: usize, flags: i32) -> bool {
        let Some(Some(socket)) = self.sockets.get(place) else { return false };
        for _ in 0..ERRORS {
            match self.message.receive(socket.socket.as_fd(), flags) {
                Ok(()) => return true,
                Err(Errno::AGAIN) => return false,
                Err(Errno::INTR) => {}
                // An error that stands in the queue is told here first.
                Err(_) if flags == 0 => {}
                Err(_) => return false,
            }
        }
        false
    }
}

impl Socket {
    fn open(way: &Way, family: AddressFamily, identifier: u16) -> Option<Self> {
        let protocol = protocol(family);
        if let Ok(socket) = way.socket(family, SocketType::DGRAM, Some(protocol)) {
            return Some(Self { socket, is_raw: false, identifier });
        }
        let socket = way.socket(family, SocketType::RAW, Some(protocol)).ok()?;
        if family == AddressFamily::INET {
            // A set bit is a type that is not wanted (raw(7)).
            let all_but_replies = !(1 << ECHO_REPLY);
            let _ = set_option(socket.as_fd(), SOL_RAW, ICMP_FILTER, all_but_replies);
        }
        Some(Self { socket, is_raw: true, identifier })
    }
}

fn protocol(family: AddressFamily) -> Protocol {
    if family == AddressFamily::INET { ipproto::ICMP } else { ipproto::ICMPV6 }
}

/// The request as a probe, for what is told of it.
const fn question(target: IpAddr, attempt: u16) -> Probe {
    let (question, manner) = (Question::Echo, Manner::Ask);
    Probe { target, question, attempt, wait: Duration::ZERO, manner }
}

/// What stands behind an IPv4 header (RFC 791 §3.1).
fn behind_header(packet: &[u8]) -> Option<&[u8]> {
    packet.get(usize::from(packet.first()? & 0xf) * 4..)
}

const IN: epoll::EventFlags = epoll::EventFlags::IN;
const VERSIONS: [Version; 2] = [Version::V4, Version::V6];
const ECHO_REPLY: i32 = 0;
const SOL_RAW: i32 = 255;
const ICMP_FILTER: i32 = 1;

/// Bytes of a reply that are looked at: the longest IPv4 header, ICMP's, token and time.
const LONGEST: usize = 60 + 8 + 16;

/// Messages that are taken at once: whoever floods us does not keep us from the others.
const AT_ONCE: usize = 4096;

/// Errors that are passed over in a row, see UDP's.
const ERRORS: usize = 1024;

/// Times a request is tried to be sent.
const TRIES: usize = 8;
