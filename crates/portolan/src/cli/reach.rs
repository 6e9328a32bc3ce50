//! `portolan reach [PORT] [--from SOURCE] [--live]`.

use anyhow::Result;
use portolan_core::net::{Port, TransportSet};
use portolan_core::reach::Answer;
use portolan_core::registry::Registry;
use portolan_core::registry::port_set::{self, PortSelection};

use crate::cli::args::{Global, Reach};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::ops::reach::{Report, Request};
use crate::render::screen::Screen;
use crate::{ops, render};

/// Tells who reaches it: 0 somebody (or who was named), 1 nobody, or only around the input rules, 3 not
/// everything could be seen.
pub(crate) fn run(arguments: &Reach, global: &Global) -> Result<Exit> {
    let registry = ops::registry::load().value;
    let ports = arguments.port.as_ref().map(|word| ports(word, &registry)).transpose()?;
    let request = Request {
        ports,
        from: arguments.from.clone(),
        rules: &arguments.sources,
        asked: global.asked(),
    };
    let report = ops::reach::ask(&request, &registry)?;
    let mut screen = Screen::open(global);
    if global.json {
        render::reach::json(&mut screen, &report)?;
    } else {
        render::reach::text(&mut screen, &report)?;
        render::gap::print(&report.gaps, global.color);
    }
    Ok(end(&report))
}

/// A bare number means every transport in which it is open.
fn ports(word: &str, registry: &Registry) -> Result<PortSelection> {
    let selection = port_set::parse(word, TransportSet::ALL, registry)
        .map_err(|e| Fault::new(e.to_string(), e.hint()))?;
    if selection.ports().contains(Port(0)) {
        return Err(Fault::new("nobody can be reached on port 0", "name a port: 5432, 53/udp"));
    }
    Ok(selection)
}

fn end(report: &Report) -> Exit {
    if report.is_around() {
        return Exit::No;
    }
    match (report.is_asked, report.answer()) {
        (true, Answer::Yes) => Exit::Yes,
        (true, Answer::Depends | Answer::Unknown) => Exit::Partial,
        (_, _) if report.is_partial() => Exit::Partial,
        (true, Answer::No) => Exit::No,
        (false, _) => Exit::Yes,
    }
}
