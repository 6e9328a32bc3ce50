//! Search, lint, diff and parity on rules as iptables-save prints them.

use super::draw::Draw;
use crate::firewall::analyse::*;
use crate::firewall::bdd::Region;
use crate::firewall::iptables::Save;
use crate::firewall::simulate::{Outcome, Prepared, Way};
use crate::firewall::{
    Effect, Family, Packet, RejectWith, Rule, Ruleset, Statement, Verdict, World,
};

const BUDGET: usize = 4_000_000;

/// A filter table with these rules in INPUT.
pub(super) fn filter(policy: &str, rules: &[&str]) -> String {
    let rules: String = rules.iter().map(|rule| format!("-A INPUT {rule}\n")).collect();
    format!(
        "*filter\n:INPUT {policy} [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}COMMIT\n"
    )
}

pub(super) fn read(text: &str) -> Ruleset {
    Save::read(text, Some(Family::Ip), None).unwrap().into_ruleset().unwrap()
}

fn linted(ruleset: &Ruleset) -> Vec<(Code, usize, Vec<usize>)> {
    let world = World::default();
    let prepared = Prepared::new(ruleset, &world);
    let mut v4 = Space::new(false, &[ruleset], &world, BUDGET);
    let findings = lint(&mut [&mut v4], &prepared).unwrap().findings;
    let place = |finding: &Finding| {
        let blockers = finding.blockers.iter().filter_map(|blocker| blocker.rule).collect();
        (finding.code, finding.rule.rule.unwrap_or(usize::MAX), blockers)
    };
    findings.iter().map(place).collect()
}

fn searched(ruleset: &Ruleset, port: u16, way: Way) -> Found {
    let world = World::default();
    let prepared = Prepared::new(ruleset, &world);
    let mut space = Space::new(false, &[ruleset], &world, BUDGET);
    let packets = space.from_outside().unwrap();
    let tcp = space.protocol(6).unwrap();
    let packets = space.bdd.and(packets, tcp).unwrap();
    let asked = Search { packets, ports: Some(vec![(port, port)]), way };
    search(&mut space, &prepared, &asked).unwrap()
}

#[test]
fn a_port_open_to_a_network_is_reached_from_there_by_its_rule() {
    let ruleset = read(&filter("DROP", &["-s 10.0.0.0/8 -p tcp --dport 5432 -j ACCEPT"]));
    let found = searched(&ruleset, 5432, Way::Input);
    assert_eq!(found.answer, Answer::Depends);
    let [allowed] = found.allowed.as_slice() else { panic!("{:?}", found.allowed) };
    assert_eq!(allowed.block.sources.networks[0].to_string(), "10.0.0.0/8");
    assert_eq!(allowed.block.ports, [(5432, 5432)]);
    assert!(allowed.block.interfaces.is_empty());
    assert!(allowed.depends_on.is_empty());
    assert_eq!(allowed.rules.len(), 1);
    assert_eq!(found.witness.unwrap().packet.destination_port, 5432);
    assert_eq!(searched(&ruleset, 22, Way::Input).answer, Answer::Never);
}

#[test]
fn an_open_port_is_always_reached() {
    let ruleset = read(&filter("DROP", &["-p tcp --dport 443 -j ACCEPT"]));
    let found = searched(&ruleset, 443, Way::Input);
    assert_eq!(found.answer, Answer::Always);
    assert!(found.allowed[0].block.sources.is_any);
}

#[test]
fn a_witness_comes_by_an_interface_that_rules_name_and_by_none_where_none_is_named() {
    let open = "-p tcp --dport 22 -j ACCEPT";
    let witness = |rules: &[&str]| {
        let found = searched(&read(&filter("DROP", rules)), 22, Way::Input);
        found.witness.unwrap().told().interface_in
    };
    assert_eq!(&*witness(&[open]), "");
    assert_eq!(&*witness(&["-i lo -j ACCEPT", open]), "");
    assert_eq!(&*witness(&["-i eth3 -p udp -j DROP", open]), "eth3");
    assert_eq!(&*witness(&["-i eth3 -j DROP", open]), "others");
    assert_eq!(&*witness(&["-i eth3 -j DROP", "-i o+ -j DROP", open]), "0");
    let all: Vec<String> = ('a'..='z').map(|c| format!("-i {c}+ -j DROP")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).chain([open]).collect();
    assert_eq!(&*witness(&all), "0");
}

