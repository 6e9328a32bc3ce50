//! Translation, routing and what is seen of both.

use std::net::IpAddr;

use super::words::*;
use crate::firewall::simulate::Outcome::{Accept, Drop};
use crate::firewall::simulate::{
    Because, NoWay, Open, Prepared, Station, Step, Walk, Way, simulate,
};
use crate::firewall::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn number(text: &str) -> u128 {
    number_of(ip(text))
}

fn constant(value: u128) -> Option<Expression> {
    Some(Expression::Constant(Value::Number(value)))
}

fn statement(kind: NatKind, address: Option<&str>, port: Option<u128>) -> Statement {
    let address = address.and_then(|address| constant(number(address)));
    Statement::Nat(Nat { kind, address, port: port.and_then(constant), flags: vec![] })
}

fn redirect(port: u128) -> Statement {
    statement(NatKind::Redirect, None, Some(port))
}

fn dnat(address: &str, port: u128) -> Statement {
    statement(NatKind::Dnat, Some(address), Some(port))
}

fn seen(chain: &str, hook: Hook, priority: i32, conditions: Vec<Statement>, value: u128) -> Chain {
    base(chain, hook, priority, vec![with(conditions, mark(value))])
}

/// A host at 10.9.0.2 that forwards into 172.17.0.0/16.
fn host() -> World {
    let own = |interface: &str, address: &str, network: &str| LocalAddress {
        interface: interface.into(),
        address: ip(address),
        network: network.parse().unwrap(),
    };
    let route = |destination: &str, interface: &str| Route {
        destination: destination.parse().unwrap(),
        interface: interface.into(),
        kind: RouteKind::Unicast,
        metric: 0,
    };
    World {
        addresses: vec![
            own("eth0", "10.9.0.2", "10.9.0.0/24"),
            own("docker0", "172.17.0.1", "172.17.0.0/16"),
        ],
        interfaces: vec![],
        routes: vec![route("10.9.0.0/24", "eth0"), route("172.17.0.0/16", "docker0")],
        forwards_v4: true,
        forwards_v6: false,
        ..World::default()
    }
}

fn by_route(rules: &Ruleset, world: &World, packet: &Packet) -> Walk {
    simulate(rules, world, packet, Way::ByRoute, &Open)
}

#[test]
fn a_redirect_is_seen_from_minus_100_on_whatever_the_chains_priority() {
    for priority in [-100, -150, 0, 50] {
        let redirecting =
            nat("nat", Hook::Prerouting, priority, vec![with(tcp_to(80), redirect(8080))]);
        let before = seen("a", Hook::Prerouting, -150, tcp_to(80), 1);
        let after = base("b", Hook::Prerouting, -50, vec![with(tcp_to(80), DROP)]);
        let chain = dropping(input(vec![with(tcp_to(8080), ACCEPT)]));
        let walked = walk(&inet(vec![redirecting, before, after, chain]), &syn(80));
        assert_eq!((walked.outcome, walked.packet.mark), (Accept, 1), "{priority}");
    }
}

#[test]
fn the_original_port_and_status_are_seen_after_a_redirect() {
    let redirecting = nat("nat", Hook::Prerouting, -100, vec![with(tcp_to(80), redirect(8080))]);
    let original = Field::CtTuple(Direction::Original, TupleSide::DestinationPort);
    let reply = Field::CtTuple(Direction::Reply, TupleSide::SourcePort);
    let status = matches(field(Field::CtStatus), Test::AnyBit(bits::STATUS_DNAT));
    let conditions = vec![is(original, 80), is(reply, 8080), status, ACCEPT];
    let rules = inet(vec![redirecting, dropping(input(vec![rule(conditions)]))]);
    assert_eq!(outcome(&rules, &syn(80)), Accept);
    assert_eq!(outcome(&rules, &syn(81)), Drop);
}

#[test]
fn status_says_that_nat_chains_were_asked() {
    let nothing = nat("nat", Hook::Prerouting, -100, vec![]);
    let exact =
        |value| base("x", Hook::Input, 0, vec![rule(vec![is(Field::CtStatus, value), ACCEPT])]);
    let rules = |value| inet(vec![nothing.clone(), dropping(exact(value))]);
    assert_eq!(outcome(&rules(0x100), &syn(80)), Accept);
    assert_eq!(outcome(&rules(0), &syn(80)), Drop);
}

