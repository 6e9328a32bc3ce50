//! What is read from the kernel's rules is what packets do: chains of devices, maps, rewritten packets.

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::support::lab::{Lab, Pair, RTR};
use crate::support::{Netns, Program, eventually, require_root};

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 76, 0, 2));

fn connects(from: &Netns, to: IpAddr, port: u16) -> bool {
    let limit = Duration::from_millis(900);
    from.enter(|| TcpStream::connect_timeout(&SocketAddr::new(to, port), limit).is_ok())
}

fn simulated(host: &Netns, words: &str) -> Value {
    let run = Program::line(&format!("firewall simulate {words} --json")).inside(host).run();
    run.json()
}

/// The verdict, and whether it is certain.
fn told(host: &Netns, words: &str) -> (String, bool) {
    let report = simulated(host, words);
    let verdict = report["verdict"].as_str().unwrap_or_else(|| panic!("{report}")).to_owned();
    (verdict, report["certain"].as_bool() == Some(true))
}

fn answer(host: &Netns, words: &str) -> String {
    let report = Program::line(&format!("reach {words} --json")).inside(host).run().json();
    report["answer"].as_str().unwrap_or_else(|| panic!("{report}")).to_owned()
}

const INGRESS: &str = r#"table netdev n {
    chain i {
        type filter hook ingress device "eth0" priority 0; policy accept;
        tcp dport 80 drop
    }
    chain other { type filter hook ingress device "lo" priority 0; policy drop; }
}
table inet n {
    chain i {
        type filter hook ingress device "eth0" priority 0; policy accept;
        tcp dport 81 drop
    }
}
"#;

#[test]
fn chains_of_a_device_take_its_packets_before_all_others() {
    require_root!();
    let pair = Pair::new();
    pair.dst.rules(INGRESS);
    let _listening = pair.dst.listen_on([80, 81, 82]);
    for (port, comes) in [(80, false), (81, false), (82, true)] {
        assert_eq!(connects(&pair.src, HOST, port), comes, "{port}");
        let verdict = if comes { "accept" } else { "drop" };
        let words = format!("tcp 10.76.0.1 10.76.0.2:{port} --in eth0");
        assert_eq!(told(&pair.dst, &words), (verdict.to_owned(), true), "{port}");
        let reached = answer(&pair.dst, &format!("{port}/tcp --from 10.76.0.1"));
        assert_eq!(reached == "yes", comes, "{port}: {reached}");
    }
    // A file in which the devices stand, loaded apart; a saved listing, in which nft leaves them out.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.nft"), INGRESS.replace("eth0", "lo")).unwrap();
    fs::write(folder.path().join("saved"), pair.dst.output("nft -j list ruleset")).unwrap();
    let simulate = |words: &str| {
        let line = format!("firewall simulate --rules {words} --json");
        Program::line(&line).folder(&folder).run().json()
    };
    let loaded = simulate("rules.nft tcp 10.76.0.1 10.76.0.2:80 --in eth0");
    assert_eq!(loaded["verdict"], "accept", "{loaded}");
    let saved = simulate("saved tcp 10.76.0.1 10.76.0.2:80 --in eth0");
    if saved["certain"] == true {
        return; // newer versions of nft print the devices
    }
    assert_eq!(saved["verdict"], "drop", "{saved}");
    assert!(saved["notes"].to_string().contains("the device of chain netdev n i"), "{saved}");
}

#[test]
fn a_named_map_of_addresses_and_ports_translates() {
    require_root!();
    let lab = Lab::new();
    let _inside = lab.dst.listen_on([80]);
    let _here = lab.rtr.listen_on([22]);
    lab.rtr.rules(
        "table ip n {
            map m { type inet_service : ipv4_addr . inet_service
                elements = { 8081 : 10.78.0.2 . 80, 8082 : 10.77.0.254 . 22 } }
            chain p { type nat hook prerouting priority -100; dnat to tcp dport map @m; }
        }",
    );
    for (port, to) in [(8081, "10.78.0.2"), (8082, "10.77.0.254")] {
        assert!(connects(&lab.src, RTR, port));
        let report = simulated(&lab.rtr, &format!("tcp 10.77.0.1 10.77.0.254:{port} --in near"));
        assert_eq!(report["verdict"], "accept", "{report}");
        assert_eq!(report["packet"]["dst"], to, "{report}");
    }
    assert!(told(&lab.rtr, "tcp 10.77.0.1 10.77.0.254:8083 --in near").1);
}

