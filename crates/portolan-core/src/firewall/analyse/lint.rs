//! Rules that do nothing, hide others, or mean something else than they say.

use std::collections::HashMap;

use super::AnalyseError;
use super::chain::{Did, Entry, asked_from};
use super::effect::Effect;
use super::parity::{Disparity, parity};
use super::path::{Detail, begun, fates_and_entries};
use super::pitfall::pitfalls;
use super::space::Space;
use super::stream::Streams;
use super::witness::Witness;
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::simulate::{Open, Prepared, Step, Way};
use crate::firewall::{
    Chain, ChainId, ChainPolicy, Effect as Opaque, Expression, Field, Hook, Match, Origin,
    RejectWith, Rule, RuleId, Ruleset, Statement, Verdict, World,
};

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub code: Code,
    /// The rule.
    pub rule: RuleId,
    /// The rules that make it so, as few as suffice.
    pub blockers: Vec<RuleId>,
    /// In words.
    pub message: String,
    /// A packet that shows it.
    pub witness: Option<Witness>,
}

/// The kinds of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// Rules before it take all its packets, and do something else with them.
    Shadowed,
    /// Without it the same would become of every packet.
    Redundant,
    /// It and an earlier rule want different things of the same packets, and neither is a part of
    /// the other: the order decides.
    Conflict,
    /// No packet there is can match it.
    NeverMatches,
    /// One family is open where the other is not.
    Disparity,
    /// It means something else than it says.
    Pitfall,
}

impl Code {
    /// The word of the JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shadowed => "shadowed",
            Self::Redundant => "redundant",
            Self::Conflict => "conflict",
            Self::NeverMatches => "never-matches",
            Self::Disparity => "disparity",
            Self::Pitfall => "pitfall",
        }
    }
}

/// What a rule ends its packets with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Accept,
    Drop,
    Reject(RejectWith),
}

/// In chains of more rules than this, rules that could go are not looked for.
const MOST_FOR_REDUNDANCY: usize = 20_000;
/// In chains of more rules than this, rules that contradict each other are not looked for.
const MOST_FOR_CONFLICTS: usize = 2_000;
/// So many rules are named for one finding.
const MOST_BLOCKERS: usize = 64;

const WAYS: [Way; 3] = [Way::Input, Way::Forward, Way::Output];

/// Looks at every rule of a ruleset, for the families whose spaces are given.
///
/// # Errors
/// When a node budget is used up, or the simulator disagrees about a witness.
pub fn lint(
    spaces: &mut [&mut Space],
    prepared: &Prepared<'_>,
) -> Result<Vec<Finding>, AnalyseError> {
    let ruleset = prepared.ruleset();
    let mut findings = pitfalls(ruleset);
    let mut families = Vec::new();
    for space in spaces.iter_mut() {
        families.push(Family::look(space, prepared)?);
    }
    for (chain, way, hook) in all_met(&families) {
        let rules = ruleset.chain(chain).map_or(&[][..], |chain| &chain.rules);
        let mut of_chain = Vec::new();
        for (family, space) in families.iter().zip(spaces.iter_mut()) {
            if family.chains.iter().any(|met| met.0 == chain) {
                of_chain.push(OfChain::new(family, space, prepared, (chain, way, hook))?);
            }
        }
        if let Some(finding) = unmet(ruleset, &families, &mut of_chain, chain) {
            findings.push(finding);
            continue;
        }
        for index in 0..rules.len() {
            let rule = RuleId { chain, rule: Some(index) };
            let idle = families.iter().all(|family| !family.hits.contains_key(&rule));
            let mut found = None;
            for one in &mut of_chain {
                found = if idle { one.idle(index)?.or(found) } else { found };
                if found.as_ref().is_some_and(|found: &Finding| found.code != Code::NeverMatches) {
                    break;
                }
            }
            findings.extend(found);
        }
        let gone: Vec<usize> = findings
            .iter()
            .filter(|found| found.code == Code::Redundant && found.rule.chain == chain)
            .filter_map(|found| found.rule.rule)
            .collect();
        findings.extend(live(&mut of_chain, &gone)?);
    }
    findings.extend(unasked(ruleset, &families));
    findings.extend(disparities(spaces, &families, prepared)?);
    findings.sort_by_key(|finding| (finding.rule, finding.code));
    Ok(findings)
}

