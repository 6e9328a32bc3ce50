//! Regions by the fields that every block has, and by what else packets with the same values of these have
//! in common.
//!
//! Most packets differ in a few ways only beside interface, protocol, port and addresses (the interface they
//! leave by, their flags), and many values of those go with the same. So the other fields are put behind
//! these: then what goes with a value is a region of its own, the same one for all values that it goes
//! with, and is told once.

use std::collections::HashMap;

use super::cells::{Among, Axis, Cell};
use super::space::Space;
use crate::firewall::bdd::{Region, Substitution, Undecided};

/// So many ranges are told of one field of one region; a region that needs more is cut.
const MOST_RANGES: usize = 200_000;

/// The fields of every block, in the order of the variables.
const HEAD: [Axis; 5] =
    [Axis::InterfaceIn, Axis::Protocol, Axis::DestinationPort, Axis::Destination, Axis::Source];

/// Where the other fields are put: behind all variables there are.
const BEHIND: u32 = 1 << 30;

impl Space {
    /// A region as cells, and whether that is all of it: values of the fields that every block has, and of
    /// others where these matter.
    pub(super) fn with_heads(
        &mut self,
        region: Region,
        among: Among,
    ) -> Result<(Vec<Cell>, bool), Undecided> {
        let support = self.bdd.support(region);
        let others: Vec<u32> = support.into_iter().filter(|v| !self.axis(*v).0.is_head()).collect();
        let mut heads = Heads { cells: Vec::new(), most: among.most, is_whole: true };
        if others.is_empty() {
            heads.below(self, region, &Cell::new(), &HEAD);
            return Ok((heads.cells.into_iter().map(|(head, _)| head).collect(), heads.is_whole));
        }
        let mut beside = Beside::of(self, others)?;
        let sorted = beside.sorted(self, region, among)?;
        heads.below(self, sorted, &Cell::new(), &HEAD);
        let mut told: HashMap<Region, Vec<Cell>> = HashMap::new();
        let mut cells = Vec::new();
        for (head, rest) in heads.cells {
            if cells.len() >= among.most {
                heads.is_whole = false;
                break;
            }
            let rests = match told.get(&rest) {
                Some(known) => known,
                None => {
                    let mut found = Vec::new();
                    heads.is_whole &= beside.told(self, rest, among, &mut found)?;
                    told.entry(rest).or_insert(found)
                }
            };
            for beside in rests {
                cells.extend(by_kind(&head, beside));
            }
        }
        Ok((self.merged(cells), heads.is_whole))
    }
}

/// The fields of a region that not every block has.
struct Beside {
    /// Their variables.
    variables: Vec<u32>,
    /// Puts them behind the others.
    put_back: Substitution,
    /// And where they were.
    restored: Substitution,
    /// 1 for the packets of the region, 0 for those that matter.
    is_told: Region,
    /// What matters of a region of these fields.
    care: HashMap<Region, Region>,
}

impl Beside {
    fn of(space: &mut Space, variables: Vec<u32>) -> Result<Self, Undecided> {
        let bdd = &mut space.bdd;
        let (mut back, mut front) = (Vec::new(), Vec::new());
        for variable in &variables {
            back.push((*variable, bdd.variable(BEHIND + variable)?));
            front.push((BEHIND + variable, bdd.variable(*variable)?));
        }
        let is_told = bdd.variable(BEHIND - 1)?;
        let (put_back, restored) = (bdd.substitution(back), bdd.substitution(front));
        Ok(Self { variables, put_back, restored, is_told, care: HashMap::new() })
    }

    /// A region with these fields behind those of every block. What goes with a value of the latter asks for
    /// as few of the former as it can.
    fn sorted(
        &mut self,
        space: &mut Space,
        region: Region,
        among: Among,
    ) -> Result<Region, Undecided> {
        // What the region does not ask for does not matter.
        let support = space.bdd.support(among.care).into_iter();
        let is_unasked = |v: &u32| !space.axis(*v).0.is_head() && !self.variables.contains(v);
        let unasked: Vec<u32> = support.filter(is_unasked).collect();
        let unasked = space.bdd.cube(unasked)?;
        let care = space.bdd.exists(among.care, unasked)?;
        let told = space.bdd.substituted(region, self.put_back)?;
        let behind = space.bdd.substituted(care, self.put_back)?;
        let both = space.bdd.either(self.is_told, told, behind)?;
        let sorted = self.settled(space, both, &mut HashMap::new())?;
        if !among.may_overlap {
            return Ok(sorted);
        }
        let cube = space.bdd.cube(self.variables.iter().copied())?;
        let anything = space.bdd.exists(care, cube)?;
        space.simplified(sorted, anything)
    }

