//! `-j SET --add-set NAME src`: a packet that puts itself into an ipset, or takes itself out.
//!
//! Rules that ask the set behind that see the change. An ipset is one for all tables, so it is not
//! followed: what such a rule asks is open.

use std::collections::HashMap;

use crate::firewall::{Condition, Match, SetRef, Statement, Table, Test};

/// Table, chain and rule.
type Place = (usize, usize, usize);

/// Opens what rules ask of sets that a packet may have changed on its way to them: rules in other
/// chains, for any may be the earlier one, and behind in the same chain.
pub(super) fn open(tables: &mut [Table]) {
    let mut changed: HashMap<Box<str>, Vec<Place>> = HashMap::new();
    for_each(tables, |at, statement, _| {
        for name in changed_by(statement) {
            changed.entry(name.into()).or_default().push(at);
        }
    });
    if changed.is_empty() {
        return;
    }
    for_each(tables, |at, statement, text| {
        let Statement::Match(Match { test: Test::In(set) | Test::NotIn(set), .. }) = &*statement
        else {
            return;
        };
        let SetRef::Named(name) = set else { return };
        let Some(places) = changed.get(name) else { return };
        let is_before = |place: &Place| (place.0, place.1) != (at.0, at.1) || place.2 < at.2;
        if places.iter().any(is_before) {
            let text = format!("what a rule before has done to ipset {name}: {text}").into();
            let condition = Condition { text, is_negated: false, is_own: false, presumed: None };
            *statement = Statement::Condition(condition);
        }
    });
}

fn for_each(tables: &mut [Table], mut each: impl FnMut(Place, &mut Statement, &str)) {
    for (t, table) in tables.iter_mut().enumerate() {
        for (c, chain) in table.chains.iter_mut().enumerate() {
            for (r, rule) in chain.rules.iter_mut().enumerate() {
                for statement in &mut rule.statements {
                    each((t, c, r), statement, &rule.text);
                }
            }
        }
    }
}

/// The sets a target changes.
fn changed_by(statement: &Statement) -> Vec<&str> {
    let Statement::Opaque { text, .. } = statement else { return Vec::new() };
    if !text.starts_with("-j SET ") && !text.starts_with("--jump SET ") {
        return Vec::new();
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let pairs = words.windows(2);
    pairs.filter(|pair| matches!(pair[0], "--add-set" | "--del-set")).map(|pair| pair[1]).collect()
}
