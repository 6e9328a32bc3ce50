//! Which way a packet goes: the kernel's answer to RTM_GETROUTE (rtnetlink(7)).
//!
//! ```text
//! route = family u8 · destination length u8 · source length u8 · tos u8 · table u8 · protocol u8
//!         · scope u8 · type u8 · flags u32 · attribute*
//! ```
//! Where there is no way the kernel answers with an error instead: [`NoRoute`].

use std::net::IpAddr;

use super::netlink::{self, Attribute, Errno};

/// RTM_GETROUTE, the request for the way to one address.
pub const GET_ROUTE: u16 = 26;

/// What is asked: the way to `target`, as for a socket with these bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteQuestion {
    /// Where to.
    pub target: IpAddr,
    /// From which of our addresses, where that is settled.
    pub source: Option<IpAddr>,
    /// Out of which interface, where that is settled.
    pub interface: Option<u32>,
}

impl RouteQuestion {
    /// The body of the request.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let bits = if self.target.is_ipv4() { 32 } else { 128 };
        let source_bits = if self.source.is_some() { bits } else { 0 };
        let mut body = vec![family(self.target), bits, source_bits, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        push_address(&mut body, RTA_DST, self.target);
        if let Some(source) = self.source {
            push_address(&mut body, RTA_SRC, source);
        }
        if let Some(interface) = self.interface {
            netlink::push_attribute(&mut body, RTA_OIF, &interface.to_ne_bytes());
        }
        body
    }
}

/// The way a packet takes from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// What becomes of it.
    pub kind: RouteKind,
    /// The interface it leaves by.
    pub interface: Option<u32>,
    /// The router it is handed to; `None` where the target is on the link. It can be of the other
    /// family (RFC 5549).
    pub gateway: Option<IpAddr>,
    /// The address it leaves with.
    pub source: Option<IpAddr>,
    /// The largest packet, where the route has a limit of its own.
    pub mtu: Option<u32>,
}

/// What becomes of a packet on its route (include/uapi/linux/rtnetlink.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteKind {
    /// It is sent on.
    Unicast,
    /// It is for this machine itself.
    Local,
    /// It is for everybody on the link.
    Broadcast,
    /// It is for one of several, of which this machine is one.
    Anycast,
    /// It is for a group.
    Multicast,
    /// It is lost in silence.
    Blackhole,
    /// It is refused: host unreachable.
    Unreachable,
    /// It is refused: prohibited.
    Prohibit,
    /// Anything else, by its number.
    Other(u8),
}

impl RouteKind {
    const fn of(number: u8) -> Self {
        match number {
            1 => Self::Unicast,
            2 => Self::Local,
            3 => Self::Broadcast,
            4 => Self::Anycast,
            5 => Self::Multicast,
            6 => Self::Blackhole,
            7 => Self::Unreachable,
            8 => Self::Prohibit,
            other => Self::Other(other),
        }
    }
}

impl Route {
    /// The route of an RTM_NEWROUTE body; `None` when it is cut short.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let (fixed, rest) = body.split_at_checked(ROUTE)?;
        let mut route = Self {
            kind: RouteKind::of(fixed[7]),
            interface: None,
            gateway: None,
            source: None,
            mtu: None,
        };
        for attribute in netlink::attributes(rest).map_while(Result::ok) {
            route.take(attribute);
        }
        Some(route)
    }

    fn take(&mut self, attribute: Attribute<'_>) {
        match attribute.kind {
            RTA_OIF => self.interface = attribute.u32(),
            RTA_GATEWAY => self.gateway = address(attribute.value),
            // A u16 of the family stands before the address.
            RTA_VIA => self.gateway = attribute.value.get(2..).and_then(address),
            RTA_PREFSRC => self.source = address(attribute.value),
            RTA_METRICS => self.mtu = mtu(attribute.value),
            _ => {}
        }
    }
}

