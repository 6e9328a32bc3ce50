//! Two readers of the same rules agree: what iptables-save printed, and what nft lists once
//! `iptables-restore-translate` has put it into nft's language.

use std::fs;
use std::net::IpAddr;

use portolan_core::firewall::iptables::Save;
use portolan_core::firewall::simulate::{Prepared, Presumed, Way};
use portolan_core::firewall::{
    IcmpMessage, Interface, LocalAddress, Packet, Route, RouteKind, Ruleset, World, bits,
};

use super::is_installed;
use crate::support::repository::root;
use crate::support::{Netns, require_root, skip};

const FILES: [&str; 5] = [
    "ufw/iptables-save",
    "ufw/ip6tables-save",
    "docker/iptables-save",
    "firewalld-iptables/iptables-save",
    "firewalld-iptables/ip6tables-save",
];

#[test]
fn rules_of_iptables_and_their_translation_by_iptables_itself_decide_alike() {
    require_root!();
    if !is_installed("iptables-restore-translate") {
        skip!("iptables is not installed");
    }
    for file in FILES {
        let path = root().join("crates/portolan-core/tests/data/firewall").join(file);
        compare(file, &fs::read_to_string(path).unwrap());
    }
}

fn compare(file: &str, text: &str) {
    let is_v6 = file.ends_with("ip6tables-save");
    // A set must be there for its translation.
    let text = without(text, |line| line.contains("--match-set"));
    // The translation of this is `ct status dnat` alone.
    let text = text.replace("--ctstate RELATED,ESTABLISHED,DNAT", "--ctstate RELATED,ESTABLISHED");
    let (translated, untranslated) = translate(&text, is_v6);
    let text = without(&text, |line| untranslated.iter().any(|rule| rule == line.trim()));
    let netns = Netns::new();
    netns.rules(&translated);
    let listed = netns.output("nft -j list ruleset");
    let listed = Ruleset::from_nft_json(listed.as_bytes()).expect("nft's own output");
    let save = Save::read(&text, None, None).expect("what is left is whole");
    let saved = Ruleset::default().with_saves(vec![save]).expect("every table is printed");
    assert_eq!(listed.rule_count(), saved.rule_count(), "{file}");
    let world = world();
    let (listed, saved) = (Prepared::new(&listed, &world), Prepared::new(&saved, &world));
    let mut compared = 0;
    for (packet, way) in packets(is_v6) {
        let (one, other) =
            (listed.walk(&packet, way, &Presumed), saved.walk(&packet, way, &Presumed));
        assert_eq!(one.outcome, other.outcome, "{file}: {way:?} {packet:?}");
        assert_eq!(one.packet.destination, other.packet.destination, "{file}: {packet:?}");
        compared += 1;
    }
    assert!(compared > 5000, "{compared}");
}

fn without(text: &str, is_out: impl Fn(&str) -> bool) -> String {
    let kept = text.lines().filter(|line| !is_out(line));
    kept.map(|line| format!("{line}\n")).collect()
}

/// The script, and the rules that iptables cannot translate: `# -t filter -A …`.
fn translate(text: &str, is_v6: bool) -> (String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("save");
    fs::write(&file, text).unwrap();
    let program = if is_v6 { "ip6tables-restore-translate" } else { "iptables-restore-translate" };
    let netns = Netns::new();
    let script = netns.output(&format!("{program} -f {}", file.display()));
    let untranslated = script.lines().filter_map(|line| {
        let rule = line.strip_prefix("# -t ")?.split_once(' ')?.1;
        Some(rule.trim().to_owned())
    });
    let untranslated = untranslated.collect();
    (script, untranslated)
}

/// A host between eth0 and eth1, with docker0.
fn world() -> World {
    let local = |interface: &str, address: &str, network: &str| LocalAddress {
        interface: interface.into(),
        address: address.parse().unwrap(),
        network: network.parse().unwrap(),
    };
    let route = |destination: &str, interface: &str| Route {
        destination: destination.parse().unwrap(),
        interface: interface.into(),
        kind: RouteKind::Unicast,
        metric: 0,
    };
    World {
        addresses: vec![
            local("eth0", "192.0.2.1", "192.0.2.0/24"),
            local("eth0", "2001:db8::1", "2001:db8::/64"),
            local("eth1", "10.1.0.1", "10.1.0.0/16"),
            local("docker0", "172.17.0.1", "172.17.0.0/16"),
        ],
        interfaces: ["lo", "eth0", "eth1", "docker0"]
            .map(|name| Interface { name: name.into(), ..Interface::default() })
            .into(),
        routes: vec![
            route("192.0.2.0/24", "eth0"),
            route("10.1.0.0/16", "eth1"),
            route("172.17.0.0/16", "docker0"),
            route("0.0.0.0/0", "eth0"),
            route("2001:db8::/64", "eth0"),
            route("::/0", "eth0"),
        ],
        forwards_v4: true,
        forwards_v6: true,
        ..World::default()
    }
}

/// At the edges of what the files ask: every way, some senders and receivers, ports, states.
fn packets(is_v6: bool) -> Vec<(Packet, Way)> {
    let addresses = |texts: [&str; 5]| texts.map(|text| text.parse::<IpAddr>().unwrap());
    let (sources, destinations) = match is_v6 {
        false => (
            addresses(["9.255.255.255", "10.0.0.0", "192.0.2.66", "172.17.0.2", "198.51.100.7"]),
            addresses(["192.0.2.1", "10.1.0.9", "172.17.0.2", "224.0.0.251", "255.255.255.255"]),
        ),
        true => (
            addresses(["2001:db8::9", "fe80::9", "2001:db9::1", "fd00::1", "::1"]),
            addresses(["2001:db8::1", "2001:db8::9", "ff02::fb", "ff02::f", "fe80::1"]),
        ),
    };
    let ways = [
        ("eth0", Way::Input),
        ("docker0", Way::Forward),
        ("eth0", Way::Forward),
        ("", Way::Output),
    ];
    let mut packets = Vec::new();
    for (source, destination) in sources.iter().flat_map(|s| destinations.map(|d| (*s, d))) {
        for (input, way) in ways {
            for packet in transports(source, destination) {
                let mut packet = packet;
                packet.interface_in = input.into();
                packets.push((packet, way));
            }
        }
    }
    packets
}

fn transports(source: IpAddr, destination: IpAddr) -> Vec<Packet> {
    let ports =
        [22, 25, 53, 67, 80, 137, 443, 2222, 3000, 5353, 5432, 8080, 8443, 9001, 60000, 60011];
    let mut packets = Vec::new();
    for port in ports {
        packets.push(Packet::new(6, source, destination).ports(40000, port));
        packets.push(Packet::new(17, source, destination).ports(67, port));
    }
    for state in [bits::ESTABLISHED, bits::RELATED, bits::INVALID] {
        let packet = Packet::new(6, source, destination).ports(40000, 9);
        packets.push(Packet { state: Some(state), ..packet });
    }
    let protocol = if source.is_ipv4() { 1 } else { 58 };
    for kind in [0, 1, 3, 4, 8, 11, 12, 128, 129, 130, 133, 135, 136, 143, 151] {
        for ttl in [1, 64, 255] {
            let packet = Packet::new(protocol, source, destination);
            packets.push(Packet { icmp: IcmpMessage { kind, code: 0 }, ttl, ..packet });
        }
    }
    packets
}
