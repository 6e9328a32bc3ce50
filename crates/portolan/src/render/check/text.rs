//! The answer on one screen: what is the matter, how it is known, what to do.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::registry::Registry;
use portolan_core::scan::PortState;
use portolan_core::socket::SocketTable;

use super::steps::{Step, steps};
use super::words::{self, TIGHT};
use crate::ops::check::target::Place;
use crate::ops::check::{Checked, Found, Report};
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;
use crate::render::table::wrap;

/// Prints every result; of several that are alike open only the first line.
pub(crate) fn text(screen: &mut Screen, report: &Report, registry: &Registry) -> Result<()> {
    for (number, checked) in report.results.iter().enumerate() {
        if number > 0 {
            writeln!(screen)?;
        }
        one(screen, checked, &report.table, registry)?;
    }
    Ok(screen.flush()?)
}

fn one(
    screen: &mut Screen,
    checked: &Checked,
    table: &SocketTable,
    registry: &Registry,
) -> Result<()> {
    let (role, state) = match &checked.found {
        Ok(found) => (role(found), words::state(&found.outcome)),
        Err(_) => (Role::Bad, "no address".to_owned()),
    };
    let title = title(checked, registry);
    writeln!(
        screen,
        "{}  {}",
        screen.style.paint(Role::Strong, sanitize(&title)),
        screen.style.paint(role, state)
    )?;
    let verdict = match &checked.found {
        Ok(found) => words::verdict(checked, found, table),
        Err(failure) => words::name_failure(&checked.target, *failure),
    };
    for line in wrap(&sanitize(&verdict), screen.width) {
        writeln!(screen, "{}", words::loose(&line))?;
    }
    writeln!(screen)?;
    let mut last = "";
    for step in steps(checked, table) {
        print_step(screen, &step, if step.name == last { "" } else { step.name })?;
        last = step.name;
    }
    let next = match &checked.found {
        Ok(found) => words::next(checked, found),
        Err(failure) => words::name_next(checked, *failure),
    };
    if !next.is_empty() {
        writeln!(screen)?;
    }
    for (number, line) in next.iter().enumerate() {
        let label = if number == 0 { "next:" } else { "     " };
        hanging(screen, Role::Hint, label, line)?;
    }
    Ok(())
}

/// `db.example → 10.0.0.5:5432/tcp (postgresql)`.
fn title(checked: &Checked, registry: &Registry) -> String {
    let target = &checked.target;
    let service = registry.service_name(target.port, target.transport);
    let service = service.map_or(String::new(), |name| format!(" ({name})"));
    match (&checked.found, &target.place) {
        (Ok(found), Place::Name(name)) => {
            format!("{name} → {}/{}{service}", found.endpoint, target.transport)
        }
        (Ok(found), Place::Address(_)) => {
            format!("{}/{}{service}", found.endpoint, target.transport)
        }
        (Err(_), _) => target.text.clone(),
    }
}

const fn role(found: &Found) -> Role {
    match found.outcome.state {
        PortState::Open if found.is_open() => Role::Good,
        PortState::Closed | PortState::Filtered => Role::Bad,
        _ => Role::Warning,
    }
}

fn print_step(screen: &mut Screen, step: &Step, name: &str) -> Result<()> {
    let took =
        step.took.map_or(String::new(), |took| format!("{TIGHT}{TIGHT}{}", words::time(took)));
    let text = format!("{}{took}", step.detail);
    let label = format!("  {name:KEY$}");
    hanging(screen, Role::Dim, &label, &text)
}

/// A label, and text beside it that stays in its column.
fn hanging(screen: &mut Screen, role: Role, label: &str, text: &str) -> Result<()> {
    let width = label.chars().count() + 1;
    let mut label = label.to_owned();
    for line in wrap(&sanitize(text), screen.width.saturating_sub(width)) {
        writeln!(screen, "{} {}", screen.style.paint(role, &label), words::loose(&line))?;
        label = " ".repeat(width - 1);
    }
    Ok(())
}

/// Columns of a step's name.
const KEY: usize = 9;
