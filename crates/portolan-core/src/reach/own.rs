//! Packets of programs of this machine: out by loopback and in again, or to where its rules send them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::firewall::simulate::{Outcome, Presumed, Way};
use crate::firewall::{
    Addresses, Direction, Packet, Routing, RulePlace, TcpFlags, bits, protocol_of,
};
use crate::net::{Endpoint, Port, Prefix, Transport};

use super::answer::{Answer, By, Group, Taker};
use super::question::Asking;
use super::travel::{SENDER_PORT, Travel};

impl Asking<'_> {
    /// The rule that keeps a packet of this machine from its way: out, where it is for this machine in
    /// again, else its answer in. `None` where none does for certain, or the rules were not seen.
    #[must_use]
    pub fn refusal(
        &self,
        from: IpAddr,
        to: IpAddr,
        port: Port,
        transport: Transport,
    ) -> Option<OwnRefusal> {
        let (with, without) = (self.with.as_ref()?, self.without.as_ref()?);
        let (rules, world) = (self.scene.rules?, self.scene.world);
        let is_own = world.is_local(to);
        let out = if is_own { Some("lo".into()) } else { Some(self.way_out(from, to)?) };
        let packet = Packet::new(protocol_of(transport), from, to).ports(SENDER_PORT, port.0);
        let leaving = Packet { interface_out: out, ..packet.clone() };
        let mut is_answer = false;
        let mut walk = with.walk(&leaving, Way::Output, &Presumed);
        if walk.outcome == Outcome::Accept && walk.packet.destination == to {
            if is_own {
                let entering = Packet { interface_in: "lo".into(), ..packet };
                walk = without.walk(&entering, Way::Input, &Presumed);
            } else {
                is_answer = true;
                walk = without.walk(&answer_to(&leaving), Way::Input, &Presumed);
            }
        }
        let is_refused = walk.outcome != Outcome::Accept && walk.is_certain();
        let rule = rules.ruleset.place(walk.decided_by.filter(|_| is_refused)?)?;
        Some(OwnRefusal { rule, is_answer })
    }

    /// The interface that packets of this machine leave by, where that is certain.
    fn way_out(&self, from: IpAddr, to: IpAddr) -> Option<Box<str>> {
        let routing =
            Routing { from, to: Addresses::of([Prefix::from(to)]), interface_in: "lo", mark: None };
        match &self.scene.world.ways(&routing)[..] {
            [way] if way.depends_on.is_empty() => Some(way.route.as_ref()?.interface.clone()),
            _ => None,
        }
    }
}

/// What keeps a packet of this machine from its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRefusal {
    /// The rule.
    pub rule: RulePlace,
    /// Whether it stops the answer, coming in.
    pub is_answer: bool,
}

/// The first answer to a packet that leaves this machine.
fn answer_to(leaving: &Packet) -> Packet {
    let mut answer = Packet::new(leaving.protocol, leaving.destination, leaving.source)
        .ports(leaving.destination_port, leaving.source_port);
    answer.tcp_flags = TcpFlags::SYN.with(TcpFlags::ACK);
    answer.state = Some(bits::ESTABLISHED);
    answer.status = bits::STATUS_SEEN_REPLY | bits::STATUS_CONFIRMED;
    answer.direction = Direction::Reply;
    answer.interface_in = leaving.interface_out.clone().unwrap_or_default();
    answer
}

