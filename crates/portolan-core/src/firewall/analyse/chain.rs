//! All packets through a chain at once.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::effect::Effect;
use super::evaluate::{Evaluated, Memo, Place};
use super::number::Number;
use super::space::{Question, Space};
use super::stream::{Stream, Streams};
use super::surroundings::Around;
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::{
    Chain, ChainId, ElementValue, Expression, Hook, RejectWith, Rule, RuleId, Ruleset,
    SetOperation, SetRef, Statement, Target, Verdict,
};

/// How deep the kernel lets chains nest (NFT_JUMP_STACK_SIZE).
const DEEPEST: usize = 16;
/// How many chains may be asked one from another, jumps and gotos together.
const MOST_NESTED: usize = 100;
/// So many new nodes make it worth while to give back what a run of rules needed on the way.
const WORTH_RECLAIMING: usize = 1 << 20;
/// So many rules are united at a time.
const AT_A_TIME: usize = 4096;

/// All packets on their way through a ruleset.
pub(super) struct Run<'a> {
    pub(super) space: &'a mut Space,
    pub(super) ruleset: &'a Ruleset,
    pub(super) around: Around<'a>,
    pub(super) memo: Memo,
    pub(super) ends: Ends,
    /// Who decided what; `None` where nobody wants to know, which is faster.
    pub(super) decisions: Option<Vec<Decision>>,
    pub(super) hook: Hook,
    pub(super) is_tracked: bool,
    /// Whether a rule switches conntrack on; where none does, chains of type nat are not asked.
    pub(super) tracks: bool,
    /// Whether a chain of type nat is being asked.
    pub(super) is_in_nat: bool,
    /// How many chains are being asked, one from another.
    pub(super) nesting: usize,
    pub(super) summaries: HashMap<(ChainId, Effect), Summary>,
    pub(super) traits: Traits,
}

/// Packets that have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) dropped: Vec<Region>,
    pub(super) rejected: BTreeMap<RejectWith, Vec<Region>>,
}

/// Who decided what becomes of which packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The rule, or the policy.
    pub rule: RuleId,
    /// At this hook.
    pub hook: Hook,
    /// How.
    pub did: Did,
    /// Of these packets, said as they came.
    pub packets: Region,
}

/// What a rule did with packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Did {
    /// Ended its base chain with accept.
    Accepted,
    /// Ended them.
    Dropped,
    /// Ended them and told the sender.
    Rejected(RejectWith),
    /// Translated them.
    Translated,
    /// Held, and let them go on.
    Held,
}

/// Where packets are behind a chain.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Back where the chain was asked.
    pub(super) returned: Streams,
    /// Done with the base chain.
    pub(super) accepted: Streams,
}

/// What a chain that changes nothing does with every packet there is.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    returned: Region,
    accepted: Region,
    dropped: Region,
    rejected: Vec<(RejectWith, Region)>,
}

/// What is known of chains before any packet passes.
#[derive(Debug, Default)]
pub(super) struct Traits {
    /// Changes packets, or asks a chain that does, or asks itself.
    changes: HashMap<ChainId, bool>,
    /// Comes to itself again.
    circular: HashSet<ChainId>,
    /// From how many places it is asked.
    asked: HashMap<ChainId, usize>,
}

/// What a rule without consequences for the next does: matches, then one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plain {
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

