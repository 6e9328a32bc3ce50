//! What a host needs to live, whatever is declared: rows named `base-…`.
//!
//! Without these a host that drops by default loses its loopback, its answers, its IPv6
//! neighbours and its lease. A service of the same name takes the place of a row on its hosts.

use crate::inventory::index::Index;
use crate::inventory::{FirewallDefault, Host, Inventory};
use crate::net::{Port, Transport, TransportSet};

/// A row every compiled host has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseRow<'a> {
    /// The machine.
    pub host: &'a Host,
    /// `base-…`.
    pub name: &'static str,
    /// Which way.
    pub direction: Direction,
    /// What.
    pub traffic: BaseTraffic,
    /// With whom.
    pub peers: Peers,
    /// Why, with its source.
    pub why: &'static str,
}

/// Which way traffic goes, seen from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To this machine.
    In,
    /// From this machine.
    Out,
}

impl Direction {
    /// The word in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// What a base row lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseTraffic {
    /// Everything on the loopback interface.
    Loopback,
    /// Packets of connections that were let through before, and what belongs to them.
    Established,
    /// ICMP, by type.
    Icmp(&'static [(u8, &'static str)]),
    /// ICMPv6, by type.
    Icmpv6(&'static [(u8, &'static str)]),
    /// IGMP to groups: what ICMPv6 does for IPv6 groups, IPv4 has a protocol of its own for.
    Igmp,
    /// A port.
    Port {
        /// Over these.
        transports: TransportSet,
        /// The port of the sender, where it is fixed.
        source: Option<Port>,
        /// The port it goes to.
        destination: Port,
    },
}

/// With whom a base row lets a host speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peers {
    /// Nobody but itself.
    ThisMachine,
    /// Everybody.
    Any,
    /// Neighbours on the same link.
    ThisLink,
    /// The name servers the machine is configured with.
    Resolvers,
}

impl Peers {
    /// The words in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ThisMachine => "this machine",
            Self::Any => "any",
            Self::ThisLink => "this link",
            Self::Resolvers => "its resolvers",
        }
    }
}

/// A row before it is given to a host.
struct Base {
    name: &'static str,
    way: Way,
    traffic: BaseTraffic,
    peers: Peers,
    why: &'static str,
}

/// When a row applies.
#[derive(PartialEq, Eq)]
enum Way {
    /// Inwards on every host; outwards too where the host drops what it sends.
    Both,
    /// Inwards on every host.
    In,
    /// Outwards, where the host drops what it sends.
    Out,
}

/// The base rows of every host, by host name.
pub(super) fn rows<'a>(inventory: &'a Inventory, index: &Index<'a>) -> Vec<BaseRow<'a>> {
    let mut hosts: Vec<&Host> = inventory.hosts.iter().filter(|h| h.firewall.base).collect();
    hosts.sort_by(|a, b| a.name.cmp(&b.name));
    hosts.into_iter().flat_map(|host| rows_of(index, host)).collect()
}

fn rows_of<'a>(index: &Index<'a>, host: &'a Host) -> Vec<BaseRow<'a>> {
    let closed = host.firewall.egress == FirewallDefault::Drop;
    let overridden = |name: &str| index.service(name).is_some_and(|s| host.is_meant_by(&s.on));
    let row = |base: &Base, direction| BaseRow {
        host,
        name: base.name,
        direction,
        traffic: base.traffic,
        peers: base.peers,
        why: base.why,
    };
    let base = || BASE.iter().filter(|base| !overridden(base.name));
    let inwards = base().filter(|b| b.way != Way::Out).map(|b| row(b, Direction::In));
    let outwards = base().filter(|b| closed && b.way != Way::In).map(|b| row(b, Direction::Out));
    inwards.chain(outwards).collect()
}

const UDP: TransportSet = TransportSet::NONE.with(Transport::Udp);

const fn from_to(source: u16, destination: u16) -> BaseTraffic {
    let (source, destination) = (Some(Port(source)), Port(destination));
    BaseTraffic::Port { transports: UDP, source, destination }
}

/// Types without which errors and path MTU discovery are lost (RFC 1122 §3.2.2, RFC 1191), and echo.
const ICMP: &[(u8, &str)] = &[
    (3, "destination-unreachable"),
    (8, "echo-request"),
    (11, "time-exceeded"),
    (12, "parameter-problem"),
];

/// RFC 4890 §4.4.1: error messages and echo.
const ICMPV6: &[(u8, &str)] = &[
    (1, "destination-unreachable"),
    (2, "packet-too-big"),
    (3, "time-exceeded"),
    (4, "parameter-problem"),
    (128, "echo-request"),
    (129, "echo-reply"),
];

