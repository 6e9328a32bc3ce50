//! Rules that no packet comes to, and who takes their packets before them.

use std::collections::HashMap;
use std::sync::Arc;

use super::family::{Family, Met};
use super::words::{End, end, leaves};
use super::{Code, Finding};
use crate::firewall::analyse::AnalyseError;
use crate::firewall::analyse::chain::{Did, asked_from};
use crate::firewall::analyse::confirm::open_questions;
use crate::firewall::analyse::path::{Detail, begun};
use crate::firewall::analyse::space::Space;
use crate::firewall::analyse::stream::Stream;
use crate::firewall::analyse::witness::Witness;
use crate::firewall::bdd::{Region, Taker, Undecided};
use crate::firewall::simulate::{Open, Prepared, Step, Way};
use crate::firewall::{Chain, ChainId, Hook, Rule, RuleId, Ruleset};

/// A rule that is not asked about any packet it matches.
pub(super) const NONE_OF_ITS_OWN: &str = "no packet that it matches gets to it";
/// So many rules of a chain are told with a packet that shows it: each is sent through all rules.
const MOST_WITNESSES: usize = 500;
/// So many rules are named for one finding.
const MOST_BLOCKERS: usize = 64;

/// One chain as packets of one family meet it on one way.
pub(super) struct OfChain<'a> {
    pub(super) family: &'a Family,
    prepared: &'a Prepared<'a>,
    pub(super) chain: ChainId,
    pub(super) way: Way,
    pub(super) rules: &'a [Rule],
    /// The packets that come to the chain, by what was done to them; all there are where nothing is.
    pub(super) arriving: Vec<Arriving>,
    /// The packets each rule's matches hold for, as they come to the chain; also such as there cannot be.
    pub(super) matches: Vec<Region>,
    /// Every packet there can be on this way.
    pub(super) possible: Region,
    /// How many rules see packets as they come to the chain: those before the first that changes them, or
    /// asks a chain that does.
    pub(super) untouched: usize,
    /// For each idle rule, those before it that take some of its packets, and which.
    before: HashMap<usize, Vec<(usize, Region)>>,
    /// What rules of other chains end on this way, once somebody asked.
    elsewhere: Option<Vec<(RuleId, Region, Region)>>,
    /// How many rules have been told with a packet.
    witnesses: usize,
}

/// Packets as they come to a chain.
pub(super) struct Arriving {
    pub(super) hook: Hook,
    is_tracked: bool,
    pub(super) stream: Stream,
}

impl<'a> OfChain<'a> {
    pub(super) fn new(
        family: &'a Family,
        space: &mut Space,
        prepared: &'a Prepared<'a>,
        met: &Met,
    ) -> Result<Self, Undecided> {
        let ruleset = prepared.ruleset();
        let mut arriving = Vec::new();
        for entry in family.entries_of(space, prepared, met)? {
            let (hook, is_tracked) = (entry.hook, entry.is_tracked);
            let streams = entry.streams.0.into_iter();
            arriving.extend(streams.map(|stream| Arriving { hook, is_tracked, stream }));
        }
        let rules = ruleset.chain(met.chain).map_or(&[][..], |chain| &chain.rules);
        let mut one = Self {
            family,
            prepared,
            chain: met.chain,
            way: met.way,
            rules,
            arriving,
            matches: Vec::new(),
            possible: family.possible(met.way),
            untouched: untouched(ruleset, met.chain),
            before: HashMap::new(),
            elsewhere: None,
            witnesses: 0,
        };
        one.matches = vec![Region::NONE; rules.len()];
        for number in 0..one.arriving.len() {
            for (index, own) in one.matches_of(space, number)?.into_iter().enumerate() {
                one.matches[index] = space.bdd.or(one.matches[index], own)?;
            }
        }
        Ok(one)
    }

    /// The packets of `arriving[number]` that each rule's matches hold for.
    pub(super) fn matches_of(
        &self,
        space: &mut Space,
        number: usize,
    ) -> Result<Vec<Region>, Undecided> {
        let row = self.row_of(space, number)?;
        let packets = self.arriving[number].stream.packets;
        row.iter().map(|own| space.bdd.and(*own, packets)).collect()
    }

