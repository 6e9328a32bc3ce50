//! One question to one port, as an ordinary client asks it, with the hop limit of choice: what a
//! check and the way to a port hop by hop are made of.
//!
//! Needs no privilege. A TCP socket that is still connecting tells by IP_RECVERR which ICMP error
//! came and who sent it, "time exceeded" of a router among them (Linux 5.8, net/ipv4/tcp_ipv4.c).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use portolan_core::net::{Endpoint, Moment, Port, Transport};
use portolan_core::scan::{LocalError, Reply};
use portolan_core::wire::extended_error::ExtendedError;
use portolan_core::wire::sockaddr;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{set_ip_ttl, set_ipv6_unicast_hops, socket_error};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, getsockname, recv,
    sendto, socket_with,
};

use super::fault::{self, Own, Verdict};
use crate::clock::Stopwatch;
use crate::kernel::socket::{Message, set_option};

/// Asks from this network namespace, bound as asked for.
#[derive(Debug)]
pub struct Sounder {
    watch: Stopwatch,
    own: Own,
    source: Option<IpAddr>,
    interface: Option<(u32, String)>,
}

impl Sounder {
    /// One that asks from `source` and out of `interface`, by number and name, where that is
    /// settled.
    #[must_use]
    pub fn new(source: Option<IpAddr>, interface: Option<(u32, String)>) -> Self {
        Self { watch: Stopwatch::start(), own: Own::read(), source, interface }
    }

    /// The moment it is, on the clock of its answers.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.watch.now()
    }

    /// Whether an address is this machine's own.
    #[must_use]
    pub fn is_own(&self, address: IpAddr) -> bool {
        self.own.has(address)
    }

    /// The endpoint as a socket address, its interface with it where the address means nothing
    /// without.
    #[must_use]
    pub fn address(&self, endpoint: Endpoint) -> SocketAddr {
        let scope = self.interface.as_ref().map_or(0, |(index, _)| *index);
        match endpoint.address {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => {
                SocketAddrV6::new(v6, endpoint.port.0, 0, scope).into()
            }
            address => (address, endpoint.port.0).into(),
        }
    }

    /// Asks. For UDP `payload` is what is sent.
    ///
    /// # Errors
    /// When the question cannot leave this machine.
    pub fn ask(
        &self,
        endpoint: Endpoint,
        transport: Transport,
        payload: &[u8],
        hop_limit: Option<u8>,
    ) -> Result<Sounding, LocalError> {
        let target = self.address(endpoint);
        let kind = if transport == Transport::Udp { SocketType::DGRAM } else { SocketType::STREAM };
        let socket = self.socket(&target, kind, hop_limit).map_err(fault::local)?;
        let sent = self.now();
        let mut sounding =
            Sounding { socket, target, transport, sent, is_reset: false, heard: None };
        let done = match transport {
            Transport::Udp => {
                sendto(&sounding.socket, payload, SendFlags::empty(), &target).map(drop)
            }
            _ => connect(&sounding.socket, &target),
        };
        match done {
            Ok(()) if transport == Transport::Udp => {}
            Ok(()) => sounding.hear(Reply::SynAck, target.ip(), self.now()),
            Err(Errno::INPROGRESS) => {}
            Err(errno) => self.failed(&mut sounding, errno)?,
        }
        Ok(sounding)
    }

    fn socket(
        &self,
        target: &SocketAddr,
        kind: SocketType,
        hop_limit: Option<u8>,
    ) -> rustix::io::Result<OwnedFd> {
        let is_v4 = target.is_ipv4();
        let family = if is_v4 { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, kind, flags, None)?;
        let (level, errors) = match is_v4 {
            true => (libc::IPPROTO_IP, libc::IP_RECVERR),
            false => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
        };
        set_option(socket.as_fd(), level, errors, 1)?;
        match hop_limit {
            Some(limit) if is_v4 => set_ip_ttl(&socket, limit.into())?,
            Some(limit) => set_ipv6_unicast_hops(&socket, Some(limit))?,
            None => {}
        }
        if let Some((_, name)) = &self.interface {
            let bound = socket2::SockRef::from(&socket).bind_device(Some(name.as_bytes()));
            bound.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))?;
        }
        if let Some(source) = self.source.filter(|source| source.is_ipv4() == is_v4) {
            bind(&socket, &self.address(Endpoint::new(source, Port(0))))?;
        }
        Ok(socket)
    }

    /// Waits until one of `soundings` is answered that was not, or until `until`. Says whether one
    /// was.
    ///
    /// # Errors
    /// When a question turns out not to have left this machine.
    pub fn wait(&self, soundings: &mut [Sounding], until: Moment) -> Result<bool, LocalError> {
        loop {
            let open: Vec<usize> =
                (0..soundings.len()).filter(|at| soundings[*at].heard.is_none()).collect();
            let left = until - self.now();
            if open.is_empty() || left.is_zero() {
                return Ok(false);
            }
            let mut watched: Vec<PollFd<'_>> = open
                .iter()
                .map(|at| PollFd::new(&soundings[*at].socket, soundings[*at].waits_for()))
                .collect();
            let timeout = Timespec::try_from(left).ok();
            match poll(&mut watched, timeout.as_ref()) {
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(fault::local(errno)),
                Ok(0) => return Ok(false),
                Ok(_) => {}
            }
            let ready: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
            let mut answered = false;
            for (at, _) in open.into_iter().zip(ready).filter(|(_, ready)| *ready) {
                self.look(&mut soundings[at])?;
                answered |= soundings[at].heard.is_some();
            }
            if answered {
                return Ok(true);
            }
        }
    }

    /// Something has arrived.
    fn look(&self, sounding: &mut Sounding) -> Result<(), LocalError> {
        if self.reported(sounding)? {
            return Ok(());
        }
        if sounding.transport == Transport::Udp {
            self.datagram(sounding);
            return Ok(());
        }
        match socket_error(&sounding.socket) {
            Ok(Ok(())) => {
                sounding.hear(Reply::SynAck, sounding.target.ip(), self.now());
                Ok(())
            }
            Ok(Err(errno)) | Err(errno) => self.failed(sounding, errno),
        }
    }

    /// An error of the system call or of the socket; the error queue knows more.
    fn failed(&self, sounding: &mut Sounding, errno: Errno) -> Result<(), LocalError> {
        if self.reported(sounding)? {
            return Ok(());
        }
        match errno {
            Errno::CONNREFUSED => {
                sounding.hear(Reply::Reset, sounding.target.ip(), self.now());
                Ok(())
            }
            // It was accepted, and reset before we looked (tcp_reset() of net/ipv4/tcp_input.c).
            Errno::CONNRESET | Errno::PIPE => {
                sounding.is_reset = true;
                sounding.hear(Reply::SynAck, sounding.target.ip(), self.now());
                Ok(())
            }
            Errno::TIMEDOUT => Ok(()), // the kernel gave up: silence
            other => Err(fault::local(other)),
        }
    }

    /// Reads the error queue; says whether an answer was in it.
    fn reported(&self, sounding: &mut Sounding) -> Result<bool, LocalError> {
        let mut message = Message::new(LONGEST);
        while message.receive_error(sounding.socket.as_fd()).is_ok() {
            let Some(error) = ExtendedError::parse(message.control()) else { continue };
            match self.own.judge(sounding.target.ip(), &error) {
                Some(Verdict::Reply(reply, from)) => {
                    sounding.hear(reply, from, self.now());
                    // What stands in the queue is pending on the socket, too.
                    let _ = socket_error(&sounding.socket);
                    return Ok(true);
                }
                Some(Verdict::Refused(error)) => return Err(error),
                None => {}
            }
        }
        Ok(false)
    }

    /// Takes a datagram of the host that was asked; others are not ours.
    fn datagram(&self, sounding: &mut Sounding) {
        let mut message = Message::new(LONGEST);
        while message.receive(sounding.socket.as_fd(), 0).is_ok() {
            let from = sockaddr::parse(message.name());
            let Some(from) = from.filter(|from| from.ip() == sounding.target.ip()) else {
                continue;
            };
            let reply = Reply::Datagram { port: Port(from.port()) };
            sounding.hear(reply, from.ip(), self.now());
            if let Some(heard) = &mut sounding.heard {
                heard.data = message.data().into();
            }
            return;
        }
    }
}

