//! Who can come in from outside at all: an address of this machine itself cannot, nor whoever must come
//! by another interface than the one his packets take.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portolan_core::firewall::{
    Addresses, Pass, Peers, Policy, Route, RouteKind, Stance, Tuple, World, address_of, protocol_of,
};
use portolan_core::inventory::Management;
use portolan_core::net::{Port, PortRange, Prefix, Transport};

use super::judge::Judge;

/// Ports that `[management]` keeps open for nobody outside, and nothing else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nobody {
    /// The ports.
    pub(crate) range: PortRange,
    /// Their transport.
    pub(crate) transport: Transport,
    /// Why.
    pub(crate) why: NobodyWhy,
}

/// Why nobody outside is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NobodyWhy {
    /// It names this machine itself only.
    Itself,
    /// No address is known of whom it names.
    Unknown,
}

/// An interface somebody must come by, and does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OtherWay {
    /// The inventory says this one.
    pub(crate) said: Box<str>,
    /// His packets come by this one, as far as the routes tell.
    pub(crate) by: Box<str>,
}

/// Tells who is outside.
pub(super) struct Outsiders<'o> {
    world: &'o World,
    own: Addresses,
}

impl<'o> Outsiders<'o> {
    /// As seen from the machine that `judge` knows.
    pub(super) fn of(judge: &'o Judge<'_>) -> Self {
        let world = judge.world();
        let own = [false, true].into_iter().flat_map(|is_v6| judge.own(is_v6)).map(Prefix::from);
        let networks = world.local_networks.iter().copied();
        Self { world, own: Addresses::of(own.chain(networks).chain(loopback())) }
    }

    /// Those of `peers` who are not this machine.
    fn among(&self, peers: &Peers) -> Addresses {
        peers.addresses.without(&self.own)
    }

    /// Whether somebody of `peers` can come in.
    pub(super) fn has_any(&self, peers: &Peers) -> bool {
        let outside = self.among(peers);
        !outside.is_empty() && self.by_its_interface(peers, &outside).is_ok()
    }

    /// Addresses that stand for all of `peers` who are outside: near the first and last of each interval;
    /// for this machine itself where nobody of them is. Where they cannot come by the interface they
    /// must, which it is.
    pub(super) fn borders(&self, peers: &Peers) -> (Vec<IpAddr>, Option<OtherWay>) {
        let outside = self.among(peers);
        if outside.is_empty() {
            return (borders(&peers.addresses), None);
        }
        match self.by_its_interface(peers, &outside) {
            Ok(by) => (borders_of(&by, &outside), None),
            Err(other) => (borders_of(&peers.addresses, &outside), Some(other)),
        }
    }

    /// Those of `outside` who come by the interface that `peers` are bound to, as far as that is known.
    fn by_its_interface(&self, peers: &Peers, outside: &Addresses) -> Result<Addresses, OtherWay> {
        let Some(said) = peers.interface.as_deref() else { return Ok(peers.addresses.clone()) };
        let some = borders_of(outside, outside);
        let ways: Option<Vec<&str>> = some.iter().map(|end| way_in(self.world, *end)).collect();
        let (Some(ways), Some(by)) = (ways, self.behind(said, &peers.addresses)) else {
            return Ok(peers.addresses.clone());
        };
        match (by.without(&self.own).is_empty(), ways.first()) {
            (true, Some(way)) => Err(OtherWay { said: said.into(), by: (*way).into() }),
            _ => Ok(by),
        }
    }

    /// Those of `addresses` whose route leads to `interface`; `None` where that is too much to be told.
    fn behind(&self, interface: &str, addresses: &Addresses) -> Option<Addresses> {
        let network = |prefix: Prefix| Addresses::of([prefix]);
        let meant = |prefix: Prefix| network(prefix).meets(addresses);
        let mut routes: Vec<_> =
            self.world.routes.iter().filter(|route| meant(route.destination)).collect();
        if routes.len() > MOST_ROUTES {
            return None;
        }
        // The route that holds comes last.
        routes.sort_by_key(|r| (r.destination.length(), std::cmp::Reverse(r.metric)));
        let add = |found: Addresses, route: &&Route| {
            let there = network(route.destination);
            match is_meant(interface, &route.interface) {
                true => found.with(&there),
                false => found.without(&there),
            }
        };
        Some(routes.iter().fold(Addresses::NONE, add).and(addresses))
    }
}

