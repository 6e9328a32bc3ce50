//! Our table taken away, for a while or for good, and all that is remembered of it.

use std::fs;
use std::io;
use std::time::Duration;

use crate::firewall::boot;
use crate::firewall::caller::CallerInfo;
use crate::firewall::edits;
use crate::firewall::keep::{self, KEPT_FILES};
use crate::firewall::place::Place;
use crate::firewall::record::{Purpose, Trial, entry, since_boot_ms, tell};
use crate::firewall::{table, watchdog};

use super::apply::Loading;
use super::back::{before, bring_back};
use super::begin::{begin, draft, watch};
use super::error::{ChangeError, unusable};
use super::lock;
use super::standing::trial;
use super::trial_files::TRIAL_FILES;

/// Takes our table away: for `pause` and then back, or for good, and then also at boot.
///
/// # Errors
/// Where there is no table to take away, or it cannot be.
pub fn off(
    place: &Place,
    caller: &CallerInfo,
    pause: Option<Duration>,
) -> Result<Option<Trial>, ChangeError> {
    let _lock = lock(place)?;
    keep::settle(place);
    let live = table::listing()?;
    let Some(pause) = pause else { return for_good(place, caller).map(|()| None) };
    let is_paused = trial(place)?.is_some_and(|trial| trial.purpose == Purpose::Off);
    if live.is_none() && !is_paused {
        return Err(ChangeError::NoTable);
    }
    let loading = Loading { timeout: pause, ..Loading::nothing(*caller) };
    let mut trial = begin(place, Purpose::Off, live.as_deref(), &loading)?;
    watch(place, &mut trial)?;
    if let Err(error) = table::delete() {
        let before = before(place, &trial);
        let _ = bring_back(place, &trial, before.as_deref(), caller, &error.to_string());
        return Err(error.into());
    }
    let _ = tell(place, &entry("off", &trial, caller, "for a while"));
    Ok(Some(trial))
}

fn for_good(place: &Place, caller: &CallerInfo) -> Result<(), ChangeError> {
    let record = draft(Purpose::Off, &Loading::nothing(*caller), since_boot_ms(), false);
    // Who watches must not bring anything back.
    watchdog::dismiss(place);
    edits::undo(place);
    table::delete()?;
    let remove = || -> io::Result<()> {
        boot::disable(place)?;
        [TRIAL_FILES, KEPT_FILES].concat().iter().try_for_each(|name| place.remove(name))
    };
    remove().map_err(|source| unusable(place, source))?;
    let _ = tell(place, &entry("off", &record, caller, "for good"));
    Ok(())
}

/// Removes the folder with all that is remembered, the log too.
///
/// # Errors
/// When it stays.
pub fn purge(place: &Place) -> Result<(), ChangeError> {
    match fs::remove_dir_all(place.state()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(place, error)),
        _ => {
            // Unless there is something else in it.
            let _ = place.state().parent().map(fs::remove_dir);
            Ok(())
        }
    }
}
