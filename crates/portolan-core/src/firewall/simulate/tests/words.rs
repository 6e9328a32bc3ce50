//! Short words for rules and packets.

use std::sync::Arc;

use crate::firewall::simulate::{Open, Outcome, Walk, Way, simulate};
use crate::firewall::*;

/// A ruleset of one table `inet t` with these chains.
pub(super) fn inet(chains: Vec<Chain>) -> Ruleset {
    Ruleset { tables: vec![table(Family::Inet, "t", chains)], notes: Vec::new() }
}

pub(super) fn table(family: Family, name: &str, chains: Vec<Chain>) -> Table {
    let sets = Vec::new();
    Table { family, name: name.into(), origin: Origin::Nft, is_dormant: false, chains, sets }
}

/// A base chain; accepts at its end.
pub(super) fn base(name: &str, hook: Hook, priority: i32, rules: Vec<Rule>) -> Chain {
    let kind = ChainKind::Filter;
    let policy = ChainPolicy::Accept;
    let base = Base { kind, hook, priority, sequence: 0, policy, devices: Vec::new() };
    Chain { name: name.into(), base: Some(base), rules }
}

pub(super) fn nat(name: &str, hook: Hook, priority: i32, rules: Vec<Rule>) -> Chain {
    let mut chain = base(name, hook, priority, rules);
    chain.base.as_mut().unwrap().kind = ChainKind::Nat;
    chain
}

/// The same with policy drop.
pub(super) fn dropping(mut chain: Chain) -> Chain {
    chain.base.as_mut().unwrap().policy = ChainPolicy::Drop;
    chain
}

/// The same registered as the `sequence`th.
pub(super) fn registered(mut chain: Chain, sequence: u32) -> Chain {
    chain.base.as_mut().unwrap().sequence = sequence;
    chain
}

pub(super) fn input(rules: Vec<Rule>) -> Chain {
    base("in", Hook::Input, 0, rules)
}

pub(super) fn plain(name: &str, rules: Vec<Rule>) -> Chain {
    Chain { name: name.into(), base: None, rules }
}

pub(super) fn rule(statements: Vec<Statement>) -> Rule {
    Rule { text: format!("{statements:?}").into(), statements, ..Rule::default() }
}

pub(super) const ACCEPT: Statement = Statement::Verdict(Verdict::Accept);
pub(super) const DROP: Statement = Statement::Verdict(Verdict::Drop);
pub(super) const RETURN: Statement = Statement::Verdict(Verdict::Return);

pub(super) fn jump(name: &str) -> Statement {
    Statement::Verdict(Verdict::Jump(name.into()))
}

pub(super) fn goto(name: &str) -> Statement {
    Statement::Verdict(Verdict::Goto(name.into()))
}

pub(super) fn field(field: Field) -> Expression {
    Expression::Field(field)
}

pub(super) fn is(of: Field, value: u128) -> Statement {
    matches(field(of), Test::In(SetRef::number(value)))
}

pub(super) fn is_not(of: Field, value: u128) -> Statement {
    matches(field(of), Test::NotIn(SetRef::number(value)))
}

pub(super) fn matches(left: Expression, test: Test) -> Statement {
    Statement::Match(Match { left, test })
}

/// `{ … }` of numbers.
pub(super) fn among(values: &[u128]) -> SetRef {
    SetRef::Inline(values.iter().map(|value| Element::of(Span::number(*value))).collect())
}

/// `tcp dport`, with its guard.
pub(super) fn tcp_to(port: u128) -> Vec<Statement> {
    vec![is(Field::Protocol, 6), is(Field::DestinationPort, port)]
}

pub(super) fn udp_to(port: u128) -> Vec<Statement> {
    vec![is(Field::Protocol, 17), is(Field::DestinationPort, port)]
}

pub(super) fn with(mut statements: Vec<Statement>, more: Statement) -> Rule {
    statements.push(more);
    rule(statements)
}

pub(super) fn mark(value: u128) -> Statement {
    let value = Expression::Constant(Value::Number(value));
    Statement::Assign { target: Target::Mark, value }
}

pub(super) fn entry(key: u128, value: ElementValue) -> Element {
    Element { value, ..Element::of(Span::number(key)) }
}

pub(super) fn elements(all: Vec<Element>) -> SetRef {
    SetRef::Inline(all.into())
}

pub(super) fn set(name: &str, elements: Option<Vec<Element>>) -> Set {
    let flags = SetFlags::default();
    let elements: Option<Elements> = elements.map(Arc::from);
    Set { name: name.into(), key: vec!["ipv4_addr".into()], flags, size: None, elements }
}

/// A SYN from 10.9.0.1:40000 to 10.9.0.2 by eth0.
pub(super) fn syn(port: u16) -> Packet {
    packet(6, port)
}

pub(super) fn udp(port: u16) -> Packet {
    packet(17, port)
}

pub(super) fn packet(protocol: u8, port: u16) -> Packet {
    let (from, to) = ("10.9.0.1".parse().unwrap(), "10.9.0.2".parse().unwrap());
    let interface_in = "eth0".into();
    Packet { interface_in, ..Packet::new(protocol, from, to).ports(40_000, port) }
}

pub(super) fn flags(flags: u8) -> Packet {
    Packet { tcp_flags: TcpFlags(flags), ..syn(80) }
}

/// The walk to a socket here, nothing known of the surroundings.
pub(super) fn walk(ruleset: &Ruleset, packet: &Packet) -> Walk {
    simulate(ruleset, &World::default(), packet, Way::Input, &Open)
}

/// How it ends, which must be certain.
#[track_caller]
pub(super) fn outcome(ruleset: &Ruleset, packet: &Packet) -> Outcome {
    let walk = walk(ruleset, packet);
    assert!(walk.is_certain(), "it depends on {:?}", walk.depends_on);
    walk.outcome
}

/// The text of what decided.
pub(super) fn decided(ruleset: &Ruleset, walk: &Walk) -> String {
    let place = walk.decided_by.and_then(|rule| ruleset.place(rule)).unwrap();
    format!("{} {} {} {:?}", place.family, place.table, place.chain, place.index)
}
