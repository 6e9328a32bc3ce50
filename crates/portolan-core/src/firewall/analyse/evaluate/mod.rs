//! Which packets a match holds for, and what a value is, behind what earlier rules have done to them.
//!
//! ```text
//! matching   a match or a condition: the packets for which it holds
//! fields     what a packet has, as bits         sets   whether a key is in a set
//!                                               maps   what a map gives for a key
//! ```

mod fields;
mod maps;
mod matching;
mod sets;

use std::collections::HashMap;

use super::effect::Effect;
use super::number::{Number, in_ranges};
use super::space::{Question, Space};
use super::surroundings::Around;
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::{Expression, Field, RuleId, Ruleset, Span, Value};

pub(super) use maps::elements_of;
pub(super) use matching::InField;

/// Where something is evaluated: a rule, and what was done to the packet before.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) ruleset: &'a Ruleset,
    pub(super) rule: RuleId,
    pub(super) effect: &'a Effect,
    /// Whether connections are looked up already at this point of the way.
    pub(super) is_tracked: bool,
    pub(super) around: Around<'a>,
}

/// A value that depends on the packet.
pub(super) enum Evaluated {
    /// One number, or several for a concatenation.
    Numbers(Vec<Number>),
    /// Nobody knows: the words that ask for it.
    Open(String),
}

/// Results that are asked for again: big sets under the same bits.
#[derive(Debug, Default)]
pub(super) struct Memo {
    sets: HashMap<SetKey, Region>,
}

/// Which set of which table, asked with which bits.
type SetKey = (usize, Box<str>, Vec<Vec<Region>>);

impl Space {
    pub(super) fn evaluate(
        &mut self,
        expression: &Expression,
        at: Place<'_>,
        memo: &mut Memo,
    ) -> Result<Evaluated, Undecided> {
        Ok(match expression {
            Expression::Field(Field::Fib { key, result }) => return self.fib(*key, *result, at),
            Expression::Field(field) => match self.field(*field, at)? {
                Some(number) => Evaluated::Numbers(vec![number]),
                None => Evaluated::Open(format!("{field:?}")),
            },
            Expression::Bits { of, mask, flip } => match self.evaluate(of, at, memo)? {
                Evaluated::Numbers(parts) => Evaluated::Numbers(
                    parts.into_iter().map(|part| part.masked(*mask, *flip)).collect(),
                ),
                open @ Evaluated::Open(_) => open,
            },
            Expression::Concat(parts) => {
                let mut numbers = Vec::new();
                for part in parts {
                    match self.evaluate(part, at, memo)? {
                        Evaluated::Numbers(more) => numbers.extend(more),
                        open @ Evaluated::Open(_) => return Ok(open),
                    }
                }
                Evaluated::Numbers(numbers)
            }
            Expression::Lookup { key, map } => self.looked_up(key, map, at, memo)?,
            Expression::Constant(value) => Evaluated::Numbers(vec![self.constant(value)]),
            Expression::OneOf(span) => self.one_of(span, &|| identity(at))?,
            Expression::Unknown(text) => Evaluated::Open(text.to_string()),
        })
    }

    fn constant(&self, value: &Value) -> Number {
        match value {
            Value::Number(number) => {
                Number::constant(*number, if *number >> 32 == 0 { 32 } else { 128 })
            }
            Value::Name(name) => {
                let width = self.layout.interface_in.width;
                let number = Number::constant(self.interfaces.number(name), width);
                Number { is_name: true, ..number }
            }
        }
    }

    /// A number by chance: as many free bits as it takes, bent into the span. Chosen `by` the same it is
    /// the same.
    pub(super) fn one_of(
        &mut self,
        span: &Span,
        by: &dyn Fn() -> String,
    ) -> Result<Evaluated, Undecided> {
        let Span::Numbers { low, high } = span else {
            return Ok(Evaluated::Open(format!("{span:?}")));
        };
        if low == high {
            return Ok(Evaluated::Numbers(vec![self.constant(&Value::Number(*low))]));
        }
        let width = 128 - high.leading_zeros();
        let by = by();
        let mut chosen = Vec::new();
        for bit in 0..width {
            let text = self.choice_words(*low, *high);
            let key = format!("choice {by} {low} {high} {bit}");
            let question = Question { is_choice: true, ..Question::new(text) };
            chosen.push(self.question(key, question)?);
        }
        let inside = in_ranges(&mut self.bdd, &chosen, &[(*low, *high)])?;
        let lowest = Number::constant(*low, width);
        let mut bits = vec![Region::NONE; 128 - width as usize];
        for (bit, fallback) in chosen.into_iter().zip(lowest.bits) {
            bits.push(self.bdd.either(inside, bit, fallback)?);
        }
        let from = if width <= 32 { 96 } else { 0 };
        bits.drain(..from);
        Ok(Evaluated::Numbers(vec![Number { bits, known: Region::ALL, is_name: false }]))
    }

    fn choice_words(&self, low: u128, high: u128) -> String {
        match high > 0xffff {
            true => format!("one of {}-{}", self.address(low), self.address(high)),
            false => format!("one of {low}-{high}"),
        }
    }
}

/// What tells the rule that chooses from others, also of another ruleset.
fn identity(at: Place<'_>) -> String {
    format!("{:?}", at.ruleset.identity(at.rule))
}
