//! The sockets on the port, sorted into those in the way, those that share, and the rest.

use std::collections::{BTreeMap, BTreeSet};

use portolan_core::net::Transport;
use portolan_core::socket::conflict::{
    Apart, Claim, Meeting, Surroundings, Unshared, Verdict, cause,
};
use portolan_core::socket::{Held, Socket, SocketTable, TimerKind, Unowned};

use super::{Attempt, Report};
use crate::ops::behind::Behind;
use crate::ops::reservations::{self, Reserved};

/// A socket in the way.
#[derive(Clone, Debug)]
pub(crate) struct Blocker {
    /// Which one of the table.
    pub(crate) position: usize,
    /// What it is.
    pub(crate) verdict: Verdict,
    /// Why it does not share; `None` where its options are unknown, so that it may not be the one.
    pub(crate) why: Option<Unshared>,
    /// The lease of ours that it is held for.
    pub(crate) reserved: Option<Reserved>,
    /// Who is behind its holder, where that only stands in.
    pub(crate) behind: Option<Behind>,
    /// Connections it accepted that are on this port too.
    pub(crate) connections: usize,
    /// Whole seconds until it goes by itself, where the kernel runs a clock for that.
    pub(crate) seconds_left: Option<u64>,
}

/// Fills the lists of `report` from what the model says of each attempt.
pub(super) fn sort_out(report: &mut Report, listeners: &[Socket]) {
    if report.obstacle.as_ref().is_some_and(super::Obstacle::is_alone) {
        return;
    }
    let (certain, open) = in_the_way(&report.attempts);
    let around = Surroundings { listeners, ephemeral: report.ports.ephemeral };
    let sockets = &report.table.sockets;
    let blocker = |position: usize, why: Option<Unshared>| Blocker {
        position,
        verdict: cause(&sockets[position], &around),
        why,
        reserved: None,
        behind: None,
        connections: 0,
        seconds_left: seconds_left(&sockets[position].socket),
    };
    let mut blockers: Vec<Blocker> =
        certain.iter().map(|(position, why)| blocker(*position, Some(*why))).collect();
    blockers.extend(open.iter().map(|position| blocker(*position, None)));
    fold_connections(&mut blockers, sockets);
    recognise_leases(&mut blockers, &report.table);
    blockers.sort_by_key(|b| (b.why.is_none(), b.verdict, b.position));
    report.blockers = blockers;
    report.sharers = sharers(&report.attempts);
    report.irrelevant = irrelevant(&report.attempts);
}

/// Who blocks one of the attempts for certain, and who may: the undecided of a refused one.
fn in_the_way(attempts: &[Attempt]) -> (BTreeMap<usize, Unshared>, BTreeSet<usize>) {
    let mut certain = BTreeMap::new();
    let mut open = BTreeSet::new();
    for attempt in attempts {
        certain.extend(attempt.judgement.blockers.iter().copied());
        if attempt.refusal.is_some() {
            open.extend(attempt.judgement.undecided.iter().copied());
        }
    }
    open.retain(|position| !certain.contains_key(position));
    (certain, open)
}

/// Where the kernel said yes, whoever was in doubt shares.
fn sharers(attempts: &[Attempt]) -> Vec<usize> {
    let mut all = BTreeSet::new();
    for attempt in attempts {
        all.extend(attempt.judgement.sharers.iter().copied());
        if attempt.refusal.is_none() {
            all.extend(attempt.judgement.undecided.iter().copied());
        }
    }
    all.into_iter().collect()
}

/// What matters for no attempt.
fn irrelevant(attempts: &[Attempt]) -> Vec<(usize, Apart)> {
    let of = |attempt: &Attempt| attempt.judgement.irrelevant.iter().copied().collect();
    let mut attempts = attempts.iter().map(of);
    let mut common: BTreeMap<usize, Apart> = attempts.next().unwrap_or_default();
    for other in attempts {
        let other: BTreeMap<usize, Apart> = other;
        common.retain(|position, _| other.contains_key(position));
    }
    common.into_iter().filter(|(_, why)| *why != Apart::HalfOpen).collect()
}

/// Connections that a listener in the way accepted are counted with it: it is the one to talk to.
fn fold_connections(blockers: &mut Vec<Blocker>, sockets: &[Held]) {
    let is_listener = |b: &Blocker| sockets[b.position].socket.is_listener();
    let (mut listeners, rest): (Vec<Blocker>, Vec<Blocker>) =
        blockers.drain(..).partition(is_listener);
    for blocker in rest {
        let connection = &sockets[blocker.position].socket;
        let server =
            listeners.iter_mut().find(|l| accepted(&sockets[l.position].socket, connection));
        match server {
            Some(server) => server.connections += 1,
            None => blockers.push(blocker),
        }
    }
    blockers.extend(listeners);
}

/// Ports that a process of ours holds for somebody. The store is opened only when there is one.
fn recognise_leases(blockers: &mut [Blocker], table: &SocketTable) {
    let mut holders = None;
    for blocker in blockers {
        for process in table.owners(&table.sockets[blocker.position]) {
            if process.command_line.get(1).is_none_or(|word| **word != *reservations::HOLD) {
                continue;
            }
            let holders = holders.get_or_insert_with(reservations::holders);
            blocker.reserved = holders.of(process);
        }
        if blocker.verdict == Verdict::BoundInactive && blocker.reserved.is_none() {
            blocker.reserved = told_by_another(&table.sockets[blocker.position]);
        }
        if blocker.reserved.is_some() {
            blocker.verdict = Verdict::Reserved;
        }
    }
}

/// What another user's process holds, where nobody's can be seen to.
fn told_by_another(held: &Held) -> Option<Reserved> {
    let socket = &held.socket;
    let (transport, port) = (socket.transport.with_ports()?, socket.local_port()?);
    let is_hidden = held.unowned == Some(Unowned::NotPermitted);
    is_hidden.then(|| reservations::told_by_another(port, transport, socket.uid?)).flatten()
}

fn accepted(listener: &Socket, connection: &Socket) -> bool {
    if connection.peer.is_none() || connection.transport.with_ports() != Some(Transport::Tcp) {
        return false;
    }
    let (Some(server), Some(client)) = (Claim::of_socket(listener), Claim::of_socket(connection))
    else {
        return false;
    };
    server.port == client.port
        && server.transport == client.transport
        && matches!(server.meets(&client), Meeting::Meet | Meeting::Unknown)
}

/// The clock of TIME-WAIT, or of an orphan in FIN-WAIT-2, which the kernel keeps as a keepalive.
fn seconds_left(socket: &Socket) -> Option<u64> {
    let timer = socket.timer?;
    let ends = match timer.kind {
        TimerKind::TimeWait => true,
        TimerKind::Keepalive => socket.inode == 0,
        TimerKind::Retransmit | TimerKind::Probe => false,
    };
    ends.then_some(timer.left.as_millis().div_ceil(1000)).and_then(|s| u64::try_from(s).ok())
}
