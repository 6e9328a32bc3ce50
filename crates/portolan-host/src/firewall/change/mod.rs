//! The changes themselves: apply, confirm, roll back, off.
//!
//! Every one is made with the lock held, ends with a line in the log, and leaves either what was before
//! or what was asked for. Where what was before cannot be loaded again, our table is removed: rules that
//! nobody could confirm must not stay.

mod apply;
mod back;
mod begin;
mod confirm;
mod error;
mod off;
mod standing;
mod trial_files;

pub use apply::{Applied, Loading, Outcome, apply};
pub use back::{Back, recover, roll_back};
pub use confirm::{Confirmed, confirm};
pub use error::ChangeError;
pub use off::{off, purge};
pub use standing::{Standing, has_left_edits, left_edits, standing, trial};

pub(super) use back::{RECORD_LOST, before, bring_back};
pub(super) use error::unusable;

use std::time::Duration;

use super::place::{Lock, Place};

fn lock(place: &Place) -> Result<Lock, ChangeError> {
    place.lock(PATIENCE).map_err(|source| unusable(place, source))
}

const PATIENCE: Duration = Duration::from_secs(2);
