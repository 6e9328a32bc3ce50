//! `portolan firewall simulate`: the verdict, the rule that decides, and what it depends on.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::lab::Pair;
use crate::support::{Program, Ran, require_root};

/// Rules in a file of their own.
struct Rules {
    folder: TempDir,
}

impl Rules {
    fn of(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("rules.nft"), text).unwrap();
        Self { folder }
    }

    /// An input chain of `table inet a` with policy drop.
    fn input(rules: &str) -> Self {
        Self::of(&format!(
            "table inet a {{\n chain c {{\n  type filter hook input priority 0; policy drop;\n{rules}\n }}\n}}\n"
        ))
    }

    fn simulate(&self, packet: &str) -> Ran {
        let line = format!("firewall simulate {packet} --rules rules.nft");
        Program::line(&line).folder(self.folder.path()).run()
    }

    fn json(&self, packet: &str, code: i32) -> Value {
        let document = self.simulate(&format!("{packet} --json")).expect_code(code).json();
        assert_eq!(document["kind"], "firewall-simulate");
        document
    }
}

const TWO_TABLES: &str =
    "table inet a { chain c { type filter hook input priority 0; tcp dport 80 accept; }; }
table inet b { chain c { type filter hook input priority 10; tcp dport 80 drop; }; }
";

#[test]
fn a_drop_after_an_accept_in_another_table_is_named_with_both() {
    let rules = Rules::of(TWO_TABLES);
    let told = rules.simulate("tcp 1.2.3.4:5 10.0.0.2:80 --in eth0").expect_code(1).stdout;
    assert!(told.contains("DROP by rule 1 of inet b c (priority 10): tcp dport 80 drop"), "{told}");
    assert!(told.contains("note: accepted in table a"), "{told}");
    assert!(told.lines().count() <= 24, "one screen: {told}");
    let document = rules.json("tcp 1.2.3.4:5 10.0.0.2:80 --in eth0", 1);
    assert_eq!(document["verdict"], "drop");
    let rule = &document["decided_by"];
    assert_eq!(
        (&rule["family"], &rule["table"], &rule["chain"]),
        (&"inet".into(), &"b".into(), &"c".into())
    );
    assert_eq!((&rule["index"], &rule["text"]), (&0.into(), &"tcp dport 80 drop".into()));
    assert_eq!(document["depends_on"], Value::Array(vec![]));
    rules.simulate("tcp 1.2.3.4:5 10.0.0.2:81 --in eth0").expect_code(0);
}

#[test]
fn a_goto_without_a_verdict_ends_with_the_policy() {
    let rules = Rules::of(
        "table inet a {\n chain x { tcp dport 1 accept; }\n chain c {\n type filter hook input priority 0; policy drop;\n goto x\n accept\n }\n}\n",
    );
    let told = rules.simulate("tcp 1.2.3.4:5 10.0.0.2:80").expect_code(1).stdout;
    assert!(told.contains("DROP by policy of inet a c"), "{told}");
    let rule = &rules.json("tcp 1.2.3.4:5 10.0.0.2:80", 1)["decided_by"];
    assert_eq!((&rule["index"], &rule["text"]), (&Value::Null, &"policy drop".into()));
}

#[test]
fn flags_are_compared_as_written() {
    let packet = "tcp 1.2.3.4:5 10.0.0.2:80 --flags syn,ece";
    for (text, code) in [
        ("tcp flags syn", 0),
        ("tcp flags { syn, ack }", 1),
        ("tcp flags == syn", 1),
        ("tcp flags != syn", 0),
        ("tcp flags ! syn", 1),
    ] {
        Rules::input(&format!("{text} accept")).simulate(packet).expect_code(code);
    }
}

#[test]
fn a_negated_tcp_port_is_not_for_udp() {
    let rules = Rules::input("tcp dport != 22 accept");
    rules.simulate("udp 1.2.3.4:5 10.0.0.2:80").expect_code(1);
    rules.simulate("tcp 1.2.3.4:5 10.0.0.2:80").expect_code(0);
    rules.simulate("tcp [2400::1]:5 [2400::2]:22").expect_code(1);
}

#[test]
fn of_two_equal_translations_the_one_loaded_last_wins() {
    let table = |name: &str, port: u16| {
        format!(
            "table inet {name} {{\n chain p {{\n type nat hook prerouting priority dstnat;\n tcp dport 80 redirect to :{port}\n }}\n}}\n"
        )
    };
    let (a, b) = (table("a", 8001), table("b", 8002));
    for (rules, port) in [(format!("{a}{b}"), 8002), (format!("{b}{a}"), 8001)] {
        let document = Rules::of(&rules).json("tcp 1.2.3.4:5 10.0.0.2:80", 0);
        assert_eq!(document["packet"]["dport"], port);
    }
}

