//! The chart of a machine, for reading: what others could reach first, what is wrong under its row.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::audit::{Finding, Reach, Rule};
use portolan_core::firewall::Addresses;
use portolan_core::inventory::Status;
use portolan_core::net::{Scope, Severity};
use portolan_core::reach::Answer;

use crate::ops::inventory::Intent;
use crate::ops::status::{Bound, Chart, DeclaredAs, Row};
use crate::render;
use crate::render::namespace::turned_away;
use crate::render::owner::{container_name, process_names, unowned_word};
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;
use crate::render::table::{Cell, Column, Table, wrap};

/// Prints the chart: what others could reach first, one line that sums up, one that goes on.
pub(crate) fn text(screen: &mut Screen, chart: &Chart<'_>) -> Result<()> {
    let (style, width) = (screen.style, screen.width);
    writeln!(screen, "{}", style.paint(Role::Heading, sanitize(&title(chart))))?;
    if chart.ports.is_empty() {
        writeln!(screen, "\nNo port is open.")?;
    } else {
        table(chart).write(screen, width, style)?;
    }
    if let Some(counters) = chart.turned_away {
        for line in wrap(&turned_away(counters), width) {
            writeln!(screen, "{}", style.paint(Role::Dim, line))?;
        }
    }
    for finding in chart.elsewhere.iter().filter(|f| f.severity > Severity::Note) {
        let text = format!("{} {}: {}", finding.rule, finding.severity, finding.message);
        for line in wrap(&sanitize(&text), width) {
            writeln!(screen, "{}", style.paint(role(finding.severity), line))?;
        }
    }
    if let Some(notes) = notes_elsewhere(chart) {
        writeln!(screen, "{}", style.paint(Role::Dim, notes))?;
    }
    writeln!(screen, "\n{}", wrap(&summary(chart), width).join("\n"))?;
    writeln!(screen, "{} {}", style.paint(Role::Hint, "next:"), next_step(chart))?;
    Ok(screen.flush()?)
}

/// Notes about the inventory, such as what `init` left to do, are counted: the audit lists them.
fn notes_elsewhere(chart: &Chart<'_>) -> Option<String> {
    let count = chart.elsewhere.iter().filter(|f| f.severity == Severity::Note).count();
    (count > 0).then(|| format!("{} on the inventory: portolan audit", plural(count, "note")))
}

fn title(chart: &Chart<'_>) -> String {
    let machine = chart.machine;
    match chart.host() {
        Some(host) if host.name == machine.hostname => machine.hostname.clone(),
        Some(host) => format!("{} ({} in the inventory)", machine.hostname, host.name),
        None => machine.hostname.clone(),
    }
}

fn table(chart: &Chart<'_>) -> Table {
    let mut table = Table::new([
        Column::right("PORT"),
        Column::flexible("SERVICE", 8),
        Column::flexible("PROCESS", 14).keeping_end(),
        Column::flexible("USER", 4),
        Column::flexible("UNIT/CONTAINER", 10),
        Column::flexible("BOUND TO", 9).keeping_end(),
        Column::wrapping("REACHABLE FROM", 10),
        // `[management]` whole.
        Column::flexible("DECLARED", 12),
    ]);
    for area in [Area::Any, Area::Named, Area::Near, Area::Later, Area::Here] {
        let rows: Vec<&Row<'_>> =
            chart.ports.iter().filter(|r| Area::of(r) == area && !r.is_passing()).collect();
        if rows.is_empty() {
            continue;
        }
        if !table.is_empty() {
            table.push_text(0, Cell::default());
        }
        table.push_text(0, Cell::new(Role::Heading, heading(area, chart.are_rules_seen)));
        for run in collapsed(&rows) {
            push_run(&mut table, &run, chart);
        }
    }
    push_passing(&mut table, chart);
    table
}

/// The parts of the chart, by how far away those are who could come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Area {
    Any,
    /// Some networks with public addresses, not all.
    Named,
    Near,
    /// Others, were there a way to this machine.
    Later,
    Here,
}

impl Area {
    pub(super) fn of(row: &Row<'_>) -> Self {
        match row.reach() {
            Reach::Anyone | Reach::Named | Reach::Site | Reach::Link if row.is_cut_off() => {
                Self::Later
            }
            Reach::Anyone => Self::Any,
            Reach::Named => Self::Named,
            Reach::Site | Reach::Link => Self::Near,
            Reach::Machine => Self::Here,
        }
    }

    /// How many ports of it there are, in words.
    const fn counted(self) -> &'static str {
        match self {
            Self::Any => "from any network",
            Self::Named => "from some networks only",
            Self::Near => "from near networks",
            Self::Later => "from other machines once a way leads here",
            Self::Here => "from this machine only",
        }
    }
}

