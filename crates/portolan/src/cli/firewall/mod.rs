//! `portolan firewall …`.

pub(crate) mod apply;
mod compare;
mod compile;
mod confirm;
mod off;
mod prove;
mod replay;
mod rollback;
mod search;
mod show;
mod simulate;
mod status;
mod tighten;

use anyhow::Result;

use crate::cli::args::firewall::Watch;
use crate::cli::args::{Firewall, Global};
use crate::exit::Exit;

/// Picks the subcommand.
pub(crate) fn run(command: &Firewall, global: &Global) -> Result<Exit> {
    match command {
        Firewall::Show(arguments) => show::run(arguments, global),
        Firewall::Simulate(arguments) => simulate::run(arguments, global),
        Firewall::Search(arguments) => search::run(arguments, global),
        Firewall::Lint(arguments) => compare::lint(arguments, global),
        Firewall::Diff(arguments) => compare::diff(arguments, global),
        Firewall::Parity(arguments) => compare::parity(arguments, global),
        Firewall::Compile => compile::run(global),
        Firewall::Replay(arguments) => replay::run(arguments, global),
        Firewall::Tighten(arguments) => tighten::run(arguments, global),
        Firewall::Apply(arguments) => apply::run(arguments, global),
        Firewall::Confirm(arguments) => confirm::run(arguments, global),
        Firewall::Rollback => rollback::run(global),
        Firewall::Status => status::run(global),
        Firewall::Off(arguments) => off::run(arguments, global),
        Firewall::Prove(arguments) => prove::run(arguments, global),
    }
}

/// The process that brings back what was before: it ends when its trial does.
pub(crate) fn watch(arguments: &Watch) -> Result<Exit> {
    let Watch { state, token, ready, root } = arguments;
    portolan_host::firewall::watch(state, token, ready, root.as_deref())?;
    Ok(Exit::Yes)
}
