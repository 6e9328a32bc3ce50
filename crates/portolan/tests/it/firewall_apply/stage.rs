//! A machine of one namespace, with a neighbour, rules of others, and a root folder of its own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Netns, Program, Ran, eventually_within};

/// `box` at 192.0.2.2; `far` at 192.0.2.1.
pub(super) struct Stage {
    pub(super) here: Netns,
    pub(super) far: Netns,
    root: tempfile::TempDir,
}

/// The session that applies.
pub(super) const SSH: &str = "192.0.2.1 40000 192.0.2.2 22";
/// Another one.
pub(super) const OTHER_SSH: &str = "192.0.2.1 40001 192.0.2.2 22";

/// Holds one connection with the neighbour, whose namespace is the first argument, and runs a command in
/// a process of its own. It is called from here, so that rules for others do not matter.
pub(super) const SESSION: &str = "
import ctypes, os, socket, subprocess, sys
place = os.open(sys.argv[1], os.O_RDONLY)
ready, told = os.pipe()
if os.fork() == 0:
    ctypes.CDLL(None).setns(place, 0x40000000)
    listener = socket.create_server(('192.0.2.1', 0))
    listener.settimeout(10)
    os.write(told, b'%d' % listener.getsockname()[1])
    end, _ = listener.accept()
    end.settimeout(None)
    end.recv(1)
    os._exit(0)
held = socket.create_connection(('192.0.2.1', int(os.read(ready, 16))), 10)
peer, ours = held.getpeername(), held.getsockname()
os.environ['SSH_CONNECTION'] = f'{peer[0]} {peer[1]} {ours[0]} {ours[1]}'
sys.exit(subprocess.run(sys.argv[2:]).returncode)
";

/// The same by a connection of this machine with itself.
const LOCAL_SESSION: &str = "
import os, socket, subprocess, sys
listener = socket.create_server((sys.argv[1], 0))
peer = socket.create_connection(listener.getsockname(), source_address=(sys.argv[1], 0))
held, end = listener.accept()
ours = held.getsockname()
os.environ['SSH_CONNECTION'] = f'{end[0]} {end[1]} {ours[0]} {ours[1]}'
sys.exit(subprocess.run(sys.argv[2:]).returncode)
";

/// Lets in 22/tcp from the network of both, and 80/tcp from anybody.
pub(super) const OPEN: &str = r#"
portolan = 1
[hosts.box]
address = ["192.0.2.2"]
[services.ssh]
on = ["box"]
ports = ["22/tcp"]
from = ["192.0.2.0/24"]
[services.web]
on = ["box"]
ports = ["80/tcp"]
from = ["any"]
"#;

/// Shuts out everybody but a network far away.
pub(super) const SHUT: &str = r#"
portolan = 1
[hosts.box]
address = ["192.0.2.2"]
[services.ssh]
on = ["box"]
ports = ["22/tcp"]
from = ["198.51.100.0/24"]
"#;

impl Stage {
    pub(super) fn new() -> Self {
        let stage =
            Self { here: Netns::new(), far: Netns::new(), root: tempfile::tempdir().unwrap() };
        stage.here.ip(&format!("link add v0 type veth peer name v1 netns {}", stage.far.name()));
        stage.here.ip("address add 192.0.2.2/24 dev v0");
        stage.here.ip("link set v0 up");
        stage.far.ip("address add 192.0.2.1/24 dev v1");
        stage.far.ip("link set v1 up");
        stage.nft(OTHERS);
        stage
    }

    /// Loads rules here.
    #[track_caller]
    pub(super) fn nft(&self, script: &str) {
        let file = self.root.path().join("others.nft");
        fs::write(&file, script).unwrap();
        self.here.output(&format!("nft -f {}", file.display()));
    }

    /// The folder that stands for `/`.
    pub(super) fn root(&self) -> PathBuf {
        self.root.path().join("root")
    }

    /// The folder in which the firewall remembers.
    pub(super) fn state(&self) -> PathBuf {
        self.root().join("var/lib/portolan/firewall")
    }

    /// `portolan firewall LINE` over the connection `ssh`.
    pub(super) fn firewall(&self, line: &str, ssh: &str) -> Program {
        self.program(&format!("firewall {line}"), ssh)
    }

    /// `portolan LINE` over the connection `ssh`.
    pub(super) fn program(&self, line: &str, ssh: &str) -> Program {
        Program::line(line)
            .inside(&self.here)
            .env("PORTOLAN_ROOT", self.root())
            .env("SSH_CONNECTION", ssh)
    }

    /// Writes an inventory; its path.
    pub(super) fn inventory(&self, text: &str) -> PathBuf {
        let path = self.root.path().join("portolan.toml");
        fs::write(&path, text).unwrap();
        path
    }

    /// `firewall apply` of an inventory, with more flags.
    pub(super) fn apply(&self, inventory: &str, flags: &str) -> Program {
        let path = self.inventory(inventory);
        let line = format!("apply --yes --host box --inventory {} {flags}", path.display());
        self.firewall(&line, SSH)
    }

