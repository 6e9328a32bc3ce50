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

/// Rules of both families that let in everybody at port 22, and nobody by a wrong way back.
const LETS_22_IN: &str = "*raw\n:PREROUTING ACCEPT [0:0]\n\
    -A PREROUTING -m rpfilter --validmark --invert -j DROP\nCOMMIT\n\
    *filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n\
    -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n";

/// What `ip -j addr` prints of a machine with two networks.
const ADDRESSES: &str = r#"[{"ifname":"lo","addr_info":[{"local":"127.0.0.1","prefixlen":8},
    {"local":"::1","prefixlen":128}]},
    {"ifname":"eth0","addr_info":[{"local":"198.51.100.1","prefixlen":24},
    {"local":"2001:db8:1::1","prefixlen":64},{"local":"fe80::1","prefixlen":64}]},
    {"ifname":"eth1","addr_info":[{"local":"10.9.0.1","prefixlen":24}]}]"#;

const ROUTES: &str = r#"[{"dst":"default","gateway":"198.51.100.7","dev":"eth0"},
    {"dst":"198.51.100.0/24","dev":"eth0"},{"dst":"10.9.0.0/24","dev":"eth1"}]"#;

#[test]
fn routes_that_nobody_told_are_unknown_and_not_absent() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in
        [("v4", LETS_22_IN), ("v6", LETS_22_IN), ("addr.json", ADDRESSES), ("route.json", ROUTES)]
    {
        fs::write(folder.path().join(name), text).expect("the folder is ours");
    }
    let run = |words: &str| {
        let words = format!("{words} --rules v4 --rules v6:v6");
        Program::line(&words).folder(folder.path()).run()
    };
    for world in [
        "--local 198.51.100.1/24,2001:db8:1::1/64",
        "--local 198.51.100.1,2001:db8:1::1",
        "--local 198.51.100.1/24@eth0,2001:db8:1::1/64@eth0",
        "--world addr.json",
        "--world addr.json --world route.json",
    ] {
        for from in ["198.51.100.7", "8.8.8.8", "2001:db8:1::7", "2001:db8:9::7"] {
            let to = if from.contains(':') { "2001:db8:1::1" } else { "198.51.100.1" };
            let to = if from.contains(':') { format!("[{to}]") } else { to.to_owned() };
            let words = format!("firewall simulate tcp {from} {to}:22 --in eth0 {world} --json");
            assert_eq!(run(&words).json()["verdict"], "accept", "{from} {world}");
            let told = run(&format!("reach 22 --from {from} {world} --json")).expect_code(0).json();
            assert_eq!(told["answer"], "yes", "{from} {world}: {told:#}");
        }
        let told = run(&format!("reach 23 --from internet {world} --json")).expect_code(1).json();
        let by = &told["ports"][0]["reach"][0]["groups"][0]["by"];
        assert_eq!(by, "rule-refuses", "{world}: {told:#}");
    }
    let told = run("reach 22 --from internet --world addr.json").expect_code(0);
    let said = "the routes of IPv4 and IPv6: others are taken to come by any interface";
    assert!(told.stderr.contains(said), "{}", told.stderr);
    let told = run("reach 22 --from internet --world addr.json --world route.json");
    assert!(told.stderr.contains("the routes of IPv6: others"), "{}", told.stderr);
    let told = run("reach 22 --from internet --world route.json").expect_code(2);
    assert!(told.stderr.contains("which addresses are the machine's own"), "{}", told.stderr);
}

#[test]
fn who_comes_by_a_way_that_nobody_told_may_come_by_each_interface() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = LETS_22_IN.replace("-A INPUT", "-A INPUT -i eth1");
    fs::write(folder.path().join("v4"), rules).expect("the folder is ours");
    fs::write(folder.path().join("addr.json"), ADDRESSES).expect("the folder is ours");
    let answer = |words: &str| {
        let words = format!("reach 22 --rules v4 {words} --json");
        let told = Program::line(&words).folder(folder.path()).run().json();
        told["ports"][0]["reach"][0]["answer"].as_str().unwrap_or_default().to_owned()
    };
    let by_addresses = |from: &str| answer(&format!("--world addr.json --from {from}"));
    assert_eq!(by_addresses("10.9.0.7"), "yes", "it is on the network of eth1");
    assert_eq!(by_addresses("198.51.100.7"), "no", "it is on the network of eth0");
    assert_eq!(by_addresses("8.8.8.8"), "depends");
    assert_eq!(answer("--local 10.9.0.1/24 --from 10.9.0.7"), "depends");
    assert_eq!(answer("--local 10.9.0.1/24@eth1 --from 10.9.0.7"), "yes");
}

#[test]
fn a_family_of_which_only_the_routes_are_missing_is_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).expect("the folder is ours");
    };
    write("v4", LETS_22_IN);
    write("addr.json", ADDRESSES);
    write("route.json", ROUTES);
    write(
        "route6.json",
        r#"[{"dst":"2001:db8:1::/64","dev":"eth0"},{"dst":"fe80::/64","dev":"eth0"}]"#,
    );
    let words = "reach 22 --from internet --world addr.json --world route.json --world route6.json \
                 --rules v4 v6:v4";
    let said = Program::line(words).folder(folder.path()).run().expect_code(0).stdout;
    assert!(said.contains("yes     from internet (IPv4)"), "{said}");
    assert!(said.contains("2001:db8:1::/64"), "{said}");
    write("route6.json", r#"[{"dst":"fe80::/64","dev":"eth0"}]"#);
    let said = Program::line(words).folder(folder.path()).run().expect_code(0).stdout;
    assert!(said.contains("yes     from internet (IPv4)"), "{said}");
    assert!(said.contains("no      from internet (IPv6)\n          no route leads back"), "{said}");
}

#[test]
fn several_files_may_stand_after_one_flag_and_a_bad_sender_is_told_why() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("v4"), LETS_22_IN).expect("the folder is ours");
    let run = |words: &str| Program::line(words).folder(folder.path()).run();
    for words in [
        "reach 22 --from 8.8.8.8 --rules v4 v6:v4",
        "firewall simulate tcp 8.8.8.8 10.0.0.1:ssh --hook input --in eth0 --rules v4 v6:v4",
        "reach --rules v4 --from 8.8.8.8 22",
    ] {
        let ran = run(words);
        assert!(!ran.stderr.contains("unexpected"), "{words}: {}", ran.stderr);
        assert!(ran.stdout.contains("22"), "{words}: {}", ran.stdout);
    }
    for (from, why) in [
        ("10.0.0.0/33", "has a prefix length outside 0-32"),
        ("8.8.8.8/24", "the network is 8.8.8.0/24"),
        ("300.1.1.1", "is not an address"),
    ] {
        let said = run(&format!("reach 22 --rules v4 --from {from}")).expect_code(2).stderr;
        assert!(said.contains(why), "{from}: {said}");
    }
}
