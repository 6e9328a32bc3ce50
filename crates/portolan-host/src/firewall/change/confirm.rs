//! A trial is confirmed: only by who proves that somebody still gets in, and only what was applied.

use std::net::IpAddr;

use portolan_core::firewall::{Doubt, confirms};
use portolan_core::net::Port;

use crate::firewall::boot::{self, BootState};
use crate::firewall::caller::{CallerInfo, has_come_in};
use crate::firewall::keep;
use crate::firewall::place::Place;
use crate::firewall::record::{Purpose, Trial, entry, since_boot_ms, tell};
use crate::firewall::table;
use crate::firewall::watchdog::TIME_OVER;

use super::back::{before, bring_back};
use super::error::{ChangeError, unusable};
use super::lock;
use super::trial_files::{self, NEW, NEW_LISTED};

/// What was confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The trial.
    pub trial: Trial,
    /// Whether it is loaded at boot.
    pub boot: BootState,
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
    trial_files::remove(place);
    Ok(Confirmed { trial, boot: boot::state(place) })
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
