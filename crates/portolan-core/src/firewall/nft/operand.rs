//! The left side of a match, the key of a map, a value that is written: what is looked at, of which
//! type it is, and what nft takes for granted when it is named (`tcp dport`: that the packet is TCP).
//!
//! What is taken for granted was read off the kernel's own programs (`nft --debug=netlink`); the JSON
//! leaves it out.

use serde_json::Value;

use super::json::{number, several, single, word, words};
use super::kind::Kind;
use super::scope::{Guard, Scope, Surroundings};
use super::{symbol, text};
use crate::firewall::{Direction, Expression, Family, FibKey, FibResult, Field, Span, TupleSide};

/// Something that is looked at.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    /// What.
    pub(super) expression: Expression,
    /// The type of each part.
    pub(super) kinds: Vec<Kind>,
    /// What must hold of the packet for it to be there.
    pub(super) guards: Vec<Guard>,
}

impl Operand {
    fn field(field: Field, guards: &[Guard]) -> Self {
        Self::of(Expression::Field(field), Kind::of(field), guards)
    }

    fn of(expression: Expression, kind: Kind, guards: &[Guard]) -> Self {
        Self { expression, kinds: vec![kind], guards: guards.to_vec() }
    }

    fn unknown(value: &Value, guards: &[Guard]) -> Self {
        let text = text::expression(value).into();
        Self::of(Expression::Unknown(text), Kind::Opaque, guards)
    }

    /// Whether all of it is understood.
    pub(super) fn is_known(&self) -> bool {
        fn known(expression: &Expression) -> bool {
            match expression {
                Expression::Unknown(_) => false,
                Expression::Bits { of, .. } => known(of),
                Expression::Concat(parts) => parts.iter().all(known),
                Expression::Lookup { key, .. } => known(key),
                Expression::Field(_) | Expression::Constant(_) | Expression::OneOf(_) => true,
            }
        }
        known(&self.expression)
    }

    /// The type, where it has one part.
    pub(super) fn kind(&self) -> Kind {
        match self.kinds.as_slice() {
            [kind] => *kind,
            _ => Kind::Opaque,
        }
    }
}

/// What `value` looks at.
pub(super) fn read(value: &Value, scope: &Scope<'_>) -> Operand {
    let unknown = || Operand::unknown(value, &[]);
    let Some((kind, body)) = single(value) else { return unknown() };
    match kind {
        "payload" => payload(value, body, scope),
        "meta" => meta(body).map_or_else(unknown, |field| Operand::field(field, &[])),
        "ct" => ct(body, scope).unwrap_or_else(unknown),
        "fib" => fib(body).map_or_else(unknown, |field| Operand::field(field, &[])),
        "concat" => concat(several(body), scope),
        "&" | "|" | "^" | "<<" | ">>" => bitwise(value, kind, several(body), scope),
        "numgen" => one_of(body).unwrap_or_else(unknown),
        "symhash" => one_of(body).unwrap_or_else(unknown),
        "jhash" => hash(body, scope).unwrap_or_else(unknown),
        // `exthdr rt missing` holds where there is none.
        "exthdr" if body.get("field").is_some() => {
            Operand::unknown(value, &[Guard::Version(true), Guard::Extension])
        }
        "exthdr" => Operand::unknown(value, &[Guard::Version(true)]),
        "ip option" => Operand::unknown(value, &[Guard::Version(false)]),
        // The kernel looks for the option only in TCP, and answers "missing" elsewhere.
        "tcp option" if body.get("field").is_some() => {
            Operand::unknown(value, &[Guard::Protocol(6)])
        }
        _ => unknown(),
    }
}

/// What `value` looks at where no rule is around it: for the type of a set.
pub(super) fn read_alone(value: &Value) -> Operand {
    read(value, &Scope::new(Family::Inet, &Surroundings::default()))
}

