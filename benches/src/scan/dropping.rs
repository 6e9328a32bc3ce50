//! All ports of an on-link host that drops what goes to all but five of them.

use std::io;

use super::scanner::{ENGINES, Engine, Scanner, Truth, fastest_peer, is_full, is_installed};
use crate::measure::Report;
use crate::network::Pair;

pub(super) fn run(scanner: Scanner<'_>, report: &mut Report) -> io::Result<()> {
    let pair = Pair::new();
    let _open = pair.dst.listen_on(OPEN);
    pair.dst.filter_input("tcp dport != { 22, 80, 443, 8080, 50000 } drop");
    let truth =
        Truth { ports: 65_535, open: OPEN.to_vec(), closed: vec![8080, 50_000], rest: "filtered" };
    report.heading("65,535 ports of a host on the link that drops all but five, fastest of 3")?;
    let mut ours = Vec::new();
    for engine in ENGINES {
        let place = (&pair.src, engine);
        let checked = scanner.fastest(3, place, "10.76.0.2 -p-", &truth)?;
        checked.print(&format!("portolan scan -p-, {}", engine.as_str()), report)?;
        ours.push((engine, checked.taken.as_secs_f64()));
    }
    if !is_installed("nmap", report)? {
        return Ok(());
    }
    let expert = fastest_peer(3, &pair.src, EXPERT)?;
    report.time("nmap -sS -T5 --min-rate 50000 …", expert)?;
    for (engine, taken) in &ours {
        let most = if *engine == Engine::Raw { 0.9 } else { 1.2 };
        let what = format!("of the expert's time, {}", engine.as_str());
        report.bound(&what, taken / expert.as_secs_f64(), most)?;
    }
    let runs = if is_full() { 3 } else { 1 };
    let default = fastest_peer(runs, &pair.src, "nmap -n -sS -p- 10.76.0.2")?;
    report.time(&format!("nmap -sS -p-, fastest of {runs}"), default)?;
    for (engine, taken) in &ours {
        let what = format!("times as fast as that, {}", engine.as_str());
        report.floor(&what, default.as_secs_f64() / taken, 30.0)?;
    }
    Ok(())
}

const OPEN: [u16; 3] = [22, 80, 443];
const EXPERT: &str = "nmap -n -Pn -sS -T5 --min-rate 50000 --max-retries 1 -p- 10.76.0.2";
