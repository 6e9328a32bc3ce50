//! What every host needs to live, and sequences of ports that are knocked on.

use super::conditions::{
    self, address, any_bit, family, interface, is_number, located, named, number_in,
};
use super::rule;
use crate::firewall::clock::is_earlier_than;
use crate::firewall::filled::{Filled, of_step};
use crate::firewall::policy::{BaseNeed, BasePass, Knock, protocol_of};
use crate::firewall::{Expression, Field, Rule, SetOperation, Statement, Verdict, bits};

pub(super) fn base_row(row: &BasePass) -> Vec<Rule> {
    let accept = |statements| vec![rule(&row.name, statements, Verdict::Accept)];
    match &row.traffic {
        BaseNeed::Loopback => accept(vec![interface("lo", row.is_outgoing)]),
        BaseNeed::Established => {
            accept(vec![any_bit(Field::CtState, bits::ESTABLISHED | bits::RELATED)])
        }
        BaseNeed::Icmp(types) => accept(icmp(1, types)),
        BaseNeed::Icmpv6(types, hops) => {
            let near = hops.map(|hops| vec![family(true), is_number(Field::Ttl, u128::from(hops))]);
            accept([icmp(58, types), near.unwrap_or_default()].concat())
        }
        BaseNeed::Protocol(number) => {
            between(row, &[is_number(Field::Protocol, u128::from(*number))])
        }
        BaseNeed::Port { transport, source, destination } => {
            let protocol = protocol_of(*transport);
            let mut start = vec![
                is_number(Field::Protocol, u128::from(protocol)),
                is_number(Field::DestinationPort, u128::from(*destination)),
            ];
            start.extend(source.map(|port| is_number(Field::SourcePort, u128::from(port))));
            between(row, &start)
        }
    }
}

/// The rules of a row, one a family, with its peers and destinations.
fn between(row: &BasePass, start: &[Statement]) -> Vec<Rule> {
    let of = |is_v6| {
        let mut all = start.to_vec();
        all.push(family(is_v6));
        all.extend(row.peers.iter().map(|peers| address(peers, row.is_outgoing, is_v6)));
        all.extend(row.destinations.iter().map(|to| address(to, true, is_v6)));
        rule(&row.name, all, Verdict::Accept)
    };
    vec![of(false), of(true)]
}

fn icmp(protocol: u8, types: &[u8]) -> Vec<Statement> {
    let types: Vec<(u128, u128)> = types.iter().map(|t| (u128::from(*t), u128::from(*t))).collect();
    vec![
        family(protocol == 58),
        is_number(Field::Protocol, u128::from(protocol)),
        number_in(Field::IcmpType, &types),
    ]
}

/// A sequence of ports: its packets end here.
pub(super) fn knock(door: &Knock, filled: &Filled) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (step, (transport, number)) in door.sequence.iter().enumerate().rev() {
        let wanted = vec![
            is_number(Field::Protocol, u128::from(protocol_of(*transport))),
            is_number(Field::DestinationPort, u128::from(*number)),
        ];
        for peers in &door.peers {
            for is_v6 in [false, true] {
                let Some(place) = located(peers, None, false, is_v6) else { continue };
                let mut statements = [wanted.clone(), place].concat();
                statements.extend(door.until.map(is_earlier_than));
                let source = conditions::source(is_v6);
                if let Some(before) = step.checked_sub(1) {
                    statements.push(named(source, filled.set(&of_step(door, before), is_v6)));
                }
                statements.push(Statement::Update {
                    operation: SetOperation::Update,
                    set: filled.set(&of_step(door, step), is_v6),
                    key: Expression::Field(source),
                    conditions: Vec::new(),
                });
                rules.push(rule(&door.name, statements, Verdict::Drop));
            }
        }
    }
    rules
}
