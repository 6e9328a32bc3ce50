//! Verdicts from cases, and names from what was said of them.

use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::net::{Endpoint, Port, Transport};
use crate::scan::{Icmp, LocalError, PortState, Question, Reason, Reply};
use crate::wire::dns::{RecordKind, ResponseCode};
use crate::wire::route::{NoRoute, Route, RouteKind};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn case(outcome: Outcome) -> Case<'static> {
    Case {
        endpoint: Endpoint::new(ip("10.78.0.2"), Port(94)),
        transport: Transport::Tcp,
        outcome,
        here: None,
        way: None,
        canaries: &[],
        path: None,
        working: None,
        hold: None,
        has_greeted: false,
        pair: None,
        refused_by: None,
        siblings: &[],
    }
}

fn said(reply: Reply, from: &str) -> Outcome {
    let target = Endpoint::new(ip("10.78.0.2"), Port(94));
    Outcome::of_answer(Transport::Tcp, target, reply, ip(from))
}

fn hop(number: u8, from: Option<&str>, answer: HopAnswer) -> Hop {
    let rtt = from.map(|_| Duration::from_millis(1));
    Hop { number, answer, from: from.map(ip), rtt }
}

fn way(gateway: Option<&str>) -> Way {
    let route = Route {
        kind: RouteKind::Unicast,
        interface: Some(2),
        gateway: gateway.map(ip),
        source: None,
        mtu: None,
    };
    Way { route: Ok(route), interface: None, neighbour: None }
}

const SILENCE: Outcome = Outcome::of_silence(Transport::Tcp);

#[test]
fn silence_lies_between_the_last_hop_that_answers_and_the_next_that_others_reach() {
    let router = |number, from| hop(number, Some(from), HopAnswer::Router);
    let silent = Path { hops: vec![router(1, "10.77.0.254"), hop(2, None, HopAnswer::Silence)] };
    let working = Path {
        hops: vec![router(1, "10.77.0.254"), hop(2, Some("10.78.0.2"), HopAnswer::Arrived)],
    };
    let (verdict, next) =
        judge(&Case { path: Some(&silent), working: Some(&working), ..case(SILENCE) });
    let Verdict::Dropped { between, is_silent_from_start, .. } = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(between.after.unwrap().from, Some(ip("10.77.0.254")));
    assert_eq!(between.next.unwrap().from, Some(ip("10.78.0.2")));
    assert!(!is_silent_from_start);
    let router = Next::RulesOf { address: ip("10.77.0.254"), is_router: true };
    assert_eq!(next.first(), Some(&router));
}

#[test]
fn what_is_silent_from_the_start_may_be_dropped_by_ourselves() {
    let silent = Path { hops: vec![hop(1, None, HopAnswer::Silence)] };
    let (_, next) = judge(&Case { path: Some(&silent), ..case(SILENCE) });
    assert_eq!(next.first(), Some(&Next::OutputRules));
}

#[test]
fn on_the_same_link_only_the_host_can_drop() {
    let way = way(None);
    let (verdict, _) = judge(&Case { way: Some(&way), ..case(SILENCE) });
    assert!(matches!(verdict, Verdict::Dropped { is_on_link: true, .. }), "{verdict:?}");
}

#[test]
fn a_router_that_answers_at_several_distances_is_a_circle() {
    let routers = ["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2", "10.0.0.1"];
    let hops = routers.iter().zip(1..).map(|(r, n)| hop(n, Some(r), HopAnswer::Router)).collect();
    let path = Path { hops };
    let (verdict, _) = judge(&Case { path: Some(&path), ..case(SILENCE) });
    assert_eq!(verdict, Verdict::Loop { by: ip("10.0.0.1") });
}

#[test]
fn an_icmp_error_is_a_rule_or_a_missing_way_by_its_code() {
    let icmp = |code| Reply::Unreachable(Icmp { v6: false, kind: 3, code });
    for (code, is_rule) in [(0, false), (1, false), (2, true), (3, true), (9, true), (13, true)] {
        let rtt = Some(Duration::from_millis(1));
        let outcome = Outcome { rtt, ..said(icmp(code), "10.77.0.254") };
        let (verdict, next) = judge(&case(outcome));
        let found = matches!(verdict, Verdict::Forbidden { is_host: false, .. });
        assert_eq!(found, is_rule, "{code}: {verdict:?}");
        assert_eq!(next.len(), 1);
    }
}

