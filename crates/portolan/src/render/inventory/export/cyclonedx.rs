//! A CycloneDX 1.6 bill of services: <https://cyclonedx.org/docs/1.6/json/>.
//!
//! A service a machine and declaration. Without a serial number and without a time, both of which
//! the format leaves open, so that the same inventory gives the same bytes.

use std::collections::HashSet;

use anyhow::Result;
use portolan_core::inventory::matrix::Subject;
use portolan_core::inventory::{
    AddressSpec, Bind, Documentation, ForwardTarget, Host, Located, Need, NetworkExtent, Owner,
    Service, Word,
};
use portolan_core::net::{Endpoint, Port, Prefix, Transport};
use portolan_core::socket::Machine;
use serde::Serialize;

use crate::ops::inventory::export::{Due, Entry, Export};
use crate::render::inventory::export::words;
use crate::render::screen::Screen;

/// Prints the document.
pub(crate) fn print(screen: &mut Screen, export: &Export<'_>) -> Result<()> {
    screen.json(&Bom::of(export))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Bom {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    version: u8,
    metadata: Metadata,
    services: Vec<ServiceJson>,
    dependencies: Vec<Dependency>,
}

impl Bom {
    fn of(export: &Export<'_>) -> Self {
        let listeners: Vec<&Entry<'_>> = export.listeners().collect();
        let known: HashSet<String> = listeners.iter().map(|entry| reference(entry)).collect();
        Self {
            schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
            bom_format: "CycloneDX",
            spec_version: "1.6",
            version: 1,
            metadata: Metadata::of(export),
            services: listeners.iter().map(|entry| ServiceJson::of(export, entry)).collect(),
            dependencies: listeners
                .iter()
                .filter_map(|e| Dependency::of(export, e, &known))
                .collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Metadata {
    tools: Tools,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<Component>,
}

impl Metadata {
    fn of(export: &Export<'_>) -> Self {
        let version = Some(env!("CARGO_PKG_VERSION"));
        let tool = Component { kind: "application", name: "portolan".to_owned(), version };
        let title = export.inventory.title.clone();
        Self {
            tools: Tools { components: [tool] },
            component: title.map(|name| Component { kind: "platform", name, version: None }),
        }
    }
}

#[derive(Debug, Serialize)]
struct Tools {
    components: [Component; 1],
}

#[derive(Debug, Serialize)]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceJson {
    #[serde(rename = "bom-ref")]
    reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<Provider>,
    group: String,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    endpoints: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticated: Option<bool>,
    #[serde(rename = "x-trust-boundary")]
    trust_boundary: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    trust_zone: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<ExternalReference>,
    properties: Vec<Property>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
}

impl ServiceJson {
    fn of(export: &Export<'_>, entry: &Entry<'_>) -> Self {
        let docs = entry.subject.docs();
        let service = entry.subject.service();
        let shows_certificate = |s: &Service| s.tls.as_ref()?.client_auth.filter(|asked| *asked);
        let zone = zone(export, entry.host);
        let links = docs.map(|docs| docs.links.as_slice()).unwrap_or_default();
        Self {
            reference: reference(entry),
            provider: docs.and_then(|docs| export.owner(docs)).map(Provider::of),
            group: entry.host.name.clone(),
            name: entry.subject.name().to_owned(),
            description: docs.map(words::purpose).unwrap_or_default().to_owned(),
            endpoints: endpoints(entry),
            authenticated: service.and_then(shows_certificate),
            trust_boundary: crosses(export, entry, zone.as_ref().map(|zone| &*zone.prefixes)),
            trust_zone: zone.map(|zone| zone.name.to_owned()),
            external_references: links.iter().filter_map(|l| ExternalReference::of(l)).collect(),
            properties: properties(export, entry),
            tags: docs.map(|docs| docs.tags.clone()).unwrap_or_default(),
        }
    }
}

/// `mail/smtp`, `gate/forward/mail-in`.
fn reference(entry: &Entry<'_>) -> String {
    match entry.subject {
        Subject::Service(service) => format!("{}/{}", entry.host.name, service.name),
        other => format!("{}/{}/{}", entry.host.name, other.kind(), other.name()),
    }
}

#[derive(Debug, Serialize)]
struct Provider {
    name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contact: Vec<Contact>,
}

impl Provider {
    fn of(owner: &Owner) -> Self {
        let name = owner.name.clone().unwrap_or_else(|| owner.id.clone());
        let contact = owner.contact.iter().map(|contact| Contact::of(contact));
        let on_call = owner.on_call.iter().map(|number| Contact {
            name: Some("on call".to_owned()),
            email: None,
            phone: Some(number.clone()),
        });
        Self { name, contact: contact.chain(on_call).collect() }
    }
}

#[derive(Debug, Serialize)]
struct Contact {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
}

impl Contact {
    /// An address of mail where it looks like one, else words.
    fn of(contact: &str) -> Self {
        let address = contact.strip_prefix("mailto:").unwrap_or(contact);
        let is_mail = address.split_once('@').is_some_and(|(name, domain)| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
            !name.is_empty()
                && domain.contains('.')
                && (name.to_owned() + domain).chars().all(plain)
        });
        let (name, email) = match is_mail {
            true => (None, Some(address.to_owned())),
            false => (Some(contact.to_owned()), None),
        };
        Self { name, email, phone: None }
    }
}

#[derive(Debug, Serialize)]
struct ExternalReference {
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
}

impl ExternalReference {
    fn of(link: &str) -> Option<Self> {
        words::followable(link).map(|url| Self { kind: "documentation", url: url.to_owned() })
    }
}

#[derive(Debug, Serialize)]
struct Property {
    name: String,
    value: String,
}

fn properties(export: &Export<'_>, entry: &Entry<'_>) -> Vec<Property> {
    let mut properties = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        let property = |value| Property { name: format!("portolan:{name}"), value };
        properties.extend(value.map(property));
    };
    add("kind", Some(entry.subject.kind().to_owned()));
    add("status", entry.subject.status().map(|status| status.word().to_owned()));
    entry.traffic.iter().for_each(|traffic| add("port", Some(traffic.to_string())));
    words::from(export, entry).into_iter().for_each(|source| add("from", Some(source)));
    add("behind", entry.door.map(|door| door.name.clone()));
    if let Subject::Service(service) = entry.subject {
        service.speaks.iter().for_each(|word| add("speaks", Some(word.clone())));
        add("unit", service.unit.clone());
        add("container", service.container.clone());
    }
    if let Subject::Forward(forward) = entry.subject {
        add("to", Some(forward.to.value.to_string()));
        add("via", Some(forward.via.word().to_owned()));
    }
    if let Some(docs) = entry.subject.docs() {
        documented(export, docs, &mut add);
    }
    let place = export.inventory.line_of(entry.subject.at());
    add("declared", Some(format!("{}:{}", place.file, place.line)));
    properties
}

fn documented(
    export: &Export<'_>,
    docs: &Documentation,
    add: &mut impl FnMut(&str, Option<String>),
) {
    add("criticality", docs.criticality.map(|c| c.word().to_owned()));
    add("security", docs.security.clone());
    if let Some(approved) = &docs.approved {
        add("approved-by", approved.by.clone());
        add("approved-on", approved.on.map(|day| day.to_string()));
        add("ticket", approved.ticket.clone());
        add("approved-until", approved.until.as_ref().map(|day| day.value.to_string()));
    }
    if let Due::Past(day) | Due::Soon(day) | Due::Later(day) = export.review(docs) {
        add("review-due", Some(day.to_string()));
    }
}

/// `tcp://192.0.2.71:25`; a range and a protocol without ports stand in the properties alone.
fn endpoints(entry: &Entry<'_>) -> Vec<String> {
    let Some(address) = address(entry) else { return Vec::new() };
    let single = entry.ports().filter(|(range, _)| range.first() == range.last());
    single.map(|(range, transport)| uri(&address, range.first(), transport)).collect()
}

/// Where a declaration answers: its first own address, else its machine's, else the machine's name.
fn address(entry: &Entry<'_>) -> Option<AddressSpec> {
    let bound = entry.subject.service().and_then(|service| match &service.bind {
        Some(Bind::Addresses(addresses)) => addresses.first(),
        _ => None,
    });
    let resolved = |a: &&Located<AddressSpec>| !matches!(a.value, AddressSpec::Interface(_));
    let first = bound.into_iter().chain(&entry.host.address).find(resolved);
    first.map(|address| address.value.clone())
}

fn uri(address: &AddressSpec, port: Port, transport: Transport) -> String {
    match address {
        AddressSpec::Prefix(prefix) => {
            format!("{transport}://{}", Endpoint { address: prefix.address(), port })
        }
        AddressSpec::Dns(name) | AddressSpec::Interface(name) => {
            format!("{transport}://{name}:{port}")
        }
    }
}

/// The network of the file a machine is in.
struct Zone<'a> {
    name: &'a str,
    prefixes: Vec<Prefix>,
}

