//! What is wrong with rules, for reading and as JSON.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::firewall::analyse::Finding;
use serde_json::{Value, json};

use super::block::{places, rule_text, untold, witness_json};
use super::place::PlaceJson;
use super::simulate::packet_words;
use crate::ops::firewall::compare::{Linted, Report};
use crate::render::json::Document;
use crate::render::number::counted;
use crate::render::screen::Screen;
use crate::render::style::Role;

/// Prints a paragraph for each finding, one for those that follow each other and differ in their rule only.
pub(crate) fn text(screen: &mut Screen, report: &Report<Linted>) -> Result<()> {
    let Some(Linted { findings, own }) = &report.found else {
        writeln!(screen, "undecided")?;
        return Ok(screen.flush()?);
    };
    for alike in findings.chunk_by(is_alike) {
        paragraph(screen, alike, report)?;
    }
    let rules = counted(report.ruleset.rule_count() as u64, "rule");
    writeln!(screen, "{} in {rules}", counted(findings.len() as u64, "finding"))?;
    if *own > 0 {
        let note = format!(
            "left out: {own} about inet portolan, which is made from the inventory: `portolan firewall \
             prove --live` judges it"
        );
        screen.hanging("", &note)?;
    }
    untold(screen, &report.gaps)?;
    Ok(screen.flush()?)
}

fn is_alike(one: &Finding, next: &Finding) -> bool {
    (one.code, &one.message, &one.blockers) == (next.code, &next.message, &next.blockers)
}

fn paragraph(screen: &mut Screen, alike: &[Finding], report: &Report<Linted>) -> Result<()> {
    let Some(first) = alike.first() else { return Ok(()) };
    let code = screen.style.paint(Role::Warning, first.code.as_str()).to_string();
    let count = if alike.len() > 1 { format!(" ({} rules)", alike.len()) } else { String::new() };
    writeln!(screen, "{code}{count}")?;
    for finding in alike {
        screen.hanging("  ", &rule_text(finding.rule, &report.ruleset))?;
    }
    let each = if alike.len() > 1 { "each: " } else { "" };
    screen.hanging("  ", &format!("{each}{}", first.message))?;
    for blocker in &first.blockers {
        screen.hanging("  by ", &rule_text(*blocker, &report.ruleset))?;
    }
    if let Some(witness) = &first.witness {
        screen.hanging("  for one: ", &packet_words(&witness.told()))?;
    }
    writeln!(screen)?;
    Ok(())
}

/// Prints it as one document.
pub(crate) fn json(screen: &mut Screen, report: &Report<Linted>) -> Result<()> {
    let findings: Vec<Value> = report
        .found
        .iter()
        .flat_map(|found| &found.findings)
        .map(|finding| finding_json(finding, report))
        .collect();
    let body = json!({
        "decided": report.found.is_some(),
        "rules": report.ruleset.rule_count(),
        "findings": findings,
        "own": report.found.as_ref().map(|found| found.own),
    });
    screen.json(&Document::new("firewall-lint", body, &report.gaps))
}

fn finding_json(finding: &Finding, report: &Report<Linted>) -> Value {
    json!({
        "code": finding.code.as_str(),
        "rule": report.ruleset.place(finding.rule).as_ref().map(PlaceJson::from),
        "blockers": places(&finding.blockers, &report.ruleset),
        "message": finding.message,
        "witness": witness_json(finding.witness.as_ref()),
    })
}
