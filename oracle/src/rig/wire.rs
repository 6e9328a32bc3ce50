//! Probes as bytes, and what is seen of them when they arrive.
//!
//! IPv4 packets carry their number in the header's id, IPv6 ones in the flow label, and where there is
//! room both carry it behind the transport header too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portolan_core::firewall::{Packet, Tuple};
use portolan_core::wire::checksum::Sum;

use super::{Flow, Probe};

/// The protocols that IPv4 probes may have: ICMP, TCP, UDP, GRE, OSPF.
pub(super) const V4: &[u8] = &[1, 6, 17, 47, 89];
/// The same of IPv6.
pub(super) const V6: &[u8] = &[58, 6, 17, 47, 89];

/// The ends of a packet as they were seen: what became of its addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// From.
    pub source: IpAddr,
    /// To.
    pub destination: IpAddr,
    /// The first 16 bits of the transport header.
    pub source_port: u16,
    /// The second 16 bits.
    pub destination_port: u16,
    /// Time to live, hop limit.
    pub ttl: u8,
    /// The byte of DSCP and ECN.
    pub traffic_class: u8,
}

/// The number that stands in the IP header of the probe with a number. In later fragments of IPv6 rules
/// read the flow label as the port.
pub(super) fn id(number: u32, packet: &Packet) -> u32 {
    match (packet.is_v6(), packet.is_later_fragment) {
        (true, true) => packet.destination_port.into(),
        (true, false) => number & 0xf_ffff,
        (false, _) => number % 0xffff + 1,
    }
}

/// The number that stands behind the transport header, where there is room.
pub(super) fn mark(number: u32, probe: &Probe) -> Option<u32> {
    let packet = &probe.packet;
    if probe.flow.is_some_and(|flow| flow.is_quoted) {
        return None;
    }
    let header = ip_header(packet) + transport_header(packet.protocol);
    (usize::from(packet.length) >= header + 4 && !packet.is_later_fragment).then_some(number)
}

/// The same in a received packet of IPv6, from the transport header on.
pub(super) fn mark_in(protocol: u8, bytes: &[u8]) -> Option<u32> {
    let rest = bytes.get(transport_header(protocol)..)?;
    rest.first_chunk().copied().map(u32::from_be_bytes)
}

/// The ends of a received packet and the number in its IP header.
pub(super) fn headers(bytes: &[u8]) -> Option<(Headers, u32)> {
    let four = |at: usize| bytes.get(at..at + 4)?.first_chunk().copied().map(u32::from_be_bytes);
    let word = |at: usize| bytes.get(at..at + 2)?.first_chunk().copied().map(u16::from_be_bytes);
    let address =
        |at: usize| bytes.get(at..at + 16)?.first_chunk::<16>().copied().map(Ipv6Addr::from);
    let is_v6 = bytes.first()? >> 4 == 6;
    let (source, destination, id, transport) = if is_v6 {
        let inside = if bytes.get(6) == Some(&FRAGMENT) { 48 } else { 40 };
        let (from, to) = (address(8)?, address(24)?);
        (IpAddr::V6(from), IpAddr::V6(to), four(0)? & 0xf_ffff, inside)
    } else {
        let inside = usize::from(bytes[0] & 15) * 4;
        let (from, to) = (Ipv4Addr::from(four(12)?), Ipv4Addr::from(four(16)?));
        (IpAddr::V4(from), IpAddr::V4(to), u32::from(word(4)?), inside)
    };
    let source_port = word(transport).unwrap_or_default();
    let destination_port = word(transport + 2).unwrap_or_default();
    let (ttl, traffic_class) = match is_v6 {
        true => (*bytes.get(7)?, (word(0)? >> 4 & 0xff) as u8),
        false => (*bytes.get(8)?, *bytes.get(1)?),
    };
    let seen = Headers { source, destination, source_port, destination_port, ttl, traffic_class };
    Some((seen, id))
}

/// A probe from its IP header on.
pub(super) fn bytes(probe: &Probe, number: u32) -> Vec<u8> {
    let packet = &probe.packet;
    let header = ip_header(packet);
    let length = usize::from(packet.length).max(header + transport_header(packet.protocol));
    let mut bytes = vec![0; length];
    let (start, inside) = bytes.split_at_mut(header);
    transport(probe, number, inside);
    match (packet.source, packet.destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => v4(packet, from, to, number, start, length),
        (IpAddr::V6(from), IpAddr::V6(to)) => v6(packet, from, to, number, start, length),
        _ => {} // no packet has ends of two families
    }
    bytes
}

