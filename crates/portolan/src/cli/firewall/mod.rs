//! `portolan firewall …`.

mod compile;
mod replay;
mod show;
mod simulate;
mod tighten;

use anyhow::Result;

use crate::cli::args::{Firewall, Global};
use crate::exit::Exit;

/// Picks the subcommand.
pub(crate) fn run(command: &Firewall, global: &Global) -> Result<Exit> {
    match command {
        Firewall::Show(arguments) => show::run(arguments, global),
        Firewall::Simulate(arguments) => simulate::run(arguments, global),
        Firewall::Compile => compile::run(global),
        Firewall::Replay(arguments) => replay::run(arguments, global),
        Firewall::Tighten(arguments) => tighten::run(arguments, global),
    }
}
