//! Who takes a packet: how its walk ended, and which socket or other machine is at the end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::firewall::simulate::{Decision, Outcome, Station, Step, Walk};
use crate::firewall::{Family, Packet, RuleId, RulePlace};
use crate::net::{Endpoint, Port};
use crate::reach::answer::{Answer, By, Group, Taker, Translated};
use crate::reach::arrival::is_of_link;
use crate::reach::{handed, listener};
use crate::socket::SocketTable;

use super::Travel;
use super::walked::{decision, is_same_host, nowhere, questions};

impl Travel<'_> {
    /// How the walk ended, as an answer.
    pub(in crate::reach) fn end(&self, walk: &Walk, group: &mut Group) {
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
    pub(in crate::reach) fn deliver(&self, packet: &Packet, walk: &Walk, group: &mut Group) {
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

    /// The socket that a packet was handed to as it is, and its place among the sockets.
    pub(in crate::reach) fn handed(
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
    pub(super) fn may_be_handed(&self, walk: &Walk) -> Option<RulePlace> {
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

    pub(super) fn place(&self, walk: &Walk) -> Option<RulePlace> {
        self.ruleset()?.place(walk.decided_by?)
    }

    /// Without rules only what sockets are bound to says something.
    pub(super) fn unseen(&self, packet: &Packet, mut group: Group) -> Group {
        if self.is_nobody_at(packet) {
            group.by = By::NoListener(self.bound(self.port));
        } else {
            (group.answer, group.by) = (Answer::Unknown, By::RulesUnseen);
        }
        group
    }

    /// Whether sockets are known and none takes the packet as it came.
    pub(in crate::reach) fn is_nobody_at(&self, packet: &Packet) -> bool {
        let to = Endpoint::new(packet.destination, Port(packet.destination_port));
        self.asking.scene.sockets.is_some_and(|table| {
            listener::taker(table, self.transport, to, &packet.interface_in).is_none()
        })
    }

    pub(in crate::reach) fn bound(&self, port: Port) -> Vec<Endpoint> {
        let bound = |table: &SocketTable| listener::bound(table, self.transport, port);
        self.asking.scene.sockets.map(bound).unwrap_or_default()
    }

    pub(in crate::reach) fn container(&self) -> Option<Box<str>> {
        let port = self.straight.as_ref().map_or(self.port, |straight| straight.published);
        let mut all = self.asking.scene.publications.iter();
        let found = all.find(|p| p.port == port && p.transport == self.transport);
        found.map(|p| p.container.clone())
    }
}
