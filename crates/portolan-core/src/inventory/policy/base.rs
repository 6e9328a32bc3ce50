//! The rows every host needs, with the peers they stand for here.

use super::super::matrix::{BaseRow, BaseTraffic, Direction, Matrix, Peers};
use super::Making;
use crate::firewall::{Addresses, BaseNeed, BasePass};
use crate::net::Prefix;

impl<'a> Making<'a> {
    /// The base rows of this host, in the order of compilation.
    pub(super) fn base(&mut self, matrix: &Matrix<'a>) -> Vec<BasePass> {
        let rows = matrix.base.iter().filter(|row| row.host.name == self.host.name);
        let rows: Vec<&BaseRow<'_>> = rows.collect();
        rows.into_iter().flat_map(|row| self.base_row(row)).collect()
    }

    fn base_row(&mut self, row: &BaseRow<'_>) -> Vec<BasePass> {
        let peers = (row.peers == Peers::Resolvers).then(|| self.resolvers(row));
        let destinations = destinations(row);
        let types = |types: &[(u8, &str)]| types.iter().map(|(number, _)| *number).collect();
        let traffic = match row.traffic {
            BaseTraffic::Loopback => vec![BaseNeed::Loopback],
            BaseTraffic::Established => vec![BaseNeed::Established],
            BaseTraffic::Icmp(list) => vec![BaseNeed::Icmp(types(list))],
            BaseTraffic::Icmpv6(list) => vec![BaseNeed::Icmpv6(types(list), hop_limit(row))],
            BaseTraffic::Igmp => vec![BaseNeed::Protocol(IGMP)],
            BaseTraffic::Port { transports, source, destination } => {
                let port = |transport| BaseNeed::Port {
                    transport,
                    source: source.map(|port| port.0),
                    destination: destination.0,
                };
                transports.iter().map(port).collect()
            }
        };
        let is_outgoing = row.direction == Direction::Out;
        let pass = |traffic| BasePass {
            name: row.name.into(),
            is_outgoing,
            traffic,
            peers: peers.clone(),
            destinations: destinations.clone(),
        };
        traffic.into_iter().map(pass).collect()
    }

    fn resolvers(&mut self, row: &BaseRow<'_>) -> Addresses {
        let found = &self.resolutions.resolvers;
        let listed = found.iter().map(|a| a.to_string().into()).collect();
        self.resolved.insert("resolvers".to_owned(), listed);
        if found.is_empty() {
            self.notes.push(format!("no resolver is known: `{}` lets nothing through", row.name));
        } else if found.iter().all(|address| address.to_canonical().is_loopback()) {
            self.notes.push(format!(
                "names are looked up by a server on this machine; whom that one asks is not known: `{}` \
                 lets it ask nobody (name them: needs = [\"192.0.2.53:53/udp\"])",
                row.name
            ));
        }
        Addresses::of(found.iter().map(|address| Prefix::from(address.to_canonical())))
    }
}

/// To which addresses; `None` where to all, or where the hop limit says that nobody has passed it on.
fn destinations(row: &BaseRow<'_>) -> Option<Addresses> {
    match (row.traffic, row.direction) {
        (BaseTraffic::Igmp, _) => Some(fixed(&[GROUPS])),
        (BaseTraffic::Port { .. }, Direction::In) if row.peers == Peers::ThisLink => {
            Some(fixed(&[LINK]))
        }
        (BaseTraffic::Port { .. }, Direction::Out) if row.peers == Peers::ThisLink => {
            Some(fixed(&[LINK, LINK_GROUPS]))
        }
        _ => None,
    }
}

/// IANA's number of IGMP.
const IGMP: u8 = 2;
/// RFC 5771: IGMP goes to groups only (RFC 3376 §4.1.12, §4.2.14).
const GROUPS: &str = "224.0.0.0/4";
/// RFC 4291 §2.5.6.
const LINK: &str = "fe80::/10";
/// RFC 4291 §2.7: groups of the link, ff02::1:2 of DHCPv6 (RFC 8415 §7.1) among them.
const LINK_GROUPS: &str = "ff02::/16";

/// What no router has passed on: neighbour discovery comes with 255 (RFC 4861 §7.1), multicast listeners
/// with 1 (RFC 3810 §5).
fn hop_limit(row: &BaseRow<'_>) -> Option<u8> {
    let BaseTraffic::Icmpv6(types) = row.traffic else { return None };
    let is_listener = types.iter().any(|(number, _)| *number == 143);
    let near = if is_listener { 1 } else { 255 };
    (row.peers == Peers::ThisLink).then_some(near)
}

fn fixed(texts: &[&str]) -> Addresses {
    Addresses::of(texts.iter().filter_map(|text| text.parse::<Prefix>().ok()))
}
