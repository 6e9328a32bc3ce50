//! The IPv4 header (RFC 791 §3.1).
//!
//! ```text
//! version 4 bits · header length 4 bits · tos u8 · total length u16 · id u16
//! · reserved, DF, MF · fragment offset 13 bits · ttl u8 · protocol u8 · checksum u16 · from u32 · to u32 · options
//! ```

use std::net::Ipv4Addr;

use super::checksum::Sum;

/// Bytes of a header without options.
pub const HEADER: usize = 20;

/// What a header says. Options are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Who sent it.
    pub from: Ipv4Addr,
    /// Whom it is for.
    pub to: Ipv4Addr,
    /// What is inside, as IANA numbers it.
    pub protocol: u8,
    /// How many routers it may still pass.
    pub ttl: u8,
    /// The sender's number for it.
    pub id: u16,
    /// It may not be cut into pieces.
    pub dont_fragment: bool,
    /// It is a piece of a larger packet.
    pub is_fragment: bool,
    /// It is a piece, and not the first: what is inside begins elsewhere.
    pub is_later_fragment: bool,
    /// Its length as it says, header included.
    pub length: u16,
}

impl Ipv4 {
    /// The header of a packet of ours, around `inside` bytes.
    ///
    /// # Panics
    /// When they are more than a packet holds: ours are small.
    #[must_use]
    pub fn new(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, inside: usize) -> Self {
        Self {
            from,
            to,
            protocol,
            ttl: 64,
            id: 0,
            dont_fragment: true,
            is_fragment: false,
            is_later_fragment: false,
            length: u16::try_from(HEADER + inside).expect("our packets are small"),
        }
    }

    /// Header and what is inside; of a packet that was cut off, what there is of it. `None` for what
    /// is no IPv4.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let fixed: &[u8; HEADER] = bytes.first_chunk()?;
        let start = usize::from(fixed[0] & 0x0f) * 4;
        let length = u16::from_be_bytes([fixed[2], fixed[3]]);
        if fixed[0] >> 4 != 4 || start < HEADER || usize::from(length) < start {
            return None;
        }
        let end = bytes.len().min(usize::from(length));
        let fragment = u16::from_be_bytes([fixed[6], fixed[7]]);
        let header = Self {
            from: Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]),
            to: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]),
            protocol: fixed[9],
            ttl: fixed[8],
            id: u16::from_be_bytes([fixed[4], fixed[5]]),
            dont_fragment: fragment & DF != 0,
            is_fragment: fragment & (MF | OFFSET) != 0,
            is_later_fragment: fragment & OFFSET != 0,
            length,
        };
        Some((header, bytes.get(start..end)?))
    }

    /// The header as bytes. A packet of ours is never a fragment.
    #[must_use]
    pub fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0] = 0x45;
        bytes[2..4].copy_from_slice(&self.length.to_be_bytes());
        bytes[4..6].copy_from_slice(&self.id.to_be_bytes());
        let fragment = if self.dont_fragment { DF } else { 0 };
        bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
        bytes[8] = self.ttl;
        bytes[9] = self.protocol;
        bytes[12..16].copy_from_slice(&self.from.octets());
        bytes[16..20].copy_from_slice(&self.to.octets());
        let checksum = Sum::new().bytes(&bytes).finish();
        bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }
}

const DF: u16 = 0x4000;
const MF: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(inside: usize) -> Ipv4 {
        let (from, to) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        Ipv4 { id: 7, ..Ipv4::new(from, to, 6, inside) }
    }

    #[test]
    fn a_header_comes_back_as_written_and_adds_up() {
        let mut packet = header(3).bytes().to_vec();
        assert_eq!(Sum::new().bytes(&packet).finish(), 0);
        packet.extend([1, 2, 3, 99]); // Ethernet pads short frames
        assert_eq!(Ipv4::parse(&packet), Some((header(3), &[1, 2, 3][..])));
    }

    #[test]
    fn options_are_skipped() {
        let mut packet = header(7).bytes().to_vec();
        packet[0] = 0x46;
        packet.extend([1, 1, 1, 0, 5, 6, 7]);
        assert_eq!(Ipv4::parse(&packet).unwrap().1, [5, 6, 7]);
    }

    #[test]
    fn a_later_fragment_is_known() {
        let mut packet = header(0).bytes();
        packet[7] = 9;
        assert!(Ipv4::parse(&packet).unwrap().0.is_later_fragment);
        packet[6..8].copy_from_slice(&MF.to_be_bytes());
        let first = Ipv4::parse(&packet).unwrap().0;
        assert!(first.is_fragment && !first.is_later_fragment);
    }

    #[test]
    fn a_header_cut_anywhere_is_none() {
        let packet = header(0).bytes();
        for length in 0..HEADER {
            assert_eq!(Ipv4::parse(&packet[..length]), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_packet_or_none(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some((_, inside)) = Ipv4::parse(&bytes) {
                prop_assert!(inside.len() + HEADER <= bytes.len());
            }
        }
    }
}
