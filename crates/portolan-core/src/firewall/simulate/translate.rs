//! Translation of addresses and ports (net/netfilter/nf_nat_core.c).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::answers::About;
use super::conntrack::{Connection, DESTINATION_DONE, SOURCE_DONE};
use super::evaluate::Place;
use super::fields::Seen;
use super::path::{Link, Walker};
use super::rule_run::Flow;
use super::walk::{NoWay, Note, Outcome, Step, end_of};
use crate::firewall::nat_order::orders;
use crate::firewall::packet::has_ports;
use crate::firewall::{
    ChainId, ChainKind, Expression, Hook, Nat, NatKind, RuleId, Target as RuleTarget, Tuple,
    address_of, bits, number_of,
};

/// A new address and a new port: from, to; equal where they are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Target {
    address: Option<(u128, u128)>,
    port: Option<(u128, u128)>,
}

impl<'r> Walker<'r> {
    /// The station of translation at a hook: chains of type nat for a connection's first packet, the
    /// connection's own mapping for later ones. Gives how it ended, if it did.
    pub(super) fn translation(&mut self, chains: &[ChainId]) -> Option<(Outcome, RuleId)> {
        // What a rule said of a connection that conntrack did not make passes for a new one, which nothing
        // translates: all chains are asked (nf_nat_setup_info leaves confirmed ones alone; measured).
        let is_template = self.connection == Connection::Template;
        let is_first = match &self.connection {
            Connection::Tracked(tracked) => {
                if let Some(becomes) = tracked.becomes {
                    self.keep_mapping(becomes);
                    return None;
                }
                let is_error = self.packet.protocol == 1 || self.packet.protocol == 58;
                match tracked.state {
                    bits::NEW => true,
                    bits::RELATED => !is_error,
                    _ => false,
                }
            }
            _ => is_template,
        };
        // Without conntrack nothing begins, and nobody asks the chains (nf_nat_inet_fn; measured).
        if !is_first || !self.has_nat() || !self.is_tracking() {
            return None;
        }
        for id in &*self.nat_order(chains) {
            let end = self.run_base(*id);
            if end.outcome != Outcome::Accept {
                return Some((end.outcome, end.by));
            }
            self.decided_at(end.by, end.outcome, ChainKind::Nat);
            if self.is_dead_end.is_some() {
                return Some((Outcome::Drop, end.by));
            }
            if end.is_translated && !is_template {
                break;
            }
        }
        let done = if self.is_source_side() { SOURCE_DONE } else { DESTINATION_DONE };
        if let Connection::Tracked(tracked) = &mut self.connection {
            tracked.status |= done;
        }
        None
    }

