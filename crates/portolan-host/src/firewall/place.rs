//! Where the firewall's memory is: folders and files, and who may hold them.

use std::env;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::process::geteuid;

use crate::namespace;

/// The folder of one network namespace's firewall, and where its boot files go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    state: PathBuf,
    root: PathBuf,
    /// Whether rules of this namespace can be loaded at boot.
    has_boot: bool,
}

impl Place {
    /// That of the network namespace we are in. With `PORTOLAN_ROOT` everything is below that folder,
    /// which is for tests and images. A namespace other than the machine's has a folder of its own and
    /// no boot files: it does not come back at boot.
    #[must_use]
    pub fn here() -> Self {
        let root = env::var_os("PORTOLAN_ROOT").filter(|root| !root.is_empty());
        let is_host = namespace::is_host();
        let has_boot = root.is_some() || is_host;
        let root = root.map_or_else(|| PathBuf::from("/"), PathBuf::from);
        let mut state = root.join("var/lib/portolan/firewall");
        if !has_boot {
            state.push(format!("netns-{}", namespace::network().inode));
        }
        Self { state, root, has_boot }
    }

    /// The one whose folder is `state`, as a watchdog is told it; `root` where it has boot files.
    #[must_use]
    pub(crate) fn at(state: PathBuf, root: Option<PathBuf>) -> Self {
        let has_boot = root.is_some();
        Self { state, root: root.unwrap_or_else(|| PathBuf::from("/")), has_boot }
    }

    /// Below which its boot files are, where it has any.
    pub(crate) fn boot_root(&self) -> Option<&Path> {
        self.has_boot.then_some(&self.root)
    }

    /// The folder.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Whether rules of this namespace can be loaded at boot.
    #[must_use]
    pub const fn has_boot(&self) -> bool {
        self.has_boot
    }

    /// Whether this is the machine itself and not a folder that stands for one.
    pub(crate) fn is_machine(&self) -> bool {
        self.has_boot && self.root == Path::new("/")
    }

    /// A file of the machine, such as `etc/systemd/system`.
    pub(crate) fn of_machine(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A file of the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }

    /// Makes the folder, for us alone.
    ///
    /// # Errors
    /// When it cannot be made, or belongs to somebody else or can be written by others: what is read
    /// here is loaded as rules.
    pub(crate) fn make(&self) -> io::Result<()> {
        if let Some(parent) = self.state.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.state)?;
        let folder = fs::symlink_metadata(&self.state)?;
        let is_ours = folder.uid() == geteuid().as_raw() && folder.mode() & 0o022 == 0;
        if folder.is_dir() && is_ours {
            return Ok(());
        }
        let (path, owner) = (self.state.display(), folder.uid());
        let mode = folder.mode() & 0o7777;
        let message = format!(
            "{path} is not a folder of ours alone (owner user {owner}, mode {mode:04o}): chown root \
             {path} && chmod 700 {path}"
        );
        Err(io::Error::other(message))
    }

    /// Waits up to `patience` for the right to change this firewall.
    ///
    /// # Errors
    /// When another process has it for longer, or the folder cannot be used.
    pub(crate) fn lock(&self, patience: Duration) -> io::Result<Lock> {
        self.make()?;
        let path = self.file("lock");
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(path)?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => {
                    // For whoever waits; that it cannot be written hinders nobody.
                    let _ = file.set_len(0);
                    let _ = writeln!(file, "{}", std::process::id());
                    self.sweep();
                    return Ok(Lock { _file: file });
                }
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if waited >= patience => {
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, held_by(&mut file)));
                }
                Err(TryLockError::WouldBlock) => {
                    thread::sleep(BETWEEN_TRIES);
                    waited += BETWEEN_TRIES;
                }
            }
        }
    }

    /// Removes what processes left that were killed while they wrote.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.state).into_iter().flatten().filter_map(Result::ok) {
            let name = entry.file_name();
            let writer =
                name.to_str().and_then(|name| name.strip_suffix(".new")?.rsplit('.').next());
            let writer = writer.and_then(|pid| pid.parse::<u32>().ok());
            if writer.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Writes a file of the folder whole or not at all, for us alone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        write_private(&self.file(name), bytes, 0o600)
    }

    /// The text of a file of the folder; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<String>> {
        match fs::read(self.file(name)) {
            // What is no text is not ours, and whoever parses it finds nothing.
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Moves a file of the folder in the place of another.
    ///
    /// # Errors
    /// When it is not there or cannot be moved.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.file(from), self.file(to))
    }

    /// Removes a file of the folder, if it is there.
    ///
    /// # Errors
    /// When it is there and stays.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        remove(&self.file(name))
    }
}

/// Who has the lock, as far as it said so.
fn held_by(lock: &mut File) -> String {
    let mut text = String::new();
    let _ = lock.take(20).read_to_string(&mut text);
    let pid = text.trim().parse::<u32>().ok();
    let user = pid.and_then(|pid| Some((pid, fs::metadata(format!("/proc/{pid}")).ok()?.uid())));
    let who = user.map_or_else(String::new, |(pid, uid)| format!(": process {pid} of uid {uid}"));
    format!("another portolan is changing the firewall right now{who}")
}

/// Removes a file, if it is there.
///
/// # Errors
/// When it is there and stays.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes a file beside its place, flushes it, and renames it there.
///
/// # Errors
/// When it cannot be written; the old file is untouched then.
pub(crate) fn write_private(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let _ = fs::remove_file(&beside);
    let file = File::options().write(true).create_new(true).mode(mode).open(&beside);
    let written = file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    let placed = written.and_then(|()| fs::rename(&beside, path));
    if placed.is_err() {
        let _ = fs::remove_file(&beside);
    }
    placed
}

/// The right to change the firewall, given up when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Locked as long as it is open (flock(2)); the kernel gives it up for who is killed.
    _file: File,
}

const BETWEEN_TRIES: Duration = Duration::from_millis(20);
