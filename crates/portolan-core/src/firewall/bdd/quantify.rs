//! Variables taken away or replaced: "for some value of", "for every value of", "after this change".

use std::collections::BTreeSet;

use super::Undecided;
use super::node::{Bdd, Region, TERMINAL};
use super::operate::tag;

/// A change of some variables, registered with [`Bdd::substitution`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Substitution(u32);

/// What replaces each variable, sorted by variable.
pub(super) type Bindings = Vec<(u32, Region)>;

impl Bdd {
    /// The packets that are in `f` for some value of the variables of `cube` (an intersection of
    /// variables, as [`Bdd::cube`] makes it).
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn exists(&mut self, f: Region, cube: Region) -> Result<Region, Undecided> {
        let top = self.top(f);
        let mut cube = cube;
        while self.top(cube) < top {
            (_, cube) = self.sides(cube, self.top(cube));
        }
        if top == TERMINAL || cube.is_all() {
            return Ok(f);
        }
        let key = [f.0, cube.0, tag::EXISTS];
        if let Some(known) = self.remembered(key) {
            return Ok(known);
        }
        let (zero, one) = self.sides(f, top);
        let result = if self.top(cube) == top {
            let zero = self.exists(zero, cube)?;
            if zero.is_all() {
                zero
            } else {
                let one = self.exists(one, cube)?;
                self.or(zero, one)?
            }
        } else {
            let zero = self.exists(zero, cube)?;
            let one = self.exists(one, cube)?;
            self.node(top, zero, one)?
        };
        self.remember(key, result);
        Ok(result)
    }

    /// The packets that are in `f` for every value of the variables of `cube`.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn for_all(&mut self, f: Region, cube: Region) -> Result<Region, Undecided> {
        Ok(!self.exists(!f, cube)?)
    }

    /// The packets in which all these variables are 1: what [`Bdd::exists`] takes.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn cube(&mut self, variables: impl IntoIterator<Item = u32>) -> Result<Region, Undecided> {
        let sorted: BTreeSet<u32> = variables.into_iter().collect();
        sorted
            .into_iter()
            .rev()
            .try_fold(Region::ALL, |below, variable| self.node(variable, Region::NONE, below))
    }

    /// Registers a change: each variable gets the value that its region has for the same packet.
    /// The same change gets the same handle.
    pub fn substitution(&mut self, mut bindings: Vec<(u32, Region)>) -> Substitution {
        bindings.sort_unstable();
        bindings.dedup_by_key(|binding| binding.0);
        let known = self.bindings.iter().position(|other| *other == bindings);
        let index = known.unwrap_or_else(|| {
            self.bindings.push(bindings);
            self.bindings.len() - 1
        });
        Substitution(index as u32)
    }

    /// The packets that are in `f` after the change.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn substituted(&mut self, f: Region, by: Substitution) -> Result<Region, Undecided> {
        let last = self.bindings[by.0 as usize].last().map_or(0, |binding| binding.0);
        self.substituted_until(f, by, last)
    }

    fn substituted_until(
        &mut self,
        f: Region,
        by: Substitution,
        last: u32,
    ) -> Result<Region, Undecided> {
        let top = self.top(f);
        if top > last || self.bindings[by.0 as usize].is_empty() {
            return Ok(f);
        }
        let bit = f.complement_bit();
        let f = f.flipped(bit);
        let key = [f.0, by.0, tag::SUBSTITUTE];
        if let Some(known) = self.remembered(key) {
            return Ok(known.flipped(bit));
        }
        let (zero, one) = self.sides(f, top);
        let bindings = &self.bindings[by.0 as usize];
        let value = match bindings.binary_search_by_key(&top, |binding| binding.0) {
            Ok(found) => bindings[found].1,
            Err(_) => self.variable(top)?,
        };
        let result = if value.is_all() {
            self.substituted_until(one, by, last)?
        } else if value.is_none() {
            self.substituted_until(zero, by, last)?
        } else {
            let zero = self.substituted_until(zero, by, last)?;
            let one = self.substituted_until(one, by, last)?;
            self.either(value, one, zero)?
        };
        self.remember(key, result);
        Ok(result.flipped(bit))
    }

    /// Every variable the region asks for, ascending.
    #[must_use]
    pub fn support(&self, region: Region) -> BTreeSet<u32> {
        // Children stand before their parents.
        let mut seen = vec![0_u64; region.index() / 64 + 1];
        let mut variables = BTreeSet::new();
        let mut last = TERMINAL;
        let mut open = vec![region.index()];
        while let Some(index) = open.pop() {
            let node = self.nodes[index];
            let (word, bit) = (index / 64, 1 << (index % 64));
            if node.variable == TERMINAL || seen[word] & bit != 0 {
                continue;
            }
            seen[word] |= bit;
            if node.variable != last {
                last = node.variable;
                variables.insert(last);
            }
            open.extend([node.zero.index(), node.one.index()]);
        }
        variables
    }
}
