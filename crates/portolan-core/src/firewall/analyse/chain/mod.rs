//! All packets through a chain at once.

mod ask;
mod maps;
mod plain;
mod sets;
mod statement;
mod values;

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};

use ask::{Summary, Traits};

use super::effect::Effect;
use super::evaluate::{Memo, Place};
use super::space::Space;
use super::stream::{Stream, Streams};
use super::surroundings::Around;
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::{ChainId, Hook, RejectWith, RuleId, Ruleset};

pub(super) use ask::asked_from;
pub(super) use maps::write;

/// So many chains are gone through for one question, far more than natural rulesets have.
const MOST_CHAINS: usize = 200_000;

/// All packets on their way through a ruleset.
pub(super) struct Run<'a> {
    pub(super) space: &'a mut Space,
    pub(super) ruleset: &'a Ruleset,
    pub(super) around: Around<'a>,
    pub(super) memo: Memo,
    pub(super) ends: Ends,
    /// Who decided what; `None` where nobody wants to know, which is faster.
    pub(super) decisions: Option<Vec<Decision>>,
    /// Whether packets of decisions may be told uncut ([`Decision::among`]): cutting those of many rules to
    /// what comes to the rules costs more than all else.
    pub(super) is_rough: bool,
    pub(super) hook: Hook,
    pub(super) is_tracked: bool,
    /// Whether a rule switches conntrack on; where none does, chains of type nat are not asked.
    pub(super) tracks: bool,
    /// Whether a chain of type nat is being asked.
    pub(super) is_in_nat: bool,
    /// How many chains were gone through.
    pub(super) chains_asked: usize,
    /// How many chains are being asked, one from another.
    pub(super) nesting: usize,
    pub(super) summaries: HashMap<(ChainId, Effect), Summary>,
    /// Worked out when first asked for.
    pub(super) traits: OnceCell<Traits>,
    /// Which rules can hold for a packet at all; `None`: any.
    pub(super) relevant: Option<&'a dyn Fn(RuleId) -> bool>,
    /// How packets come to each chain; `None` where nobody wants to know.
    pub(super) entered: Option<HashMap<ChainId, Vec<Entry>>>,
}

/// Packets as they come to a chain.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) hook: Hook,
    pub(super) is_tracked: bool,
    pub(super) streams: Streams,
}

/// Packets that have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) dropped: Vec<Region>,
    /// Those among them that were given as passed on, and have no route.
    pub(super) unrouted: Vec<Region>,
    /// Those that pass everything to come, whatever rules there are.
    pub(super) through: Streams,
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
    /// Only those of them that are here come to the rule; all, unless decisions are told roughly.
    pub(super) among: Region,
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

    fn traits(&self) -> &Traits {
        self.traits.get_or_init(|| Traits::of(self.ruleset))
    }

    fn is_relevant(&self, rule: RuleId) -> bool {
        self.relevant.is_none_or(|relevant| relevant(rule))
    }

    pub(super) fn chain(
        &mut self,
        id: ChainId,
        entering: Streams,
        depth: usize,
    ) -> Result<Flow, Undecided> {
        let ruleset = self.ruleset;
        let Some(chain) = ruleset.chain(id) else { return Ok(Flow::default()) };
        self.count_chain()?;
        self.note_entry(id, &entering)?;
        let mut flow = Flow::default();
        let mut now = entering;
        let mut index = 0;
        while index < chain.rules.len() && !now.is_empty() {
            let is_flat = |index: &usize| {
                let rule = RuleId { chain: id, rule: Some(*index) };
                self.flat(rule, depth).is_some()
            };
            let length = (index..chain.rules.len()).take_while(is_flat).count();
            if length > 0 {
                let rules = (id, index..index + length);
                now = self.flat_rules(&rules, depth, now, &mut flow)?;
                index += length;
                continue;
            }
            now = self.rule(RuleId { chain: id, rule: Some(index) }, now, depth, &mut flow)?;
            index += 1;
        }
        flow.returned.extend(&mut self.space.bdd, now)?;
        Ok(flow)
    }

    /// Counts a chain that is gone through, and gives up where there is no end of them: 14 chains of which
    /// each asks the next in three places are gone through millions of times.
    fn count_chain(&mut self) -> Result<(), Undecided> {
        self.chains_asked += 1;
        match self.chains_asked > MOST_CHAINS {
            true => Err(Undecided { budget: MOST_CHAINS }),
            false => Ok(()),
        }
    }

    fn rule(
        &mut self,
        id: RuleId,
        now: Streams,
        depth: usize,
        flow: &mut Flow,
    ) -> Result<Streams, Undecided> {
        let ruleset = self.ruleset;
        let Some(rule) = ruleset.rule(id).filter(|_| self.is_relevant(id)) else { return Ok(now) };
        let mut next = Streams::default();
        for stream in now.0 {
            let active = vec![stream];
            let mut step = Step { id, statement: 0, depth, active, next: &mut next, flow };
            for (number, statement) in rule.statements.iter().enumerate() {
                if step.active.is_empty() {
                    break;
                }
                step.statement = number;
                for stream in std::mem::take(&mut step.active) {
                    self.statement(statement, stream, &mut step)?;
                }
            }
            for stream in std::mem::take(&mut step.active) {
                self.decide(id, Did::Held, stream.packets);
                next.add(&mut self.space.bdd, &stream.effect, stream.packets)?;
            }
        }
        let marks = [self.space.layout.mark, self.space.layout.ct_mark];
        for streams in [&mut next, &mut flow.accepted, &mut flow.returned] {
            streams.join_marks(&mut self.space.bdd, marks)?;
        }
        Ok(next)
    }

    fn note_entry(&mut self, id: ChainId, entering: &Streams) -> Result<(), Undecided> {
        let (hook, is_tracked) = (self.hook, self.is_tracked);
        let Some(entered) = &mut self.entered else { return Ok(()) };
        let entries = entered.entry(id).or_default();
        let same = entries.iter_mut().find(|e| (e.hook, e.is_tracked) == (hook, is_tracked));
        match same {
            Some(entry) => entry.streams.extend(&mut self.space.bdd, entering.clone()),
            None => {
                entries.push(Entry { hook, is_tracked, streams: entering.clone() });
                Ok(())
            }
        }
    }

    pub(super) fn decide(&mut self, rule: RuleId, did: Did, packets: Region) {
        self.decide_among(rule, did, packets, Region::ALL);
    }

    fn decide_among(&mut self, rule: RuleId, did: Did, packets: Region, among: Region) {
        let hook = self.hook;
        if let Some(decisions) = self.decisions.as_mut().filter(|_| !packets.is_none()) {
            decisions.push(Decision { rule, hook, did, packets, among });
        }
    }
}

/// One rule being run.
pub(super) struct Step<'f> {
    pub(super) id: RuleId,
    /// The statement being run.
    statement: usize,
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
