//! Rules that packets come to, and that could go all the same.

use std::collections::{HashMap, HashSet};

use super::family::Hit;
use super::idle::OfChain;
use super::words::{End, end, is_specific, passes};
use super::{Code, Finding, Linted};
use crate::firewall::analyse::space::Space;
use crate::firewall::bdd::{Region, Taker, Undecided};
use crate::firewall::{ChainId, ChainPolicy, Hook, Origin, RuleId, Ruleset};

/// So many wide rules are held apart.
const MOST_WIDE: usize = 32;

/// Looks for rules of a chain without which the same would become of every packet.
pub(super) fn look(
    spaces: &mut [&mut Space],
    of_chain: &[OfChain<'_>],
    ruleset: &Ruleset,
    (chain, linted): (ChainId, &mut Linted),
) {
    let gone = linted.findings.iter().filter(|found| found.code == Code::Redundant);
    let gone = gone.filter(|found| found.rule.chain == chain).filter_map(|found| found.rule.rule);
    let gone: HashSet<usize> = gone.collect();
    let found = replaceable(spaces, of_chain, ruleset, &gone);
    match found {
        Ok(found) => linted.findings.extend(found.into_iter().map(|index| Finding {
            code: Code::Redundant,
            rule: RuleId { chain, rule: Some(index) },
            blockers: Vec::new(),
            message: "without it the same becomes of every packet".to_owned(),
            witness: None,
            depends_on: Vec::new(),
        })),
        Err(Undecided { .. }) => linted.skip(chain, Code::Redundant),
    }
}

/// Rules that could go; `gone` are those that could go because of rules before them. Rules behind one
/// that hold for nothing now count too, as they would hold once it is gone; not those that are gone
/// themselves, nor what could go: all of them may go together.
fn replaceable(
    spaces: &mut [&mut Space],
    of_chain: &[OfChain<'_>],
    ruleset: &Ruleset,
    gone: &HashSet<usize>,
) -> Result<Vec<usize>, Undecided> {
    let Some(first) = of_chain.first() else { return Ok(Vec::new()) };
    // Rules that change packets cannot be taken out for a try.
    if first.untouched < first.rules.len() {
        return Ok(Vec::new());
    }
    let takes =
        |index: &usize| !gone.contains(index) && !first.rules[*index].statements.iter().all(passes);
    let takers: Vec<Taking> = (0..first.rules.len())
        .filter(takes)
        .map(|index| Taking { index, end: end(&first.rules[index]) })
        .collect();
    let mut all = Vec::new();
    for one in of_chain {
        for number in 0..one.arriving.len() {
            all.push(Behind::new(one, &mut *spaces[one.family.number], ruleset, number)?);
        }
    }
    for behind in &mut all {
        behind.look_for_last(&mut *spaces[behind.of.family.number], &takers)?;
    }
    let holds = |index| of_chain.iter().any(|one| one.family.hits.contains_key(&first.id(index)));
    let mut asked: Vec<(usize, End)> = Vec::new();
    for Taking { index, end } in &takers {
        let Some(end) = end.filter(|_| holds(*index)) else { continue };
        let mut may_go = !counts_the_rest(ruleset, first.id(*index));
        for behind in &all {
            let space = &mut *spaces[behind.of.family.number];
            may_go = may_go && behind.may_do(space, *index, end)?;
        }
        if may_go {
            asked.push((*index, end));
        }
    }
    for behind in &mut all {
        behind.look_behind(&mut *spaces[behind.of.family.number], &asked, &takers)?;
    }
    let mut found: Vec<usize> = Vec::new();
    for (index, end) in asked.into_iter().rev() {
        let mut can_go = true;
        for behind in &mut all {
            let space = &mut *spaces[behind.of.family.number];
            can_go = can_go && behind.does(space, (index, end), &takers, &found)?;
        }
        if can_go {
            found.push(index);
        }
    }
    Ok(found)
}

/// A rule that packets may not come past, and what it ends them with where it only does that.
struct Taking {
    index: usize,
    end: Option<End>,
}

/// What becomes, behind a rule, of packets that come to a chain in one manner.
struct Behind<'o, 'a> {
    of: &'o OfChain<'a>,
    number: usize,
    /// The packets there can be of this manner.
    within: Region,
    /// What each rule's matches hold for; `None`: those of the chain.
    matches: Option<Vec<Region>>,
    policy: Option<End>,
    /// By rule, packets that no rule behind it ends as it does, the wide ones aside.
    last: HashMap<usize, Region>,
    /// Rules that speak of neither addresses nor ports, with what they end how.
    wide: Vec<(usize, End, Region)>,
    /// By rule, those behind it that match what it holds for: their places among those that take packets.
    later: HashMap<usize, Vec<u32>>,
}

impl<'o, 'a> Behind<'o, 'a> {
    fn new(
        of: &'o OfChain<'a>,
        space: &mut Space,
        ruleset: &Ruleset,
        number: usize,
    ) -> Result<Self, Undecided> {
        let matches = match of.arriving.len() {
            1 => None,
            _ => Some(of.matches_of(space, number)?),
        };
        let within = space.bdd.and(of.possible, of.arriving[number].stream.packets)?;
        let base = ruleset.chain(of.chain).and_then(|chain| chain.base.as_ref());
        let policy = base.map(|base| match base.policy {
            ChainPolicy::Drop => End::Drop,
            ChainPolicy::Accept => End::Accept,
        });
        let (last, wide, later) = (HashMap::new(), Vec::new(), HashMap::new());
        Ok(Self { of, number, within, matches, policy, last, wide, later })
    }

    fn matches(&self, index: usize) -> Region {
        self.matches.as_ref().unwrap_or(&self.of.matches)[index]
    }

    /// What a rule holds for.
    fn hits(&self, index: usize) -> impl Iterator<Item = &Hit> {
        let OfChain { family, way, .. } = self.of;
        let arriving = &self.of.arriving[self.number];
        // Where nothing is done to packets, hooks do not matter.
        let is_met = |hook: Hook| {
            family.judges(*way, hook) && (!family.knows_entries() || hook == arriving.hook)
        };
        let hits = family.hits.get(&self.of.id(index)).into_iter().flatten();
        hits.filter(move |hit| hit.way == *way && is_met(hit.hook))
    }

    /// Looks, for each rule that ends packets otherwise than the policy, of which it is the last to end
    /// them so.
    fn look_for_last(&mut self, space: &mut Space, takers: &[Taking]) -> Result<(), Undecided> {
        let mut by_end: Vec<(End, Vec<Taker>)> = Vec::new();
        for taking in takers.iter().rev() {
            let Some(end) = taking.end.filter(|end| self.policy != Some(*end)) else { continue };
            let (region, label) = (self.matches(taking.index), taking.index as u32);
            // What asks for nothing but interfaces and states cuts all others' packets.
            if !is_specific(&self.of.rules[taking.index]) && self.wide.len() < MOST_WIDE {
                self.wide.push((taking.index, end, region));
                continue;
            }
            let taker = Taker { region, label, passes_on: false };
            match by_end.iter_mut().find(|(known, _)| *known == end) {
                Some((_, row)) => row.push(taker),
                None => by_end.push((end, vec![taker])),
            }
        }
        for (_, row) in by_end {
            let last = space.bdd.dealt(&row)?;
            self.last.extend(last.into_iter().map(|(index, region)| (index as usize, region)));
        }
        Ok(())
    }

    /// Whether the rules behind rule `index` may end so all it holds for; false where they do not.
    fn may_do(&self, space: &mut Space, index: usize, end: End) -> Result<bool, Undecided> {
        let is_wide = || self.wide.iter().any(|wide| wide.0 == index);
        if self.policy == Some(end) || is_wide() {
            return Ok(true);
        }
        let Some(mut last) = self.last.get(&index).copied() else { return Ok(true) };
        if !self.is_last(space, index, last)? {
            return Ok(true);
        }
        for (_, _, wide) in self.wide.iter().filter(|wide| wide.0 > index && wide.1 == end) {
            last = space.bdd.minus(last, *wide)?;
        }
        Ok(!self.is_last(space, index, last)?)
    }

    /// Whether a rule holds for packets of a region.
    fn is_last(&self, space: &mut Space, index: usize, last: Region) -> Result<bool, Undecided> {
        for hit in self.hits(index) {
            let within = space.bdd.and(self.within, hit.among)?;
            if space.bdd.meets_within(hit.packets, last, within) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks, for all rules asked about at once, which rules behind them match what they hold for.
    fn look_behind(
        &mut self,
        space: &mut Space,
        asked: &[(usize, End)],
        takers: &[Taking],
    ) -> Result<(), Undecided> {
        let mut hits = Vec::new();
        for (index, _) in asked {
            hits.extend(self.hits(*index).map(|hit| (*index, hit.packets)));
        }
        let regions: Vec<Region> = hits.iter().map(|(_, hit)| *hit).collect();
        let takes: Vec<Region> = takers.iter().map(|taking| self.matches(taking.index)).collect();
        for (one, other) in space.bdd.meetings(&regions, &takes)? {
            let index = hits[one as usize].0;
            if takers[other as usize].index > index {
                self.later.entry(index).or_default().push(other);
            }
        }
        Ok(())
    }

    /// Whether the rules behind rule `index` end so all it holds for; `gone` are not counted.
    fn does(
        &self,
        space: &mut Space,
        (index, end): (usize, End),
        takers: &[Taking],
        gone: &[usize],
    ) -> Result<bool, Undecided> {
        let mut later = self.later.get(&index).cloned().unwrap_or_default();
        later.retain(|place| !gone.contains(&takers[*place as usize].index));
        later.sort_unstable();
        later.dedup();
        if later.is_empty() && self.policy == Some(end) {
            return Ok(true);
        }
        let is_same = |end_of: Option<End>| u32::from(end_of != Some(end));
        let mut row: Vec<Taker> = Vec::with_capacity(later.len() + 2);
        row.push(Taker { region: Region::NONE, label: Taker::NOBODY, passes_on: false });
        row.extend(later.into_iter().map(|place| {
            let taking = &takers[place as usize];
            let region = self.matches(taking.index);
            Taker { region, label: is_same(taking.end), passes_on: false }
        }));
        row.push(Taker { region: Region::ALL, label: is_same(self.policy), passes_on: false });
        for hit in self.hits(index) {
            let within = space.bdd.and(self.within, hit.among)?;
            let hit = space.bdd.and(hit.packets, within)?;
            if hit.is_none() {
                continue;
            }
            row[0].region = !hit;
            if is_otherwise(space, &row, hit) || space.bdd.dealt(&row)?.iter().any(|d| d.0 == 1) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether the first packet there is of a region is one that a row labels 1.
fn is_otherwise(space: &Space, row: &[Taker], region: Region) -> bool {
    let Some(bits) = space.bdd.one_of(region, |_| false) else { return false };
    let bit = |variable: u32| {
        bits.binary_search_by_key(&variable, |bit| bit.0).is_ok_and(|found| bits[found].1)
    };
    let first = row.iter().find(|taker| space.bdd.contains(taker.region, bit));
    first.is_some_and(|taker| taker.label == 1)
}

/// Whether a rule is there to count or log what the policy would do anyway: the last of its chain, in
/// nftables, where a policy has no counter of its own.
fn counts_the_rest(ruleset: &Ruleset, id: RuleId) -> bool {
    let Some(chain) = ruleset.chain(id.chain) else { return false };
    let is_last = id.rule.is_some_and(|index| index + 1 == chain.rules.len());
    let is_counted = ruleset.rule(id).is_some_and(|rule| {
        rule.counter.is_some() || rule.text.split(' ').any(|word| word == "log")
    });
    let is_native =
        ruleset.tables.get(id.chain.table).is_some_and(|table| table.origin == Origin::Nft);
    is_native && is_last && is_counted && chain.base.is_some()
}
