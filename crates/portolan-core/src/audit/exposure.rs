//! Whether a port is open to more than it should be: P104 and P116.
//!
//! Both look at where the sockets are bound. P116 also looks at what the rules let through and asks whom
//! `from` names; it is silent on loopback, where the number alone would otherwise accuse every local
//! database.

use crate::net::{Gap, PortRange, Severity, Why};
use crate::registry::{Exposure, SecurityNote};
use crate::socket::Held;

use super::binding::Fit;
use super::case::{Case, Entry, HeldPort, Words};
use super::{Listening, Reach, Rule, Subject, evidence};

/// Speaks for every declared port that listens, then for the undeclared ones.
pub(super) fn judge(case: &mut Case<'_>) {
    for entry in 0..case.entries.len() {
        for held in case.entries[entry].held.clone() {
            bound_too_wide(case, entry, &held);
            risky_declared(case, entry, &held);
        }
    }
    for listening in case.listening.clone() {
        let entries = case.entries_at(listening.port, listening.transport);
        if listening.is_deliberate() && !entries.into_iter().any(|e| case.entries[e].is_live()) {
            risky_undeclared(case, &listening);
        }
    }
}

fn bound_too_wide<'a>(case: &mut Case<'a>, entry: usize, held: &HeldPort<'a>) {
    let Entry { service, allowed, .. } = &case.entries[entry];
    let service = *service;
    let fit = |wanted| move |h: &&&'a Held| allowed.fits(h) == wanted;
    let wide: Vec<&Held> = held.sockets.iter().filter(fit(Fit::No)).copied().collect();
    if held.sockets.iter().any(|h| allowed.fits(h) == Fit::Unknown) {
        let what = format!("where {} may be bound ({})", service.name, allowed.describe());
        let hint = "names are not resolved by the audit; give addresses in `bind`";
        case.gaps.push(Gap::aside(what, Why::NotLooked, hint));
    }
    if wide.is_empty() {
        return;
    }
    let subject = Subject::Ports(PortRange::from(held.port), held.transport);
    let words = Words {
        message: format!(
            "{} on {subject} is bound to {}; allowed: {}",
            service.name,
            evidence::addresses(&wide),
            allowed.describe()
        ),
        evidence: evidence::of_sockets(case.scene.sockets, &wide),
        remedy: widen(service),
        at: &service.at,
        sockets: wide.clone(),
    };
    let severity = Reach::of_sockets(wide).severity();
    case.find(Rule::P104, severity, subject, Some(&service.name), words);
}

fn widen(service: &crate::inventory::Service) -> String {
    let name = &service.name;
    if service.bind.is_some() || service.at_network.is_some() {
        return format!("bind it more narrowly, or correct `bind` of [services.{name}]");
    }
    format!(
        "bind it to 127.0.0.1, or say who may come: \
         portolan inventory set services.{name}.from '[\"private\"]'"
    )
}

fn risky_declared<'a>(case: &mut Case<'a>, entry: usize, held: &HeldPort<'a>) {
    let Some(note) = case.scene.registry.security(held.port, held.transport) else { return };
    let entry = &case.entries[entry];
    let service = entry.service;
    let bound = Reach::of_sockets(held.sockets.iter().copied());
    let bound = case.reach_of(held.port, held.transport, bound);
    // Where nobody is named, the binding is all that is known to keep anybody away.
    let reach = if entry.is_remote() { bound.min(entry.reach()) } else { bound };
    let Some(verdict) = verdict(&note, reach, service.docs.security.is_some()) else { return };
    let subject = Subject::Ports(PortRange::from(held.port), held.transport);
    let message = match verdict {
        Verdict::Exposed => format!(
            "{} on {subject} is open to {}; the advice for {}: {}",
            service.name,
            reach.as_phrase(),
            note.service,
            note.exposure.phrase()
        ),
        Verdict::Unexplained => format!(
            "{} on {subject} is open to {} without a `security` note: {} ({})",
            service.name,
            reach.as_phrase(),
            note.service,
            note.risk_class
        ),
    };
    let remedy = match verdict {
        Verdict::Exposed => narrow(&note),
        Verdict::Unexplained => format!(
            "write down what protects it: portolan inventory set services.{}.security '…'",
            service.name
        ),
    };
    let mut lines = risk_lines(&note);
    lines.extend(evidence::of_sockets(case.scene.sockets, &held.sockets));
    let words =
        Words { message, evidence: lines, remedy, at: &service.at, sockets: held.sockets.clone() };
    case.find(Rule::P116, softened(note.severity, reach), subject, Some(&service.name), words);
}

