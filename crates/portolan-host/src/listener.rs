//! The other end of `check --pair`: waits for probes, answers those that are its, and tells of all.
//!
//! It answers with no more bytes than it was asked with, so nobody can be flooded by way of it, and
//! never answers what looks like an answer, so two of its kind do not talk for ever.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use portolan_core::net::{Endpoint, Moment, Port, Transport};
use portolan_core::socket::{Bind, Reuse};
use portolan_core::wire::pair::{LENGTH, Message, Nonce};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::bind::{self, Refusal};
use crate::clock::Stopwatch;
use crate::{machine, random};

/// Sockets that wait for probes.
#[derive(Debug)]
pub struct Listener {
    tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
    /// Connections that have not said anything yet.
    guests: Vec<Guest>,
    watch: Stopwatch,
    nonce: Nonce,
    /// When the last second began in which datagrams were answered, and how many.
    answered: (Moment, u32),
}

/// A connection that may still send its challenge.
#[derive(Debug)]
struct Guest {
    stream: TcpStream,
    from: Endpoint,
    /// Until when it is waited for.
    until: Moment,
    said: Vec<u8>,
}

/// Somebody who came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// From where.
    pub from: Endpoint,
    /// Whether it was `check --pair`, and was answered.
    pub is_pair: bool,
    /// What it sent, as much as was looked at.
    pub data: Box<[u8]>,
}

impl Listener {
    /// Listens on a port of each address; the wildcard of IPv6 stands for every address.
    ///
    /// # Errors
    /// The address that was refused, and why.
    pub fn open(
        transport: Transport,
        port: Port,
        addresses: &[IpAddr],
    ) -> Result<Self, (IpAddr, Refusal)> {
        let mut listener = Self {
            tcp: Vec::new(),
            udp: Vec::new(),
            guests: Vec::new(),
            watch: Stopwatch::start(),
            nonce: Nonce(random::bytes()),
            answered: (Moment::START, 0),
        };
        for (address, device) in places(transport, addresses) {
            // A server that has just ended leaves connections behind that need not keep us away.
            let reuse = Reuse { address: transport == Transport::Tcp, port: false };
            let wish = Bind { device, ..Bind::at(transport, address, port).with(reuse) };
            let socket = bind::attempt(&wish).map_err(|refusal| (address, refusal))?;
            match transport {
                Transport::Udp => listener.udp.push(socket.into()),
                _ => listener.tcp.push(socket.into()),
            }
        }
        listener.tcp.iter().for_each(|tcp| drop(tcp.set_nonblocking(true)));
        listener.udp.iter().for_each(|udp| drop(udp.set_nonblocking(true)));
        Ok(listener)
    }

    /// The code of this run, to be compared with what `check --pair` shows.
    #[must_use]
    pub fn code(&self) -> String {
        self.nonce.code()
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let tcp = self.tcp.iter().filter_map(|tcp| tcp.local_addr().ok());
        let udp = self.udp.iter().filter_map(|udp| udp.local_addr().ok());
        tcp.chain(udp).map(endpoint).collect()
    }

    /// Waits at most `wait` and tells who came.
    ///
    /// # Errors
    /// When waiting itself fails.
    pub fn wait(&mut self, wait: Duration) -> io::Result<Vec<Visit>> {
        let leaving = self.guests.iter().map(|guest| guest.until - self.watch.now()).min();
        let wait = leaving.map_or(wait, |leaving| leaving.min(wait));
        let timeout = Timespec::try_from(wait).ok();
        let mut watched: Vec<PollFd<'_>> =
            self.descriptors().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut watched, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        drop(watched);
        let mut visits = Vec::new();
        self.take_datagrams(&mut visits);
        self.take_guests();
        self.serve_guests(&mut visits);
        Ok(visits)
    }

    fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let tcp = self.tcp.iter().map(|tcp| tcp.as_fd());
        let udp = self.udp.iter().map(|udp| udp.as_fd());
        let guests = self.guests.iter().map(|guest| guest.stream.as_fd());
        tcp.chain(udp).chain(guests)
    }

    fn take_datagrams(&mut self, visits: &mut Vec<Visit>) {
        let mut room = [0; LONGEST];
        for at in 0..self.udp.len() {
            for _ in 0..AT_ONCE {
                let Ok((length, from)) = self.udp[at].recv_from(&mut room) else { break };
                let data = &room[..length];
                let answer = self.answer(data, endpoint(from));
                let may_answer = self.may_answer();
                let sent = answer.filter(|_| may_answer).map(|answer| {
                    let answer = &answer[..answer.len().min(data.len())];
                    self.udp[at].send_to(answer, from).is_ok()
                });
                let is_pair = sent == Some(true) && Message::parse(data).is_some();
                let data = data[..length.min(SHOWN)].into();
                visits.push(Visit { from: endpoint(from), is_pair, data });
            }
        }
    }

    /// At most so many datagrams a second are answered: the sender's address may be a lie.
    fn may_answer(&mut self) -> bool {
        let now = self.watch.now();
        if now - self.answered.0 >= Duration::from_secs(1) {
            self.answered = (now, 0);
        }
        self.answered.1 += 1;
        self.answered.1 <= MOST_ANSWERS
    }

    /// What is said to `data`; `None` where saying something could begin a talk without end.
    fn answer(&self, data: &[u8], from: Endpoint) -> Option<Vec<u8>> {
        match Message::parse(data) {
            Some(Message::Challenge { challenge }) => {
                let answer = Message::Answer { challenge, listener: self.nonce, seen: from };
                Some(answer.to_bytes().to_vec())
            }
            Some(Message::Answer { .. }) => None,
            None => {
                let line = self.line(from);
                let is_ours = data.starts_with(GREETING) || GREETING.starts_with(data);
                (!is_ours).then_some(line.into_bytes())
            }
        }
    }

    /// What a plain client reads.
    fn line(&self, from: Endpoint) -> String {
        let greeting = String::from_utf8_lossy(GREETING);
        format!("{greeting} hears you as {from}, code {}\n", self.code())
    }

    fn take_guests(&mut self) {
        let until = self.watch.now() + PATIENCE;
        for listener in &self.tcp {
            while let Ok((stream, from)) = listener.accept() {
                if self.guests.len() == MOST_GUESTS || stream.set_nonblocking(true).is_err() {
                    continue; // closed at once
                }
                let from = endpoint(from);
                self.guests.push(Guest { stream, from, until, said: Vec::new() });
            }
        }
    }

    /// Hears what guests say, and sends off those who have said enough or waited long enough.
    fn serve_guests(&mut self, visits: &mut Vec<Visit>) {
        let now = self.watch.now();
        let mut guests = std::mem::take(&mut self.guests);
        guests.retain_mut(|guest| {
            let is_done = guest.hear() || now >= guest.until;
            if is_done {
                visits.push(self.send_off(guest));
            }
            !is_done
        });
        self.guests = guests;
    }

    fn send_off(&self, guest: &mut Guest) -> Visit {
        let answer = match self.answer(&guest.said, guest.from) {
            Some(answer) if !guest.said.is_empty() => answer,
            _ => self.line(guest.from).into_bytes(),
        };
        let is_sent = guest.stream.write_all(&answer).is_ok();
        let _ = guest.stream.shutdown(std::net::Shutdown::Write);
        let is_pair = is_sent && Message::parse(&guest.said).is_some();
        Visit { from: guest.from, is_pair, data: guest.said.as_slice().into() }
    }
}

impl Guest {
    /// Reads what is there; whether nothing more is to be waited for.
    fn hear(&mut self) -> bool {
        let mut room = [0; SHOWN];
        loop {
            match self.stream.read(&mut room) {
                Ok(0) => return true,
                Ok(length) => {
                    let free = SHOWN - self.said.len();
                    self.said.extend(&room[..length.min(free)]);
                }
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock || self.is_enough(),
            }
            if self.is_enough() {
                return true;
            }
        }
    }

    /// A whole challenge, a line, or as much as is shown.
    fn is_enough(&self) -> bool {
        let is_challenge = self.said.len() == LENGTH && Message::parse(&self.said).is_some();
        is_challenge || self.said.ends_with(b"\n") || self.said.len() == SHOWN
    }
}

/// The addresses that are bound, with their interface where they mean nothing without. A UDP socket
/// on the wildcard would answer from whatever address the route says, so each gets its own.
fn places(
    transport: Transport,
    addresses: &[IpAddr],
) -> Vec<(IpAddr, Option<std::sync::Arc<str>>)> {
    let is_everywhere = addresses.iter().any(IpAddr::is_unspecified);
    if transport != Transport::Udp || !is_everywhere {
        return addresses.iter().map(|address| (*address, None)).collect();
    }
    let is_link_local =
        |address: IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let own = machine::addresses().unwrap_or_default();
    let wanted = |address: &IpAddr| {
        addresses.iter().any(|a| a.is_ipv6() || a.is_ipv4() == address.is_ipv4())
    };
    own.into_iter()
        .filter(|own| wanted(&own.address))
        .map(|own| {
            let device = is_link_local(own.address).then(|| own.interface.as_str().into());
            (own.address, device)
        })
        .collect()
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::new(address.ip().to_canonical(), Port(address.port()))
}

