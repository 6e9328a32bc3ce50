//! Whether an inventory is root's alone: who may write it or any folder on the way to it decides what
//! a firewall lets in.
//!
//! A path is followed as the kernel follows it (path_resolution(7)), link by link: whoever may write a
//! folder in which a name is looked up can put another file behind that name. In a sticky folder
//! such as /tmp only the owner of an entry can exchange it (inode(7)), so there the entry counts.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use portolan_host::users;

use super::load::{Asked, Loaded, USUAL_PLACES, named};
use crate::fault::{Fault, Hinted as _};

/// Refuses, for a command that changes the system as root, an inventory that somebody else could have
/// written: it must be named or the one in /etc; it, what it includes, the lists it reads and every folder
/// on the way to these must belong to root and be writable by nobody else.
///
/// # Errors
/// Which path, whose it is, and what to do about it.
pub(crate) fn trust(asked: &Asked, loaded: &Loaded) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let is_meant = named(asked).is_some() || loaded.path == Path::new(USUAL_PLACES[1]);
    if !is_meant {
        let message = format!("{} was not named", loaded.path.display());
        let hint = format!("as root say which file: --inventory {}", word(&loaded.path));
        return Err(Fault::new(message, hint));
    }
    loaded.inventory.files.iter().try_for_each(|file| only_roots(Path::new(&file.path)))
}

/// Whether a file is root's alone to write and to exchange; what is no file (a pipe of root's shell) is
/// root's own.
fn only_roots(path: &Path) -> Result<()> {
    let what = || format!("cannot look at {}", path.display());
    let hint = "name a file with --inventory FILE";
    if !fs::metadata(path).hinted(what(), hint)?.is_file() {
        return Ok(());
    }
    let whole = std::path::absolute(path).hinted(what(), hint)?;
    let mut rest: VecDeque<OsString> = names(&whole);
    let mut folder = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            folder.pop();
            continue;
        }
        let is_sticky = guard(path, &folder)?;
        let next = folder.join(&name);
        let found = fs::symlink_metadata(&next).hinted(what(), hint)?;
        if found.is_symlink() {
            if is_sticky && found.uid() != 0 {
                return Err(refusal(path, &next, &found, What::Link));
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(Fault::new(what(), "its links lead in a circle"));
            }
            let target = fs::read_link(&next).hinted(what(), hint)?;
            if target.is_absolute() {
                folder = PathBuf::from("/");
            }
            names(&target).into_iter().rev().for_each(|name| rest.push_front(name));
        } else if found.is_dir() {
            folder = next;
        } else if is_foreign(&found) {
            return Err(refusal(path, &next, &found, What::File));
        }
    }
    Ok(())
}

/// The names of a path that are looked up, `..` among them.
fn names(path: &Path) -> VecDeque<OsString> {
    let parts = path.components();
    let names = parts.filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    names.map(|part| part.as_os_str().to_owned()).collect()
}

/// Refuses a folder whose entries others than root can exchange. Whether they can at least add some.
fn guard(path: &Path, folder: &Path) -> Result<bool> {
    let what = format!("cannot look at {}", folder.display());
    let found = fs::metadata(folder).hinted(what, "name a file with --inventory FILE")?;
    let is_sticky = found.uid() == 0 && found.mode() & STICKY != 0;
    if is_foreign(&found) && !is_sticky {
        return Err(refusal(path, folder, &found, What::Folder));
    }
    Ok(is_sticky)
}

fn is_foreign(found: &Metadata) -> bool {
    found.uid() != 0 || found.mode() & WRITABLE != 0
}

/// What can be written by others than root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    File,
    Folder,
    Link,
}

fn refusal(path: &Path, at: &Path, found: &Metadata, what: What) -> anyhow::Error {
    let users = users::read();
    let uid = found.uid();
    let owner = users.get(&uid).map_or_else(|| format!("user {uid}"), ToString::to_string);
    let mode = found.mode() & 0o7777;
    let shown = at.display();
    let message = match what {
        What::File => {
            format!("{shown} can be written by others than root: owner {owner}, mode {mode:04o}")
        }
        What::Folder => format!(
            "{} can be exchanged by others than root: folder {shown}, owner {owner}, mode {mode:04o}",
            path.display()
        ),
        What::Link => format!(
            "{} can be exchanged by others than root: link {shown}, owner {owner}",
            path.display()
        ),
    };
    let place = word(at);
    let hint = match (what, uid) {
        (What::Link, _) => format!("chown -h root {place}"),
        (What::File, _) => format!("chown root {place} && chmod go-w {place}"),
        (What::Folder, 0) => format!("chmod go-w {place}"),
        (What::Folder, _) => format!(
            "chown root {place} && chmod go-w {place}, or keep the inventory in /etc/portolan"
        ),
    };
    Fault::new(message, hint)
}

/// A path as a shell reads it.
fn word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Write permission of the group and of others (inode(7)); where there is an access control list, the
/// most that it grants anybody (acl(5)).
const WRITABLE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: u32 = 40;
