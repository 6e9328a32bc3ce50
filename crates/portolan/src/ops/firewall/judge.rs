//! What a policy would do with single packets and with what is open here now.
//!
//! Its plain meaning is asked alone, then the tables of other tools alone, then both together as they will
//! be in the kernel: so that what others refuse already is not taken for what the change does.

use std::net::IpAddr;

use portolan_core::firewall::simulate::{About, Outcome, Prepared, Question, Walk, Way};
use portolan_core::firewall::{
    Chain, Expression, Family, FibResult, Field, Match, Packet, Policy, RuleId, RulePlace, Ruleset,
    SetRef, Statement, TABLE, Table, Test, Tuple, World, bits, intent, mark_readers,
};
use portolan_core::net::{Gap, Why};
use portolan_core::socket::{InterfaceAddress, Machine};
use portolan_core::wire::conntrack::{Ends, Entry};
use portolan_host::clock;
use portolan_host::firewall::{self as host, ReadFault};

use super::outsiders;

/// The rules of this machine as they are and as they are going to be.
#[derive(Debug)]
pub(crate) struct Scene {
    /// Ours, as they are going to be.
    ours: Ruleset,
    /// Those of other tools; `None` where they cannot be read.
    others: Option<Ruleset>,
    /// All of them, once ours are there.
    together: Option<Ruleset>,
    /// Ours as they are loaded now.
    before: Vec<Table>,
    world: World,
}

impl Scene {
    /// What `policy` means, among what else is loaded here.
    pub(crate) fn of(policy: &Policy, surroundings: Surroundings) -> Self {
        let now = clock::now();
        let mut ours = intent(policy, &[]);
        ours.answer_time(now);
        let Some(mut live) = surroundings.live else {
            return Self {
                ours,
                others: None,
                together: None,
                before: Vec::new(),
                world: World::default(),
            };
        };
        live.answer_time(now);
        let (before, theirs): (Vec<Table>, Vec<Table>) = live.tables.into_iter().partition(is_ours);
        let others = Ruleset { tables: theirs, notes: live.notes };
        let together = together(&others, &ours, &before);
        Self {
            ours,
            others: Some(others),
            together: Some(together),
            before,
            world: surroundings.world,
        }
    }
}

fn is_ours(table: &Table) -> bool {
    table.family == Family::Inet && *table.name == *TABLE
}

/// A base chain of ours that is loaded keeps its place among equals; a new one is registered last.
fn together(others: &Ruleset, ours: &Ruleset, before: &[Table]) -> Ruleset {
    let bases = |chains: &mut dyn Iterator<Item = &Chain>| {
        chains.filter_map(|chain| chain.base.clone()).collect::<Vec<_>>()
    };
    let kept = bases(&mut before.iter().flat_map(|table| &table.chains));
    let theirs = bases(&mut others.tables.iter().flat_map(|table| &table.chains));
    let mut next = kept.iter().chain(&theirs).map(|base| base.sequence).max().unwrap_or(0);
    let mut all = others.clone();
    for table in &ours.tables {
        let mut table = table.clone();
        for base in table.chains.iter_mut().filter_map(|chain| chain.base.as_mut()) {
            let is_it = |old: &&portolan_core::firewall::Base| {
                (old.hook, old.kind, old.priority) == (base.hook, base.kind, base.priority)
            };
            next = next.saturating_add(1);
            base.sequence = kept.iter().find(is_it).map_or(next, |old| old.sequence);
        }
        all.tables.push(table);
    }
    all
}

/// What is loaded here, and what surrounds it.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    live: Option<Ruleset>,
    world: World,
}

/// Reads every table; what cannot be read is a gap, and then the policy is judged alone.
pub(crate) fn surroundings(gaps: &mut Vec<Gap>) -> Surroundings {
    match host::live() {
        Ok(observed) => {
            let live = Some(observed.into_value(gaps));
            Surroundings { live, world: host::world().into_value(gaps) }
        }
        Err(fault) => {
            let (why, hint) = match &fault {
                ReadFault::NotPermitted => (Why::NotPermitted, "run with sudo"),
                _ => (Why::Unsupported, "look with: nft list ruleset"),
            };
            let what = format!("whether tables of other tools refuse too ({fault})");
            gaps.push(Gap::aside(what, why, hint));
            Surroundings::default()
        }
    }
}

/// A policy that can be asked about packets.
pub(crate) struct Judge<'s> {
    scene: &'s Scene,
    ours: Prepared<'s>,
    others: Option<Prepared<'s>>,
    together: Option<Prepared<'s>>,
    addresses: &'s [InterfaceAddress],
}

