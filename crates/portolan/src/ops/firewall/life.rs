//! What a machine needs to live, and a policy without its base rows refuses it.
//!
//! Asked packet by packet, not by the names of rows: a service of the file can take the place of a row,
//! and a block can stand before it. What other tools refuse already is not what the change does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portolan_core::firewall::{
    BaseNeed, Direction, IcmpMessage, Packet, Policy, Stance, TcpFlags, Tuple, bits, protocol_of,
};
use portolan_core::net::Transport;
use portolan_core::socket::{InterfaceAddress, Machine};

use super::judge::{Judge, Verdict};
use super::samples::{AFAR, AFAR_V6, ICMP, ICMPV6, ROUTER_V6, SOME_PORT, UDP};

/// Something a machine needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Its programs speak to each other.
    Loopback,
    /// Answers to what was let through.
    Answers,
    /// IPv6 neighbours find each other.
    Neighbours,
    /// IPv6 routers say that they are there.
    Routers,
    /// Errors of IPv4, by which the path's packet size is found.
    Errors,
    /// Errors of IPv6, likewise.
    ErrorsV6,
    /// The lease of an IPv4 address.
    Lease,
    /// The lease of an IPv6 address.
    LeaseV6,
    /// Names, looked up elsewhere.
    Names,
    /// The time.
    Time,
}

/// A need that is not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Which.
    pub(crate) need: Need,
    /// Whether it is what this machine sends that is refused; else what comes in.
    pub(crate) is_outgoing: bool,
}

/// What `policy` refuses of what `machine` needs, inwards first.
pub(crate) fn missing(policy: &Policy, judge: &Judge<'_>, machine: &Machine) -> Vec<Missing> {
    let life = Life { judge, machine };
    let mut found = Vec::new();
    if policy.input == Stance::Drop || !policy.blocks.is_empty() {
        let incoming = IN.into_iter().filter(|need| life.is_refused(*need));
        found.extend(incoming.map(|need| Missing { need, is_outgoing: false }));
    }
    if policy.output == Stance::Drop {
        let outgoing = OUT.into_iter().filter(|need| life.is_kept_in(policy, *need));
        found.extend(outgoing.map(|need| Missing { need, is_outgoing: true }));
    }
    found
}

/// What somebody who must keep access would lack, although the first packet is let in: that the answer
/// leaves, and over IPv6 that he and this machine find each other on the link.
pub(crate) fn lacks(
    policy: &Policy,
    judge: &Judge<'_>,
    machine: &Machine,
    call: &Tuple,
) -> Option<Need> {
    if machine.has_address(call.source) || call.source.is_loopback() {
        return None;
    }
    let life = Life { judge, machine };
    if policy.output == Stance::Drop && !judge.leaves(&answer(call)) {
        return Some(Need::Answers);
    }
    let own = life.own(true).find(|own| own.address == call.destination)?;
    let near = if own.network.contains(call.source) { Some(call.source) } else { None };
    let is_lost = life.loses_neighbours(own, near)
        || policy.output == Stance::Drop && !life.calls_neighbours(own);
    is_lost.then_some(Need::Neighbours)
}

/// The first answer to a call, as it leaves.
fn answer(call: &Tuple) -> Packet {
    let mut packet = Packet::new(call.protocol, call.destination, call.source)
        .ports(call.destination_port, call.source_port);
    packet.state = Some(bits::ESTABLISHED);
    packet.direction = Direction::Reply;
    packet.tcp_flags = TcpFlags::SYN.with(TcpFlags::ACK);
    packet
}

const IN: [Need; 8] = [
    Need::Loopback,
    Need::Answers,
    Need::Neighbours,
    Need::Routers,
    Need::Errors,
    Need::ErrorsV6,
    Need::Lease,
    Need::LeaseV6,
];
const OUT: [Need; 7] = [
    Need::Loopback,
    Need::Answers,
    Need::Neighbours,
    Need::Lease,
    Need::LeaseV6,
    Need::Names,
    Need::Time,
];

struct Life<'l> {
    judge: &'l Judge<'l>,
    machine: &'l Machine,
}