/// A question that was sent.
#[derive(Debug)]
pub struct Sounding {
    socket: OwnedFd,
    target: SocketAddr,
    transport: Transport,
    sent: Moment,
    /// Whether the connection was reset already when it was found to be accepted.
    is_reset: bool,
    /// What came back, once something has.
    pub heard: Option<Hearing>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hearing {
    /// What was said.
    pub reply: Reply,
    /// By whom.
    pub from: IpAddr,
    /// How soon.
    pub rtt: Duration,
    /// The datagram, where it is one.
    pub data: Box<[u8]>,
}

impl Sounding {
    const fn waits_for(&self) -> PollFlags {
        match self.transport {
            Transport::Udp => PollFlags::IN,
            _ => PollFlags::OUT,
        }
    }

    fn hear(&mut self, reply: Reply, from: IpAddr, now: Moment) {
        let rtt = now - self.sent;
        self.heard.get_or_insert(Hearing { reply, from, rtt, data: Box::default() });
    }

    /// Where it was sent from.
    #[must_use]
    pub fn local(&self) -> Option<Endpoint> {
        let name = getsockname(&self.socket).ok()?;
        let address = SocketAddr::try_from(name).ok()?;
        Some(Endpoint::new(address.ip().to_canonical(), Port(address.port())))
    }

    /// Whether it is connected to itself: two SYNs that crossed (RFC 9293 §3.5), where the kernel
    /// chose the very port that was asked.
    #[must_use]
    pub fn is_mirror(&self) -> bool {
        let target = Endpoint::new(self.target.ip(), Port(self.target.port()));
        self.transport == Transport::Tcp && self.local() == Some(target)
    }

