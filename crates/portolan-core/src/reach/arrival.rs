//! By which interface packets of a source come in, and to which addresses of this machine they go.
//!
//! Taken is the interface by which an answer would leave: that is where a source is that can hold a
//! conversation. Addresses to which no route leads cannot be answered at all.

use std::net::IpAddr;

use crate::firewall::{Addresses, RouteKind, Ruleset, World};
use crate::net::Scope;

use super::Whence;
use super::hints;

/// Senders that come by the same interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// Their addresses, of one family.
    pub(super) addresses: Addresses,
    /// The interface; `None` where no route leads to them.
    pub(super) interface: Option<Box<str>>,
    /// Whether they are on the same link, and so may send a packet for any address to this machine.
    pub(super) is_neighbour: bool,
}

/// The name of an interface that no rule names: where nothing is known of the interfaces.
pub(super) const SOME_INTERFACE: &str = "(any other)";

/// How packets of a source come in.
pub(super) fn arrivals(
    whence: &Whence,
    world: &World,
    ruleset: Option<&Ruleset>,
    is_v6: bool,
) -> Vec<Arrival> {
    let Whence::Outside { addresses, interface } = whence else { return Vec::new() };
    let addresses = addresses.family(is_v6);
    if addresses.is_empty() {
        return Vec::new();
    }
    match interface {
        Some(interface) => by(interface, &addresses, world),
        None if world.is_known() => by_route(addresses, world, is_v6),
        None => by_rules(&addresses, ruleset),
    }
}

/// Whether a source is nothing but addresses of this machine.
pub(super) fn is_own(whence: &Whence, world: &World) -> bool {
    match whence {
        Whence::Here => true,
        Whence::Outside { addresses, .. } => {
            !addresses.is_empty() && addresses.without(&own(world)).is_empty()
        }
    }
}

fn own(world: &World) -> Addresses {
    Addresses::of(world.addresses.iter().map(|own| own.address.into()))
}

/// Senders on the link of an interface, and those beyond.
fn by(interface: &str, addresses: &Addresses, world: &World) -> Vec<Arrival> {
    let own = world.addresses.iter().filter(|own| *own.interface == *interface);
    let link = Addresses::of(own.map(|own| own.network));
    let arrival = |addresses: Addresses, is_neighbour| Arrival {
        addresses,
        interface: Some(interface.into()),
        is_neighbour,
    };
    let parts = [arrival(addresses.and(&link), true), arrival(addresses.without(&link), false)];
    parts.into_iter().filter(|part| !part.addresses.is_empty()).collect()
}

fn by_route(mut left: Addresses, world: &World, is_v6: bool) -> Vec<Arrival> {
    let mut routes: Vec<_> =
        world.routes.iter().filter(|r| r.destination.address().is_ipv6() == is_v6).collect();
    routes.sort_by_key(|r| (std::cmp::Reverse(r.destination.length()), r.metric));
    let mut found: Vec<Arrival> = Vec::new();
    for route in routes {
        let network = Addresses::of([route.destination]);
        let part = left.and(&network);
        if part.is_empty() {
            continue;
        }
        left = left.without(&network);
        let is_way = route.kind == RouteKind::Unicast && !route.interface.is_empty();
        let arrivals = match is_way {
            true => by(&route.interface, &part, world),
            false => vec![Arrival { addresses: part, interface: None, is_neighbour: false }],
        };
        arrivals.into_iter().for_each(|arrival| join(&mut found, arrival));
    }
    if !left.is_empty() {
        join(&mut found, Arrival { addresses: left, interface: None, is_neighbour: false });
    }
    found
}

/// Nothing is known of interfaces: those that rules let packets in by, and one that none names.
fn by_rules(addresses: &Addresses, ruleset: Option<&Ruleset>) -> Vec<Arrival> {
    let named = ruleset.map(hints::outer_interfaces).unwrap_or_default();
    let all = std::iter::once(SOME_INTERFACE.into()).chain(named);
    let arrival = |interface| Arrival {
        addresses: addresses.clone(),
        interface: Some(interface),
        is_neighbour: false,
    };
    all.map(arrival).collect()
}

fn join(found: &mut Vec<Arrival>, arrival: Arrival) {
    let same = found
        .iter_mut()
        .find(|a| a.interface == arrival.interface && a.is_neighbour == arrival.is_neighbour);
    match same {
        Some(same) => same.addresses = same.addresses.with(&arrival.addresses),
        None => found.push(arrival),
    }
}

/// The addresses of this machine that such senders can send to, likeliest first.
pub(super) fn destinations(
    arrival: &Arrival,
    world: &World,
    ruleset: Option<&Ruleset>,
    is_v6: bool,
) -> Vec<IpAddr> {
    if !world.is_known() {
        return hints::destinations(ruleset, is_v6);
    }
    let is_theirs = |own: &&crate::firewall::LocalAddress| {
        let scope = Scope::of(own.address);
        let is_at_interface = arrival.interface.as_deref() == Some(&*own.interface);
        own.address.is_ipv6() == is_v6
            && !matches!(scope, Scope::Loopback | Scope::LinkLocal)
            && (is_at_interface || arrival.is_neighbour || scope == Scope::Global)
    };
    let mut found: Vec<_> = world.addresses.iter().filter(is_theirs).collect();
    found.sort_by_key(|own| arrival.interface.as_deref() != Some(&*own.interface));
    found.into_iter().map(|own| own.address).take(MOST).collect()
}

/// More addresses of one machine are not asked one by one.
const MOST: usize = 16;
