//! Watching a scan: everything found goes into the numbers and on to whoever writes it down; what
//! is written down is remembered; a signal ends it in good order.

use std::ffi::c_int;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::{Context as _, Result};
use portolan_core::net::Moment;
use portolan_core::scan::{Event, HostReport, Positions, Progress, Reason, Record};
use portolan_host::probe::driver::{Go, Watcher};
use portolan_host::signals::{self, signal};

use super::journal::JournalFile;
use super::{Sink, Summary, Tally};
use crate::fault::Hinted as _;

/// Watches one scan.
pub(super) struct Watch<'a> {
    sink: &'a mut dyn Sink,
    journal: Option<JournalFile>,
    meanwhile: &'a mut dyn FnMut(Option<&Progress>),
    tally: Tally,
    /// Final and handed to the sink, but not yet in the journal.
    fresh: Positions,
    interrupt: Interrupt,
    ticks: u32,
    /// What went wrong where nothing could be returned.
    failure: Option<io::Error>,
    /// The host that was last asked something for certain.
    asked: Option<std::net::IpAddr>,
}

impl<'a> Watch<'a> {
    /// Takes the signals that end a scan.
    ///
    /// # Errors
    /// When a handler cannot be installed.
    pub(super) fn new(
        sink: &'a mut dyn Sink,
        journal: Option<JournalFile>,
        meanwhile: &'a mut dyn FnMut(Option<&Progress>),
    ) -> Result<Self> {
        Ok(Self::with(sink, journal, meanwhile, Interrupt::take()?))
    }

    fn with(
        sink: &'a mut dyn Sink,
        journal: Option<JournalFile>,
        meanwhile: &'a mut dyn FnMut(Option<&Progress>),
        interrupt: Interrupt,
    ) -> Self {
        Self {
            sink,
            journal,
            meanwhile,
            tally: Tally::default(),
            fresh: Positions::default(),
            interrupt,
            ticks: 0,
            failure: None,
            asked: None,
        }
    }

    /// Tells the sink that it begins.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.sink.begin().context(WRITING)
    }

    /// Settles what is left and tells the sink that it is over.
    pub(super) fn finish(
        mut self,
        ran: io::Result<()>,
        progress: &Progress,
        now: Moment,
    ) -> Result<Summary> {
        if let Some(failure) = self.failure.take() {
            return Err(failure).context(WRITING);
        }
        let summary = Summary {
            tally: std::mem::take(&mut self.tally),
            untouched: progress.total.saturating_sub(progress.decided),
            probes: progress.probes,
            elapsed: now.since_start(),
            interrupted: self.interrupt.signal(),
        };
        (self.meanwhile)(None);
        // What was found before the engine failed is worth having.
        self.sink.finish(&summary).context(WRITING)?;
        self.settle().context(WRITING)?;
        ran.hinted("the scan ended early", "what is printed above was found before")?;
        Ok(summary)
    }

    /// First the output, then the journal: what it names has been written.
    fn settle(&mut self) -> io::Result<()> {
        self.sink.flush()?;
        match &mut self.journal {
            Some(journal) => journal.append(&std::mem::take(&mut self.fresh)),
            None => Ok(()),
        }
    }

    fn port(&mut self, record: &Record) -> io::Result<()> {
        self.tally.port(record);
        if !matches!(record.reason, Reason::NotFinished | Reason::LocalError(_)) {
            self.asked = Some(record.address);
        }
        if self.journal.is_some() && record.reason != Reason::NotFinished {
            self.fresh.insert(record.position, record.position + 1);
        }
        self.sink.port(record)
    }

    fn host(&mut self, report: &HostReport) -> io::Result<()> {
        let was_asked = self.asked == report.address;
        self.tally.host(report, was_asked);
        self.sink.host(report)
    }
}

impl Watcher for Watch<'_> {
    fn event(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Port(record) => self.port(&record),
            Event::Host(report) => self.host(&report),
        }
    }

    fn tick(&mut self, progress: &Progress) -> Go {
        self.ticks += 1;
        (self.meanwhile)(Some(progress));
        if self.ticks.is_multiple_of(TICKS_TO_SETTLE) {
            self.failure = self.settle().err();
        }
        let ends = self.failure.is_some() || self.interrupt.signal().is_some();
        if ends { Go::Stop } else { Go::On }
    }
}

const WRITING: &str = "write the results";
/// Five times a second.
const TICKS_TO_SETTLE: u32 = 2;

/// Whether somebody has asked us to end.
#[derive(Clone, Debug, Default)]
struct Interrupt(Arc<AtomicI32>);

impl Interrupt {
    /// From now on the first signal is remembered, and the second ends us at once.
    fn take() -> Result<Self> {
        let interrupt = Self::default();
        let first = interrupt.clone();
        let numbers = [signal::SIGINT, signal::SIGTERM, signal::SIGHUP];
        signals::each(&numbers, move |caught| {
            if first.signal().is_some() {
                signals::end_by(caught.number);
            }
            first.0.store(caught.number, Ordering::Relaxed);
            true
        })
        .context("take signals")?;
        Ok(interrupt)
    }

    fn signal(&self) -> Option<c_int> {
        Some(self.0.load(Ordering::Relaxed)).filter(|n| *n != 0)
    }
}

#[cfg(test)]
mod tests;
