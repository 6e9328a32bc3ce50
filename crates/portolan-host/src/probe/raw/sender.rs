//! Packets on their way out: gathered, sent many at a time, by two threads when there is much to do.
//!
//! The kernel needs about a microsecond for a packet and building one takes a tenth of that, so while
//! a second thread has a full batch sent, this one fills and sends the next.

use std::mem;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};

use portolan_core::scan::Probe;

use super::batch::{Batch, Outlet, Refusal};
use crate::kernel::packet::{Outgoing, Place};

/// Sends packets.
#[derive(Debug)]
pub(super) struct Sender {
    outlet: Outlet,
    filling: Batch,
    spare: Vec<Batch>,
    second: Option<Second>,
    refused: Vec<Refusal>,
}

impl Sender {
    /// A sender with a second thread where there is a second processor.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW.
    pub(super) fn open() -> std::io::Result<Self> {
        let [outlet, other] = Outlet::open_two()?;
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let second = (processors > 1).then(|| Second::start(other)).transpose()?;
        let (filling, spare, refused) = (Batch::default(), Vec::new(), Vec::new());
        Ok(Self { outlet, filling, spare, second, refused })
    }

    /// Room for the next packet, which is for `probe` if it is for one.
    #[inline]
    pub(super) fn next(&mut self, place: Place, probe: Option<Probe>) -> &mut Outgoing {
        if self.filling.is_full() {
            self.pass_on();
        }
        self.filling.next(place, probe)
    }

    /// Sends what is still held.
    pub(super) fn flush(&mut self) {
        if self.filling.is_large() {
            self.pass_on();
        } else {
            self.filling.send(&mut self.outlet, &mut self.refused);
        }
    }

    /// Whether the second thread has something to send.
    pub(super) fn is_busy(&self) -> bool {
        self.second.as_ref().is_some_and(|second| second.given > 0)
    }

    /// What did not leave since this was last asked.
    pub(super) fn refused(&mut self) -> impl Iterator<Item = Refusal> {
        self.collect();
        self.refused.drain(..)
    }

    /// A batch goes to the second thread, unless that has enough to do.
    fn pass_on(&mut self) {
        self.collect();
        let Some(second) = self.second.as_mut().filter(|second| second.given < AHEAD) else {
            return self.filling.send(&mut self.outlet, &mut self.refused);
        };
        let empty = self.spare.pop().unwrap_or_default();
        second.give(mem::replace(&mut self.filling, empty));
    }

    fn collect(&mut self) {
        while let Some((batch, refused)) = self.second.as_mut().and_then(Second::take) {
            self.spare.push(batch);
            self.refused.extend(refused);
        }
    }
}

/// The second thread, with an outlet of its own.
#[derive(Debug)]
struct Second {
    to: Option<SyncSender<Batch>>,
    back: Receiver<(Batch, Vec<Refusal>)>,
    given: usize,
    thread: Option<JoinHandle<()>>,
}

impl Second {
    fn start(mut outlet: Outlet) -> std::io::Result<Self> {
        let (to, batches) = mpsc::sync_channel::<Batch>(AHEAD);
        let (done, back) = mpsc::channel();
        let work = move || {
            for mut batch in batches {
                let mut refused = Vec::new();
                batch.send(&mut outlet, &mut refused);
                if done.send((batch, refused)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("sender".into()).spawn(work)?;
        Ok(Self { to: Some(to), back, given: 0, thread: Some(thread) })
    }

    fn give(&mut self, batch: Batch) {
        if let Some(to) = &self.to
            && to.send(batch).is_ok()
        {
            self.given += 1;
        }
    }

    fn take(&mut self) -> Option<(Batch, Vec<Refusal>)> {
        let done = self.back.try_recv().ok()?;
        self.given -= 1;
        Some(done)
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        self.to = None; // it ends when nothing more can come
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Batches the second thread is given ahead.
const AHEAD: usize = 4;
