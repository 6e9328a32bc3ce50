//! The arena: nodes stored once, found again through an open-addressing table.

use std::ops::Not;

use super::Undecided;
use super::quantify::Bindings;

/// A set of packets: a handle into the [`Bdd`] that made it. Equal handles are equal sets.
///
/// The lowest bit says "the complement of"; the rest is the index of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(pub(super) u32);

impl Region {
    /// Every packet.
    pub const ALL: Self = Self(0);
    /// No packet.
    pub const NONE: Self = Self(1);

    /// Whether no packet is in it.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == Self::NONE.0
    }

    /// Whether every packet is in it.
    #[must_use]
    pub const fn is_all(self) -> bool {
        self.0 == Self::ALL.0
    }

    pub(super) const fn index(self) -> usize {
        (self.0 >> 1) as usize
    }

    pub(super) const fn complement_bit(self) -> u32 {
        self.0 & 1
    }

    /// Itself, or its complement where `bit` is 1.
    pub(super) const fn flipped(self, bit: u32) -> Self {
        Self(self.0 ^ bit)
    }
}

impl Not for Region {
    type Output = Self;

    fn not(self) -> Self {
        self.flipped(1)
    }
}

/// What a region looks like at its first variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Branch {
    /// The variable asked.
    pub variable: u32,
    /// What is left where it is 0.
    pub zero: Region,
    /// What is left where it is 1.
    pub one: Region,
}

/// A node. `one` is never complemented, which makes the form canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) variable: u32,
    pub(super) zero: Region,
    pub(super) one: Region,
}

/// The variable of the terminal node: below all others.
pub(super) const TERMINAL: u32 = u32::MAX;

/// An arena of decision diagrams over one order of variables.
#[derive(Debug)]
pub struct Bdd {
    /// Node 0 is the terminal "every packet". Children stand before their parents.
    pub(super) nodes: Vec<Node>,
    /// Indices of nodes by hash; 0 is an empty slot. The length is a power of two. The bits that no
    /// index needs hold some of the hash, so that few nodes are looked at in vain.
    table: Vec<u32>,
    /// The bits of a slot that hold the index.
    index_mask: u32,
    /// Results of operations, direct-mapped. The length is a power of two.
    pub(super) cache: Vec<Cached>,
    pub(super) bindings: Vec<Bindings>,
    budget: usize,
}

/// A remembered result: of the operation and operands in the key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cached {
    pub(super) key: [u32; 3],
    pub(super) result: Region,
}

impl Cached {
    /// No operation has this key: `u32::MAX` is no handle.
    pub(super) const EMPTY: Self = Self { key: [u32::MAX; 3], result: Region::NONE };
}

const FIRST_TABLE: usize = 1 << 12;
const SMALLEST_CACHE: usize = 1 << 12;
/// 32 MiB of cache; past that, more of it no longer pays (measured with 100,000 rules).
const LARGEST_CACHE: usize = 1 << 21;

impl Bdd {
    /// An empty arena that holds at most `budget` nodes (20 bytes each, with their table).
    #[must_use]
    pub fn new(budget: usize) -> Self {
        let terminal = Node { variable: TERMINAL, zero: Region::ALL, one: Region::ALL };
        let budget = budget.min((1 << 30) - 8);
        Self {
            nodes: vec![terminal],
            table: vec![0; FIRST_TABLE],
            cache: vec![Cached::EMPTY; SMALLEST_CACHE],
            bindings: Vec::new(),
            index_mask: (budget as u32 + 1).next_power_of_two() - 1,
            budget,
        }
    }

    /// How many nodes there are now, those no region needs any more included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing was built yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    /// How many nodes there may be.
    #[must_use]
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// The first variable of a region and what is left on its two sides; `None` for
    /// [`Region::ALL`] and [`Region::NONE`].
    #[must_use]
    pub fn branch(&self, region: Region) -> Option<Branch> {
        let node = self.nodes[region.index()];
        let bit = region.complement_bit();
        (node.variable != TERMINAL).then(|| Branch {
            variable: node.variable,
            zero: node.zero.flipped(bit),
            one: node.one.flipped(bit),
        })
    }