    /// Starts it and waits until its rules are on trial.
    pub(super) fn begin(&self, inventory: &str, flags: &str) -> Child {
        let mut child = self.apply(inventory, flags).command().spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let is_on_trial = lines.any(|line| line.unwrap().contains("keep it from a new session"));
        // What it says later must not end it.
        std::thread::spawn(move || lines.for_each(drop));
        assert!(is_on_trial, "{:?}", child.wait_with_output());
        child
    }

    /// Applies and confirms.
    #[track_caller]
    pub(super) fn keep(&self, inventory: &str) {
        self.apply(inventory, "--detach").run().expect_code(0);
        self.confirm();
    }

    /// Confirms from another session.
    #[track_caller]
    pub(super) fn confirm(&self) {
        self.session("confirm").expect_code(0);
    }

    /// `portolan firewall LINE` in another session, one that is there: a program called sshd holds its
    /// connection.
    pub(super) fn session(&self, line: &str) -> Ran {
        let far = self.far.path().display().to_string();
        self.firewall(line, "").through([&self.sshd(), "-c", SESSION, &far]).run()
    }

    /// The same in one that came from this machine itself, from `own` to `own`.
    pub(super) fn session_from_here(&self, line: &str, own: &str) -> Ran {
        self.firewall(line, "").through([&self.sshd(), "-c", LOCAL_SESSION, own]).run()
    }

    /// A program that may pass for an SSH server.
    pub(super) fn sshd(&self) -> String {
        let path = self.root.path().join("sshd");
        if !path.exists() {
            fs::copy(fs::canonicalize("/usr/bin/python3").unwrap(), &path).unwrap();
        }
        path.display().to_string()
    }

    /// Whether our table is loaded.
    pub(super) fn has_table(&self) -> bool {
        self.here.output("nft list tables").contains("table inet portolan")
    }

    /// Our table as nft lists it, without counters. nft lists chains in the order in which they were
    /// made, which for others than base chains means nothing: here they are sorted.
    pub(super) fn table(&self) -> String {
        let listed = without_counts(&self.here.output("nft list table inet portolan"));
        let (_, inner) = listed.split_once('\n').unwrap();
        let parts = inner.split("\n\n").map(|part| part.trim_end_matches(['}', '\n', '\t']));
        let mut parts: Vec<&str> = parts.collect();
        parts.sort_unstable();
        parts.join("\n\n")
    }

    /// Every other table, as JSON without counters.
    pub(super) fn others(&self) -> Value {
        let listed = self.here.output("nft -j list ruleset");
        let mut listed: Value = serde_json::from_str(&listed).unwrap();
        let objects = listed["nftables"].as_array_mut().unwrap();
        objects.retain(|object| {
            let inner = object.as_object().unwrap().values().next().unwrap();
            inner["table"] != "portolan" && inner["name"] != "portolan"
        });
        forget_counts(&mut listed);
        listed
    }

    /// Whether the neighbour can open a connection to a port here.
    pub(super) fn reaches(&self, port: u16) -> bool {
        let script = format!(
            "s = socket.socket(); s.settimeout(0.3)\nprint(s.connect_ex((\"192.0.2.2\", {port})))"
        );
        self.far.python(&script).said == "0"
    }

    /// What the log says happened, in order.
    pub(super) fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.state().join("log")).unwrap_or_default();
        let what =
            |line: &str| line.split(' ').find_map(|w| w.strip_prefix("what=")).map(str::to_owned);
        text.lines().filter_map(what).collect()
    }

    /// Waits until the trial is over, and says how long that took.
    #[track_caller]
    pub(super) fn until_over(&self) -> Duration {
        let start = Instant::now();
        let is_over = || !self.state().join("trial").exists();
        eventually_within(Duration::from_secs(60), "the trial is over", is_over);
        start.elapsed()
    }
}

impl Drop for Stage {
    /// What a test leaves on trial, or away, nobody watches any more: its folder and its programs go.
    fn drop(&mut self) {
        for pid in self.watchdogs() {
            // It may have ended by itself.
            let mut kill = Command::new("kill");
            let _ = kill.args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
        }
    }
}

fn forget_counts(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Object(counter)) = map.get_mut("counter") {
                counter.clear();
            }
            map.values_mut().for_each(forget_counts);
        }
        Value::Array(list) => list.iter_mut().for_each(forget_counts),
        _ => {}
    }
}

/// `counter packets 3 bytes 180` without its numbers.
fn without_counts(text: &str) -> String {
    let mut words = Vec::new();
    for line in text.lines() {
        let mut kept: Vec<&str> = Vec::new();
        let mut left = line.split(' ');
        while let Some(word) = left.next() {
            kept.push(word);
            if word.trim() == "counter" {
                left.by_ref().take(4).for_each(drop);
            }
        }
        words.push(kept.join(" "));
    }
    words.join("\n")
}

/// What others have loaded: a filter, and a translation at the priority of ours.
const OTHERS: &str = r#"
table ip theirs {
	set s {
		type ipv4_addr
		flags interval
		elements = { 10.0.0.0/8 }
	}
	chain input {
		type filter hook input priority 0; policy accept;
		ip saddr @s counter drop
	}
	chain pre {
		type nat hook prerouting priority -110; policy accept;
		tcp dport 4444 redirect to :80
	}
}
"#;
