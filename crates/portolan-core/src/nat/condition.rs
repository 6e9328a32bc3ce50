//! What a rule asks of a packet, and whether traffic to a socket's place meets it.
//!
//! The traffic asked about is known by its destination only, so an answer is yes, no or perhaps.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Path, RuleFamily};
use crate::net::{Port, PortRange, Prefix, Transport};

/// Traffic to a place where a socket is bound or could be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its transport.
    pub transport: Transport,
    /// The addresses of this machine it covers; never unspecified ones.
    pub addresses: Vec<IpAddr>,
    /// Its port.
    pub port: Port,
}

impl Destination {
    /// What a socket bound to `address` receives on a machine with the addresses `local`: the
    /// address itself, or every one of its family, or with IPv6's wildcard and not `v6only` all.
    #[must_use]
    pub fn new(
        transport: Transport,
        address: IpAddr,
        v6only: bool,
        port: Port,
        local: impl IntoIterator<Item = IpAddr>,
    ) -> Self {
        let address = address.to_canonical();
        let covers = |a: &IpAddr| match address {
            _ if !address.is_unspecified() => *a == address,
            IpAddr::V4(_) => a.is_ipv4(),
            IpAddr::V6(_) => a.is_ipv6() || !v6only,
        };
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let everywhere = local.into_iter().chain(loopback).chain([address]);
        let mut addresses: Vec<IpAddr> =
            everywhere.filter(|a| !a.is_unspecified()).filter(covers).collect();
        addresses.sort_unstable();
        addresses.dedup();
        Self { transport, addresses, port }
    }

    /// The same as far as a packet on `path` through a table of `family` can be meant for it:
    /// nothing from outside is for a loopback address (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
    pub(super) fn narrowed(&self, path: Path, family: RuleFamily) -> Self {
        let is_possible =
            |a: &&IpAddr| family.passes(**a) && (path == Path::Output || !a.is_loopback());
        let addresses = self.addresses.iter().filter(is_possible).copied().collect();
        Self { transport: self.transport, addresses, port: self.port }
    }
}

/// The addresses from one to another of the same family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressRange {
    /// The lowest.
    pub first: IpAddr,
    /// The highest.
    pub last: IpAddr,
}

impl AddressRange {
    /// Whether `address` lies inside; never across families.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
    }

    /// Whether it is a single address.
    #[must_use]
    pub fn is_one(self) -> bool {
        self.first == self.last
    }
}

impl From<IpAddr> for AddressRange {
    fn from(address: IpAddr) -> Self {
        Self { first: address, last: address }
    }
}

impl From<Prefix> for AddressRange {
    fn from(prefix: Prefix) -> Self {
        let last = match prefix.address() {
            IpAddr::V4(v4) => {
                let host = u32::MAX.checked_shr(prefix.length().into()).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() | host).into()
            }
            IpAddr::V6(v6) => {
                let host = u128::MAX.checked_shr(prefix.length().into()).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() | host).into()
            }
        };
        Self { first: prefix.address(), last }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_one() {
            return self.first.fmt(f);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// A test of a packet, or its opposite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The test.
    pub test: Test,
    /// Whether it must fail instead.
    pub negated: bool,
}

/// What can be asked of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// It is of one of these IP protocols.
    Protocol(Vec<u8>),
    /// It is IPv4 (`true`) or IPv6.
    IsIpv4(bool),
    /// It goes to one of these ports.
    Port(Vec<PortRange>),
    /// It goes to one of these addresses.
    Address(Vec<AddressRange>),
    /// It goes to this machine.
    Local,
    /// It came in by an interface of one of these names; a closing `*` stands for any ending.
    In(Vec<Box<str>>),
    /// It goes out by one of these.
    Out(Vec<Box<str>>),
    /// One of these groups holds as a whole.
    AnyOf(Vec<Vec<Condition>>),
    /// Something else: where it comes from, who sent it, a mark, a rate …
    Other,
}

/// An answer about traffic that is known in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    No,
    Perhaps,
    Yes,
}

impl Answer {
    const fn of(all: bool, some: bool) -> Self {
        match (all, some) {
            (true, true) => Self::Yes,
            (_, false) => Self::No,
            (false, true) => Self::Perhaps,
        }
    }

    const fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Perhaps => Self::Perhaps,
            Self::Yes => Self::No,
        }
    }
}

impl From<Test> for Condition {
    fn from(test: Test) -> Self {
        Self { test, negated: false }
    }
}

impl Condition {
    /// Something that is not understood, or that the destination does not decide.
    pub(super) const OTHER: Self = Self { test: Test::Other, negated: false };

    /// Whether traffic to `to` on `path` meets it.
    pub(super) fn holds(&self, to: &Destination, path: Path) -> Answer {
        let answer = self.test.holds(to, path);
        if self.negated { answer.not() } else { answer }
    }
}

/// Whether all of `conditions` hold.
pub(super) fn all_hold(conditions: &[Condition], to: &Destination, path: Path) -> Answer {
    conditions.iter().map(|c| c.holds(to, path)).min().unwrap_or(Answer::Yes)
}

impl Test {
    fn holds(&self, to: &Destination, path: Path) -> Answer {
        let addresses = |test: &dyn Fn(IpAddr) -> bool| {
            let all = to.addresses.iter().all(|a| test(*a));
            Answer::of(all, to.addresses.iter().any(|a| test(*a)))
        };
        match self {
            Self::Protocol(protocols) => exact(protocols.contains(&number(to.transport))),
            Self::IsIpv4(wanted) => addresses(&|a| a.is_ipv4() == *wanted),
            Self::Port(ranges) => exact(ranges.iter().any(|r| r.contains(to.port))),
            Self::Address(ranges) => addresses(&|a| ranges.iter().any(|r| r.contains(a))),
            Self::Local => Answer::Yes,
            // Nothing comes in on the way out; what comes from outside does not come by lo.
            Self::In(_) if path == Path::Output => Answer::No,
            Self::In(names) if names.iter().all(|n| &**n == LOOPBACK) => Answer::No,
            Self::In(_) => Answer::Perhaps,
            // What goes to an address of our own goes out by lo.
            Self::Out(names) => {
                exact(path == Path::Output && names.iter().any(|n| matches(n, LOOPBACK)))
            }
            Self::AnyOf(groups) => {
                groups.iter().map(|g| all_hold(g, to, path)).max().unwrap_or(Answer::No)
            }
            Self::Other => Answer::Perhaps,
        }
    }
}

const fn exact(holds: bool) -> Answer {
    if holds { Answer::Yes } else { Answer::No }
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// The number of a transport in an IP header (IANA protocol numbers).
pub(super) const fn number(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp => 6,
        Transport::Udp => 17,
        Transport::Dccp => 33,
        Transport::Sctp => 132,
    }
}

/// The number of an IP protocol that is given by name or by number; `None` for other names.
pub(super) fn protocol(text: &str) -> Option<u8> {
    let named = Transport::ALL.into_iter().find(|t| t.as_str() == text).map(number);
    named.or_else(|| text.parse().ok()).or(match text {
        "icmp" => Some(1),
        "ipv6-icmp" | "icmpv6" => Some(58),
        "udplite" => Some(136),
        "esp" => Some(50),
        "ah" => Some(51),
        _ => None,
    })
}

const LOOPBACK: &str = "lo";
