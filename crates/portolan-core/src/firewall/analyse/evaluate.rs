//! Which packets a match holds for, behind what earlier rules have done to them.

use std::collections::HashMap;

use super::effect::{Effect, Presaid};
use super::layout::{State, turned};
use super::number::{Key, Number, in_keys, in_ranges};
use super::space::{Question, Space};
use super::surroundings::Around;
use crate::firewall::bdd::{Bits, Region, Undecided};
use crate::firewall::{
    ChainId, Condition, Direction, Element, ElementValue, Elements, Expression, Field, Match,
    RuleId, Ruleset, SetRef, Span, Test, TupleSide, Value, bits,
};

/// Where something is evaluated: a rule, and what was done to the packet before.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) ruleset: &'a Ruleset,
    pub(super) rule: RuleId,
    pub(super) effect: &'a Effect,
    /// Whether connections are looked up already at this point of the way.
    pub(super) is_tracked: bool,
    pub(super) around: Around<'a>,
}

/// What tells the rule that chooses from others, also of another ruleset.
fn identity(at: Place<'_>) -> String {
    format!("{:?}", at.ruleset.identity(at.rule))
}

/// A value that depends on the packet.
pub(super) enum Evaluated {
    /// One number, or several for a concatenation.
    Numbers(Vec<Number>),
    /// Nobody knows: the words that ask for it.
    Open(String),
}

/// Results that are asked for again: big sets under the same bits.
#[derive(Debug, Default)]
pub(super) struct Memo {
    sets: HashMap<SetKey, Region>,
}

/// Which set of which table, asked with which bits.
type SetKey = (usize, Box<str>, Vec<Vec<Region>>);

/// A match that asks one field for its value, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InField {
    pub(super) bits: Bits,
    pub(super) ranges: Vec<(u128, u128)>,
}

impl InField {
    /// Whether the two ask for different variables.
    pub(super) const fn is_apart(&self, other: &Self) -> bool {
        self.bits.end() <= other.bits.first || other.bits.end() <= self.bits.first
    }
}

impl Space {
    /// A match as the ranges of one untouched field that every packet has; `None` for all others.
    pub(super) fn in_field(&self, wanted: &Match, at: Place<'_>) -> Option<InField> {
        let Match { left: Expression::Field(field), test: Test::In(SetRef::Inline(elements)) } =
            wanted
        else {
            return None;
        };
        let is_always_there = matches!(
            field,
            Field::InterfaceIn
                | Field::InterfaceOut
                | Field::Protocol
                | Field::Source4
                | Field::Source6
                | Field::Destination4
                | Field::Destination6
                | Field::SourcePort
                | Field::DestinationPort
        );
        let bits = self.layout.plain(*field, self.is_v6).filter(|_| is_always_there)?;
        if bits.variables().any(|variable| at.effect.get(variable).is_some()) {
            return None;
        }
        let is_name = matches!(field, Field::InterfaceIn | Field::InterfaceOut);
        let spans = elements.iter().filter_map(|element| element.key.first());
        let ranges = spans.flat_map(|span| self.span_numbers(span, is_name)).collect();
        Some(InField { bits, ranges })
    }

    /// The packets for which the match holds.
    pub(super) fn matching(
        &mut self,
        wanted: &Match,
        at: Place<'_>,
        memo: &mut Memo,
    ) -> Result<Region, Undecided> {
        let parts = match self.evaluate(&wanted.left, at, memo)? {
            Evaluated::Numbers(parts) => parts,
            Evaluated::Open(_) => {
                let inside = self.open_match(wanted, &[], at)?;
                return Ok(if is_negated(&wanted.test) { !inside } else { inside });
            }
        };
        let known: Vec<Region> = parts.iter().map(|part| part.known).collect();
        let known = self.bdd.intersection(known)?;
        if known.is_none() {
            return Ok(known);
        }
        let inside = match &wanted.test {
            Test::In(set) | Test::NotIn(set) => match self.in_set(&parts, set, at, memo)? {
                Some(inside) => inside,
                None => self.open_match(wanted, &parts, at)?,
            },
            Test::AnyBit(mask) | Test::NoBit(mask) => self.any_bit(&parts, *mask)?,
        };
        let inside = self.unless_untold(wanted, inside, at)?;
        self.bdd.and(known, if is_negated(&wanted.test) { !inside } else { inside })
    }

