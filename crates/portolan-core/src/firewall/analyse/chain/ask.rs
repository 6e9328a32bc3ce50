//! Chains asked from rules.

use std::collections::{HashMap, HashSet};

use super::plain::{Simple, simple};
use super::sets::watched;
use super::{Flow, Run, Step};
use crate::firewall::analyse::effect::Effect;
use crate::firewall::analyse::stream::{Stream, Streams};
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::simulate::{asks_of, by_name, circular, turned};
use crate::firewall::{Chain, ChainId, Origin, RejectWith, Rule, RuleId, Ruleset, Table};

/// How deep the kernel lets chains nest: one less than NFT_JUMP_STACK_SIZE (measured).
const DEEPEST: usize = 15;
/// How many chains may be asked one from another, jumps and gotos together.
const MOST_NESTED: usize = 100;
/// So deep chains are put in the place of the rule that asks for them.
const MOST_FLAT: usize = 8;

/// What a chain that changes nothing does with every packet there is.
#[derive(Clone, Debug)]
pub(in crate::firewall::analyse) struct Summary {
    returned: Region,
    accepted: Region,
    dropped: Region,
    rejected: Vec<(RejectWith, Region)>,
}

/// What is known of chains before any packet passes.
#[derive(Debug, Default)]
pub(in crate::firewall::analyse) struct Traits {
    /// How many rules there are.
    pub(super) rules: usize,
    /// Changes packets, or asks a chain that does, or asks itself.
    changes: HashSet<ChainId>,
    /// Comes to itself again.
    circular: HashSet<ChainId>,
    /// From how many places it is asked.
    asked: HashMap<ChainId, usize>,
    /// Rules that ask a chain whose own can stand in their place, as those only match and end packets or
    /// ask such chains; with the chain, and how many lie below it.
    flat: HashMap<RuleId, (ChainId, usize)>,
    /// Sets, by table, that rules look at or write to in several places.
    pub(super) watched: HashSet<(usize, Box<str>)>,
    /// Sets that packets take elements out of.
    pub(super) emptied: HashSet<(usize, Box<str>)>,
}

