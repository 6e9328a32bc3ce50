//! A decision diagram made flat for millions of lookups: four bits a step, read where they lie.
//!
//! A node asks one half byte of a record and has sixteen ways on, one cache line in all. Ways are numbers:
//! the half byte to ask next and the node to ask it at, or an answer. Variables that are no part of a record
//! (the state of the connection, marks) are fixed while the table is built, so they cost nothing later.

use std::collections::HashMap;

use crate::firewall::bdd::{Bdd, Region};

/// What a variable of the diagram is in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A bit of it, counted from the first byte's most significant one.
    Bit(u16),
    /// Not in it: always this.
    Fixed(bool),
}

/// What the rules do with a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// Refused, whatever else holds.
    Refused,
    /// That depends on something no flow tells: a limit, a set, a statement not understood.
    Depends,
    /// Let through, whatever else holds.
    Accepted,
}

/// The flattened diagram.
#[derive(Clone, Debug)]
pub struct Flat {
    ways: Vec<u32>,
    root: u32,
}

/// An answer instead of a half byte.
const ANSWER: u32 = 127;
const SHIFT: u32 = 25;
const MOST: usize = 1 << SHIFT;

/// More nodes would be needed than a flat diagram may have (33 million).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rules are too irregular to be replayed at once")]
pub struct TooLarge;

impl Flat {
    /// Flattens what is always accepted and what is accepted under some answers; the first lies within the
    /// second. `role` tells what each variable is in a record.
    ///
    /// # Errors
    /// When it would be too large.
    pub fn new(
        bdd: &Bdd,
        always: Region,
        maybe: Region,
        role: &dyn Fn(u32) -> Role,
    ) -> Result<Self, TooLarge> {
        let mut builder = Builder { bdd, role, ways: Vec::new(), known: HashMap::new() };
        let root = builder.way(builder.settled((always, maybe)))?;
        Ok(Self { ways: builder.ways, root })
    }

    /// The fate of a record. A half byte beyond its end counts as 0.
    #[must_use]
    pub fn fate(&self, record: &[u8]) -> Fate {
        let mut way = self.root;
        loop {
            let half = way >> SHIFT;
            let node = (way & (MOST as u32 - 1)) as usize;
            if half == ANSWER {
                return match node {
                    0 => Fate::Refused,
                    1 => Fate::Depends,
                    _ => Fate::Accepted,
                };
            }
            let byte = record.get((half >> 1) as usize).copied().unwrap_or(0);
            let value = if half & 1 == 0 { byte >> 4 } else { byte & 15 };
            way = self.ways[node * 16 + usize::from(value)];
        }
    }

    /// How many nodes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ways.len() / 16
    }

    /// Whether it answers without a look at the record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }
}

/// Always accepted, and accepted under some answers.
type Pair = (Region, Region);

struct Builder<'a> {
    bdd: &'a Bdd,
    role: &'a dyn Fn(u32) -> Role,
    ways: Vec<u32>,
    known: HashMap<Pair, u32>,
}

impl Builder<'_> {
    /// The first variable either of them asks.
    fn top(&self, pair: Pair) -> Option<u32> {
        let variable = |region| self.bdd.branch(region).map(|branch| branch.variable);
        variable(pair.0).into_iter().chain(variable(pair.1)).min()
    }

    fn side(&self, region: Region, variable: u32, is_one: bool) -> Region {
        match self.bdd.branch(region) {
            Some(branch) if branch.variable == variable && is_one => branch.one,
            Some(branch) if branch.variable == variable => branch.zero,
            _ => region,
        }
    }

    /// The same after every fixed variable at its top.
    fn settled(&self, mut pair: Pair) -> Pair {
        while let Some(variable) = self.top(pair) {
            let Role::Fixed(is_one) = (self.role)(variable) else { break };
            pair = (self.side(pair.0, variable, is_one), self.side(pair.1, variable, is_one));
        }
        pair
    }

    /// The way to a settled pair. Nests as deep as a record has half bytes.
    fn way(&mut self, pair: Pair) -> Result<u32, TooLarge> {
        let Some(variable) = self.top(pair) else {
            let answer = u32::from(pair.0.is_all()) + u32::from(pair.1.is_all());
            return Ok((ANSWER << SHIFT) | answer);
        };
        if let Some(way) = self.known.get(&pair) {
            return Ok(*way);
        }
        let Role::Bit(bit) = (self.role)(variable) else { return Err(TooLarge) };
        let half = bit / 4;
        let node = self.ways.len() / 16;
        if node >= MOST || u32::from(half) >= ANSWER {
            return Err(TooLarge);
        }
        self.ways.resize(self.ways.len() + 16, 0);
        for value in 0..16u16 {
            let next = self.after(pair, half, value);
            self.ways[node * 16 + usize::from(value)] = self.way(next)?;
        }
        let way = (u32::from(half) << SHIFT) | node as u32;
        self.known.insert(pair, way);
        Ok(way)
    }

    /// What is left of a pair where a half byte has this value.
    fn after(&self, mut pair: Pair, half: u16, value: u16) -> Pair {
        while let Some(variable) = self.top(pair) {
            let is_one = match (self.role)(variable) {
                Role::Fixed(is_one) => is_one,
                Role::Bit(bit) if bit / 4 == half => value >> (3 - bit % 4) & 1 == 1,
                Role::Bit(_) => break,
            };
            pair = (self.side(pair.0, variable, is_one), self.side(pair.1, variable, is_one));
        }
        pair
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::bdd::Bits;

    /// Variable 0 is no part of a record; 1 and up are the bits of its bytes.
    fn role(variable: u32) -> Role {
        match variable {
            0 => Role::Fixed(true),
            other => Role::Bit(other as u16 - 1),
        }
    }

    #[test]
    fn every_record_has_the_fate_the_diagram_says() {
        let mut bdd = Bdd::new(10_000);
        let field = Bits { first: 1, width: 16 };
        let fixed = bdd.variable(0).unwrap();
        let always = bdd.ranges(field, &[(5, 300), (1000, 1001), (40_000, 65_535)]).unwrap();
        let always = bdd.and(always, fixed).unwrap();
        let more = bdd.masked(field, 0x0101, 0x0001).unwrap();
        let maybe = bdd.or(always, more).unwrap();
        let flat = Flat::new(&bdd, always, maybe, &role).unwrap();
        for value in 0..=u16::MAX {
            let is_always = matches!(value, 5..=300 | 1000..=1001 | 40_000..);
            let expected = match (is_always, value & 0x0101 == 1) {
                (true, _) => Fate::Accepted,
                (false, true) => Fate::Depends,
                _ => Fate::Refused,
            };
            assert_eq!(flat.fate(&value.to_be_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn rules_that_ask_nothing_need_no_node() {
        let bdd = Bdd::new(10);
        let flat = Flat::new(&bdd, Region::ALL, Region::ALL, &role).unwrap();
        assert!(flat.is_empty());
        assert_eq!(flat.fate(&[]), Fate::Accepted);
    }
}