    /// Sends over an accepted connection; what does not fit at once is lost with it.
    ///
    /// # Errors
    /// Those of send(2).
    pub fn send(&self, bytes: &[u8]) -> std::io::Result<()> {
        let sent = rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL)?;
        if sent == bytes.len() { Ok(()) } else { Err(std::io::ErrorKind::WriteZero.into()) }
    }

    /// Holds an accepted connection for at most `wait`, or until `enough` bytes have come.
    #[must_use]
    pub fn hold(&self, wait: Duration, enough: usize) -> Held {
        let watch = Stopwatch::start();
        let until = watch.now() + wait;
        let mut held = Held { data: Vec::new(), end: None };
        if self.is_reset {
            held.end = Some((End::Reset, Duration::ZERO));
            return held;
        }
        let mut room = [0; ROOM];
        while held.data.len() < enough {
            let left = until - watch.now();
            let timeout = Timespec::try_from(left).ok();
            let mut watched = [PollFd::new(&self.socket, PollFlags::IN)];
            match poll(&mut watched, timeout.as_ref()) {
                Err(Errno::INTR) => continue,
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            match recv(&self.socket, &mut room[..], RecvFlags::DONTWAIT) {
                Ok((_, 0)) => {
                    held.end = Some((End::Closed, watch.now() - Moment::START));
                    break;
                }
                Ok((_, length)) => held.data.extend(&room[..length.min(ROOM)]),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => {
                    held.end = Some((End::Reset, watch.now() - Moment::START));
                    break;
                }
            }
        }
        held
    }
}

/// What came over a connection that was held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The first bytes.
    pub data: Vec<u8>,
    /// How it ended and how soon, where it did.
    pub end: Option<(End, Duration)>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order.
    Closed,
    /// By RST.
    Reset,
}

/// The loopback address of a family, which is where a wildcard address leads.
#[must_use]
pub fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

/// The longest datagram that is looked at.
const LONGEST: usize = 2048;

/// What is read from a connection at once.
const ROOM: usize = 512;

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn endpoint(address: SocketAddr) -> Endpoint {
        Endpoint::new(address.ip(), Port(address.port()))
    }

    fn asked(to: Endpoint, transport: Transport) -> Sounding {
        let sounder = Sounder::new(None, None);
        let mut asked = [sounder.ask(to, transport, b"?", None).unwrap()];
        let _ = sounder.wait(&mut asked, sounder.now() + Duration::from_secs(2)).unwrap();
        let [asked] = asked;
        asked
    }

    #[test]
    fn a_greeting_is_heard_and_a_close_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sounding = asked(endpoint(listener.local_addr().unwrap()), Transport::Tcp);
        assert_eq!(sounding.heard.as_ref().unwrap().reply, Reply::SynAck);
        assert!(!sounding.is_mirror());
        listener.accept().unwrap().0.write_all(b"220 hello\r\n").unwrap();
        let held = sounding.hold(Duration::from_secs(2), usize::MAX);
        assert_eq!(held.data, b"220 hello\r\n");
        assert_eq!(held.end.unwrap().0, End::Closed);
    }

    #[test]
    fn a_closed_port_is_told_by_its_host() {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let heard = asked(endpoint(port), Transport::Udp).heard.unwrap();
        assert!(matches!(heard.reply, Reply::Unreachable(icmp) if icmp.code == 3), "{heard:?}");
        assert_eq!(heard.from, port.ip());
        let listener = TcpListener::bind("[::1]:0").unwrap().local_addr().unwrap();
        let heard = asked(endpoint(listener), Transport::Tcp).heard.unwrap();
        assert_eq!((heard.reply, heard.from), (Reply::Reset, listener.ip()));
    }

    #[test]
    fn a_datagram_comes_with_its_bytes() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = endpoint(server.local_addr().unwrap());
        let sounder = Sounder::new(None, None);
        let mut asked = [sounder.ask(to, Transport::Udp, b"?", None).unwrap()];
        let (_, from) = server.recv_from(&mut [0; 8]).unwrap();
        server.send_to(b"answer", from).unwrap();
        assert!(sounder.wait(&mut asked, sounder.now() + Duration::from_secs(2)).unwrap());
        let heard = asked[0].heard.as_ref().unwrap();
        assert_eq!(heard.reply, Reply::Datagram { port: to.port });
        assert_eq!(&*heard.data, b"answer");
    }

    #[test]
    fn an_address_that_is_not_ours_cannot_be_asked_from() {
        let sounder = Sounder::new(Some("192.0.2.1".parse().unwrap()), None);
        let to = Endpoint::new("127.0.0.1".parse().unwrap(), Port(9));
        assert_eq!(sounder.ask(to, Transport::Tcp, b"", None).unwrap_err(), LocalError::Ports);
    }
}
