//! iptables' own tests, and those of addresses: `iprange`, `addrtype`.

use std::net::IpAddr;

use super::super::options::{Extension, Opt};
use super::super::protocol::protocol;
use super::{compare, condition, field, masked, spans};
use crate::firewall::{
    Expression, FibKey, FibResult, Field, Match, SetRef, Span, Statement, Test, bits,
};

/// One of `-s -d -i -o -p -f`; `None` for one that holds for every packet.
pub(in super::super) fn own(option: &Opt<'_>, is_v6: bool) -> Option<Statement> {
    let opaque = || {
        let not = if option.is_negated { "! " } else { "" };
        let values = option.values.join(" ");
        Some(condition(&format!("{not}{} {values}", option.name), false, None))
    };
    let negated = option.is_negated;
    match option.name {
        "-s" | "--source" | "--src" => {
            address(option.value(), source(is_v6), negated).unwrap_or_else(opaque)
        }
        "-d" | "--destination" | "--dst" => {
            address(option.value(), destination(is_v6), negated).unwrap_or_else(opaque)
        }
        "-i" | "--in-interface" => interface(option, Field::InterfaceIn),
        "-o" | "--out-interface" => interface(option, Field::InterfaceOut),
        "-p" | "--protocol" | "--proto" => match protocol(option.value()) {
            Some(0) => None,
            Some(number) => Some(field(Field::Protocol, negated, SetRef::number(number.into()))),
            None => opaque(),
        },
        // IP_OFFSET: the offset without the flags.
        "-f" | "--fragment" if !is_v6 => {
            Some(compare(masked(Field::FragmentOffset, 0x1fff), !negated, SetRef::number(0)))
        }
        _ => opaque(),
    }
}

pub(super) const fn source(is_v6: bool) -> Field {
    if is_v6 { Field::Source6 } else { Field::Source4 }
}

pub(super) const fn destination(is_v6: bool) -> Field {
    if is_v6 { Field::Destination6 } else { Field::Destination4 }
}

fn interface(option: &Opt<'_>, of: Field) -> Option<Statement> {
    let name = option.value();
    let start = name.strip_suffix('+');
    if start == Some("") && !option.is_negated {
        return None;
    }
    Some(field(of, option.is_negated, SetRef::span(interface_span(name))))
}

/// iptables writes `eth+` for all names that begin with eth.
pub(super) fn interface_span(name: &str) -> Span {
    let start = name.strip_suffix('+');
    Span::Names { text: start.unwrap_or(name).into(), is_prefix: start.is_some() }
}

/// `10.0.0.0/8`, `10.0.0.1/255.0.0.255`, several with commas. The outer `None`: not understood; the
/// inner: every address.
#[expect(clippy::option_option, reason = "not understood and no test are two answers")]
pub(super) fn address(text: &str, of: Field, negated: bool) -> Option<Option<Statement>> {
    let list: Vec<(u128, u128)> =
        text.split(',').map(|one| one_address(one, of)).collect::<Option<_>>()?;
    if let [(value, mask)] = list[..]
        && !is_prefix_mask(mask, of)
    {
        return Some(Some(compare(masked(of, mask), negated, SetRef::number(value & mask))));
    }
    let mut found = Vec::new();
    for (value, mask) in list {
        if !is_prefix_mask(mask, of) {
            return None;
        }
        let low = value & mask;
        found.push(Span::Numbers { low, high: low | (all(of) & !mask) });
    }
    let every = Span::Numbers { low: 0, high: all(of) };
    if !negated && found.contains(&every) {
        return Some(None);
    }
    Some(Some(field(of, negated, spans(found))))
}

fn all(of: Field) -> u128 {
    of.width().map_or(u128::MAX, |width| u128::MAX >> (128 - width))
}

fn is_prefix_mask(mask: u128, of: Field) -> bool {
    let host = all(of) & !mask;
    host & host.wrapping_add(1) == 0
}

fn one_address(text: &str, of: Field) -> Option<(u128, u128)> {
    let (address, mask) = text.split_once('/').unwrap_or((text, ""));
    let value = address_bits(address, of)?;
    let width = of.width()?;
    let mask = match mask.parse::<u32>() {
        _ if mask.is_empty() => all(of),
        Ok(0) => 0,
        Ok(length) if length <= width => all(of) & (u128::MAX << (width - length)),
        Ok(_) => return None,
        Err(_) => address_bits(mask, of)?,
    };
    Some((value, mask))
}

