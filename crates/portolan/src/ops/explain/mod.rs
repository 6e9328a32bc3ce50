//! Can this be bound, and if not, why exactly and what to do.
//!
//! One look at every socket on the port, judged by the model of `socket::conflict`; then the real
//! thing, a bind (and listen) with the same options in a socket that is thrown away. The kernel's
//! word decides; the model says who and why. Where the two differ the look is taken once more, and
//! what still differs is told.

mod around;
mod blocker;
pub(crate) mod command;
mod obstacle;
mod pasted;
mod probe;
mod remedy;
mod warning;
pub(crate) mod wish;

use std::collections::HashMap;

use anyhow::Result;
use portolan_core::net::{Observed, Transport};
use portolan_core::registry::Registry;
use portolan_core::socket::conflict::{Apart, Judgement, Verdict};
use portolan_core::socket::passwd::Account;
use portolan_core::socket::{Bind, Held, LocalPorts, Process, Socket, SocketTable, StateSet};
use portolan_host::processes::{Details, ancestry};
use portolan_host::sockets::{InetFamily, Query};
use portolan_host::{machine, namespace, options, users};

pub(crate) use blocker::Blocker;
pub(crate) use obstacle::{NotLocal, Obstacle};
pub(crate) use pasted::Pasted;
pub(crate) use portolan_host::bind::{Call, Refusal};
pub(crate) use probe::Attempt;
pub(crate) use remedy::{Action, Remedy};
pub(crate) use warning::Warning;

use crate::ops;

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// What is wished for; several where a name has several addresses. All on one port.
    pub(crate) binds: Vec<Bind>,
    /// Whether nobody named an address, so that IPv4 alone will do where there is no IPv6.
    pub(crate) may_fall_back: bool,
    /// As whom; `None` is as we are.
    pub(crate) user: Option<Account>,
    /// The error text that the wish was read from.
    pub(crate) pasted: Option<Pasted>,
    /// What the kernel has just told somebody else who wished for the same: it stands instead of an
    /// attempt of ours.
    pub(crate) told: Option<Refusal>,
}

