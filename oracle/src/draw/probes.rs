//! Packets at the edges of what rules say.

use std::net::IpAddr;

use portolan_core::firewall::{Direction, IcmpMessage, Packet, TcpFlags, Tuple, bits};

use super::values::{self, FAR4, FAR6, NETWORKS4, NETWORKS6, OWN4, OWN6, PORTS};
use super::{Company, Edge, Line};
use crate::chance::Chance;
use crate::rig::{self, Flow, LINKS, Probe};

/// A probe near one of the lines, or two of them. `number` makes its ends its own.
pub fn probe(chance: &mut Chance, lines: &[&Line], number: u32) -> Option<Probe> {
    let mut edges = Vec::new();
    if !lines.is_empty() {
        for _ in 0..1 + chance.below(2) {
            let line = *chance.pick(lines);
            for values in &line.edges {
                let at = if chance.percent(55) { 0 } else { chance.below(values.len()) };
                edges.push(values[at]);
            }
        }
    }
    let is_v6 = wants_v6(chance, &edges);
    let mut packet = start(chance, is_v6, number);
    let mut company =
        if chance.percent(80) { Company::Fresh } else { *chance.pick(super::matches::COMPANIES) };
    let mut mark = 0;
    for edge in edges {
        match edge {
            Edge::State(wanted) => company = wanted,
            Edge::CtMark(wanted) => mark = wanted,
            other => apply(&mut packet, other),
        }
    }
    packet.is_later_fragment |= chance.percent(2);
    link_out(chance, &mut packet);
    finish(chance, packet, company, mark)
}

fn wants_v6(chance: &mut Chance, edges: &[Edge]) -> bool {
    edges
        .iter()
        .find_map(|edge| match edge {
            Edge::Source(a) | Edge::Destination(a) => Some(a.is_ipv6()),
            Edge::Version(version) => Some(*version == 6),
            Edge::Protocol(58) => Some(true),
            _ => None,
        })
        .unwrap_or_else(|| chance.percent(40))
}

/// Somewhere to anywhere.
fn start(chance: &mut Chance, is_v6: bool, number: u32) -> Packet {
    let (networks, own, far) =
        if is_v6 { (NETWORKS6, OWN6, FAR6) } else { (NETWORKS4, OWN4, FAR4) };
    let source = values::bounds(chance.word(networks)).0;
    let source = values::shift(source, chance.between(1, 9) as i32);
    let (source, destination, link) = match chance.below(10) {
        0..5 => (source, values::address(chance.word(own)), *chance.pick(&LINKS[..2])),
        5..8 => (source, values::address(chance.word(far)), *chance.pick(&LINKS)),
        8 if chance.percent(8) && !is_v6 => (source, values::address("224.0.0.1"), "eth0"),
        8 if chance.percent(8) && !is_v6 => (source, values::address("10.0.255.255"), "eth0"),
        _ => (values::address(chance.word(own)), values::address(chance.word(far)), ""),
    };
    let icmp = if is_v6 { 58 } else { 1 };
    let protocol = *chance.pick(&[6, 6, 6, 17, 17, icmp, 47, 89]);
    let to = *chance.pick(PORTS);
    let mut packet =
        Packet::new(protocol, source, destination).ports(20000 + (number % 40000) as u16, to);
    packet.icmp = IcmpMessage { kind: if is_v6 { 128 } else { 8 }, code: 0 };
    packet.interface_in = link.into();
    packet.length = 0;
    if link.is_empty() {
        packet.socket = Some((0, 0));
    }
    packet
}

fn apply(packet: &mut Packet, edge: Edge) {
    let is_v6 = packet.is_v6();
    match edge {
        Edge::Source(a) if a.is_ipv6() == is_v6 && !packet.interface_in.is_empty() => {
            packet.source = a;
        }
        Edge::Destination(a) if a.is_ipv6() == is_v6 => packet.destination = a,
        Edge::Protocol(1 | 58) => packet.protocol = if is_v6 { 58 } else { 1 },
        Edge::Protocol(protocol) => packet.protocol = protocol,
        Edge::SourcePort(port) => packet.source_port = port,
        Edge::DestinationPort(port) => packet.destination_port = port,
        Edge::Flags(flags) => packet.tcp_flags = flags,
        Edge::IcmpType(kind) => packet.icmp.kind = kind,
        Edge::IcmpCode(code) => packet.icmp.code = code,
        Edge::Ttl(ttl) => packet.ttl = ttl,
        Edge::Class(class) => packet.traffic_class = class,
        Edge::Length(length) => packet.length = length,
        Edge::LinkIn(link) if !packet.interface_in.is_empty() => packet.interface_in = link.into(),
        Edge::LinkOut(link) => packet.interface_out = Some(link.into()),
        Edge::Mark(mark) if packet.interface_in.is_empty() => packet.mark = mark,
        Edge::Fragment => packet.is_later_fragment = true,
        _ => {}
    }
}

/// Sends it where it leaves by the wanted link: the routes decide, so the destination says it.
fn link_out(chance: &mut Chance, packet: &mut Packet) {
    let Some(link) = packet.interface_out.take() else { return };
    let to = match (&*link, packet.is_v6()) {
        ("eth0", false) => "10.0.3.9",
        ("eth1", false) => "192.168.7.66",
        ("out0", false) => *chance.pick(&["8.8.8.8", "10.9.0.17"]),
        (_, false) => "172.17.0.5",
        ("eth0", true) => "fd00:a::9",
        ("eth1", true) => "fd00:b::9",
        ("out0", true) => "2001:db8:9::9",
        (_, true) => "fd00:17::41",
    };
    packet.destination = values::address(to);
}

