//! Who may reach what, and why: as tables, and as JSON.

use std::io::Write as _;

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::inventory::matrix::{
    BaseRow, BaseTraffic, Matrix, Origin, Outgoing, Reason, Row, Subject, Traffic,
};
use portolan_core::inventory::{Block, End, Inventory, Status};
use portolan_core::net::Transport;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use crate::render::json::Document;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;
use crate::render::table::{Cell, Column, Table, wrap};

/// Prints the matrix for reading: what is declared, what may be left for, what is always there.
pub(crate) fn text(
    screen: &mut Screen,
    inventory: &Inventory,
    matrix: &Matrix<'_>,
    now: Timestamp,
) -> Result<()> {
    declared(screen, inventory, matrix, now)?;
    for block in &inventory.blocks {
        writeln!(screen)?;
        for line in wrap(&sanitize(&refused(inventory, block, now)), screen.width) {
            writeln!(screen, "{line}")?;
        }
    }
    outgoing(screen, &matrix.outgoing)?;
    base(screen, inventory, &matrix.base)?;
    Ok(screen.flush()?)
}

fn declared(
    screen: &mut Screen,
    inventory: &Inventory,
    matrix: &Matrix<'_>,
    now: Timestamp,
) -> Result<()> {
    if matrix.rows.is_empty() {
        writeln!(screen, "Nothing is declared to be reachable.")?;
        return Ok(());
    }
    let rows: Vec<[String; 4]> =
        matrix.rows.iter().map(|row| columns(inventory, row, now)).collect();
    let widest = |i: usize| rows.iter().map(|row| row[i].width()).max().unwrap_or(0);
    let fixed = widest(0).max("HOST".len()) + widest(1).max("PORT".len()) + 3 * GAP;
    let (from, why) = shares(widest(2), widest(3), screen.width.saturating_sub(fixed));
    let mut table = Table::new([
        Column::left("HOST"),
        Column::left("PORT"),
        Column::left("FROM"),
        Column::left("SERVICE (IMPLIED BY)"),
    ]);
    for (row, [host, port, sources, service]) in matrix.rows.iter().zip(&rows) {
        let has_ended = end(row).is_some_and(|end| end.is_over(now));
        let is_open = row.is_compiled() && !has_ended;
        let role = if is_open { Role::Plain } else { Role::Warning };
        let (sources, service) = (wrap(sources, from), wrap(service, why));
        for line in 0..sources.len().max(service.len()) {
            let of = |lines: &[String]| lines.get(line).cloned().unwrap_or_default();
            let first = |text: &str| if line == 0 { text.to_owned() } else { String::new() };
            table.push(vec![
                first(host).into(),
                Cell::new(Role::Strong, first(port)),
                of(&sources).into(),
                Cell::new(role, of(&service)),
            ]);
        }
    }
    let style = screen.style;
    Ok(table.write(screen, usize::MAX, style)?)
}

/// Columns between two columns of a table.
const GAP: usize = 2;

/// The widths of two columns that share `room`: as wide as they are, or fairly divided.
fn shares(first: usize, second: usize, room: usize) -> (usize, usize) {
    const LEAST: usize = 12;
    if first + second <= room {
        return (first, second);
    }
    let half = (room / 2).max(LEAST);
    if first <= half {
        (first, room.saturating_sub(first).max(LEAST))
    } else if second <= half {
        (room.saturating_sub(second).max(LEAST), second)
    } else {
        (half, half)
    }
}

fn columns(inventory: &Inventory, row: &Row<'_>, now: Timestamp) -> [String; 4] {
    let mut service = service(inventory, row);
    service.push_str(&match end(row) {
        None => String::new(),
        Some(end) if end.is_over(now) => format!(" [ended {end}: closed]"),
        Some(end) => format!(" [until {end}]"),
    });
    [row.host.name.clone(), row.traffic.to_string(), from(inventory, row), service]
}

