//! `portolan explain -- COMMAND`.

use anyhow::Result;
use portolan_core::net::{Gap, Observed, Why};
use portolan_host::clock;
use portolan_host::launch::Output;

use crate::cli::args::{Explain, Global};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::ops::explain::Report;
use crate::ops::explain::command::{self, Ran};
use crate::render::screen::Screen;
use crate::{ops, render};

/// Runs the command and tells what it could not bind: 0 nothing of the kind, 1 something, 2 it
/// bound nothing at all.
pub(crate) fn run(arguments: &Explain, global: &Global) -> Result<Exit> {
    // One document is all there may be on standard output.
    let output = if global.json { Output::StandardError } else { Output::Ours };
    let mut early = None;
    let mut stuck = |ran: &Ran| {
        early = Some(tell(ran, arguments, global)?);
        Ok(())
    };
    let ran = command::run(&arguments.command, output, &mut stuck)?;
    match early {
        Some(exit) => Ok(exit),
        None => tell(&ran, arguments, global),
    }
}

fn tell(ran: &Ran, arguments: &Explain, global: &Global) -> Result<Exit> {
    let mut gaps = gaps(ran);
    let is_whole = gaps.is_empty();
    let refused = ran.refused.iter().find_map(|refused| refused.report.as_ref());
    let report = match refused {
        Some(Ok(Observed { value, gaps: of_report })) => {
            gaps.extend(of_report.iter().cloned());
            Some(value)
        }
        Some(Err(error)) => return Err(Fault::new(format!("explain: {error:#}"), "")),
        None => None,
    };
    if report.is_none() && ran.bound.is_empty() {
        return nothing(ran, &gaps, global);
    }
    let registry = ops::registry::load().into_value(&mut gaps);
    let context = render::who::Context {
        registry: &registry,
        command_lines: arguments.cmdline.into(),
        now: clock::now(),
    };
    let mut screen = Screen::open(global);
    if global.json {
        let granted = Report::granted(&ran.bound);
        let report = report.unwrap_or(&granted);
        render::explain::command_json(&mut screen, ran, report, &context, &gaps)?;
    } else {
        render::explain::command_text(&mut screen, ran, report, &context)?;
        gaps.retain(Gap::is_incomplete); // as for a port that is asked for
        render::gap::print(&gaps, global.color);
    }
    Ok(match (report, is_whole) {
        (Some(_), _) => Exit::No,
        (None, true) => Exit::Yes,
        (None, false) => Exit::Partial,
    })
}

/// It bound nothing and was refused nothing.
fn nothing(ran: &Ran, gaps: &[Gap], global: &Global) -> Result<Exit> {
    render::gap::print(gaps, global.color);
    match ran.code {
        // Said where it happened: it was not found, or cannot be run.
        Some(125..=127) => Ok(Exit::Failed),
        code => Err(Fault::new(
            format!("the command bound no port and ended with {}", code.unwrap_or_default()),
            "a server behind a daemon (docker, systemd) binds elsewhere: ask for its port",
        )),
    }
}

fn gaps(ran: &Ran) -> Vec<Gap> {
    let gap = |(pid, error): &(u32, std::io::Error)| {
        Gap::new(
            format!("what process {pid} binds: {error}"),
            Why::NotPermitted,
            "a program of another user, or one nobody may look into (kernel.yama.ptrace_scope)",
        )
    };
    ran.unseen.iter().map(gap).collect()
}
