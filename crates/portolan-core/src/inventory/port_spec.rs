//! The items of `ports`: numbers with their transports, or an IP protocol without ports.
//!
//! `443/tcp`, `53/tcp+udp`, `5000-5010/tcp`; `ip:112` and `esp` are for the firewall alone.

use std::fmt;

use crate::net::{PortRange, Transport, TransportSet};

/// An item of `ports`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PortSpec {
    /// `443/tcp`, `53/tcp+udp`, `5000-5010/tcp`.
    Ports {
        /// The numbers.
        range: PortRange,
        /// Their transports, at least one.
        transports: TransportSet,
    },
    /// `ip:112`, `esp` …: an IP protocol without ports, for the firewall only.
    Protocol {
        /// IANA's protocol number.
        number: u8,
        /// The name it was written with, for showing it again.
        name: Option<String>,
    },
}

impl PortSpec {
    /// The (range, transport) pairs meant; none for a protocol without ports.
    pub fn pairs(&self) -> impl Iterator<Item = (PortRange, Transport)> + '_ {
        let (range, transports) = match self {
            Self::Ports { range, transports } => (*range, *transports),
            Self::Protocol { .. } => (PortRange::ALL, TransportSet::NONE),
        };
        transports.iter().map(move |t| (range, t))
    }
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ports { range, transports } => write!(f, "{range}/{transports}"),
            Self::Protocol { name: Some(name), .. } => f.write_str(name),
            Self::Protocol { number, name: None } => write!(f, "ip:{number}"),
        }
    }
}
