//! What an edit of the inventory changes for ports of this host: who gets in before and after, what
//! forbids it, and what holds it shut all the same.

use std::net::IpAddr;

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::firewall::{
    Addresses, Pass, PassTraffic, Policy, RateLimit, Stance, Tuple, protocol_of,
};
use portolan_core::net::{Gap, Port, PortRange, Transport};
use portolan_core::socket::Machine;

use crate::ops::inventory::{self, Asked, Loaded};

use super::allow::Edited;
use super::force::{Force, force};
use super::judge::{Judge, Scene, Verdict, surroundings};
use super::policy::{Asking, Intended};
use super::precheck::{Violation, violations};
use super::samples::SOME_PORT;
use super::still::{self, Elsewhere};
use super::wish::{Wanted, Wish};

/// What becomes of the ports.
#[derive(Debug)]
pub(crate) struct Outlook {
    /// Who gets in as the inventory is.
    pub(crate) before: Vec<Guest>,
    /// Who gets in as it is going to be.
    pub(crate) after: Vec<Guest>,
    /// Whether this host's policy lets in whatever nothing refuses.
    pub(crate) is_open: bool,
    /// What must never be reachable, and would be by this change.
    pub(crate) violations: Vec<Violation>,
    /// Blocks that refuse some of those who would be let in.
    pub(crate) shut: Vec<Shut>,
    /// Blocks of this port that the change adds: they refuse whoever is let in.
    pub(crate) refusing: Vec<Shut>,
    /// Rules of other tools that refuse some of them, today and afterwards.
    pub(crate) refused: Vec<Elsewhere>,
    /// What could not be looked at.
    pub(crate) gaps: Vec<Gap>,
    /// The policy that follows.
    pub(crate) intended: Intended,
    /// What of it is loaded; `None` where that is not to be seen.
    pub(crate) force: Option<Force>,
}

/// Somebody who gets in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Guest {
    /// What the inventory calls them.
    pub(crate) who: Box<str>,
    /// By which service, forward or door; `management` by that table.
    pub(crate) by: Box<str>,
    /// Only so often.
    pub(crate) limit: Option<RateLimit>,
    /// Only after knocking at this door.
    pub(crate) door: Option<Box<str>>,
    /// Only until then.
    pub(crate) until: Option<Timestamp>,
    /// Of the ports asked about these.
    pub(crate) ports: Wanted,
}

/// A block that refuses some of those who would be let in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shut {
    /// Its reason.
    pub(crate) block: Box<str>,
    /// Whom of them.
    pub(crate) addresses: Addresses,
    /// Whether these are all of them.
    pub(crate) is_whole: bool,
    /// Until when.
    pub(crate) until: Option<Timestamp>,
    /// At which of the ports asked about.
    pub(crate) ports: Wanted,
}

impl Guest {
    /// Whether only the ports are others.
    fn is_as(&self, other: &Self) -> bool {
        (&self.who, &self.by, self.limit, &self.door, self.until)
            == (&other.who, &other.by, other.limit, &other.door, other.until)
    }
}

impl Outlook {
    /// Whether nobody who would be let in gets in, at one of the ports.
    pub(crate) fn is_held_shut(&self) -> bool {
        self.shut.iter().any(|shut| shut.is_whole)
    }
}

/// Looks at what `edited` changes. `is_allowed` says that somebody is to be let in.
///
/// # Errors
/// An inventory that cannot be read any more.
pub(crate) fn outlook(
    asked: &Asked,
    edited: &Edited,
    wish: &Wish,
    is_allowed: bool,
) -> Result<Outlook> {
    let loaded = inventory::require(asked)?;
    let after = Loaded { inventory: edited.draft.inventory()?, path: loaded.path.clone() };
    let asking = Asking::of(&after.inventory);
    let before = asking.intended(asked, loaded)?.policy;
    let intended = asking.intended(asked, after)?;
    let port = Called { ports: &wish.ports };
    let mut found = Outlook {
        before: port.guests(&before),
        after: port.guests(&intended.policy),
        is_open: intended.policy.input != Stance::Drop,
        violations: port.new_violations(&before, &intended.policy),
        shut: Vec::new(),
        refusing: port.new_blocks(&before, &intended.policy),
        refused: Vec::new(),
        gaps: intended.gaps.clone(),
        force: None,
        intended,
    };
    found.force = force(&before, &found.intended, &mut found.gaps);
    if is_allowed {
        let asked_for = port.asked_for(&found.intended, wish, asking.machine());
        found.shut = port.shut(&found.intended.policy, &asked_for);
        found.refused = refused_by_others(&mut found, &asking, &port, &asked_for);
    }
    Ok(found)
}

/// Ports that are called.
pub(super) struct Called<'w> {
    pub(super) ports: &'w Wanted,
}

