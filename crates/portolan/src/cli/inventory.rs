//! `portolan inventory …`.

use anyhow::Result;
use portolan_core::inventory::Refused;

use crate::cli::args::{Global, Inventory};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::ops::inventory::edit::Form;
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
        Inventory::Show => show(global),
        Inventory::Init { merge } => init(*merge, global),
        Inventory::Fmt { check } => format(*check, global),
        Inventory::Set { key, value } => set(key, value, global),
        Inventory::Export { .. } => Err(Fault::new("not built", "")),
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

/// Who may reach what; with `--host` on that host alone.
fn show(global: &Global) -> Result<Exit> {
    let loaded = ops::inventory::require(global)?;
    let matrix = ops::inventory::show::matrix(&loaded.inventory, global.host.as_deref())?;
    let mut screen = Screen::open(global);
    match global.json {
        true => render::matrix::json(&mut screen, &loaded.inventory, &matrix)?,
        false => render::matrix::text(&mut screen, &loaded.inventory, &matrix)?,
    }
    Ok(Exit::Yes)
}

/// Drafts the file, or adds to it; 3 when not everything could be seen.
fn init(merge: bool, global: &Global) -> Result<Exit> {
    let found = ops::inventory::init::init(global, merge)?;
    let mut screen = Screen::open(global);
    if global.json {
        render::inventory::init_json(&mut screen, &found.value, &found.gaps)?;
    } else {
        render::inventory::init(&mut screen, &found.value)?;
        render::gap::print(&found.gaps, global.color);
    }
    Ok(if found.is_partial() { Exit::Partial } else { Exit::Yes })
}

/// Sets one value.
fn set(key: &str, value: &str, global: &Global) -> Result<Exit> {
    let set = ops::inventory::edit::set(global, key, value)?;
    let mut screen = Screen::open(global);
    match global.json {
        true => render::inventory::set_json(&mut screen, key, &set)?,
        false => render::inventory::set(&mut screen, key, &set)?,
    }
    Ok(Exit::Yes)
}

/// Puts the files into their usual form; with `--check` says which are not, and then 1.
fn format(check: bool, global: &Global) -> Result<Exit> {
    let form = if check { Form::Check } else { Form::Write };
    let files = ops::inventory::edit::format(global, form)?;
    let mut screen = Screen::open(global);
    match global.json {
        true => render::inventory::format_json(&mut screen, &files)?,
        false => render::inventory::format(&mut screen, form, &files)?,
    }
    Ok(if check && files.iter().any(|f| f.changed) { Exit::No } else { Exit::Yes })
}
