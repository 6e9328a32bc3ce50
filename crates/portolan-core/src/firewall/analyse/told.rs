//! Regions as people write them: interfaces, transports, ports, networks.

use super::space::Space;
use crate::firewall::bdd::{Bits, Part, Region, Undecided};
use crate::net::Prefix;

/// Packets that differ in these fields only, each of which may be anything listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The interfaces they come in by; empty: any.
    pub interfaces: Vec<Box<str>>,
    /// IANA's numbers, as ranges.
    pub protocols: Vec<(u8, u8)>,
    /// The ports they go to, as ranges; the whole range for any.
    pub ports: Vec<(u16, u16)>,
    /// Whom they go to.
    pub destinations: SourceSet,
    /// Who sends them.
    pub sources: SourceSet,
    /// The packets themselves: with everything these fields do not say.
    pub region: Region,
}

/// Addresses as networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSet {
    /// The networks, ascending.
    pub networks: Vec<Prefix>,
    /// Whether they are every address.
    pub is_any: bool,
}

/// So many ranges are told of one field of one region; a region that needs more is cut.
const MOST_RANGES: usize = 200_000;

impl Space {
    /// A region in blocks, and whether that is all of it. Fields other than those of a block are
    /// quantified away: a block holds whatever is in the region with some value of them.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn blocks(&mut self, region: Region, most: usize) -> Result<(Vec<Block>, bool), Undecided> {
        let layout = self.layout;
        let kept = [
            layout.interface_in,
            layout.protocol,
            layout.destination_port,
            layout.destination,
            layout.source,
        ];
        let shadow = self.projected(region, &kept)?;
        let mut told = Told { blocks: Vec::new(), most, is_whole: true };
        for part in told.split(self, shadow, layout.interface_in) {
            let interfaces = self.interface_names(&part);
            let by = self.bdd.ranges(layout.interface_in, &part.values)?;
            for part in told.split(self, part.rest, layout.protocol) {
                let protocols = narrowed(&part.values, |n| n as u8);
                let of = self.bdd.ranges(layout.protocol, &part.values)?;
                let of = self.bdd.and(by, of)?;
                for part in told.split(self, part.rest, layout.destination_port) {
                    let ports = narrowed(&part.values, |n| n as u16);
                    let at = self.bdd.ranges(layout.destination_port, &part.values)?;
                    let at = self.bdd.and(of, at)?;
                    self.ends(&mut told, part.rest, region, at, (&interfaces, &protocols, &ports))?;
                }
            }
        }
        Ok((told.blocks, told.is_whole))
    }

    fn ends(
        &mut self,
        told: &mut Told,
        rest: Region,
        region: Region,
        at: Region,
        head: Head<'_>,
    ) -> Result<(), Undecided> {
        let layout = self.layout;
        for part in told.split(self, rest, layout.destination) {
            let destinations = self.address_set(&part.values);
            let to = self.bdd.ranges(layout.destination, &part.values)?;
            let to = self.bdd.and(at, to)?;
            for part in told.split(self, part.rest, layout.source) {
                if told.blocks.len() >= told.most {
                    told.is_whole = false;
                    return Ok(());
                }
                let from = self.bdd.ranges(layout.source, &part.values)?;
                let inside = self.bdd.and(to, from)?;
                told.blocks.push(Block {
                    interfaces: head.0.to_vec(),
                    protocols: head.1.to_vec(),
                    ports: head.2.to_vec(),
                    destinations: destinations.clone(),
                    sources: self.address_set(&part.values),
                    region: self.bdd.and(region, inside)?,
                });
            }
        }
        Ok(())
    }

    /// A region with every field but these quantified away; open questions too.
    pub(super) fn projected(&mut self, region: Region, kept: &[Bits]) -> Result<Region, Undecided> {
        let support = self.bdd.support(region);
        let is_kept = |variable: &u32| kept.iter().any(|bits| bits.variables().contains(variable));
        let others: Vec<u32> = support.into_iter().filter(|v| !is_kept(v)).collect();
        let cube = self.bdd.cube(others)?;
        self.bdd.exists(region, cube)
    }

    /// The names in a part; none where it is every name there is, loopback's aside.
    fn interface_names(&self, part: &Part) -> Vec<Box<str>> {
        let count = self.interfaces.count() as u128;
        let numbers = part.values.iter().flat_map(|(from, to)| *from..=(*to).min(count - 1));
        let numbers: Vec<u128> = numbers.filter(|number| *number != 0).collect();
        let is_outside = |number: &&u128| **number != self.interfaces.number("lo");
        if numbers.iter().filter(is_outside).count() as u128 + 2 >= count {
            return Vec::new();
        }
        numbers.into_iter().map(|number| self.interfaces.shown(number)).collect()
    }

    /// Ranges of addresses as networks; every address but those of loopback is every address.
    pub(super) fn address_set(&self, ranges: &[(u128, u128)]) -> SourceSet {
        let width = self.layout.source.width;
        let greatest = self.layout.source.greatest();
        let (first, last) = match self.is_v6 {
            true => (1, 1),
            false => (0x7f00_0000, 0x7fff_ffff),
        };
        let is_any = ranges == [(0, greatest)] || ranges == [(0, first - 1), (last + 1, greatest)];
        let all = [(0, greatest)];
        let told = if is_any { &all[..] } else { ranges };
        let networks = told.iter().flat_map(|range| cover(*range, width));
        let prefix = |(first, length): (u128, u32)| Prefix::new(self.address(first), length as u8);
        SourceSet {
            networks: networks.filter_map(|network| prefix(network).ok()).collect(),
            is_any,
        }
    }
}

/// What is told of a block before its addresses: interfaces, protocols, ports.
type Head<'h> = (&'h [Box<str>], &'h [(u8, u8)], &'h [(u16, u16)]);

struct Told {
    blocks: Vec<Block>,
    most: usize,
    is_whole: bool,
}

impl Told {
    fn split(&mut self, space: &Space, region: Region, field: Bits) -> Vec<Part> {
        let parts = space.bdd.split(region, field, MOST_RANGES);
        self.is_whole &= parts.is_some();
        parts.unwrap_or_default()
    }
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
