//! The report for reading: what is left where, who has the rest, what to do; a screen a namespace.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use portolan_core::net::Transport;
use portolan_core::registry::Registry;
use portolan_core::socket::ephemeral::{Destination, Fill, PRESSING, TRANSPORTS};
use portolan_core::socket::{Held, SocketTable, SocketTransport, State, Unowned};

use super::advice::words;
use crate::ops::ephemeral::{Holding, Report};
use crate::render::namespace;
use crate::render::owner::{container_name, process_names, unowned_word};
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;
use crate::render::table::{Cell, Column, Table, wrap};

/// Prints the reports, a screen each.
pub(crate) fn text(
    screen: &mut Screen,
    reports: &[Report<'_>],
    table: &SocketTable,
    registry: &Registry,
) -> Result<()> {
    for (i, report) in reports.iter().enumerate() {
        if i > 0 {
            writeln!(screen)?;
        }
        let title = namespace::title(report.netns, report.is_own);
        writeln!(screen, "{}", screen.style.paint(Role::Heading, sanitize(&title)))?;
        facts(screen, report)?;
        write_below(screen, &left(report, registry))?;
        write_below(screen, &holders(report, table))?;
        write_below(screen, &fixed(report, table))?;
        advice(screen, report)?;
    }
    Ok(screen.flush()?)
}

/// A table that has something to say, after an empty line.
fn write_below(screen: &mut Screen, table: &Table) -> Result<()> {
    if !table.is_empty() {
        writeln!(screen)?;
        let (width, style) = (screen.width, screen.style);
        table.write(screen, width, style)?;
    }
    Ok(())
}

fn facts(screen: &mut Screen, report: &Report<'_>) -> Result<()> {
    let (style, width) = (screen.style, screen.width);
    for (key, value) in told(report) {
        let mut key = key;
        for line in wrap(&value, width.saturating_sub(KEY + 3)) {
            writeln!(screen, "  {} {line}", style.paint(Role::Dim, format!("{key:KEY$}")))?;
            key = "";
        }
    }
    Ok(())
}

fn told(report: &Report<'_>) -> Vec<(&'static str, String)> {
    let usage = &report.usage;
    let mut facts = vec![("range", range(report))];
    let tcp: Vec<String> =
        report.states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    if !tcp.is_empty() {
        facts.push(("tcp inside", tcp.join(", ")));
    }
    if usage.usable() == 0 {
        facts.push(("left", NOTHING_LEFT.to_owned()));
    } else if report.holders.is_empty() {
        facts.push(("in use", "none".to_owned()));
    }
    if !usage.bound().is_empty() {
        let count = usage.bound().len();
        facts.push(("held by bind", format!("{count}, for connections to anywhere")));
    }
    if usage.likely_bound() > 0 {
        let count = usage.likely_bound();
        facts.push((
            "likely bound",
            format!("{count} more, before they connected: their numbers say so"),
        ));
    }
    facts
}

fn range(report: &Report<'_>) -> String {
    let (range, usable) = (report.ports.ephemeral, report.usage.usable());
    let reserved = match range.len() - usable {
        0 => String::new(),
        n => format!(", {n} of them reserved"),
    };
    let (even, odd) =
        if range.first().0.is_multiple_of(2) { ("even", "odd") } else { ("odd", "even") };
    match range.len() {
        1 => format!("{range}: 1 port{reserved}"),
        n => format!(
            "{range}: {n} ports{reserved}; connect() takes {even} numbers first, bind to port 0 {odd} ones"
        ),
    }
}

/// What is left, where it is tightest first.
fn left(report: &Report<'_>, registry: &Registry) -> Table {
    let mut table = Table::new([
        Column::flexible("FROM", 9),
        Column::flexible("TO", 15).keeping_end(),
        Column::right("USED"),
        Column::right("LEFT"),
        Column::right(""),
        Column::flexible("SERVICE", 6),
    ]);
    let usage = &report.usage;
    for destination in usage.destinations().iter().take(SHOWN) {
        let fill = usage.toward(destination);
        table.push(destination_cells(destination, fill, registry));
        for note in destination_notes(destination, fill) {
            table.push_text(NOTE, Cell::new(role(fill), note));
        }
    }
    push_more(&mut table, usage.destinations().len(), "destinations");
    for transport in TRANSPORTS {
        let addresses = usage.addresses(transport);
        for (address, fill) in addresses.iter().take(ADDRESSES) {
            table.push(address_cells(transport, *address, *fill));
            if fill.is_full() {
                table.push_text(NOTE, Cell::new(Role::Bad, refusal(transport)));
            }
        }
        if addresses.len() > ADDRESSES {
            let text = format!("and {} more {transport} addresses", addresses.len() - ADDRESSES);
            table.push_text(0, Cell::new(Role::Dim, text));
        }
    }
    table
}

fn push_more(table: &mut Table, all: usize, what: &str) {
    if all > SHOWN {
        table.push_text(0, Cell::new(Role::Dim, format!("and {} more {what}", all - SHOWN)));
    }
}

fn destination_cells(destination: &Destination, fill: Fill, registry: &Registry) -> Vec<Cell> {
    let service = registry.service_name(destination.peer.port, Transport::Tcp).unwrap_or_default();
    let mut cells = vec![
        Cell::from(destination.source.to_string()),
        Cell::new(Role::Strong, destination.peer.to_string()),
    ];
    cells.extend(fill_cells(fill));
    cells.push(Cell::new(Role::Dim, service));
    cells
}

fn destination_notes(destination: &Destination, fill: Fill) -> Vec<String> {
    let mut notes = Vec::new();
    if fill.is_full() {
        notes.push("full: connect() fails with EADDRNOTAVAIL".to_owned());
    }
    if destination.time_wait > 0 {
        let share = destination.time_wait * 100 / destination.connections();
        let end = destination.last_end.map(until).unwrap_or_default();
        notes.push(format!("{share} % TIME-WAIT{end}"));
    }
    notes
}

fn until(end: Duration) -> String {
    format!(", last ends in {} s", end.as_secs())
}

fn address_cells(transport: SocketTransport, address: IpAddr, fill: Fill) -> Vec<Cell> {
    let mut cells =
        vec![Cell::from(address.to_string()), Cell::from(format!("(bind to port 0, {transport})"))];
    cells.extend(fill_cells(fill));
    cells
}

/// What programs are told when nothing is left at an address.
const fn refusal(transport: SocketTransport) -> &'static str {
    match transport {
        // Who connects or sends without a bind is bound then (net/ipv4/af_inet.c, inet_autobind).
        SocketTransport::Udp => {
            "full: bind() fails with EADDRINUSE, connect() and sendto() with EAGAIN"
        }
        _ => "full: bind() fails with EADDRINUSE",
    }
}

