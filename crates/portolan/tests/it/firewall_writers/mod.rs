//! The tools that write firewalls, run for real: what they wrote is read from the live machine, and what
//! is said of a packet is what becomes of it.
//!
//! ```text
//! outside 192.0.2.9 192.0.2.66 198.51.100.7 ──── eth0 192.0.2.1 host: ufw, firewalld, Docker, iptables
//!         2001:db8::9                                 2001:db8::1
//! ```

mod docker;
mod firewalld;
mod iptables;
mod saved;
mod translated;
mod ufw;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Netns, Program, Server};

/// A host with a firewall, and somebody outside.
struct Scene {
    host: Netns,
    outside: Netns,
    folder: TempDir,
}

/// The port whose rule asks for what senders write into the header: other packets of theirs do not get in.
const ASKS_HEADER: u16 = 7023;

impl Scene {
    fn new() -> Self {
        let (host, outside) = (Netns::new(), Netns::new());
        let place = outside.name();
        host.ip(&format!("link add eth0 type veth peer name eth0 netns {place}"));
        for (netns, addresses) in [
            (&host, &["192.0.2.1/24", "2001:db8::1/64"][..]),
            (&outside, &["192.0.2.9/24", "192.0.2.66/24", "198.51.100.7/32", "2001:db8::9/64"]),
        ] {
            netns.set("net/ipv6/conf/eth0/accept_dad", 0);
            for address in addresses {
                netns.ip(&format!("address add {address} dev eth0"));
            }
            netns.ip("link set eth0 up");
        }
        host.ip("route add 198.51.100.0/24 dev eth0");
        Self { host, outside, folder: tempfile::tempdir().unwrap() }
    }

    /// Somebody behind the host, who listens on these TCP ports in both families: 10.20.0.2 and fd20::2, by in0.
    fn inner(&self, tcp: &[u16]) -> (Netns, Server) {
        let inner = Netns::new();
        let place = inner.name();
        self.host.ip(&format!("link add in0 type veth peer name eth0 netns {place}"));
        for (netns, link, addresses) in [
            (&self.host, "in0", ["10.20.0.1/24", "fd20::1/64"]),
            (&inner, "eth0", ["10.20.0.2/24", "fd20::2/64"]),
        ] {
            netns.set(&format!("net/ipv6/conf/{link}/accept_dad"), 0);
            for address in addresses {
                netns.ip(&format!("address add {address} dev {link}"));
            }
            netns.ip(&format!("link set {link} up"));
        }
        inner.ip("route add default via 10.20.0.1");
        inner.ip("-6 route add default via fd20::1");
        self.outside.ip("route add 10.20.0.0/24 via 192.0.2.1");
        self.outside.ip("-6 route add fd20::/64 via 2001:db8::1");
        self.host.set("net/ipv4/ip_forward", 1);
        self.host.set("net/ipv6/conf/all/forwarding", 1);
        let server = inner.python(&format!(
            "only6 = [(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)]
for port in {tcp:?}:
    listener(f'0.0.0.0:{{port}}', 64)
    listener(f'[::]:{{port}}', 64, only6)"
        ));
        (inner, server)
    }

    /// A shell in the host's network with mounts and processes of its own, where tools find private
    /// copies of what they keep: `places` are pairs of a folder of the system and where its copy lies.
    fn shell(&self, prologue: &str) -> Shell {
        Shell::start(&self.host, self.folder.path(), prologue)
    }

    /// Listeners on these TCP ports, and UDP services that answer, on the host in both families.
    fn services(&self, tcp: &[u16], udp: &[u16]) -> Server {
        self.host.python(&format!(
            "import threading
only6 = [(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)]
for port in {tcp:?}:
    listener(f'0.0.0.0:{{port}}', 64)
    listener(f'[::]:{{port}}', 64, only6)
def echo(s):
    while True:
        try:
            said, peer = s.recvfrom(2048)
            s.sendto(said, peer)
        except OSError:
            pass
for port in {udp:?}:
    for s in (datagram(f'0.0.0.0:{{port}}'), datagram(f'[::]:{{port}}', only6)):
        threading.Thread(target=echo, args=(s,), daemon=True).start()"
        ))
    }

    /// Sends the probes as real packets and asks for each what the rules do to it: both say the same.
    #[track_caller]
    fn agree(&self, probes: &[Probe]) -> Vec<Value> {
        let real = self.outside.python(&prober(probes));
        let real: Vec<String> = serde_json::from_str(&real.said).expect("the prober prints JSON");
        let told = self.simulate(probes);
        for ((probe, real), told) in probes.iter().zip(&real).zip(&told) {
            let verdict = &told["verdict"];
            assert!(verdict == real, "{probe:?}: packets met {real}, told was {told:#}");
        }
        let verdicts: Vec<&str> = real.iter().map(String::as_str).collect();
        let expected: Vec<&str> = probes.iter().map(|probe| probe.expected).collect();
        assert_eq!(verdicts, expected, "the test's own expectation");
        for probe in probes.iter().filter(|probe| [HOST, HOST6].contains(&probe.to)) {
            self.reach_agrees(probe);
        }
        told
    }

