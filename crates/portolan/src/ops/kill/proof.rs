//! What became of the port: whether it can be bound, and who has taken it again.

use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::{Duration, Instant};

use portolan_core::net::Observed;
use portolan_core::socket::stop::{self, Action};
use portolan_core::socket::{Bind, Held, Process, Reuse, SocketTable, State, StateSet, TimerKind};
use portolan_host::bind::{Refusal, attempt};
use portolan_host::ending::children;
use portolan_host::namespace;
use portolan_host::processes::{self, Details};
use portolan_host::sockets::{self as tables, Query};

use super::Survey;
use crate::ops::sockets::{Request, WITH_PORTS, observe};

/// A real bind to an address that was held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    /// The bind without options.
    pub(crate) bind: Bind,
    /// What the kernel said.
    pub(crate) bindable: Bindable,
}

/// Whether an address can be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bindable {
    /// By anybody.
    Plainly,
    /// By servers that set SO_REUSEADDR, as nearly all do; without it, this was the answer.
    WithReuseAddress(Refusal),
    /// Not at all.
    Refused(Refusal),
}

/// Somebody who listens again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Restart {
    /// The new process; `None` when it could not be seen.
    pub(crate) process: Option<Process>,
    /// The parent that starts it again.
    pub(crate) by: Option<Process>,
}

/// Binds every address that was held, for real.
pub(super) fn proofs(survey: &Survey) -> Vec<Proof> {
    let binds = stop::proofs(&survey.table, survey.wanted_gone());
    binds.into_iter().map(proof).collect()
}

fn proof(bind: Bind) -> Proof {
    let plain = attempt(&bind).map(drop);
    let sharing = || attempt(&bind.clone().with(Reuse::ADDRESS)).map(drop);
    let bindable = match plain {
        Ok(()) => Bindable::Plainly,
        Err(refusal) if sharing().is_ok() => Bindable::WithReuseAddress(refusal),
        Err(refusal) => Bindable::Refused(refusal),
    };
    Proof { bind, bindable }
}

/// The sockets now, without their owners.
pub(super) fn sockets(survey: &Survey) -> SocketTable {
    let request = Request::every_state(Details::Brief);
    let query = Query {
        transports: WITH_PORTS.to_vec(),
        families: request.families,
        states: StateSet::ALL,
        choice_of: request.choice_of,
        ephemeral: survey.ephemeral,
        netns: namespace::network().inode,
        elsewhere: Vec::new(),
    };
    let held = |socket| Held { socket, holders: Vec::new(), unowned: None };
    let Observed { value, .. } = tables::read(&query);
    SocketTable { sockets: value.into_iter().map(held).collect(), ..SocketTable::default() }
}

/// Waits until no listener that was to go is there, at most until `deadline`: a supervisor may be
/// done before its last process, or its proxy, is gone.
pub(super) fn await_listeners_gone(survey: &Survey, deadline: Instant) {
    let old: HashSet<_> = survey.plan.listeners.iter().map(|s| cookie(&survey.table, *s)).collect();
    loop {
        let table = sockets(survey);
        let [listeners, ..] = stop::roles(&survey.wish, &table, survey.ephemeral);
        let stays = listeners.iter().any(|socket| old.contains(&cookie(&table, *socket)));
        if !stays || Instant::now() > deadline {
            return;
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

fn cookie(table: &SocketTable, socket: usize) -> Option<u64> {
    table.sockets[socket].socket.cookie
}

/// What is left over on the port: how many sockets, and how long those in TIME-WAIT wait yet.
pub(super) fn left(survey: &Survey) -> (usize, Option<Duration>) {
    let table = sockets(survey);
    let [_, _, leftovers] = stop::roles(&survey.wish, &table, survey.ephemeral);
    (leftovers.len(), longest_wait(&table, &leftovers))
}

/// The longest TIME-WAIT among some sockets.
pub(crate) fn longest_wait(table: &SocketTable, sockets: &[usize]) -> Option<Duration> {
    let sockets = sockets.iter().map(|socket| &table.sockets[*socket].socket);
    let waiting = sockets.filter(|socket| socket.state == State::TimeWait);
    let timers = waiting.filter_map(|socket| socket.timer);
    timers.filter(|timer| timer.kind == TimerKind::TimeWait).map(|timer| timer.left).max()
}

/// The processes that started those who are to be ended, and their children so far.
pub(super) fn parents(survey: &Survey) -> HashMap<u32, HashSet<u32>> {
    let ended: HashSet<u32> = survey
        .plan
        .steps
        .iter()
        .filter(|s| signals(&s.action))
        .flat_map(|s| &s.pids)
        .copied()
        .collect();
    let parents = ended.iter().filter_map(|pid| survey.process(*pid)?.parent);
    let others = parents.filter(|parent| *parent > 1 && !ended.contains(parent));
    others.map(|parent| (parent, children(parent).into_iter().collect())).collect()
}

const fn signals(action: &Action) -> bool {
    matches!(action, Action::Signal { .. })
}

/// Waits as long as a parent shows signs of starting its child again, and tells who listens then.
pub(super) fn restart(survey: &Survey, parents: &HashMap<u32, HashSet<u32>>) -> Option<Restart> {
    let started = Instant::now();
    loop {
        if let Some(held) = listens_again(survey) {
            return Some(restarted(&held, parents));
        }
        let limit = if has_new_children(parents) { CHILD_STARTS } else { PARENT_REACTS };
        if parents.is_empty() || started.elapsed() > limit {
            return None;
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

fn has_new_children(parents: &HashMap<u32, HashSet<u32>>) -> bool {
    parents.iter().any(|(parent, before)| children(*parent).iter().any(|c| !before.contains(c)))
}

/// A listener on the port that was not there before.
fn listens_again(survey: &Survey) -> Option<Held> {
    let table = sockets(survey);
    let [listeners, ..] = stop::roles(&survey.wish, &table, survey.ephemeral);
    let known: HashSet<_> = survey.table.sockets.iter().map(|held| held.socket.cookie).collect();
    let mut new = listeners.into_iter().map(|socket| &table.sockets[socket]);
    new.find(|held| !known.contains(&held.socket.cookie)).cloned()
}

fn restarted(held: &Held, parents: &HashMap<u32, HashSet<u32>>) -> Restart {
    let request = Request { choice_of: StateSet::NONE, ..Request::every_state(Details::Full) };
    let table = observe(&request).map(|seen| seen.value).unwrap_or_default();
    let again = table.sockets.iter().find(|h| h.socket.cookie == held.socket.cookie);
    let process = again.and_then(|held| table.owners(held).next()).cloned();
    let line = process.as_ref().map(|p| processes::ancestry(p.pid)).unwrap_or_default();
    let by = line.into_iter().skip(1).find(|p| parents.contains_key(&p.pid));
    Restart { process, by }
}

/// A loop in a shell starts its next round within milliseconds.
const PARENT_REACTS: Duration = Duration::from_millis(150);

/// From being started to listening: Python takes 0.1 s, a bundler a few seconds.
const CHILD_STARTS: Duration = Duration::from_secs(3);

const BETWEEN_LOOKS: Duration = Duration::from_millis(25);
