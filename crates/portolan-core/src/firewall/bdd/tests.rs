//! Against brute force: three fields of three bits, all 512 packets.

use proptest::prelude::*;

use super::{Bdd, Bits, Region, Taker, Undecided};

const FIELDS: [Bits; 3] =
    [Bits { first: 0, width: 3 }, Bits { first: 3, width: 3 }, Bits { first: 6, width: 3 }];
const PACKETS: usize = 512;
const VARIABLES: u32 = 9;

/// A set of packets, said in words that both sides understand.
#[derive(Clone, Debug)]
enum Formula {
    Range(usize, u128, u128),
    Prefix(usize, u128, u32),
    Masked(usize, u128, u128),
    AnyBit(usize, u128),
    Not(Box<Formula>),
    And(Box<Formula>, Box<Formula>),
    Or(Box<Formula>, Box<Formula>),
    Xor(Box<Formula>, Box<Formula>),
    Either(Box<Formula>, Box<Formula>, Box<Formula>),
}

fn formula() -> impl Strategy<Value = Formula> {
    let field = 0..3_usize;
    let leaf = prop_oneof![
        (field.clone(), 0..8_u128, 0..8_u128).prop_map(|(f, a, b)| Formula::Range(f, a, b)),
        (field.clone(), 0..8_u128, 0..4_u32).prop_map(|(f, v, l)| Formula::Prefix(f, v, l)),
        (field.clone(), 0..8_u128, 0..8_u128).prop_map(|(f, m, v)| Formula::Masked(f, m, v)),
        (field, 0..8_u128).prop_map(|(f, m)| Formula::AnyBit(f, m)),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        let boxed = inner.prop_map(Box::new);
        prop_oneof![
            boxed.clone().prop_map(Formula::Not),
            (boxed.clone(), boxed.clone()).prop_map(|(a, b)| Formula::And(a, b)),
            (boxed.clone(), boxed.clone()).prop_map(|(a, b)| Formula::Or(a, b)),
            (boxed.clone(), boxed.clone()).prop_map(|(a, b)| Formula::Xor(a, b)),
            (boxed.clone(), boxed.clone(), boxed).prop_map(|(c, a, b)| Formula::Either(c, a, b)),
        ]
    })
}

fn value(packet: usize, field: usize) -> u128 {
    (packet >> (6 - 3 * field) & 7) as u128
}

fn bit(packet: usize, variable: u32) -> bool {
    packet >> (VARIABLES - 1 - variable) & 1 == 1
}

fn holds(formula: &Formula, packet: usize) -> bool {
    match formula {
        Formula::Range(f, a, b) => (*a..=*b).contains(&value(packet, *f)),
        Formula::Prefix(f, v, l) => value(packet, *f) >> (3 - l) == v >> (3 - l),
        Formula::Masked(f, m, v) => value(packet, *f) & m == *v,
        Formula::AnyBit(f, m) => value(packet, *f) & m != 0,
        Formula::Not(a) => !holds(a, packet),
        Formula::And(a, b) => holds(a, packet) && holds(b, packet),
        Formula::Or(a, b) => holds(a, packet) || holds(b, packet),
        Formula::Xor(a, b) => holds(a, packet) != holds(b, packet),
        Formula::Either(c, a, b) => holds(if holds(c, packet) { a } else { b }, packet),
    }
}

fn built(bdd: &mut Bdd, formula: &Formula) -> Region {
    let region = match formula {
        Formula::Range(f, a, b) => bdd.range(FIELDS[*f], *a, *b),
        Formula::Prefix(f, v, l) => bdd.prefix(FIELDS[*f], *v, *l),
        Formula::Masked(f, m, v) => bdd.masked(FIELDS[*f], *m, *v),
        Formula::AnyBit(f, m) => bdd.any_bit(FIELDS[*f], *m),
        Formula::Not(a) => Ok(!built(bdd, a)),
        Formula::And(a, b) => {
            let (a, b) = (built(bdd, a), built(bdd, b));
            bdd.and(a, b)
        }
        Formula::Or(a, b) => {
            let (a, b) = (built(bdd, a), built(bdd, b));
            bdd.or(a, b)
        }
        Formula::Xor(a, b) => {
            let (a, b) = (built(bdd, a), built(bdd, b));
            bdd.xor(a, b)
        }
        Formula::Either(c, a, b) => {
            let (c, a, b) = (built(bdd, c), built(bdd, a), built(bdd, b));
            bdd.either(c, a, b)
        }
    };
    region.unwrap()
}

