//! One host, one peculiarity.

use super::network::{Behaviour, Bucket, SimHost};
use super::*;
use crate::scan::{Canary, Capped, Front, Note};

fn with(ports: &[(u16, Behaviour)]) -> SimHost {
    SimHost { tcp: ports.iter().copied().collect(), ..SimHost::closed() }
}

fn network(host_one: SimHost) -> Network {
    Network::new(3).with(host(1), host_one)
}

/// Both kinds of engines.
fn each(network: Network) -> [Network; 2] {
    let mut raw = Network::new(5);
    (raw.by_sockets, raw.hosts) = (false, network.hosts.clone());
    [network, raw]
}

#[test]
fn open_closed_and_rejected_ports_are_told_with_who_answered() {
    let rejected = |by_router| Behaviour::Rejected { code: 13, by_router };
    let ports = [(22, Behaviour::Open), (84, rejected(false)), (91, rejected(true))];
    for mut network in each(network(with(&ports))) {
        let told = play(plan(targets([1]), tcp([22, 81, 84, 91])), &mut network);
        assert_eq!(told.of(host(1), 22).state, PortState::Open);
        let closed = told.of(host(1), 81);
        assert_eq!((closed.state, closed.reason), (PortState::Closed, Reason::Reset));
        let (near, far) = (told.of(host(1), 84), told.of(host(1), 91));
        assert_eq!((near.state, near.from), (PortState::Filtered, Some(host(1))));
        assert_eq!((far.state, far.from), (PortState::Filtered, Some([10, 255, 255, 254].into())));
        assert_eq!(told.hosts.len(), 1);
    }
}

#[test]
fn a_dropped_port_beside_an_open_one_is_filtered_with_little_doubt() {
    let ports = [(22, Behaviour::Open), (82, Behaviour::Dropped)];
    for mut network in each(network(with(&ports))) {
        let told = play(plan(targets([1]), tcp([22, 82])), &mut network);
        let dropped = told.of(host(1), 82);
        assert_eq!((dropped.state, dropped.reason), (PortState::Filtered, Reason::NoResponse));
        assert!(dropped.tries >= 2 && dropped.miss_probability.unwrap() < 1e-3, "{dropped:?}");
        assert!(told.took < Duration::from_secs(3), "{:?}", told.took);
        assert_eq!(told.hosts[0].canary, Some(Canary::Open(Port(22))));
    }
}

#[test]
fn nothing_is_claimed_of_a_host_that_never_answers_but_silence() {
    let mut silent = with(&[]);
    (silent.others, silent.echo) = (Behaviour::Dropped, false);
    let told = play(on_link(targets([1]), tcp(1..100)), &mut network(silent));
    assert_eq!(told.count(PortState::Filtered), 99);
    assert!(told.records.values().all(|r| r.miss_probability.is_none() && r.tries >= 3));
    assert!(!told.hosts[0].answered);
}

#[test]
fn a_port_that_takes_the_second_syn_only_is_open() {
    let told = play(
        plan(targets([1]), tcp([5000])),
        &mut network(with(&[(5000, Behaviour::Hesitant(1))])),
    );
    assert_eq!(told.of(host(1), 5000).state, PortState::Open);
    assert_eq!(told.of(host(1), 5000).tries, 2);
}

#[test]
fn a_third_of_the_round_trips_lost_and_every_state_right() {
    for seed in 0..20 {
        let mut lossy = with(&[]);
        lossy.tcp = (20_000..20_100).map(|p| (p, Behaviour::Open)).collect();
        lossy.loss = (0.2, 0.2);
        lossy.echo = false;
        for mut network in each(Network::new(seed).with(host(1), lossy)) {
            let told = play(on_link(targets([1]), tcp(20_000..21_000)), &mut network);
            let counts = (told.count(PortState::Open), told.count(PortState::Closed));
            assert_eq!(counts, (100, 900), "seed {seed}");
            assert!(told.took < Duration::from_secs(5), "{:?}", told.took);
        }
    }
}

#[test]
fn a_thousand_dropped_ports_take_two_seconds() {
    let mut dropping = with(&[(7, Behaviour::Closed)]);
    dropping.others = Behaviour::Dropped;
    for mut network in each(network(dropping)) {
        let told = play(on_link(targets([1]), tcp(1..=1000)), &mut network);
        assert_eq!((told.count(PortState::Filtered), told.count(PortState::Closed)), (999, 1));
        assert!(told.took < Duration::from_secs(3), "{:?}", told.took);
        assert_eq!(told.hosts[0].canary, Some(Canary::Closed(Port(7))));
        assert!(told.records.values().all(|r| r.miss_probability.unwrap() < 1e-3));
    }
}

