//! Why something exists and who answers for it: the keys that services, forwards and doors share.
//!
//! They open and close nothing; the audit reads the dates, the exports print the rest.

use jiff::SignedDuration;
use jiff::civil::Date;

use super::{Located, Location};

/// The documentation fields that services share with forwards, doors and pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documentation {
    /// Why it exists.
    pub purpose: Option<Located<String>>,
    /// Who answers for it: a key of `owners`.
    pub owner: Option<Located<String>>,
    /// How bad it is when it fails.
    pub criticality: Option<Criticality>,
    /// What makes a risky service bearable.
    pub security: Option<String>,
    /// Further reading.
    pub links: Vec<String>,
    /// Free labels.
    pub tags: Vec<String>,
    /// When it is to be looked at again.
    pub review: Option<Located<Review>>,
    /// Who approved it.
    pub approved: Option<Approval>,
}

/// `criticality`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Criticality {
    /// Nobody is woken.
    Low,
    /// Working hours.
    Medium,
    /// At once.
    High,
}

impl Criticality {
    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// `review = { every, warn }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReviewRule {
    /// From one review to the next.
    pub every: SignedDuration,
    /// How long before that it is announced.
    pub warn: SignedDuration,
}

/// `review` of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review {
    /// On this day.
    On(Date),
    /// So long after `approved.on`.
    Every(SignedDuration),
}

/// `approved = { by, on, ticket, until }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Who.
    pub by: Option<String>,
    /// When.
    pub on: Option<Date>,
    /// Where it is written down.
    pub ticket: Option<String>,
    /// When it ends.
    pub until: Option<Located<Date>>,
    /// The key.
    pub at: Location,
}
