//! `portolan firewall prove`.

use anyhow::Result;
use portolan_core::firewall::Proof;

use crate::cli::args::Global;
use crate::cli::args::firewall::Prove;
use crate::exit::Exit;
use crate::ops::firewall::prove::Reading;
use crate::render::screen::Screen;
use crate::{ops, render};

/// Tells whether a table does what the inventory says; 1 where it does not.
pub(crate) fn run(arguments: &Prove, global: &Global) -> Result<Exit> {
    let report =
        ops::firewall::prove::prove(&global.asked(), &arguments.sources.asked(), arguments.live)?;
    let mut screen = Screen::open(global);
    if global.json {
        render::firewall::prove::json(&mut screen, &report)?;
    } else {
        render::firewall::prove::text(&mut screen, &report)?;
        render::gap::print(&report.gaps, global.color);
    }
    Ok(match report.proof.as_ref().map(Proof::holds) {
        Some(true) if report.reading == Reading::Own => Exit::Partial,
        Some(true) => Exit::Yes,
        Some(false) => Exit::No,
        None => Exit::Partial,
    })
}