/// A chain that rules jump to, and no packet ever gets to.
fn unmet(
    ruleset: &Ruleset,
    families: &[Family],
    of_chain: &mut [OfChain<'_, '_>],
    chain: ChainId,
) -> Option<Finding> {
    let rules = &ruleset.chain(chain).filter(|chain| chain.base.is_none())?.rules;
    let rule = |index| RuleId { chain, rule: Some(index) };
    let holds = |index| families.iter().any(|family| family.hits.contains_key(&rule(index)));
    let can_match = |index: &usize| of_chain.iter().any(|one| !one.matches[*index].is_none());
    if (0..rules.len()).any(holds) || rules.is_empty() {
        return None;
    }
    if !(0..rules.len()).any(|index| can_match(&index)) {
        // Nobody comes to it, or nobody can match any of it.
        let is_exact = of_chain.iter().all(|one| one.family.entries.is_some());
        return is_exact.then(|| chain_finding(chain, "no packet gets to this chain"));
    }
    let is_blocked = |one: &mut OfChain<'_, '_>| {
        let (blockers, _) = one.blockers(0, one.matches[0]).ok()?;
        (!blockers.is_empty()).then_some(())
    };
    if of_chain.iter_mut().any(|one| is_blocked(one).is_some()) {
        return None;
    }
    Some(chain_finding(chain, "no packet gets to this chain"))
}

/// Chains with rules that nothing jumps to.
fn unasked(ruleset: &Ruleset, families: &[Family]) -> Vec<Finding> {
    let is_met = |id: ChainId| families.iter().any(|f| f.chains.iter().any(|met| met.0 == id));
    let idle = ruleset.chains().filter(|(id, chain)| {
        let is_of_ip = ruleset.tables.get(id.table).is_some_and(|table| {
            !table.is_dormant && (table.family.passes(false) || table.family.passes(true))
        });
        chain.base.is_none() && !chain.rules.is_empty() && is_of_ip && !is_met(*id)
    });
    idle.map(|(id, _)| chain_finding(id, "nothing jumps to this chain")).collect()
}

fn chain_finding(chain: ChainId, message: &str) -> Finding {
    Finding {
        code: Code::NeverMatches,
        rule: RuleId { chain, rule: Some(0) },
        blockers: Vec::new(),
        message: message.to_owned(),
        witness: None,
    }
}

/// Every chain met by a packet of any family.
fn all_met(families: &[Family]) -> Vec<(ChainId, Way, Hook)> {
    let mut met: Vec<_> = families.iter().flat_map(|family| family.chains.clone()).collect();
    met.sort_by_key(|met| met.0);
    met.dedup_by_key(|met| met.0);
    met
}

/// What is known of one family's packets.
struct Family {
    /// Chains on a hook or asked from one, with a way on which they are met.
    chains: Vec<(ChainId, Way, Hook)>,
    /// The packets each rule held for, by their way.
    hits: HashMap<RuleId, Vec<(Way, Hook, Did, Region)>>,
    /// Every packet there can be.
    start: Region,
    /// How packets come to each chain, where something changes packets on their way: a rule may match
    /// what no packet came with.
    entries: Option<HashMap<(Way, ChainId), Vec<Entry>>>,
}

impl Family {
    fn look(space: &mut Space, prepared: &Prepared<'_>) -> Result<Self, Undecided> {
        let mut hits: HashMap<RuleId, Vec<_>> = HashMap::new();
        let start = space.possible()?;
        let ruleset = prepared.ruleset();
        let is_touched = prepared.translates(space.is_v6())
            || writes_anywhere(ruleset)
            || has_early_chain(ruleset);
        let mut entries = HashMap::new();
        for way in WAYS {
            let (fates, entered) = fates_and_entries(space, prepared, way, start, is_touched)?;
            entries.extend(entered.into_iter().map(|(chain, entry)| ((way, chain), entry)));
            for decision in fates.decisions {
                let hit = (way, decision.hook, decision.did, decision.packets);
                hits.entry(decision.rule).or_default().push(hit);
            }
        }
        let chains = met(prepared.ruleset(), space.is_v6());
        Ok(Self { chains, hits, start, entries: is_touched.then_some(entries) })
    }
}

/// Whether packets meet a chain before conntrack has looked them up.
fn has_early_chain(ruleset: &Ruleset) -> bool {
    let mut bases = ruleset.chains().filter_map(|(_, chain)| chain.base.as_ref());
    bases.any(|base| matches!(base.hook, Hook::Prerouting | Hook::Output) && base.priority <= -200)
}