#[test]
fn a_packet_that_may_leave_by_any_interface_is_taken_by_a_rule_for_one_or_by_the_policy() {
    let output = filter("DROP", &[]).replace("COMMIT", "-A OUTPUT -o eth1 -j ACCEPT\nCOMMIT");
    let ruleset = read(&output);
    let world = World::default();
    let prepared = Prepared::new(&ruleset, &world);
    let mut space = Space::new(false, &[&ruleset], &world, BUDGET);
    let packets = space.fresh().unwrap();
    let found = search(&mut space, &prepared, &Search { packets, ports: None, way: Way::Output });
    assert_eq!(found.unwrap().answer, Answer::Always);
}

#[test]
fn what_one_of_both_leaves_open_is_not_contradicted_and_another_end_is() {
    let ruleset = read(&filter("DROP", &["-p tcp -m limit --limit 3/min -j ACCEPT"]));
    let world = World::default();
    let prepared = Prepared::new(&ruleset, &world);
    let address = "192.0.2.1".parse().unwrap();
    let packet = Packet::new(6, address, address).ports(1024, 22);
    let witness = Witness { packet, answers: Vec::new(), is_by_any: true };
    let confirmed = |outcome| confirm(&prepared, Way::Input, &witness, Claim::Certain(outcome));
    for possible in [Outcome::Accept, Outcome::Drop] {
        assert!(!confirmed(possible).unwrap().is_certain());
    }
    let other = Outcome::Reject(RejectWith::TcpReset);
    assert!(matches!(confirmed(other), Err(AnalyseError::Internal { .. })));
}

#[test]
fn what_is_asked_of_many_rules_is_found_also_where_few_of_them_can_match() {
    let rules: Vec<String> = (1..200)
        .map(|at| format!("-s 10.{at}.0.0/16 -p tcp --dport {} -j ACCEPT", 20 + at % 5))
        .collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let found = searched(&read(&filter("DROP", &rules)), 22, Way::Input);
    let [allowed] = found.allowed.as_slice() else { panic!("{:?}", found.allowed) };
    assert_eq!((allowed.rules.len(), allowed.block.sources.networks.len()), (40, 40));
}

#[test]
fn a_rule_for_packets_to_others_is_not_redundant_where_packets_come_in() {
    let to_others = "-m addrtype ! --dst-type LOCAL --limit-iface-in -j DROP";
    let mangle = format!(
        "*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n\
         :OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n-A PREROUTING {to_others}\nCOMMIT\n"
    );
    assert_eq!(linted(&read(&mangle)), []);
}

#[test]
fn a_rule_that_packets_come_to_and_none_matches_is_not_said_to_meet_none() {
    let rules = ["-j MARK --set-mark 1", "-s 10.0.0.0/8 -d 10.0.0.0/8 -m mark --mark 2 -j DROP"];
    let ruleset = read(&filter("ACCEPT", &rules).replace("filter", "mangle"));
    let world = World::default();
    let mut v4 = Space::new(false, &[&ruleset], &world, BUDGET);
    let found = lint(&mut [&mut v4], &Prepared::new(&ruleset, &world)).unwrap().findings;
    let messages: Vec<&str> = found.iter().map(|finding| &*finding.message).collect();
    assert_eq!(messages, ["no packet that it matches gets to it"]);
}

#[test]
fn who_gets_past_rules_that_set_many_mark_bits_and_ask_for_them_is_decided() {
    let sets = (0..30).map(|at| {
        let bit = 1_u32 << at;
        format!(
            "-s 10.{at}.0.0/16 -p tcp --dport {} -j MARK --set-xmark {bit:#x}/{bit:#x}",
            1000 + at
        )
    });
    let asks = (0..30).map(|at| {
        let bit = 1_u32 << at;
        format!("-p tcp --sport {} -m mark --mark {bit:#x}/{bit:#x} -j ACCEPT", 2000 + at)
    });
    let rules: Vec<String> = sets.chain(asks).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let ruleset = read(&filter("DROP", &rules).replace("filter", "mangle"));
    let found = searched(&ruleset, 1005, Way::Input);
    let [allowed] = found.allowed.as_slice() else { panic!("{:?}", found.allowed) };
    assert_eq!(allowed.block.sources.networks[0].to_string(), "10.5.0.0/16");
    assert_eq!(allowed.block.features, [Feature::SourcePorts(vec![(2005, 2005)])]);
}

