//! The machine that rules from files are of: what was said of it, nothing else.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use portolan_core::firewall::{Interface, LocalAddress, Route, RouteKind, World};
use portolan_core::net::Prefix;

use super::Sources;
use super::refused;
use crate::fault::{Fault, Hinted as _};

/// Its addresses and routes. It is taken to pass packets on: whether it does stands in no file of
/// rules. Where no routes were said, everything else is behind an interface without a name.
pub(super) fn of(sources: &Sources) -> Result<World> {
    let mut world = World { forwards_v4: true, forwards_v6: true, ..World::default() };
    for path in &sources.world {
        let hint = "save it with: ip -j addr > FILE, ip -j route > FILE";
        let bytes = fs::read(path).hinted(format!("read {path}"), hint)?;
        let taken = world.take_ip_json(&bytes);
        taken.map_err(|e| refused(path, &String::from_utf8_lossy(&bytes), e.hinting(hint)))?;
    }
    let has_routes = !world.routes.is_empty();
    for text in &sources.local {
        let local = local(text)?;
        if !local.interface.is_empty()
            && !world.interfaces.iter().any(|i| i.name == local.interface)
        {
            world
                .interfaces
                .push(Interface { name: local.interface.clone(), ..Interface::default() });
        }
        world.routes.push(route(local.network, &local.interface));
        world.addresses.push(local);
    }
    if !has_routes && !world.addresses.is_empty() {
        let everywhere: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let all = everywhere.into_iter().filter_map(|address| Prefix::new(address, 0).ok());
        world.routes.extend(all.map(|prefix| route(prefix, "")));
    }
    Ok(world)
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
