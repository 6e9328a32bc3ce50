//! What two rulesets do differently: each field that it needs is told, and none that it does not.

use proptest::prelude::*;

use super::draw::Draw;
use super::questions::{compared, filter, read};
use super::{WAYS, told};
use crate::firewall::analyse::cells::Among;
use crate::firewall::analyse::*;
use crate::firewall::bdd::Region;
use crate::firewall::simulate::{Outcome, Prepared, Way};
use crate::firewall::{Expression, Ruleset, Statement, Target, Value, World, bits};

/// Protocols, ports, and what else is told.
type Told = (Vec<(u8, u8)>, Vec<(u16, u16)>, Vec<Feature>);

/// What is told of the packets that a rule in INPUT lets in, where the others do not.
fn told_of(rule: &str, others: &[&str]) -> Vec<Told> {
    let with = filter("DROP", &[others, &[rule][..]].concat());
    let found = compared(&with, &filter("DROP", others));
    let [difference] = found.regions.as_slice() else { panic!("{:?}", found.regions) };
    let block =
        |block: &Block| (block.protocols.clone(), block.ports.clone(), block.features.clone());
    difference.blocks.iter().map(block).collect()
}

const ALL: (u16, u16) = (0, u16::MAX);

#[test]
fn a_rule_for_new_connections_differs_in_these_only() {
    let rule = "-p tcp -m conntrack --ctstate NEW --dport 22 -j ACCEPT";
    let new = vec![Feature::State(vec![bits::NEW])];
    assert_eq!(told_of(rule, &[]), [(vec![(6, 6)], vec![(22, 22)], new)]);
    assert_eq!(
        told_of("-p tcp --dport 22 -j ACCEPT", &[]),
        [(vec![(6, 6)], vec![(22, 22)], vec![])]
    );
}

#[test]
fn flags_are_told_as_far_as_the_state_does_not_say_them() {
    let syn = "-p tcp --syn -m conntrack --ctstate NEW -j ACCEPT";
    let flags = Feature::TcpFlags { mask: 2, set: 2 };
    let expected = vec![Feature::State(vec![bits::NEW]), flags];
    assert_eq!(told_of(syn, &[]), [(vec![(6, 6)], vec![ALL], expected)]);
    let flags = Feature::TcpFlags { mask: 0b1_0111, set: 2 };
    assert_eq!(told_of("-p tcp --syn -j ACCEPT", &[]), [(vec![(6, 6)], vec![ALL], vec![flags])]);
}

#[test]
fn a_message_of_icmp_is_told_by_type_and_code() {
    let unreachable = |rule: &str| told_of(rule, &[]).remove(0).2;
    let rule = "-p icmp --icmp-type 3/4 -j ACCEPT";
    assert_eq!(unreachable(rule), [Feature::Messages(vec![(0x0304, 0x0304)])]);
    let rule = "-p icmp --icmp-type 3 -j ACCEPT";
    assert_eq!(unreachable(rule), [Feature::Messages(vec![(0x0300, 0x03ff)])]);
}

#[test]
fn source_ports_marks_fragments_and_limits_are_told() {
    let features = |rule: &str| told_of(rule, &[]).remove(0).2;
    assert_eq!(features("-p udp --sport 53 -j ACCEPT"), [Feature::SourcePorts(vec![(53, 53)])]);
    assert_eq!(
        features("-m mark --mark 0x7 -j ACCEPT"),
        [Feature::Number(Quantity::Mark, vec![(7, 7)])]
    );
    assert_eq!(
        features("-m ttl --ttl-lt 5 -j ACCEPT"),
        [Feature::Number(Quantity::Ttl, vec![(0, 4)])]
    );
    let [Feature::Answer { text, holds: true }] = &features("-m limit --limit 3/min -j ACCEPT")[..]
    else {
        panic!("a limit")
    };
    assert!(text.contains("limit"), "{text}");
}

#[test]
fn fragments_are_told_where_they_are_met_and_input_meets_none() {
    let forward = |rule: &str| filter("DROP", &[]).replace("COMMIT", &format!("{rule}COMMIT"));
    let found = compared(&forward("-A FORWARD -f -j DROP\n"), &forward(""));
    assert_eq!(found.regions[0].blocks[0].features, [Feature::LaterFragment(true)]);
    let found = compared(&filter("DROP", &["-f -j ACCEPT"]), &filter("DROP", &[]));
    assert!(found.regions.is_empty(), "IPv4 puts them together before");
}

