//! What was confirmed: kept so that a process which is killed at any moment, or a full disk, leaves
//! either the trial or what was confirmed.
//!
//! ```text
//! confirming.nft is written ─▶ boot files ─▶ table without its gate ─▶ confirmed.nft ─▶ trial ends
//!        from here on it is confirmed: whoever looks next goes on with what is left to do
//! ```
//! Where a step fails, the first is undone and the trial goes on.

use std::io;

use portolan_core::firewall::{Outline, first_difference};

use super::adopt::adopt;
use super::boot;
use super::caller::CallerInfo;
use super::change::{ChangeError, unusable};
use super::edits::EDITS;
use super::load::relisted;
use super::place::Place;
use super::record::{self, LogEntry, Trial, entry, tell};
use super::table::{self, TableError};

/// Writes down that `rules` are confirmed.
///
/// # Errors
/// When they cannot be written; nothing is confirmed then.
pub(super) fn commit(place: &Place, trial: &Trial, rules: &str) -> io::Result<()> {
    place.write(CONFIRMING, format!("{}{rules}", first_line(&trial.token)).as_bytes())
}

/// Whether the trial was confirmed; where it has not ended by that, something is left to do.
pub(super) fn is_committed(place: &Place, token: &str) -> bool {
    let first_line = first_line(token);
    let is_it = |text: Option<String>| text.is_some_and(|text| text.starts_with(&first_line));
    place.read(CONFIRMING).is_ok_and(is_it) || was_confirmed(place, token)
}

/// Whether some trial was confirmed, and something is left to do.
pub(super) fn is_anything_committed(place: &Place) -> bool {
    place.read(CONFIRMING).is_ok_and(|text| text.is_some())
}

/// Whether what was confirmed last is what this trial was of.
pub(super) fn was_confirmed(place: &Place, token: &str) -> bool {
    place.read(CONFIRMED).is_ok_and(|text| text.is_some_and(|t| t.starts_with(&first_line(token))))
}

/// What is left to do once it is confirmed; to do it twice harms nobody.
///
/// # Errors
/// What failed; the trial goes on then.
pub(super) fn complete(
    place: &Place,
    trial: &Trial,
    caller: &CallerInfo,
) -> Result<(), ChangeError> {
    let done = finish(place, trial, caller);
    if done.is_err() {
        let _ = place.remove(CONFIRMING);
        let _ = match place.read(CONFIRMED) {
            Ok(Some(earlier)) => boot::enable(place, &earlier),
            _ => boot::disable(place),
        };
    }
    done
}

fn finish(place: &Place, trial: &Trial, caller: &CallerInfo) -> Result<(), ChangeError> {
    let unusable = |source| unusable(place, source);
    if is_over(place, &trial.token) {
        return Ok(());
    }
    // Whoever was stopped after this did all that can fail.
    if !was_confirmed(place, &trial.token) {
        let rules = place.read(CONFIRMING).map_err(unusable)?.unwrap_or_default();
        boot::enable(place, &rules).map_err(|source| ChangeError::Boot { source })?;
        table::replace(&rules, table::listing()?.as_deref(), None)?;
        place.rename(CONFIRMING, CONFIRMED).map_err(unusable)?;
    }
    // What was confirmed says itself which trial it was of, and can be listed again.
    let is_it = |entry: &LogEntry| entry.token == trial.token && entry.what == "confirmed";
    if !record::log(place, usize::MAX).is_ok_and(|log| log.iter().any(is_it)) {
        let _ = tell(place, &entry("confirmed", trial, caller, &trial.inventory));
    }
    let listed = table::listing().ok().flatten();
    let _ = listed.map_or_else(|| place.remove(LISTED), |l| place.write(LISTED, l.as_bytes()));
    // What was edited with it stays.
    let _ = place.remove(EDITS);
    let _ = Trial::end(place);
    Ok(())
}

/// Whether nothing is left to do: the record is of another trial by now, or gone with the confirmation. Who
/// waited for the lock may come that late, and must not end what began meanwhile.
fn is_over(place: &Place, token: &str) -> bool {
    match Trial::read(place) {
        Ok(Some(now)) => now.token != *token,
        Ok(None) => was_confirmed(place, token),
        Err(_) => false,
    }
}

