//! Regions as people write them: interfaces, transports, ports, networks.

use super::cells::{Among, Axis, Cell};
use super::feature::Feature;
use super::space::Space;
use crate::firewall::bdd::{Bits, Region, Undecided};
use crate::net::Prefix;

/// Packets that differ in these fields only, each of which may be anything listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The interfaces they come in by; empty: any.
    pub interfaces: Vec<Box<str>>,
    /// Those they do not come in by, where they are all but these.
    pub all_but_interfaces: Vec<Box<str>>,
    /// IANA's numbers, as ranges.
    pub protocols: Vec<(u8, u8)>,
    /// The ports they go to, as ranges; the whole range for any.
    pub ports: Vec<(u16, u16)>,
    /// Whom they go to.
    pub destinations: SourceSet,
    /// Who sends them.
    pub sources: SourceSet,
    /// What else they have in common.
    pub features: Vec<Feature>,
    /// Everything of which the above is true.
    pub(super) shape: Region,
}

/// Addresses as networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSet {
    /// The networks, ascending.
    pub networks: Vec<Prefix>,
    /// Whether they are every address.
    pub is_any: bool,
    /// The networks they are not, ascending, where these are fewer; else empty.
    pub all_but: Vec<Prefix>,
}

/// So many blocks are made wider until they overlap: of more nobody reads all.
const MOST_WIDENED: usize = 1_000;

impl Space {
    /// A region in blocks, and whether that is all of it. What of it lies outside of `among.care` does not
    /// matter. A block holds whatever is in the region with its values.
    pub(super) fn blocks(
        &mut self,
        region: Region,
        among: Among,
    ) -> Result<(Vec<Block>, bool), Undecided> {
        let told = if among.tells_answers { region } else { self.whatever_answers(region)? };
        let mut told = self.reduced(told, among.care)?;
        if among.may_overlap {
            told = self.simplified(told, among.care)?;
            told = self.reduced(told, among.care)?;
        }
        let (cells, is_whole) = self.with_heads(told, among)?;
        let cells = match among.may_overlap && cells.len() <= MOST_WIDENED {
            true => self.widened(cells, told, among.care)?,
            false => cells,
        };
        let mut blocks = Vec::with_capacity(cells.len());
        for cell in cells {
            blocks.push(self.block(&cell)?);
        }
        Ok((blocks, is_whole))
    }

    /// The packets of a region, for some answers to what is open.
    fn whatever_answers(&mut self, region: Region) -> Result<Region, Undecided> {
        let end = self.layout.end;
        let asked: Vec<u32> = self.bdd.support(region).range(end..).copied().collect();
        let cube = self.bdd.cube(asked)?;
        self.bdd.exists(region, cube)
    }

    fn block(&mut self, cell: &Cell) -> Result<Block, Undecided> {
        let all = |bits: Bits| vec![(0, bits.greatest())];
        let values = |axis: Axis, bits: Bits| cell.get(&axis).cloned().unwrap_or_else(|| all(bits));
        let layout = self.layout;
        let interfaces = values(Axis::InterfaceIn, layout.interface_in);
        let protocols = values(Axis::Protocol, layout.protocol);
        let ports = values(Axis::DestinationPort, layout.destination_port);
        let destinations = values(Axis::Destination, layout.destination);
        let sources = values(Axis::Source, layout.source);
        Ok(Block {
            interfaces: self.interface_names(&interfaces),
            all_but_interfaces: self.other_interfaces(&interfaces),
            protocols: narrowed(&protocols, |n| n as u8),
            ports: narrowed(&ports, |n| n as u16),
            destinations: self.address_set(&destinations),
            sources: self.address_set(&sources),
            features: self.features(cell),
            shape: self.of_cell(cell)?,
        })
    }

    /// A region with every field but these quantified away; open questions too.
    pub(super) fn projected(&mut self, region: Region, kept: &[Bits]) -> Result<Region, Undecided> {
        let support = self.bdd.support(region);
        let is_kept = |variable: &u32| kept.iter().any(|bits| bits.variables().contains(variable));
        let others: Vec<u32> = support.into_iter().filter(|v| !is_kept(v)).collect();
        let cube = self.bdd.cube(others)?;
        self.bdd.exists(region, cube)
    }