    /// What is asked of a connection's ends is open where nothing tells them: of what protocols without ports
    /// have in their place, and of the connection that an ICMP error is about.
    fn unless_untold(
        &mut self,
        wanted: &Match,
        inside: Region,
        at: Place<'_>,
    ) -> Result<Region, Undecided> {
        let Some(asks_ports) = asks_tuple(&wanted.left) else { return Ok(inside) };
        let related = self.bdd.equal(self.layout.state, State::Related.number())?;
        let (icmp, icmpv6) = (self.protocol(1)?, self.protocol(58)?);
        let icmp = self.bdd.or(icmp, icmpv6)?;
        let mut untold = self.bdd.and(related, icmp)?;
        if asks_ports {
            let ports = self.protocols_with_ports()?;
            untold = self.bdd.or(untold, !ports)?;
        }
        if at.effect.has_port_written {
            untold = Region::ALL;
        }
        let open = self.open_match(wanted, &[], at)?;
        self.bdd.either(untold, open, inside)
    }

    fn any_bit(&mut self, parts: &[Number], mask: u128) -> Result<Region, Undecided> {
        let picked = parts.first().map(|number| number.picked(mask)).unwrap_or_default();
        self.bdd.union(picked)
    }

    /// The packets for which a condition holds.
    pub(super) fn condition(
        &mut self,
        asked: &Condition,
        at: Place<'_>,
    ) -> Result<Region, Undecided> {
        let rule = asked.is_own.then_some(at.rule);
        // Not by its number: where a table or a rule before it is another, the limit is the same.
        let own = rule.map(|rule| at.ruleset.identity(rule));
        // Of a translated packet it may hold where it did not before.
        let sides = if own.is_none() { self.translated_sides(at.effect) } else { [false; 2] };
        let key = format!("condition {own:?} {sides:?} {}", asked.text);
        let question = Question {
            text: asked.text.to_string(),
            rule,
            presumed: asked.presumed,
            is_choice: false,
        };
        let holds = self.question(key, question)?;
        Ok(if asked.is_negated { !holds } else { holds })
    }

    /// Whether something nobody knows is in what it is compared with. The same comparison of the
    /// same bits has the same answer, in whichever rule of the table it stands.
    fn open_match(
        &mut self,
        wanted: &Match,
        parts: &[Number],
        at: Place<'_>,
    ) -> Result<Region, Undecided> {
        let words = match &wanted.test {
            Test::In(set) | Test::NotIn(set) => match set {
                SetRef::Inline(elements) if elements.len() > 4 => format!("{:?}", at.rule),
                set => format!("{set:?}"),
            },
            Test::AnyBit(mask) | Test::NoBit(mask) => format!("bits {mask}"),
        };
        let bits: Vec<_> = parts.iter().map(|part| &part.bits).collect();
        let sides = self.translated_sides(at.effect);
        let changes = at.effect.changes_of(at.rule.chain.table, set_name(&wanted.test)).count();
        let key = format!(
            "match {} {:?} {words} {bits:?} {sides:?} {changes}",
            at.rule.chain.table, wanted.left
        );
        let text = at.ruleset.rule(at.rule).map_or_else(String::new, |rule| rule.text.to_string());
        let question = Question { text, rule: Some(at.rule), presumed: None, is_choice: false };
        self.question(key, question)
    }

