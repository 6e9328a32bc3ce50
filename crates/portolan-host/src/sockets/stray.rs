//! Sockets of a network namespace that no process, mount or descriptor leads to: they are asked one
//! by one, through duplicates of their descriptors.

use std::collections::HashSet;
use std::net::SocketAddr;

use portolan_core::net::{Endpoint, Gap, Observed, Port, Why};
use portolan_core::socket::{Address, Family, Socket, SocketTransport, State};
use portolan_core::wire::sock_diag::InetFamily;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::{self, Errno};
use rustix::net::{AddressFamily, getpeername, getsockname, ipproto, sockopt};

use super::Query;
use crate::namespace::Place;
use crate::pidfd;

/// Reads the sockets that `query` wants of those that are known in `place`.
pub(super) fn read(place: &Place, query: &Query) -> Observed<Vec<Socket>> {
    let (mut sockets, mut seen, mut lost) = (Vec::new(), HashSet::new(), 0);
    for stray in place.strays.iter().filter(|stray| seen.insert(stray.inode)) {
        let asked = pidfd::duplicate(stray.pid, stray.fd)
            .and_then(|file| Ok(ask(file.as_fd(), stray.inode, query.netns)?));
        match asked {
            Ok(socket) => sockets.extend(socket.filter(|socket| is_wanted(socket, query))),
            Err(_) => lost += 1,
        }
    }
    let name = &place.netns;
    let mut gaps = vec![Gap::aside(
        format!("TCP connections, accept queues and who chose a port, {name}"),
        Why::Unsupported,
        "nothing leads there but the sockets themselves",
    )];
    if lost > 0 {
        gaps.push(Gap::new(format!("{lost} sockets of {name}"), Why::NotPermitted, ""));
    }
    Observed { value: sockets, gaps }
}

fn is_wanted(socket: &Socket, query: &Query) -> bool {
    let family = if socket.family == Family::Ipv4 { InetFamily::V4 } else { InetFamily::V6 };
    query.transports.contains(&socket.transport)
        && query.families.contains(&family)
        && query.states.contains(socket.state)
}

/// What a socket tells of itself. A TCP connection does not tell its state, and no state is guessed.
fn ask(socket: BorrowedFd<'_>, inode: u64, netns: u64) -> io::Result<Option<Socket>> {
    let Some(transport) = transport(socket)? else { return Ok(None) };
    let local: SocketAddr = getsockname(socket)?.try_into().map_err(|_| Errno::AFNOSUPPORT)?;
    let peer = getpeername(socket).ok().flatten().and_then(|peer| SocketAddr::try_from(peer).ok());
    let state = match (transport, peer) {
        (SocketTransport::Tcp, Some(_)) => return Ok(None),
        (SocketTransport::Tcp, None) if sockopt::socket_acceptconn(socket)? => State::Listen,
        (SocketTransport::Tcp, None) if local.port() != 0 => State::Bound,
        (SocketTransport::Tcp, None) => return Ok(None),
        (_, Some(_)) => State::Established,
        (_, None) => State::Unconn,
    };
    let family = if local.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
    Ok(Some(Socket {
        local: endpoint(local),
        peer: peer.map(endpoint),
        cookie: sockopt::socket_cookie(socket).ok(),
        v6only: if local.is_ipv6() { sockopt::ipv6_v6only(socket).ok() } else { None },
        ..Socket::bare(transport, family, state, inode, netns)
    }))
}

fn transport(socket: BorrowedFd<'_>) -> io::Result<Option<SocketTransport>> {
    let family = sockopt::socket_domain(socket)?;
    if family != AddressFamily::INET && family != AddressFamily::INET6 {
        return Ok(None);
    }
    let protocol = sockopt::socket_protocol(socket)?;
    Ok(match protocol {
        Some(ipproto::TCP | ipproto::MPTCP) => Some(SocketTransport::Tcp),
        Some(ipproto::UDP) => Some(SocketTransport::Udp),
        Some(ipproto::UDPLITE) => Some(SocketTransport::UdpLite),
        _ => None,
    })
}

fn endpoint(address: SocketAddr) -> Address {
    Address::Inet(Endpoint::new(address.ip(), Port(address.port())))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn a_socket_tells_what_sock_diag_would() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let told = ask(listener.as_fd(), 7, 9).unwrap().unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!((told.transport, told.state), (SocketTransport::Tcp, State::Listen));
        assert_eq!((told.local_port(), told.inode, told.netns), (Some(Port(port)), 7, 9));
        let datagrams = UdpSocket::bind("[::1]:0").unwrap();
        let told = ask(datagrams.as_fd(), 7, 9).unwrap().unwrap();
        assert_eq!((told.transport, told.state), (SocketTransport::Udp, State::Unconn));
        // Whoever binds one IPv6 address gets no IPv4, asked for or not (net/ipv6/af_inet6.c).
        assert_eq!(told.v6only, Some(true));
    }

    #[test]
    fn the_state_of_a_connection_is_not_guessed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(ask(client.as_fd(), 7, 9), Ok(None));
    }
}
