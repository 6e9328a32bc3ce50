//! The way of one packet through the hooks, with one set of answers.

use std::net::IpAddr;

use super::answers::{About, Answers, Asked, Asker};
use super::conntrack::Connection;
use super::evaluate::Place;
use super::fields::Vague;
use super::lookup::Change;
use super::prepared::{Event, Prepared};
use super::walk::{Because, Decision, Instead, NoWay, Note, Outcome, Station, Step, Walk, Way};
use crate::firewall::device::{Device, Devices, asks_port};
use crate::firewall::{
    ChainId, ChainKind, Direction, Hook, Packet, RouteKind, RuleId, Target, Tuple,
};

/// An interface of the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// There is none at this hook.
    None,
    Named(Box<str>),
    /// There is one, nobody said which.
    Unknown,
}

/// A packet on its way.
pub(super) struct Walker<'r> {
    pub(super) prepared: &'r Prepared<'r>,
    pub(super) way: Way,
    pub(super) packet: Packet,
    /// As it began, with the tuple its connection had before translation.
    pub(super) begun: Tuple,
    /// The original tuple, where one was given.
    pub(super) given: Option<Tuple>,
    /// The tuple the packet was given with.
    pub(super) after: Tuple,
    pub(super) hook: Hook,
    pub(super) link_in: Link,
    pub(super) link_out: Link,
    pub(super) connection: Connection,
    pub(super) is_later_fragment: bool,
    /// Whether this machine sends it.
    pub(super) is_own: bool,
    /// The rule that made its mark something nobody knows.
    pub(super) mark_open: Option<RuleId>,
    /// Between which numbers that is.
    pub(super) mark_range: Option<(u128, u128)>,
    /// What of the packet a rule wrote to, nobody knows what.
    pub(super) open_fields: Vec<(Target, RuleId)>,
    /// Whether it is known which time to live a rule wrote; `None` where none did.
    pub(super) hops_written: Option<bool>,
    /// Whether a rule wrote a port into the packet.
    pub(super) has_port_written: bool,
    pub(super) vague: Vague,
    /// Whether its source, its destination was written anew.
    pub(super) translated_sides: [bool; 2],
    pub(super) is_redirected: bool,
    pub(super) is_dead_end: Option<NoWay>,
    /// Whether it passes everything to come, whatever rules there are.
    pub(super) is_through: bool,
    /// Whether a chain of type nat is being asked.
    pub(super) is_in_nat: bool,
    pub(super) changes: Vec<Change<'r>>,
    pub(super) asker: Asker<'r>,
    pub(super) rules_asked: u64,
    steps: Option<Vec<Step>>,
    /// What accepted it so far, and how much that says.
    accepted: Option<(u8, RuleId)>,
}

/// A walk and the questions that stayed open on it.
pub(super) struct Ended {
    pub(super) walk: Walk,
    pub(super) asked: Vec<Asked>,
}

/// How the way ended before its end: an outcome, and the rule that says so.
pub(super) type Stop = (Outcome, Option<RuleId>);

/// Sends a packet on its way with these answers to open questions; the steps are written down on request.
pub(super) fn walk<'r>(
    prepared: &'r Prepared<'r>,
    packet: &Packet,
    way: Way,
    answers: &'r dyn Answers,
    forced: Vec<Asked>,
    is_recording: bool,
) -> Ended {
    let mut walker = Walker::new(prepared, packet, way, Asker::new(answers, forced));
    walker.steps = is_recording.then(Vec::new);
    let stop = match way {
        Way::Output => walker.leave(),
        _ => walker.arrive(),
    };
    let accepted = walker.accepted.map(|(_, rule)| rule);
    let (outcome, decided_by) = stop.unwrap_or((Outcome::Accept, accepted));
    let walk = Walk {
        outcome,
        decided_by,
        instead: Instead::default(),
        steps: walker.steps.unwrap_or_default(),
        hook: Some(walker.hook),
        packet: walker.packet,
        depends_on: Vec::new(),
        is_complete: true,
    };
    Ended { walk, asked: walker.asker.asked }
}

impl<'r> Walker<'r> {
    fn new(prepared: &'r Prepared<'r>, packet: &Packet, way: Way, asker: Asker<'r>) -> Self {
        let mut packet = packet.clone();
        let after = packet.tuple();
        if let (Some(original), Direction::Original) = (packet.original, packet.direction) {
            (packet.source, packet.source_port) = (original.source, original.source_port);
            packet.destination = original.destination;
            packet.destination_port = original.destination_port;
        }
        let is_own = way == Way::Output;
        Self {
            prepared,
            way,
            begun: packet.tuple(),
            given: packet.original,
            after,
            hook: if is_own { Hook::Output } else { Hook::Prerouting },
            link_in: if is_own { Link::None } else { Link::Unknown },
            link_out: Link::None,
            connection: Connection::None,
            is_later_fragment: packet.is_later_fragment,
            is_own,
            mark_open: None,
            mark_range: None,
            open_fields: Vec::new(),
            hops_written: None,
            has_port_written: false,
            vague: Vague::default(),
            translated_sides: [false; 2],
            is_redirected: false,
            is_dead_end: None,
            is_through: false,
            is_in_nat: false,
            changes: Vec::new(),
            asker,
            rules_asked: 0,
            steps: None,
            accepted: None,
            packet,
        }
    }

