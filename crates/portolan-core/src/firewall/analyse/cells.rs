//! Regions as lists of cells: values by field. Where only some packets matter (those that there can be,
//! those asked about), as few fields and as few cells as these allow.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};

use super::space::Space;
use crate::firewall::bdd::{Bits, Part, Region, Undecided};

/// A field that is told apart, in the order of the variables; flags one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Axis {
    InterfaceIn,
    InterfaceOut,
    State,
    Direction,
    /// By its place, the most significant bit is 0.
    Status(u32),
    Mark,
    CtMark,
    Protocol,
    Flag(u32),
    LaterFragment,
    DestinationPort,
    SourcePort,
    Destination,
    Source,
    Ttl,
    Dscp,
    Ecn,
    Length,
    PacketType,
    HasSocket,
    User,
    Group,
    EarlierTranslation,
    /// An open question, by its variable.
    Answer(u32),
}

impl Axis {
    /// Whether every block says it.
    pub(super) const fn is_head(self) -> bool {
        matches!(
            self,
            Self::InterfaceIn
                | Self::Protocol
                | Self::DestinationPort
                | Self::Destination
                | Self::Source
        )
    }

    /// What is left out first where either of two would do: the later variables. Of the flags SYN says most.
    const fn worth(self) -> (std::cmp::Reverse<Self>, bool) {
        let is_syn = matches!(self, Self::Flag(SYN));
        (std::cmp::Reverse(if is_syn { Self::Flag(0) } else { self }), is_syn)
    }

    /// Whether it is of some protocols only.
    const fn is_of_protocol(self) -> bool {
        matches!(self, Self::DestinationPort | Self::SourcePort | Self::Flag(_))
    }
}

/// The place of SYN among the flags.
const SYN: u32 = 6;

/// Values by axis; what is not there may be anything.
pub(super) type Cell = BTreeMap<Axis, Vec<(u128, u128)>>;

/// What is known while packets are told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Among {
    /// Only these packets matter.
    pub(super) care: Region,
    /// Whether open questions are told; else they are quantified away.
    pub(super) tells_answers: bool,
    /// Whether blocks may overlap, so that each says as little as it can.
    pub(super) may_overlap: bool,
    /// So many blocks at most.
    pub(super) most: usize,
}

/// Of so many cells each is held against all others.
const MOST_COMPARED: usize = 100;

/// So many values of one field are told apart.
const MOST_VALUES: usize = 64;

impl Space {
    /// The field a variable is of, with all its variables.
    pub(super) fn axis(&self, variable: u32) -> (Axis, Bits) {
        let layout = &self.layout;
        let one = Bits { first: variable, width: 1 };
        if variable >= layout.end {
            return (Axis::Answer(variable), one);
        }
        let class = layout.traffic_class;
        let (dscp, ecn) = (Bits { width: 6, ..class }, Bits { first: class.first + 6, width: 2 });
        let whole = [
            (Axis::InterfaceIn, layout.interface_in),
            (Axis::InterfaceOut, layout.interface_out),
            (Axis::State, layout.state),
            (Axis::Direction, layout.direction),
            (Axis::Mark, layout.mark),
            (Axis::CtMark, layout.ct_mark),
            (Axis::Protocol, layout.protocol),
            (Axis::LaterFragment, layout.later_fragment),
            (Axis::DestinationPort, layout.destination_port),
            (Axis::SourcePort, layout.source_port),
            (Axis::Destination, layout.destination),
            (Axis::Source, layout.source),
            (Axis::Ttl, layout.ttl),
            (Axis::Dscp, dscp),
            (Axis::Ecn, ecn),
            (Axis::Length, layout.length),
            (Axis::PacketType, layout.packet_type),
            (Axis::HasSocket, layout.has_socket),
            (Axis::User, layout.user),
            (Axis::Group, layout.group),
        ];
        let is_in = |bits: &Bits| bits.variables().contains(&variable);
        if let Some(found) = whole.into_iter().find(|(_, bits)| is_in(bits)) {
            return found;
        }
        match () {
            () if is_in(&layout.status) => (Axis::Status(variable - layout.status.first), one),
            () if is_in(&layout.tcp_flags) => (Axis::Flag(variable - layout.tcp_flags.first), one),
            () => (Axis::EarlierTranslation, one),
        }
    }

