//! What a value on the right side stands for: the data types of nft(8).

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::json::{several, single};
use super::symbol::{self, Symbols};
use crate::firewall::{FibResult, Field, Span, TupleSide};

/// The type of one part of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number of so many bits, without words.
    Number(u32),
    /// A number of so many bits, with words.
    Word(u32, Symbols),
    /// The same, of bits that may be joined.
    Flags(u32, Symbols),
    /// The name of an interface.
    Interface,
    /// An IPv4 address.
    Address4,
    /// An IPv6 address.
    Address6,
    /// `exists` or `missing`.
    Boolean,
    /// Not understood.
    Opaque,
}

impl Kind {
    pub(super) const PORT: Self = Self::Number(16);
    pub(super) const MARK: Self = Self::Number(32);
    pub(super) const PROTOCOL: Self = Self::Word(8, symbol::PROTOCOL);

    /// The kind of a field.
    pub(super) const fn of(field: Field) -> Self {
        match field {
            Field::InterfaceIn
            | Field::InterfaceOut
            | Field::Fib { result: FibResult::Interface, .. } => Self::Interface,
            Field::NetworkProtocol => Self::Word(8, symbol::NETWORK_PROTOCOL),
            Field::Protocol | Field::NextHeader6 | Field::CtTuple(_, TupleSide::Protocol) => {
                Self::PROTOCOL
            }
            Field::EtherType => Self::Word(16, symbol::ETHER_TYPE),
            Field::PacketType => Self::Word(8, symbol::PACKET_TYPE),
            Field::Mark
            | Field::Length
            | Field::SocketUser
            | Field::SocketGroup
            | Field::CtMark => Self::Number(32),
            Field::Source4
            | Field::Destination4
            | Field::CtTuple(_, TupleSide::Source4 | TupleSide::Destination4) => Self::Address4,
            Field::Source6
            | Field::Destination6
            | Field::CtTuple(_, TupleSide::Source6 | TupleSide::Destination6) => Self::Address6,
            Field::Ttl => Self::Number(8),
            Field::Dscp => Self::Word(6, symbol::DSCP),
            Field::Ecn => Self::Word(2, symbol::ECN),
            Field::FragmentOffset
            | Field::Length4
            | Field::Length6
            | Field::SourcePort
            | Field::DestinationPort
            | Field::CtTuple(_, TupleSide::SourcePort | TupleSide::DestinationPort) => Self::PORT,
            Field::TcpFlags => Self::Flags(8, symbol::TCP_FLAGS),
            Field::IcmpType => Self::Word(8, symbol::ICMP_TYPE),
            Field::IcmpCode => Self::Word(8, symbol::ICMP_CODE),
            Field::CtState => Self::Flags(32, symbol::CT_STATE),
            Field::CtStatus => Self::Flags(32, symbol::CT_STATUS),
            Field::CtDirection => Self::Word(8, symbol::DIRECTION),
            Field::Fib { result: FibResult::Type, .. } => Self::Word(32, symbol::ADDRESS_TYPE),
            Field::Fib { result: FibResult::Exists, .. } => Self::Boolean,
        }
    }

    /// The kind nft calls so, in the definition of a set.
    pub(super) fn named(word: &str) -> Self {
        match word {
            "ipv4_addr" => Self::Address4,
            "ipv6_addr" => Self::Address6,
            "inet_service" => Self::PORT,
            "inet_proto" => Self::PROTOCOL,
            "mark" | "uid" | "gid" => Self::MARK,
            "ifname" | "iface_index" => Self::Interface,
            "icmp_type" => Self::Word(8, symbol::ICMP_TYPE),
            "icmpv6_type" => Self::Word(8, symbol::ICMP6_TYPE),
            "icmp_code" => Self::Word(8, symbol::ICMP_CODE),
            "icmpv6_code" => Self::Word(8, symbol::ICMP6_CODE),
            "ct_state" => Self::Flags(32, symbol::CT_STATE),
            "ct_status" => Self::Flags(32, symbol::CT_STATUS),
            "ct_dir" => Self::Word(8, symbol::DIRECTION),
            "dscp" => Self::Word(6, symbol::DSCP),
            "ecn" => Self::Word(2, symbol::ECN),
            "tcp_flag" => Self::Flags(8, symbol::TCP_FLAGS),
            "pkt_type" => Self::Word(8, symbol::PACKET_TYPE),
            "nf_proto" => Self::Word(8, symbol::NETWORK_PROTOCOL),
            "ether_type" => Self::Word(16, symbol::ETHER_TYPE),
            "fib_addrtype" => Self::Word(32, symbol::ADDRESS_TYPE),
            "boolean" => Self::Boolean,
            "integer" => Self::Number(128),
            _ => Self::Opaque,
        }
    }

