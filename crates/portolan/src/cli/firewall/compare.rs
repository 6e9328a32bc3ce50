//! `portolan firewall lint`, `diff` and `parity`.

use anyhow::Result;
use portolan_core::net::Gap;

use crate::cli::args::Global;
use crate::cli::args::firewall::{Diff, Lint, Parity};
use crate::exit::Exit;
use crate::render::screen::Screen;
use crate::{ops, render};

/// Looks at every rule; 1 where something is found.
pub(crate) fn lint(arguments: &Lint, global: &Global) -> Result<Exit> {
    let report = ops::firewall::compare::lint(&arguments.sources.asked())?;
    let mut screen = Screen::open(global);
    if global.json {
        render::firewall::lint::json(&mut screen, &report)?;
    } else {
        render::firewall::lint::text(&mut screen, &report)?;
        render::gap::print(&report.gaps, global.color);
    }
    Ok(exit(report.found.as_ref().map(|found| found.findings.is_empty()), &report.gaps))
}

/// Compares two rulesets; 1 where they differ.
pub(crate) fn diff(arguments: &Diff, global: &Global) -> Result<Exit> {
    let report = ops::firewall::compare::diff(&arguments.before, &arguments.after)?;
    let mut screen = Screen::open(global);
    if global.json {
        render::firewall::diff::json(&mut screen, &report)?;
    } else {
        render::firewall::diff::text(&mut screen, &report)?;
        render::gap::print(&report.gaps, global.color);
    }
    let is_equal = report.found.as_ref().and_then(ops::firewall::compare::Compared::is_equal);
    Ok(exit(is_equal, &report.gaps))
}

/// Compares the families; 1 where they differ.
pub(crate) fn parity(arguments: &Parity, global: &Global) -> Result<Exit> {
    let hook = arguments.hook.as_deref();
    let report = ops::firewall::compare::parity(&arguments.sources.asked(), hook)?;
    let mut screen = Screen::open(global);
    if global.json {
        render::firewall::parity::json(&mut screen, &report)?;
    } else {
        render::firewall::parity::text(&mut screen, &report)?;
        render::gap::print(&report.gaps, global.color);
    }
    let is_alike = report.found.as_ref().and_then(Option::as_ref);
    Ok(exit(is_alike.map(|found| found.known.is_empty()), &report.gaps))
}

/// `None`: undecided.
fn exit(is_clean: Option<bool>, gaps: &[Gap]) -> Exit {
    match is_clean {
        Some(false) => Exit::No,
        Some(true) if !gaps.iter().any(Gap::is_incomplete) => Exit::Yes,
        _ => Exit::Partial,
    }
}