    /// `reach` asks the same of all packets of this sender.
    #[track_caller]
    fn reach_agrees(&self, probe: &Probe) {
        let Probe { port, transport, from, .. } = probe;
        let line = format!("reach {port}/{transport} --from {from} --json");
        let told = Program::line(&line).inside(&self.host).run().json();
        // Rows of other ports are those that lead to this one's socket.
        let rows = told["ports"].as_array().into_iter().flatten();
        let asked = rows.filter(|row| row["port"] == *port && row["transport"] == *transport);
        let mut answers = asked.flat_map(|row| row["reach"].as_array().into_iter().flatten());
        let open = if *port == ASKS_HEADER { "depends" } else { "yes" };
        let is_reached = answers.any(|reach| reach["answer"] == open);
        assert_eq!(is_reached, probe.expected == "accept", "{probe:?}: {told:#}");
    }

    /// What `firewall simulate` says of each.
    #[track_caller]
    fn simulate(&self, probes: &[Probe]) -> Vec<Value> {
        let lines = probes.iter().enumerate().map(|(id, probe)| {
            let packet = json!({
                "id": id, "transport": probe.transport, "src": probe.from, "sport": 40000,
                "dst": probe.to, "dport": probe.port, "in": "eth0",
            });
            format!("{packet}\n")
        });
        let ran = Program::line("firewall simulate --batch - --jsonl")
            .input(lines.collect::<String>())
            .inside(&self.host)
            .run()
            .expect_code(0);
        let told: Vec<Value> = ran
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON lines"))
            .collect();
        assert_eq!(told.len(), probes.len());
        told
    }
}

/// A question of both the packets and the rules, and the answer that the tool's words promise.
#[derive(Clone, Copy, Debug)]
struct Probe {
    transport: &'static str,
    from: &'static str,
    to: &'static str,
    port: u16,
    expected: &'static str,
}

const HOST: &str = "192.0.2.1";
const HOST6: &str = "2001:db8::1";
const NEAR: &str = "192.0.2.9";
const NEAR6: &str = "2001:db8::9";

fn tcp(from: &'static str, port: u16, expected: &'static str) -> Probe {
    let to = if from.contains(':') { HOST6 } else { HOST };
    Probe { transport: "tcp", from, to, port, expected }
}

/// The same to whoever is behind the host.
fn inside(from: &'static str, port: u16, expected: &'static str) -> Probe {
    let to = if from.contains(':') { "fd20::2" } else { "10.20.0.2" };
    Probe { to, ..tcp(from, port, expected) }
}

fn udp(from: &'static str, port: u16, expected: &'static str) -> Probe {
    Probe { transport: "udp", ..tcp(from, port, expected) }
}

/// A Python script that sends all probes at once. Every port asked has somebody who answers, so that a
/// refusal is the firewall's.
fn prober(probes: &[Probe]) -> String {
    let list: Vec<Value> =
        probes.iter().map(|p| json!([p.transport, p.from, p.to, p.port])).collect();
    format!(
        "import errno, select, time
probes = json.loads('''{}''')
waiting, said = {{}}, ['drop'] * len(probes)
for i, (transport, source, to, port) in enumerate(probes):
    family = socket.AF_INET6 if ':' in to else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM if transport == 'tcp' else socket.SOCK_DGRAM)
    s.setblocking(False)
    s.bind((source, 0))
    refused = s.connect_ex((to, port))
    if transport == 'udp':
        s.send(b'hello')
    waiting[s] = i
end = time.monotonic() + 1.5
while waiting and time.monotonic() < end:
    streams = [s for s in waiting if s.type == socket.SOCK_STREAM]
    datagrams = [s for s in waiting if s.type == socket.SOCK_DGRAM]
    readable, writable, _ = select.select(datagrams, streams, [], .1)
    for s in readable + writable:
        i = waiting.pop(s)
        try:
            if s in readable:
                s.recv(100)
                said[i] = 'accept'
            else:
                said[i] = 'reject' if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) else 'accept'
        except OSError:
            said[i] = 'reject'
        s.close()
print(json.dumps(said))",
        Value::from(list)
    )
}

/// A shell that does one line after another and dies with everything it started.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Shell {
    fn start(host: &Netns, folder: &Path, prologue: &str) -> Self {
        let mut command = host.command("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.args(["--propagation", "private", "sh"]).current_dir(folder);
        command.env("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("util-linux is installed");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut shell = Self { child, input, output };
        let run = folder.join("run");
        fs::create_dir_all(&run).unwrap();
        shell.does(&format!("exec 2>&1; mount --bind {} /run && {prologue}", run.display()));
        shell
    }

    /// Does a line; gives what it printed, or the whole of it where it failed.
    fn tries(&mut self, line: &str) -> Result<String, String> {
        writeln!(self.input, "{{ {line}\n}} </dev/null; echo; echo {DONE} $?")
            .expect("the shell reads");
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).unwrap_or_default();
            if read == 0 {
                return Err(format!("{said}\nthe shell has ended"));
            }
            match line.strip_prefix(DONE) {
                Some(code) if code.trim() == "0" => return Ok(said.trim().to_owned()),
                Some(_) => return Err(said),
                None => said.push_str(&line),
            }
        }
    }

    /// Does a line, which must succeed.
    #[track_caller]
    fn does(&mut self, line: &str) -> String {
        self.tries(line).unwrap_or_else(|said| panic!("{line}\n{said}"))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const DONE: &str = "the shell has done it:";

/// Whether a program is installed where root looks for it.
fn is_installed(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("PATH=/usr/sbin:/sbin:$PATH command -v {program}")])
        .stdout(Stdio::null())
        .status();
    found.is_ok_and(|status| status.success())
}
