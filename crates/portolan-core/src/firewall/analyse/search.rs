//! Who can reach this?

use std::collections::{HashMap, HashSet};

use super::cells::Among;
use super::chain::{Decision, Did};
use super::confirm::{Claim, confirm, leaves_open, open_questions};
use super::path::{Detail, fates, fates_roughly};
use super::space::{Question, Space};
use super::told::Block;
use super::witness::Witness;
use super::{AnalyseError, Fates};
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::simulate::{Outcome, Prepared, Way};
use crate::firewall::{Hook, RuleId};

/// What is asked: packets, by region of the space, and where they should arrive.
#[derive(Clone, Debug)]
pub struct Search {
    /// The packets asked about.
    pub packets: Region,
    /// The ports they go to or, translated, arrive at; both ends included. `None`: any.
    pub ports: Option<Vec<(u16, u16)>>,
    /// Their way.
    pub way: Way,
}

/// The short answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// Every packet asked about passes, whatever is open.
    Always,
    /// None does, whatever is open.
    Never,
    /// Some do, or that hangs on what is open.
    Depends,
}

/// The answer in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// In a word.
    pub answer: Answer,
    /// Who may, and by which rules.
    pub allowed: Vec<Allowed>,
    /// Whether that is all.
    pub is_whole: bool,
    /// A packet that passes; `None` for never.
    pub witness: Option<Witness>,
    /// Whether it passes whatever is open.
    pub is_witness_certain: bool,
}

/// Packets that may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// They.
    pub block: Block,
    /// What that hangs on; empty: nothing.
    pub depends_on: Vec<Question>,
    /// The rules that let them through or translate them, in the order of their way.
    pub rules: Vec<RuleId>,
    /// The address and port they arrive at, where they are translated to one.
    pub becomes: Option<(std::net::IpAddr, u16)>,
}

/// So many blocks are told.
const MOST_BLOCKS: usize = 10_000;

/// Answers a search. Every witness is confirmed by the simulator.
///
/// # Errors
/// When the node budget is used up, or the simulator disagrees.
pub fn search(
    space: &mut Space,
    prepared: &Prepared<'_>,
    asked: &Search,
) -> Result<Found, AnalyseError> {
    let packets = asked_about(space, prepared, asked)?;
    let fates = decided(space, prepared, asked.way, packets)?;
    let packets = space.bdd.minus(packets, fates.unrouted)?;
    let (certain, possible) = space.certainly_and_possibly(fates.accepted)?;
    let mut answer = if possible.is_none() {
        Answer::Never
    } else if space.bdd.covers(certain, packets) {
        Answer::Always
    } else {
        Answer::Depends
    };
    let found = space.surest_witness(fates.accepted)?;
    let mut is_witness_certain = found.as_ref().is_some_and(|(_, is_certain)| *is_certain);
    let witness = found.map(|(witness, _)| witness);
    if let Some(witness) = &witness {
        let walk = confirm(prepared, asked.way, witness, Claim::Possible(Outcome::Accept))?;
        if is_witness_certain && leaves_open(&walk) {
            // What one of the two does not know is not known.
            is_witness_certain = false;
            answer = Answer::Depends;
        } else if open_questions(prepared, asked.way, &witness.packet).is_empty() {
            // With something open it may take another way than the walk that is told.
            space.confirm_rules(&walk, &witness.packet, &fates.decisions)?;
        }
    }
    let (allowed, is_whole) = allowed(space, &fates, certain, packets)?;
    Ok(Found { answer, allowed, is_whole, witness, is_witness_certain })
}

/// The packets asked about: those of the region that go to the ports, and those that a translation
/// brings there.
fn asked_about(
    space: &mut Space,
    prepared: &Prepared<'_>,
    asked: &Search,
) -> Result<Region, Undecided> {
    let packets = space.of_way(asked.packets, asked.way)?;
    let Some(ports) = &asked.ports else { return Ok(packets) };
    let straight = space.to_ports(ports)?;
    let straight = space.bdd.and(packets, straight)?;
    if !prepared.translates(space.is_v6()) && !prepared.rewrites() {
        return Ok(straight);
    }
    let all = fates(space, prepared, asked.way, packets, Detail::Fates)?;
    let wide: Vec<(u128, u128)> =
        ports.iter().map(|(from, to)| (u128::from(*from), u128::from(*to))).collect();
    let there = space.arriving_at(&all, &wide)?;
    space.bdd.or(straight, there)
}

/// What becomes of packets. What rules decide is told of packets within the same bounds, of which
/// those asked about are a part: cutting each rule's to these would cost more than it says.
fn decided(
    space: &mut Space,
    prepared: &Prepared<'_>,
    way: Way,
    packets: Region,
) -> Result<Fates, Undecided> {
    let bounds = space.bounds(packets)?;
    let mut fates = fates_roughly(space, prepared, way, bounds)?;
    fates.accepted = space.bdd.and(fates.accepted, packets)?;
    for arrival in &mut fates.arrivals {
        arrival.packets = space.bdd.and(arrival.packets, packets)?;
    }
    fates.arrivals.retain(|arrival| !arrival.packets.is_none());
    Ok(fates)
}

