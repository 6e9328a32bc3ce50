//! The compiled, the loaded or a saved table, held against what the inventory means.

use std::io::ErrorKind;

use anyhow::Result;
use portolan_core::audit::Drift;
use portolan_core::firewall::analyse::AnalyseError;
use portolan_core::firewall::{
    self, Family, Obstacle, Proof, Ruleset, Script, TABLE, Table, World,
};
use portolan_core::net::{Gap, Why};
use portolan_host::firewall::LoadFault;

use super::policy::{self, Intended};
use super::source;
use crate::fault::Hinted as _;
use crate::ops::firewall::source::Sources;
use crate::ops::inventory::Asked;

/// What was proved.
#[derive(Debug)]
pub(crate) struct Report {
    /// The policy, and where it comes from.
    pub(crate) intended: Intended,
    /// Which table it was held against.
    pub(crate) against: Against,
    /// Who read that table.
    pub(crate) reading: Reading,
    /// What came out; `None` where it is too large to decide.
    pub(crate) proof: Option<Proof>,
    /// What other tables refuse of what is declared; only of the live rules.
    pub(crate) obstacles: Vec<Obstacle>,
    /// What could not be seen or decided.
    pub(crate) gaps: Vec<Gap>,
}

/// Which table a policy is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Against {
    /// The one that is compiled from it.
    Compiled,
    /// The one that is loaded.
    Live,
    /// A saved one.
    Saved,
}

/// Who read a table: what is proved holds if the kernel does what that reader understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// nft loaded it and listed it.
    Nft,
    /// Our own reader of what is compiled, where nft or a namespace is not to be had: weaker, for nothing
    /// shows that nft takes the text, and reads it alike.
    Own,
}

/// Proves what was asked for.
///
/// # Errors
/// No inventory, rules that cannot be read, a table that nft refuses, an analysis that contradicts itself.
pub(crate) fn prove(asked: &Asked, sources: &Sources, is_live: bool) -> Result<Report> {
    let mut intended = policy::intended(asked)?;
    let mut gaps = std::mem::take(&mut intended.gaps);
    let mut reading = Reading::Nft;
    let (against, ruleset, world) = match (is_live, sources.rules.is_empty()) {
        (false, true) => {
            let (ruleset, gap) = read_back(&firewall::compile(&intended.policy))?;
            if let Some(gap) = gap {
                reading = Reading::Own;
                gaps.push(gap);
            }
            (Against::Compiled, ruleset, World::default())
        }
        (is_live, _) => {
            let mut rules = source::load(sources)?;
            rules.ruleset.answer_what_is_over(intended.at);
            gaps.extend(rules.gaps);
            let against = if is_live { Against::Live } else { Against::Saved };
            (against, rules.ruleset, rules.world)
        }
    };
    let proof = decided(firewall::prove(&intended.policy, &ruleset), &mut gaps)?;
    let obstacles = match against {
        Against::Live => {
            let found = firewall::obstacles(&intended.policy, &ruleset, &world);
            decided(found, &mut gaps)?.unwrap_or_default()
        }
        _ => Vec::new(),
    };
    Ok(Report { intended, against, reading, proof, obstacles, gaps })
}

/// The compiled table as nft understands it; where nft cannot be asked, as our own reader does, and a gap
/// that says so.
///
/// # Errors
/// Where nft refuses the table.
pub(crate) fn read_back(script: &Script) -> Result<(Ruleset, Option<Gap>)> {
    if script.is_empty() {
        return Ok((Ruleset::default(), None));
    }
    let text = script.to_string();
    let fault = match portolan_host::firewall::load(&text, None) {
        Ok(ruleset) => return Ok((ruleset, None)),
        Err(LoadFault::Refused { complaint, .. }) => {
            anyhow::bail!("nft refuses the compiled table: {complaint}")
        }
        Err(fault) => fault,
    };
    let why = match &fault {
        LoadFault::Namespace(error) if error.kind() == ErrorKind::PermissionDenied => {
            Why::NotPermitted
        }
        _ => Why::Unsupported,
    };
    let what = format!("how nft reads the table (cannot {fault})").replace("cannot nft", "nft");
    let hint = "nft and unshare must be there; without root the kernel must allow user namespaces";
    let ruleset = Ruleset::from_own_text(&text)
        .hinted("our own reader does not understand the compiled table", hint)?;
    Ok((ruleset, Some(Gap::new(what, why, hint))))
}

/// Where the loaded table of ours differs from the inventory; nothing where it is not loaded, or may not
/// be seen: others say so.
pub(crate) fn drifts(asked: &Asked, gaps: &mut Vec<Gap>) -> Vec<Drift> {
    let Ok(mut live) = portolan_host::firewall::live() else { return Vec::new() };
    let is_ours = |table: &Table| table.family == Family::Inet && *table.name == *TABLE;
    if !live.value.tables.iter().any(is_ours) {
        return Vec::new();
    }
    let Ok(intended) = policy::intended(asked) else { return Vec::new() };
    // What has ended is in neither: no policy has it, and its rules let nobody through.
    live.value.answer_what_is_over(intended.at);
    let proof = decided(firewall::prove(&intended.policy, &live.value), gaps);
    let proof = proof.ok().flatten().unwrap_or_default();
    let lookups = proof.lost_lookups.as_ref().map(Drift::of_lookups);
    lookups.into_iter().chain(proof.differences.iter().map(Drift::of)).collect()
}

/// What there is an answer to; that there is none is a gap.
fn decided<T>(answer: Result<T, AnalyseError>, gaps: &mut Vec<Gap>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(AnalyseError::Undecided(_)) => {
            let hint = "the policy has more combinations than fit into memory";
            gaps.push(Gap::new("whether the table does what it should", Why::Unsupported, hint));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
