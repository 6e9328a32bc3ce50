//! What an inventory says, put together for other readers: each declaration on each of its machines,
//! who may reach it, and what somebody should look at.
//!
//! A function of the inventory, the registry and one day, so that the same file gives the same text.
//! `planned` and `retired` services are here too: an auditor asks for them although nothing of them
//! is open.

use std::collections::{BTreeSet, HashMap, HashSet};

use anyhow::Result;
use jiff::SignedDuration;
use jiff::civil::Date;
use portolan_core::inventory::matrix::{Matrix, Origin, Row, Subject, Traffic, traffic_of};
use portolan_core::inventory::{
    Criticality, Documentation, Door, Host, Inventory, NetworkExtent, Owner, Service, Source,
    Status,
};
use portolan_core::net::{PortRange, Severity, Transport};
use portolan_core::registry::{Registry, SecurityNote};

use crate::ops::inventory::show;

/// An inventory with what follows from it.
#[derive(Debug)]
pub(crate) struct Export<'a> {
    /// The file.
    pub(crate) inventory: &'a Inventory,
    /// Who may reach what.
    pub(crate) matrix: Matrix<'a>,
    /// Every declaration on every machine, by machine in the file's order, then by port and name.
    pub(crate) entries: Vec<Entry<'a>>,
    /// The day on which reviews, approvals and ends are judged.
    pub(crate) as_of: Date,
    registry: &'a Registry,
}

/// A declaration on one machine, with all of its ports.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// The machine.
    pub(crate) host: &'a Host,
    /// What is declared.
    pub(crate) subject: Subject<'a>,
    /// Its ports and protocols, ascending; at least one.
    pub(crate) traffic: Vec<Traffic<'a>>,
    /// Who may come; empty means this machine only.
    pub(crate) from: Vec<Origin<'a>>,
    /// The door that has to be opened first.
    pub(crate) door: Option<&'a Door>,
}

/// How a date stands to the day of the export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// There is no date.
    Undated,
    /// It lies before.
    Past(Date),
    /// It comes within the time of warning.
    Soon(Date),
    /// It comes later.
    Later(Date),
}

/// Something a reader should look at.
#[derive(Debug)]
pub(crate) struct Attention<'a> {
    /// What it is about.
    pub(crate) subject: Subject<'a>,
    /// What is wrong with it.
    pub(crate) lack: Lack,
}

/// What is wrong with a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// Found by `init`, approved by nobody.
    Unapproved,
    /// Anybody may come, and nobody approved it.
    ExposedUnapproved,
    /// The approval has ended.
    Expired(Date),
    /// The review was due.
    Overdue(Date),
    /// The review is due soon.
    DueSoon(Date),
    /// A port of high risk, and nothing said about its security.
    Unsecured,
    /// Nobody answers for it.
    Unowned,
    /// Nobody says why it exists.
    Purposeless,
}

impl<'a> Export<'a> {
    /// Puts `inventory` together as of `as_of`, with the ports of `host` alone where one is named.
    ///
    /// # Errors
    /// A host that the inventory does not have.
    pub(crate) fn new(
        inventory: &'a Inventory,
        registry: &'a Registry,
        as_of: Date,
        host: Option<&str>,
    ) -> Result<Self> {
        let matrix = show::matrix(inventory, host)?;
        let mut entries = entries(inventory, &matrix);
        entries.retain(|entry| host.is_none_or(|name| entry.host.name == name));
        Ok(Self { inventory, matrix, entries, as_of, registry })
    }

    /// The declarations on each machine that has any, in the file's order.
    pub(crate) fn by_host(&self) -> impl Iterator<Item = &[Entry<'a>]> {
        self.entries.chunk_by(|a, b| a.host.name == b.host.name)
    }

