//! What listens against what is declared to: P101, P102, P110, P118.

use crate::inventory::{
    AddressSpec, Bind, Criticality, Declared, Expect, ForwardVia, Service, Status,
};
use crate::net::{Gap, PortRange, Prefix, Severity, Transport, Why};
use crate::socket::Held;

use super::case::{Case, Entry, Words, is_live};
use super::{Listening, Opening, Reach, Rule, Subject, evidence};

/// Speaks for every port that listens, then for every entry that does not.
pub(super) fn judge(case: &mut Case<'_>) {
    for listening in case.listening.clone() {
        judge_listening(case, &listening);
    }
    for opening in case.scene.openings {
        judge_sent_on(case, opening);
    }
    for entry in 0..case.entries.len() {
        judge_entry(case, entry);
    }
}

/// P101 of a port that no socket holds, and whose packets rules send to somebody who takes them.
fn judge_sent_on(case: &mut Case<'_>, opening: &Opening) {
    let (port, transport) = (opening.port, opening.transport);
    let Some(to) = opening.sent_to.filter(|_| opening.is_open()) else { return };
    let management = case.scene.inventory.management.as_ref();
    if case.listening_in(PortRange::from(port), transport).next().is_some()
        || !case.claims.at(port, transport).is_empty()
        || management.is_some_and(|m| m.names(port, transport))
    {
        return;
    }
    let subject = Subject::Ports(PortRange::from(port), transport);
    let reach = opening.reach().unwrap_or(Reach::Machine);
    let words = Words {
        message: format!(
            "{subject} is sent on to {to} and is not declared; the rules let {} in",
            who(reach)
        ),
        evidence: vec![format!("rules translate {subject} to {to}; no socket listens on it")],
        remedy: format!(
            "see portolan reach {subject}; then take it away, or declare it: portolan inventory \
             init --merge"
        ),
        at: &case.scene.host.at,
        sockets: Vec::new(),
    };
    case.find(Rule::P101, reach.severity(), subject, None, words);
}

/// Whether rules send packets for one of these ports to somebody who takes them.
fn is_sent_on(case: &Case<'_>, range: PortRange, transport: Transport) -> bool {
    let mut openings = case.scene.openings.iter();
    openings.any(|o| o.transport == transport && range.contains(o.port) && o.sent_to.is_some())
}

/// What the declarations of one listening port make of it.
fn judge_listening<'a>(case: &mut Case<'a>, listening: &Listening<'a>) {
    let at = case.claims.at(listening.port, listening.transport);
    let declared: Vec<Declared<'a>> = at.into_iter().map(|i| case.claims.declared[i]).collect();
    let services = || {
        declared.iter().filter_map(|d| match d {
            Declared::Service(service) => Some(*service),
            _ => None,
        })
    };
    if services().any(is_live) {
        return;
    }
    if let Some(service) = services().find(|s| s.status == Status::Planned) {
        return planned_is_taken(case, listening, service);
    }
    if let Some(service) = services().find(|s| s.status == Status::Retired) {
        return retired_is_back(case, listening, service);
    }
    if declared.iter().any(listens_itself) || !listening.is_deliberate() {
        return;
    }
    let management = case.scene.inventory.management.as_ref();
    if management.is_some_and(|m| m.names(listening.port, listening.transport)) {
        return;
    }
    undeclared(case, listening);
    if let Some(pool) = declared.iter().find(|d| matches!(d, Declared::Pool(_))) {
        pool_is_taken(case, listening, *pool);
    }
}

/// Whether the declaration has a listener of its own: a proxying forward, a door that is spoken to.
fn listens_itself(declared: &Declared<'_>) -> bool {
    match declared {
        Declared::Forward(forward) => forward.via == ForwardVia::Proxy,
        Declared::Door(_) => true,
        Declared::Service(_) | Declared::Pool(_) => false,
    }
}

fn undeclared<'a>(case: &mut Case<'a>, listening: &Listening<'a>) {
    let subject = subject(listening);
    let reach = listening.reach();
    let mut message = format!("{subject} listens and is not declared");
    if let Some(names) = evidence::holders(case.scene.sockets, listening) {
        message = format!("{subject} ({names}) listens and is not declared");
    }
    message.push_str(&format!("; its binding lets {} in", who(reach)));
    let words = Words {
        message,
        evidence: evidence::of_sockets(case.scene.sockets, &listening.sockets),
        remedy: format!(
            "see portolan who {subject}; then stop it, or declare it: portolan inventory init --merge"
        ),
        at: &case.scene.host.at,
        sockets: listening.sockets.clone(),
    };
    case.find(Rule::P101, reach.severity(), subject, None, words);
}

