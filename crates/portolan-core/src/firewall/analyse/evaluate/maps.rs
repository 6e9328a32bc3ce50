//! What a map gives for a key.

use super::{Evaluated, Memo, Place, identity};
use crate::firewall::analyse::number::Number;
use crate::firewall::analyse::space::Space;
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::{ChainId, ElementValue, Elements, Expression, SetRef, Span, Value};

impl Space {
    /// What a map gives for a key.
    pub(super) fn looked_up(
        &mut self,
        key: &Expression,
        map: &SetRef,
        at: Place<'_>,
        memo: &mut Memo,
    ) -> Result<Evaluated, Undecided> {
        let parts = match self.evaluate(key, at, memo)? {
            Evaluated::Numbers(parts) => parts,
            open @ Evaluated::Open(_) => return Ok(open),
        };
        let Some(elements) = elements_of(map, at) else {
            return Ok(Evaluated::Open(set_words(map)));
        };
        let mut given: Vec<Number> = Vec::new();
        let mut known = Region::NONE;
        for element in elements.iter() {
            let ElementValue::Data(values) = &element.value else { continue };
            let fits = self.in_elements(&parts, std::slice::from_ref(element))?;
            let fits = self.bdd.minus(fits, known)?;
            known = self.bdd.or(known, fits)?;
            for (place, value) in values.iter().enumerate() {
                let value = match self.span_value(value, at)? {
                    Evaluated::Numbers(mut numbers) => numbers.remove(0),
                    open @ Evaluated::Open(_) => return Ok(open),
                };
                self.merge(&mut given, place, fits, &value)?;
            }
        }
        for part in &parts {
            known = self.bdd.and(known, part.known)?;
        }
        given.iter_mut().for_each(|number| number.known = known);
        if given.is_empty() {
            given.push(Number::absent());
        }
        Ok(Evaluated::Numbers(given))
    }

    fn span_value(&mut self, span: &Span, at: Place<'_>) -> Result<Evaluated, Undecided> {
        match span {
            Span::Names { text, .. } => {
                let value = self.constant(&Value::Name(text.clone()));
                Ok(Evaluated::Numbers(vec![value]))
            }
            Span::Numbers { .. } => self.one_of(span, &|| identity(at)),
        }
    }

    /// Part `place` of `given` becomes `value` where `fits`.
    fn merge(
        &mut self,
        given: &mut Vec<Number>,
        place: usize,
        fits: Region,
        value: &Number,
    ) -> Result<(), Undecided> {
        while given.len() <= place {
            given.push(Number { is_name: value.is_name, ..Number::constant(0, 1) });
        }
        let number = &mut given[place];
        let width = number.bits.len().max(value.bits.len());
        let missing = width - number.bits.len();
        number.bits.splice(0..0, std::iter::repeat_n(Region::NONE, missing));
        let offset = width - value.bits.len();
        for (index, bit) in value.bits.iter().enumerate() {
            let one = self.bdd.and(fits, *bit)?;
            number.bits[offset + index] = self.bdd.or(number.bits[offset + index], one)?;
        }
        Ok(())
    }
}

/// The members of a set, where they are known.
pub(in crate::firewall::analyse) fn elements_of(set: &SetRef, at: Place<'_>) -> Option<Elements> {
    let ChainId { table, .. } = at.rule.chain;
    match set {
        SetRef::Inline(elements) => Some(elements.clone()),
        SetRef::Named(name) => at.ruleset.tables.get(table)?.set(name)?.elements.clone(),
    }
}

fn set_words(set: &SetRef) -> String {
    match set {
        SetRef::Named(name) => format!("@{name}"),
        SetRef::Inline(_) => "a set".to_owned(),
    }
}
