//! The routes of a routing table, as a dump of RTM_GETROUTE tells them (rtnetlink(7)).
//!
//! The message is that of [`super::route`], with the destination and the table it stands in.

use std::fmt;
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingRule {
    /// Lower is asked first.
    pub priority: u32,
    /// Whether it is about IPv6.
    pub is_v6: bool,
    /// What is done with packets it is for.
    pub action: RuleAction,
    /// Whether it is for all packets but those (`not`).
    pub is_inverted: bool,
    /// Packets from there.
    pub source: Prefix,
    /// Packets to there.
    pub destination: Prefix,
    /// Packets that come in by this interface; `lo`: those of this machine.
    pub interface_in: Option<Box<str>>,
    /// Packets of sockets that are bound to this interface.
    pub interface_out: Option<Box<str>>,
    /// Packets whose mark is this one under this mask.
    pub mark: Option<(u32, u32)>,
    /// What else it asks of packets, by the words of ip-rule(8); their values are not read.
    pub asks: Vec<&'static str>,
    /// Routes to networks no longer than this are not taken from its table.
    pub least_length: Option<u32>,
}

/// What a rule of policy routing does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleAction {
    /// Asks this table; where it has no route, the next rule is asked.
    Lookup(u32),
    /// Asks the table of the VRF that the packet's interface belongs to (`l3mdev`).
    OfVrf,
    /// Goes on at this priority.
    Goto(u32),
    /// Nothing.
    Nothing,
    /// Refuses packets: blackhole, unreachable or prohibit.
    Refuses,
}

impl RoutingRule {
    /// The rule of an RTM_NEWRULE body (struct fib_rule_hdr, include/uapi/linux/fib_rules.h); `None`
    /// when it is cut short or of another family.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let (fixed, rest) = body.split_at_checked(ROUTE)?;
        let everywhere: IpAddr = match fixed[0] {
            2 => Ipv4Addr::UNSPECIFIED.into(),
            10 => Ipv6Addr::UNSPECIFIED.into(),
            _ => return None,
        };
        let (mut from, mut to) = (everywhere, everywhere);
        let flags = u32::from_ne_bytes(fixed.get(8..12)?.try_into().ok()?);
        let (mut table, mut goes_to) = (u32::from(fixed[4]), 0);
        let (mut is_of_vrf, mut mark, mut mask) = (false, None, None);
        let mut rule = Self {
            priority: 0,
            is_v6: fixed[0] == 10,
            action: RuleAction::Nothing,
            is_inverted: flags & FIB_RULE_INVERT != 0,
            source: Prefix::from(everywhere),
            destination: Prefix::from(everywhere),
            interface_in: None,
            interface_out: None,
            mark: None,
            asks: Vec::new(),
            least_length: None,
        };
        if fixed[3] != 0 {
            rule.asks.push("tos");
        }
        for attribute in netlink::attributes(rest).map_while(Result::ok) {
            match attribute.kind {
                FRA_DST => to = address(attribute.value)?,
                FRA_SRC => from = address(attribute.value)?,
                FRA_TABLE => table = attribute.u32().unwrap_or(table),
                FRA_GOTO => goes_to = attribute.u32().unwrap_or(0),
                FRA_FWMARK => mark = attribute.u32(),
                FRA_FWMASK => mask = attribute.u32(),
                FRA_L3MDEV => is_of_vrf = attribute.u8() == Some(1),
                _ => rule.take(attribute),
            }
        }
        rule.source = Prefix::new(from, fixed[2]).ok()?;
        rule.destination = Prefix::new(to, fixed[1]).ok()?;
        // A mask alone asks for marks without those bits.
        let mask = mask.unwrap_or(if mark.is_some() { u32::MAX } else { 0 });
        rule.mark = (mask != 0).then(|| (mark.unwrap_or(0), mask));
        rule.action = match fixed[7] {
            1 if is_of_vrf => RuleAction::OfVrf,
            1 => RuleAction::Lookup(table),
            2 => RuleAction::Goto(goes_to),
            6..=8 => RuleAction::Refuses,
            _ => RuleAction::Nothing,
        };
        Some(rule)
    }

    fn take(&mut self, attribute: Attribute<'_>) {
        match attribute.kind {
            FRA_PRIORITY => self.priority = attribute.u32().unwrap_or(0),
            FRA_IIFNAME => self.interface_in = Some(name(attribute.value)),
            FRA_OIFNAME => self.interface_out = Some(name(attribute.value)),
            // None is written as -1.
            FRA_SUPPRESS_PREFIXLEN => {
                self.least_length = attribute.u32().filter(|length| *length != u32::MAX);
            }
            FRA_SUPPRESS_IFGROUP if attribute.u32() != Some(u32::MAX) => {
                self.asks.push("suppress_ifgroup");
            }
            kind => {
                let named = ASKED.iter().find(|(number, _)| *number == kind);
                self.asks.extend(named.map(|(_, word)| *word));
            }
        }
    }

    /// Whether it is one that every machine has: local, main, default (ip-rule(8)).
    #[must_use]
    pub fn is_usual(&self) -> bool {
        let lookups = [(0, LOCAL), (32766, MAIN), (32767, DEFAULT)];
        let all =
            Self { priority: self.priority, action: self.action, ..Self::everything(self.is_v6) };
        let is_lookup = |(priority, table): &(u32, u32)| {
            self.priority == *priority && self.action == RuleAction::Lookup(*table)
        };
        *self == all && lookups.iter().any(is_lookup)
    }

    /// A rule for every packet of a family that does nothing.
    #[must_use]
    pub fn everything(is_v6: bool) -> Self {
        let everywhere: IpAddr = match is_v6 {
            false => Ipv4Addr::UNSPECIFIED.into(),
            true => Ipv6Addr::UNSPECIFIED.into(),
        };
        let all = Prefix::new(everywhere, 0).unwrap_or(Prefix::from(everywhere));
        Self {
            priority: 0,
            is_v6,
            action: RuleAction::Nothing,
            is_inverted: false,
            source: all,
            destination: all,
            interface_in: None,
            interface_out: None,
            mark: None,
            asks: Vec::new(),
            least_length: None,
        }
    }
}

