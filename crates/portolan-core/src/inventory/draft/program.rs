//! Who holds a port, as far as it is worth writing down.
//!
//! What changes with every start is left out: process ids, session scopes, transient units, the id
//! of a container without a name.

use std::collections::BTreeSet;

use crate::inventory::edit::MatchValue;
use crate::socket::{Container, Held, Process, SocketTable, Unowned};

/// What is known of the holder of a port.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Program {
    /// What it is called: its command name, or the file name of its executable.
    pub process: Option<String>,
    /// The login name it runs as, where all its processes share it.
    pub user: Option<String>,
    /// Its systemd service.
    pub unit: Option<String>,
    /// Its container, `project/service` or a name.
    pub container: Option<String>,
    /// Why there is no process.
    pub unseen: Option<Unseen>,
}

/// Why the process of a port is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unseen {
    /// The kernel itself holds it.
    Kernel,
    /// It could not be seen.
    NotVisible,
}

impl Program {
    /// The program that holds a socket.
    pub(super) fn of(table: &SocketTable, held: &Held) -> Self {
        let owners: Vec<&Process> = table.owners(held).collect();
        let placement = table.placement(held);
        // Where systemd listens on behalf of a service, that service says more than systemd.
        let process = owners.iter().copied().find(|p| p.pid != 1).or(owners.first().copied());
        let unit = process.and_then(|p| p.placement.unit.as_deref()).or(placement.unit.as_deref());
        Self {
            process: process.map(process_name).filter(|name| !name.is_empty()),
            user: shared_user(&owners),
            unit: unit.filter(|unit| is_lasting(unit)).map(str::to_owned),
            container: placement.container.as_deref().and_then(container_name),
            unseen: owners.is_empty().then_some(match held.unowned {
                Some(Unowned::Kernel) => Unseen::Kernel,
                _ => Unseen::NotVisible,
            }),
        }
    }

    /// Whether there is a name to know it by.
    pub(super) const fn is_known(&self) -> bool {
        self.process.is_some() || self.container.is_some()
    }

    /// Whether it only hands a port on to a container, of which it does not say which.
    pub(super) fn is_publisher(&self) -> bool {
        self.process.as_deref().is_some_and(|name| PUBLISHERS.contains(&name))
    }

    /// The keys of an ignore's `match` that name it.
    pub(super) fn as_match(&self) -> Option<(&'static str, MatchValue)> {
        let text = |name: &String| MatchValue::Text(name.clone());
        let process =
            self.process.as_ref().map(|name| ("process", MatchValue::Text(literal(name))));
        process.or_else(|| self.container.as_ref().map(|name| ("container", text(name))))
    }

    /// Its process as a pattern that names nothing else.
    pub(super) fn process_pattern(&self) -> Option<String> {
        self.process.as_deref().map(literal)
    }
}

/// What the program is called.
///
/// The command name is what it was called by (`redis-server`, where the executable is one of many
/// names), unless the kernel cut it or the program chose another: then it is not how the command
/// line begins, and the file name of the executable says more.
fn process_name(process: &Process) -> String {
    let last = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let exe = process.exe.as_deref().map(last).filter(|name| !name.is_empty());
    let name = process.name.to_string();
    let called = process.command_line.first().map(|first| last(first));
    let is_cut = name.len() >= COMMAND_LENGTH;
    let is_chosen = called.is_some_and(|called| !called.starts_with(&name));
    match exe {
        Some(exe) if is_chosen || name.is_empty() || (is_cut && exe.starts_with(&name)) => exe,
        _ => name,
    }
}

/// Programs that hold a port of the host on behalf of a container.
const PUBLISHERS: [&str; 5] = ["docker-proxy", "rootlessport", "conmon", "slirp4netns", "pasta"];

/// TASK_COMM_LEN without the final zero (include/linux/sched.h).
const COMMAND_LENGTH: usize = 15;

fn shared_user(owners: &[&Process]) -> Option<String> {
    let users: BTreeSet<_> = owners.iter().map(|p| p.user.as_deref()).collect();
    match users.first() {
        Some(Some(user)) if users.len() == 1 => Some((*user).to_owned()),
        _ => None,
    }
}

/// Whether a unit has the same name after the next start: a service of its own, not the manager of
/// a user's session and not one that systemd-run made up (`run-u7.service`, `run-r….service`).
fn is_lasting(unit: &str) -> bool {
    let transient = unit.starts_with("run-u") || unit.starts_with("run-r");
    unit.ends_with(".service") && !unit.starts_with("user@") && !transient
        || unit.ends_with(".socket")
}

fn container_name(container: &Container) -> Option<String> {
    match (&container.project, &container.service) {
        (Some(project), Some(service)) => Some(format!("{project}/{service}")),
        _ => container.name.as_deref().map(str::to_owned),
    }
}

/// A pattern that stands for just this name: `?` in place of what a glob would take for a sign.
fn literal(name: &str) -> String {
    name.replace('*', "?")
}
