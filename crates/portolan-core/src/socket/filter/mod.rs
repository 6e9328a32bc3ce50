//! Filters in the expression language of ss(8).
//!
//! ```text
//! filter     = { ( "state" | "exclude" ) STATE } [ expression ]
//! expression = term { [ and | or ] term }         two terms side by side are joined by "and"
//! term       = [ not ] ( "(" expression ")" | test )
//! test       = ( dst | src ) [=] HOST  |  ( dport | sport ) [OP] PORT  |  dev [OP] NAME
//!            | cgroup [OP] PATH  |  autobound
//! ```
//! Read as ss reads it, not as its manual says: "and" and "or" bind equally and from left to right,
//! so `a or b and c` is `( a or b ) and c` (iproute2's misc/ssfilter.y). Unlike there, operators and
//! parentheses need no blanks around them. A backslash takes the next character as it is.
//! Names of services, hosts, devices and cgroups are resolved by the caller.

mod error;
mod fnmatch;
mod host;
mod lex;
mod parse;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

pub use error::{FilterError, Problem};

use self::fnmatch::Pattern;
use self::lex::Comparison;
use super::{Address, Family, PortChoice, Socket, StateSet};
use crate::net::{Endpoint, Port, Prefix};

/// Which sockets to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    states: Option<StateSet>,
    families: Vec<Family>,
    expression: Option<Expression>,
}

impl Filter {
    /// Reads a filter from the words of a command line; an empty one takes every socket.
    ///
    /// # Errors
    /// [`FilterError`] with the place in the words, joined by blanks.
    pub fn parse<S: AsRef<str>>(words: &[S], names: &Names<'_>) -> Result<Self, FilterError> {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        parse::filter(words.join(" "), names)
    }

    /// The states asked for, so that a dump can be limited to them; `None` where the words name
    /// none and what is usual applies.
    #[must_use]
    pub const fn states(&self) -> Option<StateSet> {
        self.states
    }

    /// The families the words name (`inet:`, `inet6:`, `unix:`); empty for no such limit.
    #[must_use]
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// Whether the words say anything at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `socket` is one to show.
    #[must_use]
    pub fn matches(&self, socket: &Socket) -> bool {
        self.states.is_none_or(|states| states.contains(socket.state))
            && (self.families.is_empty() || self.families.contains(&socket.family))
            && self.expression.as_ref().is_none_or(|expression| expression.matches(socket))
    }
}

/// How the names in a filter are resolved. Core cannot ask the machine.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// The port of a service.
    pub port: &'a dyn Fn(&str) -> Option<Port>,
    /// The addresses of a host; none for an unknown one.
    pub host: &'a dyn Fn(&str) -> Vec<IpAddr>,
    /// The name of an interface, given its name or its index.
    pub device: &'a dyn Fn(&str) -> Option<Arc<str>>,
    /// The id of a cgroup, given the path of its folder.
    pub cgroup: &'a dyn Fn(&str) -> Option<u64>,
}

impl Names<'static> {
    /// Knows no name at all: filters of numbers only.
    pub const NONE: Self =
        Self { port: &|_| None, host: &|_| Vec::new(), device: &|_| None, cgroup: &|_| None };
}

/// Terms in a row, evaluated from the left.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expression {
    first: Term,
    rest: Vec<(Join, Term)>,
}

impl Expression {
    fn matches(&self, socket: &Socket) -> bool {
        self.rest.iter().fold(self.first.matches(socket), |so_far, (join, term)| match join {
            Join::And => so_far && term.matches(socket),
            Join::Or => so_far || term.matches(socket),
        })
    }
}

/// What joins two terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Join {
    And,
    Or,
}

/// One term.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    negated: bool,
    inner: Inner,
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
enum Inner {
    Group(Box<Expression>),
    Test(Test),
}

/// One question about a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
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
enum Side {
    Local,
    Peer,
}

impl Side {
    /// The end of an IP socket; a peer that is not there is the unspecified address, port 0.
    fn endpoint(self, socket: &Socket) -> Option<Endpoint> {
        let local = socket.local.endpoint()?;
        let peer = || socket.peer.as_ref().and_then(Address::endpoint);
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
enum Host {
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

#[cfg(test)]
mod tests;
