//! What no question says of a packet, its length, hops, class of traffic and DF, is not taken for granted; and
//! whom an answer gets to whose address rules have translated.

use super::*;

/// A rule for packets of which this field, masked, has this value.
fn asking(field: Field, mask: u128, value: u128, verdict: Verdict) -> Rule {
    let of = Box::new(Expression::Field(field));
    let left = match mask {
        0 => Expression::Field(field),
        mask => Expression::Bits { of, mask, flip: 0 },
    };
    let asked = Statement::Match(Match { left, test: Test::In(SetRef::number(value)) });
    rule("it asks", tcp(22).into_iter().chain([asked]).chain(ends(verdict)))
}

fn ruleset(hook: Hook, policy: ChainPolicy, rules: Vec<Rule>) -> Ruleset {
    Ruleset {
        tables: vec![table(Family::Ip, "t", vec![filter(hook, policy, rules)])],
        notes: Vec::new(),
    }
}

fn reached(ruleset: Ruleset) -> Reached {
    let case = Case::new(ruleset, &[("0.0.0.0", 22)]);
    case.ask(22, Source::prefix(prefix("10.0.0.9")))
}

const FIELDS: [(Field, u128, u128); 7] = [
    (Field::Length, 0, 60),
    (Field::Length4, 0, 40),
    (Field::Ttl, 0, 128),
    (Field::Ttl, 0, 64),
    (Field::Dscp, 0, 8),
    (Field::FragmentOffset, 0x4000, 0x4000),
    (Field::FragmentOffset, 0, 0x4000),
];

#[test]
fn a_rule_that_asks_for_the_header_makes_it_depend_whether_or_not_the_usual_packet_meets_it() {
    for (field, mask, value) in FIELDS {
        for (policy, verdict) in
            [(ChainPolicy::Accept, Verdict::Drop), (ChainPolicy::Drop, Verdict::Accept)]
        {
            let rules = vec![asking(field, mask, value, verdict)];
            let reached = reached(ruleset(Hook::Input, policy, rules));
            assert_eq!(reached.answer, Answer::Depends, "{field:?} {value} {policy:?}");
            let [on] = &reached.groups[0].depends_on[..] else { panic!("{:#?}", reached.groups) };
            assert!(!on.contains("port"), "{on}");
        }
    }
}

#[test]
fn it_is_certain_where_both_values_lead_to_the_same_and_where_nobody_asks() {
    for (field, mask, value) in FIELDS {
        let rules = vec![
            asking(field, mask, value, Verdict::Accept),
            rule("rest", tcp(22).into_iter().chain(ends(Verdict::Accept))),
        ];
        assert_eq!(reached(ruleset(Hook::Input, ChainPolicy::Drop, rules)).answer, Answer::Yes);
    }
    // What belongs to neighbour discovery is not asked of TCP; what tells fragments is no question of DF.
    let hops = [is(Field::Ttl, SetRef::number(255)), is(Field::Protocol, SetRef::number(58))];
    let hops = rule("hoplimit 255 icmpv6", hops.into_iter().chain(ends(Verdict::Drop)));
    let whole = asking(Field::FragmentOffset, 0x1fff, 0, Verdict::Accept);
    let both = ruleset(Hook::Input, ChainPolicy::Drop, vec![hops, whole]);
    assert_eq!(reached(both).answer, Answer::Yes);
}

#[test]
fn an_answer_that_hangs_on_its_header_is_not_taken_for_granted_either() {
    let port = is(Field::SourcePort, SetRef::number(22));
    for (value, policy, verdict) in
        [(60, ChainPolicy::Accept, Verdict::Drop), (40, ChainPolicy::Drop, Verdict::Accept)]
    {
        let length = is(Field::Length, SetRef::number(value));
        let rules = vec![rule("it asks", [port.clone(), length].into_iter().chain(ends(verdict)))];
        let reached = reached(ruleset(Hook::Output, policy, rules));
        assert_eq!(reached.answer, Answer::Depends, "{value}");
        assert!(reached.groups[0].depends_on[0].starts_with("of its answer: the length"));
    }
}

/// The source of what comes in for port 22 becomes 10.0.0.77, in the hook input; and output is this.
fn translating(output: Vec<Rule>) -> Ruleset {
    let snat = Statement::Nat(Nat {
        kind: NatKind::Snat,
        address: Some(Expression::Constant(Value::Number(number("10.0.0.77")))),
        port: None,
        flags: Vec::new(),
    });
    let snat = rule("snat to 10.0.0.77", tcp(22).into_iter().chain([snat]));
    let chains = vec![
        base("in", ChainKind::Nat, Hook::Input, ChainPolicy::Accept, vec![snat]),
        filter(Hook::Output, ChainPolicy::Accept, output),
    ];
    Ruleset { tables: vec![table(Family::Ip, "t", chains)], notes: Vec::new() }
}

/// Measured with Linux 6.18: the station of translation at output (−100) gives the answer its destination
/// back, so chains of type filter behind it see the client, and never the translated address.
#[test]
fn behind_a_source_translated_at_input_output_sees_the_client_again() {
    let to = |network: &str| is(Field::Destination4, self::network(network));
    let drops =
        |network: &str| vec![rule("drop", [to(network)].into_iter().chain(ends(Verdict::Drop)))];
    assert_eq!(reached(translating(drops("10.0.0.77"))).answer, Answer::Yes);
    assert_eq!(reached(translating(drops("10.0.0.9"))).answer, Answer::No);
    let case = Case::new(translating(drops("10.0.0.8/30")), &[("0.0.0.0", 22)]);
    let all = case.ask(22, Source::prefix(prefix("10.0.0.0/24")));
    let no = all.groups.iter().filter(|g| g.answer == Answer::No);
    let no = no.fold(Addresses::NONE, |all, g| all.with(&g.senders));
    assert_eq!(no, Addresses::of([prefix("10.0.0.8/30")]), "{:#?}", all.groups);
}

/// Flags of TCP are no question of a datagram's header.
#[test]
fn the_answer_of_a_datagram_is_certain_where_no_rule_asks_for_its_header() {
    let answer_of = |statements: Vec<Statement>| {
        let rules = vec![rule("it", statements.into_iter().chain(ends(Verdict::Drop)))];
        let mut case =
            Case::new(ruleset(Hook::Output, ChainPolicy::Accept, rules), &[("10.0.0.5", 53)]);
        case.sockets.as_mut().unwrap().sockets[0].socket.transport = SocketTransport::Udp;
        let asking = case.scene().prepare();
        let source = Source::prefix(prefix("10.0.0.9"));
        asking.about(Port(53), Transport::Udp, &[source]).unwrap().sources.remove(0).answer
    };
    assert_eq!(answer_of(tcp(22).into()), Answer::Yes);
    let of_length = is(Field::Length, SetRef::number(60));
    assert_eq!(answer_of(vec![of_length]), Answer::Depends);
}