    /// A wider region with the same packets among those that matter, that asks for fewer fields.
    pub(super) fn reduced(&mut self, region: Region, care: Region) -> Result<Region, Undecided> {
        let mut axes: BTreeMap<Axis, Vec<u32>> = BTreeMap::new();
        for variable in self.bdd.support(region) {
            let (axis, _) = self.axis(variable);
            if !axis.is_head() {
                axes.entry(axis).or_default().push(variable);
            }
        }
        let mut axes: Vec<(Axis, Vec<u32>)> = axes.into_iter().collect();
        axes.sort_by_key(|(axis, _)| axis.worth());
        let axes: Vec<Vec<u32>> = axes.into_iter().map(|(_, variables)| variables).collect();
        let others = self.bdd.minus(care, region)?;
        self.reduced_by(region, others, &axes)
    }

    /// A region without what it need not ask, given the `others` that it must not hold. Fields go all at once
    /// where they can, else by halves: where several can go, so can some of them.
    fn reduced_by(
        &mut self,
        region: Region,
        others: Region,
        axes: &[Vec<u32>],
    ) -> Result<Region, Undecided> {
        if axes.is_empty() {
            return Ok(region);
        }
        let cube = self.bdd.cube(axes.iter().flatten().copied())?;
        let wider = self.bdd.exists(region, cube)?;
        if !self.bdd.meets(wider, others) {
            return Ok(wider);
        }
        if axes.len() == 1 {
            return Ok(region);
        }
        let (first, last) = axes.split_at(axes.len() / 2);
        let region = self.reduced_by(region, others, first)?;
        self.reduced_by(region, others, last)
    }

    /// A region with the same packets among those that matter, told as simply as these allow: where only one
    /// side of a question has such packets it is not asked (after O. Coudert and J. C. Madre, "A unified
    /// framework for the formal verification of sequential circuits", 1990).
    pub(super) fn simplified(&mut self, region: Region, care: Region) -> Result<Region, Undecided> {
        self.simplified_below(region, care, &mut HashMap::new())
    }

    fn simplified_below(
        &mut self,
        region: Region,
        care: Region,
        known: &mut HashMap<(Region, Region), Region>,
    ) -> Result<Region, Undecided> {
        let Some(asks) = self.bdd.branch(region) else { return Ok(region) };
        let Some(matters) = self.bdd.branch(care) else { return Ok(region) };
        if let Some(result) = known.get(&(region, care)) {
            return Ok(*result);
        }
        let result = if matters.variable < asks.variable {
            let either = self.bdd.or(matters.zero, matters.one)?;
            self.simplified_below(region, either, known)?
        } else {
            let (zero, one) = match matters.variable == asks.variable {
                true => (matters.zero, matters.one),
                false => (care, care),
            };
            match (zero.is_none(), one.is_none()) {
                (true, _) => self.simplified_below(asks.one, one, known)?,
                (_, true) => self.simplified_below(asks.zero, zero, known)?,
                _ => {
                    let zero = self.simplified_below(asks.zero, zero, known)?;
                    let one = self.simplified_below(asks.one, one, known)?;
                    self.bdd.node(asks.variable, zero, one)?
                }
            }
        };
        known.insert((region, care), result);
        Ok(result)
    }

