//! A command that is run to see what it cannot bind.
//!
//! Its binds and listens are carried out by us on its own sockets, so the kernel's answer is known
//! exactly, with the options the socket had at that moment. What is refused is explained before the
//! command hears of it, while whatever is in the way is still there.

use std::ffi::OsString;
use std::io;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use portolan_core::net::Observed;
use portolan_core::socket::Bind;
use portolan_core::socket::passwd::Account;
use portolan_host::bind::Refusal;
use portolan_host::bind_watch::{Arrival, Asked, BindWatch};
use portolan_host::launch::{Calls, Launch, Output};
use rustix::io::Errno;

use super::{Report, Request, explain};
use crate::ops::command::{self, Attendance, Event, Meanwhile};

/// What came of a command, until its end or until it got stuck.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    /// What it ended with, as a shell tells it; `None` while it runs.
    pub(crate) code: Option<u8>,
    /// What it bound, with the ports the kernel chose for it.
    pub(crate) bound: Vec<Bind>,
    /// What it was refused and did not get later either, in the order of time.
    pub(crate) refused: Vec<Refused>,
    /// The first process that could not be looked into, and why.
    pub(crate) unseen: Option<(u32, io::Error)>,
}

/// A bind or listen that was refused.
#[derive(Debug)]
pub(crate) struct Refused {
    /// What was asked for.
    pub(crate) bind: Bind,
    /// What was answered.
    pub(crate) refusal: Refusal,
    /// Why; of the first few only.
    pub(crate) report: Option<Result<Observed<Report>>>,
}

/// What is done about a command that got stuck.
pub(crate) type Stuck<'s> = dyn FnMut(&Ran) -> Result<()> + 's;

/// Runs the command to its end. `stuck` is called once when it was refused something, has bound
/// nothing since, and lives on.
///
/// # Errors
/// When this program cannot be started again.
pub(crate) fn run(words: &[OsString], output: Output, stuck: &mut Stuck<'_>) -> Result<Ran> {
    let mut attendance = Attendance::begin()?;
    let launch = Launch {
        command: words,
        environment: &[],
        sockets: &[],
        watch: Some(Calls::BindAndListen),
        output,
    };
    let (mut child, watch) = launch.start().context("start this program once more")?;
    let watcher = watch.map(|watch| {
        let sender = attendance.sender();
        thread::spawn(move || perform(&watch, &sender))
    });
    let mut seeing = Seeing { ran: Ran::default(), since: None, stuck: Some(stuck), told: Ok(()) };
    let status = attendance.wait(&mut child, &mut seeing)?;
    drop(watcher);
    seeing.told?;
    Ok(Ran { code: Some(command::code(status)), ..seeing.ran })
}

/// What a watcher tells.
enum Seen {
    Bound(Bind),
    Refused(Box<Refused>),
    Unseen(u32, io::Error),
}

/// Carries out every bind and listen.
fn perform(watch: &BindWatch, sender: &Sender<Event<Seen>>) {
    let mut explained = 0;
    loop {
        let (seen, answer) = match watch.next() {
            Ok(Arrival::Asked(asked)) => {
                let outcome = asked.perform();
                let seen = match outcome {
                    Ok(()) => Seen::Bound(asked.bound()),
                    Err(errno) => Seen::Refused(Box::new(refused(&asked, errno, &mut explained))),
                };
                (seen, Some((asked, outcome)))
            }
            Ok(Arrival::Unseen(pid, error)) => (Seen::Unseen(pid, error), None),
            Ok(Arrival::Over) | Err(_) => return,
        };
        // Told first: a command that ends because of it has ended after it.
        let is_heard = sender.send(Event::Told(seen)).is_ok();
        if let Some((asked, outcome)) = answer {
            asked.answer(outcome);
        }
        if !is_heard {
            return;
        }
    }
}

fn refused(asked: &Asked<'_>, errno: Errno, explained: &mut usize) -> Refused {
    let refusal = Refusal { call: asked.call, errno };
    let ourselves = rustix::process::geteuid().as_raw();
    let caller = Account { uid: asked.caller.uid, gid: asked.caller.gid };
    *explained += 1;
    let report = (*explained <= EXPLAINED).then(|| {
        explain(&Request {
            user: Some(caller).filter(|caller| caller.uid != ourselves),
            told: Some(refusal),
            ..Request::from(asked.bind.clone())
        })
    });
    Refused { bind: asked.bind.clone(), refusal, report }
}

/// While the command runs.
struct Seeing<'s> {
    ran: Ran,
    /// When it was refused something first, and has bound nothing since.
    since: Option<Instant>,
    stuck: Option<&'s mut Stuck<'s>>,
    /// What came of telling.
    told: Result<()>,
}

impl Meanwhile<Seen> for Seeing<'_> {
    fn told(&mut self, seen: Seen) {
        match seen {
            Seen::Bound(bind) => self.ran.grant(bind, &mut self.since),
            Seen::Refused(refused) => {
                self.since.get_or_insert_with(Instant::now);
                self.ran.refuse(*refused);
            }
            Seen::Unseen(pid, error) => {
                self.ran.unseen.get_or_insert((pid, error));
            }
        }
    }

    fn again(&mut self) -> Option<Duration> {
        self.stuck.as_ref()?;
        let left = PATIENCE.saturating_sub(self.since?.elapsed());
        if !left.is_zero() {
            return Some(left);
        }
        if let Some(tell) = self.stuck.take() {
            self.told = tell(&self.ran);
        }
        None
    }
}

impl Ran {
    /// It has what it asked for, perhaps on a later try.
    fn grant(&mut self, bind: Bind, since: &mut Option<Instant>) {
        *since = None;
        self.refused.retain(|refused| !is_same_wish(&refused.bind, &bind));
        if !self.bound.iter().any(|bound| is_same_wish(bound, &bind)) {
            self.bound.push(bind);
        }
    }

    /// Refused; what it only bound, and may not listen on, does not count as bound.
    fn refuse(&mut self, refused: Refused) {
        self.bound.retain(|bound| !is_same_wish(bound, &refused.bind));
        if !self.refused.iter().any(|before| is_same_wish(&before.bind, &refused.bind)) {
            self.refused.push(refused);
        }
    }
}

fn is_same_wish(one: &Bind, other: &Bind) -> bool {
    let place = |bind: &Bind| (bind.transport, bind.address, bind.port, bind.device.clone());
    place(one) == place(other)
}

/// How long a command may live after a refusal without binding anything before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(3);

/// A program that tries one port after the other is not explained every one of them.
const EXPLAINED: usize = 8;