const REWRITING: &str = "*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 80 -j DSCP --set-dscp 0x2e
-A PREROUTING -p tcp -m tcp --dport 81 -j TTL --ttl-set 7
-A PREROUTING -p tcp -m tcp --dport 82 -j TOS --set-tos 0x10/0xff
-A PREROUTING -p tcp -m tcp --dport 83 -j TTL --ttl-inc 1
COMMIT
*filter
:INPUT ACCEPT [0:0]
-A INPUT -m dscp --dscp 0x2e -j DROP
-A INPUT -m ttl --ttl-eq 7 -j DROP
-A INPUT -m tos --tos 0x10/0xff -j DROP
-A INPUT -p tcp -m tcp --dport 83 -m ttl --ttl-eq 65 -j DROP
COMMIT
";

#[test]
fn what_targets_write_into_a_packet_is_seen_by_the_rules_behind() {
    require_root!();
    let pair = Pair::new();
    let mut command = pair.dst.command("iptables-nft-restore");
    let mut child = command.stdin(Stdio::piped()).spawn().expect("nsenter is installed");
    child.stdin.take().expect("it is piped").write_all(REWRITING.as_bytes()).expect("it reads");
    assert!(child.wait().expect("it ends").success());
    let _listening = pair.dst.listen_on([80, 81, 82, 83, 84]);
    for (port, comes, is_certain) in [
        (80, false, true),
        (81, false, true),
        (82, false, true),
        // How many hops are left after adding to what is not known here is not worked out.
        (83, false, false),
        (84, true, true),
    ] {
        assert_eq!(connects(&pair.src, HOST, port), comes, "{port}");
        let (verdict, certain) =
            told(&pair.dst, &format!("tcp 10.76.0.1 10.76.0.2:{port} --in eth0"));
        assert_eq!((verdict == "accept", certain), (comes, is_certain), "{port}: {verdict}");
        let reached = answer(&pair.dst, &format!("{port}/tcp --from 10.76.0.1"));
        // What the rules write is the same for all; else another sender may write what is dropped.
        let expected = if port < 83 { "no" } else { "depends" };
        assert_eq!(reached, expected, "{port}");
    }
}

#[test]
fn packets_of_a_bridge_depend_on_its_tables_and_others_do_not() {
    require_root!();
    let lab = Lab::new();
    lab.rtr.ip("link add br0 type bridge");
    lab.rtr.ip("link set far master br0");
    lab.rtr.ip("link set br0 up");
    lab.rtr.ip("address del 10.78.0.254/24 dev far");
    lab.rtr.ip("address add 10.78.0.254/24 dev br0");
    lab.rtr.rules(
        "table bridge n {
            chain o { type filter hook output priority 0; ip daddr 10.78.0.2 tcp dport 80 drop; }
        }
        table inet f {
            chain i { type filter hook input priority 0; policy accept; tcp dport 99 drop; }
        }",
    );
    let _inside = lab.dst.listen_on([80]);
    assert!(!connects(&lab.src, IpAddr::V4(Ipv4Addr::new(10, 78, 0, 2)), 80));
    let through = simulated(&lab.rtr, "tcp 10.77.0.1 10.78.0.2:80 --in near");
    assert_eq!((&through["verdict"], &through["certain"]), (&"drop".into(), &false.into()));
    assert!(through["depends_on"].to_string().contains("table bridge n"), "{through}");
    assert_eq!(told(&lab.rtr, "tcp 10.77.0.1 10.77.0.254:22 --in near"), ("accept".into(), true));
    let words = "firewall simulate tcp 10.77.0.1 10.78.0.2:80 --in near";
    let worst = Program::line(words).inside(&lab.rtr).run().stdout;
    assert!(worst.contains("at worst: drop by table bridge n, which is not evaluated"), "{worst}");
    let shown = Program::line("firewall show").inside(&lab.rtr).run().expect_code(0).stdout;
    let (ip, frames) = shown.split_once("frames of bridges").expect("a section of its own");
    assert!(ip.contains("inet f i") && frames.contains("bridge n o"), "{shown}");
}

