//! `portolan firewall status`.

use anyhow::Result;

use crate::cli::args::Global;
use crate::exit::Exit;
use crate::ops::firewall::change::{self, State};
use crate::render;
use crate::render::screen::Screen;

/// How the rules stand; 0 where what was confirmed is loaded.
pub(crate) fn run(global: &Global) -> Result<Exit> {
    let status = change::status()?;
    let mut screen = Screen::open(global);
    if global.json {
        render::firewall::status::json(&mut screen, &status)?;
    } else {
        render::firewall::status::text(&mut screen, &status, global.color)?;
    }
    Ok(if status.state() == State::Confirmed { Exit::Yes } else { Exit::No })
}
