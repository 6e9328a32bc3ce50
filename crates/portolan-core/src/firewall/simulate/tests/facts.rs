//! The facts about chains, rules and fields.

use super::words::*;
use crate::firewall::simulate::Outcome::{Accept, Drop};
use crate::firewall::simulate::{Did, Presumed, Step, Way, simulate};
use crate::firewall::*;

fn two_tables(first: Statement, second: Statement) -> Ruleset {
    let a = base("c", Hook::Input, 0, vec![with(tcp_to(80), first)]);
    let b = base("c", Hook::Input, 10, vec![with(tcp_to(80), second)]);
    let tables = vec![table(Family::Inet, "a", vec![a]), table(Family::Inet, "b", vec![b])];
    Ruleset { tables, notes: Vec::new() }
}

#[test]
fn accept_is_a_chains_word_and_drop_is_final() {
    let rules = two_tables(ACCEPT, DROP);
    let walked = walk(&rules, &syn(80));
    assert_eq!(walked.outcome, Drop);
    assert_eq!(decided(&rules, &walked), "inet b c Some(0)");
    let rules = two_tables(DROP, ACCEPT);
    let walked = walk(&rules, &syn(80));
    assert_eq!(walked.outcome, Drop);
    assert_eq!(decided(&rules, &walked), "inet a c Some(0)");
}

#[test]
fn return_in_a_base_chain_is_its_policy() {
    let chain = dropping(input(vec![rule(vec![RETURN]), rule(vec![ACCEPT])]));
    let rules = inet(vec![chain]);
    let walked = walk(&rules, &syn(80));
    assert_eq!((walked.outcome, decided(&rules, &walked)), (Drop, "inet t in None".into()));
}

#[test]
fn goto_from_a_base_chain_without_a_verdict_ends_with_the_policy() {
    let chain = dropping(input(vec![rule(vec![goto("x")]), rule(vec![ACCEPT])]));
    let rules = inet(vec![chain, plain("x", vec![])]);
    let walked = walk(&rules, &syn(80));
    assert_eq!((walked.outcome, decided(&rules, &walked)), (Drop, "inet t in None".into()));
}

#[test]
fn goto_in_a_jumped_chain_comes_back_behind_the_jump() {
    for end in [vec![], vec![rule(vec![RETURN]), rule(vec![DROP])]] {
        let chain = dropping(input(vec![rule(vec![jump("x")]), rule(vec![ACCEPT])]));
        let x = plain("x", vec![rule(vec![goto("y")]), rule(vec![DROP])]);
        let rules = inet(vec![chain, x, plain("y", end)]);
        assert_eq!(outcome(&rules, &syn(80)), Accept);
    }
}

#[test]
fn accept_in_a_jumped_chain_ends_the_base_chain_and_continue_does_nothing() {
    let jumped = plain("x", vec![rule(vec![ACCEPT])]);
    let rules = inet(vec![input(vec![rule(vec![jump("x")]), rule(vec![DROP])]), jumped]);
    assert_eq!(outcome(&rules, &syn(80)), Accept);
    let go_on = Statement::Verdict(Verdict::Continue);
    let rules = inet(vec![input(vec![rule(vec![go_on]), rule(vec![DROP])])]);
    assert_eq!(outcome(&rules, &syn(80)), Drop);
}

#[test]
fn a_verdict_map_without_the_key_goes_on_and_a_map_without_it_ends_the_rule() {
    let map = elements(vec![entry(22, ElementValue::Verdict(Verdict::Drop))]);
    let by_port = Statement::VerdictMap { key: field(Field::DestinationPort), map };
    let rules = inet(vec![dropping(input(vec![rule(vec![by_port]), with(tcp_to(80), ACCEPT)]))]);
    assert_eq!(outcome(&rules, &syn(80)), Accept);
    assert_eq!(outcome(&rules, &syn(22)), Drop);

    let map = elements(vec![entry(22, ElementValue::Data(vec![Span::number(1)]))]);
    let key = Box::new(field(Field::DestinationPort));
    let value = Expression::Lookup { key, map };
    let assign = Statement::Assign { target: Target::Mark, value };
    let rules = inet(vec![dropping(input(vec![rule(vec![assign, ACCEPT])]))]);
    assert_eq!(outcome(&rules, &syn(22)), Accept);
    assert_eq!(outcome(&rules, &syn(80)), Drop);
}

