//! `portolan inventory …`.

use anyhow::Result;
use portolan_core::inventory::Refused;

use crate::cli::args::{Global, Inventory};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::render::screen::Screen;
use crate::{ops, render};

/// Picks the subcommand.
pub(crate) fn run(command: &Inventory, global: &Global) -> Result<Exit> {
    match command {
        Inventory::Validate => validate(global),
        Inventory::Schema => {
            render::schema::print(&mut Screen::open(global))?;
            Ok(Exit::Yes)
        }
        Inventory::Init { .. }
        | Inventory::Fmt { .. }
        | Inventory::Show
        | Inventory::Set { .. }
        | Inventory::Export { .. } => Err(Fault::new("not built", "")),
    }
}

/// Says what the file contains; 2 when something is wrong with it.
fn validate(global: &Global) -> Result<Exit> {
    let outcome = match ops::inventory::require(global) {
        Ok(loaded) => Ok(loaded.inventory),
        Err(error) => Err(error.downcast::<Refused>()?),
    };
    let mut screen = Screen::open(global);
    if global.json {
        render::validate::json(&mut screen, &outcome)?;
        return Ok(if outcome.is_ok() { Exit::Yes } else { Exit::Failed });
    }
    render::validate::text(&mut screen, &outcome?)?;
    Ok(Exit::Yes)
}
