//! The matches of a rule as statements: exact where the packet decides, else a condition with its text.

mod address;
mod atom;
mod company;
mod conntrack;
mod header;
mod ipset;
mod transport;

use super::options::{Extension, Opt};
use crate::firewall::ipset::Ipsets;
use crate::firewall::{
    Condition, Element, Expression, Field, Match, Set, SetRef, Span, Statement, Test,
};

pub(super) use address::own;
pub(super) use header::class as dscp_class;
pub(super) use ipset::directions;

/// What a match is read in.
pub(super) struct Context<'s> {
    /// Whether it is ip6tables' file.
    pub(super) is_v6: bool,
    /// What is known of ipsets.
    pub(super) ipsets: Option<&'s Ipsets>,
    /// The ipsets that the table's rules ask.
    pub(super) used: Vec<Set>,
    /// What the reader is to be told.
    pub(super) notes: Vec<String>,
    /// The protocol of the rule, where `-p` says one.
    pub(super) protocol: Option<u8>,
    /// Whether legacy iptables evaluates the rule.
    pub(super) is_legacy: bool,
}

/// The statements of one match.
pub(super) fn statements(found: &Extension<'_>, context: &mut Context<'_>) -> Vec<Statement> {
    exact(found, context).unwrap_or_else(|| atom::statements(found, context.is_v6))
}

/// `None` where it is not evaluated.
fn exact(found: &Extension<'_>, context: &mut Context<'_>) -> Option<Vec<Statement>> {
    let options = &found.options[..];
    match found.name {
        // These two alone are written in nf_tables' own language (measured with iptables 1.8.9).
        "tcp" | "udp" if !context.is_legacy => {
            transport::ports(found.name, options, context.protocol)
        }
        "tcp" | "udp" | "udplite" | "sctp" | "dccp" => {
            let ports = transport::ports(found.name, options, context.protocol)?;
            Some(transport::whole(ports, context.is_v6))
        }
        "multiport" => {
            let ports = transport::multiport(options, context.protocol)?;
            Some(transport::whole(ports, context.is_v6))
        }
        "icmp" | "icmp6" => {
            let messages = transport::icmp(found.name, options, context.protocol)?;
            Some(transport::whole(messages, context.is_v6))
        }
        "state" | "conntrack" => conntrack::statements(options),
        "mark" => each(options, |o| company::mark(o, Field::Mark)),
        "connmark" => each(options, |o| company::mark(o, Field::CtMark)),
        "addrtype" => address::kinds(found, context.is_v6),
        "iprange" => each(options, |o| address::range(o, context.is_v6)),
        "set" => ipset::statements(found, context),
        "owner" => each(options, company::owner),
        "length" => each(options, company::length),
        "pkttype" => each(options, company::packet_type),
        "rpfilter" => company::reverse_path(found),
        "ttl" | "hl" => each(options, header::ttl),
        "dscp" => each(options, header::dscp),
        "tos" => each(options, header::tos),
        "ecn" => header::ecn(options),
        "comment" | "nfacct" => Some(Vec::new()),
        _ => None,
    }
}

/// One statement an option.
fn each(
    options: &[Opt<'_>],
    read: impl Fn(&Opt<'_>) -> Option<Statement>,
) -> Option<Vec<Statement>> {
    options.iter().map(read).collect()
}

/// A comparison, negated or not.
pub(super) fn compare(left: Expression, is_negated: bool, set: SetRef) -> Statement {
    let test = if is_negated { Test::NotIn(set) } else { Test::In(set) };
    Statement::Match(Match { left, test })
}

/// A comparison of a field.
pub(super) fn field(field: Field, is_negated: bool, set: SetRef) -> Statement {
    compare(Expression::Field(field), is_negated, set)
}

/// A set of plain spans.
pub(super) fn spans(spans: impl IntoIterator<Item = Span>) -> SetRef {
    SetRef::Inline(spans.into_iter().map(Element::of).collect())
}

/// An element of several parts.
fn parts(key: Vec<Span>) -> Element {
    Element { key, ..Element::of(Span::number(0)) }
}

/// A field under a mask; the field alone where the mask leaves all its bits.
pub(super) fn masked(of: Field, mask: u128) -> Expression {
    let all = of.width().map_or(u128::MAX, |width| u128::MAX >> (128 - width));
    match mask & all == all {
        true => Expression::Field(of),
        false => {
            Expression::Bits { of: Box::new(Expression::Field(of)), mask: mask & all, flip: 0 }
        }
    }
}

/// A condition that is not evaluated.
fn condition(text: &str, is_own: bool, presumed: Option<bool>) -> Statement {
    Statement::Condition(Condition { text: text.into(), is_negated: false, is_own, presumed })
}

/// A number: decimal, 0x hexadecimal, 0 octal, as strtoul(3) with base 0 reads it.
pub(super) fn number(text: &str) -> Option<u32> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u32::from_str_radix(digits, 16).ok();
    }
    match text.strip_prefix('0').filter(|digits| !digits.is_empty()) {
        Some(digits) => u32::from_str_radix(digits, 8).ok(),
        None => text.parse().ok(),
    }
}

/// `value` or `value/mask`; without a mask all bits.
pub(super) fn number_and_mask(text: &str) -> Option<(u32, u32)> {
    match text.split_once('/') {
        Some((value, mask)) => Some((number(value)?, number(mask)?)),
        None => Some((number(text)?, u32::MAX)),
    }
}

/// `5`, `5:7`, `:7`, `5:` within 0 and `most`.
fn span(text: &str, separator: char, most: u32) -> Option<Span> {
    let (low, high) = text.split_once(separator).unwrap_or((text, text));
    let low = if low.is_empty() { 0 } else { number(low)? };
    let high = if high.is_empty() { most } else { number(high)? };
    (low <= high && high <= most).then_some(Span::Numbers { low: low.into(), high: high.into() })
}

/// A port or a range of them.
fn port_span(text: &str) -> Option<Span> {
    span(text, ':', u16::MAX.into())
}