/// An undeclared port has no `security` field to miss; it is risky only where it is exposed.
fn risky_undeclared<'a>(case: &mut Case<'a>, listening: &Listening<'a>) {
    let Some(note) = case.scene.registry.security(listening.port, listening.transport) else {
        return;
    };
    let reach = case.reach_of(listening.port, listening.transport, listening.reach());
    if verdict(&note, reach, true) != Some(Verdict::Exposed) {
        return;
    }
    let subject = Subject::Ports(PortRange::from(listening.port), listening.transport);
    let mut lines = risk_lines(&note);
    lines.extend(evidence::of_sockets(case.scene.sockets, &listening.sockets));
    let words = Words {
        message: format!(
            "{subject} is open to {}; the advice for {}, which usually listens there: {}",
            reach.as_phrase(),
            note.service,
            note.exposure.phrase()
        ),
        evidence: lines,
        remedy: narrow(&note),
        at: &case.scene.host.at,
        sockets: listening.sockets.clone(),
    };
    case.find(Rule::P116, softened(note.severity, reach), subject, None, words);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Open to more than such a port may be.
    Exposed,
    /// Bearable, if somebody said why.
    Unexplained,
}

/// What a registry's note makes of a port that can be reached from so far.
fn verdict(note: &SecurityNote<'_>, reach: Reach, explained: bool) -> Option<Verdict> {
    if reach == Reach::Machine || note.severity == Severity::Note {
        return None;
    }
    let bearable = match note.exposure {
        Exposure::PublicOk => return None,
        Exposure::PublicHardened => Reach::Anyone,
        // "Never" is never to anybody who cares to come; the registry means databases too, which
        // others of the site must reach.
        Exposure::AllowList | Exposure::VpnOnly | Exposure::LanOnly | Exposure::Never => {
            Reach::Named
        }
        Exposure::Loopback => Reach::Machine,
    };
    if reach > bearable {
        return Some(Verdict::Exposed);
    }
    (!explained).then_some(Verdict::Unexplained)
}

/// The registry's severity is for a port open to anyone; fewer who can come make it milder.
fn softened(severity: Severity, reach: Reach) -> Severity {
    let steps = match reach {
        Reach::Anyone => 0,
        Reach::Named => 1,
        Reach::Site | Reach::Link | Reach::Machine => 2,
    };
    let place = Severity::ALL.iter().position(|s| *s == severity).unwrap_or(0);
    Severity::ALL[place.saturating_sub(steps)].max(Severity::Low)
}

fn risk_lines(note: &SecurityNote<'_>) -> Vec<String> {
    let mut lines = vec![format!("{} ({}): {}", note.service, note.risk_class, note.why)];
    if !note.source.is_empty() {
        lines.push(format!("source: {}", note.source));
    }
    lines
}

fn narrow(note: &SecurityNote<'_>) -> String {
    let mut remedy = "bind it to loopback, or name who may come in `from`".to_owned();
    if !note.safer_alternative.is_empty() {
        remedy.push_str(&format!("; safer: {}", note.safer_alternative));
    }
    if !note.encrypted_twin.is_empty() {
        remedy.push_str(&format!("; encrypted: {}", note.encrypted_twin));
    }
    remedy
}
