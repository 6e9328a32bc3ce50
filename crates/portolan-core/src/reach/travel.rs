//! One packet of a class of senders: through the rules, to who takes it, and its answer back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::firewall::simulate::{
    Because, Decision, NoWay, Open, Outcome, Prepared, Presumed, Station, Step, Walk, Way,
};
use crate::firewall::{
    Addresses, Direction, Hook, Packet, RulePlace, Ruleset, TcpFlags, Tuple, bits, protocol_of,
};
use crate::net::{Endpoint, Port, Transport};
use crate::socket::SocketTable;

use super::answer::{Answer, Around, AroundKind, By, Group, Taker, Translated};
use super::arrival::{Arrival, SOME_INTERFACE, arrivals, destinations, is_own};
use super::classes::Classes;
use super::question::Asking;
use super::{Whence, hints, listener};

/// Questions about one port.
pub(super) struct Travel<'a> {
    pub(super) asking: &'a Asking<'a>,
    pub(super) port: Port,
    pub(super) transport: Transport,
    pub(super) protocol: u8,
    /// How rules tell senders apart, IPv4 and IPv6.
    classes: [Classes; 2],
}

impl<'a> Travel<'a> {
    pub(super) fn new(asking: &'a Asking<'a>, port: Port, transport: Transport) -> Self {
        let protocol = protocol_of(transport);
        let mut ports = asking.targets.clone();
        ports.push(port.0);
        let classes = |is_v6| match asking.scene.rules {
            Some(rules) => Classes::of(&rules.ruleset, is_v6, protocol, &ports),
            None => Classes::one(),
        };
        Self { asking, port, transport, protocol, classes: [classes(false), classes(true)] }
    }

    /// What becomes of the packets of a source, those with the same fate together.
    pub(super) fn groups(&self, whence: &Whence) -> Vec<Group> {
        let mut groups = Vec::new();
        for is_v6 in [false, true] {
            match is_own(whence, self.asking.scene.world) {
                true => groups.extend(self.of_own_programs(is_v6)),
                false => self.of_others(whence, is_v6, &mut groups),
            }
        }
        groups.sort_by_key(|group| (group.answer, group.is_v6));
        groups
    }

    /// Whether the rules send packets of other machines for this port somewhere else.
    pub(super) fn is_translated(&self) -> bool {
        self.translations().next().is_some()
    }

    /// Whether the rules send them to `port`.
    pub(super) fn translates_to(&self, port: Port) -> bool {
        self.translations().any(|to| to.port == port)
    }

    fn translations(&self) -> impl Iterator<Item = Endpoint> {
        let any = super::Source::any().whence;
        let world = self.asking.scene.world;
        let ruleset = self.ruleset();
        let mut found = Vec::new();
        for is_v6 in [false, true] {
            for arrival in arrivals(&any, world, ruleset, is_v6) {
                for to in destinations(&arrival, world, ruleset, is_v6) {
                    for class in self.classes[usize::from(is_v6)].split(&arrival.addresses, is_v6) {
                        let Some(prepared) = &self.asking.with else { continue };
                        let Some(packet) = self.packet(&class, to, &arrival, is_v6) else {
                            continue;
                        };
                        let walk = prepared.walk(&packet, Way::Prerouting, &Presumed);
                        found.extend(translated(&walk).map(|(_, to)| to));
                    }
                }
            }
        }
        found.into_iter()
    }

