//! The words of a rule, and the values among them.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::value::{Element, SetRef, Span};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An IPv4 address.
    Address4,
    /// An IPv6 address.
    Address6,
    /// A number; protocols may have their names.
    Number,
}

impl Kind {
    /// By nft's name of a set's type.
    pub(super) fn named(word: &str) -> Option<Self> {
        match word {
            "ipv4_addr" => Some(Self::Address4),
            "ipv6_addr" => Some(Self::Address6),
            "inet_service" | "inet_proto" | "mark" => Some(Self::Number),
            _ => None,
        }
    }

    /// A value, `first-last` or `address/length`.
    pub(super) fn span(self, text: &str) -> Option<Span> {
        let text = text.trim();
        if let Some((low, high)) = text.split_once('-') {
            let (low, high) = (self.number(low)?, self.number(high)?);
            return (low <= high).then_some(Span::Numbers { low, high });
        }
        let Some((address, length)) = text.split_once('/') else {
            return self.number(text).map(Span::number);
        };
        let width: u32 = match self {
            Self::Address4 => 32,
            Self::Address6 => 128,
            Self::Number => return None,
        };
        let free = width.checked_sub(length.parse().ok()?)?;
        let rest = 1_u128.checked_shl(free).map_or(u128::MAX, |size| size - 1);
        let low = self.number(address)?;
        (low & rest == 0).then_some(Span::Numbers { low, high: low | rest })
    }

    fn number(self, text: &str) -> Option<u128> {
        match self {
            Self::Address4 => text.parse::<Ipv4Addr>().ok().map(|a| a.to_bits().into()),
            Self::Address6 => text.parse::<Ipv6Addr>().ok().map(Ipv6Addr::to_bits),
            Self::Number => protocol(text).map(u128::from).or_else(|| number(text)),
        }
    }
}

/// A number in digits, of base 16 after `0x`.
pub(super) fn number(text: &str) -> Option<u128> {
    match text.strip_prefix("0x") {
        Some(digits) => u128::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// IANA's number of a transport with ports, and of the protocols of messages.
pub(super) fn protocol(word: &str) -> Option<u8> {
    Some(match word {
        "icmp" => 1,
        "tcp" => 6,
        "udp" => 17,
        "dccp" => 33,
        "icmpv6" => 58,
        "sctp" => 132,
        _ => return None,
    })
}

/// The words of a rule, one after another. What is in quotation marks is one word, with them.
#[derive(Clone, Debug)]
pub(super) struct Words<'t> {
    rest: &'t str,
}

impl<'t> Words<'t> {
    pub(super) const fn of(line: &'t str) -> Self {
        Self { rest: line }
    }

    /// The next word, which stays.
    pub(super) fn peek(&self) -> Option<&'t str> {
        self.clone().next()
    }

    /// Whether the next word is this one; then it is taken.
    pub(super) fn takes(&mut self, word: &str) -> bool {
        let is_next = self.peek() == Some(word);
        if is_next {
            self.next();
        }
        is_next
    }

    /// Takes these words, which must come next.
    pub(super) fn all(&mut self, words: &str) -> Option<()> {
        words.split(' ').all(|word| self.takes(word)).then_some(())
    }

    /// What is between quotation marks.
    pub(super) fn quoted(&mut self) -> Option<&'t str> {
        self.next()?.strip_prefix('"')?.strip_suffix('"')
    }

    /// The next word as a number.
    pub(super) fn number(&mut self) -> Option<u128> {
        number(self.next()?)
    }

    /// `@set`, `{ one, two }`, or a single value.
    pub(super) fn set(&mut self, kind: Kind) -> Option<SetRef> {
        let first = self.next()?;
        if let Some(name) = first.strip_prefix('@') {
            return Some(SetRef::Named(name.into()));
        }
        if first != "{" {
            return kind.span(first).map(SetRef::span);
        }
        let mut members = Vec::new();
        loop {
            let word = self.next()?;
            if word == "}" {
                return (!members.is_empty()).then(|| SetRef::Inline(members.into()));
            }
            let value = word.strip_suffix(',').unwrap_or(word);
            members.push(Element::of(kind.span(value)?));
        }
    }
}

impl<'t> Iterator for Words<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let text = self.rest.trim_start();
        let end = match text.strip_prefix('"') {
            Some(inside) => inside.find('"')? + 2,
            None => text.find(char::is_whitespace).unwrap_or(text.len()),
        };
        let (word, rest) = text.split_at_checked(end)?;
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }
}