/// When the approval of a row ends.
fn end(row: &Row<'_>) -> Option<End> {
    Some(row.subject.docs()?.approved.as_ref()?.until.as_ref()?.value)
}

/// `web, bastion`, `door internet`, `this machine`.
pub(crate) fn from(inventory: &Inventory, row: &Row<'_>) -> String {
    if row.from.is_empty() {
        return "this machine".to_owned();
    }
    let names: Vec<String> = row.from.iter().map(|o| inventory.source_name(&o.source)).collect();
    let door = if row.door.is_some() { "door " } else { "" };
    format!("{door}{}", names.join(", "))
}

/// `postgres (+bastion via forward db-admin) [container shop/db]`.
pub(crate) fn service(inventory: &Inventory, row: &Row<'_>) -> String {
    let mut text = row.subject.name().to_owned();
    let implied: Vec<String> = row.from.iter().filter_map(|o| reason(inventory, o)).collect();
    if !implied.is_empty() {
        text.push_str(&format!(" ({})", implied.join(", ")));
    }
    if let Subject::Service(service) = row.subject {
        if let Some(container) = &service.container {
            text.push_str(&format!(" [container {container}]"));
        }
        if let Some(network) = &service.at_network {
            text.push_str(&format!(" [at {}]", network.value));
        }
        if service.status == Status::Observed {
            text.push_str(" [observed, not approved]");
        }
    }
    text
}

fn reason(inventory: &Inventory, origin: &Origin<'_>) -> Option<String> {
    let forward = origin.implied_by?;
    Some(format!("+{} via forward {}", inventory.source_name(&origin.source), forward.name))
}

fn refused(inventory: &Inventory, block: &Block, now: Timestamp) -> String {
    let from: Vec<String> = block.from.iter().map(|s| inventory.source_name(&s.value)).collect();
    let until = match block.until {
        None => String::new(),
        Some(end) if end.is_over(now) => format!(" until {end}, which is over"),
        Some(end) => format!(" until {end}"),
    };
    let reason = block.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
    let ports: Vec<String> = block.ports.iter().map(|port| port.value.to_string()).collect();
    let what = if ports.is_empty() { "everything".to_owned() } else { ports.join(", ") };
    format!("Refused {what}{until}: {}{reason}", from.join(", "))
}

