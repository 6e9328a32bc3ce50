//! What is remembered between two runs: which numbers were given to whom.
//!
//! One SQLite file of the user's in `$XDG_STATE_HOME/portolan`, else `~/.local/state/portolan`; a
//! file per host name, because a home on a network is shared by machines whose ports are not. The
//! journal is a rollback journal and not WAL, which needs memory that only processes of one machine
//! share. Folder and file are the owner's alone (0700, 0600). Run by root in somebody else's home,
//! as sudo may have it, what is made belongs to that home's owner.
//!
//! Everything that decides happens in [`Store::alone`]: one transaction that begins with the right
//! to write, so of any number of processes one decides at a time.

mod leases;
mod schema;

use std::env;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::fault::{Fault, Hinted as _};

pub(crate) use leases::{Kind, Lease, Leases};

/// The open file.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
    path: PathBuf,
}

impl Store {
    /// Opens the store, making it where there is none.
    ///
    /// # Errors
    /// No home, a folder that cannot be made, a file that is damaged or of a newer portolan.
    pub(crate) fn open() -> Result<Self> {
        let path = path()?;
        if is_homeless() {
            let message = format!("keep leases in {}: that home is not there", path.display());
            return Err(Fault::new(message, WRITABLE));
        }
        prepare(&path).hinted(format!("keep leases in {}", path.display()), WRITABLE)?;
        Self::connect(path)
    }

    /// Opens the store for reading; none where nothing was ever remembered.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged or of a newer portolan.
    pub(crate) fn look() -> Result<Option<Self>> {
        let Ok(path) = path() else { return Ok(None) };
        match fs::metadata(&path) {
            // A file without content is one that another process is just making.
            Ok(file) if file.len() == 0 => Ok(None),
            Ok(_) => Self::connect(path).map(Some),
            Err(e)
                if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                Ok(None)
            }
            Err(e) => Err(e).hinted(format!("read the leases {}", path.display()), WRITABLE),
        }
    }

    fn connect(path: PathBuf) -> Result<Self> {
        if fs::symlink_metadata(&path).is_ok_and(|file| !file.is_file()) {
            let message = format!("use the leases {}: that is a link or no file", path.display());
            return Err(Fault::new(
                message,
                "move it away, or set XDG_STATE_HOME to another folder",
            ));
        }
        let connect = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX
                | OpenFlags::SQLITE_OPEN_NOFOLLOW;
            let mut connection = Connection::open_with_flags(without_links(&path), flags)?;
            connection.busy_timeout(PATIENCE)?;
            // Truncating the journal syncs one folder less than deleting it.
            connection.pragma_update(None, "journal_mode", "TRUNCATE")?;
            let version = schema::migrate(&mut connection)?;
            Ok((connection, version))
        };
        let (connection, version) = connect().map_err(|error| explained(&error, &path))?;
        if version > schema::VERSION {
            return Err(Fault::new(
                format!(
                    "the leases {} were written by a newer portolan (format {version}, this one knows {})",
                    path.display(),
                    schema::VERSION
                ),
                "use that portolan, or move the file away to begin anew",
            ));
        }
        Ok(Self { connection, path })
    }

    /// Decides something alone: whoever else wants to decide waits until `work` has ended, and sees
    /// what it wrote. An error of `work` takes back whatever it wrote.
    ///
    /// # Errors
    /// Those of `work`; a file that cannot be written; others that do not let go for half a minute.
    pub(crate) fn alone<T>(&mut self, work: impl FnOnce(&Leases<'_>) -> Result<T>) -> Result<T> {
        let Self { connection, path } = self;
        let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = begun.map_err(|error| explained(&error, path))?;
        let answer = match work(&Leases::new(&transaction)) {
            Ok(answer) => answer,
            Err(error) => return Err(with_place(error, path)),
        };
        transaction.commit().map_err(|error| explained(&error, path))?;
        Ok(answer)
    }

    /// Every lease as it stands in the file, those that are over among them.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn leases(&self) -> Result<Vec<Lease>> {
        Leases::new(&self.connection).all().map_err(|error| explained(&error, &self.path))
    }

    /// Where the file is, when sudo runs us and it is not the file of the user who called sudo: that
    /// user's own leases are elsewhere then.
    pub(crate) fn not_of_caller(&self) -> Option<&Path> {
        let caller: u32 = env::var("SUDO_UID").ok()?.parse().ok()?;
        let owner = fs::metadata(&self.path).ok()?.uid();
        (rustix::process::geteuid().is_root() && owner != caller).then_some(&self.path)
    }
}

/// An error out of a transaction: those of SQLite are explained, others are told as they are.
fn with_place(error: anyhow::Error, path: &Path) -> anyhow::Error {
    match error.downcast::<rusqlite::Error>() {
        Ok(error) => explained(&error, path),
        Err(other) => other,
    }
}

fn explained(error: &rusqlite::Error, path: &Path) -> anyhow::Error {
    let hint = match error.sqlite_error_code() {
        None | Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            "the file is damaged: move it away, and numbers are chosen anew"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process has kept it for half a minute; run it again"
        }
        Some(ErrorCode::DiskFull) => "make room there, or set XDG_STATE_HOME to another folder",
        _ => WRITABLE,
    };
    Fault::new(format!("use the leases {}: {}", path.display(), cause(error)), hint)
}

