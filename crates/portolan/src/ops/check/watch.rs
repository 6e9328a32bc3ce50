//! Endpoints again and again: when each is down, for how long, and how long it takes to answer.

use std::net::IpAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::diagnose::{Ledger, Outcome};
use portolan_core::net::Endpoint;
use portolan_host::clock::{self, Stopwatch};
use portolan_host::probe::sounding::{Sounder, reachable};
use portolan_host::signals::{self, signal};

use super::endpoint::{ask, payload_alone};
use super::place::Standpoint;
use super::target::Target;
use super::{Answer, Request, addresses, sounder_for};

/// How often, and how many times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    /// From one probe to the next.
    pub(crate) interval: Duration,
    /// How many probes of each target; `None` is until interrupted.
    pub(crate) count: Option<u64>,
}

/// One probe.
#[derive(Debug)]
pub(crate) struct Probed<'a> {
    /// Which probe of the target it is, from 1.
    pub(crate) number: u64,
    /// The target.
    pub(crate) target: &'a Target,
    /// What it showed.
    pub(crate) showed: Showed,
}

/// What one probe showed.
#[derive(Debug)]
pub(crate) struct Showed {
    /// When it was sent.
    pub(crate) at: Timestamp,
    /// The address it went to; `None` where the name has none now.
    pub(crate) address: Option<IpAddr>,
    /// Where the name led before, where that has just changed.
    pub(crate) moved_from: Option<IpAddr>,
    /// What it showed; `None` where the name has no address.
    pub(crate) outcome: Option<Outcome>,
}

/// What came of a watch.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Each target with its book.
    pub(crate) books: Vec<(Target, Ledger)>,
    /// When it ended.
    pub(crate) until: Timestamp,
}

/// Watches until the count is reached or a signal ends it; `tell` is told of each probe.
///
/// # Errors
/// When the standpoint cannot be taken, or `tell` fails.
pub(crate) fn watch(
    request: &Request,
    standpoint: &Standpoint,
    rhythm: Rhythm,
    tell: &mut (impl FnMut(&Probed<'_>) -> Result<()> + Send),
) -> Result<Watched> {
    let (send, interrupted) = mpsc::channel();
    signals::each(&[signal::SIGINT, signal::SIGTERM], move |_| send.send(()).is_ok())?;
    standpoint.enter(move || {
        let mut subjects = request
            .targets
            .iter()
            .map(|target| Subject::new(request, target))
            .collect::<Result<Vec<_>>>()?;
        let watch = Stopwatch::start();
        let mut due = watch.now();
        for round in 1.. {
            let probe = |subject: &mut Subject<'_>| subject.probe(request, standpoint);
            let showed: Vec<Showed> = thread::scope(|scope| {
                let spawn = |subject| scope.spawn(move || probe(subject));
                let threads: Vec<_> = subjects.iter_mut().map(spawn).collect();
                threads.into_iter().map(super::join).collect()
            });
            for (subject, showed) in subjects.iter().zip(showed) {
                tell(&Probed { number: round, target: subject.target, showed })?;
            }
            if rhythm.count.is_some_and(|count| round >= count) {
                break;
            }
            // Beats that were missed while an answer was waited for are not made up for: after an
            // outage that would be a flood.
            due = (due + rhythm.interval).max(watch.now());
            if interrupted.recv_timeout(due - watch.now()).is_ok() {
                break;
            }
        }
        let books = subjects.into_iter().map(|s| (s.target.clone(), s.ledger)).collect();
        Ok(Watched { books, until: clock::now() })
    })?
}

/// A target that is watched.
struct Subject<'a> {
    target: &'a Target,
    sounder: Sounder,
    ledger: Ledger,
    address: Option<IpAddr>,
    /// Probes since the name was looked up.
    since_lookup: u64,
    /// Misses in a row.
    misses: u64,
}

impl Watched {
    /// How the command is to end.
    pub(crate) fn answer(&self) -> Answer {
        let ledgers = || self.books.iter().map(|(_, ledger)| ledger);
        let is_unknown = |ledger: &Ledger| ledger.open + ledger.unknown == ledger.sent;
        match () {
            () if ledgers().all(Ledger::was_always_open) => Answer::Open,
            () if ledgers().any(Ledger::never_had_an_address) => Answer::NoName,
            () if ledgers().all(is_unknown) => Answer::Unknown,
            () => Answer::NotOpen,
        }
    }
}

impl<'a> Subject<'a> {
    fn new(request: &Request, target: &'a Target) -> Result<Self> {
        let sounder = sounder_for(request, target)?;
        let ledger = Ledger::default();
        Ok(Self { target, sounder, ledger, address: None, since_lookup: 0, misses: 0 })
    }

    fn probe(&mut self, request: &Request, standpoint: &Standpoint) -> Showed {
        if self.is_lookup_due() {
            let (_, found) = addresses(request, standpoint, self.target);
            // The same address as long as the name still has it: no hopping between several.
            let keeps = self.address.filter(|address| found.contains(address));
            self.address = keeps.or_else(|| found.first().copied()).map(reachable);
            self.since_lookup = 0;
        }
        self.since_lookup += 1;
        let at = clock::now();
        let outcome = self.address.map(|address| self.ask(request, address));
        let moved_from = self.address.and_then(|address| self.ledger.moves_to(address));
        self.ledger.enter(at, outcome.as_ref());
        let is_open = outcome.as_ref().is_some_and(Outcome::is_open);
        self.misses = if is_open { 0 } else { self.misses + 1 };
        Showed { at, address: self.address, moved_from, outcome }
    }

    /// A name may lead elsewhere after a failover: looked up with the first miss, then with every
    /// third, and now and then.
    const fn is_lookup_due(&self) -> bool {
        self.address.is_none() || self.misses % 3 == 1 || self.since_lookup >= LOOKUP_EVERY
    }

    fn ask(&self, request: &Request, address: IpAddr) -> Outcome {
        let endpoint = Endpoint::new(address, self.target.port);
        let (transport, timeout) = (self.target.transport, request.timeout);
        let payload = payload_alone(request, endpoint, transport);
        ask(&self.sounder, endpoint, transport, &payload, timeout, 1).outcome
    }
}

/// Probes between two lookups of a name that is fine.
const LOOKUP_EVERY: u64 = 30;
