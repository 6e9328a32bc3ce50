//! Whether the kernel did what was said.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};

use portolan_core::firewall::simulate::{
    Answers, Outcome as Said, Prepared, Question, Step, Walk, Way,
};
use portolan_core::firewall::{Hook, NatKind, Packet, RejectWith, TcpFlags};

use crate::rig::{Headers, Outcome, Reply};

/// What the simulator says, and whether it had to presume something on its way.
#[derive(Clone, Debug)]
pub struct Saying {
    /// The walk.
    pub walk: Walk,
    /// Whether something was open, even if that does not change the outcome.
    pub is_open: bool,
}

/// Asks the simulator.
#[must_use]
pub fn simulate(prepared: &Prepared<'_>, packet: &Packet) -> Saying {
    // Packets without an interface are the firewall's own.
    let way = if packet.interface_in.is_empty() { Way::Output } else { Way::ByRoute };
    let listener = Listener { is_open: Cell::new(false) };
    let walk = prepared.walk(packet, way, &listener);
    Saying { walk, is_open: listener.is_open.get() }
}

/// Answers as presumed, and remembers whether anything else was asked.
struct Listener {
    is_open: Cell<bool>,
}

impl Answers for Listener {
    fn answer(&self, question: &Question<'_>) -> Option<bool> {
        if question.presumed.is_none() {
            self.is_open.set(true);
        }
        question.presumed
    }
}

/// Whether the kernel did what the simulator says: the same end, at the same place, as the same packet.
#[must_use]
pub fn agrees(packet: &Packet, saying: &Saying, seen: &Outcome) -> bool {
    let walk = &saying.walk;
    if is_beyond(packet, walk) || is_unread(packet, saying) {
        return true;
    }
    if walk.depends_on.is_empty() && saying.is_open {
        return is_kind(packet, walk.outcome, seen);
    }
    if walk.depends_on.is_empty() {
        return is_end(packet, walk, walk.outcome, seen);
    }
    let mut ends = walk.depends_on.iter().flat_map(|d| d.if_yes.iter().chain(&d.if_no));
    ends.any(|end| is_kind(packet, *end, seen))
}

/// Whether a rule read as a port what the simulator takes for bytes it does not know (a checksum, for one), of a protocol without
/// ports: then it does not know either whether a translation sends the packet where the rig cannot follow.
#[must_use]
pub fn is_unread(packet: &Packet, saying: &Saying) -> bool {
    saying.is_open && !matches!(packet.protocol, 6 | 17)
}

/// Whether the packet goes where the rig cannot follow it.
#[must_use]
pub fn is_beyond(packet: &Packet, walk: &Walk) -> bool {
    // Conntrack waits for the other parts, which do not come.
    let is_waiting = walk.steps.contains(&Step::Defragmented);
    // It comes in again, which is another walk.
    let comes_back = out(walk) == Some("lo");
    // Translated to a place where routing does not pass it on.
    let is_moved = walk.packet.destination != packet.destination;
    let is_stuck = is_moved && (packet.packet_type != 0 || packet.ttl < 2);
    is_waiting || comes_back || is_stuck
}

/// Whether the kernel's answer is of this kind, whatever the packet looked like in the end.
#[must_use]
pub fn is_kind(packet: &Packet, said: Said, seen: &Outcome) -> bool {
    match (said, seen) {
        (Said::Accept, Outcome::Local(_) | Outcome::Left(..)) | (Said::Drop, Outcome::Dropped) => {
            true
        }
        (Said::Reject(_), Outcome::Dropped) => !is_answered(packet),
        (Said::Reject(with), Outcome::Refused(reply)) => is_reply(packet, with, *reply),
        _ => false,
    }
}

fn is_end(packet: &Packet, walk: &Walk, said: Said, seen: &Outcome) -> bool {
    if !is_kind(packet, said, seen) {
        return false;
    }
    match seen {
        Outcome::Local(headers) => {
            walk.hook == Some(Hook::Input) && headers.is_none_or(|headers| is_same(walk, &headers))
        }
        Outcome::Left(link, headers) => {
            walk.hook != Some(Hook::Input)
                && out(walk).is_none_or(|out| out == *link)
                && is_same(walk, headers)
        }
        _ => true,
    }
}

/// The interface it leaves by, as the last routing decision says.
fn out(walk: &Walk) -> Option<&str> {
    walk.steps.iter().rev().find_map(|step| match step {
        Step::Routed { decision, .. } => decision.interface.as_deref(),
        _ => None,
    })
}

/// Whether the ends are those; ports only where there are ports, and that of a translated source only
/// where the kernel had no reason to choose another.
fn is_same(walk: &Walk, headers: &Headers) -> bool {
    let packet = &walk.packet;
    let has_ports = matches!(packet.protocol, 6 | 17) && !packet.is_later_fragment;
    let is_source = |step: &Step| {
        matches!(step, Step::Translated { kind: NatKind::Snat | NatKind::Masquerade, .. })
    };
    let is_free = walk.steps.iter().any(is_source);
    packet.source == headers.source
        && packet.destination == headers.destination
        && (!has_ports || is_free || packet.source_port == headers.source_port)
        && (!has_ports || packet.destination_port == headers.destination_port)
}

/// Whether the kernel answers such a packet at all: no RST to a RST, no ICMP error about an ICMP error,
/// about a later fragment or to a group (RFC 1122 §3.2.2, nf_reject_ipv4.c).
fn is_answered(packet: &Packet) -> bool {
    let to = packet.destination;
    let is_broadcast = to == IpAddr::V4(Ipv4Addr::new(10, 0, 255, 255));
    let is_to_one = !to.is_multicast() && !is_broadcast;
    let is_error = match packet.protocol {
        1 => !matches!(packet.icmp.kind, 0 | 8 | 13..=18),
        58 => packet.icmp.kind < 128,
        6 => packet.tcp_flags.contains(TcpFlags::RST),
        _ => false,
    };
    // Translation does not mend the checksum of OSPF, and who asks for it finds it wrong.
    let has_checksum = packet.protocol != 89;
    is_to_one && !is_error && has_checksum && !packet.is_later_fragment
}

fn is_reply(packet: &Packet, with: RejectWith, reply: Reply) -> bool {
    let unreachable = |code: u8| Reply::Icmp { kind: if packet.is_v6() { 1 } else { 3 }, code };
    match with {
        RejectWith::TcpReset => reply == Reply::Reset,
        RejectWith::Icmp(code) | RejectWith::Icmpv6(code) => reply == unreachable(code),
        // net/netfilter/nft_reject.c, icmp_code_v4 and icmp_code_v6.
        RejectWith::Icmpx(number) => {
            let codes = if packet.is_v6() { [0, 4, 3, 1] } else { [0, 3, 1, 13] };
            codes.get(usize::from(number)).is_some_and(|code| reply == unreachable(*code))
        }
    }
}
