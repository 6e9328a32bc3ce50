//! The hosts of a scan: addresses and networks of both families, some left out.
//!
//! Kept as ranges that neither overlap nor touch, IPv4 before IPv6, each address at a fixed place:
//! nothing is listed out, so a large network takes no more memory than a small one. Network and
//! broadcast addresses are addresses like others: whether one is a host depends on a mask that only
//! its own link knows.

mod list;
mod private;
mod range;
mod word;

use std::net::IpAddr;

pub use list::{ListError, list};
pub use private::public_part;
pub use range::AddressRange;
pub use word::{Target, TargetError};

use super::SipHash;
use range::Key;

/// Addresses, each at a fixed place, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetSet {
    spans: Vec<Span>,
}

/// A run of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    range: AddressRange,
    /// How many addresses stand before it.
    before: u64,
}

impl TargetSet {
    /// The addresses of `included` without those of `excluded`.
    ///
    /// # Errors
    /// [`TooMany`] beyond [`MOST`] addresses.
    pub fn new(
        included: impl IntoIterator<Item = AddressRange>,
        excluded: impl IntoIterator<Item = AddressRange>,
    ) -> Result<Self, TooMany> {
        let ranges = range::without(range::merged(included), &range::merged(excluded));
        let mut spans = Vec::with_capacity(ranges.len());
        let mut before = 0;
        for range in ranges {
            spans.push(Span { range, before });
            let count = u64::try_from(range.count()).ok().filter(|n| *n <= MOST);
            before = count.map(|n| before + n).filter(|n| *n <= MOST).ok_or(TooMany)?;
        }
        Ok(Self { spans })
    }

    /// How many addresses there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.spans.last().map_or(0, |s| s.before + s.len())
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The address at `place`, below `len`.
    #[must_use]
    pub fn nth(&self, place: u64) -> Option<IpAddr> {
        let after = self.spans.partition_point(|s| s.before <= place);
        let span = self.spans.get(after.checked_sub(1)?)?;
        span.range.nth(u128::from(place - span.before))
    }

    /// Where `address` stands; `None` when it is not one of these.
    #[must_use]
    pub fn position_of(&self, address: IpAddr) -> Option<u64> {
        let key = Key::from(address);
        let after = self.spans.partition_point(|s| s.range.first_key() <= key);
        let span = self.spans.get(after.checked_sub(1)?)?;
        Some(span.before + u64::try_from(span.range.place_of(address)?).ok()?)
    }

    /// Whether `address` is one of these.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.position_of(address).is_some()
    }

    /// Every address, ascending.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.ranges().flat_map(AddressRange::iter)
    }

    /// A number that other targets do not have, as far as 64 bits can tell.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let words: Vec<u64> = self.ranges().flat_map(AddressRange::words).collect();
        SipHash::new(0, 0).hash_words(&words)
    }

    /// The ranges, ascending; they neither overlap nor touch.
    pub fn ranges(&self) -> impl Iterator<Item = AddressRange> {
        self.spans.iter().map(|s| s.range)
    }
}

impl Span {
    fn len(&self) -> u64 {
        u64::try_from(self.range.count()).unwrap_or(MOST)
    }
}

impl FromIterator<IpAddr> for TargetSet {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        let ranges = addresses.into_iter().map(AddressRange::from);
        Self::new(ranges, []).expect("nobody lists out 2^40 addresses")
    }
}

/// The most addresses a set takes: a /88 of IPv6, 256 times all of IPv4. Nobody has time for more.
pub const MOST: u64 = 1 << 40;

/// More than [`MOST`] addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these are more than 2^40 addresses, which no scan can get through")]
pub struct TooMany;

#[cfg(test)]
mod tests;
