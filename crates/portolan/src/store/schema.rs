//! The tables, and how a file of an older format becomes one of this.
//!
//! `PRAGMA user_version` counts the steps a file has gone. A step is never changed once it was
//! released; a new one is added behind it.

use rusqlite::{Connection, Result, TransactionBehavior};

/// How many steps this portolan knows.
pub(super) const VERSION: u32 = 1;

const STEPS: [&str; VERSION as usize] = ["
    -- A number that was given to somebody. Several rows may have the same one: a project may
    -- reserve its own.
    CREATE TABLE lease (
        id           INTEGER PRIMARY KEY,
        port         INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
        transports   TEXT    NOT NULL,  -- tcp, udp, tcp+udp …
        kind         TEXT    NOT NULL CHECK (kind IN ('project', 'lease', 'reservation')),
        project      BLOB    NOT NULL,  -- path of a worktree or folder
        name         TEXT,              -- of a project's number
        rank         INTEGER NOT NULL,  -- 0 the project's own number, then its stand-ins
        holder_pid   INTEGER,           -- the process that holds it, and what tells it
        holder_start INTEGER,           -- from a later one with the same id
        holder_boot  TEXT,
        netns        INTEGER NOT NULL,  -- inode of the network namespace it was given in
        made         INTEGER NOT NULL,  -- milliseconds since 1970
        used         INTEGER NOT NULL,
        expires      INTEGER
    ) STRICT;
    CREATE UNIQUE INDEX lease_of_project ON lease (project, name, rank) WHERE kind = 'project';
"];

/// Takes a file all steps it has not gone yet and gives the number it has gone then; a file from
/// the future is left as it is.
pub(super) fn migrate(connection: &mut Connection) -> Result<u32> {
    if version(connection)? >= VERSION {
        return version(connection);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    let done = version(&transaction)?;
    for (step, sql) in (1..).zip(STEPS).filter(|(step, _)| *step > done) {
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", step)?;
    }
    transaction.commit()?;
    version(connection)
}

fn version(connection: &Connection) -> Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_every_step_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert_eq!(migrate(&mut connection).unwrap(), VERSION);
        assert_eq!(migrate(&mut connection).unwrap(), VERSION);
        let count = "SELECT count(*) FROM lease";
        assert_eq!(connection.query_row(count, [], |row| row.get::<_, u32>(0)), Ok(0));
    }
}