impl<'a> Run<'a> {
    /// Where a rule is evaluated.
    pub(super) fn place<'p>(&self, rule: RuleId, effect: &'p Effect) -> Place<'p>
    where
        'a: 'p,
    {
        Place {
            ruleset: self.ruleset,
            rule,
            effect,
            is_tracked: self.is_tracked,
            around: self.around,
        }
    }

    pub(super) fn chain(
        &mut self,
        id: ChainId,
        entering: Streams,
        depth: usize,
    ) -> Result<Flow, Undecided> {
        let ruleset = self.ruleset;
        let Some(chain) = ruleset.chain(id) else { return Ok(Flow::default()) };
        let mut flow = Flow::default();
        let mut now = entering;
        let mut index = 0;
        while index < chain.rules.len() && !now.is_empty() {
            let same = chain.rules[index..].iter().map(plain);
            let length = same.take_while(Option::is_some).count();
            if length > 0 {
                now = self.plain_rules(id, index..index + length, now, &mut flow)?;
                index += length;
                continue;
            }
            now = self.rule(RuleId { chain: id, rule: Some(index) }, now, depth, &mut flow)?;
            index += 1;
        }
        flow.returned.extend(&mut self.space.bdd, now)?;
        Ok(flow)
    }

    /// Rules in a row that only match and end.
    fn plain_rules(
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
    pub(super) fn matches(
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

    fn rule(
        &mut self,
        id: RuleId,
        now: Streams,
        depth: usize,
        flow: &mut Flow,
    ) -> Result<Streams, Undecided> {
        let ruleset = self.ruleset;
        let Some(rule) = ruleset.rule(id) else { return Ok(now) };
        let mut next = Streams::default();
        for stream in now.0 {
            let mut step = Step { id, depth, active: vec![stream], next: &mut next, flow };
            for statement in &rule.statements {
                if step.active.is_empty() {
                    break;
                }
                for stream in std::mem::take(&mut step.active) {
                    self.statement(statement, stream, &mut step)?;
                }
            }
            for stream in std::mem::take(&mut step.active) {
                self.decide(id, Did::Held, stream.packets);
                next.add(&mut self.space.bdd, &stream.effect, stream.packets)?;
            }
        }
        Ok(next)
    }

    fn statement(
        &mut self,
        statement: &Statement,
        stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        let at = self.place(step.id, &stream.effect);
        match statement {
            Statement::Match(wanted) => {
                let holds = self.space.matching(wanted, at, &mut self.memo)?;
                self.go_on_if(holds, stream, step)
            }
            Statement::Condition(asked) => {
                let holds = self.space.condition(asked, at)?;
                self.go_on_if(holds, stream, step)
            }
            Statement::Verdict(verdict) => self.verdict(verdict, stream, step),
            Statement::VerdictMap { key, map } => self.verdict_map(key, map, stream, step),
            Statement::Assign { target, value } => self.assign(*target, value, stream, step),
            Statement::Nat(nat) => self.translate(nat, stream, step),
            Statement::NoTrack => self.no_track(stream, step),
            Statement::Update { operation, set, key, conditions } => {
                let key = self.space.evaluate(key, at, &mut self.memo)?;
                let Evaluated::Numbers(parts) = key else {
                    step.active.push(stream);
                    return Ok(());
                };
                let mut holds = Region::ALL;
                for part in &parts {
                    holds = self.space.bdd.and(holds, part.known)?;
                }
                for condition in conditions {
                    let at = self.place(step.id, &stream.effect);
                    let one = self.space.condition(condition, at)?;
                    holds = self.space.bdd.and(holds, one)?;
                }
                if *operation != SetOperation::Delete {
                    let room = self.room(set, &parts, step.id)?;
                    holds = self.space.bdd.and(holds, room)?;
                }
                self.go_on_if(holds, stream, step)
            }
            Statement::Opaque { effect: crate::firewall::Effect::Passes, .. } => {
                step.active.push(stream);
                Ok(())
            }
            Statement::Opaque { text, .. } => self.anything(text, stream, step),
        }
    }

    pub(super) fn go_on_if(
        &mut self,
        holds: Region,
        stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        let bdd = &mut self.space.bdd;
        let hit = bdd.and(stream.packets, holds)?;
        let missed = bdd.minus(stream.packets, hit)?;
        step.next.add(bdd, &stream.effect, missed)?;
        step.go_on(stream.effect, hit);
        Ok(())
    }

    pub(super) fn decide(&mut self, rule: RuleId, did: Did, packets: Region) {
        let hook = self.hook;
        if let Some(decisions) = self.decisions.as_mut().filter(|_| !packets.is_none()) {
            decisions.push(Decision { rule, hook, did, packets });
        }
    }

    fn verdict(
        &mut self,
        verdict: &Verdict,
        stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        let packets = stream.packets;
        match verdict {
            Verdict::Accept => {
                self.decide(step.id, Did::Accepted, packets);
                step.flow.accepted.add(&mut self.space.bdd, &stream.effect, packets)?;
            }
            Verdict::Drop => {
                self.decide(step.id, Did::Dropped, packets);
                self.ends.dropped.push(packets);
            }
            Verdict::Reject(with) => {
                self.decide(step.id, Did::Rejected(*with), packets);
                self.ends.rejected.entry(*with).or_default().push(packets);
            }
            Verdict::Continue => step.go_on(stream.effect, packets),
            Verdict::Return => {
                self.decide(step.id, Did::Held, packets);
                step.flow.returned.add(&mut self.space.bdd, &stream.effect, packets)?;
            }
            Verdict::Jump(name) => {
                self.decide(step.id, Did::Held, packets);
                let flow = self.ask(name, stream, step, step.depth + 1)?;
                step.flow.accepted.extend(&mut self.space.bdd, flow.accepted)?;
                step.next.extend(&mut self.space.bdd, flow.returned)?;
            }
            Verdict::Goto(name) => {
                self.decide(step.id, Did::Held, packets);
                let flow = self.ask(name, stream, step, step.depth)?;
                step.flow.accepted.extend(&mut self.space.bdd, flow.accepted)?;
                step.flow.returned.extend(&mut self.space.bdd, flow.returned)?;
            }
        }
        Ok(())
    }

    /// Packets through the chain of this name. What no kernel would load (no such chain, too deep, a
    /// circle) may do anything.
    fn ask(
        &mut self,
        name: &str,
        stream: Stream,
        step: &mut Step<'_>,
        depth: usize,
    ) -> Result<Flow, Undecided> {
        let table = step.id.chain.table;
        let found = self.ruleset.tables.get(table).and_then(|tables| tables.chain(name));
        let id = found.map(|(chain, _)| ChainId { table, chain });
        let is_sound = |id: &ChainId| !self.traits.circular.contains(id);
        let is_shallow = depth <= DEEPEST && self.nesting < MOST_NESTED;
        let Some(id) = id.filter(is_sound).filter(|_| is_shallow) else {
            let text = self.ruleset.rule(step.id).map_or("", |rule| &*rule.text);
            let Stream { effect, packets } = stream;
            return self.anything_or_back(text, Stream { effect, packets }, step);
        };
        self.nesting += 1;
        let flow = if self.is_worth_summing_up(id) {
            self.summed_up(id, stream, depth)
        } else {
            self.chain(id, Streams::one(stream.effect, stream.packets), depth)
        };
        self.nesting -= 1;
        flow
    }

    fn anything_or_back(
        &mut self,
        text: &str,
        stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<Flow, Undecided> {
        let before = std::mem::take(&mut step.active);
        self.anything(text, stream, step)?;
        let on = std::mem::replace(&mut step.active, before);
        for stream in on {
            step.next.add(&mut self.space.bdd, &stream.effect, stream.packets)?;
        }
        Ok(Flow::default())
    }

    fn is_worth_summing_up(&mut self, id: ChainId) -> bool {
        self.decisions.is_none()
            && self.traits.asked.get(&id).is_some_and(|asked| *asked > 1)
            && !self.traits.changes.get(&id).copied().unwrap_or(true)
    }

    fn summed_up(&mut self, id: ChainId, stream: Stream, depth: usize) -> Result<Flow, Undecided> {
        let key = (id, stream.effect.clone());
        let summary = match self.summaries.get(&key) {
            Some(known) => known.clone(),
            None => {
                let summary = self.sum_up(id, &stream.effect, depth)?;
                self.summaries.insert(key, summary.clone());
                summary
            }
        };
        let bdd = &mut self.space.bdd;
        self.ends.dropped.push(bdd.and(stream.packets, summary.dropped)?);
        for (with, rejected) in summary.rejected {
            let rejected = bdd.and(stream.packets, rejected)?;
            self.ends.rejected.entry(with).or_default().push(rejected);
        }
        let accepted = bdd.and(stream.packets, summary.accepted)?;
        let returned = bdd.and(stream.packets, summary.returned)?;
        Ok(Flow {
            accepted: Streams::one(stream.effect.clone(), accepted),
            returned: Streams::one(stream.effect, returned),
        })
    }

    fn sum_up(&mut self, id: ChainId, effect: &Effect, depth: usize) -> Result<Summary, Undecided> {
        let outside = std::mem::take(&mut self.ends);
        let flow = self.chain(id, Streams::one(effect.clone(), Region::ALL), depth);
        let inside = std::mem::replace(&mut self.ends, outside);
        let flow = flow?;
        let bdd = &mut self.space.bdd;
        let mut rejected = Vec::new();
        for (with, regions) in inside.rejected {
            rejected.push((with, bdd.union(regions)?));
        }
        Ok(Summary {
            returned: flow.returned.packets(bdd)?,
            accepted: flow.accepted.packets(bdd)?,
            dropped: bdd.union(inside.dropped)?,
            rejected,
        })
    }

    fn verdict_map(
        &mut self,
        key: &Expression,
        map: &SetRef,
        stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        let at = self.place(step.id, &stream.effect);
        let parts = match self.space.evaluate(key, at, &mut self.memo)? {
            Evaluated::Numbers(parts) => parts,
            Evaluated::Open(text) => return self.anything(&text, stream, step),
        };
        let Some(elements) = super::evaluate::elements_of(map, at) else {
            return self.anything("a map that could not be read", stream, step);
        };
        let mut by_verdict: Vec<(Verdict, Vec<crate::firewall::Element>)> = Vec::new();
        let mut index: HashMap<Verdict, usize> = HashMap::new();
        for element in elements.iter() {
            let ElementValue::Verdict(verdict) = &element.value else { continue };
            let at = *index.entry(verdict.clone()).or_insert_with(|| {
                by_verdict.push((verdict.clone(), Vec::new()));
                by_verdict.len() - 1
            });
            by_verdict[at].1.push(element.clone());
        }
        let known = parts.iter().map(|part| part.known).collect::<Vec<_>>();
        let known = self.space.bdd.intersection(known)?;
        let mut left = stream.packets;
        for (verdict, elements) in by_verdict {
            let inside = self.space.in_elements(&parts, &elements)?;
            let inside = self.space.bdd.and(inside, known)?;
            let hit = self.space.bdd.and(left, inside)?;
            left = self.space.bdd.minus(left, hit)?;
            if !hit.is_none() {
                let stream = Stream { effect: stream.effect.clone(), packets: hit };
                self.verdict(&verdict, stream, step)?;
            }
        }
        step.next.add(&mut self.space.bdd, &stream.effect, left)
    }

    fn assign(
        &mut self,
        target: Target,
        value: &Expression,
        mut stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        let at = self.place(step.id, &stream.effect);
        let number = match self.space.evaluate(value, at, &mut self.memo)? {
            Evaluated::Numbers(mut parts) if parts.len() == 1 => parts.remove(0),
            _ => self.any_number(32, step.id, "mark")?,
        };
        let hit = self.space.bdd.and(stream.packets, number.known)?;
        let missed = self.space.bdd.minus(stream.packets, hit)?;
        step.next.add(&mut self.space.bdd, &stream.effect, missed)?;
        let (field, number) = match target {
            Target::Mark => (self.space.layout.mark, number),
            Target::CtMark => {
                let number = self.ct_mark(number, &stream.effect, step.id)?;
                (self.space.layout.ct_mark, number)
            }
        };
        write(&mut stream.effect, field, &number);
        step.go_on(stream.effect, hit);
        Ok(())
    }

    /// What `ct mark` is after being set: without a connection there is nothing to set, and the
    /// rule goes on (nft_ct_set_eval).
    fn ct_mark(
        &mut self,
        number: Number,
        effect: &Effect,
        rule: RuleId,
    ) -> Result<Number, Undecided> {
        let tracked = self.space.has_connection(self.place(rule, effect))?;
        let before = self.space.bits_now(self.space.layout.ct_mark, effect)?;
        let mut padded = number.bits;
        let missing = before.len().saturating_sub(padded.len());
        padded.splice(0..0, std::iter::repeat_n(Region::NONE, missing));
        let surplus = padded.len() - before.len();
        let mut bits = Vec::with_capacity(before.len());
        for (before, after) in before.into_iter().zip(padded.split_off(surplus)) {
            bits.push(self.space.bdd.either(tracked, after, before)?);
        }
        Ok(Number { bits, known: Region::ALL, is_name: false })
    }

    /// A number nobody knows.
    pub(super) fn any_number(
        &mut self,
        width: u32,
        rule: RuleId,
        what: &str,
    ) -> Result<Number, Undecided> {
        let mut number = Number::constant(0, width);
        for (place, bit) in number.bits.iter_mut().enumerate() {
            let key = format!("unknown {what} {rule:?} {place}");
            let text = "a value that is not known".to_owned();
            let question = Question { text, rule: Some(rule), presumed: None, is_choice: true };
            *bit = self.space.question(key, question)?;
        }
        Ok(number)
    }

    /// `notrack`: nothing where there is a connection already.
    fn no_track(&mut self, stream: Stream, step: &mut Step<'_>) -> Result<(), Undecided> {
        let at = self.place(step.id, &stream.effect);
        let has_connection = self.space.has_connection(at)?;
        let bdd = &mut self.space.bdd;
        let tracked = bdd.and(stream.packets, has_connection)?;
        let loose = bdd.minus(stream.packets, tracked)?;
        step.go_on(stream.effect.clone(), tracked);
        let mut effect = stream.effect;
        effect.is_untracked = true;
        step.go_on(effect, loose);
        Ok(())
    }

    /// The packets whose key a set has, or has room for.
    fn room(&mut self, name: &str, parts: &[Number], rule: RuleId) -> Result<Region, Undecided> {
        let table = self.ruleset.tables.get(rule.chain.table);
        let set = table.and_then(|table| table.set(name));
        let size = set.and_then(|set| set.size);
        match (set.and_then(|set| set.elements.as_ref()), size) {
            (_, None) if set.is_some() => Ok(Region::ALL),
            (Some(members), Some(size)) if members.len() < size as usize => Ok(Region::ALL),
            (Some(members), Some(_)) => self.space.in_elements(parts, members),
            _ => {
                let text = format!("set @{name} has room");
                let question = Question {
                    text: text.clone(),
                    rule: None,
                    presumed: Some(true),
                    is_choice: false,
                };
                self.space.question(text, question)
            }
        }
    }

    /// A statement nobody understands: it may let packets go on, end the rule, accept or drop.
    pub(super) fn anything(
        &mut self,
        text: &str,
        stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        let mut ask = |what: &str| {
            let text = format!("`{text}` {what}");
            let question = Question {
                text: text.clone(),
                rule: Some(step.id),
                presumed: None,
                is_choice: false,
            };
            self.space.question(text, question)
        };
        let goes_on = ask("lets it go on")?;
        let ends_rule = ask("ends its rule only")?;
        let accepts = ask("accepts")?;
        let bdd = &mut self.space.bdd;
        let on = bdd.and(stream.packets, goes_on)?;
        let rest = bdd.minus(stream.packets, on)?;
        let over = bdd.and(rest, ends_rule)?;
        let rest = bdd.minus(rest, over)?;
        let accepted = bdd.and(rest, accepts)?;
        let dropped = bdd.minus(rest, accepted)?;
        step.next.add(bdd, &stream.effect, over)?;
        let mut effect = stream.effect.clone();
        self.translated_anyhow(&mut effect, step.id)?;
        step.flow.accepted.add(&mut self.space.bdd, &effect, accepted)?;
        self.ends.dropped.push(dropped);
        self.decide(step.id, Did::Accepted, accepted);
        self.decide(step.id, Did::Dropped, dropped);
        step.go_on(stream.effect, on);
        Ok(())
    }
}

/// One rule being run.
pub(super) struct Step<'f> {
    pub(super) id: RuleId,
    depth: usize,
    /// Packets for which every statement so far held.
    active: Vec<Stream>,
    pub(super) next: &'f mut Streams,
    pub(super) flow: &'f mut Flow,
}

impl Step<'_> {
    pub(super) fn go_on(&mut self, effect: Effect, packets: Region) {
        if !packets.is_none() {
            self.active.push(Stream { effect, packets });
        }
    }
}

