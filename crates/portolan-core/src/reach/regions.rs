//! What the rules do with first packets of other machines, of all of them at once, exactly.
//!
//! One run of the analysis a family, over all ports asked about; then, port by port, who sends what is let
//! through, and which rules tell the senders apart. Of each class of senders one packet goes through the
//! simulator, too: if that says otherwise, one of the two is wrong, and that is said.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use crate::firewall::analyse::{
    Alike, AnalyseError, DEFAULT_BUDGET, Decision, Detail, Did, Fates, Shadow, Space, fates,
    fates_among,
};
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::simulate::{Outcome, Prepared, Walk, Way};
use crate::firewall::{Addresses, Hook, Packet, RuleId, Ruleset};
use crate::net::Prefix;

use super::classes::Classes;
use super::hints;
use super::question::Asking;

/// All first packets of one family to some ports, and what becomes of them.
pub(super) struct Regions<'a> {
    asking: &'a Asking<'a>,
    with: &'a Prepared<'a>,
    space: Space,
    start: Region,
    /// Let through whatever is open, limits kept.
    certain: Region,
    /// Let through if what is open is so.
    possible: Region,
    decisions: Vec<Decision>,
    answers: Vec<Answered>,
    /// What regions are reduced by to tell senders.
    beside: Region,
}

/// The same of one port, by who sends.
pub(super) struct Cell {
    /// Packets as clients send them, let through for certain.
    usual: Shadow,
    /// Those that may be.
    usual_maybe: Shadow,
    /// Clients' packets that may be refused, from some source port.
    refused: Shadow,
    /// Packets of whatever kind that may be let through.
    any: Shadow,
    /// What rules decide of usual packets, by the decision's number.
    decided: Vec<(usize, Shadow)>,
    clients: Region,
    all: Region,
}

/// Answers to anybody, and whom they get to.
struct Answered {
    like: Packet,
    way: Way,
    certain: Addresses,
    possible: Addresses,
}

/// Packets with this protocol to this port of these addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) protocol: u8,
    pub(super) port: u16,
    pub(super) to: Vec<IpAddr>,
}

impl Cell {
    /// By how many rules senders could be told apart.
    pub(super) fn rules(&self) -> usize {
        self.decided.len()
    }
}

impl<'a> Regions<'a> {
    /// Runs all packets to these targets through the rules; nothing where the rules were not read.
    pub(super) fn of(
        asking: &'a Asking<'a>,
        is_v6: bool,
        targets: &[Target],
    ) -> Result<Option<Self>, Undecided> {
        let (Some(rules), Some(with), Some(without)) =
            (asking.scene.rules, &asking.with, &asking.without)
        else {
            return Ok(None);
        };
        let both = [&rules.ruleset, &rules.untranslated];
        let mut space = Space::new(is_v6, &both, &rules.world, DEFAULT_BUDGET);
        let start = start(&mut space, targets)?;
        let relevant = relevant(&rules.ruleset, asking.after.as_deref(), targets);
        let detail = Detail::Decisions;
        let Fates { accepted, arrivals, mut decisions, .. } =
            fates_among(&mut space, with, Way::ByRoute, start, detail, &relevant)?;
        // What would have become of those that are translated says whether they go around rules.
        let moved = space.bdd.union(arrivals.iter().map(|arrival| arrival.packets).collect())?;
        if !moved.is_none() {
            let around = fates_among(&mut space, without, Way::Input, moved, detail, &relevant)?;
            decisions.extend(around.decisions);
        }
        let accepted = space.presumed(accepted)?;
        let (certain, possible) = space.certainly_and_possibly(accepted)?;
        decisions.retain(tells_apart);
        let beside = space.beside_senders()?;
        let answers = Vec::new();
        Ok(Some(Self { asking, with, space, start, certain, possible, decisions, answers, beside }))
    }

