//! Services that are to run on exactly one of several hosts, which only a look at all of them can
//! miss.

use std::collections::BTreeMap;

use super::super::case::Verdict;
use super::super::{Finding, Judgement};
use super::{WireScene, settle};
use crate::inventory::Service;
use crate::net::{PortRange, Transport};

/// What was seen of services that are to run on one of several hosts.
#[derive(Default)]
pub(super) struct OneOf<'a> {
    /// By service and port: its hosts that were seen, whether it answered, and what is missing.
    seen: BTreeMap<(&'a str, Transport, PortRange), Candidates<'a>>,
}

struct Candidates<'a> {
    service: &'a Service,
    open: bool,
    lacking: Vec<Finding>,
}

impl<'a> OneOf<'a> {
    pub(super) fn note(
        &mut self,
        service: &'a Service,
        range: PortRange,
        transport: Transport,
        open: bool,
        lacking: Option<Finding>,
    ) {
        let new = || Candidates { service, open: false, lacking: Vec::new() };
        let key = (service.name.as_str(), transport, range);
        let candidates = self.seen.entry(key).or_insert_with(new);
        candidates.open |= open;
        candidates.lacking.extend(lacking);
    }

    /// Missed where every host of it was seen without it; told of the first of them.
    pub(super) fn settle(self, scene: &WireScene<'a>, judgement: &mut Judgement) {
        for Candidates { service, open, lacking } in self.seen.into_values() {
            let hosts = scene.inventory.hosts_on(&service.on);
            if open || lacking.len() < hosts.len() {
                continue;
            }
            let mut lacking = lacking.into_iter();
            let Some(mut finding) = lacking.next() else { continue };
            finding.evidence.extend(lacking.flat_map(|other| other.evidence));
            let Some(host) = scene.inventory.host(&finding.host) else { continue };
            settle(scene, host, vec![Verdict { finding, sockets: Vec::new() }], judgement);
        }
    }
}
