//! The changes themselves: apply, confirm, roll back, off.
//!
//! Every one is made with the lock held, ends with a line in the log, and leaves either what was before
//! or what was asked for. Where what was before cannot be loaded again, our table is removed: rules that
//! nobody could confirm must not stay.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use portolan_core::firewall::{Doubt, confirms, gate_token};
use portolan_core::net::Port;
use portolan_core::wire::conntrack::Entry;

use crate::{clock, random};

use super::adopt::adopt;
use super::boot::{self, BootState};
use super::caller::{CallerInfo, has_come_in, next_tick_ms};
use super::edits::{self, Edit, LeftEdit, Undone};
use super::keep::{self, CONFIRMED, KEPT_FILES};
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
    const fn nothing(caller: CallerInfo) -> Self {
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

/// Keeps what is on trial, also at boot; with `from` because that host came in since, else because of who
/// calls.
///
/// # Errors
/// Where nothing is on trial, or the confirmation proves nothing.
pub fn confirm(
    place: &Place,
    caller: &CallerInfo,
    from: Option<IpAddr>,
) -> Result<Confirmed, ChangeError> {
    let _lock = lock(place)?;
    let trial = current(place)?.ok_or(ChangeError::NoTrial)?;
    if trial.purpose == Purpose::Off {
        return Err(ChangeError::IsOff);
    }
    if !keep::is_committed(place, &trial.token) {
        allow(place, &trial, caller, from)?;
        let rules = place.read(NEW).map_err(|source| unusable(place, source))?.unwrap_or_default();
        // From here on it counts.
        keep::commit(place, &trial, &rules).map_err(|source| unusable(place, source))?;
    }
    keep::complete(place, &trial, caller)?;
    for name in TRIAL_FILES {
        let _ = place.remove(name);
    }
    Ok(Confirmed { trial, boot: boot::state(place) })
}

/// Whether the confirmation proves something, and of what was applied.
fn allow(
    place: &Place,
    trial: &Trial,
    caller: &CallerInfo,
    from: Option<IpAddr>,
) -> Result<(), ChangeError> {
    let counts = match from {
        Some(from) => came_in(from, trial),
        None if caller.is_from_here() => Err(Doubt::ThisMachine),
        None => confirms(&caller.caller, &trial.caller.caller, trial.applied_ms),
    };
    if let Err(doubt) = counts {
        let _ = tell(place, &entry("refused", trial, caller, doubt_word(doubt)));
        return Err(ChangeError::Doubtful(doubt));
    }
    let listed = place.read(NEW_LISTED).map_err(|source| unusable(place, source))?;
    let live = table::listing()?;
    let changed = match (listed, live) {
        (_, None) => Some("it is gone".to_owned()),
        (None, _) => Some("what was applied is not known any more".to_owned()),
        (Some(listed), Some(live)) => keep::between(&listed, &live),
    };
    let Some(changed) = changed else { return Ok(()) };
    let _ = tell(place, &entry("refused", trial, caller, &changed));
    Err(ChangeError::Changed(changed))
}

/// Whether another host has come in since to the port that the rules were applied by.
fn came_in(from: IpAddr, trial: &Trial) -> Result<(), Doubt> {
    let port = trial.caller.caller.ssh.map_or(Port(22), |(_, ours)| ours.port);
    has_come_in(from, port, trial.applied_ms).then_some(()).ok_or(Doubt::NotSeen)
}

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
    /// Files that a trial edited which is over, and not all of them: [`left_edits`] says which are left.
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
    for name in TRIAL_FILES {
        let _ = place.remove(name);
    }
    let record = draft(Purpose::Apply, &Loading::nothing(*caller), since_boot_ms(), false);
    let _ = tell(place, &entry("rolled-back", &record, caller, "not what was confirmed"));
    Ok(back)
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

/// What is on trial, or away for a while; `None` where nothing is.
///
/// # Errors
/// When it cannot be looked at.
pub fn trial(place: &Place) -> Result<Option<Trial>, ChangeError> {
    Trial::read(place).map_err(|source| unusable(place, source))
}

/// The same where nobody watches any more.
fn abandoned(place: &Place) -> Result<Option<Trial>, ChangeError> {
    Ok(trial(place)?.filter(|trial| !trial.is_watched()))
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

/// Loads what was `before` the trial, and ends it. Called with the lock held. What cannot be loaded any
/// more leaves no table of ours behind: nobody is locked out by what nobody confirmed.
///
/// # Errors
/// When the rules on trial are still loaded: the trial goes on then, for whoever tries again.
pub(super) fn bring_back(
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
    for name in TRIAL_FILES {
        let _ = place.remove(name);
    }
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
pub(super) fn before(place: &Place, trial: &Trial) -> Option<String> {
    if !trial.has_before {
        return None;
    }
    place.read(BEFORE).ok().flatten().or_else(|| place.read(CONFIRMED).ok().flatten())
}

/// Writes down a trial that is about to begin, and what was before it.
fn begin(
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

fn draft(purpose: Purpose, loading: &Loading<'_>, before_ms: u64, has_before: bool) -> Trial {
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
fn watch(place: &Place, trial: &mut Trial) -> Result<(), ChangeError> {
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

/// The trial that is going on; one whose time is over and that nobody watches comes to its end first.
fn current(place: &Place) -> Result<Option<Trial>, ChangeError> {
    let trial = Trial::read(place).map_err(|source| unusable(place, source))?;
    if let Some(trial) = &trial
        && !trial.is_watched()
        && since_boot_ms() > trial.deadline_ms
        && !keep::is_committed(place, &trial.token)
    {
        bring_back(place, trial, before(place, trial).as_deref(), &trial.caller, TIME_OVER)?;
        return Err(ChangeError::Over);
    }
    Ok(trial)
}

fn lock(place: &Place) -> Result<Lock, ChangeError> {
    place.lock(PATIENCE).map_err(|source| unusable(place, source))
}

pub(super) fn unusable(place: &Place, source: io::Error) -> ChangeError {
    ChangeError::Place { path: place.state().display().to_string(), source }
}

fn end_of(timeout: Duration) -> u64 {
    since_boot_ms().saturating_add(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))
}

const fn doubt_word(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::SameConnection => "same connection",
        Doubt::Older => "older than the rules",
        Doubt::NotServed => "no server holds its connection",
        Doubt::NoConnection => "no connection",
        Doubt::NotSeen => "nobody came from there",
        Doubt::ThisMachine => "from this machine itself",
    }
}

/// What was loaded before the trial, as nft listed it.
const BEFORE: &str = "before.nft";
/// What is on trial.
const NEW: &str = "trial.nft";
/// The same as nft listed it.
const NEW_LISTED: &str = "trial.list";
/// What a trial leaves behind.
const TRIAL_FILES: &[&str] = &["trial", BEFORE, NEW, NEW_LISTED, "watchdog", "watchdog-2"];

/// Why a trial is over of which the machine knows nothing any more.
const ENDED_WITH_MACHINE: &str = "the machine was started anew";
/// Why what was before comes back when the folder was emptied.
pub(super) const RECORD_LOST: &str = "the record of the trial was lost";
/// After the end of the trial the kernel itself opens the table, should all who watch be gone.
const KERNEL_WAITS: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(2);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
const LOG_SHOWN: usize = 10;

/// Milliseconds after which a watchdog that still runs is taken for one that hangs.
const WATCHDOG_IS_LATE: u64 = 30_000;
