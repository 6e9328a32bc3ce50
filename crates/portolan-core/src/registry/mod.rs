//! Floor 2, what a port number means, in three layers kept apart: what IANA assigned it for, what is
//! commonly seen there, and what to mind when it is reachable.
//!
//! The layers are sorted texts inside the program (`data/`), searched where they lie: making a
//! registry costs nothing. IANA's layer can be replaced by a copy that the user imported. None of it
//! says what runs on a machine: that is `socket`.

mod common_use;
mod iana;
pub mod import;
pub mod port_set;
mod ranking;
mod search;
mod security;
mod table;
#[cfg(test)]
mod tests;

pub use common_use::CommonUse;
pub use iana::{Assignment, Counts, Edition, TableError};
pub use search::{Found, Match};
pub use security::{Exposure, SecurityNote};

use std::collections::HashSet;

use crate::net::{self, Port, PortRange, PortSet, Transport, TransportSet};

/// What port numbers mean.
#[derive(Clone, Debug)]
pub struct Registry {
    iana: iana::Iana,
}

impl Registry {
    /// The registry inside this program.
    #[must_use]
    pub const fn embedded() -> Self {
        Self { iana: iana::Iana::embedded() }
    }

    /// A registry with an imported copy of IANA's layer, as `import` writes it.
    ///
    /// # Errors
    /// [`TableError`] when the text is not such a copy, or a broken one.
    pub fn from_table(text: String) -> Result<Self, TableError> {
        iana::Iana::from_table(text).map(|iana| Self { iana })
    }

    /// Which copy of IANA's registry this is.
    #[must_use]
    pub fn edition(&self) -> Edition<'_> {
        self.iana.edition()
    }

    /// The usual name IANA has assigned, in its spelling; `None` where it has assigned none.
    #[must_use]
    pub fn service_name(&self, port: Port, transport: Transport) -> Option<&str> {
        self.iana.at(port).filter(|a| a.transports.contains(transport)).find_map(|a| a.service)
    }

    /// What IANA has assigned to a port and transport, the usual name first.
    #[must_use]
    pub fn assignments(&self, port: Port, transport: Transport) -> Vec<Assignment<'_>> {
        self.iana.at(port).filter(|a| a.transports.contains(transport)).collect()
    }

    /// What IANA has assigned to a port, whatever the transport, the usual name first; also its few
    /// rows that name no transport.
    #[must_use]
    pub fn assignments_of(&self, port: Port) -> Vec<Assignment<'_>> {
        self.iana.at(port).collect()
    }

    /// The ports of `range` that IANA has assigned for one of `transports`, or reserved.
    #[must_use]
    pub fn assigned(&self, range: PortRange, transports: TransportSet) -> PortSet {
        let rows = self.iana.within(range);
        let asked = rows.filter(|a| transports.iter().any(|t| a.transports.contains(t)));
        asked.filter_map(|a| a.port).map(PortRange::from).collect()
    }

    /// Everything IANA has assigned under a name; case does not count. Ascending by port, names
    /// without a port last.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Vec<Assignment<'_>> {
        if name.is_empty() { Vec::new() } else { self.iana.named(name) }
    }

    /// What matches words, best first: names before descriptions, whole words before parts.
    /// Every word has to match; where nothing does, whatever matches the most of them is given.
    #[must_use]
    pub fn search(&self, words: &str) -> Found<'_> {
        search::search(self.iana.all(), words)
    }

    /// What is commonly seen on a port and transport.
    #[must_use]
    pub fn common_uses(&self, port: Port, transport: Transport) -> Vec<CommonUse> {
        common_use::at(port).filter(|u| u.transports.contains(transport)).collect()
    }

    /// What is commonly seen on a port, whatever the transport.
    #[must_use]
    pub fn common_uses_of(&self, port: Port) -> Vec<CommonUse> {
        common_use::at(port).collect()
    }

    /// What to mind when a port and transport is reachable.
    #[must_use]
    pub fn security(&self, port: Port, transport: Transport) -> Option<SecurityNote<'_>> {
        security::at(port).find(|note| note.transports.contains(transport))
    }

    /// What to mind when a port is reachable, whatever the transport.
    #[must_use]
    pub fn security_of(&self, port: Port) -> Vec<SecurityNote<'_>> {
        security::at(port).collect()
    }

    /// The ports of a transport, most relevant first: 1,000 of TCP, 100 of UDP, none of the others.
    pub fn ranked(transport: Transport) -> impl Iterator<Item = Port> {
        ranking::ranked(transport)
    }

    /// The name of IANA's nearest to one that nobody knows, for "did you mean".
    #[must_use]
    pub fn nearest_name(&self, name: &str) -> Option<&str> {
        net::nearest(name, self.iana.all().filter_map(|a| a.service))
    }

    /// How much IANA's layer holds; reads all of it.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let (mut names, mut portless) = (HashSet::new(), HashSet::new());
        let mut assignments = 0;
        for (assignment, name) in self.iana.all().filter_map(|a| a.service.map(|s| (a, s))) {
            names.insert(name);
            match assignment.port {
                Some(_) => assignments += assignment.transports.iter().count().max(1),
                None => {
                    portless.insert(name);
                }
            }
        }
        let (names, portless) = (names.len(), portless.len());
        Counts { assignments, names, portless, bytes: self.iana.bytes() }
    }

    /// How many common uses and how many security notes there are.
    #[must_use]
    pub fn own_rows(&self) -> (usize, usize) {
        (common_use::all().count(), security::all().count())
    }
}
