//! The table of sockets: a row for equal ones, the service's name behind the port.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use portolan_core::net::{Endpoint, Port, Scope};
use portolan_core::registry::Registry;
use portolan_core::socket::{
    Address, Held, PortChoice, Process, SocketTable, SocketTransport, State, Unowned, Via,
};

use super::gather::{self, Row};
use crate::render::namespace;
use crate::render::owner::{CommandLines, container_name, process_names, unowned_word};
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;
use crate::render::table::{Cell, Column, Table, wrap};

/// What is shown of a table of sockets.
pub(crate) struct View<'a> {
    /// The sockets.
    pub(crate) table: &'a SocketTable,
    /// What numbers mean.
    pub(crate) registry: &'a Registry,
    /// Whether the table names services.
    pub(crate) names: Names,
    /// Whether command lines are shown.
    pub(crate) command_lines: CommandLines,
    /// Whether the columns have headings.
    pub(crate) heading: bool,
}

/// Whether numbers are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// With the service's name in a column.
    Shown,
    /// Numbers only.
    Hidden,
}

/// Prints the table.
pub(crate) fn text(screen: &mut Screen, view: &View<'_>) -> Result<()> {
    let (style, width) = (screen.style, screen.width);
    let rows = gather::rows(view.table);
    let mut table = Table::new([
        Column::left("TYPE"),
        Column::left("STATE"),
        Column::flexible("LOCAL", 21).keeping_end(),
        Column::flexible("PEER", 21).keeping_end(),
        Column::flexible("PROCESS", 12).keeping_end(),
        Column::flexible("USER", 6),
        Column::flexible("UNIT", 8),
        Column::left("SCOPE"),
        Column::flexible("SERVICE", 7),
        Column::left("NETNS"),
    ]);
    let has_peers = rows.iter().any(|row| row.first.socket.peer.is_some());
    let shown = if has_peers && width < WIDE { Columns::Ends } else { Columns::All };
    let (mut namespace, mut told) = (None, HashSet::new());
    for row in &rows {
        let is_first = namespace.replace(row.first.socket.netns) != Some(row.first.socket.netns);
        if is_first {
            begin(&mut table, row, view);
        }
        table.push(cells(row, view, shown));
        for note in notes(row, view) {
            table.push_text(6, Cell::new(Role::Warning, note));
        }
        let counters = view.table.namespace(row.first.socket.netns).and_then(|n| n.turned_away);
        if let Some(counters) = counters.filter(|_| row.is_full())
            && told.insert(row.first.socket.netns)
        {
            table.push_text(6, Cell::new(Role::Dim, namespace::turned_away(counters)));
        }
        for command in commands(row, view) {
            table.push_text(6, Cell::new(Role::Dim, command));
        }
    }
    if table.is_empty() && view.heading {
        writeln!(screen, "No such socket.")?;
        tell_empty(screen, view)?;
    } else if view.heading {
        table.write(screen, width, style)?;
        tell_empty(screen, view)?;
    } else {
        table.write_bare(screen, width, style)?;
    }
    // The program ends here: giving back each of a few hundred thousand cells would take longer than
    // making some of them.
    std::mem::forget(table);
    Ok(screen.flush()?)
}

/// Says which network namespace the following rows are of, where there are several.
fn begin(table: &mut Table, row: &Row<'_>, view: &View<'_>) {
    let Some(netns) = view.table.namespace(row.first.socket.netns) else { return };
    if !view.is_of_several() || !view.heading {
        return;
    }
    if !table.is_empty() {
        table.push_text(0, Cell::default());
    }
    let is_own = view.table.elsewhere(row.first).is_none();
    table.push_text(0, Cell::new(Role::Heading, namespace::title(netns, is_own)));
}

/// Namespaces that were looked into and have nothing to show.
fn tell_empty(screen: &mut Screen, view: &View<'_>) -> Result<()> {
    let used: HashSet<u64> = view.table.sockets.iter().map(|held| held.socket.netns).collect();
    let empty = view.table.namespaces.iter().filter(|n| !n.is_unseen && !used.contains(&n.inode));
    let names: Vec<String> = empty.map(namespace::short).collect();
    if !view.is_of_several() || names.is_empty() {
        return Ok(());
    }
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let text = format!("No such socket in {shown}{more}.");
    for line in wrap(&sanitize(&text), screen.width) {
        writeln!(screen, "{}", screen.style.paint(Role::Dim, line))?;
    }
    Ok(())
}

impl View<'_> {
    /// Whether other network namespaces were looked into as well.
    const fn is_of_several(&self) -> bool {
        self.table.namespaces.len() > 1
    }
}

