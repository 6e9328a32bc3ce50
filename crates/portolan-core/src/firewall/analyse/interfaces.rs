//! Interface names as small numbers, so that a wildcard is a set of them.
//!
//! Every name the rules or the machine know has a number of its own. All other names fall into
//! classes by the longest wildcard they match: wildcards are beginnings, so whoever matches a longer
//! one matches the shorter ones it begins with, and no two names of a class can be told apart.

use std::collections::BTreeSet;

use crate::firewall::device::Device;
use crate::firewall::{
    Element, ElementValue, Expression, Ruleset, SetRef, Span, Statement, Test, World,
};

/// The names and classes of names, numbered: known names first (the empty one is 0), then a class
/// for each wildcard, then the names that match none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interfaces {
    names: Vec<Box<str>>,
    wildcards: Vec<Box<str>>,
}

impl Interfaces {
    pub(super) fn of(rulesets: &[&Ruleset], world: &World) -> Self {
        let mut found = Found::default();
        found.names.insert("".into());
        found.names.insert("lo".into());
        found.names.extend(world.interfaces.iter().map(|interface| interface.name.clone()));
        found.names.extend(world.addresses.iter().map(|own| own.interface.clone()));
        found.names.extend(world.routes.iter().map(|route| route.interface.clone()));
        for ruleset in rulesets {
            found.ruleset(ruleset);
        }
        let names = found.names.into_iter().collect();
        Self { names, wildcards: found.wildcards.into_iter().collect() }
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> usize {
        self.names.len() + self.wildcards.len() + 1
    }

    /// The number of a name, a class's where it is not known by itself.
    pub(super) fn number(&self, name: &str) -> u128 {
        if let Ok(known) = self.names.binary_search_by(|known| (**known).cmp(name)) {
            return known as u128;
        }
        let fits = self.wildcards.iter().enumerate().filter(|(_, w)| name.starts_with(&***w));
        let class = fits.max_by_key(|(_, wildcard)| wildcard.len()).map(|(class, _)| class);
        (self.names.len() + class.unwrap_or(self.wildcards.len())) as u128
    }

    /// The numbers a span of names stands for.
    pub(super) fn numbers(&self, text: &str, is_prefix: bool) -> Vec<(u128, u128)> {
        if !is_prefix {
            let number = self.number(text);
            return vec![(number, number)];
        }
        let names = self.names.iter().enumerate().filter(|(_, name)| name.starts_with(text));
        let classes = self.wildcards.iter().enumerate().filter(|(_, w)| w.starts_with(text));
        let in_class = classes.map(|(class, _)| self.names.len() + class);
        let mut all: Vec<usize> = names.map(|(name, _)| name).chain(in_class).collect();
        if text.is_empty() {
            all.push(self.count() - 1);
        }
        all.into_iter().map(|number| (number as u128, number as u128)).collect()
    }

    /// A number as it is told: the name, the wildcard of a class, `others`.
    pub(super) fn shown(&self, number: u128) -> Box<str> {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        if let Some(name) = self.names.get(index) {
            return name.clone();
        }
        match self.wildcards.get(index - self.names.len()) {
            Some(wildcard) => format!("{wildcard}*").into(),
            None => "others".into(),
        }
    }

    /// A name with this number; for a class one that nobody has, for the names that match nothing `others`.
    pub(super) fn name(&self, number: u128) -> Box<str> {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        if let Some(name) = self.names.get(index) {
            return name.clone();
        }
        let begins = self.wildcards.get(index - self.names.len()).map_or("", |wildcard| wildcard);
        let ends = (0..MOST_INVENTED).map(|n| n.to_string());
        let ends = ends.chain(('a'..='z').map(String::from));
        let others = begins.is_empty().then(|| "others".into());
        let invented = ends.map(|end| format!("{begins}{end}").into_boxed_str());
        let mut fitting = others.into_iter().chain(invented).filter(|n| self.number(n) == number);
        fitting.next().unwrap_or_default()
    }

    /// The numbers of names that are known, but for that of none.
    pub(super) fn named(&self) -> (u128, u128) {
        (1, self.names.len() as u128 - 1)
    }

    /// Whether a number says no more than that it is not loopback's.
    pub(super) fn is_any(&self, number: u128) -> bool {
        self.wildcards.is_empty() && self.names.len() == 2 && number == 2
    }
}

/// So many names are tried where one is needed that nobody has.
const MOST_INVENTED: u32 = 10_000;

#[derive(Default)]
struct Found {
    names: BTreeSet<Box<str>>,
    wildcards: BTreeSet<Box<str>>,
}

impl Found {
    fn ruleset(&mut self, ruleset: &Ruleset) {
        for table in &ruleset.tables {
            table.sets.iter().filter_map(|set| set.elements.as_ref()).for_each(|elements| {
                self.elements(elements);
            });
            let bases = table.chains.iter().filter_map(|chain| chain.base.as_ref());
            for device in bases.flat_map(|base| &base.devices).map(|name| Device::named(name)) {
                self.name(device.text, device.is_prefix);
            }
            let rules = table.chains.iter().flat_map(|chain| &chain.rules);
            rules.flat_map(|rule| &rule.statements).for_each(|statement| self.statement(statement));
        }
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Match(wanted) => {
                self.expression(&wanted.left);
                match &wanted.test {
                    Test::In(set) | Test::NotIn(set) => self.set(set),
                    Test::AnyBit(_) | Test::NoBit(_) => {}
                }
            }
            Statement::VerdictMap { key, map } => {
                self.expression(key);
                self.set(map);
            }
            Statement::Assign { value, .. } => self.expression(value),
            Statement::Nat(nat) => {
                nat.address.iter().chain(&nat.port).for_each(|value| self.expression(value));
            }
            Statement::Update { key, .. } => {
                self.expression(key);
            }
            Statement::Condition(_)
            | Statement::Verdict(_)
            | Statement::NoTrack
            | Statement::Template { .. }
            | Statement::Opaque { .. } => {}
        }
    }

    fn expression(&mut self, expression: &Expression) {
        match expression {
            Expression::Lookup { key, map } => {
                self.expression(key);
                self.set(map);
            }
            Expression::Bits { of, .. } => self.expression(of),
            Expression::Concat(parts) => parts.iter().for_each(|part| self.expression(part)),
            Expression::OneOf(span) => self.span(span),
            Expression::Field(_) | Expression::Constant(_) | Expression::Unknown(_) => {}
        }
    }

    fn set(&mut self, set: &SetRef) {
        if let SetRef::Inline(elements) = set {
            self.elements(elements);
        }
    }

    fn elements(&mut self, elements: &[Element]) {
        for element in elements {
            element.key.iter().for_each(|span| self.span(span));
            if let ElementValue::Data(values) = &element.value {
                values.iter().for_each(|span| self.span(span));
            }
        }
    }

    fn span(&mut self, span: &Span) {
        if let Span::Names { text, is_prefix } = span {
            self.name(text, *is_prefix);
        }
    }

    fn name(&mut self, text: &str, is_prefix: bool) {
        let known = if is_prefix { &mut self.wildcards } else { &mut self.names };
        if !known.contains(text) {
            known.insert(text.into());
        }
    }
}
