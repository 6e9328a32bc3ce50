//! The words the file writes for each "one of": `status = "planned"`, `via = "nat"`.
//!
//! One table a type, from which reading, showing and the schema all take them.

use super::{Criticality, Expect, FirewallDefault, ForwardVia, Helper, ProbeDepth, Status};

/// A value that the file writes as a word.
pub trait Word: Copy + PartialEq + 'static {
    /// Each value with its word, the usual one first.
    const WORDS: &'static [(&'static str, Self)];

    /// The value a word stands for.
    #[must_use]
    fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(w, _)| *w == word).map(|(_, value)| *value)
    }

    /// Its word.
    #[must_use]
    fn word(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(_, value)| *value == self);
        found.map_or("", |(word, _)| word)
    }
}

impl Word for Status {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("active", Self::Active),
        ("planned", Self::Planned),
        ("retired", Self::Retired),
        ("observed", Self::Observed),
    ];
}

impl Word for Expect {
    const WORDS: &'static [(&'static str, Self)] =
        &[("always", Self::Always), ("sometimes", Self::Sometimes), ("one-of", Self::OneOf)];
}

impl Word for Helper {
    const WORDS: &'static [(&'static str, Self)] =
        &[("ftp", Self::Ftp), ("tftp", Self::Tftp), ("sip", Self::Sip)];
}

impl Word for Criticality {
    const WORDS: &'static [(&'static str, Self)] =
        &[("low", Self::Low), ("medium", Self::Medium), ("high", Self::High)];
}

impl Word for FirewallDefault {
    const WORDS: &'static [(&'static str, Self)] =
        &[("drop", Self::Drop), ("accept", Self::Accept), ("keep", Self::Keep)];
}

impl Word for ProbeDepth {
    const WORDS: &'static [(&'static str, Self)] =
        &[("full", Self::Full), ("banner", Self::Banner), ("never", Self::Never)];
}

impl Word for ForwardVia {
    const WORDS: &'static [(&'static str, Self)] =
        &[("nat", Self::Nat), ("proxy", Self::Proxy), ("router", Self::Router)];
}
