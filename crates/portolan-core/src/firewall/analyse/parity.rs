//! Whether IPv4 and IPv6 are open alike.

use super::path::{Detail, fates};
use super::space::Space;
use super::told::SourceSet;
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::simulate::{Prepared, Way};

/// Ports that one family treats otherwise than the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disparity {
    /// IANA's number of the transport.
    pub protocol: u8,
    /// The ports, both ends included.
    pub ports: (u16, u16),
    /// What IPv4 lets in.
    pub v4: Openness,
    /// What IPv6 lets in.
    pub v6: Openness,
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

impl Openness {
    /// How wide: closed, some, any.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::To(_) => 1,
            Self::Any => 2,
        }
    }
}

/// Compares what comes in from outside, TCP and UDP, by what may be certain: limits count as kept.
/// The two spaces must be of IPv4 and IPv6 and know the ruleset.
///
/// # Errors
/// When a node budget is used up.
pub fn parity(
    v4: &mut Space,
    v6: &mut Space,
    prepared: &Prepared<'_>,
) -> Result<Vec<Disparity>, Undecided> {
    let mut found = Vec::new();
    for protocol in [6, 17] {
        let four = open_ports(v4, prepared, protocol)?;
        let six = open_ports(v6, prepared, protocol)?;
        compare(protocol, &four, &six, &mut found);
    }
    Ok(found)
}

/// Ranges of ports, ascending and without gaps, each with whom it is open to.
type Open = Vec<((u16, u16), Openness)>;

fn open_ports(space: &mut Space, prepared: &Prepared<'_>, protocol: u8) -> Result<Open, Undecided> {
    let fresh = space.from_outside()?;
    let of = space.protocol(protocol)?;
    let start = space.bdd.and(fresh, of)?;
    let fates = fates(space, prepared, Way::Input, start, Detail::Fates)?;
    let layout = space.layout;
    let region = space.projected(fates.accepted, &[layout.destination_port, layout.source])?;
    // What was asked about, seen the same way: the sources that are "everybody".
    let all = space.projected(start, &[layout.source])?;
    let mut open = Vec::new();
    let parts = space.bdd.split(region, layout.destination_port, 65_536).unwrap_or_default();
    for part in parts {
        let openness = openness(space, part.rest, all);
        for (from, to) in part.values {
            open.push(((from as u16, to as u16), openness.clone()));
        }
    }
    open.sort_by_key(|(ports, _)| *ports);
    Ok(open)
}

fn openness(space: &mut Space, sources: Region, all: Region) -> Openness {
    if space.bdd.covers(sources, all) {
        return Openness::Any;
    }
    let parts = space.bdd.split(sources, space.layout.source, 100_000).unwrap_or_default();
    match parts.first() {
        Some(part) => Openness::To(space.address_set(&part.values)),
        None => Openness::Closed,
    }
}

fn compare(protocol: u8, four: &Open, six: &Open, found: &mut Vec<Disparity>) {
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
        if v4.rank() == v6.rank() {
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
            _ => found.push(Disparity { protocol, ports, v4, v6 }),
        }
    }
}

fn at(open: &Open, port: u16) -> Openness {
    let found = open.iter().find(|((from, to), _)| *from <= port && port <= *to);
    found.map_or(Openness::Closed, |(_, openness)| openness.clone())
}