#[test]
fn a_limit_makes_it_depend_and_names_itself() {
    let rule = "-p tcp --dport 22 -m limit --limit 3/min -j ACCEPT";
    let found = searched(&read(&filter("DROP", &[rule])), 22, Way::Input);
    assert_eq!(found.answer, Answer::Depends);
    assert!(!found.is_witness_certain);
    assert_eq!(found.allowed[0].depends_on.len(), 1);
    assert!(found.allowed[0].depends_on[0].text.contains("limit"));
}

#[test]
fn a_search_finds_the_host_port_that_is_translated_to_the_port() {
    let nat = "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n\
               :POSTROUTING ACCEPT [0:0]\n-A PREROUTING ! -i docker0 -p tcp -m tcp --dport 15432 -j \
               DNAT --to-destination 172.17.0.2:5432\nCOMMIT\n";
    let forward = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n\
                   -A FORWARD -d 172.17.0.2/32 -p tcp -m tcp --dport 5432 -j ACCEPT\nCOMMIT\n";
    let found = searched(&read(&format!("{nat}{forward}")), 5432, Way::ByRoute);
    assert_eq!(found.answer, Answer::Depends);
    let allowed = &found.allowed[0];
    assert_eq!(allowed.block.ports, [(15_432, 15_432)]);
    assert_eq!(allowed.becomes.unwrap().1, 5432);
    assert_eq!(allowed.rules.len(), 2, "{allowed:?}");
    assert!(!allowed.block.interfaces.contains(&"docker0".into()));
}

#[test]
fn a_rule_behind_a_wider_one_is_shadowed_or_redundant() {
    let ruleset = read(&filter(
        "ACCEPT",
        &[
            "-s 10.0.0.0/8 -j DROP",
            "-s 10.1.0.0/16 -p tcp --dport 22 -j ACCEPT",
            "-s 10.2.0.0/16 -j DROP",
        ],
    ));
    let findings = linted(&ruleset);
    assert_eq!(findings, [(Code::Shadowed, 1, vec![0]), (Code::Redundant, 2, vec![0])]);
}

#[test]
fn several_rules_together_hide_one_and_only_those_needed_are_named() {
    let ruleset = read(&filter(
        "ACCEPT",
        &[
            "-s 192.0.2.0/24 -j ACCEPT",
            "-s 10.0.0.0/9 -j DROP",
            "-s 10.128.0.0/9 -j DROP",
            "-s 10.0.0.0/8 -p udp -j ACCEPT",
        ],
    ));
    let shadowed = linted(&ruleset).into_iter().find(|finding| finding.0 == Code::Shadowed);
    assert_eq!(shadowed, Some((Code::Shadowed, 3, vec![1, 2])));
}

#[test]
fn a_rule_no_packet_can_match_is_found() {
    let ruleset =
        read(&filter("DROP", &["-m state --state NEW -m state --state ESTABLISHED -j ACCEPT"]));
    assert_eq!(linted(&ruleset), [(Code::NeverMatches, 0, vec![])]);
}

#[test]
fn rules_that_each_look_at_another_bit_of_the_mark_are_decided() {
    let bit = |n: u32| format!("-m mark --mark {0:#x}/{0:#x} -j ACCEPT", 1_u32 << n);
    let mut rules: Vec<String> = (0..32).map(bit).collect();
    rules.push("-m mark --mark 0x5/0x5 -j ACCEPT".to_owned());
    let rules: Vec<&str> = rules.iter().map(|rule| &**rule).collect();
    assert_eq!(linted(&read(&filter("DROP", &rules))), [(Code::Redundant, 32, vec![0])]);
}

