//! Packets on their way, grouped by what was done to them.

use std::collections::HashMap;

use super::effect::Effect;
use crate::firewall::bdd::{Bdd, Bits, Region, Undecided};

/// Packets, said as they came, that have all been changed in the same manner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) effect: Effect,
    pub(super) packets: Region,
}

/// Several, none of them empty, each with another change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Streams(pub(super) Vec<Stream>);

/// So many streams are told apart by their marks (in tests fewer, so that their small rulesets try that too):
/// every rule that sets one bit for some packets would have twice as many.
const MOST_BY_MARK: usize = if cfg!(test) { 3 } else { 64 };

impl Streams {
    /// Where there are many: makes one of streams that differ in nothing but `marks`, each bit of which then
    /// says itself for which packets it is set.
    pub(super) fn join_marks(&mut self, bdd: &mut Bdd, marks: [Bits; 2]) -> Result<(), Undecided> {
        if self.0.len() <= MOST_BY_MARK {
            return Ok(());
        }
        let mut places: HashMap<Effect, usize> = HashMap::new();
        let mut joined: Vec<Stream> = Vec::new();
        for stream in std::mem::take(&mut self.0) {
            let mut others = stream.effect.clone();
            marks.into_iter().for_each(|bits| others.forget(bits));
            let Some(place) = places.get(&others) else {
                places.insert(others, joined.len());
                joined.push(stream);
                continue;
            };
            let known = &mut joined[*place];
            for variable in marks.into_iter().flat_map(Bits::variables) {
                let (one, other) = (stream.effect.get(variable), known.effect.get(variable));
                if one != other {
                    let as_it_came = bdd.variable(variable)?;
                    let (one, other) = (one.unwrap_or(as_it_came), other.unwrap_or(as_it_came));
                    known.effect.set(variable, bdd.either(stream.packets, one, other)?);
                }
            }
            known.packets = bdd.or(known.packets, stream.packets)?;
        }
        self.0 = joined;
        Ok(())
    }

    pub(super) fn one(effect: Effect, packets: Region) -> Self {
        let stream = Stream { effect, packets };
        Self(if packets.is_none() { Vec::new() } else { vec![stream] })
    }

    pub(super) fn add(
        &mut self,
        bdd: &mut Bdd,
        effect: &Effect,
        packets: Region,
    ) -> Result<(), Undecided> {
        if packets.is_none() {
            return Ok(());
        }
        match self.0.iter_mut().find(|known| known.effect == *effect) {
            Some(known) => known.packets = bdd.or(known.packets, packets)?,
            None => self.0.push(Stream { effect: effect.clone(), packets }),
        }
        Ok(())
    }

    pub(super) fn extend(&mut self, bdd: &mut Bdd, more: Self) -> Result<(), Undecided> {
        more.0.into_iter().try_for_each(|stream| self.add(bdd, &stream.effect, stream.packets))
    }

    /// Adds many at once, which costs less than one after the other.
    pub(super) fn gather(&mut self, bdd: &mut Bdd, more: Vec<Stream>) -> Result<(), Undecided> {
        let mut groups: Vec<(Effect, Vec<Region>)> =
            self.0.drain(..).map(|stream| (stream.effect, vec![stream.packets])).collect();
        for Stream { effect, packets } in more {
            match groups.iter_mut().find(|(known, _)| *known == effect) {
                Some((_, regions)) => regions.push(packets),
                None => groups.push((effect, vec![packets])),
            }
        }
        for (effect, regions) in groups {
            let packets = bdd.united(&regions)?;
            self.0.extend(Self::one(effect, packets).0);
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All packets, whatever was done to them.
    pub(super) fn packets(&self, bdd: &mut Bdd) -> Result<Region, Undecided> {
        bdd.union(self.0.iter().map(|stream| stream.packets).collect())
    }
}
