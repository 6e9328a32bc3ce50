//! Where accepted packets are at the end of their way: their destination and source, as they are then.

use std::net::IpAddr;

use crate::firewall::analyse::Fates;
use crate::firewall::analyse::chain::Run;
use crate::firewall::analyse::effect::Effect;
use crate::firewall::analyse::number::in_ranges;
use crate::firewall::analyse::space::{Space, number_of};
use crate::firewall::analyse::stream::Streams;
use crate::firewall::bdd::{Bits, Region, Undecided};
use crate::net::Port;

/// Accepted packets, and the ends that they have then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::firewall::analyse) struct Sent {
    /// They, as they came.
    pub(in crate::firewall::analyse) packets: Region,
    /// Destination, its port, source, its port: each bit by bit.
    pub(in crate::firewall::analyse) ends: [Vec<Region>; 4],
}

/// Accepted packets whose destination was translated, and what it is then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// They, as they came.
    pub packets: Region,
    /// The address, bit by bit.
    pub(in crate::firewall::analyse) destination: Vec<Region>,
    /// The port.
    pub(in crate::firewall::analyse) port: Vec<Region>,
}

impl Arrival {
    /// The address and the port, where they are the same for all.
    #[must_use]
    pub fn constant(&self) -> (Option<u128>, Option<u16>) {
        let port = spelled(&self.port).and_then(|port| u16::try_from(port).ok());
        (spelled(&self.destination), port)
    }
}

impl Space {
    /// Accepted packets that end up at one of these ports, translated or not.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn arriving_at(
        &mut self,
        fates: &Fates,
        ports: &[(u128, u128)],
    ) -> Result<Region, Undecided> {
        let straight = self.bdd.ranges(self.layout.destination_port, ports)?;
        let mut moved = Vec::new();
        let mut there = Vec::new();
        for arrival in &fates.arrivals {
            let fits = in_ranges(&mut self.bdd, &arrival.port, ports)?;
            there.push(self.bdd.and(arrival.packets, fits)?);
            moved.push(arrival.packets);
        }
        let moved = self.bdd.union(moved)?;
        let plain = self.bdd.minus(fates.accepted, moved)?;
        there.push(self.bdd.and(plain, straight)?);
        self.bdd.union(there)
    }

    /// The packets of an arrival that end up at this port, and at this address where one is given.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn ending_at(
        &mut self,
        arrival: &Arrival,
        address: Option<IpAddr>,
        port: Port,
    ) -> Result<Region, Undecided> {
        let exact = |number: u128| [(number, number)];
        let fits = in_ranges(&mut self.bdd, &arrival.port, &exact(port.0.into()))?;
        let mut there = self.bdd.and(arrival.packets, fits)?;
        if let Some(address) = address {
            let of_it = exact(number_of(address));
            let fits = in_ranges(&mut self.bdd, &arrival.destination, &of_it)?;
            there = self.bdd.and(there, fits)?;
        }
        Ok(there)
    }

    pub(super) fn ends_now(&mut self, effect: &Effect) -> Result<[Vec<Region>; 4], Undecided> {
        let [destination, port, source, source_port] = self.ends();
        Ok([
            self.bits_now(destination, effect)?,
            self.bits_now(port, effect)?,
            self.bits_now(source, effect)?,
            self.bits_now(source_port, effect)?,
        ])
    }

    /// Destination, its port, source, its port.
    pub(in crate::firewall::analyse) const fn ends(&self) -> [Bits; 4] {
        let layout = &self.layout;
        [layout.destination, layout.destination_port, layout.source, layout.source_port]
    }
}

impl Run<'_> {
    pub(super) fn arrivals(&mut self, passed: &Streams) -> Result<Vec<Arrival>, Undecided> {
        let layout = self.space.layout;
        let mut arrivals = Vec::new();
        for stream in &passed.0 {
            let mut fields =
                layout.destination.variables().chain(layout.destination_port.variables());
            if fields.all(|variable| stream.effect.get(variable).is_none()) {
                continue;
            }
            arrivals.push(Arrival {
                packets: stream.packets,
                destination: self.space.bits_now(layout.destination, &stream.effect)?,
                port: self.space.bits_now(layout.destination_port, &stream.effect)?,
            });
        }
        Ok(arrivals)
    }
}

/// The number bits spell that are the same for every packet.
fn spelled(bits: &[Region]) -> Option<u128> {
    bits.iter().try_fold(0, |number, bit| match (bit.is_all(), bit.is_none()) {
        (true, _) => Some(number << 1 | 1),
        (_, true) => Some(number << 1),
        _ => None,
    })
}
