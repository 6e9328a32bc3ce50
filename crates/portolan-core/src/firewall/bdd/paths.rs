//! What is in a region, told: one packet, or a field's values and what remains beside each.

use std::collections::HashMap;

use super::field::Bits;
use super::node::{Bdd, Region};

/// Values of a field that all lead to the same rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The values, as ranges with both ends included: ascending, not touching.
    pub values: Vec<(u128, u128)>,
    /// What the other fields may be beside them; never [`Region::NONE`].
    pub rest: Region,
}

impl Bdd {
    /// One packet of the region: the bits that it needs, by variable, ascending; all others are
    /// free. `prefers` is asked for each variable where both ways lead to a packet. `None` where
    /// the region is empty.
    pub fn one_of(
        &self,
        region: Region,
        prefers: impl Fn(u32) -> bool,
    ) -> Option<Vec<(u32, bool)>> {
        if region.is_none() {
            return None;
        }
        let mut bits = Vec::new();
        let mut at = region;
        while let Some(branch) = self.branch(at) {
            let one = match (branch.zero.is_none(), branch.one.is_none()) {
                (true, _) => true,
                (_, true) => false,
                _ => prefers(branch.variable),
            };
            bits.push((branch.variable, one));
            at = if one { branch.one } else { branch.zero };
        }
        Some(bits)
    }

    /// The values of a field that occur in a region, grouped by what remains beside them, in the
    /// order of their first value. The region must ask for no variable before the field.
    /// `None` where more than `limit` ranges would be needed to tell it.
    #[must_use]
    pub fn split(&self, region: Region, bits: Bits, limit: usize) -> Option<Vec<Part>> {
        let mut split = Split { bits, limit, parts: Vec::new(), by_rest: HashMap::new(), told: 0 };
        self.split_below(region, 0, 0, &mut split).then_some(split.parts)
    }

    fn split_below(&self, region: Region, depth: u32, base: u128, split: &mut Split) -> bool {
        if region.is_none() {
            return true;
        }
        let next = self.branch(region).filter(|branch| branch.variable < split.bits.end());
        let Some(branch) = next else {
            return split.add(region, depth, base);
        };
        let half = base | 1 << (split.bits.width - depth - 1);
        let (zero, one) = if branch.variable == split.bits.first + depth {
            (branch.zero, branch.one)
        } else {
            (region, region)
        };
        self.split_below(zero, depth + 1, base, split)
            && self.split_below(one, depth + 1, half, split)
    }

    /// Which share of all packets the region holds, between 0 and 1.
    #[must_use]
    pub fn share(&self, region: Region) -> f64 {
        let mut known = HashMap::new();
        self.share_below(region, &mut known)
    }

    fn share_below(&self, region: Region, known: &mut HashMap<Region, f64>) -> f64 {
        let Some(branch) = self.branch(region) else {
            return if region.is_all() { 1.0 } else { 0.0 };
        };
        if let Some(share) = known.get(&region) {
            return *share;
        }
        let zero = self.share_below(branch.zero, known);
        let one = self.share_below(branch.one, known);
        let share = f64::midpoint(zero, one);
        known.insert(region, share);
        share
    }

    /// How many nodes tell this region.
    #[must_use]
    pub fn size(&self, region: Region) -> usize {
        let mut seen = std::collections::HashSet::new();
        let mut open = vec![region];
        while let Some(at) = open.pop() {
            let Some(branch) = self.branch(at) else { continue };
            if seen.insert(at.index()) {
                open.extend([branch.zero, branch.one]);
            }
        }
        seen.len()
    }
}

struct Split {
    bits: Bits,
    limit: usize,
    parts: Vec<Part>,
    by_rest: HashMap<Region, usize>,
    told: usize,
}

impl Split {
    /// Adds the block of values whose first `depth` bits are those of `base`. Blocks come in
    /// ascending order. False where the limit is reached.
    fn add(&mut self, rest: Region, depth: u32, base: u128) -> bool {
        let last = base | Bits { first: 0, width: self.bits.width - depth }.greatest();
        let parts = &mut self.parts;
        let index = *self.by_rest.entry(rest).or_insert_with(|| {
            parts.push(Part { values: Vec::new(), rest });
            parts.len() - 1
        });
        let values = &mut parts[index].values;
        match values.last_mut() {
            Some(before) if before.1.checked_add(1) == Some(base) => before.1 = last,
            _ => {
                values.push((base, last));
                self.told += 1;
            }
        }
        self.told <= self.limit
    }
}
