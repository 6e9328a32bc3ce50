//! What can be wrong with a filter, where it is, and what was probably meant.

use std::fmt;
use std::ops::Range;

use crate::net::{PortError, PortRange};

/// A filter that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The words of the filter, joined by blanks.
    pub text: String,
    /// The bytes of `text` that are wrong; empty at the end where something is missing.
    pub span: Range<usize>,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl std::error::Error for FilterError {}

impl FilterError {
    /// What to write instead, where that can be guessed.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.problem.hint()
    }
}

/// What is wrong with a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Something else stands where this is needed.
    #[error("expected {wanted}, found {}", found.as_ref().map_or("the end".into(), |f| format!("`{f}`")))]
    Expected {
        /// What is needed.
        wanted: &'static str,
        /// What stands there; `None` at the end.
        found: Option<String>,
    },
    /// A word that begins no test.
    #[error("`{found}` is no test")]
    UnknownTest {
        /// That word.
        found: String,
        /// The test it resembles.
        nearest: Option<&'static str>,
    },
    /// A word that is no state.
    #[error("`{found}` is no state")]
    UnknownState {
        /// That word.
        found: String,
        /// The state it resembles.
        nearest: Option<&'static str>,
    },
    /// `state` or `exclude` inside an expression.
    #[error("`{word}` must stand before the expression")]
    StateInside {
        /// Which of the two.
        word: String,
    },
    /// A number that is no port.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A name that is no service.
    #[error("`{found}` is no port and no known service")]
    UnknownService {
        /// That name.
        found: String,
    },
    /// Less or greater than no number at all.
    #[error("`*` stands for every port and cannot be compared by size")]
    AnyPortCompared,
    /// Neither address nor network nor known host.
    #[error("`{found}` is no address, no network and no known host")]
    UnknownHost {
        /// That text.
        found: String,
    },
    /// An address of the other family than the one named before it.
    #[error("`{found}` is no {family} address")]
    OtherFamily {
        /// The address.
        found: String,
        /// The family named.
        family: &'static str,
    },
    /// No such interface.
    #[error("there is no device `{found}`")]
    UnknownDevice {
        /// The name or index.
        found: String,
    },
    /// No such cgroup.
    #[error("there is no cgroup `{found}`")]
    UnknownCgroup {
        /// The path.
        found: String,
    },
    /// A part of ss's language that is not for the sockets shown here.
    #[error("`{word}` cannot be tested: {why}")]
    Unsupported {
        /// The word.
        word: String,
        /// Why not.
        why: &'static str,
    },
    /// `(` without `)`.
    #[error("this parenthesis is not closed")]
    Unclosed,
    /// `)` without `(`.
    #[error("this parenthesis closes nothing")]
    Unopened,
    /// More parentheses inside each other than anyone would write.
    #[error("more than {limit} parentheses inside each other")]
    TooDeep {
        /// How many are read.
        limit: usize,
    },
}

impl Problem {
    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownTest { found, nearest } => Some(instead_of_test(found, *nearest)),
            Self::UnknownState { nearest: Some(nearest), .. } => {
                Some(format!("did you mean `{nearest}`?"))
            }
            Self::UnknownState { nearest: None, .. } => Some(
                "states are established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, \
                 closed, close-wait, last-ack, listening, closing, and the groups all, connected, \
                 synchronized, bucket, big"
                    .into(),
            ),
            Self::StateInside { word } => Some(format!("as in: {word} established sport = :22")),
            Self::UnknownService { found } => instead_of_service(found),
            Self::UnknownHost { found } => instead_of_host(found),
            _ => None,
        }
    }
}

fn instead_of_test(found: &str, nearest: Option<&str>) -> String {
    let port = found.trim_start_matches(':');
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty() => {
            format!("write sport = :{port} for the local port, dport = :{port} for the peer's")
        }
        None => "tests are src, dst, sport, dport, dev, cgroup and autobound".into(),
    }
}

fn instead_of_service(found: &str) -> Option<String> {
    let range: PortRange = found.parse().ok()?;
    Some(format!(
        "for a range write ( sport >= :{} and sport <= :{} )",
        range.first(),
        range.last()
    ))
}

fn instead_of_host(found: &str) -> Option<String> {
    if found.bytes().all(|b| b.is_ascii_digit()) {
        return Some(format!("a port follows a colon: `:{found}`"));
    }
    (found.matches(':').count() > 1 && !found.starts_with('[')).then(|| {
        format!("an IPv6 address stands in brackets: `[{}]`", found.trim_matches(['[', ']']))
    })
}