#[test]
fn the_first_translation_wins_and_accept_before_it_does_not_stop_it() {
    let early = |rules| nat("early", Hook::Prerouting, -100, rules);
    let late = || nat("late", Hook::Prerouting, -90, vec![with(tcp_to(80), redirect(9090))]);
    let port = |rules| walk(&inet(rules), &syn(80)).packet.destination_port;
    assert_eq!(port(vec![early(vec![with(tcp_to(80), redirect(8080))]), late()]), 8080);
    assert_eq!(port(vec![early(vec![rule(vec![ACCEPT])]), late()]), 9090);
    assert_eq!(port(vec![early(vec![rule(vec![RETURN])]), late()]), 9090);
    assert_eq!(outcome(&inet(vec![early(vec![rule(vec![DROP])]), late()]), &syn(80)), Drop);
}

#[test]
fn of_equal_nat_chains_the_last_registered_translates() {
    let chain = |target: u128, sequence| {
        registered(
            nat("pre", Hook::Prerouting, -100, vec![with(tcp_to(80), redirect(target))]),
            sequence,
        )
    };
    let tables = |a, b| Ruleset {
        tables: vec![
            table(Family::Inet, "a", vec![chain(8001, a)]),
            table(Family::Ip, "b", vec![chain(8002, b)]),
        ],
        notes: vec![],
    };
    assert_eq!(walk(&tables(0, 1), &syn(80)).packet.destination_port, 8002);
    assert_eq!(walk(&tables(2, 1), &syn(80)).packet.destination_port, 8001, "a was loaded anew");
}

#[test]
fn an_established_flow_is_not_translated_anew_and_keeps_its_mapping() {
    let redirecting = nat("nat", Hook::Prerouting, -100, vec![with(tcp_to(80), redirect(8080))]);
    let chain = dropping(input(vec![with(tcp_to(7070), ACCEPT)]));
    let rules = inet(vec![redirecting, chain]);
    let known = Packet { state: Some(bits::ESTABLISHED), ..syn(80) };
    assert_eq!(outcome(&rules, &known), Drop);
    let original = Some(syn(80).tuple());
    let mapped = Packet { state: Some(bits::ESTABLISHED), original, ..syn(7070) };
    assert_eq!(outcome(&rules, &mapped), Accept);
}

#[test]
fn an_answer_is_translated_back() {
    let (client, server) = (ip("203.0.113.9"), ip("172.17.0.2"));
    let original = Tuple {
        source: client,
        destination: ip("10.9.0.2"),
        protocol: 6,
        source_port: 40_000,
        destination_port: 8080,
    };
    let answer = Packet {
        state: Some(bits::ESTABLISHED),
        direction: Direction::Reply,
        original: Some(original),
        interface_in: "docker0".into(),
        interface_out: Some("eth0".into()),
        ..Packet::new(6, server, client).ports(80, 40_000)
    };
    let status = matches(field(Field::CtStatus), Test::AnyBit(bits::STATUS_DNAT));
    let reply = is(Field::CtDirection, 1);
    let chain = dropping(base("f", Hook::Forward, 0, vec![rule(vec![status, reply, ACCEPT])]));
    let walked = simulate(&inet(vec![chain]), &World::default(), &answer, Way::Forward, &Open);
    assert_eq!(walked.outcome, Accept);
    assert_eq!((walked.packet.source, walked.packet.source_port), (ip("10.9.0.2"), 8080));
}

