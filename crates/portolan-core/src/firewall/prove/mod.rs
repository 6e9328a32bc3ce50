//! The proof that a table does what a policy says: for every packet there can be, of both families, on
//! every way, whatever doors are open and limits reached.
//!
//! Two sides: the table as it was read back, by the reader that reads everybody's, and the policy's plain
//! rules, which the compiler has no part in. They are equal if no packet is let through by the one and not
//! by the other; a packet for which that fails is named, and sent through the simulator on both sides.

mod canonical;
mod lookups;
mod others;
mod plausible;
mod quotient;
mod strangers;

use super::analyse::{
    AnalyseError, Claim, DEFAULT_BUDGET, Detail, Space, Witness, answered, confirm, fates,
};
use super::bdd::Region;
use super::policy::{Pass, PassWay, Policy};
use super::simulate::{Outcome, Prepared, Way};
use super::{Hook, Packet, RulePlace, Ruleset, Table, World};

pub use lookups::{LostLookups, changed_resolvers};
pub use others::{Obstacle, obstacles};

use canonical::Part;

/// What was found out about a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Whether the table is there at all; where it is not, nothing else was asked.
    pub is_loaded: bool,
    /// Packets for which table and policy differ, one each way and family at most; none: they are equal.
    pub differences: Vec<Difference>,
    /// What must never be let in, and is.
    pub violations: Vec<Violation>,
    /// Rules of the table that change packets or connections as no policy does.
    pub strangers: Vec<RulePlace>,
    /// Resolvers that this machine is kept from asking.
    pub lost_lookups: Option<LostLookups>,
    /// Whether the table is on trial: it was judged as it is as long as that lasts.
    pub is_on_trial: bool,
}

/// A packet for which table and policy differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// On which way.
    pub way: ProofWay,
    /// The packet, and what must be so beside it.
    pub witness: Witness,
    /// Whether the policy lets it through (or translates it), and the table does not.
    pub is_intended: bool,
    /// The rule or policy of the table that decides about it.
    pub decided_by: Option<RulePlace>,
}

/// The ways that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProofWay {
    /// To this machine.
    Input,
    /// Through it.
    Forward,
    /// From it.
    Output,
    /// Where destinations are translated.
    Prerouting,
    /// Where sources are translated.
    Postrouting,
}

/// A `[[never]]` that the table does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub name: Box<str>,
    /// A packet that is let in, and what must be so beside it.
    pub witness: Witness,
    /// On which way.
    pub way: ProofWay,
}

impl Proof {
    /// Whether the table does what the policy says, and nothing that must never be.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.is_loaded
            && self.differences.is_empty()
            && self.violations.is_empty()
            && self.strangers.is_empty()
    }
}

impl ProofWay {
    /// The word in tables and JSON: that of the hook.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Prerouting => "prerouting",
            Self::Postrouting => "postrouting",
        }
    }
}

/// Holds our table of `ruleset` against what `policy` means.
///
/// # Errors
/// When the node budget is used up, or the analysis and the simulator disagree.
pub fn prove(policy: &Policy, ruleset: &Ruleset) -> Result<Proof, AnalyseError> {
    let found = canonical::ours(ruleset);
    let is_loaded = found.is_some();
    // A policy without a rule is compiled to no table at all.
    let Some(found) = found.or_else(|| super::compile(policy).is_empty().then(empty)) else {
        return Ok(Proof { is_loaded, ..Proof::default() });
    };
    let Some(wanted) = canonical::intended(policy, &found.sets) else {
        return Ok(Proof { is_loaded, ..Proof::default() });
    };
    let strangers = strangers::strangers(policy, ruleset);
    let is_on_trial = canonical::is_on_trial(ruleset);
    let lost_lookups = lookups::lost(policy, &found);
    let mut proof =
        Proof { is_loaded: true, strangers, lost_lookups, is_on_trial, ..Proof::default() };
    for is_v6 in [false, true] {
        for part in PARTS {
            filters(policy, &found, &wanted, (is_v6, part), &mut proof)?;
        }
        translations(&found, &wanted, is_v6, &mut proof)?;
    }
    Ok(proof)
}

