//! Whom this machine relies on: the DNS servers it asks, its default gateways, who gave it its lease and
//! whom it asks the time of. What is not written down anywhere is not known, and not told.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portolan_core::wire::lease::Named;
use portolan_core::wire::resolver::ResolvConf;
use portolan_core::wire::route::RouteQuestion;

use crate::route::Routing;

/// The servers this machine asks, and where that is a server of its own, those that one asks
/// (systemd-resolved.service(8) writes them there).
#[must_use]
pub fn resolvers() -> Vec<IpAddr> {
    let servers = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        ResolvConf::parse(&text).servers.into_iter().map(|server| server.address)
    };
    let mut found: Vec<IpAddr> = servers("/etc/resolv.conf").collect();
    if found.iter().any(IpAddr::is_loopback) {
        found.extend(servers("/run/systemd/resolve/resolv.conf"));
    }
    found.sort();
    found.dedup();
    found
}

/// The next hops to addresses that are nobody's: at most one a family.
#[must_use]
pub fn gateways() -> Vec<IpAddr> {
    let Ok(mut routing) = Routing::open() else { return Vec::new() };
    let mut gateway = |target: IpAddr| {
        let question = RouteQuestion { target, source: None, interface: None };
        routing.route(&question).ok()?.ok()?.gateway
    };
    [FAR.into(), FAR_V6.into()].into_iter().filter_map(&mut gateway).collect()
}

/// Who gave leases of addresses, and whom the time is asked of, as far as files name their addresses.
#[must_use]
pub fn named() -> (Vec<IpAddr>, Vec<IpAddr>) {
    let mut paths: Vec<_> = FILES.iter().map(Into::into).collect();
    for folder in LEASES {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        paths.extend(entries.map(|entry| entry.path()).filter(|path| path.is_file()));
    }
    let (mut leases, mut time) = (Vec::new(), Vec::new());
    for path in paths {
        let Ok(text) = fs::read_to_string(path) else { continue };
        let named = Named::parse(&text);
        leases.extend(named.lease);
        time.extend(named.time);
    }
    (leases, time)
}

/// Where settings of time daemons name servers.
const FILES: [&str; 4] =
    ["/etc/systemd/timesyncd.conf", "/etc/chrony/chrony.conf", "/etc/chrony.conf", "/etc/ntp.conf"];

/// Where leases are kept: systemd-networkd, NetworkManager, dhclient.
const LEASES: [&str; 4] =
    ["/run/systemd/netif/leases", "/var/lib/NetworkManager", "/var/lib/dhcp", "/var/lib/dhclient"];

/// RFC 5737, RFC 3849: nobody's.
const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
const FAR_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x77);
