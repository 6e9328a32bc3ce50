//! What becomes of one family's packets, and how they come to the chains.

use std::collections::HashMap;

use crate::firewall::analyse::chain::{Decision, Did, Entry, asked_from};
use crate::firewall::analyse::effect::Effect;
use crate::firewall::analyse::path::{Entries, fates_and_entries};
use crate::firewall::analyse::space::Space;
use crate::firewall::analyse::stream::Streams;
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::simulate::{Prepared, Way};
use crate::firewall::{ChainId, FibResult, Field, Hook, Rule, RuleId, Ruleset};

const WAYS: [Way; 3] = [Way::Input, Way::Forward, Way::Output];

/// Where packets of a way meet chains.
const MEETINGS: [(Hook, Way); 10] = [
    (Hook::Ingress, Way::Input),
    (Hook::Prerouting, Way::Input),
    (Hook::Input, Way::Input),
    (Hook::Ingress, Way::Forward),
    (Hook::Prerouting, Way::Forward),
    (Hook::Forward, Way::Forward),
    (Hook::Postrouting, Way::Forward),
    (Hook::Egress, Way::Forward),
    (Hook::Output, Way::Output),
    (Hook::Postrouting, Way::Output),
];

/// What is known of one family's packets.
pub(super) struct Family {
    /// Its place among the families, and of its space among the spaces.
    pub(super) number: usize,
    /// Chains on a hook or asked from one, with the ways on which they are met.
    pub(super) met: Vec<Met>,
    /// What each rule held for.
    pub(super) hits: HashMap<RuleId, Vec<Hit>>,
    /// Every packet there can be, by way.
    possible: Vec<(Way, Region)>,
    /// How packets come to each chain, where something changes packets on their way: a rule may match
    /// what no packet came with.
    entries: Option<HashMap<Way, Entries>>,
    /// Whether rules tell where packets go on to already where they come in.
    tells_ways: bool,
}

/// A chain as packets of a way meet it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Met {
    pub(super) chain: ChainId,
    pub(super) way: Way,
    /// At this hook, or (of the same way) at others as well.
    pub(super) hook: Hook,
}

/// Packets a rule held for: those of `packets` that are in `among`.
pub(super) struct Hit {
    pub(super) way: Way,
    pub(super) hook: Hook,
    pub(super) did: Did,
    pub(super) packets: Region,
    pub(super) among: Region,
}

impl Family {
    pub(super) fn look(
        number: usize,
        space: &mut Space,
        prepared: &Prepared<'_>,
    ) -> Result<Self, Undecided> {
        let ruleset = prepared.ruleset();
        let is_touched = prepared.translates(space.is_v6())
            || ruleset.chains().any(|(_, chain)| chain.rules.iter().any(Rule::changes_the_rest))
            || has_early_chain(ruleset);
        let mut hits: HashMap<RuleId, Vec<Hit>> = HashMap::new();
        let mut possible = Vec::new();
        let mut entries = HashMap::new();
        let all = space.possible()?;
        for way in WAYS {
            let of_way = space.of_way(all, way)?;
            possible.push((way, of_way));
            let (fates, entered) = fates_and_entries(space, prepared, way, all, is_touched)?;
            entries.insert(way, entered);
            for decision in fates.decisions {
                let Decision { rule, hook, did, packets, among } = decision;
                hits.entry(rule).or_default().push(Hit { way, hook, did, packets, among });
            }
        }
        let tells_ways = tells_ways(ruleset);
        let met = met(ruleset, space.is_v6(), tells_ways);
        let entries = is_touched.then_some(entries);
        Ok(Self { number, met, hits, possible, entries, tells_ways })
    }

    /// Whether rules are judged by what packets of a way do at a hook: what is passed on meets the first
    /// hooks as what stays here does, and is not looked at twice unless rules tell them apart there.
    pub(super) const fn judges(&self, way: Way, hook: Hook) -> bool {
        self.tells_ways || !is_met_alike(way, hook)
    }

    /// Every packet there can be on a way.
    pub(super) fn possible(&self, way: Way) -> Region {
        let found = self.possible.iter().find(|(own, _)| *own == way);
        found.map_or(Region::NONE, |(_, region)| *region)
    }

    /// Whether it is known which packets come to a chain, and how changed.
    pub(super) const fn knows_entries(&self) -> bool {
        self.entries.is_some()
    }

    /// How packets come to a chain: as they really do, or, where nothing changes any, all there are.
    pub(super) fn entries_of(
        &self,
        space: &mut Space,
        prepared: &Prepared<'_>,
        met: &Met,
    ) -> Result<Vec<Entry>, Undecided> {
        if let Some(entries) = &self.entries {
            let known = entries.get(&met.way).and_then(|of_way| of_way.get(&met.chain));
            let known = known.into_iter().flatten();
            return Ok(known.filter(|entry| self.judges(met.way, entry.hook)).cloned().collect());
        }
        let world = prepared.world();
        let mut effect = Effect::default();
        if prepared.tracks(space.is_v6()) {
            effect.set_number(space.layout.later_fragment, 0);
        }
        if met.way == Way::Output {
            effect.set_number(space.layout.interface_in, 0);
        }
        if met.way == Way::Input || is_met_alike(met.way, met.hook) {
            effect.set_number(space.layout.interface_out, 0);
        }
        if met.way == Way::Forward && !is_met_alike(met.way, met.hook) {
            space.lose_a_hop(&mut effect)?;
        }
        let is_routed =
            met.way == Way::Output || met.way == Way::Forward && !is_met_alike(met.way, met.hook);
        if world.is_known() && is_routed {
            let local_by = if met.way == Way::Output { Some("lo") } else { None };
            space.bind_interface_out(&mut effect, world, local_by)?;
        }
        let streams = Streams::one(effect, Region::ALL);
        Ok(vec![Entry { hook: met.hook, is_tracked: true, streams }])
    }
}

/// Whether packets that are passed on meet a hook where they have come in, as those do that stay here.
const fn is_met_alike(way: Way, hook: Hook) -> bool {
    matches!((way, hook), (Way::Forward, Hook::Ingress | Hook::Prerouting))
}

/// Whether a rule asks whom a packet is for.
fn tells_ways(ruleset: &Ruleset) -> bool {
    let is_asked =
        |field| matches!(field, Field::Fib { key, result: FibResult::Type } if !key.is_source);
    let mut rules = ruleset.chains().flat_map(|(_, chain)| &chain.rules);
    rules.any(|rule| rule.statements.iter().any(|statement| statement.reads(&is_asked)))
}

/// Whether packets meet a chain before conntrack has looked them up.
fn has_early_chain(ruleset: &Ruleset) -> bool {
    let mut bases = ruleset.chains().filter_map(|(_, chain)| chain.base.as_ref());
    bases.any(|base| match base.hook {
        Hook::Prerouting | Hook::Output => base.priority <= -200,
        hook => hook == Hook::Ingress,
    })
}

/// The chains packets of a family meet: base chains, and what those ask; each once for a way.
fn met(ruleset: &Ruleset, is_v6: bool, tells_ways: bool) -> Vec<Met> {
    let mut found: Vec<Met> = Vec::new();
    let judged = MEETINGS.into_iter();
    for (hook, way) in judged.filter(|(hook, way)| tells_ways || !is_met_alike(*way, *hook)) {
        let mut open = ruleset.at(hook, is_v6);
        while let Some(chain) = open.pop() {
            if found.iter().any(|known| (known.chain, known.way) == (chain, way)) {
                continue;
            }
            found.push(Met { chain, way, hook });
            open.extend(asked_from(ruleset, chain));
        }
    }
    found
}