#[test]
fn a_rule_that_later_ones_replace_is_redundant() {
    let ruleset = read(&filter(
        "DROP",
        &["-s 10.1.0.0/16 -p tcp --dport 22 -j ACCEPT", "-p tcp --dport 22 -j ACCEPT"],
    ));
    assert_eq!(linted(&ruleset), [(Code::Redundant, 0, vec![])]);
}

#[test]
fn a_rule_that_keeps_an_idle_one_behind_it_idle_is_needed() {
    let drops = ["-p tcp -j DROP", "-p tcp -m tcp --dport 443 -j ACCEPT"];
    assert_eq!(linted(&read(&filter("DROP", &drops))), [(Code::Shadowed, 1, vec![0])]);
    let narrower =
        ["-p tcp -m tcp --dport 22 -j DROP", "-s 10.0.0.1/32 -p tcp -m tcp --dport 22 -j ACCEPT"];
    assert_eq!(linted(&read(&filter("DROP", &narrower))), [(Code::Shadowed, 1, vec![0])]);
}

/// What lint says could go is taken out, and nothing may become different.
#[test]
fn whatever_is_reported_as_idle_can_go() {
    let matches =
        ["", "-s 10.0.0.0/8", "-s 10.1.0.0/16", "-p tcp", "-p tcp -m tcp --dport 22", "-i eth0"];
    let ends = ["ACCEPT", "DROP", "ACCEPT", "DROP", "REJECT", "RETURN"];
    let mut claims = 0;
    for seed in 0..60 {
        let mut draw = Draw::new(seed);
        let policy = draw.of(&["ACCEPT", "DROP"]);
        let rules: Vec<String> =
            (0..5).map(|_| format!("{} -j {}", draw.of(&matches), draw.of(&ends))).collect();
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        let whole = filter(policy, &rules);
        for (code, index, _) in linted(&read(&whole)) {
            if !matches!(code, Code::Redundant | Code::Shadowed | Code::NeverMatches) {
                continue;
            }
            let mut others = rules.clone();
            others.remove(index);
            let differences = compared(&whole, &filter(policy, &others));
            assert!(differences.regions.is_empty(), "{code:?} {index} in {policy} {rules:#?}");
            claims += 1;
        }
    }
    assert!(claims > 60, "{claims}");
}

/// The same of rules of any kind, with marks, translations and chains asked from several places: each
/// alone, and together all that are called redundant. A rule that does nothing takes their place.
#[test]
fn whatever_is_reported_of_any_rules_can_go() {
    let mut claims = [0, 0];
    for seed in 0..30 {
        let mut ruleset = Draw::new(seed).ruleset();
        // What a set holds hangs on every rule that writes to it.
        for rule in ruleset.tables.iter_mut().flat_map(|t| &mut t.chains).flat_map(|c| &mut c.rules)
        {
            rule.statements.retain(|one| !matches!(one, Statement::Update { .. }));
        }
        let world = World::default();
        let prepared = Prepared::new(&ruleset, &world);
        let mut v4 = Space::new(false, &[&ruleset], &world, BUDGET);
        let mut v6 = Space::new(true, &[&ruleset], &world, BUDGET);
        let Ok(found) = lint(&mut [&mut v4, &mut v6], &prepared) else { continue };
        let idle = |code| matches!(code, Code::Redundant | Code::Shadowed | Code::NeverMatches);
        let mut sets: Vec<Vec<Finding>> =
            found.findings.into_iter().filter(|f| idle(f.code)).map(|f| vec![f]).collect();
        let redundant = sets.iter().flatten().filter(|found| found.code == Code::Redundant);
        let redundant: Vec<Finding> = redundant.cloned().collect();
        claims = [claims[0] + sets.len(), claims[1] + redundant.len()];
        sets.push(redundant);
        for gone in sets {
            let mut others = ruleset.clone();
            for Finding { rule, .. } in &gone {
                let chain = &mut others.tables[rule.chain.table].chains[rule.chain.chain];
                chain.rules[rule.rule.unwrap()].statements = Vec::new();
            }
            let after = Prepared::new(&others, &world);
            // Without rules about connections the kernel does not look them up.
            if [false, true].iter().any(|v6| after.tracks(*v6) != prepared.tracks(*v6)) {
                continue;
            }
            for (space, way) in [&mut v4, &mut v6].into_iter().flat_map(|space| {
                let ways = [Way::Input, Way::Forward, Way::Output];
                let possible = space.possible().unwrap();
                ways.map(|way| {
                    let one = fates(space, &prepared, way, possible, Detail::Fates).unwrap();
                    let other = fates(space, &after, way, possible, Detail::Fates).unwrap();
                    let is_same = (one.accepted, one.dropped) == (other.accepted, other.dropped);
                    (is_same, way)
                })
            }) {
                assert!(space, "{way:?} {gone:#?} in {seed} {}", super::told(&ruleset));
            }
        }
    }
    assert!(claims[0] > 20 && claims[1] > 3, "{claims:?}");
}

