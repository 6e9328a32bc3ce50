//! What a policy would do with single packets and with what is open here now, asked of its plain meaning.
//!
//! Only our table is asked: what other tables refuse they refuse today, and a change of ours does not
//! touch it.

use std::net::IpAddr;

use portolan_core::firewall::simulate::{About, Outcome, Prepared, Question, Way};
use portolan_core::firewall::{
    Expression, FibResult, Field, Match, Packet, Ruleset, SetRef, Test, Tuple, World, bits,
};
use portolan_core::socket::Machine;
use portolan_core::wire::conntrack::{Ends, Entry};

/// A policy that can be asked about packets.
pub(crate) struct Judge<'r> {
    rules: Prepared<'r>,
    addresses: Vec<(IpAddr, Box<str>)>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It is let through.
    Passes,
    /// It is not.
    Ends,
    /// That depends on what cannot be told beforehand.
    Depends,
}

impl<'r> Judge<'r> {
    /// A judge by the plain rules of a policy on `machine`, around which nothing is known.
    pub(crate) fn new(rules: &'r Ruleset, around: &'r World, machine: &Machine) -> Self {
        let own = machine.addresses.iter();
        let addresses = own.map(|a| (a.address, a.interface.as_str().into())).collect();
        Self { rules: Prepared::new(rules, around), addresses }
    }

    /// The addresses of this machine that `peer` can call: of its family, not loopback unless it is.
    pub(crate) fn callable_by(&self, peer: IpAddr) -> impl Iterator<Item = IpAddr> + '_ {
        let fits = move |own: &IpAddr| {
            own.is_ipv4() == peer.is_ipv4() && own.is_loopback() == peer.is_loopback()
        };
        self.addresses.iter().map(|(address, _)| *address).filter(move |own| fits(own))
    }

    /// What becomes of the first packet of a connection to this machine.
    pub(crate) fn call(&self, tuple: &Tuple) -> Judgement {
        self.ask(&self.packet(tuple), Way::Input)
    }

    /// What would become of a connection that is open, were it new.
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
        self.ask(&packet, way)
    }

    fn packet(&self, tuple: &Tuple) -> Packet {
        let mut packet = Packet::new(tuple.protocol, tuple.source, tuple.destination)
            .ports(tuple.source_port, tuple.destination_port);
        let own = self.addresses.iter().find(|(address, _)| *address == tuple.destination);
        // Who calls one of our addresses from another comes by the loopback interface.
        let interface = if self.is_own(tuple.source) { Some("lo") } else { own.map(|(_, i)| &**i) };
        packet.interface_in = interface.unwrap_or_default().into();
        packet
    }

    fn ask(&self, packet: &Packet, way: Way) -> Judgement {
        // A packet without a known interface comes by none that a rule names as loopback.
        let answers = |question: &Question<'_>| match question.about {
            About::InterfaceIn("lo") | About::InterfaceOut("lo") => {
                Some(packet.destination.is_loopback())
            }
            About::Match(asked) => self.is_called(packet, asked).or(question.presumed),
            _ => question.presumed,
        };
        let walk = self.rules.walk(packet, way, &answers);
        match walk.outcome {
            _ if !walk.is_certain() => Judgement::Depends,
            Outcome::Accept => Judgement::Passes,
            Outcome::Reject(_) | Outcome::Drop => Judgement::Ends,
        }
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
        address.is_loopback() || self.addresses.iter().any(|(own, _)| *own == address)
    }
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
