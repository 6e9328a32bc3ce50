//! Who on this machine would get what is sent to one of its own addresses, and if nobody, who comes
//! near: the usual reasons why "it runs, but nobody gets through".

use std::net::IpAddr;

use crate::net::{Port, Transport};
use crate::socket::Socket;

/// What this machine's own sockets say, as positions in the list that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Here {
    /// A socket is there for the address.
    Answers(usize),
    /// Something listens, on the loopback only.
    LoopbackOnly(usize),
    /// Something listens for the other family only.
    OtherFamily(usize),
    /// Something listens, on another address only.
    OtherAddress(usize),
    /// Nothing has the port.
    Nothing,
}

impl Here {
    /// The socket that was found.
    #[must_use]
    pub const fn position(&self) -> Option<usize> {
        match self {
            Self::Answers(at)
            | Self::LoopbackOnly(at)
            | Self::OtherFamily(at)
            | Self::OtherAddress(at) => Some(*at),
            Self::Nothing => None,
        }
    }
}

/// Who answers at `address`, one of this machine's own, on a port.
#[must_use]
pub fn here<'a>(
    sockets: impl IntoIterator<Item = &'a Socket>,
    address: IpAddr,
    transport: Transport,
    port: Port,
) -> Here {
    let has_port = |socket: &Socket| {
        socket.is_listener()
            && socket.transport.with_ports() == Some(transport)
            && socket.local_port() == Some(port)
    };
    let bound = sockets.into_iter().enumerate().filter(|(_, socket)| has_port(socket));
    let near = bound.filter_map(|(at, socket)| Some((nearness(socket, address)?, at)));
    // The nearest, and of those the first.
    match near.min() {
        Some((Nearness::Same | Nearness::Wildcard, at)) => Here::Answers(at),
        Some((Nearness::Loopback, at)) => Here::LoopbackOnly(at),
        Some((Nearness::OtherFamily, at)) => Here::OtherFamily(at),
        Some((Nearness::OtherAddress, at)) => Here::OtherAddress(at),
        None => Here::Nothing,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    Same,
    Wildcard,
    OtherFamily,
    Loopback,
    OtherAddress,
}

fn nearness(socket: &Socket, address: IpAddr) -> Option<Nearness> {
    let bound = socket.local_endpoint()?.address.to_canonical();
    let is_same_family = bound.is_ipv4() == address.is_ipv4();
    Some(match () {
        () if bound == address => Nearness::Same,
        () if bound.is_unspecified() && (is_same_family || socket.is_dual_stack()) => {
            Nearness::Wildcard
        }
        () if bound.is_unspecified() => Nearness::OtherFamily,
        // ::1 does not get what is sent to 127.0.0.1.
        () if bound.is_loopback() && address.is_loopback() && !is_same_family => {
            Nearness::OtherFamily
        }
        () if bound.is_loopback() => Nearness::Loopback,
        () => Nearness::OtherAddress,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Endpoint;
    use crate::socket::{Address, Family, SocketTransport, State};

    fn listener(address: &str, v6only: bool) -> Socket {
        let address: IpAddr = address.parse().unwrap();
        let family = if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let bare = Socket::bare(SocketTransport::Tcp, family, State::Listen, 1, 1);
        let local = Address::Inet(Endpoint::new(address, Port(5432)));
        Socket { local, v6only: Some(v6only), ..bare }
    }

    fn asked(sockets: &[Socket], address: &str) -> Here {
        here(sockets, address.parse().unwrap(), Transport::Tcp, Port(5432))
    }

    #[test]
    fn a_loopback_listener_does_not_answer_at_another_address() {
        let sockets = [listener("127.0.0.1", false)];
        assert_eq!(asked(&sockets, "10.0.0.5"), Here::LoopbackOnly(0));
        assert_eq!(asked(&sockets, "127.0.0.1"), Here::Answers(0));
        assert_eq!(asked(&sockets, "::1"), Here::OtherFamily(0));
    }

    #[test]
    fn a_wildcard_of_the_other_family_answers_only_when_dual_stack() {
        assert_eq!(asked(&[listener("::", true)], "10.0.0.5"), Here::OtherFamily(0));
        assert_eq!(asked(&[listener("::", false)], "10.0.0.5"), Here::Answers(0));
        assert_eq!(asked(&[listener("0.0.0.0", false)], "fd00::5"), Here::OtherFamily(0));
    }

    #[test]
    fn the_nearest_of_several_is_named() {
        let sockets = [listener("10.0.0.9", false), listener("127.0.0.1", false)];
        assert_eq!(asked(&sockets, "10.0.0.5"), Here::LoopbackOnly(1));
        assert_eq!(asked(&sockets[..1], "10.0.0.5"), Here::OtherAddress(0));
        assert_eq!(asked(&[], "10.0.0.5"), Here::Nothing);
    }
}