/// Ends a trial that was confirmed by somebody who was stopped on the way; where that cannot be done it
/// goes on.
pub(super) fn settle(place: &Place) {
    if let Ok(Some(trial)) = Trial::read(place)
        && is_committed(place, &trial.token)
    {
        let _ = complete(place, &trial, &trial.caller);
    }
}

/// Has what was confirmed loaded at boot, where it is not: who confirmed it was stopped on the way, with
/// the machine. Whether there was something to do.
///
/// # Errors
/// When it cannot be done.
pub(super) fn settle_boot(place: &Place, rules: &str) -> Result<bool, ChangeError> {
    let is_there = !boot::differs(place, rules);
    if !is_there {
        boot::enable(place, rules).map_err(|source| ChangeError::Boot { source })?;
    }
    if is_anything_committed(place) {
        place.rename(CONFIRMING, CONFIRMED).map_err(|source| unusable(place, source))?;
    }
    Ok(!is_there)
}

/// The rules that were confirmed last; `None` where none were.
///
/// # Errors
/// When they cannot be read.
pub(super) fn rules(place: &Place) -> io::Result<Option<String>> {
    match place.read(CONFIRMING)? {
        Some(rules) => Ok(Some(rules)),
        None => place.read(CONFIRMED),
    }
}

/// How `live` differs from what was confirmed; `None` where it does not.
pub(super) fn difference(place: &Place, live: &str) -> Option<String> {
    let nothing = || Some("no rules were confirmed".to_owned());
    let Ok(Some(rules)) = rules(place) else { return nothing() };
    let told = match place.read(LISTED) {
        Ok(Some(listed)) => match between(&listed, live) {
            None => return None,
            told => told,
        },
        _ => nothing(),
    };
    // As another nft lists them, or it was killed before it listed them.
    relisted(&rules).map_or(told, |listed| between(&listed, live))
}

/// How one listing differs from another.
pub(super) fn between(kept: &str, live: &str) -> Option<String> {
    match (Outline::parse(kept), Outline::parse(live)) {
        (Ok(kept), Ok(live)) => first_difference(&kept, &live),
        _ => Some("what nft lists cannot be read".to_owned()),
    }
}

/// Puts what was confirmed in the place of what is loaded.
///
/// # Errors
/// Why not.
pub(super) fn reload(place: &Place, rules: &str, live: Option<&str>) -> Result<(), TableError> {
    adopt(&[]);
    let replaced = table::replace(rules, live, None);
    let is_there = table::listing()?.is_some_and(|now| difference(place, &now).is_none());
    match replaced {
        Ok(()) if is_there => Ok(()),
        _ => table::renew(rules),
    }
}

fn first_line(token: &str) -> String {
    format!("# confirmed: trial {token}\n")
}

/// What is about to be confirmed.
const CONFIRMING: &str = "confirming.nft";
/// What was confirmed.
pub(super) const CONFIRMED: &str = "confirmed.nft";
/// The same as nft listed it when it was loaded.
const LISTED: &str = "confirmed.list";

/// All of them.
pub(super) const KEPT_FILES: &[&str] = &[CONFIRMING, CONFIRMED, LISTED];

#[cfg(test)]
mod tests {
    use super::super::record::sample;
    use super::*;

    #[test]
    fn who_comes_late_to_a_confirmation_does_not_end_the_trial_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::at(folder.path().join("state"), None);
        place.make().unwrap();
        let confirmed = sample("0a");
        place.write(CONFIRMED, format!("{}rules", first_line("0a")).as_bytes()).unwrap();
        sample("0b").write(&place).unwrap();
        assert!(is_committed(&place, "0a"));
        complete(&place, &confirmed, &confirmed.caller).unwrap();
        assert_eq!(Trial::read(&place).unwrap().map(|trial| trial.token), Some("0b".into()));
        Trial::end(&place).unwrap();
        complete(&place, &confirmed, &confirmed.caller).unwrap();
        assert_eq!(place.read(LISTED).unwrap(), None, "nothing is left to do");
    }
}
