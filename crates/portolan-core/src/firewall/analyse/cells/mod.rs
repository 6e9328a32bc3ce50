//! Regions as lists of cells: values by field. Where only some packets matter (those that there can be,
//! those asked about), as few fields and as few cells as these allow.
//!
//! ```text
//! axis      the fields that are told apart       simpler   regions that ask for fewer fields
//! widened   cells that say as little as they can merged    cells that differ in one field only, as one
//! ```

mod axis;
mod merged;
mod simpler;
mod widened;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::space::Space;
use crate::firewall::bdd::{Bits, Part, Region, Undecided};

pub(super) use axis::Axis;

/// Values by axis; what is not there may be anything.
pub(super) type Cell = BTreeMap<Axis, Vec<(u128, u128)>>;

/// What is known while packets are told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Among {
    /// Only these packets matter.
    pub(super) care: Region,
    /// Whether open questions are told; else they are quantified away.
    pub(super) tells_answers: bool,
    /// Whether blocks may overlap, so that each says as little as it can.
    pub(super) may_overlap: bool,
    /// So many blocks at most.
    pub(super) most: usize,
}

/// So many values of one field are told apart.
const MOST_VALUES: usize = 64;

impl Space {
    /// A region as cells, field by field in the order of the variables; and whether that is all of it.
    pub(super) fn cells(
        &mut self,
        region: Region,
        among: Among,
        known: &Cell,
        found: &mut Vec<Cell>,
    ) -> Result<bool, Undecided> {
        let region = self.reduced(region, among.care)?;
        let Some(top) = self.bdd.branch(region).map(|branch| branch.variable) else {
            found.push(known.clone());
            return Ok(true);
        };
        if found.len() >= among.most {
            return Ok(false);
        }
        let (axis, bits) = self.axis(top);
        let parts = match axis {
            Axis::EarlierTranslation => None,
            _ => self.bdd.split(region, bits, MOST_VALUES),
        };
        let Some(parts) = parts else {
            // Too much to tell: that it matters is said.
            let cube = self.bdd.cube(bits.variables())?;
            let rest = self.bdd.exists(region, cube)?;
            let mut cell = known.clone();
            cell.insert(axis, Vec::new());
            let among = Among { care: self.bdd.exists(among.care, cube)?, ..among };
            self.cells(rest, among, &cell, found)?;
            return Ok(false);
        };
        let mut is_whole = true;
        for part in parts {
            let rest = part.rest;
            let with = self.bdd.ranges(bits, &part.values)?;
            let care = self.bdd.and(among.care, with)?;
            if !self.bdd.meets(care, rest) {
                continue;
            }
            let mut cell = known.clone();
            let values = match axis {
                Axis::State => self.occurring(bits, care, part.rest)?,
                _ if part.values.len() > 1 => self.plainer(bits, care, part)?,
                _ => part.values,
            };
            if values != [(0, bits.greatest())] {
                cell.insert(axis, values);
            }
            is_whole &= self.cells(rest, Among { care, ..among }, &cell, found)?;
        }
        Ok(is_whole)
    }

    /// The values of a part, or only those that packets have among those that matter: what takes fewer ranges.
    fn plainer(
        &mut self,
        bits: Bits,
        care: Region,
        part: Part,
    ) -> Result<Vec<(u128, u128)>, Undecided> {
        let there = self.bdd.and(care, part.rest)?;
        let there = self.projected(there, &[bits])?;
        let parts = self.bdd.split(there, bits, part.values.len()).unwrap_or_default();
        let plainer = parts.into_iter().map(|there| there.values).next();
        Ok(plainer.filter(|values| values.len() < part.values.len()).unwrap_or(part.values))
    }

    /// The values of a small field that packets of a region have, among those that matter.
    fn occurring(
        &mut self,
        bits: Bits,
        care: Region,
        region: Region,
    ) -> Result<Vec<(u128, u128)>, Undecided> {
        let mut found = Vec::new();
        for value in 0..=bits.greatest() {
            let with = self.bdd.equal(bits, value)?;
            if self.bdd.meets_within(care, with, region) {
                found.push((value, value));
            }
        }
        Ok(found)
    }

    /// The packets of a cell.
    pub(super) fn of_cell(&mut self, cell: &Cell) -> Result<Region, Undecided> {
        let told = cell.iter().filter(|(_, values)| !values.is_empty());
        let mut fields: Vec<_> = told.map(|(axis, values)| (self.bits_of(*axis), values)).collect();
        // From the last variables to the first, each field only adds on top.
        fields.sort_by_key(|(bits, _)| Reverse(bits.first));
        let mut all = Region::ALL;
        for (bits, values) in fields {
            let is_apart = self.bdd.branch(all).is_none_or(|top| top.variable >= bits.end());
            all = if is_apart {
                self.bdd.ranges_and(bits, values, all)?
            } else {
                let here = self.bdd.ranges(bits, values)?;
                self.bdd.and(all, here)?
            };
        }
        Ok(all)
    }
}
