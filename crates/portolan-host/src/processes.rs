//! What /proc tells of a process: name, user, executable, start, unit and container.
//!
//! A process may end at any moment; what could not be read any more stays empty.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;

use jiff::Timestamp;
use portolan_core::socket::procpid::{self, Stat};
use portolan_core::socket::{Placement, Process, cgroup};
use rustix::fs::CWD;
use rustix::io;
use rustix::param::clock_ticks_per_second;

use crate::proc::{Proc, read_at};
use crate::users;

/// How much of a process is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Details {
    /// Name, user, unit and container: what a table shows.
    Brief,
    /// Also parent, start, executable and arguments.
    Full,
}

/// What is known of the processes `pids`; those that have ended are left out.
#[must_use]
pub fn read(pids: impl IntoIterator<Item = u32>, details: Details) -> Vec<Process> {
    let Ok(proc) = Proc::open() else { return Vec::new() };
    let mut reader = Reader::new(&proc, details);
    pids.into_iter().filter_map(|pid| reader.process(pid).ok()).collect()
}

/// The process `pid` and all it descends from, itself first, up to process 1. Ends early where a
/// parent may not be read.
#[must_use]
pub fn ancestry(pid: u32) -> Vec<Process> {
    let Ok(proc) = Proc::open() else { return Vec::new() };
    let mut reader = Reader::new(&proc, Details::Full);
    let mut line: Vec<Process> = Vec::new();
    let mut next = pid;
    // A parent may end and its number be taken by a descendant while we climb.
    while next != 0 && line.len() < GENERATIONS && line.iter().all(|p| p.pid != next) {
        let Ok(process) = reader.process(next) else { break };
        next = process.parent.unwrap_or(0);
        line.push(process);
    }
    let names = users::read();
    for process in &mut line {
        process.user = process.uid.and_then(|uid| names.get(&uid).cloned());
    }
    line
}

/// The value of a variable in the environment that the process `pid` was started with; `None` where
/// it has none or may not be read.
#[must_use]
pub fn environment(pid: u32, name: &str) -> Option<String> {
    let mut buffer = Vec::new();
    let proc = Proc::open().ok()?;
    let variables = proc.read(pid, "environ", &mut buffer).ok()?.split(|byte| *byte == 0);
    let mut values = variables.filter_map(|v| v.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    values.next().map(|value| String::from_utf8_lossy(value).into_owned())
}

/// Reads processes one after the other, with buffers that are used again.
pub(crate) struct Reader<'p> {
    proc: &'p Proc,
    details: Details,
    buffer: Vec<u8>,
    boot: Option<i64>,
    placements: HashMap<Box<[u8]>, Placement>,
}

impl<'p> Reader<'p> {
    pub(crate) fn new(proc: &'p Proc, details: Details) -> Self {
        let mut buffer = Vec::with_capacity(4096);
        let boot = match details {
            Details::Brief => None,
            Details::Full => boot_time(&mut buffer),
        };
        Self { proc, details, buffer, boot, placements: HashMap::new() }
    }

    /// What is known of `pid`.
    ///
    /// # Errors
    /// When it has ended or is hidden.
    pub(crate) fn process(&mut self, pid: u32) -> io::Result<Process> {
        let mut process = Process { pid, uid: Some(self.proc.owner(pid)?), ..Process::default() };
        match self.details {
            Details::Brief => process.name = self.name(pid)?,
            Details::Full => self.fill(&mut process)?,
        }
        process.placement = self.placement(pid).unwrap_or_default();
        Ok(process)
    }

    fn name(&mut self, pid: u32) -> io::Result<Box<str>> {
        let name = self.proc.read(pid, "comm", &mut self.buffer)?;
        Ok(String::from_utf8_lossy(name.strip_suffix(b"\n").unwrap_or(name)).into())
    }

    fn fill(&mut self, process: &mut Process) -> io::Result<()> {
        let pid = process.pid;
        if let Some(stat) = Stat::parse(self.proc.read(pid, "stat", &mut self.buffer)?) {
            process.started = self.started(&stat);
            process.parent = Some(stat.parent);
            process.name = stat.name;
        }
        if let Ok(arguments) = self.proc.read(pid, "cmdline", &mut self.buffer) {
            process.command_line = procpid::command_line(arguments);
        }
        let mut target = [MaybeUninit::uninit(); 4096];
        let exe = self.proc.link(pid, "exe", &mut target);
        process.exe = exe.ok().map(procpid::executable);
        let netns = self.proc.link(pid, "ns/net", &mut target);
        process.netns = netns.ok().and_then(procpid::network_namespace);
        Ok(())
    }

    fn started(&self, stat: &Stat) -> Option<Timestamp> {
        stat.started(self.boot?, clock_ticks_per_second())
    }

    /// Unit and container, from the process's cgroup; processes of one cgroup share the answer.
    /// `None` where that may not be read, or the process has ended.
    pub(crate) fn placement(&mut self, pid: u32) -> Option<Placement> {
        let text = self.proc.read(pid, "cgroup", &mut self.buffer).ok()?;
        if let Some(known) = self.placements.get(text) {
            return Some(known.clone());
        }
        let placement = cgroup::of_process(text);
        self.placements.insert(text.into(), placement.clone());
        Some(placement)
    }
}

fn boot_time(buffer: &mut Vec<u8>) -> Option<i64> {
    procpid::boot_time(read_at(CWD.as_fd(), b"/proc/stat", buffer).ok()?)
}

/// More generations than that nobody reads.
const GENERATIONS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_line_begins_here_and_ends_at_process_one() {
        let line = ancestry(std::process::id());
        assert_eq!(line[0].pid, std::process::id());
        assert_eq!(line[0].uid, Some(rustix::process::geteuid().as_raw()));
        assert!(line[0].exe.as_deref().is_some_and(|exe| exe.starts_with('/')));
        assert!(line[0].started.is_some_and(|t| t <= crate::clock::now()));
        assert_eq!(line.last().unwrap().parent, Some(0));
    }

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let path = std::env::var("PATH").unwrap();
        assert_eq!(environment(std::process::id(), "PATH"), Some(path));
        assert_eq!(environment(std::process::id(), "PAT"), None);
    }

    #[test]
    fn a_process_that_is_not_there_has_no_line() {
        assert!(ancestry(u32::MAX).is_empty());
    }
}
