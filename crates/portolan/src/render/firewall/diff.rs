//! What two rulesets do differently, for reading and as JSON.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::firewall::analyse::{Difference, Differences};
use portolan_core::firewall::simulate::Way;
use serde_json::{Value, json};

use super::block::{block_json, block_words, packet_words, witness_json};
use super::walk_words::outcome_word;
use crate::ops::firewall::compare::Report;
use crate::render::json::Document;
use crate::render::screen::Screen;

/// So many blocks of one difference are told; JSON has them all.
const SHOWN: usize = 10;

const fn way_word(way: Way) -> &'static str {
    match way {
        Way::Prerouting => "prerouting",
        Way::Input => "input",
        Way::Forward => "forward",
        Way::Output => "output",
        Way::ByRoute => "by route",
    }
}

fn regions(report: &Report<Vec<Differences>>) -> impl Iterator<Item = &Difference> {
    report.found.iter().flatten().flat_map(|of_family| &of_family.regions)
}

/// Prints a paragraph a difference.
pub(crate) fn text(screen: &mut Screen, report: &Report<Vec<Differences>>) -> Result<()> {
    if report.found.is_none() {
        writeln!(screen, "undecided")?;
        return Ok(screen.flush()?);
    }
    for difference in regions(report) {
        writeln!(
            screen,
            "{}: {} → {}, for one {}",
            way_word(difference.way),
            outcome_word(difference.before),
            outcome_word(difference.after),
            packet_words(&difference.witness.packet)
        )?;
        for block in difference.blocks.iter().take(SHOWN) {
            writeln!(screen, "  {}", block_words(block, None))?;
        }
        if difference.blocks.len() > SHOWN {
            writeln!(screen, "  and {} more (--json has all)", difference.blocks.len() - SHOWN)?;
        }
    }
    if regions(report).next().is_none() {
        writeln!(screen, "equal: the same becomes of every packet")?;
    }
    Ok(screen.flush()?)
}

/// Prints it as one document.
pub(crate) fn json(screen: &mut Screen, report: &Report<Vec<Differences>>) -> Result<()> {
    let is_equal = report.found.as_ref().map(|_| regions(report).next().is_none());
    let is_whole = report.found.iter().flatten().all(|of_family| of_family.is_whole);
    let all: Vec<Value> = regions(report).map(region_json).collect();
    let body = json!({"equal": is_equal, "complete": is_whole, "regions": all});
    screen.json(&Document::new("firewall-diff", body, &report.gaps))
}

fn region_json(difference: &Difference) -> Value {
    json!({
        "hook": way_word(difference.way),
        "before": outcome_word(difference.before),
        "after": outcome_word(difference.after),
        "witness": witness_json(Some(&difference.witness)),
        "blocks": difference.blocks.iter().map(block_json).collect::<Vec<_>>(),
    })
}