fn empty() -> Table {
    Table {
        family: super::Family::Inet,
        name: super::TABLE.into(),
        origin: super::Origin::Nft,
        is_dormant: false,
        chains: Vec::new(),
        sets: Vec::new(),
    }
}

/// What is compared: which packets, the way they come, and what that is called.
const PARTS: [(Part, Way, ProofWay); 4] = [
    (Part::Straight, Way::Input, ProofWay::Input),
    (Part::Through, Way::Forward, ProofWay::Forward),
    (Part::TurnedHere, Way::Forward, ProofWay::Input),
    (Part::Straight, Way::Output, ProofWay::Output),
];

/// What is let through of one part of one family's packets. What was found of a way already is not told
/// again of those that came to it by a translation.
fn filters(
    policy: &Policy,
    found: &Table,
    wanted: &Table,
    (is_v6, (part, way, name)): (bool, (Part, Way, ProofWay)),
    proof: &mut Proof,
) -> Result<(), AnalyseError> {
    let (world, table) = (World::default(), found);
    let filtering = |table| canonical::filtering(table, part);
    let mut sides = [filtering(found), filtering(wanted), filtering(&never(policy))];
    let mut tables: Vec<&mut Table> =
        sides.iter_mut().filter_map(|s| s.tables.first_mut()).collect();
    let sources = quotient::shorten(&mut tables, is_v6);
    let [found, wanted, never] = sides;
    let mut space = Space::new(is_v6, &[&found, &wanted, &never], &world, DEFAULT_BUDGET);
    let (found, wanted) = (Prepared::new(&found, &world), Prepared::new(&wanted, &world));
    let start = space.possible()?;
    let sources = match sources {
        Some(sources) => space.from(&sources)?,
        None => Region::ALL,
    };
    let is = fates(&mut space, &found, way, start, Detail::Fates)?.accepted;
    let ought = fates(&mut space, &wanted, way, start, Detail::Fates)?.accepted;
    let sides = [&found, &wanted];
    let is_told =
        |told: ProofWay, witness: &Witness| told == name && witness.packet.is_v6() == is_v6;
    if !proof.differences.iter().any(|known| is_told(known.way, &known.witness)) {
        let ways = (way, name);
        let different = difference(&mut space, sides, ways, [is, ought], sources, Outcome::Accept)?;
        proof.differences.extend(different.map(|different| match part {
            Part::Straight => different,
            _ => Difference { decided_by: decider(table, part, &different), ..different },
        }));
    }
    if proof.violations.iter().any(|known| is_told(known.way, &known.witness)) {
        return Ok(());
    }
    if policy.never.is_empty() || way == Way::Output {
        return Ok(());
    }
    let never = Prepared::new(&never, &world);
    let ruled_out = fates(&mut space, &never, way, start, Detail::Fates)?.dropped;
    let let_in = space.bdd.and(is, ruled_out)?;
    let let_in = space.bdd.and(let_in, sources)?;
    let witness = space.witness(let_in)?;
    proof.violations.extend(witness.map(|witness| Violation {
        name: violated(policy, &witness.packet),
        way: name,
        witness,
    }));
    Ok(())
}

fn named(way: Way) -> ProofWay {
    match way {
        Way::Output => ProofWay::Output,
        Way::Forward => ProofWay::Forward,
        _ => ProofWay::Input,
    }
}

