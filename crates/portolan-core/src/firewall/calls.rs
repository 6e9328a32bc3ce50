//! Whether the chains and sets that rules name are there, and whether calls come to an end.

use std::collections::{BTreeSet, HashMap};

use super::rule::{Effect, Expression, Match, SetOperation, Statement, Test, Verdict};
use super::ruleset::{Chain, Ruleset, Table};
use super::value::{ElementValue, Elements, Set, SetFlags, SetRef};

impl Ruleset {
    /// Makes what rules name and the listing has not uncertain instead of wrong, with a note for each:
    /// a jump to a chain that is not there may do anything, a set that is not there has unknown members.
    pub(crate) fn settle(&mut self) {
        for table in &mut self.tables {
            missing_sets(table, &mut self.notes);
            missing_chains(table, &mut self.notes);
        }
    }

    /// Chains that ask each other in a circle, first to last; the kernel takes no such rules.
    #[must_use]
    pub fn circle(&self) -> Option<Vec<Box<str>>> {
        self.tables.iter().find_map(circle)
    }
}

fn missing_chains(table: &mut Table, notes: &mut Vec<String>) {
    let known: BTreeSet<Box<str>> = table.chains.iter().map(|chain| chain.name.clone()).collect();
    let lost = |verdict: &Verdict| match verdict {
        Verdict::Jump(to) | Verdict::Goto(to) if !known.contains(to) => Some(to.clone()),
        _ => None,
    };
    let mut missing = BTreeSet::new();
    let lost_in = |elements: &Elements| {
        elements.iter().find_map(|element| match &element.value {
            ElementValue::Verdict(verdict) => lost(verdict),
            _ => None,
        })
    };
    let named: HashMap<Box<str>, Box<str>> = table
        .sets
        .iter()
        .filter_map(|set| Some((set.name.clone(), lost_in(set.elements.as_ref()?)?)))
        .collect();
    let lost_in_map = |map: &SetRef| match map {
        SetRef::Inline(elements) => lost_in(elements),
        SetRef::Named(name) => named.get(name).cloned(),
    };
    for rule in table.chains.iter_mut().flat_map(|chain| &mut chain.rules) {
        for statement in &mut rule.statements {
            let name = match statement {
                Statement::Verdict(verdict) => lost(verdict),
                Statement::VerdictMap { map, .. } => lost_in_map(map),
                _ => None,
            };
            if let Some(name) = name {
                let text = rule.text.clone();
                *statement = Statement::Opaque { text, effect: Effect::Decides };
                missing.insert(name);
            }
        }
    }
    let place = format!("table {} {}", table.family, table.name);
    notes
        .extend(missing.iter().map(|name| format!("{place} has no chain {name}, which rules ask")));
}

fn missing_sets(table: &mut Table, notes: &mut Vec<String>) {
    let mut named: BTreeSet<(Box<str>, bool)> = BTreeSet::new();
    for statement in table.chains.iter().flat_map(|c| &c.rules).flat_map(|rule| &rule.statements) {
        sets_of(statement, &mut named);
    }
    for (name, is_map) in named {
        if table.set(&name).is_some() {
            continue;
        }
        notes.push(format!(
            "table {} {} has no set {name}, which rules ask",
            table.family, table.name
        ));
        let flags = SetFlags { is_map, ..SetFlags::default() };
        table.sets.push(Set { name, key: Vec::new(), flags, size: None, elements: None });
    }
}

fn sets_of(statement: &Statement, found: &mut BTreeSet<(Box<str>, bool)>) {
    let mut add = |set: &SetRef, is_map| {
        if let SetRef::Named(name) = set {
            found.insert((name.clone(), is_map));
        }
    };
    match statement {
        Statement::Match(one) => {
            if let Test::In(set) | Test::NotIn(set) = &one.test {
                add(set, false);
            }
            sets_in(&one.left, &mut add);
        }
        Statement::VerdictMap { key, map } => {
            add(map, true);
            sets_in(key, &mut add);
        }
        Statement::Assign { value, .. } => sets_in(value, &mut add),
        Statement::Nat(nat) => {
            nat.address.iter().chain(&nat.port).for_each(|one| sets_in(one, &mut add));
        }
        // A set that is only written to is made by the rule itself (`meter`), or asked elsewhere.
        _ => {}
    }
}

fn sets_in(expression: &Expression, add: &mut impl FnMut(&SetRef, bool)) {
    match expression {
        Expression::Bits { of, .. } => sets_in(of, add),
        Expression::Concat(parts) => parts.iter().for_each(|part| sets_in(part, add)),
        Expression::Lookup { key, map } => {
            add(map, true);
            sets_in(key, add);
        }
        _ => {}
    }
}

