//! Translations of ports as rules.

use std::net::IpAddr;

use super::base_chain;
use super::conditions::{self, any_bit, family, is_number, located, port};
use crate::firewall::addresses::number_of;
use crate::firewall::clock::is_earlier_than;
use crate::firewall::policy::{Policy, Translation};
use crate::firewall::{
    Chain, ChainKind, Expression, Field, Hook, Nat, NatKind, PassTraffic, Rule, Statement, Value,
    bits,
};

pub(super) fn nat(policy: &Policy) -> Vec<Chain> {
    let destination = policy.translations.iter().flat_map(destinations).collect();
    let source: Vec<Rule> =
        policy.translations.iter().filter(|t| t.masquerade).flat_map(masquerade).collect();
    let mut chains = Vec::new();
    if !policy.translations.is_empty() {
        chains.push(base_chain(
            "nat-prerouting",
            ChainKind::Nat,
            Hook::Prerouting,
            -110,
            destination,
        ));
    }
    if !source.is_empty() {
        chains.push(base_chain("nat-postrouting", ChainKind::Nat, Hook::Postrouting, 90, source));
    }
    chains
}

fn destinations(translation: &Translation) -> Vec<Rule> {
    let mut rules = Vec::new();
    for target in &translation.targets {
        let is_v6 = target.is_ipv6();
        for peers in &translation.peers {
            let Some(place) = located(peers, None, false, is_v6) else { continue };
            let traffic =
                PassTraffic::Ports { transport: translation.transport, range: translation.range };
            let mut statements = vec![is_number(conditions::local_type(), bits::FIB_LOCAL)];
            statements.extend(port(traffic, Field::DestinationPort));
            statements.extend(place);
            statements.extend(translation.until.map(is_earlier_than));
            let constant = |n: u128| Expression::Constant(Value::Number(n));
            statements.push(Statement::Nat(Nat {
                kind: NatKind::Dnat,
                address: Some(constant(number_of(*target))),
                port: translation.port.map(|port| constant(u128::from(port))),
                flags: Vec::new(),
            }));
            rules.push(Rule { text: translation.name.clone(), statements, ..Rule::default() });
        }
    }
    rules
}

fn masquerade(translation: &Translation) -> Vec<Rule> {
    let rule = |target: &IpAddr| {
        let is_v6 = target.is_ipv6();
        let traffic =
            PassTraffic::Ports { transport: translation.transport, range: translation.range };
        let to = if is_v6 { Field::Destination6 } else { Field::Destination4 };
        let mut statements = vec![family(is_v6), is_number(to, number_of(*target))];
        statements.push(any_bit(Field::CtStatus, bits::STATUS_DNAT));
        statements.extend(port(traffic, conditions::called_port()));
        statements.push(Statement::Nat(Nat {
            kind: NatKind::Masquerade,
            address: None,
            port: None,
            flags: Vec::new(),
        }));
        Rule { text: translation.name.clone(), statements, ..Rule::default() }
    };
    translation.targets.iter().map(rule).collect()
}
