//! Why something exists and who answers for it: the keys that services, forwards and doors share.
//!
//! They open nothing. `approved.until` closes: the firewall lets nobody in after it. The audit reads the
//! dates, the exports print the rest.

use jiff::SignedDuration;
use jiff::civil::Date;

use super::{End, Located, Location};

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

impl Documentation {
    /// The day it is to be looked at again, with `rule` where it says nothing of its own.
    ///
    /// A span counts from `approved.on`, so that without a day of approval there is none.
    #[must_use]
    pub fn review_due(&self, rule: Option<&ReviewRule>) -> Option<Date> {
        let every = match self.review.as_ref().map(|review| review.value) {
            Some(Review::On(day)) => return Some(day),
            Some(Review::Every(every)) => every,
            None => rule?.every,
        };
        self.approved.as_ref()?.on?.checked_add(every).ok()
    }

    /// Whether it was approved until a moment or day that is over by `now`: it opens nothing any more.
    #[must_use]
    pub fn has_ended(&self, now: jiff::Timestamp) -> bool {
        let until = self.approved.as_ref().and_then(|approved| approved.until.as_ref());
        until.is_some_and(|until| until.value.is_over(now))
    }

    /// Whether it is approved until a moment: `portolan allow --until` writes that.
    #[must_use]
    pub fn is_for_a_while(&self) -> bool {
        let until = self.approved.as_ref().and_then(|approved| approved.until.as_ref());
        until.is_some_and(|until| matches!(until.value, End::Moment(_)))
    }
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
    pub until: Option<Located<End>>,
    /// The key.
    pub at: Location,
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn reviewed(review: Option<Review>, approved: Option<Date>) -> Documentation {
        let approved = approved.map(|on| Approval {
            by: None,
            on: Some(on),
            ticket: None,
            until: None,
            at: Location::default(),
        });
        let review = review.map(|value| Located { value, at: Location::default() });
        Documentation { review, approved, ..Documentation::default() }
    }

    #[test]
    fn a_span_counts_from_the_day_of_approval_and_a_day_stands_for_itself() {
        let approved = Some(date(2026, 3, 2));
        let own = reviewed(Some(Review::Every(DAY * 180)), approved);
        assert_eq!(own.review_due(None), Some(date(2026, 8, 29)));
        let day = reviewed(Some(Review::On(date(2027, 1, 1))), approved);
        assert_eq!(day.review_due(None), Some(date(2027, 1, 1)));
    }

    #[test]
    fn the_rule_of_the_file_counts_where_a_service_says_nothing() {
        let rule = ReviewRule { every: DAY * 365, warn: DAY * 14 };
        let approved = reviewed(None, Some(date(2026, 3, 2)));
        assert_eq!(approved.review_due(Some(&rule)), Some(date(2027, 3, 2)));
        assert_eq!(approved.review_due(None), None);
        assert_eq!(reviewed(None, None).review_due(Some(&rule)), None);
    }
}
