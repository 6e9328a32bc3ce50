//! By which interface packets of a source come in, and to which addresses of this machine they go.
//!
//! Taken is the interface by which an answer would leave: that is where a source is that can hold a
//! conversation. Addresses to which no route leads cannot be answered at all.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::firewall::{Addresses, Interface, LocalAddress, RoutedWay, Routing, Ruleset, World};
use crate::net::{Prefix, Scope};
use crate::socket::multicast::Membership;

use super::question::{Asking, Rules};
use super::source::{PRIVATE, prefixes};
use super::{Whence, hints, listener};

/// Senders that come by the same interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// Their addresses, of one family.
    pub(super) addresses: Addresses,
    /// The interface; `None` where no route leads to them.
    pub(super) interface: Option<Box<str>>,
    /// Whether they are on the same link, and so may send a packet for any address to this machine.
    pub(super) is_neighbour: bool,
    /// Whether who routes for them may know the private addresses of this machine: all but the Internet.
    pub(super) is_site: bool,
    /// What rules of policy routing make of it.
    pub(super) policy: Policy,
}

/// What rules of policy routing make of the way of answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    /// The addresses of this machine that answers leave from this way; `None`: any.
    pub(super) only_from: Option<Vec<IpAddr>>,
    /// Rules of which nobody knows whether they are for such answers.
    pub(super) depends_on: Vec<String>,
    /// Whether what a socket of this machine answers gets nowhere; what is behind it may answer all the same.
    pub(super) is_refused: bool,
}

/// The name of an interface that no rule names: where nothing is known of the interfaces.
pub const SOME_INTERFACE: &str = "(any other)";

/// How packets of a source come in.
pub(super) fn arrivals(
    whence: &Whence,
    world: &World,
    ruleset: Option<&Ruleset>,
    mark: Option<u32>,
    is_v6: bool,
) -> Vec<Arrival> {
    let Whence::Outside { addresses, interface } = whence else { return Vec::new() };
    let addresses = addresses.family(is_v6);
    if addresses.is_empty() {
        return Vec::new();
    }
    match interface {
        // What is asked is about whatever comes by it.
        Some(interface) => by(interface, &addresses, true, world),
        None if world.is_known() => {
            let (link, beyond) = apart(&addresses);
            let senders = Senders { addresses: &beyond, mark, is_v6 };
            [by_policy(&senders, world, ruleset), by_link(&link, world)].concat()
        }
        None => by_rules(&addresses, ruleset),
    }
}

/// Addresses of a link (RFC 4291 §2.5.6), and the others.
fn apart(addresses: &Addresses) -> (Addresses, Addresses) {
    let link = prefixes(&[LINK]);
    (addresses.and(&link), addresses.without(&link))
}

/// Senders with addresses of a link, which are the same on every link: they may be on each one that this
/// machine has such an address on.
fn by_link(addresses: &Addresses, world: &World) -> Vec<Arrival> {
    if addresses.is_empty() {
        return Vec::new();
    }
    let mut links: Vec<Box<str>> = Vec::new();
    for own in world.addresses.iter().filter(|own| is_of_link(own.address)) {
        // What comes by the port of a bridge comes in by the bridge.
        let is_port = world.interface(&own.interface).is_some_and(|i| i.master.is_some());
        if &*own.interface != "lo" && !is_port && !links.contains(&own.interface) {
            links.push(own.interface.clone());
        }
    }
    let arrival = |interface: Option<Box<str>>| Arrival {
        addresses: addresses.clone(),
        is_neighbour: interface.is_some(),
        is_site: interface.is_some(),
        interface,
        policy: Policy::default(),
    };
    match links.is_empty() {
        true => vec![arrival(None)],
        false => links.into_iter().map(|link| arrival(Some(link))).collect(),
    }
}

