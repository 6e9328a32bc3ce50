//! The unified cgroup hierarchy: which folder an id stands for, and who is in it.
//!
//! The id of a cgroup is the inode of its folder (fs/kernfs, 64-bit), and the kernel tells it of a
//! socket to anybody: so a socket whose holder may not be seen can still be laid to a unit or a
//! container, and its likely holders are the processes in there.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use portolan_core::socket::{Placement, cgroup};

use crate::proc::{each_entry, entry_buffer};

/// A cgroup as somebody without privileges can see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroup {
    /// Its path below the mount, `/` for the root.
    pub path: String,
    /// The unit and container it stands for.
    pub placement: Placement,
    /// The processes in it.
    pub processes: Vec<u32>,
}

/// The cgroups with these ids; one that is gone or not below our mount is left out.
#[must_use]
pub fn find(ids: &HashSet<u64>) -> HashMap<u64, Cgroup> {
    let Some(mount) = mount() else { return HashMap::new() };
    let mut search = Search { ids, found: HashMap::new(), entries: entry_buffer() };
    search.visit_root(&mount);
    let mut folders = vec![mount.clone()];
    while let Some(folder) = folders.pop() {
        if search.found.len() == ids.len() {
            break;
        }
        search.visit(&mount, &folder, &mut folders);
    }
    search.found
}

/// The id of the cgroup at `path`, below the mount or from the root of the file system.
#[must_use]
pub fn id(path: &str) -> Option<u64> {
    let below = mount().map(|mount| mount.join(path.trim_start_matches('/')));
    let folder = below.filter(|folder| folder.is_dir()).unwrap_or_else(|| PathBuf::from(path));
    fs::metadata(folder).ok().filter(fs::Metadata::is_dir).map(|folder| folder.ino())
}

struct Search<'i> {
    ids: &'i HashSet<u64>,
    found: HashMap<u64, Cgroup>,
    entries: Box<[MaybeUninit<u8>]>,
}

impl Search<'_> {
    fn visit_root(&mut self, mount: &Path) {
        if let Ok(root) = fs::metadata(mount) {
            self.take(mount, mount, root.ino());
        }
    }

    /// Looks at the cgroups directly below `folder` and leaves them in `folders`.
    fn visit(&mut self, mount: &Path, folder: &Path, folders: &mut Vec<PathBuf>) {
        let Ok(opened) = File::open(folder) else { return };
        let mut below = Vec::new();
        // A cgroup removed meanwhile is no loss: what it held went before it.
        let _ = each_entry(opened.as_fd(), &mut self.entries, |name, kind, inode| {
            if kind.is_dir() {
                below.push((folder.join(OsStr::from_bytes(name)), inode));
            }
            ControlFlow::Continue(())
        });
        for (path, inode) in below {
            self.take(mount, &path, inode);
            folders.push(path);
        }
    }

    fn take(&mut self, mount: &Path, folder: &Path, id: u64) {
        if self.ids.contains(&id) {
            self.found.insert(id, read(mount, folder));
        }
    }
}

fn read(mount: &Path, folder: &Path) -> Cgroup {
    let below = folder.strip_prefix(mount).unwrap_or(folder);
    let path = format!("/{}", below.to_string_lossy());
    let members = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    Cgroup {
        placement: cgroup::of_path(&path),
        processes: members.lines().filter_map(|pid| pid.parse().ok()).collect(),
        path,
    }
}

/// Where the unified hierarchy is mounted: /sys/fs/cgroup, or below it on a hybrid system.
fn mount() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts.lines().find_map(unified).map(PathBuf::from)
}

/// The mount point of a line of mountinfo whose type is cgroup2 (proc_pid_mountinfo(5)).
fn unified(line: &str) -> Option<&str> {
    let (mount, kind) = line.split_once(" - ")?;
    (kind.split(' ').next() == Some("cgroup2")).then(|| mount.split(' ').nth(4)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_hierarchy_is_found_on_a_hybrid_system() {
        let named =
            "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd";
        let unified_line =
            "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw";
        assert_eq!(unified(named), None);
        assert_eq!(unified(unified_line), Some("/sys/fs/cgroup/unified"));
    }

    #[test]
    fn the_root_is_found_by_its_inode() {
        let Some(mount) = mount() else { return };
        let id = fs::metadata(mount).unwrap().ino();
        assert_eq!(find(&HashSet::from([id]))[&id].path, "/");
    }
}
