//! Standing between a command and its bind(2) and listen(2).
//!
//! The kernel stops these calls of a command and of everything it starts (seccomp(2), user
//! notification). Here the address is read out of the caller's memory, its very socket is fetched
//! (pidfd_getfd(2), Linux 5.6) and the call is answered: carried out by us on that socket, perhaps
//! with another port, or left to the kernel. What we carry out was copied first, so a thread that
//! changes the memory meanwhile changes nothing; a call that is left to the kernel is read by it
//! again, which is fine, since nothing is forbidden here. It is no sandbox.
//!
//! Unseen: binds through io_uring (Linux 6.11), 32-bit and x32 programs, and programs with more
//! rights than the caller, which start with the caller's own instead (no_new_privs).

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd as _, OwnedFd, RawFd};
use std::os::unix::fs::FileExt as _;

use libc::{c_int, c_long};
use portolan_core::net::{Port, Transport};
use portolan_core::socket::{Bind, Reuse};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketType, sockopt};

use crate::bind::Call;
use crate::kernel::seccomp::{self, Answer};
use crate::machine;
use crate::pidfd;

/// The end at which stopped calls arrive.
#[derive(Debug)]
pub struct BindWatch(OwnedFd);

impl From<OwnedFd> for BindWatch {
    fn from(listener: OwnedFd) -> Self {
        Self(listener)
    }
}

/// What arrived.
#[derive(Debug)]
pub enum Arrival<'w> {
    /// A call on an IP socket; it waits until it is answered.
    Asked(Asked<'w>),
    /// A call we could not look into: the kernel carried it out. The process, and why.
    Unseen(u32, io::Error),
    /// Nobody is left who could call.
    Over,
}

/// A bind(2) or listen(2) that waits for an answer. Dropped without one, the kernel carries it out.
#[derive(Debug)]
pub struct Asked<'w> {
    watch: &'w BindWatch,
    id: u64,
    answered: bool,
    /// Whose thread calls.
    pub caller: Caller,
    /// [`Call::Bind`] or [`Call::Listen`].
    pub call: Call,
    /// The address with the options of this very socket; for listen, the address it is bound to.
    pub bind: Bind,
    address: SocketAddr,
    backlog: c_int,
    socket: OwnedFd,
}

/// A process that calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its id.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Its effective capabilities, as a mask (capabilities(7)).
    capabilities: u64,
}

impl BindWatch {
    /// Waits for the next call. Calls on other sockets (unix, netlink …) are let through unseen.
    ///
    /// # Errors
    /// When the kernel refuses to tell.
    pub fn next(&self) -> io::Result<Arrival<'_>> {
        loop {
            if self.is_over()? {
                return Ok(Arrival::Over);
            }
            let stopped = match seccomp::receive(self.0.as_fd()) {
                Ok(stopped) => stopped,
                // The caller died, or we were interrupted.
                Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => continue,
                Err(error) => return Err(error),
            };
            match self.look_into(&stopped) {
                Ok(Some(asked)) if seccomp::still_waits(self.0.as_fd(), stopped.id) => {
                    return Ok(Arrival::Asked(asked));
                }
                Ok(_) => self.answer(stopped.id, Answer::Continue),
                Err(error) => {
                    let waits = seccomp::still_waits(self.0.as_fd(), stopped.id);
                    self.answer(stopped.id, Answer::Continue);
                    if waits {
                        return Ok(Arrival::Unseen(stopped.pid, error));
                    }
                }
            }
        }
    }

    /// Whether nobody is left under the filter; waits until that or a call is known.
    fn is_over(&self) -> io::Result<bool> {
        use rustix::event::{PollFd, PollFlags, poll};
        let mut polled = [PollFd::new(&self.0, PollFlags::IN)];
        match poll(&mut polled, None) {
            Ok(_) => Ok(!polled[0].revents().contains(PollFlags::IN)),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Everything about a call; `None` for a socket that has no port.
    fn look_into(&self, stopped: &libc::seccomp_notif) -> io::Result<Option<Asked<'_>>> {
        let [number, second, length, ..] = stopped.data.args;
        let is_listen = c_long::from(stopped.data.nr) == libc::SYS_listen;
        let asked_for = if is_listen {
            None
        } else {
            match read_address(stopped.pid, second, length)? {
                Some(address) => Some(address),
                None => return Ok(None),
            }
        };
        let caller = Caller::of(stopped.pid)?;
        let Some(socket) = fetch(caller.pid, number)? else { return Ok(None) };
        let Some(transport) = transport(&socket)? else { return Ok(None) };
        let address = match asked_for {
            Some(address) => address,
            None => SocketAddr::try_from(net::getsockname(&socket)?)?,
        };
        Ok(Some(Asked {
            watch: self,
            id: stopped.id,
            answered: false,
            caller,
            call: if is_listen { Call::Listen } else { Call::Bind },
            bind: with_options(&socket, transport, address)?,
            address,
            backlog: int(second),
            socket,
        }))
    }

    fn answer(&self, id: u64, answer: Answer) {
        // Only a caller that has died cannot be answered, and it does not mind.
        let _ = seccomp::answer(self.0.as_fd(), id, answer);
    }
}

