//! Observed flows run against rules: how many pass, how many do not, and which.
//!
//! What the rules do with every flow there can be is analysed once, and flattened ([`Flat`]); a flow then
//! costs some ten lookups. Flows are the records of [`super::flow::binary`], read where they lie.

mod flat;

use super::analyse::{DEFAULT_BUDGET, Detail, Space, fates};
use super::bdd::Undecided;
use super::simulate::{Prepared, Way};
use super::{Packet, Ruleset, World};

pub use flat::{Fate, Flat, Role, TooLarge};

/// Rules made ready for flows.
#[derive(Debug)]
pub struct Replayer<'r> {
    ruleset: &'r Ruleset,
    world: &'r World,
    way: Way,
    interfaces: &'r [Box<str>],
    /// For IPv4 and IPv6, for each interface.
    flat: [Vec<Flat>; 2],
}

/// Why flows cannot be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The rules are too irregular to be analysed.
    #[error(transparent)]
    Undecided(#[from] Undecided),
    /// The same, found out while flattening.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl<'r> Replayer<'r> {
    /// For flows that go `way` and whose interfaces are numbered as in `interfaces`.
    #[must_use]
    pub fn new(
        ruleset: &'r Ruleset,
        world: &'r World,
        way: Way,
        interfaces: &'r [Box<str>],
    ) -> Self {
        Self { ruleset, world, way, interfaces, flat: [Vec::new(), Vec::new()] }
    }

    /// Analyses the rules for one family. Without it every flow of that family depends.
    ///
    /// # Errors
    /// When the rules are too irregular.
    pub fn prepare(&mut self, is_v6: bool) -> Result<(), ReplayError> {
        let prepared = Prepared::new(self.ruleset, self.world);
        let mut space = Space::new(is_v6, &[self.ruleset], self.world, DEFAULT_BUDGET);
        let start = space.fresh()?;
        let accepted = fates(&mut space, &prepared, self.way, start, Detail::Fates)?.accepted;
        let accepted = space.in_any_frame(accepted)?;
        // A number beyond the names is of an interface nobody knows, as the empty name is.
        let names = self.interfaces.iter().map(|name| &**name).chain([""]);
        let flat = names.map(|name| space.flat(accepted, name, &usual(is_v6)));
        self.flat[usize::from(is_v6)] = flat.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// The fate of a record of a family, with ports and all.
    #[must_use]
    pub fn fate(&self, is_v6: bool, record: &[u8]) -> Fate {
        let flats = &self.flat[usize::from(is_v6)];
        let number = match record {
            [.., first, second] => usize::from(u16::from_be_bytes([*first, *second])),
            _ => usize::MAX,
        };
        let flat = flats.get(number).or(flats.last());
        flat.map_or(Fate::Depends, |flat| flat.fate(record))
    }
}

/// A packet whose fields that no record has are those of every flow: the first of its connection.
fn usual(is_v6: bool) -> Packet {
    let address = if is_v6 { "::" } else { "0.0.0.0" };
    let address = address.parse().unwrap_or(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
    Packet::new(6, address, address)
}

#[cfg(test)]
mod tests;
