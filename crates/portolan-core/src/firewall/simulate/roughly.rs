//! Where a packet goes whose destination a translation has made vague: every place it may go to is asked
//! for, then it is taken to be an address that goes there.

use std::net::IpAddr;

use super::answers::About;
use super::path::{Link, Walker};
use crate::firewall::{RouteKind, World, address_of, interval_of, number_of};

/// What routing makes of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Refused from outside.
    Martian,
    /// For this machine.
    Here,
    /// To others, by this route; `None`: there is none.
    Onward(Option<(RouteKind, Box<str>)>),
}

impl Walker<'_> {
    /// Makes the destination one of those it may be, after asking of which kind it is.
    pub(super) fn settle_destination(
        &mut self,
        range: (u128, u128),
        class: fn(&Self, IpAddr) -> Class,
    ) {
        let is_v6 = self.packet.is_v6();
        let mut kinds: Vec<(Class, IpAddr)> = Vec::new();
        for first in edges(self.prepared.world, is_v6, range) {
            let address = address_of(first, is_v6);
            let class = class(self, address);
            if kinds.iter().all(|(known, _)| *known != class) {
                kinds.push((class, address));
            }
        }
        let last = kinds.pop();
        for (class, address) in kinds {
            let text = format!("it is translated to an address like {address}");
            let key = format!("{text} {class:?} {:?}", self.hook);
            if self.ask_as(&text, None, About::Setting, None, key) {
                self.packet.destination = address;
                return;
            }
        }
        if let Some((_, address)) = last {
            self.packet.destination = address;
        }
    }

    /// What becomes of a packet that comes in, by its destination.
    pub(super) fn class_in(&self, to: IpAddr) -> Class {
        let by_lo = !matches!(&self.link_in, Link::Named(name) if &**name != "lo");
        if to.is_loopback() && !to.is_ipv6() && !by_lo {
            return Class::Martian;
        }
        let world = self.prepared.world;
        let is_here = if world.is_known() { self.is_for_here(to) } else { to.is_loopback() };
        if is_here { Class::Here } else { Class::Onward(by_route(world, to)) }
    }

    /// What becomes of a packet that this machine sends.
    pub(super) fn class_out(&self, to: IpAddr) -> Class {
        let world = self.prepared.world;
        if world.is_local(to) { Class::Here } else { Class::Onward(by_route(world, to)) }
    }
}

fn by_route(world: &World, to: IpAddr) -> Option<(RouteKind, Box<str>)> {
    world.route(to).map(|route| (route.kind, route.interface.clone()))
}

/// Numbers of a range of which each stands for itself and those up to the next: wherever routing may
/// begin to decide otherwise.
fn edges(world: &World, is_v6: bool, (low, high): (u128, u128)) -> Vec<u128> {
    let mut all = vec![low];
    let mut add = |first: u128, last: u128| {
        all.extend([Some(first), last.checked_add(1)].into_iter().flatten());
    };
    if is_v6 {
        add(1, 1);
        add(0xff << 120, u128::MAX);
    } else {
        add(0x7f00_0000, 0x7fff_ffff);
        add(0xe000_0000, 0xefff_ffff);
        add(0xffff_ffff, 0xffff_ffff);
    }
    let own = world.addresses.iter().map(|own| own.address).chain(world.broadcasts());
    for address in own.filter(|address| address.is_ipv6() == is_v6) {
        add(number_of(address), number_of(address));
    }
    let routed = world.routes.iter().map(|route| route.destination);
    for network in routed.chain(world.local_networks.iter().copied()) {
        if network.address().is_ipv6() == is_v6 {
            let (first, last) = interval_of(network);
            add(first, last);
        }
    }
    all.retain(|edge| low <= *edge && *edge <= high);
    all.sort_unstable();
    all.dedup();
    all
}
