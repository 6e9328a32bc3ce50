//! Whole-process comparisons with the peers portolan replaces: `make bench`.
//!
//! `compare PROGRAM` measures and prints the ratios; it ends with 1 where a bound is missed.
//! `compare PROGRAM sockets`, `scan` and `firewall` do a part of it each, `compare PROGRAM scan SUBJECT`
//! and `compare PROGRAM firewall SUBJECT` one subject.
//! `load PROCESSES LISTENERS CONNECTIONS PAIRS FILES` makes a machine full of processes that hold so
//! many TCP listeners, connections, pairs of unix sockets and other files each, and keeps it until
//! standard input ends, for measuring by hand: it prints the name of the network namespace. All
//! need root.

mod firewall;
mod load;
mod measure;
mod network;
mod scan;
mod sockets;

use std::env;
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use load::{Each, Load};
use measure::Report;

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [load::HOLD, first, ref each @ ..] => load::hold(number(first)?, read_each(each)?)?,
        ["load", processes, ref each @ ..] => keep(number(processes)?, read_each(each)?)?,
        ["compare", portolan, ref which @ ..] => return compare(portolan, which),
        _ => return Err(io::Error::other(USAGE)),
    }
    Ok(ExitCode::SUCCESS)
}

fn compare(portolan: &str, which: &[&str]) -> io::Result<ExitCode> {
    let mut report = Report::new();
    match *which {
        [] => {
            sockets::run(portolan, &mut report)?;
            scan::run(portolan, "", &mut report)?;
            firewall::run(portolan, "", &mut report)?;
        }
        ["sockets"] => sockets::run(portolan, &mut report)?,
        ["scan"] => scan::run(portolan, "", &mut report)?,
        ["scan", subject] => scan::run(portolan, subject, &mut report)?,
        ["firewall"] => firewall::run(portolan, "", &mut report)?,
        ["firewall", subject] => firewall::run(portolan, subject, &mut report)?,
        _ => return Err(io::Error::other(USAGE)),
    }
    Ok(if report.is_kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Listeners, connections, pairs, files.
fn read_each(words: &[&str]) -> io::Result<Each> {
    let numbers: Vec<usize> = words.iter().map(|word| number(word)).collect::<Result<_, _>>()?;
    let [listeners, connections, pairs, files] = numbers[..] else {
        return Err(io::Error::other(USAGE));
    };
    Ok(Each { listeners, connections, pairs, files })
}

fn number(word: &str) -> io::Result<usize> {
    word.parse().map_err(io::Error::other)
}

fn keep(processes: usize, each: Each) -> io::Result<()> {
    let load = Load::start(processes, each)?;
    writeln!(io::stdout(), "{}", load.namespace())?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

const USAGE: &str = "usage: compare PROGRAM [sockets | scan [SUBJECT] | firewall [SUBJECT]] | load PROCESSES LISTENERS \
                     CONNECTIONS PAIRS FILES";
