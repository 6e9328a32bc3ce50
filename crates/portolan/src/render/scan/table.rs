//! A scan for reading: a block a host, open ports one by one, equal states with their count.

use std::io::{self, Write as _};
use std::net::IpAddr;

use portolan_core::net::PortRange;
use portolan_core::scan::target::AddressRange;
use portolan_core::scan::{HostReport, Icmp, PortState, Reason, Record, TargetSet};

use super::block::{Alike, Row, Shape, Silence};
use super::hosts::{Hosts, Told};
use super::words::{counted, note_said, percent, state, time};
use super::{Page, os, summary, words};
use crate::ops::scan::{Sink, Summary};
use crate::render::number::thousands;
use crate::render::sanitize::sanitize;
use crate::render::style::Role;
use crate::render::table::{Cell, Column, Table, wrap};

/// Gathers what is found and prints it at the end, by address.
pub(super) struct TableSink<'a> {
    page: Page<'a>,
    hosts: Hosts,
}

impl<'a> TableSink<'a> {
    pub(super) fn new(page: Page<'a>) -> Self {
        let whole = page.opening.is_whole();
        let silence = if whole { Silence::Counted } else { Silence::Kept };
        Self { page, hosts: Hosts::new(silence) }
    }
}

impl Sink for TableSink<'_> {
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn port(&mut self, record: &Record) -> io::Result<()> {
        self.hosts.port(record);
        Ok(())
    }

    fn host(&mut self, report: &HostReport) -> io::Result<()> {
        self.hosts.host(report, &self.page.opening.ports);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        self.hosts.close(&self.page.opening.ports);
        let sheet = Sheet { page: &self.page, hosts: &self.hosts };
        let table = sheet.table();
        let Page { width, style, .. } = self.page;
        let silent = sheet.silent(summary);
        let out = &mut self.page.out;
        if sheet_has_rows(&self.hosts) {
            table.write(out, width, style)?;
        } else {
            table.write_bare(out, width, style)?;
        }
        let below = summary::lines(self.page.opening, summary, silent.as_deref());
        if !below.is_empty() && !table.is_blank() {
            writeln!(out)?;
        }
        for text in below {
            for line in wrap(&sanitize(&text), width) {
                writeln!(out, "{line}")?;
            }
        }
        out.flush()
    }
}

fn sheet_has_rows(hosts: &Hosts) -> bool {
    hosts.told().any(|(_, told)| !told.rows.is_empty())
}

/// All that is to be printed.
struct Sheet<'s, 'a> {
    page: &'s Page<'a>,
    hosts: &'s Hosts,
}

impl Sheet<'_, '_> {
    fn table(&self) -> Table {
        let mut table = Table::new([
            Column::left("  PORT"),
            Column::flexible("STATE", 12),
            Column::flexible("SERVICE", 8),
            Column::flexible("ANSWER", 8),
            Column::right("RTT"),
            Column::flexible("NOTE", 8),
        ]);
        for (address, told) in self.hosts.told() {
            table.push_text(0, self.heading(address, &told.report));
            told.report.front.iter().for_each(|front| {
                table.push_text(2, Cell::new(Role::Warning, words::in_front(front)));
            });
            let two = os::guess(&told.report).and_then(|guess| guess.front);
            if let Some(two) = two.filter(|_| told.report.front.is_none()) {
                table.push_text(2, Cell::new(Role::Warning, os::two(&two)));
            }
            self.rows(&mut table, told);
            self.shapes(&mut table, &told.shapes);
        }
        for (addresses, shapes) in self.hosts.alike() {
            table.push_text(0, self.heading_of_several(&addresses));
            self.shapes(&mut table, shapes);
        }
        table
    }

    /// `10.0.0.1  web.example.org, 0.21 ms`.
    fn heading(&self, address: IpAddr, report: &HostReport) -> Cell {
        let mut facts: Vec<String> =
            self.page.name(address).map(str::to_owned).into_iter().collect();
        facts.extend(report.rtt.map(time));
        let guess = os::guess(report);
        facts.extend(guess.as_ref().and_then(os::said));
        let loss = report.loss.filter(|loss| *loss >= 0.005);
        facts.extend(loss.map(|loss| format!("loss {}", percent(loss))));
        Cell::new(Role::Strong, joined(&address.to_string(), &facts))
    }

    fn heading_of_several(&self, addresses: &[IpAddr]) -> Cell {
        let [one] = addresses else {
            let set: TargetSet = addresses.iter().copied().collect();
            let ranges = ranges(set.ranges(), self.page.width.saturating_sub(20));
            let hosts = counted(addresses.len() as u64, "host");
            return Cell::new(Role::Strong, format!("{ranges}  {hosts}"));
        };
        let name = self.page.name(*one).map(str::to_owned);
        Cell::new(Role::Strong, joined(&one.to_string(), name.as_slice()))
    }

