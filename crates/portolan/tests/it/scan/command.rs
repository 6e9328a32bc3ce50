//! What is asked of a scan, and the forms in which it answers.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::lab::{DST, Lab, NEAR, Pair, SRC, udp_services};
use crate::support::{Netns, Program, eventually, require_root, skip};

/// The lines of one kind.
fn lines(text: &str, kind: &str) -> Vec<Value> {
    let all = text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    all.filter(|line| line["kind"] == kind).collect()
}

/// `ADDRESS PORT STATE` of every result.
fn states(results: &[Value]) -> Vec<String> {
    let one = |r: &Value| {
        let word = |key: &str| r[key].as_str().unwrap().to_owned();
        format!("{} {} {}", word("ip"), r["port"], word("state"))
    };
    let mut states: Vec<String> = results.iter().map(one).collect();
    states.sort();
    states
}

/// A namespace of its own with a listener on 127.0.0.1:22 and ::1:22.
fn here() -> (Netns, [crate::support::Server; 2]) {
    let ns = Netns::new();
    let listeners = [ns.listen("127.0.0.1:22"), ns.listen("[::1]:22")];
    (ns, listeners)
}

#[test]
fn both_families_of_a_name_are_scanned_in_one_run() {
    require_root!();
    let (ns, _listeners) = here();
    let scan = |line: &str| Program::line(line).inside(&ns).run().expect_code(0);
    let both = scan("scan 127.0.0.1 ::1 -p 22-23 --json").json();
    let expected = ["127.0.0.1 22 open", "127.0.0.1 23 closed", "::1 22 open", "::1 23 closed"];
    assert_eq!(states(both["results"].as_array().unwrap()), expected);
    assert_eq!(both["hosts"].as_array().unwrap().len(), 2);
    let six = scan("scan 127.0.0.1 ::1 -6 -p 22-23 --json").json();
    assert_eq!(states(six["results"].as_array().unwrap()), expected[2..]);
    let named = scan("scan localhost -4 -p 22 --json").json();
    assert_eq!(named["results"][0]["hostname"], "localhost");
    let numeric = scan("scan localhost -4 -p 22 --json -n").json();
    assert_eq!(numeric["results"][0]["hostname"], Value::Null);
}

