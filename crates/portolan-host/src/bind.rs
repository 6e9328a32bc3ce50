//! Binding for real: what the kernel itself says to a wish.
//!
//! [`attempt`] is the proof behind every "can be bound": the same options, the same order of calls
//! as a server makes, in a socket that is closed when the answer is dropped. Nobody can connect to
//! it in between unless the caller keeps it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};
use std::os::fd::OwnedFd;

use portolan_core::net::{Port, Transport};
use portolan_core::socket::Bind;
use rustix::io::Errno;
use rustix::net::netdevice::name_to_index;
use rustix::net::sockopt::set_socket_reuseaddr;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Which call refused, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {errno}")]
pub struct Refusal {
    /// The system call.
    pub call: Call,
    /// Why.
    pub errno: Errno,
}

/// The calls a server makes before it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// socket(2): the family or the transport is not there.
    Socket,
    /// setsockopt(2): an option is refused, a device unknown.
    Option,
    /// bind(2).
    Bind,
    /// listen(2).
    Listen,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Socket => "socket",
            Self::Option => "setsockopt",
            Self::Bind => "bind",
            Self::Listen => "listen",
        })
    }
}

/// Binds and, for TCP, listens.
///
/// # Errors
/// What the kernel refused.
pub fn attempt(bind: &Bind) -> Result<OwnedFd, Refusal> {
    let socket = bound(bind)?;
    if bind.transport == Transport::Tcp {
        socket.listen(BACKLOG).map_err(refused(Call::Listen))?;
    }
    Ok(socket.into())
}

/// Binds only: the port is held, and nothing answers on it.
///
/// # Errors
/// What the kernel refused.
pub fn hold(bind: &Bind) -> Result<OwnedFd, Refusal> {
    bound(bind).map(Into::into)
}

/// Holds a port without listening, so that nobody gets it by chance while a server that sets
/// SO_REUSEADDR, as most do, may still start on it. Every address of both families, IPv4 alone
/// where there is no IPv6.
///
/// First bound without options, so that not even another holder shares the port, and made willing
/// to share only then: inet_csk_bind_conflict looks at the option when the next one binds.
///
/// # Errors
/// What the kernel refused.
pub fn reserve(transport: Transport, port: Port) -> Result<OwnedFd, Refusal> {
    let socket = hold_alone(transport, port)?;
    set_socket_reuseaddr(&socket, true).map_err(|errno| Refusal { call: Call::Option, errno })?;
    Ok(socket)
}

/// Holds a port against everybody, without listening: every address of both families, IPv4 alone
/// where there is no IPv6.
///
/// # Errors
/// What the kernel refused.
pub fn hold_alone(transport: Transport, port: Port) -> Result<OwnedFd, Refusal> {
    everywhere(transport, port, hold)
}

/// Binds every address of both families in the way `how`, IPv4 alone where there is no IPv6.
///
/// # Errors
/// What the kernel refused.
pub fn everywhere(
    transport: Transport,
    port: Port,
    how: impl Fn(&Bind) -> Result<OwnedFd, Refusal>,
) -> Result<OwnedFd, Refusal> {
    match how(&Bind::dual_stack(transport, port)) {
        // No IPv6 in this kernel, or switched off in this namespace.
        Err(refusal) if matches!(refusal.errno, Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
            how(&Bind::at(transport, Ipv4Addr::UNSPECIFIED.into(), port))
        }
        answer => answer,
    }
}

fn bound(bind: &Bind) -> Result<Socket, Refusal> {
    let socket = open(bind)?;
    set_options(&socket, bind).map_err(refused(Call::Option))?;
    let address = address(bind).map_err(refused(Call::Option))?;
    socket.bind(&address).map_err(refused(Call::Bind))?;
    Ok(socket)
}