impl Asked<'_> {
    /// Does on the socket what was asked for; the caller waits on until [`Self::answer`].
    ///
    /// # Errors
    /// What the kernel refused, which is what the caller is to be told.
    pub fn perform(&self) -> Result<(), Errno> {
        match self.call {
            Call::Listen => net::listen(&self.socket, self.backlog),
            // Ours would be the rights the kernel judges by.
            _ if self.is_beyond_caller() => Err(Errno::ACCESS),
            _ => net::bind(&self.socket, &self.address),
        }
    }

    /// Where the socket is bound now.
    #[must_use]
    pub fn bound(&self) -> Bind {
        let address = net::getsockname(&self.socket).and_then(SocketAddr::try_from);
        let address = address.unwrap_or(self.address);
        Bind { address: address.ip(), port: Port(address.port()), ..self.bind.clone() }
    }

    /// Whether the port wants CAP_NET_BIND_SERVICE (ip(7)) and the caller has not got it.
    fn is_beyond_caller(&self) -> bool {
        let port = self.bind.port;
        let may = self.caller.capabilities & (1 << CAP_NET_BIND_SERVICE) != 0;
        port.0 != 0 && !may && port < machine::local_ports().value.unprivileged_start
    }

    /// Binds the socket to another port than it asked for, one that is held by a socket with
    /// SO_REUSEADDR, as ours are: a TCP socket gets that option too. With UDP it would let strangers
    /// in.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn perform_at(&self, port: Port) -> Result<(), Errno> {
        let mut address = self.address;
        address.set_port(port.0);
        if self.bind.transport == Transport::Tcp {
            sockopt::set_socket_reuseaddr(&self.socket, true)?;
        }
        net::bind(&self.socket, &address)
    }

    /// Tells the caller what came of it.
    pub fn answer(mut self, outcome: Result<(), Errno>) {
        let answer = match outcome {
            Ok(()) => Answer::Done,
            Err(errno) => Answer::Failed(errno.raw_os_error()),
        };
        self.watch.answer(self.id, answer);
        self.answered = true;
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.watch.answer(self.id, Answer::Continue);
        }
    }
}

/// The calls to stop, where only bind matters.
pub(crate) const BIND: &[c_long] = &[libc::SYS_bind];
/// The calls to stop, where failures are to be seen: two that share an address both bind, and the
/// second is refused by listen.
pub(crate) const BIND_AND_LISTEN: &[c_long] = &[libc::SYS_bind, libc::SYS_listen];

/// The address a thread passes to bind(2); `None` where it is no IP address.
fn read_address(thread: u32, at: u64, length: u64) -> io::Result<Option<SocketAddr>> {
    let mut bytes = [0; LONGEST];
    // The kernel reads the length as an int.
    let length = usize::try_from(int(length)).unwrap_or_default().min(LONGEST);
    let memory = File::open(format!("/proc/{thread}/mem"))?;
    // A bad pointer is for the kernel to refuse.
    let Ok(()) = memory.read_exact_at(&mut bytes[..length], at) else { return Ok(None) };
    Ok(socket_address(&bytes[..length]))
}