impl Called<'_> {
    /// What becomes of a call at the best of this machine's addresses, for the first and the last port of
    /// each range.
    pub(super) fn verdicts(
        &self,
        judge: &Judge<'_>,
        source: IpAddr,
    ) -> Vec<((PortRange, Transport), Verdict)> {
        let mut best: Vec<((PortRange, Transport), Verdict)> = Vec::new();
        for own in judge.callable_by(source) {
            for (i, (port, tuple)) in self.tuples(source, own).into_iter().enumerate() {
                let verdict = judge.call(&tuple);
                match best.get_mut(i) {
                    Some((_, known)) if verdict < *known => *known = verdict,
                    Some(_) => {}
                    None => best.push((port, verdict)),
                }
            }
        }
        best
    }

    /// Callers of the first and the last port of each range.
    fn tuples(&self, source: IpAddr, destination: IpAddr) -> Vec<((PortRange, Transport), Tuple)> {
        let ends = self.ports.pairs().flat_map(|(range, transport)| {
            let mut ends = vec![range.first(), range.last()];
            ends.dedup();
            ends.into_iter().map(move |port| ((range, transport), port))
        });
        let tuple = |((range, transport), port): ((PortRange, Transport), Port)| {
            let (protocol, destination_port) = (protocol_of(transport), port.0);
            let tuple =
                Tuple { source, destination, protocol, source_port: SOME_PORT, destination_port };
            ((range, transport), tuple)
        };
        ends.map(tuple).collect()
    }

    /// Those of the ports that are meant.
    fn among(&self, traffic: &[PassTraffic]) -> Wanted {
        let common = self.ports.pairs().flat_map(|(range, transport)| {
            let meant = traffic.iter().filter(move |t| t.protocol() == protocol_of(transport));
            let meant =
                meant.filter_map(move |t| common(t.ports().unwrap_or(PortRange::ALL), range));
            meant.map(move |range| (range, transport))
        });
        common.collect()
    }

    fn is_of(&self, traffic: PassTraffic) -> bool {
        !self.among(&[traffic]).is_empty()
    }

    fn passes<'p>(&self, policy: &'p Policy) -> impl Iterator<Item = &'p Pass> {
        let is_here = |pass: &&Pass| pass.way.has_input() || pass.way.has_translated();
        let passes = policy.passes.iter().filter(is_here);
        let all: Vec<&Pass> =
            policy.management.iter().chain(passes).filter(|p| self.is_of(p.traffic)).collect();
        all.into_iter()
    }

    fn guests(&self, policy: &Policy) -> Vec<Guest> {
        let mut found: Vec<Guest> = Vec::new();
        for pass in self.passes(policy) {
            let ports = self.among(&[pass.traffic]);
            for peers in &pass.peers {
                let who = match &peers.interface {
                    Some(interface) => format!("{} by {interface}", peers.label).into(),
                    None => peers.label.clone(),
                };
                let (by, door, ports) = (pass.name.clone(), pass.door.clone(), ports.clone());
                let guest = Guest { who, by, limit: pass.limit, door, until: pass.until, ports };
                match found.iter_mut().find(|known| known.is_as(&guest)) {
                    Some(known) => known.ports = known.ports.with(&guest.ports),
                    None => found.push(guest),
                }
            }
        }
        found
    }

    fn admitted(&self, policy: &Policy) -> Addresses {
        let peers = self.passes(policy).flat_map(|pass| &pass.peers);
        peers.fold(Addresses::NONE, |all, peers| all.with(&peers.addresses))
    }

    /// Whom the wish is about; where that is not known from the inventory alone, everybody who gets in.
    fn asked_for(&self, intended: &Intended, wish: &Wish, machine: &Machine) -> Addresses {
        let inventory = &intended.loaded.inventory;
        let source = wish.source.as_deref().and_then(|source| inventory.source_named(source));
        let Some(source) = source else { return self.admitted(&intended.policy) };
        let extent = inventory.extent_of(&source, machine);
        match extent.inside().is_empty() {
            true => self.admitted(&intended.policy),
            false => extent.addresses(),
        }
    }

    /// Those of this port that were none before.
    fn new_violations(&self, before: &Policy, after: &Policy) -> Vec<Violation> {
        let is_here = |found: &Violation| {
            let own = |range: PortRange| self.ports.pairs().any(|(port, _)| port.overlaps(range));
            found.ports.is_none_or(own)
        };
        let known = violations(before);
        let mut found = violations(after);
        found.retain(|new| is_here(new) && !known.contains(new));
        found
    }

    /// Blocks of this port that were none before.
    fn new_blocks(&self, before: &Policy, after: &Policy) -> Vec<Shut> {
        let known = self.shut(before, &Addresses::all());
        let mut found = self.shut(after, &Addresses::all());
        found.retain(|new| !known.contains(new));
        found
    }

    fn shut(&self, policy: &Policy, asked_for: &Addresses) -> Vec<Shut> {
        let mut found = Vec::new();
        for block in &policy.blocks {
            let ports = match block.traffic.is_empty() {
                true => self.ports.clone(),
                false => self.among(&block.traffic),
            };
            let peers = block.peers.iter().filter(|p| !ports.is_empty() && p.interface.is_none());
            let blocked = peers.fold(Addresses::NONE, |all, p| all.with(&p.addresses));
            let left = asked_for.without(&blocked);
            let addresses = asked_for.without(&left);
            if !addresses.is_empty() {
                let (block, until) = (block.name.clone(), block.until);
                found.push(Shut { block, addresses, is_whole: left.is_empty(), until, ports });
            }
        }
        found
    }
}

/// Rules of other tools that refuse callers, asked of some of them; nothing where they cannot be read.
fn refused_by_others(
    found: &mut Outlook,
    asking: &Asking,
    port: &Called<'_>,
    asked_for: &Addresses,
) -> Vec<Elsewhere> {
    let surroundings = surroundings(&mut found.gaps);
    let scene = Scene::of(&found.intended.policy, surroundings);
    still::refused(&Judge::new(&scene, asking.machine()), port, asked_for)
}

/// The ports that two ranges share.
fn common(one: PortRange, other: PortRange) -> Option<PortRange> {
    let (first, last) = (one.first().max(other.first()), one.last().min(other.last()));
    PortRange::new(first, last).ok()
}
