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
        if let Some(is_in) = self.changed(set, table, seen) {
            // A member put in by the packet has no value of its own; maps are not filled so.
            return if is_in { Hit::Yes(usize::MAX) } else { Hit::No };
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

    /// What the packet itself did with this key.
    fn changed(&self, set: &SetRef, table: usize, seen: &Seen<'_>) -> Option<bool> {
        let SetRef::Named(name) = set else { return None };
        if self.changes.is_empty() {
            return None;
        }
        let key = match seen {
            Seen::Parts(parts) => parts.as_slice(),
            one => std::slice::from_ref(one),
        };
        let same = |change: &&Change<'_>| {
            change.table == table && *change.set == **name && change.key == key
        };
        self.changes.iter().rev().find(same).map(|change| change.is_in)
    }
}

fn look(elements: &[Element], index: Option<&Index>, key: &[Seen<'_>]) -> Hit {
    match index {
        Some(index) => index.find(elements, key),
        None => linear(elements, key),
    }
}