#[test]
fn a_packet_translated_to_a_container_is_forwarded_and_never_meets_input() {
    let local = Field::Fib { key: FibKey::default(), result: FibResult::Type };
    let publishing =
        vec![is(local, bits::FIB_LOCAL), is(Field::Protocol, 6), is(Field::DestinationPort, 8080)];
    let rules = inet(vec![
        nat("docker", Hook::Prerouting, -100, vec![with(publishing, dnat("172.17.0.2", 80))]),
        base("ufw", Hook::Input, 0, vec![with(tcp_to(8080), DROP)]),
        dropping(base("f", Hook::Forward, 0, vec![with(tcp_to(80), ACCEPT)])),
    ]);
    for way in [Way::ByRoute, Way::Input] {
        for world in [host(), World::default()] {
            let walked = simulate(&rules, &world, &syn(8080), way, &Open);
            assert_eq!((walked.outcome, walked.is_certain()), (Accept, true));
            assert!(walked.steps.contains(&Step::Hook(Hook::Forward)));
            assert!(!walked.steps.contains(&Step::Hook(Hook::Input)));
        }
    }
    let walked = by_route(&rules, &host(), &syn(8080));
    assert_eq!(walked.hook, Some(Hook::Postrouting));
    let onward = walked.steps.iter().find_map(|step| match step {
        Step::Routed { decision, because } => Some((decision.interface.clone(), *because)),
        _ => None,
    });
    assert_eq!(onward, Some((Some("docker0".into()), Because::Routes)));
}

#[test]
fn a_packet_to_another_machine_never_meets_input() {
    let rules = inet(vec![input(vec![rule(vec![DROP])])]);
    let other = Packet { destination: ip("172.17.0.9"), ..syn(80) };
    assert_eq!(by_route(&rules, &host(), &other).outcome, Accept);
    assert_eq!(by_route(&rules, &host(), &syn(80)).outcome, Drop);
    let closed = World { forwards_v4: false, ..host() };
    let walked = by_route(&rules, &closed, &other);
    assert_eq!((walked.outcome, walked.decided_by), (Drop, None));
    let nowhere = Packet { destination: ip("192.0.2.1"), ..syn(80) };
    let walked = by_route(&rules, &host(), &nowhere);
    let routed = walked.steps.iter().find_map(|step| match step {
        Step::Routed { decision, .. } => Some(decision.station),
        _ => None,
    });
    assert_eq!(routed, Some(Station::Nowhere(NoWay::Unreachable)));
}

#[test]
fn masquerade_takes_the_address_of_the_way_out() {
    let masquerade = statement(NatKind::Masquerade, None, None);
    let post = nat("post", Hook::Postrouting, 100, vec![rule(vec![masquerade])]);
    let inside = Packet {
        interface_in: "docker0".into(),
        ..Packet::new(6, ip("172.17.0.2"), ip("10.9.0.7")).ports(4000, 443)
    };
    let walked = by_route(&inet(vec![post]), &host(), &inside);
    assert_eq!((walked.outcome, walked.packet.source), (Accept, ip("10.9.0.2")));
}

#[test]
fn a_source_translated_to_an_unknown_address_makes_later_answers_open() {
    let masquerade = statement(NatKind::Masquerade, None, None);
    let post = nat("post", Hook::Postrouting, 100, vec![rule(vec![masquerade])]);
    let late = base("late", Hook::Postrouting, 200, vec![rule(vec![is(Field::Source4, 1), DROP])]);
    let rules = inet(vec![post, late]);
    let walked = simulate(&rules, &World::default(), &syn(80), Way::Forward, &Open);
    assert!(!walked.is_certain());
}

#[test]
fn chains_of_output_see_the_old_interface_after_a_translation_and_postrouting_the_new() {
    let translating =
        nat("nat", Hook::Output, -100, vec![with(udp_to(84), dnat("172.17.0.2", 84))]);
    let interface = |name: &str| {
        let span = Span::Names { text: name.into(), is_prefix: false };
        matches(field(Field::InterfaceOut), Test::In(SetRef::span(span)))
    };
    let out = dropping(base("out", Hook::Output, 0, vec![rule(vec![interface("eth0"), ACCEPT])]));
    let post = dropping(base(
        "post",
        Hook::Postrouting,
        0,
        vec![rule(vec![interface("docker0"), ACCEPT])],
    ));
    let packet = Packet {
        interface_in: "".into(),
        ..Packet::new(17, ip("10.9.0.2"), ip("10.9.0.1")).ports(5, 84)
    };
    let rules = inet(vec![translating, out, post]);
    assert_eq!(simulate(&rules, &host(), &packet, Way::Output, &Open).outcome, Accept);
}

