//! What fields are compared with: numbers, interface names, ranges of them, and sets of both.

use std::sync::Arc;
use std::time::Duration;

use super::rule::Verdict;

/// One value of a field. Addresses, ports, marks, states: all are numbers, in the order in which a
/// person writes them (an IPv4 address is its 32 bits, `ct state` its bits as in [`bits`]).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// A number of at most 128 bits.
    Number(u128),
    /// An interface's name.
    Name(Box<str>),
}

/// A contiguous piece of what a field can be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Span {
    /// From `low` to `high`, both included; `low <= high`.
    Numbers {
        /// The lowest.
        low: u128,
        /// The highest.
        high: u128,
    },
    /// Interface names: this one, or all that begin with it (`eth*` of nft, `eth+` of iptables).
    Names {
        /// The name or its beginning.
        text: Box<str>,
        /// Whether it is a beginning.
        is_prefix: bool,
    },
}

impl Span {
    /// A single number.
    #[must_use]
    pub const fn number(value: u128) -> Self {
        Self::Numbers { low: value, high: value }
    }

    /// Every number.
    pub const ALL: Self = Self::Numbers { low: 0, high: u128::MAX };

    /// Whether `value` lies in it; never across kinds.
    #[must_use]
    pub fn contains(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Numbers { low, high }, Value::Number(n)) => low <= n && n <= high,
            (Self::Names { text, is_prefix: false }, Value::Name(name)) => text == name,
            (Self::Names { text, is_prefix: true }, Value::Name(name)) => name.starts_with(&**text),
            _ => false,
        }
    }
}

/// One member of a set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// A span for each part of the key; one where the key is not a concatenation.
    pub key: Vec<Span>,
    /// What a map gives for it.
    pub value: ElementValue,
    /// How long it is still in the set, where it leaves by itself.
    pub expires: Option<Duration>,
    /// What its author noted.
    pub comment: Option<Box<str>>,
}

impl Element {
    /// A member of a set, with a key of one part.
    #[must_use]
    pub fn of(span: Span) -> Self {
        Self { key: vec![span], value: ElementValue::None, expires: None, comment: None }
    }
}

/// What a map gives for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElementValue {
    /// Nothing: a member of a plain set.
    None,
    /// Values, one a part (`dnat to ip daddr map { … : 10.0.0.1 . 80 }`). A span is a range to choose from.
    Data(Vec<Span>),
    /// What to do.
    Verdict(Verdict),
}

/// The members of a set, in the order listed. Shared, for a ruleset is cloned and a list may be long.
pub type Elements = Arc<[Element]>;

/// A set that a rule asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetRef {
    /// By name, in the rule's own table (for iptables: an ipset, kept as a set of the table).
    Named(Box<str>),
    /// Written into the rule: a single value, a range, a prefix or `{ … }`.
    Inline(Elements),
}

impl SetRef {
    /// A single span.
    #[must_use]
    pub fn span(span: Span) -> Self {
        Self::Inline(Arc::new([Element::of(span)]))
    }

    /// A single number.
    #[must_use]
    pub fn number(value: u128) -> Self {
        Self::span(Span::number(value))
    }
}

/// A named set or map of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: Box<str>,
    /// The type of each part of the key, as nft writes it: `ipv4_addr`, `inet_service`.
    pub key: Vec<Box<str>>,
    /// What it is used for.
    pub flags: SetFlags,
    /// How many members it may have (`add` to a full set ends the rule).
    pub size: Option<u32>,
    /// Its members when it was read; `None` where they could not be read. Then every answer that
    /// depends on it is open.
    pub elements: Option<Elements>,
}

/// What a set may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetFlags {
    /// It is filled from the packet path (`add @set`, `update @set`): doors, bans.
    pub is_dynamic: bool,
    /// Its members leave by themselves.
    pub has_timeout: bool,
    /// Its members are ranges.
    pub is_interval: bool,
    /// It gives values.
    pub is_map: bool,
}

/// Numbers of the kernel's for what has no number of its own on the wire.
pub mod bits {
    /// `ct state invalid` (include/uapi/linux/netfilter/nf_conntrack_common.h).
    pub const INVALID: u128 = 1;
    /// `ct state established`.
    pub const ESTABLISHED: u128 = 2;
    /// `ct state related`.
    pub const RELATED: u128 = 4;
    /// `ct state new`.
    pub const NEW: u128 = 8;
    /// `ct state untracked`.
    pub const UNTRACKED: u128 = 64;

    /// `ct status expected`.
    pub const STATUS_EXPECTED: u128 = 1;
    /// `ct status seen-reply`.
    pub const STATUS_SEEN_REPLY: u128 = 2;
    /// `ct status assured`.
    pub const STATUS_ASSURED: u128 = 4;
    /// `ct status confirmed`.
    pub const STATUS_CONFIRMED: u128 = 8;
    /// `ct status snat`: the source is translated.
    pub const STATUS_SNAT: u128 = 16;
    /// `ct status dnat`: the destination is translated.
    pub const STATUS_DNAT: u128 = 32;
    /// `ct status dying`.
    pub const STATUS_DYING: u128 = 512;

    /// `fib … type unicast` (include/uapi/linux/rtnetlink.h).
    pub const FIB_UNICAST: u128 = 1;
    /// `fib … type local`: an address of this machine.
    pub const FIB_LOCAL: u128 = 2;
    /// `fib … type broadcast`.
    pub const FIB_BROADCAST: u128 = 3;
    /// `fib … type anycast`.
    pub const FIB_ANYCAST: u128 = 4;
    /// `fib … type multicast`.
    pub const FIB_MULTICAST: u128 = 5;
    /// `fib … type blackhole`.
    pub const FIB_BLACKHOLE: u128 = 6;
    /// `fib … type unreachable`.
    pub const FIB_UNREACHABLE: u128 = 7;
    /// `fib … type prohibit`.
    pub const FIB_PROHIBIT: u128 = 8;
    /// No route at all (`fib … type unspec`; `missing` for `fib … oif`).
    pub const FIB_UNSPEC: u128 = 0;

    /// `meta nfproto ipv4`.
    pub const NFPROTO_IPV4: u128 = 2;
    /// `meta nfproto ipv6`.
    pub const NFPROTO_IPV6: u128 = 10;

    /// `meta pkttype host` (include/uapi/linux/if_packet.h).
    pub const PACKET_HOST: u128 = 0;
    /// `meta pkttype broadcast`.
    pub const PACKET_BROADCAST: u128 = 1;
    /// `meta pkttype multicast`.
    pub const PACKET_MULTICAST: u128 = 2;
    /// `meta pkttype other`.
    pub const PACKET_OTHER_HOST: u128 = 3;

    /// `ip frag-off`: the packet is not to be fragmented (RFC 791 §3.1).
    pub const DONT_FRAGMENT: u128 = 0x4000;
    /// The question whether it says so, which nothing else of a packet tells.
    pub const ASKS_DONT_FRAGMENT: &str =
        "ip frag-off & 0x4000 != 0 (DF, which is its sender's affair)";
}
