//! Running `portolan scan` with either engine, and its records as values that can be compared.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::panic::resume_unwind;
use std::thread;

use serde_json::Value;

use super::{Netns, Program, Ran};

/// Who carries the probes: any user's connections, or packets of root's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// As user 65534, who may do nothing in particular.
    Connect,
    /// As root.
    Raw,
}

/// Both.
pub(crate) const ENGINES: [Engine; 2] = [Engine::Connect, Engine::Raw];

impl Engine {
    /// The word the program uses.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Raw => "raw",
        }
    }

    /// `portolan scan WORDS --jsonl` inside, without naming the engine: who may have raw has it.
    pub(crate) fn program(self, netns: &Netns, words: &str) -> Program {
        self.program_within(netns, words, &[])
    }

    /// The same under another program.
    pub(crate) fn program_within(self, netns: &Netns, words: &str, through: &[&str]) -> Program {
        // A scan that does not end must not take the whole run with it.
        let wrapper = [&["timeout", "-k", "5", "60"], through].concat();
        self.program_bare(netns, words).through(wrapper)
    }

    /// The same with nothing around it: its process is the child's.
    pub(crate) fn program_bare(self, netns: &Netns, words: &str) -> Program {
        let program = Program::line(&format!("scan {words} --jsonl")).inside(netns);
        match self {
            Self::Connect => program.by_user(NOBODY),
            Self::Raw => program,
        }
    }

    /// Runs it; the scan must have found out everything.
    #[track_caller]
    pub(crate) fn scan(self, netns: &Netns, words: &str) -> Scanned {
        let scanned = Scanned::new(self.program(netns, words).run().expect_code(0));
        assert_eq!(scanned.summary["engine"], self.as_str(), "{}", scanned.summary);
        scanned
    }
}

/// A user without any rights.
pub(crate) const NOBODY: u32 = 65534;

/// The same scan with both engines, one after the other; each port must have the same state for the
/// same reason from the same sender.
#[track_caller]
pub(crate) fn both(netns: &Netns, words: &str) -> [Scanned; 2] {
    let scanned = ENGINES.map(|engine| engine.scan(netns, words));
    equal(&scanned[0], &scanned[1]);
    scanned
}

/// The same at once, in a network of its own for each: where it takes long, or where what one scan used
/// up (a limit on answers, a turn) would be missing for the other.
#[track_caller]
pub(crate) fn each(scan: impl Fn(Engine) -> Scanned + Sync) -> [Scanned; 2] {
    let (connect, raw) = thread::scope(|scope| {
        let connect = scope.spawn(|| scan(Engine::Connect));
        let raw = scan(Engine::Raw);
        (connect.join().unwrap_or_else(|panic| resume_unwind(panic)), raw)
    });
    equal(&connect, &raw);
    [connect, raw]
}

#[track_caller]
fn equal(connect: &Scanned, raw: &Scanned) {
    assert_eq!(connect.verdicts(), raw.verdicts(), "connect, then raw");
}

/// State, reason and sender of a port: `open syn-ack 10.78.0.2`.
pub(crate) type Verdicts = BTreeMap<(IpAddr, String), String>;

/// What a scan printed.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// The whole run.
    pub(crate) ran: Ran,
    /// Its ports, by address and `80/tcp`.
    pub(crate) ports: BTreeMap<(IpAddr, String), Value>,
    /// What it says of hosts.
    pub(crate) hosts: BTreeMap<IpAddr, Value>,
    /// Its last line.
    pub(crate) summary: Value,
}

impl Scanned {
    /// Reads the lines of a run that has come to its end; no port may be told twice.
    #[track_caller]
    pub(crate) fn new(ran: Ran) -> Self {
        let mut lines = lines(&ran.stdout);
        let summary = lines.pop().expect("a last line");
        assert_eq!(summary["kind"], "summary", "{}", ran.stdout);
        let of_kind = |kind: &'static str| lines.iter().filter(move |l| l["kind"] == kind).cloned();
        let ports = ports(of_kind("port"));
        let hosts = of_kind("host").map(|h| (address(&h), h)).collect();
        Self { ports, hosts, summary, ran }
    }

    /// State, reason and sender of every port.
    pub(crate) fn verdicts(&self) -> Verdicts {
        self.ports.iter().map(|(key, record)| (key.clone(), verdict(record))).collect()
    }

    /// The record of a port: `scanned.record(DST, "80/tcp")`.
    #[track_caller]
    pub(crate) fn record(&self, address: IpAddr, port: &str) -> &Value {
        let found = self.ports.get(&(address, port.to_owned()));
        found.unwrap_or_else(|| panic!("no {port} of {address}\n{}", self.summary))
    }

    /// Panics unless the ports of `address` are exactly these, each with this state, reason and
    /// sender (none for silence).
    #[track_caller]
    pub(crate) fn expect(&self, address: IpAddr, ports: &[(&str, &str)]) {
        let wanted: BTreeMap<&str, &str> = ports.iter().copied().collect();
        let of_host = self.ports.iter().filter(|((ip, _), _)| *ip == address);
        let found: BTreeMap<&str, String> =
            of_host.map(|((_, port), record)| (port.as_str(), verdict(record))).collect();
        let found: BTreeMap<&str, &str> = found.iter().map(|(p, v)| (*p, v.as_str())).collect();
        assert_eq!(found, wanted, "{address}, found and wanted\n{}", self.ran.stderr);
    }

    /// How many ports have each state.
    pub(crate) fn counts(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for record in self.ports.values() {
            *counts.entry(record["state"].as_str().expect("a word")).or_default() += 1;
        }
        counts
    }

    /// The TCP ports with this state, in order.
    pub(crate) fn with_state(&self, state: &str) -> Vec<u16> {
        let records = self.ports.values().filter(|r| r["state"] == state);
        let ports = records.filter_map(|r| u16::try_from(r["port"].as_u64()?).ok());
        let mut ports: Vec<u16> = ports.collect();
        ports.sort_unstable();
        ports
    }
}

/// The objects of a run's whole lines.
#[track_caller]
pub(crate) fn lines(stdout: &str) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    stdout.lines().map(read).collect()
}

/// Records of ports by address and `80/tcp`, none twice.
#[track_caller]
pub(crate) fn ports(records: impl IntoIterator<Item = Value>) -> BTreeMap<(IpAddr, String), Value> {
    let mut ports = BTreeMap::new();
    for record in records {
        let port = format!("{}/{}", record["port"], record["transport"].as_str().expect("a word"));
        let before = ports.insert((address(&record), port), record);
        assert!(before.is_none(), "told twice: {before:?}");
    }
    ports
}

fn address(record: &Value) -> IpAddr {
    let address = record["ip"].as_str().and_then(|text| text.parse().ok());
    address.unwrap_or_else(|| panic!("an address in {record}"))
}

fn verdict(record: &Value) -> String {
    let words = ["state", "reason", "from"].map(|key| record[key].as_str().unwrap_or_default());
    words.join(" ").trim_end().to_owned()
}