/// What becomes of a packet by the policy alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It is let through.
    Passes,
    /// It is not.
    Ends,
    /// That depends on what cannot be told beforehand.
    Depends,
}

/// What becomes of a packet by all tables, the best first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// It comes through.
    Kept,
    /// It depends on what another tool's table asks, as it does today.
    Open(String),
    /// Another tool's table refuses it, as it does today.
    Refused(Option<RulePlace>),
    /// The change refuses it.
    Lost(Option<RulePlace>),
}

impl<'s> Judge<'s> {
    /// Rules of other tools that meet the bit of `ct mark` that our table uses.
    pub(crate) fn mark_readers(&self) -> Vec<RulePlace> {
        self.scene.others.as_ref().map(mark_readers).unwrap_or_default()
    }

    /// A judge by `scene` on `machine`.
    pub(crate) fn new(scene: &'s Scene, machine: &'s Machine) -> Self {
        static UNKNOWN: std::sync::LazyLock<World> = std::sync::LazyLock::new(World::default);
        let prepare = |rules: &'s Option<Ruleset>| {
            rules.as_ref().map(|rules| Prepared::new(rules, &scene.world))
        };
        Self {
            scene,
            ours: Prepared::new(&scene.ours, &UNKNOWN),
            others: prepare(&scene.others),
            together: prepare(&scene.together),
            addresses: &machine.addresses,
        }
    }

    /// Whether this machine passes on packets of others, as far as that is known.
    pub(crate) fn forwards(&self) -> bool {
        let world = &self.scene.world;
        let by_itself = world.forwards_v4 || world.forwards_v6;
        let is_on = |setting: Option<bool>| setting == Some(true);
        by_itself || world.interfaces.iter().any(|one| is_on(one.forwards_v4))
    }

    /// The addresses of this machine that `peer` can call: of its family, not loopback unless it is.
    pub(crate) fn callable_by(&self, peer: IpAddr) -> impl Iterator<Item = IpAddr> + '_ {
        let fits = move |own: &IpAddr| {
            own.is_ipv4() == peer.is_ipv4() && own.is_loopback() == peer.is_loopback()
        };
        self.addresses.iter().map(|own| own.address).filter(move |own| fits(own))
    }

    /// The rules of other tools; `None` where they cannot be read.
    pub(super) const fn others(&self) -> Option<&Ruleset> {
        self.scene.others.as_ref()
    }

    /// All rules as they are loaded now; `None` where they cannot be read.
    pub(super) fn live(&self) -> Option<Ruleset> {
        let mut live = self.scene.others.clone()?;
        live.tables.extend(self.scene.before.iter().cloned());
        Some(live)
    }

    /// Whether a table of others has a rule that translates: only then anything is sent on by one.
    pub(super) fn has_translations(&self) -> bool {
        let rules = self.scene.others.iter().flat_map(|rules| &rules.tables);
        let mut rules = rules.flat_map(|table| &table.chains).flat_map(|chain| &chain.rules);
        rules.any(|rule| rule.statements.iter().any(|s| matches!(s, Statement::Nat(_))))
    }

    /// What surrounds the rules.
    pub(super) const fn world(&self) -> &World {
        &self.scene.world
    }

    /// The addresses of a family that others can write to.
    pub(super) fn own(&self, is_v6: bool) -> impl Iterator<Item = IpAddr> + '_ {
        let all = self.addresses.iter().map(|own| own.address);
        all.filter(move |own| own.is_ipv6() == is_v6 && !own.is_loopback())
    }

    /// The rule of `rules` that refuses the first packet of a connection to this machine.
    pub(super) fn refuser(&self, rules: &Prepared<'_>, tuple: &Tuple) -> Option<RuleId> {
        let walk = self.walk(rules, &self.packet(tuple), Way::Input);
        walk.decided_by.filter(|_| walk.outcome != Outcome::Accept)
    }

    /// What becomes of the first packet of a connection to this machine.
    pub(crate) fn call(&self, tuple: &Tuple) -> Verdict {
        self.arrive(&self.packet(tuple))
    }

    /// What becomes of a packet to this machine.
    pub(crate) fn arrive(&self, packet: &Packet) -> Verdict {
        let ours = self.walk(&self.ours, packet, Way::Input);
        // A forward of ours could take the port away from whoever has it here.
        let is_turned = end(&ours.packet) != end(packet);
        if ours.outcome != Outcome::Accept || is_turned {
            // Its plain rules have no place in the table that is loaded.
            return Verdict::Lost(None);
        }
        let (Some(others), Some(together)) = (&self.others, &self.together) else {
            return Verdict::Kept;
        };
        let today = self.walk(others, packet, Way::Input);
        if let Some(open) = today.depends_on.first() {
            return Verdict::Open(open.question.clone());
        }
        if today.outcome != Outcome::Accept || !today.is_complete {
            let place = today.decided_by.zip(self.scene.others.as_ref());
            return Verdict::Refused(place.and_then(|(rule, rules)| rules.place(rule)));
        }
        let then = self.walk(together, packet, Way::Input);
        if then.outcome == Outcome::Accept {
            return Verdict::Kept;
        }
        let place = then.decided_by.zip(self.scene.together.as_ref());
        Verdict::Lost(place.and_then(|(rule, rules)| rules.place(rule)))
    }

    /// Whether the policy lets a packet of this machine leave.
    pub(crate) fn leaves(&self, packet: &Packet) -> bool {
        self.walk(&self.ours, packet, Way::Output).outcome == Outcome::Accept
    }

    /// What would become of a connection that is open, were it new, by the policy alone: what others
    /// let go on today is not our change.
    pub(crate) fn again(&self, entry: &Entry) -> Judgement {
        let original = tuple_of(&entry.original);
        let arrives = tuple_of(&entry.reply);
        let (destination, port) = (arrives.source, arrives.source_port);
        let is_translated = entry.has(Entry::DESTINATION_TRANSLATED);
        let mut packet = self.packet(&Tuple { destination, destination_port: port, ..original });
        if is_translated {
            packet.status = bits::STATUS_DNAT;
            packet.original = Some(original);
        }
        let way = match (self.is_own(original.source), self.is_own(destination)) {
            (true, _) => Way::Output,
            (false, true) => Way::Input,
            (false, false) => Way::Forward,
        };
        if let Ends::Icmp { kind, code, .. } = entry.original.ends {
            packet.icmp.kind = kind;
            packet.icmp.code = code;
        }
        let walk = self.walk(&self.ours, &packet, way);
        match walk.outcome {
            _ if !walk.is_certain() => Judgement::Depends,
            Outcome::Accept => Judgement::Passes,
            Outcome::Reject(_) | Outcome::Drop => Judgement::Ends,
        }
    }

    fn packet(&self, tuple: &Tuple) -> Packet {
        let mut packet = Packet::new(tuple.protocol, tuple.source, tuple.destination)
            .ports(tuple.source_port, tuple.destination_port);
        let own = self.addresses.iter().find(|own| own.address == tuple.destination);
        // Who calls one of our addresses from another comes by the loopback interface.
        let is_local = self.is_own(tuple.source);
        let way_in = || outsiders::way_in(&self.scene.world, tuple.source);
        let by = own.map(|own| way_in().unwrap_or(&own.interface));
        let interface = if is_local { Some("lo") } else { by };
        packet.interface_in = interface.unwrap_or_default().into();
        packet
    }

    fn walk(&self, rules: &Prepared<'_>, packet: &Packet, way: Way) -> Walk {
        // A packet without a known interface comes by none that a rule names as loopback.
        let answers = |question: &Question<'_>| match question.about {
            About::InterfaceIn("lo") | About::InterfaceOut("lo") => {
                Some(packet.destination.is_loopback())
            }
            About::Match(asked) => self.is_called(packet, asked).or(question.presumed),
            _ => question.presumed,
        };
        rules.walk(packet, way, &answers)
    }

    /// The answer to a comparison of `fib daddr type` with `local`: of the address that was called.
    fn is_called(&self, packet: &Packet, asked: &Match) -> Option<bool> {
        let Expression::Field(Field::Fib { key, result: FibResult::Type }) = &asked.left else {
            return None;
        };
        let called = packet.original.map_or(packet.destination, |original| original.destination);
        let is_local = !key.is_source && self.is_own(called);
        let local = SetRef::number(bits::FIB_LOCAL);
        match &asked.test {
            Test::In(set) if *set == local => Some(is_local),
            Test::NotIn(set) if *set == local => Some(!is_local),
            _ => None,
        }
    }

    fn is_own(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.addresses.iter().any(|own| own.address == address)
    }
}

const fn end(packet: &Packet) -> (IpAddr, u16) {
    (packet.destination, packet.destination_port)
}

/// The ends of a tracked connection, without ports where it has none.
pub(crate) fn tuple_of(tracked: &portolan_core::wire::conntrack::Tuple) -> Tuple {
    let (source_port, destination_port) = tracked.ports().unwrap_or_default();
    Tuple {
        source: tracked.source.to_canonical(),
        destination: tracked.destination.to_canonical(),
        protocol: tracked.protocol,
        source_port,
        destination_port,
    }
}
