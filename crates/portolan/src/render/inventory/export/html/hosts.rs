//! Machines and what is declared on each, a row a declaration.

use std::collections::HashSet;

use portolan_core::inventory::matrix::Origin;
use portolan_core::inventory::{Expect, FirewallDefaults, Host, Service, Tls, Word};
use serde::Serialize;

use super::anchor;
use super::docs::{DocsView, Link, OwnerView, links};
use crate::ops::inventory::export::{Entry, Export};
use crate::render::inventory::export::words;

/// A machine and what is declared on it.
#[derive(Debug, Serialize)]
pub(super) struct HostView {
    name: String,
    anchor: String,
    purpose: String,
    owner: Option<OwnerView>,
    facts: Vec<Fact>,
    links: Vec<Link>,
    rows: Vec<RowView>,
}

impl HostView {
    pub(super) fn of(
        export: &Export<'_>,
        entries: &[Entry<'_>],
        anchors: &mut HashSet<String>,
    ) -> Self {
        let host = entries[0].host;
        Self {
            name: host.name.clone(),
            anchor: anchor("host", &host.name),
            purpose: host.purpose.clone().unwrap_or_default(),
            owner: host
                .owner
                .as_ref()
                .and_then(|o| export.inventory.owner(&o.value))
                .map(OwnerView::of),
            facts: facts(host),
            links: links(&host.links),
            rows: entries.iter().map(|entry| RowView::of(export, entry, anchors)).collect(),
        }
    }
}

/// Something to know about a machine.
#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    value: String,
}

fn facts(host: &Host) -> Vec<Fact> {
    let public: Vec<String> = host.public.iter().map(ToString::to_string).collect();
    let facts = [
        ("Address", words::texts(&host.address).join(", ")),
        ("Public", public.join(", ")),
        ("Also known as", host.aliases.join(", ")),
        ("Groups", host.groups.join(", ")),
        ("Tags", host.tags.join(", ")),
        ("Firewall", firewall(host.firewall)),
        ("Probes", host.probe.word().to_owned()),
    ];
    let said = facts.into_iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| Fact { name, value }).collect()
}

fn firewall(defaults: FirewallDefaults) -> String {
    let words = format!(
        "in {}, through {}, out {}",
        defaults.input.word(),
        defaults.forward.word(),
        defaults.egress.word()
    );
    if defaults.base { words } else { format!("{words}, without the base rows") }
}

/// A declaration on a machine.
#[derive(Debug, Serialize)]
struct RowView {
    /// Where links to it lead: on the first row of its name.
    anchor: Option<String>,
    ports: Vec<String>,
    name: String,
    kind: &'static str,
    status: Option<&'static str>,
    closed: bool,
    public: bool,
    local: bool,
    from: Vec<OriginView>,
    door: Option<String>,
    facts: Vec<Fact>,
    docs: DocsView,
}

impl RowView {
    fn of(export: &Export<'_>, entry: &Entry<'_>, anchors: &mut HashSet<String>) -> Self {
        let subject = entry.subject;
        let anchor = anchor(subject.kind(), subject.name());
        Self {
            anchor: Some(anchor).filter(|anchor| anchors.insert(anchor.clone())),
            ports: entry.traffic.iter().map(ToString::to_string).collect(),
            name: subject.name().to_owned(),
            kind: subject.kind(),
            status: subject.status().map(Word::word),
            closed: entry.is_closed(),
            public: export.is_public(entry),
            local: entry.from.is_empty(),
            from: origins(export, entry),
            door: entry.door.map(|door| door.name.clone()),
            facts: subject.service().map(run_by).unwrap_or_default(),
            docs: DocsView::of(export, subject.docs()),
        }
    }
}

/// Who may come, and which forward implies it.
#[derive(Debug, Serialize)]
struct OriginView {
    name: String,
    implied_by: Option<String>,
}

fn origins(export: &Export<'_>, entry: &Entry<'_>) -> Vec<OriginView> {
    let view = |origin: &Origin<'_>| OriginView {
        name: export.inventory.source_name(&origin.source),
        implied_by: origin.implied_by.map(|forward| forward.name.clone()),
    };
    entry.from.iter().map(view).collect()
}

/// What a service is, runs as and must look like.
fn run_by(service: &Service) -> Vec<Fact> {
    let facts = [
        ("speaks", service.speaks.join(", ")),
        ("TLS", service.tls.as_ref().map(tls).unwrap_or_default()),
        ("process", service.process.join(", ")),
        ("user", service.user.clone().unwrap_or_default()),
        ("unit", service.unit.clone().unwrap_or_default()),
        ("container", service.container.clone().unwrap_or_default()),
        ("binds", service.bind.as_ref().map(words::bind).unwrap_or_default()),
        (
            "on the interface of",
            service.at_network.as_ref().map(|at| at.value.clone()).unwrap_or_default(),
        ),
        ("joins", service.to.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        ("runs", expected(service.expect).to_owned()),
        ("helper", service.helper.map(Word::word).unwrap_or_default().to_owned()),
        ("limit", service.limit.map(|limit| limit.to_string()).unwrap_or_default()),
        ("needs", words::texts(&service.needs).join(", ")),
    ];
    let said = facts.into_iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| Fact { name, value }).collect()
}

/// On how many of its machines it runs; nothing where it runs on all.
fn expected(expect: Expect) -> &'static str {
    match expect {
        Expect::Always => "",
        Expect::Sometimes => "sometimes",
        Expect::OneOf => "on one of its hosts",
    }
}

fn tls(tls: &Tls) -> String {
    let mut words: Vec<String> = tls.min.iter().map(|min| format!("{min} or later")).collect();
    words.extend((tls.client_auth == Some(true)).then(|| "client certificates".to_owned()));
    words.extend((!tls.names.is_empty()).then(|| tls.names.join(", ")));
    if words.is_empty() { "yes".to_owned() } else { words.join("; ") }
}
