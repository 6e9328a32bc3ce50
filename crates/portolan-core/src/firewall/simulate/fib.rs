//! What the routing table says of an address (net/ipv4/netfilter/nft_fib_ipv4.c, its like for IPv6).

use std::net::IpAddr;

use super::fields::Seen;
use super::path::{Link, Walker};
use super::walk::Way;
use crate::firewall::{FibKey, FibResult, RouteKind, bits};

impl Walker<'_> {
    /// The answer of a `fib` expression.
    pub(super) fn fib(&self, key: FibKey, result: FibResult) -> Seen<'_> {
        let is_vague =
            if key.is_source { self.vague.source } else { self.vague.destination }.is_some();
        if is_vague {
            return Seen::Open("fib".into());
        }
        let address = if key.is_source { self.packet.source } else { self.packet.destination };
        match result {
            FibResult::Type => self.fib_type(address, key),
            FibResult::Interface | FibResult::Exists => self.fib_route(address, key, result),
        }
    }

    /// What kind of address it is. Only the table of local addresses is asked: a stranger's is unicast,
    /// route or no route (inet_dev_addr_type).
    fn fib_type(&self, address: IpAddr, key: FibKey) -> Seen<'_> {
        if address.is_multicast() {
            return Seen::Number(bits::FIB_MULTICAST);
        }
        if is_broadcast_everywhere(address) {
            return Seen::Number(bits::FIB_BROADCAST);
        }
        if address.is_loopback() && !key.has_input && !key.has_output {
            return Seen::Number(bits::FIB_LOCAL);
        }
        if !self.prepared.world.is_known() {
            return self.guessed_type(address, key.is_source);
        }
        let link = match (key.has_input, key.has_output) {
            (true, _) => Some(&self.link_in),
            (_, true) => Some(&self.link_out),
            _ => None,
        };
        match link {
            Some(Link::Unknown) => Seen::Open("fib type on the interface".into()),
            Some(Link::Named(name)) => Seen::Number(self.type_on(address, Some(name))),
            _ => Seen::Number(self.type_on(address, None)),
        }
    }

    fn type_on(&self, address: IpAddr, interface: Option<&str>) -> u128 {
        let world = self.prepared.world;
        let is_there = |name: &str| interface.is_none_or(|wanted| wanted == name);
        let mut own = world.addresses.iter().filter(|own| is_there(&own.interface));
        if own.any(|own| own.address == address) || (address.is_loopback() && is_there("lo")) {
            return bits::FIB_LOCAL;
        }
        let mut own = world.addresses.iter().filter(|own| is_there(&own.interface));
        if own.any(|own| own.broadcast() == Some(address)) {
            return bits::FIB_BROADCAST;
        }
        bits::FIB_UNICAST
    }

    /// Without addresses: whom the packet is for was given, so its destination is local where that is this
    /// machine; a source from outside is not.
    fn guessed_type(&self, address: IpAddr, is_source: bool) -> Seen<'_> {
        let is_for_us = matches!(self.way, Way::Input | Way::ByRoute);
        match (is_source, self.is_own) {
            (true, true) => Seen::Number(bits::FIB_LOCAL),
            (true, false) => Seen::Number(bits::FIB_UNICAST),
            (false, false) if is_for_us && address == self.begun.destination => {
                Seen::Number(bits::FIB_LOCAL)
            }
            _ => Seen::Open("fib daddr type (addresses are not known)".into()),
        }
    }

    fn fib_route(&self, address: IpAddr, key: FibKey, result: FibResult) -> Seen<'_> {
        let give = |interface: &str| match result {
            FibResult::Exists => Seen::Number(u128::from(!interface.is_empty())),
            _ => Seen::Name(interface.to_owned().into()),
        };
        let world = self.prepared.world;
        if !world.is_known() {
            return Seen::Open("fib oif (routes are not known)".into());
        }
        if world.has_policy() {
            return Seen::Open("fib oif (rules of policy routing decide it)".into());
        }
        let link = match (key.has_input, key.has_output) {
            (true, _) => &self.link_in,
            (_, true) => &self.link_out,
            _ => &Link::None,
        };
        // Packets of the loopback device are always right (nft_fib_is_loopback).
        if self.link_in == Link::Named("lo".into()) {
            return give("lo");
        }
        if world.is_local(address) {
            return give("");
        }
        let route = world.route(address).filter(|route| route.kind == RouteKind::Unicast);
        let is_untold = route.is_some_and(|route| route.interface.is_empty());
        match (route, link) {
            // By an interface nobody told: taken to be the one it is asked of.
            (Some(_), Link::Named(name)) if is_untold => give(name),
            (Some(_), Link::None) if is_untold => match result {
                FibResult::Exists => Seen::Number(1),
                _ => Seen::Open("fib oif (routes are not known)".into()),
            },
            (None, _) => give(""),
            (Some(_), Link::Unknown) => Seen::Open("fib on the interface".into()),
            (Some(route), Link::Named(name)) if route.interface != *name => give(""),
            (Some(route), _) => give(&route.interface),
        }
    }
}

/// 0.0.0.0/8 and 255.255.255.255 are broadcast on every machine.
fn is_broadcast_everywhere(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[0] == 0 || address.is_broadcast(),
        IpAddr::V6(_) => false,
    }
}