    pub(super) fn ruleset(&self) -> Option<&'a Ruleset> {
        self.asking.scene.rules.map(|rules| &rules.ruleset)
    }

    fn of_others(&self, whence: &Whence, is_v6: bool, groups: &mut Vec<Group>) {
        let (world, ruleset) = (self.asking.scene.world, self.ruleset());
        let classes = &self.classes[usize::from(is_v6)];
        for arrival in arrivals(whence, world, ruleset, is_v6) {
            let to = destinations(&arrival, world, ruleset, is_v6);
            let parts = classes.split(&arrival.addresses, is_v6);
            let is_too_many = parts.len() > MOST_CLASSES;
            for class in parts.into_iter().take(MOST_CLASSES) {
                let mut group = self.class(&class, &to, &arrival, is_v6);
                group.is_exact &= classes.is_exact && !is_too_many;
                join(groups, group);
            }
        }
    }

    /// What becomes of one class: the best that it can get at any address of this machine.
    fn class(&self, class: &Addresses, to: &[IpAddr], arrival: &Arrival, is_v6: bool) -> Group {
        let group = |by| Group {
            answer: Answer::No,
            by,
            is_v6,
            senders: class.clone(),
            interface: arrival.interface.clone(),
            to: None,
            taker: None,
            translated: None,
            around: None,
            depends_on: Vec::new(),
            is_exact: true,
        };
        if arrival.interface.is_none() {
            return group(By::NoRoute);
        }
        let mut best: Option<Group> = None;
        for address in to {
            let Some(packet) = self.packet(class, *address, arrival, is_v6) else { continue };
            let fate = Group { to: Some(*address), ..group(By::NoAddress) };
            let fate = self.fate(&packet, fate);
            let is_better = best.as_ref().is_none_or(|known| rank(&fate) < rank(known));
            if is_better {
                best = Some(fate);
            }
            if best.as_ref().is_some_and(|best| best.answer == Answer::Yes) {
                break;
            }
        }
        best.unwrap_or_else(|| group(By::NoAddress))
    }

    fn packet(
        &self,
        class: &Addresses,
        to: IpAddr,
        arrival: &Arrival,
        is_v6: bool,
    ) -> Option<Packet> {
        let source = self.sample(class, is_v6)?;
        let packet = Packet::new(self.protocol, source, to).ports(SENDER_PORT, self.port.0);
        Some(Packet { interface_in: arrival.interface.clone().unwrap_or_default(), ..packet })
    }

    /// An address of a class: one that a host can have, and not this one.
    fn sample(&self, class: &Addresses, is_v6: bool) -> Option<IpAddr> {
        let (low, high) = *class.intervals(is_v6).iter().max_by_key(|(low, high)| high - low)?;
        let address = |number: u128| -> Option<IpAddr> {
            Some(match is_v6 {
                true => Ipv6Addr::from_bits(number).into(),
                false => Ipv4Addr::from_bits(u32::try_from(number).ok()?).into(),
            })
        };
        let first = if high - low > 1 { low + 1 } else { low };
        let mut some = (first..=high).take(MOST_OWN).filter_map(address);
        some.find(|a| !self.asking.scene.world.is_local(*a)).or_else(|| address(first))
    }

    fn fate(&self, packet: &Packet, mut group: Group) -> Group {
        let (Some(with), Some(without)) = (&self.asking.with, &self.asking.without) else {
            return self.unseen(packet, group);
        };
        let mut sent = packet.clone();
        let mut walk = with.walk(&sent, Way::ByRoute, &Presumed);
        let moved = translated(&walk);
        if let Some((_, to)) = moved.as_ref().filter(|_| !self.asking.scene.world.is_known())
            && !is_same_host(packet, to)
            && let Some(out) =
                self.ruleset().and_then(|rules| hints::interface_of(rules, to.address))
        {
            sent.interface_out = Some(out);
            walk = with.walk(&sent, Way::ByRoute, &Presumed);
        }
        group.translated = moved.map(|(rule, to)| Translated {
            rule: rule.and_then(|id| self.ruleset()?.place(id)),
            to,
        });
        // What ends before it is translated might have been sent on to somebody.
        let is_early = walk.outcome != Outcome::Accept && walk.hook == Some(Hook::Prerouting);
        if group.translated.is_none() && !is_early && self.is_nobody_at(packet) {
            group.by = By::NoListener(self.bound(self.port));
            return group;
        }
        self.end(&walk, &mut group);
        if matches!(group.answer, Answer::Yes | Answer::Depends) {
            self.deliver(packet, &walk, &mut group);
        }
        if group.answer == Answer::Yes {
            self.answer_back(packet, &walk, &mut group);
        }
        if group.answer == Answer::Yes {
            group.around = self.around(packet, without, &group);
            group.depends_on = questions(&with.walk(&sent, Way::ByRoute, &Open));
        }
        group
    }

    fn place(&self, walk: &Walk) -> Option<RulePlace> {
        self.ruleset()?.place(walk.decided_by?)
    }

    /// Without rules only what sockets are bound to says something.
    fn unseen(&self, packet: &Packet, mut group: Group) -> Group {
        if self.is_nobody_at(packet) {
            group.by = By::NoListener(self.bound(self.port));
        } else {
            (group.answer, group.by) = (Answer::Unknown, By::RulesUnseen);
        }
        group
    }

    /// Whether sockets are known and none takes the packet as it came.
    pub(super) fn is_nobody_at(&self, packet: &Packet) -> bool {
        let to = Endpoint::new(packet.destination, Port(packet.destination_port));
        self.asking.scene.sockets.is_some_and(|table| {
            listener::taker(table, self.transport, to, &packet.interface_in).is_none()
        })
    }

    pub(super) fn bound(&self, port: Port) -> Vec<Endpoint> {
        let bound = |table: &SocketTable| listener::bound(table, self.transport, port);
        self.asking.scene.sockets.map(bound).unwrap_or_default()
    }

    /// How the walk ended, as an answer.
    pub(super) fn end(&self, walk: &Walk, group: &mut Group) {
        let place = self.place(walk);
        if !walk.is_certain() {
            group.depends_on = questions(walk);
            group.answer = Answer::Depends;
            group.by = match (place, walk.outcome) {
                (Some(place), Outcome::Accept) => By::Allowed(place),
                (Some(rule), outcome) => By::Refused { rule, outcome },
                (None, _) => By::Unfiltered,
            };
            return;
        }
        (group.answer, group.by) = match (walk.outcome, place) {
            (Outcome::Accept, Some(place)) => (Answer::Yes, By::Allowed(place)),
            (Outcome::Accept, None) => (Answer::Yes, By::Unfiltered),
            (outcome, Some(rule)) => (Answer::No, By::Refused { rule, outcome }),
            (_, None) => (Answer::No, nowhere(walk)),
        };
    }

    /// Who takes what was let through.
    pub(super) fn deliver(&self, packet: &Packet, walk: &Walk, group: &mut Group) {
        let at = Endpoint::new(walk.packet.destination, Port(walk.packet.destination_port));
        let last = decision(walk);
        let is_onward = match last {
            Some((Decision { station: Station::Onward, .. }, _)) => true,
            Some(_) => false,
            None => !is_same_host(packet, &at),
        };
        if is_onward {
            let interface = last.and_then(|(decision, _)| decision.interface.clone());
            let container = self.container();
            group.taker = Some(Taker::Behind { to: at, interface, container });
            return;
        }
        let Some(table) = self.asking.scene.sockets else {
            group.taker = Some(Taker::Socket(None));
            return;
        };
        match listener::taker(table, self.transport, at, &packet.interface_in) {
            Some(socket) => group.taker = Some(Taker::Socket(Some(socket))),
            None => {
                group.answer = Answer::No;
                group.by = By::NoListener(self.bound(at.port));
            }
        }
    }

    pub(super) fn container(&self) -> Option<Box<str>> {
        let mut all = self.asking.scene.publications.iter();
        let found = all.find(|p| p.port == self.port && p.transport == self.transport);
        found.map(|p| p.container.clone())
    }

    /// Sends the answer back: packets of the connection, the other way round.
    fn answer_back(&self, packet: &Packet, walk: &Walk, group: &mut Group) {
        let (Some(with), Some(taker)) = (&self.asking.with, &group.taker) else { return };
        let there = &walk.packet;
        let mut answer = Packet::new(self.protocol, there.destination, there.source)
            .ports(there.destination_port, there.source_port);
        answer.tcp_flags = TcpFlags::SYN.with(TcpFlags::ACK);
        answer.state = Some(bits::ESTABLISHED);
        answer.status = bits::STATUS_SEEN_REPLY
            | bits::STATUS_CONFIRMED
            | if group.translated.is_some() { bits::STATUS_DNAT } else { 0 };
        answer.direction = Direction::Reply;
        answer.original = Some(packet.tuple());
        answer.mark = 0;
        answer.ct_mark = there.ct_mark;
        answer.interface_out = Some(packet.interface_in.clone());
        let way = match taker {
            Taker::Socket(_) => Way::Output,
            Taker::Behind { interface, .. } => {
                answer.interface_in = interface.clone().unwrap_or_else(|| SOME_INTERFACE.into());
                Way::Forward
            }
        };
        let back = with.walk(&answer, way, &Presumed);
        let is_ended = back.outcome != Outcome::Accept && back.is_certain();
        if let Some(place) = self.place(&back).filter(|_| is_ended) {
            (group.answer, group.by) = (Answer::No, By::AnswerRefused(place));
        }
    }

    /// What would have ended the packet, had its destination not been translated.
    fn around(&self, packet: &Packet, without: &Prepared<'_>, group: &Group) -> Option<Around> {
        let Some(Taker::Behind { .. }) = &group.taker else { return None };
        let walk = without.walk(packet, Way::Input, &Presumed);
        let is_ended = walk.outcome != Outcome::Accept;
        let rule = self.place(&walk).filter(|_| is_ended)?;
        Some(Around { rule, kind: self.who_translates(group) })
    }

    /// A name for who translates; that it is done is known from the packet's way alone.
    fn who_translates(&self, group: &Group) -> AroundKind {
        let mut all = self.asking.scene.publications.iter();
        let published = all.find(|p| p.port == self.port && p.transport == self.transport);
        let place = group.translated.as_ref().and_then(|t| t.rule.as_ref());
        let words = place.map(|p| format!("{} {}", p.table, p.chain)).unwrap_or_default();
        let words = words.to_ascii_lowercase();
        match published.map(|p| &*p.runtime) {
            Some("docker") => AroundKind::Docker,
            Some("podman") => AroundKind::Podman,
            _ if words.contains("docker") => AroundKind::Docker,
            _ if words.contains("netavark") || words.contains("cni") => AroundKind::Podman,
            _ if words.contains("kube") => AroundKind::Kubernetes,
            _ => AroundKind::Other,
        }
    }
}

