//! One rule, statement by statement. What nft takes for granted (`tcp dport` means TCP) is written out, as
//! the reader of its JSON does.

use jiff::Timestamp;

use super::words::{Kind, Words, number, protocol};
use crate::firewall::clock::is_earlier_than;
use crate::firewall::packet::Direction;
use crate::firewall::{
    Condition, Expression, FibKey, FibResult, Field, Match, Nat, NatKind, SetOperation, SetRef,
    Span, Statement, Target, Test, TupleSide, Value, Verdict, bits,
};

/// The statements of a rule; `None` where a word of it is not understood.
pub(super) fn statements(mut words: Words<'_>) -> Option<Vec<Statement>> {
    let mut statements = Vec::new();
    while let Some(word) = words.next() {
        statement(word, &mut words, &mut statements)?;
    }
    Some(statements)
}

type Out = Vec<Statement>;

fn statement(word: &str, words: &mut Words<'_>, out: &mut Out) -> Option<()> {
    match word {
        "counter" => {}
        "comment" => drop(words.quoted()?),
        "log" => {
            words.all("prefix")?;
            words.quoted()?;
        }
        "accept" => out.push(Statement::Verdict(Verdict::Accept)),
        "drop" => out.push(Statement::Verdict(Verdict::Drop)),
        "jump" => out.push(Statement::Verdict(Verdict::Jump(words.next()?.into()))),
        "limit" => out.push(Statement::Condition(limit("", words)?)),
        "iifname" => out.push(interface(Field::InterfaceIn, words)?),
        "oifname" => out.push(interface(Field::InterfaceOut, words)?),
        "meta" => meta(words, out)?,
        "ct" => connection(words, out)?,
        "ip" => address(false, words, out)?,
        "ip6" => address(true, words, out)?,
        "icmp" | "icmpv6" => message(word, words, out)?,
        "tcp" | "udp" | "sctp" | "dccp" => transport(word, words, out)?,
        "fib" => out.push(route(words)?),
        "update" => out.push(update(words)?),
        "dnat" => out.push(translated(words)?),
        "masquerade" => out.push(translation(NatKind::Masquerade, None, None)),
        _ => return None,
    }
    Some(())
}

fn given(left: Expression, test: Test) -> Statement {
    Statement::Match(Match { left, test })
}

fn is_in(field: Field, set: SetRef) -> Statement {
    given(Expression::Field(field), Test::In(set))
}

fn is_number(field: Field, value: u128) -> Statement {
    is_in(field, SetRef::number(value))
}

fn version(is_v6: bool) -> Statement {
    let number = if is_v6 { bits::NFPROTO_IPV6 } else { bits::NFPROTO_IPV4 };
    is_number(Field::NetworkProtocol, number)
}

fn interface(field: Field, words: &mut Words<'_>) -> Option<Statement> {
    let name = words.quoted()?;
    let beginning = name.strip_suffix('*');
    let text = beginning.unwrap_or(name).into();
    Some(is_in(field, SetRef::span(Span::Names { text, is_prefix: beginning.is_some() })))
}

fn meta(words: &mut Words<'_>, out: &mut Out) -> Option<()> {
    match words.next()? {
        "nfproto" => out.push(version(match words.next()? {
            "ipv4" => false,
            "ipv6" => true,
            _ => return None,
        })),
        "l4proto" => looked_up(Field::Protocol, words, out)?,
        "time" => {
            words.all("<")?;
            let end = i64::try_from(words.number()?).ok()?;
            out.push(is_earlier_than(Timestamp::from_second(end).ok()?));
        }
        _ => return None,
    }
    Some(())
}

/// A field that is in a set, or looked up in a map of verdicts.
fn looked_up(field: Field, words: &mut Words<'_>, out: &mut Out) -> Option<()> {
    if words.takes("vmap") {
        let map = SetRef::Named(words.next()?.strip_prefix('@')?.into());
        out.push(Statement::VerdictMap { key: Expression::Field(field), map });
    } else {
        out.push(is_in(field, words.set(Kind::Number)?));
    }
    Some(())
}

