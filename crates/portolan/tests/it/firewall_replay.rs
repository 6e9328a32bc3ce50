//! `portolan firewall replay` and `tighten`: observed flows against rules.

use std::fs;
use std::net::UdpSocket;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::lab::Lab;
use crate::support::{Netns, Program, Ran, require_root};

const SAVE: &str = "*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT
-A INPUT -p udp -m udp --dport 123 -m limit --limit 1/sec -j ACCEPT
-A INPUT -p tcp -m tcp --dport 8000:9000 -j ACCEPT
COMMIT
";

const FLOWS: &str = "transport,src,sport,dst,dport,in
tcp,192.0.2.8,40000,10.0.0.1,22,eth0
tcp,192.0.2.9,40000,10.0.0.1,22,eth0
tcp,198.51.100.4,40000,10.0.0.1,443,eth0
udp,198.51.100.4,40000,10.0.0.1,53,eth0
";

/// Rules and flows in a folder of their own.
struct Case {
    folder: TempDir,
}

impl Case {
    fn new(flows: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("rules"), SAVE).unwrap();
        fs::write(folder.path().join("flows"), flows).unwrap();
        Self { folder }
    }

    fn run(&self, line: &str) -> Ran {
        Program::line(&format!("firewall {line}")).folder(self.folder.path()).run()
    }
}

#[test]
fn flows_that_are_refused_are_counted_by_port_with_an_example() {
    let case = Case::new(FLOWS);
    let ran = case.run("replay --flows flows --rules rules").expect_code(1);
    assert!(
        ran.stdout.starts_with("4 flows: 3 accepted, 1 refused, 0 depending"),
        "{}",
        ran.stdout
    );
    let question = "firewall simulate udp 198.51.100.4:40000 10.0.0.1:53 --in eth0";
    assert!(ran.stdout.contains(question), "{}", ran.stdout);
    case.run(&format!("simulate {} --rules rules", &question["firewall simulate ".len()..]))
        .expect_code(1);
}

/// A table as hosts have it: connections that exist, pings, neighbours; nothing else.
const STATEFUL: &str = "table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        icmp type echo-request accept
        icmpv6 type nd-neighbor-solicit accept
        tcp dport 22 accept
    }
}
";

#[test]
fn errors_and_answers_of_icmp_belong_to_a_connection_and_are_never_refused() {
    let message = |name: &str, kind| match name {
        "icmp" => format!("icmp,192.0.2.8,{kind},10.0.0.1,0,eth0\n"),
        _ => format!("icmpv6,fe80::7,{kind},fe80::1,0,eth0\n"),
    };
    let four = [3, 0, 5, 11, 12, 8].map(|kind| message("icmp", kind)).concat();
    let six = [1, 2, 3, 4, 129, 135].map(|kind| message("icmpv6", kind)).concat();
    let case = Case::new(&(four + &six + "tcp,192.0.2.8,40000,10.0.0.1,22,eth0\n"));
    fs::write(case.folder.path().join("table.nft"), STATEFUL).unwrap();
    let told = case.run("replay --flows flows --rules table.nft --json").expect_code(0).json();
    assert_eq!((&told["flows"], &told["accepted"]), (&3.into(), &3.into()), "{told}");
    assert_eq!((&told["refused"], &told["of_connections"]), (&0.into(), &10.into()), "{told}");
    let text = case.run("replay --flows flows --rules table.nft").expect_code(0).stdout;
    assert!(text.contains("10 more are errors or answers of ICMP"), "{text}");
    // 1: it narrows.
    let told = case.run("tighten --flows flows --rules table.nft --json").expect_code(1).json();
    assert_eq!((&told["refused"], &told["unjudged"]), (&Value::Array(vec![]), &12.into()));
}

#[test]
fn neighbours_of_icmp_fare_as_they_are_simulated() {
    let six = [135, 143, 128, 134].map(|kind| format!("icmpv6,fe80::7,{kind},fe80::1,0,eth0\n"));
    let case = Case::new(&six.concat());
    let open = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 134 -j DROP\nCOMMIT\n";
    fs::write(case.folder.path().join("open"), open).unwrap();
    let told = case.run("replay --flows flows --rules v6:open --json").expect_code(1).json();
    assert_eq!((&told["accepted"], &told["refused"]), (&3.into(), &1.into()), "{told}");
    assert_eq!(told["refused_by_port"][0]["example"]["sport"], 134);
    // What is not tracked is of no connection; a rule for those that exist lets none of it in.
    let told = case.run("replay --flows flows --rules v6:rules --json").expect_code(1).json();
    assert_eq!((&told["accepted"], &told["refused"]), (&0.into(), &4.into()), "{told}");
}

