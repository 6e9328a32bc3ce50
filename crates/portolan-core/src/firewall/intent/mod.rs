//! What a policy means, said plainly: one rule after another, no map, no shared set, no shortcut.
//!
//! Made from the policy alone and by other code than `compile`. That the two behave the same for every
//! packet is the proof that the compiled table does what the policy says.

mod conditions;
mod nat;
mod passes;
mod rows;

use super::filled::Filled;
use super::policy::{BaseNeed, BasePass, CALLED_ELSEWHERE, Pass, PassWay, Policy, Stance};
use super::rule::{Match, Target, Test};
use super::ruleset::{Base, Chain, ChainKind, ChainPolicy, Family, Hook, Origin, Ruleset, Table};
use super::script::TABLE;
use super::value::{Set, SetRef, bits};
use super::{Expression, Field, Rule, Statement, Verdict};
use conditions::{any_bit, is_number, number_in};
use nat::nat;
use passes::{Side, blocks, passes};
use rows::{base_row, knock};

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
