//! The machine that rules from files are of: what was said of it, nothing else.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use portolan_core::firewall::{Interface, LocalAddress, Route, RouteKind, World};
use portolan_core::net::Prefix;

use super::Sources;
use super::refused;
use crate::fault::{Fault, Hinted as _};

/// Its addresses and routes, and whether those of IPv4, of IPv6 were left out. It is taken to pass packets on:
/// whether it does stands in no file of rules. Where no routes of a family were told, the networks of its
/// addresses are at their interfaces, and everything else is behind an interface without a name.
pub(super) fn of(sources: &Sources) -> Result<(World, [bool; 2])> {
    let mut world = World { forwards_v4: true, forwards_v6: true, ..World::default() };
    for path in &sources.world {
        let hint = "save it with: ip -j addr > FILE, ip -j route > FILE";
        let bytes = fs::read(path).hinted(format!("read {path}"), hint)?;
        let taken = world.take_ip_json(&bytes);
        taken.map_err(|e| refused(path, &String::from_utf8_lossy(&bytes), e.hinting(hint)))?;
    }
    let listed = world.addresses.len();
    for text in &sources.local {
        take_local(&mut world, text)?;
    }
    if world.addresses.is_empty() && !world.routes.is_empty() {
        let what = "routes alone do not tell which addresses are the machine's own";
        return Err(Fault::new(
            what,
            "name what `ip -j addr` printed there, too, or --local ADDRESS",
        ));
    }
    let left_out = [false, true].map(|is_v6| lacks_routes(&world, is_v6));
    let has_no_routes = world.routes.is_empty();
    for (number, own) in world.addresses.iter().enumerate() {
        // One that was said with its network lies in it, whatever routes there are beside.
        let is_at_hand = number >= listed || left_out[usize::from(own.address.is_ipv6())];
        if is_at_hand && &*own.interface != "lo" {
            world.routes.push(route(own.network, &own.interface));
        }
    }
    let everywhere: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    for (address, is_left_out) in everywhere.into_iter().zip(left_out) {
        let is_open = is_left_out || has_no_routes && !world.addresses.is_empty();
        let all = Prefix::new(address, 0).ok().filter(|_| is_open);
        world.routes.extend(all.map(|all| route(all, "")));
    }
    Ok((world, left_out))
}

/// Whether it has addresses of a family, and no route of it was told.
fn lacks_routes(world: &World, is_v6: bool) -> bool {
    let mut routes = world.routes.iter();
    world.addresses.iter().any(|own| own.address.is_ipv6() == is_v6)
        && !routes.any(|route| route.destination.address().is_ipv6() == is_v6)
}

/// Adds an address of the machine as it was said.
fn take_local(world: &mut World, text: &str) -> Result<()> {
    let local = local(text)?;
    if !local.interface.is_empty() && world.interface(&local.interface).is_none() {
        let name = local.interface.clone();
        world.interfaces.push(Interface { name, ..Interface::default() });
    }
    world.addresses.push(local);
    Ok(())
}

fn route(destination: Prefix, interface: &str) -> Route {
    Route { destination, interface: interface.into(), kind: RouteKind::Unicast, metric: 0 }
}

/// `10.0.0.5`, `10.0.0.5/24`, `10.0.0.5/24@eth0`.
fn local(text: &str) -> Result<LocalAddress> {
    let (network, interface) = text.split_once('@').unwrap_or((text, ""));
    let address = network.split('/').next().unwrap_or_default();
    let parsed = address.parse::<IpAddr>().ok().zip(network_of(network));
    let (address, network) = parsed.ok_or_else(|| {
        Fault::new(format!("`{text}` is no address"), "such as 10.0.0.5/24 or 10.0.0.5/24@eth0")
    })?;
    Ok(LocalAddress { interface: interface.into(), address, network })
}

fn network_of(text: &str) -> Option<Prefix> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address.parse().ok()?, length.parse().ok()?),
        None => {
            let address: IpAddr = text.parse().ok()?;
            (address, if address.is_ipv4() { 32 } else { 128 })
        }
    };
    Prefix::new(address, length).ok()
}
