//! How full the sets are that packets fill, for reading and as JSON.

use anyhow::Result;
use portolan_core::firewall::{FillLevel, Fullness};
use serde::Serialize;

use crate::render::screen::Screen;

/// Says which are full, or nearly so, and what follows.
pub(super) fn text(screen: &mut Screen, sets: &[FillLevel]) -> Result<()> {
    for level in sets.iter().filter(|level| level.state != Fullness::Room) {
        screen.hanging("  ", &level.to_string())?;
    }
    Ok(())
}

/// All of them.
pub(super) fn json(sets: &[FillLevel]) -> Vec<FillLevelJson<'_>> {
    sets.iter().map(FillLevelJson::from).collect()
}

/// A set that packets fill.
#[derive(Serialize)]
pub(super) struct FillLevelJson<'a> {
    name: &'a str,
    members: usize,
    size: usize,
    /// `room`, `nearly-full` (nine tenths), `full`.
    state: &'static str,
}

impl<'a> From<&'a FillLevel> for FillLevelJson<'a> {
    fn from(level: &'a FillLevel) -> Self {
        let FillLevel { set: name, members, size, state } = level;
        Self { name, members: *members, size: *size, state: state.as_str() }
    }
}
