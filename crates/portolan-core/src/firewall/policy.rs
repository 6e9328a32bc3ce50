//! What a host's firewall is to do, as values: who may reach what, and nothing of how nft says it.
//!
//! Made from an inventory elsewhere; `compile` makes rules of it, `intent` says once more and plainly
//! what it means, so that the two can be held against each other.

use std::time::Duration;

use jiff::Timestamp;

use super::addresses::Addresses;
use super::packet::Tuple;
use crate::net::{PortRange, Transport};

/// The firewall of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The host it is for.
    pub host: Box<str>,
    /// Whatever nothing below decides: to this machine.
    pub input: Stance,
    /// … through this machine.
    pub forward: Stance,
    /// … from this machine.
    pub output: Stance,
    /// Who always comes in, to which ports: before every block, in whatever state a connection is.
    pub management: Vec<Pass>,
    /// Who is refused everything but management.
    pub blocks: Vec<Block>,
    /// What every host needs to live, in order.
    pub base: Vec<BasePass>,
    /// What may come in.
    pub passes: Vec<Pass>,
    /// What this machine may open itself, where `output` is [`Stance::Drop`]. Peers are whom it calls.
    pub egress: Vec<Pass>,
    /// Doors that passes stand behind.
    pub doors: Vec<Knock>,
    /// Ports that are translated to other machines.
    pub translations: Vec<Translation>,
    /// What must not be reachable, whatever the rest says.
    pub never: Vec<Never>,
    /// What had to be asked of this machine or of a resolver, in order: `dns:deb.example.org`, and the
    /// addresses. The rules hold for these.
    pub resolved: Vec<(Box<str>, Vec<Box<str>>)>,
    /// What is missing in the rules because it could not be found out, a sentence each.
    pub notes: Vec<String>,
}

/// What becomes of traffic that nothing decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stance {
    /// It ends here.
    Drop,
    /// It passes this table; others may still refuse it.
    Accept,
    /// It is left to other tables. For traffic through this machine: translated ports are still refused
    /// unless a pass names them, the rest is left alone.
    Keep,
}

/// Something that is let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The service, forward or door it is for.
    pub name: Box<str>,
    /// On which way.
    pub way: PassWay,
    /// What.
    pub traffic: PassTraffic,
    /// With whom: any of these.
    pub peers: Vec<Peers>,
    /// Only to these addresses: multicast groups, hosts behind a router. `None`: to all.
    pub destinations: Option<Addresses>,
    /// Only by this interface.
    pub interface: Option<Box<str>>,
    /// New connections of one source beyond this are dropped. Sources of IPv6 are counted by /64.
    pub limit: Option<RateLimit>,
    /// Only for sources this door has let in.
    pub door: Option<Box<str>>,
    /// The kernel follows this protocol to the ports it agrees on.
    pub helper: Option<ConntrackHelper>,
    /// New connections are let through until then, by the kernel's clock.
    pub until: Option<Timestamp>,
}

impl Pass {
    /// One without a condition beside who and what.
    #[must_use]
    pub const fn plain(
        name: Box<str>,
        way: PassWay,
        traffic: PassTraffic,
        peers: Vec<Peers>,
    ) -> Self {
        Self {
            name,
            way,
            traffic,
            peers,
            destinations: None,
            interface: None,
            limit: None,
            door: None,
            helper: None,
            until: None,
        }
    }
}

/// On which way a pass lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PassWay {
    /// To a socket of this machine only.
    Input,
    /// By a translation of the destination (a published container, a forward) only; the port is the one
    /// that was called.
    Translated,
    /// To this machine's port, whether a socket or a translation answers there.
    InputOrTranslated,
    /// Through this machine, to somebody behind it.
    Through,
    /// From this machine.
    Output,
}

/// A range of ports, or a protocol without ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PassTraffic {
    /// `443/tcp`.
    Ports {
        /// Of this transport.
        transport: Transport,
        /// The numbers.
        range: PortRange,
    },
    /// A protocol, by IANA's number.
    Protocol(u8),
}

