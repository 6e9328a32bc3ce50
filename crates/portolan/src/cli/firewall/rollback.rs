//! `portolan firewall rollback`.

use anyhow::Result;

use crate::cli::args::Global;
use crate::exit::Exit;
use crate::fault::once_done;
use crate::ops::firewall::change;
use crate::render;
use crate::render::screen::Screen;

/// Brings back what was before the trial; 1 where nothing is on trial.
pub(crate) fn run(global: &Global) -> Result<Exit> {
    let ended = change::roll_back()?;
    let mut screen = Screen::open(global);
    once_done(match global.json {
        true => render::firewall::confirm::rolled_back_json(&mut screen, ended.as_ref()),
        false => render::firewall::confirm::rolled_back(&mut screen, ended.as_ref(), global.color),
    })?;
    let is_done = ended.is_some_and(|back| back != change::Back::NotAllEdits);
    Ok(if is_done { Exit::Yes } else { Exit::No })
}
