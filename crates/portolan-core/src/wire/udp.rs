//! The UDP header (RFC 768): from u16 · to u16 · length u16 · checksum u16.

use crate::net::Port;

/// IANA's number of UDP.
pub const PROTOCOL: u8 = 17;

/// Bytes of a header.
pub const HEADER: usize = 8;

/// A datagram's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// The port it came from.
    pub from: Port,
    /// The port it is for.
    pub to: Port,
    /// Its length as it says, header included.
    pub length: u16,
    /// Its checksum; 0 is none.
    pub checksum: u16,
}

impl Udp {
    /// Header and payload; of a datagram that was cut off, what there is of it.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (fixed, rest) = bytes.split_first_chunk::<HEADER>()?;
        let word = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let header =
            Self { from: Port(word(0)), to: Port(word(2)), length: word(4), checksum: word(6) };
        let inside = usize::from(header.length).checked_sub(HEADER)?;
        Some((header, &rest[..rest.len().min(inside)]))
    }

    /// The header as bytes.
    #[must_use]
    pub fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let words = [self.from.0, self.to.0, self.length, self.checksum];
        for (place, word) in bytes.chunks_exact_mut(2).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_comes_back_as_written_and_cut_in_its_header_is_none() {
        let header = Udp { from: Port(53), to: Port(40000), length: 11, checksum: 7 };
        let mut bytes = header.bytes().to_vec();
        bytes.extend([1, 2, 3, 99]);
        assert_eq!(Udp::parse(&bytes), Some((header, &[1, 2, 3][..])));
        for length in 0..HEADER {
            assert_eq!(Udp::parse(&bytes[..length]), None);
        }
        assert_eq!(Udp::parse(&bytes[..9]), Some((header, &[1][..])));
    }

    #[test]
    fn a_length_shorter_than_the_header_is_none() {
        let header = Udp { from: Port(1), to: Port(2), length: 7, checksum: 0 };
        assert_eq!(Udp::parse(&header.bytes()), None);
    }
}
