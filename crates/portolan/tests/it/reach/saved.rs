//! Rules out of files, without the machine that they are of.

use std::fs;

use crate::support::Program;
use crate::support::repository::root;

use super::UFW_AND_DOCKER;

#[test]
fn saved_rules_tell_of_a_host_port_that_leads_to_a_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("saved");
    let rules = UFW_AND_DOCKER
        .replace("10.78.0.2:80", "172.17.0.2:5432")
        .replace("10.78.0.2/32", "172.17.0.2/32");
    let rules = rules.replace("--dport 80 ", "--dport 5432 ").replace(" far", " docker0");
    fs::write(&file, rules.replace("--dport 8080", "--dport 15432")).expect("the folder is ours");
    let ran = Program::line("reach 5432 --from internet --json --rules").arg(&file).run();
    let report = ran.expect_code(1).json();
    let port = &report["ports"][0];
    assert_eq!((&port["port"], &port["leads_to"]), (&15432.into(), &5432.into()), "{report:#}");
    assert_eq!(report["bypass"], "docker-dnat");
    let group = &port["reach"][0]["groups"][0];
    assert_eq!(group["translated"]["rule"]["chain"], "DOCKER");
    assert_eq!(group["bypass"]["rule"]["chain"], "ufw-user-input");
    let text = Program::line("reach 15432 --from internet --rules").arg(&file).run().expect_code(1);
    assert!(
        text.stdout.contains("the input path refuses this port and is never asked"),
        "{}",
        text.stdout
    );
}

#[test]
fn saved_rules_of_ipv4_alone_say_nothing_of_ipv6_and_tell_by_which_interface() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("saved");
    let rules = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n\
                 -A INPUT -i eth1 -p tcp -m tcp --dport 5432 -j ACCEPT\nCOMMIT\n";
    fs::write(&file, rules).expect("the folder is ours");
    let asked = |words: &str| Program::line(&format!("reach {words} --rules")).arg(&file).run();
    let ran = asked("5432 --from internet");
    let text = ran.expect_code(0);
    for told in
        ["internet (IPv4) by eth1", "unknown from internet (IPv6)", "by any interface no rule"]
    {
        assert!(text.stdout.contains(told), "{}", text.stdout);
    }
    assert!(text.stderr.contains("name what ip6tables-save prints, too"), "{}", text.stderr);
    assert_eq!(asked("22 --from internet --json").expect_code(3).json()["answer"], "unknown");
    assert_eq!(asked("22 --from 192.0.2.1 --json").expect_code(1).json()["answer"], "no");
    let none = asked("").expect_code(3).stdout;
    assert!(none.contains("rules do not tell"), "{none}");
}

#[test]
fn what_ufw_and_docker_themselves_wrote_is_read_as_packets_went() {
    let folder = root().join("crates/portolan-core/tests/data/firewall/docker-ufw");
    let mut program = Program::line("reach 8080 --from internet --json");
    for (flag, file) in [
        ("--rules", "nft.json"),
        ("--rules", "iptables-save"),
        ("--rules", "ip6tables-save"),
        ("--world", "ip-addr.json"),
        ("--world", "ip-route.json"),
        ("--world", "ip-6route.json"),
    ] {
        program = program.arg(flag).arg(folder.join(file));
    }
    let report = program.run().expect_code(1).json();
    assert_eq!(report["bypass"], "docker-dnat");
    let groups = report["ports"][0]["reach"][0]["groups"].as_array().expect("groups");
    let of = |family: &str| groups.iter().find(|g| g["family"] == family).expect("a group");
    assert_eq!((&of("ipv4")["answer"], &of("ipv6")["answer"]), (&"yes".into(), &"no".into()));
    assert_eq!(of("ipv4")["bypass"]["rule"]["chain"], "ufw-user-input");
    assert_eq!(of("ipv6")["rule"]["chain"], "ufw6-user-input");
}
