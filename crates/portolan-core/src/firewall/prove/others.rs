//! What other tables refuse of what the policy lets in, through and out: an accept ends only its own chain.

use super::super::analyse::{
    AnalyseError, DEFAULT_BUDGET, Detail, Space, Witness, answered, fates,
};
use super::super::bdd::{Region, Undecided};
use super::super::policy::{
    BaseNeed, BasePass, Pass, PassTraffic, PassWay, Policy, Stance, protocol_of,
};
use super::super::simulate::{Prepared, Step, Walk, Way};
use super::super::{Addresses, Family, RulePlace, Ruleset, TABLE, World, compile, intent};
use super::ProofWay;
use super::plausible::plausible;

/// Something declared that does not pass, because of another table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The service, forward, door or row of the base.
    pub name: Box<str>,
    /// Whether it is to this machine (or a port it publishes), through it or from it.
    pub way: ProofWay,
    /// A packet that is refused, for the answers it has.
    pub witness: Witness,
    /// The rule or policy that refuses it.
    pub decided_by: Option<RulePlace>,
    /// Where it is our own table that refuses it, for what the packet has become: the rule of another that
    /// translates it.
    pub translated_by: Option<RulePlace>,
}

/// What of the policy other tables of `ruleset` refuse, one packet a name, way and family. Where no table of
/// ours is loaded, it is what the policy's would let through.
///
/// # Errors
/// When the node budget is used up.
pub fn obstacles(
    policy: &Policy,
    ruleset: &Ruleset,
    world: &World,
) -> Result<Vec<Obstacle>, AnalyseError> {
    let mut alone = ruleset.clone();
    alone.tables.retain(|table| table.family == Family::Inet && *table.name == *TABLE);
    if alone.tables.is_empty() {
        let compiled = Ruleset::from_own_text(&compile(policy).to_string());
        alone = compiled.unwrap_or_else(|_| intent(policy, &[]));
    }
    let mut found: Vec<Obstacle> = Vec::new();
    for (way, wanted) in wanted(policy) {
        for is_v6 in [false, true] {
            found.extend(of_family(policy, [&alone, ruleset], world, (is_v6, way), &wanted)?);
        }
    }
    Ok(found)
}

/// Something that is to pass.
struct Wanted<'p> {
    name: &'p str,
    protocol: u8,
    ports: Option<(u16, u16)>,
    /// To these, where that tells it from others for the same port.
    destinations: Option<&'p Addresses>,
    /// Whether it is enough that some of it passes: a row of the base that names nobody is no promise to
    /// everybody.
    is_loose: bool,
}

/// What is to pass on each way; a way on which our table refuses nothing cannot miss anything.
fn wanted(policy: &Policy) -> Vec<(Way, Vec<Wanted<'_>>)> {
    let here =
        policy.passes.iter().filter(|pass| pass.way.has_input() || pass.way.has_translated());
    // What is called here and translated goes through the forward hook, and is found there.
    let mut ways = vec![(Way::Input, policy.management.iter().chain(here).map(to_here).collect())];
    if policy.forward == Stance::Drop {
        let through = policy.passes.iter().filter(|pass| pass.way == PassWay::Through);
        ways.push((Way::Forward, through.map(Wanted::of).collect()));
    }
    if policy.output == Stance::Drop {
        let calls = policy.egress.iter().map(called);
        let base = policy.base.iter().filter(|row| row.is_outgoing).filter_map(of_base);
        ways.push((Way::Output, calls.chain(base).collect()));
    }
    ways
}

impl<'p> Wanted<'p> {
    fn of(pass: &'p Pass) -> Self {
        Self {
            name: &pass.name,
            protocol: pass.traffic.protocol(),
            ports: ends_of(pass.traffic),
            destinations: pass.destinations.as_ref(),
            is_loose: false,
        }
    }

    fn region(&self, space: &mut Space) -> Result<Region, Undecided> {
        let mut region = space.protocol(self.protocol)?;
        if let Some(ports) = self.ports {
            let ports = space.to_ports(&[ports])?;
            region = space.bdd.and(region, ports)?;
        }
        if let Some(to) = self.destinations {
            let to = space.to(&to.prefixes(space.is_v6()))?;
            region = space.bdd.and(region, to)?;
        }
        Ok(region)
    }
}

/// Called at this machine, at whatever address.
fn to_here(pass: &Pass) -> Wanted<'_> {
    Wanted { destinations: None, ..Wanted::of(pass) }
}

/// Called by this machine; the peers of a call are where it goes.
fn called(pass: &Pass) -> Wanted<'_> {
    let one = pass.peers.first().filter(|_| pass.peers.len() == 1);
    Wanted { destinations: one.map(|peers| &peers.addresses), ..Wanted::of(pass) }
}

fn of_base(row: &BasePass) -> Option<Wanted<'_>> {
    let BaseNeed::Port { transport, destination, .. } = row.traffic else { return None };
    let ports = Some((destination, destination));
    let destinations = row.peers.as_ref().or(row.destinations.as_ref());
    let protocol = protocol_of(transport);
    Some(Wanted { name: &row.name, protocol, ports, destinations, is_loose: row.peers.is_none() })
}

fn ends_of(traffic: PassTraffic) -> Option<(u16, u16)> {
    traffic.ports().map(|ports| (ports.first().0, ports.last().0))
}

fn of_family(
    policy: &Policy,
    [alone, ruleset]: [&Ruleset; 2],
    world: &World,
    (is_v6, way): (bool, Way),
    wanted: &[Wanted<'_>],
) -> Result<Vec<Obstacle>, AnalyseError> {
    let mut space = Space::new(is_v6, &[alone, ruleset], world, DEFAULT_BUDGET);
    let (alone, all) = (Prepared::new(alone, world), Prepared::new(ruleset, world));
    let mut start = plausible(&mut space, policy, world, way)?;
    if way == Way::Input {
        // By loopback this machine calls itself, whoever is declared.
        let by_lo = space.comes_by("lo")?;
        start = space.bdd.minus(start, by_lo)?;
    }
    let ours = fates(&mut space, &alone, way, start, Detail::Fates)?.accepted;
    let together = fates(&mut space, &all, way, start, Detail::Fates)?.accepted;
    let mut lost = space.bdd.minus(ours, together)?;
    let mut found = Vec::new();
    for wanted in wanted {
        let meant = wanted.region(&mut space)?;
        let refused = space.bdd.and(lost, meant)?;
        if wanted.is_loose && space.bdd.meets(together, meant) {
            continue;
        }
        let Some((witness, _)) = space.surest_witness(refused)? else { continue };
        let walk = answered(&all, way, &witness);
        let decided_by = walk.decided_by.and_then(|rule| ruleset.place(rule));
        let is_ours_to_refuse = decided_by.as_ref().is_some_and(is_ours);
        let translated_by = translation(&walk, ruleset).filter(|_| is_ours_to_refuse);
        let (name, way) = (wanted.name.into(), super::named(way));
        found.push(Obstacle { name, way, witness, decided_by, translated_by });
        lost = space.bdd.minus(lost, meant)?;
    }
    Ok(found)
}

/// Whether a rule is of our table.
fn is_ours(place: &RulePlace) -> bool {
    place.family == Family::Inet && &*place.table == TABLE
}

/// The rule of another table that translates a packet on its way.
fn translation(walk: &Walk, ruleset: &Ruleset) -> Option<RulePlace> {
    let mut by = walk.steps.iter().filter_map(|step| match step {
        Step::Translated { by: Some(rule), .. } => ruleset.place(*rule),
        _ => None,
    });
    by.find(|place| !is_ours(place))
}
