//! Durations as people type them: `30s`, `5m`, `1h 30m`, `2 days`.

use std::time::Duration;

use jiff::SignedDuration;

/// Reads a duration; a bare number has no unit and is refused.
///
/// # Errors
/// What it should look like.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let spoken = text.parse::<SignedDuration>().ok();
    spoken
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "expected a duration such as 30s, 5m or 2h".to_owned())
}

/// Reads how long rules are on trial or away: long enough to open another session, and not for ever.
///
/// # Errors
/// What it should look like.
pub(super) fn trial(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if !(LEAST..=MOST).contains(&time) {
        return Err("between 5 seconds and 7 days".to_owned());
    }
    Ok(time)
}

const LEAST: Duration = Duration::from_secs(5);
const MOST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_lasts_long_enough_to_be_confirmed() {
        assert_eq!(trial("5s"), Ok(LEAST));
        for text in ["0s", "1ms", "4999ms", "8d", "99999999h"] {
            assert!(trial(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(duration("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        for text in ["3", "-3s", "", "soon"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
