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
        "types 130-132, type 143 (mld2-listener-report)",
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
