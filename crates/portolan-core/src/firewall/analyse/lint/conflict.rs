//! Rules that want different things of the same packets, so that their order decides.

use std::collections::BTreeMap;

use super::idle::OfChain;
use super::words::{End, end, is_specific};
use super::{Code, Finding, Linted};
use crate::firewall::analyse::AnalyseError;
use crate::firewall::analyse::space::Space;
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::{ChainId, RuleId};

/// Looks at the rules of a chain: of each, what is found first of any family and way.
pub(super) fn look(
    spaces: &mut [&mut Space],
    of_chain: &mut [OfChain<'_>],
    chain: ChainId,
    linted: &mut Linted,
) -> Result<(), AnalyseError> {
    let mut found: BTreeMap<RuleId, Finding> = BTreeMap::new();
    for one in of_chain {
        match one.conflicts(&mut *spaces[one.family.number]) {
            Ok(conflicts) => conflicts.into_iter().for_each(|finding| {
                found.entry(finding.rule).or_insert(finding);
            }),
            Err(AnalyseError::Undecided(_)) => linted.skip(chain, Code::Conflict),
            Err(error) => return Err(error),
        }
    }
    linted.findings.extend(found.into_values());
    Ok(())
}

impl OfChain<'_> {
    /// Rules of which some new packets are wanted for something else by earlier ones, where neither is
    /// a part of the other.
    fn conflicts(&self, space: &mut Space) -> Result<Vec<Finding>, AnalyseError> {
        let [accepting, ending] = self.opponents();
        if accepting.is_empty() || ending.is_empty() {
            return Ok(Vec::new());
        }
        let fresh = space.fresh()?;
        let fresh = space.of_way(fresh, self.way)?;
        let mut found = Vec::new();
        for (index, earlier) in self.contradictions(space, &accepting, &ending, fresh)? {
            let both = space.bdd.and(self.matches[index], self.matches[earlier[0]])?;
            let both = space.bdd.and(both, fresh)?;
            // Where the earlier one holds only now and then, this one may hold for the same packet.
            let (both, _) = space.certainly_and_possibly(both)?;
            let rule = self.id(index);
            let (witness, depends_on) = self.unmatched(space, both, rule)?;
            let message =
                "an earlier rule wants something else of some of its packets: the order decides";
            found.push(Finding {
                code: Code::Conflict,
                rule,
                blockers: earlier.into_iter().map(|index| self.id(index)).collect(),
                message: message.to_owned(),
                witness,
                depends_on,
            });
        }
        Ok(found)
    }

    /// Rules that accept, and rules that end otherwise; of both those that speak of addresses or
    /// ports.
    fn opponents(&self) -> [Vec<usize>; 2] {
        let mut sides = [Vec::new(), Vec::new()];
        for (index, rule) in self.rules.iter().enumerate() {
            match end(rule).filter(|_| is_specific(rule) && self.is_judged(index)) {
                Some(End::Accept) => sides[0].push(index),
                Some(_) => sides[1].push(index),
                None => {}
            }
        }
        sides
    }

    /// For each rule the earlier ones of the other side that it shares some packets of `fresh` with,
    /// but not all of its own and not all of theirs. Ascending.
    fn contradictions(
        &self,
        space: &mut Space,
        accepting: &[usize],
        ending: &[usize],
        fresh: Region,
    ) -> Result<Vec<(usize, Vec<usize>)>, Undecided> {
        let regions = |of: &[usize]| of.iter().map(|index| self.matches[*index]).collect();
        let (ones, others): (Vec<Region>, Vec<Region>) = (regions(accepting), regions(ending));
        let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (one, other) in space.bdd.meetings(&ones, &others)? {
            let (one, other) = (accepting[one as usize], ending[other as usize]);
            let bdd = &mut space.bdd;
            let (a, b) = (self.matches[one], self.matches[other]);
            if bdd.meets_within(a, b, fresh)
                && bdd.meets_within(a, !b, fresh)
                && bdd.meets_within(b, !a, fresh)
            {
                found.entry(one.max(other)).or_default().push(one.min(other));
            }
        }
        found.values_mut().for_each(|earlier| earlier.sort_unstable());
        Ok(found.into_iter().collect())
    }
}