/// The bits of an address of the field's family.
pub(super) fn address_bits(text: &str, of: Field) -> Option<u128> {
    match (text.parse().ok()?, of.width()?) {
        (IpAddr::V4(v4), 32) => Some(v4.to_bits().into()),
        (IpAddr::V6(v6), 128) => Some(v6.to_bits()),
        _ => None,
    }
}

/// `iprange --src-range A-B`.
pub(super) fn range(option: &Opt<'_>, is_v6: bool) -> Option<Statement> {
    let of = match option.name {
        "--src-range" => source(is_v6),
        "--dst-range" => destination(is_v6),
        _ => return None,
    };
    let (low, high) = option.value().split_once('-').unwrap_or((option.value(), option.value()));
    let (low, high) = (address_bits(low, of)?, address_bits(high, of)?);
    (low <= high).then(|| field(of, option.is_negated, SetRef::span(Span::Numbers { low, high })))
}

/// `addrtype`: the kernel asks the routing table, as `fib … type` does (net/netfilter/xt_addrtype.c).
pub(super) fn kinds(found: &Extension<'_>, is_v6: bool) -> Option<Vec<Statement>> {
    let mut statements = Vec::new();
    for option in &found.options {
        let is_source = match option.name {
            "--src-type" => true,
            "--dst-type" => false,
            _ => continue,
        };
        let key = FibKey {
            is_source,
            has_input: found.has("--limit-iface-in"),
            has_output: found.has("--limit-iface-out"),
            has_mark: false,
        };
        let kinds: Vec<u128> = option.value().split(',').map(kind).collect::<Option<_>>()?;
        let left = Expression::Field(Field::Fib { key, result: FibResult::Type });
        let mut all = if is_v6 {
            kinds6(&kinds, is_source, left)
        } else {
            vec![compare(left, false, spans(kinds.into_iter().map(Span::number)))]
        };
        match (&mut all[..], option.is_negated) {
            (_, false) => statements.append(&mut all),
            ([Statement::Match(one)], true) => statements.push(Statement::Match(negated(one))),
            _ => return None,
        }
    }
    Some(statements)
}

/// In IPv6 the kinds are conditions that all have to hold, most of them about the address alone, and
/// some are no condition at all (xt_addrtype.c, match_type6; measured).
fn kinds6(kinds: &[u128], is_source: bool, routed: Expression) -> Vec<Statement> {
    let address = if is_source { source(true) } else { destination(true) };
    let groups = || Span::Numbers { low: 0xff << 120, high: u128::MAX };
    let nobody = || Span::number(0);
    let mut all = Vec::new();
    if kinds.contains(&bits::FIB_MULTICAST) {
        all.push(field(address, false, spans([groups()])));
    }
    if kinds.contains(&bits::FIB_UNICAST) {
        all.push(field(address, true, spans([nobody(), groups()])));
    }
    if kinds.contains(&bits::FIB_UNSPEC) {
        all.push(field(address, false, spans([nobody()])));
    }
    let asked = [bits::FIB_LOCAL, bits::FIB_ANYCAST, bits::FIB_UNREACHABLE];
    let asked: Vec<Span> =
        asked.into_iter().filter(|kind| kinds.contains(kind)).map(Span::number).collect();
    if !asked.is_empty() {
        all.push(compare(routed, false, spans(asked)));
    }
    if all.is_empty() {
        all.push(field(address, false, SetRef::span(Span::ALL)));
    }
    all
}

fn negated(of: &Match) -> Match {
    let test = match &of.test {
        Test::In(set) => Test::NotIn(set.clone()),
        Test::NotIn(set) => Test::In(set.clone()),
        Test::AnyBit(mask) => Test::NoBit(*mask),
        Test::NoBit(mask) => Test::AnyBit(*mask),
    };
    Match { left: of.left.clone(), test }
}

fn kind(name: &str) -> Option<u128> {
    Some(match name.to_ascii_uppercase().as_str() {
        "UNSPEC" => bits::FIB_UNSPEC,
        "UNICAST" => bits::FIB_UNICAST,
        "LOCAL" => bits::FIB_LOCAL,
        "BROADCAST" => bits::FIB_BROADCAST,
        "ANYCAST" => bits::FIB_ANYCAST,
        "MULTICAST" => bits::FIB_MULTICAST,
        "BLACKHOLE" => bits::FIB_BLACKHOLE,
        "UNREACHABLE" => bits::FIB_UNREACHABLE,
        "PROHIBIT" => bits::FIB_PROHIBIT,
        _ => return None,
    })
}
