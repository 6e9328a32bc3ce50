//! ICMP (RFC 792) and ICMPv6 (RFC 4443): errors with the packet they quote, and echo.
//!
//! ```text
//! message = type u8 · code u8 · checksum u16 · four bytes of the type's own · body
//! error   = the packet it is about as the body, IP header first, as much of it as was kept
//! echo    = identifier u16 · sequence u16 as the four bytes, then data
//! ```

use super::checksum::Sum;

/// IANA's number of ICMP.
pub const PROTOCOL: u8 = 1;

/// IANA's number of ICMPv6.
pub const PROTOCOL_V6: u8 = 58;

/// Bytes in front of a message's body.
pub const HEADER: usize = 8;

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// ICMP, in IPv4.
    V4,
    /// ICMPv6.
    V6,
}

/// A message, as far as anything here asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A packet came to grief.
    Error {
        /// The type.
        kind: u8,
        /// The code.
        code: u8,
        /// The packet, from its IP header on, cut off somewhere.
        quoted: &'a [u8],
    },
    /// Somebody wants to know whether we are there.
    EchoRequest(Echo<'a>),
    /// Somebody is there.
    EchoReply(Echo<'a>),
    /// Anything else.
    Other {
        /// The type.
        kind: u8,
        /// The code.
        code: u8,
    },
}

/// An echo request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Whose it is.
    pub identifier: u16,
    /// Which one.
    pub sequence: u16,
    /// What comes back as it was sent.
    pub data: &'a [u8],
}

impl<'a> Message<'a> {
    /// The message in these bytes; `None` when they are cut off.
    #[must_use]
    pub fn parse(version: Version, bytes: &'a [u8]) -> Option<Self> {
        let (fixed, body) = bytes.split_first_chunk::<HEADER>()?;
        let (kind, code) = (fixed[0], fixed[1]);
        let echo = || Echo {
            identifier: u16::from_be_bytes([fixed[4], fixed[5]]),
            sequence: u16::from_be_bytes([fixed[6], fixed[7]]),
            data: body,
        };
        Some(match (version, kind) {
            // Unreachable, source quench, time exceeded, parameter problem.
            (Version::V4, 3 | 4 | 11 | 12) => Self::Error { kind, code, quoted: body },
            (Version::V4, 8) => Self::EchoRequest(echo()),
            (Version::V4, 0) => Self::EchoReply(echo()),
            // RFC 4443 §2.1: the types below 128 are errors.
            (Version::V6, 1..=127) => Self::Error { kind, code, quoted: body },
            (Version::V6, 128) => Self::EchoRequest(echo()),
            (Version::V6, 129) => Self::EchoReply(echo()),
            _ => Self::Other { kind, code },
        })
    }
}

impl Echo<'_> {
    /// An echo request as bytes. ICMPv6's checksum covers the addresses too: `start` is what they
    /// add up to ([`Sum::pseudo_header`]), nothing for ICMP and where the kernel fills it in.
    #[must_use]
    pub fn request(&self, version: Version, start: Sum) -> Vec<u8> {
        let kind = match version {
            Version::V4 => 8,
            Version::V6 => 128,
        };
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend(self.identifier.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.data);
        let checksum = start.bytes(&bytes).finish();
        bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECHO: Echo<'_> = Echo { identifier: 7, sequence: 9, data: &[1, 2, 3] };

    #[test]
    fn an_echo_request_comes_back_as_written_and_adds_up() {
        for version in [Version::V4, Version::V6] {
            let bytes = ECHO.request(version, Sum::new());
            assert_eq!(Message::parse(version, &bytes), Some(Message::EchoRequest(ECHO)));
            assert_eq!(Sum::new().bytes(&bytes).finish(), 0);
        }
    }

    #[test]
    fn an_error_quotes_a_packet() {
        let bytes = [3, 13, 0, 0, 0, 0, 0, 0, 0x45, 0];
        let expected = Message::Error { kind: 3, code: 13, quoted: &[0x45, 0] };
        assert_eq!(Message::parse(Version::V4, &bytes), Some(expected));
        let expected = Message::Error { kind: 3, code: 13, quoted: &[0x45, 0] };
        assert_eq!(Message::parse(Version::V6, &bytes), Some(expected));
    }

    #[test]
    fn a_message_cut_in_its_header_is_none() {
        let bytes = ECHO.request(Version::V4, Sum::new());
        for length in 0..HEADER {
            assert_eq!(Message::parse(Version::V4, &bytes[..length]), None);
            assert_eq!(Message::parse(Version::V6, &bytes[..length]), None);
        }
    }

    #[test]
    fn a_redirect_is_no_error() {
        let redirect = [5, 1, 0, 0, 0, 0, 0, 0];
        let expected = Message::Other { kind: 5, code: 1 };
        assert_eq!(Message::parse(Version::V4, &redirect), Some(expected));
    }
}