impl Run<'_> {
    /// Packets through the chain of this name. What no kernel would load (no such chain, too deep, a
    /// circle) may do anything.
    pub(super) fn ask(
        &mut self,
        name: &str,
        stream: Stream,
        step: &mut Step<'_>,
        depth: usize,
    ) -> Result<Flow, Undecided> {
        let table = step.id.chain.table;
        let found = self.ruleset.tables.get(table).and_then(|tables| tables.chain(name));
        let id = found.map(|(chain, _)| ChainId { table, chain });
        let is_sound = |id: &ChainId| !self.traits().circular.contains(id);
        let origin = self.ruleset.tables.get(table).map(|table| table.origin);
        // Legacy iptables makes its stack as deep as its chains are.
        let has_room = depth <= DEEPEST || origin == Some(Origin::IptablesLegacy);
        let is_shallow = has_room && self.nesting < MOST_NESTED;
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

    /// What a rule does, where it, and the chain it asks for, only match and end packets; of that chain,
    /// where it has one, its place.
    pub(super) fn flat(&self, id: RuleId, depth: usize) -> Option<(Simple<'_>, Option<ChainId>)> {
        let simple = simple(self.ruleset.rule(id)?)?;
        if !matches!(simple, Simple::Jump(_) | Simple::Goto(_)) {
            return Some((simple, None));
        }
        // How packets come to a chain is noted where it is asked.
        let (chain, below) = *self.traits().flat.get(&id).filter(|_| self.entered.is_none())?;
        let has_room = depth + below < DEEPEST && self.nesting + below + 1 < MOST_NESTED;
        has_room.then_some((simple, Some(chain)))
    }

    fn is_worth_summing_up(&mut self, id: ChainId) -> bool {
        // What is not understood in a chain of type nat translates, which no summary tells.
        let is_plain = self.decisions.is_none() && !self.is_in_nat;
        is_plain
            && self.traits().asked.get(&id).is_some_and(|asked| *asked > 1)
            && !self.traits().changes.contains(&id)
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
}

impl Traits {
    pub(in crate::firewall::analyse) fn of(ruleset: &Ruleset) -> Self {
        let mut traits = Self::default();
        for (t, table) in ruleset.tables.iter().enumerate() {
            let id = |chain| ChainId { table: t, chain };
            traits.rules += table.chains.iter().map(|chain| chain.rules.len()).sum::<usize>();
            let asks = asks_of(table, &by_name(table));
            for target in asks.iter().flatten() {
                *traits.asked.entry(id(*target)).or_default() += 1;
            }
            traits.emptied.extend(table.emptied().map(|set| (t, set.into())));
            traits.watched.extend(watched(table).into_iter().map(|set| (t, set)));
            // A chain that asks one that changes packets changes them too.
            let askers = turned(&asks);
            let own = |at: &usize| table.chains[*at].rules.iter().any(Rule::changes_the_rest);
            let mut open: Vec<usize> = (0..table.chains.len()).filter(own).collect();
            while let Some(at) = open.pop() {
                if traits.changes.insert(id(at)) {
                    open.extend(&askers[at]);
                }
            }
            traits.flatten(t, table, &asks);
            let circles = circular(&asks).into_iter().enumerate().filter(|(_, is_one)| *is_one);
            traits.circular.extend(circles.map(|(at, _)| id(at)));
        }
        traits
    }

    fn flatten(&mut self, t: usize, table: &Table, asks: &[Vec<usize>]) {
        let id = |chain| ChainId { table: t, chain };
        let mut below: HashMap<usize, usize> = HashMap::new();
        let mut open: Vec<usize> =
            (0..asks.len()).filter(|at| is_simple(&table.chains[*at], asks[*at].len())).collect();
        for depth in 0..MOST_FLAT {
            let is_flat = |asked: &usize| {
                self.asked.get(&id(*asked)) == Some(&1) && below.contains_key(asked)
            };
            let (flat, rest): (Vec<usize>, Vec<usize>) =
                open.into_iter().partition(|at| asks[*at].iter().all(is_flat));
            below.extend(flat.into_iter().map(|at| (at, depth)));
            open = rest;
        }
        let names = by_name(table);
        for (at, chain) in table.chains.iter().enumerate() {
            for (index, rule) in chain.rules.iter().enumerate() {
                let Some(Simple::Jump(name) | Simple::Goto(name)) = simple(rule) else { continue };
                let asked = names.get(name).filter(|at| self.asked.get(&id(**at)) == Some(&1));
                let Some((asked, below)) = asked.and_then(|at| Some((*at, *below.get(at)?))) else {
                    continue;
                };
                let rule = RuleId { chain: id(at), rule: Some(index) };
                self.flat.insert(rule, (id(asked), below));
            }
        }
    }
}

/// Whether all rules of a chain are simple, and ask so many chains.
fn is_simple(chain: &Chain, asked: usize) -> bool {
    let asks = |rule| match simple(rule)? {
        Simple::Jump(_) | Simple::Goto(_) => Some(1),
        _ => Some(0),
    };
    chain.rules.iter().try_fold(0, |sum, rule| Some(sum + asks(rule)?)) == Some(asked)
}

/// The chains a chain asks.
pub(in crate::firewall::analyse) fn asked_from(ruleset: &Ruleset, id: ChainId) -> Vec<ChainId> {
    let Some(table) = ruleset.tables.get(id.table) else { return Vec::new() };
    let Some(chain) = table.chains.get(id.chain) else { return Vec::new() };
    let found = table.asked_by(chain).filter_map(|name| table.chain(name));
    found.map(|(chain, _)| ChainId { table: id.table, chain }).collect()
}
