//! The loaded table of ours against what the inventory means: P114.
//!
//! Where the two differ is given, each difference with a packet that shows it: an element that was added,
//! a rule that is gone, an inventory that was edited and not applied.

use crate::firewall::{Difference, LostLookups, Packet, ProofWay};
use crate::net::Transport;

use super::case::{Case, Words};
use super::{Rule, Severity, Subject};

/// A packet with which the loaded table does something else than the inventory says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Whether the table lets through what the inventory does not.
    pub is_let_through: bool,
    /// The packet, what differs, and the rule that decides.
    pub line: String,
}

impl Drift {
    /// That the resolver changed, which one packet for each way would not show.
    #[must_use]
    pub fn of_lookups(lost: &LostLookups) -> Self {
        Self { is_let_through: false, line: lost.to_string() }
    }

    /// What a proof found.
    #[must_use]
    pub fn of(difference: &Difference) -> Self {
        let packet = told(&difference.witness.packet);
        let is_translation = matches!(difference.way, ProofWay::Prerouting | ProofWay::Postrouting);
        let differs = match (is_translation, difference.is_intended) {
            (true, _) => "is translated otherwise than the inventory says",
            (false, true) => "is not let through",
            (false, false) => "is let through",
        };
        let by = difference.decided_by.as_ref().map(|rule| format!(" by {rule}"));
        Self {
            is_let_through: !difference.is_intended,
            line: format!(
                "{}: {packet} {differs}{}",
                difference.way.as_str(),
                by.unwrap_or_default()
            ),
        }
    }
}

fn told(packet: &Packet) -> String {
    let transport =
        Transport::ALL.into_iter().find(|t| crate::firewall::protocol_of(*t) == packet.protocol);
    match transport {
        Some(transport) => format!(
            "{transport} {} → {}",
            std::net::SocketAddr::new(packet.source, packet.source_port),
            std::net::SocketAddr::new(packet.destination, packet.destination_port)
        ),
        None => format!("protocol {} {} → {}", packet.protocol, packet.source, packet.destination),
    }
}

/// P114: the table that is loaded is not the one that the inventory means.
pub(super) fn judge(case: &mut Case<'_>) {
    let drifts = case.scene.drifts;
    if drifts.is_empty() {
        return;
    }
    let is_open = drifts.iter().any(|drift| drift.is_let_through);
    let words = Words {
        message: if is_open {
            "the loaded table inet portolan lets through what the inventory does not"
        } else {
            "the loaded table inet portolan keeps out what the inventory lets through"
        }
        .to_owned(),
        evidence: drifts.iter().map(|drift| drift.line.clone()).collect(),
        remedy: "load what the inventory says: portolan firewall apply; portolan firewall prove \
                 --live shows every difference"
            .to_owned(),
        at: &case.scene.host.at,
        sockets: Vec::new(),
    };
    let severity = if is_open { Severity::High } else { Severity::Medium };
    let subject = Subject::Name("table inet portolan".to_owned());
    case.find(Rule::P114, severity, subject, None, words);
}
