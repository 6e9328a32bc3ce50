//! Rules of other tables that meet the bit of `ct mark` by which a policy remembers what a new connection
//! called ([`CALLED_ELSEWHERE`]), in the little while it is there.
//!
//! It is there from our chain of the prerouting hook to the first chains of the next hook, so that only
//! rules between them can: those that translate destinations above all.

use std::collections::BTreeSet;

use super::policy::CALLED_ELSEWHERE;
use super::rule::{Match, Target, Test};
use super::ruleset::{Chain, ChainKind, Family, Hook, RuleId, RulePlace, Ruleset, Table};
use super::script::TABLE;
use super::value::{ElementValue, SetRef};
use super::{ChainId, Expression, Field, Statement, Verdict};

/// Where our chain sets it in prerouting, before destinations are translated, ours (−110) too, and after the
/// marks of others (−150).
pub(super) const SET_AT: i32 = -111;

/// Where it is taken away in input and forward: before rules that keep and restore marks (−150).
pub(super) const TAKEN_AT: i32 = -151;

/// The rules of other tables that see the bit, carry it to where it stays, or take it away too early.
#[must_use]
pub fn mark_readers(ruleset: &Ruleset) -> Vec<RulePlace> {
    let mut found = Vec::new();
    for (index, table) in ruleset.tables.iter().enumerate() {
        let is_ours = table.family == Family::Inet && *table.name == *TABLE;
        if is_ours || table.is_dormant {
            continue;
        }
        for chain in asked(table) {
            let rules = table.chains.get(chain).map(|chain| &chain.rules[..]).unwrap_or_default();
            let meets =
                rules.iter().enumerate().filter(|(_, rule)| rule.statements.iter().any(meets));
            let id = |rule| RuleId { chain: ChainId { table: index, chain }, rule: Some(rule) };
            found.extend(meets.filter_map(|(rule, _)| ruleset.place(id(rule))));
        }
    }
    found
}

/// The chains of a table that packets with the bit may come to.
fn asked(table: &Table) -> BTreeSet<usize> {
    let starts = table.chains.iter().enumerate().filter(|(_, chain)| is_between(chain));
    let mut open: Vec<usize> = starts.map(|(index, _)| index).collect();
    let mut asked = BTreeSet::new();
    while let Some(index) = open.pop() {
        if !asked.insert(index) {
            continue;
        }
        let rules = table.chains.get(index).map(|chain| &chain.rules[..]).unwrap_or_default();
        let named = rules.iter().flat_map(|rule| &rule.statements).flat_map(|s| targets(table, s));
        let named: BTreeSet<&str> = named.collect();
        open.extend((0..table.chains.len()).filter(|i| named.contains(&*table.chains[*i].name)));
    }
    asked
}

fn is_between(chain: &Chain) -> bool {
    chain.base.as_ref().is_some_and(|base| match base.hook {
        // Chains that translate are asked at −100, whatever they say (net/netfilter/nf_nat_core.c).
        Hook::Prerouting => base.kind == ChainKind::Nat || base.priority >= SET_AT,
        Hook::Input | Hook::Forward => base.kind != ChainKind::Nat && base.priority <= TAKEN_AT,
        _ => false,
    })
}

/// The chains that a statement asks.
fn targets<'t>(table: &'t Table, statement: &'t Statement) -> Vec<&'t str> {
    let elements = match statement {
        Statement::Verdict(verdict) => return target(verdict).into_iter().collect(),
        Statement::VerdictMap { map: SetRef::Inline(elements), .. } => Some(elements),
        Statement::VerdictMap { map: SetRef::Named(name), .. } => {
            table.set(name).and_then(|set| set.elements.as_ref())
        }
        _ => None,
    };
    let verdicts = elements.into_iter().flat_map(|all| all.iter()).filter_map(|e| match &e.value {
        ElementValue::Verdict(verdict) => target(verdict),
        _ => None,
    });
    verdicts.collect()
}

fn target(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain),
        _ => None,
    }
}

fn meets(statement: &Statement) -> bool {
    let bit = u128::from(CALLED_ELSEWHERE);
    match statement {
        Statement::Match(Match { left, test }) => {
            let asked = match test {
                Test::AnyBit(bits) | Test::NoBit(bits) => *bits,
                _ => u128::MAX,
            };
            seen(left) & asked & bit != 0
        }
        Statement::Assign { target: Target::CtMark, value } => seen(value) & bit == 0,
        Statement::Assign { value: read, .. }
        | Statement::VerdictMap { key: read, .. }
        | Statement::Update { key: read, .. } => seen(read) & bit != 0,
        _ => false,
    }
}

/// The bits of the connection's mark that an expression depends on.
fn seen(expression: &Expression) -> u128 {
    match expression {
        Expression::Bits { of, mask, .. } => seen(of) & mask,
        other if other.reads(&|field| field == Field::CtMark) => u128::MAX,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::iptables::Save;

    fn told(nat: &str, mangle: &str) -> Vec<String> {
        let text = format!(
            "*mangle\n:PREROUTING ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n{mangle}COMMIT\n*nat\n:PREROUTING ACCEPT \
             [0:0]\n:OUTPUT ACCEPT [0:0]\n:MORE - [0:0]\n{nat}COMMIT\n"
        );
        let ruleset = Save::read(&text, None, None).unwrap().into_ruleset().unwrap();
        mark_readers(&ruleset)
            .iter()
            .map(|place| format!("{} {}", place.chain, place.text))
            .collect()
    }

    #[test]
    fn only_rules_that_meet_the_bit_are_told() {
        let seen = told(
            "-A PREROUTING -m connmark --mark 0x0 -p tcp -j DNAT --to-destination 10.0.0.1\n\
             -A PREROUTING -m connmark --mark 0x1/0xff -j RETURN\n\
             -A PREROUTING -p udp -j MORE\n\
             -A MORE -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff\n\
             -A MORE -j CONNMARK --set-xmark 0x1/0xf\n\
             -A OUTPUT -m connmark --mark 0x0 -j RETURN\n",
            "-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff\n\
             -A FORWARD -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff\n",
        );
        let chains: Vec<&str> = seen.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(chains, ["PREROUTING", "MORE"], "{seen:#?}");
        assert!(seen[0].contains("DNAT") && seen[1].contains("restore-mark"), "{seen:#?}");
    }

    #[test]
    fn what_overwrites_the_mark_is_told_too() {
        let seen = told("-A PREROUTING -j CONNMARK --set-xmark 0x1/0xffffffff\n", "");
        assert_eq!(seen.len(), 1, "{seen:#?}");
    }
}
