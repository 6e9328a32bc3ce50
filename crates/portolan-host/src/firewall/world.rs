//! What surrounds the rules here: interfaces, addresses, routes, and whether packets are passed on.

use std::collections::HashMap;
use std::fs;
use std::io;

use portolan_core::firewall::{Interface, LocalAddress, ReversePath, Route, RouteKind, World};
use portolan_core::net::{Gap, Observed, Why};
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
    let routes = routes(&links).unwrap_or_else(|error| {
        missing("the routes of this machine", error);
        Vec::new()
    });
    let others = other_rules();
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
    let world = World {
        addresses: addresses.into_iter().map(local).collect(),
        interfaces,
        routes,
        forwards_v4: is_on("/proc/sys/net/ipv4/ip_forward"),
        forwards_v6: is_on("/proc/sys/net/ipv6/conf/all/forwarding"),
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

fn routes(links: &[Link]) -> io::Result<Vec<Route>> {
    let names: HashMap<u32, &str> = links.iter().map(|link| (link.index, &*link.name)).collect();
    let mut found = Vec::new();
    // struct rtmsg: any family, no restriction.
    Netlink::open(None)?.dump(GET_ROUTE, &[0; 12], |_, body| {
        found.extend(RouteEntry::parse(body).and_then(|entry| route(&entry, &names)));
    })?;
    Ok(found)
}

/// How many rules of policy routing there are beside those every machine has.
fn other_rules() -> io::Result<usize> {
    let mut count = 0;
    Netlink::open(None)?.dump(GET_RULES, &[0; 12], |_, body| {
        count += usize::from(RoutingRule::parse(body).is_some_and(|rule| !rule.is_usual()));
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
