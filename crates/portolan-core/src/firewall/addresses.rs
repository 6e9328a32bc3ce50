//! Sets of addresses of both families, as sorted intervals: the sources and destinations of a policy.
//!
//! Networks that touch or overlap become one interval, so that two lists of the same addresses are the
//! same value, whatever way they were written.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::net::Prefix;

/// The first and the last address of an interval, as numbers.
pub type Interval = (u128, u128);

/// Addresses of both families.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addresses {
    v4: Vec<Interval>,
    v6: Vec<Interval>,
}

/// The highest address of IPv4.
const LAST4: u128 = u32::MAX as u128;

impl Addresses {
    /// None.
    pub const NONE: Self = Self { v4: Vec::new(), v6: Vec::new() };

    /// Every address of both families.
    #[must_use]
    pub fn all() -> Self {
        Self { v4: vec![(0, LAST4)], v6: vec![(0, u128::MAX)] }
    }

    /// Those of these networks.
    #[must_use]
    pub fn of(prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        let mut set = Self::NONE;
        for prefix in prefixes {
            let of_family = if prefix.address().is_ipv4() { &mut set.v4 } else { &mut set.v6 };
            of_family.push(interval_of(prefix));
        }
        Self { v4: normal(set.v4), v6: normal(set.v6) }
    }

    /// These and those.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let both = |a: &[Interval], b: &[Interval]| normal([a, b].concat());
        Self { v4: both(&self.v4, &other.v4), v6: both(&self.v6, &other.v6) }
    }

    /// These, but none of those.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self { v4: difference(&self.v4, &other.v4), v6: difference(&self.v6, &other.v6) }
    }

    /// Those of some intervals of one family.
    #[must_use]
    pub fn of_intervals(is_v6: bool, intervals: Vec<Interval>) -> Self {
        let spans = normal(intervals);
        if is_v6 { Self { v4: Vec::new(), v6: spans } } else { Self { v4: spans, v6: Vec::new() } }
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        self.without(&self.without(other))
    }

    /// Whether some address is in both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        [false, true].into_iter().any(|is_v6| {
            let others = other.intervals(is_v6);
            self.intervals(is_v6).iter().any(|(first, last)| {
                let near = others.partition_point(|(_, end)| end < first);
                others.get(near).is_some_and(|(begin, _)| begin <= last)
            })
        })
    }

    /// Those of one family.
    #[must_use]
    pub fn family(&self, is_v6: bool) -> Self {
        Self::of_intervals(is_v6, self.intervals(is_v6).to_vec())
    }

    /// The fewest networks that hold exactly these addresses of one family.
    #[must_use]
    pub fn prefixes(&self, is_v6: bool) -> Vec<Prefix> {
        self.intervals(is_v6).iter().flat_map(|span| networks(*span, is_v6)).collect()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether every address of one family is inside.
    #[must_use]
    pub fn has_all(&self, is_v6: bool) -> bool {
        let last = if is_v6 { u128::MAX } else { LAST4 };
        self.intervals(is_v6) == [(0, last)]
    }

    /// Whether every address of both families is inside.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.has_all(false) && self.has_all(true)
    }

    /// The intervals of one family, sorted, none touching another.
    #[must_use]
    pub fn intervals(&self, is_v6: bool) -> &[Interval] {
        if is_v6 { &self.v6 } else { &self.v4 }
    }

    /// Whether `address` is inside.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (spans, number) = (self.intervals(address.is_ipv6()), number_of(address));
        let after = spans.partition_point(|(first, _)| *first <= number);
        after.checked_sub(1).is_some_and(|i| number <= spans[i].1)
    }
}

