//! `portolan firewall show`.

use anyhow::Result;

use crate::cli::args::Global;
use crate::cli::args::firewall::Show;
use crate::exit::Exit;
use crate::render::screen::Screen;
use crate::{ops, render};

/// Shows the rules in the order in which packets meet them; 3 when some could not be seen.
pub(crate) fn run(arguments: &Show, global: &Global) -> Result<Exit> {
    let report = ops::firewall::show::show(&arguments.sources.asked(), arguments.hook.as_deref())?;
    let mut screen = Screen::open(global);
    if global.json {
        render::firewall::show::json(&mut screen, &report)?;
    } else {
        render::firewall::show::text(&mut screen, &report)?;
        render::gap::print(&report.rules.gaps, global.color);
    }
    let is_partial = report.rules.gaps.iter().any(portolan_core::net::Gap::is_incomplete);
    Ok(if is_partial { Exit::Partial } else { Exit::Yes })
}