impl From<Bind> for Request {
    /// One wish, as ourselves.
    fn from(bind: Bind) -> Self {
        Self { binds: vec![bind], may_fall_back: false, user: None, pasted: None, told: None }
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Report {
    /// Every bind that was tried, and the kernel's answer. At least one.
    pub(crate) attempts: Vec<Attempt>,
    /// The answer in a word.
    pub(crate) verdict: Verdict,
    /// Every socket on the port; with port 0, on every port the kernel chooses from.
    pub(crate) table: SocketTable,
    /// What is in the way, in the order of their verdicts.
    pub(crate) blockers: Vec<Blocker>,
    /// Sockets that overlap and share, as positions in the table.
    pub(crate) sharers: Vec<usize>,
    /// Sockets on the port that do not matter, as positions in the table, and why.
    pub(crate) irrelevant: Vec<(usize, Apart)>,
    /// What keeps it from being bound where no socket does.
    pub(crate) obstacle: Option<Obstacle>,
    /// What to know beside the verdict.
    pub(crate) warnings: Vec<Warning>,
    /// What to do, the best first.
    pub(crate) remedies: Vec<Remedy>,
    /// What the first owner of each blocker descends from, itself first, by process id.
    pub(crate) ancestries: HashMap<u32, Vec<Process>>,
    /// The kernel's settings for port numbers.
    pub(crate) ports: LocalPorts,
    /// The user id it was tried with.
    pub(crate) uid: u32,
    /// The error text that it was read from.
    pub(crate) pasted: Option<Pasted>,
}

impl Report {
    /// Whether everything that was wished for can be bound.
    pub(crate) fn is_bindable(&self) -> bool {
        self.attempts.iter().all(|attempt| attempt.refusal.is_none())
    }

    /// The attempt that tells most: the first that was refused, else the first.
    pub(crate) fn decisive(&self) -> &Attempt {
        let refused = self.attempts.iter().find(|attempt| attempt.refusal.is_some());
        refused.unwrap_or(&self.attempts[0])
    }

    /// What there is to say of binds that somebody else was granted.
    pub(crate) fn granted(binds: &[Bind]) -> Self {
        let attempt = |bind: &Bind| Attempt {
            bind: bind.clone(),
            refusal: None,
            with_reuseaddr: None,
            judgement: Judgement::default(),
        };
        Self::new(binds.iter().map(attempt).collect(), SocketTable::default(), probe::uid(None))
    }

    /// What was tried, with nothing found out yet.
    fn new(attempts: Vec<Attempt>, table: SocketTable, uid: u32) -> Self {
        Self {
            attempts,
            verdict: Verdict::Free,
            table,
            blockers: Vec::new(),
            sharers: Vec::new(),
            irrelevant: Vec::new(),
            obstacle: None,
            warnings: Vec::new(),
            remedies: Vec::new(),
            ancestries: HashMap::new(),
            ports: LocalPorts::default(),
            uid,
            pasted: None,
        }
    }

    fn has_disagreement(&self) -> bool {
        self.warnings.iter().any(|w| matches!(w, Warning::Disagreement { .. }))
    }
}

/// Answers.
///
/// # Errors
/// When the user to try as cannot be taken on, or the kernel lacks the transport.
pub(crate) fn explain(request: &Request) -> Result<Observed<Report>> {
    let first = look(request)?;
    match first.value.has_disagreement() {
        // Somebody came or went between the look and the attempt.
        true => look(request),
        false => Ok(first),
    }
}

fn look(request: &Request) -> Result<Observed<Report>> {
    let mut gaps = Vec::new();
    let ports = machine::local_ports().value; // its gaps come with the sockets
    let mut warnings = Vec::new();
    let binds = probe::usable(request, &mut warnings);
    let mut table = sockets_on(&binds, &ports)?.into_value(&mut gaps);
    learn_options(&mut table);
    let uid = probe::uid(request.user);
    table.users.extend(users::read().remove(&uid).map(|name| (uid, name)));
    let attempts = probe::attempts(&binds, request, &table)?;
    let mut report = Report {
        warnings,
        ports,
        pasted: request.pasted.clone(),
        ..Report::new(attempts, table, uid)
    };
    report.obstacle = obstacle::find(&report);
    blocker::sort_out(&mut report, &listeners());
    around::look(&mut report, &mut gaps);
    report.verdict = verdict(&report);
    warning::add(&mut report);
    report.ancestries = ancestries(&report);
    report.remedies = remedy::rank(&report);
    Ok(Observed { value: report, gaps })
}

/// The kernel's word first; of what is in the way, what stands first in the order of verdicts.
fn verdict(report: &Report) -> Verdict {
    let of_socket = report.blockers.first().map(|blocker| blocker.verdict);
    match () {
        () if report.is_bindable() => Verdict::Free,
        () => of_socket
            .or(report.obstacle.as_ref().map(Obstacle::verdict))
            .unwrap_or(Verdict::Unknown),
    }
}

/// Every socket on the port in every state, with its owners. Port 0 is every port that the kernel
/// may choose.
fn sockets_on(binds: &[Bind], ports: &LocalPorts) -> Result<Observed<SocketTable>> {
    let range = match binds[0].port.0 {
        0 => ports.ephemeral,
        _ => binds[0].port.into(),
    };
    let words = format!("sport >= :{} and sport <= :{}", range.first(), range.last());
    let filter = ops::sockets::filter(&[words], &Registry::embedded())?;
    let every = ops::sockets::Request::every_state(Details::Full);
    ops::sockets::observe(&ops::sockets::Request { choice_of: StateSet::ALL, filter, ..every })
}

/// Fills in how far the sockets that have a descriptor are willing to share; listeners first, as
/// there may be more connections than are worth asking for.
fn learn_options(table: &mut SocketTable) {
    let mut unknown: Vec<&mut Held> =
        table.sockets.iter_mut().filter(|held| held.socket.reuse.is_none()).collect();
    unknown.sort_by_key(|held| held.socket.peer.is_some());
    for held in unknown.into_iter().take(OPTIONS_READ) {
        held.socket.reuse = options::of(held);
    }
}

/// Every listener of this namespace, without owners: where a connection leads to.
fn listeners() -> Vec<Socket> {
    let query = Query {
        transports: ops::sockets::WITH_PORTS.to_vec(),
        families: vec![InetFamily::V4, InetFamily::V6],
        states: StateSet::LISTENING,
        choice_of: StateSet::NONE,
        ephemeral: LocalPorts::default().ephemeral,
        netns: namespace::network().inode,
        elsewhere: Vec::new(),
    };
    portolan_host::sockets::read(&query).value
}

fn ancestries(report: &Report) -> HashMap<u32, Vec<Process>> {
    let first_owner = |b: &Blocker| report.table.sockets[b.position].holders.first();
    let pids = report.blockers.iter().filter_map(first_owner).map(|holder| holder.pid);
    let mut found = HashMap::new();
    for pid in pids.take(ANCESTRIES_READ) {
        found.entry(pid).or_insert_with(|| ancestry(pid));
    }
    found
}

/// A port as the commands take it: `8080`, `53/udp`.
pub(crate) fn port_words(bind: &Bind) -> String {
    match bind.transport {
        Transport::Tcp => bind.port.to_string(),
        other => format!("{}/{other}", bind.port),
    }
}

/// Options are asked for one socket at a time; a port with thousands of connections has listeners
/// and leftovers that all inherited the same.
const OPTIONS_READ: usize = 1024;
const ANCESTRIES_READ: usize = 64;