#[test]
fn the_next_step_asks_the_same_rules_and_can_be_pasted() {
    let case = Case::new("udp,198.51.100.4,40000,10.0.0.1,53,eth0\n");
    fs::write(case.folder.path().join("my rules"), SAVE).unwrap();
    let paste = |told: &str, lead: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(lead)).expect("a next step");
        let program = env!("CARGO_BIN_EXE_portolan").to_owned();
        let line = line.trim().replacen("portolan", &program, 1);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &line]).current_dir(case.folder.path()).output().unwrap()
    };
    let run = |words: &[&str]| Program::new(words).folder(case.folder.path()).run();
    let rules = ["--rules", "my rules", "--local", "10.0.0.1/24"];
    let ran = run(&[&["firewall", "replay", "--flows", "flows"], &rules[..]].concat());
    let told = ran.expect_code(1).stdout;
    assert!(told.starts_with("1 flow: 0 accepted"), "{told}");
    assert!(told.contains(" --hook input --rules 'my rules' --local 10.0.0.1/24\n"), "{told}");
    let again = paste(&told, "why, rule by rule:");
    assert_eq!(again.status.code(), Some(1), "{told}");
    assert!(String::from_utf8_lossy(&again.stdout).contains("DROP by policy of"), "{again:?}");

    fs::write(case.folder.path().join("flows"), "tcp,192.0.2.8,40000,10.0.0.1,22,eth0\n").unwrap();
    let ran = run(&[&["firewall", "tighten", "--flows", "flows"], &rules[..]].concat());
    let told = ran.expect_code(1).stdout;
    assert!(told.starts_with("1 flow needs:") && told.contains("(1 flow, 1 address)"), "{told}");
    assert_eq!(paste(&told, "the table:").status.code(), Some(1), "{told}");
    require_root!();
    assert_eq!(paste(&told, "a trial:").status.code(), Some(0), "{told}");
}

#[test]
fn the_compact_form_and_log_lines_tell_the_same() {
    let case = Case::new(FLOWS);
    case.run("replay --flows flows --write compact").expect_code(0);
    let told = |flows: &str| {
        let mut told =
            case.run(&format!("replay --flows {flows} --rules rules --json")).expect_code(1).json();
        told.as_object_mut().unwrap().remove("took_ms");
        told
    };
    assert_eq!(told("flows"), told("compact"));
    let lines: String = FLOWS.lines().skip(1).map(as_log_line).collect();
    fs::write(case.folder.path().join("log"), format!("{lines}sshd[1]: hello\n")).unwrap();
    let (mut of_log, of_csv) = (told("log"), told("flows"));
    assert_eq!(of_log["lines_passed_over"], 1);
    of_log["lines_passed_over"] = 0.into();
    assert_eq!(of_log, of_csv);
    // What leaves this machine, or goes through it, is judged as what it is, or not at all.
    let out = "kernel: IN= OUT=eth0 SRC=10.0.0.1 DST=192.0.2.8 PROTO=TCP SPT=40000 DPT=22\n";
    let through =
        "kernel: IN=eth0 OUT=eth1 SRC=192.0.2.8 DST=10.1.0.1 PROTO=TCP SPT=40000 DPT=22\n";
    fs::write(case.folder.path().join("log"), format!("{lines}{out}{through}")).unwrap();
    let mut of_log = told("log");
    assert_eq!(of_log["other_ways"], 2);
    of_log["other_ways"] = 0.into();
    assert_eq!(of_log, of_csv);
    fs::write(case.folder.path().join("log"), out).unwrap();
    let ran = case.run("replay --flows log --rules rules --hook forward").expect_code(2);
    assert!(ran.stderr.contains("none of the 1 packets in log goes this way"), "{}", ran.stderr);
}

fn as_log_line(flow: &str) -> String {
    let f: Vec<&str> = flow.split(',').collect();
    let protocol = f[0].to_uppercase();
    format!(
        "Nov 28 03:00:00 web kernel: seen IN={} OUT= SRC={} DST={} LEN=60 PROTO={protocol} SPT={} DPT={}\n",
        f[5], f[1], f[3], f[2], f[4]
    )
}

