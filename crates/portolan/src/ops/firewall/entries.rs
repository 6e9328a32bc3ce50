//! The entries of `from` that let a source in already, each with its place.

use portolan_core::inventory::{Admitted, Inventory, Located, Service, Source};
use portolan_core::socket::Machine;

/// An item of `from`, and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As it is written.
    pub(crate) source: String,
    /// The file.
    pub(crate) file: String,
    /// Counted from one.
    pub(crate) line: usize,
}

/// What a service lets in of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LetIn {
    /// All of it, by these.
    All(Vec<Entry>),
    /// Some of it, by these.
    Some(Vec<Entry>),
    /// Nothing.
    None,
    /// That cannot be said of what is written alone.
    Unknown,
}

impl LetIn {
    /// By which entries, if all or some of it is.
    pub(super) fn entries(self) -> Vec<Entry> {
        match self {
            Self::All(entries) | Self::Some(entries) => entries,
            Self::None | Self::Unknown => Vec::new(),
        }
    }
}

/// An inventory as it is read on a machine.
pub(super) struct Reading<'r> {
    /// The inventory.
    pub(super) inventory: &'r Inventory,
    /// Where it is read.
    pub(super) machine: &'r Machine,
}

impl Reading<'_> {
    /// What a service's `from` lets in of what is written as `source`.
    pub(super) fn let_in(&self, service: &Service, source: &str) -> LetIn {
        self.let_in_by(&service.from, source)
    }

    /// The same of some entries.
    pub(super) fn let_in_by(&self, from: &[Located<Source>], source: &str) -> LetIn {
        let Some(source) = self.inventory.source_named(source) else { return LetIn::Unknown };
        let entries =
            |found: Vec<&Located<Source>>| found.into_iter().map(|e| self.entry(e)).collect();
        match self.inventory.admitted(from, &source, self.machine) {
            Admitted::All(found) => LetIn::All(entries(found)),
            Admitted::Some(found) => LetIn::Some(entries(found)),
            Admitted::None => LetIn::None,
            Admitted::Unknown => LetIn::Unknown,
        }
    }

    fn entry(&self, entry: &Located<Source>) -> Entry {
        let place = self.inventory.line_of(&entry.at);
        Entry { source: entry.value.to_string(), file: place.file.to_owned(), line: place.line }
    }
}
