//! The changes themselves: apply, confirm, roll back, off.
//!
//! Every one is made with the lock held, ends with a line in the log, and leaves either what was before
//! or what was asked for. Where what was before cannot be loaded again, our table is removed: rules that
//! nobody could confirm must not stay.

use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

use portolan_core::firewall::{Doubt, confirms};

use crate::{clock, random};

use super::boot::{self, BootState};
use super::caller::CallerInfo;
use super::place::{Lock, Place};
use super::record::{self, LogEntry, Purpose, Trial, boot, entry, since_boot_ms, tell};
use super::table::{self, TableError};
use super::watchdog::{self, TIME_OVER};

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
    #[error("change table inet portolan")]
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
    /// There is no table of ours.
    #[error("there is no table inet portolan")]
    NoTable,
}

/// What is to be loaded.
#[derive(Clone, Copy, Debug)]
pub struct Loading<'l> {
    /// The table, as nft reads it.
    pub script: &'l str,
    /// The identity of the policy.
    pub policy: &'l str,
    /// The inventory it was made of.
    pub inventory: &'l str,
    /// How long it may stay unconfirmed.
    pub timeout: Duration,
    /// Who asks.
    pub caller: CallerInfo,
}

/// Rules that are on trial now.
#[derive(Clone, Debug)]
pub struct Applied {
    place: Place,
    /// The trial.
    pub trial: Trial,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody confirmed it.
    Confirmed,
    /// What was before is back.
    RolledBack {
        /// Why.
        why: String,
    },
    /// Another apply took over.
    TakenOver,
}

/// What was confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The trial.
    pub trial: Trial,
    /// Whether it is loaded at boot.
    pub boot: BootState,
}

/// How things stand.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Our table as it is loaded; `None` where there is none.
    pub table: Option<String>,
    /// What is on trial.
    pub trial: Option<Trial>,
    /// The rules that were confirmed last; `None` where none were, or the firewall was put off.
    pub confirmed: Option<String>,
    /// Whether rules are loaded at boot.
    pub boot: BootState,
    /// The last lines of the log.
    pub log: Vec<LogEntry>,
}

/// How things stand at `place`.
///
/// # Errors
/// When they cannot be seen.
pub fn standing(place: &Place) -> Result<Standing, ChangeError> {
    let read = || -> io::Result<_> {
        Ok((Trial::read(place)?, place.read(CONFIRMED)?, record::log(place, LOG_SHOWN)?))
    };
    let (trial, confirmed, log) = read().map_err(|source| unusable(place, source))?;
    Ok(Standing { table: table::listing()?, trial, confirmed, boot: boot::state(place), log })
}

/// Loads rules on trial: what is loaded is kept, a watchdog started, and the table replaced in one
/// transaction. What was kept for an earlier trial that is not confirmed stays what comes back.
///
/// # Errors
/// Why not; what was loaded still is.
pub fn apply(place: &Place, loading: &Loading<'_>) -> Result<Applied, ChangeError> {
    let _lock = lock(place)?;
    let live = table::listing()?;
    let mut trial = begin(place, Purpose::Apply, live.as_deref(), loading)?;
    place.write(NEW, loading.script.as_bytes()).map_err(|source| unusable(place, source))?;
    watch(place, &mut trial)?;
    if let Err(error) = table::replace(loading.script, live.as_deref(), None) {
        let failure = error.to_string();
        bring_back(place, &trial, &loading.caller, &failure);
        return Err(error.into());
    }
    // The time counts from when the rules are there.
    trial.applied_ms = since_boot_ms();
    trial.deadline_ms = end_of(loading.timeout);
    if let Err(source) = trial.write(place) {
        bring_back(place, &trial, &loading.caller, "the state folder cannot be written");
        return Err(unusable(place, source));
    }
    let _ = tell(place, &entry("applied", &trial, &loading.caller, loading.inventory));
    Ok(Applied { place: place.clone(), trial })
}

