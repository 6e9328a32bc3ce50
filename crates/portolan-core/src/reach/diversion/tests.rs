//! The listings in `tests/data/nat` come from a real kernel; see the README there.

use super::*;
use crate::firewall::iptables::Save;
use crate::firewall::simulate::{Outcome, Presumed, Step, Way};
use crate::firewall::{Family, Interface, LocalAddress, NatKind, Packet, Tuple, protocol_of};
use crate::reach::named_ports;

const NATIVE: &[u8] = include_bytes!("../../../tests/data/nat/native.json");
const DOCKER: &[u8] = include_bytes!("../../../tests/data/nat/docker.json");
const DOCKER_NFT: &str = include_str!("../../../tests/data/nat/docker-nft.save");
const DOCKER_LEGACY: &str = include_str!("../../../tests/data/nat/docker-legacy.save");
const IP6: &str = include_str!("../../../tests/data/nat/ip6.save");

fn native() -> Ruleset {
    Ruleset::from_nft_json(NATIVE).unwrap()
}

fn saved(text: &str, family: Family) -> Ruleset {
    Ruleset::default().with_saves(vec![Save::read(text, Some(family), None).unwrap()]).unwrap()
}

/// A machine with two addresses.
fn world() -> World {
    let all = [
        ("lo", "127.0.0.1", "127.0.0.0/8"),
        ("lo", "::1", "::1/128"),
        ("eth0", "192.0.2.10", "192.0.2.0/24"),
        ("eth0", "2001:db8::10", "2001:db8::/64"),
    ];
    let addresses = all.map(|(interface, address, network)| LocalAddress {
        interface: interface.into(),
        address: address.parse().unwrap(),
        network: network.parse().unwrap(),
    });
    let interfaces =
        ["lo", "eth0"].map(|name| Interface { name: name.into(), ..Interface::default() });
    let (addresses, interfaces) = (addresses.into(), interfaces.into());
    World { addresses, interfaces, ..World::default() }
}

fn at(address: &str, transport: Transport, port: u16) -> Destination {
    Destination::new(transport, address.parse().unwrap(), false, Port(port), &world())
}

/// To a wildcard socket for both families.
fn tcp(port: u16) -> Destination {
    at("::", Transport::Tcp, port)
}

/// Hook, place, target, and whether all is taken.
fn told(ruleset: &Ruleset, destination: &Destination) -> Vec<String> {
    let diversions = diversions(ruleset, &world(), destination).unwrap();
    diversions
        .iter()
        .map(|d| {
            let all = if d.takes_all { "all" } else { "some" };
            format!("{} {}: {all} to {}", d.hook, d.rule, d.target)
        })
        .collect()
}

#[test]
fn a_redirect_on_the_way_out_takes_what_this_machine_sends() {
    let found = told(&native(), &at("127.0.0.1", Transport::Tcp, 8080));
    assert_eq!(found, ["output inet shop out handle 25: all to port 9090"]);
}

#[test]
fn a_named_set_and_an_interface_divert_what_comes_in_there() {
    let found = native();
    assert_eq!(
        told(&found, &tcp(8005))[0],
        "prerouting inet shop pre handle 10: some to port 8081"
    );
    assert!(told(&found, &tcp(8011)).iter().all(|d| !d.contains("handle 10")));
}

#[test]
fn a_map_gives_each_port_its_own_target() {
    let found = native();
    let target = |port| {
        let to = at("192.0.2.10", Transport::Tcp, port);
        diversions(&found, &world(), &to).unwrap()[0].target
    };
    assert_eq!(target(3306).to_string(), "10.0.0.5:3307");
    assert_eq!(target(5432).endpoint(Port(5432)).unwrap().to_string(), "10.0.0.6:5432");
}

#[test]
fn a_verdict_map_leads_into_the_chain_that_translates() {
    let found = told(&native(), &at("192.0.2.10", Transport::Tcp, 1001));
    assert_eq!(found, ["prerouting inet shop to_api handle 9: all to 10.0.0.9:6443"]);
    let accepted = told(&native(), &at("192.0.2.10", Transport::Tcp, 1000));
    assert_eq!(accepted, [""; 0], "accepted before the last rule could translate it");
}

