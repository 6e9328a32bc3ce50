//! Rules that packets come to, and that could go all the same.

use std::collections::HashSet;

use super::family::is_judged;
use super::idle::OfChain;
use super::words::{End, end, passes};
use super::{Code, Finding, Linted};
use crate::firewall::analyse::space::Space;
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::{ChainId, ChainPolicy, Origin, RuleId, Ruleset};

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
    let marks: Vec<_> = spaces.iter().map(|space| space.bdd.mark()).collect();
    let found = replaceable(spaces, of_chain, ruleset, &gone);
    spaces.iter_mut().zip(marks).for_each(|(space, mark)| space.bdd.forget(mark));
    match found {
        Ok(found) => linted.findings.extend(found.into_iter().map(|index| Finding {
            code: Code::Redundant,
            rule: RuleId { chain, rule: Some(index) },
            blockers: Vec::new(),
            message: "without it the same becomes of every packet".to_owned(),
            witness: None,
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
    let mut found = Vec::new();
    let Some(first) = of_chain.first() else { return Ok(found) };
    // Rules that change packets cannot be taken out for a try.
    if first.untouched < first.rules.len() {
        return Ok(found);
    }
    let mut all = Vec::new();
    for one in of_chain {
        let space = &mut *spaces[one.family.number];
        for number in 0..one.arriving.len() {
            all.push(Behind::new(one, space, ruleset, number)?);
        }
    }
    for (index, rule) in first.rules.iter().enumerate().rev() {
        if rule.statements.iter().all(passes) || gone.contains(&index) {
            continue;
        }
        let end = end(rule);
        let id = first.id(index);
        let holds = of_chain.iter().any(|one| one.family.hits.contains_key(&id));
        let can_go = end.filter(|_| holds && !counts_the_rest(ruleset, id)).is_some_and(|end| {
            all.iter().all(|behind| behind.does(&mut *spaces[behind.of.family.number], index, end))
        });
        if can_go {
            found.push(index);
            continue;
        }
        for behind in &mut all {
            behind.put(&mut *spaces[behind.of.family.number], index, end)?;
        }
    }
    Ok(found)
}

/// What becomes, behind a rule, of packets that come to a chain in one manner.
struct Behind<'o, 'a> {
    of: &'o OfChain<'a>,
    number: usize,
    /// The packets there can be of this manner.
    within: Region,
    /// What each rule's matches hold for; `None`: those of the chain.
    matches: Option<Vec<Region>>,
    ends: Vec<(End, Region)>,
}

impl<'o, 'a> Behind<'o, 'a> {
    /// Behind the last rule: the policy.
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
        let ends = policy.map(|end| (end, Region::ALL)).into_iter().collect();
        Ok(Self { of, number, within, matches, ends })
    }

    /// Whether the rules behind it end all packets so that rule `index` holds for.
    fn does(&self, space: &mut Space, index: usize, end: End) -> bool {
        let OfChain { family, way, .. } = self.of;
        let arriving = &self.of.arriving[self.number];
        let behind = self.ends.iter().find(|(other, _)| *other == end);
        let others = !behind.map_or(Region::NONE, |behind| behind.1);
        let hits = family.hits.get(&self.of.id(index));
        let mut hits = hits.into_iter().flatten().filter(|hit| hit.way == *way);
        hits.all(|hit| {
            // Nothing was done to packets of the only manner, so that the hooks do not matter.
            let is_other = family.knows_entries() && hit.hook != arriving.hook;
            let is_met = !is_other && is_judged(*way, hit.hook);
            !is_met || !space.bdd.meets_within(hit.packets, others, self.within)
        })
    }

    /// Puts a rule before them.
    fn put(&mut self, space: &mut Space, index: usize, end: Option<End>) -> Result<(), Undecided> {
        let own = self.matches.as_ref().unwrap_or(&self.of.matches)[index];
        let mut ended = end;
        for (other, region) in &mut self.ends {
            *region = if ended == Some(*other) {
                ended = None;
                space.bdd.or(*region, own)?
            } else {
                space.bdd.minus(*region, own)?
            };
        }
        self.ends.extend(ended.map(|end| (end, own)));
        Ok(())
    }
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
