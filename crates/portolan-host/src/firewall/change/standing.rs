//! How things stand: what is loaded, on trial, confirmed and loaded at boot, and what of a trial is left.

use std::io;

use portolan_core::firewall::gate_token;

use crate::firewall::boot::{self, BootState};
use crate::firewall::edits::{self, LeftEdit};
use crate::firewall::keep;
use crate::firewall::place::Place;
use crate::firewall::record::{self, LogEntry, Trial};
use crate::firewall::table;

use super::error::{ChangeError, unusable};

/// How things stand.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Our table as it is loaded; `None` where there is none.
    pub table: Option<String>,
    /// What is on trial.
    pub trial: Option<Trial>,
    /// The rules that were confirmed last; `None` where none were, or the firewall was put off.
    pub confirmed: Option<String>,
    /// How what is loaded differs from what was confirmed; `None` where it does not, where nothing was
    /// confirmed, nothing is loaded, or something is on trial.
    pub difference: Option<String>,
    /// Whether what is loaded was on trial, and nothing remembers that.
    pub is_orphan: bool,
    /// A trial, or a pause, that ended with the machine, as long as nothing was changed since.
    pub ended_with_machine: Option<Trial>,
    /// Which files are as a trial edited them although it is over.
    pub left_edits: Vec<LeftEdit>,
    /// Whether rules are loaded at boot.
    pub boot: BootState,
    /// Whether that is not what was confirmed.
    pub boot_differs: bool,
    /// The last lines of the log.
    pub log: Vec<LogEntry>,
}

/// How things stand at `place`.
///
/// # Errors
/// When they cannot be seen.
pub fn standing(place: &Place) -> Result<Standing, ChangeError> {
    let read = || -> io::Result<_> {
        Ok((Trial::read(place)?, keep::rules(place)?, record::log(place, LOG_SHOWN)?))
    };
    let (trial, confirmed, log) = read().map_err(|source| unusable(place, source))?;
    let table = table::listing()?;
    let settled = table.as_deref().filter(|_| trial.is_none());
    let difference =
        settled.filter(|_| confirmed.is_some()).and_then(|live| keep::difference(place, live));
    let is_orphan = settled.and_then(gate_token).is_some();
    let (boot, left_edits) = (boot::state(place), left_edits(place));
    let ended_with_machine = Trial::of_earlier_boot(place);
    let is_other_at_boot = |rules: &str| boot::differs(place, rules);
    let boot_differs = trial.is_none() && confirmed.as_deref().is_some_and(is_other_at_boot);
    Ok(Standing {
        table,
        trial,
        confirmed,
        difference,
        is_orphan,
        ended_with_machine,
        left_edits,
        boot,
        boot_differs,
        log,
    })
}

/// What is on trial, or away for a while; `None` where nothing is.
///
/// # Errors
/// When it cannot be looked at.
pub fn trial(place: &Place) -> Result<Option<Trial>, ChangeError> {
    Trial::read(place).map_err(|source| unusable(place, source))
}

/// Which files are as a trial edited them although it is over.
#[must_use]
pub fn left_edits(place: &Place) -> Vec<LeftEdit> {
    if has_left_edits(place) { edits::left(place) } else { Vec::new() }
}

/// Whether files are as a trial edited them although it is over, unconfirmed: it ended with the machine and
/// nobody was left to take that back, or it could not be taken back.
#[must_use]
pub fn has_left_edits(place: &Place) -> bool {
    let is_over = Trial::read(place).is_ok_and(|trial| trial.is_none());
    is_over && edits::are_kept(place) && !keep::is_anything_committed(place)
}

const LOG_SHOWN: usize = 10;
