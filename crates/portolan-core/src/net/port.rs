//! Port numbers: one, a closed range, a set; and the three ranges of RFC 6335 §6.
//!
//! A number here says nothing about TCP or UDP: that is `Transport`.

use std::fmt;
use std::str::FromStr;

/// A port number, 0–65535. Zero is what a program passes to let the kernel choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(pub u16);

impl Port {
    /// The highest number, 65535.
    pub const MAX: Self = Self(u16::MAX);

    /// The range of RFC 6335 §6 this number lies in.
    #[must_use]
    pub const fn class(self) -> PortClass {
        match self.0 {
            0..=1023 => PortClass::System,
            1024..=49151 => PortClass::User,
            49152.. => PortClass::Dynamic,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u16> for Port {
    fn from(number: u16) -> Self {
        Self(number)
    }
}

impl FromStr for Port {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(PortError::NotANumber { found: text.to_owned() });
        }
        text.parse().map(Self).map_err(|_| PortError::TooLarge { found: text.to_owned() })
    }
}

/// What a number's range means for who may use it (RFC 6335 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortClass {
    /// 0–1023, the well-known ports.
    System,
    /// 1024–49151, the registered ports.
    User,
    /// 49152–65535, private use, never assigned.
    Dynamic,
}

impl PortClass {
    /// The word used in JSON: `system`, `user`, `dynamic`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Dynamic => "dynamic",
        }
    }

    /// The common word beside the precise one.
    #[must_use]
    pub const fn alias(self) -> &'static str {
        match self {
            Self::System => "well-known",
            Self::User => "registered",
            Self::Dynamic => "private",
        }
    }
}

/// A closed range of ports; one port is a range of length one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: Port,
    last: Port,
}

impl PortRange {
    /// Every port there is.
    pub const ALL: Self = Self { first: Port(0), last: Port::MAX };

    /// The range from `first` to `last`, both inside.
    ///
    /// # Errors
    /// [`PortError::Reversed`] when `last` is the smaller one.
    pub const fn new(first: Port, last: Port) -> Result<Self, PortError> {
        if first.0 > last.0 {
            return Err(PortError::Reversed { first, last });
        }
        Ok(Self { first, last })
    }

    /// The smallest port inside.
    #[must_use]
    pub const fn first(self) -> Port {
        self.first
    }

    /// The largest port inside.
    #[must_use]
    pub const fn last(self) -> Port {
        self.last
    }

    /// How many ports are inside, 1–65536.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a range holds at least one port")]
    pub const fn len(self) -> usize {
        (self.last.0 - self.first.0) as usize + 1
    }

    /// Whether `port` is inside.
    #[must_use]
    pub const fn contains(self, port: Port) -> bool {
        self.first.0 <= port.0 && port.0 <= self.last.0
    }

    /// Whether some port is inside both.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.first.0 <= other.last.0 && other.first.0 <= self.last.0
    }

    /// The ports inside, ascending.
    pub fn iter(self) -> impl Iterator<Item = Port> {
        (self.first.0..=self.last.0).map(Port)
    }
}

impl From<Port> for PortRange {
    fn from(port: Port) -> Self {
        Self { first: port, last: port }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return self.first.fmt(f);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for PortRange {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        match text.split_once('-') {
            Some((first, last)) => Self::new(first.parse()?, last.parse()?),
            None => text.parse::<Port>().map(Self::from),
        }
    }
}

/// A set of ports, one bit each.
#[derive(Clone, PartialEq, Eq)]
pub struct PortSet {
    bits: Box<[u64; WORDS]>,
}

impl PortSet {
    /// The set without a port.
    #[must_use]
    pub fn new() -> Self {
        Self { bits: Box::new([0; WORDS]) }
    }

    /// All 65,536 ports.
    #[must_use]
    pub fn all() -> Self {
        Self { bits: Box::new([u64::MAX; WORDS]) }
    }

    /// Puts one port in.
    pub fn insert(&mut self, port: Port) {
        self.bits[word(port)] |= bit(port);
    }

    /// Takes one port out.
    pub fn remove(&mut self, port: Port) {
        self.bits[word(port)] &= !bit(port);
    }

