//! Running a scan: its probes to an engine, what the engine hears back to it, and what is known to
//! whoever watches. It decides nothing; it only keeps the clock and the order.

use std::io;
use std::time::Duration;

use portolan_core::net::Moment;
use portolan_core::scan::{Cut, Event, Progress, Scan};

use super::{Engine, Heard};
use crate::clock::Stopwatch;

/// Who watches a scan.
pub trait Watcher {
    /// Something is now known.
    ///
    /// # Errors
    /// When it cannot be taken, say for a full disk: the scan ends with that error.
    fn event(&mut self, event: Event) -> io::Result<()>;

    /// Called about every tenth of a second. The scan is stopped when it answers [`Go::Stop`]; its
    /// undecided ports still come as events.
    fn tick(&mut self, progress: &Progress) -> Go;
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// Yes.
    On,
    /// Somebody has asked for an end.
    Stop,
}

/// Runs a scan to its end. `watch` must be the one the engine measures with.
///
/// # Errors
/// When the engine fails, or the watcher cannot take an event.
pub fn run(
    scan: &mut Scan,
    engine: &mut dyn Engine,
    watch: Stopwatch,
    watcher: &mut dyn Watcher,
) -> io::Result<()> {
    let mut heard = Vec::new();
    let mut tick = watch.now();
    loop {
        let full_batch = transmit(scan, engine, watch);
        while let Some(event) = scan.poll_event() {
            watcher.event(event)?;
        }
        if scan.is_done() {
            return Ok(());
        }
        let now = watch.now();
        if now >= tick {
            tick = now + TICK;
            if watcher.tick(&scan.progress(now)) == Go::Stop {
                scan.stop(now, Cut::Interrupted);
                continue;
            }
        }
        let wait = if full_batch { Duration::ZERO } else { pause(scan, engine, now, tick) };
        engine.receive(now, wait, &mut heard)?;
        hand_in(scan, watch.now(), &mut heard);
    }
}

/// Sends what is due, a batch at most; whether there was a whole one, so that more may be due.
fn transmit(scan: &mut Scan, engine: &mut dyn Engine, watch: Stopwatch) -> bool {
    let batch = engine.room().min(BATCH);
    for _ in 0..batch {
        let now = watch.now();
        let Some(probe) = scan.poll_transmit(now) else { return false };
        engine.send(now, probe);
    }
    batch == BATCH
}

/// How long nothing but an answer can matter. An engine without room says itself when it has some
/// again: it returns then.
fn pause(scan: &Scan, engine: &dyn Engine, now: Moment, tick: Moment) -> Duration {
    let due = scan.poll_timeout().unwrap_or(now);
    // What is due already and was not sent has no room.
    let due = if due <= now && engine.room() == 0 { tick } else { due };
    due.min(tick) - now
}

fn hand_in(scan: &mut Scan, now: Moment, heard: &mut Vec<Heard>) {
    for heard in heard.drain(..) {
        match heard {
            Heard::Answer(answer) => scan.handle_input(now, &answer),
            Heard::Refused(probe, error) => scan.handle_refusal(now, &probe, error),
        }
    }
}

/// Probes between two looks at what has arrived: few enough that answers to all of them fit into a
/// socket's buffer of the default size.
const BATCH: usize = 256;

/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);
