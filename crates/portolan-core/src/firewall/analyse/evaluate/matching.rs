//! The packets for which a match or a condition holds.

use super::{Evaluated, Memo, Place};
use crate::firewall::analyse::layout::State;
use crate::firewall::analyse::number::Number;
use crate::firewall::analyse::space::{Question, Space};
use crate::firewall::bdd::{Bits, Region, Undecided};
use crate::firewall::{Condition, Expression, Field, Match, SetRef, Test, TupleSide};

/// A match that asks one field for its value, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::firewall::analyse) struct InField {
    pub(in crate::firewall::analyse) bits: Bits,
    pub(in crate::firewall::analyse) ranges: Vec<(u128, u128)>,
}

impl InField {
    /// Whether the two ask for different variables.
    pub(in crate::firewall::analyse) const fn is_apart(&self, other: &Self) -> bool {
        self.bits.end() <= other.bits.first || other.bits.end() <= self.bits.first
    }
}

impl Space {
    /// A match as the ranges of one untouched field that every packet has; `None` for all others.
    pub(in crate::firewall::analyse) fn in_field(
        &self,
        wanted: &Match,
        at: Place<'_>,
    ) -> Option<InField> {
        let Match { left: Expression::Field(field), test: Test::In(SetRef::Inline(elements)) } =
            wanted
        else {
            return None;
        };
        let is_always_there = matches!(
            field,
            Field::InterfaceIn
                | Field::InterfaceOut
                | Field::Protocol
                | Field::Source4
                | Field::Source6
                | Field::Destination4
                | Field::Destination6
                | Field::SourcePort
                | Field::DestinationPort
        );
        let bits = self.layout.plain(*field, self.is_v6).filter(|_| is_always_there)?;
        if bits.variables().any(|variable| at.effect.get(variable).is_some()) {
            return None;
        }
        let is_name = matches!(field, Field::InterfaceIn | Field::InterfaceOut);
        let spans = elements.iter().filter_map(|element| element.key.first());
        let ranges = spans.flat_map(|span| self.span_numbers(span, is_name)).collect();
        Some(InField { bits, ranges })
    }

    /// The packets for which the match holds.
    pub(in crate::firewall::analyse) fn matching(
        &mut self,
        wanted: &Match,
        at: Place<'_>,
        memo: &mut Memo,
    ) -> Result<Region, Undecided> {
        let parts = match self.evaluate(&wanted.left, at, memo)? {
            Evaluated::Numbers(parts) => parts,
            Evaluated::Open(_) => {
                let inside = self.open_match(wanted, &[], at)?;
                return Ok(if is_negated(&wanted.test) { !inside } else { inside });
            }
        };
        let known: Vec<Region> = parts.iter().map(|part| part.known).collect();
        let known = self.bdd.intersection(known)?;
        if known.is_none() {
            return Ok(known);
        }
        let inside = match &wanted.test {
            Test::In(set) | Test::NotIn(set) => match self.in_set(&parts, set, at, memo)? {
                Some(inside) => inside,
                None => self.open_match(wanted, &parts, at)?,
            },
            Test::AnyBit(mask) | Test::NoBit(mask) => self.any_bit(&parts, *mask)?,
        };
        let inside = self.unless_untold(wanted, inside, at)?;
        self.bdd.and(known, if is_negated(&wanted.test) { !inside } else { inside })
    }

    /// What is asked of a connection's ends is open where nothing tells them: of what protocols without ports
    /// have in their place, and of the connection that an ICMP error is about.
    fn unless_untold(
        &mut self,
        wanted: &Match,
        inside: Region,
        at: Place<'_>,
    ) -> Result<Region, Undecided> {
        let Some(asks_ports) = asks_tuple(&wanted.left) else { return Ok(inside) };
        let related = self.bdd.equal(self.layout.state, State::Related.number())?;
        let (icmp, icmpv6) = (self.protocol(1)?, self.protocol(58)?);
        let icmp = self.bdd.or(icmp, icmpv6)?;
        let mut untold = self.bdd.and(related, icmp)?;
        if asks_ports {
            let ports = self.protocols_with_ports()?;
            untold = self.bdd.or(untold, !ports)?;
        }
        if at.effect.has_port_written {
            untold = Region::ALL;
        }
        let open = self.open_match(wanted, &[], at)?;
        self.bdd.either(untold, open, inside)
    }

    fn any_bit(&mut self, parts: &[Number], mask: u128) -> Result<Region, Undecided> {
        let picked = parts.first().map(|number| number.picked(mask)).unwrap_or_default();
        self.bdd.union(picked)
    }

    /// Whether something nobody knows is in what it is compared with. The same comparison of the
    /// same bits has the same answer, in whichever rule of the table it stands.
    fn open_match(
        &mut self,
        wanted: &Match,
        parts: &[Number],
        at: Place<'_>,
    ) -> Result<Region, Undecided> {
        let words = match &wanted.test {
            Test::In(set) | Test::NotIn(set) => match set {
                SetRef::Inline(elements) if elements.len() > 4 => format!("{:?}", at.rule),
                set => format!("{set:?}"),
            },
            Test::AnyBit(mask) | Test::NoBit(mask) => format!("bits {mask}"),
        };
        let bits: Vec<_> = parts.iter().map(|part| &part.bits).collect();
        let sides = self.translated_sides(at.effect);
        let changes = at.effect.changes_of(at.rule.chain.table, set_name(&wanted.test)).count();
        let key = format!(
            "match {} {:?} {words} {bits:?} {sides:?} {changes}",
            at.rule.chain.table, wanted.left
        );
        let text = at.ruleset.rule(at.rule).map_or_else(String::new, |rule| rule.text.to_string());
        let question = Question { rule: Some(at.rule), ..Question::new(text) };
        self.question(key, question)
    }

    /// The packets for which a condition holds.
    pub(in crate::firewall::analyse) fn condition(
        &mut self,
        asked: &Condition,
        at: Place<'_>,
    ) -> Result<Region, Undecided> {
        let rule = asked.is_own.then_some(at.rule);
        // Not by its number: where a table or a rule before it is another, the limit is the same.
        let own = rule.map(|rule| at.ruleset.identity(rule));
        // Of a translated packet it may hold where it did not before.
        let sides = if own.is_none() { self.translated_sides(at.effect) } else { [false; 2] };
        let key = format!("condition {own:?} {sides:?} {}", asked.text);
        let question =
            Question { rule, presumed: asked.presumed, ..Question::new(asked.text.to_string()) };
        let holds = self.question(key, question)?;
        Ok(if asked.is_negated { !holds } else { holds })
    }
}

const fn is_negated(test: &Test) -> bool {
    matches!(test, Test::NotIn(_) | Test::NoBit(_))
}

/// Whether an expression asks of a connection's ends, and whether of ports.
fn asks_tuple(expression: &Expression) -> Option<bool> {
    match expression {
        Expression::Field(Field::CtTuple(_, side)) => {
            Some(matches!(side, TupleSide::SourcePort | TupleSide::DestinationPort))
        }
        Expression::Bits { of, .. } => asks_tuple(of),
        Expression::Lookup { key, .. } => asks_tuple(key),
        Expression::Concat(parts) => {
            parts.iter().filter_map(asks_tuple).reduce(|one, other| one || other)
        }
        _ => None,
    }
}

/// The name of the set that is asked, empty where it has none.
fn set_name(test: &Test) -> &str {
    match test {
        Test::In(SetRef::Named(name)) | Test::NotIn(SetRef::Named(name)) => name,
        _ => "",
    }
}
