//! Listings of nft as rules: guards written out, traps of the format, truncation at every length.

use super::*;
use crate::firewall::{
    Condition, Effect, ElementValue, Expression, Field, Hook, Match, NatKind, SetRef, Span,
    Statement, Test, Verdict, bits,
};

fn ruleset(family: &str, rules: &str) -> Ruleset {
    let text = format!(
        r#"{{"nftables": [{{"metainfo": {{"version": "1.0.6", "json_schema_version": 1}}}},
            {{"table": {{"family": "{family}", "name": "t", "handle": 1}}}},
            {{"chain": {{"family": "{family}", "table": "t", "name": "in", "handle": 1, "type": "filter",
                "hook": "input", "prio": 0, "policy": "drop"}}}},
            {{"chain": {{"family": "{family}", "table": "t", "name": "other", "handle": 2}}}},
            {rules}]}}"#
    );
    Ruleset::from_nft_json(text.as_bytes()).unwrap_or_else(|error| panic!("{error:?}\n{text}"))
}

/// The statements and the text of one rule.
fn rule(family: &str, statements: &str) -> (Vec<Statement>, String) {
    let rule = format!(
        r#"{{"rule": {{"family": "{family}", "table": "t", "chain": "in", "handle": 3, "expr": {statements}}}}}"#
    );
    let ruleset = ruleset(family, &rule);
    let rule = &ruleset.tables[0].chains[0].rules[0];
    (rule.statements.clone(), rule.text.to_string())
}

fn is(field: Field, number: u128) -> Statement {
    let left = Expression::Field(field);
    Statement::Match(Match { left, test: Test::In(SetRef::number(number)) })
}

const ACCEPT: Statement = Statement::Verdict(Verdict::Accept);

const PORT_22: &str = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}}"#;

