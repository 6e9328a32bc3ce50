//! Everything, for programs: the inventory in the file's own terms, and what follows from it.
//!
//! Included files and lists of networks are joined; comments and `x-` keys are not kept.

mod inventory;

use anyhow::Result;
use serde::Serialize;

use self::inventory::InventoryJson;
use crate::ops::inventory::export::Export;
use crate::render::inventory::matrix::{BaseJson, OutgoingJson, RowJson};
use crate::render::json::Document;
use crate::render::screen::Screen;

/// Prints the document.
pub(crate) fn print(screen: &mut Screen, export: &Export<'_>) -> Result<()> {
    screen.json(&Document::new("inventory-export", ExportJson::of(export), &[]))
}

#[derive(Serialize)]
struct ExportJson<'a> {
    inventory: InventoryJson,
    matrix: Vec<RowJson<'a>>,
    outgoing: Vec<OutgoingJson<'a>>,
    base: Vec<BaseJson<'a>>,
}

impl<'a> ExportJson<'a> {
    fn of(export: &'a Export<'a>) -> Self {
        let matrix = &export.matrix;
        Self {
            inventory: InventoryJson::of(export.inventory),
            matrix: matrix.rows.iter().map(|row| RowJson::of(export.inventory, row)).collect(),
            outgoing: matrix.outgoing.iter().map(OutgoingJson::of).collect(),
            base: matrix.base.iter().map(BaseJson::of).collect(),
        }
    }
}