    /// Writes a step down.
    pub(super) fn note(&mut self, step: Step) {
        if let Some(steps) = &mut self.steps {
            steps.push(step);
        }
    }

    /// A packet that comes in.
    fn arrive(&mut self) -> Option<Stop> {
        self.link_in = self.came_by();
        let stop = self.pass(Hook::Ingress).or_else(|| self.refused_at_once());
        let stop = stop.or_else(|| self.pass(Hook::Prerouting));
        if stop.is_some() || self.is_through {
            return stop;
        }
        if self.way == Way::Prerouting {
            return None;
        }
        let (mut decision, because) = self.route();
        if let Some(why) = self.refused(&decision) {
            decision = nowhere(why);
        }
        let station = decision.station;
        self.note(Step::Routed { decision: decision.clone(), because });
        match station {
            Station::Nowhere(_) => Some((Outcome::Drop, None)),
            Station::Here => {
                self.put_together();
                self.pass(Hook::Input)
            }
            Station::Onward => {
                if self.has_no_hop_left() {
                    return Some((Outcome::Drop, None));
                }
                // Before the hook (ip_forward, ip6_forward).
                self.packet.ttl = self.packet.ttl.saturating_sub(1);
                self.link_out = decision.interface.map_or(Link::Unknown, Link::Named);
                let stop = self.pass(Hook::Forward).or_else(|| self.pass(Hook::Postrouting));
                stop.or_else(|| self.pass(Hook::Egress))
            }
        }
    }

    /// IPv4 puts fragments for this machine together before input (ip_local_deliver); IPv6 does it behind.
    fn put_together(&mut self) {
        if self.is_later_fragment && !self.packet.is_v6() {
            self.is_later_fragment = false;
            self.note(Step::Defragmented);
        }
    }

    /// A packet that this machine sends.
    fn leave(&mut self) -> Option<Stop> {
        let (decision, because) = self.route_out();
        self.note(Step::Routed { decision: decision.clone(), because });
        if matches!(decision.station, Station::Nowhere(_)) {
            return Some((Outcome::Drop, None));
        }
        self.link_out = decision.interface.map_or(Link::Unknown, Link::Named);
        if let Some(stop) = self.pass(Hook::Output) {
            return Some(stop);
        }
        if self.is_through {
            return None;
        }
        // Routed anew after the hook; its later chains still saw the old interface (measured).
        if let Some(range) = self.vague.destination {
            self.settle_destination(range, Self::class_out);
        }
        let is_vague = self.vague.destination.is_some();
        if self.packet.destination != self.begun.destination || is_vague {
            let (decision, _) = self.route_out();
            let because = Because::Translated;
            self.note(Step::Routed { decision: decision.clone(), because });
            if matches!(decision.station, Station::Nowhere(_)) {
                return Some((Outcome::Drop, None));
            }
            self.link_out = decision.interface.map_or(Link::Unknown, Link::Named);
        }
        self.pass(Hook::Postrouting).or_else(|| self.pass(Hook::Egress))
    }

    /// The interface it comes in by: as given, else by which the answers would go.
    fn came_by(&mut self) -> Link {
        if !self.packet.interface_in.is_empty() {
            return Link::Named(self.packet.interface_in.clone());
        }
        let source = self.packet.source;
        let world = self.prepared.world;
        let by = if world.is_local(source) {
            Some("lo".into())
        } else {
            world.route(source).map(|route| route.interface.clone()).filter(|name| !name.is_empty())
        };
        let Some(name) = by else {
            self.note(Step::Note(Note::UnknownInterface));
            return Link::Unknown;
        };
        self.note(Step::Note(Note::ComesBy(name.clone())));
        Link::Named(name)
    }

    /// Everything at one hook.
    fn pass(&mut self, hook: Hook) -> Option<Stop> {
        if self.is_through {
            return None;
        }
        if let Some(stop) = self.pass_bridge(hook) {
            return Some(stop);
        }
        let events = self.prepared.events(hook, self.packet.is_v6());
        let is_device = matches!(hook, Hook::Ingress | Hook::Egress);
        if is_device && events.is_empty() {
            return None;
        }
        self.hook = hook;
        if hook == Hook::Egress {
            // Of where it came in by nothing is told there (nf_hook_egress; measured).
            self.link_in = Link::None;
        }
        self.note(Step::Hook(hook));
        events.iter().find_map(|event| self.meet(event))
    }