#[test]
fn a_field_of_a_concatenation_must_hold_with_the_others() {
    let found = |port| told(&native(), &at("192.0.2.10", Transport::Tcp, port));
    assert_eq!(found(222)[0], "prerouting inet shop pre handle 20: all to port 22");
    assert!(found(2222).iter().all(|d| !d.contains("handle 20")), "that is for another address");
}

#[test]
fn what_is_not_understood_makes_an_answer_uncertain_not_absent() {
    let found = told(&native(), &at("192.0.2.10", Transport::Tcp, 7000));
    assert_eq!(found[0], "prerouting inet shop pre handle 18: some to port 7001");
    assert_eq!(found[1], "prerouting inet shop pre handle 24: some to 10.0.0.1");
}

#[test]
fn traffic_of_one_family_is_diverted_alone() {
    let found = told(&native(), &at("2001:db8::10", Transport::Tcp, 8443));
    assert_eq!(found, ["prerouting inet shop pre handle 17: all to [2001:db8::7]:443"]);
    assert!(
        told(&native(), &at("192.0.2.10", Transport::Tcp, 8443)).iter().all(|d| !d.contains("17"))
    );
}

#[test]
fn a_redirect_to_the_same_port_diverts_nothing() {
    assert!(told(&native(), &at("127.0.0.1", Transport::Tcp, 15001)).is_empty());
}

#[test]
fn nothing_from_outside_is_for_a_loopback_address() {
    assert!(told(&native(), &at("127.0.0.1", Transport::Udp, 53)).is_empty());
    assert_eq!(
        told(&native(), &at("192.0.2.10", Transport::Udp, 53)),
        ["prerouting inet shop pre handle 16: all to port 5353"]
    );
}

#[test]
fn docker_publishes_for_the_outside_and_for_its_own_addresses_not_for_loopback() {
    let found = saved(DOCKER_NFT, Family::Ip);
    let published = told(&found, &at("0.0.0.0", Transport::Tcp, 8080));
    assert_eq!(
        published,
        [
            "prerouting ip nat DOCKER rule 2: some to 172.17.0.2:80",
            "output ip nat DOCKER rule 2: some to 172.17.0.2:80",
        ],
        "some: what comes from its bridge is left alone, and what goes to 127.0.0.0/8"
    );
    assert!(told(&found, &at("127.0.0.1", Transport::Tcp, 8080)).is_empty());
}

#[test]
fn both_iptables_tell_the_same_and_only_one_is_legacy() {
    let nft = saved(DOCKER_NFT, Family::Ip);
    let legacy = saved(DOCKER_LEGACY, Family::Ip);
    assert_eq!(told(&nft, &tcp(3000)), ["output ip nat OUTPUT rule 2: all to port 3001"]);
    assert_eq!(told(&nft, &tcp(3000)), told(&legacy, &tcp(3000)));
    let origin = |ruleset| diversions(ruleset, &world(), &tcp(3000)).unwrap()[0].rule.origin;
    assert_eq!([&nft, &legacy].map(origin), [Origin::IptablesNft, Origin::IptablesLegacy]);
}

#[test]
fn what_nft_sees_by_name_only_iptables_save_tells_and_the_handles_stay() {
    let veiled = Ruleset::from_nft_json(DOCKER).unwrap();
    assert_eq!(
        told(&veiled, &at("127.0.0.1", Transport::Tcp, 3000)),
        ["output ip nat OUTPUT handle 14: some to somewhere else"]
    );
    let save = Save::read(DOCKER_NFT, None, None).unwrap();
    let told_by_both = veiled.with_saves(vec![save]).unwrap();
    assert_eq!(
        told(&told_by_both, &at("127.0.0.1", Transport::Tcp, 3000)),
        ["output ip nat OUTPUT handle 14: all to port 3001"]
    );
}

#[test]
fn legacy_tables_are_added_to_what_nft_shows() {
    let save = Save::read(DOCKER_LEGACY, None, None).unwrap();
    let both = native().with_saves(vec![save]).unwrap();
    let found = told(&both, &at("127.0.0.1", Transport::Tcp, 3000));
    assert_eq!(found, ["output ip nat OUTPUT rule 2: all to port 3001"]);
}