fn connection(words: &mut Words<'_>, out: &mut Out) -> Option<()> {
    match words.next()? {
        "state" => out.push(any_bit(Field::CtState, states(words.next()?)?)),
        "status" => {
            words.all("dnat")?;
            out.push(any_bit(Field::CtStatus, bits::STATUS_DNAT));
        }
        "direction" => out.push(is_number(
            Field::CtDirection,
            match words.next()? {
                "original" => 0,
                "reply" => 1,
                _ => return None,
            },
        )),
        "original" => {
            words.all("proto-dst")?;
            let side = TupleSide::DestinationPort;
            looked_up(Field::CtTuple(Direction::Original, side), words, out)?;
        }
        // It lets the kernel follow a protocol, and decides nothing.
        "helper" => {
            words.all("set")?;
            words.quoted()?;
        }
        "mark" => out.push(connection_mark(words)?),
        _ => return None,
    }
    Some(())
}

fn any_bit(field: Field, bits: u128) -> Statement {
    given(Expression::Field(field), Test::AnyBit(bits))
}

fn states(text: &str) -> Option<u128> {
    text.split(',').try_fold(0, |all, word| {
        let bit = match word {
            "invalid" => bits::INVALID,
            "established" => bits::ESTABLISHED,
            "related" => bits::RELATED,
            "new" => bits::NEW,
            "untracked" => bits::UNTRACKED,
            _ => return None,
        };
        Some(all | bit)
    })
}

/// `& MASK == VALUE`, or `set ct mark & MASK`, `set ct mark | BITS`.
fn connection_mark(words: &mut Words<'_>) -> Option<Statement> {
    let of = || Box::new(Expression::Field(Field::CtMark));
    if words.takes("&") {
        let mask = words.number()?;
        words.all("==")?;
        let value = words.number()?;
        let left = Expression::Bits { of: of(), mask, flip: 0 };
        return Some(given(left, Test::In(SetRef::number(value))));
    }
    words.all("set ct mark")?;
    let all = u128::from(u32::MAX);
    let (mask, flip) = match (words.next()?, words.number()?) {
        ("&", mask) => (mask, 0),
        ("|", bits) => (all & !bits, bits),
        _ => return None,
    };
    Some(Statement::Assign {
        target: Target::CtMark,
        value: Expression::Bits { of: of(), mask, flip },
    })
}

fn address(is_v6: bool, words: &mut Words<'_>, out: &mut Out) -> Option<()> {
    out.push(version(is_v6));
    let kind = if is_v6 { Kind::Address6 } else { Kind::Address4 };
    let side = words.next()?;
    if is_v6 && side == "hoplimit" {
        out.push(is_number(Field::Ttl, words.number()?));
    } else {
        let field = end(side, is_v6)?;
        if words.takes("&") {
            let left = masked(field, words)?;
            words.all("!=")?;
            let set = SetRef::Named(words.next()?.strip_prefix('@')?.into());
            out.push(given(left, Test::NotIn(set)));
        } else if words.takes("!=") {
            let set = SetRef::Named(words.next()?.strip_prefix('@')?.into());
            out.push(given(Expression::Field(field), Test::NotIn(set)));
        } else {
            out.push(is_in(field, words.set(kind)?));
        }
    }
    Some(())
}

fn end(side: &str, is_v6: bool) -> Option<Field> {
    Some(match (side, is_v6) {
        ("saddr", false) => Field::Source4,
        ("saddr", true) => Field::Source6,
        ("daddr", false) => Field::Destination4,
        ("daddr", true) => Field::Destination6,
        _ => return None,
    })
}

fn message(word: &str, words: &mut Words<'_>, out: &mut Out) -> Option<()> {
    words.all("type")?;
    out.push(version(word == "icmpv6"));
    out.push(is_number(Field::Protocol, protocol(word)?.into()));
    out.push(is_in(Field::IcmpType, words.set(Kind::Number)?));
    Some(())
}

