//! Base chains of which no listing tells which is asked first.

use std::collections::{BTreeSet, HashSet};

use super::rule::Rule;
use super::ruleset::{ChainId, ChainKind, Hook, Ruleset};

impl Ruleset {
    /// Notes chains of different tables with the same hook and priority whose order can matter: tables are
    /// listed as they were made, while a chain may have been made later, and a dormant table woken.
    pub(crate) fn note_order_of_tables(&mut self) {
        let mut found: BTreeSet<(ChainId, ChainId)> = BTreeSet::new();
        for hook in Hook::ALL {
            for met in [self.at(hook, false), self.at(hook, true)] {
                for (at, first) in met.iter().enumerate() {
                    let equals = met[at + 1..].iter().filter(|later| self.is_tied(*first, **later));
                    found.extend(equals.map(|later| (*first, *later)));
                }
            }
        }
        let notes: Vec<String> =
            found.into_iter().filter_map(|pair| self.order_note(pair)).collect();
        self.notes.extend(notes);
    }

    /// Takes these notes away: the order was told.
    pub(crate) fn forget_order_of_tables(&mut self) {
        self.notes.retain(|note| !note.starts_with(NOBODY_TELLS));
    }

    fn is_tied(&self, one: ChainId, other: ChainId) -> bool {
        let base = |id| self.chain(id).and_then(|chain| chain.base.as_ref());
        let (Some(first), Some(second)) = (base(one), base(other)) else { return false };
        let is_nat = |kind| kind == ChainKind::Nat;
        one.table != other.table
            && first.priority == second.priority
            && is_nat(first.kind) == is_nat(second.kind)
            && (is_nat(first.kind) || self.changes_packets(one) || self.changes_packets(other))
    }

    /// Whether a chain, or one that it asks, changes what others see.
    fn changes_packets(&self, id: ChainId) -> bool {
        let Some(table) = self.tables.get(id.table) else { return false };
        let names = super::simulate::by_name(table);
        let mut known: HashSet<usize> = HashSet::from([id.chain]);
        let mut open = vec![id.chain];
        while let Some(chain) = open.pop().and_then(|at| table.chains.get(at)) {
            if chain.rules.iter().any(Rule::changes_the_rest) {
                return true;
            }
            let asked = table.asked_by(chain).filter_map(|name| names.get(name).copied());
            open.extend(asked.filter(|at| known.insert(*at)));
        }
        false
    }

    fn order_note(&self, (first, later): (ChainId, ChainId)) -> Option<String> {
        let name = |id: ChainId| {
            let table = self.tables.get(id.table)?;
            Some(format!("{} {} {}", table.family, table.name, table.chains.get(id.chain)?.name))
        };
        let (first, later) = (name(first)?, name(later)?);
        Some(format!(
            "{NOBODY_TELLS}{first} or {later}, of the same hook and priority, is asked first: taken to be {first}, \
             which is listed later"
        ))
    }
}

const NOBODY_TELLS: &str = "nothing tells whether ";
