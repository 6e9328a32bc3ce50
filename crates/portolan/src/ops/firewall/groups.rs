//! Multicast groups whose packets the policy would refuse.
//!
//! Who is a member is known by interface; which socket that is only where the group has a meaning and a
//! socket waits for just that, or where a socket is bound to the group itself. For any other group the port
//! is not known, and is not guessed: told is what of UDP would reach it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portolan_core::firewall::{Addresses, BaseNeed, Packet, PassTraffic, Policy, Stance, bits};
use portolan_core::net::{Gap, Port, PortRange, Transport};
use portolan_core::socket::multicast::{self, GroupUse, Membership};
use portolan_core::socket::{Held, Machine, Process, SocketTable, SocketTransport};

use super::judge::{Judge, Verdict};
use super::outsiders::borders;
use super::samples::{ICMPV6, IGMP, ROUTER_V6, SOME_PORT, UDP};

/// A group of which packets would no longer arrive.
#[derive(Clone, Debug)]
pub(crate) struct CutGroup {
    /// Which, and on which interface.
    pub(crate) membership: Membership,
    /// What the group is for, where that is known.
    pub(crate) name: Option<&'static str>,
    /// IANA's number of the protocol.
    pub(crate) protocol: u8,
    /// Its port, for a protocol with ports; `None` where it is not known.
    pub(crate) port: Option<Port>,
    /// Who waits for it.
    pub(crate) owners: Vec<Process>,
    /// Whose packets are refused.
    pub(crate) refused: Refused,
}

/// Whose packets to a group are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Everybody's on its link.
    All,
    /// Those of some, but not of others, such as this one.
    Some(IpAddr),
    /// Those to all ports but these; which one is in use is not known.
    AllBut(Vec<PortRange>),
}

/// Questions who is a member, that would be refused: who does not answer them leaves, as switches see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CutQueries {
    /// The interface.
    pub(crate) interface: Box<str>,
    /// MLD, else IGMP.
    pub(crate) is_v6: bool,
}

/// What would be cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct CutMulticast {
    /// Groups.
    pub(crate) groups: Vec<CutGroup>,
    /// Questions for members.
    pub(crate) queries: Vec<CutQueries>,
}

/// Looks at every group that a program joined. `sockets` are those that wait, raw ones too.
pub(crate) fn cut(
    policy: &Policy,
    judge: &Judge<'_>,
    machine: &Machine,
    sockets: &SocketTable,
    gaps: &mut Vec<Gap>,
) -> CutMulticast {
    let mut found = CutMulticast::default();
    let joined = portolan_host::multicast::memberships().into_value(gaps);
    let ours = joined.into_iter().filter(|m| !m.is_kernels() && &*m.interface != "lo");
    for membership in ours {
        let link = Link::of(&membership, machine);
        let queries = CutQueries {
            interface: membership.interface.clone(),
            is_v6: membership.group.is_ipv6(),
        };
        if !found.queries.contains(&queries) && link.loses(judge, &link.query()) {
            found.queries.push(queries);
        }
        found.groups.extend(group(policy, judge, &link, membership, sockets));
    }
    found
}

fn group(
    policy: &Policy,
    judge: &Judge<'_>,
    link: &Link,
    membership: Membership,
    sockets: &SocketTable,
) -> Vec<CutGroup> {
    let services = services(&membership, sockets);
    if services.is_empty() {
        let let_in = let_in(policy, &membership);
        let unknown = let_in.map(|let_in| CutGroup {
            membership,
            name: None,
            protocol: UDP,
            port: None,
            owners: Vec::new(),
            refused: if let_in.is_empty() { Refused::All } else { Refused::AllBut(let_in) },
        });
        return unknown.into_iter().collect();
    }
    let refused = |service: Service| {
        let refused = link.refused(judge, service.protocol, service.port)?;
        Some(CutGroup {
            membership: membership.clone(),
            name: service.name,
            protocol: service.protocol,
            port: service.port,
            owners: service.owners,
            refused,
        })
    };
    services.into_iter().filter_map(refused).collect()
}

/// Something that is known to use a group.
struct Service {
    name: Option<&'static str>,
    protocol: u8,
    port: Option<Port>,
    owners: Vec<Process>,
}

fn services(membership: &Membership, sockets: &SocketTable) -> Vec<Service> {
    let mut found: Vec<Service> = Vec::new();
    for known in multicast::uses(membership.group) {
        let waits = |held: &&Held| waits_for(held, membership, *known);
        let waiting: Vec<&Held> = sockets.sockets.iter().filter(waits).collect();
        // A protocol without ports needs no socket of its own: the kernel has it, or BPF.
        if known.port.is_some() && waiting.is_empty() {
            continue;
        }
        let owners = owners(sockets, &waiting);
        let GroupUse { name, protocol, port } = *known;
        found.push(Service { name: Some(name), protocol, port, owners });
    }
    let is_bound =
        |held: &&Held| is_udp(held) && bound(held).is_some_and(|b| b.0 == membership.group);
    for held in sockets.sockets.iter().filter(is_bound) {
        let port = bound(held).map(|(_, port)| port);
        if !found.iter().any(|service| service.protocol == UDP && service.port == port) {
            let owners = owners(sockets, &[held]);
            found.push(Service { name: None, protocol: UDP, port, owners });
        }
    }
    found
}

