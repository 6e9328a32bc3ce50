//! `portolan completions`: the completion script of a shell, made from the command line's own
//! definition.

use std::io::Write as _;

use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::args::{Arguments, Global};
use crate::exit::Exit;
use crate::render::screen::Screen;

/// Prints the script for `shell`.
pub(crate) fn run(shell: Shell, global: &Global) -> Result<Exit> {
    // Into memory first: the generator panics when the reader of our output has gone.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "portolan", &mut script);
    let mut screen = Screen::open(global);
    screen.write_all(&script)?;
    screen.flush()?;
    Ok(Exit::Yes)
}