/// Whether an address is one of a link, of IPv6.
pub(super) const fn is_of_link(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
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

/// Senders on the link of an interface, and those beyond: of a site, or of the Internet too.
fn by(interface: &str, addresses: &Addresses, is_site: bool, world: &World) -> Vec<Arrival> {
    let own = world.addresses.iter().filter(|own| *own.interface == *interface);
    let link = Addresses::of(own.map(|own| own.network)).with(&prefixes(&[LINK]));
    let arrival = |addresses: Addresses, is_neighbour, is_site| Arrival {
        addresses,
        interface: Some(interface.into()),
        is_neighbour,
        is_site,
        policy: Policy::default(),
    };
    let beyond = addresses.without(&link);
    let private = if is_site { beyond.clone() } else { beyond.and(&prefixes(&PRIVATE)) };
    let public = beyond.without(&private);
    let parts = [
        arrival(addresses.and(&link), true, true),
        arrival(private, false, true),
        arrival(public, false, false),
    ];
    parts.into_iter().filter(|part| !part.addresses.is_empty()).collect()
}

/// Senders of one family, and the mark of what is answered to them, where it is known.
struct Senders<'a> {
    addresses: &'a Addresses,
    mark: Option<u32>,
    is_v6: bool,
}

/// By the way that answers leave, for each part of this machine's addresses that rules of policy routing
/// send another way.
fn by_policy(senders: &Senders<'_>, world: &World, ruleset: Option<&Ruleset>) -> Vec<Arrival> {
    let mut found: Vec<Arrival> = Vec::new();
    let parts = parts(world, senders.is_v6);
    let is_one = parts.len() == 1;
    for own in parts {
        let Some(from) = own.first().copied() else { continue };
        let (to, mark) = (senders.addresses.clone(), senders.mark);
        let routing = Routing { from, to, interface_in: "lo", mark };
        for way in world.ways(&routing) {
            let only_from = (!is_one).then(|| own.clone());
            let is_refused = way.route.is_none() && world.has_policy();
            let depends_on = way.depends_on.clone();
            let policy = Policy { only_from, depends_on, is_refused };
            let ways = match is_refused {
                true => world.main_ways(&Routing { to: way.to, ..routing.clone() }),
                false => vec![way],
            };
            for arrival in ways.iter().flat_map(|way| by_way(way, world, ruleset)) {
                join(&mut found, Arrival { policy: policy.clone(), ..arrival });
            }
        }
    }
    found
}

/// A route of its own leads to a network that somebody set up, not to the Internet.
fn by_way(way: &RoutedWay, world: &World, ruleset: Option<&Ruleset>) -> Vec<Arrival> {
    let Some(route) = &way.route else { return vec![nowhere(way.to.clone())] };
    let known = by(&route.interface, &way.to, route.destination.length() > 0, world);
    if !route.interface.is_empty() {
        return known;
    }
    let by_each = |arrival: Arrival| {
        let names = outer(world, ruleset).into_iter();
        names.map(move |name| Arrival { interface: Some(name), ..arrival.clone() })
    };
    known.into_iter().flat_map(by_each).collect()
}

/// The interfaces that somebody may come in by of whom nobody told by which: those there are, as far as they
/// are not for containers and guests; where that is not known either, those that rules name, and another.
fn outer(world: &World, ruleset: Option<&Ruleset>) -> Vec<Box<str>> {
    let is_outer = |i: &&Interface| i.master.is_none() && !hints::is_inner(&i.name);
    let has_address = |i: &&Interface| world.addresses.iter().any(|own| own.interface == i.name);
    let all = world.interfaces.iter().filter(is_outer).filter(has_address);
    let listed: Vec<Box<str>> = all.map(|interface| interface.name.clone()).collect();
    match world.are_interfaces_known() && !listed.is_empty() {
        true => listed,
        false => {
            let named = ruleset.map(hints::outer_interfaces).unwrap_or_default();
            std::iter::once(SOME_INTERFACE.into()).chain(named).collect()
        }
    }
}