    fn rows(&self, table: &mut Table, told: &Told) {
        let mut rows = told.rows.iter().peekable();
        while let Some(row) = rows.next() {
            let mut row = row.clone();
            if self.service(&row).is_empty() {
                while let Some(next) =
                    rows.next_if(|next| row.goes_on_in(next) && self.service(next).is_empty())
                {
                    row.ports =
                        PortRange::new(row.ports.first(), next.ports.last()).unwrap_or(row.ports);
                    row.rtt = row.rtt.min(next.rtt);
                }
            }
            table.push(self.row(&row));
        }
    }

    fn row(&self, row: &Row) -> Vec<Cell> {
        let mut notes: Vec<&str> = Vec::new();
        notes.extend((row.verified == Some(true)).then_some("verified"));
        notes.extend(row.note.map(note_said));
        vec![
            Cell::new(Role::Strong, format!("  {}/{}", row.ports, row.transport)),
            Cell::new(Role::Good, state(row.state, row.reason, row.verified)),
            self.service(row).into(),
            row.reason.to_string().into(),
            row.rtt.map(time).unwrap_or_default().into(),
            notes.join(", ").into(),
        ]
    }

    fn service(&self, row: &Row) -> &str {
        self.page.service(row.ports.first(), row.transport).unwrap_or_default()
    }

    fn shapes(&self, table: &mut Table, shapes: &[Shape]) {
        for shape in shapes {
            table.push_text(2, Cell::new(role(shape.alike.state), self.shape(shape)));
        }
    }

    /// `997 tcp closed (refused): 1-21,23-79,81-1000`.
    fn shape(&self, shape: &Shape) -> String {
        let Shape { alike, count, ports } = shape;
        let mut text = format!(
            "{} {} {}",
            thousands(u64::from(*count)),
            alike.transport,
            state(alike.state, alike.reason, alike.verified)
        );
        text.push_str(&aside(alike));
        if !ports.is_empty() {
            let room = self.page.width.saturating_sub(text.len() + 4);
            let listed = cut(ports.iter().map(ToString::to_string), ",", room.max(20));
            text.push_str(&format!(": {listed}"));
        }
        text
    }

    /// Which hosts never answered, where that follows from those that did.
    fn silent(&self, summary: &Summary) -> Option<String> {
        let opening = self.page.opening;
        let tally = &summary.tally;
        let is_known = opening.is_whole()
            && tally.hosts == opening.hosts
            && tally.not_finished == 0
            && (tally.silent == 0 || tally.no_neighbour == 0);
        let count = tally.silent + tally.no_neighbour;
        if !is_known || count == 0 {
            return None;
        }
        let shown = self.hosts.shown().map(AddressRange::from);
        let rest = TargetSet::new(opening.targets.ranges(), shown).ok()?;
        Some(ranges(rest.ranges(), (2 * self.page.width).saturating_sub(80)))
    }
}

/// Who answered and with what, where the state does not say it.
fn aside(alike: &Alike) -> String {
    let mut parts: Vec<String> = Vec::new();
    if let Reason::Icmp(Icmp { .. }) = alike.reason {
        parts.push(alike.reason.to_string());
    }
    parts.extend(alike.from.map(|from| format!("from {from}")));
    parts.extend(alike.note.map(|note| note_said(note).to_owned()));
    if parts.is_empty() { String::new() } else { format!(", {}", parts.join(", ")) }
}

const fn role(state: PortState) -> Role {
    match state {
        PortState::Open => Role::Warning,
        PortState::Unknown => Role::Bad,
        PortState::Closed | PortState::Filtered | PortState::OpenFiltered => Role::Dim,
    }
}

fn joined(address: &str, facts: &[String]) -> String {
    if facts.is_empty() { address.to_owned() } else { format!("{address}  {}", facts.join(", ")) }
}

fn ranges(ranges: impl Iterator<Item = AddressRange>, room: usize) -> String {
    cut(ranges.map(|r| r.to_string()), ", ", room)
}

/// As many of `items` as fit, and how many more there are.
fn cut(items: impl Iterator<Item = String>, between: &str, room: usize) -> String {
    let mut text = String::new();
    let mut left = 0;
    for item in items {
        let is_full = text.len() + between.len() + item.len() + MORE > room;
        if left > 0 || (is_full && !text.is_empty()) {
            left += 1;
            continue;
        }
        if !text.is_empty() {
            text.push_str(between);
        }
        text.push_str(&item);
    }
    if left > 0 {
        text.push_str(&format!(", {} more", thousands(left)));
    }
    text
}

/// Room for `, 12,345 more`.
const MORE: usize = 13;
