//! Comparisons that mean something else than they say (each measured on Linux 6.18).

use super::lint::{Code, Finding};
use crate::firewall::{
    ChainId, Expression, Field, Match, RuleId, Ruleset, SetRef, Span, Statement, Test,
};

/// Every such comparison.
pub(super) fn pitfalls(ruleset: &Ruleset) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (t, table) in ruleset.tables.iter().enumerate() {
        for (c, chain) in table.chains.iter().enumerate() {
            let chain_id = ChainId { table: t, chain: c };
            for (index, rule) in chain.rules.iter().enumerate() {
                let id = RuleId { chain: chain_id, rule: Some(index) };
                let matches = rule.statements.iter().filter_map(|statement| match statement {
                    Statement::Match(found) => Some(found),
                    _ => None,
                });
                let messages = matches.filter_map(|found| message(found, ruleset, chain_id));
                findings.extend(messages.map(|message| Finding {
                    code: Code::Pitfall,
                    rule: id,
                    blockers: Vec::new(),
                    message,
                    witness: None,
                    depends_on: Vec::new(),
                }));
            }
        }
    }
    findings
}

fn message(found: &Match, ruleset: &Ruleset, chain: ChainId) -> Option<String> {
    match (&found.left, &found.test) {
        (Expression::Field(Field::CtState), Test::NotIn(set)) if several_bits(set) => Some(
            "always true: `ct state != a,b` asks whether the state is a and b at once, which none \
             is; did you mean `ct state ! a,b`?"
                .to_owned(),
        ),
        (Expression::Field(Field::TcpFlags), Test::NotIn(set)) if !is_named(set) => Some(
            "true of every packet but those with exactly these flags: SYN with ECE is not `syn`; \
             did you mean `tcp flags ! …`?"
                .to_owned(),
        ),
        (Expression::Field(Field::TcpFlags), Test::In(SetRef::Inline(elements)))
            if elements.len() > 1 =>
        {
            Some(
                "a set of flags is exact: SYN+ACK is in neither of `{ syn, ack }`; `tcp flags \
                 syn,ack` asks for any of them"
                    .to_owned(),
            )
        }
        (_, Test::NotIn(SetRef::Named(name))) if is_empty(ruleset, chain, name) => {
            Some(format!("always true: set @{name} is empty"))
        }
        (_, Test::In(SetRef::Named(name))) if is_empty(ruleset, chain, name) => {
            Some(format!("never true: set @{name} is empty"))
        }
        _ => None,
    }
}

/// Whether a single number with more than one bit is asked for.
fn several_bits(set: &SetRef) -> bool {
    let SetRef::Inline(elements) = set else { return false };
    let [element] = &elements[..] else { return false };
    matches!(
        element.key.as_slice(),
        [Span::Numbers { low, high }] if low == high && low.count_ones() > 1
    )
}

const fn is_named(set: &SetRef) -> bool {
    matches!(set, SetRef::Named(_))
}

/// Whether a set has no members and is not filled from the packet path.
fn is_empty(ruleset: &Ruleset, chain: ChainId, name: &str) -> bool {
    let set = ruleset.tables.get(chain.table).and_then(|table| table.set(name));
    set.is_some_and(|set| {
        !set.flags.is_dynamic
            && !set.flags.has_timeout
            && set.elements.as_ref().is_some_and(|elements| elements.is_empty())
    })
}