/// The narrowest network of the file that holds the machine's first address.
fn zone<'a>(export: &Export<'a>, host: &Host) -> Option<Zone<'a>> {
    let address = host.address.iter().find_map(|a| match a.value {
        AddressSpec::Prefix(prefix) => Some(prefix),
        _ => None,
    })?;
    let holds = |network: &'a portolan_core::inventory::Network| {
        let NetworkExtent::Prefixes { prefixes, .. } = &network.extent else { return None };
        let narrowest = prefixes.iter().filter(|p| p.covers(address)).map(|p| p.length()).max()?;
        Some((narrowest, Zone { name: &network.name, prefixes: prefixes.clone() }))
    };
    let networks = export.inventory.networks.iter().rev().filter_map(holds);
    networks.max_by_key(|(length, _)| *length).map(|(_, zone)| zone)
}

/// Whether anybody from outside the machine's own network may come.
fn crosses(export: &Export<'_>, entry: &Entry<'_>, zone: Option<&[Prefix]>) -> bool {
    let zone = zone.unwrap_or_default();
    let machine = Machine::default();
    entry.from.iter().any(|origin| {
        let extent = export.inventory.extent_of(&origin.source, &machine);
        let outside = |prefix: &Prefix| !zone.iter().any(|z| z.covers(*prefix));
        extent.any || !extent.unresolved.is_empty() || extent.prefixes.iter().any(outside)
    })
}

