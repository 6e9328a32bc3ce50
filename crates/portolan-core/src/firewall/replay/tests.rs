//! A replayed flow fares as a simulated packet.

use super::*;
use crate::firewall::flow::binary::{Header, RECORD4, Writer};
use crate::firewall::flow::csv::Reader;
use crate::firewall::simulate::{Open, Outcome};
use crate::firewall::tighten::packet;
use crate::firewall::{
    Base, Chain, ChainKind, ChainPolicy, Condition, Expression, Family, Field, Hook, Match, Origin,
    Rule, SetRef, Span, Statement, Table, Test, Verdict,
};

fn holds(field: Field, low: u128, high: u128) -> Statement {
    let test = Test::In(SetRef::span(Span::Numbers { low, high }));
    Statement::Match(Match { left: Expression::Field(field), test })
}

fn by(name: &str) -> Statement {
    let span = Span::Names { text: name.into(), is_prefix: false };
    Statement::Match(Match {
        left: Expression::Field(Field::InterfaceIn),
        test: Test::In(SetRef::span(span)),
    })
}

fn accept(mut statements: Vec<Statement>) -> Rule {
    statements.push(Statement::Verdict(Verdict::Accept));
    Rule { statements, ..Rule::default() }
}

/// Ssh from 192.0.2.0/24 by eth0; web for everybody; 8000 within a limit; pings; nothing else.
fn rules() -> Ruleset {
    let tcp = || holds(Field::Protocol, 6, 6);
    let limit = Condition {
        text: "limit rate 1/second".into(),
        is_negated: false,
        is_own: true,
        presumed: Some(true),
    };
    let office = u128::from(u32::from(std::net::Ipv4Addr::new(192, 0, 2, 0)));
    let port = |number| holds(Field::DestinationPort, number, number);
    let rules = vec![
        accept(vec![by("eth0"), holds(Field::Source4, office, office + 255), tcp(), port(22)]),
        accept(vec![tcp(), holds(Field::DestinationPort, 80, 443)]),
        accept(vec![tcp(), port(8000), Statement::Condition(limit)]),
        accept(vec![holds(Field::Protocol, 1, 1), holds(Field::IcmpType, 8, 8)]),
    ];
    let base = Base {
        kind: ChainKind::Filter,
        hook: Hook::Input,
        priority: 0,
        sequence: 0,
        policy: ChainPolicy::Drop,
        devices: Vec::new(),
    };
    let table = Table {
        family: Family::Ip,
        name: "filter".into(),
        origin: Origin::Nft,
        is_dormant: false,
        chains: vec![Chain { name: "input".into(), base: Some(base), rules }],
        sets: Vec::new(),
    };
    Ruleset { tables: vec![table], notes: Vec::new() }
}

#[test]
fn a_replayed_flow_fares_as_a_simulated_packet() {
    let mut text = String::new();
    for source in ["192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0", "198.51.100.9"] {
        for port in [21, 22, 23, 79, 80, 200, 443, 444, 8000] {
            for by in ["eth0", "eth1", ""] {
                for transport in ["tcp", "udp"] {
                    text += &format!("{transport},{source},40000,10.0.0.1,{port},{by}\n");
                }
            }
        }
        text += &format!("icmp,{source},8,10.0.0.1,0,eth0\nicmp,{source},5,10.0.0.1,0,eth1\n");
    }
    let (mut writer, mut reader) = (Writer::default(), Reader::default());
    text.lines().for_each(|line| writer.push(&reader.line(line).unwrap().unwrap()));
    let file = writer.finish().concat();
    let header = Header::read(&file).unwrap();
    let (rules, world) = (rules(), World::default());
    let mut replayer = Replayer::new(&rules, &world, Way::Input, &header.interfaces);
    replayer.prepare(false).unwrap();
    let prepared = Prepared::new(&rules, &world);
    let mut met = std::collections::BTreeSet::new();
    for record in header.records(&file).unwrap().0.chunks_exact(RECORD4) {
        let flow = header.flow(record).unwrap();
        let expected = match prepared.outcome(&packet(&flow, &world), Way::Input, &Open) {
            Some(Outcome::Accept) => Fate::Accepted,
            Some(_) => Fate::Refused,
            None => Fate::Depends,
        };
        assert_eq!(replayer.fate(false, record), expected, "{flow:?}");
        met.insert(expected);
    }
    assert_eq!(met.len(), 3);
}

#[test]
fn a_family_that_was_not_prepared_depends() {
    let (rules, world) = (rules(), World::default());
    let replayer = Replayer::new(&rules, &world, Way::Input, &[]);
    assert_eq!(replayer.fate(true, &[0; 40]), Fate::Depends);
}
