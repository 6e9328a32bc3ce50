//! `portolan firewall compile`.

use anyhow::Result;

use crate::cli::args::Global;
use crate::exit::Exit;
use crate::render::screen::Screen;
use crate::{ops, render};

/// Prints the table that follows from the inventory.
pub(crate) fn run(global: &Global) -> Result<Exit> {
    let intended = ops::firewall::policy::intended(&global.asked())?;
    let mut screen = Screen::open(global);
    if global.json {
        render::firewall::compile::json(&mut screen, &intended)?;
    } else {
        render::firewall::compile::text(&mut screen, &intended)?;
        let notes = intended.policy.notes.iter();
        notes.for_each(|note| render::gap::warning(note, global.color));
        let cut_off = render::firewall::cut_off::sentences(&intended);
        cut_off.iter().for_each(|one| render::gap::warning(one, global.color));
        render::gap::print(&intended.gaps, global.color);
    }
    Ok(Exit::Yes)
}
