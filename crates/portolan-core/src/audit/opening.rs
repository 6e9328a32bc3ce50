//! What the rules of this machine let in, against the inventory: P108, P114, P115 and P122.
//!
//! Who gets in is given, worked out from sockets, rules and translation. Where rules were not seen
//! nothing is judged here.

use crate::firewall::Addresses;
use crate::inventory::{Inventory, Location, Never, Source, SourceExtent};
use crate::net::{Port, PortRange, Prefix, Transport};

use super::case::{Case, Entry, Words};
use super::wire::is_forbidden;
use super::{Reach, Rule, Severity, Subject};

/// Who of other machines reaches a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The port.
    pub port: Port,
    /// Its transport.
    pub transport: Transport,
    /// Those who get in, and what lets them.
    pub admitted: Vec<(Addresses, String)>,
    /// Those who may get in: it hangs on something no rule tells.
    pub perhaps: Addresses,
    /// Those whom a rule keeps out, and which.
    pub refused: Vec<(Addresses, String)>,
    /// Those who get in around the input rules, what lets them, and the rule they go around.
    pub around: Vec<(Addresses, String, String)>,
    /// Those who do not get in by the port but to what stands behind it, at its own address: who, to
    /// where, and what lets them.
    pub straight: Vec<(Addresses, String, String)>,
}

impl Opening {
    fn admitted(&self) -> Addresses {
        union(self.admitted.iter().map(|(senders, _)| senders))
    }

    /// How far away those are who get in, or may; `None` where no rule says anything of it, since nobody
    /// has a way to this machine at all.
    pub(super) fn reach(&self) -> Option<Reach> {
        let admitted = self.admitted().with(&self.perhaps);
        (!admitted.is_empty() || !self.refused.is_empty()).then(|| Reach::of_addresses(&admitted))
    }

    fn straight(&self) -> Addresses {
        union(self.straight.iter().map(|(senders, _, _)| senders))
    }

    fn subject(&self) -> Subject {
        Subject::Ports(PortRange::from(self.port), self.transport)
    }

    /// The same about those who get behind the port.
    fn straight_lines(&self, senders: &Addresses) -> impl Iterator<Item = String> {
        let about = self.straight.iter().filter(|(some, _, _)| some.meets(senders));
        let line = |(some, to, by): &(Addresses, String, String)| {
            format!("{}: straight to {to}, {by}", told(&some.and(senders)))
        };
        about.map(line).take(SHOWN)
    }

    /// The lines about those who are among `senders`.
    fn evidence(lines: &[(Addresses, String)], senders: &Addresses) -> Vec<String> {
        let about = lines.iter().filter(|(some, _)| !some.and(senders).is_empty());
        about
            .map(|(some, line)| format!("{}: {line}", told(&some.and(senders))))
            .take(SHOWN)
            .collect()
    }
}

/// Judges every port that was looked at.
pub(super) fn judge(case: &mut Case<'_>) {
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

/// P115: somebody gets in whom `from` does not name. What is bound wider than a service without `from`
/// needs is P104; those who get behind it are told of here.
fn stray(case: &mut Case<'_>, opening: &Opening, entry: usize) {
    let Entry { service, sources, .. } = &case.entries[entry];
    if sources.iter().any(|extent| extent.any || !extent.unresolved.is_empty()) {
        return;
    }
    let service = *service;
    let by_port = match case.entries[entry].is_remote() {
        true => opening.admitted(),
        false => Addresses::NONE,
    };
    let meant = sum(&case.entries[entry].sources);
    let name = &service.name;
    let remedy = format!(
        "let the firewall keep them out: portolan firewall apply; or name them in `from` of \
         [services.{name}]"
    );
    let of = Meant { who: name, service: Some(name), meant, remedy, at: &service.at };
    find_stray(case, opening, &by_port, of);
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
    if extents.iter().any(|extent| extent.any || !extent.unresolved.is_empty()) {
        return;
    }
    let of = Meant {
        who: "[management]",
        service: None,
        meant: sum(&extents),
        remedy:
            "let the firewall keep them out: portolan firewall apply; or name them in `from` of \
                 [management]"
                .to_owned(),
        at: &management.at,
    };
    find_stray(case, opening, &opening.admitted(), of);
}

/// Who is meant to come to a port, and what says so.
struct Meant<'a> {
    who: &'a str,
    service: Option<&'a str>,
    meant: Addresses,
    remedy: String,
    at: &'a Location,
}