#[test]
fn loopback_is_not_reached_from_outside_unless_a_setting_says_so() {
    let rules =
        inet(vec![nat("n", Hook::Prerouting, -100, vec![with(tcp_to(80), dnat("127.0.0.1", 80))])]);
    let walked = by_route(&rules, &host(), &syn(80));
    assert_eq!(walked.outcome, Drop);
    assert_eq!(walked.depends_on[0].question, "net.ipv4.conf.eth0.route_localnet = 1");
    let on = |_: &super::super::Question<'_>| Some(true);
    let walked = simulate(&rules, &host(), &syn(80), Way::ByRoute, &on);
    assert_eq!(walked.outcome, Accept);
}

#[test]
fn a_map_gives_address_and_port_of_a_translation() {
    let data = ElementValue::Data(vec![Span::number(number("172.17.0.2")), Span::number(81)]);
    let map = elements(vec![entry(8080, data)]);
    let key = Box::new(field(Field::DestinationPort));
    let address = Some(Expression::Lookup { key, map });
    let nat_statement = Nat { kind: NatKind::Dnat, address, port: None, flags: vec![] };
    let rules = inet(vec![nat(
        "n",
        Hook::Prerouting,
        -100,
        vec![with(vec![is(Field::Protocol, 6)], Statement::Nat(nat_statement))],
    )]);
    let walked = by_route(&rules, &host(), &syn(8080));
    assert_eq!((walked.packet.destination, walked.packet.destination_port), (ip("172.17.0.2"), 81));
    assert_eq!(by_route(&rules, &host(), &syn(1)).packet.destination_port, 1);
}

#[test]
fn a_network_is_translated_host_by_host() {
    let (low, high) = (number("172.17.4.0"), number("172.17.4.255"));
    let address = Some(Expression::OneOf(Span::Numbers { low, high }));
    let netmap = Nat { kind: NatKind::Dnat, address, port: None, flags: vec!["prefix".into()] };
    let rules =
        inet(vec![nat("n", Hook::Prerouting, -100, vec![rule(vec![Statement::Nat(netmap)])])]);
    assert_eq!(by_route(&rules, &host(), &syn(1)).packet.destination, ip("172.17.4.2"));
}

#[test]
fn reverse_path_is_asked_of_the_routes() {
    let key = FibKey { is_source: true, has_input: true, ..FibKey::default() };
    let exists = Field::Fib { key, result: FibResult::Exists };
    let raw = base("raw", Hook::Prerouting, -300, vec![rule(vec![is(exists, 0), DROP])]);
    let rules = inet(vec![raw]);
    assert_eq!(by_route(&rules, &host(), &syn(80)).outcome, Accept);
    let forged = Packet { source: ip("172.17.0.5"), ..syn(80) };
    assert_eq!(by_route(&rules, &host(), &forged).outcome, Drop);
}

#[test]
fn kinds_of_addresses_are_those_of_the_local_table() {
    let kind = Field::Fib { key: FibKey::default(), result: FibResult::Type };
    for (address, expected) in [
        ("10.9.0.2", bits::FIB_LOCAL),
        ("10.9.0.255", bits::FIB_BROADCAST),
        ("224.0.0.1", bits::FIB_MULTICAST),
        ("192.0.2.7", bits::FIB_UNICAST),
        ("127.0.0.5", bits::FIB_LOCAL),
    ] {
        let found = rule(vec![is(kind, expected), ACCEPT]);
        let rules = inet(vec![dropping(base("p", Hook::Prerouting, 0, vec![found]))]);
        let packet = Packet { destination: ip(address), ..syn(80) };
        let walked = simulate(&rules, &host(), &packet, Way::Prerouting, &Open);
        assert_eq!(walked.outcome, Accept, "{address}");
    }
}

#[test]
fn inputs_own_source_translation_is_seen_behind_it() {
    let snat = statement(NatKind::Snat, Some("192.0.2.9"), None);
    let early = dropping(base(
        "e",
        Hook::Input,
        0,
        vec![rule(vec![is(Field::Source4, number("10.9.0.1")), ACCEPT])],
    ));
    let late = dropping(base(
        "l",
        Hook::Input,
        150,
        vec![rule(vec![is(Field::Source4, number("192.0.2.9")), ACCEPT])],
    ));
    let rules = inet(vec![nat("n", Hook::Input, 0, vec![rule(vec![snat])]), early, late]);
    assert_eq!(outcome(&rules, &syn(80)), Accept);
}

