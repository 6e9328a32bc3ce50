//! From how far away something can be reached, as far as it can be told without a firewall.
//!
//! Two facts say something: where a socket is bound, and whom `from` names. A firewall can only
//! narrow both; it is not looked at here.

use crate::firewall::Addresses;
use crate::inventory::SourceExtent;
use crate::net::{Prefix, Scope};
use crate::socket::Held;

use super::Severity;

/// How far away those who can come are, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Programs of this machine.
    Machine,
    /// The same link.
    Link,
    /// Private networks: this site, a VPN.
    Site,
    /// Public addresses, but only some that are named.
    Named,
    /// Anyone a route leads from.
    Anyone,
}

impl Reach {
    /// As far as a socket bound in `scope` can be reached.
    #[must_use]
    pub const fn of_scope(scope: Scope) -> Self {
        match scope {
            Scope::Loopback => Self::Machine,
            Scope::LinkLocal | Scope::Multicast => Self::Link,
            Scope::Private | Scope::Cgnat => Self::Site,
            Scope::Global | Scope::Wildcard => Self::Anyone,
        }
    }

    /// As far as one socket can be reached; one that is bound to the loopback device stays here
    /// whatever its address says (SO_BINDTODEVICE, socket(7)).
    #[must_use]
    pub fn of_socket(held: &Held) -> Self {
        if held.socket.device.as_deref() == Some("lo") {
            return Self::Machine;
        }
        held.socket.scope().map_or(Self::Machine, Self::of_scope)
    }

    /// As far as the farthest of some sockets can be reached.
    pub fn of_sockets<'a>(sockets: impl IntoIterator<Item = &'a Held>) -> Self {
        sockets.into_iter().map(Self::of_socket).max().unwrap_or(Self::Machine)
    }

    /// As far away as the addresses of `extent` are. What is not resolved counts as named.
    #[must_use]
    pub fn of_extent(extent: &SourceExtent) -> Self {
        if extent.any || extent.prefixes.iter().any(|p| p.length() == 0) {
            return Self::Anyone;
        }
        let unresolved = (!extent.unresolved.is_empty()).then_some(Self::Named);
        let named = extent.prefixes.iter().map(|p| Self::of_prefix(*p));
        named.chain(unresolved).max().unwrap_or(Self::Machine)
    }

    /// As far away as some addresses are: anyone, where most of a family is among them.
    #[must_use]
    pub fn of_addresses(addresses: &Addresses) -> Self {
        let prefixes = [false, true].into_iter().flat_map(|is_v6| addresses.prefixes(is_v6));
        let of_one = |prefix: Prefix| match prefix.length() {
            0..8 => Self::Anyone,
            _ => Self::of_prefix(prefix),
        };
        prefixes.map(of_one).max().unwrap_or(Self::Machine)
    }

    /// A prefix lies in one scope, since its first address does; a short one may hold several, and
    /// then the first is not the narrowest but still no claim that it is everybody.
    fn of_prefix(prefix: Prefix) -> Self {
        match Scope::of(prefix.address()) {
            Scope::Loopback => Self::Machine,
            Scope::LinkLocal => Self::Link,
            Scope::Private | Scope::Cgnat => Self::Site,
            Scope::Global | Scope::Wildcard | Scope::Multicast => Self::Named,
        }
    }

    /// How bad something unwanted is that can be reached from so far.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Machine => Severity::Low,
            Self::Link | Self::Site | Self::Named => Severity::Medium,
            Self::Anyone => Severity::High,
        }
    }

    /// In words, after "reachable from".
    #[must_use]
    pub const fn as_phrase(self) -> &'static str {
        match self {
            Self::Machine => "this machine",
            Self::Link => "this link",
            Self::Site => "private networks",
            Self::Named => "named networks",
            Self::Anyone => "any network",
        }
    }
}
