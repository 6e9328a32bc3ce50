//! Who gets in and should not, by the port or around it: P108, P115 and P122.

use crate::inventory::{Declared, ForwardVia, Inventory, Location, Never, Source, SourceExtent};

use super::super::case::{Case, Words};
use super::super::wire::is_forbidden;
use super::super::{Reach, Rule, Severity, Subject};
use super::kept_out::missing;
use super::meant::Meant;
use super::{Line, Opening, evidence, interfaces, senders, told};
use crate::firewall::Addresses;

/// Judges every port that was looked at.
pub(in super::super) fn judge(case: &mut Case<'_>) {
    for opening in case.scene.openings {
        around(case, opening);
        straight(case, opening);
        forbidden(case, opening);
        let entries = case.entries_at(opening.port, opening.transport);
        for entry in &entries {
            if case.entries[*entry].is_live() {
                stray(case, opening, *entry);
            }
            if case.entries[*entry].is_live() && case.entries[*entry].is_remote() {
                missing(case, opening, *entry);
            }
        }
        if entries.is_empty() {
            stray_at_management(case, opening);
        }
    }
}

/// Whether a source is everybody by every interface, or nobody can say who it is.
fn is_boundless(extent: &SourceExtent) -> bool {
    (extent.any && extent.interface.is_none()) || !extent.unresolved.is_empty()
}

/// P115: somebody gets in whom `from` does not name. What is bound wider than a service without `from`
/// needs is P104; those who get behind it are told of here.
fn stray(case: &mut Case<'_>, opening: &Opening, entry: usize) {
    let service = case.entries[entry].service;
    let shared = sharing(case, opening, entry);
    let sources: Vec<SourceExtent> =
        shared.iter().flat_map(|entry| case.entries[*entry].sources.clone()).collect();
    if shared.iter().any(|other| *other < entry) || sources.iter().any(is_boundless) {
        return;
    }
    let by_port = if sources.is_empty() { &[] } else { &opening.admitted[..] };
    let meant = Meant::of(&sources);
    let of = About { who: &service.name, service: Some(&service.name), meant, at: &service.at };
    find_stray(case, opening, by_port, &of);
}

/// The live entries that have the port at the same addresses, this one among them: whom one of them names
/// may come.
fn sharing(case: &Case<'_>, opening: &Opening, entry: usize) -> Vec<usize> {
    let mut shared = case.entries_at(opening.port, opening.transport);
    let allowed = &case.entries[entry].allowed;
    shared.retain(|&i| {
        let other = &case.entries[i];
        let is_in_force = other.is_live() && !other.service.docs.has_ended(case.scene.now);
        i == entry || (is_in_force && other.allowed.overlaps(allowed))
    });
    shared
}

/// The same of a port that `[management]` alone names.
fn stray_at_management(case: &mut Case<'_>, opening: &Opening) {
    let inventory: &Inventory = case.scene.inventory;
    let Some(management) = &inventory.management else { return };
    if !management.names(opening.port, opening.transport) {
        return;
    }
    let extents: Vec<SourceExtent> = management
        .from
        .iter()
        .map(|source| inventory.extent_of(&source.value, case.scene.machine))
        .collect();
    if extents.iter().any(is_boundless) {
        return;
    }
    let meant = Meant::of(&extents);
    let of = About { who: "[management]", service: None, meant, at: &management.at };
    find_stray(case, opening, &opening.admitted, &of);
}

/// Who is meant to come to a port, and what says so.
struct About<'a> {
    who: &'a str,
    service: Option<&'a str>,
    meant: Meant,
    at: &'a Location,
}

impl About<'_> {
    /// The table whose `from` it is.
    fn table(&self) -> String {
        self.service.map_or_else(|| self.who.to_owned(), |name| format!("[services.{name}]"))
    }
}

fn find_stray<'a>(case: &mut Case<'a>, opening: &Opening, by_port: &[Line], of: &About<'a>) {
    let stray = of.meant.not_among(by_port);
    let behind = of.meant.not_among(&opening.straight_lines());
    let all: Vec<Line> = stray.iter().chain(&behind).cloned().collect();
    if all.is_empty() {
        return;
    }
    let (who, subject) = (of.who, opening.subject());
    let mut whom = told(&senders(&all));
    if of.meant.names_interface() {
        whom = format!("{whom} by {}", interfaces(&all));
    }
    let words = Words {
        message: format!(
            "{who} on {subject} can be reached from {whom}, which its `from` does not name"
        ),
        evidence: evidence(stray.iter().take(super::SHOWN).chain(&behind)),
        remedy: closing(opening, &stray, of),
        at: of.at,
        sockets: Vec::new(),
    };
    case.find(Rule::P115, severity(&senders(&all)), subject, of.service, words);
}

/// What keeps them out: `apply` does for what comes to the input rules, and not for what goes around
/// them or comes in behind the port.
fn closing(opening: &Opening, stray: &[Line], of: &About<'_>) -> String {
    let table = of.table();
    let is_around =
        |line: &Line| opening.around.iter().any(|(a, _)| a.senders.meets(&line.senders));
    match !stray.is_empty() && !stray.iter().any(is_around) {
        true => format!(
            "let the firewall keep them out: portolan firewall apply; or name them in `from` of {table}"
        ),
        false => format!("{}; or name them in `from` of {table}", what_closes(opening)),
    }
}