#[test]
fn resets_at_twenty_a_second_are_waited_for() {
    let mut capped = with(&[]);
    capped.resets = Some(Bucket::new(20.0, 5.0));
    for echo in [true, false] {
        capped.echo = echo;
        for mut network in each(network(capped.clone())) {
            let told = play(on_link(targets([1]), tcp(2000..2200)), &mut network);
            assert_eq!(told.count(PortState::Closed), 200);
            assert!(told.took < Duration::from_secs(13), "{:?}", told.took);
            let cap = told.hosts[0].caps[0];
            assert_eq!(cap.what, Capped::Reset);
            assert!((15.0..25.0).contains(&cap.per_second), "{cap:?}");
        }
    }
}

#[test]
fn twenty_closed_udp_ports_are_closed_although_the_host_says_so_once_a_second() {
    let mut linux = with(&[]);
    linux.errors = Some(Bucket::new(1.0, 6.0));
    for mut network in each(network(linux)) {
        let told = play(on_link(targets([1]), udp(7000..7020)), &mut network);
        assert_eq!(told.count(PortState::Closed), 20);
        assert!(told.took < Duration::from_secs(20), "{:?}", told.took);
        assert_eq!(told.hosts[0].caps[0].what, Capped::Icmp);
    }
}

#[test]
fn udp_ports_of_every_kind_are_told_apart() {
    let mut udp_host = with(&[]);
    udp_host.errors = Some(Bucket::new(1.0, 6.0));
    udp_host.udp = [
        (53, Behaviour::Open),
        (6000, Behaviour::Dropped),
        (6003, Behaviour::Rejected { code: 13, by_router: false }),
        (6004, Behaviour::Rejected { code: 3, by_router: true }),
        (6005, Behaviour::Elsewhere(6006)),
    ]
    .into();
    let told =
        play(plan(targets([1]), udp([53, 6000, 6001, 6003, 6004, 6005])), &mut network(udp_host));
    let of = |port: u16| {
        let record = &told.records[&(host(1), Port(port), Transport::Udp)];
        (record.state, record.reason.to_string())
    };
    assert_eq!(of(53), (PortState::Open, "udp-reply".into()));
    assert_eq!(of(6000), (PortState::OpenFiltered, "no-response".into()));
    assert_eq!(of(6001), (PortState::Closed, "icmp-3-3".into()));
    assert_eq!(of(6003), (PortState::Filtered, "icmp-3-13".into()));
    assert_eq!(of(6004), (PortState::Filtered, "icmp-3-3".into()));
    assert_eq!(of(6005), (PortState::Open, "reply-from:6006".into()));
}

#[test]
fn who_refuses_is_heard_even_when_the_errors_are_limited() {
    let mut refusing = with(&[(22, Behaviour::Open)]);
    refusing.tcp.extend((84..94).map(|p| (p, Behaviour::Rejected { code: 13, by_router: false })));
    refusing.errors = Some(Bucket::new(1.0, 6.0));
    let ports = tcp([22].into_iter().chain(84..94));
    let told = play(plan(targets([1]), ports), &mut network(refusing));
    let with_reason = told.records.values().filter(|r| matches!(r.reason, Reason::Icmp(_)));
    assert_eq!(with_reason.count(), 10);
}

#[test]
fn a_syn_proxy_is_seen_through() {
    let mut proxied = with(&[(4000, Behaviour::Open)]);
    proxied.proxy = true;
    for mut network in each(network(proxied)) {
        let told = play(plan(targets([1]), tcp(4000..4100)), &mut network);
        assert_eq!(told.count(PortState::Open), 100);
        let kept = told.records.values().filter(|r| r.verified == Some(true)).count();
        let dropped = told.records.values().filter(|r| r.verified == Some(false)).count();
        assert_eq!((kept, dropped), (1, 99));
        assert!(matches!(told.hosts[0].front, Some(Front::SynProxy { .. })), "{:?}", told.hosts);
    }
}

#[test]
fn an_outage_of_a_few_seconds_leaves_no_wrong_state() {
    let mut shaky = with(&[]);
    shaky.tcp = (1..=50).map(|p| (p, Behaviour::Open)).collect();
    shaky.outage = Some((Duration::from_millis(60), Duration::from_millis(2500)));
    for mut network in each(network(shaky)) {
        let told = play(plan(targets([1]), tcp(1..=400)), &mut network);
        assert_eq!(told.count(PortState::Filtered), 0, "{:?}", told.took);
        assert_eq!(told.count(PortState::Open), 50);
    }
}

