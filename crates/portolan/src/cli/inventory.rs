//! `portolan inventory …`.

use anyhow::Result;
use jiff::civil::Date;
use portolan_core::inventory::Refused;
use portolan_core::registry::Registry;
use portolan_host::clock;

use crate::cli::args::{ExportFormat, Global, Inventory};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::ops::inventory::edit::Form;
use crate::ops::inventory::export::Export;
use crate::render::screen::Screen;
use crate::{ops, render};

/// Picks the subcommand.
pub(crate) fn run(command: &Inventory, global: &Global) -> Result<Exit> {
    match command {
        Inventory::Validate => validate(global),
        Inventory::Schema => {
            render::inventory::schema::print(&mut Screen::open(global))?;
            Ok(Exit::Yes)
        }
        Inventory::Show => show(global),
        Inventory::Init { merge } => init(*merge, global),
        Inventory::Fmt { check } => format(*check, global),
        Inventory::Set { key, value } => set(key, value, global),
        Inventory::Export { format, as_of } => export(*format, *as_of, global),
    }
}

/// Says what the file contains; 2 when something is wrong with it.
fn validate(global: &Global) -> Result<Exit> {
    let outcome = match ops::inventory::require(&global.asked()) {
        Ok(loaded) => Ok(loaded.inventory),
        Err(error) => Err(error.downcast::<Refused>()?),
    };
    let mut screen = Screen::open(global);
    if global.json {
        render::inventory::validate::json(&mut screen, &outcome, clock::now())?;
        return Ok(if outcome.is_ok() { Exit::Yes } else { Exit::Failed });
    }
    render::inventory::validate::text(&mut screen, &outcome?, clock::now())?;
    Ok(Exit::Yes)
}

/// Who may reach what; with `--host` on that host alone.
fn show(global: &Global) -> Result<Exit> {
    let loaded = ops::inventory::require(&global.asked())?;
    let matrix = ops::inventory::show::matrix(&loaded.inventory, global.host.as_deref())?;
    let mut screen = Screen::open(global);
    match global.json {
        true => {
            render::inventory::matrix::json(&mut screen, &loaded.inventory, &matrix, clock::now())?;
        }
        false => {
            render::inventory::matrix::text(&mut screen, &loaded.inventory, &matrix, clock::now())?;
        }
    }
    Ok(Exit::Yes)
}

/// Drafts the file, or adds to it; 3 when not everything could be seen.
fn init(merge: bool, global: &Global) -> Result<Exit> {
    let found = ops::inventory::init::init(&global.asked(), merge)?;
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
    let set = ops::inventory::edit::set(&global.asked(), key, value)?;
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
    let files = ops::inventory::edit::format(&global.asked(), form)?;
    let mut screen = Screen::open(global);
    match global.json {
        true => render::inventory::format_json(&mut screen, &files)?,
        false => render::inventory::format(&mut screen, form, &files)?,
    }
    Ok(if check && files.iter().any(|f| f.changed) { Exit::No } else { Exit::Yes })
}

/// Prints the inventory in another form; with `--host` the ports of that host alone.
fn export(format: Option<ExportFormat>, as_of: Option<Date>, global: &Global) -> Result<Exit> {
    let format = match (format, global.json) {
        (Some(ExportFormat::Json) | None, _) => ExportFormat::Json,
        (Some(format), false) => format,
        (Some(_), true) => {
            let hint = "leave out --json, or say --format json";
            return Err(Fault::new("--json and another --format ask for two forms at once", hint));
        }
    };
    let inventory = ops::inventory::require(&global.asked())?.inventory;
    let registry = Registry::embedded();
    let as_of = as_of.unwrap_or_else(clock::today);
    let export = Export::new(&inventory, &registry, as_of, global.host.as_deref())?;
    render::inventory::export::print(&mut Screen::open(global), format, &export)?;
    Ok(Exit::Yes)
}
