//! `portolan firewall off`.

use anyhow::Result;

use crate::cli::args::Global;
use crate::cli::args::firewall::Off;
use crate::cli::confirm::confirm;
use crate::exit::Exit;
use crate::fault::once_done;
use crate::ops::firewall::change;
use crate::render;
use crate::render::screen::Screen;

/// Takes the rules away, for a while or for good.
pub(crate) fn run(arguments: &Off, global: &Global) -> Result<Exit> {
    let mut screen = Screen::open(global);
    let (pause, purge) = (arguments.pause, arguments.purge);
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
