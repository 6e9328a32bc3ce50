//! What goes with the packet: marks, the socket, its length, the way back.

use super::super::options::{Extension, Opt};
use super::{compare, field, masked, number, number_and_mask, span, spans};
use crate::firewall::{FibKey, FibResult, Field, SetRef, Span, Statement, bits};

/// `mark` and `connmark`: `--mark value[/mask]`.
pub(super) fn mark(option: &Opt<'_>, of: Field) -> Option<Statement> {
    let (value, mask) = number_and_mask(option.value())?;
    // The kernel compares `(mark & mask) == value`: a value beyond its mask never matches.
    Some(compare(masked(of, mask.into()), option.is_negated, SetRef::number(value.into())))
}

/// `owner --uid-owner A[-B]`. Negated it holds for packets without a socket too, which no comparison
/// says (net/netfilter/xt_owner.c).
pub(super) fn owner(option: &Opt<'_>) -> Option<Statement> {
    let of = match option.name {
        "--uid-owner" => Field::SocketUser,
        "--gid-owner" => Field::SocketGroup,
        _ => return None,
    };
    let set = spans([span(option.value(), '-', u32::MAX)?]);
    (!option.is_negated).then(|| field(of, false, set))
}

/// `length --length A[:B]`.
pub(super) fn length(option: &Opt<'_>) -> Option<Statement> {
    let set = spans([span(option.value(), ':', 0xffff)?]);
    Some(field(Field::Length, option.is_negated, set))
}

/// `pkttype --pkt-type`.
pub(super) fn packet_type(option: &Opt<'_>) -> Option<Statement> {
    let kind = match option.value() {
        "unicast" | "host" => bits::PACKET_HOST,
        "broadcast" => bits::PACKET_BROADCAST,
        "multicast" => bits::PACKET_MULTICAST,
        "otherhost" => bits::PACKET_OTHER_HOST,
        other => number(other)?.into(),
    };
    Some(field(Field::PacketType, option.is_negated, SetRef::number(kind)))
}

/// `rpfilter`: there is a route back, by the interface the packet came in by unless `--loose`.
pub(super) fn reverse_path(found: &Extension<'_>) -> Option<Vec<Statement>> {
    let key = FibKey {
        is_source: true,
        has_input: !found.has("--loose"),
        has_output: false,
        has_mark: found.has("--validmark"),
    };
    let of = Field::Fib { key, result: FibResult::Exists };
    let exists = spans([Span::number(1)]);
    Some(vec![field(of, found.has("--invert"), exists)])
}
