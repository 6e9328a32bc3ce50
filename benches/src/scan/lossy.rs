//! A thousand ports behind a router, a fifth of all packets lost at random in each direction.

use std::io;
use std::time::Duration;

use super::scanner::{ENGINES, Scanner, Truth, is_full, is_installed, peer};
use crate::measure::{Report, median};
use crate::network::Lab;

pub(super) fn run(scanner: Scanner<'_>, report: &mut Report) -> io::Result<()> {
    let lab = Lab::new();
    let open: Vec<u16> = (20_000..21_000).step_by(10).collect();
    let _open = lab.dst.listen_on(open.clone());
    lab.dst.lose(20, "20000-20999");
    let truth = Truth { ports: 1000, open, closed: Vec::new(), rest: "closed" };
    report.heading("1,000 ports at 20 % random loss each way, 10 runs")?;
    for engine in ENGINES {
        let mut times = Vec::new();
        let (mut exact, mut wrong) = (0, None);
        for _ in 0..RUNS {
            let words = "10.78.0.2 -p 20000-20999 --jsonl";
            let scanned = scanner.scan(&lab.src, engine, words)?;
            times.push(scanned.taken);
            match truth.wrong(&scanned.said) {
                None => exact += 1,
                problem => wrong = problem,
            }
        }
        let what = format!("portolan scan, {}", engine.as_str());
        report.time(&format!("{what}, median"), median(times.clone()))?;
        if let Some(wrong) = wrong {
            report.note(&format!("wrong: {wrong}"))?;
        }
        report.floor(&format!("{what}, exact runs"), f64::from(exact), f64::from(RUNS))?;
        let slowest = times.into_iter().max().unwrap_or_default();
        report.bound(&format!("{what}, slowest, s"), slowest.as_secs_f64(), 5.0)?;
    }
    if !is_full() {
        return report
            .note("left out: nmap -sS took 1,211 s of this; PORTOLAN_BENCH_FULL=1 shows it");
    }
    if !is_installed("nmap", report)? {
        return Ok(());
    }
    let nmap = peer(&lab.src, LIMIT, "nmap -n -Pn -sS -p 20000-20999 10.78.0.2");
    match super::scanner::run(nmap) {
        Ok(scanned) => report.time("nmap -sS", scanned.taken),
        Err(_) => report.note(&format!("nmap -sS was not done after {} s", LIMIT.as_secs())),
    }
}

const RUNS: u8 = 10;
const LIMIT: Duration = Duration::from_secs(1800);