#[test]
fn a_router_that_calls_a_rebooting_host_unreachable_is_not_believed_for_good() {
    let mut shaky = with(&[(7, Behaviour::Dropped)]);
    shaky.tcp.extend((1..=6).map(|p| (p, Behaviour::Open)));
    shaky.tcp.insert(8, Behaviour::Rejected { code: 1, by_router: true });
    shaky.outage_told = true;
    for length in [700, 2500, 6000] {
        shaky.outage = Some((Duration::from_millis(60), Duration::from_millis(60 + length)));
        for mut network in each(network(shaky.clone())) {
            let told = play(plan(targets([1]), tcp(1..=400)), &mut network);
            let counts = (told.count(PortState::Open), told.count(PortState::Closed));
            assert_eq!(counts, (6, 392), "{length} {:?}", told.took);
            assert_eq!(told.of(host(1), 7).reason, Reason::NoResponse);
            let refused = told.of(host(1), 8);
            assert_eq!(refused.reason.to_string(), "icmp-3-1");
            assert_eq!(refused.from, Some([10, 255, 255, 254].into()));
        }
    }
}

#[test]
fn a_host_whose_answers_take_seconds_is_heard_and_no_round_trip_made_up() {
    let mut far = with(&[(22, Behaviour::Open), (23, Behaviour::Dropped)]);
    far.echo = false;
    for millis in [1200, 2600] {
        far.latency = Duration::from_millis(millis);
        for mut network in each(network(far.clone())) {
            let told = play(plan(targets([1]), tcp(1..=60)), &mut network);
            let counts = (told.count(PortState::Open), told.count(PortState::Closed));
            assert_eq!(counts, (1, 58), "{millis} {:?}", told.took);
            let near = |r: &&Record| r.rtt.is_some_and(|rtt| rtt < far.latency);
            assert_eq!(told.records.values().find(near), None);
        }
    }
}

#[test]
fn a_host_that_a_router_calls_unreachable_takes_no_longer_than_a_silent_one() {
    let mut gone = with(&[(3, Behaviour::Rejected { code: 1, by_router: true })]);
    (gone.others, gone.echo) = (Behaviour::Dropped, false);
    for mut network in each(network(gone)) {
        let told = play(plan(targets([1]), tcp(1..=20)), &mut network);
        assert_eq!(told.count(PortState::Filtered), 20);
        assert_eq!(told.of(host(1), 3).reason.to_string(), "icmp-3-1");
        assert_eq!(told.of(host(1), 4).miss_probability, None);
        assert!(told.took < Duration::from_secs(4), "{:?}", told.took);
    }
}

#[test]
fn a_host_that_dies_leaves_its_ports_unknown() {
    let mut dying = with(&[]);
    dying.outage = Some((Duration::from_millis(150), Duration::from_secs(100_000)));
    let told = play(plan(targets([1]), tcp(1..=2000)), &mut network(dying));
    assert_eq!(told.count(PortState::Filtered), 0);
    assert!(told.count(PortState::Unknown) > 100, "{:?}", told.count(PortState::Unknown));
}

#[test]
fn a_way_that_carries_little_is_not_overrun() {
    let mut narrow = with(&[(1, Behaviour::Open)]);
    narrow.capacity = Some(Bucket::new(5000.0, 50.0));
    for mut network in each(network(narrow)) {
        let told = play(plan(targets([1]), tcp(1..=20_000)), &mut network);
        assert_eq!((told.count(PortState::Open), told.count(PortState::Closed)), (1, 19_999));
        assert!(told.took < Duration::from_secs(30), "{:?}", told.took);
    }
}

#[test]
fn a_machine_without_room_is_only_slower() {
    let mut network = network(with(&[(9, Behaviour::Open)]));
    network.room = Some(Bucket::new(2000.0, 16.0));
    let told = play(on_link(targets([1]), tcp(1..=2000)), &mut network);
    assert_eq!((told.count(PortState::Open), told.count(PortState::Closed)), (1, 1999));
    assert!(
        told.hosts[0].local_errors.iter().any(|(e, n)| *e == LocalError::Descriptors && *n > 0)
    );
}

#[test]
fn a_nearer_reset_is_noted() {
    let mut network = network(with(&[(22, Behaviour::Open)]));
    network.by_sockets = false;
    let told = play(plan(targets([1]), tcp([22, 93])), &mut network);
    assert_eq!(told.of(host(1), 93).note, None::<Note>);
}

