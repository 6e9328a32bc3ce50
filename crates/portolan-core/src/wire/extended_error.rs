//! Errors of a socket's error queue: what IP_RECVERR and IPV6_RECVERR put beside a message
//! (ip(7), ipv6(7); include/uapi/linux/errqueue.h).
//!
//! ```text
//! control = ( length usize · level i32 · type i32 · data · padding to a usize )*
//! data    = errno u32 · origin u8 · type u8 · code u8 · pad u8 · info u32 · data u32 · offender
//! ```
//!
//! The offender, a socket address, is who reported the error: a router, the host itself, or this
//! machine.

use std::net::IpAddr;

use super::sockaddr;

/// An error the kernel kept for a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedError {
    /// The number as in errno(3).
    pub errno: u32,
    /// Where it comes from.
    pub origin: Origin,
    /// Who reported it; `None` where nobody outside did.
    pub offender: Option<IpAddr>,
}

/// Where an error comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This machine found it out itself (SO_EE_ORIGIN_LOCAL).
    Local,
    /// An ICMP message (RFC 792).
    Icmp {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
    },
    /// An ICMPv6 message (RFC 4443).
    Icmp6 {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
    },
    /// Something else, such as a time stamp: the number of errqueue.h.
    Other(u8),
}

impl ExtendedError {
    /// The first error among the control messages `control`; `None` when there is none or it is cut
    /// short.
    #[must_use]
    pub fn parse(control: &[u8]) -> Option<Self> {
        Messages(control).find(|m| RECEIVED_ERRORS.contains(&(m.level, m.kind))).and_then(
            |message| {
                let (fixed, offender) = message.data.split_first_chunk::<FIXED>()?;
                let (kind, code) = (fixed[5], fixed[6]);
                let origin = match fixed[4] {
                    ORIGIN_LOCAL => Origin::Local,
                    ORIGIN_ICMP => Origin::Icmp { kind, code },
                    ORIGIN_ICMP6 => Origin::Icmp6 { kind, code },
                    other => Origin::Other(other),
                };
                let errno = u32::from_ne_bytes(*fixed.first_chunk()?);
                let offender = sockaddr::parse(offender).map(|address| address.ip());
                Some(Self { errno, origin, offender })
            },
        )
    }
}

/// A control message of recvmsg(2), see cmsg(3).
struct Message<'a> {
    level: i32,
    kind: i32,
    data: &'a [u8],
}

/// The control messages one after the other; ends at the first that does not fit.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        const WORD: usize = size_of::<usize>();
        let (length, rest) = self.0.split_first_chunk::<WORD>()?;
        let (level, rest) = rest.split_first_chunk()?;
        let (kind, _) = rest.split_first_chunk()?;
        let length = usize::from_ne_bytes(*length);
        let data = self.0.get(WORD + 8..length)?;
        let next = length.checked_next_multiple_of(WORD)?;
        self.0 = self.0.get(next..).unwrap_or_default();
        Some(Message { level: i32::from_ne_bytes(*level), kind: i32::from_ne_bytes(*kind), data })
    }
}

/// Bytes before the offender.
const FIXED: usize = 16;

/// (IPPROTO_IP, IP_RECVERR) and (IPPROTO_IPV6, IPV6_RECVERR).
const RECEIVED_ERRORS: [(i32, i32); 2] = [(0, 11), (41, 25)];

const ORIGIN_LOCAL: u8 = 1;
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let word = size_of::<usize>();
        let length = word + 8 + data.len();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(length.next_multiple_of(word), 0);
        bytes
    }

    /// EHOSTUNREACH by ICMP 3/13 from 10.77.0.254, behind a TTL as IP_RECVTTL would put it.
    fn prohibited() -> Vec<u8> {
        let mut error = 113u32.to_ne_bytes().to_vec();
        error.extend([2, 3, 13, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        error.extend(2u16.to_ne_bytes());
        error.extend([0, 0, 10, 77, 0, 254, 0, 0, 0, 0, 0, 0, 0, 0]);
        [message(0, 2, &[64, 0, 0, 0]), message(0, 11, &error)].concat()
    }

    #[test]
    fn type_code_and_sender_are_read() {
        let error = ExtendedError::parse(&prohibited()).unwrap();
        assert_eq!(error.origin, Origin::Icmp { kind: 3, code: 13 });
        assert_eq!(error.offender, Some("10.77.0.254".parse().unwrap()));
        assert_eq!(error.errno, 113);
    }

    #[test]
    fn an_error_of_our_own_has_no_offender() {
        let mut error = 90u32.to_ne_bytes().to_vec();
        error.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        error.extend([0; 16]);
        let error = ExtendedError::parse(&message(41, 25, &error)).unwrap();
        assert_eq!((error.origin, error.offender), (Origin::Local, None));
    }

    #[test]
    fn cut_short_at_any_length_it_breaks_nothing() {
        let whole = prohibited();
        let read: Vec<_> =
            (0..whole.len()).map(|end| ExtendedError::parse(&whole[..end])).collect();
        assert!(read.iter().flatten().count() == 0, "{read:?}");
    }

    #[test]
    fn lengths_that_lie_end_the_walk() {
        for length in [0, 1, 15, 16, 17, usize::MAX, usize::MAX - 7] {
            let mut bytes = prohibited();
            bytes[..size_of::<usize>()].copy_from_slice(&length.to_ne_bytes());
            let _ = ExtendedError::parse(&bytes);
        }
    }
}
