//! The Internet checksum (RFC 1071), and what a changed word does to it (RFC 1624).

use std::net::IpAddr;

/// Words added up, before the folding. Order of the summands does not matter, only that each begins
/// at an even offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// Nothing added yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(0)
    }

    /// With one word of 16 bits more.
    #[must_use]
    pub const fn word(self, word: u16) -> Self {
        Self(self.0 + word as u64)
    }

    /// With two words more.
    #[must_use]
    pub const fn double(self, words: u32) -> Self {
        Self(self.0 + (words >> 16) as u64 + (words & 0xffff) as u64)
    }

    /// With bytes more, a zero behind them where their number is odd.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let mut words = bytes.chunks_exact(2);
        let sum = words.by_ref().map(|w| u64::from(u16::from_be_bytes([w[0], w[1]]))).sum::<u64>();
        let odd = words.remainder().first().map_or(0, |byte| u64::from(*byte) << 8);
        Self(self.0 + sum + odd)
    }

    /// With the pseudo-header of TCP, UDP (RFC 9293 §3.1) or ICMPv6 (RFC 8200 §8.1) in front of
    /// `length` bytes.
    #[must_use]
    pub fn pseudo_header(self, from: IpAddr, to: IpAddr, protocol: u8, length: usize) -> Self {
        let ends = match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => self.bytes(&from.octets()).bytes(&to.octets()),
            (IpAddr::V6(from), IpAddr::V6(to)) => self.bytes(&from.octets()).bytes(&to.octets()),
            _ => self, // no packet has ends of two families
        };
        Self(ends.0 + u64::from(protocol) + length as u64)
    }

    /// The checksum: what makes the whole add up to all ones.
    #[must_use]
    pub const fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }
}

/// The checksum once a word of what it covers has changed (RFC 1624 §3, equation 3).
#[must_use]
pub const fn updated(checksum: u16, old: u16, new: u16) -> u16 {
    Sum::new().word(!checksum).word(!old).word(new).finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_rfc_comes_out() {
        // RFC 1071 §3: the words add up to ddf2.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::new().bytes(&bytes).finish(), !0xddf2);
    }

    #[test]
    fn the_other_example_too() {
        // RFC 1624 §4: 5555 becomes 3285 in a header whose checksum was dd2f.
        assert_eq!(updated(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    proptest! {
        #[test]
        fn with_its_checksum_inside_everything_adds_up_to_zero(
            mut bytes in prop::collection::vec(any::<u8>(), 2..80),
        ) {
            bytes[..2].fill(0);
            let checksum = Sum::new().bytes(&bytes).finish();
            bytes[..2].copy_from_slice(&checksum.to_be_bytes());
            prop_assert_eq!(Sum::new().bytes(&bytes).finish(), 0);
        }

        #[test]
        fn an_update_is_as_good_as_adding_up_again(words in prop::collection::vec(1u16.., 2..20), new in 1u16..) {
            let sum = |words: &[u16]| words.iter().fold(Sum::new(), |sum, word| sum.word(*word)).finish();
            let mut changed = words.clone();
            changed[0] = new;
            prop_assert_eq!(updated(sum(&words), words[0], new), sum(&changed));
        }
    }
}