    /// What each rule's matches hold for of packets that are as those of `arriving[number]` are.
    fn row_of(&self, space: &mut Space, number: usize) -> Result<Arc<[Region]>, Undecided> {
        let Arriving { hook, is_tracked, stream } = &self.arriving[number];
        let mut run = begun(space, self.prepared, self.way, Detail::Fates);
        (run.hook, run.is_tracked) = (*hook, *is_tracked);
        run.matches_of(self.chain, &stream.effect)
    }

    pub(super) const fn id(&self, index: usize) -> RuleId {
        RuleId { chain: self.chain, rule: Some(index) }
    }

    /// Whether it is known what would come to a rule if those before it were not there.
    pub(super) const fn is_judged(&self, index: usize) -> bool {
        index <= self.untouched
    }

    /// The packets there can be that a rule's matches hold for.
    fn own(&self, space: &mut Space, index: usize) -> Result<Region, Undecided> {
        space.bdd.and(self.matches[index], self.possible)
    }

    /// Looks, for all idle rules at once, which rules before them are the first to end their packets.
    pub(super) fn look_before(
        &mut self,
        space: &mut Space,
        idle: &[usize],
    ) -> Result<(), Undecided> {
        let mut wanted = Vec::with_capacity(idle.len());
        for index in idle {
            wanted.push(self.own(space, *index)?);
        }
        let all = space.bdd.united(&wanted)?;
        let outside = Taker { region: !all, label: Taker::NOBODY, passes_on: false };
        let leaving = (0..self.rules.len()).filter(|index| leaves(&self.rules[*index]));
        let leaving = leaving.map(|index| {
            let (region, label) = (self.matches[index], index as u32);
            Taker { region, label, passes_on: false }
        });
        let row: Vec<Taker> = [outside].into_iter().chain(leaving).collect();
        let taken = space.bdd.dealt(&row)?;
        let regions: Vec<Region> = taken.iter().map(|(_, region)| *region).collect();
        for (one, other) in space.bdd.meetings(&wanted, &regions)? {
            let (index, taken) = (idle[one as usize], taken[other as usize]);
            if (taken.0 as usize) < index {
                let before = self.before.entry(index).or_default();
                before.push((taken.0 as usize, taken.1));
            }
        }
        Ok(())
    }

    /// Whether a rule of the chain holds for any packet there can be.
    pub(super) fn can_match(&self, space: &mut Space) -> bool {
        self.matches.iter().any(|region| space.bdd.meets(*region, self.possible))
    }

    /// Whether it is known which rules keep packets from a rule.
    pub(super) fn is_kept_from(
        &mut self,
        space: &mut Space,
        index: usize,
    ) -> Result<bool, Undecided> {
        if index >= self.rules.len() {
            return Ok(false);
        }
        let all = self.own(space, index)?;
        Ok(!self.blockers(space, index, all)?.0.is_empty())
    }

    /// Why a rule that no packet holds for is idle.
    pub(super) fn idle(
        &mut self,
        space: &mut Space,
        index: usize,
    ) -> Result<Option<Finding>, AnalyseError> {
        let all = self.own(space, index)?;
        let is_exact = self.family.knows_entries();
        if all.is_none() {
            let message = self.why_never(space, index)?;
            return Ok(Some(self.never(index, message)));
        }
        if !self.is_judged(index) {
            return Ok(Some(self.never(index, NONE_OF_ITS_OWN)));
        }
        let (blockers, left) = self.blockers(space, index, all)?;
        let blockers = fewest(space, blockers, all)?;
        if blockers.is_empty() || (is_exact && !left.is_none()) {
            return Ok(Some(self.never(index, NONE_OF_ITS_OWN)));
        }
        let shown = match self.witnesses < MOST_WITNESSES {
            true => space.bdd.minus(all, left)?,
            false => Region::NONE,
        };
        self.witnesses += 1;
        self.hidden(space, index, blockers, shown).map(Some)
    }