    /// The packets whose variable is 1.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn variable(&mut self, variable: u32) -> Result<Region, Undecided> {
        self.node(variable, Region::NONE, Region::ALL)
    }

    /// `zero` where the variable is 0, `one` where it is 1. Both must start below the variable.
    ///
    /// # Errors
    /// When the budget is used up.
    pub fn node(&mut self, variable: u32, zero: Region, one: Region) -> Result<Region, Undecided> {
        if zero == one {
            return Ok(zero);
        }
        let bit = one.complement_bit();
        let node = Node { variable, zero: zero.flipped(bit), one: one.flipped(bit) };
        Ok(self.stored(node)?.flipped(bit))
    }

    fn stored(&mut self, node: Node) -> Result<Region, Undecided> {
        let mask = self.table.len() - 1;
        let hash = hash(&node);
        let tag = self.tag(hash);
        let mut slot = hash & mask;
        loop {
            let entry = self.table[slot];
            if entry == 0 {
                break;
            }
            let index = entry & self.index_mask;
            if entry & !self.index_mask == tag && self.nodes[index as usize] == node {
                return Ok(Region(index << 1));
            }
            slot = (slot + 1) & mask;
        }
        let index = self.nodes.len();
        if index >= self.budget {
            return Err(Undecided { budget: self.budget });
        }
        self.nodes.push(node);
        self.table[slot] = index as u32 | tag;
        if index * 4 > self.table.len() * 3 {
            self.rebuild_table(self.table.len() * 2);
        }
        Ok(Region((index as u32) << 1))
    }

    /// The bits of a hash that stand above the index in the table.
    const fn tag(&self, hash: usize) -> u32 {
        (hash as u64 >> 32) as u32 & !self.index_mask
    }

    /// Enters every node anew into a table of `slots` slots, and lets the cache keep pace.
    fn rebuild_table(&mut self, slots: usize) {
        self.table.clear();
        self.table.shrink_to(slots);
        self.table.resize(slots, 0);
        let mask = slots - 1;
        for (index, node) in self.nodes.iter().enumerate().skip(1) {
            let hash = hash(node);
            let mut slot = hash & mask;
            while self.table[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.table[slot] = index as u32 | self.tag(hash);
        }
        let wanted = slots.clamp(SMALLEST_CACHE, LARGEST_CACHE);
        if wanted > self.cache.len() {
            self.grow_cache(wanted);
        }
    }

    fn grow_cache(&mut self, wanted: usize) {
        let old = std::mem::replace(&mut self.cache, vec![Cached::EMPTY; wanted]);
        for entry in old.into_iter().filter(|entry| entry.key != Cached::EMPTY.key) {
            self.remember(entry.key, entry.result);
        }
    }

    pub(super) fn remembered(&self, key: [u32; 3]) -> Option<Region> {
        let entry = &self.cache[mix(key) & (self.cache.len() - 1)];
        (entry.key == key).then_some(entry.result)
    }

    pub(super) fn remember(&mut self, key: [u32; 3], result: Region) {
        let slot = mix(key) & (self.cache.len() - 1);
        self.cache[slot] = Cached { key, result };
    }

    /// The first variable of a region; [`TERMINAL`] where there is none.
    pub(super) fn top(&self, region: Region) -> u32 {
        self.nodes[region.index()].variable
    }

    /// The two sides of a region at a variable that is its first or stands before it.
    pub(super) fn sides(&self, region: Region, variable: u32) -> (Region, Region) {
        let node = &self.nodes[region.index()];
        if node.variable != variable {
            return (region, region);
        }
        let bit = region.complement_bit();
        (node.zero.flipped(bit), node.one.flipped(bit))
    }
}

fn hash(node: &Node) -> usize {
    mix([node.variable, node.zero.0, node.one.0])
}

/// Spreads three numbers over all bits: the halves of a long product, folded (as wyhash does it), once
/// more by Fibonacci's.
fn mix(key: [u32; 3]) -> usize {
    let pair = (u64::from(key[1]) << 32 | u64::from(key[2])) ^ 0x9e37_79b9_7f4a_7c15;
    let first = u64::from(key[0]).wrapping_mul(0xd6e8_feb8_6659_fd93) ^ 0xe703_7ed1_a0b4_28db;
    let long = u128::from(pair) * u128::from(first | 1);
    let folded = (long as u64 ^ (long >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (folded ^ folded >> 32) as usize
}
