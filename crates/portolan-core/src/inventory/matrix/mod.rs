//! Who may reach what, and why: what follows from an inventory.
//!
//! A row a host, port and declaration, with the sources that may come, and for those that nobody
//! wrote down in `from` the reference that implies them. Only what is meant to be open is here:
//! `planned` and `retired` services have no row; `observed` ones do, marked, because they are open
//! although nobody approved it. What every compiled host needs to live stands apart, in `base`.

mod base;
mod outgoing;

use std::fmt;

use super::index::Index;
use super::{
    Declared, Documentation, Door, DoorMethod, Forward, ForwardVia, Host, Inventory, Located,
    Location, Management, NetworkExtent, PortSpec, Service, Source, Status,
};
use crate::net::{PortRange, Transport};

pub use base::{BaseRow, BaseTraffic, Direction, Peers};
pub use outgoing::{Outgoing, Reason};

/// Everything that follows from an inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matrix<'a> {
    /// What is declared, by host, port and name.
    pub rows: Vec<Row<'a>>,
    /// What hosts with `egress = "drop"` may open connections to.
    pub outgoing: Vec<Outgoing<'a>>,
    /// What every compiled host has, by host, in the order of compilation.
    pub base: Vec<BaseRow<'a>>,
}

/// One port of one host, and who may reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The machine.
    pub host: &'a Host,
    /// The port or protocol.
    pub traffic: Traffic<'a>,
    /// Who may come; empty means this machine only.
    pub from: Vec<Origin<'a>>,
    /// The door that has to be opened first.
    pub door: Option<&'a Door>,
    /// What declares it.
    pub subject: Subject<'a>,
}

/// A port range of one transport, or a protocol without ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Traffic<'a> {
    /// `443/tcp`, `5000-5010/udp`.
    Ports {
        /// The numbers.
        range: PortRange,
        /// Their transport.
        transport: Transport,
    },
    /// `esp`, `ip:112`.
    Protocol {
        /// IANA's protocol number.
        number: u8,
        /// The name it was written with.
        name: Option<&'a str>,
    },
}

/// A source, and why it is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Who.
    pub source: Source,
    /// The forward that implies it; `None` when it is written in `from`.
    pub implied_by: Option<&'a Forward>,
}