/// RFC 4890 §4.4.1: address configuration, neighbours and the certificates of routers (RFC 3971); they
/// have a hop limit of 255.
const NEIGHBOURS: &[(u8, &str)] = &[
    (133, "router-solicit"),
    (134, "router-advert"),
    (135, "neighbor-solicit"),
    (136, "neighbor-advert"),
    (141, "inverse-neighbor-solicit"),
    (142, "inverse-neighbor-advert"),
    (148, "certification-path-solicit"),
    (149, "certification-path-advert"),
];

/// RFC 4890 §4.4.1: multicast listeners (RFC 2710, RFC 3810) and routers (RFC 4286); they have a hop
/// limit of 1.
const LISTENERS: &[(u8, &str)] = &[
    (130, "mld-query"),
    (131, "mld-report"),
    (132, "mld-done"),
    (143, "mldv2-report"),
    (151, "multicast-router-advert"),
    (152, "multicast-router-solicit"),
    (153, "multicast-router-termination"),
];

/// In the order of compilation.
const BASE: &[Base] = &[
    Base {
        name: "base-loopback",
        way: Way::Both,
        traffic: BaseTraffic::Loopback,
        peers: Peers::ThisMachine,
        why: "programs of this machine speak to each other",
    },
    Base {
        name: "base-established",
        way: Way::Both,
        traffic: BaseTraffic::Established,
        peers: Peers::Any,
        why: "answers to what was let through",
    },
    Base {
        name: "base-icmp",
        way: Way::Both,
        traffic: BaseTraffic::Icmp(ICMP),
        peers: Peers::Any,
        why: "errors, path MTU and echo (RFC 1122, RFC 1191)",
    },
    Base {
        name: "base-icmpv6",
        way: Way::Both,
        traffic: BaseTraffic::Icmpv6(ICMPV6),
        peers: Peers::Any,
        why: "errors, path MTU and echo (RFC 4890)",
    },
    Base {
        name: "base-icmpv6-nd",
        way: Way::Both,
        traffic: BaseTraffic::Icmpv6(NEIGHBOURS),
        peers: Peers::ThisLink,
        why: "neighbours and routers (RFC 4890)",
    },
    Base {
        name: "base-icmpv6-mld",
        way: Way::Both,
        traffic: BaseTraffic::Icmpv6(LISTENERS),
        peers: Peers::ThisLink,
        why: "multicast listeners (RFC 4890)",
    },
    // Queries come by the input hook (net/ipv4/igmp.c). A host that leaves them unanswered is forgotten
    // by every switch that snoops (RFC 4541), some minutes after it joined a group.
    Base {
        name: "base-igmp",
        way: Way::Both,
        traffic: BaseTraffic::Igmp,
        peers: Peers::ThisLink,
        why: "members of multicast groups (RFC 3376, RFC 4541)",
    },
    Base {
        name: "base-dhcpv4-client",
        way: Way::In,
        traffic: from_to(67, 68),
        peers: Peers::Any,
        why: "the lease of the address (RFC 2131)",
    },
    // Servers listen on 547 but need not send from it (RFC 8415 §7.2), and some answer from a global
    // address; to the client's link-local one they always do, and no router passes that on.
    Base {
        name: "base-dhcpv6-client",
        way: Way::In,
        traffic: BaseTraffic::Port { transports: UDP, source: None, destination: Port(546) },
        peers: Peers::ThisLink,
        why: "the lease of the address (RFC 8415)",
    },
    Base {
        name: "base-dhcpv4-client",
        way: Way::Out,
        traffic: from_to(68, 67),
        peers: Peers::Any,
        why: "asking for the lease (RFC 2131)",
    },
    Base {
        name: "base-dhcpv6-client",
        way: Way::Out,
        traffic: from_to(546, 547),
        peers: Peers::ThisLink,
        why: "asking for the lease (RFC 8415)",
    },
    Base {
        name: "base-dns",
        way: Way::Out,
        traffic: BaseTraffic::Port {
            transports: UDP.with(Transport::Tcp),
            source: None,
            destination: Port(53),
        },
        peers: Peers::Resolvers,
        why: "names (RFC 7766: TCP too)",
    },
    Base {
        name: "base-ntp",
        way: Way::Out,
        traffic: BaseTraffic::Port { transports: UDP, source: None, destination: Port(123) },
        peers: Peers::Any,
        why: "the time (RFC 5905)",
    },
];
