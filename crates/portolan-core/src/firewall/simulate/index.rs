//! Finding a key among a set's members without asking each: 100,000 addresses are one look.
//!
//! Single numbers and ranges stand sorted; concatenations are found by the masks that occur among them
//! (tuple space search, Srinivasan 1999): one look in a hash table for each combination of masks.

use std::collections::HashMap;

use super::fields::Seen;
use crate::firewall::{Element, Span, Value};

/// Whether a key is in a set, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hit {
    /// It is this member.
    Yes(usize),
    No,
    /// That depends on what is not known.
    Perhaps,
}

/// A set made ready to be asked.
#[derive(Debug)]
pub(super) enum Index {
    /// Few members, or kinds that are asked one by one.
    Linear,
    /// Keys of one number: sorted, apart from each other.
    Spans(Vec<(u128, u128, usize)>),
    /// Keys of one name.
    Names { exact: HashMap<Box<str>, usize>, beginnings: Vec<usize> },
    /// Concatenations.
    Tuples { groups: Vec<Group>, rest: Vec<usize> },
}

/// Concatenations with the same masks.
#[derive(Debug)]
pub(super) struct Group {
    masks: Vec<u128>,
    members: HashMap<Vec<Value>, usize>,
}

/// Below this, asking each is quicker.
const FEW: usize = 8;
/// A concatenation with ranges is split into at most so many with prefixes.
const MAX_SPLIT: usize = 64;

impl Index {
    pub(super) fn new(elements: &[Element]) -> Self {
        let has_parts = |count| elements.iter().all(|element| element.key.len() == count);
        if elements.len() <= FEW {
            Self::Linear
        } else if has_parts(1) {
            Self::spans(elements).or_else(|| Self::names(elements)).unwrap_or(Self::Linear)
        } else {
            Self::tuples(elements)
        }
    }

    /// `None` if some are names, or if they overlap.
    fn spans(elements: &[Element]) -> Option<Self> {
        let mut spans = Vec::with_capacity(elements.len());
        for (at, element) in elements.iter().enumerate() {
            let Some(Span::Numbers { low, high }) = element.key.first() else { return None };
            spans.push((*low, *high, at));
        }
        spans.sort_unstable();
        let is_apart = spans.windows(2).all(|pair| match pair {
            [(_, high, _), (low, _, _)] => high < low,
            _ => true,
        });
        is_apart.then_some(Self::Spans(spans))
    }

    fn names(elements: &[Element]) -> Option<Self> {
        let (mut exact, mut beginnings) = (HashMap::new(), Vec::new());
        for (at, element) in elements.iter().enumerate() {
            match element.key.first() {
                Some(Span::Names { text, is_prefix: false }) => {
                    exact.entry(text.clone()).or_insert(at);
                }
                Some(Span::Names { .. }) => beginnings.push(at),
                _ => return None,
            }
        }
        Some(Self::Names { exact, beginnings })
    }

    fn tuples(elements: &[Element]) -> Self {
        let mut groups: HashMap<Vec<u128>, HashMap<Vec<Value>, usize>> = HashMap::new();
        let mut rest = Vec::new();
        for (at, element) in elements.iter().enumerate() {
            let Some(split) = split(&element.key) else {
                rest.push(at);
                continue;
            };
            for (masks, values) in split {
                groups.entry(masks).or_default().entry(values).or_insert(at);
            }
        }
        let groups = groups.into_iter().map(|(masks, members)| Group { masks, members }).collect();
        Self::Tuples { groups, rest }
    }

