//! What a trial keeps in the folder, until it is over.

use crate::firewall::place::Place;
use crate::firewall::record::TRIAL;
use crate::firewall::watchdog::READY;

/// Removes all of it, as far as that can be done.
pub(super) fn remove(place: &Place) {
    for name in TRIAL_FILES {
        let _ = place.remove(name);
    }
}

/// What was loaded before the trial, as nft listed it.
pub(super) const BEFORE: &str = "before.nft";
/// What is on trial.
pub(super) const NEW: &str = "trial.nft";
/// The same as nft listed it.
pub(super) const NEW_LISTED: &str = "trial.list";
/// What a trial leaves behind.
pub(super) const TRIAL_FILES: &[&str] = &[TRIAL, BEFORE, NEW, NEW_LISTED, READY[0], READY[1]];
