//! Which source ports rules tell apart: flows that differ in no more than others are one flow.

use std::collections::BTreeSet;

use super::super::{
    Element, Expression, Field, Match, Ruleset, SetRef, Span, Statement, Table, Test, TupleSide,
};

/// Where source ports begin to mean something else to the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourcePorts {
    /// The first port of each region but the first.
    edges: BTreeSet<u16>,
    /// Whether some rule computes with the port, so that every one is a region of its own.
    is_each: bool,
}

impl SourcePorts {
    /// Those the rules tell apart.
    #[must_use]
    pub fn of(ruleset: &Ruleset) -> Self {
        let mut found = Self::default();
        for table in &ruleset.tables {
            let rules = table.chains.iter().flat_map(|chain| &chain.rules);
            rules.flat_map(|rule| &rule.statements).for_each(|each| found.read(table, each));
        }
        found
    }

    /// The port that stands for this one: the first of its region, and `usual` in the region that has it.
    #[must_use]
    pub fn stands_for(&self, port: u16, usual: u16) -> u16 {
        let first = |port| self.edges.range(..=port).next_back();
        match self.is_each {
            true => port,
            false if first(port) == first(usual) => usual,
            false => first(port).copied().unwrap_or(0),
        }
    }

    fn read(&mut self, table: &Table, statement: &Statement) {
        match statement {
            Statement::Match(Match { left, test: Test::In(set) | Test::NotIn(set) })
            | Statement::VerdictMap { key: left, map: set } => self.look_up(table, left, set),
            Statement::Match(Match { left, .. }) => self.compute(table, left),
            Statement::Assign { value, .. } => self.compute(table, value),
            Statement::Nat(nat) => {
                nat.address.iter().chain(&nat.port).for_each(|value| self.compute(table, value));
            }
            Statement::Update { key, .. } => self.is_each |= mentions(key),
            Statement::Condition(_)
            | Statement::Verdict(_)
            | Statement::NoTrack
            | Statement::Template { .. }
            | Statement::Opaque { .. } => {}
        }
    }

    fn look_up(&mut self, table: &Table, key: &Expression, set: &SetRef) {
        let parts = match key {
            Expression::Concat(parts) => &**parts,
            one => std::slice::from_ref(one),
        };
        for (index, part) in parts.iter().enumerate().filter(|(_, part)| mentions(part)) {
            match part {
                Expression::Field(_) => self.cut(table, index, set),
                other => self.compute(table, other),
            }
        }
    }

    /// A value that is more than looked up: only the key of a map can still be cut into regions.
    fn compute(&mut self, table: &Table, value: &Expression) {
        match value {
            Expression::Lookup { key, map } => self.look_up(table, key, map),
            other => self.is_each |= mentions(other),
        }
    }

    fn cut(&mut self, table: &Table, index: usize, set: &SetRef) {
        let elements: &[Element] = match set {
            SetRef::Inline(elements) => elements,
            SetRef::Named(name) => {
                table.set(name).and_then(|set| set.elements.as_deref()).unwrap_or_default()
            }
        };
        for span in elements.iter().filter_map(|element| element.key.get(index)) {
            if let Span::Numbers { low, high } = span {
                let edges = [Some(*low), high.checked_add(1)];
                self.edges
                    .extend(edges.into_iter().flatten().filter_map(|n| u16::try_from(n).ok()));
            }
        }
    }
}

fn mentions(expression: &Expression) -> bool {
    expression.reads(&|field| {
        matches!(field, Field::SourcePort | Field::CtTuple(_, TupleSide::SourcePort))
    })
}