impl Life<'_> {
    /// Addresses of this machine that others call.
    fn own(&self, is_v6: bool) -> impl Iterator<Item = &InterfaceAddress> {
        let fits = move |own: &&InterfaceAddress| {
            own.address.is_ipv6() == is_v6 && !own.address.is_loopback()
        };
        self.machine.addresses.iter().filter(fits)
    }

    fn is_refused(&self, need: Need) -> bool {
        let refused = |packet: Packet| matches!(self.judge.arrive(&packet), Verdict::Lost(_));
        let (v4, v6) = (self.own(false).next(), self.own(true).next());
        let both = v4.into_iter().chain(v6);
        match need {
            Need::Loopback => refused(local()),
            Need::Answers => both.into_iter().any(|own| refused(from_afar(own, bits::ESTABLISHED))),
            Need::Neighbours => v6.is_some_and(|own| self.loses_neighbours(own, None)),
            Need::Routers => v6.is_some_and(|own| refused(message(ROUTER_V6, own, ROUTER_ADVERT))),
            Need::Errors => v4.is_some_and(|own| refused(error(own))),
            Need::ErrorsV6 => v6.is_some_and(|own| refused(error(own))),
            Need::Lease => v4.is_some_and(|own| refused(lease(own, (67, 68)))),
            Need::LeaseV6 => v6.is_some_and(|own| refused(lease(own, (547, 546)))),
            Need::Names | Need::Time => false,
        }
    }

    /// Whether this machine's own packets are refused; whom names and the time are asked of is told by
    /// rows, not by packets.
    fn is_kept_in(&self, policy: &Policy, need: Need) -> bool {
        let refused = |packet: Packet| !self.judge.leaves(&packet);
        let (v4, v6) = (self.own(false).next(), self.own(true).next());
        match need {
            Need::Loopback => refused(local()),
            Need::Answers => v4.or(v6).is_some_and(|own| {
                let from = from_afar(own, bits::ESTABLISHED);
                refused(answer(&from.tuple()))
            }),
            Need::Neighbours => v6.is_some_and(|own| !self.calls_neighbours(own)),
            Need::Lease => v4.is_some_and(|own| refused(asks(own, (68, 67)))),
            Need::LeaseV6 => v6.is_some_and(|own| refused(asks(own, (546, 547)))),
            Need::Names => !calls(policy, 53),
            Need::Time => !calls(policy, 123),
            Need::Routers | Need::Errors | Need::ErrorsV6 => false,
        }
    }

    /// Whether a neighbour's question or answer is refused, of a router or of `near`.
    fn loses_neighbours(&self, own: &InterfaceAddress, near: Option<IpAddr>) -> bool {
        let senders = [Some(ROUTER_V6), near].into_iter().flatten();
        let packets =
            senders.flat_map(|sender| [SOLICIT, ADVERT].map(|kind| message(sender, own, kind)));
        packets.into_iter().any(|packet| matches!(self.judge.arrive(&packet), Verdict::Lost(_)))
    }

    fn calls_neighbours(&self, own: &InterfaceAddress) -> bool {
        [SOLICIT, ADVERT].into_iter().all(|kind| {
            let mut packet = message(own.address, own, kind);
            packet.destination = ROUTER_V6;
            packet.interface_in = "".into();
            self.judge.leaves(&packet)
        })
    }
}

/// Whether anybody may be called at a port of UDP.
fn calls(policy: &Policy, port: u16) -> bool {
    let is_it = |need: &BaseNeed| matches!(need, BaseNeed::Port { transport: Transport::Udp, destination, .. } if *destination == port);
    let call = Tuple {
        source: Ipv4Addr::UNSPECIFIED.into(),
        destination: Ipv4Addr::UNSPECIFIED.into(),
        protocol: UDP,
        source_port: 0,
        destination_port: port,
    };
    policy.base.iter().any(|row| row.is_outgoing && is_it(&row.traffic))
        || policy.egress.iter().any(|pass| pass.traffic.covers(&call))
}

/// From one program here to another.
fn local() -> Packet {
    let here = IpAddr::from(Ipv4Addr::LOCALHOST);
    let mut packet =
        Packet::new(protocol_of(Transport::Tcp), here, here).ports(SOME_PORT, SOME_PORT);
    packet.interface_in = "lo".into();
    packet
}

/// The answer of a server somewhere.
fn from_afar(own: &InterfaceAddress, state: u128) -> Packet {
    let afar = if own.address.is_ipv6() { AFAR_V6.into() } else { AFAR.into() };
    let mut packet = Packet::new(protocol_of(Transport::Tcp), afar, own.address);
    packet = packet.ports(SOME_PORT, SOME_PORT);
    packet.tcp_flags = TcpFlags::ACK;
    packet.state = Some(state);
    packet.direction = Direction::Reply;
    packet.interface_in = own.interface.as_str().into();
    packet
}

/// Neighbour discovery: RFC 4861 §7.1.
fn message(source: IpAddr, own: &InterfaceAddress, kind: u8) -> Packet {
    let mut packet = Packet::new(ICMPV6, source, own.address);
    packet.icmp = IcmpMessage { kind, code: 0 };
    packet.ttl = 255;
    packet.interface_in = own.interface.as_str().into();
    packet
}

/// That a packet was too big, which belongs to a connection (RFC 1191 §4, RFC 8201 §4).
fn error(own: &InterfaceAddress) -> Packet {
    let mut packet = from_afar(own, bits::RELATED);
    let is_v6 = own.address.is_ipv6();
    packet.protocol = if is_v6 { ICMPV6 } else { ICMP };
    (packet.source_port, packet.destination_port) = (0, 0);
    packet.icmp = match is_v6 {
        true => IcmpMessage { kind: 2, code: 0 },
        false => IcmpMessage { kind: 3, code: 4 },
    };
    packet
}

/// What a server of leases answers: RFC 2131 §4.1, RFC 8415 §7.2.
fn lease(own: &InterfaceAddress, (from, to): (u16, u16)) -> Packet {
    let (server, client) = match own.address {
        IpAddr::V4(_) => (AFAR.into(), Ipv4Addr::BROADCAST.into()),
        IpAddr::V6(_) => (ROUTER_V6, LINK_LOCAL),
    };
    let mut packet = Packet::new(UDP, server, client).ports(from, to);
    packet.interface_in = own.interface.as_str().into();
    packet
}

fn asks(own: &InterfaceAddress, (from, to): (u16, u16)) -> Packet {
    let (client, servers) = match own.address {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into()),
        IpAddr::V6(_) => (LINK_LOCAL, DHCP_SERVERS),
    };
    Packet::new(UDP, client, servers).ports(from, to)
}

/// Types of RFC 4861 §4.
const ROUTER_ADVERT: u8 = 134;
const SOLICIT: u8 = 135;
const ADVERT: u8 = 136;
const LINK_LOCAL: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2));
/// RFC 8415 §7.1.
const DHCP_SERVERS: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2));
