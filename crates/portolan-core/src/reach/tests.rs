//! A host with Docker in small, its rules written down as values.

use std::net::IpAddr;
use std::sync::Arc;

use super::*;
use crate::firewall::{
    Addresses, Base, Chain, ChainKind, ChainPolicy, Expression, Family, Field, Hook, Interface,
    LocalAddress, Match, Nat, NatKind, Origin, Route, RouteKind, Rule, Ruleset, SetRef, Span,
    Statement, Table, Test, Value, Verdict, World, bits,
};
use crate::net::{Endpoint, Port, Prefix, Transport};
use crate::socket::{Address, Family as Ip, Held, Socket, SocketTable, SocketTransport, State};
use crate::wire::route_table::{MAIN, RoutingRule, RuleAction};

mod exact;
mod header;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn number(address: &str) -> u128 {
    match ip(address) {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn is(field: Field, set: SetRef) -> Statement {
    Statement::Match(Match { left: Expression::Field(field), test: Test::In(set) })
}

fn is_not(field: Field, set: SetRef) -> Statement {
    Statement::Match(Match { left: Expression::Field(field), test: Test::NotIn(set) })
}

fn name(text: &str) -> SetRef {
    SetRef::span(Span::Names { text: text.into(), is_prefix: false })
}

fn network(text: &str) -> SetRef {
    let intervals = Addresses::of([prefix(text)]);
    let (low, high) = intervals.intervals(false)[0];
    SetRef::span(Span::Numbers { low, high })
}

fn tcp(port: u128) -> [Statement; 2] {
    [is(Field::Protocol, SetRef::number(6)), is(Field::DestinationPort, SetRef::number(port))]
}

fn rule(text: &str, statements: impl IntoIterator<Item = Statement>) -> Rule {
    Rule { text: text.into(), statements: statements.into_iter().collect(), ..Rule::default() }
}

fn ends(verdict: Verdict) -> [Statement; 1] {
    [Statement::Verdict(verdict)]
}

fn dnat(to: &str, port: u128) -> [Statement; 1] {
    [Statement::Nat(Nat {
        kind: NatKind::Dnat,
        address: Some(Expression::Constant(Value::Number(number(to)))),
        port: Some(Expression::Constant(Value::Number(port))),
        flags: Vec::new(),
    })]
}

fn base(name: &str, kind: ChainKind, hook: Hook, policy: ChainPolicy, rules: Vec<Rule>) -> Chain {
    let priority = if kind == ChainKind::Nat { -100 } else { 0 };
    let base = Base { kind, hook, priority, sequence: 0, policy, devices: Vec::new() };
    Chain { name: name.into(), base: Some(base), rules }
}

fn table(family: Family, name: &str, chains: Vec<Chain>) -> Table {
    let name = name.into();
    let origin = Origin::Nft;
    Table { family, name, origin, is_dormant: false, chains, sets: Vec::new() }
}

fn filter(hook: Hook, policy: ChainPolicy, rules: Vec<Rule>) -> Chain {
    base(hook.as_str(), ChainKind::Filter, hook, policy, rules)
}

/// Port 8080 is refused by the input path and published by Docker to 172.17.0.2:80.
fn docker() -> Ruleset {
    let deny = rule("tcp dport 8080 drop", tcp(8080).into_iter().chain(ends(Verdict::Drop)));
    let established = Statement::Match(Match {
        left: Expression::Field(Field::CtState),
        test: Test::AnyBit(bits::ESTABLISHED),
    });
    let back =
        rule("ct state established accept", [established].into_iter().chain(ends(Verdict::Accept)));
    let to_container = rule(
        "ip daddr 172.17.0.2 iifname != docker0 oifname docker0 tcp dport 80 accept",
        [
            is(Field::Destination4, network("172.17.0.2")),
            is_not(Field::InterfaceIn, name("docker0")),
        ]
        .into_iter()
        .chain([is(Field::InterfaceOut, name("docker0"))])
        .chain(tcp(80))
        .chain(ends(Verdict::Accept)),
    );
    let publish = rule(
        "iifname != docker0 tcp dport 8080 dnat to 172.17.0.2:80",
        [is_not(Field::InterfaceIn, name("docker0"))]
            .into_iter()
            .chain(tcp(8080))
            .chain(dnat("172.17.0.2", 80)),
    );
    let nat = base("DOCKER", ChainKind::Nat, Hook::Prerouting, ChainPolicy::Accept, vec![publish]);
    let filters = vec![
        filter(Hook::Input, ChainPolicy::Drop, vec![back.clone(), deny]),
        filter(Hook::Forward, ChainPolicy::Drop, vec![back, to_container]),
        Chain { name: "DOCKER-USER".into(), base: None, rules: Vec::new() },
    ];
    let tables = vec![table(Family::Ip, "nat", vec![nat]), table(Family::Ip, "filter", filters)];
    Ruleset { tables, notes: Vec::new() }
}

fn own(interface: &str, address: &str, network: &str) -> LocalAddress {
    LocalAddress { interface: interface.into(), address: ip(address), network: prefix(network) }
}

fn world() -> World {
    let route = |to: &str, interface: &str| Route {
        destination: prefix(to),
        interface: interface.into(),
        kind: RouteKind::Unicast,
        metric: 0,
    };
    World {
        addresses: vec![
            own("lo", "127.0.0.1", "127.0.0.0/8"),
            own("lo", "::1", "::1"),
            own("eth0", "10.0.0.5", "10.0.0.0/24"),
            own("eth0", "2001:db8::5", "2001:db8::/64"),
            own("docker0", "172.17.0.1", "172.17.0.0/16"),
        ],
        interfaces: ["lo", "eth0", "docker0"]
            .map(|name| Interface { name: name.into(), ..Interface::default() })
            .into(),
        routes: vec![
            route("0.0.0.0/0", "eth0"),
            route("10.0.0.0/24", "eth0"),
            route("172.17.0.0/16", "docker0"),
            route("::/0", "eth0"),
            route("2001:db8::/64", "eth0"),
        ],
        forwards_v4: true,
        forwards_v6: true,
        ..World::default()
    }
}

fn listening(addresses: &[(&str, u16)]) -> SocketTable {
    let held = |(address, port): &(&str, u16)| {
        let address = ip(address);
        let family = if address.is_ipv4() { Ip::Ipv4 } else { Ip::Ipv6 };
        let bare = Socket::bare(SocketTransport::Tcp, family, State::Listen, 1, 0);
        let local = Address::Inet(Endpoint::new(address, Port(*port)));
        let v6only = address.is_ipv6().then_some(false);
        Held { socket: Socket { local, v6only, ..bare }, holders: Vec::new(), unowned: None }
    };
    SocketTable { sockets: addresses.iter().map(held).collect(), ..SocketTable::default() }
}

struct Case {
    rules: Option<Rules>,
    world: World,
    sockets: Option<SocketTable>,
}

impl Case {
    fn new(ruleset: Ruleset, sockets: &[(&str, u16)]) -> Self {
        let rules = Some(Rules::new(ruleset, world()));
        Self { rules, world: world(), sockets: Some(listening(sockets)) }
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            rules: self.rules.as_ref(),
            world: &self.world,
            sockets: self.sockets.as_ref(),
            publications: &[],
            groups: &[],
        }
    }

    fn ask(&self, port: u16, source: Source) -> Reached {
        let asking = self.scene().prepare();
        asking.about(Port(port), Transport::Tcp, &[source]).unwrap().sources.remove(0)
    }

    fn answer(&self, port: u16, source: &str) -> (Answer, String) {
        let source = match source {
            "any" => Source::any(),
            "loopback" => Source::loopback(),
            prefix => Source::prefix(self::prefix(prefix)),
        };
        let reached = self.ask(port, source);
        let by = reached.groups.iter().find(|g| g.has_way()).map(|g| words(&g.by));
        (reached.answer, by.unwrap_or_default())
    }
}

fn words(by: &By) -> String {
    match by {
        By::Allowed(place) => format!("allowed {place}"),
        By::Refused { rule, .. } => format!("refused {rule}"),
        By::AnswerRefused(place) => format!("answer {place}"),
        By::NoListener(bound) => format!("nobody {}", bound.len()),
        other => format!("{other:?}"),
    }
}

fn allowing(rules: Vec<Rule>) -> Ruleset {
    let input = filter(Hook::Input, ChainPolicy::Drop, rules);
    Ruleset { tables: vec![table(Family::Inet, "t", vec![input])], notes: Vec::new() }
}

#[test]
fn without_rules_a_wildcard_socket_is_reached_by_anyone_and_one_on_loopback_from_here() {
    let case = Case::new(Ruleset::default(), &[("0.0.0.0", 22), ("127.0.0.1", 5432)]);
    assert_eq!(case.answer(22, "any").0, Answer::Yes, "IPv6 has no listener to be kept from");
    assert_eq!(case.answer(22, "192.0.2.1"), (Answer::Yes, "Unfiltered".into()));
    assert_eq!(case.answer(22, "2001:db8::9"), (Answer::No, "nobody 1".into()));
    assert_eq!(case.answer(5432, "any"), (Answer::No, "nobody 1".into()));
    assert_eq!(case.answer(5432, "loopback").0, Answer::Yes);
    assert_eq!(case.answer(9, "any"), (Answer::No, "nobody 0".into()));
}

#[test]
fn who_is_let_in_is_told_by_networks() {
    let office =
        [is(Field::NetworkProtocol, SetRef::number(2)), is(Field::Source4, network("10.0.0.0/8"))];
    let rules =
        vec![rule("accept", office.into_iter().chain(tcp(22)).chain(ends(Verdict::Accept)))];
    let case = Case::new(allowing(rules), &[("::", 22)]);
    let reached = case.ask(22, Source::any());
    assert_eq!(reached.answer, Answer::Depends);
    let yes: Vec<_> = reached.groups.iter().filter(|g| g.answer == Answer::Yes).collect();
    let senders = yes.iter().fold(Addresses::NONE, |all, g| all.with(&g.senders));
    assert_eq!(senders, Addresses::of([prefix("10.0.0.0/8")]));
    assert_eq!(
        case.answer(22, "10.9.9.9"),
        (Answer::Yes, "allowed inet t input rule 1: accept".into())
    );
    assert_eq!(
        case.answer(22, "8.8.8.8"),
        (Answer::No, "refused inet t input: policy drop".into())
    );
    let here = case.ask(22, Source::loopback());
    assert!(here.groups.iter().all(|group| (group.answer == Answer::Yes) != group.is_v6));
    assert_eq!(here.groups[0].to, Some(ip("10.0.0.5")), "from 127.0.0.1 it is refused");
}

#[test]
fn a_published_port_goes_around_the_input_path_and_both_rules_are_told() {
    let case = Case::new(docker(), &[("0.0.0.0", 8080)]);
    let reached = case.ask(8080, Source::prefix(prefix("192.0.2.9")));
    assert_eq!(reached.answer, Answer::Yes);
    let group = &reached.groups[0];
    assert!(
        matches!(&group.by, By::Allowed(place) if place.chain.as_ref() == "forward"),
        "{group:?}"
    );
    let around = group.around.as_ref().unwrap();
    assert_eq!((&*around.rule.text, around.kind), ("tcp dport 8080 drop", AroundKind::Docker));
    let translated = group.translated.as_ref().unwrap();
    assert_eq!(translated.to, Endpoint::new(ip("172.17.0.2"), Port(80)));
    let Some(Taker::Behind { interface, .. }) = &group.taker else { panic!("{group:?}") };
    assert_eq!(interface.as_deref(), Some("docker0"));
    let reach = PortReach { port: Port(8080), transport: Transport::Tcp, sources: vec![reached] };
    let fixes = fixes(&reach, case.rules.as_ref().unwrap());
    assert!(
        matches!(
            fixes[..],
            [
                Fix::PublishOnLoopback { .. },
                Fix::Forward { .. },
                Fix::DockerUser { .. },
                Fix::BeforeTranslation { .. }
            ]
        ),
        "{fixes:?}"
    );
}

#[test]
fn containers_come_to_the_published_port_by_the_input_path() {
    let case = Case::new(docker(), &[("0.0.0.0", 8080)]);
    let (answer, by) = case.answer(8080, "172.17.0.9");
    assert_eq!((answer, &*by), (Answer::No, "refused ip filter input rule 2: tcp dport 8080 drop"));
}

#[test]
fn ipv6_is_answered_apart() {
    let case = Case::new(docker(), &[("0.0.0.0", 8080), ("::", 8080)]);
    let (answer, by) = case.answer(8080, "2001:db8::77");
    assert_eq!((answer, &*by), (Answer::Yes, "Unfiltered"), "these rules are of IPv4");
}

#[test]
fn a_port_that_only_rules_know_is_found_and_leads_to_the_one_inside() {
    let case = Case::new(docker(), &[]);
    let asking = case.scene().prepare();
    assert_eq!(asking.translated_ports(), [(Port(8080), Transport::Tcp)]);
    assert_eq!(asking.leading_to(Port(80), Transport::Tcp), [Port(8080)]);
    assert_eq!(asking.leading_to(Port(81), Transport::Tcp), []);
}

#[test]
fn saved_rules_without_addresses_answer_too() {
    let rules = Some(Rules::new(docker(), World::default()));
    let case = Case { rules, world: World::default(), sockets: None };
    let reached = case.ask(8080, Source::internet());
    let group = reached.groups.iter().find(|g| g.answer == Answer::Yes).expect("reachable");
    assert_eq!(group.around.as_ref().map(|a| &*a.rule.text), Some("tcp dport 8080 drop"));
    let asking = case.scene().prepare();
    assert_eq!(asking.leading_to(Port(80), Transport::Tcp), [Port(8080)]);
}

#[test]
fn an_answer_that_is_dropped_is_no_connection() {
    let mut ruleset = Ruleset::default();
    let output = filter(Hook::Output, ChainPolicy::Drop, Vec::new());
    ruleset.tables.push(table(Family::Inet, "t", vec![output]));
    let case = Case::new(ruleset, &[("0.0.0.0", 22)]);
    assert_eq!(
        case.answer(22, "192.0.2.1"),
        (Answer::No, "answer inet t output: policy drop".into())
    );
}

#[test]
fn without_rules_to_look_at_nothing_is_called_reachable() {
    let sockets = Some(listening(&[("0.0.0.0", 22), ("127.0.0.1", 25)]));
    let case = Case { rules: None, world: world(), sockets };
    assert_eq!(case.answer(22, "192.0.2.1").0, Answer::Unknown);
    assert_eq!(case.answer(25, "192.0.2.1").0, Answer::No);
}

#[test]
fn senders_that_no_route_leads_to_do_not_change_the_answer() {
    let mut case = Case::new(Ruleset::default(), &[("0.0.0.0", 22)]);
    case.world.routes.retain(|route| route.destination.length() > 0);
    case.rules = Some(Rules::new(Ruleset::default(), case.world.clone()));
    let reached = case.ask(22, Source::any());
    assert!(reached.groups.iter().any(|group| group.by == By::NoRoute));
    let (v4, _) = (reached.groups.iter().filter(|g| !g.is_v6 && g.has_way()), ());
    assert!(v4.clone().count() > 0 && v4.into_iter().all(|g| g.answer == Answer::Yes));
    assert_eq!(case.answer(22, "8.8.8.8").0, Answer::No);
}

#[test]
fn a_socket_bound_to_a_device_takes_only_what_comes_by_it() {
    let mut case = Case::new(Ruleset::default(), &[("0.0.0.0", 22)]);
    let table = case.sockets.as_mut().unwrap();
    table.sockets[0].socket.device = Some(Arc::from("docker0"));
    assert_eq!(case.answer(22, "192.0.2.1").0, Answer::No);
    assert_eq!(case.answer(22, "172.17.0.9").0, Answer::Yes);
}

/// A machine at the Internet, with two private networks behind it.
fn router() -> World {
    let mut world = world();
    world.addresses.push(own("wan0", "198.51.100.2", "198.51.100.0/24"));
    world.addresses.push(own("lan1", "10.1.0.1", "10.1.0.0/24"));
    world.addresses.push(own("lan1", "fd10::1", "fd10::/64"));
    world.routes.retain(|route| route.destination.length() > 0);
    for to in ["0.0.0.0/0", "::/0"] {
        let wan: Box<str> = "wan0".into();
        let (destination, kind) = (prefix(to), RouteKind::Unicast);
        world.routes.push(Route { destination, interface: wan, kind, metric: 0 });
    }
    world.interfaces.extend(
        ["wan0", "lan1"].map(|name| Interface { name: name.into(), ..Interface::default() }),
    );
    world
}

impl Case {
    fn at(world: World, ruleset: Ruleset, sockets: &[(&str, u16)]) -> Self {
        let rules = Some(Rules::new(ruleset, world.clone()));
        Self { rules, world, sockets: Some(listening(sockets)) }
    }
}

#[test]
fn a_private_address_is_reached_by_private_networks_that_are_routed_to_it() {
    let sockets = [("10.1.0.1", 8000), ("fd10::1", 7007)];
    let case = Case::at(router(), Ruleset::default(), &sockets);
    for (port, from) in [(8000, "172.20.5.9"), (7007, "fd77::9")] {
        let reached = case.ask(port, Source::prefix(prefix(from)));
        assert_eq!(reached.answer, Answer::Yes, "{from}");
        assert!(reached.groups[0].depends_on[0].starts_with("whether others route"));
    }
    assert_eq!(case.answer(8000, "198.51.100.9").0, Answer::Yes, "a neighbour");
    let internet = case.ask(8000, Source::prefix(prefix("8.8.8.8")));
    assert_eq!(internet.answer, Answer::Depends, "only where a router in front translates");
    assert!(internet.groups[0].needs_router, "{internet:#?}");
    assert_eq!(case.ask(8000, Source::interface("wan0")).answer, Answer::Yes, "whatever comes");
}

#[test]
fn a_socket_of_loopback_is_reached_by_neighbours_where_the_setting_lets_them() {
    let mut world = router();
    world.interfaces.iter_mut().for_each(|i| i.route_localnet = Some(&*i.name == "lan1"));
    let case = Case::at(world, Ruleset::default(), &[("127.0.0.1", 7100)]);
    world = router();
    world.routes.push(Route {
        destination: prefix("10.1.0.0/24"),
        interface: "lan1".into(),
        kind: RouteKind::Unicast,
        metric: 0,
    });
    let case = Case { world: World { routes: world.routes, ..case.world }, ..case };
    let rules = Some(Rules::new(Ruleset::default(), case.world.clone()));
    let case = Case { rules, ..case };
    let reached = case.ask(7100, Source::prefix(prefix("10.1.0.7")));
    assert_eq!(reached.answer, Answer::Yes);
    assert!(reached.groups[0].depends_on[0].starts_with("route_localnet"));
    let reach = PortReach { port: Port(7100), transport: Transport::Tcp, sources: vec![reached] };
    let fixes = fixes(&reach, case.rules.as_ref().unwrap());
    assert!(matches!(&fixes[..], [Fix::KeepLoopback { interface }] if &**interface == "lan1"));
    assert_eq!(case.answer(7100, "198.51.100.9").0, Answer::No);
    assert_eq!(case.answer(7100, "172.20.5.9").0, Answer::No);
}

#[test]
fn what_rules_send_on_from_this_machine_is_told_though_loopback_is_left_out() {
    let mut ruleset = docker();
    let not_loopback = is_not(Field::Destination4, network("127.0.0.0/8"));
    let publish =
        rule("dnat", [not_loopback].into_iter().chain(tcp(8080)).chain(dnat("172.17.0.2", 80)));
    let output = base("OUTPUT", ChainKind::Nat, Hook::Output, ChainPolicy::Accept, vec![publish]);
    ruleset.tables[0].chains.push(output);
    let case = Case::new(ruleset, &[]);
    assert_eq!(case.ask(8080, Source::loopback()).answer, Answer::Yes);
    assert_eq!(case.ask(8080, Source::prefix(prefix("10.0.0.5"))).answer, Answer::Yes);
}

#[test]
fn a_translation_of_our_own_table_goes_around_nothing() {
    let mut ruleset = docker();
    let case = Case::new(ruleset.clone(), &[]);
    assert!(case.ask(8080, Source::any()).groups[0].around.is_some());
    ruleset.tables[0].family = Family::Inet;
    ruleset.tables[0].name = "portolan".into();
    let group = Case::new(ruleset, &[]).ask(8080, Source::any()).groups.remove(0);
    assert!(group.answer == Answer::Yes && group.is_by_our_own_table());
    assert_eq!(group.around, None);
}

#[test]
fn an_answer_that_a_rule_of_policy_routing_refuses_goes_nowhere() {
    let mut world = router();
    let main = RuleAction::Lookup(MAIN);
    world.policy = vec![
        RoutingRule {
            source: prefix("10.1.0.1"),
            action: RuleAction::Refuses,
            ..RoutingRule::everything(false)
        },
        RoutingRule { priority: 9, action: main, ..RoutingRule::everything(false) },
    ];
    let case = Case::at(world, Ruleset::default(), &[("10.1.0.1", 8000), ("198.51.100.2", 8001)]);
    assert_eq!(case.answer(8000, "198.51.100.9").0, Answer::No);
    assert_eq!(case.answer(8001, "198.51.100.9").0, Answer::Yes);
}

#[test]
fn an_address_that_a_route_makes_local_is_reached() {
    let mut world = router();
    let sockets = [("10.66.3.3", 9000), ("10.67.0.1", 9001)];
    world.local_networks.push(prefix("10.66.0.0/16"));
    let case = Case::at(world, Ruleset::default(), &sockets);
    assert_eq!(case.answer(9000, "198.51.100.9").0, Answer::Yes);
    assert_eq!(case.answer(9001, "198.51.100.9").0, Answer::No, "bound, but of nobody here");
}

#[test]
fn a_datagram_to_everybody_comes_past_a_rule_about_an_address() {
    let own = [is(Field::Destination4, network("10.0.0.5"))];
    let deny = rule("drop", own.into_iter().chain(ends(Verdict::Drop)));
    let input = filter(Hook::Input, ChainPolicy::Accept, vec![deny]);
    let ruleset =
        Ruleset { tables: vec![table(Family::Inet, "t", vec![input])], notes: Vec::new() };
    let mut case = Case::new(ruleset, &[("0.0.0.0", 86)]);
    case.world.addresses.retain(|own| &*own.interface != "docker0");
    case.rules = case.rules.map(|rules| Rules::new(rules.ruleset, case.world.clone()));
    let ask = |case: &Case, transport, from: &str| {
        let asking = case.scene().prepare();
        let source = Source::prefix(prefix(from));
        asking.about(Port(86), transport, &[source]).unwrap().sources.remove(0)
    };
    assert_eq!(ask(&case, Transport::Tcp, "10.0.0.9").answer, Answer::No);
    case.sockets.as_mut().unwrap().sockets[0].socket.transport = SocketTransport::Udp;
    let reached = ask(&case, Transport::Udp, "10.0.0.9");
    assert_eq!(reached.answer, Answer::Yes, "{reached:#?}");
    assert_eq!(reached.groups[0].to, Some(ip("10.0.0.255")));
    assert_eq!(ask(&case, Transport::Udp, "192.0.2.9").answer, Answer::No);
}