/// What a row is declared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A service.
    Service(&'a Service),
    /// A forward's own port.
    Forward(&'a Forward),
    /// A door's port, or one of its sequence.
    Door(&'a Door),
    /// `[management]`.
    Management(&'a Management),
}

impl Inventory {
    /// Who may reach what, and why.
    #[must_use]
    pub fn matrix(&self) -> Matrix<'_> {
        let index = Index::of(self);
        let mut rows = self.service_rows(&index);
        rows.extend(self.forward_rows(&index));
        rows.extend(self.door_rows(&index));
        rows.extend(self.management_rows());
        rows.sort_by(|a, b| a.key().cmp(&b.key()));
        rows.dedup();
        let outgoing = outgoing::rows(self, &index, &rows);
        Matrix { rows, outgoing, base: base::rows(self, &index) }
    }

    /// A source as the file names it: for every address the first network that means it, else `any`.
    #[must_use]
    pub fn source_name(&self, source: &Source) -> String {
        match source {
            Source::Network(name) if name == "any" && self.network(name).is_none() => {
                let any = self.networks.iter().find(|n| n.extent == NetworkExtent::Any);
                any.map_or(name, |n| &n.name).clone()
            }
            other => other.to_string(),
        }
    }

    fn service_rows<'a>(&'a self, index: &Index<'a>) -> Vec<Row<'a>> {
        let shown = |s: &&Service| matches!(s.status, Status::Active | Status::Observed);
        let mut rows = Vec::new();
        for service in self.services.iter().filter(shown) {
            for host in index.hosts_on(&service.on) {
                let written = written(&service.from);
                let implied = self.implied(index, service, host);
                let door = service.behind.as_ref().and_then(|d| self.door(&d.value));
                // A forwarder does not knock: what a reference implies gets a row beside the door.
                let parts = match door.filter(|_| !written.is_empty()) {
                    Some(door) if implied.is_empty() => vec![(Some(door), written)],
                    Some(door) => vec![(Some(door), written), (None, implied)],
                    None => vec![(None, [written, implied].concat())],
                };
                for (door, from) in parts {
                    let subject = Subject::Service(service);
                    rows.extend(traffic(service.ports.iter()).map(|traffic| Row {
                        host,
                        traffic,
                        from: from.clone(),
                        door,
                        subject,
                    }));
                }
            }
        }
        rows
    }

    /// The sources of `service` on `host` that follow from forwards to it.
    fn implied<'a>(
        &'a self,
        index: &Index<'a>,
        service: &'a Service,
        host: &'a Host,
    ) -> Vec<Origin<'a>> {
        let mut implied: Vec<Origin<'_>> = Vec::new();
        for forward in index.forwards_to(&service.name, &host.name) {
            for source in seen_by_target(index, forward) {
                let written = service.from.iter().map(|s| &s.value);
                let known = written.chain(implied.iter().map(|o| &o.source));
                let itself = source == Source::Host(host.name.clone());
                // Behind a door, being named in `from` opens nothing without a knock.
                let covered = service.behind.is_none() && self.is_covered(index, &source, known);
                if !itself && !covered && !implied.iter().any(|o| o.source == source) {
                    implied.push(Origin { source, implied_by: Some(*forward) });
                }
            }
        }
        implied
    }

    /// Whether everyone `source` means is meant by one of `known` already.
    fn is_covered<'s>(
        &self,
        index: &Index<'_>,
        source: &Source,
        known: impl Iterator<Item = &'s Source>,
    ) -> bool {
        let mut known = known;
        known.any(|k| k == source || self.means_anybody(k) || includes(index, k, source))
    }

    fn means_anybody(&self, source: &Source) -> bool {
        let Source::Network(name) = source else { return false };
        self.network(name).map_or(name == "any", |n| n.extent == NetworkExtent::Any)
    }

    fn forward_rows<'a>(&'a self, index: &Index<'a>) -> impl Iterator<Item = Row<'a>> {
        self.forwards.iter().flat_map(|forward| {
            let from = written(&forward.from);
            let ports = std::slice::from_ref(&forward.listen);
            Self::rows_of(Subject::Forward(forward), &index.hosts_on(&forward.on), ports, &from)
        })
    }

    fn door_rows<'a>(&'a self, index: &Index<'a>) -> impl Iterator<Item = Row<'a>> {
        self.doors.iter().flat_map(|door| {
            let anybody =
                || vec![Origin { source: Source::Network("any".to_owned()), implied_by: None }];
            let from = if door.from.is_empty() { anybody() } else { written(&door.from) };
            let ports = match &door.method {
                DoorMethod::Spa { listen } => std::slice::from_ref(listen),
                DoorMethod::Sequence { ports, .. } => ports,
            };
            Self::rows_of(Subject::Door(door), &index.hosts_on(&door.on), ports, &from)
        })
    }

    fn management_rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.management.iter().flat_map(|management| {
            let hosts: Vec<&Host> = self.hosts.iter().collect();
            let from = written(&management.from);
            Self::rows_of(Subject::Management(management), &hosts, &management.ports, &from)
        })
    }

    fn rows_of<'a>(
        subject: Subject<'a>,
        hosts: &[&'a Host],
        ports: &'a [Located<PortSpec>],
        from: &[Origin<'a>],
    ) -> Vec<Row<'a>> {
        let on = |host: &'a Host| {
            let row =
                move |traffic| Row { host, traffic, from: from.to_vec(), door: None, subject };
            traffic(ports.iter()).map(row)
        };
        hosts.iter().flat_map(|host| on(host)).collect()
    }
}

impl Row<'_> {
    /// Whether it becomes a rule of the firewall: what nobody approved does not.
    #[must_use]
    pub fn is_compiled(&self) -> bool {
        self.subject.status().is_none_or(|s| s == Status::Active)
    }

    fn key(&self) -> (&str, Traffic<'_>, &str) {
        (&self.host.name, self.traffic, self.subject.name())
    }
}