/// Sorted, with neighbours made one.
fn normal(mut spans: Vec<Interval>) -> Vec<Interval> {
    spans.sort_unstable();
    let mut merged: Vec<Interval> = Vec::with_capacity(spans.len());
    for (first, last) in spans {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

/// Both are sorted and without overlaps.
fn difference(from: &[Interval], taken: &[Interval]) -> Vec<Interval> {
    let mut left = Vec::with_capacity(from.len());
    let mut taken = taken.iter().copied().peekable();
    for &(mut first, last) in from {
        let mut is_used_up = false;
        while let Some(&(low, high)) = taken.peek().filter(|(low, _)| *low <= last) {
            if low > first {
                left.push((first, low - 1));
            }
            if high >= last {
                is_used_up = high >= first;
                break;
            }
            first = first.max(high + 1);
            taken.next();
        }
        if !is_used_up {
            left.push((first, last));
        }
    }
    left
}

/// The networks an interval is made of, each the largest that fits.
fn networks((mut first, last): Interval, is_v6: bool) -> Vec<Prefix> {
    let width: u32 = if is_v6 { 128 } else { 32 };
    let mut found = Vec::new();
    loop {
        let aligned = first.trailing_zeros().min(width);
        let room = last.wrapping_sub(first).wrapping_add(1);
        let fitting = if room == 0 { 128 } else { room.ilog2() };
        let host_bits = aligned.min(fitting);
        let length = u8::try_from(width - host_bits).unwrap_or(0);
        found.extend(Prefix::new(address_of(first, is_v6), length));
        let size = 1_u128.checked_shl(host_bits).unwrap_or(0);
        match first.checked_add(size).filter(|next| size != 0 && *next <= last) {
            Some(next) => first = next,
            None => return found,
        }
    }
}

/// An interval as nft writes it: an address, a network or `first-last`.
#[must_use]
pub fn nft_interval((first, last): Interval, is_v6: bool) -> String {
    let width = if is_v6 { 128 } else { 32 };
    let size = last.wrapping_sub(first).wrapping_add(1);
    let host_bits = if size == 0 { 128 } else { size.trailing_zeros() };
    let is_network = size == 0 || (size.is_power_of_two() && first.trailing_zeros() >= host_bits);
    match (first == last, is_network) {
        (true, _) => address_of(first, is_v6).to_string(),
        (_, true) => format!("{}/{}", address_of(first, is_v6), width - host_bits),
        _ => format!("{}-{}", address_of(first, is_v6), address_of(last, is_v6)),
    }
}

/// The first and the last address of a network.
#[must_use]
pub fn interval_of(network: Prefix) -> Interval {
    let first = number_of(network.address());
    let width: u8 = if network.address().is_ipv4() { 32 } else { 128 };
    let host_bits = u32::from(width.saturating_sub(network.length()));
    let rest = 1_u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1);
    (first, first | rest)
}

/// An address as the number it is compared as: its 32 or 128 bits.
#[must_use]
pub const fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits() as u128,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The address of a number; of one too great for IPv4 its last.
#[must_use]
pub fn address_of(number: u128, is_v6: bool) -> IpAddr {
    if is_v6 {
        return Ipv6Addr::from_bits(number).into();
    }
    Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).into()
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("any");
        }
        let written = |is_v6| self.intervals(is_v6).iter().map(move |i| nft_interval(*i, is_v6));
        let all: Vec<String> = written(false).chain(written(true)).collect();
        f.write_str(&all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(text: &str) -> Addresses {
        Addresses::of(text.split_whitespace().map(|p| p.parse::<Prefix>().unwrap()))
    }

    #[test]
    fn networks_that_touch_are_one() {
        assert_eq!(set("10.0.0.0/25 10.0.0.128/25"), set("10.0.0.0/24"));
        assert_eq!(set("10.0.0.1 10.0.0.2 10.0.0.3").to_string(), "10.0.0.1-10.0.0.3");
        assert_eq!(set("::/1 8000::/1 0.0.0.0/0"), Addresses::all());
        assert_eq!(set("::/0").to_string(), "::/0");
    }

    #[test]
    fn an_interval_is_the_fewest_networks() {
        let odd = set("0.0.0.0/0").without(&set("10.0.0.0/8"));
        assert_eq!(odd.prefixes(false).len(), 8);
        assert_eq!(Addresses::of(odd.prefixes(false)), odd);
        assert_eq!(set("::/0").prefixes(true), ["::/0".parse().unwrap()]);
        assert_eq!(set("255.255.255.255").prefixes(false).len(), 1);
        let last = set("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127");
        assert_eq!(last.prefixes(true).len(), 1);
        assert_eq!(set("10.0.0.0/7 10.1.0.0/16").and(&set("10.1.2.0/24")), set("10.1.2.0/24"));
    }

    #[test]
    fn an_exception_is_taken_out() {
        let left = set("10.9.0.0/16").without(&set("10.9.1.0/24 10.9.255.255 10.10.0.0/16"));
        assert_eq!(left.to_string(), "10.9.0.0/24, 10.9.2.0-10.9.255.254");
        assert!(set("10.0.0.0/8").without(&Addresses::all()).is_empty());
        assert_eq!(Addresses::all().without(&Addresses::NONE), Addresses::all());
    }

    proptest! {
        #[test]
        fn a_difference_has_exactly_what_is_in_the_one_and_not_in_the_other(
            a in prop::collection::vec((0_u8..64, 0_u8..8), 0..8),
            b in prop::collection::vec((0_u8..64, 0_u8..8), 0..8),
        ) {
            let of = |spans: &[(u8, u8)]| {
                let spans = spans.iter().map(|(f, n)| (u128::from(*f), u128::from(f + n)));
                Addresses { v4: normal(spans.collect()), v6: Vec::new() }
            };
            let (a, b) = (of(&a), of(&b));
            let (less, more) = (a.without(&b), a.with(&b));
            for n in 0..80_u32 {
                let ip = IpAddr::from(Ipv4Addr::from_bits(n));
                prop_assert_eq!(less.contains(ip), a.contains(ip) && !b.contains(ip));
                prop_assert_eq!(more.contains(ip), a.contains(ip) || b.contains(ip));
            }
            prop_assert_eq!(less.clone(), Addresses { v4: normal(less.v4), v6: Vec::new() });
        }
    }
}
