//! The IPv6 header and those that may stand behind it (RFC 8200 §3 and §4).
//!
//! ```text
//! version 4 bits · traffic class u8 · flow label 20 bits · payload length u16 · next header u8
//! · hop limit u8 · from [16] · to [16] · extension header*
//! ```

use std::net::Ipv6Addr;

/// Bytes of a header without extensions.
pub const HEADER: usize = 40;

/// What a header says, and what stands behind its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    /// Who sent it.
    pub from: Ipv6Addr,
    /// Whom it is for.
    pub to: Ipv6Addr,
    /// What is inside, behind all extensions, as IANA numbers it.
    pub protocol: u8,
    /// How many routers it may still pass.
    pub hop_limit: u8,
    /// Which flow the sender says it belongs to.
    pub flow: u32,
    /// It is a piece of a larger packet.
    pub is_fragment: bool,
    /// It is a piece, and not the first: what is inside begins elsewhere.
    pub is_later_fragment: bool,
    /// Length behind the first header as it says.
    pub length: u16,
}

impl Ipv6 {
    /// The header of a packet of ours, around `inside` bytes.
    ///
    /// # Panics
    /// When they are more than a packet holds: ours are small.
    #[must_use]
    pub fn new(from: Ipv6Addr, to: Ipv6Addr, protocol: u8, inside: usize) -> Self {
        Self {
            from,
            to,
            protocol,
            hop_limit: 64,
            flow: 0,
            is_fragment: false,
            is_later_fragment: false,
            length: u16::try_from(inside).expect("our packets are small"),
        }
    }

    /// Header and what is inside; of a packet that was cut off, what there is of it. `None` for what
    /// is no IPv6, and where the extensions are cut off.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (fixed, rest) = bytes.split_first_chunk::<HEADER>()?;
        if fixed[0] >> 4 != 6 {
            return None;
        }
        let length = u16::from_be_bytes([fixed[4], fixed[5]]);
        let mut header = Self {
            from: Ipv6Addr::from(*fixed[8..].first_chunk::<16>()?),
            to: Ipv6Addr::from(*fixed[24..].first_chunk::<16>()?),
            protocol: fixed[6],
            hop_limit: fixed[7],
            flow: u32::from_be_bytes([0, fixed[1] & 0x0f, fixed[2], fixed[3]]),
            is_fragment: false,
            is_later_fragment: false,
            length,
        };
        let inside = header.skip_extensions(&rest[..rest.len().min(usize::from(length))])?;
        Some((header, inside))
    }

    fn skip_extensions<'a>(&mut self, mut rest: &'a [u8]) -> Option<&'a [u8]> {
        for _ in 0..EXTENSIONS {
            let length = match self.protocol {
                HOP_BY_HOP | ROUTING | DESTINATION => 8 + usize::from(*rest.get(1)?) * 8,
                AUTHENTICATION => 8 + usize::from(*rest.get(1)?) * 4,
                FRAGMENT => {
                    let place = u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]);
                    self.is_fragment |= place & 0xfff9 != 0;
                    self.is_later_fragment |= place & 0xfff8 != 0;
                    8
                }
                _ => return Some(rest),
            };
            self.protocol = *rest.first()?;
            rest = rest.get(length..)?;
            if self.is_later_fragment {
                return Some(rest);
            }
        }
        None
    }

    /// The header as bytes, without extensions.
    #[must_use]
    pub fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&(0x6000_0000 | self.flow & 0x000f_ffff).to_be_bytes());
        bytes[4..6].copy_from_slice(&self.length.to_be_bytes());
        bytes[6] = self.protocol;
        bytes[7] = self.hop_limit;
        bytes[8..24].copy_from_slice(&self.from.octets());
        bytes[24..40].copy_from_slice(&self.to.octets());
        bytes
    }
}

/// More extensions than this nobody sends in earnest.
const EXTENSIONS: usize = 8;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(inside: usize) -> Ipv6 {
        let (from, to) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
        Ipv6 { flow: 0x1_2345, ..Ipv6::new(from, to, 6, inside) }
    }

    /// Hop-by-hop of 8 bytes, a fragment header at `place`, then TCP.
    fn extended(place: u16) -> Vec<u8> {
        let mut packet = header(8 + 8 + 2).bytes().to_vec();
        packet[6] = HOP_BY_HOP;
        packet.extend([FRAGMENT, 0, 1, 4, 0, 0, 0, 0]);
        packet.extend([6, 0]);
        packet.extend(place.to_be_bytes());
        packet.extend([0, 0, 0, 1, 0xaa, 0xbb]);
        packet
    }

    #[test]
    fn a_header_comes_back_as_written() {
        let mut packet = header(3).bytes().to_vec();
        packet.extend([1, 2, 3, 99]);
        assert_eq!(Ipv6::parse(&packet), Some((header(3), &[1, 2, 3][..])));
    }

    #[test]
    fn extensions_are_skipped_to_what_is_inside() {
        let packet = extended(0);
        let (found, inside) = Ipv6::parse(&packet).unwrap();
        assert_eq!((found.protocol, inside, found.is_fragment), (6, &[0xaa, 0xbb][..], false));
        let packet = extended(8);
        assert!(Ipv6::parse(&packet).unwrap().0.is_later_fragment);
        let packet = extended(1);
        let first = Ipv6::parse(&packet).unwrap().0;
        assert!(first.is_fragment && !first.is_later_fragment);
    }

    #[test]
    fn a_packet_cut_in_its_headers_is_none() {
        let packet = extended(0);
        for length in 0..packet.len() - 2 {
            assert_eq!(Ipv6::parse(&packet[..length]), None, "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_packet_or_none(mut bytes in prop::collection::vec(any::<u8>(), 0..160)) {
            if let Some(first) = bytes.first_mut() {
                *first = 0x60;
            }
            let _ = Ipv6::parse(&bytes);
        }
    }
}
