//! Ratios between two programs measured in the same run: A B A B …, the median of each.
//!
//! No absolute time says much on another machine, so each is given beside the peer's, and what has
//! to hold is a ratio. Whole processes are timed, from their start to their end, as a user waits
//! for them; what they print is thrown away.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::load::{Each, Load};

/// Measures `portolan` against its peers, prints the ratios, and says whether all bounds hold.
pub(crate) fn run(portolan: &str) -> io::Result<bool> {
    let mut report = Report { kept: true };
    start_up(portolan, &mut report)?;
    wrapping(portolan, &mut report)?;
    listeners(portolan, &mut report)?;
    daemons(portolan, &mut report)?;
    connections(portolan, &mut report)?;
    Ok(report.kept)
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

    let memory = peak_memory(&load, portolan)?;
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

fn words(mut command: Command, words: &[&str]) -> Command {
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The median time of each of two programs, run in turn after one run of each that does not count.
fn pairs(
    count: usize,
    first: impl Fn() -> Command,
    second: impl Fn() -> Command,
) -> io::Result<(Duration, Duration)> {
    let mut times = (Vec::with_capacity(count), Vec::with_capacity(count));
    for round in 0..=count {
        let (a, b) = (time(first())?, time(second())?);
        if round > 0 {
            times.0.push(a);
            times.1.push(b);
        }
    }
    Ok((median(times.0), median(times.1)))
}

fn time(mut command: Command) -> io::Result<Duration> {
    let start = Instant::now();
    let status = command.status()?;
    let taken = start.elapsed();
    if status.success() {
        return Ok(taken);
    }
    Err(io::Error::other(format!("{command:?} ended with {status}")))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The largest resident set of one run, in megabytes, as wait4(2) reports it of a child. Python asks
/// for us: the standard library does not, and a foreign function would be `unsafe`.
fn peak_memory(load: &Load, portolan: &str) -> io::Result<f64> {
    const ASK: &str = "import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], {}, file_actions=[
    (os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)])
print(os.wait4(child, 0)[2].ru_maxrss)";
    let asked = load.command("python3").args(["-c", ASK, portolan, "sockets", "-l"]).output()?;
    let kilobytes: f64 = String::from_utf8_lossy(&asked.stdout)
        .trim()
        .parse()
        .map_err(|_| io::Error::other(String::from_utf8_lossy(&asked.stderr).into_owned()))?;
    Ok(kilobytes * 1024.0 / 1e6)
}

/// What is printed, and whether every bound was kept so far.
struct Report {
    kept: bool,
}

impl Report {
    fn heading(&self, text: &str) -> io::Result<()> {
        writeln!(io::stdout(), "\n{text}")
    }

    fn time(&self, what: &str, taken: Duration) -> io::Result<()> {
        writeln!(io::stdout(), "  {what:<32} {:>9.2} ms", taken.as_secs_f64() * 1e3)
    }

    fn bound(&mut self, what: &str, value: f64, most: f64) -> io::Result<()> {
        let kept = value <= most;
        self.kept &= kept;
        let word = if kept { "ok" } else { "MISSED" };
        writeln!(io::stdout(), "  {what:<32} {value:>9.2}     at most {most}: {word}")
    }
}
