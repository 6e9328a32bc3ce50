//! What other tables refuse of what the policy lets in: an accept ends only its own chain.

use super::super::analyse::{AnalyseError, DEFAULT_BUDGET, Detail, Space, Witness, fates};
use super::super::bdd::{Region, Undecided};
use super::super::policy::{Pass, Policy};
use super::super::simulate::{Open, Prepared, Way};
use super::super::{Family, RulePlace, Ruleset, TABLE, World};

/// Something declared that does not come in, because of another table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The service, forward or door.
    pub name: Box<str>,
    /// A packet that is refused.
    pub witness: Witness,
    /// The rule or policy that refuses it.
    pub decided_by: Option<RulePlace>,
}

/// What of the policy other tables of `ruleset` refuse, one packet a name and family.
///
/// # Errors
/// When the node budget is used up.
pub fn obstacles(
    policy: &Policy,
    ruleset: &Ruleset,
    world: &World,
) -> Result<Vec<Obstacle>, AnalyseError> {
    let mut found: Vec<Obstacle> = Vec::new();
    for is_v6 in [false, true] {
        found.extend(of_family(policy, ruleset, world, is_v6)?);
    }
    Ok(found)
}

fn of_family(
    policy: &Policy,
    ruleset: &Ruleset,
    world: &World,
    is_v6: bool,
) -> Result<Vec<Obstacle>, AnalyseError> {
    let mut alone = ruleset.clone();
    alone.tables.retain(|table| table.family == Family::Inet && *table.name == *TABLE);
    let mut space = Space::new(is_v6, &[&alone, ruleset], world, DEFAULT_BUDGET);
    let (alone, all) = (Prepared::new(&alone, world), Prepared::new(ruleset, world));
    let start = space.fresh()?;
    let ours = fates(&mut space, &alone, Way::Input, start, Detail::Fates)?.accepted;
    let together = fates(&mut space, &all, Way::Input, start, Detail::Fates)?.accepted;
    let mut lost = space.bdd.minus(ours, together)?;
    let mut found = Vec::new();
    let here = policy.passes.iter().filter(|pass| pass.way.has_input());
    for pass in policy.management.iter().chain(here) {
        let meant = meant_by(&mut space, pass)?;
        let refused = space.bdd.and(lost, meant)?;
        let Some(witness) = space.witness(refused)? else { continue };
        let walk = all.walk(&witness.packet, Way::Input, &Open);
        let decided_by = walk.decided_by.and_then(|rule| ruleset.place(rule));
        found.push(Obstacle { name: pass.name.clone(), witness, decided_by });
        lost = space.bdd.minus(lost, meant)?;
    }
    Ok(found)
}

fn meant_by(space: &mut Space, pass: &Pass) -> Result<Region, Undecided> {
    let protocol = space.protocol(pass.traffic.protocol())?;
    let Some(ports) = pass.traffic.ports() else { return Ok(protocol) };
    let ports = space.to_ports(&[(ports.first().0, ports.last().0)])?;
    space.bdd.and(protocol, ports)
}
