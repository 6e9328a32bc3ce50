//! What the compiled table does with packets: limits, long block lists, doors, protocols without ports.
//!
//! ```text
//! client 10.80.0.2, .3, fd80::2, ::3, fd80:1::2 ──── host 10.80.0.1, fd80::1
//!        192.0.2.7, 198.51.100.7 (behind it)
//! ```

use std::fs;
use std::time::{Duration, Instant};

use portolan_core::firewall::compile;
use tempfile::TempDir;

use crate::support::policies::policy;
use crate::support::{Netns, Program, Server, eventually, require_root};

struct Line {
    host: Netns,
    client: Netns,
    folder: TempDir,
    _server: Server,
}

impl Line {
    fn new() -> Self {
        let (host, client) = (Netns::new(), Netns::new());
        host.ip(&format!("link add eth0 type veth peer name eth0 netns {}", client.name()));
        attach(&host, &["10.80.0.1/24", "fd80::1/64"]);
        let own = ["10.80.0.2/24", "10.80.0.3/24", "fd80::2/64", "fd80::3/64", "fd80:1::2/128"];
        attach(&client, &own);
        attach(&client, &["192.0.2.7/32", "198.51.100.7/32"]);
        host.ip("route add default via 10.80.0.2");
        host.ip("-6 route add fd80:1::/64 via fd80::2");
        let ports = "for port in (22, 80, 443, 8443):\n    listener(f'[::]:{port}', 4096)";
        let server = host.python(ports);
        Self { host, client, folder: tempfile::tempdir().unwrap(), _server: server }
    }

    fn load(&self, services: &str) {
        let text = format!("portolan = 1\n[hosts.host]\naddress = \"10.80.0.1\"\n{services}");
        fs::write(self.folder.path().join("portolan.toml"), text).unwrap();
        let compile = Program::line("firewall compile --host host").folder(self.folder.path());
        self.host.rules(&compile.run().expect_code(0).stdout);
    }

    /// What a script prints at the client's end.
    fn ask(&self, script: &str) -> String {
        self.client.python(&format!("{TOOLS}\n{script}")).said.clone()
    }

    fn is_open(&self, from: &str, port: u16) -> bool {
        self.ask(&format!("print(calls({from:?}, {port}, 1))")) == "1"
    }

    /// A TCP packet or datagram that nobody answers.
    fn knock(&self, from: &str, port: u16) {
        self.ask(&format!("calls({from:?}, {port}, 1, .2)"));
    }
}

fn attach(netns: &Netns, addresses: &[&str]) {
    netns.set("net/ipv6/conf/eth0/accept_dad", 0);
    netns.ip("link set eth0 up");
    for address in addresses {
        netns.ip(&format!("address add {address} dev eth0"));
    }
}

/// `calls(source, port, times)`: how many of so many connections are made; they stay open.
const TOOLS: &str = r#"
def calls(source, port, times, patience=.4):
    six = ":" in source
    made = 0
    for _ in range(times):
        s = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
        kept.append(s)
        s.settimeout(patience)
        s.bind((source, 0))
        try:
            s.connect(("fd80::1" if six else "10.80.0.1", port))
            made += 1
        except OSError:
            pass
    return made
"#;

#[test]
fn a_limit_counts_the_connections_of_each_source_and_an_ipv6_network_as_one() {
    require_root!();
    let line = Line::new();
    line.load(
        "[services.web]\non = \"host\"\nports = \"80/tcp\"\nfrom = \"any\"\nlimit = \"3/1h\"\n",
    );
    let said = line.ask(
        "print(calls('10.80.0.2', 80, 5), calls('10.80.0.3', 80, 4), calls('10.80.0.2', 80, 1))
print(calls('fd80::2', 80, 2), calls('fd80::3', 80, 3), calls('fd80:1::2', 80, 4))
# What is open goes on beyond the limit.
kept[0].settimeout(2)
kept[0].sendall(b'x' * 9)
print(kept[0].getpeername()[1])",
    );
    assert_eq!(said, "3 3 0\n2 1 3\n80");
}

/// Whoever forges as many sources as the set has room for does not switch the limit off, nor does he shut out
/// those who are in the set.
#[test]
fn sources_that_a_limit_has_no_room_for_share_one() {
    require_root!();
    let line = Line::new();
    line.load(
        "[services.web]\non = \"host\"\nports = \"80/tcp\"\nfrom = \"any\"\nlimit = \"1/1h\"\n",
    );
    assert_eq!(line.ask("print(calls('10.80.0.2', 80, 2))"), "1");
    let forged: Vec<String> =
        (1..65_535_u32).map(|n| format!("20.1.{}.{}", n >> 8, n & 255)).collect();
    let script = format!("add element inet portolan limit-web-v4 {{ {} }}", forged.join(","));
    let file = line.folder.path().join("forged.nft");
    fs::write(&file, script).unwrap();
    line.host.output(&format!("nft -f {}", file.display()));
    assert_eq!(line.ask("print(calls('10.80.0.3', 80, 103))"), "100");
    assert_eq!(line.ask("print(calls('192.0.2.7', 80, 1), calls('fd80::2', 80, 1))"), "0 1");
}