impl Applied {
    /// Looks whether the trial has ended; brings back what was before where nobody watches any more.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn outcome(&self) -> io::Result<Option<Outcome>> {
        match Trial::read(&self.place)? {
            Some(trial) if trial.token == self.trial.token => {
                let grace = trial.deadline_ms.saturating_add(WATCHDOG_IS_LATE);
                if !trial.is_watched() || since_boot_ms() > grace {
                    self.roll_back("the watchdog is gone");
                }
                Ok(None)
            }
            Some(_) => Ok(Some(Outcome::TakenOver)),
            None => Ok(Some(self.ended()?)),
        }
    }

    /// Waits until the trial has ended, or `stop` says so.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn wait(&self, mut stop: impl FnMut(&Trial) -> bool) -> io::Result<Option<Outcome>> {
        loop {
            if let Some(outcome) = self.outcome()? {
                return Ok(Some(outcome));
            }
            if stop(&self.trial) {
                return Ok(None);
            }
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// Brings back what was before, unless the trial has ended already.
    pub fn roll_back(&self, why: &str) {
        let _lock = self.place.lock(PATIENCE);
        if let Ok(Some(trial)) = Trial::read(&self.place)
            && trial.token == self.trial.token
        {
            bring_back(&self.place, &trial, &trial.caller, why);
        }
    }

    /// What the log says of it.
    fn ended(&self) -> io::Result<Outcome> {
        let log = record::log(&self.place, usize::MAX)?;
        let of_it = |e: &&LogEntry| e.token == self.trial.token && e.what != "applied";
        Ok(match log.iter().rev().find(of_it) {
            Some(entry) if entry.what == "confirmed" => Outcome::Confirmed,
            Some(entry) => Outcome::RolledBack { why: entry.detail.clone() },
            // Nothing ends a trial without a word of its own but `off`, and that takes all away.
            None => Outcome::RolledBack { why: "the firewall was put off".to_owned() },
        })
    }
}

/// Keeps what is on trial, also at boot.
///
/// # Errors
/// Where nothing is on trial, or the confirmation proves nothing.
pub fn confirm(place: &Place, caller: &CallerInfo) -> Result<Confirmed, ChangeError> {
    let _lock = lock(place)?;
    let trial = current(place)?.ok_or(ChangeError::NoTrial)?;
    if trial.purpose == Purpose::Off {
        return Err(ChangeError::IsOff);
    }
    if let Err(doubt) = confirms(&caller.caller, &trial.caller.caller, trial.applied_ms) {
        let _ = tell(place, &entry("refused", &trial, caller, doubt_word(doubt)));
        return Err(ChangeError::Doubtful(doubt));
    }
    let keep = || -> io::Result<()> {
        let rules = place.read(NEW)?.unwrap_or_default();
        boot::enable(place, &rules)?;
        place.write(CONFIRMED, rules.as_bytes())?;
        // Whoever waits for the end of the trial looks into the log then.
        tell(place, &entry("confirmed", &trial, caller, &trial.inventory))?;
        // From here on it counts.
        Trial::end(place)
    };
    keep().map_err(|source| unusable(place, source))?;
    for name in TRIAL_FILES {
        let _ = place.remove(name);
    }
    Ok(Confirmed { trial, boot: boot::state(place) })
}

/// Brings back what was before the trial.
///
/// # Errors
/// Where nothing is on trial.
pub fn roll_back(place: &Place, caller: &CallerInfo) -> Result<Trial, ChangeError> {
    let _lock = lock(place)?;
    let trial = current(place)?.ok_or(ChangeError::NoTrial)?;
    bring_back(place, &trial, caller, "asked for");
    Ok(trial)
}

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
    let live = table::listing()?;
    if pause.is_some() && live.is_none() {
        return Err(ChangeError::NoTable);
    }
    let loading = Loading {
        script: "",
        policy: "",
        inventory: "",
        timeout: pause.unwrap_or_default(),
        caller: *caller,
    };
    let Some(_) = pause else {
        let record = draft(Purpose::Off, &loading, since_boot_ms());
        let remove = || -> io::Result<()> {
            boot::disable(place)?;
            [TRIAL_FILES, &[CONFIRMED]].concat().iter().try_for_each(|name| place.remove(name))
        };
        table::delete()?;
        remove().map_err(|source| unusable(place, source))?;
        let _ = tell(place, &entry("off", &record, caller, "for good"));
        return Ok(None);
    };
    let mut trial = begin(place, Purpose::Off, live.as_deref(), &loading)?;
    watch(place, &mut trial)?;
    if let Err(error) = table::delete() {
        bring_back(place, &trial, caller, &error.to_string());
        return Err(error.into());
    }
    let _ = tell(place, &entry("off", &trial, caller, "for a while"));
    Ok(Some(trial))
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

/// Ends a trial that nobody watches any more: what was before comes back. Whether there was one.
///
/// # Errors
/// When it cannot be looked at.
pub fn recover(place: &Place) -> Result<bool, ChangeError> {
    let trial = Trial::read(place).map_err(|source| unusable(place, source))?;
    if trial.is_none_or(|trial| trial.is_watched()) {
        return Ok(false);
    }
    let _lock = lock(place)?;
    let abandoned = Trial::read(place).map_err(|source| unusable(place, source))?;
    let Some(trial) = abandoned.filter(|trial| !trial.is_watched()) else { return Ok(false) };
    bring_back(place, &trial, &trial.caller, "the watchdog is gone");
    Ok(true)
}

