//! A SYN as Linux sends it, with everything in place that does not change from one port to the next.
//!
//! All of today's options are on it: a SYN without any is dropped by some firewalls, and is answered
//! with less than the host would tell of itself. Only what varies is added to the checksums.

use std::net::IpAddr;

use super::checksum::Sum;
use super::tcp::{self, Tcp};
use super::{ipv4, ipv6};
use crate::net::Port;

/// Bytes of the longest: IPv6.
pub const LONGEST: usize = ipv6::HEADER + SEGMENT;

/// A SYN for one pair of addresses.
#[derive(Clone, Debug)]
pub struct Syn {
    bytes: [u8; LONGEST],
    is_v6: bool,
    /// What the constant words of the IPv4 header add up to.
    header: Sum,
    /// What those of the segment and its pseudo-header do.
    segment: Sum,
}

/// What differs between two SYNs of one pair of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Varying {
    /// The port it leaves from.
    pub from: Port,
    /// The port asked.
    pub to: Port,
    /// The initial sequence number.
    pub sequence: u32,
    /// The clock of the timestamps option, which a SYN-ACK echoes (RFC 7323 §3.2).
    pub clock: u32,
    /// IPv4's identification, which ICMP errors quote. An unfragmented packet may have any
    /// (RFC 6864 §4.1).
    pub id: u16,
}

impl Syn {
    /// From `from` to `to`, through an interface that takes packets of `mtu` bytes; `None` when they
    /// are of two families.
    #[must_use]
    pub fn new(from: IpAddr, to: IpAddr, mtu: u32) -> Option<Self> {
        let mut bytes = [0; LONGEST];
        let start = match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let header = ipv4::Ipv4::new(from, to, tcp::PROTOCOL, SEGMENT);
                bytes[..ipv4::HEADER].copy_from_slice(&header.bytes());
                bytes[10..12].fill(0); // its checksum comes with the identification
                ipv4::HEADER
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let header = ipv6::Ipv6::new(from, to, tcp::PROTOCOL, SEGMENT);
                bytes[..ipv6::HEADER].copy_from_slice(&header.bytes());
                ipv6::HEADER
            }
            _ => return None,
        };
        let headers = u32::try_from(start + tcp::HEADER).unwrap_or(0);
        let size = u16::try_from(mtu.saturating_sub(headers)).unwrap_or(u16::MAX);
        write_segment(size, &mut bytes[start..])?;
        let header = Sum::new().bytes(&bytes[..ipv4::HEADER]);
        let pseudo = Sum::new().pseudo_header(from, to, tcp::PROTOCOL, SEGMENT);
        let segment = pseudo.bytes(&bytes[start..start + SEGMENT]);
        Some(Self { bytes, is_v6: from.is_ipv6(), header, segment })
    }

    /// Writes the whole packet to the beginning of `out`; gives its length.
    #[inline]
    pub fn write(&self, varying: &Varying, out: &mut [u8; LONGEST]) -> usize {
        *out = self.bytes;
        let start = if self.is_v6 { ipv6::HEADER } else { ipv4::HEADER };
        if !self.is_v6 {
            out[4..6].copy_from_slice(&varying.id.to_be_bytes());
            let checksum = self.header.word(varying.id).finish();
            out[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        let Varying { from, to, sequence, clock, .. } = *varying;
        let sum = self.segment.word(from.0).word(to.0).double(sequence).double(clock);
        let segment = &mut out[start..start + SEGMENT];
        segment[0..2].copy_from_slice(&from.0.to_be_bytes());
        segment[2..4].copy_from_slice(&to.0.to_be_bytes());
        segment[4..8].copy_from_slice(&sequence.to_be_bytes());
        segment[16..18].copy_from_slice(&sum.finish().to_be_bytes());
        segment[CLOCK..CLOCK + 4].copy_from_slice(&clock.to_be_bytes());
        start + SEGMENT
    }
}

/// Options, their order and the window are those of Linux (net/ipv4/tcp_output.c): a window of 44
/// segments of an Ethernet, a shift of 7.
fn write_segment(size: u16, out: &mut [u8]) -> Option<usize> {
    let [high, low] = size.to_be_bytes();
    #[rustfmt::skip]
    let options = [
        2, 4, high, low, // the largest segment
        4, 2, // SACK permitted
        8, 10, 0, 0, 0, 0, 0, 0, 0, 0, // timestamps
        1, 3, 3, 7, // nothing, window scale
    ];
    let segment = Tcp {
        from: Port(0),
        to: Port(0),
        sequence: 0,
        acknowledgement: 0,
        flags: tcp::SYN,
        window: 64240,
        options: &options,
    };
    segment.write(out)
}

/// Header and 20 bytes of options.
const SEGMENT: usize = tcp::HEADER + 20;

/// Where TSval stands in the segment: behind header, MSS, SACK-permitted and its own kind and length.
const CLOCK: usize = tcp::HEADER + 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ipv4::Ipv4;
    use crate::wire::ipv6::Ipv6;
    use crate::wire::tcp::TcpOption;

    const VARYING: Varying = Varying {
        from: Port(61_234),
        to: Port(443),
        sequence: 0xdead_beef,
        clock: 0x0102_0304,
        id: 0xabcd,
    };

    fn packet(from: &str, to: &str) -> Vec<u8> {
        let syn = Syn::new(from.parse().unwrap(), to.parse().unwrap(), 1500).unwrap();
        let mut out = [0; LONGEST];
        let length = syn.write(&VARYING, &mut out);
        out[..length].to_vec()
    }

    fn check(from: &str, to: &str, segment: &[u8], size: u16) {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let sum = Sum::new().pseudo_header(from, to, tcp::PROTOCOL, segment.len());
        assert_eq!(sum.bytes(segment).finish(), 0, "the segment adds up");
        let found = Tcp::parse(segment).unwrap();
        assert_eq!((found.from, found.to, found.flags), (VARYING.from, VARYING.to, tcp::SYN));
        assert_eq!((found.sequence, found.window), (VARYING.sequence, 64240));
        let options = [
            TcpOption::SegmentSize(size),
            TcpOption::SackPermitted,
            TcpOption::Timestamps { value: VARYING.clock, echo: 0 },
            TcpOption::Nothing,
            TcpOption::WindowScale(7),
        ];
        assert_eq!(found.options().collect::<Vec<_>>(), options);
    }

    #[test]
    fn a_syn_over_ipv4_is_as_linux_sends_it_and_adds_up() {
        let packet = packet("10.0.0.1", "10.0.0.2");
        assert_eq!(Sum::new().bytes(&packet[..20]).finish(), 0, "the header adds up");
        let (header, segment) = Ipv4::parse(&packet).unwrap();
        assert_eq!((header.id, header.dont_fragment, header.ttl), (VARYING.id, true, 64));
        check("10.0.0.1", "10.0.0.2", segment, 1460);
    }

    #[test]
    fn a_syn_over_ipv6_is_as_linux_sends_it_and_adds_up() {
        let packet = packet("fd00::1", "fd00::2");
        let (header, segment) = Ipv6::parse(&packet).unwrap();
        assert_eq!((header.hop_limit, header.length), (64, 40));
        check("fd00::1", "fd00::2", segment, 1440);
    }

    #[test]
    fn two_families_make_no_packet() {
        let (v4, v6) = ("10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap());
        assert!(Syn::new(v4, v6, 1500).is_none());
    }
}
