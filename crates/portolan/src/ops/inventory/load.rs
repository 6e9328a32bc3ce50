//! Finding the inventory's file and reading it with all it includes.
//!
//! `--inventory FILE`, else `$PORTOLAN_INVENTORY`, else `./portolan.toml`, else
//! `/etc/portolan/portolan.toml`. A file that was named must be there and readable; one that was
//! only looked for may be missing, and where it cannot be read that is a gap.

use std::env;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use portolan_core::inventory::file::{self, Loading, Want};
use portolan_core::inventory::{Inventory, glob};
use portolan_core::net::{Gap, Observed, Why};
use portolan_host::files::{self, Hold};

use crate::fault::{Fault, Hinted as _};

/// Which inventory is meant, and which of its hosts this machine is, as far as somebody said so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// The file, if one was named.
    pub(crate) inventory: Option<PathBuf>,
    /// The host, if one was named.
    pub(crate) host: Option<String>,
}

/// An inventory and the file it was read from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// What it says.
    pub(crate) inventory: Inventory,
    /// The first file, as it was named or found.
    pub(crate) path: PathBuf,
}

/// The file that was found, opened.
#[derive(Debug)]
struct Found {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Finds and reads the inventory; none where no file was named and none is there.
///
/// # Errors
/// A named file that cannot be read, or a `Refused` with everything that is wrong in a file.
pub(crate) fn load(asked: &Asked) -> Result<Observed<Option<Loaded>>> {
    let found = find(asked)?;
    let loaded = found.value.map(read).transpose()?;
    Ok(Observed { value: loaded, gaps: found.gaps })
}

/// The same for commands that are worth something without it: a broken file that nobody named is a
/// gap in what they tell.
///
/// # Errors
/// A named file that cannot be read or is wrong.
pub(crate) fn consult(asked: &Asked) -> Result<Observed<Option<Loaded>>> {
    match load(asked) {
        Err(_) if named(asked).is_none() => {
            let hint = "`portolan inventory validate` says what is wrong with it";
            let gap = Gap::aside("what the inventory declares", Why::Unsupported, hint);
            Ok(Observed { value: None, gaps: vec![gap] })
        }
        loaded => loaded,
    }
}

/// The same for commands that cannot do without.
///
/// # Errors
/// Also where there is none.
pub(crate) fn require(asked: &Asked) -> Result<Loaded> {
    let loaded = load(asked)?;
    loaded.value.ok_or_else(|| match loaded.gaps.first() {
        None => Fault::new("there is no inventory here", NO_INVENTORY_HINT),
        Some(gap) => Fault::new(format!("cannot read {}", gap.what), gap.hint.clone()),
    })
}

const NO_INVENTORY_HINT: &str =
    "draft one with `portolan inventory init`, or name one with --inventory FILE";

/// The first of the usual places where a file is.
fn find(asked: &Asked) -> Result<Observed<Option<Found>>> {
    if let Some(path) = named(asked) {
        let bytes = bytes_of(&path, Kind::Any).hinted(
            format!("cannot read the inventory {}", path.display()),
            "--inventory and $PORTOLAN_INVENTORY name a file that must be there",
        )?;
        return Ok(Observed::whole(Some(Found { path, bytes })));
    }
    let mut gaps = Vec::new();
    for place in USUAL_PLACES {
        match bytes_of(Path::new(place), Kind::Any) {
            Ok(bytes) => {
                let found = Found { path: place.into(), bytes };
                return Ok(Observed { value: Some(found), gaps });
            }
            Err(error) if is_absent(&error) => {}
            Err(error) => gaps.push(unreadable(place, &error)),
        }
    }
    Ok(Observed { value: None, gaps })
}

/// Relative to the working folder, the nearest first.
pub(super) const USUAL_PLACES: [&str; 2] = ["portolan.toml", "/etc/portolan/portolan.toml"];

/// The file that was named on the command line or in the environment.
pub(crate) fn named(asked: &Asked) -> Option<PathBuf> {
    let of_environment = || env::var_os("PORTOLAN_INVENTORY").filter(|v| !v.is_empty());
    asked.inventory.clone().or_else(|| of_environment().map(PathBuf::from))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn unreadable(place: &str, error: &io::Error) -> Gap {
    let why = match error.kind() {
        ErrorKind::PermissionDenied => Why::NotPermitted,
        _ => Why::Unsupported,
    };
    let hint = format!("name a readable one with --inventory FILE ({error})");
    Gap::new(format!("the inventory {place}"), why, hint)
}

/// Keeps other edits of the inventory waiting until it is dropped; to be had before it is read.
///
/// # Errors
/// Where there is no inventory, or somebody else does not let go of it.
pub(crate) fn alone(asked: &Asked) -> Result<Hold> {
    let found = find(asked)?;
    let path = found.value.map_or_else(PathBuf::new, |found| found.path);
    files::hold(&path).hinted("nothing was changed", "run it again when the other has ended")
}

/// The file a command that changes it works on, whatever is wrong with what it says.
///
/// # Errors
/// Where there is none, or it is no file that can be replaced.
pub(crate) fn to_change(asked: &Asked) -> Result<(PathBuf, String)> {
    let found = find(asked)?;
    let Some(Found { path, bytes }) = found.value else {
        return Err(Fault::new("there is no inventory here", NO_INVENTORY_HINT));
    };
    if !path.is_file() {
        let message = format!("{} is not a file that can be changed", path.display());
        return Err(Fault::new(message, "name a file with --inventory FILE"));
    }
    let text = String::from_utf8(bytes).hinted(
        format!("cannot change {}: it is not UTF-8", path.display()),
        "`portolan inventory validate` shows where",
    )?;
    Ok((path, text))
}

/// What the inventory at `root` says once files have other texts; nothing is written.
///
/// # Errors
/// A `Refused` with everything that would be wrong.
pub(crate) fn with_changes(root: &Path, changed: &[(&Path, &str)]) -> Result<Inventory> {
    let change = |(path, text): &(&Path, &'_ str)| (identity(path), (*text).to_owned());
    let changes: Vec<Change> = changed.iter().map(change).collect();
    let bytes = bytes_of(root, Kind::Regular)?;
    let found = Found { path: root.to_owned(), bytes };
    Ok(read_with(found, &changes)?.inventory)
}

/// A file, and its text as it is going to be.
type Change = (String, String);

fn read(found: Found) -> Result<Loaded> {
    read_with(found, &[])
}

fn read_with(found: Found, changes: &[Change]) -> Result<Loaded> {
    let changed = |path: &Path| {
        let identity = identity(path);
        changes.iter().find(|(known, _)| *known == identity).map(|(_, text)| text.as_bytes())
    };
    let root = file::Path::new(identity(&found.path), shown(&found.path));
    let mut loading = Loading::new(root, changed(&found.path).unwrap_or(&found.bytes));
    while let Some(want) = loading.next_want() {
        let text = match &want {
            Want::File { path, .. } if !changes.is_empty() => changed(Path::new(&path.shown)),
            _ => None,
        };
        match (&want, text) {
            (Want::File { path, .. }, Some(text)) => loading.supply(&want, &path.shown, text),
            _ => answer(&mut loading, &want),
        }
    }
    Ok(Loaded { inventory: loading.finish()?, path: found.path })
}

fn answer(loading: &mut Loading, want: &Want) {
    match want {
        Want::Matches { pattern, beside, .. } => {
            let found = paths(&folder_of(beside), pattern);
            if found.is_empty() && !Want::is_glob(pattern) {
                return loading.failed(want, "no such file");
            }
            let name = |path: &PathBuf| file::Path::new(identity(path), shown(path));
            loading.matched(want, found.iter().map(name).collect());
        }
        Want::File { path, .. } => supply(loading, want, Path::new(&path.shown)),
        Want::List { path, beside, .. } => supply(loading, want, &folder_of(beside).join(path)),
    }
}

fn supply(loading: &mut Loading, want: &Want, path: &Path) {
    match bytes_of(path, Kind::Regular) {
        Ok(bytes) => loading.supply(want, &shown(path), &bytes),
        Err(error) => loading.failed(want, &cause(&error)),
    }
}

/// An error's words without the number the system has for it.
fn cause(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "no such file".to_owned(),
        ErrorKind::PermissionDenied => "not permitted".to_owned(),
        _ => error.to_string(),
    }
}

fn folder_of(file: &str) -> PathBuf {
    Path::new(file).parent().map(Path::to_owned).unwrap_or_default()
}

/// The same for the same file, by whatever way it is reached.
fn identity(path: &Path) -> String {
    let canonical = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    canonical.to_string_lossy().into_owned()
}

/// A path as a person would write it: below the working folder without that folder's own path.
fn shown(path: &Path) -> String {
    let here = env::current_dir().unwrap_or_default();
    let short = path.strip_prefix(&here).unwrap_or(path);
    short.strip_prefix(".").unwrap_or(short).to_string_lossy().into_owned()
}

/// The files that `pattern` names in `folder`, in the order of their names.
///
/// A wildcard stands within one part of a path and does not match a leading dot, as in a shell.
fn paths(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let parts = Path::new(pattern).components().filter(|part| *part != Component::CurDir);
    for part in parts {
        let part = Path::new(part.as_os_str());
        found = match part.to_str().filter(|p| Want::is_glob(p)) {
            None => found.iter().map(|folder| folder.join(part)).collect(),
            Some(glob) => found.iter().flat_map(|folder| matching(folder, glob)).collect(),
        };
    }
    found.retain(|path| path.exists());
    found
}

fn matching(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = fs::read_dir(here) else { return Vec::new() };
    let fits = |name: &str| glob::matches(pattern, name) && !(name.starts_with('.'));
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| fits(name))
        .collect();
    names.sort_unstable();
    names.into_iter().map(|name| folder.join(name)).collect()
}

/// What may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Also a pipe, such as a shell's `<(…)`.
    Any,
    /// Files only, so that a fifo among the includes does not wait for a writer.
    Regular,
}

/// A file's bytes, if it is one and not larger than any inventory.
fn bytes_of(path: &Path, kind: Kind) -> io::Result<Vec<u8>> {
    if kind == Kind::Regular && !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("larger than 64 MiB"));
    }
    Ok(bytes)
}

const LARGEST: u64 = 64 << 20;
