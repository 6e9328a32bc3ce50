//! What this machine holds, beside the programs people ask today: ss, lsof, and true for the start.

use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::load::{Each, Load};
use crate::measure::{MEASURED, Report, median, pairs, peak_memory, words};

/// Measures `portolan` against its peers and prints the ratios.
pub(crate) fn run(portolan: &str, report: &mut Report) -> io::Result<()> {
    start_up(portolan, report)?;
    wrapping(portolan, report)?;
    listeners(portolan, report)?;
    daemons(portolan, report)?;
    connections(portolan, report)
}

/// What it costs to ask for one number, beside what it costs to start any program.
fn start_up(portolan: &str, report: &mut Report) -> io::Result<()> {
    report.heading("one lookup, 101 pairs")?;
    let ours = || words(Command::new(portolan), &["lookup", "443"]);
    let (ours, peer) = pairs(101, ours, || Command::new("true"))?;
    report.time("portolan lookup 443", ours)?;
    report.time("true", peer)?;
    let more = ours.saturating_sub(peer).as_secs_f64() * 1e3;
    report.bound("slower than true, ms", more, 3.0)
}

/// What `run` costs a command at its start: the project's number, the watch on its binds, and the
/// second start of portolan that becomes the command.
fn wrapping(portolan: &str, report: &mut Report) -> io::Result<()> {
    report.heading("a command under run --remap, 51 pairs")?;
    let state = std::env::temp_dir().join(format!("portolan-bench-{}", std::process::id()));
    std::fs::create_dir(&state)?;
    let ours = || {
        let mut command = words(Command::new(portolan), &["run", "--remap", "3000", "--", "true"]);
        command.env("XDG_STATE_HOME", &state);
        command
    };
    let times = pairs(51, ours, || Command::new("true"));
    std::fs::remove_dir_all(&state)?;
    let (ours, peer) = times?;
    report.time("portolan run --remap 3000 -- true", ours)?;
    report.time("true", peer)?;
    let more = ours.saturating_sub(peer).as_secs_f64() * 1e3;
    report.bound("slower than true, ms", more, 5.0)
}

/// All listeners with their owners, on a machine full of them.
fn listeners(portolan: &str, report: &mut Report) -> io::Result<()> {
    let load = Load::start(PROCESSES, Each { listeners: LISTENERS, ..Each::default() })?;
    let ours = || words(load.command(portolan), &["sockets", "-l"]);

    report.heading(&format!("{PROCESSES} processes with {LISTENERS} listeners each, 7 pairs"))?;
    let peer = || words(load.command("ss"), &["-tulpn"]);
    let (own, other) = pairs(7, ours, peer)?;
    report.time("portolan sockets -l", own)?;
    report.time("ss -tulpn", other)?;
    report.bound("of the time of ss", own.as_secs_f64() / other.as_secs_f64(), 0.5)?;

    let peer = || words(load.command("lsof"), &["-nP", "-iTCP", "-sTCP:LISTEN"]);
    let (own, other) = pairs(7, ours, peer)?;
    report.time("portolan sockets -l", own)?;
    report.time("lsof -nP -iTCP -sTCP:LISTEN", other)?;
    report.bound("of the time of lsof", own.as_secs_f64() / other.as_secs_f64(), 0.4)?;

    let mut measured = load.command(MEASURED[0]);
    measured.args(&MEASURED[1..]).args([portolan, "sockets", "-l"]);
    let memory = peak_memory(measured, Stdio::null())?;
    report.bound("peak memory, MB", memory, 100.0)
}

/// Owners of listeners on a machine with many processes, each engine beside ss.
fn daemons(portolan: &str, report: &mut Report) -> io::Result<()> {
    let load = Load::start(DAEMONS, DAEMON)?;
    report.heading(&format!("{DAEMONS} processes with 35 descriptors each, 9 pairs"))?;
    let peer = || words(load.command("ss"), &["-tlnp"]);
    for (engine, most) in [("bpf", 0.25), ("procfs", 0.6)] {
        let ours = || words(load.command(portolan), &["sockets", "-l", "--engine", engine]);
        let (own, other) = pairs(9, ours, peer)?;
        report.time(&format!("portolan sockets -l, {engine}"), own)?;
        report.time("ss -tlnp", other)?;
        report.bound("of the time of ss", own.as_secs_f64() / other.as_secs_f64(), most)?;
    }
    Ok(())
}

const DAEMONS: usize = 1000;

/// 35 descriptors: these and three standard ones.
const DAEMON: Each = Each { listeners: 2, connections: 0, pairs: 5, files: 20 };

/// Every socket of a busy server with its owner, and its listeners alone.
fn connections(portolan: &str, report: &mut Report) -> io::Result<()> {
    let load = Load::start(SERVERS, SERVER)?;
    let sockets = SERVERS * SERVER.connections * 2;
    report.heading(&format!("{sockets} connected TCP sockets in {SERVERS} processes, 9 pairs"))?;
    let ours = || words(load.command(portolan), &["sockets", "-a"]);
    let (own, other) = pairs(9, ours, || words(load.command("ss"), &["-tanp"]))?;
    report.time("portolan sockets -a", own)?;
    report.time("ss -tanp", other)?;
    report.bound("of the time of ss", own.as_secs_f64() / other.as_secs_f64(), 0.2)?;

    let ours = || words(load.command(portolan), &["sockets", "-l"]);
    let (own, other) = pairs(9, ours, || words(load.command("ss"), &["-tlnp"]))?;
    report.time("portolan sockets -l", own)?;
    report.time("ss -tlnp", other)?;
    report.bound("of the time of ss", own.as_secs_f64() / other.as_secs_f64(), 0.25)?;
    report.bound("its socket dump, ms", dump(&load, portolan)?.as_secs_f64() * 1e3, 1.0)
}

const SERVERS: usize = 6;
const SERVER: Each = Each { listeners: 1, connections: 4500, pairs: 0, files: 0 };

/// How long `sockets -l` talks to the kernel about its sockets: from the moment it opens netlink to
/// the answer to the last dump, as strace sees it, so rather too long. The median of 9 runs.
fn dump(load: &Load, portolan: &str) -> io::Result<Duration> {
    let times: io::Result<Vec<Duration>> = (0..9).map(|_| dump_once(load, portolan)).collect();
    Ok(median(times?))
}

fn dump_once(load: &Load, portolan: &str) -> io::Result<Duration> {
    let options = ["-r", "-T", "-e", "trace=sendto,recvfrom", portolan, "sockets", "-l", "-n"];
    let traced = load.command("strace").args(options).output()?;
    let text = String::from_utf8_lossy(&traced.stderr);
    // What is asked about sockets is SOCK_DIAG_BY_FAMILY, and so are the answers to it.
    let calls =
        text.lines().filter(|line| line.contains("SOCK_DIAG") || line.contains("NLMSG_DONE"));
    let spent =
        calls.filter_map(|line| line.rsplit_once('<')?.1.strip_suffix('>')?.parse::<f64>().ok());
    let spent: f64 = spent.sum();
    if spent > 0.0 {
        return Ok(Duration::from_secs_f64(spent));
    }
    Err(io::Error::other(format!("strace told nothing: {text}")))
}

const PROCESSES: usize = 500;
const LISTENERS: usize = 100;
