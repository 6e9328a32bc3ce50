//! What a walk of the simulator says: where the packet went, and what that hung on.

use crate::firewall::simulate::{Because, Decision, NoWay, Station, Step, Walk};
use crate::firewall::{Packet, RuleId, Tuple};
use crate::net::{Endpoint, Port};
use crate::reach::answer::By;

/// What the rules did with the destination last, and where it is then.
pub(in crate::reach) fn translated(walk: &Walk) -> Option<(Option<RuleId>, Endpoint)> {
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

pub(super) fn is_same_host(packet: &Packet, to: &Endpoint) -> bool {
    packet.destination == to.address
}

pub(in crate::reach) fn decision(walk: &Walk) -> Option<(&Decision, &Because)> {
    walk.steps.iter().rev().find_map(|step| match step {
        Step::Routed { decision, because } => Some((decision, because)),
        _ => None,
    })
}

/// Why a packet that no rule ended goes nowhere.
pub(super) fn nowhere(walk: &Walk) -> By {
    match decision(walk).map(|(decision, _)| decision.station) {
        Some(Station::Nowhere(NoWay::NotForwarding)) => By::NotForwarding,
        Some(Station::Nowhere(NoWay::Martian)) => By::Martian,
        Some(Station::Nowhere(NoWay::NoAddress)) => By::NoAddress,
        _ => By::NoRoute,
    }
}

pub(super) fn questions(walk: &Walk) -> Vec<String> {
    let mut found: Vec<String> = walk.depends_on.iter().map(|d| d.question.clone()).collect();
    found.dedup();
    if !walk.is_complete && found.is_empty() {
        found.push("more than could be tried".to_owned());
    }
    found
}
