//! Who holds a port and why it is there, for reading.

use std::io::Write as _;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp, Unit};
use portolan_core::net::{Gap, Scope};
use portolan_core::registry::Registry;
use portolan_core::socket::{
    Backlog, Held, Netns, PortChoice, Process, SocketTable, State, Unowned, Via,
};
use serde::Serialize;

use crate::ops::localhost::TwoBehindLocalhost;
use crate::ops::who::{Group, LivesIn, Report, states};
use crate::render::behind::{BehindJson, SplitJson, fact, two_behind_localhost};
use crate::render::json::Document;
use crate::render::namespace::{NamespaceJson, namespaces_json, turned_away};
use crate::render::owner::{CommandLines, container_name, process_names, unowned_word};
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::socket::{SocketJson, on_device};
use crate::render::style::Role;
use crate::render::table::wrap;

/// What the words of an answer are made with.
pub(crate) struct Context<'a> {
    /// What numbers mean.
    pub(crate) registry: &'a Registry,
    /// Whether whole command lines are shown.
    pub(crate) command_lines: CommandLines,
    /// The time that "ago" counts from.
    pub(crate) now: Timestamp,
}

/// Prints the answer, a paragraph for each holder.
pub(crate) fn text(
    screen: &mut Screen,
    report: &Report<'_>,
    table: &SocketTable,
    context: &Context<'_>,
) -> Result<()> {
    if report.groups.is_empty() {
        writeln!(screen, "{}", nobody(report))?;
        if let Some(ports) = &report.service_ports {
            let ask = format!("the port of that name: portolan who {ports}");
            writeln!(screen, "{} {ask}", screen.style.paint(Role::Hint, "next:"))?;
        }
    }
    for (i, group) in report.groups.iter().enumerate() {
        if i > 0 {
            writeln!(screen)?;
        }
        paragraph(screen, group, context)?;
    }
    for two in &report.splits {
        let mut lead = format!("\n{} ", screen.style.paint(Role::Warning, "warning:"));
        for line in wrap(&sanitize(&split(two, table)), screen.width.saturating_sub(10)) {
            writeln!(screen, "{lead}{line}")?;
            lead = "  ".to_owned();
        }
    }
    Ok(screen.flush()?)
}

/// Who is at which address behind `localhost`.
fn split(two: &TwoBehindLocalhost, table: &SocketTable) -> String {
    two_behind_localhost(two, |position| {
        let held = &table.sockets[position];
        match table.owners(held).next() {
            Some(_) => process_names(table.owners(held)),
            None => held.unowned.map_or("somebody", unowned_word).to_owned(),
        }
    })
}

fn nobody(report: &Report<'_>) -> String {
    let query = sanitize(report.query);
    match report.unattributed {
        0 if report.may_lack_sockets => {
            format!("Nobody visible holds {query}; there may be sockets that could not be seen.")
        }
        0 if report.is_of_ports && report.namespaces > 1 => {
            format!("Nobody holds {query} in any of {} network namespaces.", report.namespaces)
        }
        0 if report.namespaces > 1 => {
            format!("{query} holds no socket in {} network namespaces.", report.namespaces)
        }
        0 if report.is_of_ports => format!("Nobody holds {query} here."),
        0 => format!("{query} holds no socket in this network namespace."),
        1 => format!("Nobody visible holds {query}; the owner of 1 socket could not be seen."),
        n => format!("Nobody visible holds {query}; the owners of {n} sockets could not be seen."),
    }
}

fn paragraph(screen: &mut Screen, group: &Group<'_>, context: &Context<'_>) -> Result<()> {
    let (style, width) = (screen.style, screen.width);
    writeln!(screen, "{}", style.paint(Role::Strong, sanitize(&holder(group))))?;
    for (key, value) in facts(group, context) {
        let mut key = key;
        for line in wrap(&sanitize(&value), width.saturating_sub(KEY + 3)) {
            writeln!(screen, "  {} {line}", style.paint(Role::Dim, format!("{key:KEY$}")))?;
            key = "";
        }
    }
    Ok(())
}

/// Who holds it, in a line.
fn holder(group: &Group<'_>) -> String {
    let name = match (group.owners.is_empty(), group.unowned) {
        (false, _) => process_names(group.owners.iter().copied()),
        (true, Some(Unowned::NotPermitted)) => "owner not visible".to_owned(),
        (true, Some(unowned)) => unowned_word(unowned).to_owned(),
        (true, None) => "owner unknown".to_owned(),
    };
    match &group.kernel_use {
        Some(purpose) => format!("{name} ({purpose})"),
        None => name,
    }
}

