//! Rules in a row that only match and end packets, all of them at once.

use std::ops::Range;
use std::sync::Arc;

use super::values::Values;
use super::{Did, Flow, Run};
use crate::firewall::analyse::effect::Effect;
use crate::firewall::analyse::evaluate::InField;
use crate::firewall::analyse::stream::{Stream, Streams};
use crate::firewall::bdd::{Region, Taker, Undecided};
use crate::firewall::{ChainId, RejectWith, Rule, RuleId, Statement, Verdict};

/// What a rule without consequences for the next does: matches, then one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Simple<'r> {
    Nothing,
    Accept,
    Drop,
    Reject(RejectWith),
    Return,
    Jump(&'r str),
    Goto(&'r str),
}

/// How packets end in a row of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Nothing,
    Accept,
    Drop,
    Reject(RejectWith),
    /// Back where the chain was asked.
    Return,
}

/// A rule in a row.
struct Asked {
    /// `None` behind a goto, where nothing asks any more.
    id: Option<RuleId>,
    end: End,
    /// The packets it holds for.
    matches: Region,
}

/// Rules of a chain, with those of the chains they ask.
type Rules = (ChainId, Range<usize>);

/// So many rules in a row are many (in tests fewer, so that their small rulesets try that too).
const MANY: usize = if cfg!(test) { 3 } else { 256 };
/// What values packets have is not worth finding out for fewer rules.
const FEW: usize = if cfg!(test) { 2 } else { 16 };
/// The label of packets that no rule ends, above those of all rules.
const LEFT: u32 = Taker::NOBODY - 1;