    pub(super) fn evaluate(
        &mut self,
        expression: &Expression,
        at: Place<'_>,
        memo: &mut Memo,
    ) -> Result<Evaluated, Undecided> {
        Ok(match expression {
            Expression::Field(Field::Fib { key, result }) => return self.fib(*key, *result, at),
            Expression::Field(field) => match self.field(*field, at)? {
                Some(number) => Evaluated::Numbers(vec![number]),
                None => Evaluated::Open(format!("{field:?}")),
            },
            Expression::Bits { of, mask, flip } => match self.evaluate(of, at, memo)? {
                Evaluated::Numbers(parts) => Evaluated::Numbers(
                    parts.into_iter().map(|part| part.masked(*mask, *flip)).collect(),
                ),
                open @ Evaluated::Open(_) => open,
            },
            Expression::Concat(parts) => {
                let mut numbers = Vec::new();
                for part in parts {
                    match self.evaluate(part, at, memo)? {
                        Evaluated::Numbers(more) => numbers.extend(more),
                        open @ Evaluated::Open(_) => return Ok(open),
                    }
                }
                Evaluated::Numbers(numbers)
            }
            Expression::Lookup { key, map } => self.looked_up(key, map, at, memo)?,
            Expression::Constant(value) => Evaluated::Numbers(vec![self.constant(value)]),
            Expression::OneOf(span) => self.one_of(span, &|| identity(at))?,
            Expression::Unknown(text) => Evaluated::Open(text.to_string()),
        })
    }

    fn constant(&self, value: &Value) -> Number {
        match value {
            Value::Number(number) => {
                Number::constant(*number, if *number >> 32 == 0 { 32 } else { 128 })
            }
            Value::Name(name) => {
                let width = self.layout.interface_in.width;
                let number = Number::constant(self.interfaces.number(name), width);
                Number { is_name: true, ..number }
            }
        }
    }

    fn choice_words(&self, low: u128, high: u128) -> String {
        match high > 0xffff {
            true => format!("one of {}-{}", self.address(low), self.address(high)),
            false => format!("one of {low}-{high}"),
        }
    }

    /// A number by chance: as many free bits as it takes, bent into the span. Chosen `by` the same it is
    /// the same.
    pub(super) fn one_of(
        &mut self,
        span: &Span,
        by: &dyn Fn() -> String,
    ) -> Result<Evaluated, Undecided> {
        let Span::Numbers { low, high } = span else {
            return Ok(Evaluated::Open(format!("{span:?}")));
        };
        if low == high {
            return Ok(Evaluated::Numbers(vec![self.constant(&Value::Number(*low))]));
        }
        let width = 128 - high.leading_zeros();
        let by = by();
        let mut chosen = Vec::new();
        for bit in 0..width {
            let text = self.choice_words(*low, *high);
            let key = format!("choice {by} {low} {high} {bit}");
            let question = Question { text, rule: None, presumed: None, is_choice: true };
            chosen.push(self.question(key, question)?);
        }
        let inside = in_ranges(&mut self.bdd, &chosen, &[(*low, *high)])?;
        let lowest = Number::constant(*low, width);
        let mut bits = vec![Region::NONE; 128 - width as usize];
        for (bit, fallback) in chosen.into_iter().zip(lowest.bits) {
            bits.push(self.bdd.either(inside, bit, fallback)?);
        }
        let from = if width <= 32 { 96 } else { 0 };
        bits.drain(..from);
        Ok(Evaluated::Numbers(vec![Number { bits, known: Region::ALL, is_name: false }]))
    }

