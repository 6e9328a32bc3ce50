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
    lanes: Box<[Option<OwnedFd>]>,
    /// The lane of the last question.
    last: usize,
    asked: HashMap<Asked, Question>,
    /// Of each host and lane, the questions that wait for their answer.
    waiting: HashMap<(IpAddr, usize), Waiting>,
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

/// How many ports of a host wait on a lane, and all their numbers in one by exclusive or: where it is
/// one port, its own. A stranger's datagrams are looked up here, however many come.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    count: usize,
    ports: u16,
}

impl Datagrams {
    /// Nothing asked yet; at most so many sockets a family.
    pub(crate) fn new(lanes: usize) -> Self {
        Self {
            lanes: (0..2 * lanes).map(|_| None).collect(),
            last: 0,
            asked: HashMap::new(),
            waiting: HashMap::new(),
            order: VecDeque::new(),
            message: Message::new(LONGEST),
        }
    }

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
        self.remember(now, probe, Asked { target: probe.target, port, lane });
    }

    fn remember(&mut self, now: Moment, probe: Probe, asked: Asked) {
        let question = Question { probe, sent: now, answered: false };
        if self.asked.insert(asked, question).is_none_or(|before| before.answered) {
            let waiting = self.waiting.entry((asked.target, asked.lane)).or_default();
            waiting.count += 1;
            waiting.ports ^= asked.port.0;
        }
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
        for _ in 0..AT_ONCE {
            let Some(from) = self.next(lane, 0) else { return };
            self.answered(post, now, lane, from);
        }
    }

    fn take_errors(&mut self, post: &mut Post, now: Moment, lane: usize) {
        for _ in 0..AT_ONCE {
            let Some(to) = self.next(lane, libc::MSG_ERRQUEUE) else { return };
            let Some(error) = ExtendedError::parse(self.message.control()) else { continue };
            let (target, port) = to;
            let Some(question) = self.settle(Asked { target, port, lane }) else { continue };
            if let Some(verdict) = post.own.judge(target, &error) {
                post.judged(&question.probe, verdict, Some(now - question.sent));
            }
        }
    }

    /// The address beside the next message of a lane.
    fn next(&mut self, lane: usize, flags: i32) -> Option<(IpAddr, Port)> {
        let socket = self.lanes.get(lane)?.as_ref()?;
        for _ in 0..ERRORS {
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
        None
    }

    /// A question that was answered, now if not before.
    fn settle(&mut self, asked: Asked) -> Option<Question> {
        let question = self.asked.get_mut(&asked)?;
        if !std::mem::replace(&mut question.answered, true) {
            let question = *question;
            self.no_longer_waits(asked);
            return Some(question);
        }
        Some(*question)
    }

    fn no_longer_waits(&mut self, asked: Asked) {
        let key = (asked.target, asked.lane);
        let Some(waiting) = self.waiting.get_mut(&key) else { return };
        waiting.count -= 1;
        waiting.ports ^= asked.port.0;
        if waiting.count == 0 {
            self.waiting.remove(&key);
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
        let Some(question) = self.settle(asked) else { return };
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
        let waiting = self.waiting.get(&(target, lane)).filter(|waiting| waiting.count == 1)?;
        Some(Asked { target, port: Port(waiting.ports), lane })
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
        let known = self.asked.get(&asked).filter(|question| is_same(question));
        let Some(is_waiting) = known.map(|question| !question.answered) else { return };
        self.asked.remove(&asked);
        if is_waiting {
            self.no_longer_waits(asked);
        }
    }

    /// The next lane of a family, its socket open; any that is open where no other can be had.
    fn lane(&mut self, post: &Post, epoll: BorrowedFd<'_>, family: AddressFamily) -> Result<usize> {
        let count = self.lanes.len() / 2;
        let first = if family == AddressFamily::INET { 0 } else { count };
        self.last = (self.last + 1) % count;
        let lane = first + self.last;
        if self.lanes[lane].is_some() {
            return Ok(lane);
        }
        match open(post, epoll, family, lane) {
            Ok(socket) => {
                self.lanes[lane] = Some(socket);
                Ok(lane)
            }
            Err(errno) => (first..first + count).find(|l| self.lanes[*l].is_some()).ok_or(errno),
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

/// Bytes of an answer that are looked at.
const LONGEST: usize = 64;

/// How much longer than asked an answer is still recognised, and its port kept from being taken for
/// another question's answer.
const GRACE: Duration = Duration::from_secs(5);

/// Questions remembered at most.
const MOST: usize = 65_536;

/// Messages of a lane that are taken at once: whoever floods us does not keep us from the others.
const AT_ONCE: usize = 4096;

/// Errors of a lane that are passed over in a row. Each is told once, but one that stays (a sandbox
/// that refuses recvmsg) would be told for ever.
const ERRORS: usize = 1024;

/// Times a datagram is tried to be sent.
const TRIES: usize = 8;

/// Bytes of a receive buffer.
const BUFFER: usize = 2 << 20;

const TFTP: Port = Port(69);

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(10);

    fn asked(port: u16) -> Asked {
        Asked { target: "192.0.2.1".parse().unwrap(), port: Port(port), lane: 3 }
    }

    /// As if these ports had been asked on one lane.
    fn waiting(ports: &[u16]) -> Datagrams {
        let mut datagrams = Datagrams::new(4);
        ports.iter().for_each(|port| datagrams.remember(Moment::START, probe(*port), asked(*port)));
        datagrams
    }

    fn probe(port: u16) -> Probe {
        Probe {
            target: asked(port).target,
            question: portolan_core::scan::Question::Udp(Port(port)),
            attempt: 1,
            wait: WAIT,
            manner: portolan_core::scan::Manner::Ask,
        }
    }

    #[test]
    fn an_answer_from_another_port_is_of_the_only_question_that_waits() {
        let mut datagrams = waiting(&[53, 123]);
        let (target, lane) = (asked(53).target, 3);
        assert_eq!(datagrams.only_question(target, lane), None);
        datagrams.settle(asked(53));
        datagrams.settle(asked(53));
        assert_eq!(datagrams.only_question(target, lane), Some(asked(123)));
        assert_eq!(datagrams.only_question("192.0.2.9".parse().unwrap(), lane), None);
        assert_eq!(waiting(&[69, 53]).only_question(target, lane), Some(asked(69)), "TFTP");
    }

    #[test]
    fn what_is_asked_twice_waits_once_and_what_is_forgotten_not_at_all() {
        let mut datagrams = waiting(&[53, 53, 123]);
        assert_eq!(datagrams.waiting[&(asked(53).target, 3)].count, 2);
        datagrams.expire(Moment::START + WAIT + GRACE);
        assert!(datagrams.asked.is_empty() && datagrams.waiting.is_empty());
    }
}