/// Depth-first with a list of its own, for chains may be many.
fn circle(table: &Table) -> Option<Vec<Box<str>>> {
    let index: HashMap<&str, usize> =
        table.chains.iter().enumerate().map(|(at, chain)| (&*chain.name, at)).collect();
    let calls_of = |chain| {
        let called: BTreeSet<usize> =
            table.asked_by(chain).filter_map(|name| index.get(name).copied()).collect();
        called.into_iter().collect()
    };
    let calls: Vec<Vec<usize>> = table.chains.iter().map(calls_of).collect();
    let mut is_done = vec![false; calls.len()];
    let mut is_on_path = is_done.clone();
    for start in 0..calls.len() {
        let mut path = vec![(start, 0)];
        while let Some((chain, next)) = path.last_mut() {
            if is_done[*chain] {
                path.pop();
                continue;
            }
            is_on_path[*chain] = true;
            match calls[*chain].get(*next).copied() {
                Some(called) if is_on_path[called] => {
                    let from = path.iter().position(|(at, _)| *at == called).unwrap_or(0);
                    let names = path[from..].iter().map(|(at, _)| table.chains[*at].name.clone());
                    return Some(names.chain([table.chains[called].name.clone()]).collect());
                }
                Some(called) => {
                    *next += 1;
                    path.push((called, 0));
                }
                None => {
                    is_done[*chain] = true;
                    is_on_path[*chain] = false;
                    path.pop();
                }
            }
        }
    }
    None
}

impl Table {
    /// The names of the chains a chain asks, once for each place: jumps, gotos, and those in maps.
    pub(crate) fn asked_by<'r>(&'r self, chain: &'r Chain) -> impl Iterator<Item = &'r str> {
        let statements = chain.rules.iter().flat_map(|rule| &rule.statements);
        let verdicts = statements.flat_map(move |statement| {
            let (own, map) = match statement {
                Statement::Verdict(verdict) => (Some(verdict), None),
                Statement::VerdictMap { map: SetRef::Inline(elements), .. } => {
                    (None, Some(elements))
                }
                Statement::VerdictMap { map: SetRef::Named(name), .. } => {
                    (None, self.set(name).and_then(|set| set.elements.as_ref()))
                }
                _ => (None, None),
            };
            let mapped = map.into_iter().flat_map(|elements| elements.iter());
            let mapped = mapped.filter_map(|element| match &element.value {
                ElementValue::Verdict(verdict) => Some(verdict),
                _ => None,
            });
            own.into_iter().chain(mapped)
        });
        verdicts.filter_map(|verdict| match verdict {
            Verdict::Jump(name) | Verdict::Goto(name) => Some(&**name),
            _ => None,
        })
    }

    /// The sets its rules take elements out of.
    pub(crate) fn emptied(&self) -> impl Iterator<Item = &str> {
        let statements = self.chains.iter().flat_map(|c| &c.rules).flat_map(|r| &r.statements);
        statements.filter_map(|statement| match statement {
            Statement::Update { operation: SetOperation::Delete, set, .. } => Some(&**set),
            _ => None,
        })
    }

    /// The sets and maps its rules look into, once for each place.
    pub(crate) fn looked_into(&self) -> Vec<&SetRef> {
        let mut found = Vec::new();
        let statements = self.chains.iter().flat_map(|c| &c.rules).flat_map(|r| &r.statements);
        for statement in statements {
            match statement {
                Statement::Match(Match { left, test }) => {
                    left.looks_into(&mut found);
                    if let Test::In(set) | Test::NotIn(set) = test {
                        found.push(set);
                    }
                }
                Statement::VerdictMap { key, map } => {
                    key.looks_into(&mut found);
                    found.push(map);
                }
                Statement::Assign { value: one, .. } | Statement::Update { key: one, .. } => {
                    one.looks_into(&mut found);
                }
                Statement::Nat(nat) => {
                    nat.address.iter().chain(&nat.port).for_each(|one| one.looks_into(&mut found));
                }
                _ => {}
            }
        }
        found
    }
}

impl Expression {
    fn looks_into<'r>(&'r self, found: &mut Vec<&'r SetRef>) {
        match self {
            Self::Lookup { key, map } => {
                found.push(map);
                key.looks_into(found);
            }
            Self::Bits { of, .. } => of.looks_into(found),
            Self::Concat(parts) => parts.iter().for_each(|part| part.looks_into(found)),
            _ => {}
        }
    }
}
