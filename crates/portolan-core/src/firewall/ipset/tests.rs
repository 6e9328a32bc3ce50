//! What `ipset save` prints, as sets; and what it cannot be, refused with its place.

use super::*;
use crate::firewall::Span;

fn spans(set: &Ipset) -> Vec<Vec<Span>> {
    set.elements.iter().flatten().map(|element| element.key.clone()).collect()
}

fn numbers(low: u32, high: u32) -> Span {
    Span::Numbers { low: low.into(), high: high.into() }
}

#[test]
fn networks_and_addresses_are_spans() {
    let text = include_str!("../../../tests/data/firewall/firewalld-iptables/ipset");
    let sets = Ipsets::read(text).expect("ipset's own output");
    let bad = sets.get("bad").expect("it is created there");
    assert_eq!(bad.is_v6, Some(false));
    let found = spans(bad);
    assert!(found.contains(&vec![numbers(0xcb00_7100, 0xcb00_71ff)]));
    assert!(found.contains(&vec![numbers(0xc000_024d, 0xc000_024d)]));
}

#[test]
fn the_smallest_network_decides_where_members_exclude() {
    let text = "create n hash:net family inet\nadd n 10.0.0.0/24\nadd n 10.0.0.64/26 nomatch\n\
                add n 10.0.0.70\nadd n 192.0.2.0/24 nomatch\n";
    let sets = Ipsets::read(text).expect("it is well formed");
    let found = spans(sets.get("n").expect("it is created there"));
    let base = 0x0a00_0000;
    let expected = [(0, 63), (70, 70), (128, 255)];
    let mut expected: Vec<_> =
        expected.map(|(low, high)| vec![numbers(base + low, base + high)]).into();
    expected.sort_by_key(|key| format!("{key:?}"));
    let mut found = found;
    found.sort_by_key(|key| format!("{key:?}"));
    assert_eq!(found, expected);
}

#[test]
fn a_port_has_a_protocol() {
    let text = "create p hash:ip,port family inet\nadd p 10.0.0.1,udp:53\ncreate b bitmap:port range 0-100\n\
                add b 80\n";
    let sets = Ipsets::read(text).expect("it is well formed");
    let one = spans(sets.get("p").expect("it is created there"));
    assert_eq!(one, [vec![numbers(0x0a00_0001, 0x0a00_0001), numbers(17, 17), numbers(53, 53)]]);
    // Measured: a set of ports takes no SCTP.
    let port = |protocol: u32| vec![numbers(protocol, protocol), numbers(80, 80)];
    assert_eq!(spans(sets.get("b").expect("it is created there")), [port(6), port(17)]);
}

#[test]
fn a_list_holds_what_its_sets_hold() {
    let text = "create a hash:ip family inet\nadd a 10.0.0.1\ncreate b hash:net family inet\n\
                add b 10.1.0.0/16 timeout 300\ncreate l list:set size 8\nadd l a\nadd l b\n";
    let sets = Ipsets::read(text).expect("it is well formed");
    let list = sets.get("l").expect("it is created there");
    assert_eq!(list.elements.as_ref().map(Vec::len), Some(2));
}

#[test]
fn what_is_not_understood_leaves_the_set_unknown() {
    let text = "create m hash:mac\nadd m 01:02:03:04:05:06\ncreate i hash:ip,port family inet\n\
                add i 10.0.0.1,icmp:8/0\n";
    let sets = Ipsets::read(text).expect("it is well formed");
    assert_eq!(sets.get("m").expect("it is created there").elements, None);
    assert_eq!(sets.get("i").expect("it is created there").elements, None);
}

#[test]
fn a_member_of_no_set_is_an_error_with_its_place() {
    let error = Ipsets::read("create a hash:ip\nadd b 10.0.0.1\n").expect_err("b is not created");
    assert_eq!((error.line, error.column), (2, 5));
}
