//! What kind of system a host seems to be: the guess, how sure it is, and what it stands on.

use portolan_core::scan::HostReport;
use portolan_core::scan::os_guess::{Difference, Evidence, Family, OsGuess, TwoProfiles};
use serde::Serialize;

use crate::render::sanitize::sanitize;

/// The guess from how a host's packets looked; `None` where they say nothing.
pub(super) fn guess(report: &HostReport) -> Option<OsGuess> {
    let guess = OsGuess::of(&report.open_looks, &report.closed_looks, &[]);
    let says = guess.family != Family::Unknown || !guess.evidence.is_empty();
    says.then_some(guess)
}

/// `linux (likely)`, with the hops to it; nothing where the family is not known.
pub(super) fn said(guess: &OsGuess) -> Option<String> {
    if guess.family == Family::Unknown {
        return None;
    }
    let hops = match guess.hops {
        Some(0) | None => String::new(),
        Some(1) => ", 1 router away".to_owned(),
        Some(hops) => format!(", {hops} routers away"),
    };
    Some(format!("{} ({}{hops})", guess.family, guess.confidence.as_str()))
}

/// That two systems answer, in a sentence.
pub(super) fn two(profiles: &TwoProfiles) -> &'static str {
    match profiles.difference {
        Difference::Options => {
            "two systems answer for this address (TCP options in two orders): NAT or a load balancer"
        }
        Difference::SynAckHopLimit => {
            "two systems answer for this address (at two distances): NAT or a load balancer"
        }
        Difference::ResetDistance => "resets come from another distance than accepted connections",
    }
}

/// The guess in JSON.
#[derive(Debug, Serialize)]
pub(super) struct OsJson {
    family: &'static str,
    confidence: &'static str,
    version: Option<String>,
    hops: Option<u8>,
    evidence: Vec<String>,
    two_systems: Option<&'static str>,
}

impl From<OsGuess> for OsJson {
    fn from(guess: OsGuess) -> Self {
        Self {
            family: guess.family.as_str(),
            confidence: guess.confidence.as_str(),
            hops: guess.hops,
            evidence: guess.evidence.iter().map(evidence).collect(),
            two_systems: guess.front.as_ref().map(|two| difference(two.difference)),
            version: guess.version,
        }
    }
}

const fn difference(difference: Difference) -> &'static str {
    match difference {
        Difference::Options => "tcp-options",
        Difference::SynAckHopLimit => "syn-ack-hop-limit",
        Difference::ResetDistance => "reset-distance",
    }
}

fn evidence(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Said { by, text, .. } => format!("{}: {}", by.as_str(), sanitize(text)),
        Evidence::Options { order, family } => {
            let kinds: Vec<String> = order.iter().map(u8::to_string).collect();
            format!("TCP options {}: {family}", kinds.join(","))
        }
        Evidence::HopLimit { arrived, initial, family } => {
            format!("hop limit {arrived}, begun with {initial}: {family}")
        }
    }
}

#[cfg(test)]
mod tests {
    use portolan_core::scan::Signature;

    use super::*;

    #[test]
    fn a_kernel_is_told_by_its_options_and_hop_limit() {
        let look = Signature {
            hop_limit: Some(63),
            options: [2, 4, 8, 1, 3].into(),
            ..Signature::default()
        };
        let report = HostReport { open_looks: vec![look], ..HostReport::default() };
        let guess = guess(&report).unwrap();
        assert_eq!(said(&guess).unwrap(), "linux (likely, 1 router away)");
        let json = serde_json::to_value(OsJson::from(guess)).unwrap();
        assert_eq!(json["evidence"][0], "TCP options 2,4,8,1,3: linux");
        assert_eq!(super::guess(&HostReport::default()), None);
    }
}
