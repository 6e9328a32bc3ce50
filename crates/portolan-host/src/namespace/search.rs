//! Finding every network namespace: those of processes, those a mount keeps (ip-netns(8), docker),
//! and those a descriptor keeps.
//!
//! One whose last process, mount and descriptor are gone may live on by sockets alone, which a
//! process made there before it left. The bpf engine tells of those; there is no way into such a
//! namespace, but its sockets can be asked one by one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::mem::{self, MaybeUninit};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use portolan_core::net::{Gap, Observed, Why};
use portolan_core::socket::Netns;
use portolan_core::socket::procpid::{NamespaceMount, network_namespace};
use rustix::io::Errno;

use super::{Door, HOST, Place, inode, more_rights, sees_every_process, tables_id};
use crate::owners::{Stray, strays};
use crate::proc::{Proc, each_descriptor, entry_buffer};
use crate::processes::{self, Details};

/// Every network namespace that can be found, our own first, then by inode.
#[must_use]
pub fn all() -> Observed<Vec<Place>> {
    let mut search = Search::default();
    search.take_own();
    if let Ok(proc) = Proc::open() {
        let pids = proc.pids().unwrap_or_default();
        search.tell_of_hidden(&pids);
        search.ask_processes(&pids);
        search.ask_mounts(&pids);
        search.ask_descriptors(&proc, &pids);
    } else {
        search.tell_of_hidden(&[]);
    }
    search.ask_sockets();
    search.finish()
}

#[derive(Default)]
struct Search {
    own: u64,
    /// By inode, or by a stand-in where nobody tells it.
    found: BTreeMap<u64, Found>,
    /// The inode behind a number of [`tables_id`].
    by_tables: HashMap<u64, u64>,
    /// Processes whose descriptors may not be read.
    refused: usize,
    gaps: Vec<Gap>,
}

/// What is known of a namespace.
#[derive(Default)]
struct Found {
    name: Option<Box<str>>,
    /// Files that stand for it, the best first.
    files: Vec<PathBuf>,
    strays: Vec<Stray>,
    processes: usize,
    pid: Option<u32>,
}

impl Search {
    fn take_own(&mut self) {
        self.own = inode("/proc/thread-self/ns/net").unwrap_or(0);
        self.found.entry(self.own).or_default();
        if let Some(id) = tables_id("thread-self") {
            self.by_tables.insert(id, self.own);
        }
    }

    /// Namespaces of processes that /proc does not show are found by nothing else that is sure.
    fn tell_of_hidden(&mut self, pids: &[u32]) {
        let gap = |what, why, hint| Some(Gap::new(what, why, hint));
        self.gaps.extend(match pids.first() {
            None => gap("other network namespaces", Why::Unsupported, "mount /proc"),
            Some(1) if sees_every_process() => None,
            Some(1) => gap(
                "network namespaces of processes outside this pid namespace",
                Why::NotPermitted,
                "they may be outside this container: ask the host",
            ),
            Some(_) => gap(
                "network namespaces of hidden processes",
                Why::NotPermitted,
                "run with sudo: /proc is mounted with hidepid",
            ),
        });
    }

    fn ask_processes(&mut self, pids: &[u32]) {
        let mut silent = Vec::new();
        for pid in pids {
            match fs::metadata(format!("/proc/{pid}/ns/net")) {
                Ok(file) => self.take_process(*pid, file.ino()),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => silent.push(*pid),
                Err(_) => {} // it has ended
            }
        }
        for pid in silent {
            let Some(id) = tables_id(&pid.to_string()) else { continue };
            let inode = self.by_tables.get(&id).copied().unwrap_or(Netns::stand_in(id));
            self.join(pid, inode);
        }
    }

    fn take_process(&mut self, pid: u32, inode: u64) {
        let is_new = self.found.get(&inode).is_none_or(|found| found.pid.is_none());
        self.join(pid, inode);
        self.offer(inode, || format!("/proc/{pid}/ns/net").into());
        if is_new {
            self.by_tables.extend(tables_id(&pid.to_string()).map(|id| (id, inode)));
        }
    }

    fn join(&mut self, pid: u32, inode: u64) {
        let found = self.found.entry(inode).or_default();
        found.processes += 1;
        found.pid.get_or_insert(pid); // they come by number
    }

    fn offer(&mut self, inode: u64, file: impl FnOnce() -> PathBuf) -> &mut Found {
        let found = self.found.entry(inode).or_default();
        if found.files.len() < WAYS {
            found.files.push(file());
        }
        found
    }

