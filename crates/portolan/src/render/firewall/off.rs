//! Taking the rules away, for reading and as JSON.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::ops::firewall::change::Trial;
use crate::render::firewall::status::{duration, until};
use crate::render::json::Document;
use crate::render::screen::Screen;

/// What a person is asked.
pub(crate) const QUESTION: &str = "take the rules away?";

/// Prints what is going to be, of what is loaded now and at boot; with a pause, whether anything comes back
/// after it.
pub(crate) fn plan(
    screen: &mut Screen,
    (is_loaded, boots): (Option<bool>, Option<bool>),
    (pause, comes_back): (Option<Duration>, bool),
    purge: bool,
) -> Result<()> {
    let log = if purge { ", and the log" } else { "; the log stays" };
    match pause {
        Some(pause) => {
            let pause = duration(pause);
            let gone = if is_loaded == Some(false) { "stays away" } else { "will be removed" };
            match comes_back {
                true => writeln!(screen, "table inet portolan {gone}, and is back after {pause}")?,
                false => writeln!(screen, "table inet portolan {gone}; {NOTHING_BACK}")?,
            }
        }
        None if is_loaded == Some(false) && boots == Some(false) => {
            writeln!(screen, "no table is loaded, and none at boot: nothing is taken away{log}")?;
        }
        None if is_loaded == Some(false) => {
            writeln!(screen, "no table is loaded; what loads one at boot will be removed{log}")?;
        }
        None => {
            writeln!(
                screen,
                "table inet portolan will be removed, with what loads it at boot{log}"
            )?;
        }
    }
    Ok(screen.flush()?)
}

/// What is said where a pause ends with nothing.
const NOTHING_BACK: &str = "nothing comes back: it was on trial, and no rules were there before it";

/// Says that it is done.
pub(crate) fn done(screen: &mut Screen, trial: Option<&Trial>) -> Result<()> {
    match trial {
        Some(trial) if !trial.has_before => writeln!(screen, "off; {NOTHING_BACK}")?,
        Some(trial) => {
            writeln!(screen, "off until {}", until(trial))?;
            writeln!(screen, "back at once: portolan firewall rollback")?;
        }
        None => writeln!(screen, "off")?,
    }
    Ok(screen.flush()?)
}

/// The same as one document.
pub(crate) fn json(screen: &mut Screen, is_plan: bool, trial: Option<&Trial>) -> Result<()> {
    let left_s = trial.filter(|trial| trial.has_before).map(|trial| trial.left().as_secs());
    let body = Body { done: !is_plan, back_in_s: left_s };
    screen.json(&Document::new("firewall-off", body, &[]))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body {
    done: bool,
    /// In how many seconds the rules are back; `null` where nothing comes back.
    back_in_s: Option<u64>,
}