impl<'a> Subject<'a> {
    /// The key it has in the file, or `management`.
    #[must_use]
    pub fn name(self) -> &'a str {
        self.declared().map_or("management", Declared::name)
    }

    /// Where it is declared.
    #[must_use]
    pub fn at(self) -> &'a Location {
        match self {
            Self::Management(management) => &management.at,
            Self::Service(service) => &service.at,
            Self::Forward(forward) => &forward.at,
            Self::Door(door) => &door.at,
        }
    }

    /// Why it exists and who answers for it.
    #[must_use]
    pub fn docs(self) -> Option<&'a Documentation> {
        match self {
            Self::Service(service) => Some(&service.docs),
            Self::Forward(forward) => Some(&forward.docs),
            Self::Door(door) => Some(&door.docs),
            Self::Management(_) => None,
        }
    }

    /// The service, where it is one.
    #[must_use]
    pub const fn service(self) -> Option<&'a Service> {
        match self {
            Self::Service(service) => Some(service),
            _ => None,
        }
    }

    /// The word for its kind: `service`, `forward`, `door`, `management`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Service(_) => "service",
            Self::Forward(_) => "forward",
            Self::Door(_) => "door",
            Self::Management(_) => "management",
        }
    }

    /// Where a service stands in its life; the others have no status.
    #[must_use]
    pub const fn status(self) -> Option<Status> {
        match self {
            Self::Service(service) => Some(service.status),
            _ => None,
        }
    }

    const fn declared(self) -> Option<Declared<'a>> {
        match self {
            Self::Service(service) => Some(Declared::Service(service)),
            Self::Forward(forward) => Some(Declared::Forward(forward)),
            Self::Door(door) => Some(Declared::Door(door)),
            Self::Management(_) => None,
        }
    }
}

impl fmt::Display for Traffic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ports { range, transport } => write!(f, "{range}/{transport}"),
            Self::Protocol { name: Some(name), .. } => f.write_str(name),
            Self::Protocol { number, name: None } => write!(f, "ip:{number}"),
        }
    }
}

fn includes(index: &Index<'_>, several: &Source, one: &Source) -> bool {
    let Source::Host(name) = one else { return false };
    hosts_named_by(index, several).iter().any(|h| h.name == *name)
}

/// Whose address the target of a forward sees.
fn seen_by_target(index: &Index<'_>, forward: &Forward) -> Vec<Source> {
    let translated = forward.via != ForwardVia::Proxy && !forward.masquerade;
    if translated && !forward.from.is_empty() {
        return forward.from.iter().map(|s| s.value.clone()).collect();
    }
    index.hosts_on(&forward.on).iter().map(|h| Source::Host(h.name.clone())).collect()
}

/// The hosts a source names; a network names none, whatever addresses it holds.
fn hosts_named_by<'a>(index: &Index<'a>, source: &Source) -> Vec<&'a Host> {
    match source {
        Source::Host(name) => index.host(name).into_iter().collect(),
        Source::Group(group) => index.hosts_in(group),
        Source::Service(name) => index.service(name).map_or(Vec::new(), |s| index.hosts_on(&s.on)),
        Source::Network(_) | Source::Prefix(_) => Vec::new(),
    }
}

fn written<'a>(from: &[Located<Source>]) -> Vec<Origin<'a>> {
    let origin = |s: &Located<Source>| Origin { source: s.value.clone(), implied_by: None };
    from.iter().map(origin).collect()
}

/// Each port specification, one transport at a time.
fn traffic<'a>(
    ports: impl Iterator<Item = &'a Located<PortSpec>>,
) -> impl Iterator<Item = Traffic<'a>> {
    ports.flat_map(|port| traffic_of(&port.value))
}

/// A port specification, one transport at a time.
#[must_use]
pub fn traffic_of(port: &PortSpec) -> Vec<Traffic<'_>> {
    match port {
        PortSpec::Protocol { number, name } => {
            vec![Traffic::Protocol { number: *number, name: name.as_deref() }]
        }
        spec => {
            spec.pairs().map(|(range, transport)| Traffic::Ports { range, transport }).collect()
        }
    }
}

#[cfg(test)]
mod tests;
