//! Packets that are passed on: by the routes there are, with what rules wrote into them.

use crate::firewall::analyse::*;
use crate::firewall::iptables::Save;
use crate::firewall::simulate::{Open, Outcome, Prepared, Way};
use crate::firewall::{Family, Packet, Route, RouteKind, Ruleset, World};

fn read(text: &str) -> Ruleset {
    Save::read(text, Some(Family::Ip), None).unwrap().into_ruleset().unwrap()
}

fn forwarding(rule: &str) -> Ruleset {
    read(&format!(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A FORWARD {rule}\nCOMMIT\n"
    ))
}

/// Two networks, and no route to all others.
fn world() -> World {
    let route = |to: &str, by: &str| Route {
        destination: to.parse().unwrap(),
        interface: by.into(),
        kind: RouteKind::Unicast,
        metric: 0,
    };
    let routes = vec![route("10.99.0.0/24", "eth0"), route("10.78.0.0/24", "eth1")];
    World { routes, forwards_v4: true, ..World::default() }
}

fn searched(ruleset: &Ruleset, way: Way) -> Found {
    let world = world();
    let prepared = Prepared::new(ruleset, &world);
    let mut space = Space::new(false, &[ruleset], &world, 4_000_000);
    let packets = space.from_outside().unwrap();
    let tcp = space.protocol(6).unwrap();
    let packets = space.bdd.and(packets, tcp).unwrap();
    let asked = Search { packets, ports: Some(vec![(80, 80)]), way };
    search(&mut space, &prepared, &asked).unwrap()
}

#[test]
fn what_no_route_leads_on_is_not_asked_about_where_packets_are_passed_on() {
    let found = searched(&forwarding("-i docker0 ! -o docker0 -j ACCEPT"), Way::Forward);
    assert_eq!(found.answer, Answer::Depends);
    let found = searched(&forwarding("-j ACCEPT"), Way::Forward);
    assert_eq!(found.answer, Answer::Always);
}

#[test]
fn packets_leave_by_their_route_and_no_other() {
    let found = searched(&forwarding("-i eth0 -o eth1 -j ACCEPT"), Way::Forward);
    let [allowed] = found.allowed.as_slice() else { panic!("{:?}", found.allowed) };
    let told: Vec<String> =
        allowed.block.destinations.networks.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["10.78.0.0/24"]);
}

#[test]
fn chains_that_ask_each_other_millions_of_times_are_given_up() {
    let mut text = String::from("*filter\n:INPUT DROP [0:0]\n");
    (0..16).for_each(|at| text += &format!(":c{at} - [0:0]\n"));
    text += "-A INPUT -j c0\n";
    for at in 1..16 {
        text += &format!("-A c{} -j c{at}\n", at - 1).repeat(3);
    }
    let ruleset = read(&(text + "-A c15 -p tcp --dport 80 -j ACCEPT\nCOMMIT\n"));
    let world = World::default();
    let prepared = Prepared::new(&ruleset, &world);
    let mut space = Space::new(false, &[&ruleset], &world, 4_000_000);
    let packets = space.from_outside().unwrap();
    let asked = Search { packets, ports: Some(vec![(80, 80)]), way: Way::Input };
    let found = search(&mut space, &prepared, &asked);
    assert!(matches!(found, Err(AnalyseError::Undecided(_))), "{found:?}");
    let linted = lint(&mut [&mut space], &prepared);
    assert!(matches!(linted, Err(AnalyseError::Undecided(_))), "{linted:?}");
}

#[test]
fn a_time_to_live_that_a_rule_writes_ends_what_is_passed_on() {
    let written = |rule: &str| {
        read(&format!(
            "*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT \
             [0:0]\n:POSTROUTING ACCEPT [0:0]\n-A PREROUTING {rule}\nCOMMIT\n"
        ))
    };
    let one = written("-j TTL --ttl-set 1");
    assert_eq!(searched(&one, Way::Forward).answer, Answer::Never);
    assert_eq!(searched(&written("-j TTL --ttl-set 2"), Way::Forward).answer, Answer::Always);
    let world = world();
    let packet = Packet::new(6, [10, 99, 0, 1].into(), [10, 78, 0, 2].into());
    let walk = Prepared::new(&one, &world).walk(&packet, Way::Forward, &Open);
    assert_eq!((walk.outcome, walk.is_certain()), (Outcome::Drop, true));
    assert_eq!(searched(&one, Way::Input).answer, Answer::Always);
}
