//! The top of the page: numbers, what to look at, and the risky ports.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};

use portolan_core::net::{PortRange, Severity, Transport};
use portolan_core::registry::SecurityNote;
use serde::Serialize;

use super::anchor;
use crate::ops::inventory::export::{Attention, Entry, Export, Lack};
use crate::render::inventory::export::words;

/// A number with its word.
#[derive(Debug, Serialize)]
pub(super) struct Tile {
    value: usize,
    label: &'static str,
    /// `warn` where the number asks for a look.
    tone: &'static str,
}

pub(super) fn tiles(export: &Export<'_>) -> Vec<Tile> {
    let counts = export.counts();
    let tile = |value, label, tone| Tile { value, label, tone };
    let warned = |value: usize| if value > 0 { "warn" } else { "" };
    let mut tiles = vec![
        tile(counts.hosts, "hosts", ""),
        tile(counts.active, "active services", ""),
        tile(counts.open, "open ports", ""),
        tile(counts.public, "open to anybody", warned(counts.public)),
        tile(counts.critical, "of high criticality", ""),
        tile(counts.approved, "approved on record", ""),
        tile(counts.planned, "planned", ""),
        tile(counts.retired, "retired", ""),
        tile(counts.observed, "not approved yet", warned(counts.observed)),
    ];
    tiles.retain(|tile| tile.value > 0 || !matches!(tile.label, "planned" | "retired"));
    tiles
}

/// Something to look at.
#[derive(Debug, Serialize)]
pub(super) struct AttentionView {
    anchor: String,
    kind: &'static str,
    name: String,
    tone: &'static str,
    word: &'static str,
    text: String,
}

impl AttentionView {
    pub(super) fn of(export: &Export<'_>, attention: &Attention<'_>) -> Self {
        let (tone, word, text) = lack(attention.lack);
        let subject = attention.subject;
        let place = export.inventory.line_of(subject.at());
        Self {
            anchor: anchor(subject.kind(), subject.name()),
            kind: subject.kind(),
            name: subject.name().to_owned(),
            tone,
            word,
            text: format!("{text} ({}:{})", place.file, place.line),
        }
    }
}

/// Tone, word and sentence for what is wrong.
fn lack(lack: Lack) -> (&'static str, &'static str, String) {
    match lack {
        Lack::Unapproved => {
            ("bad", "unapproved", "found on the machine, approved by nobody".to_owned())
        }
        Lack::ExposedUnapproved => {
            ("bad", "exposed", "anybody may reach it, and no approval is on record".to_owned())
        }
        Lack::Unsecured => {
            ("bad", "unsecured", "a risky port, and nothing is said about its security".to_owned())
        }
        Lack::Expired(day) => ("bad", "expired", format!("its approval ended on {day}")),
        Lack::Overdue(day) => ("warn", "overdue", format!("its review was due on {day}")),
        Lack::DueSoon(day) => ("warn", "soon", format!("its review is due on {day}")),
        Lack::Unowned => ("warn", "no owner", "nobody answers for it".to_owned()),
        Lack::Purposeless => ("warn", "no purpose", "nobody says why it exists".to_owned()),
    }
}

/// A risky port and what makes it bearable.
#[derive(Debug, Serialize)]
pub(super) struct RiskView {
    hosts: Vec<String>,
    name: String,
    anchor: String,
    port: String,
    from: String,
    severity: &'static str,
    stands_for: String,
    why: String,
    exposure: &'static str,
    security: String,
    instead: String,
    source: String,
    #[serde(skip)]
    rank: Severity,
}

impl RiskView {
    fn of(export: &Export<'_>, entry: &Entry<'_>, note: &SecurityNote<'_>) -> Self {
        let meant = |(range, transport): &(PortRange, Transport)| {
            range.contains(note.port) && note.transports.contains(*transport)
        };
        let ports = entry.ports().filter(meant).map(|(_, t)| format!("{}/{t}", note.port));
        let docs = entry.subject.docs();
        Self {
            hosts: vec![entry.host.name.clone()],
            name: entry.subject.name().to_owned(),
            anchor: anchor(entry.subject.kind(), entry.subject.name()),
            port: ports.collect::<Vec<_>>().join(", "),
            from: words::from_line(export, entry),
            severity: note.severity.as_str(),
            stands_for: note.service.to_owned(),
            why: note.why.to_owned(),
            exposure: note.exposure.phrase(),
            security: docs.and_then(|docs| docs.security.clone()).unwrap_or_default(),
            instead: note.safer_alternative.to_owned(),
            source: note.source.to_owned(),
            rank: note.severity,
        }
    }

    /// What it says, without the machine.
    fn key(&self) -> (String, String, String, String) {
        let parts = [&self.anchor, &self.port, &self.from, &self.stands_for];
        parts.map(String::clone).into()
    }
}

/// The risky ports that somebody else may reach, the worst first, machines that share one joined.
pub(super) fn risks(export: &Export<'_>) -> Vec<RiskView> {
    let mut risks: Vec<RiskView> = Vec::new();
    let mut places: HashMap<_, usize> = HashMap::new();
    for entry in export.listeners().filter(|entry| !entry.from.is_empty()) {
        for note in export.risks(entry).iter().filter(|note| note.severity >= Severity::Medium) {
            let risk = RiskView::of(export, entry, note);
            match places.entry(risk.key()) {
                Occupied(place) => risks[*place.get()].hosts.extend(risk.hosts),
                Vacant(place) => {
                    place.insert(risks.len());
                    risks.push(risk);
                }
            }
        }
    }
    risks.sort_by_key(|risk| Reverse(risk.rank));
    risks
}
