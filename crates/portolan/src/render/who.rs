//! Who holds a port and why it is there, for reading.

use std::io::Write as _;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp, Unit};
use portolan_core::net::Scope;
use portolan_core::registry::Registry;
use portolan_core::socket::{Held, PortChoice, Process, State, Unowned};

use crate::ops::who::{Group, Report, states};
use crate::render::owner::{container_name, process_names, unowned_word};
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;
use crate::render::table::wrap;

/// What the words of an answer are made with.
pub(crate) struct Context<'a> {
    /// What numbers mean.
    pub(crate) registry: &'a Registry,
    /// Whether whole command lines are shown.
    pub(crate) cmdline: bool,
    /// The time that "ago" counts from.
    pub(crate) now: Timestamp,
}

/// Prints the answer, a paragraph for each holder.
pub(crate) fn text(screen: &mut Screen, report: &Report<'_>, context: &Context<'_>) -> Result<()> {
    if report.groups.is_empty() {
        writeln!(screen, "{}", nobody(report))?;
    }
    for (i, group) in report.groups.iter().enumerate() {
        if i > 0 {
            writeln!(screen)?;
        }
        paragraph(screen, group, context)?;
    }
    Ok(screen.flush()?)
}

fn nobody(report: &Report<'_>) -> String {
    let query = sanitize(report.query);
    match report.unattributed {
        0 => format!("Nobody holds {query} here."),
        1 => format!("Nobody visible holds {query}; the owner of 1 socket could not be seen."),
        n => format!("Nobody visible holds {query}; the owners of {n} sockets could not be seen."),
    }
}

fn paragraph(screen: &mut Screen, group: &Group<'_>, context: &Context<'_>) -> Result<()> {
    let (style, width) = (screen.style, screen.width);
    writeln!(screen, "{}", style.paint(Role::Strong, sanitize(&holder(group))))?;
    for (key, value) in facts(group, context) {
        let mut key = key;
        for line in wrap(&sanitize(&value), width.saturating_sub(KEY + 2)) {
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
    match &group.device {
        Some(device) => format!("{name}, for {device}"),
        None => name,
    }
}

fn facts(group: &Group<'_>, context: &Context<'_>) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if !group.owners.is_empty() && group.unowned.is_some() {
        facts.push(("certainty", LIKELY.to_owned()));
    }
    if let Some(first) = group.owners.first() {
        facts.extend(of_process(first, context));
    } else if let Some(creator) = &group.creator {
        facts.push(("made by", format!("user {creator}")));
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

fn of_process(process: &Process, context: &Context<'_>) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(user) = &process.user {
        facts.push(("user", user.to_string()));
    } else if let Some(uid) = process.uid {
        facts.push(("user", format!("uid {uid}")));
    }
    match (context.cmdline, &process.exe) {
        (true, _) if !process.command_line.is_empty() => {
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

fn line_of_descent(ancestry: &[Process]) -> String {
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
        facts.push((key, place(held, context)));
    }
    if let Some(more) = group.holding.len().checked_sub(SHOWN).filter(|n| *n > 0) {
        facts.push(("", format!("and {more} more; portolan sockets lists them")));
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

fn place(held: &Held, context: &Context<'_>) -> String {
    let socket = &held.socket;
    let Some(endpoint) = socket.local_endpoint() else {
        return format!("a {} socket", socket.transport);
    };
    let mut text = format!("{endpoint}/{}", socket.transport);
    let transport = socket.transport.with_ports();
    if let Some(name) = transport.and_then(|t| context.registry.service_name(endpoint.port, t)) {
        text = format!("{text} ({name})");
    }
    if socket.state != State::Bound {
        text = format!("{text}: {}", reach(held));
    } else {
        text = format!("{text}: bound, not listening; others cannot bind it");
    }
    if socket.port_choice == Some(PortChoice::Kernel) {
        text = format!("{text}; number chosen by the kernel");
    }
    if let Some(queue) = socket.backlog.filter(|b| b.is_full()) {
        text = format!("{text}; accept queue {}/{} full", queue.queued, queue.max);
    }
    text
}

fn reach(held: &Held) -> String {
    let from = held.socket.scope().map_or("unknown", Scope::reachable_from);
    match held.socket.scope() {
        Some(Scope::Loopback) => format!("from {from} only"),
        _ => format!("from {from}, unless a firewall stops it"),
    }
}

fn connection(held: &Held) -> String {
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
const LIKELY: &str = "likely: the socket was made in its cgroup; root would see the proof";
