//! Target sets against plain sets of addresses, and how people write them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn ranges(word: &str) -> Vec<AddressRange> {
    match Target::parse(word).unwrap() {
        Target::Addresses { ranges, .. } => ranges,
        Target::Name(name) => panic!("{name} is a name"),
    }
}

fn set(included: &[&str], excluded: &[&str]) -> TargetSet {
    let all = |words: &[&str]| words.iter().flat_map(|w| ranges(w)).collect::<Vec<_>>();
    TargetSet::new(all(included), all(excluded)).unwrap()
}

fn shown(set: &TargetSet) -> String {
    set.ranges().map(|r| r.to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_way_of_writing_targets_is_read() {
    for (word, expected) in [
        ("10.0.0.1", "10.0.0.1"),
        ("[fd00::1]", "fd00::1"),
        ("10.0.0.5/24", "10.0.0.0/24"),
        ("fd00::5/120", "fd00::/120"),
        ("10.0.0.1-10.0.0.20", "10.0.0.1-10.0.0.20"),
        ("10.0.0.1-20", "10.0.0.1-10.0.0.20"),
        ("10.0.0-1.1-254", "10.0.0.1-10.0.0.254 10.0.1.1-10.0.1.254"),
        ("192.168.2-3.*", "192.168.2.0/23"),
        ("10.0.0.1,3-4", "10.0.0.1 10.0.0.3-10.0.0.4"),
        ("fd00::1-fd00::ff", "fd00::1-fd00::ff"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.9/120", "10.0.0.0/24"),
    ] {
        assert_eq!(shown(&set(&[word], &[])), expected, "{word}");
    }
}

#[test]
fn a_zone_names_the_interface_of_an_address() {
    let target = Target::parse("fe80::1%eth0").unwrap();
    let expected = Target::Addresses { ranges: ranges("fe80::1"), zone: Some("eth0".into()) };
    assert_eq!(target, expected);
    assert!(Target::parse("web%eth0").is_err());
}

#[test]
fn what_is_no_address_is_a_name_unless_it_looks_like_one() {
    for name in ["localhost", "web-1.example.org", "a", "db_1", "10-0-0-1.example.org", "3com"] {
        assert_eq!(Target::parse(name), Ok(Target::Name(name.into())), "{name}");
    }
    for wrong in
        ["", "10.0.0", "10.0.0.256", "300.1", "1", "a..b", "-p", "a b", "fd00::x", "*", "."]
    {
        assert!(Target::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_mistake_is_told_with_its_way_out() {
    for (word, told) in [
        (
            "10.0.0.20-10.0.0.1",
            "`10.0.0.20-10.0.0.1` does not run from a lower to a higher address of the same family",
        ),
        (
            "10.0.0.1-fd00::1",
            "`10.0.0.1-fd00::1` does not run from a lower to a higher address of the same family",
        ),
        ("10.0.0.0/33", "`10.0.0.0/33` has a prefix length outside 0-32 (IPv4) or 0-128 (IPv6)"),
        ("10.0.0.20-1", "`10.0.0.20-1` has a part that is not 0-255, or runs backwards"),
        ("10.0.0.1:80", "`10.0.0.1:80` names a port"),
        ("[fd00::1]:80", "`[fd00::1]:80` names a port"),
        ("web:80,443", "`web:80,443` names a port"),
        ("https://web", "`https://web` is a URL"),
        ("224.0.0.1", "`224.0.0.1` is not the address of a host"),
        ("0.0.0.0", "`0.0.0.0` is not the address of a host"),
    ] {
        assert_eq!(Target::parse(word).unwrap_err().to_string(), told);
    }
}

#[test]
fn overlaps_are_one_and_exclusions_make_holes() {
    let targets = set(
        &["10.0.0.0/24", "10.0.0.128/25", "10.0.1.0/24", "fd00::1", "10.0.0.7"],
        &["10.0.0.0", "10.0.0.255-10.0.1.0", "fd00::/64", "::/0"],
    );
    assert_eq!(shown(&targets), "10.0.0.1-10.0.0.254 10.0.1.1-10.0.1.255");
    assert_eq!(targets.len(), 254 + 255);
    assert_eq!(targets.nth(254), Some("10.0.1.1".parse().unwrap()));
    assert_eq!(targets.nth(509), None);
    assert!(!targets.contains("10.0.0.255".parse().unwrap()));
}

#[test]
fn whole_families_can_be_left_out_and_are_too_many_to_scan() {
    assert!(set(&["10.0.0.0/8", "fd00::1"], &["0.0.0.0/0", "::/0"]).is_empty());
    assert_eq!(set(&["0.0.0.0/0"], &[]).len(), 1 << 32);
    assert_eq!(set(&["fd00::/88"], &[]).len(), MOST);
    for word in ["fd00::/64", "fd00::/87", "::/0"] {
        assert_eq!(TargetSet::new(ranges(word), []), Err(TooMany), "{word}");
    }
    let twice = [ranges("fd00::/88"), ranges("fd01::/88")].concat();
    assert_eq!(TargetSet::new(twice, []), Err(TooMany));
}

#[test]
fn a_list_tells_where_its_mistake_stands() {
    let read = list("# ours\n10.0.0.1 web # and more\n\n  fd00::1\r\n").unwrap();
    let expected = ["10.0.0.1", "web", "fd00::1"].map(|word| Target::parse(word).unwrap());
    assert_eq!(read, expected);
    let text = "10.0.0.1\n\tweb 10.0.0.999 # no";
    let error = list(text).unwrap_err();
    assert_eq!(&text[error.span], "10.0.0.999");
}

/// Ranges within a few addresses around both families' ends, so that they meet often.
fn nearby() -> impl Strategy<Value = Vec<AddressRange>> {
    let one = (any::<bool>(), any::<bool>(), 0u32..60, 0u32..12).prop_map(|(v6, top, at, more)| {
        let base = if top { u32::MAX - 80 } else { 0 };
        let address = |n: u32| -> IpAddr {
            if v6 {
                let high = if top { u128::MAX << 32 } else { 0 };
                return std::net::Ipv6Addr::from_bits(high | u128::from(n)).into();
            }
            std::net::Ipv4Addr::from_bits(n).into()
        };
        AddressRange::new(address(base + at), address(base + at + more)).unwrap()
    });
    prop::collection::vec(one, 0..12)
}

proptest! {
    #[test]
    fn a_set_is_what_its_addresses_say(included in nearby(), excluded in nearby()) {
        let targets = TargetSet::new(included.clone(), excluded.clone()).unwrap();
        let mut expected: BTreeSet<IpAddr> = included.iter().flat_map(|r| r.iter()).collect();
        excluded.iter().flat_map(|r| r.iter()).for_each(|a| { expected.remove(&a); });
        prop_assert_eq!(targets.iter().collect::<Vec<_>>(), expected.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(targets.len(), expected.len() as u64);
        for (place, address) in (0u64..).zip(&expected) {
            prop_assert_eq!(targets.nth(place), Some(*address));
            prop_assert_eq!(targets.position_of(*address), Some(place));
        }
        prop_assert_eq!(targets.nth(targets.len()), None);
        excluded.iter().for_each(|r| assert!(!targets.contains(r.first())));
        prop_assert_eq!(expected.iter().copied().collect::<TargetSet>(), targets);
    }

    #[test]
    fn a_range_is_read_as_it_is_written(ranges in nearby()) {
        for range in ranges {
            let Ok(Target::Addresses { ranges: again, .. }) = Target::parse(&range.to_string()) else {
                // 0.0.0.0 and :: alone are no hosts, and ::0.0.0.x is not written so.
                prop_assert_eq!(range.count(), 1);
                continue;
            };
            prop_assert_eq!(again, vec![range]);
        }
    }

    #[test]
    fn no_text_is_too_strange(text in "[0-9a-z.:/%*,# \\[\\]-]{0,40}") {
        let _ = list(&text);
        let _ = Target::parse(&text);
    }
}