/// The addresses of this machine, those together that the same rules of policy routing are for.
fn parts(world: &World, is_v6: bool) -> Vec<Vec<IpAddr>> {
    let nobody: IpAddr =
        if is_v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let is_one = |own: &&LocalAddress| {
        own.address.is_ipv6() == is_v6
            && !matches!(Scope::of(own.address), Scope::Loopback | Scope::LinkLocal)
    };
    let own = world.addresses.iter().filter(is_one);
    if !world.has_policy() {
        return vec![vec![own.map(|own| own.address).next().unwrap_or(nobody)]];
    }
    let mut parts: BTreeMap<(Vec<bool>, Option<&str>), Vec<IpAddr>> = BTreeMap::new();
    for own in own {
        let rules = world.policy.iter().map(|rule| rule.source.contains(own.address)).collect();
        // A VRF has its addresses by its interfaces.
        let master = world.interface(&own.interface).and_then(|i| i.master.as_deref());
        parts.entry((rules, master)).or_default().push(own.address);
    }
    if parts.is_empty() {
        return vec![vec![nobody]];
    }
    parts.into_values().collect()
}

/// Senders that no route leads to.
fn nowhere(addresses: Addresses) -> Arrival {
    let policy = Policy::default();
    Arrival { addresses, interface: None, is_neighbour: false, is_site: false, policy }
}

/// Nothing is known of interfaces: those that rules let packets in by, and one that none names.
fn by_rules(addresses: &Addresses, ruleset: Option<&Ruleset>) -> Vec<Arrival> {
    let arrival = |interface| Arrival {
        addresses: addresses.clone(),
        interface: Some(interface),
        is_neighbour: false,
        is_site: false,
        policy: Policy::default(),
    };
    outer(&World::default(), ruleset).into_iter().map(arrival).collect()
}

fn join(found: &mut Vec<Arrival>, arrival: Arrival) {
    let kind = |a: &Arrival| (a.interface.clone(), a.is_neighbour, a.is_site, a.policy.clone());
    let same = found.iter_mut().find(|known| kind(known) == kind(&arrival));
    match same {
        Some(same) => same.addresses = same.addresses.with(&arrival.addresses),
        None => found.push(arrival),
    }
}

/// The addresses of this machine that such senders can send to, likeliest first. Those of a link are for
/// those who are on it; private ones for everybody, by favour of whoever routes or translates to them.
pub(super) fn destinations(arrival: &Arrival, asking: &Asking<'_>, is_v6: bool) -> Vec<IpAddr> {
    let world = asking.scene.world;
    if !world.is_known() {
        return hints::destinations(asking.scene.rules.map(Rules::ruleset), is_v6);
    }
    let is_at = |own: &LocalAddress| arrival.interface.as_deref() == Some(&*own.interface);
    let is_theirs = |own: &&LocalAddress| {
        own.address.is_ipv6() == is_v6
            && match Scope::of(own.address) {
                Scope::Loopback => false,
                Scope::LinkLocal => is_at(own) && arrival.is_neighbour,
                _ => true,
            }
    };
    let mut found: Vec<_> = asking.kinds.addresses(world).filter(is_theirs).collect();
    let far = |own: &LocalAddress| match Scope::of(own.address) {
        Scope::Global => 0,
        Scope::LinkLocal => 2,
        _ => 1,
    };
    found.sort_by_key(|own| (!is_at(own), far(own)));
    let mut found: Vec<IpAddr> = found.into_iter().map(|own| own.address).collect();
    found.extend(elsewhere(arrival, asking, is_v6));
    if let Some(own) = &arrival.policy.only_from {
        let is_interface_s = |to: &IpAddr| world.addresses.iter().any(|own| own.address == *to);
        found.retain(|to| own.contains(to) || !is_interface_s(to));
    }
    found
}

