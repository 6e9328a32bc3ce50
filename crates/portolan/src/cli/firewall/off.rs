//! `portolan firewall off`.

use anyhow::Result;

use crate::cli::args::Global;
use crate::cli::args::firewall::Off;
use crate::cli::confirm::confirm;
use crate::exit::Exit;
use crate::fault::{Fault, once_done};
use crate::ops::firewall::change;
use crate::render;
use crate::render::screen::Screen;

const NOTHING: &str = "the firewall was not changed: there is no table inet portolan to put off";

/// Takes the rules away, for a while or for good.
pub(crate) fn run(arguments: &Off, global: &Global) -> Result<Exit> {
    let mut screen = Screen::open(global);
    let (pause, purge) = (arguments.pause, arguments.purge);
    if pause.is_some() && change::is_loaded() == Some(false) && change::is_on_trial() == Some(false)
    {
        return Err(Fault::new(NOTHING, "portolan firewall status tells how things stand"));
    }
    if !global.json {
        let comes_back = pause.is_none() || change::comes_back();
        render::firewall::off::plan(
            &mut screen,
            (change::is_loaded(), change::boots()),
            (pause, comes_back),
            purge,
        )?;
    }
    if arguments.dry_run {
        if global.json {
            render::firewall::off::json(&mut screen, true, None)?;
        }
        return Ok(Exit::Yes);
    }
    confirm(render::firewall::off::QUESTION, arguments.yes, global.color)?;
    let trial = change::off(pause, purge)?;
    once_done(match global.json {
        true => render::firewall::off::json(&mut screen, false, trial.as_ref()),
        false => render::firewall::off::done(&mut screen, trial.as_ref()),
    })?;
    Ok(Exit::Yes)
}
