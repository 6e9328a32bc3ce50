//! What is asked of each host: the ports the inventory says something of, and no others.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::inventory::{AddressSpec, Declared, Host, Inventory, Never, PortSpec, ProbeDepth};
use crate::net::{Gap, Observed, Port, PortRange, Transport, Why};

/// What is to be asked of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The host.
    pub host: &'a Host,
    /// Its addresses, each once.
    pub addresses: Vec<IpAddr>,
    /// Its ports, ascending, each once; TCP and UDP.
    pub ports: Vec<(Port, Transport)>,
}

/// What is to be asked of `hosts`, and what is left alone. `here` is this machine, whose sockets say
/// more than a probe; `probe = "never"` keeps a host from being asked.
#[must_use]
pub fn ask<'a>(
    inventory: &'a Inventory,
    here: Option<&Host>,
    hosts: &[&'a Host],
) -> Observed<Vec<Asked<'a>>> {
    let mut asked = Observed::whole(Vec::new());
    for host in hosts {
        if here.is_some_and(|here| here.name == host.name) {
            continue;
        }
        let (wanted, foreign): (Vec<_>, Vec<_>) =
            ranges(inventory, host).into_iter().partition(|(_, transport)| is_asked(*transport));
        if wanted.is_empty() && foreign.is_empty() {
            continue;
        }
        if host.probe == ProbeDepth::Never {
            let what = format!("the ports of {}", host.name);
            asked.gaps.push(Gap::aside(what, Why::NotLooked, "its `probe` is \"never\""));
            continue;
        }
        if !foreign.is_empty() {
            let what = format!("ports of {} that are neither TCP nor UDP", host.name);
            asked.gaps.push(Gap::aside(what, Why::Unsupported, ""));
        }
        let addresses = addresses(host, &mut asked.gaps);
        let numbers = |(range, transport): (PortRange, Transport)| {
            range.iter().map(move |port| (port, transport))
        };
        let ports: BTreeSet<(Port, Transport)> = wanted.into_iter().flat_map(numbers).collect();
        if !addresses.is_empty() && !ports.is_empty() {
            asked.value.push(Asked { host, addresses, ports: ports.into_iter().collect() });
        }
    }
    asked
}

/// The addresses that are written out; a network is no address of a host, and names are not
/// resolved by the audit.
fn addresses(host: &Host, gaps: &mut Vec<Gap>) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let mut unresolved = Vec::new();
    for address in &host.address {
        match &address.value {
            AddressSpec::Prefix(prefix) if is_single(*prefix) => addresses.push(prefix.address()),
            AddressSpec::Prefix(prefix) => unresolved.push(prefix.to_string()),
            AddressSpec::Interface(name) => unresolved.push(format!("iface:{name}")),
            AddressSpec::Dns(name) => unresolved.push(format!("dns:{name}")),
        }
    }
    addresses.extend(&host.public);
    let mut seen = BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    if addresses.is_empty() {
        let what = match unresolved.as_slice() {
            [] => format!("the ports of {} (it has no address)", host.name),
            some => format!("the ports of {} (only {} is known)", host.name, some.join(", ")),
        };
        gaps.push(Gap::aside(what, Why::NotLooked, "give the host an address"));
    }
    addresses
}

fn is_single(prefix: crate::net::Prefix) -> bool {
    prefix.length() == if prefix.address().is_ipv4() { 32 } else { 128 }
}

/// Everything declared on the host but pools, whose numbers are nobody's yet, `[management]`, and
/// what must never be reachable.
fn ranges(inventory: &Inventory, host: &Host) -> Vec<(PortRange, Transport)> {
    let declared = inventory.declared_on(host).into_iter();
    let declared = declared.filter(|d| !matches!(d, Declared::Pool(_)));
    let management = inventory.management.iter().flat_map(|m| &m.ports);
    let nevers = inventory.never.iter().flat_map(|never| forbidden(inventory, never, host));
    declared
        .flat_map(Declared::pairs)
        .chain(management.flat_map(|p| p.value.pairs()))
        .chain(nevers.flat_map(PortSpec::pairs))
        .collect()
}

/// The ports of a host that a `[[never]]` is about.
fn forbidden<'a>(inventory: &'a Inventory, never: &'a Never, host: &Host) -> Vec<&'a PortSpec> {
    let Some(name) = &never.service else {
        return never.ports.iter().map(|p| &p.value).collect();
    };
    let service = inventory.service(&name.value).filter(|s| host.is_meant_by(&s.on));
    service.map_or(Vec::new(), |s| s.ports.iter().map(|p| &p.value).collect())
}

/// Whether a `[[never]]` is about a port of a host.
pub(in crate::audit) fn is_forbidden(
    inventory: &Inventory,
    never: &Never,
    host: &Host,
    transport: Transport,
    port: Port,
) -> bool {
    let mut pairs = forbidden(inventory, never, host).into_iter().flat_map(PortSpec::pairs);
    pairs.any(|(range, t)| t == transport && range.contains(port))
}

const fn is_asked(transport: Transport) -> bool {
    matches!(transport, Transport::Tcp | Transport::Udp)
}
