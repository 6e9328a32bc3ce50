//! Starting portolan and its peers in a namespace, and reading what they found.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::measure::Report;
use crate::network::Netns;

/// Who carries the probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// As user 65534, without any right.
    Connect,
    /// As root.
    Raw,
}

impl Engine {
    /// As it is shown.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "unprivileged",
            Self::Raw => "raw",
        }
    }
}

/// Both.
pub(super) const ENGINES: [Engine; 2] = [Engine::Raw, Engine::Connect];

/// The program under measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanner<'a> {
    /// Its file.
    pub(super) portolan: &'a str,
}

/// One scan: how long it took and what it said.
#[derive(Debug)]
pub(super) struct Scanned {
    /// From start to end of the process.
    pub(super) taken: Duration,
    /// Standard output.
    pub(super) said: String,
}

impl Scanner<'_> {
    /// `portolan scan WORDS` inside, to be run through `through`.
    pub(super) fn command(
        self,
        netns: &Netns,
        engine: Engine,
        through: &[&str],
        words: &str,
    ) -> io::Result<Command> {
        let mut command = netns.command("env");
        command.args(through).args(["timeout", "-s", "KILL", "300"]);
        if engine == Engine::Connect {
            command.args(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]);
            command.arg("--inh-caps=-all");
        }
        // Another user may not be able to walk to the build folder; through a descriptor it can.
        command.stdin(File::open(self.portolan)?).arg("/proc/self/fd/0").arg("scan");
        command.args(words.split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    /// Runs it to its end.
    pub(super) fn scan(self, netns: &Netns, engine: Engine, words: &str) -> io::Result<Scanned> {
        run(self.command(netns, engine, &[], words)?)
    }

    /// The fastest of `count` runs, each of which must say `truth` (see [`Truth`]).
    pub(super) fn fastest(
        self,
        count: usize,
        (netns, engine): (&Netns, Engine),
        words: &str,
        truth: &Truth,
    ) -> io::Result<Checked> {
        let mut fastest = Checked { taken: Duration::MAX, wrong: None };
        for _ in 0..count {
            let scanned = self.scan(netns, engine, &format!("{words} --jsonl"))?;
            fastest.taken = fastest.taken.min(scanned.taken);
            fastest.wrong = fastest.wrong.or_else(|| truth.wrong(&scanned.said));
        }
        Ok(fastest)
    }
}

/// A time, and what was wrong if anything was.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) taken: Duration,
    pub(super) wrong: Option<String>,
}

impl Checked {
    /// Prints both.
    pub(super) fn print(&self, what: &str, report: &mut Report) -> io::Result<()> {
        report.time(what, self.taken)?;
        report.right("  every state", self.wrong.as_deref())
    }
}

/// What a host was made to answer: the TCP ports of each state; every other port has the last one.
#[derive(Debug)]
pub(super) struct Truth {
    pub(super) ports: usize,
    pub(super) open: Vec<u16>,
    pub(super) closed: Vec<u16>,
    pub(super) rest: &'static str,
}

impl Truth {
    /// The first difference between what was said in JSON Lines and this, if there is one.
    pub(super) fn wrong(&self, said: &str) -> Option<String> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut ports = 0;
        for line in said.lines() {
            let Ok(record) = serde_json::from_str::<Value>(line) else {
                return Some(format!("no JSON: {line}"));
            };
            if record["kind"] != "port" {
                continue;
            }
            ports += 1;
            let port = record["port"].as_u64().and_then(|p| u16::try_from(p).ok());
            let wanted = port.map_or("a port", |port| self.state(port));
            if record["state"] != wanted {
                *counts.entry(format!("{} for {wanted}", record["state"])).or_default() += 1;
            }
        }
        if ports != self.ports {
            return Some(format!("{ports} ports for {}", self.ports));
        }
        (!counts.is_empty()).then(|| format!("{counts:?}"))
    }

    fn state(&self, port: u16) -> &'static str {
        if self.open.binary_search(&port).is_ok() {
            "open"
        } else if self.closed.binary_search(&port).is_ok() {
            "closed"
        } else {
            self.rest
        }
    }
}

/// Times one run, which must end well.
pub(super) fn run(mut command: Command) -> io::Result<Scanned> {
    let start = Instant::now();
    let output = command.output()?;
    let taken = start.elapsed();
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{command:?}: {}: {complaint}", output.status)));
    }
    Ok(Scanned { taken, said: String::from_utf8_lossy(&output.stdout).into_owned() })
}

/// A peer inside, as root, ended after `limit`.
pub(super) fn peer(netns: &Netns, limit: Duration, words: &str) -> Command {
    let mut command = netns.command("timeout");
    command.args(["-s", "KILL", &limit.as_secs().to_string()]).args(words.split(' '));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The fastest of `count` runs of a peer.
pub(super) fn fastest_peer(count: usize, netns: &Netns, words: &str) -> io::Result<Duration> {
    let times: io::Result<Vec<Duration>> =
        (0..count).map(|_| Ok(run(peer(netns, Duration::from_secs(600), words))?.taken)).collect();
    Ok(times?.into_iter().min().unwrap_or_default())
}

/// Whether a peer is here; says so where it is not.
pub(super) fn is_installed(program: &str, report: &Report) -> io::Result<bool> {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        report.note(&format!("left out: {program} is not installed"))?;
    }
    Ok(found)
}

/// Whether the slow peers are to run in full.
pub(super) fn is_full() -> bool {
    env::var_os("PORTOLAN_BENCH_FULL").is_some_and(|value| value == "1")
}