/// How many of a row's cells are filled; a column that is empty in every row is not shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Columns {
    /// Both ends and the process: what fits a narrow terminal where sockets have peers.
    Ends,
    All,
}

fn cells(row: &Row<'_>, view: &View<'_>, shown: Columns) -> Vec<Cell> {
    let socket = &row.first.socket;
    let (role, process) = process(row, view);
    let mut cells = vec![
        Cell::from(socket.transport.as_str()),
        Cell::from(state(row.first)),
        Cell::new(Role::Strong, local(row)),
        Cell::from(socket.peer.as_ref().map(address).unwrap_or_default()),
        Cell::new(role, process),
    ];
    if shown == Columns::All {
        cells.push(Cell::from(user(row, view)));
        cells.push(Cell::from(unit(row, view)));
        cells.push(scope(row.first, view));
        cells.push(Cell::new(Role::Dim, service(row, view)));
    }
    if view.is_of_several() && !view.heading {
        cells.resize_with(NETNS, Cell::default);
        cells.push(
            view.table.namespace(socket.netns).map(namespace::short).unwrap_or_default().into(),
        );
    }
    cells
}

/// Only what is unusual: that a listener listens need not be said in every row.
const fn state(held: &Held) -> &'static str {
    match held.socket.state {
        State::Listen | State::Unconn => "",
        state => state.as_str(),
    }
}

fn local(row: &Row<'_>) -> String {
    let socket = &row.first.socket;
    let text = match (&socket.local, socket.transport.with_ports()) {
        (Address::Inet(endpoint), Some(_)) => {
            return with_ports(row, *endpoint);
        }
        (Address::Inet(endpoint), None) => {
            format!("{}:{}", bracketed(*endpoint), protocol(socket.transport, endpoint.port))
        }
        (local, _) => address(local),
    };
    match &socket.device {
        Some(device) => format!("{text}%{device}"),
        None => text,
    }
}

/// An address and its port or ports; there may be tens of thousands.
fn with_ports(row: &Row<'_>, endpoint: Endpoint) -> String {
    let socket = &row.first.socket;
    let mut text = if socket.is_dual_stack() { "*".to_owned() } else { bracketed(endpoint) };
    let _ = match &socket.device {
        Some(device) => write!(text, "%{device}:{}", endpoint.port),
        None => write!(text, ":{}", endpoint.port),
    };
    if row.last_port != endpoint.port {
        let _ = write!(text, "-{}", row.last_port);
    }
    text
}

/// An address as it stands before a port.
fn bracketed(endpoint: Endpoint) -> String {
    let mut text = String::with_capacity(LONG);
    let _ = match endpoint.address {
        std::net::IpAddr::V4(v4) => write!(text, "{v4}"),
        std::net::IpAddr::V6(v6) => write!(text, "[{v6}]"),
    };
    text
}

/// Room for an address of IPv4 with two ports, and for most of IPv6.
const LONG: usize = 32;

/// A raw socket's "port" is the number of an IP protocol; an echo socket's is its identifier.
fn protocol(transport: SocketTransport, number: Port) -> String {
    match (transport, number.0) {
        (SocketTransport::Icmp, id) => format!("id {id}"),
        (_, 1) => "icmp".to_owned(),
        (_, 2) => "igmp".to_owned(),
        (_, 58) => "ipv6-icmp".to_owned(),
        (_, 89) => "ospf".to_owned(),
        (_, 112) => "vrrp".to_owned(),
        (_, 255) => "raw".to_owned(),
        (_, number) => format!("protocol {number}"),
    }
}

fn address(address: &Address) -> String {
    match address {
        Address::Inet(endpoint) => {
            let mut text = String::with_capacity(LONG);
            let _ = write!(text, "{endpoint}");
            text
        }
        Address::Unix(Some(name)) => name.to_string(),
        Address::Unix(None) => "(no name)".to_owned(),
        Address::Packet { protocol: 3 } => "every protocol".to_owned(),
        Address::Packet { protocol: 0 } => "nothing yet".to_owned(),
        Address::Packet { protocol } => format!("ethertype 0x{protocol:04x}"),
    }
}

fn process(row: &Row<'_>, view: &View<'_>) -> (Role, String) {
    let names = process_names(row.owners(view.table));
    match row.first.unowned {
        Some(Unowned::NoFile) => (Role::Dim, without_file(row.first.socket.state).to_owned()),
        Some(unowned) if names.is_empty() => {
            let word = unowned_word(unowned);
            let purpose = view.table.kernel_use(row.first);
            (Role::Dim, purpose.map_or(word.to_owned(), |purpose| format!("{word} ({purpose})")))
        }
        Some(_) => (Role::Dim, format!("likely {names}")),
        None => (Role::Plain, names),
    }
}