#[test]
fn an_ipv6_target_stands_in_brackets() {
    let found = saved(IP6, Family::Ip6);
    assert_eq!(
        told(&found, &tcp(8443)),
        ["prerouting ip6 nat PREROUTING rule 1: all to [2001:db8::7]:443"]
    );
}

/// Tables before that of translation, and one rule in this that sends everything to 10.0.0.9.
fn behind(tables: &str, condition: &str) -> Ruleset {
    let nat = format!(
        "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING {condition}-j DNAT --to-destination 10.0.0.9\nCOMMIT\n"
    );
    saved(&format!("{tables}{nat}"), Family::Ip)
}

#[test]
fn what_rules_before_drop_nobody_takes_and_what_they_mark_is_taken_by_the_mark() {
    let raw =
        "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 80 -j DROP\nCOMMIT\n";
    let dropped = behind(raw, "");
    assert_eq!(told(&dropped, &tcp(80)), [""; 0]);
    assert_eq!(told(&dropped, &tcp(81)), ["prerouting ip nat PREROUTING rule 1: all to 10.0.0.9"]);
    let mangle = "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x1/0xffffffff\nCOMMIT\n";
    let marked = behind(mangle, "-m mark --mark 0x1 ");
    assert_eq!(told(&marked, &tcp(80)), ["prerouting ip nat PREROUTING rule 1: all to 10.0.0.9"]);
    let other = told(&marked, &tcp(81));
    assert_eq!(other, ["prerouting ip nat PREROUTING rule 1: some to 10.0.0.9"], "tc marks too");
}

#[test]
fn of_two_tables_at_one_priority_the_one_that_was_registered_last_takes_it() {
    let table = |name: &str, port: u16| {
        format!(
            r#"{{"table": {{"family": "ip", "name": "{name}"}}}},
            {{"chain": {{"family": "ip", "table": "{name}", "name": "in", "type": "nat",
            "hook": "prerouting", "prio": -100, "policy": "accept"}}}},
            {{"rule": {{"family": "ip", "table": "{name}", "chain": "in", "handle": 1, "expr": [
            {{"match": {{"op": "==", "left": {{"payload": {{"protocol": "tcp", "field": "dport"}}}}, "right": 80}}}},
            {{"redirect": {{"port": {port}}}}}]}}}}"#
        )
    };
    let text = format!(r#"{{"nftables": [{}, {}]}}"#, table("first", 8001), table("last", 8002));
    let found = told(&Ruleset::from_nft_json(text.as_bytes()).unwrap(), &tcp(80));
    assert_eq!(found, ["prerouting ip last in handle 1: all to port 8002"]);
}

#[test]
fn a_map_by_sender_has_several_targets_and_each_takes_some() {
    let text = r#"{"nftables": [{"table": {"family": "ip", "name": "t"}},
        {"chain": {"family": "ip", "table": "t", "name": "in", "type": "nat", "hook": "prerouting",
        "prio": -100, "policy": "accept"}},
        {"rule": {"family": "ip", "table": "t", "chain": "in", "handle": 1, "expr": [{"dnat": {"addr":
        {"map": {"key": {"payload": {"protocol": "ip", "field": "saddr"}}, "data": {"set": [
        [{"prefix": {"addr": "10.1.0.0", "len": 16}}, "10.0.0.1"],
        [{"prefix": {"addr": "10.2.0.0", "len": 16}}, "10.0.0.2"]]}}}}}]}}]}"#;
    let mut found = told(&Ruleset::from_nft_json(text.as_bytes()).unwrap(), &tcp(80));
    found.sort();
    assert_eq!(
        found,
        [
            "prerouting ip t in handle 1: some to 10.0.0.1",
            "prerouting ip t in handle 1: some to 10.0.0.2"
        ]
    );
}

#[test]
fn a_port_is_named_by_a_published_container_and_not_by_a_transparent_proxy() {
    let text = "*nat\n\
        :PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n\
        -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n\
        -A OUTPUT -p tcp -m owner ! --uid-owner 1337 -j REDIRECT --to-ports 15001\n\
        -A DOCKER ! -i docker0 -p tcp -m tcp --dport 20080 -j DNAT --to-destination 172.17.0.2:80\n\
        -A DOCKER ! -i docker0 -p udp -m udp --dport 20053 -j DNAT --to-destination 172.17.0.2:53\n\
        -A PREROUTING -p tcp -m tcp --dport 1024:65535 -j REDIRECT --to-ports 9000\n\
        COMMIT\n";
    let rules = saved(text, Family::Ip);
    assert_eq!(named_ports(&rules, Transport::Tcp).to_string(), "20080");
    assert_eq!(named_ports(&rules, Transport::Udp).to_string(), "20053");
}

