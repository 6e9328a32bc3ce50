//! `portolan firewall confirm`.

use anyhow::Result;

use crate::cli::args::Global;
use crate::cli::args::firewall::Confirm;
use crate::exit::Exit;
use crate::fault::once_done;
use crate::ops::firewall::change;
use crate::render;
use crate::render::screen::Screen;

/// Keeps what is on trial; 1 where nothing is, or it proves nothing from here.
pub(crate) fn run(arguments: &Confirm, global: &Global) -> Result<Exit> {
    let confirmed = change::confirm(arguments.from)?;
    let mut screen = Screen::open(global);
    once_done(match global.json {
        true => render::firewall::confirm::json(&mut screen, &confirmed),
        false => render::firewall::confirm::text(&mut screen, &confirmed, global.color),
    })?;
    Ok(if confirmed.is_ok() { Exit::Yes } else { Exit::No })
}