fn members(bdd: &Bdd, region: Region) -> Vec<usize> {
    (0..PACKETS).filter(|packet| bdd.contains(region, |v| bit(*packet, v))).collect()
}

fn expected(keep: impl Fn(usize) -> bool) -> Vec<usize> {
    (0..PACKETS).filter(|packet| keep(*packet)).collect()
}

/// `packet` with the bits of `variables` as those of `other`.
fn mixed(packet: usize, other: usize, variables: &[u32]) -> usize {
    let mask: usize = variables.iter().map(|v| 1 << (VARIABLES - 1 - v)).sum();
    packet & !mask | other & mask
}

#[test]
fn regions_that_never_part_are_held_against_each_other_in_no_time() {
    let mut bdd = Bdd::new(1 << 16);
    let bits: Vec<Region> = (0..64).map(|v| bdd.variable(v).unwrap()).collect();
    let others: Vec<Region> = bits.iter().map(|bit| !*bit).collect();
    let found = bdd.meetings(&bits, &others).unwrap();
    assert_eq!(found.len(), 64 * 63);
    assert!(found.is_sorted() && found.iter().all(|(one, other)| one != other));
}

proptest! {
    #[test]
    fn a_region_holds_exactly_the_packets_its_formula_holds_for(formula in formula()) {
        let mut bdd = Bdd::new(1 << 20);
        let region = built(&mut bdd, &formula);
        let wanted = expected(|packet| holds(&formula, packet));
        prop_assert_eq!(bdd.share(region), wanted.len() as f64 / PACKETS as f64);
        prop_assert_eq!(members(&bdd, region), wanted);
    }

    #[test]
    fn equal_sets_have_equal_handles(a in formula(), b in formula()) {
        let mut bdd = Bdd::new(1 << 20);
        let (ra, rb) = (built(&mut bdd, &a), built(&mut bdd, &b));
        let same = (0..PACKETS).all(|packet| holds(&a, packet) == holds(&b, packet));
        prop_assert_eq!(ra == rb, same);
        let meets = (0..PACKETS).any(|packet| holds(&a, packet) && holds(&b, packet));
        prop_assert_eq!(bdd.meets(ra, rb), meets);
        let covers = (0..PACKETS).all(|packet| holds(&a, packet) || !holds(&b, packet));
        prop_assert_eq!(bdd.covers(ra, rb), covers);
    }

    #[test]
    fn quantifying_asks_every_value_of_the_variables(
        formula in formula(),
        variables in proptest::collection::btree_set(0..VARIABLES, 0..5),
    ) {
        let mut bdd = Bdd::new(1 << 20);
        let region = built(&mut bdd, &formula);
        let variables: Vec<u32> = variables.into_iter().collect();
        let cube = bdd.cube(variables.iter().copied()).unwrap();
        let some = bdd.exists(region, cube).unwrap();
        let every = bdd.for_all(region, cube).unwrap();
        let around = |packet| (0..PACKETS).map(move |other| (packet, other));
        let in_it = |(packet, other)| holds(&formula, mixed(packet, other, &variables));
        prop_assert_eq!(members(&bdd, some), expected(|p| around(p).any(in_it)));
        prop_assert_eq!(members(&bdd, every), expected(|p| around(p).all(in_it)));
    }

    #[test]
    fn a_substitution_asks_about_the_changed_packet(
        formula in formula(),
        one in formula(),
        other in formula(),
        at in 0..VARIABLES,
        number in 0..8_u128,
    ) {
        let mut bdd = Bdd::new(1 << 20);
        let region = built(&mut bdd, &formula);
        let values = [built(&mut bdd, &one), built(&mut bdd, &other)];
        let other_place = (at + 4) % VARIABLES;
        let change = bdd.substitution(vec![(at, values[0]), (other_place, values[1])]);
        let after = bdd.substituted(region, change).unwrap();
        let constant: Vec<_> = FIELDS[1].variables()
            .map(|v| (v, if FIELDS[1].bit(number, v) == Some(true) { Region::ALL } else { Region::NONE }))
            .collect();
        let fixed = bdd.substitution(constant);
        let with_number = bdd.substituted(region, fixed).unwrap();
        let changed = |packet: usize| {
            let set = |packet: usize, variable: u32, to: bool| {
                mixed(packet, if to { PACKETS - 1 } else { 0 }, &[variable])
            };
            set(set(packet, at, holds(&one, packet)), other_place, holds(&other, packet))
        };
        prop_assert_eq!(members(&bdd, after), expected(|p| holds(&formula, changed(p))));
        let numbered = |p: usize| p & !0b000_111_000 | (number as usize) << 3;
        prop_assert_eq!(members(&bdd, with_number), expected(|p| holds(&formula, numbered(p))));
    }

    #[test]
    fn many_ranges_are_the_union_of_each(
        ranges in proptest::collection::vec((0..8_u128, 0..12_u128), 0..6),
    ) {
        let mut bdd = Bdd::new(1 << 20);
        let all = bdd.ranges(FIELDS[1], &ranges).unwrap();
        let each = ranges.iter().map(|r| bdd.range(FIELDS[1], r.0, r.1).unwrap()).collect();
        prop_assert_eq!(all, bdd.union(each).unwrap());
        let inside = |p| ranges.iter().any(|r| (r.0..=r.1).contains(&value(p, 1)));
        prop_assert_eq!(members(&bdd, all), expected(inside));
    }

    #[test]
    fn a_split_tells_the_same_packets_by_the_values_of_a_field(formula in formula()) {
        let mut bdd = Bdd::new(1 << 20);
        let region = built(&mut bdd, &formula);
        let parts = bdd.split(region, FIELDS[0], 1000).unwrap();
        let mut told = Vec::new();
        for part in &parts {
            prop_assert!(!part.rest.is_none());
            prop_assert!(part.values.windows(2).all(|w| w[0].1 + 1 < w[1].0));
            let values = bdd.ranges(FIELDS[0], &part.values).unwrap();
            told.push(bdd.and(values, part.rest).unwrap());
        }
        prop_assert_eq!(bdd.union(told).unwrap(), region);
    }

    #[test]
    fn one_packet_of_a_region_is_in_it(formula in formula(), likes in 0..PACKETS) {
        let mut bdd = Bdd::new(1 << 20);
        let region = built(&mut bdd, &formula);
        match bdd.one_of(region, |v| bit(likes, v)) {
            None => prop_assert!(region.is_none()),
            Some(bits) => {
                let chosen = |v| bits.iter().find(|b| b.0 == v).is_some_and(|b| b.1);
                prop_assert!(bdd.contains(region, chosen));
                prop_assert!(bdd.contains(region, |v| chosen(v) || !bits.iter().any(|b| b.0 == v)));
            }
        }
    }

    #[test]
    fn meetings_are_the_pairs_that_have_a_packet_in_common(
        ones in proptest::collection::vec(formula(), 0..8),
        others in proptest::collection::vec(formula(), 0..8),
    ) {
        let mut bdd = Bdd::new(1 << 20);
        let ones: Vec<Region> = ones.iter().map(|formula| built(&mut bdd, formula)).collect();
        let others: Vec<Region> = others.iter().map(|formula| built(&mut bdd, formula)).collect();
        let mut expected = Vec::new();
        for (first, one) in (0..).zip(&ones) {
            for (second, other) in (0..).zip(&others) {
                if bdd.meets(*one, *other) {
                    expected.push((first, second));
                }
            }
        }
        prop_assert_eq!(bdd.meetings(&ones, &others).unwrap(), expected);
    }

    #[test]
    fn two_meet_within_a_third_where_all_three_have_a_packet_in_common(
        a in formula(),
        b in formula(),
        c in formula(),
    ) {
        let mut bdd = Bdd::new(1 << 20);
        let (a, b, c) = (built(&mut bdd, &a), built(&mut bdd, &b), built(&mut bdd, &c));
        let all = bdd.intersection([a, b, c]).unwrap();
        prop_assert_eq!(bdd.meets_within(a, b, c), !all.is_none());
    }

    #[test]
    fn a_row_is_dealt_as_one_after_the_other_takes(
        row in proptest::collection::vec((formula(), 0..5_u32, any::<bool>()), 0..12),
    ) {
        let mut bdd = Bdd::new(1 << 20);
        let takers: Vec<Taker> = row
            .iter()
            .map(|(formula, label, passes_on)| {
                let label = if *label == 4 { Taker::NOBODY } else { *label };
                Taker { region: built(&mut bdd, formula), label, passes_on: *passes_on }
            })
            .collect();
        let dealt = bdd.dealt(&takers).unwrap();
        prop_assert!(dealt.iter().is_sorted_by(|a, b| a.0 < b.0));
        let mut expected = [Region::NONE; 4];
        let mut left = Region::ALL;
        for taker in takers {
            let hit = bdd.and(taker.region, left).unwrap();
            if let Some(all) = expected.get_mut(taker.label as usize) {
                *all = bdd.or(*all, hit).unwrap();
            }
            if !taker.passes_on {
                left = bdd.minus(left, hit).unwrap();
            }
        }
        for (label, expected) in (0..).zip(expected) {
            let found = dealt.iter().find(|(own, _)| *own == label);
            prop_assert_eq!(found.map_or(Region::NONE, |found| found.1), expected);
        }
    }
}

