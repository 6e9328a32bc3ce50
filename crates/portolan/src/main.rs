//! portolan: the chart of a machine's ports.
//!
//! `main` parses, runs, prints what went wrong, and ends with the exit code. Everything else is in
//! `cli` (words to operations), `ops` (operations to reports) and `render` (reports to text).
#![forbid(unsafe_code)]

mod cli;
mod exit;
mod fault;
mod ops;
mod render;
mod store;

use std::process::ExitCode;

use clap::Parser as _;

/// signal(7); the standard library ignores it.
const SIGPIPE: u8 = 13;

fn main() -> ExitCode {
    let arguments = match cli::args::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return cli::run::after_bad_usage(render::usage::print(&error)).into(),
    };
    match cli::run(&arguments) {
        Ok(exit) => exit.into(),
        // As if the signal had ended it: what it was asked is not answered.
        Err(error) if fault::is_unread(&error) => exit::Exit::Interrupted(SIGPIPE).into(),
        Err(error) => {
            render::error::print(&error, arguments.global.color);
            let is_internal = fault::is_internal(&error);
            if is_internal { exit::Exit::Internal } else { exit::Exit::Failed }.into()
        }
    }
}
