//! Who reaches each open port, for reports that tell more than that: the chart and the audit.

use std::collections::BTreeMap;

use portolan_core::audit::{Listening, Opening};
use portolan_core::firewall::Addresses;
use portolan_core::net::{Gap, Port, Transport, Why};
use portolan_core::reach::{Answer, By, Group, PortReach, Source, Whence};
use portolan_core::socket::{Machine, SocketTable};

use super::sources::Directory;
use super::witness::{Witness, upstream};
use crate::ops::inventory::Intent;

/// Who reaches what.
#[derive(Debug, Default)]
pub(crate) struct Reaches {
    /// By port: programs of this machine, and everyone else.
    pub(crate) ports: BTreeMap<(Port, Transport), PortReach>,
    /// Names of the inventory for addresses.
    pub(crate) names: Vec<(String, Addresses)>,
    /// Whether the rules could be read.
    pub(crate) are_rules_seen: bool,
}

/// Finds out for every open port.
pub(crate) fn chart(
    table: &SocketTable,
    machine: &Machine,
    intent: &Intent,
    gaps: &mut Vec<Gap>,
) -> Reaches {
    let mut witness = Witness::live();
    witness.know(table);
    gaps.append(&mut witness.gaps);
    gaps.push(upstream());
    let names = Directory { machine, world: &witness.world, intent }.names();
    let asking = witness.scene(Some(table)).prepare();
    let sources = [Source::loopback(), Source::any()];
    let listening = Listening::all(table).into_iter().map(|l| (l.port, l.transport));
    let mut all: Vec<_> = listening.chain(asking.translated_ports()).collect();
    all.sort();
    all.dedup();
    let reached = asking.survey(&all, &sources).unwrap_or_else(|error| {
        gaps.push(Gap::aside(format!("who reaches the ports ({error})"), Why::Unsupported, ""));
        Vec::new()
    });
    let ports = reached.into_iter().map(|reach| ((reach.port, reach.transport), reach));
    Reaches { ports: ports.collect(), names, are_rules_seen: witness.rules.is_some() }
}

impl Reaches {
    /// The same for the audit; nothing where the rules were not seen.
    pub(crate) fn openings(&self) -> Vec<Opening> {
        if !self.are_rules_seen {
            return Vec::new();
        }
        self.ports.values().map(opening).collect()
    }
}

fn opening(reach: &PortReach) -> Opening {
    let outside = reach.sources.iter().filter(|r| r.source.whence != Whence::Here);
    let groups: Vec<&Group> = outside.flat_map(|r| &r.groups).collect();
    let told = |group: &&Group| (group.senders.clone(), group.by.to_string());
    let admitted = groups.iter().filter(|g| g.answer == Answer::Yes).map(&told);
    let is_open = |g: &&&Group| matches!(g.answer, Answer::Depends | Answer::Unknown);
    let perhaps = groups.iter().filter(is_open);
    let is_refused = |g: &&&Group| {
        matches!(g.by, By::Refused { .. } | By::AnswerRefused(_)) && g.answer == Answer::No
    };
    let refused = groups.iter().filter(is_refused).map(&told);
    let around = groups.iter().filter(|g| g.answer == Answer::Yes).filter_map(|g| {
        let around = g.around.as_ref()?;
        Some((g.senders.clone(), g.by.to_string(), around.rule.to_string()))
    });
    let straight = reach.straight().map(|group| {
        (group.senders.clone(), group.behind().unwrap_or_default(), group.by.to_string())
    });
    Opening {
        port: reach.port,
        transport: reach.transport,
        admitted: admitted.collect(),
        perhaps: perhaps.fold(Addresses::NONE, |all, group| all.with(&group.senders)),
        refused: refused.collect(),
        around: around.collect(),
        straight: straight.collect(),
    }
}