#[test]
fn targets_come_from_files_standard_input_and_the_inventory() {
    require_root!();
    let (ns, _listeners) = here();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hosts"), "127.0.0.1 # here\n\n127.0.0.3-4\n").unwrap();
    fs::write(folder.path().join("bad"), "127.0.0.1\n  127.0.0.300 # no\n").unwrap();
    let inventory = "portolan = 1\n[hosts.a]\naddress = [\"127.0.0.7\"]\ngroups = [\"g\"]\n\
                     [hosts.b]\naddress = [\"127.0.0.8\"]\ngroups = [\"g\"]\nprobe = \"never\"\n";
    fs::write(folder.path().join("portolan.toml"), inventory).unwrap();
    let program = |line: &str| Program::line(line).inside(&ns).folder(folder.path());
    let found = |line: &str| {
        let ran = program(line).input("127.0.0.9").run().expect_code(0);
        let results = lines(&ran.stdout, "port");
        results.iter().map(|r| r["ip"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let set = |addresses: &[&str]| addresses.iter().map(|a| (*a).to_owned()).collect();
    assert_eq!(
        found("scan @hosts -p 1 --jsonl --exclude 127.0.0.3"),
        set(&["127.0.0.1", "127.0.0.4"])
    );
    assert_eq!(found("scan - -p 1 --jsonl"), set(&["127.0.0.9"]));
    assert_eq!(found("scan a -p 1 --jsonl"), set(&["127.0.0.7"]));
    let group = program("scan @g -p 1 --jsonl").run().expect_code(0);
    assert_eq!(lines(&group.stdout, "port").len(), 1, "{}", group.stdout);
    assert_eq!(lines(&group.stdout, "port")[0]["hostname"], "a");
    assert_eq!(lines(&group.stdout, "summary")[0]["gaps"][0]["why"], "not-looked");
    let bad = program("scan @bad").run().expect_code(2);
    assert!(bad.stderr.contains("bad:2:3: `127.0.0.300`"), "{}", bad.stderr);
    assert!(bad.stderr.contains("^^^^^^^^^^^"), "{}", bad.stderr);
}

#[test]
fn public_addresses_want_leave_or_a_name_in_the_inventory() {
    let refused = Program::line("scan 198.51.100.7 10.0.0.1").run().expect_code(2);
    assert!(refused.stderr.contains("198.51.100.7 is public"), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: "), "{}", refused.stderr);
    require_root!();
    let ns = Netns::new();
    let folder = tempfile::tempdir().unwrap();
    let program = |line: &str| Program::line(line).inside(&ns).folder(folder.path());
    // Nothing leads there: it is the wish that counts.
    program("scan 198.51.100.7 -p 1 --public").run().expect_code(3);
    let inventory = "portolan = 1\n[hosts.a]\naddress = [\"198.51.100.7\"]\n";
    fs::write(folder.path().join("portolan.toml"), inventory).unwrap();
    program("scan 198.51.100.7 -p 1").run().expect_code(3);
    ns.ip("address add 203.0.113.1/24 dev lo");
    program("scan 203.0.113.1 -p 1").run().expect_code(0);
}

#[test]
fn what_cannot_be_scanned_is_refused_with_the_way_out() {
    for (line, told) in [
        ("scan 10.0.0.1:80", "names a port"),
        ("scan https://x", "is a URL"),
        ("scan fd00::/64", "too many targets"),
        ("scan 10.0.0.0/8 -p all,u:all", "are too many"),
        ("scan 10.0.0.1 -p s:22", "sctp ports cannot be scanned"),
        ("scan 10.0.0.1 -p 70000", "-p:"),
        ("scan 10.0.0.1 -p u:top:200", "-p: top:200 is more than is ranked"),
        ("scan 10.0.0.1 --exclude 10.0.0.0/8", "no target is left"),
        ("scan fe80::1%eth0 fe80::2%eth1", "targets on eth0 and on eth1"),
        ("scan fe80::1", "fe80::1 is link-local"),
        ("scan 10.0.0.1 --resume state", "--resume needs a form"),
        ("scan 10.0.0.1 --json --csv", "the results have one form"),
        ("scan 10.0.0.1 --shard 1/3", "--seed"),
        ("scan 10.0.0.1 --rate 0", "probes a second"),
        ("scan name.invalid", "cannot scan the host name.invalid"),
    ] {
        let ran = Program::line(line).run().expect_code(2);
        assert!(ran.stderr.contains(told), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains("hint: ") || ran.stderr.contains("Usage: "), "{}", ran.stderr);
        assert_eq!(ran.stdout, "", "{line}");
    }
}

#[test]
fn a_table_shows_what_is_open_and_counts_the_rest() {
    require_root!();
    let lab = Lab::new();
    let _open = lab.dst.listen_on([22, 80]);
    lab.dst.filter_input("tcp dport 82 drop");
    lab.rtr.filter_forward("tcp dport 91 reject with icmpx type admin-prohibited");
    let line = format!("scan {DST} -p 22,80-91");
    let ran = Program::line(&line).inside(&lab.src).run().expect_code(0);
    for told in [
        "  22/tcp  open",
        "  80/tcp  open",
        "  9 tcp closed (refused): 81,83-90",
        "  1 tcp filtered (timed out): 82",
        "  1 tcp filtered (prohibited), icmp-3-13, from 10.77.0.254: 91",
        "1 host with 13 ports: 2 open, 9 closed, 2 filtered",
    ] {
        assert!(ran.stdout.contains(told), "{told}\n{}", ran.stdout);
    }
    assert!(ran.stdout.lines().all(|l| l.chars().count() <= 80), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");
}

#[test]
fn hosts_that_never_answer_share_a_line() {
    require_root!();
    let lab = Lab::new();
    lab.rtr.ip("route add blackhole 10.79.0.0/24");
    let line = "scan 10.79.0.0/29 10.78.0.2 -p 1-2";
    let ran = Program::line(line).inside(&lab.src).run().expect_code(0);
    assert!(ran.stdout.contains("8 hosts never answered: 10.79.0.0/29"), "{}", ran.stdout);
    let alone = Program::line("scan 10.79.0.1 -p 1 --json").inside(&lab.src).run().expect_code(0);
    let alone = alone.json();
    assert_eq!(alone["results"][0]["miss_probability"], Value::Null);
    let remark = alone["summary"]["remarks"][0].as_str().unwrap();
    assert!(remark.contains("host never answered"), "{remark}");
}

/// A scan of a host that drops everything: it takes a while.
fn slow(pair: &Pair) -> String {
    pair.dst.filter_input("tcp dport 1-20000 drop");
    format!("scan {NEAR} -p 1-20000,30000-30100 --rate 2000")
}

/// Whether a process has taken a signal into its own hands.
fn catches(pid: Pid, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 1 << (signal.as_raw() - 1) != 0
}

#[test]
fn a_signal_ends_it_with_all_that_is_known() {
    require_root!();
    let pair = Pair::new();
    let _open = pair.dst.listen_on([30001]);
    let line = slow(&pair);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut command = Program::line(&line).arg("--json").inside(&pair.src).command();
        let child = command.spawn().unwrap();
        let pid = Pid::from_child(&child);
        eventually("it listens to signals", || catches(pid, signal));
        kill_process(pid, signal).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(code));
        let document: Value = serde_json::from_slice(&ended.stdout).unwrap();
        assert_eq!(document["summary"]["interrupted"], true);
        let results = document["results"].as_array().unwrap();
        assert!(results.iter().any(|r| r["reason"] == "not-finished"), "{}", results.len());
    }
}

#[test]
fn a_reader_that_has_gone_ends_it_as_the_signal_would() {
    require_root!();
    let (ns, _listeners) = here();
    let line = "scan 127.0.0.1 -p all --jsonl";
    let mut child = Program::line(line).inside(&ns).command().spawn().unwrap();
    let mut some = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let ended = child.wait_with_output().unwrap();
    // Not 0, which says that every port has its answer.
    assert_eq!(ended.status.code(), Some(141));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

#[test]
fn a_budget_ends_it_with_3_and_the_rest_unknown() {
    require_root!();
    let pair = Pair::new();
    let line = slow(&pair);
    let ran = Program::line(&line).arg("--budget").arg("1s").arg("--json").inside(&pair.src).run();
    let document = ran.expect_code(3).json();
    let unknown = document["summary"]["unknown"].as_u64().unwrap();
    let left = document["summary"]["not_begun"].as_u64().unwrap();
    assert!(unknown + left > 1000, "{}", document["summary"]);
}

#[test]
fn three_parts_are_the_whole_and_share_nothing() {
    require_root!();
    let (ns, _listeners) = here();
    let scan = |rest: &str| {
        let line = format!("scan 127.0.0.0/28 -p 20-120 --seed 7 --jsonl{rest}");
        states(&lines(&Program::line(&line).inside(&ns).run().expect_code(0).stdout, "port"))
    };
    let mut parts: Vec<String> =
        ["1/3", "2/3", "3/3"].iter().flat_map(|part| scan(&format!(" --shard {part}"))).collect();
    parts.sort();
    assert_eq!(parts, scan(""));
}

/// All results in a file, and whether its last line is whole.
fn kept(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "a torn line was left: {text:?}");
    lines(&text, "port")
}

#[test]
fn a_killed_scan_goes_on_where_its_output_ends() {
    require_root!();
    let pair = Pair::new();
    let _open = pair.dst.listen_on([22, 1500]);
    let folder = tempfile::tempdir().unwrap();
    let (state, out) = (folder.path().join("state"), folder.path().join("out"));
    let line = format!("scan {NEAR} -p 1-2000 --jsonl --resume state -o out");
    let program =
        |rate: &str| Program::line(&format!("{line} {rate}")).inside(&pair.src).folder(&folder);
    let mut child = program("--rate 1000").command().stdout(Stdio::null()).spawn().unwrap();
    let journal = || fs::read_to_string(&state).unwrap_or_default().lines().count();
    eventually("the scan is under way", || journal() > 3);
    child.kill().unwrap();
    child.wait().unwrap();
    let before = kept(&out).len();
    assert!((1..2000).contains(&before), "{before}");
    // As if it had been killed while it wrote.
    for (path, torn) in [(&state, "19"), (&out, "{\"kind\":\"po")] {
        let text = fs::read_to_string(path).unwrap();
        fs::write(path, text + torn).unwrap();
    }
    let resumed = program("").run().expect_code(0);
    assert!(resumed.stderr.contains("1 host with 2,000 ports"), "{}", resumed.stderr);
    let all = kept(&out);
    let ports: BTreeSet<u64> = all.iter().map(|r| r["port"].as_u64().unwrap()).collect();
    assert_eq!(ports.len(), 2000);
    // What was found but not yet noted when it was killed is found twice.
    assert!(all.len() < 2000 + 1000, "{}", all.len());
    let open: BTreeSet<u64> =
        all.iter().filter(|r| r["state"] == "open").map(|r| r["port"].as_u64().unwrap()).collect();
    assert_eq!(open, BTreeSet::from([22, 1500]));
    let again = program("").run().expect_code(0);
    assert!(again.stderr.contains("everything was done already"), "{}", again.stderr);
    assert_eq!(kept(&out).len(), all.len());
    let other = Program::line(&line.replace("1-2000", "1-2001")).inside(&pair.src).folder(&folder);
    let other = other.run().expect_code(2);
    assert!(other.stderr.contains("is of a scan with other ports"), "{}", other.stderr);
}

#[test]
fn a_full_disk_is_named() {
    let ran = Program::line("scan 127.0.0.1 -p 1 --jsonl -o /dev/full").run().expect_code(2);
    assert!(ran.stderr.starts_with("error: write the results: No space"), "{}", ran.stderr);
}

#[test]
fn broadcast_addresses_of_our_own_networks_are_no_hosts() {
    require_root!();
    let pair = Pair::new();
    let scan = |line: &str| Program::line(line).inside(&pair.src).run();
    let ran = scan("scan 10.76.0.252/30 -p 1 --jsonl").expect_code(0);
    let asked: Vec<Value> = lines(&ran.stdout, "port");
    assert_eq!(states(&asked).len(), 3, "{}", ran.stdout);
    assert!(ran.stdout.contains("10.76.0.255, the broadcast address of"), "{}", ran.stdout);
    scan("scan 10.76.0.255 -p 1").expect_code(2);
}

#[test]
fn results_in_a_file_leave_the_summary_on_standard_error() {
    require_root!();
    let (ns, _listeners) = here();
    let folder = tempfile::tempdir().unwrap();
    let line = "scan 127.0.0.1 -p 22 -o out --csv";
    let ran = Program::line(line).inside(&ns).folder(&folder).run().expect_code(0);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.starts_with("1 host with 1 port: 1 open\n"), "{}", ran.stderr);
    let text = fs::read_to_string(folder.path().join("out")).unwrap();
    let rows: Vec<&str> = text.lines().collect();
    assert!(rows[0].starts_with("ip,port,transport,state,reason,from,tries,"), "{text}");
    assert!(rows[1].starts_with("127.0.0.1,22,tcp,open,syn-ack,127.0.0.1,1,"), "{text}");
}

/// What an importer sees, one port a line.
const IMPORT: &str = "
import sys
from libnmap.parser import NmapParser
report = NmapParser.parse_fromfile(sys.argv[1])
print(report.hosts_up, report.hosts_total)
for host in sorted(report.hosts, key=lambda host: host.address):
    for service in sorted(host.services, key=lambda service: (service.protocol, service.port)):
        print(host.address, host.status, *host.hostnames, service.protocol, service.port,
              service.state, service.reason, service.service)
";

#[test]
fn importers_of_nmap_xml_read_ours() {
    require_root!();
    let lab = Lab::new();
    let _open = lab.dst.listen_on([22]);
    let _udp = udp_services(&lab.dst);
    lab.dst.filter_input("tcp dport 82 drop");
    lab.rtr.ip("route add blackhole 10.79.0.0/24");
    let folder = tempfile::tempdir().unwrap();
    let line = format!("scan {DST} 10.79.0.1 -p 22,81-82,u:53,6000 --nmap-xml -o out.xml");
    Program::line(&line).inside(&lab.src).folder(&folder).run().expect_code(0);
    let out = folder.path().join("out.xml");
    let parse = "import sys, xml.dom.minidom as dom; dom.parse(sys.argv[1])";
    let parsed = Command::new("python3").args(["-c", parse]).arg(&out).output().unwrap();
    assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
    let python = concat!(env!("CARGO_TARGET_TMPDIR"), "/../python");
    if !Path::new(python).join("libnmap").exists() {
        skip!("python-libnmap is not there: scripts/setup installs it");
    }
    let import = Command::new("python3")
        .args(["-c", IMPORT])
        .arg(&out)
        .env("PYTHONPATH", python)
        .output()
        .unwrap();
    let read = String::from_utf8_lossy(&import.stdout);
    let expected = "\
1 2
10.78.0.2 up tcp 22 open syn-ack ssh
10.78.0.2 up tcp 81 closed reset \n10.78.0.2 up tcp 82 filtered no-response xfer
10.78.0.2 up udp 53 open udp-reply domain
10.78.0.2 up udp 6000 open|filtered no-response x11
10.79.0.1 down tcp 22 filtered no-response ssh
10.79.0.1 down tcp 81 filtered no-response \n10.79.0.1 down tcp 82 filtered no-response xfer
10.79.0.1 down udp 53 open|filtered no-response domain
10.79.0.1 down udp 6000 open|filtered no-response x11
";
    assert_eq!(read, expected, "{}", String::from_utf8_lossy(&import.stderr));
}

#[test]
fn the_source_may_be_chosen_and_must_be_ours() {
    require_root!();
    let lab = Lab::new();
    let scan = |rest: &str| Program::line(&format!("scan {DST} -p 22 {rest}")).inside(&lab.src);
    scan(&format!("--source {SRC} --interface eth0")).run().expect_code(0);
    let foreign = Ipv4Addr::new(10, 77, 0, 99);
    let ran = scan(&format!("--source {foreign}")).run().expect_code(2);
    assert!(ran.stderr.contains("--source takes an address of this machine"), "{}", ran.stderr);
    let ran = scan("--interface eth9").run().expect_code(2);
    assert!(ran.stderr.contains("--interface one of its interfaces"), "{}", ran.stderr);
}