#[test]
fn what_is_beside_established_connections_is_named_by_its_states() {
    let stateful = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";
    let states = Feature::State(vec![bits::NEW, bits::INVALID]);
    let found = told_of("-p tcp --dport 22 -j ACCEPT", &[stateful]);
    assert_eq!(found, [(vec![(6, 6)], vec![(22, 22)], vec![states])]);
}

#[test]
fn two_rules_with_other_conditions_are_told_each_with_its_own() {
    let rules =
        ["-p tcp -m conntrack --ctstate NEW --dport 22 -j ACCEPT", "-p tcp --dport 23 -j ACCEPT"];
    let found = compared(&filter("DROP", &rules), &filter("DROP", &[]));
    let mut told: Vec<_> = found.regions[0]
        .blocks
        .iter()
        .map(|block| (block.ports.clone(), block.features.clone()))
        .collect();
    told.sort_by_key(|(ports, _)| ports.clone());
    let new = Feature::State(vec![bits::NEW]);
    assert_eq!(told, [(vec![(22, 22)], vec![new]), (vec![(23, 23)], vec![])]);
}

/// A table of NAT with one rule, and nothing that drops.
fn nat(chain: &str, rule: &str) -> String {
    format!(
        "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT \
         [0:0]\n-A {chain} {rule}\nCOMMIT\n"
    )
}

#[test]
fn the_same_packets_sent_elsewhere_differ_and_both_ends_are_told() {
    let to = |end: &str| {
        nat("PREROUTING", &format!("-p tcp -m tcp --dport 81 -j DNAT --to-destination {end}"))
    };
    let found = compared(&to("172.30.0.2:80"), &to("172.30.0.3:80"));
    assert!(found.open.is_empty());
    for difference in &found.regions {
        assert!(difference.is_certain);
        assert_eq!(difference.before.outcome, Outcome::Accept);
        let ends = [&difference.before, &difference.after].map(|fate| fate.ends.clone().unwrap());
        let is = |end: u128| End::Is(end);
        assert_eq!(ends.clone().map(|end| end.address), [is(0xac1e_0002), is(0xac1e_0003)]);
        assert_eq!(ends.map(|end| end.port), [is(80), is(80)]);
        assert_eq!(difference.blocks.len(), 1, "{:?}", difference.blocks);
        assert_eq!(difference.blocks[0].ports, [(81, 81)]);
        assert_eq!(difference.after.translated_by.unwrap().rule, Some(0));
    }
    assert_eq!(found.regions.len(), 2, "input and forward");
    assert!(compared(&to("172.30.0.2:80"), &to("172.30.0.2:80")).regions.is_empty());
}

#[test]
fn a_translation_written_otherwise_that_does_the_same_is_equal() {
    let rule = |ports: &str| {
        nat("PREROUTING", &format!("-p tcp {ports} -j DNAT --to-destination 172.30.0.2:80"))
    };
    let (range, list) = (rule("-m tcp --dport 81:82"), rule("-m multiport --dports 81,82"));
    let found = compared(&range, &list);
    assert!(found.regions.is_empty() && found.open.is_empty(), "{found:?}");
}

#[test]
fn masquerading_is_the_same_as_itself_another_than_none_and_maybe_the_same_as_an_address() {
    let out = |rest: &str| nat("POSTROUTING", &format!("-o wan {rest}"));
    let masquerade = out("-j MASQUERADE");
    let list = |rules: &str| compared(&masquerade, rules);
    let same = list(&nat("POSTROUTING", "-o wan -s 0.0.0.0/0 -j MASQUERADE"));
    assert!(same.regions.is_empty() && same.open.is_empty(), "{same:?}");
    let none = list(&nat("POSTROUTING", "-o other -j ACCEPT"));
    assert!(!none.regions.is_empty() && none.open.is_empty());
    assert!(matches!(none.regions[0].before.ends.as_ref().unwrap().address, End::Vague(_)));
    assert_eq!(none.regions[0].after.ends.as_ref().unwrap().address, End::Kept);
    let fixed = list(&out("-j SNAT --to-source 192.0.2.7"));
    assert!(fixed.regions.is_empty() && !fixed.open.is_empty(), "{fixed:?}");
}

