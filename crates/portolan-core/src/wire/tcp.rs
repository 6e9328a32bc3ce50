//! The TCP header and its options (RFC 9293 §3.1 and §3.2; RFC 7323, RFC 2018).
//!
//! ```text
//! from u16 · to u16 · sequence u32 · acknowledgement u32 · header length 4 bits · flags 12 bits
//! · window u16 · checksum u16 · urgent u16 · option*        option = kind u8 · (length u8 · value)
//! ```

use crate::net::Port;

/// IANA's number of TCP.
pub const PROTOCOL: u8 = 6;

/// Bytes of a header without options.
pub const HEADER: usize = 20;

/// FIN: no more data.
pub const FIN: u8 = 0x01;
/// SYN: begins a connection.
pub const SYN: u8 = 0x02;
/// RST: ends it at once.
pub const RST: u8 = 0x04;
/// ACK: the acknowledgement counts.
pub const ACK: u8 = 0x10;

/// A segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp<'a> {
    /// The port it came from.
    pub from: Port,
    /// The port it is for.
    pub to: Port,
    /// Number of its first byte.
    pub sequence: u32,
    /// Number of the byte that is expected next.
    pub acknowledgement: u32,
    /// [`SYN`], [`ACK`] and so on.
    pub flags: u8,
    /// How much may be sent, unscaled.
    pub window: u16,
    /// Its options as bytes, padding included.
    pub options: &'a [u8],
}

impl<'a> Tcp<'a> {
    /// The header of a whole segment; `None` when it is cut off.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let fixed: &[u8; HEADER] = bytes.first_chunk()?;
        let end = usize::from(fixed[12] >> 4) * 4;
        let start = Start::parse(fixed)?;
        Some(Self {
            from: start.from,
            to: start.to,
            sequence: start.sequence,
            acknowledgement: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            flags: fixed[13],
            window: u16::from_be_bytes([fixed[14], fixed[15]]),
            options: bytes.get(HEADER..end)?,
        })
    }

    /// Writes the header without its checksum to the beginning of `out`; gives its length. Options
    /// are filled up to a multiple of four with zeros. `None` where `out` is too short or the options
    /// are longer than 40 bytes.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let length = HEADER + self.options.len().next_multiple_of(4);
        let out = out.get_mut(..length).filter(|_| length <= 60)?;
        out.fill(0);
        out[0..2].copy_from_slice(&self.from.0.to_be_bytes());
        out[2..4].copy_from_slice(&self.to.0.to_be_bytes());
        out[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        out[8..12].copy_from_slice(&self.acknowledgement.to_be_bytes());
        out[12] = u8::try_from(length / 4).ok()? << 4;
        out[13] = self.flags;
        out[14..16].copy_from_slice(&self.window.to_be_bytes());
        out[HEADER..HEADER + self.options.len()].copy_from_slice(self.options);
        Some(length)
    }

    /// Its options. Ends at the end-of-list option and before a malformed one.
    #[must_use]
    pub fn options(&self) -> Options<'a> {
        Options { rest: self.options }
    }

    /// Whether its list of options has an end before the header has (kind 0).
    #[must_use]
    pub fn has_end_of_options(&self) -> bool {
        let mut options = self.options();
        options.by_ref().for_each(drop);
        options.rest.first() == Some(&0)
    }
}

/// The beginning of a segment: as much of it as every ICMP error quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The port it came from.
    pub from: Port,
    /// The port it is for.
    pub to: Port,
    /// Number of its first byte.
    pub sequence: u32,
}

impl Start {
    /// From the first eight bytes.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 8] = bytes.first_chunk()?;
        Some(Self {
            from: Port(u16::from_be_bytes([bytes[0], bytes[1]])),
            to: Port(u16::from_be_bytes([bytes[2], bytes[3]])),
            sequence: u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        })
    }
}

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOption {
    /// Kind 1: nothing, for alignment.
    Nothing,
    /// Kind 2: the largest segment that may be sent.
    SegmentSize(u16),
    /// Kind 3: how far windows are shifted.
    WindowScale(u8),
    /// Kind 4: selective acknowledgements may be sent.
    SackPermitted,
    /// Kind 8: the sender's clock, and the latest it saw of ours.
    Timestamps {
        /// TSval.
        value: u32,
        /// TSecr.
        echo: u32,
    },
    /// Any other kind.
    Other(u8),
}

impl TcpOption {
    /// Its number.
    #[must_use]
    pub const fn kind(self) -> u8 {
        match self {
            Self::Nothing => 1,
            Self::SegmentSize(_) => 2,
            Self::WindowScale(_) => 3,
            Self::SackPermitted => 4,
            Self::Timestamps { .. } => 8,
            Self::Other(kind) => kind,
        }
    }