fn outgoing(screen: &mut Screen, rows: &[Outgoing<'_>]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let (style, width) = (screen.style, screen.width);
    let title = "What may be left for, where egress is dropped";
    writeln!(screen, "\n{}", style.paint(Role::Heading, title))?;
    let mut table = Table::new([
        Column::left("HOST"),
        Column::flexible("TO", 12),
        Column::left("PORT"),
        Column::flexible("BECAUSE", 12),
    ]);
    for row in rows {
        table.push(vec![
            (&row.host.name).into(),
            (&row.to).into(),
            Cell::new(Role::Strong, row.traffic.to_string()),
            because(row.reason).into(),
        ]);
    }
    Ok(table.write(screen, width, style)?)
}

/// Why a host may leave, in words.
pub(crate) fn because(reason: Reason<'_>) -> String {
    match reason {
        Reason::From(name) => format!("{name} lets it come"),
        Reason::NeededBy(service) => format!("{} needs it", service.name),
        Reason::Forward(forward) => format!("forward {} hands on to it", forward.name),
    }
}

/// The base rows, those that are the same on several hosts once.
fn base(screen: &mut Screen, inventory: &Inventory, rows: &[BaseRow<'_>]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let (style, width) = (screen.style, screen.width);
    let title = "Base rows, which every compiled host needs to live";
    writeln!(screen, "\n{}", style.paint(Role::Heading, title))?;
    let mut table = Table::new([
        Column::left("NAME"),
        Column::left("WAY"),
        Column::flexible("WHAT", 16),
        Column::left("WITH"),
        Column::flexible("ON", 11),
    ]);
    for (row, hosts) in collapsed(rows) {
        let everywhere = hosts.len() > 1 && hosts.len() == inventory.hosts.len();
        table.push(vec![
            row.name.into(),
            row.direction.as_str().into(),
            traffic(row.traffic).into(),
            row.peers.as_str().into(),
            if everywhere { "every host".to_owned() } else { hosts.join(", ") }.into(),
        ]);
    }
    Ok(table.write(screen, width, style)?)
}

/// Equal rows with all their hosts, in the order of the first.
pub(crate) fn collapsed<'a>(rows: &'a [BaseRow<'a>]) -> Vec<(&'a BaseRow<'a>, Vec<&'a str>)> {
    let mut collapsed: Vec<(&BaseRow<'_>, Vec<&str>)> = Vec::new();
    for row in rows {
        let same = |(first, _): &&mut (&BaseRow<'_>, Vec<&str>)| {
            (first.name, first.direction, first.traffic) == (row.name, row.direction, row.traffic)
        };
        match collapsed.iter_mut().find(same) {
            Some((_, hosts)) => hosts.push(&row.host.name),
            None => collapsed.push((row, vec![&row.host.name])),
        }
    }
    collapsed
}

fn traffic(traffic: BaseTraffic) -> String {
    match traffic {
        BaseTraffic::Loopback => "everything on lo".to_owned(),
        BaseTraffic::Established => "established, related".to_owned(),
        BaseTraffic::Icmp(types) => format!("icmp {}", numbers(types)),
        BaseTraffic::Icmpv6(types) => format!("icmpv6 {}", numbers(types)),
        BaseTraffic::Igmp => "igmp to groups".to_owned(),
        BaseTraffic::Port { transports, source, destination } => {
            let source = source.map(|port| format!(" from port {port}")).unwrap_or_default();
            format!("{destination}/{transports}{source}")
        }
    }
}

/// `1-4,128-129`
fn numbers(types: &[(u8, &str)]) -> String {
    let types: Vec<u8> = types.iter().map(|(number, _)| *number).collect();
    let runs = types.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        run => run.first().map(u8::to_string).unwrap_or_default(),
    });
    runs.collect::<Vec<_>>().join(",")
}

/// Prints the matrix as one document.
pub(crate) fn json(
    screen: &mut Screen,
    inventory: &Inventory,
    matrix: &Matrix<'_>,
    now: Timestamp,
) -> Result<()> {
    let body = Show {
        title: inventory.title.as_deref(),
        rows: matrix.rows.iter().map(|row| RowJson::of(inventory, row)).collect(),
        ended: matrix
            .rows
            .iter()
            .filter(|row| end(row).is_some_and(|end| end.is_over(now)))
            .count(),
        outgoing: matrix.outgoing.iter().map(OutgoingJson::of).collect(),
        base: matrix.base.iter().map(BaseJson::of).collect(),
        blocked: inventory.blocks.iter().map(|b| BlockJson::of(inventory, b)).collect(),
    };
    screen.json(&Document::new("inventory-show", body, &[]))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Show<'a> {
    title: Option<&'a str>,
    rows: Vec<RowJson<'a>>,
    /// So many of the rows are over: `until` has come, and they let nobody in.
    ended: usize,
    outgoing: Vec<OutgoingJson<'a>>,
    base: Vec<BaseJson<'a>>,
    blocked: Vec<BlockJson<'a>>,
}

/// One port of one host, and who may reach it.
#[derive(Serialize)]
pub(crate) struct RowJson<'a> {
    host: &'a str,
    subject: String,
    port: Option<u16>,
    last_port: Option<u16>,
    transport: Option<&'static str>,
    protocol: Option<u8>,
    from: Vec<String>,
    door: Option<&'a str>,
    service: &'a str,
    kind: &'static str,
    status: Option<&'static str>,
    implied: Vec<ImpliedJson<'a>>,
    container: Option<&'a str>,
    compiled: bool,
    /// When it ends.
    until: Option<String>,
    location: PlaceJson<'a>,
}