/// Somebody at the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// What the inventory calls them.
    pub label: Box<str>,
    /// Their addresses.
    pub addresses: Addresses,
    /// Only by this interface.
    pub interface: Option<Box<str>>,
}

/// So many new connections in so long a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RateLimit {
    /// How many.
    pub count: u32,
    /// In this time.
    pub per: Duration,
}

/// A protocol whose further connections the kernel follows (`nf_conntrack_ftp` and its like).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConntrackHelper {
    /// RFC 959.
    Ftp,
    /// RFC 1350.
    Tftp,
    /// RFC 3261.
    Sip,
}

/// Somebody who is refused everything, or some ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Why, in the inventory's words.
    pub name: Box<str>,
    /// Who.
    pub peers: Vec<Peers>,
    /// Only these ports and protocols; empty: everything.
    pub traffic: Vec<PassTraffic>,
    /// Until then, by the kernel's clock.
    pub until: Option<Timestamp>,
}

/// Something every host needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasePass {
    /// `base-…`.
    pub name: Box<str>,
    /// Whether it is from this machine; else to it.
    pub is_outgoing: bool,
    /// What.
    pub traffic: BaseNeed,
    /// Only with these; `None`: with all.
    pub peers: Option<Addresses>,
    /// Only to these addresses; `None`: to all.
    pub destinations: Option<Addresses>,
}

/// What a base row lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseNeed {
    /// Everything on the loopback interface.
    Loopback,
    /// Packets of connections that were let through before, and what belongs to them.
    Established,
    /// ICMP messages by type.
    Icmp(Vec<u8>),
    /// ICMPv6 messages by type; with this hop limit only, where neighbours are meant.
    Icmpv6(Vec<u8>, Option<u8>),
    /// A protocol without ports, by IANA's number.
    Protocol(u8),
    /// A port.
    Port {
        /// Of this transport.
        transport: Transport,
        /// The sender's, where it is fixed.
        source: Option<u16>,
        /// The one it goes to.
        destination: u16,
    },
}

impl BaseNeed {
    /// Whether it comes before every block: loopback, and what IPv6 has in the place of ARP (hop limit 255,
    /// RFC 4861 §7.1). Who may always come in over IPv6 must be found by it.
    #[must_use]
    pub const fn is_early(&self) -> bool {
        matches!(self, Self::Loopback | Self::Icmpv6(_, Some(255)))
    }
}

/// A door: sources that knocked are let in for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knock {
    /// Its name.
    pub name: Box<str>,
    /// How long it stays open for a source.
    pub open: Duration,
    /// Ports to be called in this order, each within [`Knock::window`] of the one before. Empty: a
    /// program looks at the knock and puts the source into the set.
    pub sequence: Vec<(Transport, u16)>,
    /// How long a sequence may pause.
    pub window: Duration,
    /// Who may knock at all.
    pub peers: Vec<Peers>,
    /// Knocks count until then, by the kernel's clock.
    pub until: Option<Timestamp>,
}

/// A port of this machine that is translated to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The forward it is for.
    pub name: Box<str>,
    /// Of this transport.
    pub transport: Transport,
    /// The ports taken.
    pub range: PortRange,
    /// From whom.
    pub peers: Vec<Peers>,
    /// Where to: at most one address a family.
    pub targets: Vec<std::net::IpAddr>,
    /// The port there; `None`: the same.
    pub port: Option<u16>,
    /// Whether the target sees this machine's address.
    pub masquerade: bool,
    /// New connections are translated until then, by the kernel's clock.
    pub until: Option<Timestamp>,
}

/// What must not be reachable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Never {
    /// Why, in the inventory's words.
    pub name: Box<str>,
    /// What.
    pub traffic: Vec<PassTraffic>,
    /// From whom.
    pub peers: Vec<Peers>,
}

impl PassTraffic {
    /// IANA's number of the protocol.
    #[must_use]
    pub const fn protocol(self) -> u8 {
        match self {
            Self::Ports { transport, .. } => protocol_of(transport),
            Self::Protocol(number) => number,
        }
    }

    /// The ports; all where it has none.
    #[must_use]
    pub const fn ports(self) -> Option<PortRange> {
        match self {
            Self::Ports { range, .. } => Some(range),
            Self::Protocol(_) => None,
        }
    }

