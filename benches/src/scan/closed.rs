//! All ports of an on-link host where nothing listens: as fast as its kernel can refuse.

use std::io;

use super::scanner::{ENGINES, Engine, Scanner, Truth, fastest_peer, is_installed};
use crate::measure::{MEASURED, Report, peak_memory};
use crate::network::Pair;

pub(super) fn run(scanner: Scanner<'_>, report: &mut Report) -> io::Result<()> {
    let pair = Pair::new();
    let truth = Truth { ports: 65_535, open: Vec::new(), closed: Vec::new(), rest: "closed" };
    report.heading("65,535 closed ports on the link, fastest of 5")?;
    let mut ours = Vec::new();
    for engine in ENGINES {
        let checked = scanner.fastest(5, (&pair.src, engine), "10.76.0.2 -p-", &truth)?;
        checked.print(&format!("portolan scan -p-, {}", engine.as_str()), report)?;
        let command = scanner.command(&pair.src, engine, &MEASURED, "10.76.0.2 -p-")?;
        let stdin = std::fs::File::open(scanner.portolan)?;
        report.bound("  peak memory, MB", peak_memory(command, stdin.into())?, 50.0)?;
        ours.push((engine, checked.taken.as_secs_f64()));
    }
    if !is_installed("nmap", report)? {
        return Ok(());
    }
    let peer = fastest_peer(5, &pair.src, "nmap -n -Pn -sS -p- 10.76.0.2")?;
    report.time("nmap -sS -p-", peer)?;
    for (engine, taken) in ours {
        let most = if engine == Engine::Raw { 1.0 } else { 2.0 };
        let what = format!("of the time of nmap -sS, {}", engine.as_str());
        report.bound(&what, taken / peer.as_secs_f64(), most)?;
    }
    Ok(())
}