fn transport(word: &str, words: &mut Words<'_>, out: &mut Out) -> Option<()> {
    out.push(is_number(Field::Protocol, protocol(word)?.into()));
    match words.next()? {
        "sport" => looked_up(Field::SourcePort, words, out),
        "dport" => looked_up(Field::DestinationPort, words, out),
        "flags" if word == "tcp" => {
            words.all("ack")?;
            out.push(any_bit(Field::TcpFlags, 16));
            Some(())
        }
        _ => None,
    }
}

fn route(words: &mut Words<'_>) -> Option<Statement> {
    words.all("daddr type")?;
    let is_not = words.takes("!=");
    words.all("local")?;
    let key = FibKey { is_source: false, has_input: false, has_output: false, has_mark: false };
    let left = Expression::Field(Field::Fib { key, result: FibResult::Type });
    let local = SetRef::number(bits::FIB_LOCAL);
    Some(given(left, if is_not { Test::NotIn(local) } else { Test::In(local) }))
}

/// `rate 10/second burst 20 packets`, with `over` after `rate` where that is given.
fn limit(over: &str, words: &mut Words<'_>) -> Option<Condition> {
    words.all("rate")?;
    if !over.is_empty() {
        words.all(over)?;
    }
    let rate = words.next()?;
    let (count, unit) = rate.split_once('/')?;
    number(count)?;
    if !["second", "minute", "hour", "day", "week"].contains(&unit) {
        return None;
    }
    words.all("burst")?;
    let burst = words.number()?;
    words.all("packets")?;
    Some(Condition {
        text: format!("limit rate {rate} burst {burst} packets").into(),
        is_negated: !over.is_empty(),
        is_own: true,
        presumed: Some(true),
    })
}

/// The rest of an address that is cut to its network.
fn masked(field: Field, words: &mut Words<'_>) -> Option<Expression> {
    let mask = words.next()?.parse::<std::net::Ipv6Addr>().ok()?.to_bits();
    Some(Expression::Bits { of: Box::new(Expression::Field(field)), mask, flip: 0 })
}

/// `@set { ip saddr limit rate over … }`
fn update(words: &mut Words<'_>) -> Option<Statement> {
    let set = words.next()?.strip_prefix('@')?.into();
    words.all("{")?;
    let field = match words.next()? {
        "ip" => end(words.next()?, false)?,
        "ip6" => end(words.next()?, true)?,
        "meta" => words.all("l4proto").map(|()| Field::Protocol)?,
        _ => return None,
    };
    let key = match words.takes("&") {
        true => masked(field, words)?,
        false => Expression::Field(field),
    };
    let mut conditions = Vec::new();
    if words.takes("limit") {
        conditions.push(limit("over", words)?);
    }
    words.all("}")?;
    Some(Statement::Update { operation: SetOperation::Update, set, key, conditions })
}

/// `ip to 10.0.0.1:443`, `ip6 to [fd00::1]:443`, without a port the address alone.
fn translated(words: &mut Words<'_>) -> Option<Statement> {
    let is_v6 = match words.next()? {
        "ip" => false,
        "ip6" => true,
        _ => return None,
    };
    words.all("to")?;
    let target = words.next()?;
    let (address, port) = match (target.parse::<std::net::SocketAddr>(), target.parse()) {
        (Ok(ends), _) => (ends.ip(), Some(ends.port())),
        (_, Ok(address)) => (address, None),
        _ => return None,
    };
    let number = match address {
        std::net::IpAddr::V4(address) if !is_v6 => u128::from(address.to_bits()),
        std::net::IpAddr::V6(address) if is_v6 => address.to_bits(),
        _ => return None,
    };
    Some(translation(NatKind::Dnat, Some(number), port.map(u128::from)))
}

fn translation(kind: NatKind, address: Option<u128>, port: Option<u128>) -> Statement {
    let constant = |number| Expression::Constant(Value::Number(number));
    let (address, port) = (address.map(constant), port.map(constant));
    Statement::Nat(Nat { kind, address, port, flags: Vec::new() })
}
