//! The conditions that plain rules are made of.

use crate::firewall::addresses::Addresses;
use crate::firewall::packet::Direction;
use crate::firewall::policy::{PassTraffic, Peers, RateLimit};
use crate::firewall::{
    Element, Expression, FibKey, FibResult, Field, Match, SetRef, Span, Statement, Test, TupleSide,
    bits,
};

/// A field is this number.
pub(super) fn is_number(field: Field, value: u128) -> Statement {
    given(field, Test::In(SetRef::number(value)))
}

/// A field is in one of these spans.
pub(super) fn number_in(field: Field, spans: &[(u128, u128)]) -> Statement {
    let spans = spans.iter().map(|(low, high)| Span::Numbers { low: *low, high: *high });
    let elements: Vec<Element> = spans.map(Element::of).collect();
    given(field, Test::In(SetRef::Inline(elements.into())))
}

/// A field has at least one of these bits.
pub(super) fn any_bit(field: Field, bits: u128) -> Statement {
    given(field, Test::AnyBit(bits))
}

/// A field passes a test.
fn given(field: Field, test: Test) -> Statement {
    Statement::Match(Match { left: Expression::Field(field), test })
}

/// The packet is of this version of IP.
pub(super) fn family(is_v6: bool) -> Statement {
    let version = if is_v6 { bits::NFPROTO_IPV6 } else { bits::NFPROTO_IPV4 };
    is_number(Field::NetworkProtocol, version)
}

/// The field of the source's address.
pub(super) const fn source(is_v6: bool) -> Field {
    if is_v6 { Field::Source6 } else { Field::Source4 }
}

/// The source or destination is one of these.
pub(super) fn address(of: &Addresses, is_destination: bool, is_v6: bool) -> Statement {
    let field = match (is_destination, is_v6) {
        (false, _) => source(is_v6),
        (true, false) => Field::Destination4,
        (true, true) => Field::Destination6,
    };
    number_in(field, of.intervals(is_v6))
}

/// The interface it came by, or leaves by; a name that ends in `*` is a beginning.
pub(super) fn interface(name: &str, is_outgoing: bool) -> Statement {
    let field = if is_outgoing { Field::InterfaceOut } else { Field::InterfaceIn };
    let beginning = name.strip_suffix('*');
    let text = beginning.unwrap_or(name).into();
    let span = Span::Names { text, is_prefix: beginning.is_some() };
    given(field, Test::In(SetRef::span(span)))
}

/// It came by another interface.
pub(super) fn not_interface(name: &str) -> Statement {
    let span = Span::Names { text: name.into(), is_prefix: false };
    given(Field::InterfaceIn, Test::NotIn(SetRef::span(span)))
}

/// The limit that must be kept, as nft lists it.
pub(super) fn limit(of: RateLimit) -> String {
    let (rate, unit) = of.in_units();
    format!("limit rate {rate}/{unit} burst {} packets", of.burst())
}

/// The packet is of one family and from (or to) these; `None` where nobody can be meant.
pub(super) fn located(
    peers: &Peers,
    only: Option<&str>,
    is_outgoing: bool,
    is_v6: bool,
) -> Option<Vec<Statement>> {
    if peers.addresses.intervals(is_v6).is_empty() {
        return None;
    }
    let mut place = vec![family(is_v6), address(&peers.addresses, is_outgoing, is_v6)];
    let interfaces = [peers.interface.as_deref(), only];
    place.extend(interfaces.into_iter().flatten().map(|name| interface(name, is_outgoing)));
    Some(place)
}

/// The protocol and the port.
pub(super) fn port(traffic: PassTraffic, field: Field) -> Vec<Statement> {
    let mut conditions = vec![is_number(Field::Protocol, u128::from(traffic.protocol()))];
    conditions.extend(traffic.ports().map(|range| {
        number_in(field, &[(u128::from(range.first().0), u128::from(range.last().0))])
    }));
    conditions
}

/// The field is in a set that packets fill.
pub(super) fn named(field: Field, set: Box<str>) -> Statement {
    given(field, Test::In(SetRef::Named(set)))
}

/// `ct original proto-dst`.
pub(super) const fn called_port() -> Field {
    Field::CtTuple(Direction::Original, TupleSide::DestinationPort)
}

/// `fib daddr type`.
pub(super) const fn local_type() -> Field {
    let key = FibKey { is_source: false, has_input: false, has_output: false, has_mark: false };
    Field::Fib { key, result: FibResult::Type }
}
