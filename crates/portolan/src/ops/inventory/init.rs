//! Drafting an inventory of this machine, or adding to one what it lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use portolan_core::audit::{self, Opening, Rule};
use portolan_core::inventory::draft::{Draft, HostDraft, Observation};
use portolan_core::inventory::{IdentifyError, Inventory, edit, file};
use portolan_core::net::{Gap, Observed, Port, PortSet, Transport};
use portolan_core::registry::Registry;
use portolan_core::socket::{Machine, SocketTable};
use portolan_host::processes::Details;
use portolan_host::{clock, files};

use super::Intent;
use super::load;
use super::load::Asked;
use crate::fault::{Fault, Hinted as _};
use crate::ops;

/// What was found, and where it was written.
#[derive(Debug)]
pub(crate) struct Report {
    /// The file.
    pub(crate) path: PathBuf,
    /// What was done to it.
    pub(crate) outcome: Outcome,
    /// What was written.
    pub(crate) draft: Draft,
}

/// What was done to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is new.
    Created,
    /// Something was added to it.
    Added,
    /// It lacked nothing.
    Unchanged,
}

/// Writes a draft of this machine; with `merge`, adds to a file that is there what it lacks.
///
/// # Errors
/// A file that is there and is not to be added to; one that cannot be read, written or edited.
pub(crate) fn init(asked: &Asked, merge: bool) -> Result<Observed<Report>> {
    let path = load::named(asked).unwrap_or_else(|| PathBuf::from("portolan.toml"));
    let exists = fs::symlink_metadata(&path).is_ok();
    if exists && !merge {
        let message = format!("{} is already there", path.display());
        return Err(Fault::new(message, "portolan inventory init --merge adds what is new to it"));
    }
    let mut gaps = Vec::new();
    let scene = Scene::observe(&mut gaps)?;
    let report = if exists { scene.merge(asked, path) } else { scene.create(asked, path) }?;
    Ok(Observed { value: report, gaps })
}

/// This machine as it is now.
struct Scene {
    sockets: SocketTable,
    machine: Machine,
    registry: Registry,
    openings: Vec<Opening>,
    /// Ports that are sent on to others who get in.
    sent_on: Vec<(Port, Transport)>,
    now: Timestamp,
}

impl Scene {
    fn observe(gaps: &mut Vec<Gap>) -> Result<Self> {
        let request = ops::sockets::Request::listeners(Details::Full);
        let sockets = ops::sockets::observe(&request)?.into_value(gaps);
        let machine = portolan_host::machine::read().into_value(gaps);
        // What cannot be seen of the rules takes nothing from what listens.
        let mut aside = Vec::new();
        let reaches = ops::reach::chart::chart(&sockets, &machine, &Intent::None, &mut aside);
        let openings = reaches.openings();
        let sent = openings.iter().filter(|o| o.sent_to.is_some() && o.is_open());
        Ok(Self {
            sent_on: sent.map(|o| (o.port, o.transport)).collect(),
            openings,
            sockets,
            machine,
            registry: ops::registry::load().into_value(gaps),
            now: clock::now(),
        })
    }

    fn today(&self) -> Date {
        self.now.to_zoned(TimeZone::UTC).date()
    }