/// What a service needs in order to work.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    #[serde(rename = "ref")]
    reference: String,
    depends_on: Vec<String>,
}

impl Dependency {
    /// What `entry` needs of the services in `known`; what lies outside has no reference.
    fn of(export: &Export<'_>, entry: &Entry<'_>, known: &HashSet<String>) -> Option<Self> {
        let mut needed = match entry.subject {
            Subject::Service(service) => {
                service.needs.iter().flat_map(|need| providers(export, &need.value)).collect()
            }
            Subject::Forward(forward) => match &forward.to.value {
                ForwardTarget::Service { service, host } => vec![format!("{host}/{service}")],
                ForwardTarget::Endpoint(_) => Vec::new(),
            },
            Subject::Door(_) | Subject::Management(_) => Vec::new(),
        };
        needed.retain(|reference| known.contains(reference));
        needed.sort();
        needed.dedup();
        let reference = reference(entry);
        (!needed.is_empty()).then_some(Self { reference, depends_on: needed })
    }
}

fn providers(export: &Export<'_>, need: &Need) -> Vec<String> {
    let Need::Service { name, host } = need else { return Vec::new() };
    let Some(service) = export.inventory.service(name) else { return Vec::new() };
    let hosts = export.inventory.hosts_on(&service.on).into_iter();
    let meant = hosts.filter(|h| host.as_ref().is_none_or(|host| *host == h.name));
    meant.map(|h| format!("{}/{name}", h.name)).collect()
}
