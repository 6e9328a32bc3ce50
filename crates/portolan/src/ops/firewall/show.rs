//! Every chain on the packet's way in the order in which packets meet them, then those they ask.

use anyhow::Result;
use portolan_core::firewall::{
    Base, Chain, ChainPolicy, Effect, Expression, Family, Hook, Origin, Rule, Statement, Table,
    Test, Verdict,
};

use super::source::{self, Rules};
use crate::fault::Fault;
use crate::ops::firewall::source::Sources;

/// The rules, and what of them is asked for.
#[derive(Debug)]
pub(crate) struct Report {
    /// All of them.
    pub(crate) rules: Rules,
    /// Only this hook.
    pub(crate) hook: Option<Hook>,
}

/// A chain in its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    /// The table it is of.
    pub(crate) table: &'a Table,
    /// The chain.
    pub(crate) chain: &'a Chain,
}

/// Reads the rules.
///
/// # Errors
/// As [`source::load`]; a hook that is none.
pub(crate) fn show(sources: &Sources, hook: Option<&str>) -> Result<Report> {
    let hook = hook.map(named).transpose()?;
    Ok(Report { rules: source::load(sources)?, hook })
}

fn named(word: &str) -> Result<Hook> {
    Hook::named(word).ok_or_else(|| {
        let names = Hook::ALL.map(Hook::as_str).join(", ");
        Fault::new(format!("there is no hook `{word}`"), format!("hooks are {names}"))
    })
}

impl Report {
    /// The chains to show: those on a hook, hook by hook, then those that are asked; behind them the same
    /// of bridges and ARP, which are not evaluated.
    pub(crate) fn chains(&self) -> Vec<Shown<'_>> {
        let mut shown = self.chains_of(|table| !is_of_frames(table));
        shown.extend(self.chains_of(is_of_frames));
        shown
    }

    fn chains_of(&self, is_wanted: impl Fn(&Table) -> bool) -> Vec<Shown<'_>> {
        let mut shown: Vec<Shown<'_>> = Vec::new();
        let tables: Vec<&Table> =
            self.rules.ruleset.tables.iter().filter(|table| is_wanted(table)).collect();
        let all = || tables.iter().flat_map(|t| t.chains.iter().map(move |c| (*t, c)));
        for hook in Hook::ALL.into_iter().filter(|hook| self.hook.is_none_or(|only| only == *hook))
        {
            let mut met: Vec<(i32, std::cmp::Reverse<u32>, Shown<'_>)> = all()
                .filter_map(|(table, chain)| {
                    let base = chain.base.as_ref().filter(|base| base.hook == hook)?;
                    let later = std::cmp::Reverse(base.sequence);
                    Some((base.priority, later, Shown { table, chain }))
                })
                .collect();
            met.sort_by_key(|(priority, later, _)| (*priority, *later));
            shown.extend(met.into_iter().map(|(_, _, chain)| chain));
        }
        let asked = asked(&shown);
        let others = all().filter(|(table, chain)| {
            chain.base.is_none()
                && (self.hook.is_none()
                    || asked.contains(&(table.family, &table.name, &chain.name)))
        });
        shown.extend(others.map(|(table, chain)| Shown { table, chain }));
        shown
    }
}

/// Whether its chains see frames and no packets of IP, so that they are not evaluated.
pub(crate) const fn is_of_frames(table: &Table) -> bool {
    matches!(table.family, Family::Bridge | Family::Arp)
}

/// Whether a chain is one that legacy iptables makes by itself, and does nothing.
pub(crate) fn is_idle(shown: Shown<'_>) -> bool {
    let accepts = |base: &Base| base.policy == ChainPolicy::Accept;
    shown.table.origin == Origin::IptablesLegacy
        && shown.chain.rules.is_empty()
        && shown.chain.base.as_ref().is_some_and(accepts)
}

type Name<'a> = (Family, &'a str, &'a str);

/// The chains that those shown ask, and those they ask in turn.
fn asked<'a>(shown: &[Shown<'a>]) -> std::collections::BTreeSet<Name<'a>> {
    let mut found = std::collections::BTreeSet::new();
    let mut open: Vec<Shown<'a>> = shown.to_vec();
    while let Some(Shown { table, chain }) = open.pop() {
        for name in chain.rules.iter().flat_map(|rule| targets(table, rule)) {
            if found.insert((table.family, &*table.name, name))
                && let Some((_, chain)) = table.chain(name)
            {
                open.push(Shown { table, chain });
            }
        }
    }
    found
}

fn targets<'a>(table: &'a Table, rule: &'a Rule) -> Vec<&'a str> {
    use portolan_core::firewall::{ElementValue, SetRef};
    let target = |verdict: &'a Verdict| match verdict {
        Verdict::Jump(to) | Verdict::Goto(to) => Some(&**to),
        _ => None,
    };
    let mut found = Vec::new();
    for statement in &rule.statements {
        match statement {
            Statement::Verdict(verdict) => found.extend(target(verdict)),
            Statement::VerdictMap { map, .. } => {
                let elements = match map {
                    SetRef::Inline(elements) => Some(elements),
                    SetRef::Named(name) => table.set(name).and_then(|set| set.elements.as_ref()),
                };
                found.extend(elements.into_iter().flat_map(|e| e.iter()).filter_map(|e| {
                    match &e.value {
                        ElementValue::Verdict(verdict) => target(verdict),
                        _ => None,
                    }
                }));
            }
            _ => {}
        }
    }
    found
}

/// Whether a part of a rule is not evaluated, so that answers hang on it.
pub(crate) fn is_open(rule: &Rule) -> bool {
    rule.statements.iter().any(|statement| match statement {
        Statement::Condition(condition) => condition.presumed.is_none(),
        Statement::Opaque { effect, .. } => *effect != Effect::Passes,
        Statement::Match(one) => {
            let is_of_nothing = matches!(one.test, Test::AnyBit(0));
            is_unknown(&one.left) && !is_of_nothing
        }
        Statement::VerdictMap { key, .. } | Statement::Update { key, .. } => is_unknown(key),
        Statement::Assign { value, .. } => is_unknown(value),
        Statement::Nat(nat) => nat.address.iter().chain(&nat.port).any(is_unknown),
        Statement::Verdict(_) | Statement::NoTrack | Statement::Template { .. } => false,
    })
}

fn is_unknown(expression: &Expression) -> bool {
    match expression {
        Expression::Unknown(_) => true,
        Expression::Bits { of, .. } => is_unknown(of),
        Expression::Concat(parts) => parts.iter().any(is_unknown),
        Expression::Lookup { key, .. } => is_unknown(key),
        Expression::Field(_) | Expression::Constant(_) | Expression::OneOf(_) => false,
    }
}
