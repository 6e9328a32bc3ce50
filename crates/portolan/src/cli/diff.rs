//! `portolan diff OLD NEW`.

use anyhow::Result;

use crate::cli::args::{Diff, Global};
use crate::exit::Exit;
use crate::render::screen::Screen;
use crate::{ops, render};

/// Compares two saved charts; 1 when they differ, 3 when they do not as far as both could see.
pub(crate) fn run(arguments: &Diff, global: &Global) -> Result<Exit> {
    let report = ops::diff::compare(&arguments.old, &arguments.new)?;
    let mut screen = Screen::open(global);
    if global.json {
        render::diff::json(&mut screen, &report)?;
    } else {
        render::diff::text(&mut screen, &report)?;
        render::gap::print(&report.gaps(), global.color);
    }
    Ok(match report.is_empty() {
        true if report.hidden > 0 => Exit::Partial,
        true => Exit::Yes,
        false => Exit::No,
    })
}
