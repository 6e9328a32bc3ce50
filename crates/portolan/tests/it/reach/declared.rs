//! What the audit and the chart make of it, with an inventory.

use std::fs;

use tempfile::TempDir;

use crate::support::lab::{DST, Lab, RTR};
use crate::support::{Netns, Program, Ran, Server, require_root};

use super::{FAR, UFW_AND_DOCKER, connects, iptables, lab};

const INVENTORY: &str = r#"portolan = 1
[networks]
office = "10.77.0.0/24"
lab = "10.50.0.0/16"
[hosts.here]
address = ["10.77.0.254"]
[services.ssh]
on = ["here"]
ports = ["22/tcp"]
from = ["lab"]
[services.db]
on = ["here"]
ports = ["9000/tcp"]
from = ["office"]
[[never]]
ports = ["22/tcp"]
from = ["office"]
"#;

/// The host of the lab with an inventory.
struct Declared {
    lab: Lab,
    folder: TempDir,
    _servers: [Server; 2],
}

impl Declared {
    fn new(inventory: &str, servers: &str) -> Self {
        let (lab, inside) = lab();
        let servers = lab.rtr.python(servers);
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("portolan.toml"), inventory).expect("the folder is ours");
        Self { lab, folder, _servers: [inside, servers] }
    }

    /// The same, with 8080 and 8081 published past ufw.
    fn beside_ufw_and_docker(inventory: &str, servers: &str) -> Self {
        let declared = Self::new(inventory, servers);
        iptables(&declared.lab.rtr, UFW_AND_DOCKER);
        declared
    }

    fn ask(&self, words: &str) -> Ran {
        let line = format!("{words} --host here");
        Program::line(&line).inside(&self.lab.rtr).folder(self.folder.path()).run()
    }
}

#[test]
fn the_audit_holds_the_rules_against_the_inventory() {
    require_root!();
    let servers = "listener('0.0.0.0:22')\nlistener('0.0.0.0:9000')";
    let declared = Declared::beside_ufw_and_docker(INVENTORY, servers);
    let report = declared.ask("audit --json").expect_code(1).json();
    let findings = report["findings"].as_array().expect("findings");
    let of = |rule: &str| -> Vec<&str> {
        let of_rule = findings.iter().filter(|f| f["rule"] == rule);
        of_rule.filter_map(|f| f["subject"].as_str()).collect()
    };
    // The one is published around ufw, the other for this machine alone: neighbours get behind it.
    assert_eq!(of("P108"), ["8080/tcp", "8081/tcp"], "{report:#}");
    assert_eq!(of("P114"), ["9000/tcp"]);
    assert_eq!(of("P115"), ["22/tcp"]);
    assert_eq!(of("P122"), ["22/tcp"]);
    let evidence = |rule: &str| {
        let finding = findings.iter().find(|f| f["rule"] == rule).expect("it is there");
        finding["evidence"].to_string()
    };
    assert!(evidence("P108").contains("ufw-user-input"), "{}", evidence("P108"));
    assert!(evidence("P114").contains("policy drop"), "{}", evidence("P114"));
}

const MANAGED: &str = r#"portolan = 1
[management]
from = ["10.50.0.0/16"]
ports = ["22/tcp"]
[networks]
office = "10.77.0.0/24"
[hosts.here]
address = ["10.77.0.254"]
[services.near]
on = ["here"]
ports = ["8081/tcp"]
"#;

#[test]
fn audit_and_chart_tell_of_neighbours_who_get_behind_a_port_and_know_management() {
    require_root!();
    let servers = "listener('0.0.0.0:22')\nlistener('127.0.0.1:8081')";
    let declared = Declared::beside_ufw_and_docker(MANAGED, servers);
    declared.lab.rtr.output("iptables-nft -t nat -D DOCKER 2");
    assert!(connects(&declared.lab.src, DST, 80));
    let report = declared.ask("audit --json").expect_code(1).json();
    let findings = report["findings"].as_array().expect("findings");
    let told: Vec<(&str, &str)> = findings
        .iter()
        .filter_map(|f| Some((f["rule"].as_str()?, f["subject"].as_str()?)))
        .collect();
    for finding in [("P108", "8081/tcp"), ("P115", "8081/tcp"), ("P115", "22/tcp")] {
        assert!(told.contains(&finding), "{finding:?} of {report:#}");
    }
    assert!(!told.contains(&("P101", "22/tcp")), "{report:#}");
    let of = |rule: &str| findings.iter().find(|f| f["rule"] == rule).expect("it is there");
    assert!(of("P108")["message"].to_string().contains("10.78.0.2:80"), "{report:#}");

    let chart = declared.ask("status --json").expect_code(0).json();
    let row = |port: u16| {
        let ports = chart["ports"].as_array().expect("ports");
        ports.iter().find(|row| row["port"] == port).expect("it is open").clone()
    };
    assert_eq!(row(22)["declared"]["service"], "[management]");
    let reach = row(8081)["reach"].clone();
    let behind = reach.as_array().expect("a list").last().expect("an answer").clone();
    assert_eq!((&behind["source"], &behind["answer"]), (&"office".into(), &"yes".into()));
    let by = behind["by"].as_str().unwrap_or_default();
    assert!(by.starts_with("straight to 10.78.0.2:80"), "{reach:#}");
    let text = declared.ask("status").expect_code(0).stdout;
    assert!(text.contains("what stands behind 8081/tcp"), "{text}");
    assert!(text.contains("[manage"), "{text}");
}