#[test]
fn a_rule_that_writes_a_port_sends_packets_elsewhere() {
    let (rule, plain) = ("-p tcp -m tcp --dport 81 -j ACCEPT", filter("ACCEPT", &[]));
    let writing = |value: Expression| {
        let mut ruleset = read(&filter("ACCEPT", &[rule]));
        let chain = ruleset.tables[0].chains.iter_mut().find(|c| &*c.name == "INPUT").unwrap();
        let assign = Statement::Assign { target: Target::DestinationPort, value };
        let end = chain.rules[0].statements.len() - 1;
        chain.rules[0].statements.insert(end, assign);
        ruleset
    };
    let world = World::default();
    let plain = read(&plain);
    let found = |with: &Ruleset| {
        let mut space = Space::new(false, &[with, &plain], &world, 4_000_000);
        let sides = [Prepared::new(with, &world), Prepared::new(&plain, &world)];
        diff(&mut space, &sides[0], &sides[1], &[Way::Input]).unwrap()
    };
    let known = found(&writing(Expression::Constant(Value::Number(8080))));
    let [one] = known.regions.as_slice() else { panic!("{known:?}") };
    assert_eq!(one.before.ends.as_ref().unwrap().port, End::Is(8080));
    assert_eq!((&one.blocks[0].ports, known.open.len()), (&vec![(81, 81)], 0));
    // Whether a port that nobody knows is another one nobody knows.
    let vague = found(&writing(Expression::Unknown("a port".into())));
    assert_eq!((vague.regions.len(), vague.open.len()), (0, 1), "{vague:?}");
}

/// A ruleset, and the same without one rule.
fn two_rulesets(seed: u64) -> (Ruleset, Ruleset) {
    let mut draw = Draw::new(seed);
    let before = draw.ruleset();
    let mut after = before.clone();
    let chains = super::chains(&after);
    let (t, c) = draw.of(&chains);
    let rules = &mut after.tables[t].chains[c].rules;
    if !rules.is_empty() {
        let places: Vec<usize> = (0..rules.len()).collect();
        rules.remove(draw.of(&places));
    }
    (before, after)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(11), ..ProptestConfig::with_cases(100) })]

    #[test]
    fn the_simulator_confirms_every_difference(seed: u64, way in 0..5_usize, is_v6: bool) {
        let (before, after) = two_rulesets(seed);
        let world = World::default();
        let mut space = Space::new(is_v6, &[&before, &after], &world, 4_000_000);
        let sides = [Prepared::new(&before, &world), Prepared::new(&after, &world)];
        match diff(&mut space, &sides[0], &sides[1], &[WAYS[way]]) {
            Err(AnalyseError::Internal { .. }) => prop_assert!(false, "{}\n{}", told(&before), told(&after)),
            Ok(_) | Err(AnalyseError::Undecided(_)) => {}
        }
    }

    #[test]
    fn blocks_say_a_region_exactly_among_what_matters(seed: u64, way in 0..5_usize, may_overlap: bool) {
        let (before, after) = two_rulesets(seed);
        let world = World::default();
        let mut space = Space::new(false, &[&before, &after], &world, 4_000_000);
        let care = space.possible().unwrap();
        let care = space.of_way(care, WAYS[way]).unwrap();
        let [one, other] = [&before, &after].map(|ruleset| {
            let prepared = Prepared::new(ruleset, &world);
            fates(&mut space, &prepared, WAYS[way], care, Detail::Fates).unwrap().accepted
        });
        let region = space.bdd.xor(one, other).unwrap();
        let among = Among { care, tells_answers: true, may_overlap, most: 300 };
        let (blocks, is_whole) = space.blocks(region, among).unwrap();
        if is_whole {
            let shapes: Vec<Region> = blocks.iter().map(|block| block.shape).collect();
            let all = space.bdd.union(shapes).unwrap();
            let there = space.bdd.and(all, care).unwrap();
            let wanted = space.bdd.and(region, care).unwrap();
            prop_assert!(there == wanted, "{}\n{}", told(&before), told(&after));
        }
    }
}
