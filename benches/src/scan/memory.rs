//! Peak memory of a large network behind a router beside that of a small one.

use std::io;
use std::net::IpAddr;

use serde_json::Value;

use super::scanner::{ENGINES, Engine, Scanner};
use crate::measure::{MEASURED, Report, peak_memory};
use crate::network::{Lab, responder};

pub(super) fn run(scanner: Scanner<'_>, report: &mut Report) -> io::Result<()> {
    let lab = Lab::new();
    lab.rtr.ip("route add 10.79.0.0/16 via 10.78.0.2");
    let there: Vec<IpAddr> = THERE.iter().map(|host| IpAddr::from(*host)).collect();
    let answers = "for reply in host_like(p, [80]): yield (.002, reply)";
    let _hosts = responder(&lab.dst, &there, answers);
    report.heading("one port of 65,536 addresses behind a router, five of them there")?;
    for engine in ENGINES {
        let peak = |network: &str| {
            let words = format!("{network} -p 80 {WIDE} --jsonl");
            let command = scanner.command(&lab.src, engine, &MEASURED, &words)?;
            peak_memory(command, std::fs::File::open(scanner.portolan)?.into())
        };
        let (small, large) = (peak("10.79.0.0/24")?, peak("10.79.0.0/16")?);
        let what = engine.as_str();
        report.note(&format!("{what}: {small:.1} MB for a /24, {large:.1} MB for the /16"))?;
        report.bound(&format!("more for the /16, MB, {what}"), large - small, 10.0)?;
        complete(scanner, &lab, engine, report)?;
    }
    Ok(())
}

/// Every address has a state, and the five are found.
fn complete(
    scanner: Scanner<'_>,
    lab: &Lab,
    engine: Engine,
    report: &mut Report,
) -> io::Result<()> {
    let words = format!("10.79.0.0/16 -p 80 {WIDE} --jsonl");
    let scanned = scanner.scan(&lab.src, engine, &words)?;
    report.time(&format!("portolan scan 10.79.0.0/16, {}", engine.as_str()), scanned.taken)?;
    let records: Vec<Value> =
        scanned.said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of_state = |state: &str| records.iter().filter(|r| r["state"] == state).count();
    let (open, filtered) = (of_state("open"), of_state("filtered"));
    let problem = format!("{open} open and {filtered} filtered");
    let is_right = (open, filtered) == (THERE.len(), (1 << 16) - THERE.len());
    report.right("  every state", (!is_right).then_some(&problem))
}

const THERE: [[u8; 4]; 5] =
    [[10, 79, 0, 1], [10, 79, 0, 200], [10, 79, 3, 4], [10, 79, 128, 0], [10, 79, 255, 255]];

/// The router of a bench has nobody else to serve.
const WIDE: &str = "--outstanding 1000000";
