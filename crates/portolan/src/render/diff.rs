//! What changed between two charts, for reading and as JSON.

use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;

use crate::ops::diff::{Change, Difference, Report, SavedPort};
use crate::render::json::Document;
use crate::render::screen::Screen;
use crate::render::style::Role;
use crate::render::table::{Cell, Column, Table};

/// Prints the differences, opened ports first.
pub(crate) fn text(screen: &mut Screen, report: &Report) -> Result<()> {
    let (style, width) = (screen.style, screen.width);
    let [old, new] = &report.hosts;
    if old != new {
        let warning = format!("the charts are of two hosts: {old} and {new}");
        writeln!(
            screen,
            "{}",
            style.paint(Role::Warning, crate::render::sanitize::sanitize(&warning))
        )?;
    }
    if report.is_empty() {
        writeln!(screen, "No difference.")?;
        return Ok(screen.flush()?);
    }
    table(report).write(screen, width, style)?;
    writeln!(
        screen,
        "\n{} opened, {} closed, {} changed.",
        report.opened.len(),
        report.closed.len(),
        report.changed.len()
    )?;
    Ok(screen.flush()?)
}

fn table(report: &Report) -> Table {
    let mut table = Table::new([
        Column::left(""),
        Column::right("PORT"),
        Column::left("SERVICE"),
        Column::flexible("WHAT", 30),
    ]);
    for port in &report.opened {
        table.push(row(Cell::new(Role::Warning, "opened"), port, &held(port)));
    }
    for port in &report.closed {
        table.push(row(Cell::new(Role::Dim, "closed"), port, &held(port)));
    }
    for Change { port, differences } in &report.changed {
        for difference in differences {
            table.push(row(Cell::new(Role::Strong, "changed"), port, &sentence(difference)));
        }
    }
    table
}

fn row(what: Cell, port: &SavedPort, text: &str) -> Vec<Cell> {
    let service = port.service.as_deref().unwrap_or_default();
    vec![what, format!("{}/{}", port.port, port.transport).into(), service.into(), text.into()]
}

fn held(port: &SavedPort) -> String {
    match port.processes() {
        process if process.is_empty() => format!("on {}", port.addresses()),
        process => format!("{process} on {}", port.addresses()),
    }
}

fn sentence(difference: &Difference) -> String {
    let or_none = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    format!("{}: {} → {}", difference.field, or_none(&difference.old), or_none(&difference.new))
}

/// Prints the differences as one document.
pub(crate) fn json(screen: &mut Screen, report: &Report) -> Result<()> {
    let body = Body {
        old: HostJson { host: &report.hosts[0] },
        new: HostJson { host: &report.hosts[1] },
        opened: report.opened.iter().map(PortJson::from).collect(),
        closed: report.closed.iter().map(PortJson::from).collect(),
        changed: report.changed.iter().map(ChangeJson::from).collect(),
    };
    screen.json(&Document::new("diff", body, &report.gaps()))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body<'a> {
    old: HostJson<'a>,
    new: HostJson<'a>,
    opened: Vec<PortJson<'a>>,
    closed: Vec<PortJson<'a>>,
    changed: Vec<ChangeJson<'a>>,
}

#[derive(Serialize)]
struct HostJson<'a> {
    host: &'a str,
}

#[derive(Serialize)]
struct PortJson<'a> {
    port: u16,
    transport: &'a str,
    service: Option<&'a str>,
    process: String,
    bound: String,
}

impl<'a> From<&'a SavedPort> for PortJson<'a> {
    fn from(port: &'a SavedPort) -> Self {
        Self {
            port: port.port,
            transport: &port.transport,
            service: port.service.as_deref(),
            process: port.processes(),
            bound: port.addresses(),
        }
    }
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    port: u16,
    transport: &'a str,
    service: Option<&'a str>,
    changes: Vec<DifferenceJson<'a>>,
}

#[derive(Serialize)]
struct DifferenceJson<'a> {
    field: &'static str,
    old: &'a str,
    new: &'a str,
}

impl<'a> From<&'a Change> for ChangeJson<'a> {
    fn from(change: &'a Change) -> Self {
        let changes = change.differences.iter().map(|d| DifferenceJson {
            field: d.field,
            old: &d.old,
            new: &d.new,
        });
        Self {
            port: change.port.port,
            transport: &change.port.transport,
            service: change.port.service.as_deref(),
            changes: changes.collect(),
        }
    }
}
