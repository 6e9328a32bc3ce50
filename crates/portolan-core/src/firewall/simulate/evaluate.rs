//! Expressions and comparisons of rules.

use super::answers::{About, Question};
use super::fields::Seen;
use super::index::Hit;
use super::lookup::Asked;
use super::path::{Link, Walker};
use crate::firewall::{
    Element, ElementValue, Expression, Field, Match, RuleId, SetRef, Span, Test, Value, bits,
};

/// An interface that was not given is asked for by name in sets of at most so many.
const MAX_NAMES: usize = 64;

/// Where in the ruleset a statement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) rule: RuleId,
    /// Its index in the rule.
    pub(super) statement: usize,
}

impl<'r> Walker<'r> {
    /// What an expression gives.
    pub(super) fn see(&mut self, expression: &'r Expression, at: Place) -> Seen<'static> {
        match expression {
            Expression::Field(Field::FragmentOffset) => self.fragment_offset(at),
            Expression::Field(field) => self.field(*field).owned(),
            Expression::Constant(Value::Number(n)) => Seen::Number(*n),
            Expression::Constant(Value::Name(name)) => Seen::Name(name.to_string().into()),
            Expression::Bits { of, mask, flip } => {
                let is_whole = **of == Expression::Field(Field::FragmentOffset)
                    && mask & bits::DONT_FRAGMENT == 0;
                let seen = match is_whole {
                    true => self.field(Field::FragmentOffset).owned(),
                    false => self.see(of, at),
                };
                bits_of(seen, *mask, *flip)
            }
            Expression::OneOf(span) => one_of(span),
            Expression::Unknown(text) => Seen::Open(text.to_string().into()),
            Expression::Concat(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| self.see(part, at)).collect();
                if parts.contains(&Seen::Missing) { Seen::Missing } else { Seen::Parts(parts) }
            }
            Expression::Lookup { key, map } => self.see_in_map(key, map, at),
        }
    }

