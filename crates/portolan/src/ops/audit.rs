//! What differs between the inventory and this machine, and what to do about each difference.
//!
//! Brings together what core judges by: the inventory, which of its hosts this is, the listeners
//! with their owners, the machine's settings and the registry's notes. Accepting a finding is the
//! one thing here that writes, and it writes the inventory whole or not at all.

use std::path::PathBuf;

use anyhow::Result;
use jiff::civil::Date;
use portolan_core::audit::{self, Finding, Judgement, Scene};
use portolan_core::inventory::edit::{self, IgnoreEntry};
use portolan_core::inventory::{Host, Inventory};
use portolan_core::net::{Gap, Severity, nearest};
use portolan_core::registry::Registry;
use portolan_core::socket::{Machine, SocketTable};
use portolan_host::processes::Details;
use portolan_host::{clock, files, machine};

use crate::fault::{Fault, Hinted as _};
use crate::ops::inventory::{Asked, Loaded};
use crate::ops::{inventory, registry, sockets};

/// An audit of this machine.
#[derive(Debug)]
pub(crate) struct Report {
    /// The host of the inventory this machine is.
    pub(crate) host: String,
    /// The inventory's file as a person would write it.
    pub(crate) inventory: String,
    /// What was found, what was accepted, and what is worth a sentence.
    pub(crate) judgement: Judgement,
    /// How many ports listen here.
    pub(crate) listening: usize,
    /// How many services are declared here.
    pub(crate) services: usize,
    /// What could not be seen.
    pub(crate) gaps: Vec<Gap>,
}

impl Report {
    /// How many findings have a severity.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.judgement.findings.iter().filter(|f| f.severity == severity).count()
    }

    /// The findings that are at least as bad as `threshold`.
    pub(crate) fn failing(&self, threshold: Severity) -> impl Iterator<Item = &Finding> {
        self.judgement.findings.iter().filter(move |f| f.severity >= threshold)
    }

    /// Whether something that was asked could not be seen.
    pub(crate) fn is_partial(&self) -> bool {
        self.gaps.iter().any(Gap::is_incomplete)
    }
}

/// Audits this machine against its inventory.
///
/// # Errors
/// No inventory, a broken one, or one that does not know this machine.
pub(crate) fn run(asked: &Asked) -> Result<Report> {
    let found = inventory::load(asked)?;
    let Some(loaded) = found.value else {
        return inventory::require(asked).and_then(|loaded| report(&loaded, asked, Vec::new()));
    };
    report(&loaded, asked, found.gaps)
}

fn report(loaded: &Loaded, asked: &Asked, mut gaps: Vec<Gap>) -> Result<Report> {
    let machine = machine::read().into_value(&mut gaps);
    let host = host(&loaded.inventory, &machine, asked)?;
    let request = sockets::Request::listeners(Details::Full);
    let table = sockets::observe(&request)?.into_value(&mut gaps);
    let registry = registry::load().into_value(&mut gaps);
    let mut judgement = judge(&loaded.inventory, host, &table, &machine, &registry);
    gaps.append(&mut judgement.gaps);
    let services = loaded.inventory.services.iter().filter(|s| host.is_meant_by(&s.on));
    Ok(Report {
        host: host.name.clone(),
        inventory: loaded.inventory.files.first().map_or(String::new(), |f| f.path.clone()),
        judgement,
        listening: audit::Listening::all(&table).len(),
        services: services.count(),
        gaps,
    })
}

/// What core finds today in what was read.
pub(crate) fn judge(
    inventory: &Inventory,
    host: &Host,
    sockets: &SocketTable,
    machine: &Machine,
    registry: &Registry,
) -> Judgement {
    audit::judge(&Scene { inventory, host, sockets, machine, registry, today: clock::today() })
}

fn host<'a>(inventory: &'a Inventory, machine: &Machine, asked: &Asked) -> Result<&'a Host> {
    inventory.identify(machine, asked.host.as_deref()).map_err(|error| {
        let hint = error.hint();
        Fault::new(error.to_string(), hint)
    })
}

/// A finding that was accepted just now.
#[derive(Debug)]
pub(crate) struct Acceptance {
    /// What was found.
    pub(crate) finding: Finding,
    /// The last day it counts.
    pub(crate) until: Option<Date>,
    /// The file that says so now.
    pub(crate) path: PathBuf,
}

/// Accepts the finding with this id: writes an `[[ignore]]` at the end of the inventory.
///
/// # Errors
/// No such finding now, with the nearest one that there is; an end that has passed; a file that
/// cannot be edited or written. The file is as it was then.
pub(crate) fn accept(
    asked: &Asked,
    id: &str,
    reason: &str,
    until: Option<Date>,
) -> Result<Acceptance> {
    if reason.trim().is_empty() {
        return Err(Fault::new("the reason is empty", "say why the finding is fine"));
    }
    if let Some(until) = until.filter(|day| *day < clock::today()) {
        return Err(Fault::new(format!("{until} has passed"), "give a day that is still to come"));
    }
    let _alone = inventory::alone(asked)?;
    let loaded = inventory::require(asked)?;
    let report = report(&loaded, asked, Vec::new())?;
    let finding = find(&report, id)?;
    write(&loaded, &IgnoreEntry::of_finding(id, reason, until))?;
    Ok(Acceptance { finding, until, path: loaded.path })
}

fn find(report: &Report, id: &str) -> Result<Finding> {
    let findings = &report.judgement.findings;
    if let Some(finding) = findings.iter().find(|f| f.id() == id) {
        return Ok(finding.clone());
    }
    if let Some(accepted) = report.judgement.accepted.iter().find(|a| a.finding.id() == id) {
        let place = &accepted.location;
        let what = format!("{id} is accepted already, at {}:{}", place.file, place.line);
        return Err(Fault::new(what, "change or take out that [[ignore]] in an editor"));
    }
    let ids: Vec<String> = findings.iter().map(Finding::id).collect();
    let hint = match nearest(id, ids.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None if ids.is_empty() => "the audit finds nothing to accept".to_owned(),
        None => format!("the ids are {}", few(&ids)),
    };
    Err(Fault::new(format!("the audit of {} finds nothing with the id {id}", report.host), hint))
}

fn few(ids: &[String]) -> String {
    let shown = ids.iter().take(SHOWN_IDS).map(String::as_str).collect::<Vec<_>>().join(", ");
    match ids.len().saturating_sub(SHOWN_IDS) {
        0 => shown,
        more => format!("{shown} and {more} more (portolan audit)"),
    }
}

/// Adds the entry to the inventory's first file.
fn write(loaded: &Loaded, entry: &IgnoreEntry) -> Result<()> {
    let shown = loaded.path.display();
    let text = loaded.inventory.files.first().map_or("", |f| f.text.as_str());
    let changed = edit::append_ignore(text, entry).map_err(|error| {
        let hint = error.hint();
        Fault::new(format!("cannot add an [[ignore]] to {shown}: {error}"), hint)
    })?;
    files::replace(&loaded.path, changed.as_bytes())
        .hinted(format!("cannot change {shown}"), "nothing was changed")
}

/// More ids than this are counted, not listed.
const SHOWN_IDS: usize = 8;
