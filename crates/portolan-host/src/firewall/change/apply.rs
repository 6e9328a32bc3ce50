//! Rules loaded on trial, and how the trial ends.

use std::io;
use std::thread;
use std::time::Duration;

use portolan_core::wire::conntrack::Entry;

use crate::firewall::adopt::adopt;
use crate::firewall::caller::{CallerInfo, next_tick_ms};
use crate::firewall::edits::{self, Edit};
use crate::firewall::keep;
use crate::firewall::place::Place;
use crate::firewall::record::{self, LogEntry, Purpose, Trial, entry, since_boot_ms, tell};
use crate::firewall::table;

use super::back::{RECORD_LOST, before, bring_back};
use super::begin::{begin, end_of, watch};
use super::error::{ChangeError, unusable};
use super::trial_files::{NEW, NEW_LISTED};
use super::{PATIENCE, lock};

/// What is to be loaded.
#[derive(Clone, Copy, Debug)]
pub struct Loading<'l> {
    /// The table, as nft reads it.
    pub script: &'l str,
    /// The identity of the policy.
    pub policy: &'l str,
    /// The inventory it was made of.
    pub inventory: &'l str,
    /// Files that are edited with it, and back as they were unless it is confirmed.
    pub edits: &'l [Edit],
    /// The trial it takes over from, by its token; refused where there is another by now.
    pub over: Option<&'l str>,
    /// Connections that are open and are not to be kept.
    pub ends: &'l [Entry],
    /// How long it may stay unconfirmed.
    pub timeout: Duration,
    /// Who asks.
    pub caller: CallerInfo,
}

impl Loading<'_> {
    /// No rules at all.
    pub(super) const fn nothing(caller: CallerInfo) -> Self {
        let (edits, ends) = (&[], &[]);
        let timeout = Duration::ZERO;
        Self { script: "", policy: "", inventory: "", edits, over: None, ends, timeout, caller }
    }
}

/// Rules that are on trial now.
#[derive(Clone, Debug)]
pub struct Applied {
    place: Place,
    /// What was there before.
    before: Option<String>,
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

/// Loads rules on trial: what is loaded is kept, a watchdog started, and the table replaced in one
/// transaction. What was kept for an earlier trial that is not confirmed stays what comes back.
///
/// # Errors
/// Why not; what was loaded still is.
pub fn apply(place: &Place, loading: &Loading<'_>) -> Result<Applied, ChangeError> {
    let _lock = lock(place)?;
    keep::settle(place);
    if let Ok(Some(other)) = Trial::read(place)
        && loading.over != Some(&*other.token)
    {
        return Err(ChangeError::Another(Box::new(other)));
    }
    let live = table::listing()?;
    let mut trial = begin(place, Purpose::Apply, live.as_deref(), loading)?;
    let before = before(place, &trial);
    place.write(NEW, loading.script.as_bytes()).map_err(|source| unusable(place, source))?;
    watch(place, &mut trial)?;
    let lasts = loading.timeout.saturating_add(KERNEL_WAITS);
    let loaded = edits::make(loading.edits)
        .map_err(ChangeError::Edit)
        .and_then(|()| {
            let token = &trial.token;
            adopt(loading.ends);
            Ok(table::put_on_trial(loading.script, live.as_deref(), token, lasts)?)
        })
        // The time counts from when the rules are there.
        .and_then(|()| begun(place, &mut trial, loading.timeout));
    if let Err(error) = loaded {
        let failure = error.to_string();
        let _ = bring_back(place, &trial, before.as_deref(), &loading.caller, &failure);
        return Err(error);
    }
    let _ = tell(place, &entry("applied", &trial, &loading.caller, loading.inventory));
    Ok(Applied { place: place.clone(), before, trial })
}

/// Writes down since when the rules are there, and as what.
fn begun(place: &Place, trial: &mut Trial, timeout: Duration) -> Result<(), ChangeError> {
    trial.applied_ms = since_boot_ms();
    trial.deadline_ms = end_of(timeout);
    let listed = table::listing()?.unwrap_or_default();
    let write = place.write(NEW_LISTED, listed.as_bytes()).and_then(|()| trial.write(place));
    write.map_err(|source| unusable(place, source))?;
    // Who hears that the rules are there begins after this.
    let rest = next_tick_ms(trial.applied_ms).saturating_sub(since_boot_ms());
    thread::sleep(Duration::from_millis(rest));
    let gone = || ChangeError::Watchdog(io::Error::other("it has ended"));
    trial.is_watched().then_some(()).ok_or_else(gone)
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
            None if table::on_trial().is_ok_and(|t| t.as_ref() == Some(&self.trial.token)) => {
                self.roll_back(RECORD_LOST);
                Ok(None)
            }
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
        let (place, token) = (&self.place, &self.trial.token);
        let is_ours = match Trial::read(place) {
            Ok(Some(trial)) => trial.token == *token,
            _ => table::on_trial().is_ok_and(|t| t.as_ref() == Some(token)),
        };
        if is_ours && !keep::is_committed(place, token) {
            // The watchdogs try on where that fails.
            let before = self.before.as_deref();
            let _ = bring_back(place, &self.trial, before, &self.trial.caller, why);
        }
    }

    /// What the log says of it.
    fn ended(&self) -> io::Result<Outcome> {
        if keep::was_confirmed(&self.place, &self.trial.token) {
            return Ok(Outcome::Confirmed);
        }
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

/// After the end of the trial the kernel itself opens the table, should all who watch be gone.
const KERNEL_WAITS: Duration = Duration::from_secs(10);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Milliseconds after which a watchdog that still runs is taken for one that hangs.
const WATCHDOG_IS_LATE: u64 = 30_000;