    /// Why no packet that comes to the chain is one that a rule matches.
    fn why_never(&self, space: &mut Space, index: usize) -> Result<&'static str, Undecided> {
        if self.arriving.iter().all(|arriving| arriving.stream.packets.is_none()) {
            return Ok("no packet comes to its chain");
        }
        for number in 0..self.arriving.len() {
            let whatever = self.row_of(space, number)?;
            if space.bdd.meets(whatever[index], self.possible) {
                return Ok(NONE_OF_ITS_OWN);
            }
        }
        Ok("no packet can match it")
    }

    fn never(&self, index: usize, message: &str) -> Finding {
        Finding {
            code: Code::NeverMatches,
            rule: self.id(index),
            blockers: Vec::new(),
            message: message.to_owned(),
            witness: None,
            depends_on: Vec::new(),
        }
    }

    /// A rule whose packets others take; `shown`: some of them.
    fn hidden(
        &self,
        space: &mut Space,
        index: usize,
        blockers: Vec<(RuleId, Region)>,
        shown: Region,
    ) -> Result<Finding, AnalyseError> {
        let rule = self.id(index);
        let own = end(&self.rules[index]);
        let is_same = |blocker: &(RuleId, Region)| own.is_some() && self.end_of(blocker.0) == own;
        let code = if blockers.iter().all(is_same) { Code::Redundant } else { Code::Shadowed };
        let (witness, depends_on) = self.unmatched(space, shown, rule)?;
        let message = match (code, blockers.len()) {
            (Code::Redundant, 1) => "a rule before it already does the same with all its packets",
            (Code::Redundant, _) => "rules before it already do the same with all its packets",
            (_, 1) => "a rule before it takes all its packets and does something else with them",
            _ => "rules before it take all its packets and do something else with them",
        };
        let message = message.to_owned();
        let blockers = blockers.into_iter().map(|blocker| blocker.0).collect();
        Ok(Finding { code, rule, blockers, message, witness, depends_on })
    }

    fn end_of(&self, rule: RuleId) -> Option<End> {
        match rule.rule {
            Some(_) => self.prepared.ruleset().rule(rule).and_then(end),
            None => Some(End::Drop),
        }
    }

    /// Rules that take packets of `all` before rule `index`: of its own chain first, then those that
    /// drop them on their way to it. Second: what is left.
    fn blockers(
        &mut self,
        space: &mut Space,
        index: usize,
        all: Region,
    ) -> Result<(Vec<(RuleId, Region)>, Region), Undecided> {
        let before = self.before.remove(&index).unwrap_or_default();
        let mut left = all;
        let mut found = Vec::new();
        while !left.is_none() && found.len() < MOST_BLOCKERS {
            let Some(blocker) = first_of(space, &before, left) else { break };
            let region = self.matches[blocker];
            left = space.bdd.minus(left, region)?;
            found.push((self.id(blocker), region));
        }
        if left.is_none() {
            return Ok((found, left));
        }
        let elsewhere = self.elsewhere.take().unwrap_or_else(|| self.ended_elsewhere());
        for (rule, packets, among) in &elsewhere {
            if left.is_none() || found.len() >= MOST_BLOCKERS {
                break;
            }
            if space.bdd.meets_within(left, *packets, *among) {
                let packets = space.bdd.and(*packets, *among)?;
                left = space.bdd.minus(left, packets)?;
                found.push((*rule, packets));
            }
        }
        self.elsewhere = Some(elsewhere);
        Ok((found, left))
    }

    /// What rules of other chains end on this way. Where packets are followed to the chain, what is left
    /// of them has been ended by chains it asks.
    fn ended_elsewhere(&self) -> Vec<(RuleId, Region, Region)> {
        let is_exact = self.family.knows_entries();
        let below = below(self.prepared.ruleset(), self.chain);
        let is_asked =
            |rule: &RuleId| rule.chain != self.chain && (!is_exact || below.contains(&rule.chain));
        let others = self.family.hits.iter().filter(|(rule, _)| is_asked(rule));
        let hits = others.flat_map(|(rule, hits)| hits.iter().map(|hit| (*rule, hit)));
        let ending = hits.filter(|(_, hit)| {
            let is_over = !matches!(hit.did, Did::Held | Did::Translated | Did::Accepted);
            hit.way == self.way && (is_over || is_exact && hit.did != Did::Held)
        });
        let mut ends: Vec<_> = ending.map(|(rule, hit)| (rule, hit.packets, hit.among)).collect();
        ends.sort_unstable();
        ends
    }

    /// A packet of a region, after the simulator has said too that the rule does not hold for it; where it leaves
    /// that open, what it hangs on.
    pub(super) fn unmatched(
        &self,
        space: &mut Space,
        region: Region,
        rule: RuleId,
    ) -> Result<(Option<Witness>, Vec<String>), AnalyseError> {
        let Some(witness) = space.witness(region)? else { return Ok((None, Vec::new())) };
        let walk = self.prepared.walk(&witness.packet, self.way, &Open);
        let held = walk
            .steps
            .iter()
            .any(|step| matches!(step, Step::Matched { rule: r, .. } if *r == rule));
        if !held {
            return Ok((Some(witness), Vec::new()));
        }
        let open = open_questions(self.prepared, self.way, &witness.packet);
        if !open.is_empty() {
            return Ok((Some(witness), open));
        }
        Err(AnalyseError::Internal {
            claimed: format!("{rule:?} never holds"),
            simulated: "it holds".to_owned(),
            packet: format!("{:?}", witness.packet),
        })
    }
}

