//! What the packet alone does not decide, and sets too large to ask each member.

use super::words::*;
use crate::firewall::simulate::Outcome::{Accept, Drop};
use crate::firewall::simulate::{About, Presumed, Question, Way, simulate};
use crate::firewall::*;

fn condition(text: &str, presumed: Option<bool>, is_own: bool) -> Statement {
    let text = text.into();
    Statement::Condition(Condition { text, is_negated: false, is_own, presumed })
}

fn limit() -> Statement {
    condition("limit rate 6/minute", Some(true), true)
}

fn strange() -> Statement {
    condition("-m wonder --full-moon", None, false)
}

#[test]
fn a_limit_is_presumed_kept_and_the_other_outcome_is_named() {
    let rules = inet(vec![dropping(input(vec![rule(vec![limit(), ACCEPT])]))]);
    let walked = walk(&rules, &syn(22));
    assert_eq!((walked.outcome, walked.is_certain()), (Accept, false));
    let open = &walked.depends_on[0];
    assert_eq!((&*open.question, open.presumed), ("limit rate 6/minute", Some(true)));
    assert_eq!((open.if_yes.clone(), open.if_no.clone()), (vec![Accept], vec![Drop]));
    let walked = simulate(&rules, &World::default(), &syn(22), Way::Input, &Presumed);
    assert_eq!((walked.outcome, walked.is_certain()), (Accept, true));
}

#[test]
fn a_condition_nobody_understands_is_never_a_wrong_accept() {
    for statements in [vec![strange(), ACCEPT], vec![strange(), DROP]] {
        let ending = if statements[1] == DROP { ACCEPT } else { DROP };
        let rules = inet(vec![input(vec![rule(statements), rule(vec![ending])])]);
        let walked = walk(&rules, &syn(22));
        assert_eq!((walked.outcome, walked.is_certain()), (Drop, false));
    }
}

#[test]
fn what_does_not_change_the_outcome_is_not_named() {
    let rules = inet(vec![input(vec![rule(vec![strange(), DROP]), rule(vec![DROP])])]);
    let walked = walk(&rules, &syn(22));
    assert_eq!((walked.outcome, walked.depends_on.len()), (Drop, 0));
}

#[test]
fn a_rule_that_need_not_hold_is_told_with_the_rule_that_decides_in_its_place() {
    let rules = vec![rule(vec![strange(), ACCEPT]), rule(vec![limit()]), rule(vec![ACCEPT])];
    let walked = walk(&inet(vec![dropping(input(rules))]), &syn(22));
    assert_eq!((walked.outcome, walked.is_certain()), (Accept, true));
    let index = |rule: &RuleId| rule.rule;
    assert_eq!(walked.decided_by.as_ref().map(index), Some(Some(0)));
    assert_eq!(walked.instead.rules.iter().map(index).collect::<Vec<_>>(), [Some(2)]);
    assert_eq!(walked.instead.open, ["-m wonder --full-moon"]);
    let certain = walk(&inet(vec![input(vec![rule(vec![ACCEPT])])]), &syn(22));
    assert!(certain.instead.rules.is_empty() && certain.instead.open.is_empty());
}

#[test]
fn a_limit_before_a_log_is_not_even_asked() {
    let log = Statement::Opaque { text: "log".into(), effect: Effect::Passes };
    let rules: Vec<Rule> = (0..100).map(|_| rule(vec![limit(), log.clone()])).collect();
    let walked = walk(&inet(vec![input(rules)]), &syn(22));
    assert_eq!((walked.outcome, walked.is_certain()), (Accept, true));
}

#[test]
fn the_same_words_have_the_same_answer() {
    let negated = Statement::Condition(Condition {
        text: "-m wonder --full-moon".into(),
        is_negated: true,
        is_own: false,
        presumed: None,
    });
    let rules = inet(vec![dropping(input(vec![
        rule(vec![strange(), ACCEPT]),
        rule(vec![negated, ACCEPT]),
    ]))]);
    assert_eq!(outcome(&rules, &syn(22)), Accept);
    let rules =
        inet(vec![dropping(input(vec![rule(vec![limit(), ACCEPT]), rule(vec![limit(), ACCEPT])]))]);
    assert!(!walk(&rules, &syn(22)).is_certain(), "each limit counts for itself");
}