#[test]
fn a_table_of_bridges_is_told_as_what_it_is_where_it_may_keep_somebody_out() {
    require_root!();
    let lab = Lab::new();
    lab.rtr.ip("link add br0 type bridge");
    lab.rtr.ip("link set near master br0");
    lab.rtr.ip("link set br0 up");
    lab.rtr.ip("address del 10.77.0.254/24 dev near");
    lab.rtr.ip("address add 10.77.0.254/24 dev br0");
    let _services = lab.rtr.listen_on([80, 81, 82]);
    let reach = |port: u16| {
        let words = format!("reach {port}/tcp --from 10.77.0.1 --json");
        let told = Program::line(&words).inside(&lab.rtr).run().json();
        let group = &told["ports"][0]["reach"][0]["groups"][0];
        (told["answer"].clone(), group["by"].clone(), group["depends_on"].to_string())
    };
    lab.rtr.rules(
        "table bridge quiet {
            chain i { type filter hook input priority 0; counter; }
        }",
    );
    eventually("the link is up", || connects(&lab.src, RTR, 80));
    assert_eq!(reach(80).0, "yes", "it can end nothing");
    lab.rtr.rules(
        "table bridge n {
            chain i { type filter hook input priority 0; policy accept; tcp dport 80 drop; }
        }
        table inet f {
            chain i { type filter hook input priority 0; policy accept; tcp dport 81 drop; }
        }",
    );
    for (port, comes) in [(80, false), (81, false), (82, true)] {
        assert_eq!(connects(&lab.src, RTR, port), comes, "{port}");
    }
    for port in [80, 82] {
        let (answer, by, why) = reach(port);
        assert_eq!((&answer, &by), (&"depends".into(), &"bridge-table".into()), "{port}: {why}");
        assert!(why.contains("table bridge n, not evaluated, lets it pass"), "{why}");
    }
    let (answer, by, _) = reach(81);
    assert_eq!((answer, by), ("no".into(), "rule-refuses".into()));
    let text = Program::line("reach 80 --from 10.77.0.1").inside(&lab.rtr).run().stdout;
    assert!(text.contains("table bridge n, which is not evaluated, may end it"), "{text}");
}

#[test]
fn legacy_translation_beside_that_of_nft_is_no_certain_answer() {
    require_root!();
    let lab = Lab::new();
    lab.rtr.rules(
        "table ip n {
            chain p { type nat hook prerouting priority -100; tcp dport {8080, 8081} dnat to 10.78.0.2:80; }
            chain f { type filter hook forward priority 0; policy accept; ip daddr 10.78.0.2 tcp dport 81 drop; }
        }",
    );
    lab.rtr.output(
        "iptables-legacy -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 10.78.0.2:81",
    );
    assert_eq!(told(&lab.rtr, "tcp 10.77.0.1 10.77.0.254:8080 --in near"), ("drop".into(), false));
    assert_eq!(told(&lab.rtr, "tcp 10.77.0.1 10.77.0.254:8081 --in near"), ("accept".into(), true));
    let found = Program::line("firewall search --to-port 8080 --from 10.77.0.1 --json");
    let report = found.inside(&lab.rtr).run().json();
    assert!(report.to_string().contains("is asked before ip n p"), "{report}");
    let shown = Program::line("firewall show").inside(&lab.rtr).run().expect_code(0).stdout;
    assert!(shown.contains("empty chains of legacy iptables, policy accept"), "{shown}");
}