    /// Tables of bridges, which are not evaluated.
    fn pass_bridge(&mut self, hook: Hook) -> Option<Stop> {
        let tables = if hook.is_of_device() { self.prepared.bridge_tables(hook) } else { &[] };
        for table in tables {
            let link = if hook == Hook::Ingress { &self.link_in } else { &self.link_out };
            let may_be = match link {
                Link::None => false,
                Link::Named(name) => self.prepared.world.may_be_bridge(name),
                Link::Unknown => self.prepared.world.has_bridge(),
            };
            let at = Place { rule: table.rule, statement: 0 };
            if may_be && !self.ask(&table.question, Some(at), About::Setting, None) {
                self.hook = hook;
                return Some((Outcome::Drop, Some(table.rule)));
            }
        }
        None
    }

    fn meet(&mut self, event: &Event) -> Option<Stop> {
        if self.is_through {
            return None;
        }
        match event {
            Event::Defragment => {
                if self.is_later_fragment && self.is_tracking() {
                    self.is_later_fragment = false;
                    self.note(Step::Defragmented);
                }
                None
            }
            Event::Track => {
                self.track();
                None
            }
            Event::Translate(chains) => {
                self.is_in_nat = true;
                let ended = self.translation(chains);
                self.is_in_nat = false;
                ended.map(|(outcome, by)| (outcome, Some(by)))
            }
            Event::Chain(id) => self.ask_chain(*id),
            Event::Either { question, first, second } => {
                let is_first = self.ask(question, None, About::Setting, None);
                let events = if is_first { first } else { second };
                events.iter().find_map(|event| self.meet(event))
            }
        }
    }

    /// Whether conntrack is on for the packet's family: a rule switches it on.
    pub(super) fn is_tracking(&self) -> bool {
        self.prepared.tracks.get(usize::from(self.packet.is_v6())) == Some(&true)
    }

    fn ask_chain(&mut self, id: ChainId) -> Option<Stop> {
        if !self.is_on_device(id) {
            return None;
        }
        let end = self.run_base(id);
        if end.outcome != Outcome::Accept {
            return Some((end.outcome, Some(end.by)));
        }
        self.decided_at(end.by, end.outcome, ChainKind::Filter);
        None
    }

    /// Whether a chain of devices is on the packet's.
    fn is_on_device(&mut self, id: ChainId) -> bool {
        let is_in = self.hook == Hook::Ingress;
        let at = Place { rule: RuleId { chain: id, rule: None }, statement: 0 };
        let devices = match self.prepared.ruleset.devices(id) {
            Devices::All => return true,
            Devices::Unknown(question) => {
                return self.ask(&question, Some(at), About::Setting, None);
            }
            Devices::Named(devices) => devices,
        };
        match if is_in { self.link_in.clone() } else { self.link_out.clone() } {
            Link::None => false,
            Link::Named(name) => {
                devices.iter().any(|device| device.is(&name))
                    || self.is_on_port(&devices, &name, at)
            }
            Link::Unknown => {
                devices.iter().any(|one| self.is_by(one.text, one.is_prefix, is_in, at))
            }
        }
    }