/// What the rules did with the destination last, and where it is then.
pub(super) fn translated(walk: &Walk) -> Option<(Option<crate::firewall::RuleId>, Endpoint)> {
    walk.steps.iter().rev().find_map(|step| match step {
        Step::Translated { by, before, after, .. } if is_moved(before, after) => {
            Some((*by, Endpoint::new(after.destination, Port(after.destination_port))))
        }
        _ => None,
    })
}

fn is_moved(before: &Tuple, after: &Tuple) -> bool {
    (before.destination, before.destination_port) != (after.destination, after.destination_port)
}

fn is_same_host(packet: &Packet, to: &Endpoint) -> bool {
    packet.destination == to.address
}

fn decision(walk: &Walk) -> Option<(&Decision, &Because)> {
    walk.steps.iter().rev().find_map(|step| match step {
        Step::Routed { decision, because } => Some((decision, because)),
        _ => None,
    })
}

/// Why a packet that no rule ended goes nowhere.
fn nowhere(walk: &Walk) -> By {
    match decision(walk).map(|(decision, _)| decision.station) {
        Some(Station::Nowhere(NoWay::NotForwarding)) => By::NotForwarding,
        Some(Station::Nowhere(NoWay::Martian)) => By::Martian,
        Some(Station::Nowhere(NoWay::NoAddress)) => By::NoAddress,
        _ => By::NoRoute,
    }
}