const fn heading(area: Area, are_rules_seen: bool) -> &'static str {
    match area {
        Area::Any if are_rules_seen => "From any network",
        Area::Named => "From some networks only",
        Area::Near if are_rules_seen => "From near networks (private, VPN or link)",
        Area::Any => "From any network, unless a firewall stops it",
        Area::Near => "From near networks (private, VPN or link), unless a firewall stops it",
        Area::Later => "From other machines, once a way leads here",
        Area::Here => "From this machine only",
    }
}

/// Rows of neighbouring numbers that say the same, as one run.
fn collapsed<'c, 'a>(rows: &[&'c Row<'a>]) -> Vec<Vec<&'c Row<'a>>> {
    let mut runs: Vec<Vec<&Row<'_>>> = Vec::new();
    for row in rows {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| continues(last, row)) => run.push(row),
            _ => runs.push(vec![row]),
        }
    }
    runs
}

/// Who reaches a row and who does not, whatever lets them.
fn fate<'c>(row: &'c Row<'_>) -> Vec<(Answer, &'c Addresses)> {
    let sources = row.reachable.iter().flat_map(|reach| &reach.sources);
    sources
        .flat_map(|reached| &reached.groups)
        .map(|group| (group.answer, &group.senders))
        .collect()
}

fn continues(last: &Row<'_>, next: &Row<'_>) -> bool {
    last.port.0.checked_add(1) == Some(next.port.0)
        && last.transport == next.transport
        && last.bound == next.bound
        && last.sent_to == next.sent_to
        && last.owners.iter().map(|p| p.pid).eq(next.owners.iter().map(|p| p.pid))
        && last.unowned == next.unowned
        && last.placement == next.placement
        && fate(last) == fate(next)
        && last.declared == next.declared
        && last.accepted == next.accepted
        && notes(last) == notes(next)
}

fn push_run(table: &mut Table, run: &[&Row<'_>], chart: &Chart<'_>) {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return };
    let numbers = match run.len() {
        1 => format!("{}/{}", first.port, first.transport),
        _ => format!("{}-{}/{}", first.port, last.port, first.transport),
    };
    let service = if run.len() == 1 { first.service.unwrap_or_default() } else { "" };
    table.push(vec![
        Cell::new(Role::Strong, numbers),
        service.into(),
        process(first).into(),
        users(first).into(),
        place(first).into(),
        place_of(first).into(),
        reachable(first, chart).into(),
        declared(first, chart.host().is_some()),
    ]);
    for (role, note) in notes(first) {
        table.push_text(NOTE_INDENT, Cell::new(role, note));
    }
}

/// Who gets through by the rules; nothing where they were not seen, for then the heading says what is known.
fn reachable(row: &Row<'_>, chart: &Chart<'_>) -> String {
    let reach = row.reachable.as_ref().filter(|_| chart.are_rules_seen);
    reach.map(|reach| render::reach::summary(reach, &chart.names)).unwrap_or_default()
}

fn process(row: &Row<'_>) -> String {
    let names = process_names(row.owners.iter().copied());
    let unseen = row.sockets.iter().filter(|h| h.holders.is_empty()).find_map(|h| h.unowned);
    let is_proved = row.sockets.iter().any(|h| h.unowned.is_none());
    match unseen.map(unowned_word) {
        Some(word) if names.is_empty() => word.to_owned(),
        Some(word) => format!("{names}, {word}"),
        None if is_proved || names.is_empty() => names,
        None => format!("likely {names}"),
    }
}

fn users(row: &Row<'_>) -> String {
    let mut users: Vec<&str> = row.owners.iter().filter_map(|p| p.user.as_deref()).collect();
    users.sort_unstable();
    users.dedup();
    users.join(",")
}

fn place(row: &Row<'_>) -> String {
    match (&row.placement.container, &row.placement.unit) {
        (Some(container), _) => container_name(container).to_owned(),
        (None, Some(unit)) => unit.to_string(),
        (None, None) => String::new(),
    }
}

/// Where it is bound, or where it is sent on to where no socket holds it.
fn place_of(row: &Row<'_>) -> String {
    match row.sent_to.filter(|_| row.sockets.is_empty()) {
        Some(to) => format!("to {to}"),
        None => addresses(&row.bound),
    }
}

/// `*` where every address of both families is meant, else each address.
pub(super) fn addresses(bound: &[Bound]) -> String {
    let wildcard =
        |v4: bool| bound.iter().any(|b| b.scope == Scope::Wildcard && b.address.is_ipv4() == v4);
    if bound.iter().any(|b| b.dual_stack && b.device.is_none())
        || (wildcard(true) && wildcard(false))
    {
        return "*".to_owned();
    }
    let words: Vec<String> = bound
        .iter()
        .map(|b| match &b.device {
            Some(device) => format!("{}%{device}", b.address),
            None => b.address.to_string(),
        })
        .collect();
    words.join(", ")
}