#[test]
fn a_source_is_in_a_set_nobody_could_read_or_it_is_not() {
    let (source, set) = (field(Field::Source4), SetRef::Named("unread".into()));
    let inside = matches(source.clone(), Test::In(set.clone()));
    let outside = matches(source, Test::NotIn(set));
    let both = rule(vec![inside.clone(), outside.clone(), ACCEPT]);
    assert_eq!(outcome(&inet(vec![dropping(input(vec![both]))]), &syn(22)), Drop);
    let either = vec![rule(vec![outside, ACCEPT]), rule(vec![inside, ACCEPT])];
    assert_eq!(outcome(&inet(vec![dropping(input(either))]), &syn(22)), Accept);
}

#[test]
fn what_connection_an_icmp_error_is_about_only_the_asker_tells() {
    let port = field(Field::CtTuple(Direction::Original, TupleSide::DestinationPort));
    let asks = matches(port, Test::In(SetRef::number(80)));
    let rules = inet(vec![dropping(input(vec![rule(vec![asks, ACCEPT])]))]);
    let ends = syn(22);
    let mut error = Packet::new(1, ends.source, ends.destination);
    error.icmp = IcmpMessage { kind: 3, code: 1 };
    (error.state, error.direction) = (Some(bits::RELATED), Direction::Reply);
    assert!(!walk(&rules, &error).is_certain());
    let (source, destination) = (ends.destination, ends.source);
    let about = Tuple { source, destination, protocol: 17, source_port: 9, destination_port: 80 };
    error.original = Some(about);
    assert_eq!(outcome(&rules, &error), Accept);
}

#[test]
fn a_statement_nobody_understands_may_do_anything() {
    let opaque = Statement::Opaque { text: "queue num 0".into(), effect: Effect::Decides };
    let rules = inet(vec![input(vec![rule(vec![opaque.clone()]), rule(vec![ACCEPT])])]);
    let walked = walk(&rules, &syn(22));
    assert_eq!((walked.outcome, walked.is_certain()), (Drop, false));
    let going_on = |question: &Question<'_>| match question.about {
        About::GoesOn => Some(true),
        _ => None,
    };
    let walked = simulate(&rules, &World::default(), &syn(22), Way::Input, &going_on);
    assert_eq!((walked.outcome, walked.is_certain()), (Accept, true));
}

#[test]
fn a_set_that_could_not_be_read_leaves_the_answer_open() {
    let banned = || matches(field(Field::Source4), Test::In(SetRef::Named("banned".into())));
    let mut rules = inet(vec![input(vec![rule(vec![banned(), DROP])])]);
    rules.tables[0].sets = vec![set("banned", None)];
    let walked = walk(&rules, &syn(22));
    assert_eq!((walked.outcome, walked.depends_on.len()), (Drop, 1));
    rules.tables[0].sets = vec![];
    assert!(!walk(&rules, &syn(22)).is_certain(), "a set that is not there");
}

#[test]
fn an_interface_that_was_not_given_is_asked_for_by_name() {
    let by = |name: &str| {
        let span = Span::Names { text: name.into(), is_prefix: false };
        matches(field(Field::InterfaceIn), Test::In(SetRef::span(span)))
    };
    let anyhow = Packet { interface_in: "".into(), ..syn(22) };
    let lo = inet(vec![dropping(input(vec![rule(vec![by("lo"), ACCEPT])]))]);
    assert_eq!(outcome(&lo, &anyhow), Drop, "a stranger does not come by lo");
    let eth = inet(vec![dropping(input(vec![
        rule(vec![by("eth0"), tcp_to(22).remove(0), ACCEPT]),
        rule(vec![by("eth1"), ACCEPT]),
    ]))]);
    let walked = walk(&eth, &anyhow);
    assert_eq!(walked.outcome, Drop);
    let asked: Vec<&str> = walked.depends_on.iter().map(|open| &*open.question).collect();
    assert_eq!(asked, ["iifname \"eth0\"", "iifname \"eth1\""]);
    let both = inet(vec![dropping(input(vec![
        rule(vec![by("eth0"), ACCEPT]),
        rule(vec![
            matches(
                field(Field::InterfaceIn),
                Test::NotIn(SetRef::span(Span::Names { text: "eth0".into(), is_prefix: false })),
            ),
            ACCEPT,
        ]),
    ]))]);
    assert_eq!(outcome(&both, &anyhow), Accept);
}

