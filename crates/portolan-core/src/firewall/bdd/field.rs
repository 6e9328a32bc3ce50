//! Fields: groups of variables that spell a number, the most significant bit first.

use super::Undecided;
use super::node::{Bdd, Region};

/// A field: `width` variables from `first` on, the most significant bit first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bits {
    /// The variable of the most significant bit.
    pub first: u32,
    /// How many bits, at most 128.
    pub width: u32,
}

impl Bits {
    /// The variables, most significant first.
    pub fn variables(self) -> std::ops::Range<u32> {
        self.first..self.end()
    }

    /// The first variable after the field.
    #[must_use]
    pub const fn end(self) -> u32 {
        self.first + self.width
    }

    /// The largest number the field can spell.
    #[must_use]
    pub const fn greatest(self) -> u128 {
        match self.width {
            0 => 0,
            width if width >= 128 => u128::MAX,
            width => (1 << width) - 1,
        }
    }

    /// The bit of `value` that `variable` stands for; `None` where it is not of this field.
    #[must_use]
    pub fn bit(self, value: u128, variable: u32) -> Option<bool> {
        let place = variable.checked_sub(self.first).filter(|place| *place < self.width)?;
        Some(value.checked_shr(self.width - 1 - place).unwrap_or(0) & 1 == 1)
    }
}

impl Bdd {
    /// The packets whose field is `value`; none where the field cannot spell it.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn equal(&mut self, bits: Bits, value: u128) -> Result<Region, Undecided> {
        if value > bits.greatest() {
            return Ok(Region::NONE);
        }
        self.masked(bits, bits.greatest(), value)
    }

    /// The packets whose field, in the bits of `mask`, is `value`.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn masked(&mut self, bits: Bits, mask: u128, value: u128) -> Result<Region, Undecided> {
        if value & !mask != 0 || value > bits.greatest() {
            return Ok(Region::NONE);
        }
        let mut below = Region::ALL;
        for variable in bits.variables().rev() {
            if bits.bit(mask, variable) != Some(true) {
                continue;
            }
            below = match bits.bit(value, variable) {
                Some(true) => self.node(variable, Region::NONE, below)?,
                _ => self.node(variable, below, Region::NONE)?,
            };
        }
        Ok(below)
    }

    /// The packets whose field begins with the first `length` bits of `value`.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn prefix(&mut self, bits: Bits, value: u128, length: u32) -> Result<Region, Undecided> {
        let host_bits = bits.width.saturating_sub(length);
        let host = Bits { first: 0, width: host_bits }.greatest();
        let mask = bits.greatest() & !host;
        self.masked(bits, mask, value & mask)
    }

    /// The packets whose field has at least one bit of `mask`.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn any_bit(&mut self, bits: Bits, mask: u128) -> Result<Region, Undecided> {
        Ok(!self.masked(bits, mask & bits.greatest(), 0)?)
    }

    /// The packets whose field lies in `from..=to`.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn range(&mut self, bits: Bits, from: u128, to: u128) -> Result<Region, Undecided> {
        self.ranges(bits, &[(from, to)])
    }

    /// The packets whose field lies in one of the ranges (both ends included), which may overlap
    /// and stand in any order. Builds only what the answer needs.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn ranges(&mut self, bits: Bits, ranges: &[(u128, u128)]) -> Result<Region, Undecided> {
        self.ranges_and(bits, ranges, Region::ALL)
    }

    /// The same, of the packets of `rest`, which must ask for no variable before the field's end.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn ranges_and(
        &mut self,
        bits: Bits,
        ranges: &[(u128, u128)],
        rest: Region,
    ) -> Result<Region, Undecided> {
        let merged = merged(bits, ranges);
        self.ranges_below(bits, (0, 0), &merged, rest)
    }

    /// `ranges`: sorted, apart from each other, and all meeting the block of values whose first
    /// `depth` bits are those of `base`.
    fn ranges_below(
        &mut self,
        bits: Bits,
        (depth, base): (u32, u128),
        ranges: &[(u128, u128)],
        rest: Region,
    ) -> Result<Region, Undecided> {
        let Some(&(from, to)) = ranges.first() else { return Ok(Region::NONE) };
        let last = base | Bits { first: 0, width: bits.width - depth }.greatest();
        if from <= base && to >= last {
            return Ok(rest);
        }
        let half = base | 1 << (bits.width - depth - 1);
        let lower = ranges.partition_point(|range| range.0 < half);
        let upper = ranges.partition_point(|range| range.1 < half);
        let zero = self.ranges_below(bits, (depth + 1, base), &ranges[..lower], rest)?;
        let one = self.ranges_below(bits, (depth + 1, half), &ranges[upper..], rest)?;
        self.node(bits.first + depth, zero, one)
    }
}

/// Sorted, cut to what the field can spell, touching and overlapping ones joined.
fn merged(bits: Bits, ranges: &[(u128, u128)]) -> Vec<(u128, u128)> {
    let greatest = bits.greatest();
    let mut sorted: Vec<(u128, u128)> = ranges
        .iter()
        .filter(|(from, to)| from <= to && *from <= greatest)
        .map(|&(from, to)| (from, to.min(greatest)))
        .collect();
    sorted.sort_unstable();
    let mut joined: Vec<(u128, u128)> = Vec::with_capacity(sorted.len());
    for (from, to) in sorted {
        match joined.last_mut() {
            Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}