    /// What becomes of the packets to one port. `samples` are such packets, one for each address they
    /// may go to; where they say by which interface they leave, that holds for the address.
    pub(super) fn cell(&mut self, samples: &[Packet]) -> Result<Cell, Undecided> {
        let usual = self.packets(samples, Some(Alike::ButEnds))?;
        let clients = self.packets(samples, Some(Alike::ButEndsAndPort))?;
        let all = self.packets(samples, None)?;
        Ok(Cell {
            usual: self.shadow(self.certain, usual)?,
            usual_maybe: self.shadow(self.possible, usual)?,
            refused: self.shadow(!self.certain, clients)?,
            any: self.shadow(self.possible, all)?,
            decided: self.decided(samples, usual)?,
            clients,
            all,
        })
    }

    /// What rules decide of packets to the samples' port.
    fn decided(
        &mut self,
        samples: &[Packet],
        usual: Region,
    ) -> Result<Vec<(usize, Shadow)>, Undecided> {
        let (Some(sample), Some(rules)) = (samples.first(), self.asking.scene.rules) else {
            return Ok(Vec::new());
        };
        let (protocol, port) = (sample.protocol, sample.destination_port);
        let targets = [Target { protocol, port, to: Vec::new() }];
        let may_meet = relevant(&rules.ruleset, self.asking.after.as_deref(), &targets);
        let is_one_kind = samples.iter().all(|other| other.interface_out == sample.interface_out);
        let like = is_one_kind.then(|| self.space.alike(sample));
        let none = self.shadow(Region::NONE, usual)?;
        let mut decided = Vec::new();
        for number in 0..self.decisions.len() {
            let Decision { rule, packets, .. } = self.decisions[number];
            if !may_meet(rule) {
                continue;
            }
            let shadow = match &like {
                Some(like) => self.space.shadow_of(packets, like)?,
                None => self.shadow(packets, usual)?,
            };
            if shadow != none {
                decided.push((number, shadow));
            }
        }
        Ok(decided)
    }

    fn shadow(&mut self, region: Region, packets: Region) -> Result<Shadow, Undecided> {
        let both = self.space.bdd.and(region, packets)?;
        self.space.shadow(both, self.beside)
    }

    /// Packets like the samples; with `None` all with their protocol to their port.
    fn packets(&mut self, samples: &[Packet], alike: Option<Alike>) -> Result<Region, Undecided> {
        let mut all = Vec::new();
        for (number, sample) in samples.iter().enumerate() {
            let is_alike = |other: &&Packet| other.interface_out == sample.interface_out;
            if samples[..number].iter().any(|other| is_alike(&other)) {
                continue;
            }
            let to: Vec<Prefix> =
                samples.iter().filter(is_alike).map(|s| Prefix::from(s.destination)).collect();
            let space = &mut self.space;
            let region = match alike {
                Some(alike) => space.like(sample, alike)?,
                None => all_like(space, sample)?,
            };
            let to = space.to(&to)?;
            all.push(space.bdd.intersection([region, to, self.start])?);
        }
        self.space.bdd.union(all)
    }

    /// How the senders of packets that come by an interface to these addresses are told apart: by what
    /// becomes of their packets and, unless it is only `coarse`, by the rules that decide it. `None` where
    /// that cannot be told.
    pub(super) fn classes(
        &self,
        cell: &Cell,
        interface: &str,
        to: &[IpAddr],
        is_coarse: bool,
    ) -> Option<Classes> {
        let whole = [cell.usual, cell.usual_maybe, cell.refused, cell.any];
        let is_told =
            |number: usize| !is_coarse || self.decisions.get(number).is_none_or(is_translation);
        let decided = cell.decided.iter().filter(|(number, _)| is_told(*number));
        let shadows: Vec<Shadow> = whole.into_iter().chain(decided.map(|(_, s)| *s)).collect();
        let mut classes = Classes::one();
        let mut seen = HashSet::from([Region::NONE]);
        for (address, shadow) in to.iter().flat_map(|a| shadows.iter().map(move |s| (*a, *s))) {
            let sight = self.space.sight(shadow, interface, address);
            // Who is told from all others is so by what is left as well.
            if !seen.contains(&!sight) && seen.insert(sight) {
                classes.cut(&self.space.sources(sight)?, &sight);
            }
        }
        Some(classes.sorted())
    }