/// The same file through its folder's real path: a link on the way there is the user's own affair,
/// and `SQLITE_OPEN_NOFOLLOW` would refuse it too.
fn without_links(path: &Path) -> PathBuf {
    let folder = path.parent().and_then(|folder| fs::canonicalize(folder).ok());
    folder.zip(path.file_name()).map_or_else(|| path.to_owned(), |(folder, name)| folder.join(name))
}

/// What went wrong, once: the error's own text says most of it twice.
fn cause(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::FromSqlConversionFailure(_, _, cause) => cause.to_string(),
        other => other.to_string(),
    }
}

/// The file for this host.
fn path() -> Result<PathBuf> {
    let folder = folder().ok_or_else(|| {
        Fault::new("find your state folder: HOME names none", "set HOME or XDG_STATE_HOME")
    })?;
    Ok(folder.join(format!("leases.{}.db", host())))
}

/// `$XDG_STATE_HOME/portolan`, else below `~/.local/state`; the specification wants absolute paths
/// and has others ignored.
fn folder() -> Option<PathBuf> {
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    state.map(|folder| folder.join("portolan"))
}

fn absolute(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// A home that is not there is not for us to make: the error says so.
fn is_homeless() -> bool {
    absolute("XDG_STATE_HOME").is_none() && absolute("HOME").is_some_and(|home| !home.is_dir())
}

/// This host's name as a part of a file's name.
fn host() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    let harmless = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = name.chars().take(64).map(harmless).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// Makes folder and file where they are missing, for the owner's eyes only.
fn prepare(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    make_folder(folder)?;
    let made =
        File::options().write(true).create_new(true).mode(0o600).custom_flags(NOFOLLOW).open(path);
    match made {
        Ok(file) => {
            let owner = fs::metadata(folder)?;
            give_to(&file, owner.uid(), owner.gid())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes a folder and those above it that are missing; each belongs to whom the one above belongs.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().ok_or(io::ErrorKind::NotFound)?;
    make_folder(above)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    let made = File::options().read(true).custom_flags(NOFOLLOW).open(folder)?;
    made.set_permissions(fs::Permissions::from_mode(0o700))?;
    let owner = fs::metadata(above)?;
    give_to(&made, owner.uid(), owner.gid())
}

/// Gives what root has just made to the owner of the folder it stands in.
fn give_to(made: &File, uid: u32, gid: u32) -> io::Result<()> {
    if rustix::process::geteuid().is_root() && uid != 0 {
        std::os::unix::fs::fchown(made, Some(uid), Some(gid))?;
    }
    Ok(())
}

/// A link in the place of what was to be made is refused: root follows none into other folders.
const NOFOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

/// How long to wait for another process that is deciding; each takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

const WRITABLE: &str = "set XDG_STATE_HOME to a folder of yours that can be written";

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &Path) -> Result<Store> {
        let path = folder.join("a/b/leases.db");
        prepare(&path).unwrap();
        Store::connect(path)
    }

    #[test]
    fn folder_and_file_are_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.path), 0o600);
        assert_eq!(mode(&folder.path().join("a/b")), 0o700);
        assert_eq!(mode(&folder.path().join("a")), 0o700);
    }

    #[test]
    fn what_was_written_before_an_error_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(folder.path()).unwrap();
        let failed: Result<()> = store.alone(|leases| {
            leases.insert(&leases::tests::lease(8080))?;
            Err(Fault::new("no", ""))
        });
        assert!(failed.is_err());
        assert!(store.leases().unwrap().is_empty());
    }

    #[test]
    fn a_newer_or_damaged_file_is_told_from_a_sound_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = store(folder.path()).unwrap().path;
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let error = Store::connect(path.clone()).unwrap_err();
        assert!(error.to_string().contains("newer portolan (format 99"), "{error}");
        fs::write(&path, "no database at all, but long enough to be looked at as one\n".repeat(20))
            .unwrap();
        let error = Store::connect(path).unwrap_err();
        assert!(error.downcast_ref::<Fault>().unwrap().hint.contains("damaged"), "{error:#}");
    }

    #[test]
    fn a_link_where_the_file_should_be_made_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("leases.db"), folder.path().join("elsewhere"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let _ = prepare(&link);
        assert!(!target.exists());
    }

    /// As root in another user's folder we would write wherever that user's link leads.
    #[test]
    fn a_link_in_the_place_of_the_file_is_not_followed_either() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("leases.db"), folder.path().join("elsewhere"));
        Connection::open(&target).unwrap().execute("CREATE TABLE other (x)", []).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let error = Store::connect(link).unwrap_err();
        assert!(error.to_string().ends_with("that is a link or no file"), "{error}");
        let tables = "SELECT count(*) FROM sqlite_master";
        let tables = Connection::open(&target).unwrap().query_row(tables, [], |row| row.get(0));
        assert_eq!(tables, Ok(1));
    }

    #[test]
    fn a_folder_may_be_reached_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", folder.path().join("link")).unwrap();
        store(&folder.path().join("link")).unwrap();
        assert!(folder.path().join("real/a/b/leases.db").exists());
    }
}
