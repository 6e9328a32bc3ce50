//! What surrounds the rules here: interfaces, addresses, routes, and whether packets are passed on.

use std::collections::HashMap;
use std::fs;
use std::io;

use portolan_core::firewall::{Interface, LocalAddress, ReversePath, Route, RouteKind, World};
use portolan_core::net::{Gap, Observed, Prefix, Why};
use portolan_core::wire::route::GET_ROUTE;
use portolan_core::wire::route_table::{GET_RULES, MAIN, RouteEntry, RoutingRule};
use portolan_core::wire::rtnetlink::Link;

use crate::machine;
use crate::netlink::Netlink;

/// Reads it for this network namespace. Rules of policy routing are not followed: the main table counts,
/// and where there are others that is told.
#[must_use]
pub fn world() -> Observed<World> {
    let mut gaps = Vec::new();
    let mut missing = |what: &str, error: io::Error| {
        gaps.push(Gap::new(format!("{what} ({error})"), Why::Unsupported, ""));
    };
    let links = machine::links().unwrap_or_else(|error| {
        missing("the interfaces of this machine", error);
        Vec::new()
    });
    let addresses = machine::addresses().unwrap_or_else(|error| {
        missing("the addresses of this machine", error);
        Vec::new()
    });
    let (routes, local_networks) = routes(&links).unwrap_or_else(|error| {
        missing("the routes of this machine", error);
        Default::default()
    });
    let mut refused_sources = Vec::new();
    let others = other_rules(&mut refused_sources);
    let mut interfaces = interfaces(&links);
    if !matches!(others, Ok(0)) {
        // Which way back the kernel finds is not known then.
        interfaces.iter_mut().for_each(|interface| interface.reverse_path = None);
    }
    match others {
        Ok(0) => {}
        Ok(count) => {
            let what =
                format!("where rules of policy routing lead ({count} beside the usual ones)");
            gaps.push(Gap::aside(what, Why::Unsupported, "ip rule; ip -6 rule"));
        }
        Err(error) => missing("the rules of policy routing", error),
    }
    let addresses: Vec<LocalAddress> = addresses.into_iter().map(local).collect();
    // Each address has such a route too.
    let is_one =
        |network: &Prefix| addresses.iter().any(|own| Prefix::from(own.address) == *network);
    let local_networks = local_networks.into_iter().filter(|network| !is_one(network)).collect();
    let world = World {
        addresses,
        interfaces,
        routes,
        forwards_v4: is_on("/proc/sys/net/ipv4/ip_forward"),
        forwards_v6: is_on("/proc/sys/net/ipv6/conf/all/forwarding"),
        local_networks,
        refused_sources,
    };
    Observed { value: world, gaps }
}

fn local(own: portolan_core::socket::InterfaceAddress) -> LocalAddress {
    LocalAddress { interface: own.interface.into(), address: own.address, network: own.network }
}

fn interfaces(links: &[Link]) -> Vec<Interface> {
    let names: HashMap<u32, &str> = links.iter().map(|link| (link.index, &*link.name)).collect();
    let master = |link: &Link| names.get(&link.master?).map(|name| Box::from(*name));
    let is_let_everywhere = setting("all", "route_localnet");
    let is_own_accepted_everywhere = setting("all", "accept_local");
    let interface = |link: &Link| Interface {
        name: (*link.name).into(),
        master: master(link),
        forwards_v4: setting(&link.name, "forwarding"),
        route_localnet: match is_let_everywhere {
            Some(true) => Some(true),
            _ => setting(&link.name, "route_localnet"),
        },
        accept_local: match is_own_accepted_everywhere {
            Some(true) => Some(true),
            _ => setting(&link.name, "accept_local"),
        },
        reverse_path: reverse_path(&link.name),
    };
    links.iter().map(interface).collect()
}

/// The routes of the main table, and the networks that are local by a route.
fn routes(links: &[Link]) -> io::Result<(Vec<Route>, Vec<Prefix>)> {
    let names: HashMap<u32, &str> = links.iter().map(|link| (link.index, &*link.name)).collect();
    let (mut found, mut local) = (Vec::new(), Vec::new());
    // struct rtmsg: any family, no restriction.
    Netlink::open(None)?.dump(GET_ROUTE, &[0; 12], |_, body| {
        let Some(entry) = RouteEntry::parse(body) else { return };
        if entry.is_local_network() {
            local.push(entry.destination);
        }
        found.extend(route(&entry, &names));
    })?;
    Ok((found, local))
}

/// How many rules of policy routing there are beside those every machine has; from where packets are that
/// some refuse.
fn other_rules(refused: &mut Vec<Prefix>) -> io::Result<usize> {
    let mut count = 0;
    Netlink::open(None)?.dump(GET_RULES, &[0; 12], |_, body| {
        let Some(rule) = RoutingRule::parse(body) else { return };
        count += usize::from(!rule.is_usual());
        refused.extend(rule.refuses.then_some(rule.source));
    })?;
    Ok(count)
}

fn route(entry: &RouteEntry, names: &HashMap<u32, &str>) -> Option<Route> {
    if entry.table != MAIN || entry.is_cached {
        return None;
    }
    let kind = match entry.kind {
        1 => RouteKind::Unicast,
        6 => RouteKind::Blackhole,
        7 => RouteKind::Unreachable,
        8 => RouteKind::Prohibit,
        _ => return None,
    };
    let interface =
        entry.interface.and_then(|index| names.get(&index).copied()).unwrap_or_default();
    Some(Route {
        destination: entry.destination,
        interface: interface.into(),
        kind,
        metric: entry.metric,
    })
}

/// `rp_filter`: the greater of all's and the interface's own holds (ip-sysctl).
fn reverse_path(interface: &str) -> Option<ReversePath> {
    let number = |of: &str| written(of, "rp_filter")?.parse::<u8>().ok();
    Some(match number(interface)?.max(number("all")?) {
        0 => ReversePath::Unchecked,
        1 => ReversePath::Strict,
        _ => ReversePath::Loose,
    })
}

/// A setting of IPv4 of an interface (ip-sysctl). Names hold no slash (net/core/dev.c, dev_valid_name).
fn setting(interface: &str, name: &str) -> Option<bool> {
    written(interface, name).map(|text| text != "0")
}

fn written(interface: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{interface}/{name}")).ok()?;
    Some(text.trim().to_owned())
}

/// /proc/sys/net shows the namespace of whoever reads it.
fn is_on(path: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim() != "0")
}
