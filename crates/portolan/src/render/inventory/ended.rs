//! What of an inventory has ended, with its line: it has no effect any more, and stands in the way of whoever
//! reads the file.

use std::io::Write as _;

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::inventory::{Ended, Inventory};
use serde::Serialize;

use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;

/// A line each, and what to do; nothing where nothing has ended.
pub(crate) fn text(screen: &mut Screen, inventory: &Inventory, now: Timestamp) -> Result<()> {
    let ended = inventory.ended(now);
    if ended.is_empty() {
        return Ok(());
    }
    let title = "ended, without effect since then; delete what is not needed any more:";
    let title = screen.style.paint(Role::Warning, title).to_string();
    writeln!(screen, "{title}")?;
    for Ended { table, end, at } in ended {
        let place = inventory.line_of(at);
        let (file, table) = (sanitize(place.file).to_string(), sanitize(&table).to_string());
        writeln!(screen, "  {file}:{}: {table} ended on {end}", place.line)?;
    }
    Ok(())
}

/// The same as values of a document.
pub(crate) fn json(inventory: &Inventory, now: Timestamp) -> Vec<EndedJson<'_>> {
    inventory.ended(now).iter().map(|ended| EndedJson::of(inventory, ended)).collect()
}

/// Something that has ended.
#[derive(Debug, Serialize)]
pub(crate) struct EndedJson<'a> {
    table: String,
    until: String,
    file: &'a str,
    line: usize,
}

impl<'a> EndedJson<'a> {
    fn of(inventory: &'a Inventory, ended: &Ended<'a>) -> Self {
        let place = inventory.line_of(ended.at);
        let (table, until) = (ended.table.clone(), ended.end.to_string());
        Self { table, until, file: place.file, line: place.line }
    }
}
