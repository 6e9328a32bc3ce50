//! `firewall show --allowed`: what gets in, by all tables together, once each.

use std::path::PathBuf;

use crate::support::{Netns, Program, require_root};

fn shop() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop")
}

fn compiled(host: &str) -> String {
    let compile = Program::line(&format!("firewall compile --host {host}"));
    compile.folder(shop()).run().expect_code(0).stdout
}

/// The first two columns, and the lines between them.
fn told(text: &str) -> Vec<String> {
    let short = |line: &str| {
        let words: Vec<&str> = line.split("  ").filter(|part| !part.is_empty()).collect();
        words.into_iter().take(2).map(str::trim).collect::<Vec<_>>().join(" ← ")
    };
    text.lines().skip(1).map(short).collect()
}

#[test]
fn what_the_shop_lets_in_stands_on_one_screen() {
    require_root!();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("web.nft");
    std::fs::write(&file, compiled("web")).unwrap();
    let ran = Program::line("firewall show --allowed --rules").arg(file).run().expect_code(0);
    let wanted = [
        "22, 9100/tcp ← 10.20.0.5, 203.0.113.130",
        "80, 443/tcp ← any",
        "68/udp ← any",
        "from port 67",
        "443/udp ← any",
        "546/udp ← any (IPv6)",
        "to fe80::/10",
        "icmp ← any (IPv4)",
        "type 8 (echo-request)",
        "igmp ← any (IPv4)",
        "to 224.0.0.0/4",
        "icmpv6 ← any (IPv6)",
        "type 128 (echo-request)",
        "icmpv6 ← any (IPv6)",
        "types 130-132, type 143 (mld2-listener-report), types 151-152",
        "ttl 1",
        "icmpv6 ← any (IPv6)",
        "types 133-136",
        "ttl 255",
    ];
    assert_eq!(told(&ran.stdout), wanted, "{}", ran.stdout);
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
}

#[test]
fn what_another_table_drops_is_not_let_in_and_what_it_limits_depends() {
    require_root!();
    let netns = Netns::new();
    netns.ip("link add eth0 type veth peer name other");
    netns.ip("link set eth0 up");
    netns.ip("address add 10.20.0.10/24 dev eth0");
    netns.rules(&compiled("web"));
    netns.rules(
        "table ip theirs { chain in { type filter hook input priority 0
            tcp dport 443 drop\ntcp dport 80 limit rate over 9/minute drop
        }\n}",
    );
    let show = Program::line("firewall show --allowed --json").inside(&netns);
    let document = show.run().expect_code(0).json();
    assert_eq!(document["kind"], "firewall-allowed");
    let rows = document["allowed"].as_array().unwrap();
    let of = |port: &str| {
        let has = |row: &&serde_json::Value| {
            row["protocols"].as_array().unwrap().contains(&"tcp".into())
                && row["ports"].as_array().unwrap().contains(&port.into())
        };
        rows.iter().filter(has).collect::<Vec<_>>()
    };
    assert!(of("443").is_empty(), "{document:#}");
    let [http] = of("80")[..] else { panic!("{document:#}") };
    assert!(http["depends_on"][0].as_str().unwrap().contains("limit rate"), "{http:#}");
    assert_eq!(http["destinations"], serde_json::json!(["10.20.0.10"]));
    let [ssh] = of("22")[..] else { panic!("{document:#}") };
    assert_eq!(ssh["rules"][0]["chain"], "svc-ssh");
}

