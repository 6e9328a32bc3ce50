//! Asking who has an address on the link: ARP for IPv4 (RFC 826), neighbour discovery for IPv6
//! (RFC 4861 §4.3 and §4.4). Ethernet only: link addresses of six bytes.
//!
//! ```text
//! arp           = hardware u16 · protocol u16 · lengths u8 u8 · operation u16
//!                 · sender's link [6] · sender [4] · target's link [6] · target [4]
//! solicitation  = 135 · 0 · checksum u16 · reserved u32 · target [16] · option*
//! advertisement = 136 · 0 · checksum u16 · flags u32 · target [16] · option*
//! option        = kind u8 · length in eights u8 · value
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum::Sum;
use super::icmp::PROTOCOL_V6;
use super::ipv6::Ipv6;

/// An Ethernet address.
pub type LinkAddress = [u8; 6];

/// Everybody on the link.
pub const BROADCAST: LinkAddress = [0xff; 6];

/// Bytes of an ARP packet.
pub const ARP: usize = 28;

/// Bytes of a solicitation with our link address, IPv6 header included.
pub const SOLICITATION: usize = super::ipv6::HEADER + 32;

/// An ARP request for `target`, to be broadcast.
#[must_use]
pub fn request(link: LinkAddress, source: Ipv4Addr, target: Ipv4Addr) -> [u8; ARP] {
    let mut bytes = [0; ARP];
    bytes[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, OPERATION_REQUEST]);
    bytes[8..14].copy_from_slice(&link);
    bytes[14..18].copy_from_slice(&source.octets());
    bytes[24..28].copy_from_slice(&target.octets());
    bytes
}

/// Whom an ARP reply is from; `None` for anything else.
#[must_use]
pub fn reply(bytes: &[u8]) -> Option<(Ipv4Addr, LinkAddress)> {
    let bytes: &[u8; ARP] = bytes.first_chunk()?;
    if bytes[..8] != [0, 1, 8, 0, 6, 4, 0, OPERATION_REPLY] {
        return None;
    }
    let address = Ipv4Addr::new(bytes[14], bytes[15], bytes[16], bytes[17]);
    Some((address, *bytes[8..].first_chunk()?))
}

/// A neighbour solicitation for `target` as a whole IPv6 packet, and the multicast address on the
/// link that it goes to.
#[must_use]
pub fn solicitation(
    link: LinkAddress,
    source: Ipv6Addr,
    target: Ipv6Addr,
) -> ([u8; SOLICITATION], LinkAddress) {
    let last = target.octets();
    let mut group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).octets();
    group[13..].copy_from_slice(&last[13..]);
    let mut message = [0; 32];
    message[0] = SOLICIT;
    message[8..24].copy_from_slice(&last);
    message[24..26].copy_from_slice(&[OPTION_SOURCE_LINK, 1]);
    message[26..32].copy_from_slice(&link);
    let group = Ipv6Addr::from(group);
    let ends: (IpAddr, IpAddr) = (source.into(), group.into());
    let sum = Sum::new().pseudo_header(ends.0, ends.1, PROTOCOL_V6, message.len());
    let checksum = sum.bytes(&message).finish();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());

    let header = Ipv6::new(source, group, PROTOCOL_V6, message.len());
    let header = Ipv6 { hop_limit: HOP_LIMIT, ..header };
    let mut packet = [0; SOLICITATION];
    packet[..40].copy_from_slice(&header.bytes());
    packet[40..].copy_from_slice(&message);
    (packet, [0x33, 0x33, 0xff, last[13], last[14], last[15]])
}

/// Whom an advertisement is from, given header and content of its packet; `None` for anything else,
/// and for one that a router let through (RFC 4861 §7.1.2).
#[must_use]
pub fn advertisement(header: &Ipv6, message: &[u8]) -> Option<(Ipv6Addr, LinkAddress)> {
    let (fixed, mut options) = message.split_first_chunk::<24>()?;
    if fixed[0] != ADVERTISE || fixed[1] != 0 || header.hop_limit != HOP_LIMIT {
        return None;
    }
    let address = Ipv6Addr::from(*fixed[8..].first_chunk::<16>()?);
    while let [kind, eights, ..] = options {
        let length = usize::from(*eights) * 8;
        if *kind == OPTION_TARGET_LINK && length == 8 {
            return Some((address, *options.get(2..8)?.first_chunk()?));
        }
        // A length of zero would go on for ever (RFC 4861 §4.6).
        options = options.get(length..).filter(|_| length > 0)?;
    }
    None
}

const OPERATION_REQUEST: u8 = 1;
const OPERATION_REPLY: u8 = 2;
const SOLICIT: u8 = 135;
const ADVERTISE: u8 = 136;
const OPTION_SOURCE_LINK: u8 = 1;
const OPTION_TARGET_LINK: u8 = 2;
const HOP_LIMIT: u8 = 255;

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkAddress = [2, 0, 0, 0, 0, 1];
    const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const THEIRS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn v6(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    /// What the kernel makes of our solicitation.
    fn advertised() -> Vec<u8> {
        let (mut packet, _) = solicitation(LINK, v6("fd00::1"), v6("fd00::2"));
        packet[40] = ADVERTISE;
        packet[64] = OPTION_TARGET_LINK;
        packet.to_vec()
    }

    #[test]
    fn a_reply_says_who_has_the_address_and_a_request_does_not() {
        let mut bytes = request(LINK, OURS, THEIRS);
        assert_eq!(reply(&bytes), None);
        bytes[7] = OPERATION_REPLY;
        assert_eq!(reply(&bytes), Some((OURS, LINK)));
        for length in 0..ARP {
            assert_eq!(reply(&bytes[..length]), None);
        }
    }

    #[test]
    fn a_solicitation_goes_to_the_group_of_the_last_three_bytes() {
        let (packet, group) = solicitation(LINK, v6("fd00::1"), v6("fd00::12:3456"));
        assert_eq!(group, [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
        let (header, message) = Ipv6::parse(&packet).unwrap();
        assert_eq!((header.to, header.hop_limit), (v6("ff02::1:ff12:3456"), 255));
        let (from, to) = (header.from.into(), header.to.into());
        let sum = Sum::new().pseudo_header(from, to, PROTOCOL_V6, message.len());
        assert_eq!(sum.bytes(message).finish(), 0);
    }

    #[test]
    fn an_advertisement_says_who_has_the_address() {
        let packet = advertised();
        let (header, message) = Ipv6::parse(&packet).unwrap();
        assert_eq!(advertisement(&header, message), Some((v6("fd00::2"), LINK)));
        for length in 0..message.len() {
            assert_eq!(advertisement(&header, &message[..length]), None);
        }
        let through_a_router = Ipv6 { hop_limit: 254, ..header };
        assert_eq!(advertisement(&through_a_router, message), None);
    }

    #[test]
    fn an_option_of_no_length_ends_the_list() {
        let mut packet = advertised();
        packet[64..66].copy_from_slice(&[OPTION_SOURCE_LINK, 0]);
        let (header, message) = Ipv6::parse(&packet).unwrap();
        assert_eq!(advertisement(&header, message), None);
    }
}