#[test]
fn a_statement_nobody_understands_in_a_nat_chain_may_translate_to_anything() {
    let opaque = Statement::Opaque { text: "-j WONDER".into(), effect: Effect::Decides };
    let rules = inet(vec![
        nat("n", Hook::Prerouting, -100, vec![rule(vec![opaque])]),
        dropping(input(vec![with(tcp_to(80), ACCEPT)])),
    ]);
    let walked = walk(&rules, &syn(80));
    assert_eq!(walked.outcome, Drop);
    assert!(walked.depends_on[0].if_no.contains(&Drop));
}

#[test]
fn a_chain_of_type_nat_is_not_asked_where_nothing_switches_conntrack_on() {
    let chains = |state: Option<Chain>| {
        let nat = nat("n", Hook::Prerouting, -100, vec![rule(vec![DROP])]);
        inet([nat].into_iter().chain(state).collect())
    };
    assert_eq!(outcome(&chains(None), &syn(80)), Accept);
    let asks = input(vec![rule(vec![is(Field::CtMark, 9), DROP])]);
    assert_eq!(outcome(&chains(Some(asks.clone())), &syn(80)), Drop);
    // A dormant table asks nothing, and has switched it on all the same.
    let mut rules = chains(None);
    let sleeping = table(Family::Inet, "sleeping", vec![asks]);
    rules.tables.push(Table { is_dormant: true, ..sleeping });
    assert_eq!(outcome(&rules, &syn(80)), Drop);
}

#[test]
fn an_icmp_error_about_a_connection_is_not_a_translation_of_it() {
    let status = Statement::Match(Match {
        left: field(Field::CtStatus),
        test: Test::AnyBit(bits::STATUS_DNAT | bits::STATUS_SNAT),
    });
    let rules = inet(vec![input(vec![rule(vec![status, DROP])])]);
    let about = Packet::new(17, ip("10.0.0.2"), ip("10.0.0.1")).ports(53, 4000).tuple();
    let mut error = Packet::new(1, ip("10.0.0.1"), ip("10.0.0.2"));
    (error.state, error.direction) = (Some(bits::RELATED), Direction::Reply);
    error.original = Some(about);
    assert_eq!(outcome(&rules, &error), Accept);
}

#[test]
fn a_forwarded_packet_has_lost_one_of_its_time_to_live_before_forward() {
    let chain = base("f", Hook::Forward, 0, vec![rule(vec![is(Field::Ttl, 63), DROP])]);
    let walk = simulate(&inet(vec![chain]), &World::default(), &syn(80), Way::Forward, &Open);
    assert_eq!(walk.outcome, Drop);
}

#[test]
fn a_translation_of_ipv6_switches_conntrack_on_for_ipv6_alone() {
    let mut v6 = rule(vec![is(Field::NetworkProtocol, bits::NFPROTO_IPV6)]);
    v6.statements.push(statement(NatKind::Snat, Some("2001:db8::77"), None));
    let rules = inet(vec![nat("n", Hook::Input, 100, vec![v6, rule(vec![DROP])])]);
    assert_eq!(outcome(&rules, &syn(80)), Accept);
    let v6 = Packet::new(6, ip("2001:db8::1"), ip("2001:db8::2")).ports(4000, 80);
    assert_eq!(outcome(&rules, &Packet { protocol: 17, ..v6 }), Accept);
}

#[test]
fn of_several_ends_the_one_the_packet_had_may_be_chosen_and_is_no_translation() {
    let (low, high) = (number("172.17.0.5"), number("172.17.0.6"));
    let address = Some(Expression::OneOf(Span::Numbers { low, high }));
    let one_of = Nat { kind: NatKind::Dnat, address, port: None, flags: vec![] };
    let status = matches(field(Field::CtStatus), Test::AnyBit(bits::STATUS_DNAT));
    let rules = inet(vec![
        nat("n", Hook::Prerouting, -100, vec![rule(vec![Statement::Nat(one_of)])]),
        dropping(base("f", Hook::Forward, 0, vec![rule(vec![status, ACCEPT])])),
    ]);
    let to = |destination: &str| Packet { destination: ip(destination), ..syn(80) };
    let walked = by_route(&rules, &host(), &to("172.17.0.6"));
    assert!(!walked.is_certain(), "{walked:?}");
    let walked = by_route(&rules, &host(), &to("172.17.0.7"));
    assert_eq!((walked.outcome, walked.is_certain()), (Accept, true));
}

