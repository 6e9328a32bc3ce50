//! What a policy means, said plainly: one rule after another, no map, no shared set, no shortcut.
//!
//! Made from the policy alone and by other code than `compile`. That the two behave the same for every
//! packet is the proof that the compiled table does what the policy says.

mod conditions;

use std::sync::Arc;

use super::addresses::number_of;
use super::clock::is_earlier_than;
use super::filled::{Filled, of_door, of_limit, of_step};
use super::policy::{
    BaseNeed, BasePass, Block, CALLED_ELSEWHERE, Knock, Pass, PassWay, Policy, RateLimit, Stance,
    Translation,
};
use super::rule::{Condition, Match, Nat, NatKind, SetOperation, Target, Test};
use super::ruleset::{Base, Chain, ChainKind, ChainPolicy, Family, Hook, Origin, Ruleset, Table};
use super::script::TABLE;
use super::value::{Set, SetRef, Value, bits};
use super::{Expression, Field, Rule, Statement, Verdict};
use conditions::{address, any_bit, family, interface, is_number, located, named, number_in, port};

/// The plain rules of `policy`. `dynamic` are the sets that packets and programs fill, as they are
/// where the result is to be compared: doors that are open just now.
#[must_use]
pub fn intent(policy: &Policy, dynamic: &[Set]) -> Ruleset {
    let filled = Filled::of(policy);
    let mut chains = Vec::new();
    chains.extend(input(policy, &filled));
    chains.extend((policy.forward == Stance::Keep).then(calls));
    chains.extend(forward(policy, &filled));
    chains.extend(output(policy, &filled));
    chains.extend(nat(policy));
    for (i, base) in chains.iter_mut().filter_map(|c| c.base.as_mut()).enumerate() {
        base.sequence = u32::try_from(i).unwrap_or(u32::MAX);
    }
    let table = Table {
        family: Family::Inet,
        name: TABLE.into(),
        origin: Origin::Nft,
        is_dormant: false,
        chains,
        sets: dynamic.to_vec(),
    };
    Ruleset { tables: vec![table], notes: Vec::new() }
}

/// Rules that drop the new connections these passes would let in, from others than this machine.
pub(super) fn refusing(all: &[Pass]) -> Table {
    let is_new = any_bit(Field::CtState, bits::NEW);
    let drop = |side: Side, guard: &[Statement]| {
        let mut rules = passes(all.iter(), side, guard, &Filled::default());
        for statement in rules.iter_mut().filter_map(|rule| rule.statements.last_mut()) {
            *statement = Statement::Verdict(Verdict::Drop);
        }
        rules
    };
    let here = drop(Side::From, &[is_new.clone(), conditions::not_interface("lo")]);
    let translated = [is_new, any_bit(Field::CtStatus, bits::STATUS_DNAT), called_here()];
    let through = drop(Side::Called, &translated);
    Table {
        family: Family::Inet,
        name: TABLE.into(),
        origin: Origin::Nft,
        is_dormant: false,
        chains: vec![
            calls(),
            filter("input", Hook::Input, Stance::Accept, here),
            filter("forward", Hook::Forward, Stance::Accept, through),
        ],
        sets: Vec::new(),
    }
}

fn input(policy: &Policy, filled: &Filled) -> Option<Chain> {
    if policy.input != Stance::Drop && policy.blocks.is_empty() {
        return None;
    }
    let is_early = |row: &&BasePass| row.traffic.is_early();
    let rows = || policy.base.iter().filter(|row| !row.is_outgoing);
    let mut rules: Vec<Rule> = rows().filter(is_early).flat_map(base_row).collect();
    rules.extend(passes(policy.management.iter(), Side::From, &[], filled));
    rules.extend(blocks(policy, Side::From, &[]));
    rules.extend(rows().filter(|row| !is_early(row)).flat_map(base_row));
    if policy.input == Stance::Drop {
        rules.push(rule("invalid", vec![any_bit(Field::CtState, bits::INVALID)], Verdict::Drop));
        rules.extend(policy.doors.iter().flat_map(|door| knock(door, filled)));
        let here = policy.passes.iter().filter(|pass| pass.way.has_input());
        rules.extend(passes(here, Side::From, &[], filled));
    }
    Some(filter("input", Hook::Input, policy.input, rules))
}

fn forward(policy: &Policy, filled: &Filled) -> Option<Chain> {
    let translated =
        [any_bit(Field::CtStatus, bits::STATUS_DNAT), is_number(Field::CtDirection, 0)];
    let known = bits::ESTABLISHED | bits::RELATED;
    let known = || vec![any_bit(Field::CtState, known)];
    let mut rules = Vec::new();
    match policy.forward {
        Stance::Accept => return None,
        Stance::Keep => {
            let mut guard = translated.to_vec();
            guard.push(number_in(Field::Protocol, &[(6, 6), (17, 17), (33, 33), (132, 132)]));
            rules.extend(blocks(policy, Side::Called, &guard));
            rules.push(rule("established", [guard.clone(), known()].concat(), Verdict::Accept));
            guard.push(called_here());
            let ports = called(policy).filter(|pass| pass.traffic.ports().is_some());
            rules.extend(passes(ports, Side::Called, &guard, filled));
            rules.push(rule("published", guard, Verdict::Drop));
        }
        Stance::Drop => {
            rules.extend(blocks(policy, Side::Called, &[]));
            rules.push(rule("established", known(), Verdict::Accept));
            rules.extend(passes(called(policy), Side::Called, &translated, filled));
            rules.push(rule("published", translated.to_vec(), Verdict::Drop));
            let through = policy.passes.iter().filter(|pass| pass.way == PassWay::Through);
            rules.extend(passes(through, Side::From, &[], filled));
        }
    }
    Some(filter("forward", Hook::Forward, policy.forward, rules))
}