#[test]
fn a_budget_that_is_used_up_is_said() {
    let mut bdd = Bdd::new(20);
    let bits = Bits { first: 0, width: 32 };
    assert_eq!(bdd.equal(bits, 7), Err(Undecided { budget: 20 }));
    let mut bdd = Bdd::new(20);
    assert!(bdd.prefix(bits, 1 << 31, 8).is_ok());
}

#[test]
fn a_split_past_its_limit_is_not_told() {
    let mut bdd = Bdd::new(1 << 20);
    let odd = bdd.masked(FIELDS[0], 1, 1).unwrap();
    assert!(bdd.split(odd, FIELDS[0], 3).is_none());
    assert_eq!(bdd.split(odd, FIELDS[0], 4).unwrap()[0].values.len(), 4);
}

#[test]
fn whole_fields_of_128_bits_can_be_told() {
    let mut bdd = Bdd::new(1 << 20);
    let bits = Bits { first: 5, width: 128 };
    assert_eq!(bdd.range(bits, 0, u128::MAX), Ok(Region::ALL));
    let last = bdd.equal(bits, u128::MAX).unwrap();
    let parts = bdd.split(!last, bits, 10).unwrap();
    assert_eq!(parts[0].values, [(0, u128::MAX - 1)]);
}

#[test]
fn a_hundred_thousand_prefixes_take_little_more_than_their_own_paths() {
    let mut bdd = Bdd::new(1 << 24);
    let bits = Bits { first: 0, width: 32 };
    let addresses: Vec<u128> = (0..100_000_u128).map(|n| n * 2_654_435_761 % (1 << 32)).collect();
    let ranges: Vec<_> = addresses.iter().map(|a| (*a, *a)).collect();
    let all = bdd.ranges(bits, &ranges).unwrap();
    assert_eq!(bdd.size(all) + 1, bdd.len());
    let mut sorted = addresses;
    sorted.sort_unstable();
    let each = sorted.iter().map(|a| bdd.equal(bits, *a).unwrap()).collect();
    assert_eq!(bdd.union(each), Ok(all));
}