    /// How many rules decide about packets of these senders.
    pub(super) fn deciding(
        &self,
        cell: &Cell,
        class: &Addresses,
        interface: &str,
        to: &[IpAddr],
    ) -> usize {
        let meets = |shadow: Shadow| {
            let senders = to.iter().filter_map(|to| self.space.senders(shadow, interface, *to));
            senders.into_iter().any(|senders| senders.meets(class))
        };
        cell.decided.iter().filter(|(_, shadow)| meets(*shadow)).count()
    }

    /// Holds a walk of the simulator against what is known of all packets.
    pub(super) fn check(
        &self,
        cell: &Cell,
        packet: &Packet,
        walk: &Walk,
    ) -> Result<(), AnalyseError> {
        let is_in = |shadow| {
            let (to, from) = (packet.destination, packet.source);
            self.space.is_sender(shadow, &packet.interface_in, to, from)
        };
        let is_accepted = walk.outcome == Outcome::Accept;
        let is_wrong = match is_accepted {
            true => !is_in(cell.usual_maybe),
            false => is_in(cell.usual),
        };
        if !is_wrong || !walk.is_certain() {
            return Ok(());
        }
        let claimed = if is_accepted { "never accepted" } else { "accepted whatever is open" };
        Err(disagreement(claimed, walk, packet))
    }

    /// What else than the sender the answer hangs on: where usual packets are let through, that some of
    /// a client's are not; where they are not, that some others are.
    pub(super) fn hangs_on(
        &mut self,
        cell: &Cell,
        packet: &Packet,
        is_let_in: bool,
    ) -> Result<Vec<String>, Undecided> {
        let (to, from) = (packet.destination, packet.source);
        let shadow = if is_let_in { cell.refused } else { cell.any };
        if !self.space.is_sender(shadow, &packet.interface_in, to, from) {
            return Ok(Vec::new());
        }
        let (others, among) = match is_let_in {
            true => (!self.certain, cell.clients),
            false => (self.possible, cell.all),
        };
        let space = &mut self.space;
        let by = space.comes_by(&packet.interface_in)?;
        let to = space.to(&[Prefix::from(to)])?;
        let from = space.from(&[Prefix::from(from)])?;
        let asked = space.bdd.intersection([among, by, to, from])?;
        let region = space.bdd.and(others, asked)?;
        let words = space.unusual(region, asked)?;
        let verb = if is_let_in { "refused" } else { "let in" };
        Ok(words.into_iter().map(|word| format!("{word}: other packets are {verb}")).collect())
    }

    /// Whom answers like this one get to for certain, and whom perhaps: whatever they have in their header
    /// that no question says.
    pub(super) fn answered(
        &mut self,
        answer: &Packet,
        way: Way,
    ) -> Result<(Addresses, Addresses), AnalyseError> {
        let (like, alike) = to_anybody(answer);
        let known = self.answers.iter().find(|known| known.way == way && known.like == like);
        if let Some(known) = known {
            return Ok((known.certain.clone(), known.possible.clone()));
        }
        let space = &mut self.space;
        let start = space.like(&like, alike)?;
        let accepted = fates(space, self.with, way, start, Detail::Fates)?.accepted;
        let accepted = space.presumed(accepted)?;
        let (certain, possible) = space.certainly_and_possibly(accepted)?;
        let refused = space.bdd.minus(start, certain)?;
        let all = Addresses::all();
        let refused = space.receivers(refused, alike)?.unwrap_or_else(|| all.clone());
        let certain = all.without(&refused);
        let possible = space.receivers(possible, alike)?.unwrap_or(all);
        let pair = (certain.clone(), possible.clone());
        self.answers.push(Answered { like, way, certain, possible });
        Ok(pair)
    }

    /// Holds the walk of an answer against what is known of all such answers. Gives whether others than
    /// this one end otherwise: those of another length, time to live or class of traffic.
    pub(super) fn check_answer(
        &mut self,
        answer: &Packet,
        way: Way,
        walk: &Walk,
    ) -> Result<bool, AnalyseError> {
        let (certain, possible) = self.answered(answer, way)?;
        let to = receiver(answer);
        let is_accepted = walk.outcome == Outcome::Accept;
        let is_wrong = match is_accepted {
            true => !possible.contains(to),
            false => certain.contains(to),
        };
        if !walk.is_certain() {
            return Ok(false);
        }
        if is_wrong {
            let claimed = if is_accepted { "never accepted" } else { "accepted whatever is open" };
            return Err(disagreement(claimed, walk, answer));
        }
        Ok(if is_accepted { !certain.contains(to) } else { possible.contains(to) })
    }
}

