//! `portolan firewall confirm`.

use anyhow::Result;

use crate::cli::args::Global;
use crate::exit::Exit;
use crate::ops::firewall::change;
use crate::render;
use crate::render::screen::Screen;

/// Keeps what is on trial; 1 where nothing is, or it proves nothing from here.
pub(crate) fn run(global: &Global) -> Result<Exit> {
    let confirmed = change::confirm()?;
    let mut screen = Screen::open(global);
    if global.json {
        render::firewall::confirm::json(&mut screen, &confirmed)?;
    } else {
        render::firewall::confirm::text(&mut screen, &confirmed, global.color)?;
    }
    Ok(if confirmed.is_ok() { Exit::Yes } else { Exit::No })
}
