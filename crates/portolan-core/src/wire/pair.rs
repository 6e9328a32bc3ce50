//! The two messages by which `check --pair` and `listen` prove a path in both directions.
//!
//! ```text
//! magic "ptlnpair" · version u8 · kind u8 · zero u16 · challenge 16 · answer 16 · address 16 · port u16 · zero u16
//! ```
//! Both have 64 bytes, big-endian, and are the same over UDP and TCP. The challenge leaves all behind
//! its first nonce zero. The answer repeats that, adds the listener's own nonce and where the
//! challenge came from as the listener saw it (an IPv4 address as RFC 4291 §2.5.5.2 maps it), so that
//! a NAT on the way shows. An answer is never longer than its question and never answered itself:
//! nobody can be flooded by way of a listener.

use std::net::{IpAddr, Ipv6Addr};

use crate::net::{Endpoint, Port};

/// A number nobody can guess, by which an answer is known to be one to our question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce(pub [u8; 16]);

impl Nonce {
    /// Its beginning, for two people to compare over the telephone: `7f3a-91c2`.
    #[must_use]
    pub fn code(&self) -> String {
        let [a, b, c, d, ..] = self.0;
        format!("{a:02x}{b:02x}-{c:02x}{d:02x}")
    }
}

/// One of the two messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// "Is a listener there?"
    Challenge {
        /// Whose question it is.
        challenge: Nonce,
    },
    /// "Here is one."
    Answer {
        /// The nonce of the challenge.
        challenge: Nonce,
        /// The nonce of this run of the listener.
        listener: Nonce,
        /// Where the challenge came from.
        seen: Endpoint,
    },
}

/// How long either message is, in bytes.
pub const LENGTH: usize = 64;

impl Message {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8] = VERSION;
        match self {
            Self::Challenge { challenge } => {
                bytes[9] = CHALLENGE;
                bytes[12..28].copy_from_slice(&challenge.0);
            }
            Self::Answer { challenge, listener, seen } => {
                bytes[9] = ANSWER;
                bytes[12..28].copy_from_slice(&challenge.0);
                bytes[28..44].copy_from_slice(&listener.0);
                bytes[44..60].copy_from_slice(&mapped(seen.address).octets());
                bytes[60..62].copy_from_slice(&seen.port.0.to_be_bytes());
            }
        }
        bytes
    }

    /// Reads a message; `None` for anything else, another version among it.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LENGTH] = bytes.try_into().ok()?;
        let (head, rest) = bytes.split_at(12);
        let (challenge, rest) = rest.split_first_chunk()?;
        let challenge = Nonce(*challenge);
        match head.strip_prefix(MAGIC)? {
            [VERSION, CHALLENGE, 0, 0] if rest.iter().all(|b| *b == 0) => {
                Some(Self::Challenge { challenge })
            }
            [VERSION, ANSWER, 0, 0] => {
                let (listener, rest) = rest.split_first_chunk()?;
                let (address, rest) = rest.split_first_chunk::<16>()?;
                let [high, low, 0, 0] = rest else { return None };
                let address = IpAddr::from(Ipv6Addr::from(*address)).to_canonical();
                let seen = Endpoint::new(address, Port(u16::from_be_bytes([*high, *low])));
                Some(Self::Answer { challenge, listener: Nonce(*listener), seen })
            }
            _ => None,
        }
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

const MAGIC: &[u8] = b"ptlnpair";
const VERSION: u8 = 1;
const CHALLENGE: u8 = 1;
const ANSWER: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> [Message; 3] {
        let (challenge, listener) = (Nonce([7; 16]), Nonce([0x91; 16]));
        let seen = |text: &str| Endpoint::new(text.parse().unwrap(), Port(40000));
        [
            Message::Challenge { challenge },
            Message::Answer { challenge, listener, seen: seen("10.77.0.1") },
            Message::Answer { challenge, listener, seen: seen("fd77::1") },
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        for message in both() {
            assert_eq!(Message::parse(&message.to_bytes()), Some(message));
        }
    }

    #[test]
    fn a_message_cut_or_lengthened_is_none() {
        for message in both() {
            let bytes = message.to_bytes();
            for length in 0..bytes.len() {
                assert_eq!(Message::parse(&bytes[..length]), None);
            }
            assert_eq!(Message::parse(&[&bytes[..], b"x"].concat()), None);
        }
    }

    #[test]
    fn another_version_and_another_kind_are_not_ours() {
        let mut bytes = both()[1].to_bytes();
        bytes[9] = 3;
        assert_eq!(Message::parse(&bytes), None);
        bytes[8..10].copy_from_slice(&[2, ANSWER]);
        assert_eq!(Message::parse(&bytes), None);
    }

    #[test]
    fn a_code_is_short_enough_to_be_read_aloud() {
        assert_eq!(Nonce([0x0f; 16]).code(), "0f0f-0f0f");
    }
}
