//! Observed flows run against rules: how many pass, how many do not, and which.
//!
//! What the rules do with every flow there can be is analysed once, and flattened ([`Flat`]); a flow then
//! costs some ten lookups. Flows are the records of [`super::flow::binary`], read where they lie. What begins no
//! connection and belongs to none (neighbours of ICMP) is simulated packet by packet; errors and answers, which
//! belong to one, are not for these rules to judge: whether it is known then no flow tells.

mod flat;

use super::analyse::{DEFAULT_BUDGET, Detail, Space, fates};
use super::bdd::Undecided;
use super::flow::Flow;
use super::simulate::{Open, Outcome, Prepared, Way};
use super::tighten::packet;
use super::{Packet, Ruleset, World, bits};

pub use flat::{Fate, Flat, Role, TooLarge};

/// Rules made ready for flows.
#[derive(Debug)]
pub struct Replayer<'r> {
    ruleset: &'r Ruleset,
    world: &'r World,
    prepared: Prepared<'r>,
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
        let prepared = Prepared::new(ruleset, world);
        Self { ruleset, world, prepared, way, interfaces, flat: [Vec::new(), Vec::new()] }
    }

    /// Analyses the rules for one family. Without it every flow of that family depends.
    ///
    /// # Errors
    /// When the rules are too irregular.
    pub fn prepare(&mut self, is_v6: bool) -> Result<(), ReplayError> {
        let mut space = Space::new(is_v6, &[self.ruleset], self.world, DEFAULT_BUDGET);
        let start = space.fresh()?;
        let accepted = fates(&mut space, &self.prepared, self.way, start, Detail::Fates)?.accepted;
        let accepted = space.in_any_frame(accepted)?;
        // A number beyond the names is of an interface nobody knows, as the empty name is.
        let names = self.interfaces.iter().map(|name| &**name).chain([""]);
        let flat = names.map(|name| space.flat(accepted, name, &usual(is_v6)));
        self.flat[usize::from(is_v6)] = flat.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Whether this is an error or an answer of ICMP, which has no fate of its own: it shares that of its
    /// connection ([`Packet::is_of_a_connection`]).
    #[must_use]
    pub fn is_of_a_connection(&self, flow: &Flow) -> bool {
        packet(flow, self.world).is_of_a_connection()
    }

    /// The fate of a message of ICMP that begins no connection, in the state that conntrack gives it where none
    /// is known; `None` for all other flows, whose fate their record says ([`Replayer::fate`]).
    #[must_use]
    pub fn fate_alone(&self, flow: &Flow) -> Option<Fate> {
        let packet = packet(flow, self.world);
        if packet.fresh_state() == bits::NEW {
            return None;
        }
        let walk = self.prepared.walk(&packet, self.way, &Open);
        Some(match (walk.is_certain(), walk.outcome) {
            (false, _) => Fate::Depends,
            (true, Outcome::Accept) => Fate::Accepted,
            (true, _) => Fate::Refused,
        })
    }

    /// Whether a record is of ICMP, and so may begin no connection.
    #[must_use]
    pub const fn is_of_messages(record: &[u8]) -> bool {
        matches!(record, [.., 1 | 58, _, _, _])
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
