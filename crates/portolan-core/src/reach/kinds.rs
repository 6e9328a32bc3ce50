//! Own addresses that neither rules nor sockets tell apart: one of each kind speaks for all.
//!
//! Every number that a rule compares addresses with is an edge. Two addresses between the same edges, on
//! the same interface, meet with the same; a rule that looks at single bits of an address leaves each a
//! kind of its own.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::firewall::{
    Expression, Field, LocalAddress, Ruleset, SetRef, Span, Statement, Table, Test, TupleSide,
    World, number_of,
};
use crate::net::Scope;
use crate::socket::SocketTable;

use super::hints::{elements, rules};

/// The places, among the addresses of a machine, of those that are asked about.
#[derive(Clone, Debug, Default)]
pub(super) struct Kinds {
    pub(super) asked: Vec<usize>,
    /// How many addresses are of a kind that is not asked about.
    pub(super) left_out: usize,
}

impl Kinds {
    /// One address of each kind.
    pub(super) fn of(
        world: &World,
        ruleset: Option<&Ruleset>,
        sockets: Option<&SocketTable>,
    ) -> Self {
        if world.addresses.len() <= FEW {
            return Self { asked: (0..world.addresses.len()).collect(), left_out: 0 };
        }
        let edges = [false, true].map(|v6| ruleset.map(|r| Edges::of(r, v6)).unwrap_or_default());
        let bound = bound(sockets);
        let mut known = BTreeSet::new();
        let mut kinds = Self::default();
        for (place, own) in world.addresses.iter().enumerate() {
            let edges = &edges[usize::from(own.address.is_ipv6())];
            let kind = if edges.is_blurred || bound.contains(&own.address) {
                Kind::Alone(own.address)
            } else {
                let scope = Scope::of(own.address);
                let is_v6 = own.address.is_ipv6();
                Kind::Between(is_v6, edges.before(number_of(own.address)), &own.interface, scope)
            };
            if known.len() >= MOST && !known.contains(&kind) {
                kinds.left_out += 1;
            } else if known.insert(kind) {
                kinds.asked.push(place);
            }
        }
        kinds
    }

    /// Those addresses.
    pub(super) fn addresses<'a>(
        &'a self,
        world: &'a World,
    ) -> impl Iterator<Item = &'a LocalAddress> {
        self.asked.iter().filter_map(|place| world.addresses.get(*place))
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Kind<'a> {
    Alone(IpAddr),
    Between(bool, usize, &'a str, Scope),
}

/// The addresses that listeners are bound to.
fn bound(sockets: Option<&SocketTable>) -> BTreeSet<IpAddr> {
    let listeners = sockets.into_iter().flat_map(|table| &table.sockets);
    let listeners = listeners.filter(|held| held.socket.is_listener());
    listeners.filter_map(|held| Some(held.socket.local_endpoint()?.address)).collect()
}

/// The numbers that rules compare the addresses of one family with.
#[derive(Clone, Debug, Default)]
pub(super) struct Edges {
    /// Where something begins, or has just ended.
    at: Vec<u128>,
    /// Whether a rule looks at an address in another way.
    is_blurred: bool,
    is_v6: bool,
}

impl Edges {
    pub(super) fn of(ruleset: &Ruleset, is_v6: bool) -> Self {
        let mut edges = Self { is_v6, ..Self::default() };
        for (table, _, rule) in rules(ruleset) {
            rule.statements.iter().for_each(|statement| edges.of_statement(table, statement));
        }
        edges.at.sort_unstable();
        edges.at.dedup();
        edges
    }

    /// How many edges lie at or before an address.
    fn before(&self, address: u128) -> usize {
        self.at.partition_point(|edge| *edge <= address)
    }

    /// Whether no rule tells one address of a span from another.
    pub(super) fn is_one(&self, low: u128, high: u128) -> bool {
        !self.is_blurred && self.before(low) == self.before(high)
    }

    fn of_statement(&mut self, table: &Table, statement: &Statement) {
        match statement {
            Statement::Match(found) => match &found.test {
                Test::In(set) | Test::NotIn(set) => self.compared(table, &found.left, set),
                Test::AnyBit(_) | Test::NoBit(_) => self.is_blurred |= self.is_in(&found.left),
            },
            Statement::VerdictMap { key, map } => self.compared(table, key, map),
            Statement::Assign { value, .. } => self.given(table, value),
            Statement::Nat(nat) => {
                nat.address.iter().chain(&nat.port).for_each(|given| self.given(table, given));
            }
            _ => {}
        }
    }

    /// Something is held against a set.
    fn compared(&mut self, table: &Table, left: &Expression, set: &SetRef) {
        let one = std::slice::from_ref(left);
        let parts = if let Expression::Concat(parts) = left { parts.as_slice() } else { one };
        for (place, part) in parts.iter().enumerate() {
            match part {
                Expression::Field(field) if self.is_address(*field) => self.add(table, set, place),
                other => self.given(table, other),
            }
        }
    }

    /// Something is taken as it is.
    fn given(&mut self, table: &Table, value: &Expression) {
        match value {
            Expression::Lookup { key, map } => self.compared(table, key, map),
            other => self.is_blurred |= self.is_in(other),
        }
    }

    fn add(&mut self, table: &Table, set: &SetRef, place: usize) {
        for element in elements(table, set) {
            if let Some(Span::Numbers { low, high }) = element.key.get(place) {
                self.at.push(*low);
                self.at.extend(high.checked_add(1));
            }
        }
    }

    fn is_in(&self, value: &Expression) -> bool {
        match value {
            Expression::Field(field) => self.is_address(*field),
            Expression::Bits { of, .. } => self.is_in(of),
            Expression::Concat(parts) => parts.iter().any(|part| self.is_in(part)),
            Expression::Lookup { key, .. } => self.is_in(key),
            Expression::Constant(_) | Expression::OneOf(_) | Expression::Unknown(_) => false,
        }
    }

    const fn is_address(&self, field: Field) -> bool {
        match field {
            Field::Source4
            | Field::Destination4
            | Field::CtTuple(_, TupleSide::Source4 | TupleSide::Destination4) => !self.is_v6,
            Field::Source6
            | Field::Destination6
            | Field::CtTuple(_, TupleSide::Source6 | TupleSide::Destination6) => self.is_v6,
            _ => false,
        }
    }
}

/// So many addresses are asked about one by one without looking for kinds.
const FEW: usize = 16;
/// So many kinds at most.
const MOST: usize = 256;