fn find_stray<'a>(case: &mut Case<'a>, opening: &Opening, by_port: &Addresses, of: Meant<'a>) {
    let stray = by_port.without(&of.meant);
    let behind = opening.straight().without(&of.meant);
    let all = stray.with(&behind);
    if all.is_empty() {
        return;
    }
    let (who, subject) = (of.who, opening.subject());
    let mut evidence = Opening::evidence(&opening.admitted, &stray);
    evidence.extend(opening.straight_lines(&behind));
    let words = Words {
        message: format!(
            "{who} on {subject} can be reached from {}, which its `from` does not name",
            told(&all)
        ),
        evidence,
        remedy: of.remedy,
        at: of.at,
        sockets: Vec::new(),
    };
    case.find(Rule::P115, severity(&all), subject, of.service, words);
}

/// P114: a source that `from` names is kept out, all of it.
fn missing(case: &mut Case<'_>, opening: &Opening, entry: usize) {
    let service = case.entries[entry].service;
    let admitted = opening.admitted();
    let blocked = blocked(case);
    for source in &service.from {
        let extent = case.scene.inventory.extent_of(&source.value, case.scene.machine);
        let wanted = addresses(&extent).without(&blocked);
        let refused = union(opening.refused.iter().map(|(senders, _)| senders)).and(&wanted);
        if refused.is_empty() || !admitted.and(&wanted).is_empty() {
            continue;
        }
        let name = &service.name;
        let subject = opening.subject();
        let words = Words {
            message: format!(
                "{name} on {subject} is for {}, and the firewall keeps all of it out",
                source.value
            ),
            evidence: Opening::evidence(&opening.refused, &refused),
            remedy: "write what the inventory says into the firewall: portolan firewall apply; or \
                     change the rule, or `from`"
                .to_owned(),
            at: &service.at,
            sockets: Vec::new(),
        };
        case.find(Rule::P114, Severity::Medium, subject, Some(name), words);
        return;
    }
}

/// P108: somebody gets in around the input rules. Where `from` names all of them that is meant, and the
/// rules of the input path only mislead.
fn around(case: &mut Case<'_>, opening: &Opening) {
    let senders = union(opening.around.iter().map(|(senders, _, _)| senders));
    let Some((_, by, refusing)) = opening.around.first() else { return };
    let claims = case.claims.at(opening.port, opening.transport);
    let declared = claims.first().map(|claim| case.claims.declared[*claim]);
    let entries = case.entries_at(opening.port, opening.transport);
    let meant = sum(entries.iter().flat_map(|entry| &case.entries[*entry].sources));
    let is_meant = senders.without(&meant).is_empty();
    let subject = opening.subject();
    let words = Words {
        message: format!(
            "{subject} can be reached from {} although the input rules refuse it: its traffic is \
             translated and never comes to them",
            told(&senders)
        ),
        evidence: vec![by.clone(), format!("never asked: {refusing}")],
        remedy: format!(
            "portolan reach {}/{} tells what closes it",
            opening.port, opening.transport
        ),
        at: declared.map_or(&case.scene.host.at, crate::inventory::Declared::at),
        sockets: Vec::new(),
    };
    let severity = if is_meant { Severity::Note } else { severity(&senders) };
    let service = declared.map(crate::inventory::Declared::name);
    case.find(Rule::P108, severity, subject, service, words);
}

/// P108 too: neighbours get to what stands behind a port, for whom the port itself is closed.
fn straight(case: &mut Case<'_>, opening: &Opening) {
    let senders = opening.straight();
    let Some((_, to, _)) = opening.straight.first() else { return };
    let claims = case.claims.at(opening.port, opening.transport);
    let declared = claims.first().map(|claim| case.claims.declared[*claim]);
    let entries = case.entries_at(opening.port, opening.transport);
    let meant = sum(entries.iter().flat_map(|entry| &case.entries[*entry].sources));
    let is_meant = senders.without(&meant).is_empty();
    let subject = opening.subject();
    let words = Words {
        message: format!(
            "what stands behind {subject} can be reached from {} at its own address, {to}, although the \
             port is not for them: this machine passes it on",
            told(&senders)
        ),
        evidence: opening.straight_lines(&senders).collect(),
        remedy: format!(
            "portolan reach {}/{} tells what closes it",
            opening.port, opening.transport
        ),
        at: declared.map_or(&case.scene.host.at, crate::inventory::Declared::at),
        sockets: Vec::new(),
    };
    let severity = if is_meant { Severity::Note } else { severity(&senders) };
    let service = declared.map(crate::inventory::Declared::name);
    case.find(Rule::P108, severity, subject, service, words);
}

