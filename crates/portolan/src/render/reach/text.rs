//! The answers on one screen: who, whether, why.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::firewall::Addresses;
use portolan_core::net::Transport;
use portolan_core::reach::{Answer, By, Group, PortReach, Reached, Whence};

use super::label::{is_cut_off, label, summary};
use super::{fix, words};
use crate::ops::behind::Behind;
use crate::ops::reach::{Report, Row};
use crate::render::firewall::in_short::BUT;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;
use crate::render::table::{Cell, Column, Table, wrap};

/// Prints a table of all ports, or what is told of those that were named.
pub(crate) fn text(screen: &mut Screen, report: &Report) -> Result<()> {
    if report.is_asked {
        for (number, row) in report.rows.iter().enumerate() {
            if number > 0 {
                writeln!(screen)?;
            }
            one(screen, row, report)?;
        }
    } else {
        all(screen, report)?;
    }
    Ok(screen.flush()?)
}

fn all(screen: &mut Screen, report: &Report) -> Result<()> {
    let mut table = Table::new([
        Column::right("PORT"),
        Column::flexible("SERVICE", 8),
        Column::flexible("PROCESS", 8),
        Column::wrapping("REACHABLE FROM", 14),
        Column::wrapping("BY", 20),
    ]);
    for row in &report.rows {
        let decisive = decisive(row);
        table.push(vec![
            Cell::new(Role::Strong, format!("{}/{}", row.reach.port, row.reach.transport)),
            row.service.clone().unwrap_or_default().into(),
            holders(row, report).into(),
            Cell::new(
                decisive.map_or(Role::Plain, |g| role(g.answer)),
                summary(&row.reach, &report.names),
            ),
            decisive.map(|group| group.by.to_string()).unwrap_or_default().into(),
        ]);
        if let Some(around) = row.reach.around().and_then(|group| group.around.as_ref()) {
            let note = format!("{}: {}", words::who_goes_around(around.kind), around.rule);
            table.push_text(4, Cell::new(Role::Bad, note));
        }
        let depends = decisive.and_then(words::depends_on);
        if let Some(note) = depends {
            table.push_text(4, Cell::new(Role::Warning, note));
        }
        let silent = decisive.and_then(|group| silent(report, group, row.reach.transport));
        if let Some(note) = silent {
            table.push_text(4, Cell::new(Role::Warning, note));
        }
        for note in straight(&row.reach) {
            table.push_text(4, Cell::new(Role::Bad, note));
        }
    }
    if report.rows.is_empty() {
        let told = match report.table {
            Some(_) => "No port is open.",
            None => "Which ports are open there, rules do not tell: name one, or several.",
        };
        writeln!(screen, "{told}")?;
        return Ok(());
    }
    let (width, style) = (screen.width, screen.style);
    table.write(screen, width, style)?;
    Ok(())
}

/// That nothing listens where packets of a group are sent on to, though rules let them through.
fn silent(report: &Report, group: &Group, transport: Transport) -> Option<String> {
    if report.inside.listens(group, transport)? {
        return None;
    }
    let to = group.behind()?;
    Some(format!("nothing listens at {to} now: the rules let it through, and nobody answers"))
}

/// The group that stands for a row: the best of those from outside.
fn decisive(row: &Row) -> Option<&Group> {
    let outside = row.reach.sources.iter().filter(|r| r.source.name != "loopback");
    outside.flat_map(|r| &r.groups).filter(|g| g.has_way()).min_by_key(|g| g.answer)
}

/// A port with all that is told of it: what it is, who reaches it, who gets behind it, and what closes it.
fn one(screen: &mut Screen, row: &Row, report: &Report) -> Result<()> {
    title(screen, row, report)?;
    for story in stories(row, &report.names) {
        writeln!(screen)?;
        tell(screen, &story, silent(report, story.group, row.reach.transport))?;
    }
    for note in straight(&row.reach) {
        writeln!(screen)?;
        beside(screen, Role::Bad, "  behind  ", &note)?;
    }
    fixes(screen, row)
}

fn title(screen: &mut Screen, row: &Row, report: &Report) -> Result<()> {
    let mut title = format!("{}/{}", row.reach.port, row.reach.transport);
    if let Some(service) = &row.service {
        title.push_str(&format!("  {service}"));
    }
    let holders = holders(row, report);
    let title = screen.style.paint(Role::Strong, sanitize(&title)).to_string();
    writeln!(screen, "{title}  {}", sanitize(&holders))?;
    if let Some(inside) = row.leads_to {
        writeln!(screen, "  what comes to it ends up at port {inside}")?;
    }
    if let Some(note) = stand_in(row) {
        hanging(screen, "  ", &note)?;
    }
    Ok(())
}

/// What becomes of some senders; `silent` where nothing listens in the end.
fn tell(screen: &mut Screen, story: &Story<'_>, silent: Option<String>) -> Result<()> {
    let answer = story.group.answer;
    // Let through is not yet reached.
    let word = if silent.is_some() && answer == Answer::Yes { "through" } else { answer.as_str() };
    let is_long = story.who.iter().any(|who| who.contains(BUT));
    let who = format!("from {}", story.who.join(if is_long { "; " } else { ", " }));
    beside(screen, role(answer), &format!("  {word:<8}"), &who)?;
    hanging(screen, INDENT, &story.group.by.to_string())?;
    for line in words::more(story.group).into_iter().chain(silent) {
        hanging(screen, INDENT, &line)?;
    }
    Ok(())
}