/// Which rules can hold for packets to these targets, before and `after` every translation of ports.
fn relevant(
    ruleset: &Ruleset,
    after: Option<&[u16]>,
    targets: &[Target],
) -> impl Fn(RuleId) -> bool {
    let mut protocols: Vec<u16> = targets.iter().map(|target| target.protocol.into()).collect();
    protocols.sort_unstable();
    protocols.dedup();
    let ports = after.map(|after| {
        let all = targets.iter().map(|target| target.port).chain(after.iter().copied());
        all.collect::<BTreeSet<u16>>().into_iter().collect::<Vec<u16>>()
    });
    move |id| {
        let Some(ports) = &ports else { return true };
        let table = ruleset.tables.get(id.chain.table);
        let rule = ruleset.rule(id);
        table.zip(rule).is_none_or(|(table, rule)| hints::may_match(table, rule, &protocols, ports))
    }
}

/// First packets of connections of others to these targets.
fn start(space: &mut Space, targets: &[Target]) -> Result<Region, Undecided> {
    let mut all = Vec::new();
    for target in targets {
        let protocol = space.protocol(target.protocol)?;
        let port = space.to_ports(&[(target.port, target.port)])?;
        let to: Vec<Prefix> = target.to.iter().map(|to| Prefix::from(*to)).collect();
        let to = space.to(&to)?;
        all.push(space.bdd.intersection([protocol, port, to])?);
    }
    let targets = space.bdd.union(all)?;
    let fresh = space.fresh()?;
    let (by_lo, by_none) = (space.comes_by("lo")?, space.comes_by("")?);
    space.bdd.intersection([targets, fresh, !by_lo, !by_none])
}

fn all_like(space: &mut Space, sample: &Packet) -> Result<Region, Undecided> {
    let protocol = space.protocol(sample.protocol)?;
    let port = space.to_ports(&[(sample.destination_port, sample.destination_port)])?;
    let out = match &sample.interface_out {
        Some(name) => space.leaves_by(name)?,
        None => Region::ALL,
    };
    space.bdd.intersection([protocol, port, out])
}

/// Whether a decision can be why some senders meet with something else than others. A policy, and what
/// is accepted elsewhere than at input and forward, says no more than that the rest goes on.
fn tells_apart(decision: &Decision) -> bool {
    match decision.did {
        Did::Dropped | Did::Rejected(_) | Did::Translated => true,
        Did::Accepted => {
            decision.rule.rule.is_some() && matches!(decision.hook, Hook::Input | Hook::Forward)
        }
        Did::Held => false,
    }
}

fn is_translation(decision: &Decision) -> bool {
    decision.did == Did::Translated
}

/// The same packet to nobody in particular, and what such packets differ in. Where rules have translated the
/// sender, the answer goes to the new address, and to whom is told when that is undone.
fn to_anybody(answer: &Packet) -> (Packet, Alike) {
    let nobody: IpAddr = match answer.destination {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let is_translated = receiver(answer) != answer.destination;
    let mut like = answer.clone();
    if let Some(original) = &mut like.original {
        original.source = nobody;
    }
    if is_translated {
        return (like, Alike::ButBecoming);
    }
    like.destination = nobody;
    (like, Alike::ButDestination)
}

/// Who gets an answer in the end.
fn receiver(answer: &Packet) -> IpAddr {
    answer.original.map_or(answer.destination, |original| original.source)
}

fn disagreement(claimed: &str, walk: &Walk, packet: &Packet) -> AnalyseError {
    AnalyseError::Internal {
        claimed: claimed.to_owned(),
        simulated: format!("{:?}", walk.outcome),
        packet: format!("{packet:?}"),
    }
}