/// Of rules, each with what it is the first to end: the one that ends one packet of `left`.
fn first_of(space: &Space, rules: &[(usize, Region)], left: Region) -> Option<usize> {
    let bits = space.bdd.one_of(left, |_| false)?;
    let bit = |variable: u32| {
        bits.binary_search_by_key(&variable, |bit| bit.0).is_ok_and(|found| bits[found].1)
    };
    let found = rules.iter().find(|(_, taken)| space.bdd.contains(*taken, bit));
    found.map(|(index, _)| *index)
}

/// Without those that the others make superfluous.
fn fewest(
    space: &mut Space,
    mut blockers: Vec<(RuleId, Region)>,
    all: Region,
) -> Result<Vec<(RuleId, Region)>, Undecided> {
    let covered = space.bdd.union(blockers.iter().map(|blocker| blocker.1).collect())?;
    let covered = space.bdd.and(covered, all)?;
    let mut at = 0;
    while at < blockers.len() && blockers.len() > 1 {
        let others = blockers.iter().enumerate().filter(|(other, _)| *other != at);
        let others = others.map(|(_, blocker)| blocker.1).collect();
        let others = space.bdd.union(others)?;
        if space.bdd.covers(others, covered) {
            blockers.remove(at);
        } else {
            at += 1;
        }
    }
    blockers.sort_by_key(|blocker| blocker.0);
    Ok(blockers)
}

/// How many rules of a chain see packets as they come to it.
fn untouched(ruleset: &Ruleset, id: ChainId) -> usize {
    let Some(table) = ruleset.tables.get(id.table) else { return 0 };
    let Some(chain) = ruleset.chain(id) else { return 0 };
    let changing: Vec<bool> =
        table.chains.iter().map(|other| other.rules.iter().any(Rule::changes_the_rest)).collect();
    if !changing.contains(&true) {
        return chain.rules.len();
    }
    let reaches = |from: usize| {
        let from = ChainId { chain: from, ..id };
        changing[from.chain] || below(ruleset, from).iter().any(|asked| changing[asked.chain])
    };
    let changes = |rule: &Rule| {
        let alone = Chain { name: "".into(), base: None, rules: vec![rule.clone()] };
        let mut asked = table.asked_by(&alone).filter_map(|name| table.chain(name));
        rule.changes_the_rest() || asked.any(|(at, _)| reaches(at))
    };
    chain.rules.iter().position(changes).unwrap_or(chain.rules.len())
}

/// The chains that are asked from one, directly or over others.
fn below(ruleset: &Ruleset, id: ChainId) -> Vec<ChainId> {
    let (mut found, mut open) = (Vec::new(), vec![id]);
    while let Some(at) = open.pop() {
        for asked in asked_from(ruleset, at) {
            if !found.contains(&asked) {
                found.push(asked);
                open.push(asked);
            }
        }
    }
    found
}
