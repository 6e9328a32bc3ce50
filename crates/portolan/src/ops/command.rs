//! A command of the user's that runs while we wait: its signals, its end.
//!
//! It stays in our process group, so a terminal's ^C and ^Z reach it as they would without us; what
//! a process sends to us alone is passed on. `run` and `explain -- CMD` stand on this.

use std::ffi::c_int;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use portolan_host::signals::{self, Caught, signal};
use rustix::process::{Pid, Signal, kill_process};

/// What happens while a command runs. `T` is what a watcher of its calls tells.
#[derive(Debug)]
pub(crate) enum Event<T> {
    /// A signal for us.
    Signal(Caught),
    /// Word from a thread that watches.
    Told(T),
}

/// Waiting for a command.
#[derive(Debug)]
pub(crate) struct Attendance<T> {
    events: Receiver<Event<T>>,
    sender: Sender<Event<T>>,
    /// The first signal that asked us to end.
    pub(crate) asked_to_end: Option<c_int>,
}

/// What is done about an event or a lapse of time, and after how long to be asked again.
pub(crate) trait Meanwhile<T> {
    /// Word from a watcher.
    fn told(&mut self, told: T);
    /// Time has passed; `None` to be left alone from now on.
    fn again(&mut self) -> Option<Duration>;
}

impl<T: Send + 'static> Attendance<T> {
    /// Takes the signals. To be called before the command starts, or its end could be missed.
    ///
    /// # Errors
    /// When a handler cannot be installed.
    pub(crate) fn begin() -> Result<Self> {
        let (sender, events) = mpsc::channel();
        let tell = sender.clone();
        signals::each(&TAKEN, move |caught| tell.send(Event::Signal(caught)).is_ok())
            .context("take signals")?;
        Ok(Self { events, sender, asked_to_end: None })
    }

    /// Where a watcher tells.
    pub(crate) fn sender(&self) -> Sender<Event<T>> {
        self.sender.clone()
    }

    /// Waits for the end of the command, passing signals on.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub(crate) fn wait(
        &mut self,
        child: &mut Child,
        meanwhile: &mut impl Meanwhile<T>,
    ) -> Result<ExitStatus> {
        loop {
            if let Some(status) = child.try_wait().context("wait for the command")? {
                // What its last calls told is on its way.
                while let Ok(event) = self.events.try_recv() {
                    self.take(event, None, meanwhile);
                }
                return Ok(status);
            }
            if let Some(event) = self.next(meanwhile.again()) {
                self.take(event, Some(child), meanwhile);
            }
        }
    }

    /// Lets time pass with no command running; shorter when we are asked to end.
    pub(crate) fn pause(&mut self, length: Duration, meanwhile: &mut impl Meanwhile<T>) {
        let end = Instant::now() + length;
        while self.asked_to_end.is_none() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            if let Some(event) = self.next(Some(left)) {
                self.take(event, None, meanwhile);
            }
        }
    }

    fn next(&self, patience: Option<Duration>) -> Option<Event<T>> {
        let Some(patience) = patience else { return self.events.recv().ok() };
        // We hold a sender ourselves, so none is a lapse of time.
        self.events.recv_timeout(patience).ok()
    }

    fn take(&mut self, event: Event<T>, child: Option<&Child>, meanwhile: &mut impl Meanwhile<T>) {
        let caught = match event {
            Event::Told(told) => return meanwhile.told(told),
            Event::Signal(caught) => caught,
        };
        if ENDING.contains(&caught.number) {
            self.asked_to_end.get_or_insert(caught.number);
        }
        if let Some(child) = child {
            pass_on(caught, child);
        }
    }
}

/// The terminal has told the whole group itself, and SIGCHLD is ours.
fn pass_on(caught: Caught, child: &Child) {
    if caught.by_kernel || caught.number == signal::SIGCHLD {
        return;
    }
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(caught.number)) {
        // It is not waited for yet, so the number is still its own; it may have ended, though.
        let _ = kill_process(pid, signal);
    }
}

/// What a shell would say of an end: the code, or 128 and the signal.
pub(crate) fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|s| 128 + s));
    code.and_then(|c| u8::try_from(c).ok()).unwrap_or(u8::MAX)
}

/// Signals that are taken. Stopping and going on (SIGTSTP, SIGCONT) are left alone: the terminal
/// and the shell treat the group as one.
const TAKEN: [c_int; 8] = [
    signal::SIGCHLD,
    signal::SIGINT,
    signal::SIGTERM,
    signal::SIGHUP,
    signal::SIGQUIT,
    signal::SIGUSR1,
    signal::SIGUSR2,
    signal::SIGWINCH,
];

/// Of these, those after which nothing is to be started again.
const ENDING: [c_int; 4] = [signal::SIGINT, signal::SIGTERM, signal::SIGHUP, signal::SIGQUIT];