/// Loads what was before the trial, and ends it. Called with the lock held. What cannot be loaded any
/// more leaves no table of ours behind: nobody is locked out by what nobody confirmed.
pub(super) fn bring_back(place: &Place, trial: &Trial, caller: &CallerInfo, why: &str) {
    let restored = restore(place, trial);
    let entry = match &restored {
        Ok(()) if trial.purpose == Purpose::Off => entry("back", trial, caller, why),
        Ok(()) => entry("rolled-back", trial, caller, why),
        Err(error) => {
            let removed = if table::delete().is_ok() { "removed instead" } else { "still there" };
            entry("failed", trial, caller, &format!("{why}; {error}; our table is {removed}"))
        }
    };
    // Whoever waits for the end of the trial looks into the log then.
    let _ = tell(place, &entry);
    let _ = Trial::end(place);
    for name in TRIAL_FILES {
        let _ = place.remove(name);
    }
}

fn restore(place: &Place, trial: &Trial) -> Result<(), TableError> {
    let Ok(Some(before)) = place.read(BEFORE) else { return table::delete() };
    let age = Duration::from_millis(since_boot_ms().saturating_sub(trial.before_ms));
    let live = table::listing()?;
    // Once more without what is there, should that be in the way.
    table::replace(&before, live.as_deref(), Some(age)).or_else(|_| {
        table::delete()?;
        table::replace(&before, None, Some(age))
    })
}

/// Writes down a trial that is about to begin, and what was before it.
fn begin(
    place: &Place,
    purpose: Purpose,
    live: Option<&str>,
    loading: &Loading<'_>,
) -> Result<Trial, ChangeError> {
    let keep = || -> io::Result<Trial> {
        let pending = Trial::read(place)?;
        let before_ms = match &pending {
            Some(earlier) => earlier.before_ms,
            None => {
                match live {
                    Some(text) => place.write(BEFORE, text.as_bytes())?,
                    None => place.remove(BEFORE)?,
                }
                since_boot_ms()
            }
        };
        let trial = draft(purpose, loading, before_ms);
        trial.write(place)?;
        Ok(trial)
    };
    keep().map_err(|source| unusable(place, source))
}

fn draft(purpose: Purpose, loading: &Loading<'_>, before_ms: u64) -> Trial {
    let token: [u8; 8] = random::bytes();
    Trial {
        purpose,
        token: token.iter().map(|byte| format!("{byte:02x}")).collect(),
        at: clock::now(),
        applied_ms: since_boot_ms(),
        deadline_ms: end_of(loading.timeout),
        boot: boot(),
        before_ms,
        policy: loading.policy.to_owned(),
        inventory: loading.inventory.to_owned(),
        caller: loading.caller,
        watchdog: None,
    }
}

/// Has the trial watched from here on. Where that cannot be, it never began.
fn watch(place: &Place, trial: &mut Trial) -> Result<(), ChangeError> {
    let watched = watchdog::start(place, trial).and_then(|watchdog| {
        trial.watchdog = Some((watchdog.pid, watchdog.start_ticks));
        trial.write(place)
    });
    watched.map_err(|error| {
        // An earlier trial that it took over from comes to its end with it.
        bring_back(place, trial, &trial.caller, "the watchdog could not be started");
        ChangeError::Watchdog(error)
    })
}

/// The trial that is going on; one whose time is over and that nobody watches comes to its end first.
fn current(place: &Place) -> Result<Option<Trial>, ChangeError> {
    let trial = Trial::read(place).map_err(|source| unusable(place, source))?;
    if let Some(trial) = &trial
        && !trial.is_watched()
        && since_boot_ms() > trial.deadline_ms
    {
        bring_back(place, trial, &trial.caller, TIME_OVER);
        return Ok(None);
    }
    Ok(trial)
}

fn lock(place: &Place) -> Result<Lock, ChangeError> {
    place.lock(PATIENCE).map_err(|source| unusable(place, source))
}

fn unusable(place: &Place, source: io::Error) -> ChangeError {
    ChangeError::Place { path: place.state().display().to_string(), source }
}

fn end_of(timeout: Duration) -> u64 {
    since_boot_ms().saturating_add(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))
}

const fn doubt_word(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::SameConnection => "same connection",
        Doubt::Older => "older than the rules",
        Doubt::NoConnection => "no connection",
    }
}

/// What was loaded before the trial, as nft listed it.
const BEFORE: &str = "before.nft";
/// What is on trial.
const NEW: &str = "trial.nft";
/// What was confirmed.
const CONFIRMED: &str = "confirmed.nft";
/// What a trial leaves behind.
const TRIAL_FILES: &[&str] = &["trial", BEFORE, NEW, "watchdog"];

const PATIENCE: Duration = Duration::from_secs(2);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
const LOG_SHOWN: usize = 10;

/// Milliseconds after which a watchdog that still runs is taken for one that hangs.
const WATCHDOG_IS_LATE: u64 = 30_000;