    /// A region with these fields quantified away, and open questions.
    pub(super) fn without(&mut self, region: Region, fields: &[Bits]) -> Result<Region, Undecided> {
        let end = self.layout.end;
        let is_gone = |variable: &u32| {
            *variable >= end || fields.iter().any(|f| f.variables().contains(variable))
        };
        let gone: Vec<u32> = self.bdd.support(region).into_iter().filter(is_gone).collect();
        let cube = self.bdd.cube(gone)?;
        self.bdd.exists(region, cube)
    }

    /// The names in a part; none where it is every name there is, loopback's aside.
    fn interface_names(&self, values: &[(u128, u128)]) -> Vec<Box<str>> {
        let count = self.interfaces.count() as u128;
        let numbers = values.iter().flat_map(|(from, to)| *from..=(*to).min(count - 1));
        let numbers: Vec<u128> = numbers.filter(|number| *number != 0).collect();
        let is_outside = |number: &&u128| **number != self.interfaces.number("lo");
        if numbers.iter().filter(is_outside).count() as u128 + 2 >= count {
            return Vec::new();
        }
        numbers.into_iter().map(|number| self.interfaces.shown(number)).collect()
    }

    /// The names that are not among these, where every name unknown is.
    pub(super) fn other_interfaces(&self, values: &[(u128, u128)]) -> Vec<Box<str>> {
        let count = self.interfaces.count() as u128;
        let has = |number: u128| values.iter().any(|(from, to)| (*from..=*to).contains(&number));
        if !has(count - 1) {
            return Vec::new();
        }
        (1..count)
            .filter(|number| !has(*number))
            .map(|number| self.interfaces.shown(number))
            .collect()
    }

    /// Ranges of addresses as networks; every address but those of loopback is every address.
    pub(super) fn address_set(&self, ranges: &[(u128, u128)]) -> SourceSet {
        let greatest = self.layout.source.greatest();
        let (first, last) = match self.is_v6 {
            true => (1, 1),
            false => (0x7f00_0000, 0x7fff_ffff),
        };
        let is_any = ranges == [(0, greatest)] || ranges == [(0, first - 1), (last + 1, greatest)];
        let all = [(0, greatest)];
        let networks = self.networks_of(if is_any { &all[..] } else { ranges });
        let loopback = self.networks_of(&[(first, last)]);
        let others = if is_any { Vec::new() } else { self.networks_of(&gaps(ranges, greatest)) };
        let all_but: Vec<Prefix> =
            others.into_iter().filter(|network| !loopback.contains(network)).collect();
        let is_shorter = all_but.len() < networks.len();
        SourceSet { networks, is_any, all_but: if is_shorter { all_but } else { Vec::new() } }
    }

    fn networks_of(&self, ranges: &[(u128, u128)]) -> Vec<Prefix> {
        let width = self.layout.source.width;
        let networks = ranges.iter().flat_map(|range| cover(*range, width));
        let prefix = |(first, length): (u128, u32)| Prefix::new(self.address(first), length as u8);
        networks.filter_map(|network| prefix(network).ok()).collect()
    }
}

/// What lies between ranges that are ascending and apart.
fn gaps(ranges: &[(u128, u128)], greatest: u128) -> Vec<(u128, u128)> {
    let mut found = Vec::new();
    let mut next = Some(0);
    for (from, to) in ranges {
        if let Some(begin) = next.filter(|begin| begin < from) {
            found.push((begin, from - 1));
        }
        next = to.checked_add(1);
    }
    found.extend(next.filter(|begin| *begin <= greatest).map(|begin| (begin, greatest)));
    found
}

fn narrowed<T>(values: &[(u128, u128)], narrow: impl Fn(u128) -> T) -> Vec<(T, T)> {
    values.iter().map(|(from, to)| (narrow(*from), narrow(*to))).collect()
}

/// The fewest networks that are a range: each time the largest that begins where the last ended.
fn cover((from, to): (u128, u128), width: u32) -> Vec<(u128, u32)> {
    let mut networks = Vec::new();
    let mut next = from;
    loop {
        let aligned = next.trailing_zeros().min(width);
        let fits = (0..=aligned).rev().find(|bits| {
            let last = next | Bits { first: 0, width: *bits }.greatest();
            last <= to
        });
        let bits = fits.unwrap_or(0);
        networks.push((next, width - bits));
        let last = next | Bits { first: 0, width: bits }.greatest();
        match last.checked_add(1) {
            Some(after) if last < to => next = after,
            _ => return networks,
        }
    }
}
