//! `portolan firewall …`.

mod compile;
mod show;

use anyhow::Result;

use crate::cli::args::{Firewall, Global};
use crate::exit::Exit;

/// Picks the subcommand.
pub(crate) fn run(command: &Firewall, global: &Global) -> Result<Exit> {
    match command {
        Firewall::Show(arguments) => show::run(arguments, global),
        Firewall::Compile => compile::run(global),
    }
}
