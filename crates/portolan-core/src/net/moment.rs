//! A point in time on a clock that only moves forward, as core is handed it.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Nanoseconds since an origin of the caller's choice, such as the start of a scan. Only moments of
/// the same origin can be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The origin.
    pub const START: Self = Self(0);

    /// The moment `since` after the origin; 584 years at most.
    #[must_use]
    pub fn after(since: Duration) -> Self {
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long after the origin it is.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(Self::after(duration).0))
    }
}

impl Sub for Moment {
    type Output = Duration;

    /// How long `earlier` lies before; zero when it does not.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_never_runs_backwards() {
        let (early, late) = (Moment::START, Moment::START + Duration::from_millis(3));
        assert_eq!(late - early, Duration::from_millis(3));
        assert_eq!(early - late, Duration::ZERO);
        assert_eq!(Moment::after(Duration::MAX) + Duration::MAX, Moment(u64::MAX));
    }
}
