//! Namespaces: the ones this process lives in, and every network namespace of the machine.
//!
//! Another network namespace is read from a thread that enters it and ends; the program itself
//! stays where it is. Where that is not permitted, /proc/PID/net of a process inside tells some.

mod search;

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use portolan_core::socket::Netns;
use rustix::io::Errno;
use rustix::process::geteuid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub use search::all;

use crate::owners::Stray;

/// The network namespace of this process; its inode is 0 where /proc does not tell.
#[must_use]
pub fn network() -> Netns {
    let inode = inode("/proc/self/ns/net").unwrap_or(0);
    let name = if is_host() { Some(HOST.into()) } else { name_of(inode) };
    Netns { inode, name, ..Netns::default() }
}

/// Whether this process sees every process of the machine: only the first pid namespace does.
/// From another one a socket's holder may be outside.
#[must_use]
pub fn sees_every_process() -> bool {
    has_every_process() == Some(true)
}

/// The same; `None` where /proc does not tell.
pub(crate) fn has_every_process() -> Option<bool> {
    inode("/proc/self/ns/pid").map(|inode| inode == FIRST_PID_NAMESPACE)
}

/// A network namespace, and the way to look into it.
#[derive(Clone, Debug)]
pub struct Place {
    /// The namespace.
    pub netns: Netns,
    door: Door,
    /// Sockets inside, where nothing else leads there.
    pub(crate) strays: Vec<Stray>,
}

#[derive(Clone, Debug)]
enum Door {
    /// We are inside.
    Open,
    /// Files that stand for it, the best first. They are opened when it is entered: whoever makes
    /// namespaces by the thousand must not use up our descriptors.
    Files(Vec<PathBuf>),
}

impl Place {
    /// Whether it is the namespace this process lives in.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        matches!(self.door, Door::Open)
    }

    /// Runs `work` inside: sockets it opens, netlink among them, belong to this namespace, and so
    /// do /proc/sys/net and /proc/thread-self/net.
    ///
    /// # Errors
    /// When it may not be entered: that takes CAP_SYS_ADMIN in both namespaces (setns(2)).
    /// `NotFound` says that nothing leads there any more; or no thread is to be had.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        let Door::Files(files) = &self.door else { return Ok(work()) };
        let handle = open_first(files, self.netns.inode)?;
        // Only the thread changes its place; it ends with the work.
        let visit = || {
            move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(work())
        };
        thread::scope(|scope| {
            let visitor = thread::Builder::new().spawn_scoped(scope, visit)?;
            visitor.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The tables of /proc/net as a process inside has them; anybody may read those.
    pub(crate) fn tables(&self) -> Option<PathBuf> {
        let pid = self.netns.pid?;
        Some(format!("/proc/{pid}/net").into())
    }
}

/// Opens the first file that still stands for a namespace.
fn open_first(files: &[PathBuf], inode: u64) -> io::Result<File> {
    // Without any file it is known by its processes only, which do not show us the way.
    let is_shut = files.is_empty();
    let kind = if is_shut { io::ErrorKind::PermissionDenied } else { io::ErrorKind::NotFound };
    let mut failure = kind.into();
    for path in files {
        match open_if(path, inode) {
            Ok(file) => return Ok(file),
            Err(error) if is_gone(&error) => {}
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn open_if(path: &Path, inode: u64) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.ino() != inode {
        return Err(io::ErrorKind::NotFound.into()); // the number went to another process
    }
    Ok(file)
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// What may help where we are refused: nothing when we are root already.
#[must_use]
pub fn more_rights() -> &'static str {
    if geteuid().is_root() { "" } else { "run with sudo" }
}

/// Whether this is the network namespace of process 1, as far as that one is the machine's.
#[must_use]
pub fn is_host() -> bool {
    sees_every_process() && tables_id("1").is_some_and(|id| tables_id("thread-self") == Some(id))
}

/// A number that tells whether two processes have the same network namespace, and that anybody may
/// ask for: the entries of /proc/PID/net belong to the namespace, and so do their inodes
/// (fs/proc/proc_net.c), while /proc/PID/ns may be read by those alone who may trace the process.
fn tables_id(process: &str) -> Option<u64> {
    inode(&format!("/proc/{process}/net/dev"))
}

/// The name `ip netns` gave the namespace, a file in /run/netns.
fn name_of(inode: u64) -> Option<Box<str>> {
    let folder = fs::read_dir("/run/netns").ok()?;
    folder
        .flatten()
        .find(|entry| fs::metadata(entry.path()).is_ok_and(|file| file.ino() == inode))
        .map(|entry| entry.file_name().to_string_lossy().into())
}

fn inode(path: &str) -> Option<u64> {
    fs::metadata(path).ok().map(|file| file.ino())
}

/// What the network namespace of process 1 is called.
const HOST: &str = "host";

/// PROC_PID_INIT_INO of include/linux/proc_ns.h.
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_network_namespace_has_an_inode() {
        assert_ne!(network().inode, 0);
    }

    #[test]
    fn a_way_that_has_closed_meanwhile_is_no_refusal() {
        let (own, gone) = (PathBuf::from("/proc/self/ns/net"), PathBuf::from("/proc/0/ns/net"));
        let inode = network().inode;
        let kind = |files: &[PathBuf], inode| open_first(files, inode).map_err(|e| e.kind()).err();
        assert_eq!(kind(&[gone.clone(), own.clone()], inode), None);
        assert_eq!(kind(&[gone], inode), Some(io::ErrorKind::NotFound));
        assert_eq!(kind(&[own], inode + 1), Some(io::ErrorKind::NotFound)); // another one by now
        assert_eq!(kind(&[], inode), Some(io::ErrorKind::PermissionDenied));
    }

    #[test]
    fn our_own_namespace_stands_first_and_needs_no_door() {
        let places = all().value;
        assert!(places[0].is_own());
        assert_eq!(places[0].netns.inode, network().inode);
        assert_eq!(places.iter().filter(|place| place.is_own()).count(), 1);
        let thread = thread::current().id();
        assert_eq!(places[0].enter(|| thread::current().id()).unwrap(), thread);
    }
}
