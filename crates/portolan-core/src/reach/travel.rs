//! One packet of a class of senders: through the rules, to who takes it, and its answer back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::firewall::analyse::AnalyseError;
use crate::firewall::simulate::{
    Because, Decision, NoWay, Open, Outcome, Prepared, Presumed, Station, Step, Walk, Way,
};
use crate::firewall::{
    Addresses, Direction, Family, Hook, Packet, RuleId, RulePlace, Ruleset, TcpFlags, Tuple, bits,
    protocol_of,
};
use crate::net::{Endpoint, Port, Transport};
use crate::socket::SocketTable;

use super::answer::{Answer, Around, AroundKind, By, Group, Taker, Translated};
use super::arrival::{
    Arrival, SOME_INTERFACE, broadcasts, destinations, groups, is_broadcast, is_by_favour,
    is_of_link,
};
use super::question::Asking;
use super::survey::Exact;
use super::{handed, hints, listener};

/// Questions about one port.
pub(super) struct Travel<'a> {
    pub(super) asking: &'a Asking<'a>,
    pub(super) port: Port,
    pub(super) transport: Transport,
    pub(super) protocol: u8,
    /// Where packets go, if not to an address of this machine: straight to what stands behind a port of
    /// ours.
    straight: Option<Straight>,
}

/// What stands behind a port.
struct Straight {
    to: IpAddr,
    /// The port here.
    published: Port,
}

/// What becomes of a class of senders.
pub(super) struct Fate {
    pub(super) group: Group,
    /// The answers that were sent back, one for each address at which the class was let in.
    pub(super) answers: Vec<(Packet, Way)>,
}

impl<'a> Travel<'a> {
    pub(super) fn new(asking: &'a Asking<'a>, port: Port, transport: Transport) -> Self {
        let protocol = protocol_of(transport);
        Self { asking, port, transport, protocol, straight: None }
    }

    /// Packets of neighbours for an address behind this machine.
    pub(super) fn straight(
        asking: &'a Asking<'a>,
        published: Port,
        transport: Transport,
        to: Endpoint,
    ) -> Self {
        let straight = Some(Straight { to: to.address, published });
        Self { port: to.port, straight, ..Self::new(asking, published, transport) }
    }

    pub(super) const fn is_straight(&self) -> bool {
        self.straight.is_some()
    }

    pub(super) fn is_world_known(&self) -> bool {
        self.asking.scene.world.is_known()
    }

    /// The addresses to send to, of those of this machine.
    pub(super) fn all_destinations(&self, own: &[IpAddr]) -> Vec<IpAddr> {
        self.straight.as_ref().map_or_else(|| own.to_vec(), |straight| vec![straight.to])
    }

    /// The addresses such senders can send to.
    pub(super) fn destinations(&self, arrival: &Arrival, is_v6: bool) -> Vec<IpAddr> {
        match &self.straight {
            Some(straight) => vec![straight.to],
            None => destinations(arrival, self.asking, is_v6),
        }
    }

    /// A packet of some sender, with the interface it leaves by where nothing but the rules tells that.
    pub(super) fn sample_packet(&self, arrival: &Arrival, to: IpAddr) -> Option<Packet> {
        let packet = self.packet(&arrival.addresses, to, arrival, to.is_ipv6())?;
        let out = self.asking.with.as_ref().and_then(|with| {
            self.out_by_rules(&packet, &with.walk(&packet, Way::Prerouting, &Presumed))
        });
        Some(Packet { interface_out: out, ..packet })
    }

    /// Where addresses are not known: the interface by which rules say a translated packet leaves.
    fn out_by_rules(&self, packet: &Packet, walk: &Walk) -> Option<Box<str>> {
        if self.is_world_known() {
            return None;
        }
        let (_, to) = translated(walk).filter(|(_, to)| !is_same_host(packet, to))?;
        hints::interface_of(self.ruleset()?, to.address)
    }

