//! Ports whose packets rules send to another place: found among all packets of other machines, each with
//! a packet that shows it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::firewall::analyse::{DEFAULT_BUDGET, Detail, Space, fates};
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::simulate::{Prepared, Presumed, Way};
use crate::firewall::{World, protocol_of};
use crate::net::{Endpoint, Port, Prefix, Scope, Transport};

use super::hints;
use super::question::{Asking, Rules};
use super::travel::translated;

/// Packets for a port of this machine that are sent elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Translation {
    pub(super) port: Port,
    pub(super) transport: Transport,
    /// Whether it is only for packets to a loopback address, which do not come from other machines
    /// unless the kernel is told to let them.
    pub(super) is_of_loopback: bool,
    pub(super) to: Endpoint,
}

/// All of them.
pub(super) fn translations(asking: &Asking<'_>) -> Vec<Translation> {
    let (Some(rules), Some(with)) = (asking.scene.rules, &asking.with) else { return Vec::new() };
    let candidates = candidates(rules);
    let mut found = Vec::new();
    for is_v6 in [false, true] {
        if candidates.is_empty() {
            break;
        }
        let of_family = of_family(rules, with, &candidates, is_v6);
        found.extend(of_family.unwrap_or_else(|_| unknown(&candidates)));
    }
    found.sort();
    found.dedup();
    found
}

/// The ports that rules with a translation name.
fn candidates(rules: &Rules) -> Vec<(Port, Transport)> {
    let named = hints::translated_ports(&rules.ruleset).into_iter();
    let mut all: Vec<(Port, Transport)> = named
        .flat_map(|(protocol, port)| transports(protocol).iter().map(move |t| (Port(port), *t)))
        .collect();
    all.sort();
    all.dedup();
    all
}

fn transports(protocol: Option<u8>) -> &'static [Transport] {
    match protocol {
        Some(6) => &[Transport::Tcp],
        Some(17) => &[Transport::Udp],
        Some(132) => &[Transport::Sctp],
        Some(33) => &[Transport::Dccp],
        _ => &[Transport::Tcp, Transport::Udp],
    }
}

/// What is said where the node budget ran out: any of them, to nobody knows where.
fn unknown(candidates: &[(Port, Transport)]) -> Vec<Translation> {
    let nowhere = Endpoint::new(Ipv4Addr::UNSPECIFIED.into(), Port(0));
    let of = |(port, transport): &(Port, Transport)| Translation {
        port: *port,
        transport: *transport,
        is_of_loopback: false,
        to: nowhere,
    };
    candidates.iter().map(of).collect()
}

fn of_family(
    rules: &Rules,
    with: &Prepared<'_>,
    candidates: &[(Port, Transport)],
    is_v6: bool,
) -> Result<Vec<Translation>, Undecided> {
    let mut space = Space::new(is_v6, &[&rules.ruleset], &rules.world, DEFAULT_BUDGET);
    let (outer, loopback) = destinations(&mut space, rules, is_v6)?;
    let start = space.fresh()?;
    let (by_lo, by_none) = (space.comes_by("lo")?, space.comes_by("")?);
    let both = space.bdd.or(outer, loopback)?;
    let start = space.bdd.intersection([start, both, !by_lo, !by_none])?;
    let mut wanted = Vec::new();
    for (port, transport) in candidates {
        let protocol = space.protocol(protocol_of(*transport))?;
        let port = space.to_ports(&[(port.0, port.0)])?;
        wanted.push(space.bdd.and(protocol, port)?);
    }
    let ports = space.bdd.union(wanted.clone())?;
    let start = space.bdd.and(start, ports)?;
    let arrivals = fates(&mut space, with, Way::Prerouting, start, Detail::Fates)?.arrivals;
    let mut found = Vec::new();
    for ((port, transport), wanted) in candidates.iter().zip(wanted) {
        for arrival in &arrivals {
            for (is_of_loopback, to) in [(false, outer), (true, loopback)] {
                let part = space.bdd.intersection([arrival.packets, wanted, to])?;
                let Some(witness) = space.witness(part)? else { continue };
                let walk = with.walk(&witness.packet, Way::Prerouting, &Presumed);
                let Some((_, to)) = translated(&walk) else { continue };
                let (port, transport) = (*port, *transport);
                found.push(Translation { port, transport, is_of_loopback, to });
            }
        }
    }
    Ok(found)
}

/// The addresses of this machine that others can send to, and those of loopback.
fn destinations(
    space: &mut Space,
    rules: &Rules,
    is_v6: bool,
) -> Result<(Region, Region), Undecided> {
    let loopback: Prefix = match is_v6 {
        false => Prefix::new(Ipv4Addr::new(127, 0, 0, 0).into(), 8).unwrap_or(LOOPBACK_4.into()),
        true => LOOPBACK_6.into(),
    };
    let loopback = space.to(&[loopback])?;
    let outer: Vec<Prefix> =
        outer(&rules.world, rules, is_v6).into_iter().map(Prefix::from).collect();
    Ok((space.to(&outer)?, loopback))
}

fn outer(world: &World, rules: &Rules, is_v6: bool) -> Vec<IpAddr> {
    if !world.is_known() {
        return hints::destinations(Some(&rules.ruleset), is_v6);
    }
    let own = world.addresses.iter().map(|own| own.address).filter(|a| a.is_ipv6() == is_v6);
    own.filter(|a| !matches!(Scope::of(*a), Scope::Loopback | Scope::LinkLocal)).collect()
}

const LOOPBACK_4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOOPBACK_6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