#[test]
fn rules_that_want_different_things_of_some_packets_are_a_conflict() {
    let ruleset = read(&filter("DROP", &["-s 10.0.0.0/8 -j DROP", "-p tcp --dport 22 -j ACCEPT"]));
    assert!(linted(&ruleset).contains(&(Code::Conflict, 1, vec![0])));
}

/// A nat table that sends port 80 to 172.17.0.2:8080, and a filter table with these rules in FORWARD.
fn behind_a_translation(rules: &[&str]) -> Ruleset {
    let rules: String = rules.iter().map(|rule| format!("-A FORWARD {rule}\n")).collect();
    read(&format!(
        "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n\
         :POSTROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT \
         --to-destination 172.17.0.2:8080\nCOMMIT\n*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n\
         :OUTPUT ACCEPT [0:0]\n{rules}COMMIT\n"
    ))
}

fn codes(ruleset: &Ruleset) -> Vec<(Code, usize, Vec<usize>)> {
    let idle = |code| matches!(code, Code::Shadowed | Code::Redundant | Code::NeverMatches);
    linted(ruleset).into_iter().filter(|finding| idle(finding.0)).collect()
}

#[test]
fn rules_behind_a_translation_are_judged_by_what_packets_are_there() {
    // Whatever is new and went to port 80 goes to 8080 by then.
    let new = "-m conntrack --ctstate NEW";
    let live = behind_a_translation(&[
        &format!("{new} -p tcp -m tcp --dport 80 -j DROP"),
        &format!("{new} -d 172.17.0.2/32 -p tcp -m tcp --dport 8080 -j ACCEPT"),
    ]);
    assert_eq!(codes(&live), [(Code::NeverMatches, 0, vec![])]);
    let hidden = behind_a_translation(&[
        "-d 172.17.0.2/32 -j DROP",
        "-d 172.17.0.2/32 -p tcp -m tcp --dport 8080 -j ACCEPT",
    ]);
    assert_eq!(codes(&hidden), [(Code::Shadowed, 1, vec![0])]);
}

#[test]
fn a_rule_behind_a_mark_is_not_called_shadowed_by_what_never_takes_its_packets() {
    let text = "*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n\
                :OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp \
                --dport 22 -j MARK --set-xmark 0x1/0xffffffff\n-A PREROUTING -p udp -j MARK \
                --set-xmark 0x0/0xffffffff\nCOMMIT\n*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n\
                :OUTPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -p udp -m \
                mark --mark 0x1 -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -m mark --mark 0x1 -j \
                DROP\nCOMMIT\n";
    let found = codes(&read(text));
    assert_eq!(found, [(Code::NeverMatches, 1, vec![]), (Code::Shadowed, 2, vec![0])]);
}

