//! `portolan run`, and the hidden subcommand by which it starts. Here alone an exit code below 125
//! is the command's own, so failures of ours are told apart.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};

use anyhow::Error;
use clap::CommandFactory as _;
use portolan_host::launch::{self, Handed, Unstarted};

use crate::cli::args::{Arguments, Color, Global, Run, StartCommand};
use crate::exit::Exit;
use crate::fault::Hinted as _;
use crate::ops::run::{Ending, Request, Told};
use crate::{ops, render};

/// Runs the command; its own status, or 125.
pub(crate) fn run(arguments: &Run, global: &Global) -> Exit {
    let request = Request {
        listen: arguments.listen.clone(),
        remap: arguments.remap.clone(),
        ending: if arguments.restart { Ending::Restart } else { Ending::End },
        command: arguments.command.clone(),
        asked: global.asked(),
    };
    let is_watched = io::stderr().is_terminal();
    let mut tell = |told: Told| {
        // Standard error belongs to the command; only what went wrong is put between.
        if is_watched || told.is_warning() {
            render::run::told(&told, global.color);
        }
    };
    match ops::run::run(&request, &mut tell) {
        Ok(code) => Exit::Command(code),
        Err(error) => failed(&error, global.color),
    }
}

fn failed(error: &Error, color: Color) -> Exit {
    render::error::print(error, color);
    FAILED
}

/// Becomes the command; an exit code only where that is not possible.
pub(crate) fn start_command(arguments: &StartCommand, global: &Global) -> Exit {
    let handed = Handed {
        parent: arguments.parent,
        sockets: arguments.sockets.clone(),
        watch: arguments.watch.zip(arguments.tell),
    };
    let unstarted = launch::become_it(&handed, &arguments.command);
    let exit = match unstarted {
        Unstarted::Sockets(_) | Unstarted::Watch(_) | Unstarted::Orphaned => FAILED,
        Unstarted::Refused(_) => Exit::Command(126),
        Unstarted::Missing | Unstarted::Uninterpreted => Exit::Command(127),
    };
    let hint = match &unstarted {
        Unstarted::Watch(error) if error.kind() == io::ErrorKind::ResourceBusy => WATCHED_ALREADY,
        _ => "",
    };
    let name = arguments.command.first().map(|c| c.to_string_lossy().into_owned());
    let error = Err::<(), _>(unstarted).hinted(name.unwrap_or_default(), hint);
    error.inspect_err(|error| render::error::print(error, global.color)).ok();
    exit
}

/// The kernel lets one supervisor answer a call.
const WATCHED_ALREADY: &str = "this runs inside another `portolan run --remap` or `portolan explain --`, \
                               and calls can be watched only once";

/// How bad usage ends: 125 where it was `run` that was badly used.
pub(crate) fn after_bad_usage(exit: Exit) -> Exit {
    let arguments: Vec<OsString> = env::args_os().collect();
    let lenient = Arguments::command().ignore_errors(true).try_get_matches_from(arguments);
    let is_run = lenient.is_ok_and(|m| m.subcommand_name() == Some("run"));
    if exit == Exit::Failed && is_run { FAILED } else { exit }
}

/// As with `env` and `timeout`: it was not the command.
const FAILED: Exit = Exit::Command(125);