proptest::proptest! {
    #[test]
    fn a_redirect_of_a_port_diverts_that_port_and_no_other(port in 2u16.., other in 1u16..) {
        let text = format!("*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p tcp -m tcp --dport {port} -j REDIRECT --to-ports 1\nCOMMIT\n");
        let found = saved(&text, Family::Ip);
        let diverted = |port| told(&found, &at("127.0.0.1", Transport::Tcp, port)).len();
        proptest::prop_assert_eq!(diverted(port), 1);
        proptest::prop_assert_eq!(diverted(other), usize::from(other == port));
    }
}

/// Packets to an address, of other machines and of this one.
fn samples(to: IpAddr, protocol: u8, port: u16) -> Vec<(Hook, Packet)> {
    let packet = |from: &str| Packet::new(protocol, from.parse().unwrap(), to).ports(40_000, port);
    let mut found = Vec::new();
    let v4 = ["203.0.113.7", "10.1.2.3"];
    let v6 = ["2001:db8:1::7", "2001:db8:2::8"];
    let is_outer = !to.is_loopback();
    for from in if to.is_ipv4() { v4 } else { v6 }.into_iter().filter(|_| is_outer) {
        for interface_in in ["eth0", "docker0", "eth1"].map(Box::from) {
            found.push((Hook::Prerouting, Packet { interface_in, ..packet(from) }));
        }
    }
    for user in [0, 1000] {
        found
            .push((Hook::Output, Packet { socket: Some((user, user)), ..packet(&to.to_string()) }));
    }
    found
}

/// The rule that sends a packet away from a place.
fn taker(ruleset: &Ruleset, steps: &[Step], to: &Destination) -> Option<RulePlace> {
    let is_there =
        |end: &Tuple| to.addresses.contains(&end.destination) && end.destination_port == to.port.0;
    steps.iter().find_map(|step| match step {
        Step::Translated { by, kind: NatKind::Dnat | NatKind::Redirect, after, .. } => {
            ruleset.place((*by)?).filter(|_| !is_there(after))
        }
        _ => None,
    })
}

/// How many packets for a place are taken away; what is told of all must be true of each.
fn compared(ruleset: &Ruleset, to: &Destination) -> usize {
    let world = world();
    let with = Prepared::new(ruleset, &world);
    let all = diversions(ruleset, &world, to).unwrap();
    let each = to.addresses.iter();
    let mut taken = 0;
    for (hook, packet) in each.flat_map(|a| samples(*a, protocol_of(to.transport), to.port.0)) {
        let way = if hook == Hook::Output { Way::Output } else { Way::Prerouting };
        let walk = with.walk(&packet, way, &Presumed);
        let is_v6 = packet.is_v6();
        let mut told = all.iter().filter(|d| d.hook == hook && d.rule.place.family.passes(is_v6));
        match taker(ruleset, &walk.steps, to) {
            Some(place) => {
                taken += 1;
                assert!(told.any(|d| d.rule.place == place), "{place}: {packet:?}");
            }
            None if walk.outcome == Outcome::Accept => {
                assert!(told.all(|d| !d.takes_all), "{packet:?}: {all:?}");
            }
            None => {}
        }
    }
    taken
}

#[test]
fn what_is_told_of_all_packets_is_what_the_simulator_says_of_each() {
    let mut taken = 0;
    for ruleset in [native(), saved(DOCKER_NFT, Family::Ip), saved(IP6, Family::Ip6)] {
        for port in [22, 25, 53, 80, 222, 1001, 2222, 3000, 3306, 8080, 8443, 15001] {
            for transport in [Transport::Tcp, Transport::Udp] {
                taken += compared(&ruleset, &at("::", transport, port));
            }
        }
    }
    assert!(taken > 50, "{taken}");
}