#[test]
fn a_limit_is_told_both_ways() {
    let rules = Rules::input("tcp dport 22 limit rate 6/minute accept");
    let document = rules.json("tcp 1.2.3.4:5 10.0.0.2:22", 3);
    assert_eq!((&document["verdict"], &document["certain"]), (&"accept".into(), &false.into()));
    let open = &document["depends_on"][0];
    assert!(open["question"].as_str().unwrap().contains("limit rate"), "{open}");
    assert_eq!((&open["if_yes"][0], &open["if_no"][0]), (&"accept".into(), &"drop".into()));
    let told = rules.simulate("tcp 1.2.3.4:5 10.0.0.2:22").expect_code(3).stdout;
    assert!(told.starts_with("tcp 1.2.3.4:5") && told.contains("DEPENDS"), "{told}");
}

#[test]
fn what_a_packet_was_not_said_to_have_is_told_where_rules_ask_for_it() {
    let rules = Rules::input("meta length 40-60 ip dscp 46 udp dport 53 accept");
    let packet = "udp 1.2.3.4:5 10.0.0.2:53";
    let told = rules.simulate(&format!("{packet} --dscp 46")).expect_code(0).stdout;
    assert!(told.contains("taken as 40 bytes; --length says it"), "{told}");
    assert!(!told.contains("--dscp says it"), "{told}");
    let document = rules.json(&format!("{packet} --dscp 46 --length 61"), 1);
    assert_eq!(document["notes"], serde_json::json!([]));
    rules.simulate(&format!("{packet} --dscp 64")).expect_code(2);
}

#[test]
fn a_group_comes_in_a_frame_to_it() {
    let rules = Rules::input("meta pkttype multicast udp dport 5353 accept");
    rules.simulate("udp 10.0.0.1:5353 224.0.0.251:5353").expect_code(0);
    rules.simulate("udp 10.0.0.1:5353 10.0.0.2:5353").expect_code(1);
}

#[test]
fn whose_socket_an_incoming_packet_has_got_nobody_knows() {
    let rules = Rules::input("meta skuid 0 tcp dport 81 accept");
    rules.simulate("tcp 10.0.0.1:5 10.0.0.2:81 --state established --flags ack").expect_code(3);
}

