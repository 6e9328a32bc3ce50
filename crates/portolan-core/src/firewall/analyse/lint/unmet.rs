//! Chains that no packet gets to, each told once.

use super::family::Family;
use super::idle::OfChain;
use super::{Code, Finding};
use crate::firewall::analyse::space::Space;
use crate::firewall::bdd::Undecided;
use crate::firewall::{ChainId, RuleId, Ruleset};

/// A chain that rules jump to, and no packet ever gets to: `idle` of its rules hold for nothing.
pub(super) fn unmet(
    ruleset: &Ruleset,
    spaces: &mut [&mut Space],
    of_chain: &mut [OfChain<'_>],
    (chain, idle): (ChainId, usize),
) -> Result<Option<Finding>, Undecided> {
    let Some(asked) = ruleset.chain(chain).filter(|chain| chain.base.is_none()) else {
        return Ok(None);
    };
    if asked.rules.is_empty() || idle < asked.rules.len() {
        return Ok(None);
    }
    let (mut can_match, mut is_kept_from) = (false, false);
    for one in of_chain.iter_mut() {
        let space = &mut *spaces[one.family.number];
        can_match |= one.can_match(space);
        is_kept_from |= one.is_kept_from(space, 0)?;
    }
    // Nobody comes to it, or nobody can match any of it.
    let is_told = if can_match {
        !is_kept_from
    } else {
        of_chain.iter().all(|one| one.family.knows_entries())
    };
    Ok(is_told.then(|| chain_finding(chain, "no packet gets to this chain")))
}

/// Chains with rules that nothing jumps to.
pub(super) fn unasked(ruleset: &Ruleset, families: &[Family]) -> Vec<Finding> {
    let is_met = |id: ChainId| families.iter().any(|f| f.met.iter().any(|met| met.chain == id));
    let idle = ruleset.chains().filter(|(id, chain)| {
        let is_of_ip = ruleset.tables.get(id.table).is_some_and(|table| {
            !table.is_dormant && (table.family.passes(false) || table.family.passes(true))
        });
        chain.base.is_none() && !chain.rules.is_empty() && is_of_ip && !is_met(*id)
    });
    idle.map(|(id, _)| chain_finding(id, "nothing jumps to this chain")).collect()
}

fn chain_finding(chain: ChainId, message: &str) -> Finding {
    Finding {
        code: Code::NeverMatches,
        rule: RuleId { chain, rule: Some(0) },
        blockers: Vec::new(),
        message: message.to_owned(),
        witness: None,
        depends_on: Vec::new(),
    }
}
