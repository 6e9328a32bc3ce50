//! When something ends: `until` of an approval and of a block.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

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
