//! Who reaches each open port, for reports that tell more than that: the chart and the audit.

use std::collections::BTreeMap;

use portolan_core::audit::{Keeper, Line, Listening, Opening};
use portolan_core::firewall::{Addresses, TABLE};
use portolan_core::net::{Endpoint, Gap, Port, Transport, Why};
use portolan_core::reach::{Answer, By, Group, PortReach, Rules, Source, Whence};
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
    /// The rules; `None` where they could not be read.
    pub(crate) rules: Option<Rules>,
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
    let ports = ports.collect();
    Reaches { ports, names, rules: witness.rules }
}

impl Reaches {
    /// The same for the audit; nothing where the rules were not seen.
    pub(crate) fn openings(&self) -> Vec<Opening> {
        if self.rules.is_none() {
            return Vec::new();
        }
        self.ports.values().map(|reach| opening(reach, self.rules.as_ref())).collect()
    }
}

fn opening(reach: &PortReach, rules: Option<&Rules>) -> Opening {
    let outside = reach.sources.iter().filter(|r| r.source.whence != Whence::Here);
    let groups: Vec<&Group> = outside.flat_map(|r| &r.groups).collect();
    let told = |group: &Group| Line {
        senders: group.senders.clone(),
        interface: group.interface.clone(),
        by: group.by.to_string(),
        keeper: keeper(&group.by, rules),
    };
    let admitted = || groups.iter().filter(|g| g.answer == Answer::Yes);
    let is_open = |g: &&&Group| {
        // What no router is known to do is no opening of this machine's.
        matches!(g.answer, Answer::Depends | Answer::Unknown) && !g.needs_router
    };
    let perhaps = groups.iter().filter(is_open);
    let is_refused = |g: &&&Group| {
        matches!(g.by, By::Refused { .. } | By::AnswerRefused(_)) && g.answer == Answer::No
    };
    let around = admitted().filter_map(|g| Some((told(g), g.around.as_ref()?.rule.to_string())));
    let straight = reach.straight().map(|g| (told(g), g.behind().unwrap_or_default()));
    Opening {
        port: reach.port,
        transport: reach.transport,
        admitted: admitted().map(|g| told(g)).collect(),
        perhaps: perhaps.fold(Addresses::NONE, |all, group| all.with(&group.senders)),
        refused: groups.iter().filter(is_refused).map(|g| told(g)).collect(),
        around: around.collect(),
        straight: straight.collect(),
        sent_to: sent_to(reach),
    }
}

/// Where rules send the packets of a port to that somebody takes there.
pub(crate) fn sent_to(reach: &PortReach) -> Option<Endpoint> {
    let mut taken = reach.groups().filter(|g| g.answer != Answer::No);
    taken.find_map(|group| group.translated.as_ref()).map(|translated| translated.to)
}

/// Whose rule decides: known by its table and the chains beside it.
fn keeper(by: &By, rules: Option<&Rules>) -> Keeper {
    let (By::Allowed(rule) | By::AnswerRefused(rule) | By::Refused { rule, .. }) = by else {
        return Keeper::Ours;
    };
    let has_ufw = || {
        let mut chains = ["ufw-user-input", "ufw6-user-input"].into_iter();
        chains.any(|chain| rules.is_some_and(|rules| rules.has_chain(chain)))
    };
    let is_of_input = || {
        &*rule.chain == "INPUT" || (rule.chain.starts_with("ufw") && rule.chain.contains("input"))
    };
    match &*rule.table {
        TABLE => Keeper::Ours,
        "firewalld" => Keeper::Firewalld,
        "filter" if is_of_input() && has_ufw() => Keeper::Ufw,
        _ => Keeper::Other,
    }
}
