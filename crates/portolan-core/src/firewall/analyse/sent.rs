//! Where two rulesets send the same packets: the ends that packets have behind all translations, compared.
//!
//! Decided exactly where a new end is a constant, is worked out from the packet (a map), or is as it came.
//! An address that nobody knows (that of the interface a masqueraded packet leaves by, one of a pool) is the
//! same as itself, and another than none; whether it is this or that address nobody can say.

use super::path::Sent;
use super::space::Space;
use crate::firewall::bdd::{Bits, Region, Undecided};
use crate::firewall::bits;

/// Where packets are sent, or where they seem to come from, when they are through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Which of the two.
    pub side: Side,
    /// Its address.
    pub address: End,
    /// Its port.
    pub port: End,
}

/// The two ends of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Whom it goes to.
    Destination,
    /// Who sends it.
    Source,
}

/// What one end is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// As it came.
    #[default]
    Kept,
    /// This number: an address or a port.
    Is(u128),
    /// Something that nobody knows, in words.
    Vague(String),
    /// It depends on the packet in more ways than are told.
    Varies,
}

/// Packets that both let through, and send elsewhere.
pub(super) struct Parting {
    pub(super) packets: Region,
    pub(super) before: Ends,
    pub(super) after: Ends,
    /// Whether it is known that they differ.
    pub(super) is_known: bool,
}

/// So many values of a map are told apart.
const MOST_VALUES: usize = 256;

/// Packets with the same address and port at one side, each bit by bit.
type Alike = (Region, [Vec<Region>; 2]);

impl Space {
    /// The packets that have other ends at one side after than before.
    pub(super) fn partings(
        &mut self,
        before: &[Sent],
        after: &[Sent],
        side: Side,
    ) -> Result<Vec<Parting>, Undecided> {
        let first = self.untranslated()?;
        let (before, after) = (self.alike_at(before, side)?, self.alike_at(after, side)?);
        let regions = |sent: &[Alike]| sent.iter().map(|sent| sent.0).collect::<Vec<_>>();
        let meetings = self.bdd.meetings(&regions(&before), &regions(&after))?;
        let mut found: Vec<Parting> = Vec::new();
        for (old, new) in meetings {
            let (old, new) = (&before[old as usize], &after[new as usize]);
            if old.1 == new.1 {
                continue;
            }
            let both = self.bdd.intersection([old.0, new.0, first])?;
            for (packets, was) in self.spelled_out_ends(&old.1, both, side)? {
                for (packets, is) in self.spelled_out_ends(&new.1, packets, side)? {
                    self.part(packets, (&old.1, &was), (&new.1, &is), &mut found)?;
                }
            }
        }
        Ok(found)
    }

    fn alike_at(&mut self, sent: &[Sent], side: Side) -> Result<Vec<Alike>, Undecided> {
        let mut found: Vec<Alike> = Vec::new();
        for one in sent {
            let [destination, port, source, source_port] = &one.ends;
            let ends = match side {
                Side::Destination => [destination.clone(), port.clone()],
                Side::Source => [source.clone(), source_port.clone()],
            };
            match found.iter_mut().find(|(_, known)| *known == ends) {
                Some((packets, _)) => *packets = self.bdd.or(*packets, one.packets)?,
                None => found.push((one.packets, ends)),
            }
        }
        Ok(found)
    }

    /// The packets that go to an address which another packet is translated to.
    pub(super) fn aimed_at_targets(&mut self, sent: &[Sent]) -> Result<Region, Undecided> {
        let mut targets = Vec::new();
        for (packets, ends) in self.alike_at(sent, Side::Destination)? {
            for (_, ends) in self.spelled_out_ends(&ends, packets, Side::Destination)? {
                if let End::Is(address) = ends.address {
                    targets.push((address, address));
                }
            }
        }
        self.bdd.ranges(self.layout.destination, &targets)
    }

    /// Packets whose connection was not translated earlier: others keep what it says.
    pub(super) fn untranslated(&mut self) -> Result<Region, Undecided> {
        let field = self.layout.status;
        let translated = self.bdd.any_bit(field, bits::STATUS_DNAT | bits::STATUS_SNAT)?;
        Ok(!translated)
    }