fn planned_is_taken<'a>(case: &mut Case<'a>, listening: &Listening<'a>, service: &'a Service) {
    let subject = subject(listening);
    let holder = holder_or_something(case, listening);
    let words = Words {
        message: format!(
            "{subject} is held for {}, which is planned, and {holder} listens there",
            service.name
        ),
        evidence: evidence::of_sockets(case.scene.sockets, &listening.sockets),
        remedy: format!(
            "if that is {0}: portolan inventory set services.{0}.status active; else free it: portolan who {subject}",
            service.name
        ),
        at: &service.at,
        sockets: listening.sockets.clone(),
    };
    case.find(Rule::P110, listening.reach().severity(), subject, Some(&service.name), words);
}

fn pool_is_taken<'a>(case: &mut Case<'a>, listening: &Listening<'a>, pool: Declared<'a>) {
    let subject = subject(listening);
    let holder = holder_or_something(case, listening);
    let words = Words {
        message: format!(
            "{subject} is a number of the pool {}, and {holder} took it undeclared",
            pool.name()
        ),
        evidence: evidence::of_sockets(case.scene.sockets, &listening.sockets),
        remedy: format!("see portolan who {subject}; then move it out of the pool, or declare it"),
        at: pool.at(),
        sockets: listening.sockets.clone(),
    };
    case.find(Rule::P110, Severity::Low, subject, None, words);
}

fn retired_is_back<'a>(case: &mut Case<'a>, listening: &Listening<'a>, service: &'a Service) {
    let subject = subject(listening);
    let holder = holder_or_something(case, listening);
    let words = Words {
        message: format!("{} is retired, and {holder} listens on {subject}", service.name),
        evidence: evidence::of_sockets(case.scene.sockets, &listening.sockets),
        remedy: format!(
            "{}; if it is meant to be back: portolan inventory set services.{}.status active",
            stop(service, &subject),
            service.name
        ),
        at: &service.at,
        sockets: listening.sockets.clone(),
    };
    let severity = listening.reach().severity().max(Severity::Medium);
    case.find(Rule::P118, severity, subject, Some(&service.name), words);
}

/// P102 for each port of a live entry that is to listen and does not, or not where it is needed.
fn judge_entry(case: &mut Case<'_>, entry: usize) {
    let service = case.entries[entry].service;
    if !case.entries[entry].is_live() || service.expect == Expect::Sometimes {
        return;
    }
    for (range, transport) in service.ports.iter().flat_map(|p| p.value.pairs()) {
        let sockets = sockets_in(&case.entries[entry], range, transport);
        if !sockets.is_empty() {
            not_where_needed(case, entry, range, transport, sockets);
        } else if is_sent_on(case, range, transport) {
            // A container or another machine answers there, without a socket here.
        } else if service.expect == Expect::OneOf
            && case.scene.inventory.hosts_on(&service.on).len() > 1
        {
            elsewhere(case, service, range, transport);
        } else {
            not_listening(case, service, range, transport);
        }
    }
}

fn sockets_in<'a>(entry: &Entry<'a>, range: PortRange, transport: Transport) -> Vec<&'a Held> {
    entry.held_in(range, transport).flat_map(|h| h.sockets.iter().copied()).collect()
}

fn not_listening<'a>(
    case: &mut Case<'a>,
    service: &'a Service,
    range: PortRange,
    transport: Transport,
) {
    let subject = Subject::Ports(range, transport);
    let others = case.listening_in(range, transport);
    let others: Vec<&Held> = others.flat_map(|l| l.sockets.iter().copied()).collect();
    let evidence = if others.is_empty() {
        vec![format!("no socket listens on {subject}")]
    } else {
        evidence::of_sockets(case.scene.sockets, &others)
    };
    let words = Words {
        message: format!("{} is declared on {subject} and does not listen", service.name),
        evidence,
        remedy: format!(
            "{}; if it is gone for good: portolan inventory set services.{}.status retired",
            start(service),
            service.name
        ),
        at: &service.at,
        sockets: Vec::new(),
    };
    case.find(Rule::P102, urgency(service), subject, Some(&service.name), words);
}

/// `expect = "one-of"`: from here only this machine is seen.
fn elsewhere(case: &mut Case<'_>, service: &Service, range: PortRange, transport: Transport) {
    let what = format!("whether another host runs {} ({range}/{transport})", service.name);
    case.gaps.push(Gap::aside(what, Why::NotLooked, "run portolan audit there too"));
}

