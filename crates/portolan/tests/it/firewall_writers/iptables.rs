//! iptables on nftables, its legacy form, and ipsets, by hand.

use super::{NEAR, NEAR6, Probe, Scene, is_installed, tcp, udp};
use crate::support::{Program, require_root, skip};

const OTHER: &str = "192.0.2.66";
const FAR: &str = "198.51.100.7";

const RULES: &str = r#"*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p udp --dport 7000 -j NOTRACK
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp --dport 7001 -j MARK --set-xmark 0x5/0xff
-A PREROUTING -m mark --mark 0x5/0xf -j CONNMARK --save-mark
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp --dport 7002 -j REDIRECT --to-ports 7003
-A PREROUTING -i eth0 -p tcp --dport 7004 -j DNAT --to-destination :7003
COMMIT
*filter
:INPUT DROP [0:0]
:picky - [0:0]
:later - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate INVALID -j DROP
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p udp -m conntrack --ctstate UNTRACKED -m udp --dport 7000 -j ACCEPT
-A INPUT -m connmark --mark 0x5 -j ACCEPT
-A INPUT -p tcp -m conntrack --ctstate DNAT --ctorigdstport 7002 -j ACCEPT
-A INPUT -m conntrack --ctstate DNAT -j REJECT --reject-with icmp-host-prohibited
-A INPUT -p tcp -m tcp --dport 7003 -j REJECT --reject-with tcp-reset
-A INPUT -p tcp -m multiport --dports 7010:7012,7015 -j picky
-A INPUT -p tcp -m multiport ! --dports 7000:7030 -j later
-A INPUT -p tcp -m tcp --dport 7020 -g later
-A INPUT -p tcp -m tcp --dport 7020 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 7021 --tcp-flags SYN,ACK SYN -m iprange --src-range 192.0.2.60-192.0.2.70 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 7022 -m addrtype --src-type UNICAST ! --dst-type BROADCAST -j ACCEPT
-A INPUT -p tcp -m tcp --dport 7023 -m ttl --ttl-eq 64 -m length --length 40:100 -m dscp --dscp 0x00 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 7024 -m comment --comment "a \"quoted\" note" -m limit --limit 1000/sec -j ACCEPT
-A INPUT -p tcp -m tcp --dport 7025 ! -s 192.0.2.64/26 -j ACCEPT
-A INPUT -p udp -m udp --dport 7026 -m pkttype --pkt-type unicast -j ACCEPT
-A picky -s 192.0.2.66/32 -j RETURN
-A picky -p tcp -m tcp --dport 7015 -j DROP
-A picky -j ACCEPT
-A later -p tcp -m tcp --dport 7040 -j ACCEPT
COMMIT
"#;

fn probes() -> Vec<Probe> {
    vec![
        udp(NEAR, 7000, "accept"),
        tcp(NEAR, 7001, "accept"),
        tcp(NEAR, 7002, "accept"),
        tcp(NEAR, 7003, "reject"),
        tcp(NEAR, 7004, "reject"),
        tcp(NEAR, 7010, "accept"),
        tcp(OTHER, 7010, "drop"),
        tcp(NEAR, 7013, "drop"),
        tcp(NEAR, 7015, "drop"),
        tcp(NEAR, 7020, "drop"),
        tcp(NEAR, 7021, "drop"),
        tcp(OTHER, 7021, "accept"),
        tcp(NEAR, 7022, "accept"),
        tcp(NEAR, 7023, "accept"),
        tcp(NEAR, 7024, "accept"),
        tcp(NEAR, 7025, "accept"),
        tcp(OTHER, 7025, "drop"),
        tcp(FAR, 7025, "accept"),
        udp(NEAR, 7026, "accept"),
        tcp(NEAR, 7040, "accept"),
        tcp(NEAR, 7041, "drop"),
    ]
}

const TCP: &[u16] = &[
    7001, 7002, 7003, 7004, 7010, 7013, 7015, 7020, 7021, 7022, 7023, 7024, 7025, 7040, 7041, 7050,
    7051, 7052,
];

fn restore(scene: &Scene, program: &str, rules: &str) {
    let file = scene.folder.path().join("rules");
    std::fs::write(&file, rules).unwrap();
    scene.host.output(&format!("{program} {}", file.display()));
}

#[test]
fn rules_of_iptables_on_nftables_are_told_as_packets_find_them() {
    require_root!();
    if !is_installed("iptables-nft-restore") {
        skip!("iptables is not installed");
    }
    let scene = Scene::new();
    restore(&scene, "iptables-nft-restore", RULES);
    let _services = scene.services(TCP, &[7000, 7026]);
    scene.agree(&probes());
}

