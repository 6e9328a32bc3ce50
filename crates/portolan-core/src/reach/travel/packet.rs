//! The packets that are sent: of a class of senders one, that stands for all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::firewall::simulate::{Presumed, Walk, Way};
use crate::firewall::{Addresses, Packet};
use crate::reach::arrival::Arrival;
use crate::reach::hints;

use super::Travel;
use super::walked::{is_same_host, translated};

impl Travel<'_> {
    /// A packet of some sender, with the interface it leaves by where nothing but the rules tells that.
    pub(in crate::reach) fn sample_packet(&self, arrival: &Arrival, to: IpAddr) -> Option<Packet> {
        let packet = self.packet(&arrival.addresses, to, arrival, to.is_ipv6())?;
        let out = self.asking.with.as_ref().and_then(|with| {
            self.out_by_rules(&packet, &with.walk(&packet, Way::Prerouting, &Presumed))
        });
        Some(Packet { interface_out: out, ..packet })
    }

    pub(super) fn packet(
        &self,
        class: &Addresses,
        to: IpAddr,
        arrival: &Arrival,
        is_v6: bool,
    ) -> Option<Packet> {
        let source = self.sample(class, is_v6)?;
        let packet = Packet::new(self.protocol, source, to).ports(SENDER_PORT, self.port.0);
        Some(Packet { interface_in: arrival.interface.clone().unwrap_or_default(), ..packet })
    }

    /// An address of a class: one that a host can have, and not this one.
    fn sample(&self, class: &Addresses, is_v6: bool) -> Option<IpAddr> {
        let (low, high) = *class.intervals(is_v6).iter().max_by_key(|(low, high)| high - low)?;
        let address = |number: u128| -> Option<IpAddr> {
            Some(match is_v6 {
                true => Ipv6Addr::from_bits(number).into(),
                false => Ipv4Addr::from_bits(u32::try_from(number).ok()?).into(),
            })
        };
        let first = if high - low > 1 { low + 1 } else { low };
        let mut some = (first..=high).take(MOST_OWN).filter_map(address);
        some.find(|a| !self.asking.scene.world.is_local(*a)).or_else(|| address(first))
    }

    /// Where addresses are not known: the interface by which rules say a translated packet leaves.
    pub(super) fn out_by_rules(&self, packet: &Packet, walk: &Walk) -> Option<Box<str>> {
        if self.is_world_known() {
            return None;
        }
        let (_, to) = translated(walk).filter(|(_, to)| !is_same_host(packet, to))?;
        hints::interface_of(self.ruleset()?, to.address)
    }
}

/// Some port of those that clients send from.
pub(in crate::reach) const SENDER_PORT: u16 = 50_123;

/// No machine has so many addresses in a row.
const MOST_OWN: usize = 64;
