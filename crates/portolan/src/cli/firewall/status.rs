//! `portolan firewall status`.

use std::io::Write as _;

use anyhow::Result;
use portolan_host::clock;

use crate::cli::args::Global;
use crate::exit::Exit;
use crate::ops::firewall::change::{self, State};
use crate::ops::inventory;
use crate::render;
use crate::render::screen::Screen;

/// How the rules stand; 0 where what was confirmed is loaded.
pub(crate) fn run(global: &Global) -> Result<Exit> {
    let status = change::status()?;
    let (read, now) = (inventory::consult(&global.asked())?, clock::now());
    let inventory = read.value.as_ref().map(|loaded| &loaded.inventory);
    let mut screen = Screen::open(global);
    if global.json {
        render::firewall::status::json(&mut screen, &status, inventory.map(|known| (known, now)))?;
    } else {
        render::firewall::status::text(&mut screen, &status, global.color)?;
        if let Some(inventory) = inventory {
            render::inventory::ended::text(&mut screen, inventory, now)?;
            screen.flush()?;
        }
    }
    Ok(if status.state() == State::Confirmed { Exit::Yes } else { Exit::No })
}
