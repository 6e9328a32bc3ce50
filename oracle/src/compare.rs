//! Whether the kernel did what was said.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};

use portolan_core::firewall::simulate::{
    Answers, NoWay, Outcome as Said, Prepared, Presumed, Question, Station, Step, Walk, Way,
};
use portolan_core::firewall::{
    Expression, Hook, NatKind, Packet, RejectWith, RuleId, Statement, Target, TcpFlags, bits,
};

use crate::rig::{self, Headers, Outcome, Reply};

/// What the simulator says.
#[derive(Clone, Debug)]
pub struct Saying {
    /// The walk, as presumed.
    pub walk: Walk,
    /// Every walk that is possible, by the answers to what is open and not presumed; `None`: too many.
    pub walks: Option<Vec<Walk>>,
}

/// So many walks are tried for one packet.
const MOST_WALKS: usize = 64;

/// Asks the simulator.
#[must_use]
pub fn simulate(prepared: &Prepared<'_>, packet: &Packet) -> Saying {
    let script = Script::default();
    let one = prepared.walk(packet, way(packet), &script);
    let asked = script.asked.into_inner();
    if asked.is_empty() {
        return Saying { walk: one.clone(), walks: Some(vec![one]) };
    }
    let walk = prepared.walk(packet, way(packet), &Presumed);
    let mut walks = vec![one];
    let mut waiting = others(&asked, 0);
    while let Some(answers) = waiting.pop() {
        if walks.len() == MOST_WALKS {
            return Saying { walk, walks: None };
        }
        let known = answers.len();
        let script = Script { asked: RefCell::new(answers) };
        walks.push(prepared.walk(packet, way(packet), &script));
        waiting.extend(others(&script.asked.into_inner(), known));
    }
    Saying { walk, walks: Some(walks) }
}

/// Packets without an interface are the firewall's own.
fn way(packet: &Packet) -> Way {
    if packet.interface_in.is_empty() { Way::Output } else { Way::ByRoute }
}

/// An open question, and its answer on one walk.
type Answered = ((String, Option<RuleId>), bool);

/// Answers as presumed, else as written down, else with yes, which it writes down.
#[derive(Debug, Default)]
struct Script {
    asked: RefCell<Vec<Answered>>,
}

impl Answers for Script {
    fn answer(&self, question: &Question<'_>) -> Option<bool> {
        if question.presumed.is_some() {
            return question.presumed;
        }
        let key = (question.text.to_owned(), question.rule);
        let mut asked = self.asked.borrow_mut();
        if let Some((_, answer)) = asked.iter().find(|(known, _)| *known == key) {
            return Some(*answer);
        }
        asked.push((key, true));
        Some(true)
    }
}

/// The same answers up to each that was given first behind `known`, with the other one there.
fn others(asked: &[Answered], known: usize) -> Vec<Vec<Answered>> {
    let turned = |at: usize| {
        let mut other = asked[..=at].to_vec();
        other[at].1 = !other[at].1;
        other
    };
    (known..asked.len()).map(turned).collect()
}

/// Whether the kernel did what the simulator says: the same end, at the same place, as the same packet,
/// as one of the walks that are possible.
#[must_use]
pub fn agrees(prepared: &Prepared<'_>, packet: &Packet, saying: &Saying, seen: &Outcome) -> bool {
    if is_lost(prepared, saying) {
        return true;
    }
    let Some(walks) = &saying.walks else {
        let on = saying.walk.depends_on.iter();
        let mut ends =
            on.flat_map(|d| d.if_yes.iter().chain(&d.if_no)).chain([&saying.walk.outcome]);
        let is_over = is_out_of_hops(packet, &saying.walk, seen);
        return is_over || is_beyond(saying) || ends.any(|end| is_kind(packet, *end, seen));
    };
    is_beyond(saying) || walks.iter().any(|walk| is_end(prepared, packet, walk, seen))
}

/// Whether a rule has written into the packet what is not followed: then all that is said is that its end is
/// open.
#[must_use]
pub fn is_lost(prepared: &Prepared<'_>, saying: &Saying) -> bool {
    !saying.walk.is_certain() && prepared.loses_packets()
}

/// Whether the packet may go where the rig cannot follow it.
#[must_use]
pub fn is_beyond(saying: &Saying) -> bool {
    let walks = saying.walks.iter().flatten();
    walks.chain([&saying.walk]).any(goes_beyond)
}

fn goes_beyond(walk: &Walk) -> bool {
    // Conntrack waits for the other parts, which do not come.
    let is_waiting = walk.steps.contains(&Step::Defragmented);
    // It comes in again, which is another walk.
    let comes_back = out(walk) == Some("lo");
    is_waiting || comes_back || has_left_its_connection(walk)
}

/// Whether a rule wrote a port into a packet of a connection before conntrack looked for that: it finds none,
/// or another.
fn has_left_its_connection(walk: &Walk) -> bool {
    let known = |step: &Step| matches!(step, Step::Tracked(bits::ESTABLISHED | bits::RELATED));
    let before = walk.steps.iter().position(known).map(|at| &walk.steps[..at]);
    before.into_iter().flatten().any(|step| {
        let ports = [Target::SourcePort, Target::DestinationPort];
        matches!(step, Step::Assigned { target, .. } if ports.contains(target))
    })
}

