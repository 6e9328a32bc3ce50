//! Keeping a port for a while: a row in the store, and a process that holds a socket on it.
//!
//! The socket is bound to every address and never listens, so nothing answers there; it sets
//! SO_REUSEADDR, so a server that sets it too, as most do, starts beside it. The kernel gives the
//! number to nobody who leaves the choice to it, and refuses it to whoever binds without the option.
//!
//! UDP knows no listening: a UDP server that sets SO_REUSEADDR starts beside the held socket and is
//! given every datagram, for Linux looks at the socket bound last first; until then what arrives is
//! dropped without an answer, where a free port would have said "unreachable".

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::net::{Gap, Observed, Port, Transport, TransportSet};
use portolan_core::socket::{Bind, LocalPorts, Reuse};
use portolan_host::bind::{self, Refusal};
use portolan_host::holder::{self, Identity};
use portolan_host::{clock, machine, namespace};
use rustix::io::Errno;

use crate::fault::Hinted as _;
use crate::ops::pick::{Taken, end, sockets_on};
use crate::ops::reservations::{arguments, tidy};
use crate::store::{Kind, Lease, Leases, Store};

/// What is to be kept, for whom, how long.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The number.
    pub(crate) port: Port,
    /// For which transports.
    pub(crate) transports: TransportSet,
    /// For how long.
    pub(crate) lasts: Duration,
    /// The project that asks.
    pub(crate) project: PathBuf,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Report {
    /// The number.
    pub(crate) port: Port,
    /// For which transports.
    pub(crate) transports: TransportSet,
    /// The project that asked.
    pub(crate) project: PathBuf,
    /// It is kept, or why not.
    pub(crate) outcome: Outcome,
    /// What the kernel chooses from by itself, and what it keeps out.
    pub(crate) kernel: LocalPorts,
}

/// Whether a port is kept.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// These processes hold it.
    Kept {
        /// One for each transport.
        holders: Vec<(Transport, Identity)>,
        /// Until when.
        until: Timestamp,
    },
    /// Sockets are on it.
    Taken(Taken),
    /// It was given to another project.
    Given(Lease),
    /// The kernel refuses, and no socket explains it.
    Refused(Refusal),
}

/// Keeps a port, or keeps it longer.
///
/// # Errors
/// A store that cannot be used, a process that cannot be started.
pub(crate) fn reserve(request: &Request) -> Result<Observed<Report>> {
    let now = clock::now();
    let until = end(now, request.lasts)?;
    let mut gaps = Vec::new();
    let kernel = machine::local_ports().into_value(&mut gaps);
    let mut guard = Guard::default();
    let kept = Store::open()?.alone(|leases| {
        let netns = namespace::network().inode;
        let keeping = Keeping { request, now, until, netns, leases };
        keeping.keep(&mut guard, &mut gaps)
    });
    guard.change(matches!(kept, Ok(Outcome::Kept { .. })));
    let outcome = kept?;
    let Request { port, transports, ref project, .. } = *request;
    let report = Report { port, transports, project: project.clone(), outcome, kernel };
    Ok(Observed { value: report, gaps })
}

struct Keeping<'r> {
    request: &'r Request,
    now: Timestamp,
    until: Timestamp,
    netns: u64,
    leases: &'r Leases<'r>,
}

/// The processes of a port while the guard changes. What is written down decides which of them end.
#[derive(Default)]
struct Guard {
    /// Those that were started now.
    fresh: Vec<(Transport, Identity)>,
    /// Those that held it before.
    tired: Vec<Identity>,
}

impl Guard {
    /// Ends those that are not needed: the tired ones, or the fresh ones where the port is not
    /// `kept`, be it for a part of what was asked for only. One that cannot be ended ends by itself
    /// when its time has come.
    fn change(self, kept: bool) {
        let fresh = self.fresh.into_iter().map(|(_, holder)| holder);
        let needless = if kept { self.tired } else { fresh.collect() };
        needless.iter().for_each(|holder| drop(holder.end()));
    }
}

/// Why a port cannot be kept.
enum Obstacle {
    /// As the report tells it.
    Told(Box<Outcome>),
    /// Something went wrong.
    Failure(anyhow::Error),
}

impl From<Outcome> for Obstacle {
    fn from(outcome: Outcome) -> Self {
        Self::Told(outcome.into())
    }
}

impl From<anyhow::Error> for Obstacle {
    fn from(error: anyhow::Error) -> Self {
        Self::Failure(error)
    }
}

