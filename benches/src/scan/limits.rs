//! Hosts that limit their answers, and silence: how long certainty takes.

use std::io;
use std::thread;

use super::scanner::{ENGINES, Scanner, Truth};
use crate::measure::Report;
use crate::network::{Lab, Pair};

pub(super) fn run(scanner: Scanner<'_>, report: &mut Report) -> io::Result<()> {
    resets(scanner, report)?;
    silence(scanner, report)?;
    refusals(scanner, report)
}

/// 20 RSTs a second are let out, 200 ports are closed: ten seconds at the very least, but for the burst.
fn resets(scanner: Scanner<'_>, report: &mut Report) -> io::Result<()> {
    let lab = Lab::new();
    lab.dst.filter_output("tcp flags & rst == rst limit rate over 20/second drop");
    let truth = Truth { ports: 200, open: Vec::new(), closed: Vec::new(), rest: "closed" };
    report.heading("200 closed ports, 20 RSTs a second")?;
    for engine in ENGINES {
        let place = (&lab.src, engine);
        let checked = scanner.fastest(1, place, "10.78.0.2 -p 2000-2199", &truth)?;
        let what = format!("portolan scan, {}, s", engine.as_str());
        report.bound(&what, checked.taken.as_secs_f64(), 11.0)?;
        report.right("  every state", checked.wrong.as_deref())?;
    }
    Ok(())
}

fn silence(scanner: Scanner<'_>, report: &mut Report) -> io::Result<()> {
    let pair = Pair::new();
    pair.dst.filter_input("tcp dport != 777 drop");
    let truth = Truth { ports: 1000, open: Vec::new(), closed: vec![777], rest: "filtered" };
    report.heading("999 dropped ports and a closed one on the link")?;
    for engine in ENGINES {
        let place = (&pair.src, engine);
        let checked = scanner.fastest(1, place, "10.76.0.2 -p 1-1000", &truth)?;
        let what = format!("portolan scan, {}, s", engine.as_str());
        report.bound(&what, checked.taken.as_secs_f64(), 3.0)?;
        report.right("  every state", checked.wrong.as_deref())?;
    }
    Ok(())
}

/// The kernel lets six ICMP errors out at once and then one a second.
fn refusals(scanner: Scanner<'_>, report: &mut Report) -> io::Result<()> {
    report.heading("20 closed UDP ports, the kernel's own limit on ICMP, 10 runs at once")?;
    for engine in ENGINES {
        let truth = Truth { ports: 20, open: Vec::new(), closed: Vec::new(), rest: "closed" };
        let one = || {
            let lab = Lab::new();
            scanner.fastest(1, (&lab.src, engine), "10.78.0.2 -p u:7000-7019", &truth)
        };
        let all: Vec<_> = thread::scope(|scope| {
            let runs: Vec<_> = (0..10).map(|_| scope.spawn(one)).collect();
            runs.into_iter()
                .map(|run| run.join().map_err(|_| io::Error::other("it panicked"))?)
                .collect()
        });
        let all: io::Result<Vec<_>> = all.into_iter().collect();
        let all = all?;
        let exact = all.iter().filter(|checked| checked.wrong.is_none()).count();
        let what = format!("portolan scan, {}", engine.as_str());
        report.right(
            &format!("{what}, {exact} of 10 exact"),
            all.iter().find_map(|c| c.wrong.as_deref()),
        )?;
        let slowest = all.iter().map(|checked| checked.taken).max().unwrap_or_default();
        report.bound(&format!("{what}, slowest, s"), slowest.as_secs_f64(), 20.0)?;
    }
    Ok(())
}