fn facts(group: &Group<'_>, context: &Context<'_>) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    facts.extend(unusual_hold(group));
    facts.extend(group.behind.as_ref().map(fact));
    facts.extend(group.elsewhere.map(|netns| ("in", format!("{netns}, not this one"))));
    facts.extend(group.lives_in.as_ref().map(|place| ("lives in", lives_in(place))));
    if let Some(first) = group.owners.first() {
        facts.extend(of_process(first, context));
    } else if let Some(creator) = group.creator.as_ref().filter(|_| group.kernel_use.is_none()) {
        facts.push(("made by", format!("user {creator}")));
    }
    if group.unowned == Some(Unowned::NoFile) {
        facts.push(("why", without_file(group).to_owned()));
    }
    if let Some(unit) = &group.placement.unit {
        facts.push(("unit", unit.to_string()));
    }
    if let Some(container) = &group.placement.container {
        facts.push(("container", format!("{} ({})", container_name(container), container.runtime)));
    }
    if !group.ancestry.is_empty() {
        facts.push(("started by", line_of_descent(&group.ancestry)));
    }
    facts.extend(sockets(group, context));
    facts
}

fn lives_in(place: &LivesIn) -> String {
    match place {
        LivesIn::Here => "this network namespace, its sockets not".to_owned(),
        LivesIn::There(netns) => format!("{netns}, its sockets not"),
    }
}

/// How it is held, where that is not by a descriptor, and how sure that is.
fn unusual_hold(group: &Group<'_>) -> Option<(&'static str, String)> {
    let first = group.holding.first().or(group.connections.first())?;
    let holder = first.holders.first()?;
    let fd = holder.fd.unwrap_or_default();
    Some(match (holder.via, group.unowned) {
        (Via::Cgroup, _) => ("certainty", LIKELY.to_owned()),
        (Via::InFlight, Some(_)) => ("certainty", MAYBE_IN_FLIGHT.to_owned()),
        (Via::InFlight, None) => {
            ("held", format!("in flight: sent over unix socket {fd}, not received yet"))
        }
        (Via::IoUring, _) => ("held", format!("by io_uring {fd}, where it is registered")),
        (Via::Mapping, _) => {
            ("held", "by memory it is mapped into, without a descriptor".to_owned())
        }
        (Via::Fd | Via::Kernel, _) => return None,
    })
}

/// Why no file stands for these connections, and so no process can hold them.
fn without_file(group: &Group<'_>) -> &'static str {
    let waits = |held: &&Held| matches!(held.socket.state, State::Established | State::SynRecv);
    match group.connections.iter().all(waits) {
        true => "the listener has not accepted it yet",
        false => "no process has it open any more; the kernel finishes it",
    }
}

/// What a process tells of itself, keyed for a paragraph.
pub(crate) fn of_process(process: &Process, context: &Context<'_>) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(user) = &process.user {
        facts.push(("user", user.to_string()));
    } else if let Some(uid) = process.uid {
        facts.push(("user", format!("uid {uid}")));
    }
    match (context.command_lines, &process.exe) {
        (CommandLines::Shown, _) if !process.command_line.is_empty() => {
            facts.push(("command", process.command_line.join(" ")));
        }
        (_, Some(exe)) => facts.push(("executable", exe.to_string())),
        (_, None) => {}
    }
    if let Some(started) = process.started {
        facts.push(("running since", since(started, context.now)));
    }
    facts
}

/// What a process descends from, in a line.
pub(crate) fn line_of_descent(ancestry: &[Process]) -> String {
    let names: Vec<String> = ancestry.iter().map(|p| format!("{} ({})", p.name, p.pid)).collect();
    names.join(", by ")
}

fn since(started: Timestamp, now: Timestamp) -> String {
    let second = started.round(Unit::Second).unwrap_or(started);
    let day = second.strftime("%Y-%m-%d %H:%M:%S UTC");
    format!("{day} ({})", ago(now.duration_since(started)))
}

/// How long ago, in the largest unit that fits.
fn ago(duration: SignedDuration) -> String {
    match duration.as_secs().max(0) {
        seconds @ ..60 => format!("{seconds} s ago"),
        seconds @ ..3600 => format!("{} min ago", seconds / 60),
        seconds @ ..86400 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} d ago", seconds / 86400),
    }
}

fn sockets(group: &Group<'_>, context: &Context<'_>) -> Vec<(&'static str, String)> {
    let mut facts: Vec<(&'static str, String)> = Vec::new();
    let mut last = "";
    for held in group.holding.iter().take(SHOWN) {
        let verb = verb(held);
        let key = if verb == last { "" } else { verb };
        last = verb;
        facts.push((key, place(held, group, context)));
        if let Some(queue) = held.socket.backlog.filter(|queue| queue.is_full()) {
            facts.push(("", format!("accept queue {}/{} full", queue.queued, queue.max)));
        }
    }
    if let Some(more) = group.holding.len().checked_sub(SHOWN).filter(|n| *n > 0) {
        facts.push(("", format!("and {more} more; portolan sockets lists them")));
    }
    let is_full = |held: &&Held| held.socket.backlog.is_some_and(Backlog::is_full);
    if group.holding.iter().any(is_full) {
        let counters = group.turned_away.map(|c| ("", turned_away(c)));
        facts.extend(counters);
    }
    if let [only] = group.connections[..] {
        facts.push(("connection", connection(only)));
    } else if !group.connections.is_empty() {
        let counts = states(&group.connections).into_iter().map(|(s, n)| format!("{n} {s}"));
        facts.push(("connections", counts.collect::<Vec<_>>().join(", ")));
    }
    facts
}

fn verb(held: &Held) -> &'static str {
    match held.socket.state {
        State::Listen => "listens on",
        State::Bound => "holds, silent",
        _ if held.socket.transport.with_ports().is_some() => "receives on",
        _ => "holds",
    }
}

