//! A finding: what is wrong, how bad it is where it stands, what was seen, and what to do.
//!
//! Its id is made of what stays the same from run to run, never of what was seen.

use std::fmt;

use crate::net::{PortRange, Severity, Transport};

use super::Rule;

/// One disagreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which rule speaks.
    pub rule: Rule,
    /// How bad it is where it stands.
    pub severity: Severity,
    /// The host it is about, by its name in the inventory.
    pub host: String,
    /// What it is about.
    pub subject: Subject,
    /// The service of the inventory it is about.
    pub service: Option<String>,
    /// One sentence.
    pub message: String,
    /// What was seen, a fact a line.
    pub evidence: Vec<String>,
    /// What to do next.
    pub remedy: String,
    /// The place in the inventory that says otherwise.
    pub location: Option<FileLine>,
}

impl Finding {
    /// The same for the same finding on every run: from rule, host, subject and service only.
    #[must_use]
    pub fn id(&self) -> String {
        let service = self.service.as_deref().unwrap_or("");
        let subject = self.subject.to_string();
        let hash = [self.rule.as_str(), &self.host, &subject, service]
            .iter()
            .flat_map(|part| part.bytes().chain([0x1f]))
            .fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
        format!("{}-{:010x}", self.rule, hash & 0xff_ffff_ffff)
    }
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A port or a range of ports: `5432/tcp`.
    Ports(PortRange, Transport),
    /// Something without a port, by name: a service, a host, a forward.
    Name(String),
}

impl Subject {
    /// The ports it is about, where it is about ports.
    #[must_use]
    pub const fn ports(&self) -> Option<(PortRange, Transport)> {
        match self {
            Self::Ports(range, transport) => Some((*range, *transport)),
            Self::Name(_) => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ports(range, transport) => write!(f, "{range}/{transport}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A line of an inventory file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLine {
    /// The path as the inventory knows it.
    pub file: String,
    /// Counted from one.
    pub line: usize,
}

/// FNV-1a, 64 bits: <http://www.isthe.com/chongo/tech/comp/fnv/>. An identity, not a secret.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