    /// Services and forwards that answer, each once a machine: what is reachable behind a door and
    /// also beside it has two entries and is one thing.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = &Entry<'a>> {
        let mut seen = HashSet::new();
        self.entries.iter().filter(move |entry| {
            let answers = matches!(entry.subject, Subject::Service(_) | Subject::Forward(_));
            let key = (entry.host.name.as_str(), entry.subject.kind(), entry.subject.name());
            answers && !entry.is_closed() && seen.insert(key)
        })
    }

    /// Who answers for `docs`.
    pub(crate) fn owner(&self, docs: &Documentation) -> Option<&'a Owner> {
        docs.owner.as_ref().and_then(|owner| self.inventory.owner(&owner.value))
    }

    /// When `docs` is to be looked at again.
    pub(crate) fn review(&self, docs: &Documentation) -> Due {
        self.due(docs.review_due(self.inventory.review.as_ref()))
    }

    /// When the approval of `docs` ends.
    pub(crate) fn approval_end(&self, docs: &Documentation) -> Due {
        let until = docs.approved.as_ref().and_then(|a| a.until.as_ref()).map(|u| u.value.day());
        self.due(until)
    }

    /// How the last day of something stands to today.
    pub(crate) fn due(&self, day: Option<Date>) -> Due {
        let Some(day) = day else { return Due::Undated };
        let warn = self.inventory.review.map_or(USUAL_WARNING, |rule| rule.warn);
        let warned = self.as_of.checked_add(warn).unwrap_or(Date::MAX);
        match day {
            day if day < self.as_of => Due::Past(day),
            day if day <= warned => Due::Soon(day),
            day => Due::Later(day),
        }
    }

    /// The security notes on the ports of `entry`.
    pub(crate) fn risks(&self, entry: &Entry<'_>) -> Vec<SecurityNote<'a>> {
        let mut notes: Vec<SecurityNote<'a>> = Vec::new();
        for (range, transport) in entry.ports() {
            // A range that holds half of all numbers means none of the services they stand for.
            for port in range.iter().take(MEANT_ONE_BY_ONE) {
                let note = self.registry.security(port, transport);
                notes.extend(note.filter(|note| !notes.contains(note)));
            }
        }
        notes
    }

    /// Whether `source` means every address there is.
    pub(crate) fn is_anybody(&self, source: &Source) -> bool {
        let Source::Network(name) = source else { return false };
        self.inventory.network(name).map_or(name == "any", |n| n.extent == NetworkExtent::Any)
    }

    /// What somebody should look at, the worst first.
    pub(crate) fn attention(&self) -> Vec<Attention<'a>> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for entry in self.entries.iter().filter(|e| !e.is_closed()) {
            let Some(docs) = entry.subject.docs() else { continue };
            let mut lacks = self.lacks(entry, docs);
            let (kind, name) = (entry.subject.kind(), entry.subject.name());
            lacks.retain(|lack| seen.insert((kind, name, lack.rank())));
            found.extend(lacks.into_iter().map(|lack| Attention { subject: entry.subject, lack }));
        }
        found.sort_by_key(|a| a.lack.rank());
        found
    }

    fn lacks(&self, entry: &Entry<'_>, docs: &Documentation) -> Vec<Lack> {
        let observed = entry.subject.status() == Some(Status::Observed);
        let risky = || self.risks(entry).iter().any(|n| n.severity >= RISKY);
        let mut lacks = Vec::new();
        if observed {
            lacks.push(Lack::Unapproved);
        } else if self.is_public(entry)
            && docs.approved.is_none()
            && !matches!(entry.subject, Subject::Door(_))
        {
            lacks.push(Lack::ExposedUnapproved);
        }
        if !entry.from.is_empty() && docs.security.is_none() && risky() {
            lacks.push(Lack::Unsecured);
        }
        if let Due::Past(day) = self.approval_end(docs) {
            lacks.push(Lack::Expired(day));
        }
        match self.review(docs) {
            Due::Past(day) => lacks.push(Lack::Overdue(day)),
            Due::Soon(day) => lacks.push(Lack::DueSoon(day)),
            Due::Undated | Due::Later(_) => {}
        }
        if docs.owner.is_none() {
            lacks.push(Lack::Unowned);
        }
        if docs.purpose.as_ref().is_none_or(|p| p.value.trim().is_empty() || p.value == "TODO") {
            lacks.push(Lack::Purposeless);
        }
        lacks
    }

    /// How many of something each.
    pub(crate) fn counts(&self) -> Counts {
        let services = self.services();
        let status = |s| services.iter().filter(|x| x.status == s).count();
        let with = |holds: fn(&Documentation) -> bool| {
            services.iter().filter(|service| holds(&service.docs)).count()
        };
        Counts {
            hosts: self.by_host().count(),
            services: services.len(),
            active: status(Status::Active),
            planned: status(Status::Planned),
            retired: status(Status::Retired),
            observed: status(Status::Observed),
            open: self.open_ports(|_| true),
            public: self.open_ports(|entry| self.is_public(entry)),
            critical: with(|docs| docs.criticality == Some(Criticality::High)),
            approved: with(|docs| docs.approved.is_some()),
        }
    }

    /// How many ports are open on some machine, of the entries that `count`; a door never answers.
    fn open_ports(&self, count: impl Fn(&Entry<'_>) -> bool) -> usize {
        let mut seen = BTreeSet::new();
        let open = self.entries.iter().filter(|e| !e.is_closed() && count(e));
        let open = open.filter(|e| !matches!(e.subject, Subject::Door(_)));
        for entry in open {
            let name = (entry.subject.kind(), entry.subject.name());
            seen.extend(entry.traffic.iter().map(|traffic| (&entry.host.name, name, traffic)));
        }
        seen.len()
    }

    /// Whether anybody may come, without a door.
    pub(crate) fn is_public(&self, entry: &Entry<'_>) -> bool {
        entry.door.is_none() && entry.from.iter().any(|o| self.is_anybody(&o.source))
    }

    /// The services that are on some machine, each once.
    fn services(&self) -> Vec<&'a Service> {
        let mut seen = HashSet::new();
        let services = self.entries.iter().filter_map(|entry| entry.subject.service());
        services.filter(|service| seen.insert(&service.name)).collect()
    }
}