impl Run<'_> {
    /// Rules in a row that only match and end, or ask chains of such.
    pub(super) fn flat_rules(
        &mut self,
        rules: &Rules,
        depth: usize,
        now: Streams,
        flow: &mut Flow,
    ) -> Result<Streams, Undecided> {
        let mut left = Streams::default();
        for stream in now.0 {
            let mut row = Vec::with_capacity(rules.1.len());
            let values = self.values(rules, depth, stream.packets)?;
            let mut guards = Guards { values, ..Guards::default() };
            self.row(rules.clone(), (&stream.effect, depth), &mut guards, &mut row)?;
            let packets = match self.decisions {
                None => self.ended(row, &stream, flow)?,
                Some(_) => self.decided(&row, &stream, flow)?,
            };
            left.add(&mut self.space.bdd, &stream.effect, packets)?;
        }
        Ok(left)
    }

    /// Ends packets of a stream as rules in a row say; gives what is left.
    fn ended(
        &mut self,
        mut row: Vec<Asked>,
        stream: &Stream,
        flow: &mut Flow,
    ) -> Result<Region, Undecided> {
        let mut ends: Vec<End> = Vec::new();
        row.retain(|asked| asked.end != End::Nothing);
        let takers = row.iter().map(|asked| {
            let known = ends.iter().position(|end| *end == asked.end);
            let label = known.unwrap_or_else(|| {
                ends.push(asked.end);
                ends.len() - 1
            });
            Taker { region: asked.matches, label: label as u32, passes_on: false }
        });
        let dealt = self.deal(takers.collect(), stream.packets)?;
        let mut left = Region::NONE;
        for (label, region) in dealt {
            match ends.get(label as usize) {
                Some(end) => self.end(*end, &stream.effect, region, flow)?,
                None => left = region,
            }
        }
        Ok(left)
    }

    /// The same, writing down what each rule decided.
    fn decided(
        &mut self,
        row: &[Asked],
        stream: &Stream,
        flow: &mut Flow,
    ) -> Result<Region, Undecided> {
        let takers = (0..).zip(row).map(|(label, asked)| {
            let passes_on = asked.end == End::Nothing;
            Taker { region: asked.matches, label, passes_on }
        });
        let takers: Vec<Taker> = takers.collect();
        // Cut in no field that many rules ask for, rules mostly keep what they match as it stands.
        let is_rough = self.is_rough && takers.len() >= MANY;
        let (dealt_to, among) = match is_rough {
            true => (self.space.wide_bounds(stream.packets)?, stream.packets),
            false => (stream.packets, Region::ALL),
        };
        let mut left = Region::NONE;
        let mut by_end: Vec<(End, Vec<Region>)> = Vec::new();
        for (label, hit) in self.deal(takers, dealt_to)? {
            let Some(Asked { id, end, .. }) = row.get(label as usize) else {
                left = self.space.bdd.and(hit, among)?;
                continue;
            };
            if !self.space.bdd.meets(hit, among) {
                continue;
            }
            let did = match end {
                End::Accept => Did::Accepted,
                End::Drop => Did::Dropped,
                End::Reject(with) => Did::Rejected(*with),
                End::Return | End::Nothing => Did::Held,
            };
            if let Some(id) = id {
                self.decide_among(*id, did, hit, among);
            }
            match by_end.iter_mut().find(|known| known.0 == *end) {
                _ if *end == End::Nothing => {}
                Some(end) => end.1.push(hit),
                None => by_end.push((*end, vec![hit])),
            }
        }
        for (end, hits) in by_end {
            let hit = self.space.bdd.united(&hits)?;
            let hit = self.space.bdd.and(hit, among)?;
            self.end(end, &stream.effect, hit, flow)?;
        }
        Ok(left)
    }

    /// Puts rules in a row in their order, each with the packets it holds for, and those of the chains
    /// they ask in their places.
    fn row(
        &mut self,
        (chain, rules): Rules,
        (effect, depth): (&Effect, usize),
        guards: &mut Guards,
        row: &mut Vec<Asked>,
    ) -> Result<(), Undecided> {
        let ruleset = self.ruleset;
        let kept = match self.space.rows {
            Some(_) => Some(self.matches_of(chain, effect)?),
            None => None,
        };
        for index in rules {
            let id = RuleId { chain, rule: Some(index) };
            let Some(rule) = ruleset.rule(id).filter(|_| self.is_relevant(id)) else { continue };
            let Some((does, asked)) = self.flat(id, depth) else { continue };
            let (end, is_goto) = match does {
                Simple::Accept => (End::Accept, false),
                Simple::Drop => (End::Drop, false),
                Simple::Reject(with) => (End::Reject(with), false),
                Simple::Return if !guards.is_inside => (End::Return, false),
                Simple::Return => (End::Nothing, true),
                Simple::Goto(_) => (End::Nothing, true),
                Simple::Jump(_) | Simple::Nothing => (End::Nothing, false),
            };
            let matches = match &kept {
                Some(kept) => kept[index],
                None => self.matches(id, rule, effect, &guards.values)?,
            };
            let matches = self.space.bdd.and(matches, guards.within)?;
            row.push(Asked { id: Some(id), end, matches });
            if let Some(asked) = asked.filter(|_| !matches.is_none()) {
                let length = ruleset.chain(asked).map_or(0, |chain| chain.rules.len());
                let values = std::mem::take(&mut guards.values);
                let mut inside = Guards { within: matches, is_inside: true, values };
                self.row((asked, 0..length), (effect, depth + 1), &mut inside, row)?;
                guards.values = inside.values;
            }
            if is_goto && guards.is_inside {
                guards.within = self.space.bdd.minus(guards.within, matches)?;
            } else if is_goto {
                row.push(Asked { id: None, end: End::Return, matches });
            }
        }
        Ok(())
    }

    /// Deals `packets` to a row; what is left comes last, under [`LEFT`].
    pub(super) fn deal(
        &mut self,
        row: Vec<Taker>,
        packets: Region,
    ) -> Result<Vec<(u32, Region)>, Undecided> {
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
        end: End,
        effect: &Effect,
        hit: Region,
        flow: &mut Flow,
    ) -> Result<(), Undecided> {
        let bdd = &mut self.space.bdd;
        match end {
            End::Nothing => {}
            End::Accept => flow.accepted.add(bdd, effect, hit)?,
            End::Return => flow.returned.add(bdd, effect, hit)?,
            End::Drop => self.ends.dropped.push(hit),
            End::Reject(with) => self.ends.rejected.entry(with).or_default().push(hit),
        }
        Ok(())
    }

    /// The packets that all matches of each rule of a chain hold for.
    pub(in crate::firewall::analyse) fn matches_of(
        &mut self,
        chain: ChainId,
        effect: &Effect,
    ) -> Result<Arc<[Region]>, Undecided> {
        let known = [self.is_tracked, self.around.is_own, self.around.is_for_here];
        let key = (chain, effect.clone(), known);
        if let Some(row) = self.space.rows.as_ref().and_then(|rows| rows.get(&key)) {
            return Ok(Arc::clone(row));
        }
        let rules = self.ruleset.chain(chain).map_or(&[][..], |chain| &chain.rules);
        let mut row = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            let id = RuleId { chain, rule: Some(index) };
            row.push(self.matches(id, rule, effect, &Values::default())?);
        }
        let row: Arc<[Region]> = row.into();
        if let Some(rows) = &mut self.space.rows {
            rows.insert(key, Arc::clone(&row));
        }
        Ok(row)
    }

    /// The values that packets have, where so many rules are asked that it pays to know.
    fn values(
        &mut self,
        (chain, rules): &Rules,
        depth: usize,
        packets: Region,
    ) -> Result<Values, Undecided> {
        let asks_more = |index| {
            let id = RuleId { chain: *chain, rule: Some(index) };
            self.flat(id, depth).is_some_and(|(_, asked)| asked.is_some())
        };
        let is_worth_it = self.space.rows.is_none()
            && self.traits().rules >= MANY
            && (rules.len() >= FEW || rules.clone().any(asks_more));
        match is_worth_it {
            true => Values::of(self.space, packets),
            false => Ok(Values::default()),
        }
    }

    /// The packets that all matches of a rule hold for; none where no packet has the `values` it wants.
    fn matches(
        &mut self,
        id: RuleId,
        rule: &Rule,
        effect: &Effect,
        values: &Values,
    ) -> Result<Region, Undecided> {
        let mut all = Vec::new();
        let mut fields: Vec<InField> = Vec::new();
        for statement in &rule.statements {
            let at = self.place(id, effect);
            match statement {
                Statement::Match(wanted) => match self.space.in_field(wanted, at) {
                    Some(field) if !values.meet(&field) => return Ok(Region::NONE),
                    // `-p tcp --dport` and `-p tcp -m multiport` ask for the protocol again.
                    Some(field) if fields.contains(&field) => {}
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

/// Which packets of those that came to the row come to a rule, as far as chains in between say.
struct Guards {
    within: Region,
    /// Whether the rule is of a chain that the row asks.
    is_inside: bool,
    values: Values,
}

impl Default for Guards {
    fn default() -> Self {
        Self { within: Region::ALL, is_inside: false, values: Values::default() }
    }
}

/// What a rule does where it only matches, and ends packets or asks a chain.
pub(super) fn simple(rule: &Rule) -> Option<Simple<'_>> {
    let mut found = Simple::Nothing;
    for statement in &rule.statements {
        if found != Simple::Nothing {
            break;
        }
        match statement {
            Statement::Match(_) | Statement::Condition(_) => {}
            Statement::Opaque { effect: crate::firewall::Effect::Passes, .. } => {}
            Statement::Verdict(Verdict::Accept) => found = Simple::Accept,
            Statement::Verdict(Verdict::Drop) => found = Simple::Drop,
            Statement::Verdict(Verdict::Reject(with)) => found = Simple::Reject(*with),
            Statement::Verdict(Verdict::Return) => found = Simple::Return,
            Statement::Verdict(Verdict::Jump(name)) => found = Simple::Jump(name),
            Statement::Verdict(Verdict::Goto(name)) => found = Simple::Goto(name),
            Statement::Verdict(Verdict::Continue) => {}
            _ => return None,
        }
    }
    Some(found)
}
