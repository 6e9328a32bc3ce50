//! Packets a second into a peer that answers ARP for a whole network and drops the rest.
//!
//! Counted by the sender's own interface over five seconds, in turn with masscan.

use std::fs;
use std::io;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::scanner::{Engine, Scanner, is_installed, peer};
use crate::measure::Report;
use crate::network::{Netns, Pair};

pub(super) fn run(scanner: Scanner<'_>, report: &mut Report) -> io::Result<()> {
    let pair = Pair::new();
    pair.src.ip("address add 10.99.0.1/24 dev eth0");
    pair.dst.ip("address add 10.99.0.2/24 dev eth0");
    pair.dst.ip("route add local 10.99.0.128/25 dev lo");
    pair.dst.filter_input("ip daddr 10.99.0.128/25 drop");
    report
        .heading("SYNs a second into a network on the link that drops them, 5 s each, 3 pairs")?;
    let with_peer = is_installed("masscan", report)?;
    let masscan = masscan(&pair);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let words = format!("{TARGETS} -p- --jsonl -o /dev/null");
        ours.push(rate(&pair.src, scanner.command(&pair.src, Engine::Raw, &[], &words)?)?);
        if with_peer {
            theirs.push(rate(&pair.src, peer(&pair.src, LIMIT, &masscan))?);
        }
    }
    let ours = middle(ours);
    report.note(&format!("portolan scan, raw    {ours:>12.0} packets a second"))?;
    if !with_peer {
        return Ok(());
    }
    let theirs = middle(theirs);
    report.note(&format!("masscan               {theirs:>12.0} packets a second"))?;
    report.floor("times the packets of masscan", ours / theirs, 2.0)
}

/// Masscan asks no routing table: it is told the neighbour and its own address.
fn masscan(pair: &Pair) -> String {
    let shown = pair.dst.output("ip -br link show eth0");
    let mac = shown.split_whitespace().nth(2).unwrap_or_default();
    format!(
        "masscan {TARGETS} -p1-65535 --rate 10000000 --adapter eth0 --adapter-ip 10.99.0.1 \
         --adapter-port 40000 --router-mac {mac} --wait 0"
    )
}

/// Packets a second that leave the namespace over five seconds of a running command, which is ended
/// then.
fn rate(netns: &Netns, mut command: Command) -> io::Result<f64> {
    let mut child = command.spawn()?;
    thread::sleep(WARM_UP);
    let before = sent(netns)?;
    thread::sleep(COUNTED);
    let after = sent(netns)?;
    let still_runs = child.try_wait()?.is_none();
    // Both run under timeout(1), which passes this one on.
    let ended = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    child.wait()?;
    ended?;
    if !still_runs {
        return Err(io::Error::other("it ended before it was counted"));
    }
    Ok((after - before) / COUNTED.as_secs_f64())
}

/// What the interface has sent; /proc/net is of the thread that reads it.
fn sent(netns: &Netns) -> io::Result<f64> {
    let table = netns.enter(|| fs::read_to_string("/proc/thread-self/net/dev"))?;
    let line = table.lines().find_map(|line| line.trim().strip_prefix("eth0:"));
    let packets = line.and_then(|numbers| numbers.split_whitespace().nth(9)?.parse().ok());
    packets.ok_or_else(|| io::Error::other("no eth0"))
}

fn middle(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Half of the network, without its broadcast address: nothing is sent there.
const TARGETS: &str = "10.99.0.128-10.99.0.254";
const WARM_UP: Duration = Duration::from_millis(1500);
const COUNTED: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(20);
