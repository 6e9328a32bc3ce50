//! Whom other tools' tables still refuse of those who are to be let in.
//!
//! Asked are the borders of every set of callers, of the sets the rules tell apart, and of the networks
//! that routes lead to: whatever is between two of these meets with the same. What is refused is named as
//! a whole where it is one, and by an example where it has too many parts to name.

use std::net::IpAddr;

use portolan_core::firewall::analyse::{self, AnalyseError, Block, Search, Space};
use portolan_core::firewall::simulate::{Prepared, Way};
use portolan_core::firewall::{Addresses, RulePlace, protocol_of};
use portolan_core::net::{PortRange, Prefix, Transport};

use super::judge::{Judge, Verdict};
use super::outlook::Called;
use super::outsiders::borders;
use super::wish::Wanted;

/// Callers that a rule of another tool refuses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    /// Who, in words.
    pub(crate) callers: String,
    /// One of them.
    pub(crate) example: IpAddr,
    /// The rule, where it is known.
    pub(crate) place: Option<RulePlace>,
    /// At which of the ports asked about; of a range it is the first and the last that are asked.
    pub(crate) ports: Wanted,
}

/// Rules of other tools that refuse some of `asked_for` at the ports.
pub(super) fn refused(
    judge: &Judge<'_>,
    port: &Called<'_>,
    asked_for: &Addresses,
) -> Vec<Elsewhere> {
    let own = [false, true].into_iter().flat_map(|is_v6| judge.own(is_v6)).map(Prefix::from);
    let senders = asked_for.without(&nobody());
    let let_in = let_in(judge, port, &senders);
    let outside = senders.without(&Addresses::of(own));
    let mut found: Vec<Elsewhere> = Vec::new();
    for group in groups(asked_for).iter().take(MOST_ASKED) {
        let callers = Callers { group, outside: outside.and(group) };
        let asked: Vec<_> = callers
            .samples(judge, &let_in)
            .into_iter()
            .map(|s| (s, port.verdicts(judge, s)))
            .collect();
        let Some((_, first)) = asked.first() else { continue };
        for (i, (ends, _)) in first.iter().enumerate() {
            let of_port = asked.iter().filter_map(|(source, all)| Some((*source, &all.get(i)?.1)));
            let verdicts: Vec<(IpAddr, &Verdict)> = of_port.collect();
            for refusal in callers.refusals(&verdicts, &let_in, *ends) {
                let is_it =
                    |e: &&mut Elsewhere| e.callers == refusal.callers && e.place == refusal.place;
                match found.iter_mut().find(is_it) {
                    Some(known) => known.ports = known.ports.with(&refusal.ports),
                    None => found.push(refusal),
                }
            }
        }
    }
    found
}

/// Callers who were named in one: an interval, and those of it who can call from outside.
struct Callers<'c> {
    group: &'c Addresses,
    outside: Addresses,
}

impl Callers<'_> {
    /// Some of them for each that rules or routes tell apart.
    fn samples(&self, judge: &Judge<'_>, let_in: &[LetIn]) -> Vec<IpAddr> {
        let routes = judge.world().routes.iter().map(|route| Addresses::of([route.destination]));
        let of_rules = let_in.iter().map(|known| known.callers.clone());
        let mut found = borders(&self.outside);
        for part in of_rules.chain(routes.take(MOST_PARTS)) {
            for side in [self.outside.and(&part), self.outside.without(&part)] {
                let some = borders(&side).into_iter().take(MOST_PARTS);
                found.extend(some.filter(|_| side != self.outside));
            }
        }
        found.sort_unstable();
        found.dedup();
        found.truncate(MOST_SAMPLES);
        found
    }

    /// What refuses them at a port, by whom that is.
    fn refusals(
        &self,
        verdicts: &[(IpAddr, &Verdict)],
        let_in: &[LetIn],
        ends: (PortRange, Transport),
    ) -> Vec<Elsewhere> {
        let mut by_place: Vec<(&Option<RulePlace>, Vec<IpAddr>)> = Vec::new();
        for (source, verdict) in verdicts {
            let Verdict::Refused(place) = verdict else { continue };
            match by_place.iter_mut().find(|(known, _)| *known == place) {
                Some((_, sources)) => sources.push(*source),
                None => by_place.push((place, vec![*source])),
            }
        }
        let refused = by_place.iter().map(|(_, sources)| sources.len()).sum::<usize>();
        let is_whole = refused == verdicts.len();
        let known = let_in.iter().find(|known| known.is_of(self.group, ends));
        let known = known.filter(|known| known.is_as(verdicts));
        let tell = |(place, sources): &(&Option<RulePlace>, Vec<IpAddr>)| {
            let example = *sources.first()?;
            let others = by_place.iter().filter(|(other, _)| other != place);
            let others: Vec<IpAddr> = others.flat_map(|(_, sources)| sources.clone()).collect();
            let named = match is_whole {
                true => Some(words(self.group)),
                false => known.and_then(|known| self.named(known, sources, &others)),
            };
            let some = || format!("some of {} (such as {example})", words(self.group));
            let (callers, place) = (named.unwrap_or_else(some), (*place).clone());
            Some(Elsewhere { callers, example, place, ports: Wanted::from_iter([ends]) })
        };
        by_place.iter().filter_map(tell).collect()
    }

    /// Those by name whom the rule refuses that refuses `sources` and none of `others`, where that is not
    /// much to say.
    fn named(&self, known: &LetIn, sources: &[IpAddr], others: &[IpAddr]) -> Option<String> {
        let senders = self.group.without(&nobody());
        let refused = groups(&senders.without(&known.callers));
        let has = |part: &Addresses, some: &[IpAddr]| some.iter().any(|s| part.contains(*s));
        let own: Vec<&Addresses> = refused.iter().filter(|part| has(part, sources)).collect();
        if own.iter().any(|part| has(part, others)) {
            return None;
        }
        let own = own.into_iter().fold(Addresses::NONE, |all, part| all.with(part));
        let but = few(&senders.and(&known.callers)).filter(|_| others.is_empty());
        few(&own).or_else(|| Some(format!("{} but for {}", words(self.group), but?)))
    }
}

