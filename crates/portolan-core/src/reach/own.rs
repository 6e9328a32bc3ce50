//! Packets of programs of this machine: out by loopback and in again, or to where its rules send them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::firewall::Packet;
use crate::firewall::simulate::{Presumed, Walk, Way};
use crate::net::{Endpoint, Port};

use super::answer::{Answer, By, Group, Taker};
use super::travel::{SENDER_PORT, Travel};

impl Travel<'_> {
    /// A program of this machine: out by loopback and in again, or to where its rules send it. It sends to
    /// loopback first; where that is refused, to the other addresses of this machine, from each to itself, as
    /// the kernel chooses it. Those who are named by an address come by those first.
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
        if found.answer == Answer::Yes && !is_by_address {
            return Some(found);
        }
        let own = self.asking.kinds.addresses(world).map(|own| own.address);
        let others = own.filter(|own| to_own(own) && *own != to).map(fate);
        let mut all: Vec<Group> = others.collect();
        all.insert(if is_by_address { all.len() } else { 0 }, found);
        all.into_iter().min_by_key(|group| group.answer)
    }

    fn own_packet(&self, to: IpAddr) -> Packet {
        let packet = Packet::new(self.protocol, to, to).ports(SENDER_PORT, self.port.0);
        Packet { interface_in: "lo".into(), ..packet }
    }

    fn own_fate(&self, packet: &Packet, mut group: Group, listens: bool) -> Group {
        let Some((with, without)) = self.rules_for(packet) else {
            if listens {
                (group.answer, group.by) = (Answer::Unknown, By::RulesUnseen);
            }
            return group;
        };
        let leaving =
            Packet { interface_in: "".into(), interface_out: Some("lo".into()), ..packet.clone() };
        let out = with.walk(&leaving, Way::Output, &Presumed);
        group.translated = self.translation(&out);
        if group.translated.is_none() && !listens && !self.is_handed(packet, &out) {
            return group;
        }
        self.end(&out, &mut group);
        if group.answer != Answer::Yes {
            return group;
        }
        let to = Endpoint::new(out.packet.destination, Port(out.packet.destination_port));
        if group.translated.is_some() && !self.asking.scene.world.is_local(to.address) {
            let container = self.container();
            group.taker = Some(Taker::Behind { to, interface: None, container });
            return group;
        }
        let entering = coming_in(&out.packet, packet);
        let walk = without.walk(&entering, Way::Input, &Presumed);
        self.end(&walk, &mut group);
        if group.answer == Answer::Yes {
            self.deliver(&entering, &walk, &mut group);
        }
        group
    }

    /// Whether what has gone out is handed to another port's socket where it comes in by loopback.
    fn is_handed(&self, packet: &Packet, out: &Walk) -> bool {
        let is_handing = self.asking.scene.rules.is_some_and(|rules| !rules.handings.is_empty());
        let Some(without) = self.asking.without.as_ref().filter(|_| is_handing) else {
            return false;
        };
        let arriving = Packet { destination_port: out.packet.destination_port, ..packet.clone() };
        let walk = without.walk(&arriving, Way::Input, &Presumed);
        self.handed(&arriving, &walk).is_some()
    }
}

/// A packet of this machine for itself, in again by loopback, as `left` went out. Its connection is known and
/// translated already: rules of type nat are not to be asked again.
pub(super) fn coming_in(left: &Packet, packet: &Packet) -> Packet {
    Packet {
        interface_in: "lo".into(),
        interface_out: None,
        source: left.source,
        destination: left.destination,
        destination_port: left.destination_port,
        ct_mark: left.ct_mark,
        ..packet.clone()
    }
}