/// Measured with a message of each type there is, and the state that nft counts for it.
#[test]
fn messages_of_icmp_have_the_states_that_conntrack_gives_them() {
    let of_v6 = |kind: u8, state: &str, other: &str| {
        let kind = format!("-p ipv6-icmp -m icmp6 --icmpv6-type {kind} -m conntrack --ctstate");
        let rules = [format!("{kind} {state} -j DROP"), format!("{kind} {other} -j ACCEPT")];
        let text = filter("DROP", &rules.each_ref().map(String::as_str));
        let ruleset = Save::read(&text, Some(Family::Ip6), None).unwrap().into_ruleset().unwrap();
        let world = World::default();
        let prepared = Prepared::new(&ruleset, &world);
        let mut v6 = Space::new(true, &[&ruleset], &world, BUDGET);
        let findings = lint(&mut [&mut v6], &prepared).unwrap().findings;
        let second = findings.into_iter().find(|finding| finding.rule.rule == Some(1));
        second.map(|finding| finding.code)
    };
    // Errors belong to a connection or are invalid, whatever is neither request nor answer is invalid.
    for (kind, state, never) in [
        (1, "RELATED", "NEW,ESTABLISHED,UNTRACKED"),
        (1, "INVALID", "NEW,ESTABLISHED"),
        (148, "INVALID", "NEW,ESTABLISHED,RELATED,UNTRACKED"),
        (137, "INVALID", "UNTRACKED"),
        (135, "UNTRACKED", "NEW,INVALID"),
        (128, "NEW", "RELATED,UNTRACKED"),
        (151, "UNTRACKED", "NEW,ESTABLISHED"),
    ] {
        assert_eq!(of_v6(kind, state, never), Some(Code::NeverMatches), "{kind} {never}");
    }
    // These depend on what was there before, and on the kernel: Linux 6.9 no longer tracks the last.
    for (kind, state, other) in [(1, "RELATED", "INVALID"), (151, "UNTRACKED", "INVALID")] {
        assert_eq!(of_v6(kind, state, other), None, "{kind} {other}");
    }
}

#[test]
fn rules_of_ipv6_can_contradict_each_other_too() {
    let (four, six) = (filter("DROP", &[]), ["-s fd00::/8 -j DROP", "-p tcp --dport 22 -j ACCEPT"]);
    let mut ruleset = read(&four);
    let six = Save::read(&filter("DROP", &six), Some(Family::Ip6), None).unwrap();
    ruleset.tables.extend(six.into_ruleset().unwrap().tables);
    let world = World::default();
    let prepared = Prepared::new(&ruleset, &world);
    let mut v4 = Space::new(false, &[&ruleset], &world, BUDGET);
    let mut v6 = Space::new(true, &[&ruleset], &world, BUDGET);
    let findings = lint(&mut [&mut v4, &mut v6], &prepared).unwrap().findings;
    let conflict = findings.iter().find(|finding| finding.code == Code::Conflict).unwrap();
    assert!(conflict.witness.as_ref().unwrap().packet.is_v6());
}

#[test]
fn statements_nobody_understands_answer_each_for_itself() {
    // The first may end its packets or not; whether the second does is another question.
    let mystery = |more: Option<Verdict>| {
        let text: Box<str> = "mystery".into();
        let opaque = Statement::Opaque { text: text.clone(), effect: Effect::Decides };
        let statements = [opaque].into_iter().chain(more.map(Statement::Verdict)).collect();
        Rule { text, statements, ..Rule::default() }
    };
    let mut ruleset = read(&filter("ACCEPT", &[]));
    let reject = Statement::Verdict(Verdict::Reject(RejectWith::TcpReset));
    let reject = Rule { text: "reject".into(), statements: vec![reject], ..Rule::default() };
    ruleset.tables[0].chains[0].rules = vec![mystery(None), mystery(Some(Verdict::Drop)), reject];
    let world = World::default();
    let prepared = Prepared::new(&ruleset, &world);
    let packet = Packet::new(6, "1.2.3.4".parse().unwrap(), "10.0.0.1".parse().unwrap());
    let packet = Packet { interface_in: "eth0".into(), ..packet };
    let walk = prepared.walk(&packet, Way::Input, &crate::firewall::simulate::Open);
    let simulated = super::outcomes(&walk);
    let mut space = Space::new(false, &[&ruleset], &world, BUDGET);
    let told = fates(&mut space, &prepared, Way::Input, Region::ALL, Detail::Fates).unwrap();
    let (_, possible) = super::said(&mut space, &told, &packet);
    assert_eq!(possible, simulated);
    assert_eq!(possible.len(), 3, "{possible:?}");
}

