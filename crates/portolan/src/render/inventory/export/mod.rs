//! An inventory for other readers: a page for people, tables, a diagram, and what other tools import.
//!
//! Every form is a function of the inventory, and of one day where it judges dates. Texts of the
//! inventory are escaped for where they go; no form holds a command line.

mod csv;
mod cyclonedx;
mod html;
mod json;
mod markdown;
mod mermaid;
mod netbox;
mod words;

use anyhow::Result;

use crate::cli::args::ExportFormat;
use crate::ops::inventory::export::Export;
use crate::render::screen::Screen;

/// Prints `export` in the form asked for.
pub(crate) fn print(screen: &mut Screen, format: ExportFormat, export: &Export<'_>) -> Result<()> {
    match format {
        ExportFormat::Markdown => markdown::print(screen, export),
        ExportFormat::Html => html::print(screen, export),
        ExportFormat::Csv => csv::print(screen, export),
        ExportFormat::Json => json::print(screen, export),
        ExportFormat::Mermaid => mermaid::print(screen, export),
        ExportFormat::NetboxCsv => netbox::print(screen, export),
        ExportFormat::Cyclonedx => cyclonedx::print(screen, export),
    }
}
