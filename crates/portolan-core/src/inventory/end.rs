//! When something ends: `until` of an approval and of a block.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Documentation, Inventory, Location};

/// The end of something: a day that still counts, or a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The last day it counts; it ends with that day, in UTC.
    Day(Date),
    /// It ends then.
    Moment(Timestamp),
}

impl End {
    /// The first moment it counts no more.
    #[must_use]
    pub fn moment(self) -> Timestamp {
        match self {
            Self::Moment(moment) => moment,
            Self::Day(day) => {
                let next = day.tomorrow().ok().and_then(|d| d.to_zoned(TimeZone::UTC).ok());
                next.map_or(Timestamp::MAX, |midnight| midnight.timestamp())
            }
        }
    }

    /// The day on which it ends, in UTC.
    #[must_use]
    pub fn day(self) -> Date {
        match self {
            Self::Day(day) => day,
            Self::Moment(moment) => moment.to_zoned(TimeZone::UTC).date(),
        }
    }

    /// Whether it has ended by `now`.
    #[must_use]
    pub fn is_over(self, now: Timestamp) -> bool {
        self.moment() <= now
    }
}

/// Something of an inventory that has ended: it has no effect any more, and can be taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended<'a> {
    /// The table: `[services.https-2]`, `[[block]]`.
    pub table: String,
    /// When it ended.
    pub end: End,
    /// Where the table stands.
    pub at: &'a Location,
}

impl Inventory {
    /// What has ended by `now`, in the order of the files.
    #[must_use]
    pub fn ended(&self, now: Timestamp) -> Vec<Ended<'_>> {
        let approved = |docs: &Documentation| Some(docs.approved.as_ref()?.until.as_ref()?.value);
        let named = |kind: &str, name: &str| format!("[{kind}.{}]", super::edit::quoted_key(name));
        let services =
            self.services.iter().map(|s| (named("services", &s.name), approved(&s.docs), &s.at));
        let forwards =
            self.forwards.iter().map(|f| (named("forwards", &f.name), approved(&f.docs), &f.at));
        let doors = self.doors.iter().map(|d| (named("doors", &d.name), approved(&d.docs), &d.at));
        let blocks = self.blocks.iter().map(|b| ("[[block]]".to_owned(), b.until, &b.at));
        let ignores = self.ignores.iter().map(|i| {
            ("[[ignore]]".to_owned(), i.until.as_ref().map(|until| End::Day(until.value)), &i.at)
        });
        let all = services.chain(forwards).chain(doors).chain(blocks).chain(ignores);
        let ended = all.filter_map(|(table, end, at)| {
            let end = end.filter(|end| end.is_over(now))?;
            Some(Ended { table, end, at })
        });
        let mut ended: Vec<Ended<'_>> = ended.collect();
        ended.sort_by_key(|ended| (ended.at.file, ended.at.span.start));
        ended
    }
}

impl FromStr for End {
    type Err = jiff::Error;

    /// `2027-03-01`, or `2027-03-01T16:00:00Z`: where a time of day stands, so does its offset.
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        match text.len() {
            0..=10 => text.parse().map(Self::Day),
            _ => text.parse().map(Self::Moment),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Moment(moment) => moment.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_counts_to_its_end_and_a_moment_does_not_count_any_more() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let day = End::Day(jiff::civil::date(2026, 3, 1));
        assert_eq!(day.moment(), at("2026-03-02T00:00:00Z"));
        assert!(
            !day.is_over(at("2026-03-01T23:59:59Z")) && day.is_over(at("2026-03-02T00:00:00Z"))
        );
        let moment = End::Moment(at("2026-03-01T12:00:00Z"));
        assert_eq!((moment.day(), moment.to_string()), (day.day(), "2026-03-01T12:00:00Z".into()));
        assert!(moment.is_over(at("2026-03-01T12:00:00Z")));
        assert_eq!(End::Day(Date::MAX).moment(), Timestamp::MAX);
    }
}