impl Travel<'_> {
    /// A program of this machine: out by loopback and in again, or to where its rules send it.
    ///
    /// `is_by_address` where they were named by an address of this machine: they send to each of them;
    /// those of loopback do so only where rules send that on.
    pub(super) fn of_own_programs(&self, is_v6: bool, is_by_address: bool) -> Option<Group> {
        let world = self.asking.scene.world;
        let bound = self.bound(self.port);
        let to_own = |a: &IpAddr| a.is_ipv6() == is_v6 && !a.is_unspecified();
        let loopback =
            if is_v6 { Ipv6Addr::LOCALHOST.into() } else { IpAddr::from(Ipv4Addr::LOCALHOST) };
        let is_known = self.asking.scene.sockets.is_some();
        let has_family =
            !is_v6 || !world.is_known() || world.addresses.iter().any(|a| a.address.is_ipv6());
        if !has_family {
            return None;
        }
        let listens = |to: IpAddr| !is_known || !self.is_nobody_at(&self.own_packet(to));
        let candidates =
            std::iter::once(loopback).chain(bound.iter().map(|e| e.address).filter(to_own));
        let candidates: Vec<IpAddr> = candidates.collect();
        let to = candidates.iter().copied().find(|to| listens(*to)).unwrap_or(loopback);
        let fate = |to: IpAddr| {
            let closed = Group::closed(By::NoListener(bound.clone()), is_v6);
            let group = Group { to: Some(to), ..closed };
            self.own_fate(&self.own_packet(to), group, listens(to))
        };
        let found = fate(to);
        if found.answer == Answer::Yes {
            return Some(found);
        }
        // What rules send on may be what is for its other addresses, and not for loopback.
        let own = self.asking.kinds.addresses(world).map(|own| own.address);
        let others = own.filter(|own| to_own(own) && *own != to);
        let others = others.map(fate).filter(|group| is_by_address || group.translated.is_some());
        std::iter::once(found).chain(others).min_by_key(|group| group.answer)
    }

    fn own_packet(&self, to: IpAddr) -> Packet {
        let packet = Packet::new(self.protocol, to, to).ports(SENDER_PORT, self.port.0);
        Packet { interface_in: "lo".into(), ..packet }
    }

    fn own_fate(&self, packet: &Packet, mut group: Group, listens: bool) -> Group {
        let told = self.asking.scene.rules.filter(|rules| !rules.is_untold(packet.is_v6()));
        let (Some(_), Some(with), Some(without)) = (told, &self.asking.with, &self.asking.without)
        else {
            if listens {
                (group.answer, group.by) = (Answer::Unknown, By::RulesUnseen);
            }
            return group;
        };
        let leaving =
            Packet { interface_in: "".into(), interface_out: Some("lo".into()), ..packet.clone() };
        let out = with.walk(&leaving, Way::Output, &Presumed);
        group.translated = self.translation(&out);
        let at = Endpoint::new(out.packet.destination, Port(out.packet.destination_port));
        // What comes in by loopback may be handed to another port's socket.
        let arriving = Packet { destination_port: out.packet.destination_port, ..packet.clone() };
        let listens = listens || {
            let is_handing = self.asking.scene.rules.is_some_and(|r| !r.handings.is_empty());
            let walk = is_handing.then(|| without.walk(&arriving, Way::Input, &Presumed));
            walk.is_some_and(|walk| self.handed(&arriving, &walk).is_some())
        };
        let is_away = group.translated.is_some() && !self.is_own(at.address);
        if !is_away && !listens && group.translated.is_none() {
            return group;
        }
        self.end(&out, &mut group);
        if group.answer != Answer::Yes {
            return group;
        }
        if is_away {
            let container = self.container();
            group.taker = Some(Taker::Behind { to: at, interface: None, container });
            return group;
        }
        // Its connection is known and translated already: rules of type nat are not asked again.
        let entering = Packet {
            interface_in: "lo".into(),
            interface_out: None,
            source: out.packet.source,
            destination: out.packet.destination,
            destination_port: out.packet.destination_port,
            ct_mark: out.packet.ct_mark,
            ..packet.clone()
        };
        let walk = without.walk(&entering, Way::Input, &Presumed);
        self.end(&walk, &mut group);
        if group.answer == Answer::Yes {
            self.deliver(&entering, &walk, &mut group);
        }
        group
    }

    fn is_own(&self, address: IpAddr) -> bool {
        self.asking.scene.world.is_local(address)
    }
}
