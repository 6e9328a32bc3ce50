//! UDP questions: a few sockets ask every port of every host.
//!
//! What comes back by recvmsg is an answer, what comes by the error queue says whose datagram met
//! what, and who says so. A socket is a lane: two questions to the same host on different lanes have
//! different source ports, so an answer from another port than asked still tells its question.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use portolan_core::net::{Moment, Port};
use portolan_core::scan::{LocalError, Probe, Reply, payload};
use portolan_core::wire::extended_error::ExtendedError;
use portolan_core::wire::sockaddr;
use rustix::event::epoll;
use rustix::io::{Errno, Result};
use rustix::net::{AddressFamily, SendFlags, SocketType, sendto, sockopt};

use super::connect::{Key, Post, of};
use super::fault;
use crate::kernel::socket::Message;

/// The sockets and what was asked through them.
#[derive(Debug)]
pub(crate) struct Datagrams {
    /// Of IPv4 the first half, of IPv6 the second; opened when first needed.
    lanes: [Option<OwnedFd>; 2 * LANES],
    /// The lane of the last question.
    last: usize,
    asked: HashMap<Asked, Question>,
    /// Questions in the order they are forgotten in, more or less.
    order: VecDeque<(Moment, Asked)>,
    message: Message,
}

/// What a datagram is recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Asked {
    target: IpAddr,
    port: Port,
    lane: usize,
}

#[derive(Clone, Copy, Debug)]
struct Question {
    probe: Probe,
    sent: Moment,
    answered: bool,
}

impl Default for Datagrams {
    fn default() -> Self {
        Self {
            lanes: std::array::from_fn(|_| None),
            last: 0,
            asked: HashMap::new(),
            order: VecDeque::new(),
            message: Message::new(LONGEST),
        }
    }
}

impl Datagrams {
    /// Asks a port.
    pub(crate) fn send(
        &mut self,
        post: &mut Post,
        epoll: BorrowedFd<'_>,
        now: Moment,
        probe: Probe,
        port: Port,
    ) {
        let lane = match self.lane(post, epoll, of(Some(probe.target))) {
            Ok(lane) => lane,
            Err(errno) => return post.refuse(&probe, fault::local(errno)),
        };
        if let Err(error) = self.transmit(post, lane, &probe, port) {
            return post.refuse(&probe, error);
        }
        let asked = Asked { target: probe.target, port, lane };
        self.asked.insert(asked, Question { probe, sent: now, answered: false });
        self.order.push_back((now + probe.wait + GRACE, asked));
        if self.order.len() > MOST {
            self.forget_first();
        }
    }

    /// An ICMP error that has come since makes sendto() fail once, whatever it is about: it is taken
    /// off the queue, and sending tried again.
    fn transmit(
        &mut self,
        post: &mut Post,
        lane: usize,
        probe: &Probe,
        port: Port,
    ) -> std::result::Result<(), LocalError> {
        let address = post.way.address(probe.target, port.0);
        let mut last = Errno::AGAIN;
        for _ in 0..TRIES {
            let Some(socket) = &self.lanes[lane] else { break };
            match sendto(socket, payload::of(port), SendFlags::empty(), &address) {
                Ok(_) => return Ok(()),
                // No ICMP error turns into these.
                Err(errno @ (Errno::PERM | Errno::NOBUFS | Errno::AGAIN)) => {
                    return Err(fault::local(errno));
                }
                Err(errno) => last = errno,
            }
            let now = post.watch.now();
            self.take_errors(post, now, lane);
        }
        Err(fault::local(last))
    }

    /// Something has arrived on a lane.
    pub(crate) fn event(&mut self, post: &mut Post, now: Moment, lane: usize) {
        self.take_errors(post, now, lane);
        while let Some(from) = self.next(lane, 0) {
            self.answered(post, now, lane, from);
        }
    }

    fn take_errors(&mut self, post: &mut Post, now: Moment, lane: usize) {
        while let Some(to) = self.next(lane, libc::MSG_ERRQUEUE) {
            let Some(error) = ExtendedError::parse(self.message.control()) else { continue };
            let (target, port) = to;
            let Some(question) = self.asked.get_mut(&Asked { target, port, lane }) else {
                continue;
            };
            question.answered = true;
            if let Some(verdict) = post.own.judge(target, &error) {
                post.judged(&question.probe, verdict, Some(now - question.sent));
            }
        }
    }

