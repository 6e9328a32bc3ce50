//! `portolan firewall search`.

use anyhow::Result;
use portolan_core::firewall::analyse::Answer;
use portolan_core::net::Gap;

use crate::cli::args::Global;
use crate::cli::args::firewall::Search;
use crate::exit::Exit;
use crate::ops::firewall::search::{Report, Wanted};
use crate::render::screen::Screen;
use crate::{ops, render};

/// Who can reach it; 0 somebody, 1 nobody, 3 only perhaps.
pub(crate) fn run(arguments: &Search, global: &Global) -> Result<Exit> {
    let registry = ops::registry::load().value;
    let wanted = Wanted {
        to_port: arguments.to_port.clone(),
        is_of_everything: false,
        from: arguments.from.clone(),
        hook: arguments.hook.clone(),
        sources: arguments.sources.asked(),
    };
    let report = ops::firewall::search::search(&wanted, &global.asked(), &registry)?;
    let mut screen = Screen::open(global);
    if global.json {
        render::firewall::search::json(&mut screen, &report)?;
    } else {
        render::firewall::search::text(&mut screen, &report)?;
        render::gap::print(&report.gaps, global.color);
    }
    Ok(exit(&report))
}

fn exit(report: &Report) -> Exit {
    let is_certain =
        report.found.iter().any(|found| found.answer != Answer::Never && found.is_witness_certain);
    match report.answer {
        None => Exit::Partial,
        Some(_) if is_certain => Exit::Yes,
        Some(Answer::Never) if report.gaps.iter().any(Gap::is_incomplete) => Exit::Partial,
        Some(Answer::Never) => Exit::No,
        Some(Answer::Always | Answer::Depends) => Exit::Partial,
    }
}
