//! Packets on their way, grouped by what was done to them.

use super::effect::Effect;
use crate::firewall::bdd::{Bdd, Region, Undecided};

/// Packets, said as they came, that have all been changed in the same manner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) effect: Effect,
    pub(super) packets: Region,
}

/// Several, none of them empty, each with another change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Streams(pub(super) Vec<Stream>);

impl Streams {
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

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All packets, whatever was done to them.
    pub(super) fn packets(&self, bdd: &mut Bdd) -> Result<Region, Undecided> {
        bdd.union(self.0.iter().map(|stream| stream.packets).collect())
    }
}
