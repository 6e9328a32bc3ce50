//! Floor 5, the judgement: where the inventory and what was seen disagree.
//!
//! A finding has a rule, a severity, a subject, evidence and a remedy, and an id that stays the
//! same as long as the thing found does.

use std::fmt;

pub use crate::net::Severity;

/// One disagreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which rule speaks.
    pub rule: Rule,
    /// How bad it is where it stands.
    pub severity: Severity,
    /// The host it is about, by its name in the inventory.
    pub host: String,
    /// What it is about: `5432/tcp`, or a name where no port is.
    pub subject: String,
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
        let hash = [self.rule.as_str(), &self.host, &self.subject, service]
            .iter()
            .flat_map(|part| part.bytes().chain([0x1f]))
            .fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
        format!("{}-{:010x}", self.rule, hash & 0xff_ffff_ffff)
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

/// The audit's rules, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Unexpected listener.
    P101,
    /// Declared but not listening.
    P102,
    /// Wrong process, user, unit or container.
    P103,
    /// Bound wider than allowed.
    P104,
    /// Two want the same port.
    P109,
    /// Planned or reserved number taken.
    P110,
    /// Fixed port inside the ephemeral or NodePort range.
    P111,
    /// Review overdue, approval expired.
    P112,
    /// Risky service without a security note, or risky where it is exposed.
    P116,
    /// TODO or `observed` left by `init`.
    P117,
    /// Retired but listening.
    P118,
}

impl Rule {
    /// All rules that are judged, by number.
    pub const ALL: [Self; 11] = [
        Self::P101,
        Self::P102,
        Self::P103,
        Self::P104,
        Self::P109,
        Self::P110,
        Self::P111,
        Self::P112,
        Self::P116,
        Self::P117,
        Self::P118,
    ];

    /// The id: `P101` …
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P101 => "P101",
            Self::P102 => "P102",
            Self::P103 => "P103",
            Self::P104 => "P104",
            Self::P109 => "P109",
            Self::P110 => "P110",
            Self::P111 => "P111",
            Self::P112 => "P112",
            Self::P116 => "P116",
            Self::P117 => "P117",
            Self::P118 => "P118",
        }
    }

    /// The rule in a few words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::P101 => "unexpected listener",
            Self::P102 => "declared but not listening",
            Self::P103 => "wrong process, user, unit or container",
            Self::P104 => "bound wider than allowed",
            Self::P109 => "conflict",
            Self::P110 => "planned or reserved number taken",
            Self::P111 => "fixed port inside the ephemeral or NodePort range",
            Self::P112 => "review overdue, approval expired",
            Self::P116 => "risky service, unexplained or exposed",
            Self::P117 => "left to do by init",
            Self::P118 => "retired but listening",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// FNV-1a, 64 bits: <http://www.isthe.com/chongo/tech/comp/fnv/>. An identity, not a secret.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