    /// Whether it passes one of the devices that are ports of its bridge: by which one is not known.
    fn is_on_port(&mut self, devices: &[Device<'_>], bridge: &str, at: Place) -> bool {
        let ports = self.prepared.world.ports_of(bridge);
        let mut theirs = ports.filter(|port| devices.iter().any(|device| device.is(port)));
        theirs.any(|port| self.ask(&asks_port(port, bridge), Some(at), About::Setting, None))
    }

    /// Remembers what accepted: at the hook that matters more than elsewhere, a rule more than a policy.
    pub(super) fn decided_at(&mut self, by: RuleId, outcome: Outcome, kind: ChainKind) {
        if outcome != Outcome::Accept || kind == ChainKind::Nat {
            return;
        }
        let is_there = matches!(self.hook, Hook::Input | Hook::Forward | Hook::Output)
            || (self.way == Way::Prerouting && self.hook == Hook::Prerouting);
        let weight = u8::from(is_there) * 2 + u8::from(by.rule.is_some());
        if self.accepted.is_none_or(|(known, _)| weight >= known) {
            self.accepted = Some((weight, by));
        }
    }

    /// Where a packet goes that has come in.
    fn route(&mut self) -> (Decision, Because) {
        let here = |because| (Decision { station: Station::Here, interface: None }, because);
        if let Some(dead_end) = self.is_dead_end {
            return (nowhere(dead_end), Because::Translated);
        }
        if let Some(range) = self.vague.destination {
            self.settle_destination(range, Self::class_in);
        }
        let destination = self.packet.destination;
        let is_moved = destination != self.begun.destination || self.vague.destination.is_some();
        if self.is_martian() {
            return (nowhere(NoWay::Martian), Because::Routes);
        }
        match self.way {
            Way::Input if !is_moved => return here(Because::Given),
            Way::Forward if !is_moved && !self.is_redirected => {
                let decision = match self.packet.interface_out {
                    None if self.leads_nowhere() => self.onward_by_kind(),
                    _ => self.onward(),
                };
                return (decision, Because::Given);
            }
            _ => {}
        }
        if self.prepared.world.is_known() {
            let is_here = self.is_for_here(destination);
            return if is_here {
                here(Because::Routes)
            } else {
                (self.onward_by_route(), Because::Routes)
            };
        }
        match is_moved && !self.is_redirected && !destination.is_loopback() {
            true => (self.onward(), Because::Translated),
            false => here(Because::Unchanged),
        }
    }

    pub(super) fn is_for_here(&self, destination: IpAddr) -> bool {
        let world = self.prepared.world;
        let is_all = destination.is_multicast()
            || destination == IpAddr::V4(std::net::Ipv4Addr::BROADCAST)
            || world.broadcasts().any(|broadcast| broadcast == destination);
        is_all || world.is_local(destination)
    }

    /// Loopback addresses are refused from outside unless `route_localnet` is on (ip_route_input_slow).
    fn is_martian(&mut self) -> bool {
        let Link::Named(name) = &self.link_in else { return false };
        if !self.packet.destination.is_loopback() || self.packet.is_v6() || &**name == "lo" {
            return false;
        }
        !self.is_localnet_routed()
    }

    /// On to others, by the interface given or the one of the route.
    fn onward(&self) -> Decision {
        let route = self.prepared.world.route(self.packet.destination);
        let by_route = route.map(|route| route.interface.clone()).filter(|name| !name.is_empty());
        let interface = self.packet.interface_out.clone().or(by_route);
        Decision { station: Station::Onward, interface }
    }

    fn onward_by_route(&self) -> Decision {
        let world = self.prepared.world;
        let is_v6 = self.packet.is_v6();
        let by = if let Link::Named(name) = &self.link_in { &**name } else { "" };
        if !world.forwards(is_v6, by) {
            return nowhere(NoWay::NotForwarding);
        }
        self.onward_by_kind()
    }

    /// Whether the routes are known and none leads to its destination: then the hook never sees it.
    fn leads_nowhere(&self) -> bool {
        let world = self.prepared.world;
        let kind = world.route(self.packet.destination).map(|route| route.kind);
        world.is_known() && !world.has_policy() && kind != Some(RouteKind::Unicast)
    }

    fn onward_by_kind(&self) -> Decision {
        let world = self.prepared.world;
        match world.route(self.packet.destination).map(|route| route.kind) {
            Some(RouteKind::Unicast) => self.onward(),
            Some(RouteKind::Blackhole) => nowhere(NoWay::Blackhole),
            Some(RouteKind::Prohibit) => nowhere(NoWay::Prohibited),
            Some(RouteKind::Unreachable) | None => nowhere(NoWay::Unreachable),
        }
    }

    /// Where a packet goes that this machine sends.
    fn route_out(&self) -> (Decision, Because) {
        if let Some(name) = &self.packet.interface_out {
            let interface = Some(name.clone());
            return (Decision { station: Station::Onward, interface }, Because::Given);
        }
        let world = self.prepared.world;
        let destination = self.packet.destination;
        if world.is_local(destination) {
            let interface = Some("lo".into());
            return (Decision { station: Station::Onward, interface }, Because::Routes);
        }
        if !world.is_known() || destination.is_multicast() {
            return (self.onward(), Because::Unchanged);
        }
        let decision = match world.route(destination).map(|route| route.kind) {
            Some(RouteKind::Unicast) => self.onward(),
            Some(RouteKind::Blackhole) => nowhere(NoWay::Blackhole),
            Some(RouteKind::Prohibit) => nowhere(NoWay::Prohibited),
            Some(RouteKind::Unreachable) | None => nowhere(NoWay::Unreachable),
        };
        (decision, Because::Routes)
    }

    /// Sets `ct mark`, where there is a connection.
    pub(super) fn set_ct_mark(&mut self, mark: Option<u32>, rule: RuleId) {
        let Connection::Tracked(tracked) = &mut self.connection else { return };
        tracked.mark_open = mark.is_none().then_some(rule);
        if let Some(mark) = mark {
            tracked.mark = mark;
            self.packet.ct_mark = mark;
        }
    }
}

pub(super) fn nowhere(why: NoWay) -> Decision {
    Decision { station: Station::Nowhere(why), interface: None }
}
