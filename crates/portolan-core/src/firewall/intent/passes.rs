//! Passes and blocks as rules: who is let in or refused, to or from which port, and how often.

use super::conditions::{self, address, any_bit, is_number, located, named, port};
use super::rule;
use crate::firewall::clock::is_earlier_than;
use crate::firewall::filled::{Filled, of_door, of_limit};
use crate::firewall::policy::{Block, Pass, Policy, RateLimit};
use crate::firewall::{
    Condition, Expression, Field, Match, PassTraffic, Rule, SetOperation, SetRef, Statement, Test,
    Verdict, bits,
};

/// Which ends of a packet the peers and the port of a pass are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
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
    pub(super) fn is_outgoing(self) -> bool {
        matches!(self, Self::Answer | Self::To)
    }

    pub(super) fn port(self) -> Field {
        match self {
            Self::From | Self::To => Field::DestinationPort,
            Self::Called => conditions::called_port(),
            Self::Answer => Field::SourcePort,
        }
    }
}

/// The rules of passes, in order; those with a limit after the others, for a limit drops.
pub(super) fn passes<'p>(
    all: impl Iterator<Item = &'p Pass>,
    side: Side,
    guard: &[Statement],
    filled: &Filled,
) -> Vec<Rule> {
    let (limited, free): (Vec<&Pass>, Vec<&Pass>) = all.partition(|pass| pass.limit.is_some());
    free.into_iter().chain(limited).flat_map(|pass| pass_rules(pass, side, guard, filled)).collect()
}

pub(super) fn blocks(policy: &Policy, side: Side, guard: &[Statement]) -> Vec<Rule> {
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

/// What a block refuses: the conditions of each port; one without any for everything.
fn refused(block: &Block, side: Side) -> Vec<Vec<Statement>> {
    if block.traffic.is_empty() {
        return vec![Vec::new()];
    }
    let to = |traffic: &PassTraffic| {
        let mut conditions = port(*traffic, side.port());
        if side == Side::Called {
            conditions.push(is_number(Field::CtDirection, 0));
        }
        conditions
    };
    block.traffic.iter().map(to).collect()
}
