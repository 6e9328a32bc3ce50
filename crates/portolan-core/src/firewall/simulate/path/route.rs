//! The routing decision: whether the packet is for here, goes onward or out and by which interface, or goes
//! nowhere.

use std::net::{IpAddr, Ipv4Addr};

use super::{Link, Walker};
use crate::firewall::RouteKind;
use crate::firewall::simulate::walk::{Because, Decision, NoWay, Station, Way};

impl Walker<'_> {
    /// Where a packet goes that has come in.
    pub(super) fn route(&mut self) -> (Decision, Because) {
        let here = |because| (Decision { station: Station::Here, interface: None }, because);
        if let Some(dead_end) = self.is_dead_end {
            return (nowhere(dead_end), Because::Translated);
        }
        if let Some(range) = self.vague.destination {
            self.settle_destination(range, Self::class_in);
        }
        let destination = self.packet.destination;
        let is_moved = destination != self.begun.destination || self.vague.destination.is_some();
        if self.is_martian() {
            return (nowhere(NoWay::Martian), Because::Routes);
        }
        match self.way {
            Way::Input if !is_moved => return here(Because::Given),
            Way::Forward if !is_moved && !self.is_redirected => {
                let decision = match self.packet.interface_out {
                    None if self.leads_nowhere() => self.onward_by_kind(),
                    _ => self.onward(),
                };
                return (decision, Because::Given);
            }
            _ => {}
        }
        if self.prepared.world.is_known() {
            let is_here = self.is_for_here(destination);
            return if is_here {
                here(Because::Routes)
            } else {
                (self.onward_by_route(), Because::Routes)
            };
        }
        match is_moved && !self.is_redirected && !destination.is_loopback() {
            true => (self.onward(), Because::Translated),
            false => here(Because::Unchanged),
        }
    }

    pub(in crate::firewall::simulate) fn is_for_here(&self, destination: IpAddr) -> bool {
        let world = self.prepared.world;
        let is_all = destination.is_multicast()
            || destination == IpAddr::V4(Ipv4Addr::BROADCAST)
            || world.broadcasts().any(|broadcast| broadcast == destination);
        is_all || world.is_local(destination)
    }

    /// Loopback addresses are refused from outside unless `route_localnet` is on (ip_route_input_slow).
    fn is_martian(&mut self) -> bool {
        let Link::Named(name) = &self.link_in else { return false };
        if !self.packet.destination.is_loopback() || self.packet.is_v6() || &**name == "lo" {
            return false;
        }
        !self.is_localnet_routed()
    }

    /// On to others, by the interface given or the one of the route.
    fn onward(&self) -> Decision {
        let route = self.prepared.world.route(self.packet.destination);
        let by_route = route.map(|route| route.interface.clone()).filter(|name| !name.is_empty());
        let interface = self.packet.interface_out.clone().or(by_route);
        Decision { station: Station::Onward, interface }
    }

    fn onward_by_route(&self) -> Decision {
        let world = self.prepared.world;
        let is_v6 = self.packet.is_v6();
        let by = if let Link::Named(name) = &self.link_in { &**name } else { "" };
        if !world.forwards(is_v6, by) {
            return nowhere(NoWay::NotForwarding);
        }
        self.onward_by_kind()
    }

    /// Whether the routes are known and none leads to its destination: then the hook never sees it.
    fn leads_nowhere(&self) -> bool {
        let world = self.prepared.world;
        let kind = world.route(self.packet.destination).map(|route| route.kind);
        world.is_known() && !world.has_policy() && kind != Some(RouteKind::Unicast)
    }

    fn onward_by_kind(&self) -> Decision {
        let world = self.prepared.world;
        match world.route(self.packet.destination).map(|route| route.kind) {
            Some(RouteKind::Unicast) => self.onward(),
            Some(RouteKind::Blackhole) => nowhere(NoWay::Blackhole),
            Some(RouteKind::Prohibit) => nowhere(NoWay::Prohibited),
            Some(RouteKind::Unreachable) | None => nowhere(NoWay::Unreachable),
        }
    }

    /// Where a packet goes that this machine sends.
    pub(super) fn route_out(&self) -> (Decision, Because) {
        if let Some(name) = &self.packet.interface_out {
            let interface = Some(name.clone());
            return (Decision { station: Station::Onward, interface }, Because::Given);
        }
        let world = self.prepared.world;
        let destination = self.packet.destination;
        if world.is_local(destination) {
            let interface = Some("lo".into());
            return (Decision { station: Station::Onward, interface }, Because::Routes);
        }
        if !world.is_known() || destination.is_multicast() {
            return (self.onward(), Because::Unchanged);
        }
        (self.onward_by_kind(), Because::Routes)
    }
}

pub(in crate::firewall::simulate) fn nowhere(why: NoWay) -> Decision {
    Decision { station: Station::Nowhere(why), interface: None }
}
