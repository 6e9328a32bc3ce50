//! Fields of the IP header: time to live, DSCP, the old type of service, ECN.

use super::super::options::Opt;
use super::{compare, field, masked, number, number_and_mask, parts};
use crate::firewall::{Expression, Field, SetRef, Span, Statement};

/// `ttl --ttl-eq`, `hl --hl-lt` and their like.
pub(super) fn ttl(option: &Opt<'_>) -> Option<Statement> {
    let value = u128::from(number(option.value())?);
    let (low, high) = match option.name {
        "--ttl-eq" | "--hl-eq" | "--ttl" | "--hl" => (value, value),
        "--ttl-lt" | "--hl-lt" => (0, value.checked_sub(1)?),
        "--ttl-gt" | "--hl-gt" => (value + 1, 0xff),
        _ => return None,
    };
    let set = (low <= high && high <= 0xff).then_some(Span::Numbers { low, high })?;
    Some(field(Field::Ttl, option.is_negated, SetRef::span(set)))
}

/// `dscp --dscp 0x2e`, `--dscp-class EF`.
pub(super) fn dscp(option: &Opt<'_>) -> Option<Statement> {
    let value = match option.name {
        "--dscp" => number(option.value())?,
        _ => class(option.value())?,
    };
    Some(field(Field::Dscp, option.is_negated, SetRef::number(value.into())))
}

/// RFC 2474 (CS), RFC 2597 (AF), RFC 3246 (EF), RFC 5865 (VOICE-ADMIT is not known to iptables).
pub(in super::super) fn class(name: &str) -> Option<u32> {
    let name = name.to_ascii_uppercase();
    if let Some(digit) = name.strip_prefix("CS") {
        return digit.parse::<u32>().ok().filter(|n| *n < 8).map(|n| n * 8);
    }
    match name.as_bytes() {
        b"BE" => Some(0),
        b"EF" => Some(46),
        [b'A', b'F', class @ b'1'..=b'4', drop @ b'1'..=b'3'] => {
            Some(u32::from(class - b'0') * 8 + u32::from(drop - b'0') * 2)
        }
        _ => None,
    }
}

/// `tos --tos value[/mask]`: the byte of DSCP and ECN.
pub(super) fn tos(option: &Opt<'_>) -> Option<Statement> {
    let (value, mask) = number_and_mask(option.value())?;
    let (value, mask) = (u128::from(value & 0xff), u128::from(mask & 0xff));
    if mask & 3 == 0 {
        let set = SetRef::number(value >> 2);
        return Some(compare(masked(Field::Dscp, mask >> 2), option.is_negated, set));
    }
    let left =
        Expression::Concat(vec![masked(Field::Dscp, mask >> 2), masked(Field::Ecn, mask & 3)]);
    let pair = parts(vec![Span::number(value >> 2), Span::number(value & 3)]);
    Some(compare(left, option.is_negated, SetRef::Inline(vec![pair].into())))
}

/// `ecn`: flags of TCP and the codepoint of IP.
pub(super) fn ecn(options: &[Opt<'_>]) -> Option<Vec<Statement>> {
    let flag = |bit: u128, negated: bool| {
        compare(masked(Field::TcpFlags, bit), negated, SetRef::number(bit))
    };
    super::each(options, |option| match option.name {
        "--ecn-tcp-cwr" => Some(flag(0x80, option.is_negated)),
        "--ecn-tcp-ece" => Some(flag(0x40, option.is_negated)),
        _ => {
            let value = number(option.value())?;
            Some(field(Field::Ecn, option.is_negated, SetRef::number(value.into())))
        }
    })
}
