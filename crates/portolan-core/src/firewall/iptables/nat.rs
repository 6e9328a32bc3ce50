//! Targets that translate: `DNAT SNAT MASQUERADE REDIRECT NETMAP`.

use super::options::Extension;
use crate::firewall::{Expression, Field, Nat, NatKind, Span, Statement, Value};

/// The translation; `None` where its options are not understood.
pub(super) fn statements(target: &Extension<'_>, is_v6: bool) -> Option<Vec<Statement>> {
    let (kind, (address, port)) = match target.name {
        "DNAT" => (NatKind::Dnat, destination(target.value("--to-destination")?, is_v6)?),
        "SNAT" => (NatKind::Snat, destination(target.value("--to-source")?, is_v6)?),
        "MASQUERADE" => (NatKind::Masquerade, (None, ports(target.value("--to-ports"))?)),
        "REDIRECT" => (NatKind::Redirect, (None, ports(target.value("--to-ports"))?)),
        _ => return None,
    };
    let flags = ["--random", "--random-fully", "--persistent"];
    let flags = flags.into_iter().filter(|flag| target.has(flag));
    Some(vec![Statement::Nat(Nat {
        kind,
        address,
        port,
        flags: flags.map(|flag| flag.trim_start_matches('-').into()).collect(),
    })])
}

/// `NETMAP --to NET`: the host's bits stay, the network's are exchanged, of the destination on the
/// way in and of the source on the way out.
pub(super) fn netmap(target: &str, kind: NatKind, is_v6: bool) -> Option<Nat> {
    let (address, length) = target.split_once('/').unwrap_or((target, ""));
    let value = address_bits(address, is_v6)?;
    let width = if is_v6 { 128 } else { 32 };
    let length =
        if length.is_empty() { width } else { length.parse().ok().filter(|l| *l <= width)? };
    let host = if length == 0 { u128::MAX } else { (1_u128 << (width - length)) - 1 };
    let host = host & (u128::MAX >> (128 - width));
    let of = match (kind, is_v6) {
        (NatKind::Dnat, false) => Field::Destination4,
        (NatKind::Dnat, true) => Field::Destination6,
        (_, false) => Field::Source4,
        (_, true) => Field::Source6,
    };
    let address =
        Expression::Bits { of: Box::new(Expression::Field(of)), mask: host, flip: value & !host };
    Some(Nat { kind, address: Some(address), port: None, flags: vec!["netmap".into()] })
}

type Place = (Option<Expression>, Option<Expression>);

/// `10.0.0.5`, `10.0.0.5-10.0.0.9:80-90`, `[2001:db8::7]:443`, `:8080`, `2001:db8::7`.
fn destination(text: &str, is_v6: bool) -> Option<Place> {
    let (addresses, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (addresses, rest) = rest.split_once(']')?;
            // A range is written as [A]-[B] or [A-B], by version.
            match rest.strip_prefix("-[").and_then(|rest| rest.split_once(']')) {
                Some((high, rest)) => (format!("{addresses}-{high}"), rest.strip_prefix(':')),
                None => (addresses.to_owned(), rest.strip_prefix(':')),
            }
        }
        None if is_v6 && !text.starts_with(':') => (text.to_owned(), None),
        None => match text.split_once(':') {
            Some((addresses, port)) => (addresses.to_owned(), Some(port)),
            None => (text.to_owned(), None),
        },
    };
    let address = if addresses.is_empty() { None } else { Some(range(&addresses, is_v6)?) };
    Some((address, ports(port)?))
}

fn range(text: &str, is_v6: bool) -> Option<Expression> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    choice(address_bits(low, is_v6)?, address_bits(high, is_v6)?)
}

#[expect(clippy::option_option, reason = "not understood and the port stays are two answers")]
fn ports(text: Option<&str>) -> Option<Option<Expression>> {
    let Some(text) = text else { return Some(None) };
    // `80-90/8080`: moved by the difference to a base, which no expression says.
    if text.contains('/') {
        return Some(Some(Expression::Unknown(text.into())));
    }
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high): (u16, u16) = (low.parse().ok()?, high.parse().ok()?);
    Some(Some(choice(low.into(), high.into())?))
}

fn choice(low: u128, high: u128) -> Option<Expression> {
    match low.cmp(&high) {
        std::cmp::Ordering::Equal => Some(Expression::Constant(Value::Number(low))),
        std::cmp::Ordering::Less => Some(Expression::OneOf(Span::Numbers { low, high })),
        std::cmp::Ordering::Greater => None,
    }
}

fn address_bits(text: &str, is_v6: bool) -> Option<u128> {
    Some(match is_v6 {
        true => text.parse::<std::net::Ipv6Addr>().ok()?.to_bits(),
        false => text.parse::<std::net::Ipv4Addr>().ok()?.to_bits().into(),
    })
}
