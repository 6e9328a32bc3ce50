//! Scans beside nmap and masscan on the same network in the same run, and each state held against
//! what the network was made to answer.
//!
//! A peer that is not installed is left out with a word. `PORTOLAN_BENCH_FULL=1` runs the slow peers
//! as often as us and where they would take many minutes; without it, nmap's default timing runs
//! once, and its slow loss comparison is left out.

mod closed;
mod dropping;
mod limits;
mod lossy;
mod memory;
mod packets;
mod scanner;

use std::io;

use crate::measure::Report;
use scanner::Scanner;

/// Measures and prints one subject, or all for "".
pub(crate) fn run(portolan: &str, subject: &str, report: &mut Report) -> io::Result<()> {
    type Measure = fn(Scanner<'_>, &mut Report) -> io::Result<()>;
    let subjects: [(&str, Measure); 6] = [
        ("dropping", dropping::run),
        ("lossy", lossy::run),
        ("closed", closed::run),
        ("packets", packets::run),
        ("memory", memory::run),
        ("limits", limits::run),
    ];
    for (_, measure) in subjects.iter().filter(|(name, _)| subject.is_empty() || *name == subject) {
        measure(Scanner { portolan }, report)?;
    }
    Ok(())
}
