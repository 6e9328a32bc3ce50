//! The packets whose key is in a set, also one that they changed themselves on their way.

use super::maps::elements_of;
use super::{Memo, Place};
use crate::firewall::analyse::number::{Key, Number, in_keys, in_ranges};
use crate::firewall::analyse::space::{Question, Space};
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::{Element, SetRef, Span};

impl Space {
    /// The packets whose key is in the set; `None` where its members are not known.
    pub(super) fn in_set(
        &mut self,
        parts: &[Number],
        set: &SetRef,
        at: Place<'_>,
        memo: &mut Memo,
    ) -> Result<Option<Region>, Undecided> {
        let Some(elements) = elements_of(set, at) else { return Ok(None) };
        let SetRef::Named(name) = set else {
            return self.in_elements(parts, &elements).map(Some);
        };
        let asked: Vec<Vec<Region>> = parts.iter().map(|part| part.bits.clone()).collect();
        let key = (at.rule.chain.table, name.clone(), asked);
        let region = match memo.sets.get(&key) {
            Some(known) => *known,
            None => {
                let region = self.in_elements(parts, &elements)?;
                memo.sets.insert(key, region);
                region
            }
        };
        self.as_changed(region, parts, name, at).map(Some)
    }

    /// The packets whose key is in a set after what they have put in and taken out themselves.
    fn as_changed(
        &mut self,
        mut region: Region,
        parts: &[Number],
        set: &str,
        at: Place<'_>,
    ) -> Result<Region, Undecided> {
        let table = at.rule.chain.table;
        for (number, change) in at.effect.changes_of(table, set).enumerate() {
            let bits: Vec<_> = parts.iter().map(|part| part.bits.as_slice()).collect();
            let same = match self.same_key(&bits, &change.key)? {
                Some(same) => same,
                None => {
                    let text = format!("what was put into @{set} is what is looked up");
                    self.asked_of_change(text, number, &bits, at)?
                }
            };
            region = match change.is_in {
                true => self.bdd.or(region, same)?,
                false => {
                    // Whether it was in there to be taken out, and is gone at once, nobody knows.
                    let text = format!("what was taken out of @{set} is still found");
                    let is_found = self.asked_of_change(text, number, &bits, at)?;
                    let others = self.bdd.minus(region, same)?;
                    let found = self.bdd.and(same, is_found)?;
                    self.bdd.or(others, found)?
                }
            };
        }
        Ok(region)
    }

    /// What nobody knows of a change: of each one for itself, and of each key.
    fn asked_of_change(
        &mut self,
        text: String,
        number: usize,
        key: &[&[Region]],
        at: Place<'_>,
    ) -> Result<Region, Undecided> {
        let name = format!("{text} {} {number} {key:?}", at.rule.chain.table);
        self.question(name, Question { rule: Some(at.rule), ..Question::new(text) })
    }

    /// The packets for which two keys are the same; `None` where that would be too much to know: two
    /// addresses of a packet are equal in too many ways.
    pub(in crate::firewall::analyse) fn same_key(
        &mut self,
        one: &[&[Region]],
        other: &[Vec<Region>],
    ) -> Result<Option<Region>, Undecided> {
        if one.len() != other.len() {
            return Ok(Some(Region::NONE));
        }
        let is_constant = |bits: &[Region]| bits.iter().all(|bit| bit.is_none() || bit.is_all());
        let mut same = Vec::new();
        for (one, other) in one.iter().zip(other) {
            if *one == other.as_slice() {
                continue;
            }
            if !is_constant(one) && !is_constant(other) {
                return Ok(None);
            }
            let width = one.len().max(other.len());
            let padded = |bits: &[Region]| {
                let mut all = vec![Region::NONE; width - bits.len()];
                all.extend_from_slice(bits);
                all
            };
            for (one, other) in padded(one).into_iter().zip(padded(other)) {
                same.push(!self.bdd.xor(one, other)?);
            }
        }
        self.bdd.intersection(same).map(Some)
    }

    /// The packets whose key is one of the elements'.
    pub(in crate::firewall::analyse) fn in_elements(
        &mut self,
        parts: &[Number],
        elements: &[Element],
    ) -> Result<Region, Undecided> {
        if let [part] = parts {
            let spans = elements.iter().filter_map(|element| element.key.first());
            let ranges: Vec<_> = spans.flat_map(|span| self.span_ranges(span, part)).collect();
            return in_ranges(&mut self.bdd, &part.bits, &ranges);
        }
        let keys: Vec<Key> = elements
            .iter()
            .filter(|element| element.key.len() == parts.len())
            .map(|element| {
                let spans = element.key.iter().zip(parts);
                spans.map(|(span, part)| self.span_ranges(span, part)).collect()
            })
            .collect();
        let parts: Vec<Vec<Region>> = parts.iter().map(|part| part.bits.clone()).collect();
        in_keys(&mut self.bdd, &parts, keys)
    }

    fn span_ranges(&self, span: &Span, part: &Number) -> Vec<(u128, u128)> {
        self.span_numbers(span, part.is_name)
    }

    pub(super) fn span_numbers(&self, span: &Span, is_name: bool) -> Vec<(u128, u128)> {
        match (span, is_name) {
            (Span::Numbers { low, high }, false) => vec![(*low, *high)],
            (Span::Names { text, is_prefix }, true) => self.interfaces.numbers(text, *is_prefix),
            _ => Vec::new(),
        }
    }
}
