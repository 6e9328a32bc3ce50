//! Waiting for a condition, never for a time.

use std::thread;
use std::time::{Duration, Instant};

/// Asks until `condition` holds; panics with `what` after ten seconds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited ten seconds for: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
