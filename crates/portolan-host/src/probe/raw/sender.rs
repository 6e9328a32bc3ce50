//! Packets on their way out: gathered, sent many at a time, by two threads when there is much to do.
//!
//! The kernel needs about a microsecond for a packet and building one takes a tenth of that, so while
//! a second thread has a full batch sent, this one fills and sends the next.

use std::mem;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use portolan_core::scan::{LocalError, Probe};
use rustix::io::Errno;

use crate::kernel::packet::{self, MOST, Outgoing, Place};
use crate::probe::fault;

/// Sends packets.
#[derive(Debug)]
pub(super) struct Sender {
    socket: OwnedFd,
    filling: Batch,
    spare: Vec<Batch>,
    second: Option<Second>,
    refused: Vec<Refusal>,
}

/// A probe that did not leave, and why.
pub(super) type Refusal = (Probe, LocalError);

impl Sender {
    /// A sender with a second thread where there is a second processor.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW.
    pub(super) fn open() -> std::io::Result<Self> {
        let socket = packet::open()?;
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let second = (processors > 1).then(Second::start).transpose()?;
        let (filling, spare, refused) = (Batch::default(), Vec::new(), Vec::new());
        Ok(Self { socket, filling, spare, second, refused })
    }

    /// Room for the next packet, which is for `probe` if it is for one.
    #[inline]
    pub(super) fn next(&mut self, place: Place, probe: Option<Probe>) -> &mut Outgoing {
        if self.filling.packets.len() >= MOST {
            self.pass_on();
        }
        self.filling.probes.push(probe);
        self.filling.packets.push(Outgoing::new(place));
        self.filling.packets.last_mut().expect("one was pushed just now")
    }

    /// Sends what is still held.
    pub(super) fn flush(&mut self) {
        if self.filling.packets.len() > MOST / 2 {
            self.pass_on();
        } else {
            self.filling.send(&self.socket, &mut self.refused);
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
            return self.filling.send(&self.socket, &mut self.refused);
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

/// Packets and the probes they are for, side by side.
#[derive(Default)]
struct Batch {
    packets: Vec<Outgoing>,
    probes: Vec<Option<Probe>>,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} packets", self.packets.len())
    }
}

impl Batch {
    /// Sends all of it; what cannot leave goes to `refused`.
    fn send(&mut self, socket: &OwnedFd, refused: &mut Vec<Refusal>) {
        let (mut at, mut patience) = (0, PATIENCE);
        while at < self.packets.len() {
            match packet::send(socket.as_fd(), &self.packets[at..]) {
                Ok(sent) => (at, patience) = (at + sent, PATIENCE),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) if patience > 0 => {
                    patience -= 1;
                    thread::sleep(PAUSE);
                }
                Err(error) => {
                    refused.extend(self.probes[at].map(|probe| (probe, fault::local(error))));
                    at += 1;
                }
            }
        }
        self.packets.clear();
        self.probes.clear();
    }
}

/// The second thread, with a socket of its own: what the kernel counts for a socket would go back and
/// forth between two processors.
#[derive(Debug)]
struct Second {
    to: Option<SyncSender<Batch>>,
    back: Receiver<(Batch, Vec<Refusal>)>,
    given: usize,
    thread: Option<JoinHandle<()>>,
}

impl Second {
    fn start() -> std::io::Result<Self> {
        let socket = packet::open()?;
        let (to, batches) = mpsc::sync_channel::<Batch>(AHEAD);
        let (done, back) = mpsc::channel();
        let work = move || {
            for mut batch in batches {
                let mut refused = Vec::new();
                batch.send(&socket, &mut refused);
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
const AHEAD: usize = 2;

/// How long and how often room is waited for before a probe is handed back.
const PAUSE: Duration = Duration::from_micros(200);
const PATIENCE: u32 = 100;
