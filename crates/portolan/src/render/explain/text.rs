//! The answer on one screen: whether, why, who, what to do.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::socket::conflict::{Apart, Verdict};
use portolan_core::socket::{Held, PortChoice, Process, Reuse, State, Unowned};

use super::words::{counted, deed, errno_meaning, holder, reason, reuseaddr, warning, wish};
use super::{remedy, words};
use crate::ops::explain::{Blocker, Obstacle, Report};
use crate::render::behind;
use crate::render::errno::errno_name;
use crate::render::owner::{container_name, process_names};
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::socket::on_device;
use crate::render::style::Role;
use crate::render::table::wrap;
use crate::render::who::{Context, connection, line_of_descent, of_process};

/// Prints the answer.
pub(crate) fn text(screen: &mut Screen, report: &Report, context: &Context<'_>) -> Result<()> {
    let pasted = report.pasted.as_ref();
    if let Some(pasted) = pasted {
        lines(screen, "", &words::told(pasted))?;
    }
    answer(screen, report)?;
    if let Some(pasted) = pasted.filter(|_| report.is_bindable()) {
        lines(screen, "", words::gone(pasted.complaint.refused))?;
    }
    let groups = groups(report);
    for (number, group) in groups.iter().take(SHOWN).enumerate() {
        writeln!(screen)?;
        title(screen, report, group)?;
        let facts = facts(report, group, context);
        // The first one in full: who, why, since when and what to do fit on one screen.
        let is_shown = |key: &str| number == 0 || BRIEF.contains(&key);
        paragraph(screen, facts.into_iter().filter(|(key, _)| is_shown(key)))?;
    }
    if let Some(more) = groups.len().checked_sub(SHOWN).filter(|n| *n > 0) {
        writeln!(screen, "\nand {} more", counted(more, "holder"))?;
    }
    exhaustion(screen, report)?;
    notes(screen, report)?;
    remedies(screen, report)?;
    for other in pasted.iter().flat_map(|pasted| &pasted.others) {
        let next = screen.style.paint(Role::Hint, "next:").to_string();
        let other = sanitize(other);
        writeln!(screen, "\n{next} the text also names {other}: portolan explain '{other}'")?;
    }
    Ok(screen.flush()?)
}

/// Whether, and why not.
fn answer(screen: &mut Screen, report: &Report) -> Result<()> {
    for attempt in &report.attempts {
        let wish = sanitize(&wish(&attempt.bind)).into_owned();
        let (role, said) = match attempt.refusal {
            None => (Role::Good, "can be bound".to_owned()),
            Some(refusal) => {
                let errno = refusal.errno;
                let said = format!(
                    "{}: {} ({})",
                    deed(refusal.call),
                    errno_name(errno),
                    errno_meaning(errno)
                );
                (Role::Bad, said)
            }
        };
        for line in wrap(&format!("{wish} {said}"), screen.width) {
            writeln!(screen, "{}", screen.style.paint(role, line))?;
        }
    }
    if !report.is_bindable() {
        lines(screen, "", &reason(report))?;
    }
    Ok(())
}

/// Blockers with the same holder, or that stand in for the same container, and what they are.
fn groups(report: &Report) -> Vec<Vec<&Blocker>> {
    let mut groups: Vec<(String, Verdict, Vec<&Blocker>)> = Vec::new();
    for blocker in &report.blockers {
        let who = holder(report, &report.table.sockets[blocker.position]);
        let is_like = |(w, v, group): &&mut (String, Verdict, Vec<&Blocker>)| {
            let one_behind = blocker.behind.is_some() && blocker.behind == group[0].behind;
            (*w == who || one_behind) && *v == blocker.verdict
        };
        match groups.iter_mut().find(is_like) {
            Some((_, _, group)) => group.push(blocker),
            None => groups.push((who, blocker.verdict, vec![blocker])),
        }
    }
    groups.into_iter().map(|(_, _, group)| group).collect()
}

fn title(screen: &mut Screen, report: &Report, group: &[&Blocker]) -> Result<()> {
    let held = &report.table.sockets[group[0].position];
    let who = match report.table.kernel_use(held) {
        Some(usage) => format!("kernel, for {usage}"),
        None => holders(report, group),
    };
    let title = format!("{who}: {}", group[0].verdict);
    writeln!(screen, "{}", screen.style.paint(Role::Strong, sanitize(&title)))?;
    Ok(())
}