    pub(super) fn ruleset(&self) -> Option<&'a Ruleset> {
        self.asking.scene.rules.map(|rules| &rules.ruleset)
    }

    /// Senders that no answer finds its way to.
    pub(super) fn without_way(&self, arrival: &Arrival, is_v6: bool) -> Group {
        Self::group(&arrival.addresses, arrival, is_v6, By::NoRoute)
    }

    fn group(class: &Addresses, arrival: &Arrival, is_v6: bool, by: By) -> Group {
        Group {
            answer: Answer::No,
            by,
            is_v6,
            senders: class.clone(),
            interface: arrival.interface.clone(),
            to: None,
            taker: None,
            translated: None,
            handed: None,
            around: None,
            depends_on: Vec::new(),
            other_rules: 0,
            needs_router: false,
            is_exact: true,
        }
    }

    /// What becomes of one class: the best that it can get at any of these addresses.
    pub(super) fn class(
        &self,
        class: &Addresses,
        to: &[IpAddr],
        arrival: &Arrival,
        is_v6: bool,
        exact: &mut Exact<'_>,
    ) -> Result<Fate, AnalyseError> {
        let group = |by| Self::group(class, arrival, is_v6, by);
        let mut best: Option<Group> = None;
        let mut answers = Vec::new();
        for address in to {
            let Some(packet) = self.packet(class, *address, arrival, is_v6) else { continue };
            let fate = Group { to: Some(*address), ..group(By::NoAddress) };
            let mut fate = self.fate(&packet, fate, exact)?;
            self.conditions(&packet, arrival, &mut fate.group);
            answers.append(&mut fate.answers);
            let is_better = best.as_ref().is_none_or(|known| rank(&fate.group) < rank(known));
            if is_better {
                best = Some(fate.group);
            }
            if best.as_ref().is_some_and(|best| best.answer == Answer::Yes) {
                break;
            }
        }
        let mut best = best.unwrap_or_else(|| group(By::NoAddress));
        if best.answer != Answer::Yes
            && let Some(all) = self.to_everybody(class, arrival, is_v6)?
            && rank(&all) < rank(&best)
        {
            (best, answers) = (all, Vec::new());
        }
        Ok(Fate { group: best, answers })
    }

    /// What becomes of a class where its datagrams are for everybody on the link, or for a group that is
    /// listened to there; `None` where they are let
    /// in no such way. One sender is an example for all.
    fn to_everybody(
        &self,
        class: &Addresses,
        arrival: &Arrival,
        is_v6: bool,
    ) -> Result<Option<Group>, AnalyseError> {
        if self.transport != Transport::Udp || self.is_straight() {
            return Ok(None);
        }
        let scene = &self.asking.scene;
        let broadcasts = if is_v6 { Vec::new() } else { broadcasts(arrival, scene.world) };
        let groups = groups(arrival, scene.groups, is_v6);
        for to in broadcasts.into_iter().chain(groups) {
            let Some(mut packet) = self.packet(class, to, arrival, is_v6) else { continue };
            if !to.is_multicast() {
                packet.packet_type = u8::try_from(bits::PACKET_BROADCAST).unwrap_or(1);
            }
            let group = Group { to: Some(to), ..Self::group(class, arrival, is_v6, By::NoAddress) };
            let mut group = self.fate(&packet, group, &mut Exact::default())?.group;
            self.conditions(&packet, arrival, &mut group);
            if matches!(group.answer, Answer::Yes | Answer::Depends) {
                let is_unfiltered = group.by == By::Unfiltered;
                return Ok(Some(Group { is_exact: is_unfiltered, ..group }));
            }
        }
        Ok(None)
    }

    /// What must be so beside the rules, for a packet that they let in.
    fn conditions(&self, packet: &Packet, arrival: &Arrival, group: &mut Group) {
        let (world, to) = (self.asking.scene.world, packet.destination);
        if !matches!(group.answer, Answer::Yes | Answer::Depends) {
            return;
        }
        // What is behind answers by another way.
        let is_ours = !matches!(group.taker, Some(Taker::Behind { .. }));
        if arrival.policy.is_refused && is_ours {
            (group.answer, group.by) = (Answer::No, By::NoRoute);
            return;
        }
        let policy = &arrival.policy.depends_on;
        if !policy.is_empty() && is_ours {
            group.answer = Answer::Depends;
            let whether = |rule: &String| format!("whether answers go by ip rule {rule}");
            group.depends_on.extend(policy.iter().map(whether));
        }
        if self.is_straight() {
            return;
        }
        match (is_by_favour(arrival, to, world), arrival.is_site) {
            (false, _) => {}
            (true, true) => {
                group.depends_on.push(format!("whether others route {to} to this machine"));
            }
            (true, false) => {
                (group.answer, group.needs_router) = (Answer::Depends, true);
                group.depends_on.push(format!(
                    "a router in front that sends them on to {to}: the Internet does not route private \
                     addresses"
                ));
            }
        }
        if to.is_loopback() {
            let by = &packet.interface_in;
            group.depends_on.push(format!("route_localnet, which lets it in by {by} (sysctl)"));
        }
        if is_broadcast(to, world) {
            group.depends_on.push(format!("it being sent to everybody, to {to}"));
        }
        if to.is_multicast() {
            group.depends_on.push(format!("it being sent to the group {to}"));
        }
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

    fn fate(
        &self,
        packet: &Packet,
        mut group: Group,
        exact: &mut Exact<'_>,
    ) -> Result<Fate, AnalyseError> {
        let (Some(with), Some(without)) = (&self.asking.with, &self.asking.without) else {
            return Ok(Fate { group: self.unseen(packet, group), answers: Vec::new() });
        };
        if self.asking.scene.rules.is_some_and(|rules| rules.is_untold(packet.is_v6())) {
            return Ok(Fate { group: self.unseen(packet, group), answers: Vec::new() });
        }
        let mut sent = packet.clone();
        let mut walk = with.walk(&sent, Way::ByRoute, &Presumed);
        let moved = translated(&walk);
        if let Some(out) = self.out_by_rules(packet, &walk) {
            sent.interface_out = Some(out);
            walk = with.walk(&sent, Way::ByRoute, &Presumed);
        }
        if let Some((regions, cell)) = exact.known() {
            regions.check(cell, &sent, &walk)?;
        }
        group.translated = moved.map(|(rule, to)| Translated {
            rule: rule.and_then(|id| self.ruleset()?.place(id)),
            to,
        });
        let mut answers = Vec::new();
        group.handed = self.handed(packet, &walk).map(|(handed, _)| handed);
        let is_taken = group.translated.is_some() || group.handed.is_some();
        if !is_taken && !self.is_straight() && self.is_nobody_at(packet) {
            // What ends before it is translated might have been sent on to somebody.
            let is_early = walk.outcome != Outcome::Accept && walk.hook == Some(Hook::Prerouting);
            if let Some(place) = self.may_be_handed(&walk) {
                group.answer = Answer::Depends;
                group
                    .depends_on
                    .push(format!("whether a socket waits for what {place} hands over"));
                group.by = By::Allowed(place);
                return Ok(Fate { group, answers });
            }
            if !is_early {
                group.by = By::NoListener(self.bound(self.port));
                return Ok(Fate { group, answers });
            }
        }
        self.end(&walk, &mut group);
        if matches!(group.answer, Answer::Yes | Answer::Depends) {
            self.deliver(packet, &walk, &mut group);
        }
        if let Some(doubt) = self.routed_otherwise(packet, &walk, &group) {
            group.answer = Answer::Depends;
            group.depends_on.push(doubt);
        }
        if group.answer == Answer::Yes {
            answers.extend(self.answer_back(packet, &walk, &mut group, exact)?);
        }
        if group.answer == Answer::Yes {
            group.around = self.around(packet, without, &group);
            group.depends_on = questions(&with.walk(&sent, Way::ByRoute, &Open));
        }
        self.doubt(packet, &sent, &mut group, exact)?;
        Ok(Fate { group, answers })
    }

    /// Where other packets of the same sender meet with something else, it depends.
    fn doubt(
        &self,
        packet: &Packet,
        sent: &Packet,
        group: &mut Group,
        exact: &mut Exact<'_>,
    ) -> Result<(), AnalyseError> {
        let is_let_in = group.answer == Answer::Yes;
        let is_refused = group.answer == Answer::No && matches!(group.by, By::Refused { .. });
        let is_taken = group.translated.is_some() || group.handed.is_some();
        let is_somebody = is_taken || self.is_straight() || !self.is_nobody_at(packet);
        let may_change = is_let_in || (is_refused && is_somebody);
        let Some((regions, cell)) = exact.known().filter(|_| may_change) else { return Ok(()) };
        let mut other = regions.hangs_on(cell, sent, is_let_in)?;
        if !other.is_empty() {
            group.answer = Answer::Depends;
            group.depends_on.append(&mut other);
        }
        Ok(())
    }

    /// The socket that a packet was handed to as it is, and its place among the sockets.
    pub(super) fn handed(
        &self,
        packet: &Packet,
        walk: &Walk,
    ) -> Option<(Translated, Option<usize>)> {
        let rules = self.asking.scene.rules?;
        let handing = walk.steps.iter().rev().find_map(|step| match step {
            Step::Matched { rule, .. } => {
                let mut all = rules.handings.iter();
                all.find(|h| h.rule == *rule && h.is_for(packet.destination_port))
            }
            _ => None,
        })?;
        let anywhere: IpAddr = match packet.destination {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let to = Endpoint::new(handing.address.unwrap_or(anywhere), handing.port);
        let table = self.asking.scene.sockets;
        let socket = table.and_then(|table| handed::taker(table, handing, self.transport));
        Some((Translated { rule: rules.ruleset.place(handing.rule), to }, socket))
    }

    /// A rule on the way that may have handed the packet to a socket; whether one waits was not settled.
    fn may_be_handed(&self, walk: &Walk) -> Option<RulePlace> {
        let ruleset = self.ruleset()?;
        let mut matched = walk.steps.iter().filter_map(|step| match step {
            Step::Matched { rule, .. } => Some(*rule),
            _ => None,
        });
        let is_open = |id: &RuleId| {
            let table = ruleset.tables.get(id.chain.table);
            table.zip(ruleset.rule(*id)).is_some_and(|(t, rule)| handed::is_unsettled(t, rule))
        };
        ruleset.place(matched.find(is_open)?)
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
                // Which of its rules might do it is not known.
                (Some(place), _) if place.family == Family::Bridge => By::Bridge(place.table),
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
        if let Some((handed, socket)) = self.handed(packet, walk) {
            (group.handed, group.taker) = (Some(handed), Some(Taker::Socket(socket)));
            return;
        }
        let at = Endpoint::new(walk.packet.destination, Port(walk.packet.destination_port));
        let last = decision(walk);
        let is_onward = match last {
            Some((Decision { station: Station::Onward, .. }, _)) => true,
            Some(_) => false,
            None => !is_same_host(packet, &at),
        };
        if is_onward {
            if is_of_link(packet.source) {
                (group.answer, group.by) = (Answer::No, By::OfLink);
                return;
            }
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
        let port = self.straight.as_ref().map_or(self.port, |straight| straight.published);
        let mut all = self.asking.scene.publications.iter();
        let found = all.find(|p| p.port == port && p.transport == self.transport);
        found.map(|p| p.container.clone())
    }

    /// Sends the answer back: packets of the connection, the other way round. Gives the answer.
    fn answer_back(
        &self,
        packet: &Packet,
        walk: &Walk,
        group: &mut Group,
        exact: &mut Exact<'_>,
    ) -> Result<Option<(Packet, Way)>, AnalyseError> {
        let (Some(with), Some(taker)) = (&self.asking.with, &group.taker) else { return Ok(None) };
        let there = &walk.packet;
        let own = self.speaker(packet, there.destination);
        let mut answer = Packet::new(self.protocol, own, there.source)
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
        // Answers to addresses of a link leave by it; of the routes there is one for each link.
        let is_link = is_of_link(packet.source);
        let is_sure = !is_link && !self.asking.scene.world.has_policy();
        let is_by_route = self.is_world_known() && is_sure;
        answer.interface_out = (!is_by_route).then(|| packet.interface_in.clone());
        let way = match taker {
            Taker::Socket(socket) => {
                answer.socket = Some((self.owner(*socket), 0));
                Way::Output
            }
            Taker::Behind { interface, .. } => {
                answer.interface_in = interface.clone().unwrap_or_else(|| SOME_INTERFACE.into());
                Way::Forward
            }
        };
        let back = with.walk(&answer, way, &Presumed);
        let exact = exact.known().filter(|_| is_sure);
        if is_link {
            group.is_exact &= self.asking.edges().is_one(OF_LINK.0, OF_LINK.1);
        } else if !is_sure {
            group.is_exact &= self.is_one_to_rules(&group.senders);
        }
        let is_known = exact.is_some();
        let mut hangs_on = questions(&back);
        if let Some((regions, _)) = exact
            && regions.check_answer(&answer, way, &back)?
        {
            hangs_on.push(ANSWER_HEADER.to_owned());
        }
        let is_ended = back.outcome != Outcome::Accept;
        match self.place(&back).filter(|_| is_ended) {
            _ if !hangs_on.is_empty() => {
                group.answer = Answer::Depends;
                let of_answer = |question: String| format!("of its answer: {question}");
                group.depends_on.extend(hangs_on.into_iter().map(of_answer));
            }
            Some(place) => (group.answer, group.by) = (Answer::No, By::AnswerRefused(place)),
            None => {}
        }
        Ok(is_known.then_some((answer, way)))
    }

    /// The address that answers come from: what was sent to everybody is not answered from there.
    fn speaker(&self, packet: &Packet, to: IpAddr) -> IpAddr {
        let world = self.asking.scene.world;
        if !to.is_multicast() && !is_broadcast(to, world) {
            return to;
        }
        let mut own = world.addresses.iter().filter(|own| *own.interface == *packet.interface_in);
        let is_alike = |own: &IpAddr| {
            own.is_ipv4() == to.is_ipv4() && is_of_link(*own) == is_of_link(packet.source)
        };
        own.find(|own| is_alike(&own.address)).map_or(to, |own| own.address)
    }

    /// The user whose socket it is.
    fn owner(&self, socket: Option<usize>) -> u32 {
        let table = self.asking.scene.sockets;
        let held = table.zip(socket).and_then(|(table, place)| table.sockets.get(place));
        held.and_then(|held| held.socket.uid).unwrap_or(0)
    }

    /// What would have ended the packet, had its destination not been translated.
    fn around(&self, packet: &Packet, without: &Prepared<'_>, group: &Group) -> Option<Around> {
        let Some(Taker::Behind { .. }) = &group.taker else { return None };
        if group.is_by_our_own_table() {
            return None;
        }
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
pub(super) fn translated(walk: &Walk) -> Option<(Option<RuleId>, Endpoint)> {
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

pub(super) fn decision(walk: &Walk) -> Option<(&Decision, &Because)> {
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
        By::NotForwarding | By::Martian | By::OfLink => 1,
        By::NoListener(_) => 2,
        _ => 3,
    };
    (group.answer, by)
}

/// Puts a class to those that meet with the same.
pub(super) fn join(groups: &mut Vec<Group>, group: Group) {
    match groups.iter_mut().find(|known| known.is_same_fate(&group)) {
        Some(known) => known.senders = known.senders.with(&group.senders),
        None => groups.push(group),
    }
}

/// What no question says of an answer.
const ANSWER_HEADER: &str = "the length, the time to live or the traffic class";
/// Some port of those that clients send from.
pub(super) const SENDER_PORT: u16 = 50_123;
/// The addresses of links, fe80::/10.
const OF_LINK: (u128, u128) = (0xfe80 << 112, (0xfec0 << 112) - 1);
/// No machine has so many addresses in a row.
const MOST_OWN: usize = 64;