    /// The address beside the next message of a lane.
    fn next(&mut self, lane: usize, flags: i32) -> Option<(IpAddr, Port)> {
        let socket = self.lanes.get(lane)?.as_ref()?;
        loop {
            match self.message.receive(socket.as_fd(), flags) {
                Ok(()) => match sockaddr::parse(self.message.name()) {
                    Some(address) => return Some((address.ip(), Port(address.port()))),
                    None => continue,
                },
                Err(Errno::INTR) => {}
                // An error that stands in the queue is told here first.
                Err(Errno::AGAIN) => return None,
                Err(_) if flags == 0 => {}
                Err(_) => return None,
            }
        }
    }

    fn answered(&mut self, post: &mut Post, now: Moment, lane: usize, from: (IpAddr, Port)) {
        let (target, port) = from;
        let asked = Asked { target, port, lane };
        let asked = if self.asked.contains_key(&asked) {
            asked
        } else {
            let Some(other) = self.only_question(target, lane) else { return };
            other
        };
        let Some(question) = self.asked.get_mut(&asked) else { return };
        question.answered = true;
        let rtt = now - question.sent;
        post.answer(&question.probe, Reply::Datagram { port }, target, Some(rtt));
    }

    /// The question to a host on a lane that waits for its answer, where there is only one; TFTP
    /// before others, which always answers from another port (RFC 1350 §4).
    fn only_question(&self, target: IpAddr, lane: usize) -> Option<Asked> {
        let tftp = Asked { target, port: TFTP, lane };
        if self.asked.get(&tftp).is_some_and(|question| !question.answered) {
            return Some(tftp);
        }
        let mut open = self.asked.iter().filter(|(asked, question)| {
            (asked.target, asked.lane) == (target, lane) && !question.answered
        });
        let first = open.next().map(|(asked, _)| *asked);
        first.filter(|_| open.next().is_none())
    }

    /// Forgets what nobody can answer any more.
    pub(crate) fn expire(&mut self, now: Moment) {
        while self.order.front().is_some_and(|(gone, _)| *gone <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some((gone, asked)) = self.order.pop_front() else { return };
        // The same may have been asked again since, on the same lane.
        let is_same = |q: &Question| q.sent + q.probe.wait + GRACE == gone;
        if self.asked.get(&asked).is_some_and(is_same) {
            self.asked.remove(&asked);
        }
    }

    /// The next lane of a family, its socket open; any that is open where no other can be had.
    fn lane(&mut self, post: &Post, epoll: BorrowedFd<'_>, family: AddressFamily) -> Result<usize> {
        let first = if family == AddressFamily::INET { 0 } else { LANES };
        self.last = (self.last + 1) % LANES;
        let lane = first + self.last;
        if self.lanes[lane].is_some() {
            return Ok(lane);
        }
        match open(post, epoll, family, lane) {
            Ok(socket) => {
                self.lanes[lane] = Some(socket);
                Ok(lane)
            }
            Err(errno) => (first..first + LANES).find(|l| self.lanes[*l].is_some()).ok_or(errno),
        }
    }
}

/// A socket that many answers fit into, known to epoll under its lane.
fn open(post: &Post, epoll: BorrowedFd<'_>, family: AddressFamily, lane: usize) -> Result<OwnedFd> {
    let socket = post.way.socket(family, SocketType::DGRAM, None)?;
    // Beyond the administrator's bound where we may (socket(7)), else up to it.
    if sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER).is_err() {
        let _ = sockopt::set_socket_recv_buffer_size(&socket, BUFFER);
    }
    epoll::add(epoll, &socket, Key::Udp.with(lane), epoll::EventFlags::IN)?;
    Ok(socket)
}

/// Sockets a family.
const LANES: usize = 16;

/// Bytes of an answer that are looked at.
const LONGEST: usize = 64;

/// How much longer than asked an answer is still recognised, and its port kept from being taken for
/// another question's answer.
const GRACE: Duration = Duration::from_secs(5);

/// Questions remembered at most.
const MOST: usize = 65_536;

/// Times a datagram is tried to be sent.
const TRIES: usize = 8;

/// Bytes of a receive buffer.
const BUFFER: usize = 2 << 20;

const TFTP: Port = Port(69);
