//! The only reader of the clock.

use jiff::Timestamp;

/// The time of day, UTC.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}
