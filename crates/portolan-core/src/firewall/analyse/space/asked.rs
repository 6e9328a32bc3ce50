//! The packets that a question names: by their interface, network, port, protocol or state.

use super::{Space, span_of};
use crate::firewall::analyse::layout::State;
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::{Interface, World};
use crate::net::Prefix;

impl Space {
    /// The packets of a transport, by IANA's number.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn protocol(&mut self, number: u8) -> Result<Region, Undecided> {
        self.bdd.equal(self.layout.protocol, number.into())
    }

    /// The packets to one of these ports (both ends included).
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn to_ports(&mut self, ports: &[(u16, u16)]) -> Result<Region, Undecided> {
        let ranges = wide(ports);
        self.bdd.ranges(self.layout.destination_port, &ranges)
    }

    /// The packets from one of these ports.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn from_ports(&mut self, ports: &[(u16, u16)]) -> Result<Region, Undecided> {
        let ranges = wide(ports);
        self.bdd.ranges(self.layout.source_port, &ranges)
    }

    /// The packets from these networks; networks of the other family hold none.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn from(&mut self, networks: &[Prefix]) -> Result<Region, Undecided> {
        let ranges = self.ranges(networks);
        self.bdd.ranges(self.layout.source, &ranges)
    }

    /// The packets to these networks.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn to(&mut self, networks: &[Prefix]) -> Result<Region, Undecided> {
        let ranges = self.ranges(networks);
        self.bdd.ranges(self.layout.destination, &ranges)
    }

    /// The packets that come in by the interface.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn comes_by(&mut self, interface: &str) -> Result<Region, Undecided> {
        let number = self.interfaces.number(interface);
        self.bdd.equal(self.layout.interface_in, number)
    }

    /// The packets that leave by the interface.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn leaves_by(&mut self, interface: &str) -> Result<Region, Undecided> {
        let number = self.interfaces.number(interface);
        self.bdd.equal(self.layout.interface_out, number)
    }

    /// The packets whose connection has this state, one of [`crate::firewall::bits`].
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn in_state(&mut self, bit: u128) -> Result<Region, Undecided> {
        match State::of_bit(bit) {
            Some(state) => self.bdd.equal(self.layout.state, state.number()),
            None => Ok(Region::NONE),
        }
    }

    /// The packets that come in by an interface where a setting is known to be on, and those where it
    /// is known to be off.
    pub(in crate::firewall::analyse) fn by_setting(
        &mut self,
        world: &World,
        setting: impl Fn(&Interface) -> Option<bool>,
    ) -> Result<(Region, Region), Undecided> {
        let (mut on, mut off) = (Region::NONE, Region::NONE);
        for interface in &world.interfaces {
            let Some(is_on) = setting(interface) else { continue };
            let by = self.comes_by(&interface.name)?;
            let side = if is_on { &mut on } else { &mut off };
            *side = self.bdd.or(*side, by)?;
        }
        Ok((on, off))
    }

    /// The packets that come in by an interface whose packets are passed on.
    pub(in crate::firewall::analyse) fn forwards(
        &mut self,
        world: &World,
    ) -> Result<Region, Undecided> {
        if self.is_v6 {
            return Ok(if world.forwards_v6 { Region::ALL } else { Region::NONE });
        }
        let (on, off) = self.by_setting(world, |interface| interface.forwards_v4)?;
        if world.forwards_v4 { Ok(!off) } else { Ok(on) }
    }

    fn ranges(&self, networks: &[Prefix]) -> Vec<(u128, u128)> {
        let same = networks.iter().filter(|network| network.address().is_ipv6() == self.is_v6);
        same.map(|network| span_of(*network)).collect()
    }
}

fn wide(ports: &[(u16, u16)]) -> Vec<(u128, u128)> {
    ports.iter().map(|(from, to)| ((*from).into(), (*to).into())).collect()
}