    fn part(
        &mut self,
        packets: Region,
        (old, was): (&[Vec<Region>; 2], &Ends),
        (new, is): (&[Vec<Region>; 2], &Ends),
        found: &mut Vec<Parting>,
    ) -> Result<(), Undecided> {
        let (mut surely, mut perhaps) = (Region::NONE, Region::NONE);
        for (at, (was, is)) in was.each().into_iter().zip(is.each()).enumerate() {
            let (old, new) = (&old[at], &new[at]);
            let (sure, open) = match (was, is) {
                _ if old == new => continue,
                (End::Vague(_), End::Is(_)) | (End::Is(_), End::Vague(_)) => {
                    self.vaguely_apart(old, new)?
                }
                (End::Vague(_), End::Vague(_)) => (Region::NONE, Region::ALL),
                (End::Vague(_), _) | (_, End::Vague(_)) => (Region::ALL, Region::NONE),
                _ => (self.apart(old, new)?, Region::NONE),
            };
            surely = self.bdd.or(surely, sure)?;
            perhaps = self.bdd.or(perhaps, open)?;
        }
        let known = self.bdd.and(packets, surely)?;
        let open = self.bdd.minus(perhaps, surely)?;
        let open = self.bdd.and(packets, open)?;
        for (packets, is_known) in [(known, true), (open, false)] {
            if packets.is_none() {
                continue;
            }
            let same = found.iter_mut().find(|parting| {
                (parting.is_known, &parting.before, &parting.after) == (is_known, was, is)
            });
            match same {
                Some(parting) => parting.packets = self.bdd.or(parting.packets, packets)?,
                None => found.push(Parting {
                    packets,
                    before: was.clone(),
                    after: is.clone(),
                    is_known,
                }),
            }
        }
        Ok(())
    }

    /// Where two numbers differ.
    fn apart(&mut self, old: &[Region], new: &[Region]) -> Result<Region, Undecided> {
        let mut differing = Vec::with_capacity(old.len());
        for (old, new) in old.iter().zip(new) {
            differing.push(self.bdd.xor(*old, *new)?);
        }
        self.bdd.union(differing)
    }

    /// Where a number that nobody knows surely is another than a known one, and where it may be.
    fn vaguely_apart(
        &mut self,
        old: &[Region],
        new: &[Region],
    ) -> Result<(Region, Region), Undecided> {
        let differing = self.apart(old, new)?;
        let end = self.layout.end;
        let asked: Vec<u32> = self.bdd.support(differing).range(end..).copied().collect();
        let cube = self.bdd.cube(asked)?;
        Ok((self.bdd.for_all(differing, cube)?, self.bdd.exists(differing, cube)?))
    }

    /// Packets by what their address and port at one side are.
    fn spelled_out_ends(
        &mut self,
        [address, port]: &[Vec<Region>; 2],
        packets: Region,
        side: Side,
    ) -> Result<Vec<(Region, Ends)>, Undecided> {
        let [destination, destination_port, source, source_port] = self.ends();
        let (address_field, port_field) = match side {
            Side::Destination => (destination, destination_port),
            Side::Source => (source, source_port),
        };
        let mut told = Vec::new();
        for (packets, found) in self.end(address_field, address, packets)? {
            for (packets, port) in self.end(port_field, port, packets)? {
                told.push((packets, Ends { side, address: found.clone(), port }));
            }
        }
        Ok(told)
    }

    /// What an end is, for which packets.
    fn end(
        &mut self,
        field: Bits,
        now: &[Region],
        packets: Region,
    ) -> Result<Vec<(Region, End)>, Undecided> {
        if packets.is_none() {
            return Ok(Vec::new());
        }
        let mut kept = true;
        for (variable, now) in field.variables().zip(now) {
            let came = self.bdd.variable(variable)?;
            kept &= *now == came;
        }
        if kept {
            return Ok(vec![(packets, End::Kept)]);
        }
        let asked = now.iter().find_map(|bit| {
            let support = self.bdd.support(*bit);
            support.into_iter().find_map(|variable| self.asked(variable).cloned())
        });
        if let Some(question) = asked {
            return Ok(vec![(packets, End::Vague(question.text))]);
        }
        let mut values = Vec::new();
        if !self.values_of(now, packets, 0, &mut values)? {
            return Ok(vec![(packets, End::Varies)]);
        }
        Ok(values.into_iter().map(|(packets, value)| (packets, End::Is(value))).collect())
    }

    /// The values that bits spell, each with its packets. False where they are too many.
    fn values_of(
        &mut self,
        now: &[Region],
        packets: Region,
        begun: u128,
        found: &mut Vec<(Region, u128)>,
    ) -> Result<bool, Undecided> {
        let Some((bit, rest)) = now.split_first() else {
            found.push((packets, begun));
            return Ok(found.len() <= MOST_VALUES);
        };
        let one = self.bdd.and(packets, *bit)?;
        let zero = self.bdd.minus(packets, *bit)?;
        for (packets, digit) in [(zero, 0), (one, 1)] {
            if !packets.is_none() && !self.values_of(rest, packets, begun << 1 | digit, found)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Ends {
    /// Whether it is something that nobody knows.
    pub(super) fn is_vague(&self) -> bool {
        self.each().iter().any(|end| matches!(end, End::Vague(_)))
    }

    const fn each(&self) -> [&End; 2] {
        [&self.address, &self.port]
    }
}
