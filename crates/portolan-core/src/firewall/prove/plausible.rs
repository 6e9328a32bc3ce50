//! Packets that can really come: to an address this machine has, by the interface behind which its route
//! to the sender lies.
//!
//! That others refuse a packet to somebody else, or one from a network that comes in where it cannot,
//! is what they are there for, and takes nothing from what the policy lets in.

use std::cmp::Reverse;

use super::super::analyse::Space;
use super::super::bdd::{Region, Undecided};
use super::super::policy::{PassWay, Policy};
use super::super::simulate::Way;
use super::super::world::RouteKind;
use super::super::{Addresses, LocalAddress, World};
use crate::net::Prefix;

/// The first packets of connections that can be on a way here; of those nothing is known of, all.
pub(super) fn plausible(
    space: &mut Space,
    policy: &Policy,
    world: &World,
    way: Way,
) -> Result<Region, Undecided> {
    let fresh = space.fresh()?;
    let fresh = space.of_way(fresh, way)?;
    let is_v6 = space.is_v6();
    let is_own = |own: &LocalAddress| own.address.is_ipv6() == is_v6 && !own.address.is_loopback();
    if !world.addresses.iter().any(is_own) {
        return Ok(fresh);
    }
    let own = Addresses::of(world.addresses.iter().map(|own| Prefix::from(own.address)));
    let networks = Addresses::of(world.local_networks.iter().copied());
    let (of_link, loopback) = (fixed(LINK), fixed(LOOPBACK));
    let (far, link) = (own.without(&of_link.with(&loopback)), own.and(&of_link));
    let from = |space: &mut Space, set: &Addresses| space.from(&set.prefixes(is_v6));
    let to = |space: &mut Space, set: &Addresses| space.to(&set.prefixes(is_v6));
    let (from_own, from_link) = (from(space, &own)?, from(space, &of_link)?);
    let (to_own, to_link) = (to(space, &own)?, to(space, &of_link)?);
    // Whoever has an address of the link alone talks to such addresses alone.
    let apart = space.bdd.xor(from_link, to_link)?;
    match way {
        Way::Output => {
            let sent = from(space, &far.with(&link))?;
            space.bdd.intersection([fresh, sent, !to_own, !apart])
        }
        Way::Forward => {
            let coming = by_route(space, world)?;
            let outside = space.from_outside()?;
            let others = [!from_own, !to_own, !from_link, !to_link];
            let all = [fresh, outside, coming].into_iter().chain(others);
            space.bdd.intersection(all)
        }
        _ => {
            let coming = by_route(space, world)?;
            let here = policy.passes.iter().filter(|pass| pass.way != PassWay::Through);
            let groups = here.filter_map(|pass| pass.destinations.as_ref());
            let called = groups.fold(far.with(&networks), |all, groups| all.with(groups));
            let (called, near) = (to(space, &called)?, to(space, &link)?);
            let near = space.bdd.and(near, from_link)?;
            let far = space.bdd.minus(called, from_link)?;
            let called = space.bdd.or(far, near)?;
            let outside = space.from_outside()?;
            space.bdd.intersection([fresh, outside, !from_own, called, coming])
        }
    }
}

/// Packets that come in by the interface to which the route to their sender leads. Where rules of policy
/// routing lead elsewhere, where there are no routes or very many, all.
fn by_route(space: &mut Space, world: &World) -> Result<Region, Undecided> {
    let is_v6 = space.is_v6();
    let has_rules = !world.interfaces.iter().any(|one| one.reverse_path.is_some());
    let behind = behind(world, is_v6);
    if has_rules || behind.is_empty() || world.routes.len() > MOST_ROUTES {
        return space.possible();
    }
    let mut all = Vec::new();
    for (interface, addresses) in behind {
        let (from, by) = (space.from(&addresses.prefixes(is_v6))?, space.comes_by(interface)?);
        all.push(space.bdd.and(from, by)?);
    }
    space.bdd.union(all)
}

/// The addresses behind each interface: those whose longest route leads by it. Each link has its own
/// addresses of the link.
fn behind(world: &World, is_v6: bool) -> Vec<(&str, Addresses)> {
    let of_family = |network: &Prefix| network.address().is_ipv6() == is_v6;
    let mut routes: Vec<_> =
        world.routes.iter().filter(|route| of_family(&route.destination)).collect();
    routes.sort_by_key(|route| (Reverse(route.destination.length()), route.metric));
    let (mut taken, mut found): (_, Vec<(&str, Addresses)>) = (Addresses::NONE, Vec::new());
    for route in routes.into_iter().take(MOST_ROUTES) {
        let of_route = Addresses::of([route.destination]);
        let is_of_link = fixed(LINK).contains(route.destination.address());
        let left = if is_of_link { of_route.clone() } else { of_route.without(&taken) };
        taken = taken.with(&of_route);
        if route.kind != RouteKind::Unicast || &*route.interface == "lo" || left.is_empty() {
            continue;
        }
        match found.iter_mut().find(|(known, _)| *known == &*route.interface) {
            Some((_, known)) => *known = known.with(&left),
            None => found.push((&*route.interface, left)),
        }
    }
    found
}

fn fixed(texts: &[&str]) -> Addresses {
    Addresses::of(texts.iter().filter_map(|text| text.parse::<Prefix>().ok()))
}

/// RFC 4291 §2.5.6.
const LINK: &[&str] = &["fe80::/10"];
const LOOPBACK: &[&str] = &["127.0.0.0/8", "::1/128"];
/// Of more the tables of a router of the Internet are made.
const MOST_ROUTES: usize = 1_000;