fn allowed(
    space: &mut Space,
    fates: &Fates,
    certain: Region,
    asked: Region,
) -> Result<(Vec<Allowed>, bool), Undecided> {
    // What a block hangs on is told with the rules that ask for it.
    let among = Among { care: asked, tells_answers: false, may_overlap: false, most: MOST_BLOCKS };
    let open = space.bdd.minus(fates.accepted, certain)?;
    let mut translated = Vec::new();
    let mut groups: Vec<(Region, Option<(std::net::IpAddr, u16)>)> = Vec::new();
    for arrival in &fates.arrivals {
        let becomes = match arrival.constant() {
            (Some(address), Some(port)) => Some((space.address(address), port)),
            (None, Some(port)) => Some((space.address(0), port)).filter(|_| false),
            _ => None,
        };
        translated.push(arrival.packets);
        // What sends them on under another sender's address tells nobody apart who gets in.
        match groups.iter_mut().find(|(_, known)| *known == becomes) {
            Some((packets, _)) => *packets = space.bdd.or(*packets, arrival.packets)?,
            None => groups.push((arrival.packets, becomes)),
        }
    }
    let translated = space.bdd.union(translated)?;
    groups.insert(0, (space.bdd.minus(fates.accepted, translated)?, None));
    let (mut found, mut packets) = (Vec::new(), Vec::new());
    let mut is_whole = true;
    for (group, becomes) in groups {
        for part in [certain, open] {
            let region = space.bdd.and(group, part)?;
            let (blocks, whole) = space.blocks(region, among)?;
            is_whole &= whole;
            for block in blocks {
                let depends_on = if part == certain {
                    Vec::new()
                } else {
                    let of_block = space.bdd.and(region, block.shape)?;
                    what_is_open(space, of_block)
                };
                packets.push(region);
                found.push(Allowed { block, depends_on, rules: Vec::new(), becomes });
            }
        }
    }
    name_rules(space, &fates.decisions, &mut found, &packets)?;
    Ok((found, is_whole))
}

/// What it depends on whether packets of a region pass.
fn what_is_open(space: &Space, region: Region) -> Vec<Question> {
    let asked = space.depends_on(region);
    if !asked.is_empty() {
        return asked;
    }
    // Certain it is not, so it hangs on bytes that no field of the packet tells.
    let text = "bytes of its transport header".to_owned();
    vec![Question::new(text)]
}

/// Names for each block the rules that let its `packets` through: translations and accepts.
fn name_rules(
    space: &mut Space,
    decisions: &[Decision],
    found: &mut [Allowed],
    packets: &[Region],
) -> Result<(), Undecided> {
    let is_wanted = |decision: &&Decision| match decision.did {
        Did::Translated => true,
        Did::Accepted => {
            decision.rule.rule.is_some()
                || matches!(decision.hook, Hook::Input | Hook::Forward | Hook::Output)
        }
        _ => false,
    };
    let wanted: Vec<&Decision> = decisions.iter().filter(is_wanted).collect();
    let blocks: Vec<Region> = found.iter().map(|allowed| allowed.block.shape).collect();
    let decided: Vec<Region> = wanted.iter().map(|decision| decision.packets).collect();
    let mut meetings = Vec::new();
    let mut come: HashMap<(Region, Region), Region> = HashMap::new();
    for (block, decision) in space.bdd.meetings(&blocks, &decided)? {
        let (of_block, of_decision) = (block as usize, decision as usize);
        let key = (packets[of_block], wanted[of_decision].among);
        let within = match come.get(&key) {
            Some(known) => *known,
            None => *come.entry(key).or_insert(space.bdd.and(key.0, key.1)?),
        };
        if space.bdd.meets_within(blocks[of_block], decided[of_decision], within) {
            meetings.push((block, decision));
        }
    }
    for of_block in meetings.chunk_by(|one, other| one.0 == other.0) {
        let Some(allowed) = of_block.first().and_then(|at| found.get_mut(at.0 as usize)) else {
            continue;
        };
        let takers = of_block.iter().filter_map(|at| wanted.get(at.1 as usize).copied());
        allowed.rules = letting_through(takers);
    }
    Ok(())
}

/// The rules of decisions about the same packets; a policy only where no rule accepted at its hook.
fn letting_through<'d>(decisions: impl Iterator<Item = &'d Decision>) -> Vec<RuleId> {
    let mut known = HashSet::new();
    let rules: Vec<(Hook, RuleId)> = decisions
        .filter(|decision| known.insert(decision.rule))
        .map(|decision| (decision.hook, decision.rule))
        .collect();
    let with_rule: HashSet<Hook> =
        rules.iter().filter(|(_, rule)| rule.rule.is_some()).map(|(hook, _)| *hook).collect();
    let is_needed =
        |(hook, rule): &(Hook, RuleId)| rule.rule.is_some() || !with_rule.contains(hook);
    rules.into_iter().filter(is_needed).map(|(_, rule)| rule).collect()
}
