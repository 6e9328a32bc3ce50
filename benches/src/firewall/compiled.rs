//! A compiled table beside the same rules one by one, as the kernel meets them, and how long a long block
//! list takes from the inventory to the kernel.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::path;
use crate::measure::{Report, median, time};
use crate::network::Pair;

/// Services and sources of each: ten thousand pairs.
const SERVICES: u32 = 100;
const SOURCES: u32 = 100;
/// Addresses of the block list.
const BLOCKED: u32 = 100_000;

/// Measures both.
pub(super) fn run(portolan: &str, report: &mut Report) -> io::Result<()> {
    beside_linear(portolan, report)?;
    block_list(portolan, report)
}

/// The whole command, from the inventory to rules on trial: read, compiled, loaded aside, read back, proved,
/// kept, watched, loaded. The first time there is no table; then there is one with the same list.
fn block_list(portolan: &str, report: &mut Report) -> io::Result<()> {
    report.heading("firewall apply of a block list of 100,000 networks, 3 times")?;
    let folder = tempfile::tempdir()?;
    // Spread over the whole space by a multiplication, so that few are neighbours; of all sizes, so
    // that the set is one of intervals.
    let network = |n: u32| {
        let length = 22 + n % 11;
        let bits = n.wrapping_mul(2_654_435_761) >> (32 - length) << (32 - length);
        format!("{}/{length}\n", std::net::Ipv4Addr::from_bits(bits))
    };
    fs::write(folder.path().join("list.txt"), (1..=BLOCKED).map(network).collect::<String>())?;
    let site = folder.path().join("portolan.toml");
    fs::write(&site, BLOCKING)?;
    let pair = Pair::new();
    let firewall = |words: &[&str]| {
        let mut command = command(&pair, portolan, folder.path());
        command.env("PORTOLAN_ROOT", folder.path().join("root"));
        command.arg("firewall").args(words);
        time(command)
    };
    let site = path(&site)?;
    let apply =
        ["apply", "--yes", "--detach", "--timeout", "10m", "--host", "web", "--inventory", site];
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        first.push(firewall(&apply)?);
        again.push(firewall(&apply)?);
        firewall(&["off", "--yes", "--purge"])?;
    }
    report.bound("where nothing is loaded, seconds", median(first).as_secs_f64(), 4.0)?;
    report.bound("where it is loaded already, seconds", median(again).as_secs_f64(), 4.0)
}

const BLOCKING: &str = r#"portolan = 1
[networks]
bad = { file = "list.txt" }
[hosts.web]
address = "10.76.0.2"
[services.web]
on = "web"
ports = ["80/tcp", "443/tcp"]
from = "any"
[[block]]
from = "bad"
"#;

/// Packets per second through both forms of the same ten thousand rules, in turn.
fn beside_linear(portolan: &str, report: &mut Report) -> io::Result<()> {
    report
        .heading("10,000 rules (source × service): packets per second, compiled and one by one")?;
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("portolan.toml"), services())?;
    let pair = Pair::new();
    for device in ["all", "eth0"] {
        pair.dst.set(&format!("net/ipv4/conf/{device}/rp_filter"), 0);
    }
    pair.dst.rules(COUNTING);
    let output = command(&pair, portolan, folder.path())
        .args(["firewall", "compile", "--host", "web"])
        .stdout(Stdio::piped())
        .output()?;
    let compiled = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..3 {
        for (rates, text) in rates.iter_mut().zip([&compiled, &linear()]) {
            pair.dst.rules(text);
            rates.push(rate(&pair)?);
            pair.dst.output("nft delete table inet portolan");
        }
    }
    let [ours, theirs] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    report.note(&format!("compiled:   {ours:>9.0} packets a second"))?;
    report.note(&format!("one by one: {theirs:>9.0} packets a second"))?;
    report.floor("times as many through the compiled form", ours / theirs, 10.0)
}

fn command(pair: &Pair, portolan: &str, folder: &Path) -> Command {
    let mut command = pair.dst.command(portolan);
    command.current_dir(folder).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A source's network: a /24 of 10.128.0.0/9.
fn network(service: u32, source: u32) -> String {
    let number = service * SOURCES + source;
    format!("10.{}.{}.0/24", 128 + number / 256, number % 256)
}

fn services() -> String {
    let mut text = "portolan = 1\n[hosts.web]\naddress = \"10.76.0.2\"\n".to_owned();
    for service in 0..SERVICES {
        let from: Vec<String> =
            (0..SOURCES).map(|source| format!("\"{}\"", network(service, source))).collect();
        text.push_str(&format!(
            "[services.s{service}]\non = \"web\"\nports = \"{}/udp\"\nfrom = [{}]\n",
            10_000 + service,
            from.join(", ")
        ));
    }
    text
}

/// The same, a rule a pair, behind the same first rules.
fn linear() -> String {
    let mut text = "table inet portolan {\n chain input {\n  type filter hook input priority -5; policy drop;\n\
                    iifname \"lo\" counter accept\n  ct state established,related counter accept\n  ct state invalid counter drop\n"
        .to_owned();
    for service in 0..SERVICES {
        for source in 0..SOURCES {
            let (port, from) = (10_000 + service, network(service, source));
            text.push_str(&format!("  ip saddr {from} udp dport {port} counter accept\n"));
        }
    }
    text + " }\n}\n"
}

/// Counts what was let through, and takes it away: no answer is part of what is measured.
const COUNTING: &str = "table inet counting {\n counter passed { }\n chain input {\n  \
                        type filter hook input priority 300\n  counter name passed drop\n }\n}\n";

/// How many packets a second are let through while one sender does what it can; its sources and ports
/// are spread over all pairs.
fn rate(pair: &Pair) -> io::Result<f64> {
    let told = pair.dst.output("ip -br link show eth0");
    let link = told.split_whitespace().nth(2).unwrap_or_default();
    let _sender = pair.src.python(&FLOOD.replace("LINK", link));
    sleep(Duration::from_millis(300));
    let (start, before) = (Instant::now(), passed(pair)?);
    sleep(Duration::from_secs(2));
    let (after, taken) = (passed(pair)?, start.elapsed());
    Ok((after - before) / taken.as_secs_f64())
}

fn passed(pair: &Pair) -> io::Result<f64> {
    let told = pair.dst.output("nft list counter inet counting passed");
    let packets = told.split_whitespace().skip_while(|word| *word != "packets").nth(1);
    packets.and_then(|n| n.parse().ok()).ok_or_else(|| io::Error::other(told.clone()))
}

/// Frames of a thousand pairs, sent again and again around the queues.
const FLOOD: &str = r#"
import struct, threading
PACKET_QDISC_BYPASS = 20
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0x0800))
s.setsockopt(263, PACKET_QDISC_BYPASS, 1)
def checksum(header):
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff
def frame(pair):
    number = pair * 10 + 3
    source = bytes([10, 128 + number // 256, number % 256, 9])
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, pair, 0, 64, 17, 0, source, bytes([10, 76, 0, 2]))
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    udp = struct.pack("!HHHH", 40000 + pair % 1000, 10000 + number // 100, 8, 0)
    return bytes.fromhex("LINK".replace(":", "")) + b"\x02\0\0\0\0\x01\x08\0" + ip + udp
frames = [frame(pair) for pair in range(1000)]
def flood():
    send = s.send
    while True:
        for f in frames:
            try:
                send(f)
            except OSError:
                pass
threading.Thread(target=flood, daemon=True).start()
"#;
