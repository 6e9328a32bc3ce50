//! Rules that packets come to: those that could go all the same, those that contradict others.

use std::collections::{BTreeMap, HashSet};

use super::idle::OfChain;
use super::words::{End, end, is_specific, passes, writes};
use super::{Code, Finding, Linted};
use crate::firewall::analyse::AnalyseError;
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::{ChainPolicy, Origin, RuleId, Ruleset};

/// Looks at all rules of a chain.
pub(super) fn look(
    of_chain: &mut [OfChain<'_, '_>],
    linted: &mut Linted,
) -> Result<(), AnalyseError> {
    let Some(first) = of_chain.first_mut() else { return Ok(()) };
    let chain = first.chain;
    match first.conflicts() {
        Ok(conflicts) => linted.findings.extend(conflicts),
        Err(AnalyseError::Undecided(_)) => linted.skipped.push((chain, Code::Conflict)),
        Err(error) => return Err(error),
    }
    let gone = linted.findings.iter().filter(|found| found.code == Code::Redundant);
    let gone = gone.filter(|found| found.rule.chain == chain).filter_map(|found| found.rule.rule);
    let gone: HashSet<usize> = gone.collect();
    match replaceable(of_chain, &gone) {
        Ok(findings) => linted.findings.extend(findings),
        Err(Undecided { .. }) => linted.skipped.push((chain, Code::Redundant)),
    }
    Ok(())
}

/// Rules that could go without anything becoming of any packet but what becomes of it now; `gone` are
/// those that could go because of rules before them.
fn replaceable(
    of_chain: &mut [OfChain<'_, '_>],
    gone: &HashSet<usize>,
) -> Result<Vec<Finding>, Undecided> {
    let mut can_go = Vec::new();
    for one in of_chain.iter_mut() {
        let mark = one.space.bdd.mark();
        let replaceable = one.replaceable(gone);
        one.space.bdd.forget(mark);
        can_go.push(replaceable?);
    }
    let Some(first) = of_chain.first() else { return Ok(Vec::new()) };
    let rules = (0..first.rules.len()).map(|index| (index, first.id(index)));
    let told = rules.filter(|(index, rule)| {
        let holds: Vec<bool> =
            of_chain.iter().map(|one| one.family.hits.contains_key(rule)).collect();
        let mut both = holds.iter().zip(&can_go);
        let can_go = holds.contains(&true) && both.all(|(holds, can_go)| !holds || can_go[*index]);
        can_go && !counts_the_rest(first.prepared.ruleset(), *rule)
    });
    Ok(told
        .map(|(_, rule)| Finding {
            code: Code::Redundant,
            rule,
            blockers: Vec::new(),
            message: "without it the same becomes of every packet".to_owned(),
            witness: None,
        })
        .collect())
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

impl OfChain<'_, '_> {
    /// For each rule that holds for something and ends it: whether the rules behind it (and the
    /// policy) would do the same. Rules behind it that hold for nothing now count too, as they would
    /// hold once it is gone; not those that are `gone` themselves.
    fn replaceable(&mut self, gone: &HashSet<usize>) -> Result<Vec<bool>, Undecided> {
        let mut answer = vec![false; self.rules.len()];
        let has_effects = self.rules.iter().any(|rule| rule.statements.iter().any(writes));
        let is_v6 = self.space.is_v6();
        if has_effects || self.prepared.translates(is_v6) {
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
                let bdd = &mut self.space.bdd;
                let possible = self.possible;
                answer[index] =
                    !hits.iter().any(|hit| bdd.meets_within(hit.packets, !behind, possible));
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

    /// Rules of which some new packets are wanted for something else by earlier ones, where neither is
    /// a part of the other.
    fn conflicts(&mut self) -> Result<Vec<Finding>, AnalyseError> {
        let mark = self.space.bdd.mark();
        let found = self.conflicts_of(&self.opponents());
        self.space.bdd.forget(mark);
        found
    }

    /// Rules that accept, and rules that end otherwise; of both those that speak of addresses or
    /// ports.
    fn opponents(&self) -> [Vec<usize>; 2] {
        let mut sides = [Vec::new(), Vec::new()];
        for (index, rule) in self.rules.iter().enumerate() {
            match end(rule).filter(|_| is_specific(rule)) {
                Some(End::Accept) => sides[0].push(index),
                Some(_) => sides[1].push(index),
                None => {}
            }
        }
        sides
    }

    fn conflicts_of(&mut self, sides: &[Vec<usize>; 2]) -> Result<Vec<Finding>, AnalyseError> {
        let fresh = self.space.fresh()?;
        let fresh = self.space.of_way(fresh, self.way)?;
        let [accepting, ending] = sides;
        let mut found = Vec::new();
        for (index, earlier) in self.contradictions(accepting, ending, fresh)? {
            let both = self.space.bdd.and(self.matches[index], self.matches[earlier[0]])?;
            let both = self.space.bdd.and(both, fresh)?;
            let rule = self.id(index);
            let witness = self.unmatched(both, rule)?;
            let message =
                "an earlier rule wants something else of some of its packets: the order decides";
            found.push(Finding {
                code: Code::Conflict,
                rule,
                blockers: earlier.into_iter().map(|index| self.id(index)).collect(),
                message: message.to_owned(),
                witness,
            });
        }
        Ok(found)
    }

    /// For each rule the earlier ones of the other side that it shares some packets of `fresh` with,
    /// but not all of its own and not all of theirs. Ascending.
    fn contradictions(
        &mut self,
        accepting: &[usize],
        ending: &[usize],
        fresh: Region,
    ) -> Result<Vec<(usize, Vec<usize>)>, Undecided> {
        let regions = |of: &[usize]| of.iter().map(|index| self.matches[*index]).collect();
        let (ones, others): (Vec<Region>, Vec<Region>) = (regions(accepting), regions(ending));
        let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (one, other) in self.space.bdd.meetings(&ones, &others)? {
            let (one, other) = (accepting[one as usize], ending[other as usize]);
            let bdd = &mut self.space.bdd;
            if !bdd.meets_within(self.matches[one], self.matches[other], fresh) {
                continue;
            }
            let a = bdd.and(self.matches[one], fresh)?;
            let b = bdd.and(self.matches[other], fresh)?;
            if !bdd.covers(a, b) && !bdd.covers(b, a) {
                found.entry(one.max(other)).or_default().push(one.min(other));
            }
        }
        found.values_mut().for_each(|earlier| earlier.sort_unstable());
        Ok(found.into_iter().collect())
    }
}
