//! Both sides of a proof in the same words.
//!
//! What packets and programs fill (doors, limits) is a question with the same name on both sides, so that
//! the proof holds whatever is in those sets. Everything else is left as it was read.

use super::super::gate::GATE;
use super::super::policy::Policy;
use super::super::rule::{Condition, Nat, NatKind};
use super::super::ruleset::{Base, Chain, ChainKind, ChainPolicy, Family, Hook, Origin};
use super::super::script::TABLE;
use super::super::value::{Set, SetRef, Span, Value};
use super::super::{Expression, Field, Match, Rule, Ruleset, Statement, Table, Test, Verdict};

/// Only the table that is ours; `None` where it is not there.
pub(super) fn ours(ruleset: &Ruleset) -> Option<Table> {
    let is_ours = |table: &&Table| table.family == Family::Inet && *table.name == *TABLE;
    ruleset.tables.iter().find(is_ours).map(|table| canonical(&in_force(table)))
}

/// Whether our table is on trial.
pub(super) fn is_on_trial(ruleset: &Ruleset) -> bool {
    let is_ours = |table: &&Table| table.family == Family::Inet && *table.name == *TABLE;
    let ours = ruleset.tables.iter().find(is_ours);
    ours.is_some_and(|table| table.sets.iter().any(|set| *set.name == *GATE))
}

/// A table on trial as it is as long as that lasts: without the rule that lets everything go on afterwards.
fn in_force(table: &Table) -> Table {
    let is_gate = |statement: &Statement| match statement {
        Statement::Match(Match { test: Test::NotIn(SetRef::Named(set)), .. }) => **set == *GATE,
        _ => false,
    };
    let mut table = table.clone();
    for chain in table.chains.iter_mut().filter(|chain| chain.base.is_some()) {
        if chain.rules.first().and_then(|rule| rule.statements.first()).is_some_and(is_gate) {
            chain.rules.remove(0);
        }
    }
    table
}

/// The plain rules of a policy, with the sets of the table they are held against.
pub(super) fn intended(policy: &Policy, sets: &[Set]) -> Option<Table> {
    let dynamic: Vec<Set> = sets.iter().filter(|set| is_filled(set)).cloned().collect();
    super::super::intent(policy, &dynamic).tables.first().map(canonical)
}

fn canonical(table: &Table) -> Table {
    let mut table = table.clone();
    for set in table.sets.iter_mut().filter(|set| is_filled(set)) {
        set.elements = None;
    }
    let filled: Vec<Box<str>> =
        table.sets.iter().filter(|set| is_filled(set)).map(|set| set.name.clone()).collect();
    for statement in statements(&mut table) {
        rephrase(statement, &filled);
    }
    table
}

/// Whether packets or programs fill it.
fn is_filled(set: &Set) -> bool {
    set.flags.is_dynamic || set.flags.has_timeout
}

fn statements(table: &mut Table) -> impl Iterator<Item = &mut Statement> {
    let rules = table.chains.iter_mut().flat_map(|chain| &mut chain.rules);
    rules.flat_map(|rule| &mut rule.statements)
}

/// A look into a set that is filled becomes a question; a limit counts for its set, whichever rule asks.
fn rephrase(statement: &mut Statement, filled: &[Box<str>]) {
    match statement {
        Statement::Match(Match { left, test }) => {
            let (set, is_negated) = match test {
                Test::In(SetRef::Named(set)) => (set, false),
                Test::NotIn(SetRef::Named(set)) => (set, true),
                _ => return,
            };
            if filled.contains(set) {
                *statement = Statement::Condition(Condition {
                    text: format!("{} in @{set}", in_words(left)).into(),
                    is_negated,
                    is_own: false,
                    presumed: Some(false),
                });
            }
        }
        Statement::Update { set, key, conditions, .. } => {
            for condition in conditions {
                condition.text =
                    format!("{} of {} in @{set}", condition.text, in_words(key)).into();
                condition.is_own = false;
            }
        }
        Statement::Nat(nat) => {
            for value in [&mut nat.address, &mut nat.port].into_iter().flatten() {
                one_value(value);
            }
        }
        _ => {}
    }
}

/// What is looked up, as nft writes it where a policy asks for it; two that differ are written apart.
fn in_words(expression: &Expression) -> String {
    match expression {
        Expression::Field(field) => match field {
            Field::Source4 => "ip saddr".to_owned(),
            Field::Source6 => "ip6 saddr".to_owned(),
            Field::Destination4 => "ip daddr".to_owned(),
            Field::Destination6 => "ip6 daddr".to_owned(),
            Field::SourcePort => "th sport".to_owned(),
            Field::DestinationPort => "th dport".to_owned(),
            Field::Protocol => "meta l4proto".to_owned(),
            other => format!("{other:?}"),
        },
        Expression::Bits { of, mask, flip: 0 } => format!("{} & {mask:#x}", in_words(of)),
        Expression::Concat(parts) => parts.iter().map(in_words).collect::<Vec<_>>().join(" . "),
        other => format!("{other:?}"),
    }
}

/// A choice of one is no choice.
fn one_value(expression: &mut Expression) {
    if let Expression::OneOf(Span::Numbers { low, high }) = expression
        && low == high
    {
        *expression = Expression::Constant(Value::Number(*low));
    }
}

/// Which packets a comparison is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Those that go where they are sent to: to this machine, or from it.
    Straight,
    /// Those that go through this machine, wherever another table translated them to.
    Through,
    /// Those that another table translated to this machine.
    TurnedHere,
}