/// A few addresses in words; `None` where they are many.
fn few(addresses: &Addresses) -> Option<String> {
    let parts = [false, true].map(|is_v6| addresses.prefixes(is_v6).len());
    (parts.iter().sum::<usize>() <= MOST_NAMED).then(|| addresses.to_string())
}

/// Whom the tables of other tools let in to a port, or may.
struct LetIn {
    is_v6: bool,
    ends: (PortRange, Transport),
    callers: Addresses,
}

impl LetIn {
    /// Whether that is what was found of each.
    fn is_as(&self, verdicts: &[(IpAddr, &Verdict)]) -> bool {
        let is_so = |(source, verdict): &(IpAddr, &Verdict)| {
            matches!(verdict, Verdict::Refused(_)) != self.callers.contains(*source)
        };
        verdicts.iter().all(is_so)
    }

    fn is_of(&self, group: &Addresses, ends: (PortRange, Transport)) -> bool {
        self.ends == ends && !group.family(self.is_v6).is_empty()
    }
}

/// The same of each range and family; nothing where the rules are too large to tell.
fn let_in(judge: &Judge<'_>, port: &Called<'_>, senders: &Addresses) -> Vec<LetIn> {
    let mut found = Vec::new();
    for is_v6 in [false, true] {
        let Some(blocks) = blocks(judge, port, &senders.family(is_v6), is_v6).ok().flatten() else {
            continue;
        };
        for ends in port.ports.pairs() {
            let callers = blocks.iter().filter(|block| lets_in(block, ends));
            let callers = callers.flat_map(|block| block.sources.networks.iter().copied());
            found.push(LetIn { is_v6, ends, callers: Addresses::of(callers) });
        }
    }
    found
}

/// Whether packets to the first port of a range are among those of a block.
fn lets_in(block: &Block, (range, transport): (PortRange, Transport)) -> bool {
    let (first, protocol) = (range.first().0, protocol_of(transport));
    let has = |(a, b): &(u16, u16)| (*a..=*b).contains(&first);
    let is_of = |(a, b): &(u8, u8)| (*a..=*b).contains(&protocol);
    block.protocols.iter().any(is_of) && block.ports.iter().any(has)
}

/// What of the ports the tables of other tools let `callers` in to.
fn blocks(
    judge: &Judge<'_>,
    port: &Called<'_>,
    callers: &Addresses,
    is_v6: bool,
) -> Result<Option<Vec<Block>>, AnalyseError> {
    let Some(others) = judge.others().filter(|others| others.rule_count() <= MOST_RULES) else {
        return Ok(None);
    };
    let own: Vec<Prefix> = judge.own(is_v6).map(Prefix::from).collect();
    if own.is_empty() || callers.is_empty() {
        return Ok(None);
    }
    let mut space = Space::new(is_v6, &[others], judge.world(), BUDGET);
    let (outside, to) = (space.from_outside()?, space.to(&own)?);
    let from = space.from(&callers.prefixes(is_v6))?;
    let packets = space.bdd.intersection([outside, to, from])?;
    let numbers = port.ports.pairs().map(|(range, _)| (range.first().0, range.first().0));
    let asked = Search { packets, ports: Some(numbers.collect()), way: Way::ByRoute };
    let found = analyse::search(&mut space, &Prepared::new(others, judge.world()), &asked)?;
    let all = found.allowed.into_iter().map(|allowed| allowed.block);
    Ok(found.is_whole.then(|| all.collect()))
}

/// Who sends no packets: RFC 1122 §3.2.1.3, RFC 4291 §2.5 and §2.7.
pub(super) fn nobody() -> Addresses {
    let networks = ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/127", "ff00::/8"];
    Addresses::of(networks.iter().filter_map(|text| text.parse().ok()))
}

/// Each interval by itself.
fn groups(addresses: &Addresses) -> Vec<Addresses> {
    let of = |is_v6: bool| {
        let each = addresses.intervals(is_v6).iter();
        each.map(move |interval| Addresses::of_intervals(is_v6, vec![*interval]))
    };
    of(false).chain(of(true)).collect()
}

/// An interval as a person would say it: the family where it is all of it.
fn words(group: &Addresses) -> String {
    match (group.has_all(false), group.has_all(true)) {
        (true, _) => "IPv4".to_owned(),
        (_, true) => "IPv6".to_owned(),
        _ => group.to_string(),
    }
}

/// Groups of callers of whom it is asked what other tools do with them.
const MOST_ASKED: usize = 4;
/// So many callers of each are asked.
const MOST_SAMPLES: usize = 96;
/// So many routes, and borders of one set, are looked at.
const MOST_PARTS: usize = 24;
/// So many networks are named.
const MOST_NAMED: usize = 4;
/// Of more rules only the borders of who is asked about are looked at.
const MOST_RULES: usize = 5_000;
/// Nodes of a diagram: some tens of megabytes.
const BUDGET: usize = 2_000_000;