    fn seen(&self) -> Observation<'_> {
        Observation {
            sockets: &self.sockets,
            machine: &self.machine,
            registry: &self.registry,
            sent_on: &self.sent_on,
        }
    }

    fn create(&self, asked: &Asked, path: PathBuf) -> Result<Report> {
        let draft = Draft::of(&self.seen(), asked.host.as_deref());
        let text = draft.file(self.today());
        // Only a name from the command line can make it another than valid.
        file::parse(&path.to_string_lossy(), text.as_bytes()).map_err(|refused| {
            let why = refused.problems.first().map_or("", |p| p.message.as_str()).to_owned();
            Fault::new(format!("`{}` is no name for a host: {why}", draft.host), "choose another")
        })?;
        files::replace(&path, text.as_bytes())
            .hinted("nothing was written", "name a place with --inventory FILE")?;
        Ok(Report { path, outcome: Outcome::Created, draft })
    }

    fn merge(&self, asked: &Asked, path: PathBuf) -> Result<Report> {
        let here = Asked { inventory: Some(path.clone()), ..asked.clone() };
        let inventory = load::require(&here)?.inventory;
        let draft = self.lacking(&inventory, asked.host.as_deref())?;
        if draft.is_empty() {
            return Ok(Report { path, outcome: Outcome::Unchanged, draft });
        }
        let added = |text: &str| edit::append_text(text, &draft.addition(self.today()));
        super::edit::add(&here, added)?;
        Ok(Report { path, outcome: Outcome::Added, draft })
    }

    /// What `inventory` lacks of this machine.
    fn lacking(&self, inventory: &Inventory, named: Option<&str>) -> Result<Draft> {
        let taken = taken(inventory);
        match inventory.identify(&self.machine, named) {
            Ok(host) => {
                let unexpected = self.unexpected(inventory, host);
                let is_new = |transport: Transport, port: Port| {
                    unexpected.get(&transport).is_some_and(|ports| ports.contains(port))
                };
                Ok(Draft::of_new(&self.seen(), host.name.clone(), &taken, is_new))
            }
            Err(IdentifyError::Ambiguous { hosts }) => {
                let ambiguous = IdentifyError::Ambiguous { hosts };
                Err(Fault::new(ambiguous.to_string(), ambiguous.hint()))
            }
            Err(_) => Ok(self.another_host(inventory, named, &taken)),
        }
    }

    /// A host that the inventory does not have yet, with all that listens on it.
    fn another_host(
        &self,
        inventory: &Inventory,
        named: Option<&str>,
        taken: &BTreeSet<String>,
    ) -> Draft {
        let key = Draft::of(&self.seen(), named).host;
        let is_taken =
            |name: &str| inventory.host(name).is_some() || inventory.network(name).is_some();
        let numbered = (2..).map(|n| format!("{key}-{n}"));
        let free = std::iter::once(key.clone()).chain(numbered).find(|name| !is_taken(name));
        let key = free.unwrap_or(key);
        let draft = Draft::of_new(&self.seen(), key.clone(), taken, |_, _| true);
        Draft { table: Some(HostDraft::of(&self.machine, &key)), ..draft }
    }

    /// The ports that an audit would not expect: the same rule, so that adding them silences it.
    fn unexpected(
        &self,
        inventory: &Inventory,
        host: &portolan_core::inventory::Host,
    ) -> BTreeMap<Transport, PortSet> {
        let scene = audit::Scene {
            inventory,
            host,
            sockets: &self.sockets,
            machine: &self.machine,
            registry: &self.registry,
            openings: &self.openings,
            drifts: &[],
            now: self.now,
        };
        let findings = audit::judge(&scene).findings;
        let mut unexpected: BTreeMap<Transport, PortSet> = BTreeMap::new();
        for finding in findings.iter().filter(|f| f.rule == Rule::P101) {
            if let Some((range, transport)) = finding.subject.ports() {
                unexpected.entry(transport).or_default().insert_range(range);
            }
        }
        unexpected
    }
}

/// The names that mean something in `inventory` already.
fn taken(inventory: &Inventory) -> BTreeSet<String> {
    let services = inventory.services.iter().map(|s| &s.name);
    let others = inventory.forwards.iter().map(|f| &f.name);
    services.chain(others).chain(inventory.doors.iter().map(|d| &d.name)).cloned().collect()
}

/// How the file is named in what is to be typed next: not at all where it is found by itself.
pub(crate) fn as_option(path: &Path) -> String {
    match path.to_str() {
        Some("portolan.toml" | "./portolan.toml") => String::new(),
        _ => format!(" --inventory {}", path.display()),
    }
}
