//! The engine that needs no privilege: connections for TCP, one kind of socket each for UDP and echo.
//!
//! IP_RECVERR and IPV6_RECVERR on every socket let it see ICMP errors with type, code and sender
//! (ip(7)), also for a connection that is being made (Linux 5.8 and later, commit 45af29ca761c).
//! Nothing it opened outlives it.

mod tcp;
#[cfg(test)]
mod tests;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use portolan_core::net::Moment;
use portolan_core::scan::{Ability, Answer, LocalError, Probe, Question, Reply};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};

use super::echo::Echoes;
use super::fault::{Own, Verdict};
use super::udp::Datagrams;
use super::window::{Free, Window};
use super::{Engine, Heard};
use crate::clock::Stopwatch;
use crate::kernel;
use tcp::Connections;

/// How the engine is to reach out.
#[derive(Clone, Debug)]
pub struct Options {
    /// The clock that `now` comes from.
    pub watch: Stopwatch,
    /// The address to send from, for targets of its family.
    pub source: Option<IpAddr>,
    /// The interface to send through (SO_BINDTODEVICE, socket(7)).
    pub interface: Option<String>,
    /// The most connections under way, also where the limit on descriptors allows more.
    pub most: usize,
}

impl Options {
    /// The machine's own choice of everything.
    #[must_use]
    pub const fn new(watch: Stopwatch) -> Self {
        Self { watch, source: None, interface: None, most: MOST }
    }
}

/// Carries every kind of probe without privilege.
#[derive(Debug)]
pub struct ConnectEngine {
    epoll: OwnedFd,
    post: Post,
    tcp: Connections,
    udp: Datagrams,
    echo: Echoes,
}

impl ConnectEngine {
    /// An engine in the network namespace of this thread.
    ///
    /// # Errors
    /// When the kernel gives no epoll, or the source address or the interface is not ours.
    pub fn new(options: &Options) -> io::Result<Self> {
        let way = Way::new(options)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let post = Post { watch: options.watch, own: Own::read(), way, heard: Vec::new() };
        let echo = Echoes::open(&post.way, epoll.as_fd());
        let free = Free::of_process();
        let udp = Datagrams::new(free.lanes());
        let tcp = Connections::new(Window::within(free, options.most));
        Ok(Self { epoll, post, tcp, udp, echo })
    }

    fn wait(&mut self, wait: Duration) -> io::Result<()> {
        let epoll = self.epoll.as_fd();
        // epoll_wait counts in milliseconds, ppoll in nanoseconds.
        if !wait.is_zero() {
            let mut this = [PollFd::new(&epoll, PollFlags::IN)];
            match poll(&mut this, Timespec::try_from(wait).ok().as_ref()) {
                Ok(0) | Err(Errno::INTR) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&NOW)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            self.take(&events);
            if events.len() < EVENTS {
                return Ok(());
            }
            events.clear();
        }
    }

    fn take(&mut self, events: &[epoll::Event]) {
        let now = self.post.watch.now();
        for event in events {
            let (kind, place) = Key::parse(event.data.u64());
            match kind {
                Key::Tcp => self.tcp.event(&mut self.post, now, place, event.flags),
                Key::Udp => self.udp.event(&mut self.post, now, place),
                Key::Echo => self.echo.event(&mut self.post, now, place),
            }
        }
    }
}

impl Engine for ConnectEngine {
    fn ability(&self) -> Ability {
        Ability { echo: self.echo.is_possible(), connects: true }
    }

    fn room(&self) -> usize {
        self.tcp.room()
    }

    fn send(&mut self, now: Moment, probe: Probe) {
        let epoll = self.epoll.as_fd();
        match probe.question {
            Question::Tcp(port) => self.tcp.send(&mut self.post, epoll, probe, port),
            Question::Udp(port) => self.udp.send(&mut self.post, epoll, now, probe, port),
            Question::Echo => self.echo.send(&mut self.post, now, probe),
        }
    }

    fn receive(&mut self, now: Moment, wait: Duration, heard: &mut Vec<Heard>) -> io::Result<()> {
        let wait = if self.post.heard.is_empty() { wait } else { Duration::ZERO };
        let next = self.tcp.next_deadline().map_or(wait, |at| wait.min(at - now));
        self.wait(next)?;
        let now = self.post.watch.now();
        self.tcp.expire(&mut self.post, now);
        self.udp.expire(now);
        heard.append(&mut self.post.heard);
        Ok(())
    }
}

