//! How far an address reaches: the first half of "who can reach this port".
//!
//! From the IANA special-purpose registries (RFC 6890), RFC 1918, RFC 4193, RFC 6598, RFC 3927,
//! RFC 4291. A firewall can only narrow what the scope allows.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The reach of an address, from nearest to farthest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// 127.0.0.0/8, ::1: this machine only.
    Loopback,
    /// 169.254.0.0/16, fe80::/10: this link only.
    LinkLocal,
    /// RFC 1918, fc00::/7: this site.
    Private,
    /// 100.64.0.0/10 (RFC 6598): behind a provider's NAT, and many VPNs.
    Cgnat,
    /// Any other unicast address: wherever routes lead.
    Global,
    /// 0.0.0.0, ::: every address of this machine.
    Wildcard,
    /// 224.0.0.0/4, ff00::/8, 255.255.255.255: a group, not a host.
    Multicast,
}

impl Scope {
    /// The scope of `address`; an IPv4-mapped one has that of the IPv4 address inside.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => of_ipv4(v4),
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(|| of_ipv6(v6), of_ipv4),
        }
    }

    /// The word used in JSON, kebab-case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Private => "private",
            Self::Cgnat => "cgnat",
            Self::Global => "global",
            Self::Wildcard => "wildcard",
            Self::Multicast => "multicast",
        }
    }

    /// Who could reach a listener bound here if no firewall stood in the way.
    #[must_use]
    pub const fn reachable_from(self) -> &'static str {
        match self {
            Self::Loopback => "this machine",
            Self::LinkLocal => "this link",
            Self::Private => "this site",
            Self::Cgnat => "provider or VPN",
            Self::Global => "anywhere",
            Self::Wildcard => "any network",
            Self::Multicast => "a group",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

fn of_ipv4(address: Ipv4Addr) -> Scope {
    let [a, b, ..] = address.octets();
    match address {
        _ if address.is_unspecified() => Scope::Wildcard,
        _ if address.is_loopback() => Scope::Loopback,
        _ if address.is_link_local() => Scope::LinkLocal,
        _ if address.is_private() => Scope::Private,
        _ if a == 100 && (64..128).contains(&b) => Scope::Cgnat,
        _ if address.is_multicast() || address.is_broadcast() => Scope::Multicast,
        _ => Scope::Global,
    }
}

fn of_ipv6(address: Ipv6Addr) -> Scope {
    match address {
        _ if address.is_unspecified() => Scope::Wildcard,
        _ if address.is_loopback() => Scope::Loopback,
        _ if address.is_unicast_link_local() => Scope::LinkLocal,
        _ if address.is_unique_local() => Scope::Private,
        _ if address.is_multicast() => Scope::Multicast,
        _ => Scope::Global,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_special_range_has_its_scope() {
        for (address, scope) in [
            ("0.0.0.0", Scope::Wildcard),
            ("::", Scope::Wildcard),
            ("127.1.2.3", Scope::Loopback),
            ("::1", Scope::Loopback),
            ("::ffff:127.0.0.1", Scope::Loopback),
            ("169.254.9.9", Scope::LinkLocal),
            ("fe80::1", Scope::LinkLocal),
            ("172.16.0.1", Scope::Private),
            ("172.32.0.1", Scope::Global),
            ("fd00::1", Scope::Private),
            ("100.64.0.1", Scope::Cgnat),
            ("100.128.0.1", Scope::Global),
            ("203.0.113.5", Scope::Global),
            ("224.0.0.251", Scope::Multicast),
            ("ff02::fb", Scope::Multicast),
        ] {
            assert_eq!(Scope::of(address.parse().unwrap()), scope, "{address}");
        }
    }
}
