//! The scan itself: which probe next, and what the answers mean.

use super::{Answer, Event, LocalError, Plan, Probe, Progress};
use crate::net::Moment;

/// A scan in progress.
#[derive(Debug)]
pub struct Scan {
    #[expect(dead_code, reason = "the scheduler is being written")]
    plan: Plan,
}

/// Why a scan ends before everything is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The time it was given is over.
    Budget,
    /// Somebody stopped it.
    Interrupted,
}

impl Scan {
    /// A scan that has sent nothing yet.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self { plan }
    }

    /// The next probe to send now, if one is due. An engine without room does not ask.
    pub fn poll_transmit(&mut self, _now: Moment) -> Option<Probe> {
        None
    }

    /// When to ask again at the latest, if nothing arrives before; `None` when done.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        None
    }

    /// The next thing that is now known.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// Takes an answer.
    pub fn handle_input(&mut self, _now: Moment, _answer: &Answer) {}

    /// Takes back a probe that could not be sent.
    pub fn handle_refusal(&mut self, _now: Moment, _probe: &Probe, _error: LocalError) {}

    /// Ends it: what is undecided becomes unknown.
    pub fn stop(&mut self, _now: Moment, _cut: Cut) {}

    /// Whether every port is decided and every event was taken.
    #[must_use]
    pub fn is_done(&self) -> bool {
        true
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self, _now: Moment) -> Progress {
        Progress::default()
    }
}