#[test]
fn a_port_is_guarded_by_its_transport_and_has_text() {
    let (statements, text) = rule("inet", &format!(r#"[{PORT_22}, {{"accept": null}}]"#));
    assert_eq!(statements, [is(Field::Protocol, 6), is(Field::DestinationPort, 22), ACCEPT]);
    assert_eq!(text, "tcp dport 22 accept");
}

#[test]
fn a_negated_port_keeps_its_guard() {
    let (statements, text) = rule("inet", &format!("[{}]", PORT_22.replace("==", "!=")));
    let left = Expression::Field(Field::DestinationPort);
    let not_22 = Statement::Match(Match { left, test: Test::NotIn(SetRef::number(22)) });
    assert_eq!(statements, [is(Field::Protocol, 6), not_22]);
    assert_eq!(text, "tcp dport != 22");
}

#[test]
fn an_address_is_guarded_by_its_family_where_both_get_there() {
    let one = r#"[{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"prefix": {"addr": "10.0.0.0", "len": 8}}}}]"#;
    let span = Span::Numbers { low: 0x0a00_0000, high: 0x0aff_ffff };
    let left = Expression::Field(Field::Source4);
    let of_net = Statement::Match(Match { left, test: Test::In(SetRef::span(span)) });
    assert_eq!(
        rule("inet", one).0,
        [is(Field::NetworkProtocol, bits::NFPROTO_IPV4), of_net.clone()]
    );
    assert_eq!(rule("ip", one).0, std::slice::from_ref(&of_net));
    assert_eq!(rule("bridge", one).0, [is(Field::EtherType, 0x0800), of_net]);
}

#[test]
fn four_ways_to_ask_for_flags_are_four_tests() {
    let asked = |op: &str, right: &str| {
        let text = format!(
            r#"[{{"match": {{"op": "{op}", "left": {{"payload": {{"protocol": "tcp", "field": "flags"}}}}, "right": {right}}}}}]"#
        );
        let (statements, text) = rule("inet", &text);
        let Some(Statement::Match(last)) = statements.last() else { panic!("{statements:?}") };
        (last.test.clone(), text)
    };
    let exact = |number| Test::In(SetRef::number(number));
    assert_eq!(asked("in", "\"syn\""), (Test::AnyBit(2), "tcp flags syn".into()));
    assert_eq!(asked("in", r#"["syn", "ack"]"#), (Test::AnyBit(18), "tcp flags syn,ack".into()));
    assert_eq!(asked("!", "\"syn\""), (Test::NoBit(2), "tcp flags ! syn".into()));
    assert_eq!(asked("==", "\"syn\""), (exact(2), "tcp flags == syn".into()));
    assert_eq!(asked("==", r#"["syn", "ack"]"#), (exact(18), "tcp flags == syn | ack".into()));
    let not = Test::NotIn(SetRef::number(10));
    let state = r#"[{"match": {"op": "!=", "left": {"ct": {"key": "state"}}, "right": {"|": ["established", "new"]}}}]"#;
    let (statements, text) = rule("inet", state);
    let left = Expression::Field(Field::CtState);
    assert_eq!(statements, [Statement::Match(Match { left, test: not })]);
    assert_eq!(text, "ct state != established | new");
}

#[test]
fn masked_bits_are_compared_as_the_kernel_does() {
    let masked = r#"[{"match": {"op": "==", "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["fin", "syn", "rst", "ack"]]}, "right": "syn"}}]"#;
    let (statements, text) = rule("ip", masked);
    let of = Box::new(Expression::Field(Field::TcpFlags));
    let left = Expression::Bits { of, mask: 0x17, flip: 0 };
    let syn = Statement::Match(Match { left, test: Test::In(SetRef::number(2)) });
    assert_eq!(statements, [is(Field::Protocol, 6), syn]);
    assert_eq!(text, "tcp flags & (fin | syn | rst | ack) == syn");
}

#[test]
fn a_limit_over_is_the_limit_negated() {
    let (statements, text) = rule(
        "inet",
        r#"[{"limit": {"rate": 5, "burst": 10, "per": "minute", "inv": true}}, {"drop": null}]"#,
    );
    let condition = Condition {
        text: "limit rate 5/minute burst 10 packets".into(),
        is_negated: true,
        is_own: true,
        presumed: Some(true),
    };
    assert_eq!(statements, [Statement::Condition(condition), Statement::Verdict(Verdict::Drop)]);
    assert_eq!(text, "limit rate over 5/minute burst 10 packets drop");
}

#[test]
fn what_iptables_made_is_known_by_name_alone_and_marks_the_table() {
    let text = r#"[{"xt": {"type": "match", "name": "conntrack"}}, {"xt": {"type": "target", "name": "REJECT"}}]"#;
    let (statements, _) = rule("ip", text);
    assert!(
        matches!(
            &statements[..],
            [
                Statement::Condition(Condition { is_own: true, presumed: None, .. }),
                Statement::Opaque { effect: Effect::Decides, .. }
            ]
        ),
        "{statements:?}"
    );
    let rule =
        format!(r#"{{"rule": {{"family": "ip", "table": "t", "chain": "in", "expr": {text}}}}}"#);
    assert_eq!(ruleset("ip", &rule).tables[0].origin, crate::firewall::Origin::IptablesNft);
}

#[test]
fn a_statement_that_is_new_to_us_may_do_anything() {
    let (statements, _) = rule("inet", r#"[{"teleport": {"to": "mars"}}, {"accept": null}]"#);
    assert!(matches!(statements[0], Statement::Opaque { effect: Effect::Decides, .. }));
}

#[test]
fn a_translation_names_its_target() {
    let (statements, text) = rule(
        "inet",
        r#"[{"dnat": {"family": "ip", "addr": "10.0.0.1", "port": 8080, "flags": "random"}}]"#,
    );
    let [_, Statement::Nat(nat)] = &statements[..] else { panic!("{statements:?}") };
    assert_eq!((nat.kind, nat.flags.len()), (NatKind::Dnat, 1));
    assert_eq!(text, "dnat ip to 10.0.0.1:8080 random");
}

#[test]
fn members_with_parts_that_nft_left_out_make_the_set_a_question() {
    let (statements, _) = rule(
        "inet",
        r#"[{"match": {"op": "==", "left": {"concat": [{"ct": {"key": "ip daddr", "dir": "original"}}, {"ct": {"key": "proto-dst", "dir": "original"}}]}, "right": {"set": [{"concat": ["10.0.0.1"]}]}}}, {"accept": null}]"#,
    );
    assert!(matches!(statements[1], Statement::Condition(_)), "{statements:?}");
}

#[test]
fn numbers_of_a_type_that_nft_does_not_know_are_read() {
    let (statements, text) = rule(
        "inet",
        r#"[{"match": {"op": "==", "left": {"ct": {"key": "proto-dst", "dir": "original"}}, "right": {"set": ["0x50 [invalid type]"]}}}]"#,
    );
    let Statement::Match(one) = &statements[0] else { panic!("{statements:?}") };
    assert_eq!(one.test, Test::In(SetRef::number(80)));
    assert_eq!(text, "ct original proto-dst { 0x50 }");
}

#[test]
fn a_missing_set_or_chain_is_uncertain_and_told() {
    let ruleset = ruleset(
        "inet",
        r#"{"rule": {"family": "inet", "table": "t", "chain": "in", "expr": [{"jump": {"target": "gone"}}]}},
           {"rule": {"family": "inet", "table": "t", "chain": "in", "expr": [{"match": {"op": "==",
             "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": "@gone"}}]}}"#,
    );
    let rules = &ruleset.tables[0].chains[0].rules;
    assert!(matches!(rules[0].statements[0], Statement::Opaque { effect: Effect::Decides, .. }));
    assert_eq!(ruleset.tables[0].set("gone").map(|set| set.elements.is_none()), Some(true));
    assert_eq!(ruleset.notes.len(), 2, "{:?}", ruleset.notes);
}

#[test]
fn chains_in_a_circle_are_refused_with_a_place() {
    let text = r#"{"nftables": [{"table": {"family": "inet", "name": "t"}},
{"chain": {"family": "inet", "table": "t", "name": "a"}},
{"chain": {"family": "inet", "table": "t", "name": "b"}},
{"rule": {"family": "inet", "table": "t", "chain": "a", "expr": [{"jump": {"target": "b"}}]}},
{"rule": {"family": "inet", "table": "t", "chain": "b", "expr": [{"goto": {"target": "a"}}]}}]}"#;
    let error = Ruleset::from_nft_json(text.as_bytes()).unwrap_err();
    assert_eq!(error.problem, "chains ask each other in a circle: a → b → a");
    assert_eq!(error.line, 2);
}

#[test]
fn truncated_json_is_told_with_its_place() {
    let error = Ruleset::from_nft_json(b"{\"nftables\": [\n{\"table\": {\"fam").unwrap_err();
    assert_eq!((error.line, &*error.problem), (2, "the JSON ends in the middle"));
    let error = Ruleset::from_nft_json(b"{\"nftables\": {}}").unwrap_err();
    assert!(error.problem.contains("without the list `nftables`"), "{error}");
    let error = Ruleset::from_nft_json("[".repeat(100_000).as_bytes()).unwrap_err();
    assert!(error.problem.contains("recursion"), "{error}");
}

#[test]
fn a_base_chain_that_is_not_understood_is_an_error_and_no_open_door() {
    for (from, to) in
        [("\"drop\"", "\"maybe\""), ("\"input\"", "\"inputt\""), ("\"prio\": 0", "\"prio\": []")]
    {
        let text = r#"{"nftables": [{"table": {"family": "inet", "name": "t"}},
            {"chain": {"family": "inet", "table": "t", "name": "in", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}}]}"#;
        assert!(Ruleset::from_nft_json(text.replace(from, to).as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn hooks_tell_the_order_of_equals() {
    let chain = |family: &str, name: &str| {
        format!(
            r#"{{"chain": {{"family": "{family}", "table": "t", "name": "{name}", "type": "filter", "hook": "input", "prio": 0}}}}"#
        )
    };
    let chains = [chain("ip", "a"), chain("inet", "b"), chain("ip6", "c"), chain("ip", "d")];
    let text = format!("{{\"nftables\": [{}]}}", chains.join(","));
    let mut ruleset = Ruleset::from_nft_json(text.as_bytes()).unwrap();
    let names = |ruleset: &Ruleset, is_v6| {
        let met = ruleset.at(Hook::Input, is_v6).into_iter();
        met.map(|id| ruleset.chain(id).unwrap().name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&ruleset, false), ["d", "b", "a"], "the one registered last comes first");
    ruleset.order_by_hooks(
        "family ip {\n\thook input {\n\t\t 0000000000 chain ip t a [nf_tables]\n\t\t 0000000000 chain inet t b [nf_tables]\n\t\t 0000000000 chain ip t d [nf_tables]\n\t}\n}\nfamily ip6 {\n\thook input {\n\t\t 0000000000 chain ip6 t c [nf_tables]\n\t\t 0000000000 chain inet t b [nf_tables]\n\t}\n}\n",
    );
    assert_eq!(names(&ruleset, false), ["a", "b", "d"]);
    assert_eq!(names(&ruleset, true), ["c", "b"]);
}

#[test]
fn a_flag_that_nft_prints_as_freed_memory_is_taken_for_dormant_and_told() {
    let read = |flags: &str| {
        let table = format!(
            r#"{{"nftables": [{{"table": {{"family": "inet", "name": "t", "handle": 1, "flags": {flags}}}}}]}}"#
        );
        let ruleset = Ruleset::from_nft_json(table.as_bytes()).unwrap();
        (ruleset.tables[0].is_dormant, ruleset.notes.len())
    };
    assert_eq!(read(r#""dormant""#), (true, 0));
    assert_eq!(read(r#"["owner", "persist"]"#), (false, 0));
    assert_eq!(read(r#""t""#), (true, 1));
    assert_eq!(read(r#""Lester Gooch #5""#), (true, 1));
    assert_eq!(read("17"), (true, 1));
    assert_eq!(read(r#"{"handle": 3}"#), (true, 1));
}

#[test]
fn a_set_typed_by_fields_is_read_as_newer_versions_list_it() {
    let ruleset = ruleset(
        "inet",
        r#"{"set": {"family": "inet", "table": "t", "name": "pairs", "flags": "interval",
            "type": {"typeof": {"concat": [{"payload": {"protocol": "ip", "field": "saddr"}},
                {"payload": {"protocol": "tcp", "field": "dport"}}]}},
            "elem": [{"concat": [{"prefix": {"addr": "10.0.0.0", "len": 8}}, 22]}]}}"#,
    );
    let set = ruleset.tables[0].set("pairs").unwrap();
    assert_eq!(set.key, ["ip saddr".into(), "tcp dport".into()] as [Box<str>; 2]);
    assert_eq!(set.elements.as_ref().map(|e| e[0].key.len()), Some(2), "{:?}", ruleset.notes);
}

const STATEMENTS: &[u8] = include_bytes!("../../../tests/data/nft/statements.json");
const SMALL: &[u8] = include_bytes!("../../../tests/data/nft/small.json");

#[test]
fn all_of_a_corpus_is_read_with_text() {
    let ruleset = Ruleset::from_nft_json(STATEMENTS).unwrap();
    let notes = [
        "the device of chain netdev t c_in, which nft does not print",
        "table bridge t is not evaluated: packets of bridges depend on it",
    ];
    let told: Vec<&String> =
        ruleset.notes.iter().filter(|note| !note.starts_with("nothing tells whether")).collect();
    assert_eq!(told, notes);
    assert!(ruleset.rule_count() > 450, "{}", ruleset.rule_count());
    let all = ruleset.tables.iter().flat_map(|table| &table.chains).flat_map(|chain| &chain.rules);
    for rule in all {
        assert!(!rule.text.contains('{') || rule.text.contains('}'), "{}", rule.text);
        assert!(!rule.text.contains('"') || !rule.text.starts_with('{'), "{}", rule.text);
    }
}

#[test]
fn a_listing_cut_anywhere_is_an_error_in_its_last_line() {
    for end in 0..SMALL.len() - 2 {
        let error = Ruleset::from_nft_json(&SMALL[..end]).unwrap_err();
        assert_eq!((error.line, error.problem.is_empty()), (1, false), "{end}: {error:?}");
    }
    for end in (0..STATEMENTS.len() - 2).step_by(1009) {
        assert!(Ruleset::from_nft_json(&STATEMENTS[..end]).is_err(), "{end}");
    }
}

#[test]
fn every_part_of_a_listing_may_be_of_another_type_without_a_panic() {
    let listing: Value = serde_json::from_slice(SMALL).unwrap();
    let parts = count(&listing);
    let wrong = [
        "null",
        "true",
        "-1",
        "3.5",
        "99999999999999999999",
        "\"@x\"",
        "\"*\"",
        "[]",
        "{}",
        "[[1]]",
        "{\"set\": [[1, 2, 3]]}",
        "{\"range\": [9, 1]}",
        "{\"prefix\": {\"addr\": \"::\", \"len\": 999}}",
        "{\"elem\": {}}",
        "{\"concat\": []}",
        "{\"jump\": {}}",
        "{\"&\": [1]}",
        "{\"map\": {\"key\": 1, \"data\": 2}}",
    ];
    for part in 0..parts {
        for wrong in wrong {
            let mut mutant = listing.clone();
            let mut left = part;
            *nth(&mut mutant, &mut left).unwrap() = serde_json::from_str(wrong).unwrap();
            let _ = Ruleset::from_nft_json(mutant.to_string().as_bytes());
        }
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(parts) => parts.iter().map(count).sum(),
        Value::Object(parts) => parts.values().map(count).sum(),
        _ => 0,
    }
}

fn nth<'v>(value: &'v mut Value, left: &mut usize) -> Option<&'v mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(parts) => parts.iter_mut().find_map(|part| nth(part, left)),
        Value::Object(parts) => parts.values_mut().find_map(|part| nth(part, left)),
        _ => None,
    }
}

#[test]
fn two_negated_ports_are_one_comparison_as_nft_1_0_6_loads_them() {
    let unequal = |field: &str, value: u16| {
        format!(
            r#"{{"match": {{"op": "!=", "left": {{"payload": {{"protocol": "tcp", "field": "{field}"}}}}, "right": {value}}}}}"#
        )
    };
    let (statements, _) = rule(
        "inet",
        &format!(r#"[{}, {}, {{"drop": null}}]"#, unequal("sport", 53), unequal("dport", 80)),
    );
    let [Statement::Match(_), Statement::Match(both), Statement::Verdict(_)] = &statements[..]
    else {
        panic!("{statements:?}");
    };
    assert!(matches!(&both.left, Expression::Concat(parts) if parts.len() == 2));
    // Not in the order of the header: they were loaded one by one.
    let (statements, _) = rule(
        "inet",
        &format!(r#"[{}, {}, {{"drop": null}}]"#, unequal("dport", 80), unequal("sport", 53)),
    );
    assert_eq!(statements.len(), 4);
    assert!(
        merged::is_done_by("1.0.6") && !merged::is_done_by("1.0.9") && !merged::is_done_by("1.1.0")
    );
}

/// As nft 1.0.6 writes it: the types of what a map gives in one string.
#[test]
fn a_named_map_that_gives_an_address_and_a_port_has_its_members() {
    let read = |gives: &str| {
        ruleset(
            "ip",
            &format!(
                r#"{{"map": {{"family": "ip", "table": "t", "name": "m", "type": "inet_service",
                "map": "{gives}", "elem": [[8081, {{"concat": ["172.30.0.2", 80]}}]]}}}},
                {{"rule": {{"family": "ip", "table": "t", "chain": "in", "expr": [{{"dnat": {{"family": "ip",
                "addr": {{"map": {{"key": {{"payload": {{"protocol": "tcp", "field": "dport"}}}}, "data": "@m"}}}}}}}}]}}}}"#
            ),
        )
    };
    let known = read("ipv4_addr . inet_service");
    let set = known.tables[0].set("m").expect("the map");
    let elements = set.elements.as_ref().expect("all are understood");
    let data = [Span::number(0xac1e_0002), Span::number(80)];
    assert_eq!(elements[0].value, ElementValue::Data(data.into()));
    assert_eq!(known.notes, [""; 0]);
    // A type nobody knows makes the members unknown, and never a map without any.
    for gives in ["ipv4_addr . shoe_size", "shoe_size", "time"] {
        let unknown = read(gives);
        assert!(unknown.tables[0].set("m").is_some_and(|set| set.elements.is_none()), "{gives}");
        assert_eq!(unknown.notes.len(), 1, "{:?}", unknown.notes);
    }
}

#[test]
fn what_every_connection_has_is_no_open_question() {
    let statements = |expr: &str| rule("inet", expr).0;
    let known = |expr: &str| {
        let found = statements(expr);
        found.iter().all(|one| matches!(one, Statement::Match(_)))
    };
    for (key, right) in [("l3proto", "\"ipv4\""), ("zone", "0")] {
        let expr = format!(
            r#"[{{"match": {{"op": "==", "left": {{"ct": {{"key": "{key}"}}}}, "right": {right}}}}}]"#
        );
        assert!(known(&expr), "{expr}: {:?}", statements(&expr));
    }
    // There is always the packet's own connection.
    assert!(known(r#"[{"ct count": {"val": 0}}]"#));
    assert_eq!(statements(r#"[{"ct count": {"val": 0, "inv": true}}]"#), []);
    let ether = statements(
        r#"[{"match": {"op": "==", "left": {"meta": {"key": "iiftype"}}, "right": "ether"}}]"#,
    );
    assert!(matches!(&ether[1], Statement::Condition(one) if one.presumed == Some(true)));
}

#[test]
fn what_a_set_keeps_with_its_elements_is_asked_where_one_is_found() {
    let set = |kept: &str, beside: &str| {
        format!(
            r#"{{"set": {{"family": "inet", "name": "m", "table": "t", "type": "ipv4_addr", "handle": 2,
                "elem": [{{"elem": {{"val": "10.0.0.1", {beside}}}}}]{kept}}}}},
            {{"map": {{"family": "inet", "name": "v", "table": "t", "type": "ipv4_addr", "map": "verdict",
                "handle": 5, "elem": [[{{"elem": {{"val": "10.0.0.1", {beside}}}}}, {{"accept": null}}]]}}}},
            {{"rule": {{"family": "inet", "table": "t", "chain": "in", "handle": 3, "expr": [
                {{"match": {{"op": "==", "left": {{"payload": {{"protocol": "ip", "field": "saddr"}}}},
                    "right": "@m"}}}}, {{"accept": null}}]}}}},
            {{"rule": {{"family": "inet", "table": "t", "chain": "in", "handle": 4, "expr": [
                {{"vmap": {{"key": {{"payload": {{"protocol": "ip", "field": "saddr"}}}}, "data": "@v"}}}}]}}}}"#
        )
    };
    let asked = |kept: &str, beside: &str| {
        let ruleset = ruleset("inet", &set(kept, beside));
        let rules = ruleset.tables[0].chains[0].rules.clone();
        let conditions = rules.into_iter().map(|rule| {
            let asked = rule.statements.into_iter().filter_map(|statement| match statement {
                Statement::Condition(asked) => Some(asked.text.into_string()),
                _ => None,
            });
            asked.collect::<Vec<_>>()
        });
        conditions.collect::<Vec<_>>()
    };
    let quota = r#""quota": {"val": 1000, "val_unit": "bytes", "inv": true}"#;
    let words = "quota over 1000 bytes of its element in @";
    let of_set = format!(r#", "stmt": [{{{quota}}}]"#);
    assert_eq!(asked(&of_set, quota), [[format!("{words}m")], [format!("{words}v")]]);
    assert_eq!(asked("", quota), [[format!("{words}m")], [format!("{words}v")]]);
    let count = r#""ct count": {"val": 5, "inv": true}"#;
    assert_eq!(asked("", count)[1], ["ct count over 5 of its element in @v"]);
    // A counter only counts.
    let counter = r#""counter": {"packets": 0, "bytes": 0}"#;
    assert_eq!(asked(r#", "stmt": [{"counter": null}]"#, counter), [[""; 0], [""; 0]]);
}

#[test]
fn a_zone_is_told_of_a_connection_to_come() {
    for key in [r#"{"key": "zone"}"#, r#"{"key": "zone", "dir": "original"}"#] {
        let (statements, _) =
            rule("ip", &format!(r#"[{{"mangle": {{"key": {{"ct": {key}}}, "value": 5}}}}]"#));
        assert_eq!(statements, [Statement::Template { is_over_untracked: true }]);
    }
}

#[test]
fn a_port_that_is_written_is_followed_and_an_address_is_not() {
    let written = |protocol: &str, field: &str, value: &str| {
        let key = format!(r#"{{"payload": {{"protocol": "{protocol}", "field": "{field}"}}}}"#);
        let text = format!(r#"[{{"mangle": {{"key": {key}, "value": {value}}}}}]"#);
        rule("ip", &text).0.pop()
    };
    let value = Expression::Constant(crate::firewall::Value::Number(22));
    let to_22 = Statement::Assign { target: crate::firewall::Target::DestinationPort, value };
    assert_eq!(written("tcp", "dport", "22"), Some(to_22));
    for one in [written("th", "dport", "22"), written("ip", "daddr", "\"10.0.0.1\"")] {
        let is_lost = matches!(one, Some(Statement::Opaque { effect: Effect::Rewrites, .. }));
        assert!(is_lost, "{one:?}");
    }
}

#[test]
fn an_order_that_no_listing_tells_is_noted_where_it_can_matter() {
    let mark = r#"{"mangle": {"key": {"meta": {"key": "mark"}}, "value": 1}}"#;
    let listed = |statement: &str, priority: i32| {
        let other = format!(
            r#"{{"table": {{"family": "ip", "name": "u", "handle": 2}}}},
            {{"chain": {{"family": "ip", "table": "u", "name": "c", "handle": 1, "type": "filter",
                "hook": "input", "prio": {priority}, "policy": "accept"}}}},
            {{"rule": {{"family": "ip", "table": "u", "chain": "c", "handle": 2, "expr": [{statement}]}}}}"#
        );
        ruleset("inet", &other)
    };
    let [note] = &listed(mark, 0).notes[..] else { panic!("no note") };
    assert!(note.starts_with("nothing tells whether ip u c or inet t in"), "{note}");
    for told in [listed(mark, 1), listed(r#"{"accept": null}"#, 0)] {
        assert_eq!(told.notes, [""; 0]);
    }
    let mut told = listed(mark, 0);
    told.order_by_hooks("family ip {\n hook input {\n 0000000000 chain ip u c [nf_tables]\n }\n}");
    assert_eq!(told.notes, [""; 0]);
}