/// Why no file stands for a socket: its state tells.
const fn without_file(state: State) -> &'static str {
    match state {
        State::Established | State::CloseWait => "none (not accepted)",
        State::SynRecv => "none (handshake)",
        State::TimeWait => "none (closed)",
        _ => "none (closing)",
    }
}

fn user(row: &Row<'_>, view: &View<'_>) -> String {
    let mut owners = row.owners(view.table).into_iter();
    let (name, uid) = match owners.next() {
        Some(process) => (process.user.clone(), process.uid),
        None => {
            let uid = row.first.socket.uid;
            (uid.and_then(|uid| view.table.users.get(&uid).cloned()), uid)
        }
    };
    match (name, uid) {
        (Some(name), _) => name.to_string(),
        (None, Some(uid)) => uid.to_string(),
        (None, None) => String::new(),
    }
}

fn unit(row: &Row<'_>, view: &View<'_>) -> String {
    let (table, first) = (view.table, row.first);
    match (table.container(first), table.unit(first)) {
        (Some(container), _) => format!("{} {}", container.runtime, container_name(container)),
        (None, Some(unit)) => unit.to_string(),
        (None, None) => String::new(),
    }
}

/// How far what waits for others can be reached; a connection reaches its peer and nobody else.
///
/// What another namespace opens is no exposure of this one, and no warning.
fn scope(held: &Held, view: &View<'_>) -> Cell {
    let scope = held.socket.scope().filter(|_| held.socket.peer.is_none());
    let is_here = view.table.elsewhere(held).is_none();
    let role = match scope {
        Some(Scope::Wildcard | Scope::Global) if is_here => Role::Warning,
        _ => Role::Plain,
    };
    Cell::new(role, scope.map_or("", Scope::as_str))
}

/// What the number is registered for. A number that the kernel chose stands for nothing.
fn service<'a>(row: &Row<'_>, view: &View<'a>) -> &'a str {
    let socket = &row.first.socket;
    if socket.port_choice == Some(PortChoice::Kernel) && socket.peer.is_none() {
        return "(kernel-chosen)";
    }
    let named = |port| {
        let transport = socket.transport.with_ports()?;
        view.registry.service_name(port, transport)
    };
    let first = gather::service(view.registry, socket);
    let is_one = socket.local_port() == Some(row.last_port) || first == named(row.last_port);
    first.filter(|_| is_one && view.names == Names::Shown).unwrap_or_default()
}

/// What somebody should look at.
fn notes(row: &Row<'_>, view: &View<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(queue) = row.first.socket.backlog.filter(|queue| queue.is_full()) {
        notes.push(format!("accept queue {}/{} full", queue.queued, queue.max));
    }
    notes.extend(held_from_elsewhere(row, view));
    if row.first.holders.first().is_some_and(|holder| holder.via == Via::InFlight) {
        notes.push("in flight over a unix socket, not received yet".to_owned());
    }
    if row.sharing > 1 {
        notes.push(format!("{} sockets share this port", row.sharing));
    }
    notes
}

/// Holders that live in another network namespace than the socket: they entered it and went back,
/// or were handed the socket.
fn held_from_elsewhere(row: &Row<'_>, view: &View<'_>) -> Option<String> {
    let apart = |process: &&Process| view.table.namespace_apart(row.first, process).is_some();
    if !row.processes(view.table).any(|process| apart(&process)) {
        return None;
    }
    let owners: Vec<_> = row.owners(view.table).into_iter().filter(apart).collect();
    let first = view.table.namespace_apart(row.first, owners.first()?)?;
    let place = match view.table.namespace(first) {
        Some(netns) if netns.name.is_none() && view.table.namespaces.first() == Some(netns) => {
            "this network namespace".to_owned()
        }
        Some(netns) => netns.to_string(),
        None => format!("network namespace {first}"),
    };
    Some(format!("held from {place}: {}", process_names(owners)))
}

fn commands(row: &Row<'_>, view: &View<'_>) -> Vec<String> {
    match view.command_lines {
        CommandLines::Hidden => Vec::new(),
        CommandLines::Shown => row
            .owners(view.table)
            .iter()
            .filter(|p| !p.command_line.is_empty())
            .map(|p| format!("{}: {}", p.pid, p.command_line.join(" ")))
            .collect(),
    }
}

/// Columns of a terminal from which on every cell fits beside two ends.
const WIDE: usize = 120;
/// Columns before the one for the namespace.
const NETNS: usize = 9;
/// Namespaces without sockets that are named before they are counted.
const SHOWN: usize = 8;