fn payload(value: &Value, body: &Value, scope: &Scope<'_>) -> Operand {
    let Some(header) = word(body, "protocol") else {
        return raw(body, scope).unwrap_or_else(|| Operand::unknown(value, &[]));
    };
    let name = word(body, "field").unwrap_or_default();
    let guards = guards(header);
    match (field(header, name), header) {
        (Some(Field::IcmpType), "icmpv6") => {
            let kind = Kind::Word(8, symbol::ICMP6_TYPE);
            Operand::of(Expression::Field(Field::IcmpType), kind, guards)
        }
        (Some(Field::IcmpCode), "icmpv6") => {
            let kind = Kind::Word(8, symbol::ICMP6_CODE);
            Operand::of(Expression::Field(Field::IcmpCode), kind, guards)
        }
        (Some(field), _) => Operand::field(field, guards),
        (None, _) => Operand::unknown(value, guards),
    }
}

/// What nft makes sure of before it looks into a header.
const fn guards(header: &str) -> &'static [Guard] {
    match header.as_bytes() {
        b"ip" => &[Guard::Version(false)],
        b"ip6" => &[Guard::Version(true)],
        b"tcp" => &[Guard::Protocol(6)],
        b"udp" => &[Guard::Protocol(17)],
        b"udplite" => &[Guard::Protocol(136)],
        b"dccp" => &[Guard::Protocol(33)],
        b"sctp" => &[Guard::Protocol(132)],
        b"esp" => &[Guard::Protocol(50)],
        b"ah" => &[Guard::Protocol(51)],
        b"comp" => &[Guard::Protocol(108)],
        b"gre" => &[Guard::Protocol(47)],
        b"igmp" => &[Guard::Version(false), Guard::Protocol(2)],
        b"icmp" => &[Guard::Version(false), Guard::Protocol(1)],
        b"icmpv6" => &[Guard::Version(true), Guard::Protocol(58)],
        b"ether" | b"vlan" => &[Guard::Ethernet],
        _ => &[],
    }
}

/// The field of a header.
fn field(header: &str, name: &str) -> Option<Field> {
    Some(match (header, name) {
        ("tcp" | "udp" | "udplite" | "dccp" | "sctp" | "th", "sport") => Field::SourcePort,
        ("tcp" | "udp" | "udplite" | "dccp" | "sctp" | "th", "dport") => Field::DestinationPort,
        ("tcp", "flags") => Field::TcpFlags,
        ("ip", "saddr") => Field::Source4,
        ("ip", "daddr") => Field::Destination4,
        ("ip", "protocol") => Field::Protocol,
        ("ip", "ttl") | ("ip6", "hoplimit") => Field::Ttl,
        ("ip" | "ip6", "dscp") => Field::Dscp,
        ("ip" | "ip6", "ecn") => Field::Ecn,
        ("ip", "length") => Field::Length4,
        ("ip", "frag-off") => Field::FragmentOffset,
        ("ip6", "saddr") => Field::Source6,
        ("ip6", "daddr") => Field::Destination6,
        ("ip6", "length") => Field::Length6,
        ("ip6", "nexthdr") => Field::NextHeader6,
        ("icmp" | "icmpv6", "type") => Field::IcmpType,
        ("icmp" | "icmpv6", "code") => Field::IcmpCode,
        ("ether", "type") => Field::EtherType,
        _ => return None,
    })
}

