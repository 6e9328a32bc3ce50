//! Where IPv4 and IPv6 are open differently, for reading and as JSON.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::firewall::analyse::{Disparity, Openness};
use serde_json::{Value, json};

use super::block::{address_words, networks};
use super::walk_words::protocol_word;
use crate::ops::firewall::compare::Report;
use crate::render::json::Document;
use crate::render::screen::Screen;

/// Prints a line a disparity.
pub(crate) fn text(screen: &mut Screen, report: &Report<Vec<Disparity>>) -> Result<()> {
    let Some(found) = &report.found else {
        writeln!(screen, "undecided")?;
        return Ok(screen.flush()?);
    };
    for disparity in found {
        writeln!(
            screen,
            "{}/{}: IPv4 {}, IPv6 {}",
            protocol_word(disparity.protocol),
            ports(disparity),
            words(&disparity.v4),
            words(&disparity.v6)
        )?;
    }
    if found.is_empty() {
        writeln!(screen, "alike: every port is open in both families, or closed in both")?;
    }
    Ok(screen.flush()?)
}

fn ports(disparity: &Disparity) -> String {
    match disparity.ports {
        (from, to) if from == to => from.to_string(),
        (from, to) => format!("{from}-{to}"),
    }
}

fn words(openness: &Openness) -> String {
    match openness {
        Openness::Closed => "closed".to_owned(),
        Openness::To(sources) => format!("only from {}", address_words(sources)),
        Openness::Any => "open to any".to_owned(),
    }
}

/// Prints it as one document.
pub(crate) fn json(screen: &mut Screen, report: &Report<Vec<Disparity>>) -> Result<()> {
    let all: Vec<Value> = report.found.iter().flatten().map(disparity_json).collect();
    let is_equal = report.found.as_ref().map(Vec::is_empty);
    let body = json!({"equal": is_equal, "disparities": all});
    screen.json(&Document::new("firewall-parity", body, &report.gaps))
}

fn disparity_json(disparity: &Disparity) -> Value {
    json!({
        "transport": protocol_word(disparity.protocol),
        "ports": ports(disparity),
        "v4": openness_json(&disparity.v4),
        "v6": openness_json(&disparity.v6),
    })
}

fn openness_json(openness: &Openness) -> Value {
    let (state, sources) = match openness {
        Openness::Closed => ("closed", Vec::new()),
        Openness::To(sources) => ("restricted", networks(sources)),
        Openness::Any => ("open", vec!["any".to_owned()]),
    };
    json!({"state": state, "sources": sources})
}