/// Notes of each new connection whether it calls an address of this machine, before that is translated.
fn calls() -> Chain {
    let (bit, others) = (u128::from(CALLED_ELSEWHERE), u128::from(!CALLED_ELSEWHERE));
    let note = |statements: Vec<Statement>, flip| Rule {
        text: "called elsewhere".into(),
        statements: [statements, vec![mark_with(others, flip)]].concat(),
        ..Rule::default()
    };
    let is_new = || any_bit(Field::CtState, bits::NEW);
    let elsewhere = Statement::Match(Match {
        left: Expression::Field(conditions::local_type()),
        test: Test::NotIn(SetRef::number(bits::FIB_LOCAL)),
    });
    let rules = vec![note(vec![is_new()], 0), note(vec![is_new(), elsewhere], bit)];
    base_chain("calls", ChainKind::Filter, Hook::Prerouting, -111, rules)
}

/// The mark of the connection, but for what is not in `mask`, which is set to `flip`.
fn mark_with(mask: u128, flip: u128) -> Statement {
    let of = Box::new(Expression::Field(Field::CtMark));
    Statement::Assign { target: Target::CtMark, value: Expression::Bits { of, mask, flip } }
}

/// It was not noted that the connection calls somebody else.
fn called_here() -> Statement {
    let left = Expression::Field(Field::CtMark);
    Statement::Match(Match { left, test: Test::NoBit(u128::from(CALLED_ELSEWHERE)) })
}

/// What may come by a translated destination.
fn called(policy: &Policy) -> impl Iterator<Item = &Pass> {
    policy.passes.iter().filter(|pass| pass.way.has_translated())
}

fn output(policy: &Policy, filled: &Filled) -> Option<Chain> {
    if policy.output != Stance::Drop {
        return None;
    }
    let is_loopback = |row: &&BasePass| row.traffic == BaseNeed::Loopback;
    let rows = || policy.base.iter().filter(|row| row.is_outgoing);
    let mut rules: Vec<Rule> = rows().filter(is_loopback).flat_map(base_row).collect();
    let tcp = policy.management.iter().filter(|pass| pass.traffic.protocol() == 6);
    let tcp = tcp.filter(|pass| pass.traffic.ports().is_some());
    let answer = [is_number(Field::Protocol, 6), any_bit(Field::TcpFlags, 16)];
    rules.extend(passes(tcp, Side::Answer, &answer, filled));
    rules.extend(rows().filter(|row| !is_loopback(row)).flat_map(base_row));
    rules.extend(passes(policy.egress.iter(), Side::To, &[], filled));
    Some(filter("output", Hook::Output, policy.output, rules))
}

/// Which ends of a packet the peers and the port of a pass are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// From the peer, to the port.
    From,
    /// From the peer, to the port before the translation.
    Called,
    /// To the peer, from the port.
    Answer,
    /// To the peer, to the port there.
    To,
}

impl Side {
    fn is_outgoing(self) -> bool {
        matches!(self, Self::Answer | Self::To)
    }

    fn port(self) -> Field {
        match self {
            Self::From | Self::To => Field::DestinationPort,
            Self::Called => conditions::called_port(),
            Self::Answer => Field::SourcePort,
        }
    }
}

/// The rules of passes, in order; those with a limit after the others, for a limit drops.
fn passes<'p>(
    all: impl Iterator<Item = &'p Pass>,
    side: Side,
    guard: &[Statement],
    filled: &Filled,
) -> Vec<Rule> {
    let (limited, free): (Vec<&Pass>, Vec<&Pass>) = all.partition(|pass| pass.limit.is_some());
    free.into_iter().chain(limited).flat_map(|pass| pass_rules(pass, side, guard, filled)).collect()
}

fn pass_rules(pass: &Pass, side: Side, guard: &[Statement], filled: &Filled) -> Vec<Rule> {
    let mut rules = Vec::new();
    for peers in &pass.peers {
        for is_v6 in [false, true] {
            let Some(mut place) =
                located(peers, pass.interface.as_deref(), side.is_outgoing(), is_v6)
            else {
                continue;
            };
            if let Some(to) = &pass.destinations {
                place.push(address(to, true, is_v6));
            }
            if let Some(door) = &pass.door {
                place.push(named(conditions::source(is_v6), filled.set(&of_door(door), is_v6)));
            }
            place.extend(pass.until.map(is_earlier_than));
            let start = [guard.to_vec(), port(pass.traffic, side.port()), place].concat();
            if let Some(limit) = pass.limit {
                rules.extend(limited(pass, limit, &start, filled, is_v6));
            }
            rules.push(rule(&pass.name, start, Verdict::Accept));
        }
    }
    rules
}