/// A painted word and text beside it, as wide as the screen.
fn beside(screen: &mut Screen, role: Role, word: &str, text: &str) -> Result<()> {
    let mut lines = wrap(&sanitize(text), screen.width.saturating_sub(INDENT.len())).into_iter();
    let first = lines.next().unwrap_or_default();
    let word = screen.style.paint(role, word).to_string();
    writeln!(screen, "{word}{first}")?;
    for line in lines {
        writeln!(screen, "{INDENT}{line}")?;
    }
    Ok(())
}

/// Where text begins that stands beside a word.
const INDENT: &str = "          ";

/// What closes the port to whoever gets around the rules.
fn fixes(screen: &mut Screen, row: &Row) -> Result<()> {
    if row.fixes.is_empty() {
        return Ok(());
    }
    let kind = row.reach.around().and_then(|group| group.around.as_ref()).map(|a| a.kind);
    let why = match (kind, row.reach.straight().next()) {
        (Some(kind), _) => words::who_goes_around(kind),
        (None, Some(_)) => "Neighbours get behind it",
        (None, None) => "Neighbours get to loopback",
    };
    let why = screen.style.paint(Role::Bad, format!("{why}. What closes it:")).to_string();
    writeln!(screen, "\n  {why}")?;
    for (number, closes) in row.fixes.iter().enumerate() {
        hanging(screen, &format!("  {}. ", number + 1), &fix::what(closes))?;
        let command = fix::command(closes);
        let command = screen.style.paint(Role::Hint, sanitize(&command)).to_string();
        writeln!(screen, "     {command}")?;
    }
    Ok(())
}

/// Senders, of whatever sources, of whom the same is told.
struct Story<'a> {
    group: &'a Group,
    who: Vec<String>,
}

fn stories<'a>(row: &'a Row, names: &[(String, Addresses)]) -> Vec<Story<'a>> {
    let mut stories: Vec<Story<'a>> = Vec::new();
    for reached in &row.reach.sources {
        let mut left: Vec<&Group> = reached.groups.iter().filter(|g| is_told(reached, g)).collect();
        while let Some(first) = left.first().copied() {
            let (same, others) = left.into_iter().partition(|group| is_same(group, first));
            left = others;
            let who = of_source(reached, label(reached, &same, names));
            match stories.iter_mut().find(|story| is_same(story.group, first)) {
                Some(story) if story.who.contains(&who) => {}
                Some(story) => story.who.push(who),
                None => stories.push(Story { group: first, who: vec![who] }),
            }
        }
    }
    stories.sort_by_key(|story| story.group.answer);
    stories
}

/// Senders of a source that is not everybody, with its interface: others tell the same addresses again.
fn of_source(reached: &Reached, who: String) -> String {
    match &reached.source.whence {
        Whence::Outside { interface: Some(by), .. } if !who.starts_with(&reached.source.name) => {
            format!("{who} by {by}")
        }
        _ => who,
    }
}

/// What is told of neighbours who get to what stands behind a port, once for each way.
pub(crate) fn straight(reach: &PortReach) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for group in reach.straight() {
        let note = words::straight(group);
        if !told.contains(&note) {
            told.push(note);
        }
    }
    told
}

/// Senders without a way are told of only where a source has no others, or they are all of a family whose
/// addresses this machine has.
fn is_told(reached: &Reached, group: &Group) -> bool {
    let is_of_family = group.by == By::NoRoute && is_cut_off(reached, group.is_v6);
    group.has_way() || is_of_family || !reached.groups.iter().any(Group::has_way)
}

fn is_same(a: &Group, b: &Group) -> bool {
    let told = |group: &Group| -> (Answer, By) { (group.answer, group.by.clone()) };
    told(a) == told(b)
        && a.translated == b.translated
        && a.handed == b.handed
        && a.around == b.around
        && a.depends_on == b.depends_on
        && a.is_exact == b.is_exact
}

const fn role(answer: Answer) -> Role {
    match answer {
        Answer::Yes => Role::Good,
        Answer::No => Role::Plain,
        Answer::Depends | Answer::Unknown => Role::Warning,
    }
}

fn holders(row: &Row, report: &Report) -> String {
    let Some(table) = &report.table else { return String::new() };
    let of_row = row.sockets.iter().filter_map(|place| table.sockets.get(*place));
    let mut names: Vec<String> = of_row
        .flat_map(|held| table.owners(held))
        .map(|process| process.name.to_string())
        .collect();
    names.sort();
    names.dedup();
    names.join(", ")
}

/// For whom a program holds the port, and that packets from outside do not come to it.
fn stand_in(row: &Row) -> Option<String> {
    let Some(Behind::Published { by, container }) = &row.stand_in else { return None };
    let name = container.as_ref().map(|c| c.name.as_ref().unwrap_or(&c.id));
    let whom = name.map_or("a container".to_owned(), |name| format!("container {name}"));
    let is_moved = row.reach.groups().any(|g| g.translated.is_some());
    let comes = match is_moved {
        true => "; what rules send on to the container never comes to it",
        false => "",
    };
    Some(format!("{} holds the port for {whom}{comes}", by.program))
}

/// A text behind a mark, wrapped, further lines under its beginning.
pub(super) fn hanging(screen: &mut Screen, mark: &str, text: &str) -> Result<()> {
    let indent = " ".repeat(mark.chars().count());
    for (number, line) in
        wrap(&sanitize(text), screen.width.saturating_sub(indent.len())).iter().enumerate()
    {
        let before = if number == 0 { mark } else { &indent };
        writeln!(screen, "{before}{line}")?;
    }
    Ok(())
}