#[test]
fn observed_flows_are_not_replaced_by_their_compact_form() {
    let case = Case::new(FLOWS);
    let ran = case.run("replay --flows flows --write ./flows").expect_code(2);
    assert!(ran.stderr.contains("flows holds the observed flows themselves"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(case.folder.path().join("flows")).unwrap(), FLOWS);
}

#[test]
fn a_flow_that_hangs_on_a_limit_depends() {
    let case = Case::new("udp,192.0.2.8,123,10.0.0.1,123,eth0\n");
    let told = case.run("replay --flows flows --rules rules --json").expect_code(3).json();
    assert_eq!((&told["depends"], &told["refused"]), (&1.into(), &0.into()));
}

#[test]
fn a_flow_of_a_family_whose_rules_no_file_tells_is_not_let_through() {
    let case = Case::new(&format!("{FLOWS}tcp,2001:db8::7,40000,2001:db8::1,80,\n"));
    fs::write(case.folder.path().join("six"), SAVE).unwrap();
    let told = case.run("replay --flows flows --rules v4:rules --json").expect_code(1).json();
    assert_eq!((&told["accepted"], &told["depends"]), (&3.into(), &1.into()), "{told}");
    assert_eq!(told["gaps"][0]["what"], "the rules of IPv6");
    let told =
        case.run("replay --flows flows --rules v4:rules v6:six --json").expect_code(1).json();
    assert_eq!((&told["accepted"], &told["depends"]), (&4.into(), &0.into()), "{told}");
    let told = case.run("tighten --flows flows --rules v4:rules").expect_code(2).stderr;
    assert!(told.contains("the rules of IPv6 are in none of the files"), "{told}");
}

#[test]
fn a_line_that_is_no_flow_is_named_with_its_place() {
    let case = Case::new(
        "tcp,192.0.2.8,40000,10.0.0.1,22,eth0\ntcp,192.0.2.8,40000,10.0.0.1,22000000,eth0\n",
    );
    let ran = case.run("replay --flows flows --rules rules").expect_code(2);
    assert!(ran.stderr.contains("flows:2:30: `22000000` is not a port"), "{}", ran.stderr);
    fs::write(case.folder.path().join("flows"), "PTLFLOW1\0\0").unwrap();
    let ran = case.run("replay --flows flows --rules rules").expect_code(2);
    assert!(ran.stderr.contains("cut off"), "{}", ran.stderr);
    fs::write(case.folder.path().join("flows"), "# nothing\n").unwrap();
    let ran = case.run("replay --flows flows --rules rules").expect_code(2);
    assert!(ran.stderr.contains("tells of no flow"), "{}", ran.stderr);
}

#[test]
fn a_tightened_policy_is_proved_and_a_fixed_point() {
    let case = Case::new(FLOWS);
    let told = case.run("tighten --flows flows --rules rules --json").expect_code(1).json();
    assert_eq!(told["proof"]["observed_within_new"], true);
    assert_eq!(told["proof"]["new_within_old"], true);
    assert_eq!(told["needs"].as_array().map(Vec::len), Some(2));
    assert_eq!(told["needs"][0]["sources"], serde_json::json!(["192.0.2.8/31"]));
    let unused: Vec<&Value> =
        told["unused"].as_array().unwrap().iter().map(|u| &u["index"]).collect();
    assert_eq!(unused, [1, 4, 5]);

    fs::write(case.folder.path().join("narrow.nft"), told["nft"].as_str().unwrap()).unwrap();
    require_root!();
    let again =
        case.run("tighten --flows flows --rules rules narrow.nft --json").expect_code(0).json();
    assert_eq!(again["nft"], told["nft"]);
    assert_eq!(again["narrows"], false);
    let neighbour = "simulate tcp 192.0.2.10:40000 10.0.0.1:22 --in eth0";
    case.run(&format!("{neighbour} --rules rules")).expect_code(0);
    case.run(&format!("{neighbour} --rules rules --rules narrow.nft")).expect_code(1);
}

#[test]
fn the_kernel_takes_the_tightened_table_and_takes_it_twice() {
    require_root!();
    let case = Case::new(&format!("{FLOWS}tcp,2001:db8::7,40000,2001:db8::1,80,\n"));
    fs::write(case.folder.path().join("six"), SAVE).unwrap();
    let script =
        case.run("tighten --flows flows --rules v4:rules v6:six --nft").expect_code(1).stdout;
    let namespace = Netns::new();
    fs::write(case.folder.path().join("script"), script).unwrap();
    for _ in 0..2 {
        let file = fs::File::open(case.folder.path().join("script")).unwrap();
        let mut nft = namespace.command("nft");
        let output = nft.args(["-f", "-"]).stdin(Stdio::from(file)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(namespace.output("nft list tables").contains("portolan_tightened"));
}

#[test]
fn connections_of_this_machine_s_own_making_are_none_that_came_in() {
    require_root!();
    let host = Netns::new();
    host.ip("link set lo up");
    host.ip("addr add 10.9.0.1/24 dev lo");
    // Rules that ask for the state switch conntrack on.
    for rule in ["add table t", "add chain t o { type filter hook output priority 0; }"] {
        host.output(&format!("nft {rule}"));
    }
    host.output("nft add rule t o ct state new accept");
    host.enter(|| UdpSocket::bind("10.9.0.1:0").unwrap().send_to(b"x", "10.9.0.2:53").unwrap());
    for command in ["replay", "tighten"] {
        let line = format!("firewall {command} --flows conntrack");
        let ran = Program::line(&line).inside(&host).run().expect_code(2);
        let told = "none of the 1 connections of the kernel's table goes this way";
        assert!(ran.stderr.contains(told), "{command}: {}", ran.stderr);
    }
}

#[test]
fn flows_that_need_nothing_make_no_table() {
    let case =
        Case::new("transport,src,sport,dst,dport,in\nudp,198.51.100.4,40000,10.0.0.1,53,eth0\n");
    let ran = case.run("tighten --flows flows --rules rules --nft").expect_code(2);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("would refuse every new connection"), "{}", ran.stderr);
}

const PUBLISHED: &str = "table ip n { chain pre { type nat hook prerouting priority -100
 tcp dport 8080 dnat to 10.78.0.2:80
 tcp dport 8443 dnat to 10.78.0.2:443
 tcp dport 9090 redirect to :22
}
}
table ip f { chain onward { type filter hook forward priority 0; policy drop
 ct state established accept
 iifname far accept
 ip daddr 10.78.0.2 tcp dport { 80, 443 } accept
}
}
";