#[test]
fn adding_to_a_full_set_ends_the_rule() {
    let add = |set: &str| Statement::Update {
        operation: SetOperation::Add,
        set: set.into(),
        key: field(Field::Source4),
        conditions: vec![],
    };
    let mut rules = inet(vec![dropping(input(vec![rule(vec![add("s"), ACCEPT])]))]);
    let full = Set { size: Some(1), ..set("s", Some(vec![Element::of(Span::number(1))])) };
    rules.tables[0].sets = vec![full];
    assert_eq!(outcome(&rules, &syn(80)), Drop);
    rules.tables[0].sets[0].size = Some(2);
    assert_eq!(outcome(&rules, &syn(80)), Accept);
    let own = Element::of(Span::number(0x0a09_0001));
    rules.tables[0].sets[0] = Set { size: Some(1), ..set("s", Some(vec![own])) };
    assert_eq!(outcome(&rules, &syn(80)), Accept, "it is in already");
}

#[test]
fn what_a_packet_puts_into_a_set_is_there_for_the_next_rule() {
    let add = |operation| Statement::Update {
        operation,
        set: "s".into(),
        key: field(Field::Source4),
        conditions: vec![],
    };
    let in_set = || matches(field(Field::Source4), Test::In(SetRef::Named("s".into())));
    let chain =
        |operation| dropping(input(vec![rule(vec![add(operation)]), rule(vec![in_set(), ACCEPT])]));
    let mut rules = inet(vec![chain(SetOperation::Add)]);
    rules.tables[0].sets = vec![set("s", Some(vec![]))];
    assert_eq!(outcome(&rules, &syn(80)), Accept);
    let mut rules = inet(vec![chain(SetOperation::Delete)]);
    rules.tables[0].sets = vec![set("s", Some(vec![Element::of(Span::number(0x0a09_0001))]))];
    assert!(!walk(&rules, &syn(80)).is_certain(), "what is taken out may stay for a while");
}

#[test]
fn statements_run_from_left_to_right() {
    let rules = inet(vec![dropping(input(vec![rule(vec![mark(7), is(Field::Mark, 7), ACCEPT])]))]);
    assert_eq!(outcome(&rules, &syn(80)), Accept);
    let rules = inet(vec![dropping(input(vec![rule(vec![is(Field::Mark, 7), mark(7), ACCEPT])]))]);
    assert_eq!(outcome(&rules, &syn(80)), Drop);
}

#[test]
fn marks_of_prerouting_are_seen_in_input() {
    let raw = base("raw", Hook::Prerouting, -300, vec![rule(vec![mark(5)])]);
    let chain = dropping(input(vec![rule(vec![is(Field::Mark, 5), ACCEPT])]));
    assert_eq!(outcome(&inet(vec![raw, chain]), &syn(80)), Accept);
}

#[test]
fn a_negated_port_is_guarded_by_its_protocol() {
    let not_22 = || vec![is(Field::Protocol, 6), is_not(Field::DestinationPort, 22)];
    let rules = inet(vec![dropping(input(vec![with(not_22(), ACCEPT)]))]);
    assert_eq!(outcome(&rules, &udp(80)), Drop);
    assert_eq!(outcome(&rules, &syn(80)), Accept);
    assert_eq!(outcome(&rules, &syn(22)), Drop);
}