/// Reads a `struct sockaddr_in` or `sockaddr_in6`, as long as the kernel wants it at least
/// (SIN6_LEN_RFC2133 is without the scope).
fn socket_address(bytes: &[u8]) -> Option<SocketAddr> {
    let four = |at: usize| <[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok();
    let family = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    if family == AddressFamily::INET.as_raw() && bytes.len() >= 16 {
        let address = Ipv4Addr::from(four(4)?);
        return Some(SocketAddrV4::new(address, port).into());
    }
    if family == AddressFamily::INET6.as_raw() && bytes.len() >= 24 {
        let address: [u8; 16] = bytes[8..24].try_into().ok()?;
        // The kernel takes the flow label as it lies in memory, and so does the standard library.
        let flow = u32::from_ne_bytes(four(4)?);
        let scope = four(24).map_or(0, u32::from_ne_bytes);
        return Some(SocketAddrV6::new(Ipv6Addr::from(address), port, flow, scope).into());
    }
    None
}

impl Caller {
    /// The process of a thread: pidfd_open(2) wants its leader.
    fn of(thread: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{thread}/status"))?;
        Self::parse(&status).ok_or_else(|| io::Error::other("/proc/PID/status is not understood"))
    }

    /// Out of /proc/PID/status: proc_pid_status(5).
    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let effective = |name: &str| field(name)?.split_whitespace().nth(1)?.parse().ok();
        Some(Self {
            pid: field("Tgid:")?.trim().parse().ok()?,
            uid: effective("Uid:")?,
            gid: effective("Gid:")?,
            capabilities: u64::from_str_radix(field("CapEff:")?.trim(), 16).ok()?,
        })
    }
}

/// Our own descriptor for the socket that another process has under a number; `None` where it has
/// nothing there.
fn fetch(pid: u32, number: u64) -> io::Result<Option<OwnedFd>> {
    match pidfd::duplicate(pid, int(number)) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::BADF) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The transport of an IP socket with ports; `None` for every other descriptor.