#[test]
fn a_published_port_is_tightened_to_who_came_and_what_goes_out_is_left_alone() {
    require_root!();
    let lab = Lab::new();
    let _inside = lab.dst.python("listener('0.0.0.0:80')\nlistener('0.0.0.0:443')");
    let _own = lab.rtr.listen("0.0.0.0:22");
    let _outside = lab.src.listen("0.0.0.0:7");
    lab.src.ip("address add 10.77.0.9/24 dev eth0");
    lab.rtr.rules(PUBLISHED);
    let connects = |from: &Netns, by: &str, to: &str, port: u16| {
        let script = format!(
            "s = socket.socket(); s.settimeout(.9); s.bind(('{by}', 0))\n\
             try: s.connect(('{to}', {port})); print(1)\nexcept OSError: print(0)"
        );
        from.python(&script).said.trim() == "1"
    };
    let (rtr, src) = ("10.77.0.254", "10.77.0.1");
    let folder = TempDir::new().unwrap();
    let flows = format!("tcp,{src},40000,{rtr},8080,near\ntcp,{src},40000,{rtr},9090,near\n");
    fs::write(folder.path().join("flows"), flows).unwrap();
    let tighten = || {
        let line = "firewall tighten --flows flows --json";
        Program::line(line).folder(folder.path()).inside(&lab.rtr).run()
    };
    let told = tighten().expect_code(1).json();
    let hooks: Vec<&Value> =
        told["needs"].as_array().unwrap().iter().map(|need| &need["hook"]).collect();
    assert_eq!(hooks, ["input", "forward"], "{told:#}");
    assert_eq!(told["needs"][1]["ports"], serde_json::json!(["8080/tcp"]));
    let proof = &told["proof"];
    assert_eq!(
        (&proof["observed_within_new"], &proof["new_within_old"]),
        (&true.into(), &true.into())
    );
    assert_eq!(proof["hooks"][1]["hook"], "forward");
    let unused: Vec<&str> =
        told["unused"].as_array().unwrap().iter().filter_map(|u| u["text"].as_str()).collect();
    assert!(unused.iter().any(|text| text.contains("dnat to 10.78.0.2:443")), "{unused:?}");

    for (by, port) in [("10.77.0.9", 8080), (src, 8443), (src, 8080), (src, 9090)] {
        assert!(connects(&lab.src, by, rtr, port), "{by} {port} before");
    }
    lab.rtr.rules(told["nft"].as_str().unwrap());
    for (by, port, expected) in
        [("10.77.0.9", 8080, false), (src, 8443, false), (src, 8080, true), (src, 9090, true)]
    {
        assert_eq!(connects(&lab.src, by, rtr, port), expected, "{by} {port} after");
    }
    assert!(connects(&lab.dst, "10.78.0.2", src, 7), "what a container begins is not judged");
    let again = tighten().expect_code(0).json();
    assert_eq!((&again["nft"], &again["narrows"]), (&told["nft"], &false.into()));
}
