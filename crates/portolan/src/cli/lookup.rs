//! `portolan lookup WHAT…`.

use anyhow::Result;

use crate::cli::args::{Global, Lookup};
use crate::exit::Exit;
use crate::ops::lookup::{Answer, Sources};
use crate::render::screen::Screen;
use crate::{ops, render};

/// Looks each thing up; 1 when nothing is known of any.
pub(crate) fn run(arguments: &Lookup, global: &Global) -> Result<Exit> {
    let mut gaps = Vec::new();
    let registry = ops::registry::load().into_value(&mut gaps);
    let local = portolan_host::machine::local_ports().into_value(&mut gaps);
    let inventory = ops::inventory::consult(&global.asked())?.into_value(&mut gaps);
    let inventory = inventory.as_ref().map(|loaded| &loaded.inventory);
    let sources = Sources { registry: &registry, inventory };
    let answers = sources.look_up(&arguments.what)?;
    let mut screen = Screen::open(global);
    if global.json {
        render::lookup::json(&mut screen, &answers, &local, &gaps)?;
    } else {
        render::lookup::text(&mut screen, &answers, &local)?;
        render::gap::print(&gaps, global.color);
    }
    Ok(if answers.iter().any(Answer::is_known) { Exit::Yes } else { Exit::No })
}