/// Two rules of the cluster give it another sender; who gets in, and by which rule, is the same.
#[test]
fn a_port_sent_on_stands_once_with_the_rule_that_lets_it_in() {
    require_root!();
    let netns = Netns::new();
    netns.set("net/ipv4/ip_forward", 1);
    netns.ip("link add eth0 type veth peer name other");
    netns.ip("link set eth0 up");
    netns.ip("address add 10.20.0.10/24 dev eth0");
    netns.ip("route add default via 10.20.0.1");
    let folder = tempfile::tempdir().unwrap();
    let inventory = "portolan = 1\n[hosts.node]\naddress = \"10.20.0.10\"\n[services.shop]\non = \"node\"\n\
                     ports = \"30080/tcp\"\nfrom = \"any\"\n";
    std::fs::write(folder.path().join("portolan.toml"), inventory).unwrap();
    let compile = Program::line("firewall compile --host node").folder(folder.path());
    netns.rules(&compile.run().expect_code(0).stdout);
    netns.rules(
        "table ip cluster {
            chain pre { type nat hook prerouting priority dstnat; tcp dport 30080 dnat to 10.244.2.2:8080
            }
            chain post { type nat hook postrouting priority srcnat; ip saddr 10.244.0.0/16 masquerade
                ct status dnat masquerade
            }
            chain after { type filter hook forward priority 0; ct status dnat accept
            }
        }",
    );
    let ran = Program::line("firewall show --allowed").inside(&netns).run().expect_code(0);
    let of_it: Vec<&str> = ran.stdout.lines().filter(|line| line.contains("30080")).collect();
    let v4: Vec<&&str> = of_it.iter().filter(|line| line.contains("any (IPv4)")).collect();
    assert_eq!(v4.len(), 1, "{}", ran.stdout);
    assert!(v4[0].contains("inet portolan svc-shop rule 1 +"), "{}", ran.stdout);
}

#[test]
fn what_differs_by_the_interface_alone_stands_once_with_its_interfaces() {
    require_root!();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("by.nft");
    let rules = "table inet f { chain i { type filter hook input priority 0; policy drop
            iifname \"eth0\" ip saddr 10.70.0.0/24 tcp dport 80 accept
            iifname \"wg0\" ip saddr 10.70.0.0/24 tcp dport 80 accept
            iifname \"wg0\" tcp dport 8080 accept
            ip saddr 10.0.0.0/8 tcp dport 8080 accept
        }
    }";
    std::fs::write(&file, rules).unwrap();
    let ran = Program::line("firewall show --allowed --rules").arg(file).run().expect_code(0);
    let wanted = [
        "80/tcp ← 10.70.0.0/24",
        "by eth0, wg0",
        "8080/tcp ← 10.0.0.0/8",
        "by eth0, others",
        "8080/tcp ← any",
        "by wg0",
    ];
    let mut found = told(&ran.stdout);
    found.truncate(wanted.len());
    assert_eq!(found, wanted, "{}", ran.stdout);
    assert!(ran.stdout.contains("inet f i rule 2 +1"), "{}", ran.stdout);
}

#[test]
fn a_network_but_for_one_address_is_told_so_and_not_by_all_that_is_left_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saved");
    let rules = "*filter\n:INPUT DROP [0:0]\n-A INPUT -s 10.0.0.5 -j DROP\n\
                 -A INPUT -s 10.0.0.0/24 -p tcp --dport 22 -j ACCEPT\nCOMMIT\n";
    std::fs::write(&file, rules).unwrap();
    let line = format!("firewall show --allowed --rules v4:{}", file.display());
    let ran = Program::line(&line).run();
    assert!(ran.stdout.contains("22/tcp   10.0.0.0/24 but 10.0.0.5  "), "{}", ran.stdout);
}

#[test]
fn of_which_family_all_senders_but_some_are_is_said() {
    require_root!();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.nft");
    let rules = "ip saddr 203.0.113.0/24 drop\ntcp dport 22 accept";
    let input = format!("chain i {{ type filter hook input priority 0; policy drop; {rules}\n}}");
    std::fs::write(&file, format!("table inet a {{\n{input}\n}}\n")).unwrap();
    let ran = Program::line("firewall show --allowed --rules").arg(file).run().expect_code(0);
    let wanted = ["22/tcp ← any (IPv4) but 203.0.113.0/24; any (IPv6)"];
    assert_eq!(told(&ran.stdout), wanted, "{}", ran.stdout);
}