#[derive(Serialize)]
struct ImpliedJson<'a> {
    source: String,
    forward: &'a str,
}

#[derive(Serialize)]
struct PlaceJson<'a> {
    file: &'a str,
    line: usize,
}

impl<'a> RowJson<'a> {
    /// A row as JSON has it everywhere.
    pub(crate) fn of(inventory: &'a Inventory, row: &Row<'a>) -> Self {
        let (range, transport, protocol) = match row.traffic {
            Traffic::Ports { range, transport } => (Some(range), Some(transport), None),
            Traffic::Protocol { number, .. } => (None, None, Some(number)),
        };
        let implied = row.from.iter().filter_map(|origin| {
            let source = inventory.source_name(&origin.source);
            Some(ImpliedJson { source, forward: &origin.implied_by?.name })
        });
        let container = match row.subject {
            Subject::Service(service) => service.container.as_deref(),
            _ => None,
        };
        let place = inventory.line_of(row.subject.at());
        Self {
            host: &row.host.name,
            subject: row.traffic.to_string(),
            port: range.map(|r| r.first().0),
            last_port: range.map(|r| r.last().0),
            transport: transport.map(Transport::as_str),
            protocol,
            from: row.from.iter().map(|o| inventory.source_name(&o.source)).collect(),
            door: row.door.map(|d| d.name.as_str()),
            service: row.subject.name(),
            kind: row.subject.kind(),
            status: row.subject.status().map(Status::as_str),
            implied: implied.collect(),
            container,
            compiled: row.is_compiled(),
            until: end(row).map(|end| end.to_string()),
            location: PlaceJson { file: place.file, line: place.line },
        }
    }
}

/// Something a host that drops what it sends may leave for.
#[derive(Serialize)]
pub(crate) struct OutgoingJson<'a> {
    host: &'a str,
    to: &'a str,
    subject: String,
    reason: &'static str,
    by: &'a str,
}

impl<'a> OutgoingJson<'a> {
    /// A row as JSON has it everywhere.
    pub(crate) fn of(row: &'a Outgoing<'a>) -> Self {
        let (reason, by) = match row.reason {
            Reason::From(name) => ("from", name),
            Reason::NeededBy(service) => ("needs", service.name.as_str()),
            Reason::Forward(forward) => ("forward", forward.name.as_str()),
        };
        Self { host: &row.host.name, to: &row.to, subject: row.traffic.to_string(), reason, by }
    }
}

/// Something a host needs to live.
#[derive(Serialize)]
pub(crate) struct BaseJson<'a> {
    host: &'a str,
    name: &'static str,
    direction: &'static str,
    traffic: String,
    types: Vec<&'static str>,
    peers: &'static str,
    why: &'static str,
}

impl<'a> BaseJson<'a> {
    /// A row as JSON has it everywhere.
    pub(crate) fn of(row: &'a BaseRow<'a>) -> Self {
        let types = match row.traffic {
            BaseTraffic::Icmp(types) | BaseTraffic::Icmpv6(types) => types,
            _ => &[],
        };
        Self {
            host: &row.host.name,
            name: row.name,
            direction: row.direction.as_str(),
            traffic: traffic(row.traffic),
            types: types.iter().map(|(_, name)| *name).collect(),
            peers: row.peers.as_str(),
            why: row.why,
        }
    }
}

#[derive(Serialize)]
struct BlockJson<'a> {
    from: Vec<String>,
    ports: Vec<String>,
    until: Option<String>,
    reason: Option<&'a str>,
}

impl<'a> BlockJson<'a> {
    fn of(inventory: &Inventory, block: &'a Block) -> Self {
        Self {
            from: block.from.iter().map(|s| inventory.source_name(&s.value)).collect(),
            ports: block.ports.iter().map(|port| port.value.to_string()).collect(),
            until: block.until.map(|day| day.to_string()),
            reason: block.reason.as_deref(),
        }
    }
}
