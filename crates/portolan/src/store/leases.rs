//! The rows: who was given which number, until when.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use portolan_core::net::{Port, TransportSet};
use portolan_host::holder::Identity;
use rusqlite::types::Type;
use rusqlite::{Connection, Result, Row, named_params};

/// A number that was given to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// The row's own number; 0 before it has one.
    pub(crate) id: i64,
    /// The number.
    pub(crate) port: Port,
    /// For which transports.
    pub(crate) transports: TransportSet,
    /// In which way.
    pub(crate) kind: Kind,
    /// To which worktree or folder.
    pub(crate) project: PathBuf,
    /// Under which name, for a project's number.
    pub(crate) name: Option<String>,
    /// 0 for the project's own number; its stand-ins follow.
    pub(crate) rank: u32,
    /// The process that holds it.
    pub(crate) holder: Option<Identity>,
    /// In which network namespace it was given, as its inode; 0 where unknown.
    pub(crate) netns: u64,
    /// When it was given.
    pub(crate) made: Timestamp,
    /// When it was last asked for.
    pub(crate) used: Timestamp,
    /// When it is over; a project's number stays.
    pub(crate) expires: Option<Timestamp>,
}

/// In which way a number was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It belongs to a project and name.
    Project,
    /// Nobody else is given it for a while.
    Lease,
    /// A process holds it for a while.
    Reservation,
}

impl Kind {
    /// The word in the file and in JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Lease => "lease",
            Self::Reservation => "reservation",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Project, Self::Lease, Self::Reservation].into_iter().find(|k| k.as_str() == word)
    }
}

/// The rows, within a transaction or for reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leases<'c>(&'c Connection);

impl<'c> Leases<'c> {
    pub(super) const fn new(connection: &'c Connection) -> Self {
        Self(connection)
    }

    /// Every row, by port.
    pub(crate) fn all(self) -> Result<Vec<Lease>> {
        let mut query = self.0.prepare_cached("SELECT * FROM lease ORDER BY port, id")?;
        query.query_map([], read)?.collect()
    }

    /// Adds a row and gives its number.
    pub(crate) fn insert(self, lease: &Lease) -> Result<i64> {
        let holder = lease.holder.as_ref();
        self.0.prepare_cached(INSERT)?.execute(named_params! {
            ":port": lease.port.0,
            ":transports": lease.transports.to_string(),
            ":kind": lease.kind.as_str(),
            ":project": lease.project.as_os_str().as_bytes(),
            ":name": lease.name,
            ":rank": lease.rank,
            ":holder_pid": holder.map(|h| h.pid),
            ":holder_start": holder.map(|h| h.start_ticks.cast_signed()),
            ":holder_boot": holder.map(|h| &h.boot),
            ":netns": lease.netns.cast_signed(),
            ":made": lease.made.as_millisecond(),
            ":used": lease.used.as_millisecond(),
            ":expires": lease.expires.map(Timestamp::as_millisecond),
        })?;
        Ok(self.0.last_insert_rowid())
    }

    /// Writes down that a row was used, and for which transports from now on. A clock that was set
    /// back, or is not yet set after a start, makes no row older.
    pub(crate) fn touch(self, id: i64, transports: TransportSet, now: Timestamp) -> Result<()> {
        let update = "UPDATE lease SET used = max(used, ?2), transports = ?3 WHERE id = ?1";
        let values = (id, now.as_millisecond(), transports.to_string());
        self.0.prepare_cached(update)?.execute(values).map(drop)
    }

    /// Removes a row.
    pub(crate) fn remove(self, id: i64) -> Result<()> {
        self.0.prepare_cached("DELETE FROM lease WHERE id = ?1")?.execute([id]).map(drop)
    }
}

const INSERT: &str = "
    INSERT INTO lease (port, transports, kind, project, name, rank, holder_pid, holder_start,
                       holder_boot, netns, made, used, expires)
    VALUES (:port, :transports, :kind, :project, :name, :rank, :holder_pid, :holder_start,
            :holder_boot, :netns, :made, :used, :expires)";

fn read(row: &Row<'_>) -> Result<Lease> {
    let project: Vec<u8> = row.get("project")?;
    let holder = match row.get("holder_pid")? {
        Some(pid) => Some(Identity {
            pid,
            start_ticks: row.get::<_, i64>("holder_start")?.cast_unsigned(),
            boot: row.get("holder_boot")?,
        }),
        None => None,
    };
    Ok(Lease {
        id: row.get("id")?,
        port: Port(row.get("port")?),
        transports: word(row, "transports", |word| word.parse().ok())?,
        kind: word(row, "kind", Kind::parse)?,
        project: Path::new(OsStr::from_bytes(&project)).to_owned(),
        name: row.get("name")?,
        rank: row.get("rank")?,
        holder,
        netns: row.get::<_, i64>("netns")?.cast_unsigned(),
        made: time(row, "made")?.unwrap_or_default(),
        used: time(row, "used")?.unwrap_or_default(),
        expires: time(row, "expires")?,
    })
}

fn word<T>(row: &Row<'_>, column: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| {
        let cause = format!("`{text}` stands in the column {column}");
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, cause.into())
    })
}

fn time(row: &Row<'_>, column: &str) -> Result<Option<Timestamp>> {
    let milliseconds: Option<i64> = row.get(column)?;
    Ok(milliseconds.and_then(|ms| Timestamp::from_millisecond(ms).ok()))
}

#[cfg(test)]
pub(super) mod tests {
    use portolan_core::net::Transport;

    use super::*;
    use crate::store::schema;

    pub(crate) fn lease(port: u16) -> Lease {
        Lease {
            id: 0,
            port: Port(port),
            transports: TransportSet::NONE.with(Transport::Tcp),
            kind: Kind::Lease,
            project: "/srv/shop".into(),
            name: None,
            rank: 0,
            holder: None,
            netns: 7,
            made: Timestamp::UNIX_EPOCH,
            used: Timestamp::UNIX_EPOCH,
            expires: None,
        }
    }

    #[test]
    fn a_row_comes_back_as_it_was_written() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        let leases = Leases::new(&connection);
        let path = Path::new(OsStr::from_bytes(b"/srv/not \xff UTF-8")).to_owned();
        let holder = Identity { pid: 7, start_ticks: u64::MAX, boot: "b".into() };
        let mut written = Lease {
            kind: Kind::Reservation,
            transports: TransportSet::ALL,
            project: path,
            name: Some("web".into()),
            rank: 3,
            holder: Some(holder),
            expires: Some(Timestamp::from_millisecond(1234).unwrap()),
            ..lease(65535)
        };
        written.id = leases.insert(&written).unwrap();
        assert_eq!(leases.all().unwrap(), [written.clone()]);
        let later = Timestamp::from_millisecond(5678).unwrap();
        leases.touch(written.id, written.transports, later).unwrap();
        assert_eq!(leases.all().unwrap()[0].used, later);
        leases.touch(written.id, written.transports, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(leases.all().unwrap()[0].used, later, "a clock that was set back");
        leases.remove(written.id).unwrap();
        assert!(leases.all().unwrap().is_empty());
    }

    #[test]
    fn a_project_has_one_number_of_its_own_under_a_name() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        let leases = Leases::new(&connection);
        let own = |port| Lease { kind: Kind::Project, name: Some("web".into()), ..lease(port) };
        leases.insert(&own(1)).unwrap();
        assert!(leases.insert(&own(2)).is_err());
        leases.insert(&Lease { rank: 1, ..own(2) }).unwrap();
    }
}
