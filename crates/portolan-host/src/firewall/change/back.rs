//! The way back: what was before a trial, what was confirmed, or no table of ours.

use std::time::Duration;

use crate::firewall::adopt::adopt;
use crate::firewall::caller::CallerInfo;
use crate::firewall::edits::{self, Undone};
use crate::firewall::keep::{self, CONFIRMED};
use crate::firewall::place::Place;
use crate::firewall::record::{Purpose, Trial, entry, since_boot_ms, tell};
use crate::firewall::table::{self, TableError};
use crate::firewall::watchdog::TIME_OVER;

use super::apply::Loading;
use super::begin::draft;
use super::error::{ChangeError, unusable};
use super::lock;
use super::standing::{has_left_edits, trial};
use super::trial_files::{self, BEFORE};

/// What a rollback brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Back {
    /// What was before this trial.
    Before(Box<Trial>),
    /// What was confirmed last, in the place of something else.
    Confirmed,
    /// No table of ours: nothing was ever confirmed.
    Nothing,
    /// Files that a trial edited which is over; what was confirmed was loaded already.
    Edits,
    /// What is loaded at boot: it was not what was confirmed.
    Boot,
    /// Files that a trial edited which is over, and not all of them: [`left_edits`](super::left_edits) says which are left.
    NotAllEdits,
}

/// Brings back what was before the trial; where none is known, what was confirmed, or no table of ours.
///
/// # Errors
/// Where nothing is on trial and what was confirmed is loaded, or it cannot be done.
pub fn roll_back(place: &Place, caller: &CallerInfo) -> Result<Back, ChangeError> {
    let _lock = lock(place)?;
    keep::settle(place);
    if let Ok(Some(trial)) = Trial::read(place) {
        bring_back(place, &trial, before(place, &trial).as_deref(), caller, "asked for")?;
        return Ok(Back::Before(Box::new(trial)));
    }
    let live = table::listing()?;
    let kept = keep::rules(place).map_err(|source| unusable(place, source))?;
    let undone = match has_left_edits(place) {
        true => edits::undo(place),
        false => Undone::Nothing,
    };
    let no_more = match undone {
        Undone::All => Ok(Back::Edits),
        Undone::NotAll => Ok(Back::NotAllEdits),
        Undone::Nothing => Err(ChangeError::NoTrial),
    };
    let back = match (&live, &kept) {
        (None, None) => return no_more,
        (Some(live), Some(kept)) if keep::difference(place, live).is_none() => {
            return if keep::settle_boot(place, kept)? { Ok(Back::Boot) } else { no_more };
        }
        (_, Some(kept)) => {
            keep::reload(place, kept, live.as_deref())?;
            keep::settle_boot(place, kept)?;
            Back::Confirmed
        }
        (Some(_), None) => {
            table::delete()?;
            Back::Nothing
        }
    };
    trial_files::remove(place);
    let record = draft(Purpose::Apply, &Loading::nothing(*caller), since_boot_ms(), false);
    let _ = tell(place, &entry("rolled-back", &record, caller, "not what was confirmed"));
    Ok(back)
}

/// Ends a trial that nobody watches any more: what was before comes back, or it is kept where it was
/// confirmed already. Whether files that it edited are as they were again.
///
/// # Errors
/// When it cannot be looked at.
pub fn recover(place: &Place) -> Result<bool, ChangeError> {
    if abandoned(place)?.is_none() {
        return Ok(false);
    }
    let _lock = lock(place)?;
    let Some(trial) = abandoned(place)? else { return Ok(false) };
    if keep::is_committed(place, &trial.token)
        && keep::complete(place, &trial, &trial.caller).is_ok()
    {
        return Ok(false);
    }
    let (before, has_edits) = (before(place, &trial), edits::are_kept(place));
    bring_back(place, &trial, before.as_deref(), &trial.caller, "the watchdog is gone")?;
    Ok(has_edits)
}

/// The same where nobody watches any more.
fn abandoned(place: &Place) -> Result<Option<Trial>, ChangeError> {
    Ok(trial(place)?.filter(|trial| !trial.is_watched()))
}

/// Loads what was `before` the trial, and ends it. Called with the lock held. What cannot be loaded any
/// more leaves no table of ours behind: nobody is locked out by what nobody confirmed.
///
/// # Errors
/// When the rules on trial are still loaded: the trial goes on then, for whoever tries again.
pub(in crate::firewall) fn bring_back(
    place: &Place,
    trial: &Trial,
    before: Option<&str>,
    caller: &CallerInfo,
    why: &str,
) -> Result<(), TableError> {
    let entry = match restore(trial, before) {
        Ok(()) if trial.purpose == Purpose::Off => {
            let why = if why == TIME_OVER { "the time is over" } else { why };
            entry("back", trial, caller, why)
        }
        Ok(()) => entry("rolled-back", trial, caller, why),
        Err(error) => {
            table::delete()?;
            entry("failed", trial, caller, &format!("{why}; {error}; our table is removed instead"))
        }
    };
    edits::undo(place);
    // Whoever waits for the end of the trial looks into the log then.
    let _ = tell(place, &entry);
    let _ = Trial::end(place);
    trial_files::remove(place);
    Ok(())
}

fn restore(trial: &Trial, before: Option<&str>) -> Result<(), TableError> {
    let Some(before) = before else { return table::delete() };
    let age = Duration::from_millis(since_boot_ms().saturating_sub(trial.before_ms));
    let live = table::listing()?;
    // While there were no rules nothing may have been tracked.
    adopt(&[]);
    // Once more without what is there, should that be in the way.
    table::replace(before, live.as_deref(), Some(age)).or_else(|_| {
        table::delete()?;
        table::replace(before, None, Some(age))
    })
}

/// What was loaded before the trial; `None` where there was nothing. Where it is lost, what was
/// confirmed.
pub(in crate::firewall) fn before(place: &Place, trial: &Trial) -> Option<String> {
    if !trial.has_before {
        return None;
    }
    place.read(BEFORE).ok().flatten().or_else(|| place.read(CONFIRMED).ok().flatten())
}

/// Why what was before comes back when the folder was emptied.
pub(in crate::firewall) const RECORD_LOST: &str = "the record of the trial was lost";
