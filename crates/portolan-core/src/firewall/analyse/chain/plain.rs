//! Rules in a row that only match and end packets, all of them at once.

use super::{Did, Flow, Run};
use crate::firewall::analyse::effect::Effect;
use crate::firewall::analyse::stream::{Stream, Streams};
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::{ChainId, RejectWith, Rule, RuleId, Statement, Verdict};

/// So many new nodes make it worth while to give back what a run of rules needed on the way.
const WORTH_RECLAIMING: usize = 1 << 20;
/// So many rules are united at a time.
const AT_A_TIME: usize = 4096;

/// What a rule without consequences for the next does: matches, then one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Nothing,
    Accept,
    Drop,
    Reject(RejectWith),
    Return,
}

/// A plain rule being asked.
struct Asked {
    id: RuleId,
    plain: Plain,
    /// The packets it holds for.
    matches: Region,
    /// Those it does not let go on: all of them, or none.
    ends: Region,
}

impl Run<'_> {
    /// Rules in a row that only match and end.
    pub(super) fn plain_rules(
        &mut self,
        chain: ChainId,
        rules: std::ops::Range<usize>,
        now: Streams,
        flow: &mut Flow,
    ) -> Result<Streams, Undecided> {
        let mut left = Streams::default();
        for mut stream in now.0 {
            for start in rules.clone().step_by(AT_A_TIME) {
                let some = start..rules.end.min(start + AT_A_TIME);
                stream.packets = match self.decisions {
                    None => self.ended(chain, some, &stream, flow)?,
                    Some(_) => self.decided(chain, some, &stream, flow)?,
                };
            }
            left.add(&mut self.space.bdd, &stream.effect, stream.packets)?;
        }
        Ok(left)
    }

    /// Ends packets of a stream as plain rules say; gives what is left.
    fn ended(
        &mut self,
        chain: ChainId,
        rules: std::ops::Range<usize>,
        stream: &Stream,
        flow: &mut Flow,
    ) -> Result<Region, Undecided> {
        let mut runs: Vec<(Plain, Vec<usize>)> = Vec::new();
        for index in rules {
            let id = RuleId { chain, rule: Some(index) };
            let Some(plain) = self.ruleset.rule(id).and_then(plain) else { continue };
            match runs.last_mut() {
                _ if plain == Plain::Nothing => {}
                Some((same, run)) if *same == plain => run.push(index),
                _ => runs.push((plain, vec![index])),
            }
        }
        if runs.is_empty() {
            return Ok(stream.packets);
        }
        let ends = self.block(chain, &runs, &stream.effect)?;
        let mut left = stream.packets;
        for (plain, region) in ends {
            let hit = self.space.bdd.and(stream.packets, region)?;
            left = self.space.bdd.minus(left, hit)?;
            self.end(plain, &stream.effect, hit, flow)?;
        }
        Ok(left)
    }

    /// What runs of rules do with every packet there is. By halves: what a rule far down does is cut
    /// by those before it only where they meet, and never with all that is left of all packets.
    fn block(
        &mut self,
        chain: ChainId,
        runs: &[(Plain, Vec<usize>)],
        effect: &Effect,
    ) -> Result<Vec<(Plain, Region)>, Undecided> {
        let mark = self.space.bdd.mark();
        let filled = self.space.bdd.len();
        let mut ends = match runs {
            [(plain, run)] => vec![(*plain, self.union_of(chain, run, effect)?)],
            _ => {
                let (first, second) = runs.split_at(runs.len() / 2);
                let mut ends = self.block(chain, first, effect)?;
                let later = self.block(chain, second, effect)?;
                let bdd = &mut self.space.bdd;
                let taken = bdd.union(ends.iter().map(|end| end.1).collect())?;
                for (plain, region) in later {
                    let region = bdd.minus(region, taken)?;
                    match ends.iter_mut().find(|end| end.0 == plain) {
                        Some(end) => end.1 = bdd.or(end.1, region)?,
                        None => ends.push((plain, region)),
                    }
                }
                ends
            }
        };
        if self.space.bdd.len() - filled > WORTH_RECLAIMING {
            let mut roots: Vec<&mut Region> = ends.iter_mut().map(|end| &mut end.1).collect();
            self.space.bdd.reclaim(mark, &mut roots);
            self.memo.forget_since(mark);
        }
        Ok(ends)
    }

    fn union_of(
        &mut self,
        chain: ChainId,
        run: &[usize],
        effect: &Effect,
    ) -> Result<Region, Undecided> {
        let ruleset = self.ruleset;
        let mut regions = Vec::with_capacity(run.len());
        for index in run {
            let id = RuleId { chain, rule: Some(*index) };
            let Some(rule) = ruleset.rule(id) else { continue };
            regions.push(self.matches(id, rule, effect)?);
        }
        self.space.bdd.union_sorted(regions)
    }

    /// The same as [`Self::ended`], writing down what each rule decided.
    fn decided(
        &mut self,
        chain: ChainId,
        rules: std::ops::Range<usize>,
        stream: &Stream,
        flow: &mut Flow,
    ) -> Result<Region, Undecided> {
        let ruleset = self.ruleset;
        let mut all = Vec::with_capacity(rules.len());
        for index in rules {
            let id = RuleId { chain, rule: Some(index) };
            let Some(rule) = ruleset.rule(id) else { continue };
            let Some(plain) = plain(rule) else { continue };
            let matches = self.matches(id, rule, &stream.effect)?;
            let ends = if plain == Plain::Nothing { Region::NONE } else { matches };
            all.push(Asked { id, plain, matches, ends });
        }
        let mut hits = Vec::new();
        let taken = self.hits(&all, !stream.packets, &mut hits)?;
        let mut by_end: Vec<(Plain, Vec<Region>)> = Vec::new();
        for (asked, hit) in hits {
            let did = match asked.plain {
                Plain::Accept => Did::Accepted,
                Plain::Drop => Did::Dropped,
                Plain::Reject(with) => Did::Rejected(with),
                Plain::Return | Plain::Nothing => Did::Held,
            };
            self.decide(asked.id, did, hit);
            match by_end.iter_mut().find(|end| end.0 == asked.plain) {
                Some(end) => end.1.push(hit),
                None => by_end.push((asked.plain, vec![hit])),
            }
        }
        for (plain, hits) in by_end {
            let hit = self.space.bdd.union_sorted(hits)?;
            self.end(plain, &stream.effect, hit, flow)?;
        }
        self.space.bdd.minus(stream.packets, taken)
    }

    /// The packets each of these rules holds for, outside of `gone` and of what those before it end;
    /// gives all that they end. By halves, so that what is gone is only cut with few rules at a time.
    fn hits<'h>(
        &mut self,
        rules: &'h [Asked],
        gone: Region,
        hits: &mut Vec<(&'h Asked, Region)>,
    ) -> Result<Region, Undecided> {
        let [one] = rules else {
            let Some(half) = Some(rules.len() / 2).filter(|half| *half > 0) else {
                return Ok(Region::NONE);
            };
            let (first, second) = rules.split_at(half);
            let bdd = &mut self.space.bdd;
            let near = bdd.union_sorted(rules.iter().map(|asked| asked.matches).collect())?;
            let gone = bdd.and(gone, near)?;
            let ended = self.hits(first, gone, hits)?;
            let gone = self.space.bdd.or(gone, ended)?;
            let later = self.hits(second, gone, hits)?;
            return self.space.bdd.or(ended, later);
        };
        let hit = self.space.bdd.minus(one.matches, gone)?;
        if !hit.is_none() {
            hits.push((one, hit));
        }
        Ok(one.ends)
    }

    /// Ends packets.
    fn end(
        &mut self,
        plain: Plain,
        effect: &Effect,
        hit: Region,
        flow: &mut Flow,
    ) -> Result<(), Undecided> {
        let bdd = &mut self.space.bdd;
        match plain {
            Plain::Nothing => {}
            Plain::Accept => flow.accepted.add(bdd, effect, hit)?,
            Plain::Return => flow.returned.add(bdd, effect, hit)?,
            Plain::Drop => self.ends.dropped.push(hit),
            Plain::Reject(with) => self.ends.rejected.entry(with).or_default().push(hit),
        }
        Ok(())
    }

    /// The packets that all matches of a rule hold for.
    pub(in crate::firewall::analyse) fn matches(
        &mut self,
        id: RuleId,
        rule: &Rule,
        effect: &Effect,
    ) -> Result<Region, Undecided> {
        let mut all = Vec::new();
        for statement in &rule.statements {
            match statement {
                Statement::Match(wanted) => {
                    let at = self.place(id, effect);
                    all.push(self.space.matching(wanted, at, &mut self.memo)?);
                }
                Statement::Condition(asked) => {
                    let at = self.place(id, effect);
                    all.push(self.space.condition(asked, at)?);
                }
                _ => {}
            }
        }
        // From the last variables to the first, each step only adds on top.
        let bdd = &mut self.space.bdd;
        all.sort_by_key(|region| std::cmp::Reverse(bdd.branch(*region).map_or(0, |b| b.variable)));
        bdd.intersection(all)
    }
}

pub(super) fn plain(rule: &Rule) -> Option<Plain> {
    let mut found = Plain::Nothing;
    for statement in &rule.statements {
        if found != Plain::Nothing {
            break;
        }
        match statement {
            Statement::Match(_) | Statement::Condition(_) => {}
            Statement::Opaque { effect: crate::firewall::Effect::Passes, .. } => {}
            Statement::Verdict(Verdict::Accept) => found = Plain::Accept,
            Statement::Verdict(Verdict::Drop) => found = Plain::Drop,
            Statement::Verdict(Verdict::Reject(with)) => found = Plain::Reject(*with),
            Statement::Verdict(Verdict::Return) => found = Plain::Return,
            Statement::Verdict(Verdict::Continue) => {}
            _ => return None,
        }
    }
    Some(found)
}
