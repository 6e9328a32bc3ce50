//! Waiting for a condition, never for a time.

use std::thread;
use std::time::{Duration, Instant};

/// Asks until `condition` holds; panics with `what` after ten seconds.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) {
    eventually_within(Duration::from_secs(10), what, condition);
}

/// The same for what takes longer by itself.
pub(crate) fn eventually_within(most: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + most;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {most:?} for: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