fn writes_anywhere(ruleset: &Ruleset) -> bool {
    let mut rules = ruleset.chains().flat_map(|(_, chain)| &chain.rules);
    rules.any(|rule| rule.statements.iter().any(writes))
}

/// The chains packets of a family meet: base chains, and what those ask.
fn met(ruleset: &Ruleset, is_v6: bool) -> Vec<(ChainId, Way, Hook)> {
    let mut found: Vec<(ChainId, Way, Hook)> = Vec::new();
    for (hook, way) in [
        (Hook::Prerouting, Way::Input),
        (Hook::Input, Way::Input),
        (Hook::Forward, Way::Forward),
        (Hook::Output, Way::Output),
        (Hook::Postrouting, Way::Forward),
    ] {
        let mut open = ruleset.at(hook, is_v6);
        while let Some(id) = open.pop() {
            if found.iter().any(|known| known.0 == id) {
                continue;
            }
            found.push((id, way, hook));
            open.extend(asked_from(ruleset, id));
        }
    }
    found
}

impl Family {
    /// How packets come to a chain: as they really do, or, where nothing changes any, all there can be.
    fn entries_of(
        &self,
        space: &mut Space,
        world: &World,
        (chain, way, hook): (ChainId, Way, Hook),
    ) -> Result<Vec<Entry>, Undecided> {
        if let Some(entries) = &self.entries {
            return Ok(entries.get(&(way, chain)).cloned().unwrap_or_default());
        }
        let mut effect = Effect::default();
        if way == Way::Output {
            effect.set_number(space.layout.interface_in, 0);
        }
        if matches!(hook, Hook::Prerouting | Hook::Input) {
            effect.set_number(space.layout.interface_out, 0);
        }
        if way == Way::Forward && matches!(hook, Hook::Forward | Hook::Postrouting) {
            space.lose_a_hop(&mut effect)?;
        }
        if world.is_known() && matches!(way, Way::Forward | Way::Output) {
            let local_by = if way == Way::Output { Some("lo") } else { None };
            space.bind_interface_out(&mut effect, world, local_by)?;
        }
        let packets = space.of_way(self.start, way)?;
        Ok(vec![Entry { hook, is_tracked: true, streams: Streams::one(effect, packets) }])
    }
}

