//! Which ports are one running program's, where many may run under the same name.
//!
//! Two servers written in the same language are both `python3`; a server's workers are one server.
//! Processes that share a socket belong together, and so does everything in one unit or container;
//! not so the ports that a runtime publishes, each for another container.

use std::collections::{BTreeMap, HashMap};

use crate::net::{Port, Transport};
use crate::socket::Held;

use super::Program;

/// What makes a program one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Instance {
    /// Its unit or container.
    Placed,
    /// Its processes, by one of them.
    Processes(u32),
    /// Nobody could name it: then a port is not known to be another one's.
    Port(Port),
}

/// Processes that belong together.
pub(super) struct Instances {
    /// From a process to another one of its group, the first one to itself.
    parent: HashMap<u32, u32>,
}

impl Instances {
    /// Joins the processes of each port.
    pub(super) fn of(listening: &BTreeMap<(Port, Transport), Vec<&Held>>) -> Self {
        let mut instances = Self { parent: HashMap::new() };
        for held in listening.values().flatten() {
            let mut pids = processes(held);
            let Some(first) = pids.next() else { continue };
            pids.for_each(|pid| instances.join(first, pid));
        }
        instances
    }

    /// The instance that holds these sockets of one program on one port.
    pub(super) fn of_sockets(&self, program: &Program, sockets: &[&Held], port: Port) -> Instance {
        let is_placed = program.unit.is_some() || program.container.is_some();
        if is_placed && !program.is_publisher() {
            return Instance::Placed;
        }
        let pids = sockets.iter().flat_map(|held| processes(held));
        match pids.map(|pid| self.first(pid)).min() {
            Some(first) if program.is_known() => Instance::Processes(first),
            _ => Instance::Port(port),
        }
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.first(a), self.first(b));
        self.parent.insert(a.max(b), a.min(b));
    }

    fn first(&self, pid: u32) -> u32 {
        let mut pid = pid;
        while let Some(parent) = self.parent.get(&pid).filter(|parent| **parent != pid) {
            pid = *parent;
        }
        pid
    }
}

/// The processes that hold a socket; the first one of all holds those of many units.
fn processes(held: &Held) -> impl Iterator<Item = u32> {
    held.holders.iter().map(|h| h.pid).filter(|pid| *pid != 1)
}