    /// `ip frag-off`, with the bit that says whether the packet is not to be fragmented: that is asked for.
    fn fragment_offset(&mut self, at: Place) -> Seen<'static> {
        match self.field(Field::FragmentOffset).owned() {
            Seen::Number(offset) => {
                let is_set = self.ask(bits::ASKS_DONT_FRAGMENT, Some(at), About::Header, None);
                Seen::Number(if is_set { offset | bits::DONT_FRAGMENT } else { offset })
            }
            other => other,
        }
    }

    fn see_in_map(&mut self, key: &'r Expression, map: &'r SetRef, at: Place) -> Seen<'static> {
        let key = self.see(key, at);
        if key == Seen::Missing {
            return Seen::Missing;
        }
        let table = at.rule.chain.table;
        let Asked::Members(elements, _) = self.members(map, table) else {
            return Seen::Open("a map that could not be read".into());
        };
        match self.find(map, table, &key) {
            Hit::Yes(found) => elements.get(found).map_or(Seen::Missing, data),
            Hit::No => Seen::Missing,
            Hit::Perhaps => match self.choose(elements, &key, at) {
                Some(found) => elements.get(found).map_or(Seen::Missing, data),
                None => Seen::Missing,
            },
        }
    }

    /// Which member a key is that is known only roughly: each that it may be is asked for in turn.
    pub(super) fn choose(
        &mut self,
        elements: &'r [Element],
        key: &Seen<'_>,
        at: Place,
    ) -> Option<usize> {
        let parts = match key {
            Seen::Parts(parts) => parts.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut perhaps = Vec::new();
        let mut last = None;
        for found in 0..elements.len() {
            match super::index::member(elements, found, parts) {
                Hit::Yes(found) => {
                    last = Some(found);
                    break;
                }
                Hit::Perhaps => perhaps.push(found),
                Hit::No => {}
            }
        }
        // Where they are all that it can be, it is one of them.
        if last.is_none() && are_all(elements, &perhaps, parts) {
            last = perhaps.pop();
        }
        for found in perhaps {
            let text = format!("{}: it is entry {}", self.text_of(at), found + 1);
            if self.ask(&text, Some(at), About::Lookup, None) {
                return Some(found);
            }
        }
        last
    }

    /// One of a few numbers, each of which is asked for.
    pub(super) fn settle_number(&mut self, (low, high): (u128, u128), at: Place) -> u128 {
        for number in low..high {
            let text = format!("{}: it is {number}", self.text_of(at));
            let key = format!("{text} {at:?}");
            if self.ask_as(&text, Some(at), About::Lookup, None, key) {
                return number;
            }
        }
        high
    }

    /// Whether a comparison holds.
    pub(super) fn holds(&mut self, found: &'r Match, at: Place) -> bool {
        let table = at.rule.chain.table;
        match &found.test {
            Test::In(set) | Test::NotIn(set) => {
                let wants = matches!(found.test, Test::In(_));
                if let Some(is_in) = self.settle_link(&found.left, set, at) {
                    return is_in == wants;
                }
                let (hit, seen) = match &found.left {
                    // The most frequent look, without a copy.
                    Expression::Field(field) if *field != Field::FragmentOffset => {
                        let seen = self.field(*field);
                        if seen == Seen::Missing {
                            return false;
                        }
                        match self.find(set, table, &seen) {
                            Hit::Perhaps => (Hit::Perhaps, seen.owned()),
                            sure => (sure, Seen::Missing),
                        }
                    }
                    left => {
                        let seen = self.see(left, at);
                        if seen == Seen::Missing {
                            return false;
                        }
                        (self.find(set, table, &seen), seen)
                    }
                };
                match hit {
                    Hit::Yes(_) => wants,
                    Hit::No => !wants,
                    Hit::Perhaps => self.ask_match(found, &seen, at),
                }
            }
            Test::AnyBit(mask) | Test::NoBit(mask) => {
                let wants = matches!(found.test, Test::AnyBit(_));
                match self.see(&found.left, at) {
                    Seen::Number(n) => (n & mask != 0) == wants,
                    seen @ (Seen::Range(..) | Seen::Open(_)) => self.ask_match(found, &seen, at),
                    Seen::Missing | Seen::Name(_) | Seen::Parts(_) => false,
                }
            }
        }
    }

    /// Whether a comparison holds of which one side is not known.
    fn ask_match(&mut self, found: &Match, seen: &Seen<'_>, at: Place) -> bool {
        let text = self.text_of(at);
        let about = About::Match(found);
        let is_small = |set: &SetRef| match set {
            SetRef::Named(_) => true,
            SetRef::Inline(elements) => elements.len() <= 4,
        };
        // The same comparison of the same value in another rule has the same answer, but for sets that
        // the packet may have changed in between.
        let changes = self.changes.len();
        let what = match &found.test {
            Test::In(set) | Test::NotIn(set) if !is_small(set) => format!("{at:?}"),
            Test::In(set @ SetRef::Named(_)) | Test::NotIn(set @ SetRef::Named(_)) => {
                format!("{set:?} {changes}")
            }
            Test::In(set) | Test::NotIn(set) => format!("{set:?}"),
            Test::AnyBit(mask) | Test::NoBit(mask) => format!("bits {mask}"),
        };
        let of = self.mark_open.filter(|_| matches!(seen, Seen::Range(..)));
        let key = format!("{} {:?} {what} {seen:?} {of:?}", at.rule.chain.table, found.left);
        let question = Question { text: &text, rule: Some(at.rule), about, presumed: None };
        let is_negated = matches!(found.test, Test::NotIn(_) | Test::NoBit(_));
        self.asker.ask(&question, key, is_negated)
    }

    /// Whether it comes in, or leaves, by one of these, where no interface was given: each name is asked for.
    /// `None` where the comparison is another one.
    fn settle_link(&mut self, left: &Expression, set: &'r SetRef, at: Place) -> Option<bool> {
        let (is_in, link) = match left {
            Expression::Field(Field::InterfaceIn) => (true, &self.link_in),
            Expression::Field(Field::InterfaceOut) => (false, &self.link_out),
            _ => return None,
        };
        if *link != Link::Unknown {
            return None;
        }
        let Asked::Members(elements, _) = self.members(set, at.rule.chain.table) else {
            return None;
        };
        if elements.len() > MAX_NAMES {
            return None;
        }
        for element in elements {
            let Some(Span::Names { text, is_prefix }) = element.key.first() else { continue };
            if !self.is_by(text, *is_prefix, is_in, at) {
                continue;
            }
            if !is_prefix {
                *(if is_in { &mut self.link_in } else { &mut self.link_out }) =
                    Link::Named(text.clone());
            }
            return Some(true);
        }
        Some(false)
    }

    /// Whether it comes in, or leaves, by the interface of this name.
    pub(super) fn is_by(&mut self, name: &str, is_prefix: bool, is_in: bool, at: Place) -> bool {
        let ends = [self.packet.source, self.packet.destination];
        if name == "lo" && !is_prefix && !ends.iter().any(std::net::IpAddr::is_loopback) {
            return false;
        }
        let star = if is_prefix { "*" } else { "" };
        let (word, about) = match is_in {
            true => ("iifname", About::InterfaceIn(name)),
            false => ("oifname", About::InterfaceOut(name)),
        };
        let text = format!("{word} \"{name}{star}\"");
        self.ask(&text, Some(at), about, None)
    }

    /// Asks; the same words have the same answer.
    pub(super) fn ask(
        &mut self,
        text: &str,
        at: Option<Place>,
        about: About<'_>,
        presumed: Option<bool>,
    ) -> bool {
        self.ask_as(text, at, about, presumed, text.to_owned())
    }

    pub(super) fn ask_as(
        &mut self,
        text: &str,
        at: Option<Place>,
        about: About<'_>,
        presumed: Option<bool>,
        key: String,
    ) -> bool {
        let question = Question { text, rule: at.map(|at| at.rule), about, presumed };
        self.asker.ask(&question, key, false)
    }

    /// A rule's text, for questions about it.
    pub(super) fn text_of(&self, at: Place) -> String {
        self.prepared.ruleset.rule(at.rule).map_or_else(String::new, |rule| rule.text.to_string())
    }
}

