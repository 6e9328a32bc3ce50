//! Packets of programs of this machine: out by loopback and in again, or to where its rules send them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::firewall::simulate::{Presumed, Walk, Way};
use crate::firewall::{Addresses, Packet};
use crate::net::{Endpoint, Port};

use super::answer::{Answer, By, Group, Taker};
use super::travel::{SENDER_PORT, Travel};

impl Travel<'_> {
    /// A program of this machine: out by loopback and in again, or to where its rules send it. It sends to
    /// loopback first; where that is refused, to the other addresses of this machine, from each to itself, as
    /// the kernel chooses it. Those who are named `by` addresses send from those, and to any of this machine:
    /// to their own first.
    pub(super) fn of_own_programs(&self, is_v6: bool, by: &Addresses) -> Option<Group> {
        let world = self.asking.scene.world;
        let has_family =
            !is_v6 || !world.is_known() || world.addresses.iter().any(|a| a.address.is_ipv6());
        if !has_family {
            return None;
        }
        let bound = self.bound(self.port);
        let to_own = |a: &IpAddr| a.is_ipv6() == is_v6 && !a.is_unspecified();
        let first = self.first_asked(is_v6, bound.iter().map(|e| e.address).filter(to_own));
        let fate = |from: IpAddr, to: IpAddr| {
            let closed = Group::closed(By::NoListener(bound.clone()), is_v6);
            let group = Group { to: Some(to), ..closed };
            self.own_fate(&self.own_packet(from, to), group, self.is_listening(to))
        };
        let own = self.asking.kinds.addresses(world).map(|own| own.address);
        let others = own.filter(|own| to_own(own) && *own != first);
        if !by.is_empty() {
            let all: Vec<IpAddr> = others.chain([first]).collect();
            let sent = self.named_senders(by, is_v6).into_iter().flat_map(|from| {
                let rest = all.iter().copied().filter(move |to| *to != from);
                std::iter::once(from).chain(rest).map(move |to| (from, to))
            });
            return sent.map(|(from, to)| fate(from, to)).min_by_key(|group| group.answer);
        }
        let found = fate(first, first);
        if found.answer == Answer::Yes {
            return Some(found);
        }
        std::iter::once(found).chain(others.map(|to| fate(to, to))).min_by_key(|group| group.answer)
    }

    /// Where programs of this machine send to first: loopback, or else where somebody listens.
    fn first_asked(&self, is_v6: bool, bound: impl Iterator<Item = IpAddr>) -> IpAddr {
        let loopback = loopback(is_v6);
        std::iter::once(loopback).chain(bound).find(|to| self.is_listening(*to)).unwrap_or(loopback)
    }

    fn is_listening(&self, to: IpAddr) -> bool {
        self.asking.scene.sockets.is_none() || !self.is_nobody_at(&self.own_packet(to, to))
    }

    /// The addresses of this machine among those named: loopback and what interfaces have, or else the first
    /// of each network, as all of 127.0.0.0/8 is this machine's own.
    fn named_senders(&self, by: &Addresses, is_v6: bool) -> Vec<IpAddr> {
        let own = self.asking.scene.world.addresses.iter().map(|own| own.address);
        let all = std::iter::once(loopback(is_v6)).chain(own);
        let mut found: Vec<IpAddr> =
            all.filter(|own| own.is_ipv6() == is_v6 && by.contains(*own)).collect();
        found.sort();
        found.dedup();
        if found.is_empty() {
            found.extend(by.prefixes(is_v6).iter().map(|network| network.address()));
        }
        found
    }

    fn own_packet(&self, from: IpAddr, to: IpAddr) -> Packet {
        let packet = Packet::new(self.protocol, from, to).ports(SENDER_PORT, self.port.0);
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

const fn loopback(is_v6: bool) -> IpAddr {
    match is_v6 {
        true => IpAddr::V6(Ipv6Addr::LOCALHOST),
        false => IpAddr::V4(Ipv4Addr::LOCALHOST),
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