    /// Reads the mounts of every mount namespace, once each.
    fn ask_mounts(&mut self, pids: &[u32]) {
        let own = inode("/proc/self/ns/mnt");
        self.read_mounts(None);
        let mut known: HashSet<u64> = own.into_iter().collect();
        for pid in pids {
            let Some(mounts) = inode(&format!("/proc/{pid}/ns/mnt")) else { continue };
            if known.insert(mounts) {
                self.read_mounts(Some(*pid));
            }
        }
    }

    /// Reads the mounts as a process sees them, or as we do. Only ours name anything: in a mount
    /// namespace of their own, anybody may call anything `host` (user_namespaces(7)).
    fn read_mounts(&mut self, process: Option<u32>) {
        let (folder, root) = match process {
            None => ("/proc/self".to_owned(), PathBuf::from("/")),
            Some(pid) => (format!("/proc/{pid}"), format!("/proc/{pid}/root").into()),
        };
        let text = fs::read(format!("{folder}/mountinfo")).unwrap_or_default();
        for mount in NamespaceMount::all(&text) {
            let path = Path::new(OsStr::from_bytes(&mount.path));
            let below = path.strip_prefix("/").unwrap_or(path);
            let found = self.offer(mount.inode, || root.join(below));
            if process.is_some() {
                continue;
            }
            let is_named = path.parent().is_some_and(|folder| folder.ends_with("run/netns"));
            if is_named || found.name.is_none() {
                found.name = path.file_name().map(|name| name.to_string_lossy().into());
            }
        }
    }

    /// Reads what every descriptor links to, for those of namespaces.
    fn ask_descriptors(&mut self, proc: &Proc, pids: &[u32]) {
        let mut entries = entry_buffer();
        for pid in pids {
            let mut links = Vec::new();
            match descriptors(proc, *pid, &mut entries, &mut links) {
                Ok(()) | Err(Errno::NOENT | Errno::SRCH) => {}
                Err(_) => self.refused += 1,
            }
            for (fd, inode) in links {
                self.offer(inode, || format!("/proc/{pid}/fd/{fd}").into());
            }
        }
    }

    /// Asks every socket for its namespace, where the kernel tells us. One that is known by a
    /// stand-in only would be counted twice, so then nothing is asked.
    fn ask_sockets(&mut self) {
        let known: HashSet<u64> = self.found.keys().copied().collect();
        if known.iter().any(|inode| Netns::is_stand_in(*inode)) {
            return;
        }
        for stray in strays(&known).unwrap_or_default() {
            self.found.entry(stray.netns).or_default().strays.push(stray);
        }
    }

    fn finish(mut self) -> Observed<Vec<Place>> {
        let host = sees_every_process()
            .then(|| tables_id("1").and_then(|id| self.by_tables.get(&id).copied()))
            .flatten();
        let own = self.found.remove(&self.own).unwrap_or_default();
        let netns = own.describe(self.own, host);
        let mut places = vec![Place { netns, door: Door::Open, strays: Vec::new() }];
        places.extend(self.found.into_iter().map(|(inode, mut found)| {
            let door = Door::Files(mem::take(&mut found.files));
            let strays = mem::take(&mut found.strays);
            let mut place = Place { netns: found.describe(inode, host), door, strays };
            place.netns.is_unseen =
                place.tables().is_none() && place.strays.is_empty() && place.enter(|| ()).is_err();
            place
        }));
        let mut gaps = self.gaps;
        if self.refused > 0 {
            let whose = match self.refused {
                1 => "1 process".to_owned(),
                n => format!("{n} processes"),
            };
            gaps.push(Gap::new(
                format!("network namespaces that only a descriptor of {whose} keeps"),
                Why::NotPermitted,
                more_rights(),
            ));
        }
        Observed { value: places, gaps }
    }
}

impl Found {
    fn describe(self, inode: u64, host: Option<u64>) -> Netns {
        let is_host = host == Some(inode);
        let first = self.pid.filter(|_| !is_host);
        let container = first.and_then(|pid| {
            let process = processes::read([pid], Details::Brief).pop()?;
            process.placement.container
        });
        Netns {
            inode,
            name: if is_host { Some(HOST.into()) } else { self.name },
            container,
            processes: Some(self.processes),
            pid: self.pid,
            ..Netns::default()
        }
    }
}

/// The descriptors of a process that stand for a network namespace, with its inode.
fn descriptors(
    proc: &Proc,
    pid: u32,
    entries: &mut [MaybeUninit<u8>],
    links: &mut Vec<(i32, u64)>,
) -> Result<(), Errno> {
    each_descriptor(proc.folder(pid, "fd")?.as_fd(), entries, |descriptor| {
        links.extend(descriptor.number().zip(network_namespace(descriptor.target)));
        ControlFlow::Continue(())
    })
}

/// So many files of a namespace are kept: the process behind the first may end before we go there.
const WAYS: usize = 8;
