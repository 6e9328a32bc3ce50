//! Which packets two rulesets treat differently.

use super::confirm::{Claim, confirm};
use super::path::{Detail, fates};
use super::space::Space;
use super::told::Block;
use super::witness::Witness;
use super::{AnalyseError, Fates};
use crate::firewall::bdd::Region;
use crate::firewall::simulate::{Outcome, Prepared, Way};

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differences {
    /// Nothing: they are equal.
    pub regions: Vec<Difference>,
    /// Whether every block of them is told.
    pub is_whole: bool,
}

/// Packets that end otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Their way.
    pub way: Way,
    /// How they end by the first ruleset.
    pub before: Outcome,
    /// How they end by the second.
    pub after: Outcome,
    /// One of them.
    pub witness: Witness,
    /// All of them.
    pub blocks: Vec<Block>,
}

/// So many blocks are told of one difference.
const MOST_BLOCKS: usize = 1_000;

/// Compares two rulesets by what becomes of every packet on these ways. Both must be known to the
/// space. Every witness is confirmed by the simulator, on both sides.
///
/// # Errors
/// When the node budget is used up, or the simulator disagrees.
pub fn diff(
    space: &mut Space,
    before: &Prepared<'_>,
    after: &Prepared<'_>,
    ways: &[Way],
) -> Result<Differences, AnalyseError> {
    let start = space.possible()?;
    let mut found = Differences { regions: Vec::new(), is_whole: true };
    for way in ways {
        let old = outcomes(fates(space, before, *way, start, Detail::Fates)?);
        let new = outcomes(fates(space, after, *way, start, Detail::Fates)?);
        for (was, old) in &old {
            for (is, new) in new.iter().filter(|(is, _)| is != was) {
                let region = space.bdd.and(*old, *new)?;
                let Some((witness, is_certain)) = space.surest_witness(region)? else { continue };
                let claims = [(before, *was), (after, *is)];
                for (prepared, outcome) in claims {
                    confirm(prepared, *way, &witness, Claim::of(outcome, is_certain))?;
                }
                let (blocks, is_whole) = space.blocks(region, MOST_BLOCKS)?;
                found.is_whole &= is_whole;
                let (before, after) = (*was, *is);
                found.regions.push(Difference { way: *way, before, after, witness, blocks });
            }
        }
    }
    Ok(found)
}

fn outcomes(fates: Fates) -> Vec<(Outcome, Region)> {
    let mut all = vec![(Outcome::Accept, fates.accepted), (Outcome::Drop, fates.dropped)];
    all.extend(fates.rejected.into_iter().map(|(with, region)| (Outcome::Reject(with), region)));
    all
}