    /// Puts a range in.
    pub fn insert_range(&mut self, range: PortRange) {
        range.iter().for_each(|port| self.insert(port));
    }

    /// Whether `port` is inside.
    #[must_use]
    pub fn contains(&self, port: Port) -> bool {
        self.bits[word(port)] & bit(port) != 0
    }

    /// How many ports are inside.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bits.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Whether no port is inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|w| *w == 0)
    }

    /// Adds the ports of `other`.
    pub fn union_with(&mut self, other: &Self) {
        self.bits.iter_mut().zip(other.bits.iter()).for_each(|(a, b)| *a |= b);
    }

    /// The ports inside, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Port> {
        (0..=u16::MAX).map(Port).filter(|port| self.contains(*port))
    }

    /// The set as the fewest ranges, ascending.
    #[must_use]
    pub fn ranges(&self) -> Vec<PortRange> {
        let mut ranges: Vec<PortRange> = Vec::new();
        for port in self.iter() {
            match ranges.last_mut() {
                Some(range) if range.last.0.checked_add(1) == Some(port.0) => range.last = port,
                _ => ranges.push(PortRange::from(port)),
            }
        }
        ranges
    }
}

impl Default for PortSet {
    fn default() -> Self {
        Self::new()
    }
}

impl FromIterator<PortRange> for PortSet {
    fn from_iter<I: IntoIterator<Item = PortRange>>(ranges: I) -> Self {
        let mut set = Self::new();
        ranges.into_iter().for_each(|range| set.insert_range(range));
        set
    }
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.ranges().into_iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            range.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PortSet({self})")
    }
}

/// Why a text is not a port or a range of ports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Something other than digits.
    #[error("`{found}` is not a port number")]
    NotANumber {
        /// The text as given.
        found: String,
    },
    /// Digits, but above 65535.
    #[error("port {found} is larger than 65535")]
    TooLarge {
        /// The text as given.
        found: String,
    },
    /// The end of a range lies before its start.
    #[error("the range {first}-{last} is reversed: its end lies before its start")]
    Reversed {
        /// The start as given.
        first: Port,
        /// The end as given.
        last: Port,
    },
}

const WORDS: usize = 65_536 / 64;

const fn word(port: Port) -> usize {
    port.0 as usize / 64
}

const fn bit(port: Port) -> u64 {
    1 << (port.0 % 64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_three_classes_meet_without_a_hole() {
        assert_eq!(Port(1023).class(), PortClass::System);
        assert_eq!(Port(1024).class(), PortClass::User);
        assert_eq!(Port(49151).class(), PortClass::User);
        assert_eq!(Port(49152).class(), PortClass::Dynamic);
    }

    #[test]
    fn a_number_above_65535_is_told_from_a_word() {
        assert!(matches!("70000".parse::<Port>(), Err(PortError::TooLarge { .. })));
        assert!(matches!("+80".parse::<Port>(), Err(PortError::NotANumber { .. })));
        assert!(matches!("".parse::<Port>(), Err(PortError::NotANumber { .. })));
    }

    #[test]
    fn a_reversed_range_is_refused() {
        assert_eq!(
            "90-80".parse::<PortRange>(),
            Err(PortError::Reversed { first: Port(90), last: Port(80) })
        );
    }

    proptest! {
        #[test]
        fn a_set_holds_just_what_its_ranges_hold(pairs in prop::collection::vec(any::<(u16, u16)>(), 0..8), probe in any::<u16>()) {
            let ranges: Vec<_> = pairs.iter()
                .map(|(a, b)| PortRange::new(Port(*a.min(b)), Port(*a.max(b))).unwrap())
                .collect();
            let set: PortSet = ranges.iter().copied().collect();
            prop_assert_eq!(set.contains(Port(probe)), ranges.iter().any(|r| r.contains(Port(probe))));
            let again: PortSet = set.ranges().into_iter().collect();
            prop_assert_eq!(&again, &set);
            prop_assert_eq!(set.len(), set.iter().count());
        }

        #[test]
        fn a_range_survives_being_printed(a in any::<u16>(), b in any::<u16>()) {
            let range = PortRange::new(Port(a.min(b)), Port(a.max(b))).unwrap();
            prop_assert_eq!(range.to_string().parse::<PortRange>(), Ok(range));
        }
    }
}