    /// What a map gives for a key.
    fn looked_up(
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
            given.push(Number { known: Region::NONE, ..Number::constant(0, 1) });
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

    /// The packets whose key is in the set; `None` where its members are not known.
    fn in_set(
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
                    let key = format!("{text} {table} {number} {bits:?}");
                    let rule = Some(at.rule);
                    let question = Question { text, rule, presumed: None, is_choice: false };
                    self.question(key, question)?
                }
            };
            region = match change.is_in {
                true => self.bdd.or(region, same)?,
                false => {
                    // Whether it was in there to be taken out, and is gone at once, nobody knows.
                    let text = format!("what was taken out of @{set} is still found");
                    let key = format!("{text} {table} {number} {bits:?}");
                    let rule = Some(at.rule);
                    let question = Question { text, rule, presumed: None, is_choice: false };
                    let is_found = self.question(key, question)?;
                    let others = self.bdd.minus(region, same)?;
                    let found = self.bdd.and(same, is_found)?;
                    self.bdd.or(others, found)?
                }
            };
        }
        Ok(region)
    }

    /// The packets for which two keys are the same; `None` where that would be too much to know: two
    /// addresses of a packet are equal in too many ways.
    pub(super) fn same_key(
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
    pub(super) fn in_elements(
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

    fn span_numbers(&self, span: &Span, is_name: bool) -> Vec<(u128, u128)> {
        match (span, is_name) {
            (Span::Numbers { low, high }, false) => vec![(*low, *high)],
            (Span::Names { text, is_prefix }, true) => self.interfaces.numbers(text, *is_prefix),
            _ => Vec::new(),
        }
    }
}

/// Fields.
impl Space {
    /// A field's bits as they are now.
    pub(super) fn bits_now(
        &mut self,
        field: Bits,
        effect: &Effect,
    ) -> Result<Vec<Region>, Undecided> {
        field
            .variables()
            .map(|variable| match effect.get(variable) {
                Some(value) => Ok(value),
                None => self.bdd.variable(variable),
            })
            .collect()
    }

    fn field(&mut self, field: Field, at: Place<'_>) -> Result<Option<Number>, Undecided> {
        if let Some(constant) = self.given(field) {
            return Ok(Some(constant));
        }
        Ok(Some(match field {
            Field::CtState => self.state(at)?,
            Field::CtTuple(direction, side) => return self.tuple(direction, side, at),
            // As the simulator: what comes in may have got a socket already.
            Field::SocketUser | Field::SocketGroup if !at.around.is_own => return Ok(None),
            Field::PacketType if at.around.is_own => Number::constant(bits::PACKET_HOST, 8),
            Field::NextHeader6 if self.is_v6 => self.next_header(at)?,
            Field::FragmentOffset if !self.is_v6 => self.fragment_offset(at)?,
            Field::Length6 if self.is_v6 => self.payload_length(at)?,
            _ => {
                let Some(bits) = self.layout.plain(field, self.is_v6) else {
                    return Ok(if is_of_other_family(field, self.is_v6) {
                        Some(Number { known: Region::NONE, ..Number::constant(0, 1) })
                    } else {
                        None
                    });
                };
                let known = self.availability(field, at)?;
                let is_name = matches!(field, Field::InterfaceIn | Field::InterfaceOut);
                Number { bits: self.bits_now(bits, at.effect)?, known, is_name }
            }
        }))
    }

    /// Fields that are the same for every packet of the family.
    fn given(&self, field: Field) -> Option<Number> {
        let value = match (field, self.is_v6) {
            (Field::NetworkProtocol, false) => bits::NFPROTO_IPV4,
            (Field::NetworkProtocol, true) => bits::NFPROTO_IPV6,
            (Field::EtherType, false) => 0x0800,
            (Field::EtherType, true) => 0x86dd,
            _ => return None,
        };
        Some(Number::constant(value, 16))
    }

    /// For which packets a field is there.
    fn availability(&mut self, field: Field, at: Place<'_>) -> Result<Region, Undecided> {
        // The transport header too: in a later fragment rules read what stands in its place.
        match field {
            Field::CtStatus | Field::CtDirection | Field::CtMark => self.has_connection(at),
            Field::SocketUser | Field::SocketGroup => {
                let has = self.bits_now(self.layout.has_socket, at.effect)?;
                Ok(has.first().copied().unwrap_or(Region::NONE))
            }
            _ => Ok(Region::ALL),
        }
    }

    /// The packets that belong to a connection here: looked up, and neither invalid nor untracked.
    pub(super) fn has_connection(&mut self, at: Place<'_>) -> Result<Region, Undecided> {
        if !at.is_tracked || at.effect.connection != Presaid::Nothing {
            return Ok(Region::NONE);
        }
        self.bdd.range(self.layout.state, 0, State::Related.number())
    }

    /// `ct state`: before connections are looked up every packet is `invalid`
    /// (net/netfilter/nft_ct.c), but for those that said they are not to be.
    fn state(&mut self, at: Place<'_>) -> Result<Number, Undecided> {
        match at.effect.connection {
            Presaid::Untracked => return Ok(Number::constant(bits::UNTRACKED, 32)),
            Presaid::Template => return Ok(Number::constant(bits::NEW, 32)),
            Presaid::Nothing => {}
        }
        if !at.is_tracked {
            return Ok(Number::constant(bits::INVALID, 32));
        }
        let mut number = Number::constant(0, 32);
        for state in State::ALL {
            let place = 31 - state.bit().trailing_zeros() as usize;
            number.bits[place] = self.bdd.equal(self.layout.state, state.number())?;
        }
        Ok(number)
    }

    /// One of the time to live is gone (ip_forward, before the hook); 0 stays.
    pub(super) fn lose_a_hop(&mut self, effect: &mut Effect) -> Result<(), Undecided> {
        let ttl = self.layout.ttl;
        let now = self.bits_now(ttl, effect)?;
        let mut borrow = Region::ALL;
        let mut less = Vec::with_capacity(now.len());
        for bit in now.iter().rev() {
            less.push(self.bdd.xor(*bit, borrow)?);
            borrow = self.bdd.minus(borrow, *bit)?;
        }
        for (variable, bit) in ttl.variables().zip(less.into_iter().rev()) {
            let bit = self.bdd.minus(bit, borrow)?;
            effect.set(variable, bit);
        }
        Ok(())
    }

    /// `ip6 length`: without the fixed header's 40 bytes.
    fn payload_length(&mut self, at: Place<'_>) -> Result<Number, Undecided> {
        let whole = self.bits_now(self.layout.length, at.effect)?;
        let mut borrow = Region::NONE;
        let mut less = Vec::with_capacity(whole.len());
        for (bit, taken) in whole.iter().zip(Number::constant(40, 16).bits).rev() {
            // What is taken is the same for every packet, so each step asks one bit and the borrow.
            let (without, with) = if taken.is_all() { (!*bit, *bit) } else { (*bit, !*bit) };
            less.push(self.bdd.either(borrow, with, without)?);
            borrow = match taken.is_all() {
                true => self.bdd.or(borrow, !*bit)?,
                false => self.bdd.minus(borrow, *bit)?,
            };
        }
        let mut bits = Vec::with_capacity(less.len());
        for bit in less.into_iter().rev() {
            bits.push(self.bdd.minus(bit, borrow)?);
        }
        Ok(Number { bits, known: Region::ALL, is_name: false })
    }

    /// `ip frag-off`: how far a later fragment lies does not matter, so it is 1. Whether a packet is not to be
    /// fragmented (DF, RFC 791 §3.1), stands in the same bytes, and is its sender's affair: a question.
    fn fragment_offset(&mut self, at: Place<'_>) -> Result<Number, Undecided> {
        let mut number = Number::constant(0, 16);
        let place = number.bits.len() - 1 - bits::DONT_FRAGMENT.trailing_zeros() as usize;
        let text = bits::ASKS_DONT_FRAGMENT.to_owned();
        let question = Question { text, rule: None, presumed: None, is_choice: false };
        number.bits[place] = self.question(bits::ASKS_DONT_FRAGMENT.to_owned(), question)?;
        number.bits[15] = self.bits_now(self.layout.later_fragment, at.effect)?[0];
        Ok(number)
    }

    /// `ip6 nexthdr`: that of the fixed header, which is "fragment" (44) for later fragments.
    fn next_header(&mut self, at: Place<'_>) -> Result<Number, Undecided> {
        let fragment = self.bits_now(self.layout.later_fragment, at.effect)?;
        let fragment = fragment.first().copied().unwrap_or(Region::NONE);
        let mut bits = self.bits_now(self.layout.protocol, at.effect)?;
        for (bit, of_fragment) in bits.iter_mut().zip(Number::constant(44, 8).bits) {
            *bit = self.bdd.either(fragment, of_fragment, *bit)?;
        }
        Ok(Number { bits, known: Region::ALL, is_name: false })
    }

    /// A part of the connection's tuple. The first packet's is the packet as it came; of answers it
    /// is what they become when the translation is undone. What answers look like is what the packet
    /// is now, turned around.
    fn tuple(
        &mut self,
        direction: Direction,
        side: TupleSide,
        at: Place<'_>,
    ) -> Result<Option<Number>, Undecided> {
        let (Some((here, _)), Some((across, becomes))) =
            (self.layout.tuple(side, self.is_v6), self.layout.tuple(turned(side), self.is_v6))
        else {
            return Ok(Some(Number { known: Region::NONE, ..Number::constant(0, 1) }));
        };
        let known = self.has_connection(at)?;
        let reply = self.bdd.variable(self.layout.direction.first)?;
        let goes_back = if direction == Direction::Reply { !reply } else { reply };
        let translated = self.across_translated(side, direction)?;
        let new = self.bdd.equal(self.layout.state, State::New.number())?;
        let translated = self.bdd.minus(translated, new)?;
        let now = self.bits_now(across, at.effect)?;
        let mut bits = Vec::new();
        for (place, (here, becomes)) in here.variables().zip(becomes.variables()).enumerate() {
            let here = self.bdd.variable(here)?;
            let becomes = self.bdd.variable(becomes)?;
            let turned = self.bdd.either(translated, becomes, now[place])?;
            bits.push(self.bdd.either(goes_back, turned, here)?);
        }
        Ok(Some(Number { bits, known, is_name: false }))
    }

    /// Of packets that go the other way than the tuple: those whose other end was translated.
    fn across_translated(
        &mut self,
        side: TupleSide,
        direction: Direction,
    ) -> Result<Region, Undecided> {
        let is_source =
            matches!(side, TupleSide::Source4 | TupleSide::Source6 | TupleSide::SourcePort);
        let status = match (direction, is_source) {
            (_, _) if side == TupleSide::Protocol => return Ok(Region::NONE),
            (Direction::Original, true) | (Direction::Reply, false) => bits::STATUS_SNAT,
            _ => bits::STATUS_DNAT,
        };
        self.bdd.any_bit(self.layout.status, status)
    }
}

const fn is_negated(test: &Test) -> bool {
    matches!(test, Test::NotIn(_) | Test::NoBit(_))
}

/// Whether an expression asks of a connection's ends, and whether of ports.
fn asks_tuple(expression: &Expression) -> Option<bool> {
    match expression {
        Expression::Field(Field::CtTuple(_, side)) => {
            Some(matches!(side, TupleSide::SourcePort | TupleSide::DestinationPort))
        }
        Expression::Bits { of, .. } => asks_tuple(of),
        Expression::Lookup { key, .. } => asks_tuple(key),
        Expression::Concat(parts) => {
            parts.iter().filter_map(asks_tuple).reduce(|one, other| one || other)
        }
        _ => None,
    }
}

const fn is_of_other_family(field: Field, is_v6: bool) -> bool {
    match field {
        Field::Source4 | Field::Destination4 | Field::Length4 | Field::FragmentOffset => is_v6,
        Field::Source6 | Field::Destination6 | Field::Length6 | Field::NextHeader6 => !is_v6,
        _ => false,
    }
}

/// The members of a set, where they are known.
pub(super) fn elements_of(set: &SetRef, at: Place<'_>) -> Option<Elements> {
    let ChainId { table, .. } = at.rule.chain;
    match set {
        SetRef::Inline(elements) => Some(elements.clone()),
        SetRef::Named(name) => at.ruleset.tables.get(table)?.set(name)?.elements.clone(),
    }
}

/// The name of the set that is asked, empty where it has none.
fn set_name(test: &Test) -> &str {
    match test {
        Test::In(SetRef::Named(name)) | Test::NotIn(SetRef::Named(name)) => name,
        _ => "",
    }
}

fn set_words(set: &SetRef) -> String {
    match set {
        SetRef::Named(name) => format!("@{name}"),
        SetRef::Inline(_) => "a set".to_owned(),
    }
}