/// Where it is told what closes a way around the input rules.
fn what_closes(opening: &Opening) -> String {
    format!("portolan reach {}/{} tells what closes it", opening.port, opening.transport)
}

/// What is declared at the port, and who is meant to come to it by that.
fn intended<'a>(case: &Case<'a>, opening: &Opening) -> (Option<Declared<'a>>, Meant) {
    let claims = case.claims.at(opening.port, opening.transport);
    let declared = claims.first().map(|claim| case.claims.declared[*claim]);
    let entries = case.entries_at(opening.port, opening.transport);
    let of_services = entries.iter().flat_map(|entry| case.entries[*entry].sources.clone());
    let forwards = claims.iter().filter_map(|claim| match case.claims.declared[*claim] {
        Declared::Forward(forward) if forward.via == ForwardVia::Nat => Some(forward),
        _ => None,
    });
    let (inventory, machine) = (case.scene.inventory, case.scene.machine);
    let of_forwards = forwards
        .flat_map(|forward| forward.from.iter().map(|s| inventory.extent_of(&s.value, machine)));
    let all: Vec<SourceExtent> = of_services.chain(of_forwards).collect();
    (declared, Meant::of(&all))
}

/// P108: somebody gets in around the input rules. Where `from` names all of them that is meant, and the
/// rules of the input path only mislead; a declared forward is never asked of them.
fn around(case: &mut Case<'_>, opening: &Opening) {
    let lines: Vec<Line> = opening.around.iter().map(|(line, _)| line.clone()).collect();
    let Some((by, refusing)) = opening.around.first().map(|(line, rule)| (&line.by, rule)) else {
        return;
    };
    let evidence = vec![by.clone(), format!("never asked: {refusing}")];
    past_the_input(case, opening, &lines, evidence, |subject, from| {
        format!(
            "{subject} can be reached from {from} although the input rules refuse it: its traffic is \
             translated and never comes to them"
        )
    });
}

/// P108 too: neighbours get to what stands behind a port, for whom the port itself is closed.
fn straight(case: &mut Case<'_>, opening: &Opening) {
    let lines = opening.straight_lines();
    let Some((_, to)) = opening.straight.first() else { return };
    past_the_input(case, opening, &lines, evidence(&lines), |subject, from| {
        format!(
            "what stands behind {subject} can be reached from {from} at its own address, {to}, although the \
             port is not for them: this machine passes it on"
        )
    });
}

/// P108 for those who get in by `lines`; `message` says how, of the port and of them.
fn past_the_input(
    case: &mut Case<'_>,
    opening: &Opening,
    lines: &[Line],
    evidence: Vec<String>,
    message: impl FnOnce(&Subject, &str) -> String,
) {
    let (declared, meant) = intended(case, opening);
    let is_meant = meant.not_among(lines).is_empty();
    if is_meant && matches!(declared, Some(Declared::Forward(_))) {
        return;
    }
    let subject = opening.subject();
    let all = senders(lines);
    let words = Words {
        message: message(&subject, &told(&all)),
        evidence,
        remedy: what_closes(opening),
        at: declared.map_or(&case.scene.host.at, Declared::at),
        sockets: Vec::new(),
    };
    let severity = if is_meant { Severity::Note } else { severity(&all) };
    case.find(Rule::P108, severity, subject, declared.map(Declared::name), words);
}

/// P122: somebody gets in whom a `[[never]]` forbids it.
fn forbidden(case: &mut Case<'_>, opening: &Opening) {
    let inventory: &Inventory = case.scene.inventory;
    for never in &inventory.never {
        if !is_forbidden(inventory, never, case.scene.host, opening.transport, opening.port) {
            continue;
        }
        let whom = whom(case, never);
        let mut hit = whom.among(&opening.admitted);
        hit.extend(whom.among(&opening.straight_lines()));
        if hit.is_empty() {
            continue;
        }
        let subject = opening.subject();
        let why = never.reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
        let words = Words {
            message: format!(
                "{subject} must never be reachable from {}{why}, and the rules let them in",
                told(&senders(&hit))
            ),
            evidence: evidence(&hit),
            remedy: "close it now: stop it, bind it to loopback, or let the firewall drop it"
                .to_owned(),
            at: &never.at,
            sockets: Vec::new(),
        };
        let service = never.service.as_ref().map(|s| s.value.as_str());
        case.find(Rule::P122, Severity::Critical, subject, service, words);
    }
}

/// Whom a `[[never]]` is about.
fn whom(case: &Case<'_>, never: &Never) -> Meant {
    let extent = |source: &Source| case.scene.inventory.ruled_out(source, case.scene.machine);
    let extents: Vec<SourceExtent> = never.from.iter().map(|s| extent(&s.value)).collect();
    Meant::of(&extents)
}

/// How bad it is that these get in: by the farthest of them.
fn severity(senders: &Addresses) -> Severity {
    Reach::of_addresses(senders).severity()
}