fn paragraph(
    screen: &mut Screen,
    facts: impl Iterator<Item = (&'static str, String)>,
) -> Result<()> {
    let mut last = "";
    for (key, value) in facts {
        let shown = if key == last { "" } else { key };
        last = key;
        fact(screen, shown, &value)?;
    }
    Ok(())
}

/// Everybody who holds one of a group; docker-proxy runs once for each family.
fn holders(report: &Report, group: &[&Blocker]) -> String {
    let held = |blocker: &&Blocker| &report.table.sockets[blocker.position];
    let mut owners: Vec<&Process> = Vec::new();
    for owner in group.iter().flat_map(|blocker| report.table.owners(held(blocker))) {
        if owners.iter().all(|known| known.pid != owner.pid) {
            owners.push(owner);
        }
    }
    match owners.len() {
        0 | 1 => holder(report, held(&group[0])),
        _ => process_names(owners),
    }
}

fn fact(screen: &mut Screen, key: &str, value: &str) -> Result<()> {
    let mut key = key;
    for line in wrap(&sanitize(value), screen.width.saturating_sub(KEY + 3)) {
        writeln!(screen, "  {} {line}", screen.style.paint(Role::Dim, format!("{key:KEY$}")))?;
        key = "";
    }
    Ok(())
}

fn facts(
    report: &Report,
    group: &[&Blocker],
    context: &Context<'_>,
) -> Vec<(&'static str, String)> {
    let mut facts: Vec<(&'static str, String)> = Vec::new();
    facts.extend(group.iter().take(PLACES).map(|b| place(report, b)));
    if let Some(more) = group.len().checked_sub(PLACES).filter(|n| *n > 0) {
        facts.push(("", format!("and {more} more")));
    }
    let held = &report.table.sockets[group[0].position];
    if let Some(first) = report.table.owners(held).next() {
        facts.extend(of_process(first, context));
    }
    let place = report.table.placement(held);
    facts.extend(place.unit.map(|unit| ("unit", unit.to_string())));
    facts.extend(
        place.container.map(|c| ("container", format!("{} ({})", container_name(&c), c.runtime))),
    );
    facts.extend(group[0].behind.as_ref().map(behind::fact));
    facts.extend(ancestry(report, held));
    let accepted: usize = group.iter().map(|b| b.connections).sum();
    if accepted > 0 {
        facts.push(("connections", format!("{accepted} accepted, still open")));
    }
    facts.extend(options(held));
    facts
}

fn ancestry(report: &Report, held: &Held) -> Option<(&'static str, String)> {
    let line = report.ancestries.get(&held.holders.first()?.pid)?;
    let above = line.get(1..).filter(|above| !above.is_empty())?;
    let near = line_of_descent(&above[..above.len().min(GENERATIONS)]);
    let further = above.len().saturating_sub(GENERATIONS);
    let more = if further > 0 { format!(", and {further} further up") } else { String::new() };
    Some(("started by", format!("{near}{more}")))
}

/// Where, and how the number came about.
fn place(report: &Report, blocker: &Blocker) -> (&'static str, String) {
    let held = &report.table.sockets[blocker.position];
    let socket = &held.socket;
    if socket.peer.is_some() {
        let left = blocker.seconds_left.map_or_else(String::new, |s| format!(", {s} s left"));
        return ("connection", format!("{}{left}", connection(held)));
    }
    let key = match socket.state {
        State::Listen => "listens on",
        State::Bound => "holds, silent",
        _ => "receives on",
    };
    let place = socket.local_endpoint().map(|end| match socket.is_dual_stack() {
        true => format!("*:{}", end.port),
        false => on_device(end, socket.device.as_deref()),
    });
    let chosen = match socket.port_choice {
        Some(PortChoice::Kernel) => ", a number the kernel chose",
        _ => "",
    };
    (key, format!("{}{chosen}", place.unwrap_or_default()))
}

fn options(held: &Held) -> Option<(&'static str, String)> {
    if held.socket.inode == 0 || held.unowned == Some(Unowned::Kernel) {
        return None;
    }
    let text = match held.socket.reuse {
        Some(Reuse { address: true, port: true }) => "SO_REUSEADDR and SO_REUSEPORT",
        Some(Reuse { address: true, port: false }) => "SO_REUSEADDR",
        Some(Reuse { address: false, port: true }) => "SO_REUSEPORT",
        Some(Reuse::NONE) => "neither SO_REUSEADDR nor SO_REUSEPORT",
        None => "not known",
    };
    Some(("options", text.to_owned()))
}

/// Who holds most of the ports that the kernel chooses from.
fn exhaustion(screen: &mut Screen, report: &Report) -> Result<()> {
    let Some(Obstacle::Exhausted(found)) = &report.obstacle else { return Ok(()) };
    writeln!(screen)?;
    for (position, ports) in found.holders.iter().take(SHOWN) {
        let who = holder(report, &report.table.sockets[*position]);
        fact(screen, &counted(*ports, "port"), &who)?;
    }
    Ok(())
}

/// Whom it shares the port with, who is on it and does not matter, and what else is to know.
fn notes(screen: &mut Screen, report: &Report) -> Result<()> {
    let mut notes: Vec<(Role, &str, String)> = Vec::new();
    if let Some(text) = reuseaddr(report) {
        notes.push((Role::Dim, "note:", text));
    }
    if report.is_bindable() {
        notes.extend(sharers(report).map(|text| (Role::Dim, "note:", text)));
    }
    notes.extend(strangers(report).map(|text| (Role::Dim, "note:", text)));
    let warnings = report.warnings.iter().map(|w| warning(w, report).1);
    notes.extend(warnings.map(|text| (Role::Warning, "warning:", text)));
    if !notes.is_empty() {
        writeln!(screen)?;
    }
    for (role, label, text) in notes {
        let label = screen.style.paint(role, label).to_string();
        let mut lead = format!("{label} ");
        for line in wrap(&sanitize(&text), screen.width.saturating_sub(10)) {
            writeln!(screen, "{lead}{line}")?;
            lead = "  ".to_owned();
        }
    }
    Ok(())
}

fn sharers(report: &Report) -> Option<String> {
    let first = report.sharers.first()?;
    let held = &report.table.sockets[*first];
    let who = match held.unowned {
        Some(Unowned::NoFile) => format!("what no process has open ({})", held.socket.state),
        _ => holder(report, held),
    };
    Some(match report.sharers.len() {
        1 => format!("shares the port with {who}"),
        n => format!("shares the port with {who} and {} more", n - 1),
    })
}

fn strangers(report: &Report) -> Option<String> {
    let mut all: Vec<String> =
        report.irrelevant.iter().map(|(p, why)| stranger(report, *p, *why)).collect();
    all.dedup();
    let more = all.len().saturating_sub(SHOWN);
    all.truncate(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!all.is_empty()).then(|| format!("not in the way: {}{more}", all.join(", ")))
}

fn stranger(report: &Report, position: usize, why: Apart) -> String {
    let held = &report.table.sockets[position];
    let place = held.socket.local_endpoint().map(|e| e.to_string()).unwrap_or_default();
    let why = match why {
        Apart::Port => "another port",
        Apart::Protocol => held.socket.transport.as_str(),
        Apart::Namespace => "another network namespace",
        Apart::Device => "another interface",
        Apart::Family => "another family",
        Apart::Address => "another address",
        Apart::HalfOpen => "a handshake",
    };
    format!("{} on {place} ({why})", holder(report, held))
}

fn remedies(screen: &mut Screen, report: &Report) -> Result<()> {
    if report.remedies.is_empty() {
        return Ok(());
    }
    writeln!(screen, "\n{}", screen.style.paint(Role::Heading, "what to do"))?;
    for (number, one) in (1..).zip(&report.remedies) {
        let (command, effect) = remedy::words(one);
        let lead = format!("  {number}. ");
        match command {
            // A command is never broken: it is there to be copied.
            Some(command) => {
                let command = sanitize(&command).into_owned();
                writeln!(screen, "{lead}{}", screen.style.paint(Role::Hint, command))?;
                lines(screen, "     ", &effect)?;
            }
            None => {
                let mut lead = lead;
                for line in wrap(&sanitize(&effect), screen.width.saturating_sub(6)) {
                    writeln!(screen, "{lead}{line}")?;
                    lead = "     ".to_owned();
                }
            }
        }
    }
    Ok(())
}

pub(super) fn lines(screen: &mut Screen, indent: &str, text: &str) -> Result<()> {
    for line in wrap(&sanitize(text), screen.width.saturating_sub(indent.len() + 1)) {
        writeln!(screen, "{indent}{line}")?;
    }
    Ok(())
}

/// What is told of every holder but the first.
const BRIEF: [&str; 10] = [
    "listens on",
    "receives on",
    "holds, silent",
    "connection",
    "",
    "user",
    "unit",
    "container",
    "stands for",
    "listens for",
];
/// Columns of the longest key, `running since`.
const KEY: usize = 13;
/// Holders that are shown one by one.
const SHOWN: usize = 3;
/// Sockets of one holder that are shown one by one.
const PLACES: usize = 3;

/// More of the line of descent would push what to do off the screen; `who` and JSON have it all.
const GENERATIONS: usize = 4;