    /// Cells that say as little as they can and are still of the region, and as few of them as that takes.
    /// They may overlap.
    pub(super) fn widened(
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

    /// A region as cells, field by field in the order of the variables; and whether that is all of it.
    pub(super) fn cells(
        &mut self,
        region: Region,
        among: Among,
        known: &Cell,
        found: &mut Vec<Cell>,
    ) -> Result<bool, Undecided> {
        let region = self.reduced(region, among.care)?;
        let Some(top) = self.bdd.branch(region).map(|branch| branch.variable) else {
            found.push(known.clone());
            return Ok(true);
        };
        if found.len() >= among.most {
            return Ok(false);
        }
        let (axis, bits) = self.axis(top);
        let parts = match axis {
            Axis::EarlierTranslation => None,
            _ => self.bdd.split(region, bits, MOST_VALUES),
        };
        let Some(parts) = parts else {
            // Too much to tell: that it matters is said.
            let cube = self.bdd.cube(bits.variables())?;
            let rest = self.bdd.exists(region, cube)?;
            let mut cell = known.clone();
            cell.insert(axis, Vec::new());
            let among = Among { care: self.bdd.exists(among.care, cube)?, ..among };
            self.cells(rest, among, &cell, found)?;
            return Ok(false);
        };
        let mut is_whole = true;
        for part in parts {
            let rest = part.rest;
            let with = self.bdd.ranges(bits, &part.values)?;
            let care = self.bdd.and(among.care, with)?;
            if !self.bdd.meets(care, rest) {
                continue;
            }
            let mut cell = known.clone();
            let values = match axis {
                Axis::State => self.occurring(bits, care, part.rest)?,
                _ if part.values.len() > 1 => self.plainer(bits, care, part)?,
                _ => part.values,
            };
            if values != [(0, bits.greatest())] {
                cell.insert(axis, values);
            }
            is_whole &= self.cells(rest, Among { care, ..among }, &cell, found)?;
        }
        Ok(is_whole)
    }

    /// The values of a part, or only those that packets have among those that matter: what takes fewer ranges.
    fn plainer(
        &mut self,
        bits: Bits,
        care: Region,
        part: Part,
    ) -> Result<Vec<(u128, u128)>, Undecided> {
        let there = self.bdd.and(care, part.rest)?;
        let there = self.projected(there, &[bits])?;
        let parts = self.bdd.split(there, bits, part.values.len()).unwrap_or_default();
        let plainer = parts.into_iter().map(|there| there.values).next();
        Ok(plainer.filter(|values| values.len() < part.values.len()).unwrap_or(part.values))
    }

    /// The values of a small field that packets of a region have, among those that matter.
    fn occurring(
        &mut self,
        bits: Bits,
        care: Region,
        region: Region,
    ) -> Result<Vec<(u128, u128)>, Undecided> {
        let mut found = Vec::new();
        for value in 0..=bits.greatest() {
            let with = self.bdd.equal(bits, value)?;
            if self.bdd.meets_within(care, with, region) {
                found.push((value, value));
            }
        }
        Ok(found)
    }

    /// The packets of a cell.
    pub(super) fn of_cell(&mut self, cell: &Cell) -> Result<Region, Undecided> {
        let told = cell.iter().filter(|(_, values)| !values.is_empty());
        let mut fields: Vec<_> = told.map(|(axis, values)| (self.bits_of(*axis), values)).collect();
        // From the last variables to the first, each field only adds on top.
        fields.sort_by_key(|(bits, _)| std::cmp::Reverse(bits.first));
        let mut all = Region::ALL;
        for (bits, values) in fields {
            let is_apart = self.bdd.branch(all).is_none_or(|top| top.variable >= bits.end());
            all = if is_apart {
                self.bdd.ranges_and(bits, values, all)?
            } else {
                let here = self.bdd.ranges(bits, values)?;
                self.bdd.and(all, here)?
            };
        }
        Ok(all)
    }

    pub(super) fn bits_of(&self, axis: Axis) -> Bits {
        let layout = &self.layout;
        let class = layout.traffic_class;
        let one = |first| Bits { first, width: 1 };
        match axis {
            Axis::InterfaceIn => layout.interface_in,
            Axis::InterfaceOut => layout.interface_out,
            Axis::State => layout.state,
            Axis::Direction => layout.direction,
            Axis::Status(place) => one(layout.status.first + place),
            Axis::Mark => layout.mark,
            Axis::CtMark => layout.ct_mark,
            Axis::Protocol => layout.protocol,
            Axis::Flag(place) => one(layout.tcp_flags.first + place),
            Axis::LaterFragment => layout.later_fragment,
            Axis::DestinationPort => layout.destination_port,
            Axis::SourcePort => layout.source_port,
            Axis::Destination => layout.destination,
            Axis::Source => layout.source,
            Axis::Ttl => layout.ttl,
            Axis::Dscp => Bits { width: 6, ..class },
            Axis::Ecn => Bits { first: class.first + 6, width: 2 },
            Axis::Length => layout.length,
            Axis::PacketType => layout.packet_type,
            Axis::HasSocket => layout.has_socket,
            Axis::User => layout.user,
            Axis::Group => layout.group,
            Axis::EarlierTranslation => layout.moved,
            Axis::Answer(variable) => one(variable),
        }
    }
}

/// Cells that differ in one field only, as one.
pub(super) fn merged(mut cells: Vec<Cell>, greatest: impl Fn(Axis) -> u128) -> Vec<Cell> {
    loop {
        let before = cells.len();
        let axes: std::collections::BTreeSet<Axis> =
            cells.iter().flat_map(|cell| cell.keys().copied()).collect();
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

impl Space {
    /// The same with this space's fields.
    pub(super) fn merged(&self, cells: Vec<Cell>) -> Vec<Cell> {
        merged(cells, |axis| self.bits_of(axis).greatest())
    }
}