#[test]
fn a_router_that_says_so_after_seconds_has_looked_for_the_host() {
    let reply = Reply::Unreachable(Icmp { v6: false, kind: 3, code: 1 });
    for (millis, is_gone) in [(Some(3_050), true), (None, true), (Some(20), false)] {
        let rtt = millis.map(Duration::from_millis);
        let (verdict, next) = judge(&case(Outcome { rtt, ..said(reply, "10.77.0.254") }));
        assert_eq!(matches!(verdict, Verdict::HostGone { .. }), is_gone, "{verdict:?}");
        assert_eq!(next.first() == Some(&Next::IsItUp(ip("10.78.0.2"))), is_gone);
    }
}

#[test]
fn silence_of_our_own_udp_is_told_by_who_has_the_port() {
    let silent = Case { transport: Transport::Udp, ..case(Outcome::of_silence(Transport::Udp)) };
    for (here, expected) in [
        (Here::Answers(0), Verdict::SilentHere),
        (Here::Nothing, Verdict::DroppedBeforeSocket),
        (Here::LoopbackOnly(0), Verdict::DroppedBeforeSocket),
    ] {
        assert_eq!(judge(&Case { here: Some(here), ..silent.clone() }).0, expected);
    }
}

#[test]
fn only_the_host_itself_closes_a_udp_port() {
    let target = Endpoint::new(ip("10.78.0.2"), Port(94));
    let reply = Reply::Unreachable(Icmp { v6: false, kind: 3, code: 3 });
    let of = |transport, from| Outcome::of_answer(transport, target, reply, ip(from)).state;
    assert_eq!(of(Transport::Udp, "10.78.0.2"), PortState::Closed);
    assert_eq!(of(Transport::Udp, "10.77.0.254"), PortState::Filtered);
    assert_eq!(of(Transport::Tcp, "10.78.0.2"), PortState::Filtered);
}

#[test]
fn a_refusal_here_is_told_by_who_comes_near() {
    let refused = said(Reply::Reset, "10.78.0.2");
    for (here, expected) in [
        (Here::Nothing, Verdict::NothingHere),
        (Here::LoopbackOnly(0), Verdict::BoundElsewhere(Bound::Loopback)),
        (Here::OtherFamily(0), Verdict::BoundElsewhere(Bound::OtherFamily)),
        (Here::Answers(0), Verdict::RefusedBeforeSocket),
    ] {
        assert_eq!(judge(&Case { here: Some(here), ..case(refused) }).0, expected);
    }
}

#[test]
fn a_refusal_from_nearer_than_the_host_is_a_routers() {
    let by = hop(1, Some("10.77.0.254"), HopAnswer::Router);
    let refused = said(Reply::Reset, "10.78.0.2");
    let (verdict, next) = judge(&Case { refused_by: Some(by), ..case(refused) });
    assert_eq!(verdict, Verdict::RefusedOnTheWay { by });
    assert_eq!(next, [Next::RulesOf { address: ip("10.77.0.254"), is_router: true }]);
}

#[test]
fn a_refusal_beside_an_open_address_of_the_other_family_says_so() {
    let siblings = [(ip("fd78::2"), PortState::Open)];
    let refused = said(Reply::Reset, "10.78.0.2");
    let (verdict, _) = judge(&Case { siblings: &siblings, ..case(refused) });
    assert_eq!(verdict, Verdict::OtherFamily { open: ip("fd78::2") });
}

#[test]
fn what_ends_at_once_is_open_only_if_it_said_something() {
    let open = said(Reply::SynAck, "10.78.0.2");
    let hold = Some(Hold::Closed { after: Duration::ZERO });
    let (verdict, _) = judge(&Case { hold, ..case(open) });
    assert!(matches!(verdict, Verdict::EndedAfterAccept { by_reset: false, .. }), "{verdict:?}");
    let (verdict, _) = judge(&Case { hold, has_greeted: true, ..case(open) });
    assert_eq!(verdict, Verdict::Open);
}

