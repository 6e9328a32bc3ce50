//! When something ends that is for a while.

use std::time::Duration;

use anyhow::Result;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use portolan_host::clock;

use crate::fault::Fault;

/// The moment `lasts` from now, in whole seconds.
///
/// # Errors
/// Where nothing is left of it, and where no calendar has it.
pub(crate) fn from_now(lasts: Duration) -> Result<Timestamp> {
    after(clock::now(), lasts)
}

/// The second that `lasts` ends in is had whole: nothing ends before it was asked to.
fn after(now: Timestamp, lasts: Duration) -> Result<Timestamp> {
    let no_date = |_| Fault::new("--until is too far away", UNTIL);
    let end = not_over(now.checked_add(lasts).map_err(no_date)?, now)?;
    let up = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil);
    end.round(up).map_err(no_date)
}

/// A moment that is still to come.
///
/// # Errors
/// Where it is over.
pub(crate) fn to_come(end: Timestamp) -> Result<Timestamp> {
    not_over(end, clock::now())
}

fn not_over(end: Timestamp, now: Timestamp) -> Result<Timestamp> {
    match end > now {
        true => Ok(end),
        false => Err(Fault::new("--until is over already", UNTIL)),
    }
}

/// What to write where a time was none.
const UNTIL: &str = "for example --until 2h";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_before_it_was_asked_to_and_no_time_at_all_is_over_in_any_part_of_a_second() {
        for start in ["2026-11-28T03:00:00Z", "2026-11-28T03:00:00.2Z", "2026-11-28T03:00:00.7Z"] {
            let start: Timestamp = start.parse().unwrap();
            assert!(after(start, Duration::ZERO).is_err(), "{start}");
            for lasts in [Duration::from_millis(300), Duration::from_secs(2)] {
                let over = after(start, lasts).unwrap();
                assert!(over >= start.checked_add(lasts).unwrap(), "{start} {over}");
                assert_eq!(over.subsec_nanosecond(), 0, "{start} {over}");
            }
            assert!(after(start, Duration::MAX).is_err(), "{start}");
        }
    }
}
