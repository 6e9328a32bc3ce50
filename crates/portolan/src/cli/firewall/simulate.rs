//! `portolan firewall simulate`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::Path;

use anyhow::Result;
use portolan_core::firewall::simulate::Outcome;
use portolan_core::net::Gap;

use crate::cli::args::Global;
use crate::cli::args::firewall::Simulate;
use crate::exit::Exit;
use crate::fault::{Fault, Hinted as _};
use crate::ops::firewall::packet::Written;
use crate::ops::firewall::simulate::{self, Report, Simulator};
use crate::ops::firewall::source;
use crate::render;
use crate::render::screen::Screen;

/// Sends one packet, or a batch, through the rules; 0 accepted, 1 not, 3 that depends.
pub(crate) fn run(arguments: &Simulate, global: &Global) -> Result<Exit> {
    if arguments.batch.is_some() && global.json {
        let hint = "--jsonl: a result a line";
        return Err(Fault::new("--batch gives no single document", hint));
    }
    let (sources, packet) = packet(arguments)?;
    let rules = source::load(&sources)?.just_now();
    let simulator = Simulator::new(&rules);
    let mut screen = Screen::open(global);
    if let Some(file) = &arguments.batch {
        return batch(&simulator, file, &rules.gaps, &mut screen, global);
    }
    let report = simulator.run(&written(arguments, packet))?;
    if global.json || arguments.jsonl {
        render::firewall::simulate_json::print(&mut screen, &report, None, &rules.gaps)?;
    } else {
        render::firewall::simulate::text(&mut screen, &report)?;
        screen.flush()?;
        render::gap::print(&rules.gaps, global.color);
    }
    screen.flush()?;
    Ok(exit(&report, &rules.gaps))
}

fn exit(report: &Report<'_>, gaps: &[Gap]) -> Exit {
    match report.walk.outcome {
        _ if !report.walk.is_certain() => Exit::Partial,
        Outcome::Accept if gaps.iter().any(Gap::is_incomplete) => Exit::Partial,
        Outcome::Accept => Exit::Yes,
        Outcome::Drop | Outcome::Reject(_) => Exit::No,
    }
}

/// The rules, and the transport, source and destination; empty with --batch.
fn packet(arguments: &Simulate) -> Result<(source::Sources, [String; 3])> {
    if arguments.batch.is_some() {
        return Ok((arguments.sources.asked(), Default::default()));
    }
    let words = [&arguments.transport, &arguments.source, &arguments.destination];
    let (sources, words) = arguments.sources.before(words, |_| true);
    let [Some(transport), Some(source), Some(destination)] = words else {
        let hint = "portolan firewall simulate tcp 10.0.0.1 10.0.0.2:22 --rules FILE";
        return Err(Fault::new("no packet: TRANSPORT SRC[:PORT] DST[:PORT] are missing", hint));
    };
    Ok((sources, [transport, source, destination]))
}

fn written(arguments: &Simulate, [transport, source, destination]: [String; 3]) -> Written {
    Written {
        transport,
        source,
        source_port: None,
        destination,
        destination_port: None,
        interface_in: arguments.interface_in.clone(),
        interface_out: arguments.interface_out.clone(),
        state: arguments.state.clone(),
        flags: arguments.flags.clone(),
        hook: arguments.hook.clone(),
        icmp_type: arguments.icmp_type.clone(),
        code: arguments.code,
        mark: arguments.mark.clone(),
        length: arguments.length,
        ttl: arguments.ttl,
        dscp: arguments.dscp,
    }
}

/// A result a line; bad lines are named on standard error, and the others are answered all the same.
fn batch(
    simulator: &Simulator<'_>,
    file: &Path,
    gaps: &[Gap],
    screen: &mut Screen,
    global: &Global,
) -> Result<Exit> {
    let (name, input) = open(file)?;
    let mut exit = Exit::Yes;
    for (at, line) in input.lines().enumerate() {
        let line = line.hinted(format!("{name}:{}", at + 1), "lines are UTF-8")?;
        if line.trim().is_empty() {
            continue;
        }
        let answered = simulate::line(&line)
            .and_then(|(id, written)| simulator.run(&written).map(|report| (id, report)));
        match answered {
            Ok((id, report)) => {
                render::firewall::simulate_json::print(screen, &report, Some(&id), gaps)?;
            }
            Err(error) => {
                let error = error.context(format!("{name}:{}", at + 1));
                render::error::print(&error, global.color);
                exit = Exit::Failed;
            }
        }
    }
    screen.flush()?;
    Ok(exit)
}

fn open(file: &Path) -> Result<(String, Box<dyn BufRead>)> {
    if file == Path::new("-") {
        return Ok(("standard input".into(), Box::new(BufReader::new(io::stdin()))));
    }
    let name = file.display().to_string();
    let opened = File::open(file).hinted(format!("read {name}"), "")?;
    Ok((name, Box::new(BufReader::new(opened))))
}
