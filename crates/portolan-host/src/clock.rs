//! The only reader of the clock.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The time of day, UTC.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The day it is, UTC.
#[must_use]
pub fn today() -> Date {
    now().to_zoned(TimeZone::UTC).date()
}
