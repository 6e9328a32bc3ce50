//! `portolan check`.

use std::time::Duration;

use anyhow::Result;
use portolan_core::net::Gap;
use portolan_core::wire::dns::RecordKind;

use crate::cli::args::{Check, Global};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::ops::check::place::Standpoint;
use crate::ops::check::watch::{Rhythm, watch};
use crate::ops::check::{Answer, Request, check, target};
use crate::render::check::{Lines, Summary};
use crate::render::screen::Screen;
use crate::{ops, render};

/// Tests: 0 all open, 1 not, 2 a name has no address, 3 it could not be asked.
pub(crate) fn run(arguments: &Check, global: &Global) -> Result<Exit> {
    let mut gaps = Vec::new();
    let registry = ops::registry::load().into_value(&mut gaps);
    let asks_inventory = |word: &String| word.contains('@') && !word.contains("://");
    let inventory = match arguments.targets.iter().any(asks_inventory) {
        true => ops::inventory::load(&global.asked())?.into_value(&mut gaps),
        false => None,
    };
    let inventory = inventory.as_ref().map(|loaded| &loaded.inventory);
    if arguments.timeout < LEAST_PATIENCE {
        return Err(Fault::new("no answer comes in no time", "--timeout 1ms and up, usually 3s"));
    }
    let request = Request {
        targets: target::parse(&arguments.targets, &registry, inventory)?,
        kinds: kinds(arguments)?,
        source: arguments.source,
        interface: arguments.interface.clone(),
        timeout: arguments.timeout,
        pair: arguments.pair,
    };
    let standpoint = standpoint(arguments)?;
    if arguments.watch {
        return keep_watching(arguments, global, &request, &standpoint, &gaps);
    }
    let report = check(&request, &standpoint)?.into_value(&mut gaps);
    let mut screen = Screen::open(global);
    if global.json {
        render::check::json(&mut screen, &report, &gaps)?;
    } else {
        render::check::text(&mut screen, &report, &registry)?;
    }
    Ok(exit(report.answer()))
}

/// Until the count is reached or ^C: that is how a watch ends, and no failure.
fn keep_watching(
    arguments: &Check,
    global: &Global,
    request: &Request,
    standpoint: &Standpoint,
    gaps: &[Gap],
) -> Result<Exit> {
    let lines = match () {
        () if global.json => Lines::None,
        () if arguments.jsonl => Lines::Json,
        () => Lines::Text,
    };
    let interval = arguments.interval.max(SHORTEST);
    let rhythm = Rhythm { interval, count: arguments.count };
    let watched = watch(request, standpoint, rhythm, &mut |probed| {
        lines.tell(&mut Screen::open(global), probed)
    })?;
    let mut screen = Screen::open(global);
    let summary = Summary(&watched);
    match lines {
        Lines::None => summary.json(&mut screen, gaps)?,
        Lines::Json => summary.line(&mut screen)?,
        Lines::Text => summary.text(&mut screen)?,
    }
    Ok(exit(watched.answer()))
}

const fn exit(answer: Answer) -> Exit {
    match answer {
        Answer::Open => Exit::Yes,
        Answer::NotOpen => Exit::No,
        Answer::NoName => Exit::Failed,
        Answer::Unknown => Exit::Partial,
    }
}

/// The addresses of a name that are asked: of the family named, and of that of the source.
fn kinds(arguments: &Check) -> Result<Vec<RecordKind>> {
    let mut kinds = match (arguments.ipv4, arguments.ipv6) {
        (true, _) => vec![RecordKind::A],
        (_, true) => vec![RecordKind::Aaaa],
        _ => RecordKind::BOTH.to_vec(),
    };
    if let Some(source) = arguments.source {
        kinds.retain(|kind| kind.is_of(source));
    }
    match kinds.is_empty() {
        true => Err(Fault::new("--source is of the other family", "leave out -4 or -6")),
        false => Ok(kinds),
    }
}

fn standpoint(arguments: &Check) -> Result<Standpoint> {
    match (&arguments.netns, &arguments.container) {
        (Some(netns), _) => Standpoint::netns(netns),
        (_, Some(container)) => Standpoint::container(container),
        _ => Ok(Standpoint::OWN),
    }
}

/// Less is no time for an answer.
const LEAST_PATIENCE: Duration = Duration::from_millis(1);

/// More probes a second are a flood.
const SHORTEST: Duration = Duration::from_millis(10);