/// 4567 is for whoever comes by far; 8081 is for this machine, and leads to a container.
const BY_INTERFACE: &str = r#"portolan = 1
[networks]
inside = { interface = "far" }
[hosts.here]
address = ["10.77.0.254"]
[services.app]
on = ["here"]
ports = ["4567/tcp"]
from = ["inside"]
[services.near]
on = ["here"]
ports = ["8081/tcp"]
[[never]]
ports = ["4568/tcp"]
from = ["inside"]
"#;

#[test]
fn what_the_audit_says_of_interfaces_is_what_packets_do() {
    require_root!();
    let servers = "listener('0.0.0.0:4567', 64)\nlistener('0.0.0.0:4568', 64)\n\
         listener('127.0.0.1:8081')";
    let declared = Declared::new(BY_INTERFACE, servers);
    let lab = &declared.lab;
    let comes = |from: &Netns, port: u16| [RTR, FAR].into_iter().any(|to| connects(from, to, port));
    let closed = "ip daddr 10.78.0.2 iifname near drop";
    for (rules, forward) in [
        ("", ""),
        ("iifname far tcp dport 4567 accept\n tcp dport 4567-4568 drop", closed),
        (
            "iifname near tcp dport 4567 accept\n tcp dport 4567 drop\n iifname far tcp dport 4568 drop",
            "",
        ),
        ("tcp dport 4567 drop", closed),
        ("ip saddr 10.78.0.0/24 tcp dport 4567 reject", ""),
        ("ip daddr 10.77.0.254 drop", closed),
    ] {
        lab.rtr.output("nft flush ruleset");
        lab.rtr.rules(
            "table ip r {\n chain pre { type nat hook prerouting priority -100
             ip daddr 127.0.0.1 tcp dport 8081 dnat to 10.78.0.2:80\n }\n}",
        );
        lab.rtr.filter_input(rules);
        lab.rtr.filter_forward(forward);
        let report = declared.ask("audit --json").json();
        let findings = report["findings"].as_array().expect("findings");
        let says = |rule: &str, subject: &str| {
            findings.iter().any(|f| f["rule"] == rule && f["subject"] == subject)
        };
        let case = format!("{rules:?} {forward:?}: {findings:#?}");
        assert_eq!(says("P115", "4567/tcp"), comes(&lab.src, 4567), "by near: {case}");
        assert_eq!(says("P114", "4567/tcp"), !comes(&lab.dst, 4567), "by far: {case}");
        assert_eq!(says("P122", "4568/tcp"), comes(&lab.dst, 4568), "never: {case}");
        assert_eq!(says("P108", "8081/tcp"), connects(&lab.src, DST, 80), "behind: {case}");
    }
}

#[test]
fn the_chart_says_who_gets_through_the_rules() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('0.0.0.0:22')\nlistener('0.0.0.0:9000')");
    iptables(&lab.rtr, UFW_AND_DOCKER);
    let chart = Program::line("status --json").inside(&lab.rtr).run().expect_code(0).json();
    let reach = |port: u16| {
        let ports = chart["ports"].as_array().expect("ports");
        let row = ports.iter().find(|row| row["port"] == port).expect("it is open");
        row["reach"].clone()
    };
    assert_eq!(reach(22)[0]["source"], "loopback");
    assert_eq!((&reach(22)[1]["source"], &reach(22)[1]["answer"]), (&"any".into(), &"yes".into()));
    assert_eq!(reach(9000)[1]["answer"], "no");
    let text = Program::line("").inside(&lab.rtr).run().expect_code(0).stdout;
    assert!(text.contains("REACHABLE FROM"), "{text}");
    let unseen =
        Program::line("status --json").inside(&lab.rtr).by_user(65534).run().expect_code(0);
    let ports = unseen.json()["ports"].clone();
    assert_eq!(ports[0]["reach"][1]["answer"], "unknown", "{ports:#}");
}
