//! What rules have done to a packet on its way: each changed bit as a function of the packet that
//! came in. So a region always speaks of the packet as it was sent, also behind a translation.

use crate::firewall::bdd::{Bits, Region};

/// The changes so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Effect {
    /// The changed variables, sorted, with what they are now.
    bound: Vec<(u32, Region)>,
    /// How the destination was translated, if it was.
    pub(super) destination: Translated,
    /// Whether a rule has translated at the station it is at: later chains of type nat are not asked.
    pub(super) is_translated: bool,
    /// What was said of its connection before it was looked up.
    pub(super) connection: Presaid,
    /// Whether a rule wrote a port into the packet, so that it is not known what conntrack keeps of it.
    pub(super) has_port_written: bool,
    /// What it has put into sets that other rules look at, or taken out, in order.
    pub(super) changes: Vec<Change>,
}

/// A key that packets put into a set, or took out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Change {
    pub(super) table: usize,
    pub(super) set: Box<str>,
    /// The key, part by part, bit by bit.
    pub(super) key: Vec<Vec<Region>>,
    pub(super) is_in: bool,
}

/// What rules said of a packet's connection before there was one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Presaid {
    #[default]
    Nothing,
    /// It is not to be tracked.
    Untracked,
    /// It is to be in a zone, or the like.
    Template,
}

/// Whether and where to a destination was translated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Translated {
    #[default]
    No,
    /// To an address that the rule names.
    Elsewhere,
    /// To this machine.
    Here,
}

impl Effect {
    /// What a variable is now; `None` where it is as it came.
    pub(super) fn get(&self, variable: u32) -> Option<Region> {
        let found = self.bound.binary_search_by_key(&variable, |bound| bound.0).ok()?;
        self.bound.get(found).map(|bound| bound.1)
    }

    /// What was done to a set.
    pub(super) fn changes_of<'e>(
        &'e self,
        table: usize,
        set: &'e str,
    ) -> impl Iterator<Item = &'e Change> {
        self.changes.iter().filter(move |change| change.table == table && *change.set == *set)
    }

    pub(super) fn set(&mut self, variable: u32, value: Region) {
        match self.bound.binary_search_by_key(&variable, |bound| bound.0) {
            Ok(found) => self.bound[found].1 = value,
            Err(place) => self.bound.insert(place, (variable, value)),
        }
    }

    /// Writes a number into a field.
    pub(super) fn set_number(&mut self, bits: Bits, value: u128) {
        for variable in bits.variables() {
            let is_one = bits.bit(value, variable) == Some(true);
            self.set(variable, if is_one { Region::ALL } else { Region::NONE });
        }
    }

    /// A field is as it came again.
    pub(super) fn forget(&mut self, bits: Bits) {
        self.bound.retain(|bound| !bits.variables().contains(&bound.0));
    }
}
