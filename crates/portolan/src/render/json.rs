//! The envelope of every JSON document, and what all documents share.

use portolan_core::net::Gap;
use serde::Serialize;

/// `{"portolan":1,"kind":"…",…,"gaps":[…]}`.
#[derive(Debug, Serialize)]
pub(crate) struct Document<T> {
    portolan: u8,
    kind: &'static str,
    #[serde(flatten)]
    body: T,
    gaps: Vec<GapJson>,
}

impl<T: Serialize> Document<T> {
    /// A document of `kind`.
    pub(crate) fn new(kind: &'static str, body: T, gaps: &[Gap]) -> Self {
        Self { portolan: 1, kind, body, gaps: gaps.iter().map(GapJson::from).collect() }
    }
}

/// What could not be seen.
#[derive(Debug, Serialize)]
pub(crate) struct GapJson {
    what: String,
    why: &'static str,
    hint: String,
}

impl From<&Gap> for GapJson {
    fn from(gap: &Gap) -> Self {
        Self { what: gap.what.clone(), why: gap.why.as_str(), hint: gap.hint.clone() }
    }
}