#[test]
fn th_reads_whatever_the_transport_header_holds() {
    let rules = |of, value| inet(vec![dropping(input(vec![rule(vec![is(of, value), ACCEPT])]))]);
    assert_eq!(outcome(&rules(Field::DestinationPort, 80), &udp(80)), Accept);
    assert_eq!(outcome(&rules(Field::SourcePort, 2048), &packet(1, 0)), Accept);
    assert_eq!(outcome(&rules(Field::SourcePort, 2048), &syn(80)), Drop);
}

#[test]
fn an_empty_set_never_matches_and_its_negation_always() {
    let named = || SetRef::Named("empty".into());
    for (test, expected) in [(Test::In(named()), Drop), (Test::NotIn(named()), Accept)] {
        let statement = matches(field(Field::Source4), test);
        let mut rules = inet(vec![dropping(input(vec![rule(vec![statement, ACCEPT])]))]);
        rules.tables[0].sets = vec![set("empty", Some(vec![]))];
        assert_eq!(outcome(&rules, &syn(80)), expected);
    }
}

#[test]
fn a_later_fragment_for_this_machine_comes_to_input_put_together() {
    let fragment = Packet { is_later_fragment: true, ..syn(80) };
    let accepting = dropping(input(vec![with(tcp_to(80), ACCEPT)]));
    let walked = walk(&inet(vec![accepting.clone()]), &fragment);
    assert_eq!(walked.outcome, Accept);
    assert!(walked.steps.contains(&Step::Defragmented));
    let tracking = base("x", Hook::Input, 5, vec![rule(vec![is(Field::CtMark, 9), DROP])]);
    let walked = walk(&inet(vec![accepting, tracking]), &fragment);
    let at = |wanted: &Step| walked.steps.iter().position(|step| step == wanted);
    assert!(at(&Step::Defragmented) < at(&Step::Hook(Hook::Input)), "conntrack does it at −400");
    assert_eq!(walked.outcome, Accept);
}

#[test]
fn three_ways_to_write_flags_have_three_meanings() {
    let syn_ack = 0b1_0010;
    let tests: [(Test, u8, bool); 10] = [
        (Test::AnyBit(2), 0x42, true),
        (Test::AnyBit(syn_ack), 0x02, true),
        (Test::In(among(&[2, 16])), 0x42, false),
        (Test::In(among(&[2, 16])), 0x02, true),
        (Test::In(SetRef::number(2)), 0x42, false),
        (Test::NotIn(SetRef::number(2)), 0x42, true),
        (Test::NotIn(SetRef::number(2)), 0x02, false),
        (Test::NoBit(2), 0x42, false),
        (Test::NoBit(2), 0x10, true),
        (Test::AnyBit(2), 0x10, false),
    ];
    for (test, given, expected) in tests {
        let found = matches(field(Field::TcpFlags), test.clone());
        let guarded = rule(vec![is(Field::Protocol, 6), found, ACCEPT]);
        let rules = inet(vec![dropping(input(vec![guarded]))]);
        let expected = if expected { Accept } else { Drop };
        assert_eq!(outcome(&rules, &flags(given)), expected, "{test:?} {given:#x}");
    }
}

#[test]
fn not_equal_to_two_states_matches_a_new_packet() {
    let state = |test| {
        let found = matches(field(Field::CtState), test);
        inet(vec![dropping(input(vec![rule(vec![found, ACCEPT])]))])
    };
    let new_established = bits::NEW | bits::ESTABLISHED;
    let not_equal = Test::NotIn(SetRef::number(new_established));
    assert_eq!(outcome(&state(not_equal), &syn(80)), Accept);
    assert_eq!(outcome(&state(Test::NoBit(bits::NEW)), &syn(80)), Drop);
    let either = Test::In(among(&[bits::NEW, bits::ESTABLISHED]));
    assert_eq!(outcome(&state(either), &syn(80)), Accept);
    assert_eq!(outcome(&state(Test::AnyBit(new_established)), &syn(80)), Accept);
}

