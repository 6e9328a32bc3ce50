//! The tree of a filter, and what it says of a socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::fnmatch::Pattern;
use super::lex::Comparison;
use crate::net::{Endpoint, Port, Prefix};
use crate::socket::{Address, PortChoice, Socket};

/// Terms in a row, evaluated from the left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expression {
    pub(super) first: Term,
    pub(super) rest: Vec<(Join, Term)>,
}

impl Expression {
    pub(super) fn asks_who_chose_ports(&self) -> bool {
        let terms = std::iter::once(&self.first).chain(self.rest.iter().map(|(_, term)| term));
        terms.into_iter().any(|term| match &term.inner {
            Inner::Group(expression) => expression.asks_who_chose_ports(),
            Inner::Test(test) => *test == Test::Autobound,
        })
    }

    pub(super) fn matches(&self, socket: &Socket) -> bool {
        self.rest.iter().fold(self.first.matches(socket), |so_far, (join, term)| match join {
            Join::And => so_far && term.matches(socket),
            Join::Or => so_far || term.matches(socket),
        })
    }
}

/// What joins two terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    And,
    Or,
}

/// One term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) negated: bool,
    pub(super) inner: Inner,
}

impl Term {
    fn matches(&self, socket: &Socket) -> bool {
        self.negated
            != match &self.inner {
                Inner::Group(expression) => expression.matches(socket),
                Inner::Test(test) => test.matches(socket),
            }
    }
}

/// A term without its negation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Inner {
    Group(Box<Expression>),
    Test(Test),
}

/// One question about a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Host(Side, Host),
    Port(Side, Comparison, Port),
    Device(Arc<str>),
    Cgroup(u64),
    Autobound,
}

impl Test {
    fn matches(&self, socket: &Socket) -> bool {
        match self {
            Self::Host(side, host) => host.matches(side, socket),
            Self::Port(side, comparison, port) => {
                side.endpoint(socket).is_some_and(|end| comparison.holds(end.port, *port))
            }
            Self::Device(name) => socket.device.as_ref() == Some(name),
            Self::Cgroup(id) => socket.cgroup == Some(*id),
            Self::Autobound => is_autobound(socket),
        }
    }
}

/// One end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Local,
    Peer,
}

impl Side {
    /// The end of an IP socket; a peer that is not there is the unspecified address, port 0.
    fn endpoint(self, socket: &Socket) -> Option<Endpoint> {
        let local = socket.local.endpoint()?;
        let peer = || socket.peer_endpoint();
        let nobody = || match local.address {
            IpAddr::V4(_) => Endpoint::new(Ipv4Addr::UNSPECIFIED.into(), Port(0)),
            IpAddr::V6(_) => Endpoint::new(Ipv6Addr::UNSPECIFIED.into(), Port(0)),
        };
        Some(match self {
            Self::Local => local,
            Self::Peer => peer().unwrap_or_else(nobody),
        })
    }

    /// The name of a unix socket, empty where it has none.
    fn unix_name(self, socket: &Socket) -> Option<&str> {
        let Address::Unix(local) = &socket.local else { return None };
        Some(match (self, &socket.peer) {
            (Self::Local, _) => local.as_deref().unwrap_or_default(),
            (Self::Peer, Some(Address::Unix(Some(name)))) => name,
            (Self::Peer, _) => "",
        })
    }
}

/// What an end may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// An IP socket's end: inside one of the networks, if any are given, and on this port, if one is.
    Inet { networks: Option<Vec<Prefix>>, port: Option<Port> },
    /// A unix socket's name, by fnmatch(3).
    Unix(Pattern),
}

impl Host {
    fn matches(&self, side: &Side, socket: &Socket) -> bool {
        match self {
            Self::Unix(pattern) => side.unix_name(socket).is_some_and(|name| pattern.matches(name)),
            Self::Inet { networks, port } => side.endpoint(socket).is_some_and(|end| {
                port.is_none_or(|port| port == end.port)
                    && networks
                        .as_ref()
                        .is_none_or(|all| all.iter().any(|n| lies_in(end.address, *n)))
            }),
        }
    }
}

/// An IPv4 network holds IPv4 spoken through an IPv6 socket too; an IPv6 network never holds IPv4.
fn lies_in(address: IpAddr, network: Prefix) -> bool {
    let mapped = || match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map(IpAddr::V4),
        IpAddr::V4(_) => None,
    };
    network.contains(address) || mapped().is_some_and(|v4| network.contains(v4))
}

/// Whether nobody asked for the name it has. The kernel names unix sockets `@` and five digits
/// (unix_autobind).
fn is_autobound(socket: &Socket) -> bool {
    match &socket.local {
        Address::Inet(_) => socket.port_choice == Some(PortChoice::Kernel),
        Address::Unix(None) => true,
        Address::Unix(Some(name)) => name.strip_prefix('@').is_some_and(|id| {
            id.len() == 5 && id.bytes().all(|b| b"0123456789abcdef".contains(&b))
        }),
        Address::Packet { protocol } => *protocol == 0 && socket.device.is_none(),
    }
}
