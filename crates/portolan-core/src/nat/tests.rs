//! The listings in `tests/data/nat` come from a real kernel; see the README there.

use std::net::IpAddr;

use super::*;
use crate::net::{Port, Transport};

const NATIVE: &[u8] = include_bytes!("../../tests/data/nat/native.json");
const DOCKER: &[u8] = include_bytes!("../../tests/data/nat/docker.json");
const DOCKER_NFT: &str = include_str!("../../tests/data/nat/docker-nft.save");
const DOCKER_LEGACY: &str = include_str!("../../tests/data/nat/docker-legacy.save");
const IP6: &str = include_str!("../../tests/data/nat/ip6.save");

fn native() -> Translations {
    Translations::from_nft(NATIVE).unwrap()
}

/// To a wildcard socket for both families on a machine with two addresses.
fn to(transport: Transport, port: u16) -> Destination {
    at("::", transport, port)
}

fn at(address: &str, transport: Transport, port: u16) -> Destination {
    let local = ["192.0.2.10", "2001:db8::10"].map(|a| a.parse::<IpAddr>().unwrap());
    Destination::new(transport, address.parse().unwrap(), false, Port(port), local)
}

fn tcp(port: u16) -> Destination {
    to(Transport::Tcp, port)
}

/// Path, handle or index, target, and whether all is taken.
fn told(translations: &Translations, destination: &Destination) -> Vec<String> {
    let diversions = translations.diverting(destination);
    diversions
        .iter()
        .map(|d| {
            let all = if d.takes_all { "all" } else { "some" };
            format!("{} {}: {all} to {}", d.path, d.rule.place, d.target)
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
    let target = |port| found.diverting(&at("192.0.2.10", Transport::Tcp, port))[0].target;
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
fn rules_are_told_in_words_near_to_those_of_nft() {
    let found = native();
    let texts: Vec<&str> = found.rules().map(|rule| &*rule.text).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn docker_publishes_for_the_outside_and_for_its_own_addresses_not_for_loopback() {
    let found = Translations::from_iptables_save(DOCKER_NFT, RuleFamily::Ip);
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
    let nft = Translations::from_iptables_save(DOCKER_NFT, RuleFamily::Ip);
    let legacy = Translations::from_iptables_save(DOCKER_LEGACY, RuleFamily::Ip);
    assert_eq!(told(&nft, &tcp(3000)), ["output ip nat OUTPUT rule 2: all to port 3001"]);
    assert_eq!(told(&nft, &tcp(3000)), told(&legacy, &tcp(3000)));
    assert!(legacy.chains.iter().all(|c| c.is_legacy) && !nft.chains.iter().any(|c| c.is_legacy));
}

#[test]
fn what_nft_sees_by_name_only_iptables_save_tells_and_the_handles_stay() {
    let veiled = Translations::from_nft(DOCKER).unwrap();
    assert!(veiled.is_veiled());
    assert_eq!(
        told(&veiled, &at("127.0.0.1", Transport::Tcp, 3000)),
        ["output ip nat OUTPUT handle 14: all to somewhere else"]
    );
    let told_by_both = veiled.with(Translations::from_iptables_save(DOCKER_NFT, RuleFamily::Ip));
    assert_eq!(
        told(&told_by_both, &at("127.0.0.1", Transport::Tcp, 3000)),
        ["output ip nat OUTPUT handle 14: all to port 3001"]
    );
}

#[test]
fn legacy_tables_are_added_to_what_nft_shows() {
    let both = native().with(Translations::from_iptables_save(DOCKER_LEGACY, RuleFamily::Ip));
    let found = told(&both, &at("127.0.0.1", Transport::Tcp, 3000));
    assert_eq!(found, ["output ip nat OUTPUT rule 2: all to port 3001"]);
}

#[test]
fn an_ipv6_target_stands_in_brackets() {
    let found = Translations::from_iptables_save(IP6, RuleFamily::Ip6);
    assert_eq!(
        told(&found, &tcp(8443)),
        ["prerouting ip6 nat PREROUTING rule 1: all to [2001:db8::7]:443"]
    );
}

#[test]
fn a_quoted_comment_is_no_option() {
    let found = Translations::from_iptables_save(DOCKER_NFT, RuleFamily::Ip);
    let rule = found.rules().find(|rule| rule.text.contains("new")).unwrap();
    assert_eq!(
        rule.branches[0].verdict,
        Verdict::Translate(Target::Redirect { ports: Some("8000-8003".parse().unwrap()) })
    );
    assert_eq!(rule.branches[0].conditions.len(), 2);
}

#[test]
fn chains_that_jump_in_a_circle_end() {
    let circle = "*nat\n:OUTPUT ACCEPT [0:0]\n:A - [0:0]\n-A OUTPUT -j A\n-A A -j A\n-A A -j A\n-A A -p tcp --dport 1 -j REDIRECT --to-ports 2\nCOMMIT\n";
    let found = Translations::from_iptables_save(circle, RuleFamily::Ip);
    assert_eq!(found.diverting(&tcp(1)).len(), 1);
}

#[test]
fn an_answer_that_is_no_listing_is_refused() {
    assert!(matches!(Translations::from_nft(b"{}"), Err(NatError::Shape)));
    assert!(matches!(Translations::from_nft(b"Error"), Err(NatError::Json(_))));
}

proptest::proptest! {
    #[test]
    fn no_line_of_a_rule_makes_it_panic(
        line in "(-A OUTPUT |-j |-g |! |-p tcp |--dport |-d |:|-|,|\\[|\\]|\"|\\\\|OUTPUT|DNAT|REDIRECT|--to-ports |--to-destination |[0-9a-f.]| ){0,30}",
    ) {
        let text = format!("*nat\n:OUTPUT ACCEPT [0:0]\n{line}\nCOMMIT\n");
        let found = Translations::from_iptables_save(&text, RuleFamily::Ip);
        for diversion in found.diverting(&at("127.0.0.1", Transport::Tcp, 80)) {
            proptest::prop_assert_eq!(diversion.path, Path::Output);
        }
    }

    #[test]
    fn a_redirect_of_a_port_diverts_that_port_and_no_other(port in 2u16.., other in 1u16..) {
        let text = format!("*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p tcp -m tcp --dport {port} -j REDIRECT --to-ports 1\nCOMMIT\n");
        let found = Translations::from_iptables_save(&text, RuleFamily::Ip);
        let diverted = |port| found.diverting(&at("127.0.0.1", Transport::Tcp, port)).len();
        proptest::prop_assert_eq!(diverted(port), 1);
        proptest::prop_assert_eq!(diverted(other), usize::from(other == port));
    }
}
