//! That a narrower policy keeps every observed flow and lets nothing new in.

use super::{Tally, packet};
use crate::firewall::analyse::{DEFAULT_BUDGET, Detail, Space, fates};
use crate::firewall::bdd::Undecided;
use crate::firewall::flow::Flow;
use crate::firewall::simulate::{Open, Outcome, Prepared, Way};
use crate::firewall::{Ruleset, World};

/// What was proved: observed ⊆ new ⊆ old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Flows that passed, or might have, and no longer do.
    pub lost: Vec<Flow>,
    /// Whether every packet that may pass the new rules may pass the old ones; `None` where the node
    /// budget ran out.
    pub within_old: Option<bool>,
    /// Whether some packet passes the old rules and not the new ones.
    pub narrows: bool,
}

impl Proof {
    /// Whether both halves hold.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.lost.is_empty() && self.within_old == Some(true)
    }
}

/// Proves it for every packet to this machine, and tries every flow. Rules and flows are compared on the
/// way to input.
#[must_use]
pub fn prove(old: &Ruleset, new: &Ruleset, world: &World, tally: &Tally) -> Proof {
    let (before, after) = (Prepared::new(old, world), Prepared::new(new, world));
    let compared: Option<Vec<Compared>> =
        [false, true].into_iter().map(|is_v6| compared(&before, &after, is_v6).ok()).collect();
    Proof {
        lost: lost(&before, &after, tally),
        within_old: compared.as_ref().map(|both| both.iter().all(|family| family.is_within)),
        narrows: compared.is_none_or(|both| both.iter().any(|family| family.is_narrower)),
    }
}

struct Compared {
    is_within: bool,
    is_narrower: bool,
}

fn compared(
    before: &Prepared<'_>,
    after: &Prepared<'_>,
    is_v6: bool,
) -> Result<Compared, Undecided> {
    let rules = [before.ruleset(), after.ruleset()];
    let mut space = Space::new(is_v6, &rules, before.world(), DEFAULT_BUDGET);
    let start = space.possible()?;
    let old = fates(&mut space, before, Way::Input, start, Detail::Fates)?.accepted;
    let new = fates(&mut space, after, Way::Input, start, Detail::Fates)?.accepted;
    let (beyond, given_up) = (space.bdd.and(new, !old)?, space.bdd.and(old, !new)?);
    Ok(Compared { is_within: beyond.is_none(), is_narrower: !given_up.is_none() })
}

fn lost(before: &Prepared<'_>, after: &Prepared<'_>, tally: &Tally) -> Vec<Flow> {
    let refused = |rules: &Prepared<'_>, flow: &Flow| {
        let outcome = rules.outcome(&packet(flow), Way::Input, &Open);
        outcome.is_some_and(|outcome| outcome != Outcome::Accept)
    };
    let is_lost = |flow: &Flow| !refused(before, flow) && refused(after, flow);
    tally.flows().into_iter().map(|(flow, _)| flow).filter(|flow| is_lost(flow)).cloned().collect()
}