/// Bits of a packet by their place. Nothing is taken for granted: in a table of family inet the same
/// place is another field for IPv4 and IPv6.
fn raw(body: &Value, scope: &Scope<'_>) -> Option<Operand> {
    let place = (word(body, "base")?, number(body, "offset")?, number(body, "len")?);
    let field = match (place, scope.version()) {
        (("th", 0, 16), _) => Field::SourcePort,
        (("th", 16, 16), _) => Field::DestinationPort,
        (("th", 104, 8), _) if scope.protocol() == Some(6) => Field::TcpFlags,
        (("nh", 16, 16), Some(false)) => Field::Length4,
        (("nh", 48, 16), Some(false)) => Field::FragmentOffset,
        (("nh", 64, 8), Some(false)) => Field::Ttl,
        (("nh", 72, 8), Some(false)) => Field::Protocol,
        (("nh", 96, 32), Some(false)) => Field::Source4,
        (("nh", 128, 32), Some(false)) => Field::Destination4,
        (("nh", 32, 16), Some(true)) => Field::Length6,
        (("nh", 48, 8), Some(true)) => Field::NextHeader6,
        (("nh", 56, 8), Some(true)) => Field::Ttl,
        (("nh", 64, 128), Some(true)) => Field::Source6,
        (("nh", 192, 128), Some(true)) => Field::Destination6,
        _ => return None,
    };
    // What it is compared with is a bare number.
    let kind = Kind::Number(field.width().unwrap_or(128));
    Some(Operand::of(Expression::Field(field), kind, &[]))
}

fn meta(body: &Value) -> Option<Field> {
    Some(match word(body, "key")? {
        "iif" | "iifname" => Field::InterfaceIn,
        "oif" | "oifname" => Field::InterfaceOut,
        "nfproto" => Field::NetworkProtocol,
        "l4proto" => Field::Protocol,
        "protocol" => Field::EtherType,
        "pkttype" => Field::PacketType,
        "mark" => Field::Mark,
        "length" => Field::Length,
        "skuid" => Field::SocketUser,
        "skgid" => Field::SocketGroup,
        _ => return None,
    })
}

fn ct(body: &Value, scope: &Scope<'_>) -> Option<Operand> {
    let direction = match word(body, "dir") {
        Some("original") => Some(Direction::Original),
        Some("reply") => Some(Direction::Reply),
        Some(_) => return None,
        None => None,
    };
    let key = word(body, "key")?;
    // Both directions have the same, and no packet has it without a connection (nft_ct_get_eval).
    if key == "l3proto" {
        return Some(Operand::field(Field::NetworkProtocol, &[Guard::Connection]));
    }
    if key == "zone" && !scope.around.has_zones {
        let zone = Expression::Constant(crate::firewall::Value::Number(0));
        return Some(Operand::of(zone, Kind::Number(16), &[Guard::Connection]));
    }
    let Some(direction) = direction else {
        return Some(Operand::field(
            match key {
                "state" => Field::CtState,
                "status" => Field::CtStatus,
                "direction" => Field::CtDirection,
                "mark" => Field::CtMark,
                // Without a direction it is that of the first packet, which has the same.
                "protocol" => Field::CtTuple(Direction::Original, TupleSide::Protocol),
                _ => return None,
            },
            &[],
        ));
    };
    let (side, guards): (TupleSide, &[Guard]) = match (key, scope.family) {
        ("ip saddr", _) | ("saddr", Family::Ip) => (TupleSide::Source4, &[Guard::Version(false)]),
        ("ip daddr", _) | ("daddr", Family::Ip) => {
            (TupleSide::Destination4, &[Guard::Version(false)])
        }
        ("ip6 saddr", _) | ("saddr", Family::Ip6) => (TupleSide::Source6, &[Guard::Version(true)]),
        ("ip6 daddr", _) | ("daddr", Family::Ip6) => {
            (TupleSide::Destination6, &[Guard::Version(true)])
        }
        ("protocol", _) => (TupleSide::Protocol, &[]),
        ("proto-src", _) => (TupleSide::SourcePort, &[]),
        ("proto-dst", _) => (TupleSide::DestinationPort, &[]),
        _ => return None,
    };
    Some(Operand::field(Field::CtTuple(direction, side), guards))
}

fn fib(body: &Value) -> Option<Field> {
    let mut key = FibKey::default();
    for flag in words(body, "flags") {
        match flag {
            "saddr" => key.is_source = true,
            "daddr" => key.is_source = false,
            "iif" => key.has_input = true,
            "oif" => key.has_output = true,
            "mark" => key.has_mark = true,
            _ => return None,
        }
    }
    let result = match word(body, "result")? {
        "type" => FibResult::Type,
        "oif" | "oifname" => FibResult::Interface,
        "check" => FibResult::Exists,
        _ => return None,
    };
    Some(Field::Fib { key, result })
}

