//! Regions that are told more simply and have the same packets among those that matter.

use std::collections::{BTreeMap, HashMap};

use super::Axis;
use crate::firewall::analyse::space::Space;
use crate::firewall::bdd::{Region, Undecided};

impl Space {
    /// A wider region with the same packets among those that matter, that asks for fewer fields.
    pub(in crate::firewall::analyse) fn reduced(
        &mut self,
        region: Region,
        care: Region,
    ) -> Result<Region, Undecided> {
        let mut axes: BTreeMap<Axis, Vec<u32>> = BTreeMap::new();
        for variable in self.bdd.support(region) {
            let (axis, _) = self.axis(variable);
            if !axis.is_head() {
                axes.entry(axis).or_default().push(variable);
            }
        }
        let mut axes: Vec<(Axis, Vec<u32>)> = axes.into_iter().collect();
        axes.sort_by_key(|(axis, _)| axis.worth());
        let axes: Vec<Vec<u32>> = axes.into_iter().map(|(_, variables)| variables).collect();
        let others = self.bdd.minus(care, region)?;
        self.reduced_by(region, others, &axes)
    }

    /// A region without what it need not ask, given the `others` that it must not hold. Fields go all at once
    /// where they can, else by halves: where several can go, so can some of them.
    fn reduced_by(
        &mut self,
        region: Region,
        others: Region,
        axes: &[Vec<u32>],
    ) -> Result<Region, Undecided> {
        if axes.is_empty() {
            return Ok(region);
        }
        let cube = self.bdd.cube(axes.iter().flatten().copied())?;
        let wider = self.bdd.exists(region, cube)?;
        if !self.bdd.meets(wider, others) {
            return Ok(wider);
        }
        if axes.len() == 1 {
            return Ok(region);
        }
        let (first, last) = axes.split_at(axes.len() / 2);
        let region = self.reduced_by(region, others, first)?;
        self.reduced_by(region, others, last)
    }

    /// A region with the same packets among those that matter, told as simply as these allow: where only one
    /// side of a question has such packets it is not asked (after O. Coudert and J. C. Madre, "A unified
    /// framework for the formal verification of sequential circuits", 1990).
    pub(in crate::firewall::analyse) fn simplified(
        &mut self,
        region: Region,
        care: Region,
    ) -> Result<Region, Undecided> {
        self.simplified_below(region, care, &mut HashMap::new())
    }

    fn simplified_below(
        &mut self,
        region: Region,
        care: Region,
        known: &mut HashMap<(Region, Region), Region>,
    ) -> Result<Region, Undecided> {
        let Some(asks) = self.bdd.branch(region) else { return Ok(region) };
        let Some(matters) = self.bdd.branch(care) else { return Ok(region) };
        if let Some(result) = known.get(&(region, care)) {
            return Ok(*result);
        }
        let result = if matters.variable < asks.variable {
            let either = self.bdd.or(matters.zero, matters.one)?;
            self.simplified_below(region, either, known)?
        } else {
            let (zero, one) = match matters.variable == asks.variable {
                true => (matters.zero, matters.one),
                false => (care, care),
            };
            match (zero.is_none(), one.is_none()) {
                (true, _) => self.simplified_below(asks.one, one, known)?,
                (_, true) => self.simplified_below(asks.zero, zero, known)?,
                _ => {
                    let zero = self.simplified_below(asks.zero, zero, known)?;
                    let one = self.simplified_below(asks.one, one, known)?;
                    self.bdd.node(asks.variable, zero, one)?
                }
            }
        };
        known.insert((region, care), result);
        Ok(result)
    }
}