    /// The chains in their order, which is asked for where legacy iptables has one among them.
    fn nat_order<'c>(&mut self, chains: &'c [ChainId]) -> Cow<'c, [ChainId]> {
        for order in orders(self.prepared.ruleset, chains) {
            let is_so = |text: String| self.ask(&text, None, About::Setting, None);
            if order.question.is_none_or(is_so) {
                return order.chains.into();
            }
        }
        chains.into()
    }

    /// Whether this hook translates sources.
    fn is_source_side(&self) -> bool {
        matches!(self.hook, Hook::Input | Hook::Postrouting)
    }

    /// A packet of a translated connection becomes what its connection says.
    fn keep_mapping(&mut self, becomes: Tuple) {
        let before = self.packet.tuple();
        let is_source = self.is_source_side();
        let (address, port) = end_of(&becomes, is_source);
        // Of a connection that is not translated on this side nothing is written.
        if (address, port) == end_of(&self.begun, is_source) {
            return;
        }
        if is_source {
            (self.packet.source, self.packet.source_port) = (address, port);
        } else {
            (self.packet.destination, self.packet.destination_port) = (address, port);
        }
        let after = self.packet.tuple();
        if before != after {
            self.translated_sides[usize::from(!is_source)] = true;
            let kind = if is_source { NatKind::Snat } else { NatKind::Dnat };
            self.note(Step::Translated { by: None, kind, before, after });
        }
    }

    /// A statement that translates.
    pub(super) fn translate(&mut self, nat: &'r Nat, at: Place) -> Flow<'r> {
        let mut target = Target::default();
        for (expression, is_port) in [(&nat.address, false), (&nat.port, true)]
            .into_iter()
            .filter_map(|(e, is_port)| e.as_ref().map(|expression| (expression, is_port)))
        {
            if !self.aim(expression, is_port, at, &mut target) {
                return Flow::Break;
            }
        }
        // Only chains of type nat may hold it; elsewhere the kernel refuses it.
        if !matches!(self.connection, Connection::Tracked(_)) {
            return Flow::Translated;
        }
        let is_source = matches!(nat.kind, NatKind::Snat | NatKind::Masquerade);
        match nat.kind {
            NatKind::Redirect => target.address = self.redirected(),
            NatKind::Masquerade => target.address = self.masqueraded(),
            NatKind::Dnat | NatKind::Snat | NatKind::Tproxy => {}
        }
        if nat.flags.iter().any(|flag| &**flag == "prefix" || &**flag == "netmap") {
            target.address = target.address.map(|range| self.within_network(range, is_source));
        }
        if nat.flags.iter().any(|flag| flag.contains("random")) && is_source {
            target.port = target.port.or(Some((1, 65_535)));
        }
        self.write(target, is_source, nat.kind, at);
        Flow::Translated
    }

    /// What an expression of the statement aims at; false where a map has no such key.
    fn aim(&mut self, of: &'r Expression, is_port: bool, at: Place, target: &mut Target) -> bool {
        let seen = match self.see(of, at) {
            Seen::Missing => return false,
            Seen::Parts(parts) => parts,
            one => vec![one],
        };
        for (part, seen) in seen.iter().enumerate() {
            let is_port = is_port || part == 1;
            let all = if is_port { (0, 65_535) } else { self.all_addresses() };
            let range = match seen {
                Seen::Number(n) => (*n, *n),
                Seen::Range(low, high) => (*low, *high),
                _ => all,
            };
            *(if is_port { &mut target.port } else { &mut target.address }) = Some(range);
        }
        true
    }

    fn all_addresses(&self) -> (u128, u128) {
        (0, if self.packet.is_v6() { u128::MAX } else { u128::from(u32::MAX) })
    }

    /// What this machine's own address is for a redirect: of the interface it came in by; loopback for its
    /// own packets (nf_nat_redirect.c). Where addresses are not known, it stays as it is.
    fn redirected(&mut self) -> Option<(u128, u128)> {
        let exact = |address: IpAddr| Some((number_of(address), number_of(address)));
        let is_v6 = self.packet.is_v6();
        if self.hook == Hook::Output {
            return exact(match is_v6 {
                true => Ipv6Addr::LOCALHOST.into(),
                false => Ipv4Addr::LOCALHOST.into(),
            });
        }
        self.is_redirected = true;
        if !self.prepared.world.is_known() {
            return None;
        }
        match self.address_on(&self.link_in, self.packet.destination) {
            Ok(Some(address)) => exact(address),
            Ok(None) if !self.prepared.world.are_interfaces_known() => None,
            Ok(None) => {
                self.is_dead_end = Some(NoWay::NoAddress);
                None
            }
            Err(()) => None,
        }
    }

    /// The address of the interface it leaves by.
    fn masqueraded(&mut self) -> Option<(u128, u128)> {
        match self.address_on(&self.link_out, self.packet.source) {
            Ok(Some(address)) => Some((number_of(address), number_of(address))),
            Ok(None) | Err(()) => {
                self.note(Step::Note(Note::UnknownAddress));
                Some(self.all_addresses())
            }
        }
    }

    /// The first address of an interface, of the family and scope of `like`; `Err` where it is not known.
    fn address_on(&self, link: &Link, like: IpAddr) -> Result<Option<IpAddr>, ()> {
        let Link::Named(name) = link else { return Err(()) };
        if !self.prepared.world.is_known() {
            return Err(());
        }
        let addresses = self.prepared.world.addresses.iter().filter(|own| own.interface == *name);
        let mut same = addresses.map(|own| own.address).filter(|a| a.is_ipv6() == like.is_ipv6());
        Ok(match like {
            IpAddr::V4(_) => same.next(),
            IpAddr::V6(like) => {
                let wanted = like.is_unicast_link_local();
                let is_like =
                    |a: &IpAddr| matches!(a, IpAddr::V6(a) if a.is_unicast_link_local() == wanted);
                same.find(is_like)
            }
        })
    }

    /// The address of the same number in another network (NETMAP, `dnat ip prefix to`).
    fn within_network(&self, (low, high): (u128, u128), is_source: bool) -> (u128, u128) {
        let old = if is_source { self.packet.source } else { self.packet.destination };
        let hosts = low ^ high;
        let new = (low & !hosts) | (number_of(old) & hosts);
        (new, new)
    }

    /// Writes the new end into packet and connection.
    fn write(&mut self, target: Target, is_source: bool, kind: NatKind, at: Place) {
        let before = self.packet.tuple();
        let is_v6 = self.packet.is_v6();
        if let Some((low, high)) = target.address {
            let address = address_of(low, is_v6);
            let vague = (low != high).then_some((low, high));
            if is_source {
                (self.packet.source, self.vague.source) = (address, vague);
            } else {
                (self.packet.destination, self.vague.destination) = (address, vague);
            }
        }
        // Tools take a port only behind a match of a protocol that has some.
        let port = target.port.filter(|_| has_ports(self.packet.protocol));
        if let Some((low, high)) = port {
            let written =
                if is_source { RuleTarget::SourcePort } else { RuleTarget::DestinationPort };
            self.open_fields.retain(|(open, _)| *open != written);
            let port = u16::try_from(low).unwrap_or(u16::MAX);
            let vague = (low != high).then_some((low, high));
            if is_source {
                (self.packet.source_port, self.vague.source_port) = (port, vague);
            } else {
                (self.packet.destination_port, self.vague.destination_port) = (port, vague);
            }
        }
        self.translated_sides[usize::from(!is_source)] |=
            target.address.is_some() || target.port.is_some();
        if port.is_none() && self.has_port_written {
            self.restore_port(target.address, is_source);
        }
        let after = self.packet.tuple();
        self.note(Step::Translated { by: Some(at.rule), kind, before, after });
        let is_vague = [target.address, port].into_iter().flatten().any(|(a, b)| a != b);
        let is_changed = match is_vague {
            true => self.changes_ends(&before, Target { port, ..target }, is_source, at),
            false => before != after,
        };
        let Connection::Tracked(tracked) = &mut self.connection else { return };
        if is_changed {
            tracked.status |= if is_source { bits::STATUS_SNAT } else { bits::STATUS_DNAT };
        }
        let reply = after.inverse();
        if is_source {
            (tracked.reply.destination, tracked.reply.destination_port) =
                (reply.destination, reply.destination_port);
        } else {
            (tracked.reply.source, tracked.reply.source_port) = (reply.source, reply.source_port);
        }
    }

    /// A port that a rule wrote into the packet is none that the connection knows: where its address is
    /// translated, the packet becomes what the connection says (nf_nat_manip_pkt; measured).
    fn restore_port(&mut self, address: Option<(u128, u128)>, is_source: bool) {
        let Connection::Tracked(tracked) = &self.connection else { return };
        let (old, port) = end_of(&tracked.reply.inverse(), is_source);
        let is_same = address.is_none_or(|range| range == (number_of(old), number_of(old)));
        if is_same || !has_ports(self.packet.protocol) {
            return;
        }
        match is_source {
            true => self.packet.source_port = port,
            false => self.packet.destination_port = port,
        }
    }

    /// Whether what the kernel chooses is another end than before, which may itself be one of its choices: then
    /// the connection is not one that was translated (nf_nat_setup_info; measured).
    fn changes_ends(
        &mut self,
        before: &Tuple,
        Target { address, port }: Target,
        is_source: bool,
        at: Place,
    ) -> bool {
        let (old, old_port) = end_of(before, is_source);
        let may_stay = |range: Option<(u128, u128)>, old: u128| {
            range.is_none_or(|(low, high)| (low..=high).contains(&old))
        };
        let may_stay = may_stay(address, number_of(old)) && may_stay(port, old_port.into());
        !may_stay || self.ask(&chosen_another(&self.text_of(at)), Some(at), About::Setting, None)
    }

    /// What is not understood in a chain of type nat may have translated to anything. Gives whether this
    /// is such a chain's station.
    pub(super) fn translates_anyhow(&mut self) -> bool {
        if !self.is_in_nat {
            return false;
        }
        let (address, port) = (Some(self.all_addresses()), Some((0, 65_535)));
        self.translated_sides[usize::from(!self.is_source_side())] = true;
        if self.is_source_side() {
            (self.vague.source, self.vague.source_port) = (address, port);
        } else {
            (self.vague.destination, self.vague.destination_port) = (address, port);
        }
        true
    }
}

/// The question whether the kernel chooses another end than the packet had.
pub(in crate::firewall) fn chosen_another(rule: &str) -> String {
    format!("{rule}: of all its ends another one is chosen than the packet had")
}
