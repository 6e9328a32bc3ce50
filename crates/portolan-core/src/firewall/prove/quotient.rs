//! Long lists of sources made short, without losing a packet that could tell two tables apart.
//!
//! What rules do with a packet depends on its source only by which of the lists it is in. Sources that are
//! in the same lists are treated alike, so one of them stands for all: of a hundred thousand blocked
//! addresses a handful is left. Where a source is looked at in any other manner, nothing is made short.

use std::collections::{BTreeMap, HashMap};

use super::super::value::{Element, Elements, SetRef, Span};
use super::super::{Expression, Field, Match, Statement, Table, Test, address_of};
use crate::net::Prefix;

/// Shorter lists are left as they are: the plain proof is fast enough.
const LONG: usize = 2_000;

/// Lists that do not become so many times shorter are left too: single addresses in the place of networks
/// are more to look at, not less.
const SHORTER: usize = 4;

/// A list of sources: a set by its table and name, or one written into a rule by its members.
type Lists = BTreeMap<Key, Elements>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Named(usize, Box<str>),
    Inline(usize, usize, usize, usize),
}

/// Makes the lists of sources in `tables` short, and gives the sources that stand for all others; `None`
/// where nothing was changed.
pub(super) fn shorten(tables: &mut [&mut Table], is_v6: bool) -> Option<Vec<Prefix>> {
    let field = if is_v6 { Field::Source6 } else { Field::Source4 };
    let mut lists = Lists::new();
    for (t, table) in tables.iter().enumerate() {
        gather(table, t, field, &mut lists)?;
    }
    let length = lists.values().map(|list| list.len()).sum::<usize>();
    if length < LONG {
        return None;
    }
    let last = if is_v6 { u128::MAX } else { u128::from(u32::MAX) };
    let all: Vec<&Elements> = lists.values().collect();
    let kept = representatives(&all, last).filter(|kept| kept.0.len() <= length / SHORTER)?;
    let short: BTreeMap<Key, Elements> = lists
        .keys()
        .enumerate()
        .map(|(i, key)| {
            let inside = kept.iter().filter(|(in_lists, _)| has(in_lists, i));
            let elements = inside.map(|(_, source)| Element::of(Span::number(*source)));
            (key.clone(), elements.collect())
        })
        .collect();
    for (t, table) in tables.iter_mut().enumerate() {
        replace(table, t, field, &short);
    }
    Some(kept.into_values_of(is_v6))
}

/// Every list a source is looked for in; `None` where a source is looked at otherwise.
fn gather(table: &Table, t: usize, field: Field, lists: &mut Lists) -> Option<()> {
    for (at, statement) in statements(table) {
        match statement {
            Statement::Match(Match { left: Expression::Field(f), test }) if *f == field => {
                let (Test::In(set) | Test::NotIn(set)) = test else { return None };
                let (key, elements) = match set {
                    SetRef::Named(name) => {
                        let elements = table.set(name)?.elements.clone()?;
                        (Key::Named(t, name.clone()), elements)
                    }
                    SetRef::Inline(elements) => {
                        (Key::Inline(t, at.0, at.1, at.2), elements.clone())
                    }
                };
                lists.insert(key, elements);
            }
            Statement::Match(Match { left, test }) => {
                let by_name = match test {
                    Test::In(SetRef::Named(name)) | Test::NotIn(SetRef::Named(name)) => Some(name),
                    _ => None,
                };
                // A list of sources that other fields are looked for in too must stay whole.
                let is_shared = by_name.is_some_and(|name| is_of_sources(table, name, field));
                if is_shared || mentions(left, field) {
                    return None;
                }
            }
            Statement::VerdictMap { key, .. } if mentions(key, field) => return None,
            Statement::Assign { value, .. } if mentions(value, field) => return None,
            _ => {}
        }
    }
    Some(())
}

fn is_of_sources(table: &Table, name: &str, field: Field) -> bool {
    statements(table).any(|(_, statement)| match statement {
        Statement::Match(Match { left: Expression::Field(f), test }) if *f == field => {
            matches!(test, Test::In(SetRef::Named(n)) | Test::NotIn(SetRef::Named(n)) if **n == *name)
        }
        _ => false,
    })
}

fn mentions(expression: &Expression, field: Field) -> bool {
    match expression {
        Expression::Field(Field::Fib { key, .. }) => key.is_source,
        Expression::Field(found) => *found == field,
        Expression::Bits { of, .. } => mentions(of, field),
        Expression::Concat(parts) => parts.iter().any(|part| mentions(part, field)),
        Expression::Lookup { key, .. } => mentions(key, field),
        Expression::Constant(_) | Expression::OneOf(_) => false,
        Expression::Unknown(_) => true,
    }
}