/// Whether a key of which one part is only known to lie in a range is certainly one of these members.
fn are_all(elements: &[Element], perhaps: &[usize], parts: &[Seen<'_>]) -> bool {
    let mut vague =
        parts.iter().enumerate().filter(|(_, p)| !matches!(p, Seen::Number(_) | Seen::Name(_)));
    let (Some((part, Seen::Range(low, high))), None) = (vague.next(), vague.next()) else {
        return false;
    };
    let spans = perhaps.iter().filter_map(|at| elements.get(*at)?.key.get(part));
    let mut spans: Vec<(u128, u128)> = spans
        .filter_map(|span| match span {
            Span::Numbers { low, high } => Some((*low, *high)),
            Span::Names { .. } => None,
        })
        .collect();
    spans.sort_unstable();
    let mut next = *low;
    for (from, to) in spans {
        if from > next {
            return false;
        }
        if to >= *high {
            return true;
        }
        next = next.max(to + 1);
    }
    false
}

/// The kernel's bitwise expression. Of a range only what the mask leaves alone is known.
fn bits_of(seen: Seen<'static>, mask: u128, flip: u128) -> Seen<'static> {
    match seen {
        Seen::Number(n) => Seen::Number((n & mask) ^ flip),
        Seen::Range(low, high) => {
            let differing = match low ^ high {
                0 => 0,
                bits => u128::MAX >> bits.leading_zeros(),
            };
            if differing & mask == 0 {
                Seen::Number((low & mask) ^ flip)
            } else if flip == 0
                && high & !mask == 0
                && mask.trailing_ones() + mask.leading_zeros() == 128
            {
                Seen::Range(low, high)
            } else {
                Seen::Open("some of its bits".into())
            }
        }
        Seen::Open(text) => Seen::Open(text),
        Seen::Missing | Seen::Name(_) | Seen::Parts(_) => Seen::Missing,
    }
}

fn one_of(span: &Span) -> Seen<'static> {
    match span {
        Span::Numbers { low, high } if low == high => Seen::Number(*low),
        Span::Numbers { low, high } => Seen::Range(*low, *high),
        Span::Names { text, is_prefix: false } => Seen::Name(text.to_string().into()),
        Span::Names { text, .. } => Seen::Open(format!("a name like {text}*").into()),
    }
}

/// What a map's member gives.
fn data(element: &Element) -> Seen<'static> {
    match &element.value {
        ElementValue::Data(spans) => match spans.as_slice() {
            [one] => one_of(one),
            several => Seen::Parts(several.iter().map(one_of).collect()),
        },
        ElementValue::None | ElementValue::Verdict(_) => Seen::Missing,
    }
}
