//! `portolan reach [PORT] [--from SOURCE] [--live]`.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;
use portolan_core::firewall::Ruleset;
use portolan_core::net::{Endpoint, Port, TransportSet, Why};
use portolan_core::reach::{Answer, Rules};
use portolan_core::registry::Registry;
use portolan_core::registry::port_set::{self, PortSelection};

use crate::cli::args::{Global, Reach};
use crate::cli::confirm::confirm;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::ops::firewall::source;
use crate::ops::reach::{Report, Request, Row, live};
use crate::render::screen::Screen;
use crate::{ops, render};

/// Tells who reaches it: 0 somebody (or who was named), 1 nobody, or only around the input rules, 3 not
/// everything could be seen.
pub(crate) fn run(arguments: &Reach, global: &Global) -> Result<Exit> {
    let registry = ops::registry::load().value;
    let is_port = |word: &str| !word.contains('.');
    let (sources, [port]) = arguments.sources.before([&arguments.port], is_port);
    let ports = port.as_ref().map(|word| ports(word, &registry)).transpose()?;
    let saved = match sources.rules.is_empty() {
        true => None,
        false => Some(source::load(&sources)?),
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
        for gap in report.gaps.iter().filter(|gap| gap.why == Why::NotLooked) {
            let told = format!("not looked at: {}; {}", gap.what, gap.hint);
            render::gap::hint(told.trim_end_matches("; "), global.color);
        }
    }
    Ok(end(&report))
}

/// Follows a real packet: 0 it got through and its answer out, 1 not.
fn follow(arguments: &Reach, global: &Global, report: &Report) -> Result<Exit> {
    let [from] = &arguments.from[..] else {
        return Err(Fault::new("--live follows packets of one sender", HINT));
    };
    let from = match from.as_str() {
        "loopback" | "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        word => word.split('%').next().unwrap_or(word).parse().map_err(|_| {
            Fault::new(format!("--live follows packets of one address, not of `{word}`"), HINT)
        })?,
    };
    let link = arguments.from[0].split_once('%').map(|(_, link)| link);
    let row = followed(report)?;
    let (port, transport) = (row.reach.port, row.reach.transport);
    let plan = live::plan(
        (from, link),
        port,
        transport,
        behind(row),
        &row.likely(),
        &report.world,
        arguments.wait,
    )?;
    if !arguments.dry_run {
        live::precheck()?;
    }
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
        true => render::reach::live_json(&mut screen, report, row, &seen)?,
        false => render::reach::live_text(&mut screen, row, &seen)?,
    }
    Ok(if seen.is_reached() { Exit::Yes } else { Exit::No })
}

/// The one port that is followed: the one that was named, not those whose traffic ends up there.
fn followed(report: &Report) -> Result<&Row> {
    let named = report.rows.iter().filter(|row| row.leads_to.is_none());
    let candidates: Vec<&Row> = match named.clone().count() {
        0 => report.rows.iter().collect(),
        _ => named.collect(),
    };
    if let [row] = &candidates[..] {
        return Ok(row);
    }
    let told = |row: &&Row| format!("{}/{}", row.reach.port, row.reach.transport);
    let all: Vec<String> = candidates.iter().take(SHOWN).map(told).collect();
    let hint = format!("name one: {}", all.join(", "));
    Err(Fault::new("--live follows packets to one port", hint))
}

/// Where packets to a port are sent on to.
fn behind(row: &Row) -> Vec<Endpoint> {
    let mut all: Vec<Endpoint> =
        row.reach.groups().filter_map(|group| Some(group.translated.as_ref()?.to)).collect();
    all.sort();
    all.dedup();
    all
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
    if report.table.is_none() && report.rows.is_empty() {
        return Exit::Partial;
    }
    match (report.is_asked, report.answer()) {
        (true, Answer::Yes) => Exit::Yes,
        (true, Answer::Depends | Answer::Unknown) => Exit::Partial,
        (_, _) if report.is_partial() => Exit::Partial,
        (true, Answer::No) => Exit::No,
        (false, _) => Exit::Yes,
    }
}

/// More ports are not listed in a hint.
const SHOWN: usize = 5;
const HINT: &str = "portolan reach 443 --live --from 192.0.2.7";
