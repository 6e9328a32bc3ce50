//! `portolan registry` and `portolan registry update --import FILE`.

use anyhow::Result;

use crate::cli::args::{Global, Registry, RegistryCommand};
use crate::exit::Exit;
use crate::render::screen::Screen;
use crate::{ops, render};

/// Tells which registry is in use, or takes another.
pub(crate) fn run(arguments: &Registry, global: &Global) -> Result<Exit> {
    match &arguments.command {
        None => {
            let report = ops::registry::report();
            let mut screen = Screen::open(global);
            if global.json {
                render::registry::json(&mut screen, &report)?;
            } else {
                render::registry::text(&mut screen, &report.value)?;
                render::gap::print(&report.gaps, global.color);
            }
        }
        Some(RegistryCommand::Update { import }) => {
            let imported = ops::registry::import(import)?;
            let mut screen = Screen::open(global);
            if global.json {
                render::registry::imported_json(&mut screen, &imported)?;
            } else {
                render::registry::imported_text(&mut screen, &imported)?;
            }
            if imported.seems_cut_short() {
                render::gap::hint(CUT_SHORT, global.color);
            }
        }
    }
    Ok(Exit::Yes)
}

const CUT_SHORT: &str = "that is less than half of what the built-in registry holds: is the file \
                         whole? To go back, remove the table";