#[test]
fn rules_of_legacy_iptables_are_told_as_packets_find_them() {
    require_root!();
    if !is_installed("iptables-legacy-restore") {
        skip!("iptables is not installed");
    }
    let scene = Scene::new();
    let file = scene.folder.path().join("try");
    std::fs::write(&file, "*filter\nCOMMIT\n").unwrap();
    let mut tried = scene.host.command("iptables-legacy-restore");
    if !tried.arg(&file).status().is_ok_and(|status| status.success()) {
        skip!("this kernel has no legacy iptables");
    }
    restore(&scene, "iptables-legacy-restore", RULES);
    let _services = scene.services(TCP, &[7000, 7026]);
    scene.agree(&probes());
}

#[test]
fn ipsets_that_rules_ask_are_read_with_them() {
    require_root!();
    if !is_installed("ipset") || !is_installed("iptables-nft-restore") {
        skip!("ipset or iptables is not installed");
    }
    let scene = Scene::new();
    for line in [
        "create nets hash:net",
        "add nets 192.0.2.0/24",
        "add nets 192.0.2.64/26 nomatch",
        "create pairs hash:ip,port",
        "add pairs 192.0.2.66,tcp:7051",
        "create ports bitmap:port range 7000-7100",
        "add ports 7052",
        "create six hash:net family inet6",
        "add six 2001:db8::/64",
    ] {
        scene.host.output(&format!("ipset {line}"));
    }
    restore(
        &scene,
        "iptables-nft-restore",
        "*filter\n:INPUT DROP [0:0]\n\
         -A INPUT -m set --match-set ports dst -j ACCEPT\n\
         -A INPUT -m set --match-set pairs src,dst -j ACCEPT\n\
         -A INPUT -p tcp -m set --match-set nets src -m tcp --dport 7050 -j ACCEPT\nCOMMIT\n",
    );
    restore(
        &scene,
        "ip6tables-nft-restore",
        "*filter\n:INPUT DROP [0:0]\n-A INPUT -p ipv6-icmp -j ACCEPT\n\
         -A INPUT -p tcp -m set --match-set six src -m tcp --dport 7050 -j ACCEPT\nCOMMIT\n",
    );
    let _services = scene.services(TCP, &[7052]);
    scene.agree(&[
        tcp(NEAR, 7050, "accept"),
        tcp(OTHER, 7050, "drop"),
        tcp(FAR, 7050, "drop"),
        tcp(NEAR6, 7050, "accept"),
        tcp(NEAR6, 7051, "drop"),
        tcp(OTHER, 7051, "accept"),
        tcp(NEAR, 7051, "drop"),
        tcp(FAR, 7052, "accept"),
        udp(NEAR, 7052, "accept"),
    ]);
}

const WITH_XT: &str = "*filter\n:INPUT DROP [0:0]\n\
     -A INPUT -p tcp -m conntrack --ctstate NEW -m tcp --dport 22 -j ACCEPT\nCOMMIT\n";

#[test]
fn a_table_that_iptables_save_cannot_print_is_never_passed_over() {
    require_root!();
    if !is_installed("iptables-nft-restore") {
        skip!("iptables is not installed");
    }
    let scene = Scene::new();
    restore(&scene, "iptables-nft-restore", WITH_XT);
    scene.host.output("nft add rule ip filter INPUT ct state new accept");
    let ran = Program::line("firewall simulate tcp 192.0.2.9:40000 192.0.2.1:22 --in eth0")
        .inside(&scene.host)
        .run()
        .expect_code(2);
    assert!(ran.stderr.contains("table filter"), "{}", ran.stderr);
}

/// iptables-save 1.8.9 prints the set as `-p tcp -j ACCEPT`: every port.
#[test]
fn what_nft_put_between_rules_of_iptables_is_not_what_iptables_save_makes_of_it() {
    require_root!();
    if !is_installed("iptables-nft-restore") {
        skip!("iptables is not installed");
    }
    let scene = Scene::new();
    restore(&scene, "iptables-nft-restore", WITH_XT);
    scene.host.output("nft add rule ip filter INPUT tcp dport { 80, 443 } accept");
    let _services = scene.services(&[22, 80, 443, 444], &[]);
    scene.agree(&[
        tcp(NEAR, 22, "accept"),
        tcp(NEAR, 80, "accept"),
        tcp(NEAR, 443, "accept"),
        tcp(NEAR, 444, "drop"),
    ]);
}
