//! Whole-process comparisons with the peers portolan replaces: `make bench`.
//!
//! `compare PROGRAM` measures and prints the ratios; it ends with 1 where a bound is missed.
//! `load PROCESSES LISTENERS` makes a machine full of listeners and keeps it until standard input
//! ends, for measuring by hand: it prints the name of the network namespace. Both need root.

mod compare;
mod load;

use std::env;
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use load::Load;

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse::<usize>().map_err(io::Error::other);
    match words[..] {
        [load::HOLD, first, count] => load::hold(number(first)?, number(count)?)?,
        ["load", processes, listeners] => keep(number(processes)?, number(listeners)?)?,
        ["compare", portolan] if !compare::run(portolan)? => return Ok(ExitCode::FAILURE),
        ["compare", _] => (),
        _ => return Err(io::Error::other("usage: compare PROGRAM | load PROCESSES LISTENERS")),
    }
    Ok(ExitCode::SUCCESS)
}

fn keep(processes: usize, listeners: usize) -> io::Result<()> {
    let load = Load::start(processes, listeners)?;
    writeln!(io::stdout(), "{}", load.namespace())?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
