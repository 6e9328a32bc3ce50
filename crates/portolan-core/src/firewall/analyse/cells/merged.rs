//! Cells that differ in one field only, told as one.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};

use super::{Axis, Cell};
use crate::firewall::analyse::space::Space;

impl Space {
    /// The same with this space's fields.
    pub(in crate::firewall::analyse) fn merged(&self, cells: Vec<Cell>) -> Vec<Cell> {
        merged(cells, |axis| self.bits_of(axis).greatest())
    }
}

/// Cells that differ in one field only, as one.
pub(in crate::firewall::analyse) fn merged(
    mut cells: Vec<Cell>,
    greatest: impl Fn(Axis) -> u128,
) -> Vec<Cell> {
    loop {
        let before = cells.len();
        let axes: BTreeSet<Axis> = cells.iter().flat_map(|cell| cell.keys().copied()).collect();
        for axis in axes.into_iter().rev() {
            cells = merged_along(cells, axis, greatest(axis));
        }
        if cells.len() == before {
            return cells;
        }
    }
}

fn merged_along(cells: Vec<Cell>, axis: Axis, greatest: u128) -> Vec<Cell> {
    let mut kept: Vec<Cell> = Vec::new();
    // By a hash of what cells say beside the axis; few have the same and say another thing.
    let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
    let state = RandomState::new();
    for mut cell in cells {
        let along = cell.remove(&axis);
        let alike = places.entry(state.hash_one(&cell)).or_default();
        let place = alike.iter().copied().find(|place| is_beside(&kept[*place], &cell, axis));
        let Some(place) = place else {
            alike.push(kept.len());
            cell.extend(along.map(|values| (axis, values)));
            kept.push(cell);
            continue;
        };
        let known = &mut kept[place];
        let union = match (known.get(&axis), &along) {
            // Something about it that is not told stays that.
            (Some(one), Some(other)) if one.is_empty() || other.is_empty() => Some(Vec::new()),
            (Some(one), Some(other)) => Some(united(one, other)),
            _ => None,
        };
        match union.filter(|values| *values != [(0, greatest)]) {
            Some(values) => known.insert(axis, values),
            None => known.remove(&axis),
        };
    }
    kept
}

/// Whether a cell is another one that says nothing about an axis, but for that axis.
fn is_beside(cell: &Cell, other: &Cell, axis: Axis) -> bool {
    cell.iter().filter(|(own, _)| **own != axis).eq(other)
}

fn united(one: &[(u128, u128)], other: &[(u128, u128)]) -> Vec<(u128, u128)> {
    let mut all: Vec<(u128, u128)> = one.iter().chain(other).copied().collect();
    all.sort_unstable();
    let mut apart: Vec<(u128, u128)> = Vec::new();
    for (from, to) in all {
        match apart.last_mut() {
            Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
            _ => apart.push((from, to)),
        }
    }
    apart
}
