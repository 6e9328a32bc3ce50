//! What surrounds the rules here: interfaces, addresses, routes, and whether packets are passed on.

use std::collections::HashMap;
use std::fs;
use std::io;

use portolan_core::firewall::{Interface, LocalAddress, ReversePath, Route, RouteKind, World};
use portolan_core::net::{Gap, Observed, Prefix, Why};
use portolan_core::wire::route::GET_ROUTE;
use portolan_core::wire::route_table::{
    GET_RULES, LOCAL, MAIN, RouteEntry, RoutingRule, RuleAction,
};
use portolan_core::wire::rtnetlink::Link;

use crate::machine;
use crate::netlink::Netlink;

/// Reads it for this network namespace. Rules of policy routing are read, but followed by `reach` alone: for
/// whatever else asks, the main table counts, and where there are others that is told.
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
    let Routes { main, tables, local: local_networks } = routes(&links).unwrap_or_else(|error| {
        missing("the routes of this machine", error);
        Routes::default()
    });
    let policy = policy().unwrap_or_else(|error| {
        missing("the rules of policy routing", error);
        Vec::new()
    });
    let mut interfaces = interfaces(&links);
    if !policy.is_empty() {
        // Which way back the kernel finds is not known then.
        interfaces.iter_mut().for_each(|interface| interface.reverse_path = None);
        let count = policy.iter().filter(|rule| !rule.is_usual()).count();
        let what = format!("where rules of policy routing lead ({count} beside the usual ones)");
        gaps.push(Gap::aside(what, Why::Unsupported, POLICY));
    }
    let addresses: Vec<LocalAddress> = addresses.into_iter().map(local).collect();
    // Each address has such a route too.
    let is_one =
        |network: &Prefix| addresses.iter().any(|own| Prefix::from(own.address) == *network);
    let local_networks = local_networks.into_iter().filter(|network| !is_one(network)).collect();
    let world = World {
        addresses,
        interfaces,
        routes: main,
        forwards_v4: is_on("/proc/sys/net/ipv4/ip_forward"),
        forwards_v6: is_on("/proc/sys/net/ipv6/conf/all/forwarding"),
        local_networks,
        policy,
        tables,
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

/// What a dump of routes tells.
#[derive(Default)]
struct Routes {
    /// Those of the main table.
    main: Vec<Route>,
    /// Those of the others.
    tables: Vec<(u32, Route)>,
    /// The networks that are local by a route.
    local: Vec<Prefix>,
}

fn routes(links: &[Link]) -> io::Result<Routes> {
    let names: HashMap<u32, &str> = links.iter().map(|link| (link.index, &*link.name)).collect();
    let mut found = Routes::default();
    // struct rtmsg: any family, no restriction.
    Netlink::open(None)?.dump(GET_ROUTE, &[0; 12], |_, body| {
        let Some(entry) = RouteEntry::parse(body) else { return };
        if entry.is_local_network() {
            found.local.push(entry.destination);
        }
        match (route(&entry, &names), entry.table) {
            (None, _) | (_, LOCAL) => {}
            (Some(route), MAIN) => found.main.push(route),
            (Some(route), table) => found.tables.push((table, route)),
        }
    })?;
    Ok(found)
}

/// The rules of policy routing, where there are others than those that every machine has.
fn policy() -> io::Result<Vec<RoutingRule>> {
    let mut rules = Vec::new();
    Netlink::open(None)?.dump(GET_RULES, &[0; 12], |_, body| {
        rules.extend(RoutingRule::parse(body));
    })?;
    let is_usual = rules.iter().all(RoutingRule::is_usual)
        && [false, true].into_iter().all(|is_v6| has_main(&rules, is_v6));
    Ok(if is_usual { Vec::new() } else { rules })
}

/// Whether the main table is asked; a kernel without IPv6 has no rules of it.
fn has_main(rules: &[RoutingRule], is_v6: bool) -> bool {
    let mut of_family = rules.iter().filter(|rule| rule.is_v6 == is_v6).peekable();
    of_family.peek().is_none() || of_family.any(|rule| rule.action == RuleAction::Lookup(MAIN))
}

fn route(entry: &RouteEntry, names: &HashMap<u32, &str>) -> Option<Route> {
    if entry.is_cached {
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

/// How to see what is not followed, beside the gap that says so.
pub const POLICY: &str = "ip rule; ip -6 rule";

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