#[test]
fn a_port_that_a_rule_wrote_is_gone_where_its_address_is_translated() {
    let write = Statement::Assign { target: Target::DestinationPort, value: constant(22).unwrap() };
    let written = |more: Statement| {
        let rule = rule([tcp_to(80), vec![write.clone(), more]].concat());
        dropping(nat("n", Hook::Prerouting, -100, vec![rule]))
    };
    let open = dropping(base("f", Hook::Forward, 0, vec![with(tcp_to(80), ACCEPT)]));
    let elsewhere = statement(NatKind::Dnat, Some("172.17.0.2"), None);
    let rules = inet(vec![written(elsewhere), open.clone()]);
    assert_eq!(by_route(&rules, &host(), &syn(80)).outcome, Accept);
    let same = statement(NatKind::Dnat, Some("172.17.0.9"), None);
    let rules = inet(vec![written(same), open]);
    let packet = Packet { destination: ip("172.17.0.9"), ..syn(80) };
    assert_eq!(by_route(&rules, &host(), &packet).outcome, Drop);
}

#[test]
fn hops_that_nobody_knows_may_be_enough() {
    let hops = |value| Statement::Assign { target: Target::Ttl, value };
    let more = hops(Expression::Unknown("-j TTL --ttl-inc 1".into()));
    let writing = vec![rule(vec![hops(constant(1).unwrap()), more])];
    let rules = inet(vec![base("m", Hook::Prerouting, -150, writing)]);
    let packet = Packet { destination: ip("172.17.0.2"), ..syn(80) };
    let (world, way) = (host(), Way::ByRoute);
    let walked = Prepared::new(&rules, &world).minding_senders().walk(&packet, way, &Open);
    assert!(!walked.is_certain(), "{walked:?}");
}

#[test]
fn what_counts_labels_or_marks_connections_switches_conntrack_on() {
    let count = Condition {
        text: "ct count 9".into(),
        is_negated: false,
        is_own: true,
        presumed: Some(true),
    };
    let (operation, key) = (SetOperation::Add, field(Field::Source4));
    let set = "s".into();
    let update = Statement::Update { operation, set, key, conditions: vec![count] };
    let fragment = Packet { is_later_fragment: true, ..syn(80) };
    let put_together = |statements| {
        let rules = inet(vec![plain("nobody", vec![rule(statements)])]);
        let walked = simulate(&rules, &World::default(), &fragment, Way::Forward, &Open);
        walked.steps.contains(&Step::Defragmented)
    };
    assert!(put_together(vec![update]));
    assert!(!put_together(vec![ACCEPT]));
    // So do labels, and marks kept with connections of which some bits come back.
    let text = "ct label set 3".into();
    assert!(put_together(vec![Statement::Opaque { effect: Effect::Passes, text }]));
    let value = Expression::Unknown("-j CONNMARK --restore-mark --mask 0x0f".into());
    assert!(put_together(vec![Statement::Assign { target: Target::Mark, value }]));
}

#[test]
fn chains_that_translate_are_asked_about_a_packet_told_its_zone_behind_conntrack_and_translate_nothing()
 {
    let told = vec![rule(vec![Statement::Template { is_over_untracked: true }])];
    let rules = |refusing: Statement| {
        inet(vec![
            base("zone", Hook::Prerouting, -150, told.clone()),
            nat("first", Hook::Prerouting, -100, vec![with(tcp_to(80), redirect(8080))]),
            nat("second", Hook::Prerouting, -90, vec![with(tcp_to(80), refusing)]),
            dropping(input(vec![with(tcp_to(80), ACCEPT)])),
        ])
    };
    let odd = Packet { tcp_flags: TcpFlags::FIN, ..syn(80) };
    assert_eq!(outcome(&rules(ACCEPT), &odd), Accept);
    assert_eq!(outcome(&rules(DROP), &odd), Drop);
}