#[test]
fn too_many_open_questions_end_in_an_incomplete_answer() {
    let many: Vec<Rule> = (0..300)
        .map(|at| rule(vec![condition(&format!("wonder {at}"), None, false), mark(at), ACCEPT]))
        .collect();
    let walked = walk(&inet(vec![dropping(input(many))]), &syn(22));
    assert!(!walked.is_certain());
    assert_eq!(walked.outcome, Drop);
}

#[test]
fn a_set_of_a_hundred_thousand_is_found_without_asking_each() {
    let addresses: Vec<Element> = (0..100_000_u128)
        .map(|at| Element::of(Span::Numbers { low: at * 256, high: at * 256 + 9 }))
        .collect();
    let banned = matches(field(Field::Source4), Test::In(SetRef::Named("s".into())));
    let mut rules = inet(vec![input(vec![rule(vec![banned, DROP])])]);
    rules.tables[0].sets = vec![set("s", Some(addresses))];
    let world = World::default();
    let prepared = super::super::Prepared::new(&rules, &world);
    for at in 0..20_000_u32 {
        let source = std::net::Ipv4Addr::from_bits(at * 256 + (at % 20));
        let packet = Packet { source: source.into(), ..syn(22) };
        let expected = if at % 20 <= 9 { Drop } else { Accept };
        assert_eq!(prepared.outcome(&packet, Way::Input, &Presumed), Some(expected));
    }
}

#[test]
fn concatenations_of_ranges_are_found() {
    let element = |port: u128| Element {
        key: vec![
            Span::Numbers { low: 0x0a09_0000 + port * 4, high: 0x0a09_0003 + port * 4 },
            Span::Numbers { low: port, high: port + 6 },
        ],
        ..Element::of(Span::number(0))
    };
    let all: Vec<Element> = (0..500).map(|at| element(at * 10)).collect();
    let key = Expression::Concat(vec![field(Field::Source4), field(Field::DestinationPort)]);
    let found = matches(key, Test::In(SetRef::Named("s".into())));
    let mut rules = inet(vec![dropping(input(vec![rule(vec![found, ACCEPT])]))]);
    rules.tables[0].sets = vec![set("s", Some(all.clone()))];
    let world = World::default();
    let prepared = super::super::Prepared::new(&rules, &world);
    for at in 0..6000_u32 {
        let port = u16::try_from(at % 5000).unwrap();
        let source = 0x0a09_0000 + (at / 10) * 40 + at % 5;
        let packet = Packet { source: std::net::Ipv4Addr::from_bits(source).into(), ..syn(port) };
        let is_in = all.iter().any(|element| {
            element.key[0].contains(&Value::Number(source.into()))
                && element.key[1].contains(&Value::Number(port.into()))
        });
        let outcome = prepared.outcome(&packet, Way::Input, &Presumed);
        assert_eq!(outcome == Some(Accept), is_in, "{at}");
    }
}

#[test]
fn a_number_by_chance_is_one_of_those_it_can_be() {
    let accepting = |entries: std::ops::Range<u128>| {
        let verdict = ElementValue::Verdict(Verdict::Accept);
        let entry = |n| Element { value: verdict.clone(), ..Element::of(Span::number(n)) };
        let map = SetRef::Inline(entries.map(entry).collect());
        let key = Expression::OneOf(Span::Numbers { low: 0, high: 2 });
        let rules =
            inet(vec![dropping(input(vec![rule(vec![Statement::VerdictMap { key, map }])]))]);
        let walked = walk(&rules, &syn(80));
        (walked.outcome, walked.is_certain())
    };
    assert_eq!(accepting(0..3), (Accept, true));
    assert_eq!(accepting(0..2), (Drop, false));
}

#[test]
fn a_mark_by_chance_is_one_of_those_it_can_be() {
    let marked = |most: u128, asked: Span| {
        let value = Expression::OneOf(Span::Numbers { low: 0, high: most });
        let assign = Statement::Assign { target: Target::Mark, value };
        let asks = matches(field(Field::Mark), Test::In(SetRef::span(asked)));
        let rules = vec![rule(vec![assign]), rule(vec![asks, ACCEPT])];
        let walked = walk(&inet(vec![dropping(input(rules))]), &syn(80));
        (walked.outcome, walked.is_certain())
    };
    let up_to = |high| Span::Numbers { low: 0, high };
    assert_eq!(marked(1, up_to(1)), (Accept, true));
    assert_eq!(marked(63, up_to(63)), (Accept, true));
    assert_eq!(marked(3, up_to(2)), (Drop, false));
    assert_eq!(marked(63, up_to(62)), (Drop, false));
}
