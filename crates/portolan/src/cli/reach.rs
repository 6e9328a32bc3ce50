//! `portolan reach [PORT] [--from SOURCE] [--live]`.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;
use portolan_core::firewall::Ruleset;
use portolan_core::net::{Port, TransportSet};
use portolan_core::reach::{Answer, End, Rules};
use portolan_core::registry::Registry;
use portolan_core::registry::port_set::{self, PortSelection};

use crate::cli::args::{Global, Reach};
use crate::cli::confirm::confirm;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::ops::firewall::source;
use crate::ops::reach::{Report, Request, live};
use crate::render::screen::Screen;
use crate::{ops, render};

/// Tells who reaches it: 0 somebody (or who was named), 1 nobody, or only around the input rules, 3 not
/// everything could be seen.
pub(crate) fn run(arguments: &Reach, global: &Global) -> Result<Exit> {
    let registry = ops::registry::load().value;
    let ports = arguments.port.as_ref().map(|word| ports(word, &registry)).transpose()?;
    let saved = match arguments.sources.rules.is_empty() {
        true => None,
        false => Some(source::load(&arguments.sources.asked())?),
    };
    let from = arguments.from.clone();
    let request = Request { ports, from, saved, asked: global.asked() };
    let report = ops::reach::ask(request, &registry)?;
    if arguments.live {
        return follow(arguments, global, &report);
    }
    let mut screen = Screen::open(global);
    if global.json {
        render::reach::json(&mut screen, &report)?;
    } else {
        render::reach::text(&mut screen, &report)?;
        render::gap::print(&report.gaps, global.color);
    }
    Ok(end(&report))
}

/// Follows a real packet: 0 it got through, 1 it did not.
fn follow(arguments: &Reach, global: &Global, report: &Report) -> Result<Exit> {
    let [from] = &arguments.from[..] else {
        return Err(Fault::new("--live follows packets of one sender", HINT));
    };
    let from = match from.as_str() {
        "loopback" | "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        word => word.parse().map_err(|_| {
            Fault::new(format!("--live follows packets of one address, not of `{word}`"), HINT)
        })?,
    };
    let [row] = &report.rows[..] else {
        return Err(Fault::new("--live follows packets to one port", "name one: 443, 53/udp"));
    };
    let (port, transport) = (row.reach.port, row.reach.transport);
    let plan = live::plan(from, port, transport, &report.world, arguments.wait)?;
    render::reach::plan(&plan);
    if arguments.dry_run {
        return Ok(Exit::Yes);
    }
    confirm("Trace it?", arguments.yes, global.color)?;
    if !plan.is_own {
        render::gap::hint(&render::reach::invitation(&plan), global.color);
    }
    let nothing = Ruleset::default();
    let ruleset = report.rules.as_ref().map_or(&nothing, Rules::ruleset);
    let seen = live::follow(plan, ruleset)?;
    let mut screen = Screen::open(global);
    match global.json {
        true => render::reach::live_json(&mut screen, report, &seen)?,
        false => render::reach::live_text(&mut screen, report, &seen)?,
    }
    let has_come = seen.way.is_some_and(|way| matches!(way.end, End::Delivered | End::Forwarded));
    Ok(if has_come { Exit::Yes } else { Exit::No })
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
    if report.is_around() || report.is_straight() {
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

const HINT: &str = "portolan reach 443 --live --from 192.0.2.7";