/// New connections beyond the limit: of a source, and of all those that its set has no room for.
fn limited(
    pass: &Pass,
    limit: RateLimit,
    start: &[Statement],
    filled: &Filled,
    is_v6: bool,
) -> [Rule; 2] {
    let of = of_limit(&pass.name);
    let set = filled.set(&of, is_v6);
    let mut start = start.to_vec();
    start.push(any_bit(Field::CtState, bits::NEW));
    let source = Expression::Field(conditions::source(is_v6));
    let mask = u128::MAX << 64;
    let key = match is_v6 {
        true => Expression::Bits { of: Box::new(source), mask, flip: 0 },
        false => source,
    };
    let is_not_in = Test::NotIn(SetRef::Named(set.clone()));
    let is_other = Statement::Match(Match { left: key.clone(), test: is_not_in });
    let one = over(set, key, limit);
    let rest = over(filled.rest(&of), Expression::Field(Field::Protocol), limit.of_the_rest());
    let drops = |more: Vec<Statement>| {
        rule(&format!("{} limit", pass.name), [start.clone(), more].concat(), Verdict::Drop)
    };
    [drops(vec![one]), drops(vec![is_other, rest])]
}

/// Counts by `key`, and goes on beyond the limit.
fn over(set: Box<str>, key: Expression, limit: RateLimit) -> Statement {
    let conditions = vec![Condition {
        text: conditions::limit(limit).into(),
        is_negated: true,
        is_own: true,
        presumed: Some(true),
    }];
    Statement::Update { operation: SetOperation::Update, set, key, conditions }
}

fn blocks(policy: &Policy, side: Side, guard: &[Statement]) -> Vec<Rule> {
    let mut rules = Vec::new();
    for block in &policy.blocks {
        for traffic in refused(block, side) {
            for peers in &block.peers {
                for is_v6 in [false, true] {
                    let Some(mut place) = located(peers, None, false, is_v6) else { continue };
                    place.extend(block.until.map(is_earlier_than));
                    let statements = [guard.to_vec(), traffic.clone(), place].concat();
                    rules.push(rule(&block.name, statements, Verdict::Drop));
                }
            }
        }
    }
    rules
}

/// What a block refuses: the conditions of each port; one without any for everything.
fn refused(block: &Block, side: Side) -> Vec<Vec<Statement>> {
    if block.traffic.is_empty() {
        return vec![Vec::new()];
    }
    let to = |traffic: &super::PassTraffic| {
        let mut conditions = port(*traffic, side.port());
        if side == Side::Called {
            conditions.push(is_number(Field::CtDirection, 0));
        }
        conditions
    };
    block.traffic.iter().map(to).collect()
}

fn base_row(row: &BasePass) -> Vec<Rule> {
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
            let protocol = super::policy::protocol_of(*transport);
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
fn knock(door: &Knock, filled: &Filled) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (step, (transport, number)) in door.sequence.iter().enumerate().rev() {
        let wanted = vec![
            is_number(Field::Protocol, u128::from(super::policy::protocol_of(*transport))),
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

fn nat(policy: &Policy) -> Vec<Chain> {
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
            let traffic = super::PassTraffic::Ports {
                transport: translation.transport,
                range: translation.range,
            };
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
    let rule = |target: &std::net::IpAddr| {
        let is_v6 = target.is_ipv6();
        let traffic = super::PassTraffic::Ports {
            transport: translation.transport,
            range: translation.range,
        };
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

fn filter(name: &str, hook: Hook, stance: Stance, rules: Vec<Rule>) -> Chain {
    let mut chain = base_chain(name, ChainKind::Filter, hook, -5, rules);
    if let Some(base) = chain.base.as_mut().filter(|_| stance == Stance::Drop) {
        base.policy = ChainPolicy::Drop;
    }
    chain
}

fn base_chain(name: &str, kind: ChainKind, hook: Hook, priority: i32, rules: Vec<Rule>) -> Chain {
    let policy = ChainPolicy::Accept;
    let base = Base { kind, hook, priority, sequence: 0, policy, devices: Vec::new() };
    Chain { name: name.into(), base: Some(base), rules }
}

fn rule(name: &str, mut statements: Vec<Statement>, verdict: Verdict) -> Rule {
    statements.push(Statement::Verdict(verdict));
    Rule { text: name.into(), statements, ..Rule::default() }
}

/// A set reference to numbers.
fn numbers(spans: &[(u128, u128)]) -> SetRef {
    let elements = spans
        .iter()
        .map(|(low, high)| super::Element::of(super::Span::Numbers { low: *low, high: *high }));
    SetRef::Inline(Arc::from(elements.collect::<Vec<_>>()))
}