/// The same question of the routing table, asked for there being an answer (`fib … oif missing`).
pub(super) fn asking_whether(operand: Operand) -> Operand {
    match operand.expression {
        Expression::Field(Field::Fib { key, result: FibResult::Interface }) => {
            Operand::field(Field::Fib { key, result: FibResult::Exists }, &operand.guards)
        }
        _ => operand,
    }
}

fn concat(parts: &[Value], scope: &Scope<'_>) -> Operand {
    let mut all = Operand {
        expression: Expression::Concat(Vec::new()),
        kinds: Vec::with_capacity(parts.len()),
        guards: Vec::new(),
    };
    let mut expressions = Vec::with_capacity(parts.len());
    for part in parts {
        let operand = read(part, scope);
        expressions.push(operand.expression);
        all.kinds.extend(operand.kinds);
        all.guards.extend(operand.guards);
    }
    all.expression = Expression::Concat(expressions);
    all
}

/// An operation on bits with a constant beside it, which stands on the right.
fn bitwise(value: &Value, sign: &str, sides: &[Value], scope: &Scope<'_>) -> Operand {
    let Some((first, constants)) = sides.split_first() else { return Operand::unknown(value, &[]) };
    let operand = read(first, scope);
    let unknown = Operand::unknown(value, &operand.guards);
    if !operand.is_known() || constants.is_empty() {
        return unknown;
    }
    // nft 1.0.6 lists `ip dscp` in a concatenation with the shift that its place in the byte needs.
    let shift = constants.first().and_then(Value::as_u64);
    if sign == ">>" && is_shifted(&operand, shift) {
        return operand;
    }
    let kind = operand.kind();
    let constants = match sign {
        // The parts of one constant, or several in a row: the same for these signs.
        "|" => constants.iter().try_fold(0, |all, one| Some(all | kind.number(one)?)),
        "&" => constants.iter().try_fold(u128::MAX, |all, one| Some(all & kind.number(one)?)),
        "^" => constants.iter().try_fold(0, |all, one| Some(all ^ kind.number(one)?)),
        _ => None,
    };
    let Some(constant) = constants else { return unknown };
    let (of, mask, flip) = match operand.expression {
        Expression::Bits { of, mask, flip } => (of, mask, flip),
        other => (Box::new(other), kind.most(), 0),
    };
    let (mask, flip) = match sign {
        "&" => (mask & constant, flip & constant),
        "|" => (mask & !constant, flip | constant),
        _ => (mask, flip ^ constant),
    };
    Operand { expression: Expression::Bits { of, mask, flip }, ..operand_like(unknown, kind) }
}

fn operand_like(operand: Operand, kind: Kind) -> Operand {
    Operand { kinds: vec![kind], ..operand }
}

fn is_shifted(operand: &Operand, shift: Option<u64>) -> bool {
    match operand.expression {
        Expression::Field(Field::Dscp) => matches!(shift, Some(2 | 6)),
        Expression::Field(Field::Ecn) => matches!(shift, Some(4)),
        _ => false,
    }
}

/// `numgen` and hashes: any number from the offset on.
fn one_of(body: &Value) -> Option<Operand> {
    let count = number(body, "mod").filter(|count| *count > 0)?;
    let low = u128::from(number(body, "offset").unwrap_or(0));
    let span = Span::Numbers { low, high: low + u128::from(count - 1) };
    Some(Operand::of(Expression::OneOf(span), Kind::Number(32), &[]))
}

fn hash(body: &Value, scope: &Scope<'_>) -> Option<Operand> {
    let guards = body.get("expr").map_or_else(Vec::new, |hashed| read(hashed, scope).guards);
    Some(Operand { guards, ..one_of(body)? })
}
