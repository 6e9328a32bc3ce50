//! A row a host and port, for a spreadsheet.
//!
//! A cell that a spreadsheet would take for a formula begins with an apostrophe, because the texts
//! in an inventory may come from anybody who may write to it:
//! <https://owasp.org/www-community/attacks/CSV_Injection>.

use std::borrow::Cow;
use std::io::Write as _;

use anyhow::Result;
use portolan_core::inventory::matrix::Traffic;
use portolan_core::inventory::{Documentation, Service, Word};

use crate::ops::inventory::export::{Due, Entry, Export};
use crate::render::inventory::export::words;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;

/// Prints the table.
pub(crate) fn print(screen: &mut Screen, export: &Export<'_>) -> Result<()> {
    let mut writer = Writer::new();
    writer.row(COLUMNS.iter().map(|column| (*column).to_owned()))?;
    for entry in &export.entries {
        for traffic in &entry.traffic {
            writer.row(cells(export, entry, *traffic))?;
        }
    }
    screen.write_all(&writer.finish()?)?;
    Ok(screen.flush()?)
}

const COLUMNS: [&str; 30] = [
    "host",
    "address",
    "port",
    "transport",
    "kind",
    "service",
    "status",
    "from",
    "implied_by",
    "behind",
    "speaks",
    "purpose",
    "owner",
    "contact",
    "criticality",
    "security",
    "process",
    "user",
    "unit",
    "container",
    "approved_by",
    "approved_on",
    "ticket",
    "approved_until",
    "review_due",
    "needs",
    "tags",
    "links",
    "file",
    "line",
];

fn cells(export: &Export<'_>, entry: &Entry<'_>, traffic: Traffic<'_>) -> Vec<String> {
    let place = export.inventory.line_of(entry.subject.at());
    let (port, transport) = match traffic {
        Traffic::Ports { range, transport } => (range.to_string(), transport.to_string()),
        Traffic::Protocol { .. } => (String::new(), traffic.to_string()),
    };
    let mut cells = vec![
        entry.host.name.clone(),
        entry.host.address.first().map(|a| a.value.to_string()).unwrap_or_default(),
        port,
        transport,
        entry.subject.kind().to_owned(),
        entry.subject.name().to_owned(),
        entry.subject.status().map(Word::word).unwrap_or_default().to_owned(),
        words::from(export, entry).join(", "),
        implied_by(export, entry),
        entry.door.map(|door| door.name.clone()).unwrap_or_default(),
    ];
    let service = entry.subject.service();
    cells.push(service.map(|s| s.speaks.join(", ")).unwrap_or_default());
    cells.extend(documented(export, entry.subject.docs()));
    cells.extend(run_by(service));
    cells.extend(approved(export, entry.subject.docs()));
    cells.push(service.map(|s| words::texts(&s.needs).join(", ")).unwrap_or_default());
    let listed = |list: fn(&Documentation) -> &Vec<String>| {
        entry.subject.docs().map(|docs| list(docs).join(" ")).unwrap_or_default()
    };
    cells.push(listed(|docs| &docs.tags));
    cells.push(listed(|docs| &docs.links));
    cells.push(place.file.to_owned());
    cells.push(place.line.to_string());
    cells
}

fn implied_by(export: &Export<'_>, entry: &Entry<'_>) -> String {
    let implied = words::implied(export, &entry.from);
    let words = implied.iter().map(|(source, forward)| format!("{source} via forward {forward}"));
    words.collect::<Vec<_>>().join(", ")
}

/// Purpose, owner, contact, criticality, security.
fn documented(export: &Export<'_>, docs: Option<&Documentation>) -> [String; 5] {
    let Some(docs) = docs else { return Default::default() };
    let owner = export.owner(docs);
    [
        words::purpose(docs).to_owned(),
        docs.owner.as_ref().map(|owner| owner.value.clone()).unwrap_or_default(),
        owner.and_then(|owner| owner.contact.clone()).unwrap_or_default(),
        docs.criticality.map(Word::word).unwrap_or_default().to_owned(),
        docs.security.clone().unwrap_or_default(),
    ]
}

/// Process, user, unit, container.
fn run_by(service: Option<&Service>) -> [String; 4] {
    let Some(service) = service else { return Default::default() };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    [service.process.join(", "), text(&service.user), text(&service.unit), text(&service.container)]
}

/// Approved by, on, ticket, until; next review.
fn approved(export: &Export<'_>, docs: Option<&Documentation>) -> [String; 5] {
    let Some(docs) = docs else { return Default::default() };
    let approved = docs.approved.as_ref();
    let text = |value: Option<String>| value.unwrap_or_default();
    [
        text(approved.and_then(|a| a.by.clone())),
        text(approved.and_then(|a| a.on).map(|day| day.to_string())),
        text(approved.and_then(|a| a.ticket.clone())),
        text(approved.and_then(|a| a.until.as_ref()).map(|day| day.value.to_string())),
        match export.review(docs) {
            Due::Undated => String::new(),
            Due::Past(day) | Due::Soon(day) | Due::Later(day) => day.to_string(),
        },
    ]
}

/// CSV as RFC 4180 has it, each cell in one line and harmless.
pub(crate) struct Writer(csv::Writer<Vec<u8>>);

impl Writer {
    /// An empty table.
    pub(crate) fn new() -> Self {
        let terminator = csv::Terminator::CRLF;
        Self(csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new()))
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) -> Result<()> {
        Ok(self.0.write_record(cells.into_iter().map(|cell| harmless(&cell).into_owned()))?)
    }

    /// The whole table.
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        Ok(self.0.into_inner().map_err(csv::IntoInnerError::into_error)?)
    }
}

/// `cell` without control characters, and never a formula.
fn harmless(cell: &str) -> Cow<'_, str> {
    let shown = sanitize(cell);
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => Cow::Owned(format!("'{shown}")),
        false => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_would_be_a_formula_begins_with_an_apostrophe() {
        for formula in ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)"] {
            assert_eq!(harmless(formula), format!("'{formula}"));
        }
        assert_eq!(harmless("\t=1"), "'\\t=1");
        assert_eq!(harmless("a=1"), "a=1");
    }
}