#[test]
fn a_packet_without_a_flow_is_new_or_invalid_by_its_flags() {
    let state = |packet: &Packet, state| {
        let chain = dropping(input(vec![rule(vec![is(Field::CtState, state), ACCEPT])]));
        assert_eq!(outcome(&inet(vec![chain]), packet), Accept, "{packet:?}");
    };
    for new in [0x02, 0xc2, 0x10, 0x18] {
        state(&flags(new), bits::NEW);
    }
    for invalid in [0x12, 0x01, 0x11, 0x04, 0x00, 0x29, 0x03] {
        state(&flags(invalid), bits::INVALID);
    }
    state(&udp(80), bits::NEW);
    state(&packet(47, 0), bits::NEW);
    state(&packet(1, 0), bits::NEW);
    let reply = Packet { icmp: IcmpMessage { kind: 0, code: 0 }, ..packet(1, 0) };
    state(&reply, bits::INVALID);
    let (from, to) = ("fe80::1".parse().unwrap(), "fe80::2".parse().unwrap());
    let six = |kind| Packet {
        icmp: IcmpMessage { kind, code: 0 },
        interface_in: "eth0".into(),
        ..Packet::new(58, from, to)
    };
    state(&six(128), bits::NEW);
    state(&six(135), bits::UNTRACKED);
    state(&six(129), bits::INVALID);
}

#[test]
fn the_state_before_conntrack_is_invalid() {
    let early = |state| {
        let found = rule(vec![is(Field::CtState, state), ACCEPT]);
        inet(vec![dropping(base("early", Hook::Prerouting, -300, vec![found]))])
    };
    assert_eq!(outcome(&early(bits::INVALID), &syn(80)), Accept);
    assert_eq!(outcome(&early(bits::NEW), &syn(80)), Drop);
}

#[test]
fn notrack_counts_before_conntrack_and_for_invalid_packets_behind_it() {
    let rules = |priority| {
        let raw = base("raw", Hook::Prerouting, priority, vec![rule(vec![Statement::NoTrack])]);
        let untracked = rule(vec![is(Field::CtState, bits::UNTRACKED), ACCEPT]);
        inet(vec![raw, dropping(input(vec![untracked]))])
    };
    assert_eq!(outcome(&rules(-300), &syn(80)), Accept);
    let walked = walk(&rules(-200), &syn(80));
    assert!(!walked.is_certain(), "a reload turns the order (measured)");
    assert_eq!(outcome(&rules(-150), &syn(80)), Drop);
    assert_eq!(outcome(&rules(-150), &flags(0x01)), Accept);
}

#[test]
fn a_connection_told_its_zone_is_tracked_whatever_notrack_says() {
    let zone = |is_over_untracked| Statement::Template { is_over_untracked };
    let new = |first: &[Statement]| {
        let raw = base("raw", Hook::Prerouting, -300, vec![rule(first.to_vec())]);
        let new = rule(vec![is(Field::CtState, bits::NEW), ACCEPT]);
        outcome(&inet(vec![raw, dropping(input(vec![new]))]), &syn(80))
    };
    // Measured, of nft's `ct zone set` and of the target CT.
    assert_eq!(new(&[zone(true), Statement::NoTrack]), Accept);
    assert_eq!(new(&[zone(false), Statement::NoTrack]), Accept);
    assert_eq!(new(&[Statement::NoTrack, zone(true)]), Accept);
    assert_eq!(new(&[Statement::NoTrack, zone(false)]), Drop);
    let early = |state| {
        let found = rule(vec![zone(true), is(Field::CtState, state), ACCEPT]);
        let early = dropping(base("early", Hook::Prerouting, -300, vec![found]));
        outcome(&inet(vec![early]), &syn(80))
    };
    assert_eq!((early(bits::NEW), early(bits::INVALID)), (Accept, Drop));
}

