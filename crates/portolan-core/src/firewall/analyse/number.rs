//! Numbers whose bits depend on the packet, and which packets make them fall into a set.

use crate::firewall::bdd::{Bdd, Bits, Region, Undecided};

/// A number, bit by bit, the most significant first; bits above are 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Number {
    /// For each bit the packets in which it is 1.
    pub(super) bits: Vec<Region>,
    /// The packets for which there is such a number at all.
    pub(super) known: Region,
    /// Whether it numbers interface names.
    pub(super) is_name: bool,
}

impl Number {
    pub(super) fn constant(value: u128, width: u32) -> Self {
        let field = Bits { first: 0, width };
        let bits = field.variables().map(|variable| region(field.bit(value, variable)));
        Self { bits: bits.collect(), known: Region::ALL, is_name: false }
    }

    /// What no packet has.
    pub(super) fn absent() -> Self {
        Self { known: Region::NONE, ..Self::constant(0, 1) }
    }

    /// `(self & mask) ^ flip`, each counted from the least significant bit.
    pub(super) fn masked(mut self, mask: u128, flip: u128) -> Self {
        let field = Bits { first: 0, width: self.bits.len() as u32 };
        for (variable, bit) in field.variables().zip(&mut self.bits) {
            if field.bit(mask, variable) != Some(true) {
                *bit = Region::NONE;
            }
            if field.bit(flip, variable) == Some(true) {
                *bit = !*bit;
            }
        }
        self
    }

    /// The bits for which `mask` has a 1.
    pub(super) fn picked(&self, mask: u128) -> Vec<Region> {
        let field = Bits { first: 0, width: self.bits.len() as u32 };
        let bits = field.variables().zip(&self.bits);
        bits.filter(|(v, _)| field.bit(mask, *v) == Some(true)).map(|(_, bit)| *bit).collect()
    }
}

const fn region(bit: Option<bool>) -> Region {
    match bit {
        Some(true) => Region::ALL,
        _ => Region::NONE,
    }
}

/// The packets that make the bits spell a number in one of the ranges (sorted, apart).
pub(super) fn in_ranges(
    bdd: &mut Bdd,
    bits: &[Region],
    ranges: &[(u128, u128)],
) -> Result<Region, Undecided> {
    if let Some(field) = as_field(bdd, bits) {
        return bdd.ranges(field, ranges);
    }
    let greatest = Bits { first: 0, width: bits.len() as u32 }.greatest();
    let mut sorted = ranges.to_vec();
    sorted.retain(|range| range.0 <= greatest);
    sorted.sort_unstable();
    let mut apart: Vec<(u128, u128)> = Vec::new();
    for (from, to) in sorted {
        match apart.last_mut() {
            Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
            _ => apart.push((from, to)),
        }
    }
    below(bdd, bits, 0, &apart)
}

/// The bits as a field, where they are the variables of one, untouched.
fn as_field(bdd: &Bdd, bits: &[Region]) -> Option<Bits> {
    let variable = |region: Region| {
        let branch = bdd.branch(region)?;
        (branch.zero.is_none() && branch.one.is_all()).then_some(branch.variable)
    };
    let first = variable(*bits.first()?)?;
    let mut expected = first..;
    let in_a_row = bits.iter().all(|bit| variable(*bit) == expected.next());
    in_a_row.then_some(Bits { first, width: bits.len() as u32 })
}

/// `ranges`: sorted, apart, each meeting the numbers that begin as `base` and have `bits` left.
fn below(
    bdd: &mut Bdd,
    bits: &[Region],
    base: u128,
    ranges: &[(u128, u128)],
) -> Result<Region, Undecided> {
    let Some(&(from, to)) = ranges.first() else { return Ok(Region::NONE) };
    let width = bits.len() as u32;
    let last = base | Bits { first: 0, width }.greatest();
    if from <= base && to >= last {
        return Ok(Region::ALL);
    }
    let Some((&bit, rest)) = bits.split_first() else { return Ok(Region::NONE) };
    let half = base | 1 << (width - 1);
    let lower = &ranges[..ranges.partition_point(|range| range.0 < half)];
    let upper = &ranges[ranges.partition_point(|range| range.1 < half)..];
    if bit.is_none() {
        return below(bdd, rest, base, lower);
    }
    if bit.is_all() {
        return below(bdd, rest, half, upper);
    }
    let zero = below(bdd, rest, base, lower)?;
    let one = below(bdd, rest, half, upper)?;
    bdd.either(bit, one, zero)
}

/// One element's key: a list of ranges for each part (all of them alternatives).
pub(super) type Key = Vec<Vec<(u128, u128)>>;

/// The packets whose parts all fall into one of the keys. Parts are asked in the order of their
/// variables, keys that agree in the first are asked together: a list of pairs becomes a diagram
/// of about its own size.
pub(super) fn in_keys(
    bdd: &mut Bdd,
    parts: &[Vec<Region>],
    mut keys: Vec<Key>,
) -> Result<Region, Undecided> {
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|part| {
        parts[*part].iter().filter_map(|bit| bdd.branch(*bit)).map(|b| b.variable).min()
    });
    for key in &mut keys {
        *key = order.iter().filter_map(|part| key.get(*part).cloned()).collect();
    }
    keys.retain(|key| key.len() == parts.len());
    keys.sort_unstable();
    let parts: Vec<&[Region]> = order.iter().map(|part| parts[*part].as_slice()).collect();
    in_sorted_keys(bdd, &parts, 0, &keys)
}

fn in_sorted_keys(
    bdd: &mut Bdd,
    parts: &[&[Region]],
    part: usize,
    keys: &[Key],
) -> Result<Region, Undecided> {
    let Some(bits) = parts.get(part) else {
        return Ok(if keys.is_empty() { Region::NONE } else { Region::ALL });
    };
    if part + 1 == parts.len() {
        let ranges: Vec<_> = keys.iter().flat_map(|key| key[part].iter().copied()).collect();
        return in_ranges(bdd, bits, &ranges);
    }
    let mut by_rest: Vec<(Region, Vec<(u128, u128)>)> = Vec::new();
    let mut index = std::collections::HashMap::new();
    for group in keys.chunk_by(|a, b| a[part] == b[part]) {
        let rest = in_sorted_keys(bdd, parts, part + 1, group)?;
        let at = *index.entry(rest).or_insert_with(|| {
            by_rest.push((rest, Vec::new()));
            by_rest.len() - 1
        });
        by_rest[at].1.extend(&group[0][part]);
    }
    let mut found = Vec::with_capacity(by_rest.len());
    for (rest, ranges) in by_rest {
        let here = in_ranges(bdd, bits, &ranges)?;
        found.push(bdd.and(here, rest)?);
    }
    bdd.union(found)
}