/// How many rules of a chain see packets as they come to it.
fn untouched(ruleset: &Ruleset, id: ChainId) -> usize {
    let Some(table) = ruleset.tables.get(id.table) else { return 0 };
    let Some(chain) = ruleset.chain(id) else { return 0 };
    let mut writing: Vec<usize> = Vec::new();
    for (at, other) in table.chains.iter().enumerate() {
        if other.rules.iter().any(|rule| rule.statements.iter().any(writes)) {
            writing.push(at);
        }
    }
    if writing.is_empty() {
        return chain.rules.len();
    }
    let reaches = |from: usize| {
        let mut seen = vec![false; table.chains.len()];
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            if writing.contains(&at) {
                return true;
            }
            if !std::mem::replace(&mut seen[at], true) {
                open.extend(
                    asked_from(ruleset, ChainId { chain: at, ..id }).iter().map(|c| c.chain),
                );
            }
        }
        false
    };
    let changes = |rule: &Rule| {
        let alone = Chain { name: "".into(), base: None, rules: vec![rule.clone()] };
        let mut asked = table.asked_by(&alone).filter_map(|name| table.chain(name));
        rule.statements.iter().any(writes) || asked.any(|(at, _)| reaches(at))
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

/// One chain as one family meets it.
struct OfChain<'a, 's> {
    family: &'a Family,
    space: &'s mut Space,
    prepared: &'a Prepared<'a>,
    chain: ChainId,
    way: Way,
    rules: &'a [Rule],
    /// The packets each rule's matches hold for: all there can be; where something changes packets on
    /// their way, those that come to the chain, as they come to it.
    matches: Vec<Region>,
    /// How many rules see packets as they come to the chain: those before the first that changes them, or
    /// asks a chain that does.
    untouched: usize,
}

impl<'a, 's> OfChain<'a, 's> {
    fn new(
        family: &'a Family,
        space: &'s mut Space,
        prepared: &'a Prepared<'a>,
        (chain, way, hook): (ChainId, Way, Hook),
    ) -> Result<Self, Undecided> {
        let ruleset = prepared.ruleset();
        let rules = ruleset.chain(chain).map_or(&[][..], |chain| &chain.rules);
        let mut run = begun(space, prepared, way, Detail::Fates);
        let mut matches = vec![Region::NONE; rules.len()];
        for Entry { hook, is_tracked, streams } in
            family.entries_of(run.space, prepared.world(), (chain, way, hook))?
        {
            (run.hook, run.is_tracked) = (hook, is_tracked);
            for stream in streams.0 {
                for (index, rule) in rules.iter().enumerate() {
                    let id = RuleId { chain, rule: Some(index) };
                    let all = run.matches(id, rule, &stream.effect)?;
                    let bdd = &mut run.space.bdd;
                    let all = bdd.and(all, stream.packets)?;
                    matches[index] = bdd.or(matches[index], all)?;
                }
            }
        }
        let untouched = untouched(ruleset, chain);
        Ok(Self { family, space, prepared, chain, way, rules, matches, untouched })
    }

    /// Whether it is known what would come to a rule if those before it were not there.
    fn is_judged(&self, index: usize) -> bool {
        index <= self.untouched
    }

    const fn id(&self, index: usize) -> RuleId {
        RuleId { chain: self.chain, rule: Some(index) }
    }

    /// Why a rule that no packet holds for is idle.
    fn idle(&mut self, index: usize) -> Result<Option<Finding>, AnalyseError> {
        let rule = self.id(index);
        let all = self.matches[index];
        let idle = |message: &str| {
            let (code, blockers, message) = (Code::NeverMatches, Vec::new(), message.to_owned());
            Ok(Some(Finding { code, rule, blockers, message, witness: None }))
        };
        if all.is_none() {
            let is_exact = self.family.entries.is_none();
            return idle(if is_exact { "no packet can match it" } else { "no packet gets to it" });
        }
        if !self.is_judged(index) {
            return idle("no packet gets to it");
        }
        let (blockers, left) = self.blockers(index, all)?;
        let blockers = self.fewest(blockers, all)?;
        if blockers.is_empty() || (self.family.entries.is_some() && !left.is_none()) {
            return idle("no packet gets to it");
        }
        let own = end(&self.rules[index]);
        let is_same = |blocker: &(RuleId, Region)| own.is_some() && self.end_of(blocker.0) == own;
        let code = if blockers.iter().all(is_same) { Code::Redundant } else { Code::Shadowed };
        let shown = self.space.bdd.minus(all, left)?;
        let witness = self.unmatched(shown, rule)?;
        let message = match (code, blockers.len()) {
            (Code::Redundant, 1) => "a rule before it already does the same with all its packets",
            (Code::Redundant, _) => "rules before it already do the same with all its packets",
            (_, 1) => "a rule before it takes all its packets and does something else with them",
            _ => "rules before it take all its packets and do something else with them",
        };
        let message = message.to_owned();
        let blockers = blockers.into_iter().map(|blocker| blocker.0).collect();
        Ok(Some(Finding { code, rule, blockers, message, witness }))
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
        index: usize,
        all: Region,
    ) -> Result<(Vec<(RuleId, Region)>, Region), Undecided> {
        let mut left = all;
        let mut found = Vec::new();
        while !left.is_none() && found.len() < MOST_BLOCKERS {
            let Some(blocker) = self.first_before(index, left) else { break };
            let region = self.matches[blocker];
            left = self.space.bdd.minus(left, region)?;
            found.push((self.id(blocker), region));
        }
        if left.is_none() {
            return Ok((found, left));
        }
        let mut ends: Vec<(RuleId, Region)> = Vec::new();
        // What is left of packets that do come to the chain has been ended by those it asks.
        let is_exact = self.family.entries.is_some();
        let below = below(self.prepared.ruleset(), self.chain);
        for (rule, hits) in &self.family.hits {
            if rule.chain == self.chain || is_exact && !below.contains(&rule.chain) {
                continue;
            }
            let ending = hits.iter().filter(|(way, _, did, _)| {
                let is_over = !matches!(did, Did::Held | Did::Translated | Did::Accepted);
                *way == self.way && (is_over || is_exact && *did != Did::Held)
            });
            ends.extend(ending.map(|(_, _, _, packets)| (*rule, *packets)));
        }
        ends.sort_unstable();
        for (rule, packets) in ends {
            if left.is_none() || found.len() >= MOST_BLOCKERS {
                break;
            }
            if self.space.bdd.meets(left, packets) {
                left = self.space.bdd.minus(left, packets)?;
                found.push((rule, packets));
            }
        }
        Ok((found, left))
    }

    /// The first rule before `index` that ends one packet of `left` in its own right.
    fn first_before(&self, index: usize, left: Region) -> Option<usize> {
        let bits = self.space.bdd.one_of(left, |_| false)?;
        let bit = |variable: u32| {
            bits.binary_search_by_key(&variable, |bit| bit.0).is_ok_and(|found| bits[found].1)
        };
        (0..index).find(|earlier| {
            leaves(&self.rules[*earlier]) && self.space.bdd.contains(self.matches[*earlier], bit)
        })
    }

    /// Without those that the others make superfluous.
    fn fewest(
        &mut self,
        mut blockers: Vec<(RuleId, Region)>,
        all: Region,
    ) -> Result<Vec<(RuleId, Region)>, Undecided> {
        let covered = self.space.bdd.union(blockers.iter().map(|blocker| blocker.1).collect())?;
        let covered = self.space.bdd.and(covered, all)?;
        let mut at = 0;
        while at < blockers.len() && blockers.len() > 1 {
            let others = blockers.iter().enumerate().filter(|(other, _)| *other != at);
            let others = others.map(|(_, blocker)| blocker.1).collect();
            let others = self.space.bdd.union(others)?;
            if self.space.bdd.covers(others, covered) {
                blockers.remove(at);
            } else {
                at += 1;
            }
        }
        blockers.sort_by_key(|blocker| blocker.0);
        Ok(blockers)
    }

    /// A packet of a region, after the simulator has said too that the rule does not hold for it.
    fn unmatched(&mut self, region: Region, rule: RuleId) -> Result<Option<Witness>, AnalyseError> {
        let Some(witness) = self.space.witness(region)? else { return Ok(None) };
        let walk = self.prepared.walk(&witness.packet, self.way, &Open);
        let held = walk
            .steps
            .iter()
            .any(|step| matches!(step, Step::Matched { rule: r, .. } if *r == rule));
        if held {
            return Err(AnalyseError::Internal {
                claimed: format!("{rule:?} never holds"),
                simulated: "it holds".to_owned(),
                packet: format!("{:?}", witness.packet),
            });
        }
        Ok(Some(witness))
    }

    /// For each rule that holds for something and ends it: whether the rules behind it (and the
    /// policy) would do the same. Rules behind it that hold for nothing now count too, as they would
    /// hold once it is gone; not those that are `gone` themselves.
    fn replaceable(&mut self, gone: &[usize]) -> Result<Vec<bool>, Undecided> {
        let mut answer = vec![false; self.rules.len()];
        let has_effects = self.untouched < self.rules.len();
        if has_effects || self.rules.len() > MOST_FOR_REDUNDANCY {
            return Ok(answer);
        }
        let mut after: Vec<(End, Region)> = Vec::new();
        if let Some(base) = self.prepared.ruleset().chain(self.chain).and_then(|c| c.base.as_ref())
        {
            let policy = if base.policy == ChainPolicy::Drop { End::Drop } else { End::Accept };
            after.push((policy, Region::ALL));
        }
        for index in (0..self.rules.len()).rev() {
            let rule = &self.rules[index];
            if rule.statements.iter().all(passes) || gone.contains(&index) {
                continue;
            }
            let hits = self.family.hits.get(&self.id(index));
            let own = self.matches[index];
            let mut ended = end(rule);
            if let (Some(end), Some(hits)) = (ended, hits) {
                let behind = after.iter().find(|(other, _)| *other == end).map(|behind| behind.1);
                let behind = behind.unwrap_or(Region::NONE);
                let mut hits = hits.iter().map(|hit| hit.3);
                answer[index] = hits.all(|packets| self.space.bdd.covers(behind, packets));
                // What goes is not counted on for those before it.
                if answer[index] {
                    continue;
                }
            }
            for (other, region) in &mut after {
                *region = if ended == Some(*other) {
                    ended = None;
                    self.space.bdd.or(*region, own)?
                } else {
                    self.space.bdd.minus(*region, own)?
                };
            }
            if let Some(end) = ended {
                after.push((end, own));
            }
        }
        Ok(answer)
    }

    /// Earlier rules that want something else of some new packets of rule `index`, where neither is
    /// a part of the other.
    fn contradictions(&mut self, index: usize, fresh: Region) -> Result<Vec<RuleId>, Undecided> {
        let mut found = Vec::new();
        let is_judged = is_specific(&self.rules[index]) && self.is_judged(index);
        let Some(own) = end(&self.rules[index]).filter(|_| is_judged) else {
            return Ok(found);
        };
        let all = self.space.bdd.and(self.matches[index], fresh)?;
        for earlier in 0..index {
            let other = end(&self.rules[earlier]);
            let differs = other.is_some_and(|other| (other == End::Accept) != (own == End::Accept));
            let other = self.matches[earlier];
            if !differs || !is_specific(&self.rules[earlier]) || !self.space.bdd.meets(all, other) {
                continue;
            }
            let other = self.space.bdd.and(other, fresh)?;
            if !self.space.bdd.covers(all, other) && !self.space.bdd.covers(other, all) {
                found.push(self.id(earlier));
            }
        }
        Ok(found)
    }
}

impl OfChain<'_, '_> {
    /// A rule of which an earlier one wants something else.
    fn conflict(&mut self, index: usize) -> Result<Option<Finding>, AnalyseError> {
        let fresh = self.space.fresh()?;
        let blockers = self.contradictions(index, fresh)?;
        let Some(earliest) = blockers.first().and_then(|blocker| blocker.rule) else {
            return Ok(None);
        };
        let both = self.space.bdd.and(self.matches[index], self.matches[earliest])?;
        let both = self.space.bdd.and(both, fresh)?;
        // Where the earlier one holds only now and then, this one may hold for the same packet.
        let (both, _) = self.space.certainly_and_possibly(both)?;
        let rule = self.id(index);
        let witness = self.unmatched(both, rule)?;
        let message =
            "an earlier rule wants something else of some of its packets: the order decides";
        let message = message.to_owned();
        Ok(Some(Finding { code: Code::Conflict, rule, blockers, message, witness }))
    }
}

/// Findings about rules that hold for something: those that could go, those that contradict others.
fn live(of_chain: &mut [OfChain<'_, '_>], gone: &[usize]) -> Result<Vec<Finding>, AnalyseError> {
    let mut findings = Vec::new();
    let Some(first) = of_chain.first() else { return Ok(findings) };
    let (chain, count) = (first.chain, first.rules.len());
    let ruleset = first.prepared.ruleset();
    let mut replaceable = Vec::new();
    for one in of_chain.iter_mut() {
        replaceable.push(one.replaceable(gone)?);
    }
    for index in 0..count {
        let rule = RuleId { chain, rule: Some(index) };
        let holds: Vec<bool> =
            of_chain.iter().map(|one| one.family.hits.contains_key(&rule)).collect();
        let mut both = holds.iter().zip(&replaceable);
        let can_go = holds.contains(&true) && both.all(|(holds, can_go)| !holds || can_go[index]);
        if can_go && !counts_the_rest(ruleset, rule) {
            let message = "without it the same becomes of every packet".to_owned();
            let (code, blockers) = (Code::Redundant, Vec::new());
            findings.push(Finding { code, rule, blockers, message, witness: None });
        }
    }
    if count > MOST_FOR_CONFLICTS {
        return Ok(findings);
    }
    for index in 0..count {
        for one in of_chain.iter_mut() {
            if let Some(finding) = one.conflict(index)? {
                findings.push(finding);
                break;
            }
        }
    }
    Ok(findings)
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

/// Ports that one family lets in and the other does not, with the rule that does.
fn disparities(
    spaces: &mut [&mut Space],
    families: &[Family],
    prepared: &Prepared<'_>,
) -> Result<Vec<Finding>, AnalyseError> {
    let [v4, v6] = spaces else { return Ok(Vec::new()) };
    let mut findings: Vec<Finding> = Vec::new();
    for disparity in parity(v4, v6, prepared)? {
        let is_v6_wider = disparity.v6.rank() > disparity.v4.rank();
        let wider = usize::from(is_v6_wider);
        let space: &mut Space = if is_v6_wider { v6 } else { v4 };
        if is_of_one_family(&disparity, is_v6_wider) {
            continue;
        }
        let of = space.protocol(disparity.protocol)?;
        let fresh = space.from_outside()?;
        let to = space.to_ports(&[disparity.ports])?;
        let region = space.bdd.intersection([of, fresh, to])?;
        let Some(rule) = families.get(wider).and_then(|family| accepting(space, family, region))
        else {
            continue;
        };
        let (wide, narrow) = if is_v6_wider { ("IPv6", "IPv4") } else { ("IPv4", "IPv6") };
        let message = format!(
            "{} is open wider with {wide} than with {narrow}",
            ports_words(disparity.protocol, disparity.ports)
        );
        match findings.iter_mut().find(|finding| finding.rule == rule) {
            Some(known) => {
                known.message =
                    format!("what it lets in is open wider with {wide} than with {narrow}");
            }
            None => findings.push(Finding {
                code: Code::Disparity,
                rule,
                blockers: Vec::new(),
                message,
                witness: None,
            }),
        }
    }
    Ok(findings)
}

/// Whether a port belongs to a protocol of that family alone: DHCP of IPv4 (RFC 2131) and of IPv6
/// (RFC 8415).
fn is_of_one_family(disparity: &Disparity, is_v6: bool) -> bool {
    let own = if is_v6 { 546..=547 } else { 67..=68 };
    let (from, to) = disparity.ports;
    disparity.protocol == 17 && own.contains(&from) && own.contains(&to)
}

fn ports_words(protocol: u8, (from, to): (u16, u16)) -> String {
    let word = if protocol == 6 { "tcp" } else { "udp" };
    if from == to { format!("{from}/{word}") } else { format!("{from}-{to}/{word}") }
}

/// The first rule, or policy, that accepts packets of a region at the hook input.
fn accepting(space: &mut Space, family: &Family, region: Region) -> Option<RuleId> {
    let mut rules: Vec<(bool, RuleId)> = Vec::new();
    for (rule, hits) in &family.hits {
        let takes = hits.iter().any(|(way, hook, did, packets)| {
            (*way, *hook, *did) == (Way::Input, Hook::Input, Did::Accepted)
                && space.bdd.meets(*packets, region)
        });
        if takes {
            rules.push((rule.rule.is_none(), *rule));
        }
    }
    rules.into_iter().min().map(|(_, rule)| rule)
}

/// What a rule ends its packets with, where it only matches and ends.
fn end(rule: &Rule) -> Option<End> {
    let mut found = None;
    for statement in &rule.statements {
        match statement {
            Statement::Match(_) | Statement::Condition(_) => {}
            Statement::Opaque { effect: Opaque::Passes, .. } => {}
            Statement::Verdict(Verdict::Accept) => found = found.or(Some(End::Accept)),
            Statement::Verdict(Verdict::Drop) => found = found.or(Some(End::Drop)),
            Statement::Verdict(Verdict::Reject(with)) => found = found.or(Some(End::Reject(*with))),
            _ => return None,
        }
    }
    found
}

/// Whether packets that a rule holds for do not come to the next one.
fn leaves(rule: &Rule) -> bool {
    let mut statements = rule.statements.iter();
    let is_sure = rule.statements.iter().all(|statement| {
        matches!(
            statement,
            Statement::Match(_)
                | Statement::Verdict(_)
                | Statement::Opaque { effect: Opaque::Passes, .. }
        )
    });
    is_sure
        && statements.any(|statement| {
            matches!(
                statement,
                Statement::Verdict(
                    Verdict::Accept
                        | Verdict::Drop
                        | Verdict::Reject(_)
                        | Verdict::Return
                        | Verdict::Goto(_)
                )
            )
        })
}

/// Whether a statement changes what later rules see.
const fn writes(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Assign { .. }
            | Statement::Nat(_)
            | Statement::NoTrack
            | Statement::Update { .. }
    )
}

/// Whether a statement lets every packet go on to the next rule.
const fn passes(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Match(_)
            | Statement::Condition(_)
            | Statement::Opaque { effect: Opaque::Passes, .. }
            | Statement::Verdict(Verdict::Continue)
    )
}

/// Whether a rule speaks of addresses or ports.
fn is_specific(rule: &Rule) -> bool {
    rule.statements.iter().any(|statement| match statement {
        Statement::Match(Match { left: Expression::Field(field), .. }) => matches!(
            field,
            Field::Source4
                | Field::Source6
                | Field::Destination4
                | Field::Destination6
                | Field::SourcePort
                | Field::DestinationPort
        ),
        Statement::Match(Match { left: Expression::Concat(_), .. }) => true,
        _ => false,
    })
}
