//! Letting somebody in to a port, or no longer: an edit of the inventory, which stays the truth.
//!
//! A service that has nothing but ports asked for, on exactly this host, is changed in its `from`; for
//! those that none has, one is written. A service that is more than that keeps its `from`, for what was
//! asked for is less: one for these ports is written beside it, and where it was only observed they are
//! taken out of it.

mod deny;
mod let_in;
mod services;
mod until;
mod write;

use std::path::PathBuf;

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::inventory::{Host, Inventory, Service};
use portolan_core::socket::Machine;
use portolan_host::machine;

use super::entries::Entry;
use crate::fault::Fault;
use crate::ops::inventory::edit::{Draft, Set};
use crate::ops::inventory::{self, Asked};

pub(crate) use deny::deny;
pub(crate) use let_in::allow;
pub(crate) use until::{from_now, to_come};

/// What is to be changed in the inventory; nothing is written yet.
#[derive(Debug)]
pub(crate) struct Edited {
    /// The host.
    pub(crate) host: String,
    /// The change, with the inventory as it is going to be.
    pub(crate) draft: Draft,
    /// What becomes of what it has on these ports, at least one thing.
    pub(crate) done: Vec<Done>,
    /// What lets the denied in all the same.
    pub(crate) still: Vec<String>,
}

/// What becomes of a service.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    /// The file.
    pub(crate) path: PathBuf,
    /// The service; for a block the ports.
    pub(crate) service: String,
    /// What became of it.
    pub(crate) change: Change,
    /// When it ends.
    pub(crate) until: Option<Timestamp>,
    /// When it ended as it was before, where it was for a while already.
    pub(crate) was_until: Option<Timestamp>,
    /// What said so already.
    pub(crate) already: Vec<Entry>,
}

/// The same in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was written.
    Written,
    /// Its `from` is another one.
    Changed,
    /// It was only observed; now it is approved, for the source asked for alone.
    Approved,
    /// It said so already.
    Unchanged,
    /// A block was written.
    Refused,
    /// It lets nobody of these in anyway.
    NotLetIn,
    /// It is only observed, and lets nobody in.
    OnlyObserved,
    /// It was only observed; these ports are another service's now.
    TakenOut,
    /// Nothing lets anybody in there.
    NotDeclared,
}

impl Change {
    /// Whether nothing had to be done.
    const fn is_none(self) -> bool {
        matches!(self, Self::Unchanged | Self::NotLetIn | Self::OnlyObserved)
    }
}

/// The inventory, this host in it, and the machine that reads it.
struct Here {
    inventory: Inventory,
    host: Host,
    machine: Machine,
}

fn here(asked: &Asked) -> Result<Here> {
    let observed = inventory::load(asked)?;
    if observed.value.is_none() && observed.gaps.is_empty() {
        return Err(Fault::new("there is no inventory here: nothing was changed", DRAFT_ONE));
    }
    let loaded = inventory::require(asked)?;
    let machine = machine::read().value;
    let host = loaded.inventory.identify(&machine, asked.host.as_deref());
    let host = host.map_err(|error| Fault::new(error.to_string(), error.hint()))?.clone();
    Ok(Here { inventory: loaded.inventory, host, machine })
}

const DRAFT_ONE: &str = "draft one of what listens now, look through it, then allow: sudo portolan \
                         inventory init --inventory /etc/portolan/portolan.toml";

/// A service that is not to be changed.
fn untouched(draft: &mut Draft, service: &Service, change: Change) -> Result<Done> {
    let set = draft.change(&key(service, "from"), |text| Ok(text.to_owned()))?;
    Ok(Done { change, ..edited(service, set) })
}

fn edited(service: &Service, set: Set) -> Done {
    let change = if set.changed { Change::Changed } else { Change::Unchanged };
    changed(set.path, service.name.clone(), change)
}

fn changed(path: PathBuf, service: String, change: Change) -> Done {
    Done { path, service, change, until: None, was_until: None, already: Vec::new() }
}

/// Entries, each with its place.
fn places(entries: &[Entry]) -> String {
    let one = |Entry { source, file, line }: &Entry| format!("`{source}` ({file}:{line})");
    entries.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn key(service: &Service, key: &str) -> String {
    let bare = service.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    match bare {
        true => format!("services.{}.{key}", service.name),
        false => format!("services.{:?}.{key}", service.name),
    }
}
