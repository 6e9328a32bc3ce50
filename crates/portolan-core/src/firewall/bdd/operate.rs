//! Union, intersection and the like, each result remembered.

use super::Undecided;
use super::node::{Bdd, Region, TERMINAL};

/// What stands in the third place of a cache key for an operation on two regions. Handles stay
/// far below (the budget is at most 2³⁰ nodes).
pub(super) mod tag {
    pub(in super::super) const AND: u32 = u32::MAX - 1;
    pub(in super::super) const XOR: u32 = u32::MAX - 2;
    pub(in super::super) const MEETS: u32 = u32::MAX - 3;
    pub(in super::super) const EXISTS: u32 = u32::MAX - 4;
    pub(in super::super) const SUBSTITUTE: u32 = u32::MAX - 5;
}

/// Where regions that are gone down together part.
enum Fork<const N: usize> {
    /// Nowhere: there is a packet in all of them, or none.
    Ends(bool),
    /// Here: what is left of them on both sides, none of it empty.
    Both([Region; N], [Region; N]),
}

impl Bdd {
    /// The packets in both.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn and(&mut self, f: Region, g: Region) -> Result<Region, Undecided> {
        if f == g || g.is_all() || f.is_none() {
            return Ok(f);
        }
        if f.is_all() || g.is_none() {
            return Ok(g);
        }
        if f == !g {
            return Ok(Region::NONE);
        }
        let (f, g) = if f < g { (f, g) } else { (g, f) };
        let key = [f.0, g.0, tag::AND];
        if let Some(known) = self.remembered(key) {
            return Ok(known);
        }
        let variable = self.top(f).min(self.top(g));
        let (f0, f1) = self.sides(f, variable);
        let (g0, g1) = self.sides(g, variable);
        let zero = self.and(f0, g0)?;
        let one = self.and(f1, g1)?;
        let result = self.node(variable, zero, one)?;
        self.remember(key, result);
        Ok(result)
    }

    /// The packets in either.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn or(&mut self, f: Region, g: Region) -> Result<Region, Undecided> {
        Ok(!self.and(!f, !g)?)
    }

    /// The packets in `f` and not in `g`.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn minus(&mut self, f: Region, g: Region) -> Result<Region, Undecided> {
        self.and(f, !g)
    }

    /// The packets in exactly one of the two: where they differ.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn xor(&mut self, f: Region, g: Region) -> Result<Region, Undecided> {
        let bit = f.complement_bit() ^ g.complement_bit();
        let (f, g) = (f.flipped(f.complement_bit()), g.flipped(g.complement_bit()));
        Ok(self.xor_regular(f, g)?.flipped(bit))
    }

    fn xor_regular(&mut self, f: Region, g: Region) -> Result<Region, Undecided> {
        if f == g {
            return Ok(Region::NONE);
        }
        let (f, g) = if f < g { (f, g) } else { (g, f) };
        if f.is_all() {
            return Ok(!g);
        }
        let key = [f.0, g.0, tag::XOR];
        if let Some(known) = self.remembered(key) {
            return Ok(known);
        }
        let variable = self.top(f).min(self.top(g));
        let (f0, f1) = self.sides(f, variable);
        let (g0, g1) = self.sides(g, variable);
        let zero = self.xor(f0, g0)?;
        let one = self.xor(f1, g1)?;
        let result = self.node(variable, zero, one)?;
        self.remember(key, result);
        Ok(result)
    }

    /// `then` inside of `condition`, `otherwise` outside of it.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn either(
        &mut self,
        condition: Region,
        then: Region,
        otherwise: Region,
    ) -> Result<Region, Undecided> {
        if condition.is_all() || then == otherwise {
            return Ok(then);
        }
        if condition.is_none() {
            return Ok(otherwise);
        }
        if then.is_all() || condition == then {
            return self.or(condition, otherwise);
        }
        if otherwise.is_none() || condition == otherwise {
            return self.and(condition, then);
        }
        if then.is_none() || condition == !then {
            return self.and(!condition, otherwise);
        }
        if otherwise.is_all() || condition == !otherwise {
            return self.or(!condition, then);
        }
        if then == !otherwise {
            return Ok(!self.xor(condition, then)?);
        }
        self.either_below(condition, then, otherwise)
    }

    fn either_below(&mut self, c: Region, t: Region, o: Region) -> Result<Region, Undecided> {
        let (c, t, o) = if c.complement_bit() == 1 { (!c, o, t) } else { (c, t, o) };
        let bit = t.complement_bit();
        let (t, o) = (t.flipped(bit), o.flipped(bit));
        let key = [c.0, t.0, o.0];
        if let Some(known) = self.remembered(key) {
            return Ok(known.flipped(bit));
        }
        let variable = self.top(c).min(self.top(t)).min(self.top(o));
        let (c0, c1) = self.sides(c, variable);
        let (t0, t1) = self.sides(t, variable);
        let (o0, o1) = self.sides(o, variable);
        let zero = self.either(c0, t0, o0)?;
        let one = self.either(c1, t1, o1)?;
        let result = self.node(variable, zero, one)?;
        self.remember(key, result);
        Ok(result.flipped(bit))
    }

    /// Whether some packet is in both. Builds nothing, so it cannot run out of budget.
    pub fn meets(&mut self, f: Region, g: Region) -> bool {
        if f.is_none() || g.is_none() || f == !g {
            return false;
        }
        if f == g || f.is_all() || g.is_all() {
            return true;
        }
        let (f, g) = if f < g { (f, g) } else { (g, f) };
        let key = [f.0, g.0, tag::MEETS];
        if let Some(known) = self.remembered(key) {
            return known.is_all();
        }
        let result = match self.fork([f, g]) {
            Fork::Ends(ends) => ends,
            Fork::Both([f0, g0], [f1, g1]) => self.meets(f0, g0) || self.meets(f1, g1),
        };
        self.remember(key, if result { Region::ALL } else { Region::NONE });
        result
    }

    /// Goes down regions together as long as only one side has packets of all of them: rules mostly want one
    /// value of a field, so that it is a long way to where there is a choice, and not worth remembering.
    fn fork<const N: usize>(&self, mut regions: [Region; N]) -> Fork<N> {
        loop {
            let variable = regions.iter().map(|region| self.top(*region)).min();
            let Some(variable) = variable.filter(|variable| *variable != TERMINAL) else {
                return Fork::Ends(!regions.contains(&Region::NONE));
            };
            let sides = regions.map(|region| self.sides(region, variable));
            let (zero, one) = (sides.map(|side| side.0), sides.map(|side| side.1));
            regions = match (zero.contains(&Region::NONE), one.contains(&Region::NONE)) {
                (true, true) => return Fork::Ends(false),
                (true, false) => one,
                (false, true) => zero,
                (false, false) => return Fork::Both(zero, one),
            };
        }
    }

    /// Whether some packet is in all three. Builds nothing.
    pub fn meets_within(&mut self, f: Region, g: Region, within: Region) -> bool {
        if f.is_none() || g.is_none() || within.is_none() || f == !g {
            return false;
        }
        if within.is_all() || f == g {
            return if f == g { self.meets(f, within) } else { self.meets(f, g) };
        }
        if f.is_all() || g.is_all() {
            return self.meets(if f.is_all() { g } else { f }, within);
        }
        let (f, g) = if f < g { (f, g) } else { (g, f) };
        // Told apart from `either` by the highest bit, which no handle has.
        let key = [f.0, g.0, within.0 | 1 << 31];
        if let Some(known) = self.remembered(key) {
            return known.is_all();
        }
        let result = match self.fork([f, g, within]) {
            Fork::Ends(ends) => ends,
            Fork::Both([f0, g0, within0], [f1, g1, within1]) => {
                self.meets_within(f0, g0, within0) || self.meets_within(f1, g1, within1)
            }
        };
        self.remember(key, if result { Region::ALL } else { Region::NONE });
        result
    }

    /// Whether every packet of `f` is in `g`. Builds nothing.
    pub fn covers(&mut self, g: Region, f: Region) -> bool {
        !self.meets(f, !g)
    }

    /// The union of many: in pairs, then pairs of pairs, so that regions given in the order of
    /// the variables (sorted prefixes, sorted ports) cost little more than their own size.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn union(&mut self, mut regions: Vec<Region>) -> Result<Region, Undecided> {
        while regions.len() > 1 {
            let mut merged = Vec::with_capacity(regions.len().div_ceil(2));
            for pair in regions.chunks(2) {
                merged.push(match *pair {
                    [one, other] => self.or(one, other)?,
                    [one] => one,
                    _ => Region::NONE,
                });
            }
            regions = merged;
        }
        Ok(regions.pop().unwrap_or(Region::NONE))
    }

    /// The same for regions in any order: they are sorted by their first paths beforehand.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn union_sorted(&mut self, mut regions: Vec<Region>) -> Result<Region, Undecided> {
        regions.retain(|region| !region.is_none());
        if regions.len() > 2 {
            regions.sort_by_cached_key(|region| self.first_path(*region));
            regions.dedup();
        }
        self.union(regions)
    }

    /// The questions and answers on the way to the first packet of a region.
    fn first_path(&self, region: Region) -> Vec<u32> {
        let bits = self.one_of(region, |_| false).unwrap_or_default();
        bits.into_iter().map(|(variable, bit)| variable << 1 | u32::from(bit)).collect()
    }

    /// The packets in all of them.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn intersection(
        &mut self,
        regions: impl IntoIterator<Item = Region>,
    ) -> Result<Region, Undecided> {
        regions.into_iter().try_fold(Region::ALL, |all, one| self.and(all, one))
    }

    /// Whether a packet is in a region, its bits as `bit(variable)` tells them.
    pub fn contains(&self, region: Region, bit: impl Fn(u32) -> bool) -> bool {
        let mut at = region;
        while self.top(at) != TERMINAL {
            let node = &self.nodes[at.index()];
            let side = if bit(node.variable) { node.one } else { node.zero };
            at = side.flipped(at.complement_bit());
        }
        at.is_all()
    }
}
