//! The routes of a routing table, as a dump of RTM_GETROUTE tells them (rtnetlink(7)).
//!
//! The message is that of [`super::route`], with the destination and the table it stands in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::netlink::{self, Attribute};
use super::route::address;
use crate::net::Prefix;

/// The table where an administrator's routes are (include/uapi/linux/rtnetlink.h, RT_TABLE_MAIN).
pub const MAIN: u32 = 254;

/// The table of what is for this machine itself (RT_TABLE_LOCAL).
pub const LOCAL: u32 = 255;

/// One route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    /// To there.
    pub destination: Prefix,
    /// The table it stands in.
    pub table: u32,
    /// RTN_UNICAST is 1, the others as in include/uapi/linux/rtnetlink.h.
    pub kind: u8,
    /// The interface it leaves by; of several the first.
    pub interface: Option<u32>,
    /// Lower is preferred.
    pub metric: u32,
    /// Whether it is a note of the kernel's for one destination, and none that somebody made.
    pub is_cached: bool,
}

impl RouteEntry {
    /// The route of an RTM_NEWROUTE body; `None` when it is cut short or of another family.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let (fixed, rest) = body.split_at_checked(ROUTE)?;
        let everywhere: IpAddr = match fixed[0] {
            2 => Ipv4Addr::UNSPECIFIED.into(),
            10 => Ipv6Addr::UNSPECIFIED.into(),
            _ => return None,
        };
        let flags = u32::from_ne_bytes(fixed.get(8..12)?.try_into().ok()?);
        let mut to = everywhere;
        let mut route = Self {
            destination: Prefix::from(everywhere),
            table: u32::from(fixed[4]),
            kind: fixed[7],
            interface: None,
            metric: 0,
            is_cached: flags & RTM_F_CLONED != 0,
        };
        for attribute in netlink::attributes(rest).map_while(Result::ok) {
            match attribute.kind {
                RTA_DST => to = address(attribute.value)?,
                _ => route.take(attribute),
            }
        }
        route.destination = Prefix::new(to, fixed[1]).ok()?;
        Some(route)
    }

    /// Whether it makes more than one address this machine's own that no interface has: a route of type
    /// local (RTN_LOCAL) to a network, of the table `local` or the main one; 127.0.0.0/8 is always there.
    #[must_use]
    pub fn is_local_network(&self) -> bool {
        let is_read = matches!(self.table, LOCAL | MAIN) && !self.is_cached;
        is_read && self.kind == RTN_LOCAL && !self.destination.address().is_loopback()
    }

    fn take(&mut self, attribute: Attribute<'_>) {
        match attribute.kind {
            RTA_OIF => self.interface = attribute.u32(),
            RTA_PRIORITY => self.metric = attribute.u32().unwrap_or(0),
            RTA_TABLE => self.table = attribute.u32().unwrap_or(self.table),
            // struct rtnexthop: length u16, flags u8, hops u8, interface u32.
            RTA_MULTIPATH if self.interface.is_none() => {
                let index = attribute.value.get(4..8).and_then(|bytes| bytes.try_into().ok());
                self.interface = index.map(u32::from_ne_bytes);
            }
            _ => {}
        }
    }
}

/// RTM_GETRULE (include/uapi/linux/rtnetlink.h): the rules of policy routing.
pub const GET_RULES: u16 = 34;

/// One rule of policy routing: which table is asked when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutingRule {
    /// Lower is asked first.
    pub priority: u32,
    /// The table it asks; 0 where it asks none.
    pub table: u32,
    /// Whether it refuses packets: FR_ACT_BLACKHOLE, FR_ACT_UNREACHABLE or FR_ACT_PROHIBIT.
    pub refuses: bool,
    /// Which packets it is asked for, by their source; what else it asks for is not read.
    pub source: Prefix,
}

impl RoutingRule {
    /// The rule of an RTM_NEWRULE body (struct fib_rule_hdr, include/uapi/linux/fib_rules.h); `None`
    /// when it is cut short or of another family.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let (fixed, rest) = body.split_at_checked(ROUTE)?;
        let mut from: IpAddr = match fixed[0] {
            2 => Ipv4Addr::UNSPECIFIED.into(),
            10 => Ipv6Addr::UNSPECIFIED.into(),
            _ => return None,
        };
        let mut rule = Self {
            priority: 0,
            table: u32::from(fixed[4]),
            refuses: matches!(fixed[7], 6..=8),
            source: Prefix::from(from),
        };
        for attribute in netlink::attributes(rest).map_while(Result::ok) {
            match attribute.kind {
                FRA_PRIORITY => rule.priority = attribute.u32().unwrap_or(0),
                FRA_TABLE => rule.table = attribute.u32().unwrap_or(rule.table),
                FRA_SRC => from = address(attribute.value)?,
                _ => {}
            }
        }
        rule.source = Prefix::new(from, fixed[2]).ok()?;
        Some(rule)
    }

    /// Whether it is one that every machine has: local, main, default (ip-rule(8)).
    #[must_use]
    pub const fn is_usual(self) -> bool {
        matches!((self.priority, self.table), (0, 255) | (32766, MAIN) | (32767, 253))
    }
}

const FRA_SRC: u16 = 2;
const FRA_PRIORITY: u16 = 6;
const FRA_TABLE: u16 = 15;

const ROUTE: usize = 12;
const RTM_F_CLONED: u32 = 0x200;
const RTN_LOCAL: u8 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Vec<u8> {
        let mut body = vec![2, 8, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0];
        netlink::push_attribute(&mut body, RTA_TABLE, &MAIN.to_ne_bytes());
        netlink::push_attribute(&mut body, RTA_DST, &[10, 0, 0, 0]);
        netlink::push_attribute(&mut body, RTA_PRIORITY, &100u32.to_ne_bytes());
        netlink::push_attribute(&mut body, RTA_OIF, &4u32.to_ne_bytes());
        body
    }

    #[test]
    fn a_route_says_where_to_by_what_and_how_gladly() {
        let expected = RouteEntry {
            destination: "10.0.0.0/8".parse().unwrap(),
            table: MAIN,
            kind: 1,
            interface: Some(4),
            metric: 100,
            is_cached: false,
        };
        assert_eq!(RouteEntry::parse(&body()), Some(expected));
        let default = [10, 0, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0];
        let everywhere = RouteEntry::parse(&default).map(|route| route.destination);
        assert_eq!(everywhere, Some("::/0".parse().unwrap()));
    }

    #[test]
    fn rules_that_every_machine_has_are_usual() {
        let rule = |priority: u32, table: u8| {
            let mut body = vec![2, 0, 0, 0, table, 0, 0, 1, 0, 0, 0, 0];
            netlink::push_attribute(&mut body, FRA_PRIORITY, &priority.to_ne_bytes());
            let whole = RoutingRule::parse(&body).unwrap();
            for length in 0..body.len() {
                let _ = RoutingRule::parse(&body[..length]);
            }
            whole.is_usual()
        };
        assert!(rule(0, 255) && rule(32766, 254) && rule(32767, 253));
        assert!(!rule(100, 0) && !rule(0, 254));
    }

    #[test]
    fn a_route_cut_anywhere_is_shorter_or_none() {
        let body = body();
        for length in 0..body.len() {
            let _ = RouteEntry::parse(&body[..length]);
        }
        assert_eq!(RouteEntry::parse(&body[..ROUTE - 1]), None);
    }
}