#[test]
fn a_block_list_of_a_hundred_thousand_addresses_keeps_them_out_of_everything_but_management() {
    require_root!();
    let line = Line::new();
    let mut list = String::from("192.0.2.0/28\n");
    for n in 0..100_000_u32 {
        let [_, a, b, c] = (2 * n).to_be_bytes();
        list.push_str(&format!("20.{a}.{b}.{c}\n"));
    }
    fs::write(line.folder.path().join("bad.txt"), list).unwrap();
    line.load(
        "[management]\nfrom = [\"192.0.2.7\"]\nports = [\"22/tcp\"]\n[networks]\n\
         bad = { file = \"bad.txt\" }\n[services.web]\non = \"host\"\nports = [\"80/tcp\", \"22/tcp\"]\n\
         from = \"any\"\n[[block]]\nfrom = [\"bad\"]\n",
    );
    assert!(line.is_open("10.80.0.2", 80) && line.is_open("198.51.100.7", 80));
    assert!(!line.is_open("192.0.2.7", 80) && line.is_open("192.0.2.7", 22));
    line.client.ip("address add 20.0.0.4/32 dev eth0");
    line.client.ip("address add 20.0.0.5/32 dev eth0");
    assert!(!line.is_open("20.0.0.4", 80) && line.is_open("20.0.0.5", 80));
}

/// A connection that was open before its source was blocked ends too.
#[test]
fn a_block_ends_what_was_open() {
    require_root!();
    let line = Line::new();
    let web = "[services.web]\non = \"host\"\nports = \"80/tcp\"\nfrom = \"any\"\n";
    line.load(web);
    let held = line.client.python(&format!("{TOOLS}\nprint(calls('192.0.2.7', 80, 1))"));
    assert_eq!(held.said, "1");
    let dropped = || {
        let listed = line.host.output("nft list chain inet portolan input");
        let block = listed.lines().find(|l| l.contains("pt:block")).unwrap_or_default().to_owned();
        !block.is_empty() && !block.contains("packets 0 ")
    };
    line.host.output("nft delete table inet portolan");
    line.load(&format!("{web}[[block]]\nfrom = [\"192.0.2.7\"]\n"));
    drop(held);
    eventually("its last packets to be dropped", dropped);
}

const DOOR: &str = r#"[services.hidden]
on = "host"
ports = "8443/tcp"
from = "any"
behind = "gate"
[doors.gate]
on = "host"
method = "sequence"
sequence = ["7001/tcp", "7002/tcp", "7003/tcp"]
open = "4s"
window = "15s"
"#;

#[test]
fn a_door_opens_for_who_knocks_in_order_and_closes_again() {
    require_root!();
    let line = Line::new();
    line.load(DOOR);
    assert!(!line.is_open("10.80.0.2", 8443));
    // The wrong order opens nothing, nor do two steps of three.
    for port in [7002, 7001, 7003, 7001, 7002] {
        line.knock("10.80.0.2", port);
    }
    assert!(!line.is_open("10.80.0.2", 8443));
    for source in ["10.80.0.2", "fd80::2"] {
        // Its neighbour is known from here on: no knock waits for it and is overtaken.
        assert!(!line.is_open(source, 8443), "{source}");
        for port in [7001, 7002, 7003] {
            line.knock(source, port);
        }
        let opened = Instant::now();
        assert!(line.is_open(source, 8443), "{source}");
        let other = if source.contains(':') { "fd80::3" } else { "10.80.0.3" };
        assert!(!line.is_open(other, 8443), "{other}");
        eventually("the door to close", || !line.is_open(source, 8443));
        assert!(opened.elapsed() > Duration::from_secs(1));
    }
}

#[test]
fn protocols_without_ports_come_in_by_their_number() {
    require_root!();
    let line = Line::new();
    line.load(
        "[services.vrrp]\non = \"host\"\nports = [\"ip:112\", \"esp\"]\nfrom = [\"10.80.0.2\"]\n",
    );
    let sent = "def send(source, number):
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, number)
    s.bind((source, 0))
    s.sendto(b'?' * 20, ('10.80.0.1', 0))
for source in ('10.80.0.2', '10.80.0.3'):
    for number in (112, 50, 113):
        send(source, number)";
    line.ask(sent);
    let listed = line.host.output("nft list table inet portolan");
    let count = |what: &str| {
        let lines = listed.lines().filter(|line| line.contains(what));
        let numbers = lines
            .filter_map(|l| l.split("packets ").nth(1)?.split(' ').next()?.parse::<u64>().ok());
        numbers.sum::<u64>()
    };
    assert_eq!(count("pt:vrrp"), 2, "{listed}");
    assert!(count("pt:default") >= 4, "{listed}");
}

/// Each run of the program hashes with another seed: no order of a map is in the text.
#[test]
fn every_run_gives_the_same_bytes() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/office");
    for host in ["gate", "mail", "files"] {
        let run = || {
            let compile = Program::line(&format!("firewall compile --host {host}")).folder(folder);
            compile.run().expect_code(0).stdout
        };
        let first = run();
        for _ in 0..4 {
            assert_eq!(run(), first);
        }
    }
    // Maps of one process differ from each other, too.
    for seed in 0..40 {
        let policy = policy(seed);
        assert_eq!(compile(&policy).to_string(), compile(&policy.clone()).to_string());
    }
}