fn transport(socket: &OwnedFd) -> io::Result<Option<Transport>> {
    match sockopt::socket_domain(socket) {
        Ok(AddressFamily::INET | AddressFamily::INET6) => {}
        Ok(_) | Err(Errno::NOTSOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let protocol = sockopt::socket_protocol(socket)?;
    Ok(match (sockopt::socket_type(socket)?, protocol) {
        // With Multipath TCP (RFC 8684), which Go's servers ask for by default, a listener is one of
        // TCP to everybody else.
        (SocketType::STREAM, Some(net::ipproto::TCP | net::ipproto::MPTCP)) => Some(Transport::Tcp),
        (SocketType::DGRAM, Some(net::ipproto::UDP)) => Some(Transport::Udp),
        (_, Some(net::ipproto::SCTP)) => Some(Transport::Sctp),
        _ => None,
    })
}

fn with_options(socket: &OwnedFd, transport: Transport, address: SocketAddr) -> io::Result<Bind> {
    let reuse = Reuse {
        address: sockopt::socket_reuseaddr(socket)?,
        port: sockopt::socket_reuseport(socket)?,
    };
    // Not every kernel tells it of a Multipath TCP socket (net/mptcp/sockopt.c).
    let v6only = address.is_ipv6() && sockopt::ipv6_v6only(socket).unwrap_or(false);
    let device = socket2::SockRef::from(socket).device()?;
    let device = device.map(|name| String::from_utf8_lossy(&name).into());
    let bind = Bind::at(transport, address.ip(), Port(address.port())).with(reuse);
    Ok(Bind { v6only, device, ..bind })
}

/// An argument of a system call that the kernel reads as an int: its lower half.
fn int(argument: u64) -> RawFd {
    let [a, b, c, d, ..] = argument.to_le_bytes();
    RawFd::from_le_bytes([a, b, c, d])
}

/// `linux/capability.h`.
const CAP_NET_BIND_SERVICE: u32 = 10;

/// `struct sockaddr_storage`: the kernel takes no longer address.
const LONGEST: usize = 128;

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, TcpListener};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// Work on a thread whose binds are watched.
    fn watched<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> (BindWatch, thread::JoinHandle<T>) {
        let (send, receive) = mpsc::channel();
        let thread = thread::spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            send.send(seccomp::stop_calls(BIND_AND_LISTEN).unwrap()).unwrap();
            work()
        });
        (BindWatch::from(receive.recv().unwrap()), thread)
    }

    fn asked(watch: &BindWatch) -> Asked<'_> {
        match watch.next().unwrap() {
            Arrival::Asked(asked) => asked,
            other => panic!("{other:?}"),
        }
    }

    fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    #[test]
    fn a_bind_is_seen_with_the_options_of_its_socket_and_sent_elsewhere() {
        let (wanted, given) = (free_port(), Port(free_port()));
        let (watch, thread) = watched(move || {
            // The standard library sets SO_REUSEADDR.
            TcpListener::bind(("127.0.0.1", wanted)).unwrap().local_addr().unwrap()
        });
        let bind = asked(&watch);
        assert_eq!((bind.call, bind.caller.pid), (Call::Bind, std::process::id()));
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        let expected = Bind::at(Transport::Tcp, loopback, Port(wanted)).with(Reuse::ADDRESS);
        assert_eq!(bind.bind, expected);
        let outcome = bind.perform_at(given);
        bind.answer(outcome);
        let listen = asked(&watch);
        assert_eq!((listen.call, listen.bind.port), (Call::Listen, given));
        let outcome = listen.perform();
        listen.answer(outcome);
        assert_eq!(thread.join().unwrap().port(), given.0);
        assert!(matches!(watch.next().unwrap(), Arrival::Over));
    }

    #[test]
    fn the_caller_is_told_what_was_refused() {
        let taken = TcpListener::bind("[::]:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let (watch, thread) = watched(move || TcpListener::bind(("::", port)).unwrap_err().kind());
        let bind = asked(&watch);
        assert_eq!((bind.bind.address, bind.bind.v6only), (Ipv6Addr::UNSPECIFIED.into(), false));
        let outcome = bind.perform();
        assert_eq!(outcome, Err(Errno::ADDRINUSE));
        bind.answer(outcome);
        assert_eq!(thread.join().unwrap(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn what_is_not_answered_and_what_has_no_port_goes_on_untouched() {
        let (watch, thread) = watched(|| {
            let socket = net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
            net::bind(&socket, &net::SocketAddrUnix::new_unnamed()).unwrap();
            TcpListener::bind("[::1]:0").unwrap().local_addr().unwrap().ip()
        });
        assert_eq!(asked(&watch).bind.port, Port(0));
        assert_eq!(asked(&watch).call, Call::Listen);
        assert_eq!(thread.join().unwrap(), IpAddr::from(Ipv6Addr::LOCALHOST));
    }

    #[test]
    fn a_caller_is_known_by_what_counts_now() {
        let status = "Name:\ta\nTgid:\t812\nPid:\t813\nUid:\t0\t33\t33\t33\nGid:\t0\t34\t0\t0\n\
                      CapPrm:\tffff\nCapEff:\t0000000000000400\n";
        let caller = Caller { pid: 812, uid: 33, gid: 34, capabilities: 1 << 10 };
        assert_eq!(Caller::parse(status), Some(caller));
        assert_eq!(Caller::parse("Tgid:\t812\n"), None);
    }

    #[test]
    fn a_short_address_is_none() {
        let mut bytes = [0; 28];
        bytes[..2].copy_from_slice(&AddressFamily::INET6.as_raw().to_ne_bytes());
        bytes[2..4].copy_from_slice(&80_u16.to_be_bytes());
        bytes[23] = 1;
        for length in 0..=bytes.len() {
            let read = socket_address(&bytes[..length]);
            let expected = SocketAddr::from((Ipv6Addr::LOCALHOST, 80));
            assert_eq!(read, (length >= 24).then_some(expected), "{length} bytes");
        }
    }
}