#[test]
fn states_and_hooks_are_as_asked() {
    let rules = Rules::of(
        "table inet a {\n chain i {\n type filter hook input priority 0; policy drop;\n ct state established accept\n }\n
          chain f {\n type filter hook forward priority 0; policy drop;\n iifname \"eth0\" oifname \"eth1\" accept\n }\n
          chain o {\n type filter hook output priority 0; policy drop;\n oifname \"lo\" accept\n }\n}\n",
    );
    let packet = "tcp 1.2.3.4:5 10.0.0.2:80";
    for (more, code) in [
        ("--state established", 0),
        ("--state new", 1),
        ("--hook forward --in eth0 --out eth1", 0),
        ("--hook forward --in eth1 --out eth0", 1),
        ("--hook forward", 3),
        ("--hook output --out eth0", 1),
        ("--hook output --out lo", 0),
        ("--hook prerouting", 0),
    ] {
        rules.simulate(&format!("{packet} {more}")).expect_code(code);
    }
}

#[test]
fn without_a_hook_a_translation_to_another_machine_goes_to_forward() {
    let rules = Rules::of(
        "table ip nat {\n chain p {\n type nat hook prerouting priority dstnat;\n fib daddr type local tcp dport 8080 dnat to 172.17.0.2:80\n }\n}\n
         table ip filter {\n chain INPUT {\n type filter hook input priority 0; policy drop;\n }\n chain FORWARD {\n type filter hook forward priority 0;\n }\n}\n",
    );
    let document = rules.json("tcp 203.0.113.9 10.0.0.2:8080 --in eth0", 0);
    let trace = document["trace"].as_array().unwrap();
    let routed = trace.iter().find(|step| step["step"] == "route").unwrap();
    assert_eq!((&routed["to"], &routed["because"]), (&"onward".into(), &"translated".into()));
    assert_eq!(document["packet"]["dst"], "172.17.0.2");
    rules.simulate("tcp 203.0.113.9 10.0.0.2:22 --in eth0").expect_code(1);
}

#[test]
fn icmp_has_types() {
    let rules =
        Rules::input("icmp type echo-request accept\nicmpv6 type nd-neighbor-solicit accept");
    rules.simulate("icmp 1.2.3.4 10.0.0.2 --type echo-request").expect_code(0);
    rules.simulate("icmp 1.2.3.4 10.0.0.2 --type 13 --code 0").expect_code(1);
    rules.simulate("icmpv6 fe80::1 fe80::2 --type nd-neighbor-solicit").expect_code(0);
}

#[test]
fn what_is_no_packet_is_refused_with_a_way_out() {
    let rules = Rules::input("accept");
    for (packet, word) in [
        ("tcp 1.2.3.4 10.0.0.2", "no port"),
        ("tcp 1.2.3.4 fd00::1", "two families"),
        ("tpc 1.2.3.4 10.0.0.2:80", "transport"),
        ("tcp 1.2.3.4 10.0.0.2:80 --state old", "state"),
        ("tcp 1.2.3.4 10.0.0.2:80 --flags sin", "flag"),
        ("tcp 1.2.3.4 10.0.0.2:80 --hook ingres", "hook"),
        ("tcp host 10.0.0.2:80", "address"),
    ] {
        let complaint = rules.simulate(packet).expect_code(2).stderr;
        assert!(complaint.contains(word), "{packet}: {complaint}");
    }
}

#[test]
fn a_batch_has_a_result_a_line_and_names_bad_lines() {
    let rules = Rules::input("tcp dport 22 accept");
    let good = r#"{"id":"a","transport":"tcp","src":"1.2.3.4","sport":5,"dst":"10.0.0.2","dport":22}
{"id":7,"transport":"tcp","src":"1.2.3.4","dst":"10.0.0.2","dport":23,"in":"eth0","flags":["syn"],"state":null}
"#;
    let run = |lines: &str, code| {
        let line = "firewall simulate --batch - --jsonl --rules rules.nft";
        Program::line(line).folder(rules.folder.path()).input(lines).run().expect_code(code)
    };
    let results = |ran: &Ran| -> Vec<Value> {
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let both = results(&run(good, 0));
    assert_eq!((&both[0]["id"], &both[0]["verdict"]), (&"a".into(), &"accept".into()));
    assert_eq!((&both[1]["id"], &both[1]["verdict"]), (&7.into(), &"drop".into()));
    let bad = format!("{{\"id\":1}}\n{good}no json\n{{\"transport\":\"tcp\",\"srcc\":\"x\"}}\n");
    let ran = run(&bad, 2);
    assert_eq!(results(&ran).len(), 2, "the good lines are answered");
    for number in [1, 4, 5] {
        assert!(ran.stderr.contains(&format!("standard input:{number}")), "{}", ran.stderr);
    }
}

#[test]
fn a_statement_portolan_does_not_know_is_never_a_wrong_accept() {
    let rules = Rules::of(
        r#"{"nftables": [{"metainfo": {"json_schema_version": 1}},
        {"table": {"family": "inet", "name": "a", "handle": 1}},
        {"chain": {"family": "inet", "table": "a", "name": "c", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}},
        {"rule": {"family": "inet", "table": "a", "chain": "c", "handle": 2, "expr": [
          {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}},
          {"wonder": {"of": 3}}]}}]}"#,
    );
    let document = rules.json("tcp 1.2.3.4:5 10.0.0.2:80", 3);
    assert_eq!(document["verdict"], "drop");
    rules.simulate("tcp 1.2.3.4:5 10.0.0.2:81").expect_code(0);
}

#[test]
fn without_rules_it_asks_the_live_ones_and_the_addresses_here() {
    require_root!();
    let pair = Pair::new();
    pair.dst.filter_input("policy drop; iifname \"eth0\" tcp dport 22 accept");
    let simulate = |packet: &str| {
        Program::line(&format!("firewall simulate {packet} --json")).inside(&pair.dst).run()
    };
    let document = simulate("tcp 10.76.0.1 10.76.0.2:22").expect_code(0).json();
    assert_eq!(document["decided_by"]["index"], 0, "it comes in as answers would leave");
    simulate("tcp 10.76.0.1 10.76.0.2:23").expect_code(1);
    let document = simulate("tcp 10.76.0.1 198.51.100.1:22").expect_code(1).json();
    assert_eq!(document["decided_by"], Value::Null, "it is not forwarded here");
    simulate("tcp 10.76.0.2 10.76.0.1:22").expect_code(0);
}