/// A packet of those from `sources` that has an outcome on the one side and not on the other; the side that
/// has it is asked again, packet by packet.
fn difference(
    space: &mut Space,
    [found, wanted]: [&Prepared<'_>; 2],
    (way, name): (Way, ProofWay),
    [is, ought]: [Region; 2],
    sources: Region,
    outcome: Outcome,
) -> Result<Option<Difference>, AnalyseError> {
    // What is the same for all sources, as it should be, is never cut to them.
    let (extra, missing) = (space.bdd.minus(is, ought)?, space.bdd.minus(ought, is)?);
    let (extra, missing) = (space.bdd.and(extra, sources)?, space.bdd.and(missing, sources)?);
    let is_intended = extra.is_none();
    let different = if is_intended { missing } else { extra };
    let Some((witness, is_certain)) = space.surest_witness(different)? else {
        return Ok(None);
    };
    let side = if is_intended { wanted } else { found };
    confirm(side, way, &witness, Claim::of(outcome, is_certain))?;
    let walk = answered(found, way, &witness);
    let is_so = (walk.outcome == outcome) != is_intended;
    let decided_by = walk.decided_by.filter(|_| is_so);
    let decided_by = decided_by.and_then(|rule| found.ruleset().place(rule));
    Ok(Some(Difference { way: name, witness, is_intended, decided_by }))
}

/// What decides about a packet that another table translated: the table is asked about it as it comes then,
/// for where it was translated to nobody knows. `None` where that is not what was found.
fn decider(table: &Table, part: Part, difference: &Difference) -> Option<RulePlace> {
    let world = World::default();
    let alone = canonical::filtering(table, Part::Straight);
    let prepared = Prepared::new(&alone, &world);
    let mut witness = difference.witness.clone();
    witness.packet.original = Some(witness.packet.tuple());
    witness.packet.status |= super::bits::STATUS_DNAT;
    let way = if part == Part::TurnedHere { Way::Input } else { Way::Forward };
    let walk = answered(&prepared, way, &witness);
    let is_let_through = walk.outcome == Outcome::Accept;
    let rule = walk.decided_by.filter(|_| is_let_through != difference.is_intended)?;
    alone.place(rule).filter(|place| canonical::is_of_table(&place.chain))
}

/// What is translated, and to what, by one family.
fn translations(
    found: &Table,
    wanted: &Table,
    is_v6: bool,
    proof: &mut Proof,
) -> Result<(), AnalyseError> {
    let mut all = canonical::translations(found);
    for nat in canonical::translations(wanted) {
        if !all.contains(&nat) {
            all.push(nat);
        }
    }
    let world = World::default();
    for (hook, name) in
        [(Hook::Prerouting, ProofWay::Prerouting), (Hook::Postrouting, ProofWay::Postrouting)]
    {
        for nat in &all {
            let is = canonical::translating(found, hook, nat);
            let ought = canonical::translating(wanted, hook, nat);
            let mut space = Space::new(is_v6, &[&is, &ought], &world, DEFAULT_BUDGET);
            let (is, ought) = (Prepared::new(&is, &world), Prepared::new(&ought, &world));
            let start = space.possible()?;
            let mut dropped = |of| {
                fates(&mut space, of, Way::Prerouting, start, Detail::Fates).map(|f| f.dropped)
            };
            let (a, b) = (dropped(&is)?, dropped(&ought)?);
            let ways = (Way::Prerouting, name);
            let different =
                difference(&mut space, [&is, &ought], ways, [a, b], Region::ALL, Outcome::Drop)?;
            if different.is_some() {
                proof.differences.extend(different);
                break;
            }
        }
    }
    Ok(())
}

/// What must never be let in, as rules that drop it; everything else passes.
fn never(policy: &Policy) -> Table {
    let pass = |never: &super::Never| {
        let way = PassWay::InputOrTranslated;
        let of = |traffic: &super::PassTraffic| {
            Pass::plain(never.name.clone(), way, *traffic, never.peers.clone())
        };
        never.traffic.iter().map(of).collect::<Vec<_>>()
    };
    let passes: Vec<Pass> = policy.never.iter().flat_map(pass).collect();
    super::intent::refusing(&passes)
}

/// Which of them a packet breaks.
fn violated(policy: &Policy, packet: &Packet) -> Box<str> {
    let breaks = |never: &&super::Never| {
        let is_meant = never.traffic.iter().any(|traffic| traffic.covers(&packet.tuple()));
        is_meant && never.peers.iter().any(|peers| peers.addresses.contains(packet.source))
    };
    let found = policy.never.iter().find(breaks).or(policy.never.first());
    found.map_or_else(|| "never".into(), |never| never.name.clone())
}
