//! Senders that no rule tells apart: of each class one packet speaks for all.
//!
//! Everything that rules compare source addresses with cuts the addresses into intervals; two intervals
//! that lie in the same sets belong to the same class. So ten thousand banned addresses are one class.
//! Rules that a packet to the port asked about cannot match are left out.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use crate::firewall::{
    Addresses, Direction, Element, Expression, Field, Interval, Match, Rule, Ruleset, SetRef, Span,
    Statement, Table, Test, TupleSide,
};

use super::hints::{elements, rules};

/// What rules make of source addresses, for packets to some ports.
#[derive(Clone, Debug)]
pub(super) struct Classes {
    /// Where something begins (added) or ends (taken away), sorted.
    edges: Vec<(u128, u64, Edge)>,
    /// Whether every comparison could be turned into intervals.
    pub(super) is_exact: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    Begins,
    Ends,
}

impl Classes {
    /// All senders are alike.
    pub(super) const fn one() -> Self {
        Self { edges: Vec::new(), is_exact: true }
    }

    /// Of packets with this protocol to one of these ports.
    pub(super) fn of(ruleset: &Ruleset, is_v6: bool, protocol: u8, ports: &[u16]) -> Self {
        let mut classes = Self::one();
        for (at, (table, _, rule)) in rules(ruleset).enumerate() {
            if table.family.passes(is_v6) && may_match(table, rule, protocol, ports) {
                let mut reader = Reader { classes: &mut classes, table, at, is_v6, step: 0 };
                rule.statements.iter().for_each(|statement| reader.statement(statement));
            }
        }
        classes.edges.sort_unstable();
        classes
    }

    /// Splits addresses of one family into classes, those with the lowest addresses first.
    pub(super) fn split(&self, addresses: &Addresses, is_v6: bool) -> Vec<Addresses> {
        let mut order: Vec<u64> = Vec::new();
        let mut parts: HashMap<u64, Vec<Interval>> = HashMap::new();
        let mut add = |token: u64, span: Interval| {
            let part = parts.entry(token).or_insert_with(|| {
                order.push(token);
                Vec::new()
            });
            part.push(span);
        };
        let (mut next, mut token) = (0, 0_u64);
        for (low, high) in addresses.intervals(is_v6).iter().copied() {
            let mut first = low;
            loop {
                while let Some((at, weight, edge)) = self.edges.get(next).copied()
                    && at <= first
                {
                    token = match edge {
                        Edge::Begins => token.wrapping_add(weight),
                        Edge::Ends => token.wrapping_sub(weight),
                    };
                    next += 1;
                }
                match self.edges.get(next).filter(|(at, _, _)| *at <= high) {
                    Some((at, _, _)) => {
                        add(token, (first, at - 1));
                        first = *at;
                    }
                    None => {
                        add(token, (first, high));
                        break;
                    }
                }
            }
        }
        let take = |token| Addresses::of_intervals(is_v6, parts.remove(&token).unwrap_or_default());
        order.into_iter().map(take).collect()
    }

    fn interval(&mut self, low: u128, high: u128, weight: u64) {
        self.edges.push((low, weight, Edge::Begins));
        if let Some(after) = high.checked_add(1) {
            self.edges.push((after, weight, Edge::Ends));
        }
    }
}

/// Whether a packet with this protocol to one of these ports can get past the matches of a rule that ask
/// for both. Ports are those before and after every translation.
fn may_match(table: &Table, rule: &Rule, protocol: u8, ports: &[u16]) -> bool {
    rule.statements.iter().all(|statement| {
        let Statement::Match(Match { left: Expression::Field(field), test: Test::In(set) }) =
            statement
        else {
            return true;
        };
        let of_original = Field::CtTuple(Direction::Original, TupleSide::DestinationPort);
        match field {
            Field::Protocol => has(table, set, &[protocol.into()]),
            _ if *field == Field::DestinationPort || *field == of_original => {
                has(table, set, ports)
            }
            _ => true,
        }
    })
}

fn has(table: &Table, set: &SetRef, numbers: &[u16]) -> bool {
    if let SetRef::Named(name) = set
        && table.set(name).is_none_or(|set| set.elements.is_none() || set.flags.is_dynamic)
    {
        return true;
    }
    elements(table, set).iter().any(|element| match &element.key[..] {
        [Span::Numbers { low, high }] => {
            numbers.iter().any(|n| (*low..=*high).contains(&u128::from(*n)))
        }
        _ => true,
    })
}

/// Reads the comparisons of one rule.
struct Reader<'a> {
    classes: &'a mut Classes,
    table: &'a Table,
    /// The rule's number, for the token.
    at: usize,
    is_v6: bool,
    /// The comparison's number in the rule.
    step: usize,
}

