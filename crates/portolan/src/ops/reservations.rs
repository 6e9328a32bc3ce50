//! What is leased and reserved, and whether a process is one that holds a port for somebody.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use portolan_core::net::{Port, Transport};
use portolan_core::socket::Process;
use portolan_host::{clock, holder};

use crate::store::{Kind, Lease, Leases, Store};

/// Everything that is given to somebody now.
///
/// # Errors
/// A store that cannot be read.
pub(crate) fn list() -> Result<Vec<Lease>> {
    let Some(store) = Store::look()? else { return Ok(Vec::new()) };
    let now = clock::now();
    Ok(store.leases()?.into_iter().filter(|lease| !is_over(lease, now)).collect())
}

/// Where the leases are, when sudo runs us and they are not those of the user who called it.
pub(crate) fn not_of_caller() -> Option<PathBuf> {
    Store::look().ok()??.not_of_caller().map(Path::to_owned)
}

/// Removes what is over and gives what is left.
pub(crate) fn tidy(leases: &Leases<'_>, now: Timestamp) -> Result<Vec<Lease>> {
    let (over, live): (Vec<Lease>, _) =
        leases.all()?.into_iter().partition(|lease| is_over(lease, now));
    over.iter().try_for_each(|lease| leases.remove(lease.id))?;
    Ok(live)
}

/// Whether a lease counts no longer: its time has come, the process that held it has ended, or its
/// project is gone or has not asked for [`UNUSED`].
pub(crate) fn is_over(lease: &Lease, now: Timestamp) -> bool {
    if lease.expires.is_some_and(|end| end <= now) {
        return true;
    }
    match lease.kind {
        Kind::Lease => false,
        Kind::Reservation => lease.holder.as_ref().is_none_or(|holder| !holder.is_alive()),
        Kind::Project => is_gone(lease) || now.duration_since(lease.used) > UNUSED,
    }
}

/// Whether the project's folder is no more; one that cannot be looked at may still be there.
fn is_gone(lease: &Lease) -> bool {
    let seen = std::fs::symlink_metadata(&lease.project);
    seen.is_err_and(|e| matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}

/// How long a project keeps a number that nobody asks for.
pub(crate) const UNUSED: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The processes that hold ports for somebody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holders {
    rows: Vec<Lease>,
}

/// What a holding process holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reserved {
    /// The number.
    pub(crate) port: Port,
    /// For which transport.
    pub(crate) transport: Transport,
    /// Until when.
    pub(crate) expires: Timestamp,
    /// For which project, where that is known: not for another user's.
    pub(crate) project: Option<PathBuf>,
}

/// Every process of ours that holds a port. An unreadable store knows none: their own arguments
/// still tell.
pub(crate) fn holders() -> Holders {
    let rows = list().unwrap_or_default();
    Holders { rows: rows.into_iter().filter(|r| r.kind == Kind::Reservation).collect() }
}

impl Holders {
    /// What `process` holds, when it is such a process: by our own store, else by what it says of
    /// itself in its arguments, as other users' do. `None` for everything else.
    pub(crate) fn of(&self, process: &Process) -> Option<Reserved> {
        let told = told_by_arguments(&process.command_line)?;
        let pid = |row: &&Lease| row.holder.as_ref().is_some_and(|h| h.pid == process.pid);
        let project = self.rows.iter().find(pid).map(|row| row.project.clone());
        Some(Reserved { project, ..told })
    }
}

/// What another user's process says it holds on a port: to everybody else its socket shows no holder.
/// It must belong to the user `uid`, who made the socket.
pub(crate) fn told_by_another(port: Port, transport: Transport, uid: u32) -> Option<Reserved> {
    let processes = holder::started_as(HOLD);
    let told = processes
        .iter()
        .filter(|process| process.uid == Some(uid))
        .filter_map(|process| told_by_arguments(&process.command_line));
    told.into_iter().find(|told| (told.port, told.transport) == (port, transport))
}

/// The hidden subcommand of a process that holds a port.
pub(crate) const HOLD: &str = "hold-port";

/// `portolan hold-port 8080/tcp 2026-11-23T02:30:00Z`
pub(crate) fn arguments(port: Port, transport: Transport, until: Timestamp) -> [String; 3] {
    [HOLD.to_owned(), format!("{port}/{transport}"), until.to_string()]
}

fn told_by_arguments(line: &[Box<str>]) -> Option<Reserved> {
    let [program, command, what, until] = line else { return None };
    if &**program != "portolan" || &**command != HOLD {
        return None;
    }
    let (port, transport) = what.split_once('/')?;
    Some(Reserved {
        port: port.parse().ok()?,
        transport: transport.parse().ok()?,
        expires: until.parse().ok()?,
        project: None,
    })
}

#[cfg(test)]
mod tests {
    use portolan_core::net::TransportSet;

    use super::*;

    #[test]
    fn a_holding_process_tells_by_its_arguments_what_it_holds() {
        let until: Timestamp = "2026-11-23T02:30:00Z".parse().unwrap();
        let [command, what, end] = arguments(Port(8080), Transport::Udp, until);
        let line: Vec<Box<str>> =
            ["portolan", &command, &what, &end].into_iter().map(Into::into).collect();
        let told = told_by_arguments(&line).unwrap();
        assert_eq!((told.port, told.transport, told.expires), (Port(8080), Transport::Udp, until));
        assert_eq!(told_by_arguments(&line[..3]), None);
        assert_eq!(told_by_arguments(&["nginx".into()]), None);
    }

    #[test]
    fn a_lease_is_over_with_its_time_its_holder_or_its_project() {
        let now: Timestamp = "2026-11-23T02:30:00Z".parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let base = Lease {
            id: 1,
            port: Port(20000),
            transports: TransportSet::ALL,
            kind: Kind::Project,
            project: folder.path().to_owned(),
            name: Some("web".into()),
            rank: 0,
            holder: None,
            netns: 0,
            made: now,
            used: now,
            expires: None,
        };
        assert!(!is_over(&base, now));
        assert!(is_over(&Lease { expires: Some(now), ..base.clone() }, now));
        assert!(is_over(&Lease { kind: Kind::Reservation, ..base.clone() }, now));
        assert!(is_over(&Lease { project: "/nonexistent".into(), ..base.clone() }, now));
        assert!(is_over(&Lease { used: now - SignedDuration::from_hours(24 * 91), ..base }, now));
    }
}