/// Addresses of this machine that no interface has, and that sockets are bound to: of networks that are
/// local by a route, and of loopback where the interface lets packets for it in (`route_localnet`).
fn elsewhere(arrival: &Arrival, asking: &Asking<'_>, is_v6: bool) -> Vec<IpAddr> {
    let world = asking.scene.world;
    let link = arrival.interface.as_deref().and_then(|name| world.interface(name));
    let is_loopback_let = arrival.is_neighbour && link.and_then(|i| i.route_localnet) == Some(true);
    let is_theirs = |address: &IpAddr| match Scope::of(*address) {
        Scope::Loopback => is_loopback_let && !is_v6,
        Scope::LinkLocal => false,
        _ => true,
    };
    let is_new =
        |a: &IpAddr| !world.addresses.iter().any(|own| own.address == *a) || a.is_loopback();
    let bound = asking.scene.sockets.map(listener::all_bound).unwrap_or_default();
    let bound = bound.into_iter().filter(|a| a.is_ipv6() == is_v6 && world.is_local(*a));
    let mut found: Vec<IpAddr> = bound.filter(|a| is_new(a) && is_theirs(a)).collect();
    let localhost = IpAddr::from(Ipv4Addr::LOCALHOST);
    if is_loopback_let && !is_v6 && !found.contains(&localhost) {
        found.push(localhost);
    }
    found.truncate(MOST);
    found
}

/// Where datagrams to everybody on the link of an arrival go.
pub(super) fn broadcasts(arrival: &Arrival, world: &World) -> Vec<IpAddr> {
    let Some(interface) = arrival.interface.as_deref().filter(|_| arrival.is_neighbour) else {
        return Vec::new();
    };
    let own = world.addresses.iter().filter(|own| *own.interface == *interface);
    let of_networks = own.filter_map(|own| broadcast(own.network));
    let mut found: Vec<IpAddr> = of_networks.chain([Ipv4Addr::BROADCAST.into()]).collect();
    found.dedup();
    found
}

/// The groups that are listened to on the link of an arrival, those that programs joined first: a socket of
/// no address takes datagrams to all of them (`IP_MULTICAST_ALL` of ip(7), `IPV6_MULTICAST_ALL`).
pub(super) fn groups(arrival: &Arrival, joined: &[Membership], is_v6: bool) -> Vec<IpAddr> {
    let Some(interface) = arrival.interface.as_deref().filter(|_| arrival.is_neighbour) else {
        return Vec::new();
    };
    let is_there = |m: &&Membership| *m.interface == *interface && m.group.is_ipv6() == is_v6;
    let mut found: Vec<&Membership> = joined.iter().filter(is_there).collect();
    found.sort_by_key(|membership| membership.is_kernels());
    found.into_iter().map(|membership| membership.group).filter(is_heard).take(MOST).collect()
}

/// Whether packets to a group come in from a link: those of scope one stay where they are (RFC 4291 §2.7).
fn is_heard(group: &IpAddr) -> bool {
    match group {
        IpAddr::V4(_) => true,
        IpAddr::V6(group) => group.octets()[1] & 15 > 1,
    }
}

/// Whether an address is one that datagrams to everybody on a link go to.
pub(super) fn is_broadcast(to: IpAddr, world: &World) -> bool {
    let mut own = world.addresses.iter().filter_map(|own| broadcast(own.network));
    to == IpAddr::from(Ipv4Addr::BROADCAST) || own.any(|of_network| of_network == to)
}

/// The last address of an IPv4 network; those of one or two addresses have none of everybody (RFC 3021).
fn broadcast(network: Prefix) -> Option<IpAddr> {
    let IpAddr::V4(first) = network.address() else { return None };
    let length = u32::from(network.length());
    let hosts = u32::MAX.checked_shr(length).filter(|_| length < 31)?;
    Some(Ipv4Addr::from_bits(first.to_bits() | hosts).into())
}

/// Whether senders of an arrival get to an address only where somebody between routes it here.
pub(super) fn is_by_favour(arrival: &Arrival, to: IpAddr, world: &World) -> bool {
    // Of an address nobody told by which interface it is; then it may be by this one.
    let is_at = |own: &LocalAddress| {
        let is_by_it = arrival.interface.as_deref() == Some(&*own.interface);
        own.address == to && (is_by_it || own.interface.is_empty())
    };
    let is_private = matches!(Scope::of(to), Scope::Private | Scope::Cgnat);
    is_private && !arrival.is_neighbour && world.is_known() && !world.addresses.iter().any(is_at)
}

/// The addresses of links.
const LINK: &str = "fe80::/10";
/// More addresses that sockets are bound to are not asked about.
const MOST: usize = 64;