type Place = (usize, usize, usize);

fn statements(table: &Table) -> impl Iterator<Item = (Place, &Statement)> {
    table.chains.iter().enumerate().flat_map(|(c, chain)| {
        chain.rules.iter().enumerate().flat_map(move |(r, rule)| {
            rule.statements.iter().enumerate().map(move |(s, statement)| ((c, r, s), statement))
        })
    })
}

fn replace(table: &mut Table, t: usize, field: Field, short: &Lists) {
    for set in &mut table.sets {
        if let Some(elements) = short.get(&Key::Named(t, set.name.clone())) {
            set.elements = Some(elements.clone());
        }
    }
    for (c, chain) in table.chains.iter_mut().enumerate() {
        for (r, rule) in chain.rules.iter_mut().enumerate() {
            for (s, statement) in rule.statements.iter_mut().enumerate() {
                let Statement::Match(Match { left: Expression::Field(f), test }) = statement else {
                    continue;
                };
                let (Test::In(set) | Test::NotIn(set)) = test else { continue };
                if let Some(elements) = short.get(&Key::Inline(t, c, r, s)).filter(|_| *f == field)
                {
                    *set = SetRef::Inline(elements.clone());
                }
            }
        }
    }
}

/// One source for each combination of lists that occurs, by the combination as bits.
struct Kept(BTreeMap<Vec<u64>, u128>);

impl Kept {
    fn iter(&self) -> impl Iterator<Item = (&Vec<u64>, &u128)> {
        self.0.iter()
    }

    fn into_values_of(self, is_v6: bool) -> Vec<Prefix> {
        self.0.into_values().map(|number| Prefix::from(address_of(number, is_v6))).collect()
    }
}

fn has(bits: &[u64], i: usize) -> bool {
    bits.get(i / 64).is_some_and(|word| word >> (i % 64) & 1 == 1)
}

/// From one end of the space to the other, noting each combination of lists once. `None` where a list
/// holds something else than numbers.
fn representatives(lists: &[&Elements], last: u128) -> Option<Kept> {
    let mut changes: Vec<(u128, usize, bool)> = Vec::new();
    for (i, list) in lists.iter().enumerate() {
        for element in list.iter() {
            let [Span::Numbers { low, high }] = &*element.key else { return None };
            changes.push((*low, i, true));
            if *high < last {
                changes.push((high + 1, i, false));
            }
        }
    }
    changes.sort_unstable_by_key(|(at, _, _)| *at);
    let mut depth = vec![0_u32; lists.len()];
    let mut bits = vec![0_u64; lists.len().div_ceil(64)];
    let mut seen: HashMap<Vec<u64>, u128> = HashMap::new();
    let mut changes = changes.into_iter().peekable();
    let mut at = 0;
    loop {
        while let Some((_, i, begins)) = changes.next_if(|(place, _, _)| *place == at) {
            depth[i] = if begins { depth[i].saturating_add(1) } else { depth[i].saturating_sub(1) };
            let bit = 1 << (i % 64);
            bits[i / 64] = if depth[i] > 0 { bits[i / 64] | bit } else { bits[i / 64] & !bit };
        }
        if !seen.contains_key(&bits) {
            seen.insert(bits.clone(), at);
        }
        match changes.peek() {
            Some((next, _, _)) if *next <= last => at = *next,
            _ => return Some(Kept(seen.into_iter().collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(spans: &[(u128, u128)]) -> Elements {
        spans
            .iter()
            .map(|(low, high)| Element::of(Span::Numbers { low: *low, high: *high }))
            .collect()
    }

    #[test]
    fn every_combination_of_lists_has_one_source() {
        let (a, b) = (list(&[(0, 4), (8, 8)]), list(&[(3, 9), (5, 6), (200, 255)]));
        let kept = representatives(&[&a, &b], 255).unwrap();
        let found: Vec<(u64, u128)> = kept.iter().map(|(bits, at)| (bits[0], *at)).collect();
        assert_eq!(found, [(0b00, 10), (0b01, 0), (0b10, 5), (0b11, 3)]);
    }

    #[test]
    fn the_ends_of_the_space_are_met() {
        let (a, all) = (list(&[(u128::MAX, u128::MAX)]), list(&[(0, u128::MAX)]));
        let kept = representatives(&[&a, &all], u128::MAX).unwrap();
        let found: Vec<(u64, u128)> = kept.iter().map(|(bits, at)| (bits[0], *at)).collect();
        assert_eq!(found, [(0b10, 0), (0b11, u128::MAX)]);
    }
}