#[test]
fn sixty_five_thousand_dropped_ports_with_a_few_answering_take_two_passes() {
    let mut dropping =
        with(&[(22, Behaviour::Open), (80, Behaviour::Open), (443, Behaviour::Open)]);
    dropping.others = Behaviour::Dropped;
    dropping.latency = Duration::from_micros(100);
    for mut network in each(network(dropping)) {
        let told = play(on_link(targets([1]), tcp(1..=65_535)), &mut network);
        assert_eq!((told.count(PortState::Open), told.count(PortState::Filtered)), (3, 65_532));
        assert!(told.took < Duration::from_millis(2200), "{:?}", told.took);
        assert!(told.probes < 2 * 65_535 + 3000, "{}", told.probes);
    }
}

#[test]
fn a_budget_ends_a_scan_with_what_is_known() {
    let mut linux = with(&[]);
    linux.errors = Some(Bucket::new(1.0, 6.0));
    let mut plan = on_link(targets([1]), udp(1..=500));
    plan.pace.budget = Some(Duration::from_secs(10));
    let told = play(plan, &mut network(linux));
    assert_eq!(told.records.len(), 500);
    assert!((12..20).contains(&told.count(PortState::Closed)));
    assert_eq!(told.count(PortState::Closed) + told.count(PortState::Unknown), 500);
    assert!(told.took < Duration::from_secs(11), "{:?}", told.took);
}

#[test]
fn a_resumed_scan_asks_only_what_was_not_told() {
    let make = || {
        let mut network = Network::new(1);
        for number in 1..=14 {
            network.hosts.insert(host(number), with(&[(80, Behaviour::Open)]));
        }
        network
    };
    let whole = plan(targets(1..=14), tcp(1..=200));
    let mut seen = 0;
    let first = play_until(Scan::new(whole.clone()), &mut make(), |scan, now| {
        seen = scan.progress(now).decided;
        seen > 1000
    });
    let mut rest = whole.clone();
    first.records.values().for_each(|r| rest.done.insert(r.position, r.position + 1));
    let second = play(rest, &mut make());
    assert!(!first.records.is_empty() && first.records.len() < 2800);
    assert_eq!(first.records.len() + second.records.len(), 14 * 200);
    assert!(first.records.keys().all(|key| !second.records.contains_key(key)));
}

#[test]
fn many_hosts_with_one_port_are_told_each() {
    let mut network = Network::new(2);
    for number in [3, 77, 200] {
        network.hosts.insert(host(number), with(&[(443, Behaviour::Open)]));
    }
    let told = play(plan(targets(0..=255), tcp([443])), &mut network);
    assert_eq!(told.count(PortState::Open), 3);
    assert_eq!(told.count(PortState::Filtered), 253);
    assert_eq!(told.hosts.len(), 256);
    assert_eq!(told.hosts.iter().filter(|h| h.answered).count(), 3);
}

#[test]
fn beside_a_refused_port_a_dropped_one_is_filtered_although_the_errors_are_used_up() {
    let refused = Behaviour::Rejected { code: 13, by_router: false };
    let mut host_one = with(&[(8001, Behaviour::Dropped), (8002, refused)]);
    host_one.echo = false;
    for burst in [1.0, 6.0] {
        host_one.errors = Some(Bucket::new(1.0, burst));
        for mut network in each(network(host_one.clone())) {
            let told = play(on_link(targets([1]), tcp([8001, 8002])), &mut network);
            let dropped = told.of(host(1), 8001);
            assert_eq!(dropped.state, PortState::Filtered, "{dropped:?}");
            assert!(dropped.miss_probability.unwrap() <= 0.01, "{dropped:?}");
            assert!(told.took < Duration::from_secs(25), "{:?}", told.took);
        }
    }
}

#[test]
fn a_router_that_refuses_for_several_hosts_is_heard_for_each() {
    let errors = Some(Bucket::new(1.0, 1.0));
    let mut refused = with(&[]);
    (refused.others, refused.echo) = (Behaviour::Rejected { code: 13, by_router: true }, false);
    let mut network = Network::new(4);
    (1..=4).for_each(|n| drop(network.hosts.insert(host(n), refused.clone())));
    network.shared_errors = errors;
    let told = play(plan(targets(1..=4), tcp([80])), &mut network);
    let heard = told.records.values().filter(|r| matches!(r.reason, Reason::Icmp(_)));
    assert_eq!(heard.count(), 4, "{:?}", told.records);
}