#[test]
fn a_port_that_is_written_is_seen_by_later_chains() {
    let value = Expression::Constant(Value::Number(22));
    let write = Statement::Assign { target: Target::DestinationPort, value };
    let written = rule(vec![is(Field::Protocol, 6), is(Field::DestinationPort, 80), write]);
    let shut = rule(vec![is(Field::DestinationPort, 22), DROP]);
    let open = rule(vec![is(Field::DestinationPort, 22), ACCEPT]);
    let first = base("first", Hook::Prerouting, -310, vec![shut]);
    let raw = base("raw", Hook::Prerouting, -300, vec![written]);
    let rules = inet(vec![first, raw, dropping(input(vec![open]))]);
    assert_eq!((outcome(&rules, &syn(80)), outcome(&rules, &syn(22))), (Accept, Drop));
}

#[test]
fn how_a_packet_ends_that_was_written_anew_is_open() {
    let text = "ip daddr set 10.0.0.1".into();
    let write = Statement::Opaque { text, effect: Effect::Rewrites };
    for last in [ACCEPT, DROP] {
        let raw = base("raw", Hook::Prerouting, -300, vec![rule(vec![write.clone()])]);
        let walked = walk(&inet(vec![raw, input(vec![rule(vec![last])])]), &syn(80));
        assert_eq!((walked.outcome, walked.is_certain()), (Drop, false));
    }
}

#[test]
fn nothing_is_told_at_egress_of_where_a_packet_came_in() {
    let names = |name: &str| {
        let span = Span::Names { text: name.into(), is_prefix: false };
        matches(field(Field::InterfaceIn), Test::In(SetRef::span(span)))
    };
    let out = |name: &str| {
        let found = rule(vec![names(name), ACCEPT]);
        let rules = vec![dropping(base("out", Hook::Egress, 0, vec![found]))];
        let ruleset = Ruleset { tables: vec![table(Family::Netdev, "n", rules)], notes: vec![] };
        let mut packet = syn(80);
        packet.interface_in = "eth0".into();
        packet.interface_out = Some("eth1".into());
        simulate(&ruleset, &World::default(), &packet, Way::Forward, &Presumed).outcome
    };
    assert_eq!((out("eth0"), out("")), (Drop, Accept));
}

#[test]
fn whether_a_chain_comes_before_translation_of_equal_priority_is_open() {
    let redirect = |port| {
        let port = Some(Expression::Constant(Value::Number(port)));
        let nat = Nat { kind: NatKind::Redirect, address: None, port, flags: Vec::new() };
        rule(vec![is(Field::Protocol, 6), is(Field::DestinationPort, 80), Statement::Nat(nat)])
    };
    let rules = |priority, redirected| {
        let found = rule(vec![is(Field::DestinationPort, 80), DROP]);
        let shut = base("p", Hook::Prerouting, priority, vec![found]);
        inet(vec![shut, nat("a", Hook::Prerouting, -100, vec![redirect(redirected)])])
    };
    let ended = |priority, redirected| {
        let walked = walk(&rules(priority, redirected), &syn(80));
        (walked.outcome, walked.is_certain())
    };
    assert_eq!(ended(-100, 81), (Drop, false), "measured: loaded twice it is the other order");
    assert_eq!((ended(-101, 81), ended(-99, 81)), ((Drop, true), (Accept, true)));
    assert_eq!(ended(-100, 80), (Drop, true), "where it does not matter it is not asked");
}

#[test]
fn of_equal_priorities_the_last_registered_is_asked_first() {
    let digit = |name: &str, sequence, digit: u128| {
        let shifted = Expression::Constant(Value::Number(digit));
        let assign = Statement::Assign { target: Target::Mark, value: shifted };
        registered(base(name, Hook::Input, 0, vec![rule(vec![assign])]), sequence)
    };
    let rules = inet(vec![digit("one", 1, 1), digit("two", 2, 2), digit("three", 3, 3)]);
    let walked = walk(&rules, &syn(80));
    assert_eq!(walked.packet.mark, 1, "the first registered is asked last");
    let order: Vec<usize> = walked
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Enters(id) => Some(id.chain),
            _ => None,
        })
        .collect();
    assert_eq!(order, [2, 1, 0]);
}