/// Whether the inventory's name of an interface, `eth*` for some, is of this one.
fn is_meant(said: &str, interface: &str) -> bool {
    said.strip_suffix('*').map_or(said == interface, |start| interface.starts_with(start))
}

/// The interface by which packets of `source` come in, where a single route tells: the one by which the
/// answers leave. Whoever is on the link itself is on any, and rules of policy routing may say otherwise.
pub(super) fn way_in(world: &World, source: IpAddr) -> Option<&str> {
    let is_on_any = match source {
        IpAddr::V4(own) => own.is_link_local(),
        IpAddr::V6(own) => own.is_unicast_link_local(),
    };
    if is_on_any || !world.policy.is_empty() {
        return None;
    }
    let route = world.route(source).filter(|route| route.kind == RouteKind::Unicast);
    route.map(|route| &*route.interface).filter(|interface| !interface.is_empty())
}

/// The ports of `[management]` that nobody outside is let in to.
pub(super) fn nobody(
    policy: &Policy,
    declared: Option<&Management>,
    outsiders: &Outsiders<'_>,
) -> Vec<Nobody> {
    if policy.input != Stance::Drop {
        return Vec::new();
    }
    let mut all: Vec<Nobody> = Vec::new();
    let ports = declared.into_iter().flat_map(|declared| &declared.ports);
    for (range, transport) in ports.flat_map(|spec| spec.value.pairs()) {
        let call = call(transport, range.first());
        let covers = |pass: &&Pass| pass.way.has_input() && pass.traffic.covers(&call);
        let known: Vec<&Pass> = policy.management.iter().filter(covers).collect();
        let all_passes = policy.management.iter().chain(&policy.passes).filter(covers);
        let is_outside = |peers: &Peers| !outsiders.among(peers).is_empty();
        let why = match known.is_empty() {
            true => NobodyWhy::Unknown,
            false if known.iter().flat_map(|pass| &pass.peers).any(is_outside) => continue,
            false => NobodyWhy::Itself,
        };
        if !all_passes.flat_map(|pass| &pass.peers).any(|peers| outsiders.has_any(peers)) {
            all.push(Nobody { range, transport, why });
        }
    }
    all
}

/// Of a port, and of nobody.
const fn call(transport: Transport, port: Port) -> Tuple {
    Tuple {
        source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        protocol: protocol_of(transport),
        source_port: 0,
        destination_port: port.0,
    }
}

/// One address inside each end of each interval of `addresses`; what nobody calls from is stepped over.
pub(super) fn borders(addresses: &Addresses) -> Vec<IpAddr> {
    borders_of(addresses, addresses)
}

/// The same, and of those who are not in `outside` too.
fn borders_of(addresses: &Addresses, outside: &Addresses) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for is_v6 in [false, true] {
        for &(first, last) in addresses.intervals(is_v6) {
            let ends = [
                (first.saturating_add(1).min(last), last.saturating_sub(1).max(first)),
                (first, last),
            ];
            let within = |(a, b): (u128, u128)| {
                let span = Addresses::of_intervals(is_v6, vec![(a.min(b), a.max(b))]).and(outside);
                let spans = span.intervals(is_v6);
                Some([spans.first()?.0, spans.last()?.1])
            };
            for number in ends.into_iter().find_map(within).into_iter().flatten() {
                let address = address_of(number, is_v6);
                if !found.contains(&address) {
                    found.push(address);
                }
            }
        }
    }
    found
}

fn loopback() -> impl Iterator<Item = Prefix> {
    let v4 = Prefix::new(Ipv4Addr::new(127, 0, 0, 0).into(), 8).ok();
    v4.into_iter().chain([Prefix::from(IpAddr::from(Ipv6Addr::LOCALHOST))])
}

/// Of more nobody asks which one holds: a table of the whole internet.
const MOST_ROUTES: usize = 2_000;
