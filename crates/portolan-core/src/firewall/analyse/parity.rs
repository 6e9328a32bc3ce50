//! Whether IPv4 and IPv6 are open alike.

use super::path::{Detail, fates};
use super::space::Space;
use super::told::SourceSet;
use crate::firewall::bdd::{Bits, Part, Region, Undecided};
use crate::firewall::simulate::{Prepared, Way};
use crate::net::Prefix;

/// Ports that one family treats otherwise than the other, by all interfaces or by some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disparity {
    /// The packets' way.
    pub way: Way,
    /// IANA's number of the transport.
    pub protocol: u8,
    /// The ports, both ends included.
    pub ports: (u16, u16),
    /// By which interfaces, where not all are alike: names, wildcards, `others`. Of packets that this machine
    /// sends those they leave by, of others those they come by.
    pub interfaces: Vec<Box<str>>,
    /// One of them.
    pub(super) interface: Option<u128>,
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
        compare(v4, (way, protocol), &four, &six, &mut found);
    }
    Ok(found)
}

/// Ranges of ports, ascending, each with whom it is open to.
type Open = Vec<((u16, u16), Openness)>;

/// Interfaces, by number, and what is open by them.
type ByInterface = Vec<(u128, Open)>;

fn open_ports(
    space: &mut Space,
    prepared: &Prepared<'_>,
    protocol: u8,
    way: Way,
) -> Result<ByInterface, Undecided> {
    let layout = space.layout;
    let (fresh, interface, peer) = match way {
        Way::Output => (space.going_outside()?, layout.interface_out, layout.destination),
        _ => (space.from_outside()?, layout.interface_in, layout.source),
    };
    let fresh = space.of_way(fresh, way)?;
    let of = space.protocol(protocol)?;
    let start = space.bdd.and(fresh, of)?;
    let fates = fates(space, prepared, way, start, Detail::Fates)?;
    let ports = layout.destination_port;
    let accepted = space.projected(fates.accepted, &[interface, ports, peer])?;
    // What was asked about, seen the same way: the peers that are "everybody".
    let all = space.projected(start, &[interface, peer])?;
    let accepted = numbered(&parts(space, accepted, interface)?);
    let mut found = Vec::new();
    for (number, all) in numbered(&parts(space, all, interface)?) {
        let rest = accepted.iter().find(|(with, _)| *with == number);
        let rest = rest.map_or(Region::NONE, |(_, rest)| *rest);
        let open = match found.iter().find(|(of, _, _)| *of == (rest, all)) {
            Some((_, _, open)) => Open::clone(open),
            None => open_to(space, rest, all, peer)?,
        };
        found.push(((rest, all), number, open));
    }
    Ok(found.into_iter().map(|(_, number, open)| (number, open)).collect())
}

/// Each number by itself, with what is beside it.
fn numbered(parts: &[Part]) -> Vec<(u128, Region)> {
    let each = |part: &Part| -> Vec<(u128, Region)> {
        let numbers = part.values.iter().flat_map(|(first, last)| *first..=*last);
        numbers.map(|number| (number, part.rest)).collect()
    };
    parts.iter().flat_map(each).collect()
}

fn parts(space: &Space, region: Region, field: Bits) -> Result<Vec<Part>, Undecided> {
    space.bdd.split(region, field, MOST_RANGES).ok_or(Undecided { budget: MOST_RANGES })
}

/// So many ranges of a field are told.
const MOST_RANGES: usize = 1 << 20;

fn open_to(space: &mut Space, region: Region, all: Region, peer: Bits) -> Result<Open, Undecided> {
    let mut open = Vec::new();
    let ports = space.layout.destination_port;
    for part in parts(space, region, ports)? {
        let openness = openness(space, part.rest, all, peer)?;
        let ranges = part.values.iter().map(|(from, to)| (*from as u16, *to as u16));
        open.extend(ranges.map(|ports| (ports, openness.clone())));
    }
    open.sort_by_key(|(ports, _)| *ports);
    Ok(open)
}

fn openness(
    space: &mut Space,
    peers: Region,
    all: Region,
    field: Bits,
) -> Result<Openness, Undecided> {
    if space.bdd.covers(peers, all) {
        return Ok(Openness::Any);
    }
    let parts = parts(space, peers, field)?;
    Ok(parts.first().map_or(Openness::Closed, |part| Openness::To(space.address_set(&part.values))))
}

fn compare(
    space: &Space,
    (way, protocol): (Way, u8),
    four: &ByInterface,
    six: &ByInterface,
    found: &mut Vec<Disparity>,
) {
    let numbers: Vec<u128> = four.iter().map(|(number, _)| *number).collect();
    for (first, last) in alike_ports(four, six) {
        let mut unlike: Vec<((Openness, Openness), Vec<u128>)> = Vec::new();
        for number in &numbers {
            let pair = (at(four, *number, first), at(six, *number, first));
            match unlike.iter_mut().find(|(known, _)| *known == pair) {
                Some((_, by)) => by.push(*number),
                None => unlike.push((pair, vec![*number])),
            }
        }
        for ((v4, v6), by) in unlike {
            if v4 == v6 && !matches!(v4, Openness::To(_)) {
                continue;
            }
            let told = if by == numbers { &[][..] } else { &by };
            let interfaces: Vec<_> = told.iter().map(|n| space.interfaces.shown(*n)).collect();
            let interface = told.first().copied();
            let ports = (first, last);
            add(Disparity { way, protocol, ports, interfaces, interface, v4, v6 }, found);
        }
    }
}

/// Adds one, or makes the one it goes on from longer.
fn add(new: Disparity, found: &mut Vec<Disparity>) {
    let goes_on = |last: &&mut Disparity| {
        (last.way, last.protocol) == (new.way, new.protocol)
            && last.ports.1.checked_add(1) == Some(new.ports.0)
            && last.interfaces == new.interfaces
            && (&last.v4, &last.v6) == (&new.v4, &new.v6)
    };
    match found.iter_mut().rev().find(goes_on) {
        Some(last) => last.ports.1 = new.ports.1,
        None => found.push(new),
    }
}

/// All ports, in ranges that neither family tells apart by any interface.
fn alike_ports(four: &ByInterface, six: &ByInterface) -> Vec<(u16, u16)> {
    let all = four.iter().chain(six).flat_map(|(_, open)| open);
    let edges = all.flat_map(|((from, to), _)| [u32::from(*from), u32::from(*to) + 1]);
    let mut edges: Vec<u32> = edges.chain([0, 65_536]).collect();
    edges.sort_unstable();
    edges.dedup();
    edges.windows(2).map(|pair| (pair[0] as u16, (pair[1] - 1) as u16)).collect()
}

fn at(open: &ByInterface, number: u128, port: u16) -> Openness {
    let open = open.iter().find(|(with, _)| *with == number).map_or(&[][..], |(_, open)| open);
    let before = open.partition_point(|((from, _), _)| *from <= port);
    let found = before.checked_sub(1).and_then(|place| open.get(place));
    let found = found.filter(|((_, to), _)| port <= *to);
    found.map_or(Openness::Closed, |(_, openness)| openness.clone())
}
