//! The only reader of the clock.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use portolan_core::net::Moment;

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

/// Moments since it was made, on a clock that only moves forward.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long after 1970 it was started, by the time of day as it is now: what the kernel writes
    /// beside a packet that arrives can be told in moments with it.
    #[must_use]
    pub fn started(&self) -> Duration {
        let since = now().as_nanosecond().try_into().map_or(Duration::MAX, Duration::from_nanos);
        since.saturating_sub(self.0.elapsed())
    }

    /// The moment it is.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment::after(self.0.elapsed())
    }
}
