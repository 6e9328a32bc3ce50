//! What to mind when a port is reachable: how risky what usually runs there is, where it may be
//! exposed, why, and what to use instead.
//!
//! Judged from the number alone, so it speaks of what usually listens there. Every row names a
//! source that stands (`data/security.tsv`); a row without one is not shipped.

use std::fmt;
use std::str::FromStr;

use crate::net::{Port, Severity, TransportSet};
use crate::registry::iana::transport_of;
use crate::registry::table::{self, Table};

/// A security note on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecurityNote<'a> {
    /// The port.
    pub port: Port,
    /// The transports it speaks of.
    pub transports: TransportSet,
    /// What it speaks of: `telnet`, `redis`.
    pub service: &'a str,
    /// The kind of risk: `cleartext`, `amplifier`, `remote-admin`, `database`, …
    pub risk_class: &'a str,
    /// How bad it is where it is exposed to anyone.
    pub severity: Severity,
    /// Where such a port may be reachable from.
    pub exposure: Exposure,
    /// Why, in a sentence.
    pub why: &'a str,
    /// What to use instead; may be empty.
    pub safer_alternative: &'a str,
    /// The encrypted twin, `443/tcp`: where the same protocol, or the one that replaced it (SSH for
    /// Telnet), runs encrypted; several are separated by `, `; may be empty.
    pub encrypted_twin: &'a str,
    /// Who says so: an RFC, a CVE, a named page.
    pub source: &'a str,
}

/// Where a port may be reachable from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exposure {
    /// From anywhere.
    PublicOk,
    /// From anywhere once it is hardened as its documentation says.
    PublicHardened,
    /// From named addresses.
    AllowList,
    /// Through a VPN or a tunnel.
    VpnOnly,
    /// From the local network.
    LanOnly,
    /// From this machine.
    Loopback,
    /// From nowhere: it should not run.
    Never,
}

impl Exposure {
    /// All, widest first.
    pub const ALL: [Self; 7] = [
        Self::PublicOk,
        Self::PublicHardened,
        Self::AllowList,
        Self::VpnOnly,
        Self::LanOnly,
        Self::Loopback,
        Self::Never,
    ];

    /// The word used in JSON: `public-ok`, `lan-only`, `never`, …
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PublicOk => "public-ok",
            Self::PublicHardened => "public-hardened",
            Self::AllowList => "allow-list",
            Self::VpnOnly => "vpn-only",
            Self::LanOnly => "lan-only",
            Self::Loopback => "loopback",
            Self::Never => "never",
        }
    }

    /// The same for people: `not exposed to the Internet at all`.
    #[must_use]
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::PublicOk => "may face the Internet",
            Self::PublicHardened => "may face the Internet once hardened",
            Self::AllowList => "only for named addresses",
            Self::VpnOnly => "only through a VPN or a tunnel",
            Self::LanOnly => "only on a trusted local network",
            Self::Loopback => "only for this machine itself",
            Self::Never => "never reachable from the Internet",
        }
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Exposure {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|e| e.as_str() == text).ok_or(())
    }
}

impl SecurityNote<'static> {
    fn from_row(row: &'static str) -> Option<Self> {
        let [port, letters, service, risk_class, severity, exposure, why, safer, twin, source] =
            table::cells(row);
        Some(Self {
            port: port.parse().ok()?,
            transports: letters.chars().filter_map(transport_of).collect(),
            service,
            risk_class,
            severity: Severity::ALL.into_iter().find(|s| s.as_str() == severity)?,
            exposure: exposure.parse().ok()?,
            why,
            safer_alternative: safer,
            encrypted_twin: twin,
            source,
        })
    }
}

const TABLE: Table<'static> = Table::new(include_str!("../../../../data/security.tsv"));

/// The notes on one port.
pub(super) fn at(port: Port) -> impl Iterator<Item = SecurityNote<'static>> {
    TABLE.at(port).filter_map(SecurityNote::from_row)
}

/// Every note.
pub(super) fn all() -> impl Iterator<Item = SecurityNote<'static>> {
    TABLE.rows().filter_map(SecurityNote::from_row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Transport;

    #[test]
    fn every_row_is_whole_in_order_and_has_its_source() {
        assert_eq!(table::first_out_of_order(include_str!("../../../../data/security.tsv")), None);
        for row in TABLE.rows() {
            let note = SecurityNote::from_row(row).unwrap_or_else(|| panic!("{row}"));
            assert!(!note.transports.is_empty() && !note.why.is_empty(), "{row}");
            assert!(note.source.len() > 6, "{row}");
            assert_eq!(row.split('\t').count(), 10, "{row}");
        }
    }

    #[test]
    fn every_encrypted_twin_is_a_port_and_a_transport() {
        for note in all() {
            for twin in note.encrypted_twin.split(", ").filter(|twin| !twin.is_empty()) {
                let (port, transport) = twin.split_once('/').unwrap_or_else(|| panic!("{twin}"));
                assert!(port.parse::<Port>().is_ok_and(|port| port.0 != 0), "{twin}");
                assert!(transport.parse::<Transport>().is_ok(), "{twin}");
            }
        }
    }

    #[test]
    fn a_pair_has_at_most_one_note() {
        for note in all() {
            for transport in note.transports.iter() {
                let here = at(note.port).filter(|n| n.transports.contains(transport));
                assert_eq!(here.count(), 1, "{}/{transport}", note.port);
            }
        }
    }
}
