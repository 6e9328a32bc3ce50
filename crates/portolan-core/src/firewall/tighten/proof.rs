//! That a narrower policy keeps every observed flow and lets nothing new in.

use super::{Tally, packet};
use crate::firewall::analyse::{DEFAULT_BUDGET, Detail, Space, fates};
use crate::firewall::bdd::Undecided;
use crate::firewall::flow::Flow;
use crate::firewall::simulate::{Open, Outcome, Prepared, Way};
use crate::firewall::{Hook, Ruleset, World};

/// What was proved: observed ⊆ new ⊆ old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Flows that passed, or might have, and no longer do.
    pub lost: Vec<Flow>,
    /// What is known of all packets, by where they go.
    pub hooks: Vec<HookProof>,
}

/// What was proved of all packets to this machine (input), and of those for others (forward). What is
/// translated from the one to the other belongs to where it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookProof {
    /// Input or forward.
    pub hook: Hook,
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
        self.lost.is_empty() && self.within_old() == Some(true)
    }

    /// Whether nothing passes that did not pass before, wherever it goes; `None` where that is not known
    /// of all.
    #[must_use]
    pub fn within_old(&self) -> Option<bool> {
        let each = || self.hooks.iter().map(|hook| hook.within_old);
        if each().any(|within| within == Some(false)) {
            return Some(false);
        }
        each().all(|within| within == Some(true)).then_some(true)
    }

    /// Whether some packet passes the old rules and not the new ones.
    #[must_use]
    pub fn narrows(&self) -> bool {
        self.hooks.iter().any(|hook| hook.narrows)
    }
}

/// Proves it for every packet to this machine and through it, and tries every flow.
#[must_use]
pub fn prove(old: &Ruleset, new: &Ruleset, world: &World, tally: &Tally) -> Proof {
    let (before, after) = (Prepared::new(old, world), Prepared::new(new, world));
    let hooks = [(Hook::Input, Way::Input), (Hook::Forward, Way::Forward)];
    let hooks = hooks.into_iter().map(|(hook, way)| of_hook(&before, &after, hook, way));
    Proof { lost: lost(&before, &after, world, tally), hooks: hooks.collect() }
}

fn of_hook(before: &Prepared<'_>, after: &Prepared<'_>, hook: Hook, way: Way) -> HookProof {
    let both: Option<Vec<Compared>> =
        [false, true].into_iter().map(|is_v6| compared(before, after, way, is_v6).ok()).collect();
    HookProof {
        hook,
        within_old: both.as_ref().map(|both| both.iter().all(|family| family.is_within)),
        narrows: both.is_none_or(|both| both.iter().any(|family| family.is_narrower)),
    }
}

struct Compared {
    is_within: bool,
    is_narrower: bool,
}

fn compared(
    before: &Prepared<'_>,
    after: &Prepared<'_>,
    way: Way,
    is_v6: bool,
) -> Result<Compared, Undecided> {
    let rules = [before.ruleset(), after.ruleset()];
    let mut space = Space::new(is_v6, &rules, before.world(), DEFAULT_BUDGET);
    let start = space.possible()?;
    let old = fates(&mut space, before, way, start, Detail::Fates)?.accepted;
    let new = fates(&mut space, after, way, start, Detail::Fates)?.accepted;
    let (beyond, given_up) = (space.bdd.and(new, !old)?, space.bdd.and(old, !new)?);
    Ok(Compared { is_within: beyond.is_none(), is_narrower: !given_up.is_none() })
}

fn lost(before: &Prepared<'_>, after: &Prepared<'_>, world: &World, tally: &Tally) -> Vec<Flow> {
    let refused = |rules: &Prepared<'_>, flow: &Flow| {
        let outcome = rules.outcome(&packet(flow, world), Way::Input, &Open);
        outcome.is_some_and(|outcome| outcome != Outcome::Accept)
    };
    let is_lost = |flow: &Flow| !refused(before, flow) && refused(after, flow);
    tally.flows().into_iter().map(|(flow, _)| flow).filter(|flow| is_lost(flow)).cloned().collect()
}
