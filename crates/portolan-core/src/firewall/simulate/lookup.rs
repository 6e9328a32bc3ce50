//! Keys in sets and maps, with what the packet itself has put in or taken out.

use super::fields::Seen;
use super::index::{Hit, Index, linear};
use super::path::Walker;
use crate::firewall::{Element, SetRef};

/// A key that this packet put into a set, or took out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change<'r> {
    pub(super) table: usize,
    pub(super) set: &'r str,
    pub(super) key: Vec<Seen<'static>>,
    pub(super) is_in: bool,
}

/// A set as a rule asks it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked<'r> {
    /// Its members and how to find one.
    Members(&'r [Element], Option<&'r Index>),
    /// It could not be read, or is not there.
    Unread,
}

impl<'r> Walker<'r> {
    /// The members of a set.
    pub(super) fn members(&self, set: &'r SetRef, table: usize) -> Asked<'r> {
        let prepared = self.prepared;
        match set {
            SetRef::Inline(elements) => Asked::Members(elements, Some(prepared.inline(elements))),
            SetRef::Named(name) => {
                let ready = prepared.tables.get(table).and_then(|table| table.sets.get(&**name));
                let Some((at, index)) = ready else { return Asked::Unread };
                let set = prepared.ruleset.tables.get(table).and_then(|table| table.sets.get(*at));
                match set.and_then(|set| set.elements.as_deref()) {
                    Some(elements) => Asked::Members(elements, Some(index)),
                    None => Asked::Unread,
                }
            }
        }
    }

    /// Whether a key is in a set, and which of its members it is.
    pub(super) fn find(&self, set: &'r SetRef, table: usize, seen: &Seen<'_>) -> Hit {
        if let Some(hit) = self.changed(set, table, seen) {
            return hit;
        }
        let Asked::Members(elements, index) = self.members(set, table) else { return Hit::Perhaps };
        match (seen, elements) {
            (Seen::Missing, _) => Hit::No,
            (Seen::Parts(parts), _) => look(elements, index, parts),
            (seen, [one]) => match one.key.as_slice() {
                [span] => match seen.within(span) {
                    Some(true) => Hit::Yes(0),
                    Some(false) => Hit::No,
                    None => Hit::Perhaps,
                },
                _ => Hit::No,
            },
            (seen, _) => look(elements, index, std::slice::from_ref(seen)),
        }
    }

    /// What the packet itself did with this key, as far as it did anything: the kernel finds at once what
    /// was put in (nft_dynset_eval; measured).
    fn changed(&self, set: &SetRef, table: usize, seen: &Seen<'_>) -> Option<Hit> {
        let SetRef::Named(name) = set else { return None };
        self.change_of(table, name, seen)
    }

    /// The same by the set's name.
    pub(super) fn change_of(&self, table: usize, set: &str, seen: &Seen<'_>) -> Option<Hit> {
        if self.changes.is_empty() {
            return None;
        }
        let key = match seen {
            Seen::Parts(parts) => parts.as_slice(),
            one => std::slice::from_ref(one),
        };
        let of_set = self.changes.iter().rev().filter(|c| c.table == table && c.set == set);
        of_set.map(|change| (change, same(&change.key, key))).find_map(|(change, is_same)| {
            match (is_same, change.is_in) {
                (Some(false), _) => None,
                // A member put in by the packet has no value of its own; maps are not filled so.
                (Some(true), true) => Some(Hit::Yes(usize::MAX)),
                // Whether it was in there to be taken out, and is gone at once, nobody knows.
                (Some(true), false) => Some(Hit::Perhaps),
                (None, _) => Some(Hit::Perhaps),
            }
        })
    }
}

/// Whether two keys are the same; `None` where that is not known.
fn same(one: &[Seen<'_>], other: &[Seen<'_>]) -> Option<bool> {
    if one.len() != other.len() {
        return Some(false);
    }
    let mut is_sure = true;
    for pair in one.iter().zip(other) {
        match pair {
            (Seen::Number(a), Seen::Number(b)) if a == b => {}
            (Seen::Name(a), Seen::Name(b)) if a == b => {}
            (Seen::Number(_) | Seen::Name(_), Seen::Number(_) | Seen::Name(_)) => {
                return Some(false);
            }
            (Seen::Range(low, high), Seen::Number(n))
            | (Seen::Number(n), Seen::Range(low, high))
                if n < low || high < n =>
            {
                return Some(false);
            }
            _ => is_sure = false,
        }
    }
    is_sure.then_some(true)
}

fn look(elements: &[Element], index: Option<&Index>, key: &[Seen<'_>]) -> Hit {
    match index {
        Some(index) => index.find(elements, key),
        None => linear(elements, key),
    }
}