fn not_where_needed<'a>(
    case: &mut Case<'a>,
    entry: usize,
    range: PortRange,
    transport: Transport,
    sockets: Vec<&'a Held>,
) {
    let service = case.entries[entry].service;
    let Some(missing) = missing(case, entry, &sockets) else { return };
    let subject = Subject::Ports(range, transport);
    let words = Words {
        message: format!(
            "{} listens on {subject}, but not where it is needed: bound to {}, {missing}",
            service.name,
            evidence::addresses(&sockets)
        ),
        evidence: evidence::of_sockets(case.scene.sockets, &sockets),
        remedy: format!(
            "bind it where it is needed in its own configuration, or correct [services.{}]",
            service.name
        ),
        at: &service.at,
        sockets,
    };
    case.find(Rule::P102, urgency(service), subject, Some(&service.name), words);
}

/// What the sockets of an entry do not serve, in words.
fn missing(case: &Case<'_>, entry: usize, sockets: &[&Held]) -> Option<String> {
    let entry = &case.entries[entry];
    if entry.is_remote() && !sockets.iter().any(|held| Reach::of_socket(held) > Reach::Machine) {
        return Some("and `from` names others than this machine".to_owned());
    }
    let family = |v4: bool| sockets.iter().any(|held| serves_family(held, v4));
    let wanted = |v4: bool| entry.sources.iter().any(|s| comes_by(s, v4));
    let unknown = entry.sources.iter().any(|s| s.any || !s.unresolved.is_empty());
    if entry.is_remote()
        && !unknown
        && !((wanted(true) && family(true)) || (wanted(false) && family(false)))
    {
        let word = if wanted(true) { "IPv4" } else { "IPv6" };
        return Some(format!("and those of `from` come by {word}"));
    }
    let unserved = |p: &Prefix| is_single(*p) && !sockets.iter().any(|held| serves(held, *p));
    let bind = bound_addresses(entry.service);
    bind.into_iter().find(unserved).map(|prefix| format!("and not to {prefix} of `bind`"))
}

/// The addresses `bind` lists one by one.
fn bound_addresses(service: &Service) -> Vec<Prefix> {
    let Some(Bind::Addresses(addresses)) = &service.bind else { return Vec::new() };
    let prefixes = addresses.iter().filter_map(|a| match &a.value {
        AddressSpec::Prefix(prefix) => Some(*prefix),
        AddressSpec::Interface(_) | AddressSpec::Dns(_) => None,
    });
    prefixes.collect()
}

fn is_single(prefix: Prefix) -> bool {
    prefix.length() == if prefix.address().is_ipv4() { 32 } else { 128 }
}

fn comes_by(source: &crate::inventory::SourceExtent, v4: bool) -> bool {
    source.prefixes.iter().any(|p| p.address().is_ipv4() == v4)
}

/// Whether connections of a family reach this socket; an IPv4-mapped address is IPv4's.
fn serves_family(held: &Held, v4: bool) -> bool {
    let Some(endpoint) = held.socket.local_endpoint() else { return false };
    if Reach::of_socket(held) == Reach::Machine {
        return false;
    }
    endpoint.address.to_canonical().is_ipv4() == v4 || (v4 && held.socket.is_dual_stack())
}

/// Whether a socket is bound to one address, by itself or by the wildcard of its family.
fn serves(held: &Held, wanted: Prefix) -> bool {
    let Some(endpoint) = held.socket.local_endpoint() else { return false };
    let bound = endpoint.address.to_canonical();
    let v4 = wanted.address().is_ipv4();
    let wildcard = bound.is_unspecified()
        && (bound.is_ipv4() == v4 || (v4 && held.socket.v6only != Some(true)));
    wildcard || bound == wanted.address()
}

fn subject(listening: &Listening<'_>) -> Subject {
    Subject::Ports(PortRange::from(listening.port), listening.transport)
}

fn holder_or_something(case: &Case<'_>, listening: &Listening<'_>) -> String {
    evidence::holders(case.scene.sockets, listening).unwrap_or_else(|| "something".to_owned())
}

fn who(reach: Reach) -> &'static str {
    match reach {
        Reach::Machine => "only this machine",
        other => other.as_phrase(),
    }
}

fn start(service: &Service) -> String {
    match (&service.unit, &service.container) {
        (Some(unit), _) => format!("start it: systemctl start {unit}"),
        (None, Some(container)) => format!("start its container {container}"),
        (None, None) => format!("start {}", service.name),
    }
}

fn stop(service: &Service, subject: &Subject) -> String {
    match &service.unit {
        Some(unit) => format!("stop it: systemctl disable --now {unit}"),
        None => format!("see portolan who {subject}, and stop it"),
    }
}

/// How bad it is that a service is down: what its owner says.
pub(super) fn urgency(service: &Service) -> Severity {
    match service.docs.criticality {
        Some(Criticality::High) => Severity::High,
        Some(Criticality::Medium) | None => Severity::Medium,
        Some(Criticality::Low) => Severity::Low,
    }
}