    /// Whether a packet of this protocol and port is meant.
    #[must_use]
    pub fn covers(self, tuple: &Tuple) -> bool {
        let port = crate::net::Port(tuple.destination_port);
        tuple.protocol == self.protocol() && self.ports().is_none_or(|range| range.contains(port))
    }
}

/// The bit of `ct mark` that a new connection has from where it comes in to where it is decided about, if
/// the address it calls is not this machine's: behind a translation nothing else tells. It is taken away
/// at both places, before rules that keep or restore marks (−150): only those between see it
/// ([`super::mark_readers`]).
pub(super) const CALLED_ELSEWHERE: u32 = 0x0800_0000;

/// IANA's protocol number of a transport.
#[must_use]
pub const fn protocol_of(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp => 6,
        Transport::Udp => 17,
        Transport::Sctp => 132,
        Transport::Dccp => 33,
    }
}

impl PassWay {
    /// Whether packets to a socket here are meant.
    #[must_use]
    pub const fn has_input(self) -> bool {
        matches!(self, Self::Input | Self::InputOrTranslated)
    }

    /// Whether packets whose destination was translated are meant.
    #[must_use]
    pub const fn has_translated(self) -> bool {
        matches!(self, Self::Translated | Self::InputOrTranslated)
    }
}

impl ConntrackHelper {
    /// The kernel's name of it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ftp => "ftp",
            Self::Tftp => "tftp",
            Self::Sip => "sip",
        }
    }
}

impl Peers {
    /// Everybody.
    #[must_use]
    pub fn anybody() -> Self {
        Self { label: "any".into(), addresses: Addresses::all(), interface: None }
    }
}

impl RateLimit {
    /// As nft says it, whose units are fixed: the count in the smallest unit in which it is a whole
    /// number. Where it is in none, it is rounded down in weeks.
    #[must_use]
    pub fn in_units(self) -> (u64, &'static str) {
        let per = self.per.as_millis().max(1);
        let count = u128::from(self.count.max(1));
        let in_unit = |unit: u128| count.saturating_mul(unit) / per;
        let exact = UNITS.iter().find(|(unit, _)| (count * unit) % per == 0 && in_unit(*unit) > 0);
        let (unit, word) = exact.copied().unwrap_or(UNITS[4]);
        (u64::try_from(in_unit(unit).clamp(1, MAX_RATE)).unwrap_or(1), word)
    }

    /// Whether nft counts noticeably fewer (by more than one in a hundred) than are meant, because it
    /// counts whole numbers only.
    #[must_use]
    pub fn is_cut(self) -> bool {
        let (told, word) = self.in_units();
        let unit = UNITS.iter().find(|(_, known)| *known == word).map_or(1, |(unit, _)| *unit);
        let (meant, told) =
            (u128::from(self.count) * unit, u128::from(told) * self.per.as_millis());
        told.saturating_mul(100) < meant.saturating_mul(99)
    }

    /// What all sources together may that are not counted one by one, for there is no room for them: as many
    /// as a hundred. With less, who forges sources shuts out everybody new; with no limit, so many tries are
    /// free.
    #[must_use]
    pub fn of_the_rest(self) -> Self {
        Self { count: self.count.saturating_mul(100), ..self }
    }

    /// How many may come at once after a silence.
    #[must_use]
    pub fn burst(self) -> u32 {
        self.count.clamp(1, MOST_BURST)
    }
}

/// Milliseconds, and nft's word.
const UNITS: [(u128, &str); 5] = [
    (1000, "second"),
    (60_000, "minute"),
    (3_600_000, "hour"),
    (86_400_000, "day"),
    (604_800_000, "week"),
];

/// More than any machine accepts, and far from where the kernel's arithmetic ends
/// (net/netfilter/nft_limit.c: tokens are nanoseconds times the rate).
const MAX_RATE: u128 = 1_000_000;

/// A week in nanoseconds times this is the most that the kernel's 64 bits hold (nft_limit.c).
const MOST_BURST: u32 = 30_000;