fn fill_cells(fill: Fill) -> [Cell; 3] {
    let left = fill.usable.saturating_sub(fill.used);
    [
        Cell::from(fill.used.to_string()),
        Cell::from(left.to_string()),
        Cell::new(role(fill), format!("{} %", fill.percent())),
    ]
}

const fn role(fill: Fill) -> Role {
    match fill.percent() {
        100 => Role::Bad,
        PRESSING.. => Role::Warning,
        _ => Role::Plain,
    }
}

fn holders(report: &Report<'_>, table: &SocketTable) -> Table {
    let mut rows = Table::new([
        Column::flexible("HELD BY", 18).keeping_end(),
        Column::right("PORTS"),
        Column::flexible("USER", 4),
        Column::flexible("UNIT/CONTAINER", 10),
    ]);
    for holding in report.holders.iter().take(SHOWN) {
        rows.push(vec![
            Cell::from(holder(holding)),
            Cell::from(holding.ports.to_string()),
            Cell::from(holding.process.and_then(|p| p.user.as_deref()).unwrap_or_default()),
            Cell::from(place(holding.example, table)),
        ]);
    }
    push_more(&mut rows, report.holders.len(), "holders");
    rows
}

fn holder(holding: &Holding<'_>) -> String {
    match (holding.process, holding.unowned) {
        (Some(process), _) => process_names([process]),
        (None, Some(Unowned::NoFile)) => match holding.example.socket.state {
            State::Listen | State::Established => "no process (not accepted)".to_owned(),
            _ => "no process (closed)".to_owned(),
        },
        (None, unowned) => unowned.map(unowned_word).unwrap_or_default().to_owned(),
    }
}

fn place(held: &Held, table: &SocketTable) -> String {
    match (table.container(held), table.unit(held)) {
        (Some(container), _) => format!("{} {}", container.runtime, container_name(container)),
        (None, Some(unit)) => unit.to_owned(),
        (None, None) => String::new(),
    }
}

fn fixed(report: &Report<'_>, table: &SocketTable) -> Table {
    let mut rows =
        Table::new([Column::left("FIXED IN THE RANGE"), Column::flexible("BY", 12).keeping_end()]);
    for held in report.fixed.iter().take(SHOWN) {
        let Some(local) = held.socket.local_endpoint() else { continue };
        let names = process_names(table.owners(held));
        let by = match held.unowned {
            Some(unowned) if names.is_empty() => unowned_word(unowned).to_owned(),
            _ => names,
        };
        rows.push(vec![
            Cell::new(Role::Strong, format!("{local}/{}", held.socket.transport)),
            Cell::from(by),
        ]);
    }
    push_more(&mut rows, report.fixed.len(), "ports");
    rows
}

fn advice(screen: &mut Screen, report: &Report<'_>) -> Result<()> {
    let (style, width) = (screen.style, screen.width);
    if !report.advice.is_empty() {
        writeln!(screen, "\n{}", style.paint(Role::Hint, "next:"))?;
    }
    for (i, advice) in report.advice.iter().enumerate() {
        let words = words(advice, report);
        let mut label = format!("{}.", i + 1);
        for line in wrap(&words.why, width.saturating_sub(5)) {
            writeln!(screen, "  {label:2} {line}")?;
            label.clear();
        }
        if let Some(command) = words.command {
            // Never wrapped: it is to be copied.
            writeln!(screen, "     {}", style.paint(Role::Strong, command))?;
        }
    }
    Ok(())
}

/// What a range says of which every port is reserved.
const NOTHING_LEFT: &str = "none, for all are reserved: connect() fails with EADDRNOTAVAIL, bind to port 0 with EADDRINUSE";
/// Columns of the longest key, `held by bind`.
const KEY: usize = 12;
/// Columns a note is indented.
const NOTE: usize = 4;
/// Rows of a table that are listed before they are counted.
const SHOWN: usize = 5;
/// Addresses of a transport that are listed: the fullest.
const ADDRESSES: usize = 2;