/// Why there is no way: the error number the kernel answers with (net/ipv4/fib_semantics.c,
/// `fib_props`; net/ipv6/route.c, `ip6_rt_type_to_error`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoRoute {
    /// No route matches (ENETUNREACH), or only one of type `throw`.
    Missing,
    /// A route of type `unreachable` (EHOSTUNREACH).
    Unreachable,
    /// A route of type `prohibit` (EACCES).
    Prohibit,
    /// A route of type `blackhole` (EINVAL); also how a source address that is not ours is refused.
    Blackhole,
    /// Anything else.
    Other(Errno),
}

impl From<Errno> for NoRoute {
    fn from(errno: Errno) -> Self {
        match errno.0 {
            101 => Self::Missing,
            113 => Self::Unreachable,
            13 => Self::Prohibit,
            22 => Self::Blackhole,
            _ => Self::Other(errno),
        }
    }
}

fn mtu(metrics: &[u8]) -> Option<u32> {
    let mut metrics = netlink::attributes(metrics).map_while(Result::ok);
    metrics.find(|metric| metric.kind == RTAX_MTU)?.u32()
}

/// The address that these bytes are: four for IPv4, sixteen for IPv6.
pub(super) fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    }
}

/// AF_INET or AF_INET6.
pub(super) const fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 2,
        IpAddr::V6(_) => 10,
    }
}

/// An attribute that holds an address.
pub(super) fn push_address(body: &mut Vec<u8>, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => netlink::push_attribute(body, kind, &v4.octets()),
        IpAddr::V6(v6) => netlink::push_attribute(body, kind, &v6.octets()),
    }
}

const ROUTE: usize = 12;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_VIA: u16 = 18;
const RTAX_MTU: u16 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn body() -> Vec<u8> {
        let mut body = vec![2, 32, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0];
        push_address(&mut body, RTA_DST, ip("10.78.0.2"));
        netlink::push_attribute(&mut body, RTA_OIF, &4u32.to_ne_bytes());
        push_address(&mut body, RTA_PREFSRC, ip("10.77.0.1"));
        push_address(&mut body, RTA_GATEWAY, ip("10.77.0.254"));
        let mut metrics = Vec::new();
        netlink::push_attribute(&mut metrics, RTAX_MTU, &1400u32.to_ne_bytes());
        netlink::push_attribute(&mut body, RTA_METRICS, &metrics);
        body
    }

    #[test]
    fn a_route_says_interface_router_source_and_size() {
        let expected = Route {
            kind: RouteKind::Unicast,
            interface: Some(4),
            gateway: Some(ip("10.77.0.254")),
            source: Some(ip("10.77.0.1")),
            mtu: Some(1400),
        };
        assert_eq!(Route::parse(&body()), Some(expected));
    }

    #[test]
    fn a_router_can_be_of_the_other_family() {
        let mut body = vec![2, 32, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0];
        let mut via = 10u16.to_ne_bytes().to_vec();
        via.extend("fe80::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
        netlink::push_attribute(&mut body, RTA_VIA, &via);
        assert_eq!(Route::parse(&body).unwrap().gateway, Some(ip("fe80::1")));
    }

    #[test]
    fn a_question_names_target_source_and_interface() {
        let question = RouteQuestion {
            target: ip("fd00::2"),
            source: Some(ip("fd00::1")),
            interface: Some(7),
        };
        let body = question.body();
        assert_eq!(&body[..3], [10, 128, 128]);
        let kinds: Vec<u16> =
            netlink::attributes(&body[ROUTE..]).map(|a| a.unwrap().kind).collect();
        assert_eq!(kinds, [RTA_DST, RTA_SRC, RTA_OIF]);
    }

    #[test]
    fn a_route_cut_anywhere_is_shorter_or_none() {
        let body = body();
        for length in 0..body.len() {
            assert_eq!(Route::parse(&body[..length]).is_some(), length >= ROUTE);
        }
    }
}
