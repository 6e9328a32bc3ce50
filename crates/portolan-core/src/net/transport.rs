//! The transport protocols that have port numbers: TCP, UDP, SCTP, DCCP.
//!
//! Each has its own 65,536 ports: 53/tcp and 53/udp are two things.

use std::fmt;
use std::str::FromStr;

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 9260.
    Sctp,
    /// RFC 4340.
    Dccp,
}

impl Transport {
    /// All four, in the order of IANA's registry columns.
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Udp, Self::Sctp, Self::Dccp];

    /// The lower-case name: `tcp`, `udp`, `sctp`, `dccp`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
            Self::Dccp => "dccp",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Transport {
    type Err = TransportError;

    fn from_str(text: &str) -> Result<Self, TransportError> {
        Self::ALL
            .into_iter()
            .find(|t| t.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| TransportError { found: text.to_owned() })
    }
}

/// Why a text is not a transport.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a transport; one of tcp, udp, sctp, dccp")]
pub struct TransportError {
    /// The text as given.
    pub found: String,
}

/// Some of the four transports, as in `53/tcp+udp`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TransportSet(u8);

impl TransportSet {
    /// No transport.
    pub const NONE: Self = Self(0);
    /// All four.
    pub const ALL: Self = Self(0b1111);

    /// Whether `transport` is inside.
    #[must_use]
    pub const fn contains(self, transport: Transport) -> bool {
        self.0 & (1 << transport as u8) != 0
    }

    /// The set with `transport` put in.
    #[must_use]
    pub const fn with(self, transport: Transport) -> Self {
        Self(self.0 | (1 << transport as u8))
    }

    /// Whether no transport is inside.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The transports inside, in IANA's order.
    pub fn iter(self) -> impl Iterator<Item = Transport> {
        Transport::ALL.into_iter().filter(move |t| self.contains(*t))
    }
}

impl FromIterator<Transport> for TransportSet {
    fn from_iter<I: IntoIterator<Item = Transport>>(transports: I) -> Self {
        transports.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Display for TransportSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, transport) in self.iter().enumerate() {
            write!(f, "{}{transport}", if i > 0 { "+" } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for TransportSet {
    type Err = TransportError;

    fn from_str(text: &str) -> Result<Self, TransportError> {
        text.split('+').map(str::parse::<Transport>).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_prints_as_it_is_written() {
        assert_eq!("udp+tcp".parse::<TransportSet>().unwrap().to_string(), "tcp+udp");
        assert_eq!("tcp+tpc".parse::<TransportSet>().unwrap_err().found, "tpc");
        assert!("".parse::<TransportSet>().is_err());
        assert_eq!(TransportSet::ALL, Transport::ALL.into_iter().collect());
    }
}
