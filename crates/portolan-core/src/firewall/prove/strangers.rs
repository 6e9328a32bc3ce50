//! Rules that change packets or connections in ways no policy does.
//!
//! What is let through and what is translated is compared packet by packet. A rule that takes packets out
//! of conntrack, marks them or translates where no policy translates lets the same packets through here
//! and breaks them elsewhere: answers do not come back, or arrive at others.

use super::super::policy::Policy;
use super::super::ruleset::{Chain, Family, Hook, Ruleset};
use super::super::script::TABLE;
use super::super::{ChainId, Rule, RuleId, RulePlace, Statement};

/// Those of our table: all that the compiler does not write for this policy.
pub(super) fn strangers(policy: &Policy, ruleset: &Ruleset) -> Vec<RulePlace> {
    let compiled = Ruleset::from_own_text(&super::super::compile(policy).to_string());
    let compiled = compiled.unwrap_or_default();
    let known: Vec<(&str, Vec<&Statement>)> =
        changing(&compiled).map(|(_, chain, rule)| (&*chain.name, changes(chain, rule))).collect();
    changing(ruleset)
        .filter(|(_, chain, rule)| !known.contains(&(&*chain.name, changes(chain, rule))))
        .filter_map(|(id, ..)| ruleset.place(id))
        .collect()
}

/// The rules of our table that change something.
fn changing(ruleset: &Ruleset) -> impl Iterator<Item = (RuleId, &Chain, &Rule)> {
    let is_ours = |id: ChainId| {
        let table = ruleset.tables.get(id.table);
        table.is_some_and(|table| table.family == Family::Inet && *table.name == *TABLE)
    };
    let ours = ruleset.chains().filter(move |(id, _)| is_ours(*id));
    ours.flat_map(|(id, chain)| {
        let rules = chain.rules.iter().enumerate();
        let rules = rules.filter(|(_, rule)| !changes(chain, rule).is_empty());
        rules.map(move |(index, rule)| (RuleId { chain: id, rule: Some(index) }, chain, rule))
    })
}

/// What a rule changes, but for translations where translations are compared packet by packet.
fn changes<'r>(chain: &Chain, rule: &'r Rule) -> Vec<&'r Statement> {
    let hook = chain.base.as_ref().map(|base| base.hook);
    let is_compared = matches!(hook, Some(Hook::Prerouting | Hook::Postrouting));
    let changes = |statement: &&Statement| match statement {
        Statement::NoTrack | Statement::Template { .. } | Statement::Assign { .. } => true,
        Statement::Nat(_) => !is_compared,
        // Written, and asked by nothing we evaluate: `meta priority set 1:2`.
        Statement::Opaque { text, .. } => text.contains(" set "),
        _ => false,
    };
    rule.statements.iter().filter(changes).collect()
}