    fn settled(
        &mut self,
        space: &mut Space,
        both: Region,
        known: &mut HashMap<Region, Region>,
    ) -> Result<Region, Undecided> {
        if let Some(result) = known.get(&both) {
            return Ok(*result);
        }
        let head = space.bdd.branch(both).filter(|branch| branch.variable < BEHIND - 1);
        let result = match head {
            Some(asks) => {
                let zero = self.settled(space, asks.zero, known)?;
                let one = self.settled(space, asks.one, known)?;
                space.bdd.node(asks.variable, zero, one)?
            }
            None => self.least(space, both)?,
        };
        known.insert(both, result);
        Ok(result)
    }

    /// What goes with one value of the fields of every block, told by as few fields as it can.
    fn least(&mut self, space: &mut Space, both: Region) -> Result<Region, Undecided> {
        let asks = space.bdd.branch(both).filter(|asks| asks.variable == BEHIND - 1);
        let (care, told) = asks.map_or((both, both), |asks| (asks.zero, asks.one));
        let bdd = &mut space.bdd;
        let (care, told) =
            (bdd.substituted(care, self.restored)?, bdd.substituted(told, self.restored)?);
        if !bdd.meets(care, told) {
            return Ok(Region::NONE);
        }
        let least = space.reduced(told, care)?;
        let matters = self.care.entry(least).or_insert(Region::NONE);
        *matters = space.bdd.or(*matters, care)?;
        space.bdd.substituted(least, self.put_back)
    }

    /// Tells what goes with a value in cells.
    fn told(
        &self,
        space: &mut Space,
        rest: Region,
        among: Among,
        found: &mut Vec<Cell>,
    ) -> Result<bool, Undecided> {
        let rest = space.bdd.substituted(rest, self.restored)?;
        let care = self.care.get(&rest).copied().unwrap_or(Region::ALL);
        space.cells(rest, Among { care, ..among }, &Cell::new(), found)
    }
}

/// Values of the fields that every block has, each with what goes with it.
struct Heads {
    cells: Vec<(Cell, Region)>,
    most: usize,
    is_whole: bool,
}

impl Heads {
    fn below(&mut self, space: &Space, region: Region, known: &Cell, axes: &[Axis]) {
        let Some((axis, rest)) = axes.split_first() else {
            if self.cells.len() < self.most {
                self.cells.push((known.clone(), region));
            } else {
                self.is_whole = false;
            }
            return;
        };
        let bits = space.bits_of(*axis);
        let Some(parts) = space.bdd.split(region, bits, MOST_RANGES) else {
            self.is_whole = false;
            return;
        };
        for part in parts {
            if self.cells.len() >= self.most {
                self.is_whole = false;
                return;
            }
            let mut cell = known.clone();
            if part.values != [(0, bits.greatest())] {
                cell.insert(*axis, part.values);
            }
            self.below(space, part.rest, &cell, rest);
        }
    }
}

/// A head with what goes with it: where the bytes in which ports and messages stand matter, by kind of
/// protocol.
fn by_kind(head: &Cell, beside: &Cell) -> Vec<Cell> {
    let together = |mut head: Cell| {
        head.extend(beside.clone());
        head
    };
    if !beside.contains_key(&Axis::SourcePort) {
        return vec![together(head.clone())];
    }
    let of_kind = |kind| {
        let mut head = head.clone();
        head.insert(Axis::Protocol, kind);
        together(head)
    };
    kinds(head).into_iter().map(of_kind).collect()
}

/// The protocols of a head: ICMP, ICMPv6, and those that are neither.
fn kinds(head: &Cell) -> Vec<Vec<(u128, u128)>> {
    let all = vec![(0, 255)];
    let protocols = head.get(&Axis::Protocol).unwrap_or(&all);
    let within = |low: u128, high: u128| {
        protocols.iter().filter_map(move |(from, to)| {
            let (from, to) = (low.max(*from), high.min(*to));
            (from <= to).then_some((from, to))
        })
    };
    let others = within(0, 0).chain(within(2, 57)).chain(within(59, 255)).collect();
    let kinds: Vec<Vec<(u128, u128)>> =
        vec![within(1, 1).collect(), within(58, 58).collect(), others];
    kinds.into_iter().filter(|kind| !kind.is_empty()).collect()
}
