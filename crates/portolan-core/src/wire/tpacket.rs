//! A block of a packet socket's ring of version 3 (linux/if_packet.h, packet_mmap.rst): packets as
//! the kernel lays them out for a reader that shares the memory.
//!
//! ```text
//! block = version u32 · private u32 · status u32 · packets u32 · first offset u32 · … · frame*
//! frame = next offset u32 · seconds u32 · nanoseconds u32 · kept u32 · length u32 · status u32
//!         · mac u16 · net u16 · … (48 bytes) · sockaddr_ll · packet at `net`
//! sockaddr_ll = family u16 · protocol u16 (network order) · interface i32 · hardware u16 · type u8 · …
//! ```

use std::time::Duration;

/// Where a block's status stands: 0 while the kernel writes to it, else ours.
pub const STATUS: usize = 8;

/// A packet of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The packet, as much of it as the filter keeps; from the IP header on for SOCK_DGRAM.
    pub packet: &'a [u8],
    /// When it arrived, since 1970.
    pub at: Duration,
    /// Its EtherType.
    pub protocol: u16,
    /// The interface it came in by.
    pub interface: u32,
}

/// The packets of a block. Ends before the first that does not lie in it.
#[must_use]
pub fn frames(block: &[u8]) -> Frames<'_> {
    let count = u32_at(block, 12).unwrap_or(0);
    let first = u32_at(block, 16).unwrap_or(0);
    Frames { rest: block.get(first as usize..).unwrap_or_default(), count }
}

/// Iterator of [`frames`].
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
    count: u32,
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        self.count = self.count.checked_sub(1)?;
        let frame = parse(self.rest)?;
        let next = u32_at(self.rest, 0)? as usize;
        self.rest = self.rest.get(next..).unwrap_or_default();
        Some(frame)
    }
}

fn parse(bytes: &[u8]) -> Option<Frame<'_>> {
    let start = usize::from(u16::from_ne_bytes(*bytes.get(26..)?.first_chunk()?));
    let kept = u32_at(bytes, 12)? as usize;
    let (seconds, nanoseconds) = (u32_at(bytes, 4)?, u32_at(bytes, 8)?);
    Some(Frame {
        packet: bytes.get(start..start.checked_add(kept)?)?,
        at: Duration::from_secs(seconds.into()) + Duration::from_nanos(nanoseconds.into()),
        protocol: u16::from_be_bytes(*bytes.get(HEADER + 2..)?.first_chunk()?),
        interface: u32_at(bytes, HEADER + 4)?,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// `sizeof(struct tpacket3_hdr)`, on a multiple of 16.
const HEADER: usize = 48;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(next: u32, packet: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let kept = u32::try_from(packet.len()).unwrap();
        for word in [next, 7, 9, kept, kept, 1] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend([72u16, 72].map(u16::to_ne_bytes).concat());
        bytes.resize(HEADER, 0);
        bytes.extend(17u16.to_ne_bytes());
        bytes.extend(0x0800u16.to_be_bytes());
        bytes.extend(5u32.to_ne_bytes());
        bytes.resize(72, 0);
        bytes.extend(packet);
        bytes
    }

    fn block() -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [1u32, 0, 1, 2, 48] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.resize(48, 0);
        bytes.extend(frame(80, &[1, 2, 3]));
        bytes.resize(48 + 80, 0);
        bytes.extend(frame(0, &[4, 5]));
        bytes
    }

    #[test]
    fn a_block_has_its_packets_with_time_and_interface() {
        let at = Duration::new(7, 9);
        let expected = |packet| Frame { packet, at, protocol: 0x0800, interface: 5 };
        let block = block();
        let found: Vec<_> = frames(&block).collect();
        assert_eq!(found, [expected(&[1, 2, 3]), expected(&[4, 5])]);
    }

    #[test]
    fn a_block_cut_anywhere_has_fewer_packets() {
        let block = block();
        for length in 0..block.len() {
            assert!(frames(&block[..length]).count() < 2, "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(frames(&bytes).take(1000).count() < 1000);
        }
    }
}
