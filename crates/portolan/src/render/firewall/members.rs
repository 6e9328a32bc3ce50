//! Members of sets and maps, as nft writes them.

use std::net::{Ipv4Addr, Ipv6Addr};

use portolan_core::firewall::{Element, ElementValue, Set, Span, Verdict};

/// A member: `10.0.0.0-10.0.0.255 . 22`, `8081 : 172.30.0.2 . 80`.
pub(super) fn text(set: &Set, element: &Element) -> String {
    let kind = |at: usize| Kind::named(set.key.get(at).map_or("", |name| name));
    let parts = element.key.iter().enumerate().map(|(at, span)| part(span, kind(at)));
    let key = parts.collect::<Vec<_>>().join(" . ");
    match &element.value {
        ElementValue::None => key,
        ElementValue::Verdict(verdict) => format!("{key} : {}", word(verdict)),
        ElementValue::Data(spans) => {
            let values: Vec<String> = spans.iter().map(|span| part(span, Kind::Unsaid)).collect();
            format!("{key} : {}", values.join(" . "))
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Address4,
    Address6,
    Number,
    /// Not said: what is too large for a port is an address.
    Unsaid,
}

impl Kind {
    /// By a type, or by a field.
    fn named(name: &str) -> Self {
        match name {
            "ipv4_addr" | "ip saddr" | "ip daddr" => Self::Address4,
            "ipv6_addr" | "ip6 saddr" | "ip6 daddr" => Self::Address6,
            _ => Self::Number,
        }
    }

    fn number(self, number: u128) -> String {
        let v4 = u32::try_from(number).map(Ipv4Addr::from_bits);
        match (self, v4) {
            (Self::Address4, Ok(address)) => address.to_string(),
            (Self::Unsaid, Ok(address)) if number > 0xffff => address.to_string(),
            (Self::Address6, _) | (Self::Unsaid, Err(_)) => Ipv6Addr::from_bits(number).to_string(),
            _ => number.to_string(),
        }
    }
}

fn part(span: &Span, kind: Kind) -> String {
    match span {
        Span::Names { text, is_prefix } => format!("{text}{}", if *is_prefix { "*" } else { "" }),
        Span::Numbers { low, high } if low == high => kind.number(*low),
        Span::Numbers { low, high } => {
            let width = match kind {
                Kind::Address4 => 32,
                Kind::Address6 => 128,
                Kind::Number | Kind::Unsaid => 0,
            };
            let size = (high - low).wrapping_add(1);
            let is_prefix = width > 0 && size.is_power_of_two() && low % size == 0;
            match is_prefix {
                true => format!("{}/{}", kind.number(*low), width - size.trailing_zeros()),
                false => format!("{}-{}", kind.number(*low), kind.number(*high)),
            }
        }
    }
}

fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept => "accept".to_owned(),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Reject(_) => "reject".to_owned(),
        Verdict::Continue => "continue".to_owned(),
        Verdict::Return => "return".to_owned(),
        Verdict::Jump(name) => format!("jump {name}"),
        Verdict::Goto(name) => format!("goto {name}"),
    }
}
