//! Which registry is in use and how old it is, for reading and as JSON.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::net::Observed;
use portolan_core::registry::{Counts, Edition};
use serde::Serialize;

use crate::ops::registry::{Imported, Report};
use crate::render::json::Document;
use crate::render::number::thousands;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;

/// Prints what is in use, where it is from and how much it holds.
pub(crate) fn text(screen: &mut Screen, report: &Report) -> Result<()> {
    let Edition { date, origin } = report.registry.edition();
    let (uses, notes) = report.registry.own_rows();
    let kind = if report.path.is_some() { "imported" } else { "built in" };
    let date = if date.is_empty() { "an unknown day" } else { date };
    let style = screen.style;
    writeln!(
        screen,
        "IANA's registry of {}{} ({kind})",
        style.paint(Role::Strong, sanitize(date)),
        age(report)
    )?;
    writeln!(screen, "  {}", counted(&report.counts))?;
    writeln!(screen, "  from {}", sanitize(origin))?;
    if let Some(path) = &report.path {
        writeln!(screen, "  in {}", sanitize(&path.to_string_lossy()))?;
    }
    writeln!(screen, "Beside it, built in: {uses} common uses, {notes} security notes")?;
    if report.path.is_none() {
        let next = "portolan registry update --import FILE takes a newer CSV or XML of IANA's";
        writeln!(screen, "\n{}", style.paint(Role::Hint, next))?;
    }
    Ok(screen.flush()?)
}

fn age(report: &Report) -> String {
    match report.age_days {
        None => String::new(),
        Some(..=0) => ", of today".into(),
        Some(1) => ", 1 day old".into(),
        Some(days) => format!(", {days} days old"),
    }
}

fn counted(counts: &Counts) -> String {
    let portless = match counts.portless {
        0 => String::new(),
        n => format!(", {} of them without a port", thousands(n as u64)),
    };
    let (assignments, names) =
        (thousands(counts.assignments as u64), thousands(counts.names as u64));
    format!("{assignments} assignments of a port and transport, {names} names{portless}")
}

/// Prints the same as one document.
pub(crate) fn json(screen: &mut Screen, report: &Observed<Report>) -> Result<()> {
    let Observed { value, gaps } = report;
    let Edition { date, origin } = value.registry.edition();
    let (common_uses, security_notes) = value.registry.own_rows();
    let body = Body {
        source: if value.path.is_some() { "imported" } else { "embedded" },
        date: Some(date).filter(|d| !d.is_empty()),
        age_days: value.age_days,
        origin,
        path: value.path.as_ref().map(|p| p.to_string_lossy().into_owned()),
        counts: CountsJson::from(&value.counts),
        common_uses,
        security_notes,
    };
    screen.json(&Document::new("registry", body, gaps))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body<'a> {
    source: &'static str,
    date: Option<&'a str>,
    age_days: Option<i32>,
    origin: &'a str,
    path: Option<String>,
    #[serde(flatten)]
    counts: CountsJson,
    common_uses: usize,
    security_notes: usize,
}

#[derive(Serialize)]
struct CountsJson {
    assignments: usize,
    names: usize,
    names_without_port: usize,
    bytes: usize,
}

impl From<&Counts> for CountsJson {
    fn from(counts: &Counts) -> Self {
        Self {
            assignments: counts.assignments,
            names: counts.names,
            names_without_port: counts.portless,
            bytes: counts.bytes,
        }
    }
}

/// Prints what was imported.
pub(crate) fn imported_text(screen: &mut Screen, imported: &Imported) -> Result<()> {
    let Imported { path, records, date, counts } = imported;
    let path = path.to_string_lossy();
    writeln!(
        screen,
        "Took {} records of {} into {}",
        thousands(*records as u64),
        sanitize(date),
        sanitize(&path)
    )?;
    writeln!(screen, "  {}", counted(counts))?;
    Ok(screen.flush()?)
}

/// Prints the same as one document.
pub(crate) fn imported_json(screen: &mut Screen, imported: &Imported) -> Result<()> {
    let body = ImportedJson {
        path: imported.path.to_string_lossy().into_owned(),
        date: Some(&*imported.date).filter(|d| !d.is_empty()),
        records: imported.records,
        counts: CountsJson::from(&imported.counts),
    };
    screen.json(&Document::new("registry-update", body, &[]))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct ImportedJson<'a> {
    path: String,
    date: Option<&'a str>,
    records: usize,
    #[serde(flatten)]
    counts: CountsJson,
}
