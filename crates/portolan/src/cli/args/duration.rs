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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(duration("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        for text in ["3", "-3s", "", "soon"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
