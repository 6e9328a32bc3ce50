//! How a trial begins: what is loaded is kept, the trial written down, and somebody watches it.

use std::io;
use std::time::Duration;

use portolan_core::firewall::gate_token;

use crate::firewall::place::Place;
use crate::firewall::record::{Purpose, Trial, boot, entry, since_boot_ms, tell};
use crate::firewall::{edits, keep, watchdog};
use crate::{clock, random};

use super::apply::Loading;
use super::back::{before, bring_back};
use super::error::{ChangeError, unusable};
use super::trial_files::BEFORE;

/// Writes down a trial that is about to begin, and what was before it.
pub(super) fn begin(
    place: &Place,
    purpose: Purpose,
    live: Option<&str>,
    loading: &Loading<'_>,
) -> Result<Trial, ChangeError> {
    let keep = || -> io::Result<Trial> {
        if let Some(ended) = Trial::of_earlier_boot(place) {
            let _ = tell(place, &entry("rolled-back", &ended, &ended.caller, ENDED_WITH_MACHINE));
        }
        let earlier = Trial::read(place)?;
        edits::keep(place, loading.edits, earlier.is_none())?;
        let trial = match earlier {
            Some(earlier) => draft(purpose, loading, earlier.before_ms, earlier.has_before),
            None => {
                let kept = keep::rules(place)?;
                // What was on trial and is known to nobody any more is not what should come back.
                let before =
                    if live.and_then(gate_token).is_some() { kept.as_deref() } else { live };
                match before {
                    Some(text) => place.write(BEFORE, text.as_bytes())?,
                    None => place.remove(BEFORE)?,
                }
                draft(purpose, loading, since_boot_ms(), before.is_some())
            }
        };
        trial.write(place)?;
        Ok(trial)
    };
    keep().map_err(|source| unusable(place, source))
}

pub(super) fn draft(
    purpose: Purpose,
    loading: &Loading<'_>,
    before_ms: u64,
    has_before: bool,
) -> Trial {
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
        has_before,
        watchdogs: Vec::new(),
    }
}

/// Has the trial watched from here on. Where that cannot be, it never began.
pub(super) fn watch(place: &Place, trial: &mut Trial) -> Result<(), ChangeError> {
    let watched = watchdog::start(place, trial).and_then(|watchdogs| {
        trial.watchdogs = watchdogs.iter().map(|w| (w.pid, w.start_ticks)).collect();
        trial.write(place)
    });
    watched.map_err(|error| {
        // An earlier trial that it took over from comes to its end with it.
        let before = before(place, trial);
        let why = "the watchdog could not be started";
        let _ = bring_back(place, trial, before.as_deref(), &trial.caller, why);
        ChangeError::Watchdog(error)
    })
}

pub(super) fn end_of(timeout: Duration) -> u64 {
    since_boot_ms().saturating_add(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))
}

/// Why a trial is over of which the machine knows nothing any more.
const ENDED_WITH_MACHINE: &str = "the machine was started anew";