fn place(held: &Held, group: &Group<'_>, context: &Context<'_>) -> String {
    let socket = &held.socket;
    let Some(endpoint) = socket.local_endpoint() else {
        return format!("a {} socket", socket.transport);
    };
    let place = on_device(endpoint, socket.device.as_deref());
    let mut text = format!("{place}/{}", socket.transport);
    let transport = socket.transport.with_ports();
    if let Some(name) = transport.and_then(|t| context.registry.service_name(endpoint.port, t)) {
        text = format!("{text} ({name})");
    }
    if socket.state != State::Bound {
        text = format!("{text}: {}", reach(held, group.elsewhere));
    } else {
        text = format!("{text}: bound, not listening; others cannot bind it");
    }
    if socket.port_choice == Some(PortChoice::Kernel) {
        text = format!("{text}; number chosen by the kernel");
    }
    text
}

fn reach(held: &Held, elsewhere: Option<&Netns>) -> String {
    if let Some(netns) = elsewhere {
        return match held.socket.scope() {
            Some(Scope::Loopback) => format!("from within {netns} only"),
            _ => format!("from whatever reaches {netns}"),
        };
    }
    let from = held.socket.scope().map_or("unknown", Scope::reachable_from);
    match held.socket.scope() {
        Some(Scope::Loopback) => format!("from {from} only"),
        _ => format!("from {from}, unless a firewall stops it"),
    }
}

/// Both ends of a connection and its state.
pub(crate) fn connection(held: &Held) -> String {
    let socket = &held.socket;
    let end =
        |e: Option<portolan_core::net::Endpoint>| e.map(|e| e.to_string()).unwrap_or_default();
    let peer = socket.peer.as_ref().and_then(portolan_core::socket::Address::endpoint);
    format!("{} to {} ({})", end(socket.local_endpoint()), end(peer), socket.state)
}

/// Columns of the longest key, `running since`.
const KEY: usize = 13;
/// Sockets of one holder that are listed before they are counted.
const SHOWN: usize = 20;
const MAYBE_IN_FLIGHT: &str =
    "likely: descriptors wait in its unix socket; the kernel does not tell which";
const LIKELY: &str = "likely: the socket was made in its cgroup; root would see the proof";

/// Prints the answer as one document.
pub(crate) fn json(
    screen: &mut Screen,
    report: &Report<'_>,
    table: &SocketTable,
    context: &Context<'_>,
    gaps: &[Gap],
) -> Result<()> {
    let body = Body {
        query: report.query,
        namespaces: namespaces_json(table),
        sockets: report.groups.iter().flat_map(|g| held_json(g, table, context)).collect(),
        unattributed: report.unattributed,
        warnings: report.splits.iter().map(|t| SplitJson::new(t, split(t, table))).collect(),
    };
    screen.json(&Document::new("who", body, gaps))?;
    Ok(screen.flush()?)
}

fn held_json<'a>(
    group: &'a Group<'a>,
    table: &'a SocketTable,
    context: &'a Context<'a>,
) -> impl Iterator<Item = HeldJson<'a>> {
    group.holding.iter().chain(&group.connections).map(move |held| HeldJson {
        socket: SocketJson::new(held, table, context.registry, context.command_lines),
        ancestry: group.ancestry.iter().map(AncestorJson::from).collect(),
        behind: group.behind.as_ref().map(BehindJson::from),
        kernel_device: group.kernel_use.as_deref(),
    })
}

#[derive(Serialize)]
struct Body<'a> {
    query: &'a str,
    namespaces: Vec<NamespaceJson<'a>>,
    sockets: Vec<HeldJson<'a>>,
    /// Sockets whose owner is not visible and that might belong to the answer.
    unattributed: usize,
    /// What to know beside that: a second program behind `localhost`.
    warnings: Vec<SplitJson>,
}

/// A socket, and what its first owner descends from.
#[derive(Serialize)]
struct HeldJson<'a> {
    #[serde(flatten)]
    socket: SocketJson<'a>,
    ancestry: Vec<AncestorJson<'a>>,
    /// The unit or container that its holder stands in for.
    behind: Option<BehindJson<'a>>,
    kernel_device: Option<&'a str>,
}

/// A process on the way up to process 1.
#[derive(Serialize)]
pub(crate) struct AncestorJson<'a> {
    pid: u32,
    process: &'a str,
    exe: Option<&'a str>,
    user: Option<&'a str>,
    started: Option<String>,
}

impl<'a> From<&'a Process> for AncestorJson<'a> {
    fn from(process: &'a Process) -> Self {
        Self {
            pid: process.pid,
            process: &process.name,
            exe: process.exe.as_deref(),
            user: process.user.as_deref(),
            started: process.started.map(|t| t.to_string()),
        }
    }
}