/// Whether routing may refuse the packet whatever the rules say, which the analysis is not asked about.
#[must_use]
pub fn is_refused(saying: &Saying) -> bool {
    let walks = saying.walks.iter().flatten();
    let refused = [NoWay::Source, NoWay::ReversePath, NoWay::NotPassedOn];
    let mut steps = walks.chain([&saying.walk]).flat_map(|walk| &walk.steps);
    steps.any(|step| is_nowhere(step, &refused))
}

fn is_nowhere(step: &Step, ways: &[NoWay]) -> bool {
    match step {
        Step::Routed { decision, .. } => {
            ways.iter().any(|way| decision.station == Station::Nowhere(*way))
        }
        _ => false,
    }
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

/// Whether the sender is told that the time to live is over, of a packet that does not pass by the simulator
/// either: what a rule left of it is over before whatever refuses the packet behind routing.
#[must_use]
pub fn is_out_of_hops(packet: &Packet, walk: &Walk, seen: &Outcome) -> bool {
    let told = Reply::Icmp { kind: if packet.is_v6() { 3 } else { 11 }, code: 0 };
    let may_be_over = walk.packet.ttl < 2 || is_written_unknown(walk, Target::Ttl);
    let is_over = |step: &Step| is_nowhere(step, &[NoWay::NotPassedOn]);
    let is_refused = walk.outcome != Said::Accept || walk.steps.iter().any(is_over);
    *seen == Outcome::Refused(told) && may_be_over && is_refused
}

fn is_end(prepared: &Prepared<'_>, packet: &Packet, walk: &Walk, seen: &Outcome) -> bool {
    if is_out_of_hops(packet, walk, seen) {
        return true;
    }
    if !is_kind(packet, walk.outcome, seen) {
        return false;
    }
    match seen {
        Outcome::Local(headers) => {
            walk.hook == Some(Hook::Input)
                && headers.is_none_or(|headers| is_same(prepared, walk, &headers))
        }
        Outcome::Left(link, headers) => {
            walk.hook != Some(Hook::Input)
                && out(walk).is_none_or(|out| out == *link)
                && is_same(prepared, walk, headers)
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

/// Whether the ends are those, and what else its header says; ports only where there are ports, and that of
/// a translated source only where the kernel had no reason to choose another.
fn is_same(prepared: &Prepared<'_>, walk: &Walk, headers: &Headers) -> bool {
    let packet = &walk.packet;
    let has_ports = matches!(packet.protocol, 6 | 17) && !packet.is_later_fragment;
    let chosen = chosen(prepared, walk);
    let is_open = |target: Target| is_written_unknown(walk, target);
    let is_class = |mask: u8| packet.traffic_class & mask == headers.traffic_class & mask;
    (chosen.source || packet.source == headers.source)
        && (chosen.destination || packet.destination == headers.destination)
        && (!has_ports || chosen.source_port || packet.source_port == headers.source_port)
        && (!has_ports
            || chosen.destination_port
            || packet.destination_port == headers.destination_port)
        && (is_open(Target::Ttl) || packet.ttl == headers.ttl)
        && (is_open(Target::Dscp) || is_class(0xfc))
        && (is_open(Target::Ecn) || is_class(3))
}

/// Whether a rule wrote something that nobody knows there.
fn is_written_unknown(walk: &Walk, target: Target) -> bool {
    let is_it = |step: &Step| matches!(step, Step::Assigned { target: written, value: None, .. } if *written == target);
    walk.steps.iter().any(is_it)
}

/// Which ends the kernel chose out of several.
#[derive(Clone, Copy, Debug, Default)]
struct Chosen {
    source: bool,
    source_port: bool,
    destination: bool,
    destination_port: bool,
}

fn chosen(prepared: &Prepared<'_>, walk: &Walk) -> Chosen {
    let mut chosen = Chosen::default();
    for step in &walk.steps {
        let Step::Translated { by, kind, .. } = step else { continue };
        let rule = by.and_then(|id| prepared.ruleset().rule(id));
        let mut statements = rule.into_iter().flat_map(|rule| &rule.statements);
        let nat = statements.find_map(|statement| match statement {
            Statement::Nat(nat) => Some(nat),
            _ => None,
        });
        let is_vague = nat.is_some_and(|nat| {
            nat.address.iter().chain(&nat.port).any(is_one_of) || !nat.flags.is_empty()
        });
        if matches!(kind, NatKind::Snat | NatKind::Masquerade) {
            chosen.source |= is_vague;
            chosen.source_port = true;
        } else {
            chosen.destination |= is_vague;
            chosen.destination_port |= is_vague;
        }
    }
    chosen
}

/// Whether the kernel chooses: out of a range, or by chance.
fn is_one_of(expression: &Expression) -> bool {
    match expression {
        Expression::OneOf(_) | Expression::Unknown(_) => true,
        Expression::Lookup { key, .. } => is_one_of(key),
        _ => false,
    }
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
    // An answer to its own address does not leave the firewall.
    let is_heard = packet.interface_in.is_empty() || !rig::is_own(packet.source);
    // Translation does not mend the checksum of OSPF, and who asks for it finds it wrong.
    let has_checksum = packet.protocol != 89;
    is_to_one && !is_error && is_heard && has_checksum && !packet.is_later_fragment
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
