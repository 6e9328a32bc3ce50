//! Files replaced whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::process::getpid;

/// Why a file could not be replaced.
#[derive(Debug, thiserror::Error)]
#[error("write {path}")]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
}

/// Puts `bytes` in the place of `path`: written beside it, flushed to disk, then renamed over it.
///
/// A symbolic link is followed, so that the file it names is replaced and the link stays. Mode and,
/// where permitted, owner of an existing file are kept.
///
/// # Errors
/// [`WriteError`] with the cause; the old file is untouched then.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let failed = |source| WriteError { path: path.to_owned(), source };
    let (beside, file) = create_beside(&target).map_err(failed)?;
    fill(file, &target, bytes)
        .and_then(|()| fs::rename(&beside, &target))
        .and_then(|()| sync_folder(&target))
        .map_err(|source| {
            let _ = fs::remove_file(&beside);
            failed(source)
        })
}

/// The right to change the files of a folder, given up when dropped.
#[derive(Debug)]
pub struct Hold {
    /// Locked as long as it is open; none on a file system without locks.
    _folder: Option<File>,
}

/// Waits until no other process holds the folder of `path`, so that of two who read a file, change
/// it and write it back neither loses the other's change.
///
/// # Errors
/// [`WriteError`] when somebody holds it for longer than any change takes.
pub fn hold(path: &Path) -> Result<Hold, WriteError> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let Ok(folder) = folder_of(&target) else { return Ok(Hold { _folder: None }) };
    for _ in 0..TRIES {
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN_TRIES),
            Ok(()) => return Ok(Hold { _folder: Some(folder) }),
            Err(TryLockError::Error(_)) => return Ok(Hold { _folder: None }),
        }
    }
    let source = io::Error::new(io::ErrorKind::TimedOut, "another process is changing it");
    Err(WriteError { path: path.to_owned(), source })
}

/// Ten seconds: an edit takes milliseconds, an audit before it a second on a large machine.
const TRIES: u32 = 500;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// A new file beside `target`. One that an earlier process left when it was killed stays: in a
/// container every run may have the same process id.
fn create_beside(target: &Path) -> io::Result<(PathBuf, File)> {
    let mut number = 0;
    loop {
        let beside = sibling(target, number);
        match File::options().write(true).create_new(true).open(&beside) {
            Ok(file) => return Ok((beside, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MOST_LEFT => {
                number += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

const MOST_LEFT: u32 = 1000;

fn fill(mut file: File, target: &Path, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    if let Ok(old) = fs::metadata(target) {
        use std::os::unix::fs::MetadataExt as _;
        // Only root may give a file away; for everybody else the new file is simply theirs.
        let _ = std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()));
        file.set_permissions(old.permissions())?;
    }
    file.sync_all()
}

fn sync_folder(target: &Path) -> io::Result<()> {
    folder_of(target)?.sync_all()
}

fn folder_of(target: &Path) -> io::Result<File> {
    let folder = target.parent().filter(|p| !p.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))
}

fn sibling(target: &Path, number: u32) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{}.{number}.new", getpid().as_raw_nonzero()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_keeps_its_mode_and_leaves_nothing_beside_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_of_the_same_id_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        fs::write(sibling(&path, 0), "half").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named_in_the_error() {
        let error = replace(Path::new("/nonexistent/a"), b"").unwrap_err();
        assert_eq!(error.to_string(), "write /nonexistent/a");
    }
}
