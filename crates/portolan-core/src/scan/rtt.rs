//! How long an answer takes, and how long to wait for one (RFC 6298 §2, with a lower floor).

use std::time::Duration;

/// Smoothed round trip and its variation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rtt {
    smoothed: Option<(Duration, Duration)>,
}

impl Rtt {
    /// Takes in a measured round trip. What a host echoes of our clock is its word: one that echoes
    /// another time must not have us wait for minutes.
    pub(super) fn note(&mut self, sample: Duration) {
        let sample = sample.min(MOST);
        self.smoothed = Some(match self.smoothed {
            None => (sample, sample / 2),
            Some((mean, variation)) => {
                let off = mean.abs_diff(sample);
                (mean * 7 / 8 + sample / 8, variation * 3 / 4 + off / 4)
            }
        });
    }

    /// The smoothed round trip.
    pub(super) fn mean(&self) -> Option<Duration> {
        self.smoothed.map(|(mean, _)| mean)
    }

    /// How long to wait for an answer; `unknown` before the first.
    pub(super) fn timeout(&self, unknown: Duration) -> Duration {
        let Some((mean, variation)) = self.smoothed else { return unknown };
        (mean + (variation * 4).max(SLACK)).clamp(LEAST, MOST)
    }
}

/// A scheduler's whim on either side takes this long.
const SLACK: Duration = Duration::from_millis(50);
const LEAST: Duration = Duration::from_millis(60);
const MOST: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_answers_bring_the_wait_down_to_its_floor() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.timeout(Duration::from_secs(1)), Duration::from_secs(1));
        (0..50).for_each(|_| rtt.note(Duration::from_micros(200)));
        assert_eq!(rtt.timeout(Duration::from_secs(1)), LEAST);
    }

    #[test]
    fn a_host_that_lies_about_the_time_makes_nobody_wait_for_minutes() {
        let mut rtt = Rtt::default();
        (0..50).for_each(|_| rtt.note(Duration::from_secs(119)));
        assert_eq!((rtt.mean(), rtt.timeout(LEAST)), (Some(MOST), MOST));
    }

    #[test]
    fn a_long_way_with_jitter_is_waited_for() {
        let mut rtt = Rtt::default();
        (0..50).for_each(|i| rtt.note(Duration::from_millis(if i % 2 == 0 { 100 } else { 180 })));
        let wait = rtt.timeout(Duration::from_secs(1));
        assert!(wait > Duration::from_millis(200) && wait < Duration::from_millis(500), "{wait:?}");
    }
}
