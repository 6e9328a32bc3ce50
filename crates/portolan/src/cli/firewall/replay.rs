//! `portolan firewall replay`.

use anyhow::Result;

use crate::cli::args::Global;
use crate::cli::args::firewall::Replay;
use crate::exit::Exit;
use crate::render::screen::Screen;
use crate::{ops, render};

/// 0 when every flow passes, 1 when one is refused, 3 when one depends on what no flow tells.
pub(crate) fn run(arguments: &Replay, global: &Global) -> Result<Exit> {
    if let Some(path) = &arguments.write {
        let flows = ops::firewall::flows::load(&arguments.flows, None)?;
        flows.write(&arguments.flows, path)?;
        return Ok(Exit::Yes);
    }
    let report = ops::firewall::replay::replay(
        &arguments.flows,
        &arguments.sources.asked(),
        &arguments.hook,
    )?;
    let mut screen = Screen::open(global);
    if global.json {
        render::firewall::replay::json(&mut screen, &report)?;
    } else {
        render::firewall::replay::text(&mut screen, &report)?;
        render::gap::print(&report.gaps, global.color);
    }
    let is_partial = report.gaps.iter().any(portolan_core::net::Gap::is_incomplete);
    Ok(if !report.refused.is_empty() {
        Exit::No
    } else if !report.depending.is_empty() || is_partial {
        Exit::Partial
    } else {
        Exit::Yes
    })
}