fn v4(packet: &Packet, from: Ipv4Addr, to: Ipv4Addr, number: u32, out: &mut [u8], length: usize) {
    out[0] = 0x45;
    out[1] = packet.traffic_class;
    put16(out, 2, length as u16);
    put16(out, 4, id(number, packet) as u16);
    put16(out, 6, if packet.is_later_fragment { LATER } else { 0 });
    out[8] = packet.ttl;
    out[9] = packet.protocol;
    out[12..16].copy_from_slice(&from.octets());
    out[16..20].copy_from_slice(&to.octets());
    let sum = Sum::new().bytes(out).finish();
    put16(out, 10, sum);
}

fn v6(packet: &Packet, from: Ipv6Addr, to: Ipv6Addr, number: u32, out: &mut [u8], length: usize) {
    let first = 6 << 28 | u32::from(packet.traffic_class) << 20 | id(number, packet);
    out[..4].copy_from_slice(&first.to_be_bytes());
    put16(out, 4, (length - 40) as u16);
    out[6] = packet.protocol;
    out[7] = packet.ttl;
    out[8..24].copy_from_slice(&from.octets());
    out[24..40].copy_from_slice(&to.octets());
    if packet.is_later_fragment {
        out[6] = FRAGMENT;
        out[40] = packet.protocol;
        put16(out, 42, LATER << 3);
        out[44..48].copy_from_slice(&number.to_be_bytes());
    }
}

/// Writes the transport header, what is inside, and its checksum.
fn transport(probe: &Probe, number: u32, out: &mut [u8]) {
    let packet = &probe.packet;
    let header = transport_header(packet.protocol);
    put16(out, 0, packet.source_port);
    put16(out, 2, packet.destination_port);
    if let Some(room) = out.get_mut(header..header + 4) {
        room.copy_from_slice(&number.to_be_bytes());
    }
    let length = out.len();
    match packet.protocol {
        6 => {
            out[4..8].copy_from_slice(&number.to_be_bytes());
            out[12] = 5 << 4;
            out[13] = packet.tcp_flags.0;
            put16(out, 14, 1024);
            checksum(packet, out, 16);
        }
        17 => {
            put16(out, 4, length as u16);
            checksum(packet, out, 6);
        }
        1 | 58 => {
            (out[0], out[1]) = (packet.icmp.kind, packet.icmp.code);
            put16(out, 2, 0);
            match &probe.flow {
                Some(flow) if flow.is_quoted => quote(flow, &mut out[8..]),
                _ => {
                    put16(out, 4, number as u16);
                    put16(out, 6, (number >> 16) as u16);
                }
            }
            checksum(packet, out, 2);
        }
        // Where the kernel looks for a checksum before it rejects (nf_reject_verify_csum).
        89 => checksum(packet, out, 4),
        _ => {}
    }
}

/// The beginning of the packet an ICMP error is about: the first of its connection.
fn quote(flow: &Flow, out: &mut [u8]) {
    let Tuple { source, destination, protocol, source_port, destination_port } = flow.original;
    let about = Packet::new(protocol, source, destination).ports(source_port, destination_port);
    let whole = bytes(&Probe { packet: about, flow: None }, 1);
    let length = whole.len().min(out.len());
    out[..length].copy_from_slice(&whole[..length]);
}

fn checksum(packet: &Packet, out: &mut [u8], at: usize) {
    let start = match packet.protocol {
        1 | 89 if !packet.is_v6() => Sum::new(),
        protocol => {
            Sum::new().pseudo_header(packet.source, packet.destination, protocol, out.len())
        }
    };
    let sum = start.bytes(out).finish();
    put16(out, at, if sum == 0 && packet.protocol == 17 { 0xffff } else { sum });
}

fn put16(out: &mut [u8], at: usize, value: u16) {
    out[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

fn ip_header(packet: &Packet) -> usize {
    match (packet.is_v6(), packet.is_later_fragment) {
        (false, _) => 20,
        (true, false) => 40,
        (true, true) => 48,
    }
}

/// Bytes of the header of a protocol; of an unknown one those that are taken for ports, and four.
const fn transport_header(protocol: u8) -> usize {
    if protocol == 6 { 20 } else { 8 }
}

/// The shortest packet that carries its number, from the IP header on.
#[must_use]
pub fn shortest(is_v6: bool, protocol: u8, is_quoted: bool) -> u16 {
    let quoted = if is_quoted { if is_v6 { 60 } else { 40 } } else { 4 };
    let header = if is_v6 { 40 } else { 20 };
    (header + transport_header(protocol) + quoted) as u16
}

/// The header of a fragment (RFC 8200 §4.5).
const FRAGMENT: u8 = 44;
/// The place of a later fragment, in units of eight bytes.
const LATER: u16 = 100;
