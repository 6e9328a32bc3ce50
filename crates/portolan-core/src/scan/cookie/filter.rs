//! Which packets are shown to us at all: what may be an answer to a SYN of ours, and who tells their
//! address on the link.
//!
//! The kernel runs it on every packet that arrives, so it looks at little; what it lets through is
//! read and doubted by [`Cookies::read`](super::Cookies::read).

use crate::net::Port;
use crate::wire::cbpf::{Assembler, Instruction, Label, PACKET_TYPE, PROTOCOL, Width};
use crate::wire::{icmp, ipv6, tcp};

/// The filter for a packet socket of type SOCK_DGRAM, whose packets begin with the IP header.
pub(super) fn program(first: Port, count: u16) -> Vec<Instruction> {
    let mut code = Assembler::new();
    let labels = Labels { yes: code.label(), no: code.label() };
    let (v4, v6, arp) = (code.label(), code.label(), code.label());
    code.load_ancillary(PACKET_TYPE);
    code.if_not_equal(FOR_US, labels.no);
    code.load_ancillary(PROTOCOL);
    code.if_equal(ETHERTYPE_IPV4, v4);
    code.if_equal(ETHERTYPE_IPV6, v6);
    code.if_equal(ETHERTYPE_ARP, arp);
    code.end(0);

    code.mark(arp);
    code.load(Width::Half, 6);
    code.if_equal(ARP_REPLY, labels.yes);
    code.end(0);

    code.mark(v4);
    ipv4(&mut code, &labels, first, count);
    code.mark(v6);
    ipv6(&mut code, &labels, first, count);
    code.mark(labels.yes);
    code.end(KEPT);
    code.mark(labels.no);
    code.end(0);
    code.finish()
}

struct Labels {
    yes: Label,
    no: Label,
}

fn ipv4(code: &mut Assembler, labels: &Labels, first: Port, count: u16) {
    let icmp = code.label();
    code.load(Width::Half, 6);
    code.if_any_bit(0x1fff, labels.no); // a later piece
    code.index_header_length(0);
    code.load(Width::Byte, 9);
    code.if_equal(icmp::PROTOCOL.into(), icmp);
    code.if_not_equal(tcp::PROTOCOL.into(), labels.no);
    code.load_indexed(Width::Half, 2);
    within(code, labels, first, count);

    code.mark(icmp);
    code.load_indexed(Width::Byte, 0);
    for kind in [3, 11, 12] {
        code.if_equal(kind, labels.yes);
    }
    code.end(0);
}

fn ipv6(code: &mut Assembler, labels: &Labels, first: Port, count: u16) {
    let (icmp, tcp_label) = (code.label(), code.label());
    code.load(Width::Byte, 6);
    code.if_equal(icmp::PROTOCOL_V6.into(), icmp);
    code.if_equal(tcp::PROTOCOL.into(), tcp_label);
    // Behind extension headers it cannot follow: rare enough to be looked at by us.
    for extension in [0, 43, 60] {
        code.if_equal(extension, labels.yes);
    }
    code.end(0);

    code.mark(tcp_label);
    code.load(Width::Half, HEADER_V6 + 2);
    within(code, labels, first, count);

    code.mark(icmp);
    code.load(Width::Byte, HEADER_V6);
    for kind in [1, 3, 4, NEIGHBOUR_ADVERTISEMENT] {
        code.if_equal(kind, labels.yes);
    }
    code.end(0);
}

/// Ends with whether the port that was loaded is one of ours.
fn within(code: &mut Assembler, labels: &Labels, first: Port, count: u16) {
    code.subtract(first.0.into());
    code.if_at_least(count.into(), labels.no);
    code.end(KEPT);
}

/// How much of a packet is wanted: an ICMPv6 error with the whole SYN it quotes, and room to spare.
const KEPT: u32 = 256;
const HEADER_V6: u32 = ipv6::HEADER as u32;
const FOR_US: u32 = 0; // PACKET_HOST
const ETHERTYPE_IPV4: u32 = 0x0800;
const ETHERTYPE_IPV6: u32 = 0x86dd;
const ETHERTYPE_ARP: u32 = 0x0806;
const ARP_REPLY: u32 = 2;
const NEIGHBOUR_ADVERTISEMENT: u32 = 136;
