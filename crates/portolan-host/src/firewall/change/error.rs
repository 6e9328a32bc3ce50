//! Why nothing was changed.

use std::io;

use portolan_core::firewall::Doubt;

use crate::firewall::place::Place;
use crate::firewall::record::Trial;
use crate::firewall::table::TableError;

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The folder cannot be used, or somebody else has the lock.
    #[error("use {path}")]
    Place {
        /// The folder.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The watchdog could not be started.
    #[error("start the watchdog")]
    Watchdog(#[source] io::Error),
    /// The table could not be read or changed.
    #[error("table inet portolan")]
    Table(#[from] TableError),
    /// Nothing is on trial.
    #[error("nothing is on trial")]
    NoTrial,
    /// Rules were taken away for a while; that is nothing to confirm.
    #[error("the firewall is off for a while, which is nothing to confirm")]
    IsOff,
    /// The confirmation does not count.
    #[error("the confirmation does not count")]
    Doubtful(Doubt),
    /// The table is not any more what was applied.
    #[error("the table was changed while it was on trial: {0}")]
    Changed(String),
    /// What is loaded at boot cannot be written.
    #[error("write what is loaded at boot")]
    Boot {
        /// Why.
        source: io::Error,
    },
    /// There is no table of ours.
    #[error("there is no table inet portolan")]
    NoTable,
    /// Somebody else began a trial since this one was planned.
    #[error("another trial has begun meanwhile, by {}", .0.caller)]
    Another(Box<Trial>),
    /// The time of the trial was over, and what was before it is back.
    #[error("the time was over: what was before is back")]
    Over,
    /// A file cannot be edited.
    #[error("edit the inventory")]
    Edit(#[source] io::Error),
}

pub(in crate::firewall) fn unusable(place: &Place, source: io::Error) -> ChangeError {
    ChangeError::Place { path: place.state().display().to_string(), source }
}
