//! What flows need, the table made of it, and that nothing observed is lost.

use super::*;
use crate::firewall::flow::csv::Reader;
use crate::firewall::{
    Base, Chain, ChainKind, ChainPolicy, Expression, Family, Field, Match, Origin, Rule, SetRef,
    Span, Table, Test,
};

fn accept(field: Field, low: u128, high: u128) -> Rule {
    let test = Test::In(SetRef::span(Span::Numbers { low, high }));
    let holds = Statement::Match(Match { left: Expression::Field(field), test });
    Rule { statements: vec![holds, Statement::Verdict(Verdict::Accept)], ..Rule::default() }
}

/// Ports 22 and 80 for everybody, the rest for nobody.
fn old() -> Ruleset {
    let port = Field::DestinationPort;
    let base = Base {
        kind: ChainKind::Filter,
        hook: Hook::Input,
        priority: 0,
        sequence: 0,
        policy: ChainPolicy::Drop,
        devices: Vec::new(),
    };
    let rules = vec![accept(port, 22, 22), accept(port, 80, 80), accept(port, 8000, 9000)];
    let chain = Chain { name: "input".into(), base: Some(base), rules };
    let table = Table {
        family: Family::Inet,
        name: "filter".into(),
        origin: Origin::Nft,
        is_dormant: false,
        chains: vec![chain],
        sets: Vec::new(),
    };
    Ruleset { tables: vec![table], notes: Vec::new() }
}

fn tally(text: &str) -> Tally {
    let mut reader = Reader::default();
    let mut tally = Tally::of(&old());
    text.lines().for_each(|line| tally.push(reader.line(line).unwrap().unwrap()));
    tally
}

const FLOWS: &str = "tcp,192.0.2.1,40000,10.0.0.1,22,eth0
tcp,192.0.2.1,40001,10.0.0.1,22,eth0
tcp,192.0.2.2,40000,10.0.0.1,22,eth0
tcp,198.51.100.9,40000,10.0.0.1,80,eth0
tcp,2001:db8::7,40000,2001:db8::1,80,eth0
tcp,198.51.100.9,40000,10.0.0.1,5432,eth0";

#[test]
fn what_only_its_source_port_lets_in_is_needed_too() {
    let mut old = old();
    let mut lease = accept(Field::DestinationPort, 68, 68);
    let mut from_server = accept(Field::SourcePort, 67, 67);
    lease.statements.splice(..0, from_server.statements.drain(..1));
    old.tables[0].chains[0].rules.push(lease);
    let mut tally = Tally::of(&old);
    let mut reader = Reader::default();
    for from in [67, 40_000, 50_000] {
        let line = format!("udp,10.9.0.254,{from},10.9.0.1,68,eth0");
        tally.push(reader.line(&line).unwrap().unwrap());
    }
    assert_eq!(tally.len(), 2, "of the others, one stands for all");
    let found = observe(&old, &World::default(), &tally, Way::Input, 16);
    assert_eq!(found.needs.len(), 1);
    assert_eq!((found.needs[0].flows, found.refused[0].1), (1, 2));
    let proof = prove(&old, &tightened(&old, &found.needs), &World::default(), &tally);
    assert_eq!(proof.lost, []);
}

#[test]
fn a_source_port_stands_for_those_the_rules_do_not_tell_from_it() {
    let mut rules = old();
    rules.tables[0].chains[0].rules.push(accept(Field::SourcePort, 1024, 65_535));
    let ports = SourcePorts::of(&rules);
    let stand = [0, 22, 1023, 1024, 40_000, 65_535].map(|port| ports.stands_for(port, SOURCE_PORT));
    assert_eq!(stand, [0, 0, 0, SOURCE_PORT, SOURCE_PORT, SOURCE_PORT]);
    assert_eq!(SourcePorts::of(&old()).stands_for(22, SOURCE_PORT), SOURCE_PORT);
}

fn observed(rules: &Ruleset) -> Observed {
    observe(rules, &World::default(), &tally(FLOWS), Way::Input, 16)
}

#[test]
fn what_was_observed_is_needed_and_the_rest_is_told() {
    let found = observed(&old());
    assert_eq!(found.total, 6);
    assert_eq!(found.needs.len(), 2);
    let ssh = &found.needs[0];
    assert_eq!(ssh.sources, ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()]);
    assert_eq!((ssh.flows, ssh.addresses), (3, 2));
    assert_eq!(found.refused.len(), 1);
    assert_eq!(found.refused[0].0.destination_port, 5432);
    let unused: Vec<_> = found.unused.iter().map(|id| id.rule).collect();
    assert_eq!(unused, [Some(2)]);
}

#[test]
fn every_observed_flow_passes_the_new_rules_and_its_neighbour_does_not() {
    let old = old();
    let new = tightened(&old, &observed(&old).needs);
    let (world, tally) = (World::default(), tally(FLOWS));
    let (before, after) = (Prepared::new(&old, &world), Prepared::new(&new, &world));
    for (flow, _) in tally.flows() {
        let outcome =
            |rules: &Prepared<'_>| rules.outcome(&packet(flow, &world), Way::Input, &Open);
        assert_eq!(outcome(&before), outcome(&after));
    }
    let other = Flow { source: "192.0.2.3".parse().unwrap(), ..tally.flows()[0].0.clone() };
    assert_eq!(before.outcome(&packet(&other, &world), Way::Input, &Open), Some(Outcome::Accept));
    assert_eq!(after.outcome(&packet(&other, &world), Way::Input, &Open), Some(Outcome::Drop));
}

#[test]
fn the_same_flows_against_the_new_rules_give_the_same_proposal() {
    let old = old();
    let first = observed(&old);
    let new = tightened(&old, &first.needs);
    let second = observed(&new);
    assert_eq!(second.needs, first.needs);
    assert_eq!(tightened(&new, &second.needs), new);
}

#[test]
fn the_proposal_is_written_as_a_table_of_its_own() {
    let found = observed(&old());
    insta::assert_snapshot!(guard::script(&guard::table(&found.needs, false)));
}