    /// Appends it; an option of another kind is appended without a value.
    pub fn push(self, options: &mut Vec<u8>) {
        match self {
            Self::Nothing => options.push(1),
            Self::SegmentSize(size) => {
                options.extend([2, 4]);
                options.extend(size.to_be_bytes());
            }
            Self::WindowScale(scale) => options.extend([3, 3, scale]),
            Self::SackPermitted => options.extend([4, 2]),
            Self::Timestamps { value, echo } => {
                options.extend([8, 10]);
                options.extend(value.to_be_bytes());
                options.extend(echo.to_be_bytes());
            }
            Self::Other(kind) => options.extend([kind, 2]),
        }
    }

    fn of(kind: u8, value: &[u8]) -> Self {
        match (kind, value) {
            (2, [a, b]) => Self::SegmentSize(u16::from_be_bytes([*a, *b])),
            (3, [scale]) => Self::WindowScale(*scale),
            (4, []) => Self::SackPermitted,
            (8, [a, b, c, d, e, f, g, h]) => Self::Timestamps {
                value: u32::from_be_bytes([*a, *b, *c, *d]),
                echo: u32::from_be_bytes([*e, *f, *g, *h]),
            },
            _ => Self::Other(kind),
        }
    }
}

/// Iterator of [`Tcp::options`].
#[derive(Clone, Debug)]
pub struct Options<'a> {
    rest: &'a [u8],
}

impl Iterator for Options<'_> {
    type Item = TcpOption;

    fn next(&mut self) -> Option<TcpOption> {
        let (kind, behind) = self.rest.split_first()?;
        if *kind == 0 {
            return None;
        }
        if *kind == 1 {
            self.rest = behind;
            return Some(TcpOption::Nothing);
        }
        let length = usize::from(*behind.first()?);
        let value = self.rest.get(2..length)?;
        self.rest = &self.rest[length..];
        Some(TcpOption::of(*kind, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn options() -> Vec<TcpOption> {
        vec![
            TcpOption::SegmentSize(1460),
            TcpOption::SackPermitted,
            TcpOption::Timestamps { value: 0x0102_0304, echo: 5 },
            TcpOption::Nothing,
            TcpOption::WindowScale(7),
            TcpOption::Other(30),
        ]
    }

    fn segment(options: &[u8]) -> Tcp<'_> {
        Tcp {
            from: Port(80),
            to: Port(40000),
            sequence: 0x0a0b_0c0d,
            acknowledgement: 0x0102_0304,
            flags: SYN | ACK,
            window: 65160,
            options,
        }
    }

    fn written() -> Vec<u8> {
        let mut list = Vec::new();
        options().into_iter().for_each(|option| option.push(&mut list));
        let mut bytes = vec![0xee; 64];
        let length = segment(&list).write(&mut bytes).unwrap();
        bytes.truncate(length);
        bytes
    }

    #[test]
    fn a_segment_comes_back_as_written() {
        let bytes = written();
        let found = Tcp::parse(&bytes).unwrap();
        assert_eq!(found, segment(&bytes[HEADER..]));
        assert_eq!(found.options().collect::<Vec<_>>(), options());
        let start = Start { from: Port(80), to: Port(40000), sequence: 0x0a0b_0c0d };
        assert_eq!(Start::parse(&bytes[..8]), Some(start));
    }

    #[test]
    fn a_header_cut_anywhere_is_none() {
        let bytes = written();
        for length in 0..bytes.len() {
            assert_eq!(Tcp::parse(&bytes[..length]), None, "{length}");
            assert_eq!(Start::parse(&bytes[..length]).is_some(), length >= 8);
        }
    }

    #[test]
    fn options_that_lie_about_their_length_end_the_list() {
        for bytes in [&[2, 0, 1, 1][..], &[2, 1, 1, 1], &[2, 9, 1, 1], &[8]] {
            assert_eq!(segment(bytes).options().count(), 0, "{bytes:?}");
        }
        assert_eq!(segment(&[1, 0, 2, 4]).options().count(), 1);
    }

    #[test]
    fn more_options_than_a_header_holds_are_not_written() {
        assert_eq!(segment(&[1; 41]).write(&mut [0; 100]), None);
        assert_eq!(segment(&[1; 40]).write(&mut [0; 59]), None);
        assert_eq!(segment(&[1; 40]).write(&mut [0; 60]), Some(60));
    }

    proptest! {
        #[test]
        fn any_options_end_within_as_many_steps(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(segment(&bytes).options().count() <= bytes.len());
        }
    }
}
