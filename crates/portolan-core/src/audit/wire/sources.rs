//! Whether the vantage is one of those who may come.

use std::net::IpAddr;

use super::WireScene;
use crate::inventory::matrix::Row;
use crate::inventory::{Host, Never, Source, SourceExtent};

/// Whether somebody may come, the surest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Admission {
    /// Not named.
    No,
    /// A name would have to be resolved first.
    Unknown,
    /// Named.
    Yes,
}

/// This machine as a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vantage<'a> {
    scene: &'a WireScene<'a>,
}

impl<'a> Vantage<'a> {
    pub(super) const fn new(scene: &'a WireScene<'a>) -> Self {
        Self { scene }
    }

    /// Whether a row lets packets from this address in; from nobody else than its own machine
    /// where it names nobody. An interface that a network is bound to is the other end's to know.
    pub(super) fn admission(&self, row: &Row<'_>, from: IpAddr) -> Admission {
        let sources: Vec<&Source> = row.from.iter().map(|origin| &origin.source).collect();
        self.is_any_of(&sources, from)
    }

    /// Whether one of the sources is this machine at this address.
    fn is_any_of(&self, sources: &[&Source], from: IpAddr) -> Admission {
        let extent = |source: &Source| self.scene.inventory.extent_of(source, self.scene.machine);
        sources.iter().map(|s| self.is(s, &extent(s), from)).max().unwrap_or(Admission::No)
    }

    /// Whether a `[[never]]` is about this machine at this address.
    pub(super) fn is_ruled_out(&self, never: &Never, from: IpAddr) -> bool {
        let extent = |source: &Source| self.scene.inventory.ruled_out(source, self.scene.machine);
        let mut sources = never.from.iter().map(|source| &source.value);
        sources.any(|s| self.is(s, &extent(s), from) == Admission::Yes)
    }

    /// A source that names the host we are means us by whatever address.
    fn is(&self, source: &Source, extent: &SourceExtent, from: IpAddr) -> Admission {
        if self.scene.here.is_some_and(|here| names(self.scene, source, here)) {
            return Admission::Yes;
        }
        match (extent.contains(from), extent.unresolved.is_empty()) {
            (true, _) => Admission::Yes,
            (false, false) => Admission::Unknown,
            (false, true) => Admission::No,
        }
    }
}

fn names(scene: &WireScene<'_>, source: &Source, here: &Host) -> bool {
    match source {
        Source::Host(name) => *name == here.name,
        Source::Group(group) => here.is_in(group),
        Source::Service(name) => {
            scene.inventory.service(name).is_some_and(|s| here.is_meant_by(&s.on))
        }
        Source::Network(_) | Source::Prefix(_) => false,
    }
}