/// How many of something an inventory declares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// Machines that have a port.
    pub(crate) hosts: usize,
    /// Services of every status.
    pub(crate) services: usize,
    /// Services meant to run.
    pub(crate) active: usize,
    /// Services that hold their number.
    pub(crate) planned: usize,
    /// Services that are gone.
    pub(crate) retired: usize,
    /// Services nobody approved.
    pub(crate) observed: usize,
    /// Ports that are open somewhere, one a machine and port; a door's never answers.
    pub(crate) open: usize,
    /// Those of them that anybody may reach without a door.
    pub(crate) public: usize,
    /// Services of high criticality.
    pub(crate) critical: usize,
    /// Services somebody approved.
    pub(crate) approved: usize,
}

impl Entry<'_> {
    /// Whether nothing of it is meant to be open.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.subject.status(), Some(Status::Planned | Status::Retired))
    }

    /// Its ports; protocols without ports are left out.
    pub(crate) fn ports(&self) -> impl Iterator<Item = (PortRange, Transport)> {
        self.traffic.iter().filter_map(|traffic| match traffic {
            Traffic::Ports { range, transport } => Some((*range, *transport)),
            Traffic::Protocol { .. } => None,
        })
    }
}

impl Lack {
    const fn rank(self) -> u8 {
        match self {
            Self::Unapproved => 0,
            Self::ExposedUnapproved => 1,
            Self::Unsecured => 2,
            Self::Expired(_) => 3,
            Self::Overdue(_) => 4,
            Self::DueSoon(_) => 5,
            Self::Unowned => 6,
            Self::Purposeless => 7,
        }
    }
}

fn entries<'a>(inventory: &'a Inventory, matrix: &Matrix<'a>) -> Vec<Entry<'a>> {
    let order: HashMap<&str, usize> =
        inventory.hosts.iter().enumerate().map(|(i, h)| (h.name.as_str(), i)).collect();
    let mut entries: Vec<Entry<'a>> = Vec::new();
    let mut places: HashMap<(&str, &str, &str, bool), usize> = HashMap::new();
    for row in matrix.rows.iter().cloned().chain(closed(inventory)) {
        let (kind, name) = (row.subject.kind(), row.subject.name());
        let key = (row.host.name.as_str(), kind, name, row.door.is_some());
        match places.get(&key) {
            Some(place) => entries[*place].traffic.push(row.traffic),
            None => {
                places.insert(key, entries.len());
                entries.push(Entry::from(row));
            }
        }
    }
    for entry in &mut entries {
        entry.traffic.sort();
        entry.traffic.dedup();
    }
    entries.sort_by(|a, b| {
        let key =
            |e: &Entry<'a>| (order.get(&*e.host.name).copied(), e.traffic[0], e.subject.name());
        key(a).cmp(&key(b))
    });
    entries
}

impl<'a> From<Row<'a>> for Entry<'a> {
    fn from(row: Row<'a>) -> Self {
        Self {
            host: row.host,
            subject: row.subject,
            traffic: vec![row.traffic],
            from: row.from,
            door: row.door,
        }
    }
}

/// The rows that `planned` and `retired` services would have.
fn closed(inventory: &Inventory) -> impl Iterator<Item = Row<'_>> {
    let closed =
        |s: &&_| matches!(Subject::Service(s).status(), Some(Status::Planned | Status::Retired));
    inventory.services.iter().filter(closed).flat_map(move |service| {
        let from: Vec<Origin<'_>> = service
            .from
            .iter()
            .map(|source| Origin { source: source.value.clone(), implied_by: None })
            .collect();
        let hosts = inventory.hosts_on(&service.on).into_iter();
        hosts.flat_map(move |host| {
            let from = from.clone();
            service.ports.iter().flat_map(|port| traffic_of(&port.value)).map(move |traffic| Row {
                host,
                traffic,
                from: from.clone(),
                door: None,
                subject: Subject::Service(service),
            })
        })
    })
}

/// Where the file says nothing of its own.
const USUAL_WARNING: SignedDuration = SignedDuration::from_hours(14 * 24);
/// How many ports of a range are looked up in the registry.
const MEANT_ONE_BY_ONE: usize = 64;
/// From here on a port wants a word about its security.
const RISKY: Severity = Severity::High;