#[test]
fn tables_of_ip_and_inet_both_decide() {
    let native = table(Family::Inet, "a", vec![input(vec![rule(vec![ACCEPT])])]);
    let compat = table(Family::Ip, "filter", vec![registered(input(vec![rule(vec![DROP])]), 1)]);
    let rules = Ruleset { tables: vec![native, compat], notes: Vec::new() };
    assert_eq!(outcome(&rules, &syn(80)), Drop);
}

#[test]
fn a_field_of_ipv6_is_not_there_in_ipv4() {
    let next = vec![is(Field::NetworkProtocol, bits::NFPROTO_IPV6), is(Field::NextHeader6, 6)];
    let rules = inet(vec![dropping(input(vec![with(next, ACCEPT)]))]);
    assert_eq!(outcome(&rules, &syn(80)), Drop);
    let bare =
        inet(vec![dropping(input(vec![rule(vec![is_not(Field::NextHeader6, 17), ACCEPT])]))]);
    assert_eq!(outcome(&bare, &syn(80)), Drop);
}

#[test]
fn names_may_be_beginnings() {
    let begins = Span::Names { text: "et".into(), is_prefix: true };
    let found = matches(field(Field::InterfaceIn), Test::In(SetRef::span(begins)));
    let rules = inet(vec![dropping(input(vec![rule(vec![found, ACCEPT])]))]);
    assert_eq!(outcome(&rules, &syn(80)), Accept);
    let other = Packet { interface_in: "wlan0".into(), ..syn(80) };
    assert_eq!(outcome(&rules, &other), Drop);
}

#[test]
fn deeper_than_fifteen_jumps_no_kernel_loads() {
    let chains = |depth: usize| {
        let mut chains = vec![dropping(input(vec![rule(vec![jump("c0")])]))];
        for at in 0..depth - 1 {
            chains.push(plain(&format!("c{at}"), vec![rule(vec![jump(&format!("c{}", at + 1))])]));
        }
        chains.push(plain(&format!("c{}", depth - 1), vec![rule(vec![ACCEPT])]));
        inet(chains)
    };
    assert_eq!(outcome(&chains(15), &syn(80)), Accept);
    let walked = walk(&chains(16), &syn(80));
    assert!(!walked.is_certain());
    assert_eq!(walked.outcome, Drop, "never a wrong accept");
}

#[test]
fn chains_that_ask_each_other_end_in_an_open_answer() {
    for verdict in [jump, goto] {
        let base = dropping(input(vec![rule(vec![verdict("x")])]));
        let x = plain("x", vec![rule(vec![verdict("y")])]);
        let rules = inet(vec![base, x, plain("y", vec![rule(vec![verdict("x")])])]);
        let walked = walk(&rules, &syn(80));
        assert!(!walked.is_certain());
        assert_eq!(walked.outcome, Drop);
    }
}

#[test]
fn a_jump_to_a_chain_that_is_not_there_is_never_an_accept() {
    let walked = walk(&inet(vec![input(vec![rule(vec![jump("gone")])])]), &syn(80));
    assert_eq!((walked.outcome, walked.is_certain()), (Drop, false));
}

#[test]
fn a_dormant_table_is_not_asked() {
    let mut rules = inet(vec![input(vec![rule(vec![DROP])])]);
    rules.tables[0].is_dormant = true;
    let walked = walk(&rules, &syn(80));
    assert_eq!((walked.outcome, walked.decided_by), (Accept, None));
}

#[test]
fn the_trace_names_the_rules_that_held() {
    let rules = inet(vec![
        dropping(input(vec![rule(vec![is(Field::Mark, 1), DROP]), rule(vec![jump("x")])])),
        plain("x", vec![with(tcp_to(80), ACCEPT)]),
    ]);
    let held: Vec<Did> = walk(&rules, &syn(80))
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Matched { did, .. } => Some(*did),
            _ => None,
        })
        .collect();
    assert_eq!(held, [Did::Jump(ChainId { table: 0, chain: 1 }), Did::Accept]);
}
