//! Cells that say as little as they can, and as few of them as that takes.

use std::collections::BTreeMap;

use super::{Axis, Cell};
use crate::firewall::analyse::space::Space;
use crate::firewall::bdd::{Region, Undecided};

impl Space {
    /// Cells that say as little as they can and are still of the region, and as few of them as that takes.
    /// They may overlap.
    pub(in crate::firewall::analyse) fn widened(
        &mut self,
        cells: Vec<Cell>,
        region: Region,
        care: Region,
    ) -> Result<Vec<Cell>, Undecided> {
        let allowed = self.bdd.or(region, !care)?;
        let mut wide: Vec<Cell> = Vec::new();
        for mut cell in cells {
            let mut axes: Vec<Axis> = cell.keys().copied().collect();
            axes.sort_by_key(|axis| axis.worth());
            for axis in axes {
                // Where ports are said, it is said of which protocol.
                let is_asked =
                    axis == Axis::Protocol && cell.keys().any(|axis| axis.is_of_protocol());
                if is_asked {
                    continue;
                }
                let Some(values) = cell.remove(&axis) else { continue };
                let shape = self.of_cell(&cell)?;
                if values.is_empty() || !self.bdd.covers(allowed, shape) {
                    cell.insert(axis, values);
                }
            }
            if !wide.contains(&cell) {
                wide.push(cell);
            }
        }
        wide.sort_by_key(BTreeMap::len);
        let mut told = Region::NONE;
        let mut kept: Vec<(Cell, Region)> = Vec::new();
        for cell in wide {
            let shape = self.of_cell(&cell)?;
            let shape = self.bdd.and(shape, care)?;
            if !self.bdd.covers(told, shape) {
                told = self.bdd.or(told, shape)?;
                kept.push((cell, shape));
            }
        }
        if kept.len() <= MOST_COMPARED {
            self.without_covered(&mut kept)?;
            self.narrowed(&mut kept)?;
        }
        Ok(kept.into_iter().map(|(cell, _)| cell).collect())
    }

    /// Drops cells that the others hold already.
    fn without_covered(&mut self, cells: &mut Vec<(Cell, Region)>) -> Result<(), Undecided> {
        let mut at = 0;
        while at < cells.len() {
            let others = cells.iter().enumerate().filter(|(other, _)| *other != at);
            let others: Vec<Region> = others.map(|(_, (_, shape))| *shape).collect();
            let others = self.bdd.union(others)?;
            match self.bdd.covers(others, cells[at].1) {
                true => drop(cells.remove(at)),
                false => at += 1,
            }
        }
        Ok(())
    }

    /// Drops values of cells with which others hold the same already, where it takes no more ranges.
    fn narrowed(&mut self, cells: &mut [(Cell, Region)]) -> Result<(), Undecided> {
        for at in 0..cells.len() {
            let others = cells.iter().enumerate().filter(|(other, _)| *other != at);
            let others: Vec<Region> = others.map(|(_, (_, shape))| *shape).collect();
            let others = self.bdd.union(others)?;
            let axes: Vec<Axis> = cells[at].0.keys().copied().collect();
            for axis in axes {
                let bits = self.bits_of(axis);
                let (cell, shape) = &cells[at];
                let Some(values) = cell.get(&axis).filter(|values| !values.is_empty()) else {
                    continue;
                };
                let needed = self.bdd.minus(*shape, others)?;
                let needed = self.projected(needed, &[bits])?;
                let parts = self.bdd.split(needed, bits, values.len()).unwrap_or_default();
                let Some(fewer) = parts.into_iter().next().filter(|p| p.values != *values) else {
                    continue;
                };
                let here = self.bdd.ranges(bits, &fewer.values)?;
                let shape = self.bdd.and(*shape, here)?;
                cells[at].0.insert(axis, fewer.values);
                cells[at].1 = shape;
            }
        }
        Ok(())
    }
}

/// Of so many cells each is held against all others.
const MOST_COMPARED: usize = 100;