/// How what plain clients read begins.
const GREETING: &[u8] = b"portolan listen";

/// How long a connection may take to send its challenge before it gets the line.
const PATIENCE: Duration = Duration::from_millis(400);

/// Bytes of a visitor that are kept.
const SHOWN: usize = 256;

/// The longest datagram that is read.
const LONGEST: usize = 2048;

/// Datagrams read in one go from one socket.
const AT_ONCE: usize = 64;

/// Datagrams answered in a second.
const MOST_ANSWERS: u32 = 100;

/// Connections that are waited for at once.
const MOST_GUESTS: usize = 64;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn listening(transport: Transport) -> (Listener, SocketAddr) {
        let listener = Listener::open(transport, Port(0), &[HOME]).unwrap();
        let at = listener.endpoints()[0];
        (listener, (at.address, at.port.0).into())
    }

    fn visit(listener: &mut Listener) -> Visit {
        for _ in 0..100 {
            if let Some(visit) = listener.wait(Duration::from_millis(100)).unwrap().pop() {
                return visit;
            }
        }
        panic!("nobody came");
    }

    #[test]
    fn a_challenge_is_answered_with_where_it_came_from() {
        let (mut listener, at) = listening(Transport::Udp);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let challenge = Nonce([3; 16]);
        client.send_to(&Message::Challenge { challenge }.to_bytes(), at).unwrap();
        assert!(visit(&mut listener).is_pair);
        let mut room = [0; 128];
        let length = client.recv(&mut room).unwrap();
        let Some(Message::Answer { challenge: back, listener: nonce, seen }) =
            Message::parse(&room[..length])
        else {
            panic!("no answer");
        };
        assert_eq!((back, nonce.code()), (challenge, listener.code()));
        assert_eq!(seen, endpoint(client.local_addr().unwrap()));
    }

    #[test]
    fn an_answer_is_never_longer_than_its_question_and_never_answered() {
        let (mut listener, at) = listening(Transport::Udp);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut room = [0; 128];
        client.send_to(b"hello\n", at).unwrap();
        assert!(!visit(&mut listener).is_pair);
        assert_eq!(client.recv(&mut room).unwrap(), 6);
        let answered = room[..6].to_vec();
        let seen = endpoint(at);
        let (challenge, nonce) = (Nonce([1; 16]), Nonce([2; 16]));
        let answer = Message::Answer { challenge, listener: nonce, seen }.to_bytes();
        for silent in [&answered[..], b"portolan listen hears you", &answer[..], b""] {
            client.send_to(silent, at).unwrap();
            let _ = visit(&mut listener);
            assert!(client.recv(&mut room).is_err(), "{silent:?} was answered");
        }
    }

    #[test]
    fn a_plain_connection_reads_a_line() {
        let (mut listener, at) = listening(Transport::Tcp);
        let mut client = TcpStream::connect(at).unwrap();
        assert_eq!(&*visit(&mut listener).data, b"");
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("portolan listen hears you as 127.0.0.1:"), "{said}");
        assert!(said.trim_end().ends_with(&listener.code()), "{said}");
    }

    #[test]
    fn a_challenge_over_tcp_is_answered_in_the_connection() {
        let (mut listener, at) = listening(Transport::Tcp);
        let mut client = TcpStream::connect(at).unwrap();
        client.write_all(&Message::Challenge { challenge: Nonce([9; 16]) }.to_bytes()).unwrap();
        assert!(visit(&mut listener).is_pair);
        let mut room = [0; LENGTH];
        client.read_exact(&mut room).unwrap();
        assert!(matches!(Message::parse(&room), Some(Message::Answer { .. })));
    }

    #[test]
    fn a_taken_port_is_told_with_its_address() {
        let (_keeps, at) = listening(Transport::Udp);
        let (address, refusal) =
            Listener::open(Transport::Udp, Port(at.port()), &[HOME]).unwrap_err();
        assert_eq!((address, refusal.errno), (HOME, rustix::io::Errno::ADDRINUSE));
    }
}