impl AsFd for ConnectEngine {
    /// Readable when [`Engine::receive`] would hear something without waiting; sockets whose time
    /// is up do not show here.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// What every kind of probe needs: the clock, whose addresses are ours, the way out, and where what
/// was heard is put.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) watch: Stopwatch,
    pub(crate) own: Own,
    pub(crate) way: Way,
    heard: Vec<Heard>,
}

impl Post {
    /// `probe` was answered.
    pub(crate) fn answer(
        &mut self,
        probe: &Probe,
        reply: Reply,
        from: IpAddr,
        rtt: Option<Duration>,
    ) {
        let Probe { target, question, attempt, .. } = *probe;
        let attempt = Some(attempt);
        let answer = Answer { target, question, attempt, reply, from, rtt, signature: None };
        self.heard.push(Heard::Answer(answer));
    }

    /// `probe` met an error.
    pub(crate) fn judged(&mut self, probe: &Probe, verdict: Verdict, rtt: Option<Duration>) {
        match verdict {
            Verdict::Reply(reply, from) => self.answer(probe, reply, from, rtt),
            Verdict::Refused(error) => self.refuse(probe, error),
        }
    }

    /// `probe` did not leave.
    pub(crate) fn refuse(&mut self, probe: &Probe, error: LocalError) {
        self.heard.push(Heard::Refused(*probe, error));
    }
}

/// Where sockets are bound before they are used.
#[derive(Debug)]
pub(crate) struct Way {
    source: Option<IpAddr>,
    interface: Option<String>,
    /// The interface's number, which link-local addresses need; 0 for none.
    scope: u32,
}

impl Way {
    fn new(options: &Options) -> io::Result<Self> {
        let (source, interface) = (options.source, options.interface.clone());
        let mut way = Self { source, interface, scope: 0 };
        let probe = way.socket(of(source), SocketType::DGRAM, None)?;
        if let Some(name) = &way.interface {
            way.scope = rustix::net::netdevice::name_to_index(&probe, name)?;
        }
        Ok(way)
    }

    /// A socket of this family, bound as asked for, that reports errors.
    pub(crate) fn socket(
        &self,
        family: AddressFamily,
        kind: SocketType,
        protocol: Option<rustix::net::Protocol>,
    ) -> rustix::io::Result<OwnedFd> {
        use rustix::net::{SocketFlags, bind, socket_with};
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, kind, flags, protocol)?;
        let (level, errors) = match family {
            AddressFamily::INET => (libc::IPPROTO_IP, libc::IP_RECVERR),
            _ => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
        };
        kernel::socket::set_option(socket.as_fd(), level, errors, 1)?;
        if let Some(name) = &self.interface {
            let bound = socket2::SockRef::from(&socket).bind_device(Some(name.as_bytes()));
            bound.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))?;
        }
        if let Some(source) = self.source.filter(|source| of(Some(*source)) == family) {
            let (level, late) = (libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT);
            // Else each socket takes a port of its own, whatever it is to be connected to (ip(7)).
            let _ = kernel::socket::set_option(socket.as_fd(), level, late, 1);
            bind(&socket, &self.address(source, 0))?;
        }
        Ok(socket)
    }

    /// An address with its port, and the interface where the address means nothing without.
    pub(crate) fn address(&self, address: IpAddr, port: u16) -> std::net::SocketAddr {
        match address {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => {
                std::net::SocketAddrV6::new(v6, port, 0, self.scope).into()
            }
            _ => (address, port).into(),
        }
    }
}

/// The family of an address; IPv4 where there is none.
pub(crate) const fn of(address: Option<IpAddr>) -> AddressFamily {
    match address {
        Some(IpAddr::V6(_)) => AddressFamily::INET6,
        _ => AddressFamily::INET,
    }
}

/// What kind of socket an event is about; its place among them is in the lower half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// A connection.
    Tcp,
    /// A socket of UDP questions.
    Udp,
    /// A socket of echo requests.
    Echo,
}

impl Key {
    /// The number epoll gives back with each event.
    pub(crate) fn with(self, place: usize) -> epoll::EventData {
        epoll::EventData::new_u64(((self as u64) << 32) | place as u64)
    }

    fn parse(number: u64) -> (Self, usize) {
        let kind = match number >> 32 {
            0 => Self::Tcp,
            1 => Self::Udp,
            _ => Self::Echo,
        };
        (kind, (number & u64::from(u32::MAX)) as usize)
    }
}

/// Connections under way at most, unless asked for otherwise.
const MOST: usize = 16_384;

/// Events taken at once.
const EVENTS: usize = 1024;

const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