impl Reader<'_> {
    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Match(Match { left, test }) => {
                match test {
                    Test::In(set) | Test::NotIn(set) => self.compared(left, set),
                    Test::AnyBit(_) | Test::NoBit(_) => {
                        self.classes.is_exact &= !self.is_source(left);
                    }
                }
                self.expression(left);
            }
            Statement::VerdictMap { key, map } => self.compared(key, map),
            Statement::Assign { value, .. } => self.expression(value),
            Statement::Nat(nat) => {
                nat.address.iter().chain(&nat.port).for_each(|value| self.expression(value));
            }
            _ => {}
        }
    }

    /// Lookups inside an expression.
    fn expression(&mut self, expression: &Expression) {
        match expression {
            Expression::Lookup { key, map } => self.compared(key, map),
            Expression::Bits { of, .. } => self.expression(of),
            Expression::Concat(parts) => parts.iter().for_each(|part| self.expression(part)),
            _ => {}
        }
    }

    fn compared(&mut self, left: &Expression, set: &SetRef) {
        self.step += 1;
        let (part, mask) = match left {
            Expression::Concat(parts) => match parts.iter().position(|p| self.is_source(p)) {
                Some(at) => (at, mask_of(&parts[at])),
                None => return,
            },
            one if self.is_source(one) => (0, mask_of(one)),
            _ => return,
        };
        let Some(spread) = mask.and_then(|mask| spread(mask, self.is_v6)) else {
            self.classes.is_exact = false;
            return;
        };
        for element in elements(self.table, set) {
            if let Some(Span::Numbers { low, high }) = element.key.get(part) {
                let weight = self.weight(element, part);
                self.classes.interval(*low, high | spread, weight);
            }
        }
    }

    /// The same for elements that a packet of whatever sender is treated alike by.
    fn weight(&self, element: &Element, part: usize) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.at, self.step).hash(&mut hasher);
        for (i, span) in element.key.iter().enumerate().filter(|(i, _)| *i != part) {
            (i, span).hash(&mut hasher);
        }
        match &element.value {
            crate::firewall::ElementValue::None => {}
            crate::firewall::ElementValue::Data(spans) => spans.hash(&mut hasher),
            crate::firewall::ElementValue::Verdict(verdict) => verdict.hash(&mut hasher),
        }
        hasher.finish()
    }

    fn is_source(&self, expression: &Expression) -> bool {
        match expression {
            Expression::Field(field) => {
                let (plain, of_tuple) = match self.is_v6 {
                    false => (Field::Source4, TupleSide::Source4),
                    true => (Field::Source6, TupleSide::Source6),
                };
                *field == plain || *field == Field::CtTuple(Direction::Original, of_tuple)
            }
            Expression::Bits { of, .. } => self.is_source(of),
            _ => false,
        }
    }
}

/// The mask an address is compared under: all bits where there is none, `None` where bits are turned over.
fn mask_of(expression: &Expression) -> Option<u128> {
    match expression {
        Expression::Bits { of, mask, flip: 0 } if matches!(**of, Expression::Field(_)) => {
            Some(*mask)
        }
        Expression::Bits { .. } => None,
        _ => Some(u128::MAX),
    }
}

/// The bits below a mask that is that of a network; `None` where it is another.
fn spread(mask: u128, is_v6: bool) -> Option<u128> {
    let all = if is_v6 { u128::MAX } else { u128::from(u32::MAX) };
    let rest = !mask & all;
    rest.checked_add(1).is_none_or(u128::is_power_of_two).then_some(rest)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::firewall::{Chain, Family, Origin, Verdict};

    fn source(low: u128, high: u128) -> Statement {
        let set = SetRef::Inline(Arc::new([Element::of(Span::Numbers { low, high })]));
        Statement::Match(Match { left: Expression::Field(Field::Source4), test: Test::In(set) })
    }

    fn to_port(port: u128) -> Statement {
        let test = Test::In(SetRef::number(port));
        Statement::Match(Match { left: Expression::Field(Field::DestinationPort), test })
    }

    fn ruleset(rules: Vec<Vec<Statement>>) -> Ruleset {
        let rules = rules
            .into_iter()
            .map(|mut statements| {
                statements.push(Statement::Verdict(Verdict::Drop));
                Rule { statements, ..Rule::default() }
            })
            .collect();
        let table = Table {
            family: Family::Ip,
            name: "t".into(),
            origin: Origin::Nft,
            is_dormant: false,
            chains: vec![Chain { name: "c".into(), base: None, rules }],
            sets: Vec::new(),
        };
        Ruleset { tables: vec![table], notes: Vec::new() }
    }

    fn split(rules: Vec<Vec<Statement>>) -> Vec<String> {
        let classes = Classes::of(&ruleset(rules), false, 6, &[80]);
        let all = Addresses::of_intervals(false, vec![(0, 99), (200, 299)]);
        classes
            .split(&all, false)
            .iter()
            .map(|part| format!("{:?}", part.intervals(false)))
            .collect()
    }

    #[test]
    fn without_rules_everybody_is_of_one_class() {
        assert_eq!(split(vec![]), ["[(0, 99), (200, 299)]"]);
    }

    #[test]
    fn a_rule_cuts_at_its_edges_and_equal_pieces_are_one_class() {
        let rules = vec![vec![source(10, 19)], vec![source(90, 249)]];
        assert_eq!(
            split(rules),
            ["[(0, 9), (20, 89), (250, 299)]", "[(10, 19)]", "[(90, 99), (200, 249)]"]
        );
    }

    #[test]
    fn members_of_one_set_are_one_class() {
        let members: Vec<Element> =
            (0..40_u128).map(|n| Element::of(Span::number(n * 2))).collect();
        let test = Test::In(SetRef::Inline(members.into()));
        let banned = Match { left: Expression::Field(Field::Source4), test };
        assert_eq!(split(vec![vec![Statement::Match(banned)]]).len(), 2);
    }

    #[test]
    fn rules_for_other_ports_tell_nobody_apart() {
        assert_eq!(split(vec![vec![to_port(22), source(10, 19)]]).len(), 1);
        assert_eq!(split(vec![vec![to_port(80), source(10, 19)]]).len(), 2);
    }
}
