//! Destroying sockets that no process can be asked to close (SOCK_DESTROY, sock_diag(7)).
//!
//! The kernel drops the connection at once, tells the peer with a reset where there is one, and
//! wakes whoever still has it open with ECONNABORTED. The socket is named by both ends and by its
//! cookie, so that another one in its place is never hit.

use portolan_core::socket::{Family, Socket, SocketTransport, State};
use portolan_core::wire::netlink::Errno;
use portolan_core::wire::sock_diag::{InetFamily, InetRequest, SocketId};
use rustix::net::netdevice::name_to_index;
use rustix::net::netlink::SOCK_DIAG;

use super::diag::protocol_number;
use crate::netlink::{Dump, Netlink};

/// Why a socket was not destroyed.
#[derive(Debug, thiserror::Error)]
pub enum DestroyError {
    /// It listens or only holds its port: destroying it would keep the port and mute the program.
    #[error("it listens; only its process can give the port up")]
    Listens,
    /// It has no other end or no cookie to be told by.
    #[error("it cannot be told from others")]
    Nameless,
    /// It is not there any more.
    #[error("it is gone")]
    Gone,
    /// The caller lacks CAP_NET_ADMIN.
    #[error("destroying sockets needs root (CAP_NET_ADMIN)")]
    NotPermitted,
    /// The kernel was built without CONFIG_INET_DIAG_DESTROY, or not for this transport.
    #[error("this kernel destroys no sockets (CONFIG_INET_DIAG_DESTROY)")]
    Unsupported,
    /// The kernel refused for another reason.
    #[error("the kernel refused: {errno}")]
    Refused {
        /// Its error number.
        errno: Errno,
    },
    /// Netlink failed.
    #[error("ask the kernel")]
    Netlink(#[from] std::io::Error),
}

/// Destroys a connection or what is left of one, in the network namespace of this thread.
///
/// # Errors
/// [`DestroyError`]; [`DestroyError::Gone`] when somebody was faster.
pub fn destroy(socket: &Socket) -> Result<(), DestroyError> {
    if socket.is_listener() || matches!(socket.state, State::Listen | State::Bound) {
        return Err(DestroyError::Listens);
    }
    let (request, id) = request(socket).ok_or(DestroyError::Nameless)?;
    let mut netlink = Netlink::open(Some(SOCK_DIAG))?;
    match netlink.ask(|sequence| request.destroy(sequence, &id), |_, _| {})? {
        Dump::Whole | Dump::Interrupted => Ok(()),
        Dump::Refused(errno) => Err(refusal(errno)),
    }
}

fn request(socket: &Socket) -> Option<(InetRequest, SocketId)> {
    let family = match socket.family {
        Family::Ipv4 => InetFamily::V4,
        Family::Ipv6 => InetFamily::V6,
        Family::Unix | Family::Packet => return None,
    };
    let protocol = match socket.transport {
        SocketTransport::Tcp | SocketTransport::Udp => protocol_number(socket.transport),
        _ => return None,
    };
    let id = SocketId {
        local: socket.local_endpoint()?,
        peer: socket.peer_endpoint()?,
        interface: socket.device.as_deref().and_then(index).unwrap_or(0),
        cookie: socket.cookie?,
    };
    Some((InetRequest { family, protocol, extensions: 0, states: u32::MAX, selection: None }, id))
}

fn index(device: &str) -> Option<u32> {
    let any =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None);
    name_to_index(any.ok()?, device).ok()
}

/// Numbers of errno(3), the same on every architecture Linux runs sock_diag on.
const fn refusal(errno: Errno) -> DestroyError {
    match errno {
        Errno(1 | 13) => DestroyError::NotPermitted,
        Errno::NOT_FOUND | Errno(116) => DestroyError::Gone, // ESTALE: another cookie
        Errno(95) => DestroyError::Unsupported,
        errno => DestroyError::Refused { errno },
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use portolan_core::net::{Endpoint, Port};
    use portolan_core::socket::Address;

    use super::*;

    #[test]
    fn a_listener_is_never_destroyed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let here = Endpoint::new(address.ip(), Port(address.port()));
        for state in [State::Listen, State::Bound] {
            let socket = Socket {
                local: Address::Inet(here),
                cookie: Some(1),
                ..Socket::bare(SocketTransport::Tcp, Family::Ipv4, state, 1, 0)
            };
            assert!(matches!(destroy(&socket), Err(DestroyError::Listens)));
        }
    }

    #[test]
    fn a_socket_without_another_end_is_not_asked_for() {
        let socket = Socket::bare(SocketTransport::Tcp, Family::Ipv4, State::TimeWait, 0, 0);
        assert!(matches!(destroy(&socket), Err(DestroyError::Nameless)));
    }
}
