//! Regions made ready for millions of records of flows.

use super::space::Space;
use crate::firewall::Packet;
use crate::firewall::bdd::{Bits, Region};
use crate::firewall::replay::{Flat, ReplayError, Role};

impl Space {
    /// A region flattened for the records of [`crate::firewall::flow::binary`] whose packets come in by
    /// `interface`; by any, where that is empty. What records do not have is as in `usual`.
    ///
    /// # Errors
    /// When the node budget is used up, or the result would be too large.
    pub fn flat(
        &mut self,
        region: Region,
        interface: &str,
        usual: &Packet,
    ) -> Result<Flat, ReplayError> {
        let (mut always, mut maybe) = self.certainly_and_possibly(region)?;
        if interface.is_empty() {
            let last = self.interfaces.count() as u128 - 1;
            let known = self.bdd.range(self.layout.interface_in, 1, last)?;
            let cube = self.bdd.cube(self.layout.interface_in.variables())?;
            let either = self.bdd.or(always, !known)?;
            let both = self.bdd.and(maybe, known)?;
            (always, maybe) = (self.bdd.for_all(either, cube)?, self.bdd.exists(both, cube)?);
        }
        let usual = Packet { interface_in: interface.into(), ..usual.clone() };
        let fixed = self.encoded(&usual);
        let places = self.places();
        let role = |variable: u32| {
            let found = places.iter().find(|(bits, _)| bits.variables().contains(&variable));
            match found {
                Some((bits, at)) => Role::Bit(at + (variable - bits.first) as u16),
                None => Role::Fixed(fixed.get(variable as usize).copied().unwrap_or(false)),
            }
        };
        Ok(Flat::new(&self.bdd, always, maybe, &role)?)
    }

    /// Where fields lie in a record, in bits from its beginning.
    fn places(&self) -> [(Bits, u16); 10] {
        let layout = &self.layout;
        let address: u16 = if self.is_v6() { 128 } else { 32 };
        let ports = address * 2;
        let (source_port, destination_port, protocol) = (ports, ports + 16, ports + 32);
        [
            (layout.source, 0),
            (layout.destination, address),
            (layout.source_port, source_port),
            (layout.destination_port, destination_port),
            (layout.protocol, protocol),
            // A flow's first packet is of a connection that no rule has translated yet.
            (layout.becomes.source, 0),
            (layout.becomes.destination, address),
            (layout.becomes.source_port, source_port),
            (layout.becomes.destination_port, destination_port),
            (layout.becomes.protocol, protocol),
        ]
    }
}