/// As `ip rule` writes it.
impl fmt::Display for RoutingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.priority, if self.is_inverted { " not" } else { "" })?;
        match self.source.length() {
            0 => f.write_str(" from all")?,
            _ => write!(f, " from {}", self.source)?,
        }
        if self.destination.length() > 0 {
            write!(f, " to {}", self.destination)?;
        }
        match self.mark {
            Some((mark, u32::MAX)) => write!(f, " fwmark {mark:#x}")?,
            Some((mark, mask)) => write!(f, " fwmark {mark:#x}/{mask:#x}")?,
            None => {}
        }
        for (word, name) in [("iif", &self.interface_in), ("oif", &self.interface_out)] {
            if let Some(name) = name {
                write!(f, " {word} {name}")?;
            }
        }
        for word in &self.asks {
            write!(f, " {word} …")?;
        }
        match self.action {
            RuleAction::Lookup(MAIN) => f.write_str(" lookup main")?,
            RuleAction::Lookup(LOCAL) => f.write_str(" lookup local")?,
            RuleAction::Lookup(DEFAULT) => f.write_str(" lookup default")?,
            RuleAction::Lookup(table) => write!(f, " lookup {table}")?,
            RuleAction::OfVrf => f.write_str(" lookup [l3mdev-table]")?,
            RuleAction::Goto(priority) => write!(f, " goto {priority}")?,
            RuleAction::Nothing => f.write_str(" nop")?,
            RuleAction::Refuses => f.write_str(" prohibit")?,
        }
        match self.least_length {
            Some(length) => write!(f, " suppress_prefixlength {length}"),
            None => Ok(()),
        }
    }
}

/// A name, without the zero that ends it.
fn name(bytes: &[u8]) -> Box<str> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or(bytes)).into()
}

/// The table that is asked last (RT_TABLE_DEFAULT).
pub const DEFAULT: u32 = 253;

const FIB_RULE_INVERT: u32 = 2;
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_IFGROUP: u16 = 13;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_L3MDEV: u16 = 19;

/// What rules may ask for beside (include/uapi/linux/fib_rules.h).
const ASKED: [(u16, &str); 9] = [
    (11, "realms"),
    (12, "tun_id"),
    (20, "uidrange"),
    (22, "ipproto"),
    (23, "sport"),
    (24, "dport"),
    (25, "dscp"),
    (26, "flowlabel"),
    (27, "flowlabel"),
];

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

    fn rule(fixed: [u8; 12], attributes: &[(u16, &[u8])]) -> RoutingRule {
        let mut body = fixed.to_vec();
        for (kind, value) in attributes {
            netlink::push_attribute(&mut body, *kind, value);
        }
        for length in 0..body.len() {
            let _ = RoutingRule::parse(&body[..length]);
        }
        RoutingRule::parse(&body).unwrap()
    }

    #[test]
    fn rules_that_every_machine_has_are_usual() {
        let is_usual = |priority: u32, table: u8| {
            let fixed = [2, 0, 0, 0, table, 0, 0, 1, 0, 0, 0, 0];
            rule(fixed, &[(FRA_PRIORITY, &priority.to_ne_bytes())]).is_usual()
        };
        assert!(is_usual(0, 255) && is_usual(32766, 254) && is_usual(32767, 253));
        assert!(!is_usual(100, 0) && !is_usual(0, 254));
    }

    #[test]
    fn a_rule_says_what_it_asks_for_as_ip_rule_does() {
        let one =
            |fixed: [u8; 12], attributes: &[(u16, &[u8])]| rule(fixed, attributes).to_string();
        let number = |number: u32| number.to_ne_bytes();
        let mut not = [2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        not[8..].copy_from_slice(&FIB_RULE_INVERT.to_ne_bytes());
        let wireguard = [
            (FRA_PRIORITY, &number(32765)[..]),
            (FRA_FWMARK, &number(0xca6c)),
            (FRA_TABLE, &number(51820)),
            (FRA_SUPPRESS_PREFIXLEN, &number(u32::MAX)),
        ];
        assert_eq!(one(not, &wireguard), "32765: not from all fwmark 0xca6c lookup 51820");
        let main = [2, 0, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0];
        let less = [(FRA_PRIORITY, &number(9)[..]), (FRA_SUPPRESS_PREFIXLEN, &number(0))];
        assert_eq!(one(main, &less), "9: from all lookup main suppress_prefixlength 0");
        let refuses = [2, 24, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0];
        let by = [(FRA_DST, &[10, 1, 1, 0][..]), (FRA_IIFNAME, b"eth0\0"), (20, &[0; 8])];
        assert_eq!(one(refuses, &by), "0: from all to 10.1.1.0/24 iif eth0 uidrange … prohibit");
        let vrf = [10, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(one(vrf, &[(FRA_L3MDEV, &[1])]), "0: from all lookup [l3mdev-table]");
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