fn finish(chance: &mut Chance, mut packet: Packet, company: Company, mark: u32) -> Option<Probe> {
    let is_v6 = packet.is_v6();
    let mut flow = None;
    if packet.is_later_fragment {
        return fragment(packet);
    }
    match company {
        Company::Fresh => {}
        Company::Invalid => {
            packet.protocol = 6;
            packet.tcp_flags = *chance.pick(&[
                TcpFlags(18),
                TcpFlags(0),
                TcpFlags(1),
                TcpFlags(4),
                TcpFlags(0x29),
            ]);
        }
        Company::Established | Company::Reply => {
            if !matches!(packet.protocol, 6 | 17) {
                return None;
            }
            packet.tcp_flags = TcpFlags::ACK;
            let is_reply = company == Company::Reply;
            let original = if is_reply { packet.tuple().inverse() } else { packet.tuple() };
            packet.direction = if is_reply { Direction::Reply } else { Direction::Original };
            packet.state = Some(bits::ESTABLISHED);
            flow = Some(Flow { original, has_reply: true, mark, is_quoted: false });
        }
        Company::Related => {
            let about = Tuple { protocol: 17, destination_port: 53, ..packet.tuple().inverse() };
            packet.protocol = if is_v6 { 58 } else { 1 };
            packet.icmp = IcmpMessage { kind: if is_v6 { 1 } else { 3 }, code: 1 };
            packet.direction = Direction::Reply;
            packet.state = Some(bits::RELATED);
            flow = Some(Flow { original: about, has_reply: true, mark, is_quoted: true });
        }
    }
    if let Some(flow) = &flow {
        packet.original = Some(flow.original);
        packet.status = bits::STATUS_SEEN_REPLY | bits::STATUS_ASSURED | bits::STATUS_CONFIRMED;
        packet.ct_mark = mark;
    }
    if packet.protocol == 47 {
        // Version 0 of GRE: others are not translated (nf_nat_proto.c).
        packet.source_port &= !7;
    }
    let is_quoted = flow.is_some_and(|flow| flow.is_quoted);
    packet.length = packet.length.max(rig::shortest(is_v6, packet.protocol, is_quoted)).min(1400);
    // A broadcast is unicast on a link without ARP.
    let is_group = packet.destination.is_multicast() && !packet.interface_in.is_empty();
    packet.packet_type = if is_group { bits::PACKET_MULTICAST } else { bits::PACKET_HOST } as u8;
    let probe = Probe { packet, flow };
    is_sendable(&probe.packet).then_some(probe)
}

/// A later fragment is passed on alone; one for the firewall itself would wait for the others.
fn fragment(mut packet: Packet) -> Option<Probe> {
    packet.length = packet.length.clamp(96, 1400) & !7;
    if !packet.is_v6() {
        packet.length = packet.length / 8 * 8 + 4;
    }
    if let IpAddr::V6(from) = packet.source {
        // Rules read the fixed header where a later fragment has no transport header (ipv6_find_hdr does
        // not say where it begins).
        let class = packet.traffic_class;
        packet.source_port = 0x6000 | u16::from(class) << 4;
        packet.icmp = IcmpMessage { kind: 0x60 | class >> 4, code: class << 4 };
        packet.tcp_flags = TcpFlags(from.octets()[5]);
    }
    // It goes to one machine, whatever the packet was drawn to at first.
    packet.packet_type = bits::PACKET_HOST as u8;
    let to = packet.destination;
    let is_through = !packet.interface_in.is_empty() && !rig::is_own(to) && !to.is_multicast();
    (is_through && is_sendable(&packet)).then_some(Probe { packet, flow: None })
}

/// Whether the kernel takes such a packet from its sender: others are dropped by the headers' checks, or
/// translated by nobody.
#[must_use]
pub fn is_sendable(packet: &Packet) -> bool {
    let (from, to) = (packet.source, packet.destination);
    let is_out = packet.interface_in.is_empty();
    if from == to || !is_usual(from) || from.is_multicast() || packet.length > 1400 {
        return false;
    }
    if packet.ttl == 0 {
        return false;
    }
    match to {
        IpAddr::V4(to) if to.is_multicast() => to.octets() == [224, 0, 0, 1] && !is_out,
        IpAddr::V4(to) if to.octets() == [10, 0, 255, 255] => &*packet.interface_in == "eth0",
        _ if is_out && rig::is_own(to) => false,
        to => is_usual(to),
    }
}

fn is_usual(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => {
            let edge = matches!(
                a.octets(),
                [10, 0, 0 | 255, 0 | 255]
                    | [192, 168, 7, 0 | 255]
                    | [10, 9, 0, 0 | 255]
                    | [172, 17, 0 | 255, 0 | 255]
            );
            let is_named = matches!(a.octets(), [10, 0, 0, 1]);
            !(a.is_loopback() || a.octets()[0] == 0 || a.octets()[0] >= 224 || edge && !is_named)
        }
        IpAddr::V6(a) => {
            let first = a.segments()[0];
            !(a.is_loopback() || a.is_unspecified() || a.is_multicast() || first & 0xffc0 == 0xfe80)
                && a.segments()[4..] != [0; 4]
        }
    }
}
