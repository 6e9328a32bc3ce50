//! Purpose, owner, review, approval: the keys that say why something exists.

use jiff::SignedDuration;

use super::super::fields::{Decoding, Fields};
use super::super::literal;
use super::super::names::Named;
use super::super::node::Value;
use crate::inventory::{Approval, Documentation, Located, Review, ReviewRule};

impl Decoding<'_> {
    /// `review = { every, warn }` of the first file.
    pub(super) fn review_rule(&mut self, root: Fields<'_>) -> Option<ReviewRule> {
        let fields = root.inner("review")?;
        let warn = self.duration(fields, "warn");
        let every = self.duration(fields, "every")?;
        Some(ReviewRule { every, warn: warn.unwrap_or(USUAL_WARNING) })
    }

    /// The documentation keys of a table.
    pub(super) fn documentation(&mut self, fields: Fields<'_>) -> Documentation {
        Documentation {
            purpose: fields.located("purpose"),
            owner: self.reference(fields, "owner", Named::Owner),
            criticality: fields.word("criticality"),
            security: fields.text("security"),
            links: fields.texts("links"),
            tags: fields.texts("tags"),
            review: self.review(fields),
            approved: self.approval(fields),
        }
    }

    /// `review`: a day, or a time after the approval.
    fn review(&mut self, fields: Fields<'_>) -> Option<Located<Review>> {
        let node = fields.table.get("review")?;
        let is_day = match &node.value {
            Value::Text(text) => text.contains('-'),
            value => matches!(value, Value::Date(_)),
        };
        if is_day {
            let day = self.date(fields, "review")?;
            return Some(Located { value: Review::On(day.value), at: day.at });
        }
        let every = self.one(fields, "review", literal::duration)?;
        Some(Located { value: Review::Every(every.value), at: every.at })
    }

    fn approval(&mut self, fields: Fields<'_>) -> Option<Approval> {
        let at = fields.key_at(fields.table.entry("approved")?);
        let approved = fields.inner("approved")?;
        Some(Approval {
            by: approved.text("by"),
            on: self.date(approved, "on").map(|d| d.value),
            ticket: approved.text("ticket"),
            until: self.end(approved, "until"),
            at,
        })
    }
}

/// Two weeks, where `review` says nothing about it.
const USUAL_WARNING: SignedDuration = SignedDuration::from_hours(14 * 24);
