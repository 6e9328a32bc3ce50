//! The rules, for reading and as JSON.

use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;

use crate::ops::firewall::show::Report;
use crate::render::json::Document;
use crate::render::screen::Screen;

/// Prints a table a chain.
pub(crate) fn text(screen: &mut Screen, report: &Report) -> Result<()> {
    writeln!(screen, "{} rules.", report.rules.ruleset.rule_count())?;
    Ok(screen.flush()?)
}

/// Prints all as one document.
pub(crate) fn json(screen: &mut Screen, report: &Report) -> Result<()> {
    screen.json(&Document::new("firewall-show", Body { chains: [] }, &report.rules.gaps))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body {
    chains: [(); 0],
}
