//! What differs between the inventory and this machine, and what to do about each difference; with
//! a probe also what the other hosts of the inventory answer to this one.
//!
//! Brings together what core judges by: the inventory, which of its hosts this is, the listeners
//! with their owners, the machine's settings and the registry's notes. Accepting a finding is the
//! one thing here that writes, and it writes the inventory whole or not at all.

mod probe;

use std::path::PathBuf;

use anyhow::Result;
use jiff::civil::Date;
use portolan_core::audit::{self, Drift, Finding, Judgement, Opening, Scene, WireScene};
use portolan_core::inventory::edit::{self, IgnoreEntry};
use portolan_core::inventory::{Host, IdentifyError, Inventory};
use portolan_core::net::{Gap, Severity, nearest};
use portolan_core::registry::Registry;
use portolan_core::socket::{Machine, SocketTable};
use portolan_host::processes::Details;
use portolan_host::{clock, files, machine};

use crate::fault::{Fault, Hinted as _};
use crate::ops::inventory::{Asked, Intent, Loaded};
use crate::ops::{firewall, inventory, reach, registry, sockets};
pub(crate) use probe::Probed;

/// Which other hosts are asked over the wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probing {
    /// Their names in the inventory; empty means all.
    pub(crate) hosts: Vec<String>,
}

/// An audit of this machine.
#[derive(Debug)]
pub(crate) struct Report {
    /// The host of the inventory this machine is; its own name where it is none of them and was
    /// only a vantage.
    pub(crate) host: String,
    /// The inventory's file as a person would write it.
    pub(crate) inventory: String,
    /// What was found, what was accepted, and what is worth a sentence.
    pub(crate) judgement: Judgement,
    /// How many ports listen here.
    pub(crate) listening: usize,
    /// How many services are declared here.
    pub(crate) services: usize,
    /// What was asked over the wire; `None` where nothing was to be.
    pub(crate) probed: Option<Probed>,
    /// Whether the rules of the firewall could be read.
    pub(crate) saw_rules: bool,
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

/// Audits this machine against its inventory, and with `probing` what other hosts answer.
///
/// # Errors
/// No inventory, a broken one, or one that does not know this machine; probes that cannot be sent.
pub(crate) fn run(asked: &Asked, probing: Option<&Probing>) -> Result<Report> {
    let found = inventory::load(asked)?;
    let Some(loaded) = found.value else {
        return inventory::require(asked)
            .and_then(|loaded| report(&loaded, asked, probing, Vec::new()));
    };
    report(&loaded, asked, probing, found.gaps)
}

fn report(
    loaded: &Loaded,
    asked: &Asked,
    probing: Option<&Probing>,
    mut gaps: Vec<Gap>,
) -> Result<Report> {
    let inventory = &loaded.inventory;
    let machine = machine::read().into_value(&mut gaps);
    let here = match inventory.identify(&machine, asked.host.as_deref()) {
        Err(IdentifyError::NoMatch { .. }) if probing.is_some() => None,
        found => Some(found.map_err(|error| {
            let hint = error.hint();
            Fault::new(error.to_string(), hint)
        })?),
    };
    let mut report = match here {
        Some(host) => this_machine((asked, inventory), host, &machine, &mut gaps)?,
        None => nowhere(inventory, &machine),
    };
    if let Some(probing) = probing {
        let hosts = hosts(inventory, probing)?;
        let probed = probe::look(inventory, here, &hosts, &machine)?.into_value(&mut gaps);
        let sights = &probed.sights;
        let scene = WireScene { inventory, machine: &machine, here, sights, now: clock::now() };
        report.judgement.merge(audit::judge_wire(&scene));
        report.probed = Some(probed);
    }
    gaps.append(&mut report.judgement.gaps);
    Ok(Report { gaps, ..report })
}

fn this_machine(
    (asked, inventory): (&Asked, &Inventory),
    host: &Host,
    machine: &Machine,
    gaps: &mut Vec<Gap>,
) -> Result<Report> {
    let request = sockets::Request::listeners(Details::Full);
    let table = sockets::observe(&request)?.into_value(gaps);
    let registry = registry::load().into_value(gaps);
    // Names for addresses are of no use here: findings say the addresses.
    let reaches = reach::chart::chart(&table, machine, &Intent::None, gaps);
    let openings = reaches.openings();
    let drifts = firewall::prove::drifts(asked, gaps);
    let services = inventory.services.iter().filter(|s| host.is_meant_by(&s.on));
    Ok(Report {
        host: host.name.clone(),
        inventory: path(inventory),
        judgement: judge(inventory, host, &table, machine, &registry, (&openings, &drifts)),
        saw_rules: reaches.rules.is_some(),
        listening: audit::Listening::all(&table).len(),
        services: services.count(),
        probed: None,
        gaps: Vec::new(),
    })
}

/// A vantage alone: this machine is none of the inventory's hosts.
fn nowhere(inventory: &Inventory, machine: &Machine) -> Report {
    let note = format!(
        "{} is none of the inventory's hosts: only the others were asked, over the wire",
        machine.hostname
    );
    Report {
        host: machine.hostname.clone(),
        inventory: path(inventory),
        judgement: Judgement { notes: vec![note], ..Judgement::default() },
        listening: 0,
        services: 0,
        saw_rules: false,
        probed: None,
        gaps: Vec::new(),
    }
}

fn path(inventory: &Inventory) -> String {
    inventory.files.first().map_or(String::new(), |f| f.path.clone())
}

/// The hosts that are asked for, by name or alias; all where none is named.
fn hosts<'a>(inventory: &'a Inventory, probing: &Probing) -> Result<Vec<&'a Host>> {
    if probing.hosts.is_empty() {
        return Ok(inventory.hosts.iter().collect());
    }
    let unknown = Machine::default();
    let named = probing.hosts.iter().map(|name| {
        inventory.identify(&unknown, Some(name)).map_err(|error| {
            let hint = error.hint();
            Fault::new(error.to_string(), hint)
        })
    });
    named.collect()
}

/// What core finds today in what was read.
pub(crate) fn judge(
    inventory: &Inventory,
    host: &Host,
    sockets: &SocketTable,
    machine: &Machine,
    registry: &Registry,
    (openings, drifts): (&[Opening], &[Drift]),
) -> Judgement {
    let now = clock::now();
    audit::judge(&Scene { inventory, host, sockets, machine, registry, openings, drifts, now })
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
    probing: Option<&Probing>,
) -> Result<Acceptance> {
    if reason.trim().is_empty() {
        return Err(Fault::new("the reason is empty", "say why the finding is fine"));
    }
    if let Some(until) = until.filter(|day| *day < clock::today()) {
        return Err(Fault::new(format!("{until} has passed"), "give a day that is still to come"));
    }
    let _alone = inventory::alone(asked)?;
    let loaded = inventory::require(asked)?;
    let report = report(&loaded, asked, probing, Vec::new())?;
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
        None if report.probed.is_none() => {
            format!("the ids are {}; those of other hosts need --probe here too", few(&ids))
        }
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
