//! A run of addresses of one family, and sets of such runs.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::net::Prefix;

/// Addresses from the first to the last, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressRange {
    v6: bool,
    first: u128,
    last: u128,
}

/// An address as something to sort by: IPv4 before IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    v6: bool,
    number: u128,
}

impl AddressRange {
    /// `None` when the ends are of different families or the wrong way round.
    #[must_use]
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        let (a, b) = (Key::from(first), Key::from(last));
        let fits = a.v6 == b.v6 && a.number <= b.number;
        fits.then_some(Self { v6: a.v6, first: a.number, last: b.number })
    }

    /// The first address.
    #[must_use]
    pub fn first(self) -> IpAddr {
        address(self.v6, self.first)
    }

    /// The last address.
    #[must_use]
    pub fn last(self) -> IpAddr {
        address(self.v6, self.last)
    }

    /// How many addresses it has; all of IPv6 counts as one less.
    #[must_use]
    pub const fn count(self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }

    /// Whether it is of IPv6.
    #[must_use]
    pub const fn is_v6(self) -> bool {
        self.v6
    }

    /// The address `place` steps after the first.
    #[must_use]
    pub fn nth(self, place: u128) -> Option<IpAddr> {
        let number = self.first.checked_add(place).filter(|n| *n <= self.last)?;
        Some(address(self.v6, number))
    }

    /// How many steps after the first `address` is; `None` outside.
    #[must_use]
    pub fn place_of(self, address: IpAddr) -> Option<u128> {
        let key = Key::from(address);
        let inside = key.v6 == self.v6 && (self.first..=self.last).contains(&key.number);
        inside.then(|| key.number - self.first)
    }

    /// Every address, ascending.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> {
        (self.first..=self.last).map(move |number| address(self.v6, number))
    }

    pub(super) const fn first_key(self) -> Key {
        Key { v6: self.v6, number: self.first }
    }

    /// All of it as numbers.
    pub(super) fn words(self) -> [u64; 5] {
        let [high, low] = [|n: u128| n >> 64, |n: u128| n & u128::from(u64::MAX)];
        let half = |n: u128| u64::try_from(n).unwrap_or_default();
        let Self { v6, first, last } = self;
        [v6.into(), half(high(first)), half(low(first)), half(high(last)), half(low(last))]
    }

    /// Whether `next`, which does not begin earlier, overlaps or goes on where this ends.
    const fn reaches(self, next: Self) -> bool {
        self.v6 == next.v6 && next.first <= self.last.saturating_add(1)
    }
}

impl From<IpAddr> for AddressRange {
    fn from(address: IpAddr) -> Self {
        let Key { v6, number } = Key::from(address);
        Self { v6, first: number, last: number }
    }
}

impl From<Prefix> for AddressRange {
    fn from(prefix: Prefix) -> Self {
        let Key { v6, number } = Key::from(prefix.address());
        let bits: u32 = if v6 { 128 } else { 32 };
        let free = bits - u32::from(prefix.length());
        let hosts = 1u128.checked_shl(free).map_or(u128::MAX, |n| n - 1);
        Self { v6, first: number, last: number | hosts }
    }
}

impl fmt::Display for AddressRange {
    /// `10.0.0.1`, `10.0.0.0/24`, `10.0.0.1-10.0.0.20`: as a target is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.last - self.first;
        let is_network =
            size.leading_zeros() + size.trailing_ones() == 128 && self.first & size == 0;
        let bits = if self.v6 { 128 } else { 32 };
        match size {
            0 => write!(f, "{}", self.first()),
            _ if is_network => write!(f, "{}/{}", self.first(), bits - size.trailing_ones()),
            _ => write!(f, "{}-{}", self.first(), self.last()),
        }
    }
}

impl From<IpAddr> for Key {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self { v6: false, number: v4.to_bits().into() },
            IpAddr::V6(v6) => Self { v6: true, number: v6.to_bits() },
        }
    }
}

fn address(v6: bool, number: u128) -> IpAddr {
    if v6 {
        return Ipv6Addr::from_bits(number).into();
    }
    Ipv4Addr::from_bits(u32::try_from(number).expect("an IPv4 range ends within 32 bits")).into()
}

/// The same addresses in ranges that ascend and neither overlap nor touch.
pub(super) fn merged(ranges: impl IntoIterator<Item = AddressRange>) -> Vec<AddressRange> {
    let mut sorted: Vec<AddressRange> = ranges.into_iter().collect();
    sorted.sort_unstable_by_key(|r| r.first_key());
    sorted.dedup_by(|next, before| {
        let joins = before.reaches(*next);
        if joins {
            before.last = before.last.max(next.last);
        }
        joins
    });
    sorted
}

/// What of `from` is not in `taken`; both merged.
pub(super) fn without(from: Vec<AddressRange>, taken: &[AddressRange]) -> Vec<AddressRange> {
    let mut left = Vec::with_capacity(from.len());
    for range in from {
        let mut rest = Some(range);
        let at = taken.partition_point(|t| (t.v6, t.last) < (range.v6, range.first));
        let overlapping =
            taken[at..].iter().take_while(|t| (t.v6, t.first) <= (range.v6, range.last));
        for hole in overlapping {
            let Some(r) = rest else { break };
            if hole.first > r.first {
                left.push(AddressRange { last: hole.first - 1, ..r });
            }
            rest = (hole.last < r.last).then(|| AddressRange { first: hole.last + 1, ..r });
        }
        left.extend(rest);
    }
    left
}