fn declared(row: &Row<'_>, with_inventory: bool) -> Cell {
    match row.declared {
        _ if !with_inventory => Cell::default(),
        None if row.accepted.is_some() => Cell::new(Role::Dim, "accepted"),
        None => Cell::new(row.worst().map_or(Role::Warning, role), "undeclared"),
        Some(DeclaredAs { service, status: Status::Active }) => Cell::new(Role::Good, service),
        Some(DeclaredAs { service, status }) => {
            Cell::new(Role::Warning, format!("{service} ({})", status.as_str()))
        }
    }
}

/// What is wrong or worth knowing, a line each. That a port is undeclared stands in its column.
fn notes(row: &Row<'_>) -> Vec<(Role, String)> {
    let mut notes = Vec::new();
    for finding in row.findings.iter().filter(|f| is_told(f)) {
        let text = format!("{} {}: {}", finding.rule, finding.severity, finding.message);
        notes.push((role(finding.severity), text));
    }
    if !row.findings.iter().any(|finding| finding.rule == Rule::P108) {
        let straight = row.reachable.iter().flat_map(render::reach::straight);
        notes.extend(straight.map(|note| (Role::Bad, note)));
    }
    if !row.findings.iter().any(is_told) && Area::of(row) != Area::Here {
        notes.extend(risk(row));
    }
    if let Some(queue) = row.full_queue {
        let text =
            format!("accept queue {}/{} full: it refuses connections", queue.queued, queue.max);
        notes.push((Role::Bad, text));
    }
    if row.chosen_by_kernel {
        notes.push((
            Role::Dim,
            "the kernel chose this number; it changes at every start".to_owned(),
        ));
    }
    notes
}

fn is_told(finding: &Finding) -> bool {
    finding.severity > Severity::Note && finding.rule != Rule::P101
}

/// The registry's warning, where such a port should not be open to the world.
fn risk(row: &Row<'_>) -> Option<(Role, String)> {
    let risk = row.risk.filter(|r| r.severity >= Severity::Medium)?;
    if matches!(risk.exposure, "public-ok" | "public-hardened") {
        return None;
    }
    let text = format!("{} ({}): {}", risk.class, risk.severity, risk.why);
    Some((role(risk.severity), text))
}

fn push_passing(table: &mut Table, chart: &Chart<'_>) {
    let passing: Vec<&Row<'_>> = chart.ports.iter().filter(|r| r.is_passing()).collect();
    if passing.is_empty() {
        return;
    }
    let mut owners: Vec<_> = passing.iter().flat_map(|r| r.owners.iter().copied()).collect();
    owners.sort_by_key(|p| p.pid);
    owners.dedup_by_key(|p| p.pid);
    let names = process_names(owners);
    let of = if names.is_empty() { String::new() } else { format!(": {names}") };
    let text = format!("UDP on numbers the kernel chose, mostly clients ({}){of}", passing.len());
    table.push_text(0, Cell::new(Role::Dim, text));
}

const fn role(severity: Severity) -> Role {
    match severity {
        Severity::Note => Role::Dim,
        Severity::Low | Severity::Medium => Role::Warning,
        Severity::High | Severity::Critical => Role::Bad,
    }
}

fn summary(chart: &Chart<'_>) -> String {
    let shown = || chart.ports.iter().filter(|r| !r.is_passing());
    let count = |area| shown().filter(|r| Area::of(r) == area).count();
    let mut text = plural(shown().count(), "open port");
    let all = [Area::Any, Area::Named, Area::Near, Area::Later, Area::Here];
    let parts: Vec<String> = all
        .into_iter()
        .map(|area| (count(area), area.counted()))
        .filter(|(n, _)| *n > 0)
        .map(|(n, words)| format!("{n} {words}"))
        .collect();
    if !parts.is_empty() {
        text = format!("{text}: {}", parts.join(", "));
    }
    if chart.host().is_some() {
        let undeclared = shown().filter(|r| r.is_undeclared()).count();
        text = format!("{text}; {undeclared} undeclared");
        if let Some(worst) = worst(chart) {
            text = format!("{text}; worst finding: {worst}");
        }
    }
    format!("{text}.")
}

fn worst(chart: &Chart<'_>) -> Option<Severity> {
    let of_rows = chart.ports.iter().filter_map(Row::worst);
    of_rows.chain(chart.elsewhere.iter().map(|f| f.severity)).max()
}

fn next_step(chart: &Chart<'_>) -> String {
    match chart.intent {
        Intent::Declared { .. } if worst(chart).is_some_and(|worst| worst > Severity::Note) => {
            "portolan audit     (each finding with its evidence and remedy)".to_owned()
        }
        Intent::Declared { .. } => "nothing to do; portolan who PORT tells more of one".to_owned(),
        Intent::Unclear { hint, .. } => sanitize(hint).into_owned(),
        Intent::None if chart.ports.is_empty() => {
            "portolan sockets -a     (connections too)".to_owned()
        }
        Intent::None => {
            "portolan inventory init     (write down what is meant to be open)".to_owned()
        }
    }
}

/// `1 open port`, `2 open ports`.
fn plural(count: usize, word: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {word}{ending}")
}

const NOTE_INDENT: usize = 4;