/// Whether a socket would be given what is sent to the group.
fn waits_for(held: &Held, membership: &Membership, known: GroupUse) -> bool {
    let Some((address, port)) = bound(held) else { return false };
    let is_kind = match known.port {
        Some(known) => is_udp(held) && port == known,
        None => {
            let is_raw = held.socket.transport == SocketTransport::Raw;
            is_raw && port.0 == u16::from(known.protocol)
        }
    };
    let is_family = address.is_ipv4() == membership.group.is_ipv4() || held.socket.is_dual_stack();
    let is_here = held.socket.device.as_deref().is_none_or(|d| d == &*membership.interface);
    let is_any = address.is_unspecified() && is_family;
    is_kind && is_here && (is_any || address == membership.group)
}

fn is_udp(held: &Held) -> bool {
    held.socket.transport.with_ports() == Some(Transport::Udp)
}

fn bound(held: &Held) -> Option<(IpAddr, Port)> {
    held.socket.local.endpoint().map(|end| (end.address.to_canonical(), end.port))
}

fn owners(sockets: &SocketTable, held: &[&Held]) -> Vec<Process> {
    let mut found: Vec<Process> = Vec::new();
    for process in held.iter().flat_map(|held| sockets.owners(held)) {
        if !found.iter().any(|known| known.pid == process.pid) {
            found.push(process.clone());
        }
    }
    found
}

/// The ports of UDP at which somebody reaches the group; `None` where that is every port.
fn let_in(policy: &Policy, membership: &Membership) -> Option<Vec<PortRange>> {
    if policy.input != Stance::Drop {
        return None;
    }
    let mut found = Vec::new();
    let is_here =
        |name: &Option<Box<str>>| name.as_deref().is_none_or(|name| name == &*membership.interface);
    for pass in policy.management.iter().chain(&policy.passes) {
        let is_to = pass.destinations.as_ref().is_none_or(|to| to.contains(membership.group));
        let is_from = pass.peers.iter().any(|peers| is_here(&peers.interface));
        match pass.traffic {
            PassTraffic::Ports { transport: Transport::Udp, range }
                if pass.way.has_input() && is_to && is_from && is_here(&pass.interface) =>
            {
                found.push(range);
            }
            PassTraffic::Protocol(UDP) if pass.way.has_input() && is_to && is_from => return None,
            _ => {}
        }
    }
    for row in policy.base.iter().filter(|row| !row.is_outgoing) {
        let is_to = row.destinations.as_ref().is_none_or(|to| to.contains(membership.group));
        // What answers a client from a port of its own (DHCP) is sent to no group.
        if let BaseNeed::Port { transport: Transport::Udp, source: None, destination } = row.traffic
            && is_to
        {
            found.extend(PortRange::new(Port(destination), Port(destination)));
        }
    }
    found.sort_by_key(|range| (range.first(), range.last()));
    found.dedup();
    Some(found)
}

/// Who may send to a group: neighbours on its link.
struct Link {
    interface: Box<str>,
    group: IpAddr,
    senders: Vec<IpAddr>,
}

impl Link {
    fn of(membership: &Membership, machine: &Machine) -> Self {
        let own = machine.addresses.iter().filter(|own| {
            *own.interface == *membership.interface
                && own.address.is_ipv4() == membership.group.is_ipv4()
        });
        let mut senders: Vec<IpAddr> =
            own.flat_map(|own| borders(&Addresses::of([own.network]))).collect();
        senders.retain(|sender| !machine.has_address(*sender));
        senders.sort();
        senders.dedup();
        Self { interface: membership.interface.clone(), group: membership.group, senders }
    }

    /// Whose packets are refused, if anybody's are. Without an address on the interface nobody can be
    /// asked about.
    fn refused(&self, judge: &Judge<'_>, protocol: u8, port: Option<Port>) -> Option<Refused> {
        let is_lost = |sender: &&IpAddr| {
            let mut packet = self.packet(**sender, self.group, protocol);
            packet.destination_port = port.map_or(0, |port| port.0);
            packet.source_port = port.map_or(0, |_| SOME_PORT);
            matches!(judge.arrive(&packet), Verdict::Lost(_))
        };
        let lost: Vec<&IpAddr> = self.senders.iter().filter(is_lost).collect();
        let first = **lost.first()?;
        Some(if lost.len() == self.senders.len() { Refused::All } else { Refused::Some(first) })
    }

    /// Whether the question of a router for members is refused.
    fn loses(&self, judge: &Judge<'_>, query: &Packet) -> bool {
        matches!(judge.arrive(query), Verdict::Lost(_))
    }

    /// A general query: IGMP to all hosts (RFC 3376 §4.1.12), MLD from a link-local address with hop limit 1
    /// (RFC 3810 §5.1).
    fn query(&self) -> Packet {
        if self.group.is_ipv6() {
            let mut packet = self.packet(ROUTER_V6, ALL_NODES.into(), ICMPV6);
            packet.icmp.kind = LISTENER_QUERY;
            packet.ttl = 1;
            return packet;
        }
        let router = self.senders.first().copied().unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let mut packet = self.packet(router, ALL_HOSTS.into(), IGMP);
        packet.ttl = 1;
        packet
    }

    fn packet(&self, source: IpAddr, destination: IpAddr, protocol: u8) -> Packet {
        let mut packet = Packet::new(protocol, source, destination);
        packet.interface_in = self.interface.clone();
        packet.packet_type = u8::try_from(bits::PACKET_MULTICAST).unwrap_or_default();
        // What must not leave its link says so (RFC 5082).
        packet.ttl = 255;
        packet
    }
}

/// RFC 2710 §3.1.
const LISTENER_QUERY: u8 = 130;
const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