/// Writes a number's lowest bits into a field.
pub(super) fn write(effect: &mut Effect, field: crate::firewall::bdd::Bits, number: &Number) {
    let mut bits = number.bits.iter().rev();
    for variable in field.variables().rev() {
        effect.set(variable, bits.next().copied().unwrap_or(Region::NONE));
    }
}

fn plain(rule: &Rule) -> Option<Plain> {
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

impl Traits {
    pub(super) fn of(ruleset: &Ruleset) -> Self {
        let mut traits = Self::default();
        for (t, table) in ruleset.tables.iter().enumerate() {
            let ids = (0..table.chains.len()).map(|chain| ChainId { table: t, chain });
            let mut asks: HashMap<ChainId, Vec<ChainId>> = HashMap::new();
            for (id, chain) in ids.zip(&table.chains) {
                traits.changes.insert(id, chain.rules.iter().any(changes));
                let names = asked_by(table, chain);
                let targets = names.into_iter().filter_map(|name| table.chain(name));
                let targets: Vec<ChainId> =
                    targets.map(|(chain, _)| ChainId { table: t, chain }).collect();
                for target in &targets {
                    *traits.asked.entry(*target).or_default() += 1;
                }
                asks.insert(id, targets);
            }
            traits.spread(&asks);
            traits.circular.extend(circular(&asks));
        }
        traits
    }

    /// A chain that asks one that changes packets changes them too.
    fn spread(&mut self, asks: &HashMap<ChainId, Vec<ChainId>>) {
        let mut is_new = true;
        while is_new {
            is_new = false;
            for (id, targets) in asks {
                let any = targets.iter().any(|target| self.changes.get(target) == Some(&true));
                if any && self.changes.insert(*id, true) == Some(false) {
                    is_new = true;
                }
            }
        }
    }
}

fn changes(rule: &Rule) -> bool {
    rule.statements.iter().any(|statement| {
        matches!(
            statement,
            Statement::Assign { .. }
                | Statement::Nat(_)
                | Statement::NoTrack
                | Statement::Update { .. }
        )
    })
}

/// The chains a chain asks.
pub(super) fn asked_from(ruleset: &Ruleset, id: ChainId) -> Vec<ChainId> {
    let Some(table) = ruleset.tables.get(id.table) else { return Vec::new() };
    let Some(chain) = table.chains.get(id.chain) else { return Vec::new() };
    let found = asked_by(table, chain).into_iter().filter_map(|name| table.chain(name));
    found.map(|(chain, _)| ChainId { table: id.table, chain }).collect()
}

/// The names of the chains a chain asks, once for each place.
fn asked_by<'r>(table: &'r crate::firewall::Table, chain: &'r Chain) -> Vec<&'r str> {
    let mut names = Vec::new();
    let mut add = |verdict: &'r Verdict| {
        if let Verdict::Jump(name) | Verdict::Goto(name) = verdict {
            names.push(&**name);
        }
    };
    for statement in chain.rules.iter().flat_map(|rule| &rule.statements) {
        match statement {
            Statement::Verdict(verdict) => add(verdict),
            Statement::VerdictMap { map, .. } => {
                let elements = match map {
                    SetRef::Inline(elements) => Some(elements),
                    SetRef::Named(name) => table.set(name).and_then(|set| set.elements.as_ref()),
                };
                for element in elements.into_iter().flat_map(|elements| elements.iter()) {
                    if let ElementValue::Verdict(verdict) = &element.value {
                        add(verdict);
                    }
                }
            }
            _ => {}
        }
    }
    names
}

/// Chains that come to themselves again: Kahn's order from both ends leaves them, and what lies
/// between two circles.
fn circular(asks: &HashMap<ChainId, Vec<ChainId>>) -> Vec<ChainId> {
    let mut left: HashSet<ChainId> = asks.keys().copied().collect();
    loop {
        let asked: HashSet<ChainId> = left
            .iter()
            .flat_map(|id| asks.get(id).into_iter().flatten().copied())
            .filter(|id| left.contains(id))
            .collect();
        let is_between = |id: &ChainId| {
            let asks_one = asks.get(id).is_some_and(|to| to.iter().any(|to| left.contains(to)));
            asks_one && asked.contains(id)
        };
        let kept: HashSet<ChainId> = left.iter().copied().filter(is_between).collect();
        if kept.len() == left.len() {
            return left.into_iter().collect();
        }
        left = kept;
    }
}
