//! `portolan firewall tighten`.

use std::io::Write as _;

use anyhow::Result;

use crate::cli::args::Global;
use crate::cli::args::firewall::Tighten;
use crate::exit::Exit;
use crate::render::screen::Screen;
use crate::{ops, render};

/// 0 when nothing can be narrowed, 1 when it can, 3 when the proof is not complete.
pub(crate) fn run(arguments: &Tighten, global: &Global) -> Result<Exit> {
    let budget = usize::from(arguments.budget);
    let report =
        ops::firewall::tighten::tighten(&arguments.flows, &arguments.sources.asked(), budget)?;
    let mut screen = Screen::open(global);
    if global.json {
        render::firewall::tighten::json(&mut screen, &report)?;
    } else if arguments.nft {
        write!(screen, "{}", report.script)?;
        screen.flush()?;
        render::gap::print(&report.gaps, global.color);
    } else {
        render::firewall::tighten::text(&mut screen, &report)?;
        render::gap::print(&report.gaps, global.color);
    }
    let is_partial = report.gaps.iter().any(portolan_core::net::Gap::is_incomplete);
    Ok(match report.proof.is_complete() && !is_partial {
        false => Exit::Partial,
        true if report.proof.narrows() => Exit::No,
        true => Exit::Yes,
    })
}