/// P122: somebody gets in whom a `[[never]]` forbids it.
fn forbidden(case: &mut Case<'_>, opening: &Opening) {
    let inventory: &Inventory = case.scene.inventory;
    for never in &inventory.never {
        if !is_forbidden(inventory, never, case.scene.host, opening.transport, opening.port) {
            continue;
        }
        let hit = opening.admitted().with(&opening.straight()).and(&whom(case, never));
        if hit.is_empty() {
            continue;
        }
        let subject = opening.subject();
        let why = never.reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
        let words = Words {
            message: format!(
                "{subject} must never be reachable from {}{why}, and the rules let them in",
                told(&hit)
            ),
            evidence: Opening::evidence(&opening.admitted, &hit)
                .into_iter()
                .chain(opening.straight_lines(&hit))
                .collect(),
            remedy: "close it now: stop it, bind it to loopback, or let the firewall drop it"
                .to_owned(),
            at: &never.at,
            sockets: Vec::new(),
        };
        let service = never.service.as_ref().map(|s| s.value.as_str());
        case.find(Rule::P122, Severity::Critical, subject, service, words);
    }
}

/// Whom a `[[never]]` is about; everybody where it names nobody.
fn whom(case: &Case<'_>, never: &Never) -> Addresses {
    if never.from.is_empty() {
        return Addresses::all();
    }
    let extent = |source: &Source| case.scene.inventory.extent_of(source, case.scene.machine);
    never.from.iter().fold(Addresses::NONE, |all, s| all.with(&addresses(&extent(&s.value))))
}

/// Whom `[[block]]` keeps out of everything.
fn blocked(case: &Case<'_>) -> Addresses {
    let sources = case.scene.inventory.blocks.iter().flat_map(|block| &block.from);
    sources.fold(Addresses::NONE, |all, source| {
        let extent = case.scene.inventory.extent_of(&source.value, case.scene.machine);
        all.with(&addresses(&extent))
    })
}

fn addresses(extent: &SourceExtent) -> Addresses {
    let inside = match extent.any {
        true => Addresses::all(),
        false => Addresses::of(extent.prefixes.iter().copied()),
    };
    inside.without(&Addresses::of(extent.except.iter().copied()))
}

fn sum<'a>(extents: impl IntoIterator<Item = &'a SourceExtent>) -> Addresses {
    extents.into_iter().fold(Addresses::NONE, |all, extent| all.with(&addresses(extent)))
}

fn union<'a>(all: impl Iterator<Item = &'a Addresses>) -> Addresses {
    all.fold(Addresses::NONE, |all, some| all.with(some))
}

/// How bad it is that these get in: by the farthest of them.
fn severity(senders: &Addresses) -> Severity {
    Reach::of_addresses(senders).severity()
}

/// Who, in a sentence.
fn told(senders: &Addresses) -> String {
    let all: Vec<Prefix> =
        [false, true].into_iter().flat_map(|is_v6| senders.prefixes(is_v6)).collect();
    if all.len() > MANY {
        return "most other networks".to_owned();
    }
    let shown: Vec<String> = all.iter().take(SHOWN).map(Prefix::to_string).collect();
    match all.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more networks", shown.join(", ")),
    }
}

const SHOWN: usize = 4;
/// So many networks are what is left of everybody without some.
const MANY: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Addresses {
        Addresses::of(text.split_whitespace().map(|p| p.parse::<Prefix>().expect("a network")))
    }

    fn opening(admitted: &str, refused: &str) -> Opening {
        let lines = |text: &str| match text {
            "" => Vec::new(),
            text => vec![(of(text), "by a rule".to_owned())],
        };
        Opening {
            port: Port(22),
            transport: Transport::Tcp,
            admitted: lines(admitted),
            perhaps: Addresses::NONE,
            refused: lines(refused),
            around: Vec::new(),
            straight: Vec::new(),
        }
    }

    #[test]
    fn how_far_a_port_is_open_is_how_far_the_farthest_come_from() {
        assert_eq!(opening("0.0.0.0/1", "").reach(), Some(Reach::Anyone));
        assert_eq!(opening("10.0.0.0/8 192.168.1.0/24", "8.0.0.0/8").reach(), Some(Reach::Site));
        assert_eq!(opening("", "0.0.0.0/0").reach(), Some(Reach::Machine), "rules keep all out");
        assert_eq!(opening("", "").reach(), None, "nobody has a way here: rules say nothing");
    }

    #[test]
    fn a_few_networks_are_named_and_many_are_not() {
        assert_eq!(told(&of("10.0.0.0/8 fd00::/8")), "10.0.0.0/8, fd00::/8");
        assert_eq!(told(&Addresses::all().without(&of("10.1.2.3"))), "most other networks");
    }
}