impl Part {
    /// Whether a chain is asked about them. What is for this machine does not go through it, nor the other
    /// way round; where the address is anybody's, both ways would be taken for one.
    fn has(self, chain: &Chain) -> bool {
        let Some(base) = &chain.base else { return true };
        base.kind != ChainKind::Nat
            && match self {
                Self::Straight => true,
                Self::Through => base.hook != Hook::Input,
                Self::TurnedHere => !matches!(base.hook, Hook::Forward | Hook::Postrouting),
            }
    }
}

/// The rules that filter those packets, and beside them another table that may translate every
/// destination, so that what others publish is proved too.
pub(super) fn filtering(table: &Table, part: Part) -> Ruleset {
    let mut filtering = table.clone();
    filtering.chains.retain(|chain| part.has(chain));
    filtering.chains.push(tracking());
    let mut tables = vec![filtering];
    if part != Part::Straight {
        tables.extend([others(Family::Ip), others(Family::Ip6)]);
    }
    Ruleset { tables, notes: Vec::new() }
}

fn others(family: Family) -> Table {
    let last = if family == Family::Ip { u128::from(u32::MAX) } else { u128::MAX };
    let any = |high| Some(Expression::OneOf(Span::Numbers { low: 0, high }));
    let nat = Nat { kind: NatKind::Dnat, address: any(last), port: any(65_535), flags: Vec::new() };
    let condition = Condition {
        text: "another table translates the destination".into(),
        is_negated: false,
        is_own: false,
        presumed: Some(false),
    };
    let statements = vec![Statement::Condition(condition), Statement::Nat(nat)];
    let rules = vec![Rule { text: "dnat to anywhere".into(), statements, ..Rule::default() }];
    let base = base(ChainKind::Nat, Hook::Prerouting, -100);
    let chain = Chain { name: "prerouting".into(), base: Some(base), rules };
    Table {
        family,
        name: "others".into(),
        origin: Origin::Nft,
        is_dormant: false,
        chains: vec![chain],
        sets: Vec::new(),
    }
}

fn base(kind: ChainKind, hook: Hook, priority: i32) -> Base {
    let policy = ChainPolicy::Accept;
    Base { kind, hook, priority, sequence: 0, policy, devices: Vec::new() }
}

/// Every translation a table makes, once each.
pub(super) fn translations(table: &Table) -> Vec<Nat> {
    let mut found: Vec<Nat> = Vec::new();
    for rule in table.chains.iter().flat_map(|chain| &chain.rules) {
        for statement in &rule.statements {
            match statement {
                Statement::Nat(nat) if !found.contains(nat) => found.push(nat.clone()),
                _ => {}
            }
        }
    }
    found
}

/// The chains that translate, made into filters that drop what `chosen` would translate: two tables
/// translate alike if these drop alike for every translation.
pub(super) fn translating(table: &Table, hook: Hook, chosen: &Nat) -> Ruleset {
    let mut table = table.clone();
    table.chains.retain(|chain| {
        chain.base.as_ref().is_none_or(|b| b.kind == ChainKind::Nat && b.hook == hook)
    });
    for chain in &mut table.chains {
        if chain.base.is_some() {
            chain.base = Some(base(ChainKind::Filter, Hook::Prerouting, 0));
        }
    }
    for statement in statements(&mut table) {
        if let Statement::Nat(nat) = statement {
            let verdict = if nat == chosen { Verdict::Drop } else { Verdict::Accept };
            *statement = Statement::Verdict(verdict);
        }
    }
    table.chains.push(tracking());
    let mut tables = vec![table];
    if hook == Hook::Postrouting {
        // By then the destination may have been translated.
        tables.extend([others(Family::Ip), others(Family::Ip6)]);
    }
    Ruleset { tables, notes: Vec::new() }
}

/// Where a chain translates, connections are tracked and fragments put together; so it is here.
fn tracking() -> Chain {
    let state = Expression::Field(Field::CtState);
    let asks = Match { left: state, test: Test::AnyBit(super::super::bits::NEW) };
    let statements = vec![Statement::Match(asks), Statement::Verdict(Verdict::Continue)];
    let rules = vec![Rule { statements, ..Rule::default() }];
    let base = base(ChainKind::Filter, Hook::Prerouting, 1);
    Chain { name: TRACKING.into(), base: Some(base), rules }
}

/// Whether a chain is one of the table, and not of ours beside it.
pub(super) fn is_of_table(chain: &str) -> bool {
    chain != TRACKING
}

/// No chain of a policy is called that.
const TRACKING: &str = "tracking";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_into_a_set_that_packets_fill_is_told_as_nft_writes_it() {
        let field = |field| Expression::Field(field);
        let mask = u128::MAX << 64;
        let network = Expression::Bits { of: Box::new(field(Field::Source6)), mask, flip: 0 };
        for (left, words) in [
            (field(Field::Source4), "ip saddr in @door"),
            (
                Expression::Concat(vec![field(Field::Source4), field(Field::DestinationPort)]),
                "ip saddr . th dport in @door",
            ),
            (network, "ip6 saddr & 0xffffffffffffffff0000000000000000 in @door"),
        ] {
            let test = Test::In(SetRef::Named("door".into()));
            let mut statement = Statement::Match(Match { left, test });
            rephrase(&mut statement, &["door".into()]);
            let Statement::Condition(Condition { text, .. }) = statement else {
                panic!("{statement:?}")
            };
            assert_eq!(&*text, words);
        }
    }
}
