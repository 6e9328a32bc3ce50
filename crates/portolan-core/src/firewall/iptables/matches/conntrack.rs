//! `state` and `conntrack` (net/netfilter/xt_state.c, xt_conntrack.c).

use super::super::options::Opt;
use super::super::protocol::protocol;
use super::address::address;
use super::{compare, field, masked, parts, port_span, spans};
use crate::firewall::{
    Direction, Expression, Field, Match, SetRef, Span, Statement, Test, TupleSide, bits,
};

/// `None` where what the kernel does cannot be said by comparisons.
pub(super) fn statements(options: &[Opt<'_>]) -> Option<Vec<Statement>> {
    let mut statements = Vec::new();
    for option in options {
        match option.name {
            "--state" | "--ctstate" => {
                let states = states(option.value())?;
                // Without a connection the kernel looks at the state alone.
                let is_alone = options.len() == 1;
                let is_of_connection = states.plain & (bits::INVALID | bits::UNTRACKED) == 0;
                if !is_alone && (!is_of_connection || option.is_negated) {
                    return None;
                }
                statements.push(states.statement(option.is_negated)?);
            }
            _ => statements.extend(other(option)?),
        }
    }
    Some(statements)
}

struct States {
    plain: u128,
    /// `SNAT` and `DNAT`: bits of the status.
    translated: u128,
}

fn states(text: &str) -> Option<States> {
    let mut states = States { plain: 0, translated: 0 };
    for name in text.split(',') {
        match name.to_ascii_uppercase().as_str() {
            "INVALID" => states.plain |= bits::INVALID,
            "NEW" => states.plain |= bits::NEW,
            "ESTABLISHED" => states.plain |= bits::ESTABLISHED,
            "RELATED" => states.plain |= bits::RELATED,
            "UNTRACKED" => states.plain |= bits::UNTRACKED,
            "SNAT" => states.translated |= bits::STATUS_SNAT,
            "DNAT" => states.translated |= bits::STATUS_DNAT,
            _ => return None,
        }
    }
    Some(states)
}

impl States {
    fn statement(self, is_negated: bool) -> Option<Statement> {
        let left = match (self.plain, self.translated) {
            (plain, 0) => {
                let test = if is_negated { Test::NoBit(plain) } else { Test::AnyBit(plain) };
                let left = Expression::Field(Field::CtState);
                return Some(Statement::Match(Match { left, test }));
            }
            // A packet without a connection has no status: the negation would hold for it.
            _ if is_negated => return None,
            (0, translated) => {
                let left = Expression::Field(Field::CtStatus);
                return Some(Statement::Match(Match { left, test: Test::AnyBit(translated) }));
            }
            (plain, _) if plain & (bits::INVALID | bits::UNTRACKED) != 0 => return None,
            (plain, translated) => Expression::Concat(vec![
                masked(Field::CtState, plain),
                masked(Field::CtStatus, translated),
            ]),
        };
        // One of both has a bit: not all of them are zero.
        let zeros = parts(vec![Span::number(0), Span::number(0)]);
        Some(compare(left, true, SetRef::Inline(vec![zeros].into())))
    }
}

#[expect(clippy::option_option, reason = "not understood and no test are two answers")]
fn tuple_address(
    option: &Opt<'_>,
    direction: Direction,
    sides: [TupleSide; 2],
) -> Option<Option<Statement>> {
    let side = if option.value().contains(':') { sides[1] } else { sides[0] };
    address(option.value(), Field::CtTuple(direction, side), option.is_negated)
}

/// The outer `None`: not understood; an empty list: holds always.
fn other(option: &Opt<'_>) -> Option<Vec<Statement>> {
    use Direction::{Original, Reply};
    let source = [TupleSide::Source4, TupleSide::Source6];
    let destination = [TupleSide::Destination4, TupleSide::Destination6];
    let negated = option.is_negated;
    let port = |direction, side| {
        let set = spans([port_span(option.value())?]);
        Some(field(Field::CtTuple(direction, side), negated, set))
    };
    let statement = match option.name {
        "--ctproto" => {
            let set = SetRef::number(protocol(option.value())?.into());
            Some(field(Field::CtTuple(Original, TupleSide::Protocol), negated, set))
        }
        "--ctorigsrc" => tuple_address(option, Original, source)?,
        "--ctorigdst" => tuple_address(option, Original, destination)?,
        "--ctreplsrc" => tuple_address(option, Reply, source)?,
        "--ctrepldst" => tuple_address(option, Reply, destination)?,
        "--ctorigsrcport" => Some(port(Original, TupleSide::SourcePort)?),
        "--ctorigdstport" => Some(port(Original, TupleSide::DestinationPort)?),
        "--ctreplsrcport" => Some(port(Reply, TupleSide::SourcePort)?),
        "--ctrepldstport" => Some(port(Reply, TupleSide::DestinationPort)?),
        "--ctdir" => {
            let direction = match option.value() {
                "ORIGINAL" => 0,
                "REPLY" => 1,
                _ => return None,
            };
            Some(field(Field::CtDirection, negated, SetRef::number(direction)))
        }
        "--ctstatus" => {
            let status = status(option.value())?;
            let test = if negated { Test::NoBit(status) } else { Test::AnyBit(status) };
            Some(Statement::Match(Match { left: Expression::Field(Field::CtStatus), test }))
        }
        _ => return None,
    };
    Some(statement.into_iter().collect())
}

fn status(text: &str) -> Option<u128> {
    text.split(',').try_fold(0, |bits, name| {
        Some(
            bits | match name.to_ascii_uppercase().as_str() {
                "NONE" => 0,
                "EXPECTED" => bits::STATUS_EXPECTED,
                "SEEN_REPLY" => bits::STATUS_SEEN_REPLY,
                "ASSURED" => bits::STATUS_ASSURED,
                "CONFIRMED" => bits::STATUS_CONFIRMED,
                _ => return None,
            },
        )
    })
}