    /// Looks `key` up among the elements this index was made of.
    pub(super) fn find(&self, elements: &[Element], key: &[Seen<'_>]) -> Hit {
        match (self, key) {
            (Self::Spans(spans), [Seen::Number(n)]) => {
                let at = spans.partition_point(|(low, _, _)| low <= n);
                match at.checked_sub(1).and_then(|at| spans.get(at)) {
                    Some((_, high, element)) if n <= high => Hit::Yes(*element),
                    _ => Hit::No,
                }
            }
            (Self::Names { exact, beginnings }, [Seen::Name(name)]) => {
                let named = exact.get(&**name).copied();
                let hit = named.or_else(|| {
                    let begins = |at: &&usize| matches!(member(elements, **at, key), Hit::Yes(_));
                    beginnings.iter().find(begins).copied()
                });
                hit.map_or(Hit::No, Hit::Yes)
            }
            (Self::Tuples { groups, rest }, _) => {
                let Some(values) = values(key) else { return linear(elements, key) };
                let found = groups.iter().filter_map(|group| group.find(&values)).min();
                let others = rest
                    .iter()
                    .copied()
                    .filter(|at| matches!(member(elements, *at, key), Hit::Yes(_)));
                found.into_iter().chain(others).min().map_or(Hit::No, Hit::Yes)
            }
            _ => linear(elements, key),
        }
    }
}

impl Group {
    fn find(&self, values: &[Value]) -> Option<usize> {
        if values.len() != self.masks.len() {
            return None;
        }
        let masked = |(value, mask): (&Value, &u128)| match value {
            Value::Number(n) => Value::Number(n & mask),
            name @ Value::Name(_) => name.clone(),
        };
        let key: Vec<Value> = values.iter().zip(&self.masks).map(masked).collect();
        self.members.get(&key).copied()
    }
}

/// The key as values, if all of it is known exactly.
fn values(key: &[Seen<'_>]) -> Option<Vec<Value>> {
    let value = |seen: &Seen<'_>| match seen {
        Seen::Number(n) => Some(Value::Number(*n)),
        Seen::Name(name) => Some(Value::Name((**name).into())),
        _ => None,
    };
    key.iter().map(value).collect()
}

/// A key of spans as keys of masked values; `None` if that would be too many.
fn split(key: &[Span]) -> Option<Vec<(Vec<u128>, Vec<Value>)>> {
    let mut all = vec![(Vec::new(), Vec::new())];
    for span in key {
        let parts: Vec<(u128, Value)> = match span {
            Span::Names { text, is_prefix: false } => vec![(0, Value::Name(text.clone()))],
            Span::Names { .. } => return None,
            Span::Numbers { low, high } => prefixes(*low, *high),
        };
        if all.len().saturating_mul(parts.len()) > MAX_SPLIT {
            return None;
        }
        let with = |(masks, values): &(Vec<u128>, Vec<Value>), (mask, value): &(u128, Value)| {
            let (mut masks, mut values) = (masks.clone(), values.clone());
            masks.push(*mask);
            values.push(value.clone());
            (masks, values)
        };
        all = all.iter().flat_map(|one| parts.iter().map(move |part| with(one, part))).collect();
    }
    Some(all)
}

/// A range as the fewest aligned powers of two, each a mask and its value.
fn prefixes(low: u128, high: u128) -> Vec<(u128, Value)> {
    let mut parts = Vec::new();
    let mut from = low;
    loop {
        let mut bits = from.trailing_zeros().min(127);
        let room = high.saturating_sub(from);
        while bits > 0 && (1_u128 << bits) - 1 > room {
            bits -= 1;
        }
        let size_less_one = (1_u128 << bits) - 1;
        parts.push((!size_less_one, Value::Number(from)));
        match from.checked_add(size_less_one).and_then(|last| last.checked_add(1)) {
            Some(next) if next <= high => from = next,
            _ => return parts,
        }
    }
}

/// Asks each member.
pub(super) fn linear(elements: &[Element], key: &[Seen<'_>]) -> Hit {
    let mut hit = Hit::No;
    for at in 0..elements.len() {
        match member(elements, at, key) {
            Hit::Yes(at) => return Hit::Yes(at),
            Hit::Perhaps => hit = Hit::Perhaps,
            Hit::No => {}
        }
    }
    hit
}

/// Whether the key is this member.
pub(super) fn member(elements: &[Element], at: usize, key: &[Seen<'_>]) -> Hit {
    let Some(element) = elements.get(at).filter(|element| element.key.len() == key.len()) else {
        return Hit::No;
    };
    let mut hit = Hit::Yes(at);
    for (span, seen) in element.key.iter().zip(key) {
        match seen.within(span) {
            Some(true) => {}
            Some(false) => return Hit::No,
            None => hit = Hit::Perhaps,
        }
    }
    hit
}
