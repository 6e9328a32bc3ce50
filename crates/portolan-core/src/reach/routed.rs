//! What rules of policy routing (`ip rule`) make of packets that are passed on, and of answers.
//!
//! By which interface an answer leaves is followed where it is asked from where packets come. What is passed
//! on goes by the main table in the simulator; where other rules lead it elsewhere, that is said.

use std::net::IpAddr;

use crate::firewall::simulate::{Presumed, Station, Walk, Way};
use crate::firewall::{Addresses, Packet, RoutedWay, Routing, Statement, Target};
use crate::net::Prefix;
use crate::socket::Held;

use super::answer::{Answer, By, Group, Taker};
use super::hints;
use super::question::Scene;
use super::travel::{Travel, decision};

/// The mark of what this machine sends from its sockets of TCP, where it is known.
pub(super) fn mark_of_answers(scene: &Scene<'_>) -> Option<u32> {
    if !scene.world.has_policy() {
        return None;
    }
    let sets_mark = |statement: &Statement| {
        matches!(
            statement,
            Statement::Assign { target: Target::Mark, .. } | Statement::Opaque { .. }
        )
    };
    let ruleset = &scene.rules?.ruleset;
    let mut all = hints::rules(ruleset).flat_map(|(_, _, rule)| &rule.statements);
    let is_plain = |held: &Held| held.socket.mark == Some(0);
    let mut listeners = scene.sockets?.sockets.iter().filter(|held| held.socket.is_listener());
    let is_unmarked = !all.any(sets_mark)
        && listeners.all(|held| held.socket.transport.with_ports().is_none() || is_plain(held));
    is_unmarked.then_some(0)
}

/// Where answers from different addresses go different ways, the same senders are in several groups: the best
/// that they get at any address counts.
pub(super) fn at_their_best(sorted: Vec<Group>) -> Vec<Group> {
    let mut best: Vec<Group> = Vec::new();
    for mut group in sorted {
        if !group.senders.is_empty() {
            let better = best.iter().filter(|known| known.answer < group.answer);
            let better = better.fold(Addresses::NONE, |all, known| all.with(&known.senders));
            group.senders = group.senders.without(&better);
            if group.senders.is_empty() {
                continue;
            }
        }
        best.push(group);
    }
    best
}

impl Travel<'_> {
    /// Whether no rule tells one of these addresses from another.
    pub(super) fn is_one_to_rules(&self, senders: &Addresses) -> bool {
        let edges = self.asking.edges();
        [false, true].into_iter().all(|is_v6| {
            let all = senders.intervals(is_v6);
            let (Some((low, _)), Some((_, high))) = (all.first(), all.last()) else { return true };
            edges.is_one(*low, *high)
        })
    }

    /// Why a packet that is passed on, or its answer, may go elsewhere than by the main table.
    pub(super) fn routed_otherwise(
        &self,
        packet: &Packet,
        walk: &Walk,
        group: &Group,
    ) -> Option<String> {
        if !self.asking.scene.world.has_policy() {
            return None;
        }
        let (to, by) = match (&group.taker, &group.by, group.answer) {
            (Some(Taker::Behind { to, interface, .. }), _, Answer::Yes | Answer::Depends) => {
                (to.address, interface.as_deref())
            }
            (None, By::NoRoute, Answer::No) => {
                let is_nowhere = matches!(decision(walk)?.0.station, Station::Nowhere(_));
                (is_nowhere.then_some(walk.packet.destination)?, None)
            }
            _ => return None,
        };
        let mark = self.asking.with.as_ref().map(|with| {
            let before = with.walk(packet, Way::Prerouting, &Presumed);
            before.packet.mark
        });
        let there = self.ways(packet.source, to, &packet.interface_in, mark);
        if !is_by(&there, by) {
            return Some(format!("where rules of policy routing lead packets for {to} (ip rule)"));
        }
        let back = self.ways(to, packet.source, by?, None);
        let is_back = is_by(&back, Some(&packet.interface_in));
        (!is_back)
            .then(|| format!("where rules of policy routing lead the answers of {to} (ip rule)"))
    }

    fn ways(
        &self,
        from: IpAddr,
        to: IpAddr,
        interface_in: &str,
        mark: Option<u32>,
    ) -> Vec<RoutedWay> {
        let to = Addresses::of([Prefix::from(to)]);
        self.asking.scene.world.ways(&Routing { from, to, interface_in, mark })
    }
}

/// Whether all ways leave by this interface; `None`: by none.
fn is_by(ways: &[RoutedWay], interface: Option<&str>) -> bool {
    let by = |way: &RoutedWay| way.route.as_ref().map(|route| route.interface.clone());
    ways.iter().all(|way| by(way).as_deref() == interface)
}