    /// Whether a bare value on the right asks for single bits (`tcp flags syn`).
    pub(super) const fn is_flags(self) -> bool {
        matches!(self, Self::Flags(..))
    }

    /// The greatest number of this kind.
    pub(super) const fn most(self) -> u128 {
        let width = match self {
            Self::Number(width) | Self::Word(width, _) | Self::Flags(width, _) => width,
            Self::Address4 => 32,
            Self::Boolean => 1,
            Self::Address6 | Self::Interface | Self::Opaque => 128,
        };
        if width >= 128 { u128::MAX } else { (1 << width) - 1 }
    }

    /// Everything of this kind.
    pub(super) fn all(self) -> Span {
        match self {
            Self::Interface => Span::Names { text: "".into(), is_prefix: true },
            _ => Span::Numbers { low: 0, high: self.most() },
        }
    }

    /// The piece a value stands for: one, a range, a prefix.
    pub(super) fn span(self, value: &Value) -> Option<Span> {
        match single(value) {
            Some(("range", ends)) => self.range(ends),
            Some(("prefix", body)) => self.prefix(body),
            Some(("elem", body)) => self.span(body.get("val")?),
            _ if value.as_str() == Some("*") => Some(self.all()),
            _ if self == Self::Interface => name(value),
            _ => self.number(value).map(Span::number),
        }
    }

    fn range(self, ends: &Value) -> Option<Span> {
        let [low, high] = ends.as_array()?.as_slice() else { return None };
        let (low, high) = (self.number(low)?, self.number(high)?);
        (low <= high).then_some(Span::Numbers { low, high })
    }

    fn prefix(self, body: &Value) -> Option<Span> {
        let width = match self {
            Self::Address4 => 32,
            Self::Address6 => 128,
            Self::Number(width) => u64::from(width),
            _ => return None,
        };
        let length = body.get("len")?.as_u64().filter(|length| *length <= width)?;
        let free = u32::try_from(width - length).ok()?;
        let hosts = if free >= 128 { u128::MAX } else { (1 << free) - 1 };
        let low = self.number(body.get("addr")?)? & !hosts;
        Some(Span::Numbers { low, high: low | hosts })
    }

    /// The number a value stands for.
    pub(super) fn number(self, value: &Value) -> Option<u128> {
        let number = match value {
            Value::Number(number) => u128::from(number.as_u64()?),
            Value::Bool(is_so) => u128::from(*is_so),
            Value::String(text) => self.text(text)?,
            Value::Array(parts) => self.joined(parts)?,
            Value::Object(_) => match single(value)? {
                ("|", parts) => self.joined(several(parts))?,
                ("elem", body) => self.number(body.get("val")?)?,
                _ => return None,
            },
            Value::Null => return None,
        };
        (number <= self.most() && !matches!(self, Self::Opaque | Self::Interface)).then_some(number)
    }

    fn joined(self, parts: &[Value]) -> Option<u128> {
        if !self.is_flags() && !matches!(self, Self::Number(_)) {
            return None;
        }
        parts.iter().try_fold(0, |all, part| Some(all | self.number(part)?))
    }

    fn text(self, text: &str) -> Option<u128> {
        match self {
            Self::Address4 => text.parse::<Ipv4Addr>().ok().map(|a| u128::from(u32::from(a))),
            Self::Address6 => text.parse::<Ipv6Addr>().ok().map(u128::from),
            Self::Word(_, symbols) | Self::Flags(_, symbols) => {
                symbol::number(symbols, text).or_else(|| bare(text))
            }
            Self::Number(_) => bare(text),
            Self::Boolean => match text {
                "exists" => Some(1),
                "missing" => Some(0),
                _ => bare(text),
            },
            Self::Interface | Self::Opaque => None,
        }
    }
}

/// A number in digits. nft 1.0.6 prints `0x50 [invalid type]` where it does not know a set's type.
fn bare(text: &str) -> Option<u128> {
    let text = text.strip_suffix(" [invalid type]").unwrap_or(text);
    match text.strip_prefix("0x") {
        Some(digits) => u128::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// An interface's name: `eth*` is a beginning, `a\*` a name that ends with a star. A number is the
/// index of an interface that is not there.
fn name(value: &Value) -> Option<Span> {
    let text = value.as_str()?;
    let (text, is_prefix) = match (text.strip_suffix("\\*"), text.strip_suffix('*')) {
        (Some(start), _) => (format!("{start}*"), false),
        (None, Some(start)) => (start.to_owned(), true),
        (None, None) => (text.to_owned(), false),
    };
    Some(Span::Names { text: text.into(), is_prefix })
}