impl Keeping<'_> {
    /// Starts the processes that hold the port, and writes them down.
    fn keep(&self, guard: &mut Guard, gaps: &mut Vec<Gap>) -> Result<Outcome> {
        let mut rows = tidy(self.leases, self.now)?;
        rows.retain(|row| row.port == self.request.port && self.is_about_the_same(row));
        if let Some(other) = rows.iter().find(|row| row.project != self.request.project) {
            return Ok(Outcome::Given(other.clone()));
        }
        rows.retain(|row| row.kind == Kind::Reservation);
        for transport in self.request.transports.iter() {
            match self.hold(transport, &rows, gaps) {
                Ok(holder) => guard.fresh.push((transport, holder)),
                Err(Obstacle::Told(outcome)) => return Ok(*outcome),
                Err(Obstacle::Failure(error)) => return Err(error),
            }
        }
        for row in rows {
            self.leases.remove(row.id)?;
            guard.tired.extend(row.holder);
        }
        for (transport, holder) in &guard.fresh {
            self.leases.insert(&self.row(*transport, holder.clone()))?;
        }
        Ok(Outcome::Kept { holders: guard.fresh.clone(), until: self.until })
    }

    /// Whether a row is about a port that cannot be held twice: another network namespace has its
    /// own.
    fn is_about_the_same(&self, row: &Lease) -> bool {
        let elsewhere = row.kind == Kind::Reservation && row.netns != self.netns;
        !elsewhere && row.transports.iter().any(|t| self.request.transports.contains(t))
    }

    /// Starts the process that holds one transport's socket.
    fn hold(
        &self,
        transport: Transport,
        earlier: &[Lease],
        gaps: &mut Vec<Gap>,
    ) -> Result<Identity, Obstacle> {
        let is_held = earlier.iter().any(|row| row.transports.contains(transport));
        let socket = self.bind(transport, is_held, gaps)?;
        let arguments = arguments(self.request.port, transport, self.until).map(OsString::from);
        let started = holder::start(socket, &arguments);
        Ok(started.hinted("start the process that holds the port", "")?)
    }

    /// A socket on the port. Beside a socket of an earlier reservation, and beside connections that
    /// a stopped server has left, it is bound as a server would be.
    fn bind(
        &self,
        transport: Transport,
        is_held: bool,
        gaps: &mut Vec<Gap>,
    ) -> Result<OwnedFd, Obstacle> {
        let port = self.request.port;
        let beside = |bind: &Bind| bind::hold(&bind.clone().with(Reuse::ADDRESS));
        let first = match is_held {
            true => bind::everywhere(transport, port, beside),
            false => bind::reserve(transport, port),
        };
        let refusal = match first {
            Ok(socket) => return Ok(socket),
            Err(refusal) if refusal.errno != Errno::ADDRINUSE => {
                return Err(Outcome::Refused(refusal).into());
            }
            Err(refusal) => refusal,
        };
        let by = sockets_on(port, TransportSet::NONE.with(transport), gaps)?;
        if by.sockets.is_empty() {
            return Err(Outcome::Refused(refusal).into());
        }
        let only_left = by.sockets.iter().all(|held| held.socket.inode == 0);
        let second = only_left.then(|| bind::everywhere(transport, port, beside).ok()).flatten();
        second.ok_or_else(|| Outcome::Taken(Taken { port, by: by.into() }).into())
    }

    fn row(&self, transport: Transport, holder: Identity) -> Lease {
        Lease {
            id: 0,
            port: self.request.port,
            transports: TransportSet::NONE.with(transport),
            kind: Kind::Reservation,
            project: self.request.project.clone(),
            name: None,
            rank: 0,
            holder: Some(holder),
            netns: self.netns,
            made: self.now,
            used: self.now,
            expires: Some(self.until),
        }
    }
}

/// Gives back whatever this user was given under a number: reservations, leases, a project's own.
/// Gives the rows that were there.
///
/// # Errors
/// A store that cannot be used, a process that does not end.
pub(crate) fn release(port: Port, transports: TransportSet) -> Result<Vec<Lease>> {
    if Store::look()?.is_none() {
        return Ok(Vec::new());
    }
    Store::open()?.alone(|leases| {
        let here = namespace::network().inode;
        let mut rows = tidy(leases, clock::now())?;
        rows.retain(|r| r.port == port && r.transports.iter().any(|t| transports.contains(t)));
        rows.retain(|r| r.kind != Kind::Reservation || r.netns == here);
        for row in &rows {
            let ended = row.holder.as_ref().map_or(Ok(()), Identity::end);
            ended.hinted(format!("end the process that holds {port}"), "")?;
            leases.remove(row.id)?;
        }
        Ok(rows)
    })
}

/// In the process that was started to hold a port: holds what it was given as standard input.
///
/// # Errors
/// When it was not started for that.
pub(crate) fn hold(until: Timestamp) -> Result<()> {
    holder::stand_by(c"portolan-hold").hinted(
        "hold a port",
        "`portolan reserve PORT` starts this process; it is not for people",
    )?;
    holder::wait_until(until);
    Ok(())
}