fn open(bind: &Bind) -> Result<Socket, Refusal> {
    let domain = Domain::for_address(bind.socket_address());
    let (kind, protocol) = match bind.transport {
        Transport::Tcp => (Type::STREAM, Protocol::TCP),
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
        Transport::Sctp => (Type::STREAM, Protocol::SCTP),
        Transport::Dccp => (Type::DCCP, Protocol::DCCP),
    };
    Socket::new(domain, kind, Some(protocol)).map_err(refused(Call::Socket))
}

fn set_options(socket: &Socket, bind: &Bind) -> io::Result<()> {
    if bind.address.is_ipv6() {
        socket.set_only_v6(bind.v6only)?;
    }
    socket.set_reuse_address(bind.reuse.address)?;
    socket.set_reuse_port(bind.reuse.port)?;
    match &bind.device {
        // A link-local address names its interface in the address itself.
        Some(device) if !is_link_local(bind) => socket.bind_device(Some(device.as_bytes())),
        _ => Ok(()),
    }
}

fn address(bind: &Bind) -> io::Result<SockAddr> {
    let address = match (bind.socket_address(), &bind.device) {
        (SocketAddr::V6(v6), Some(device)) if is_link_local(bind) => {
            let socket = rustix::net::socket(
                rustix::net::AddressFamily::INET6,
                rustix::net::SocketType::DGRAM,
                None,
            )?;
            let zone = name_to_index(&socket, device)?;
            SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, zone))
        }
        (address, _) => address,
    };
    Ok(address.into())
}

const fn is_link_local(bind: &Bind) -> bool {
    match bind.address {
        std::net::IpAddr::V6(v6) => v6.is_unicast_link_local(),
        std::net::IpAddr::V4(_) => false,
    }
}

fn refused(call: Call) -> impl Fn(io::Error) -> Refusal {
    move |error| Refusal { call, errno: Errno::from_io_error(&error).unwrap_or(Errno::IO) }
}

/// What a careful server asks for; somaxconn caps it.
const BACKLOG: i32 = 128;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use portolan_core::socket::Reuse;

    use super::*;

    fn loopback(port: u16) -> Bind {
        Bind::at(Transport::Tcp, Ipv4Addr::LOCALHOST.into(), Port(port))
    }

    #[test]
    fn a_port_somebody_listens_on_is_refused_by_bind() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let refusal = attempt(&loopback(port)).unwrap_err();
        assert_eq!(refusal, Refusal { call: Call::Bind, errno: Errno::ADDRINUSE });
    }

    #[test]
    fn of_two_that_share_an_address_only_one_may_listen() {
        let share = |port| loopback(port).with(Reuse::ADDRESS);
        let held = hold(&share(0)).unwrap();
        let address = rustix::net::getsockname(&held).unwrap();
        let port = SocketAddr::try_from(address).unwrap().port();
        let _listens = attempt(&share(port)).unwrap();
        let refusal = attempt(&share(port)).unwrap_err();
        assert_eq!(refusal.errno, Errno::ADDRINUSE);
    }
    fn port_of(socket: &OwnedFd) -> Port {
        let address = rustix::net::getsockname(socket).unwrap();
        Port(SocketAddr::try_from(address).unwrap().port())
    }

    #[test]
    fn a_reserved_port_takes_a_server_that_shares_and_no_other() {
        let held = reserve(Transport::Tcp, Port(0)).unwrap();
        let port = port_of(&held);
        let plain = attempt(&loopback(port.0)).unwrap_err();
        assert_eq!(plain, Refusal { call: Call::Bind, errno: Errno::ADDRINUSE });
        for server in [loopback(port.0), Bind::dual_stack(Transport::Tcp, port)] {
            drop(attempt(&server.with(Reuse::ADDRESS)).unwrap());
        }
    }

    #[test]
    fn a_port_can_be_reserved_by_one_only() {
        let held = reserve(Transport::Tcp, Port(0)).unwrap();
        let second = reserve(Transport::Tcp, port_of(&held)).unwrap_err();
        assert_eq!(second.errno, Errno::ADDRINUSE);
    }
}