#[test]
fn a_failure_of_our_own_is_explained_by_the_route_where_that_is_why() {
    let failed = Outcome::of_failure(LocalError::NotPermitted);
    assert_eq!(judge(&case(failed)).0, Verdict::NotPermitted);
    let way = Way { route: Err(NoRoute::Prohibit), interface: None, neighbour: None };
    let (verdict, _) = judge(&Case { way: Some(&way), ..case(failed) });
    assert_eq!(verdict, Verdict::NoRoute(NoRoute::Prohibit));
}

#[test]
fn a_silent_udp_port_of_a_host_that_closes_others_is_told_apart() {
    let udp = Case { transport: Transport::Udp, ..case(Outcome::of_silence(Transport::Udp)) };
    let closed = Reply::Unreachable(Icmp { v6: false, kind: 3, code: 3 });
    let canary = |question, reply| CanaryAnswer { question, reply, rtt: None };
    for (reply, expected) in [(Some(closed), true), (None, false)] {
        let canaries = [
            canary(Question::Tcp(Port(22)), Some(Reply::Reset)),
            canary(Question::Udp(Port(33434)), reply),
        ];
        let (verdict, _) = judge(&Case { canaries: &canaries, ..udp.clone() });
        let Verdict::UdpSilent { others_closed, answers, .. } = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!((others_closed, answers), (expected, Some(Question::Tcp(Port(22)))));
    }
}

#[test]
fn who_is_not_on_the_link_is_named_the_router_too() {
    let outcome = Outcome { reason: Reason::NoNeighbour, ..SILENCE };
    let by_router = way(Some("10.77.0.254"));
    let (verdict, next) = judge(&Case { way: Some(&by_router), ..case(outcome) });
    let router = ip("10.77.0.254");
    assert_eq!(verdict, Verdict::NoNeighbour { address: router, is_gateway: true });
    assert_eq!(next, [Next::IsItUp(router)]);
}

fn lookup(kind: RecordKind, outcome: LookupOutcome) -> Lookup {
    let source = LookupSource::Dns("10.0.0.53:53".parse().unwrap());
    let took = Duration::from_millis(1);
    Lookup { asked: "db.test".into(), kind: Some(kind), source, outcome, took }
}

#[test]
fn a_server_that_fails_is_the_reason_before_one_that_knows_no_such_name() {
    let with = |outcomes: [LookupOutcome; 2]| {
        let lookups = outcomes.into_iter().zip(RecordKind::BOTH).map(|(o, k)| lookup(k, o));
        let name = "db".to_owned();
        Resolution { name, lookups: lookups.collect(), addresses: Vec::new() }.failure().unwrap()
    };
    let server = "10.0.0.53:53".parse().unwrap();
    let failed = LookupOutcome::Failed(ResponseCode::ServerFailure);
    assert_eq!(
        with([failed, LookupOutcome::NoSuchName]),
        NameFailure::ServerFailed { server, code: ResponseCode::ServerFailure }
    );
    assert_eq!(
        with([LookupOutcome::NoSuchName, LookupOutcome::NoSuchName]),
        NameFailure::NoSuchName { server: Some(server) }
    );
    assert_eq!(
        with([LookupOutcome::NoAddress, LookupOutcome::NoSuchName]),
        NameFailure::NoAddress { server: Some(server) }
    );
}

#[test]
fn a_family_without_an_address_is_noticed_where_the_other_has_one() {
    let found = vec![ip("10.0.0.5")];
    let addresses = found.clone();
    let lookups = vec![
        lookup(RecordKind::A, LookupOutcome::Addresses { found, alias: None }),
        lookup(RecordKind::Aaaa, LookupOutcome::NoAddress),
    ];
    let resolution = Resolution { name: "db".into(), lookups, addresses };
    assert_eq!((resolution.failure(), resolution.lacks()), (None, Some(RecordKind::Aaaa)));
}