#[test]
fn rules_in_another_order_that_mean_the_same_are_equal() {
    let (ssh, web) = ("-p tcp --dport 22 -j ACCEPT", "-p tcp --dport 443 -j ACCEPT");
    let (one, other) = (filter("DROP", &[ssh, web]), filter("DROP", &[web, ssh]));
    let narrower = filter("DROP", &[web, "-s 10.0.0.0/8 -p tcp --dport 22 -j ACCEPT"]);
    assert!(compared(&one, &other).regions.is_empty());
    let found = compared(&one, &narrower);
    let [difference] = found.regions.as_slice() else { panic!("{:?}", found.regions) };
    assert_eq!(difference.before.outcome, Outcome::Accept);
    assert_eq!(difference.after.outcome, Outcome::Drop);
    assert_eq!(difference.witness.packet.destination_port, 22);
    assert_eq!(difference.way, Way::Input);
}

pub(super) fn compared(one: &str, other: &str) -> Differences {
    let world = World::default();
    let (one, other) = (read(one), read(other));
    let mut space = Space::new(false, &[&one, &other], &world, BUDGET);
    let (before, after) = (Prepared::new(&one, &world), Prepared::new(&other, &world));
    diff(&mut space, &before, &after, &[Way::Input, Way::Forward, Way::Output]).unwrap()
}

#[test]
fn a_port_restricted_in_one_family_and_open_in_the_other_is_a_disparity() {
    let mut ruleset = read(&filter("DROP", &["-s 10.0.0.0/8 -p tcp --dport 22 -j ACCEPT"]));
    let six = filter("DROP", &["-p tcp --dport 22 -j ACCEPT"]);
    let six = Save::read(&six, Some(Family::Ip6), None).unwrap().into_ruleset().unwrap();
    ruleset.tables.extend(six.tables);
    let world = World::default();
    let prepared = Prepared::new(&ruleset, &world);
    let mut v4 = Space::new(false, &[&ruleset], &world, BUDGET);
    let mut v6 = Space::new(true, &[&ruleset], &world, BUDGET);
    let found = parity(&mut v4, &mut v6, &prepared).unwrap();
    let [disparity] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((disparity.protocol, disparity.ports), (6, (22, 22)));
    assert_eq!(disparity.v6, Openness::Any);
    assert!(
        matches!(&disparity.v4, Openness::To(set) if set.networks[0].to_string() == "10.0.0.0/8")
    );
    let findings = lint(&mut [&mut v4, &mut v6], &prepared).unwrap().findings;
    assert!(findings.iter().any(|finding| finding.code == Code::Disparity));
}

/// What parity says of a table's input rules behind `policy drop`: ports, interfaces, and who is let in.
fn unlike_by(rules: &[&str]) -> Vec<(u16, Vec<String>, [Openness; 2])> {
    let with = |family, own: &str| {
        let of_family = |rule: &&&str| !rule.starts_with(own);
        let rules: Vec<&str> = rules.iter().filter(of_family).map(|rule| &rule[1..]).collect();
        Save::read(&filter("DROP", &rules), Some(family), None).unwrap().into_ruleset().unwrap()
    };
    let mut ruleset = with(Family::Ip, "6");
    ruleset.tables.extend(with(Family::Ip6, "4").tables);
    let world = World::default();
    let prepared = Prepared::new(&ruleset, &world);
    let mut v4 = Space::new(false, &[&ruleset], &world, BUDGET);
    let mut v6 = Space::new(true, &[&ruleset], &world, BUDGET);
    let found = unlike(&mut v4, &mut v6, &prepared, Way::Input).unwrap();
    let told = |one: Disparity| {
        let by = one.interfaces.iter().map(ToString::to_string).collect();
        (one.ports.0, by, [one.v4, one.v6])
    };
    found.into_iter().map(told).collect()
}