fn questions(walk: &Walk) -> Vec<String> {
    let mut found: Vec<String> = walk.depends_on.iter().map(|d| d.question.clone()).collect();
    found.dedup();
    if !walk.is_complete && found.is_empty() {
        found.push("more than could be tried".to_owned());
    }
    found
}

/// Yes before depends before no; of refusals the one that says most first.
fn rank(group: &Group) -> (Answer, u8) {
    let by = match group.by {
        By::Refused { .. } | By::AnswerRefused(_) => 0,
        By::NotForwarding | By::Martian => 1,
        By::NoListener(_) => 2,
        _ => 3,
    };
    (group.answer, by)
}

/// Puts a class to those that meet with the same.
fn join(groups: &mut Vec<Group>, group: Group) {
    let same = groups.iter_mut().find(|known| {
        let known_as = Group { senders: group.senders.clone(), ..(*known).clone() };
        known_as == group
    });
    match same {
        Some(known) => known.senders = known.senders.with(&group.senders),
        None => groups.push(group),
    }
}

/// Some port of those that clients send from.
pub(super) const SENDER_PORT: u16 = 50_123;
/// No machine has so many addresses in a row.
const MOST_OWN: usize = 64;
/// More classes of senders are not asked one by one.
const MOST_CLASSES: usize = 4096;
