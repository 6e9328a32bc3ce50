//! Whether IPv4 and IPv6 are open alike.

use super::path::{Detail, fates};
use super::space::Space;
use super::told::SourceSet;
use crate::firewall::bdd::{Bits, Region, Undecided};
use crate::firewall::simulate::{Prepared, Way};
use crate::net::Prefix;

/// Ports that one family treats otherwise than the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disparity {
    /// The packets' way.
    pub way: Way,
    /// IANA's number of the transport.
    pub protocol: u8,
    /// The ports, both ends included.
    pub ports: (u16, u16),
    /// What IPv4 lets through.
    pub v4: Openness,
    /// What IPv6 lets through.
    pub v6: Openness,
}

impl Disparity {
    /// Whether it is known that they differ: one family is open wider, or to the whole internet where the
    /// other is to networks of one's own. Otherwise both are restricted to some addresses, and whether
    /// these are the same hosts no rule says.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.v4.rank() != self.v6.rank() || self.v4.is_own() != self.v6.is_own()
    }

    /// Whether the port is of a protocol that one family alone has: DHCP of IPv4 (RFC 2131) and of IPv6
    /// (RFC 8415).
    #[must_use]
    pub fn is_of_one_family(&self) -> bool {
        let is_closed = |openness: &Openness| *openness == Openness::Closed;
        let own = if is_closed(&self.v4) { 546..=547 } else { 67..=68 };
        let (from, to) = self.ports;
        let is_one = is_closed(&self.v4) != is_closed(&self.v6);
        is_one && self.protocol == 17 && own.contains(&from) && own.contains(&to)
    }
}

/// Whom a port is open to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Openness {
    /// Nobody.
    Closed,
    /// These.
    To(SourceSet),
    /// Everybody.
    Any,
}

/// Private, link-local and loopback networks (RFC 1918, 3927, 4193, 4291).
const OWN_NETWORKS: [&str; 8] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
];

impl Openness {
    /// How wide: closed, some, any; all but some are any.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::To(set) if set.all_but.is_empty() => 1,
            Self::To(_) | Self::Any => 2,
        }
    }

    /// Whether it is open, and to networks of one's own only: private and link-local addresses.
    fn is_own(&self) -> bool {
        let own: Vec<Prefix> = OWN_NETWORKS.iter().filter_map(|text| text.parse().ok()).collect();
        let is_own = |network: &Prefix| own.iter().any(|own| own.covers(*network));
        matches!(self, Self::To(set) if set.networks.iter().all(is_own))
    }
}

/// Compares what comes in from outside, TCP and UDP, by what may be certain: limits count as kept. Only
/// what is known to differ. The two spaces must be of IPv4 and IPv6 and know the ruleset.
///
/// # Errors
/// When a node budget is used up.
pub fn parity(
    v4: &mut Space,
    v6: &mut Space,
    prepared: &Prepared<'_>,
) -> Result<Vec<Disparity>, Undecided> {
    let mut found = unlike(v4, v6, prepared, Way::Input)?;
    found.retain(|disparity| disparity.v4.rank() != disparity.v6.rank());
    Ok(found)
}

/// The same on a way, with what is restricted in both families too ([`Disparity::is_known`]). Of packets
/// that this machine sends it is compared where they may go, of others from where they may come.
///
/// # Errors
/// When a node budget is used up.
pub fn unlike(
    v4: &mut Space,
    v6: &mut Space,
    prepared: &Prepared<'_>,
    way: Way,
) -> Result<Vec<Disparity>, Undecided> {
    let mut found = Vec::new();
    for protocol in [6, 17] {
        let four = open_ports(v4, prepared, protocol, way)?;
        let six = open_ports(v6, prepared, protocol, way)?;
        compare((way, protocol), &four, &six, &mut found);
    }
    Ok(found)
}

/// Ranges of ports, ascending and without gaps, each with whom it is open to.
type Open = Vec<((u16, u16), Openness)>;

fn open_ports(
    space: &mut Space,
    prepared: &Prepared<'_>,
    protocol: u8,
    way: Way,
) -> Result<Open, Undecided> {
    let layout = space.layout;
    let (fresh, peer) = match way {
        Way::Output => (space.going_outside()?, layout.destination),
        _ => (space.from_outside()?, layout.source),
    };
    let fresh = space.of_way(fresh, way)?;
    let of = space.protocol(protocol)?;
    let start = space.bdd.and(fresh, of)?;
    let fates = fates(space, prepared, way, start, Detail::Fates)?;
    let region = space.projected(fates.accepted, &[layout.destination_port, peer])?;
    // What was asked about, seen the same way: the peers that are "everybody".
    let all = space.projected(start, &[peer])?;
    let mut open = Vec::new();
    let parts = space.bdd.split(region, layout.destination_port, 65_536).unwrap_or_default();
    for part in parts {
        let openness = openness(space, part.rest, all, peer);
        for (from, to) in part.values {
            open.push(((from as u16, to as u16), openness.clone()));
        }
    }
    open.sort_by_key(|(ports, _)| *ports);
    Ok(open)
}

fn openness(space: &mut Space, sources: Region, all: Region, peer: Bits) -> Openness {
    if space.bdd.covers(sources, all) {
        return Openness::Any;
    }
    let parts = space.bdd.split(sources, peer, 100_000).unwrap_or_default();
    match parts.first() {
        Some(part) => Openness::To(space.address_set(&part.values)),
        None => Openness::Closed,
    }
}

fn compare((way, protocol): (Way, u8), four: &Open, six: &Open, found: &mut Vec<Disparity>) {
    let mut edges: Vec<u32> = vec![0];
    for ((from, to), _) in four.iter().chain(six) {
        edges.extend([u32::from(*from), u32::from(*to) + 1]);
    }
    edges.push(65_536);
    edges.sort_unstable();
    edges.dedup();
    for pair in edges.windows(2) {
        let ports = (pair[0] as u16, (pair[1] - 1) as u16);
        let (v4, v6) = (at(four, ports.0), at(six, ports.0));
        let is_alike = matches!((&v4, &v6), (Openness::Closed, Openness::Closed))
            || matches!((&v4, &v6), (Openness::Any, Openness::Any));
        if is_alike {
            continue;
        }
        match found.last_mut() {
            Some(last)
                if last.protocol == protocol
                    && u32::from(last.ports.1) + 1 == pair[0]
                    && last.v4 == v4
                    && last.v6 == v6 =>
            {
                last.ports.1 = ports.1;
            }
            _ => found.push(Disparity { way, protocol, ports, v4, v6 }),
        }
    }
}

fn at(open: &Open, port: u16) -> Openness {
    let found = open.iter().find(|((from, to), _)| *from <= port && port <= *to);
    found.map_or(Openness::Closed, |(_, openness)| openness.clone())
}
