//! Rules in a row that only match and end packets, all of them at once.

use std::ops::Range;

use super::{Did, Flow, Run};
use crate::firewall::analyse::effect::Effect;
use crate::firewall::analyse::evaluate::InField;
use crate::firewall::analyse::stream::{Stream, Streams};
use crate::firewall::bdd::{Region, Taker, Undecided};
use crate::firewall::{ChainId, RejectWith, Rule, RuleId, Statement, Verdict};

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
    index: usize,
    plain: Plain,
    /// The packets it holds for.
    matches: Region,
}

/// So many rules in a row are many.
const MANY: usize = 256;
/// The label of packets that no rule ends, above those of all rules.
const LEFT: u32 = Taker::NOBODY - 1;

impl Run<'_> {
    /// Rules in a row that only match and end.
    pub(super) fn plain_rules(
        &mut self,
        chain: ChainId,
        rules: Range<usize>,
        now: Streams,
        flow: &mut Flow,
    ) -> Result<Streams, Undecided> {
        let mut left = Streams::default();
        for stream in now.0 {
            let packets = match self.decisions {
                None => self.ended(chain, rules.clone(), &stream, flow)?,
                Some(_) => self.decided(chain, rules.clone(), &stream, flow)?,
            };
            left.add(&mut self.space.bdd, &stream.effect, packets)?;
        }
        Ok(left)
    }

    /// Ends packets of a stream as plain rules say; gives what is left.
    fn ended(
        &mut self,
        chain: ChainId,
        rules: Range<usize>,
        stream: &Stream,
        flow: &mut Flow,
    ) -> Result<Region, Undecided> {
        let mut ends: Vec<Plain> = Vec::new();
        let mut row = self.row(chain, rules, stream)?;
        row.retain(|asked| asked.plain != Plain::Nothing);
        let takers = row.iter().map(|asked| {
            let known = ends.iter().position(|end| *end == asked.plain);
            let label = known.unwrap_or_else(|| {
                ends.push(asked.plain);
                ends.len() - 1
            });
            Taker { region: asked.matches, label: label as u32, passes_on: false }
        });
        let dealt = self.deal(takers.collect(), stream.packets)?;
        let mut left = Region::NONE;
        for (label, region) in dealt {
            match ends.get(label as usize) {
                Some(plain) => self.end(*plain, &stream.effect, region, flow)?,
                None => left = region,
            }
        }
        Ok(left)
    }

    /// The same, writing down what each rule decided.
    fn decided(
        &mut self,
        chain: ChainId,
        rules: Range<usize>,
        stream: &Stream,
        flow: &mut Flow,
    ) -> Result<Region, Undecided> {
        let row = self.row(chain, rules.clone(), stream)?;
        let takers = row.iter().map(|asked| {
            let passes_on = asked.plain == Plain::Nothing;
            Taker { region: asked.matches, label: asked.index as u32, passes_on }
        });
        let mut left = Region::NONE;
        let mut by_end: Vec<(Plain, Vec<Region>)> = Vec::new();
        let mut asked = row.iter();
        for (label, hit) in self.deal(takers.collect(), stream.packets)? {
            let Some(Asked { plain, index, .. }) = asked.find(|a| a.index == label as usize) else {
                left = hit;
                continue;
            };
            let did = match plain {
                Plain::Accept => Did::Accepted,
                Plain::Drop => Did::Dropped,
                Plain::Reject(with) => Did::Rejected(*with),
                Plain::Return | Plain::Nothing => Did::Held,
            };
            self.decide(RuleId { chain, rule: Some(*index) }, did, hit);
            match by_end.iter_mut().find(|end| end.0 == *plain) {
                _ if *plain == Plain::Nothing => {}
                Some(end) => end.1.push(hit),
                None => by_end.push((*plain, vec![hit])),
            }
        }
        for (plain, hits) in by_end {
            let hit = self.space.bdd.united(&hits)?;
            self.end(plain, &stream.effect, hit, flow)?;
        }
        Ok(left)
    }

    /// Plain rules in their order, each with the packets it holds for.
    fn row(
        &mut self,
        chain: ChainId,
        rules: Range<usize>,
        stream: &Stream,
    ) -> Result<Vec<Asked>, Undecided> {
        let ruleset = self.ruleset;
        let mut row = Vec::with_capacity(rules.len());
        for index in rules {
            let id = RuleId { chain, rule: Some(index) };
            let Some(rule) = ruleset.rule(id) else { continue };
            let Some(plain) = plain(rule).filter(|_| self.is_relevant(id)) else { continue };
            let matches = self.matches(id, rule, &stream.effect)?;
            row.push(Asked { index, plain, matches });
        }
        Ok(row)
    }

    /// Deals `packets` to a row; what is left comes last, under [`LEFT`].
    fn deal(&mut self, row: Vec<Taker>, packets: Region) -> Result<Vec<(u32, Region)>, Undecided> {
        // Many rules are dealt the packets of wider bounds, so that they need not pass what no rule asks.
        let within = match row.len() >= MANY {
            true => self.space.bounds(packets)?,
            false => packets,
        };
        let outside = Taker { region: !within, label: Taker::NOBODY, passes_on: false };
        let rest = Taker { region: Region::ALL, label: LEFT, passes_on: false };
        let row: Vec<Taker> = [outside].into_iter().chain(row).chain([rest]).collect();
        let bdd = &mut self.space.bdd;
        let mut dealt = bdd.dealt(&row)?;
        if within != packets {
            for (_, region) in &mut dealt {
                *region = bdd.and(*region, packets)?;
            }
            dealt.retain(|(_, region)| !region.is_none());
        }
        Ok(dealt)
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
        let mut fields: Vec<InField> = Vec::new();
        for statement in &rule.statements {
            let at = self.place(id, effect);
            match statement {
                Statement::Match(wanted) => match self.space.in_field(wanted, at) {
                    Some(field) if fields.iter().all(|other| other.is_apart(&field)) => {
                        fields.push(field);
                    }
                    _ => all.push(self.space.matching(wanted, at, &mut self.memo)?),
                },
                Statement::Condition(asked) => all.push(self.space.condition(asked, at)?),
                _ => {}
            }
        }
        // From the last variables to the first, each step only adds on top.
        let bdd = &mut self.space.bdd;
        fields.sort_unstable_by_key(|field| std::cmp::Reverse(field.bits.first));
        let of_fields = fields
            .iter()
            .try_fold(Region::ALL, |rest, field| bdd.ranges_and(field.bits, &field.ranges, rest))?;
        all.push(of_fields);
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