#[test]
fn by_which_interface_a_port_is_open_is_told_apart() {
    let (closed, any) = (Openness::Closed, Openness::Any);
    let of = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    // Restricted to an interface in one family, open by all in the other.
    let one =
        unlike_by(&["4-i lan -p tcp --dport 2223 -j ACCEPT", "6-p tcp --dport 2223 -j ACCEPT"]);
    assert_eq!(one, [(2223, of(&["others"]), [closed.clone(), any.clone()])]);
    // By one interface in one family, by another in the other.
    let other =
        unlike_by(&["4-i lan -p tcp --dport 22 -j ACCEPT", "6-i wan+ -p tcp --dport 22 -j ACCEPT"]);
    let swapped = [any.clone(), closed.clone()];
    let expected =
        [(22, of(&["lan"]), swapped.clone()), (22, of(&["wan*"]), [closed.clone(), any.clone()])];
    assert_eq!(other, expected);
    // Unlike whatever the interface; and alike, by the same one.
    let all = unlike_by(&["4-p tcp --dport 80 -j ACCEPT", "*-i lan -p tcp --dport 22 -j ACCEPT"]);
    assert_eq!(all, [(80, of(&[]), swapped)]);
}

#[test]
fn a_budget_that_is_used_up_is_an_answer_of_its_own() {
    let ruleset = read(&filter("DROP", &["-s 10.0.0.0/8 -p tcp --dport 22 -j ACCEPT"]));
    let world = World::default();
    let prepared = Prepared::new(&ruleset, &world);
    let mut space = Space::new(false, &[&ruleset], &world, 60);
    let packets = space.from_outside();
    assert!(
        packets.is_err() || {
            let asked = Search { packets: packets.unwrap(), ports: None, way: Way::Input };
            matches!(search(&mut space, &prepared, &asked), Err(AnalyseError::Undecided(_)))
        }
    );
}

#[test]
fn twenty_thousand_chains_that_ask_each_other_in_a_row_are_looked_through() {
    let mut text = String::from("*filter\n:INPUT DROP [0:0]\n");
    let count = 20_000;
    (0..count).for_each(|at| text += &format!(":c{at} - [0:0]\n"));
    text += "-A INPUT -p tcp --dport 22 -j ACCEPT\n-A INPUT -j c0\n";
    (1..count).for_each(|at| text += &format!("-A c{} -j c{at}\n", at - 1));
    let found = searched(&read(&(text + "COMMIT\n")), 22, Way::Input);
    assert_eq!(found.answer, Answer::Always);
}

#[test]
fn of_several_ends_the_one_the_packet_had_may_be_chosen_and_its_status_is_open() {
    let ruleset = |to: &str| {
        read(&format!(
            "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n\
             -A FORWARD -m conntrack --ctstate DNAT -j ACCEPT\nCOMMIT\n\
             *nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n\
             :POSTROUTING ACCEPT [0:0]\n\
             -A PREROUTING -p tcp -j DNAT --to-destination {to}\nCOMMIT\n"
        ))
    };
    let ends = |to: &str, destination: &str| {
        let (ruleset, world) = (ruleset(to), World::default());
        let prepared = Prepared::new(&ruleset, &world);
        let mut space = Space::new(false, &[&ruleset], &world, BUDGET);
        let address: std::net::IpAddr = destination.parse().unwrap();
        let packet = Packet::new(6, "192.0.2.9".parse().unwrap(), address).ports(4000, 80);
        let packet = Packet { interface_in: "eth0".into(), ..packet };
        let told = fates(&mut space, &prepared, Way::Forward, Region::ALL, Detail::Fates).unwrap();
        let bits = space.encoded(&packet);
        let mut holds = |region: Region| {
            let (certainly, possibly) = space.certainly_and_possibly(region).unwrap();
            [certainly, possibly].map(|region| {
                let bit = |variable: u32| bits.get(variable as usize).copied().unwrap_or(false);
                space.bdd.contains(region, bit)
            })
        };
        (holds(told.accepted), holds(told.dropped))
    };
    let (open, certain) = (([false, true], [false, true]), ([true, true], [false, false]));
    assert_eq!(ends("172.17.0.5-172.17.0.6", "172.17.0.6"), open);
    assert_eq!(ends("172.17.0.5-172.17.0.6", "172.17.0.7"), certain);
    assert_eq!(ends("172.17.0.5", "172.17.0.5"), ([false, false], [true, true]));
}
