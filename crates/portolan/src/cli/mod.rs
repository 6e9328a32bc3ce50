//! Words to operations: picks the operation, hands its report to `render`, gives the exit code.
//!
//! One file a command. A file here holds no decision about ports; that is `ops` and core.

mod allow;
pub(crate) mod args;
mod audit;
mod check;
mod completions;
mod confirm;
mod diff;
mod ephemeral;
mod explain;
mod explain_command;
mod firewall;
mod inventory;
mod kill;
mod listen;
mod lookup;
mod man;
mod pick;
mod reach;
mod registry;
mod reservations;
mod reserve;
pub(crate) mod run;
mod scan;
mod sockets;
mod status;
mod who;

use anyhow::Result;

use crate::cli::args::{Arguments, Command};
use crate::exit::Exit;

/// Runs what was typed.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit> {
    let global = &arguments.global;
    match &arguments.command {
        None => status::run(&arguments.status, global),
        Some(Command::Status(arguments)) => status::run(arguments, global),
        Some(Command::Inventory(command)) => inventory::run(command, global),
        Some(Command::Firewall(command)) => firewall::run(command, global),
        Some(Command::Diff(arguments)) => diff::run(arguments, global),
        Some(Command::Lookup(arguments)) => lookup::run(arguments, global),
        Some(Command::Registry(arguments)) => registry::run(arguments, global),
        Some(Command::Sockets(arguments)) => sockets::run(arguments, global),
        Some(Command::Audit(arguments)) => audit::run(arguments, global),
        Some(Command::Completions { shell }) => completions::run(*shell, global),
        Some(Command::Man { out }) => man::run(out.as_deref(), global),
        Some(Command::Kill(arguments)) => kill::run(arguments, global),
        Some(Command::Explain(arguments)) => explain::run(arguments, global),
        Some(Command::Scan(arguments)) => scan::run(arguments, global),
        Some(Command::Run(arguments)) => Ok(run::run(arguments, global)),
        Some(Command::StartCommand(arguments)) => Ok(run::start_command(arguments, global)),
        Some(Command::Pick(arguments)) => pick::run(arguments, global),
        Some(Command::Reserve(arguments)) => reserve::run(arguments, global),
        Some(Command::Reservations) => reservations::run(global),
        Some(Command::HoldPort(arguments)) => reserve::hold_port(arguments),
        Some(Command::Check(arguments)) => check::run(arguments, global),
        Some(Command::Listen(arguments)) => listen::run(arguments, global),
        Some(Command::Reach(arguments)) => reach::run(arguments, global),
        Some(Command::Allow(arguments)) => allow::allow(arguments, global),
        Some(Command::Deny(arguments)) => allow::deny(arguments, global),
        Some(Command::FirewallWatch(arguments)) => firewall::watch(arguments),
        Some(Command::Who(arguments)) => who::run(arguments, global),
    }
}
