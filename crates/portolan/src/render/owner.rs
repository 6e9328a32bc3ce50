//! Owners of sockets as JSON and as words, the same in every report.

use std::fmt::Write as _;

use portolan_core::socket::{Container, Held, Process, SocketTable, Unowned, Via};
use serde::Serialize;

use crate::render::namespace::NetnsJson;

/// A process that holds a socket, or the kernel itself.
#[derive(Debug, Serialize)]
pub(crate) struct OwnerJson<'a> {
    pid: Option<u32>,
    process: &'a str,
    exe: Option<&'a str>,
    user: Option<&'a str>,
    started: Option<String>,
    fd: Option<i32>,
    via: &'static str,
    netns: Option<NetnsJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmdline: Option<&'a [Box<str>]>,
}

/// Whether whole command lines are shown: they can hold passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandLines {
    /// Only the executable.
    Hidden,
    /// Asked for, on this machine.
    Shown,
}

impl From<bool> for CommandLines {
    /// From the flag `--cmdline`.
    fn from(asked: bool) -> Self {
        if asked { Self::Shown } else { Self::Hidden }
    }
}

/// The owners of one socket, a holder each.
pub(crate) fn owners_json<'a>(
    table: &'a SocketTable,
    held: &'a Held,
    command_lines: CommandLines,
) -> Vec<OwnerJson<'a>> {
    if held.unowned == Some(Unowned::Kernel) {
        return vec![OwnerJson::kernel()];
    }
    let holders = held.holders.iter();
    holders
        .filter_map(|h| Some((h, table.processes.get(&h.pid)?)))
        .map(|(h, p)| OwnerJson::new(p, h.fd, h.via, command_lines).apart(table, held, p))
        .collect()
}

impl<'a> OwnerJson<'a> {
    /// A process and the descriptor it holds the socket by.
    pub(crate) fn new(
        process: &'a Process,
        fd: Option<i32>,
        via: Via,
        command_lines: CommandLines,
    ) -> Self {
        let cmdline = (command_lines == CommandLines::Shown).then_some(&*process.command_line);
        Self {
            pid: Some(process.pid),
            process: &process.name,
            exe: process.exe.as_deref(),
            user: process.user.as_deref(),
            started: process.started.map(|t| t.to_string()),
            fd,
            via: via.as_str(),
            netns: None,
            cmdline,
        }
    }

    /// The same with the network namespace the process lives in, where its socket is in another.
    fn apart(self, table: &'a SocketTable, held: &Held, process: &Process) -> Self {
        let netns = table.namespace_apart(held, process).map(|inode| NetnsJson::of(inode, table));
        Self { netns, ..self }
    }

    /// The kernel as owner: no process, no file.
    pub(crate) const fn kernel() -> Self {
        Self {
            pid: None,
            process: KERNEL,
            exe: None,
            user: None,
            started: None,
            fd: None,
            via: Via::Kernel.as_str(),
            netns: None,
            cmdline: None,
        }
    }
}

/// A container as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct ContainerJson<'a> {
    runtime: &'a str,
    id: &'a str,
    name: Option<&'a str>,
    project: Option<&'a str>,
    service: Option<&'a str>,
}

impl<'a> From<&'a Container> for ContainerJson<'a> {
    fn from(container: &'a Container) -> Self {
        Self {
            runtime: &container.runtime,
            id: &container.id,
            name: container.name.as_deref(),
            project: container.project.as_deref(),
            service: container.service.as_deref(),
        }
    }
}

/// A container in a word: its name, else the first twelve letters of its id, as docker shows it.
pub(crate) fn container_name(container: &Container) -> &str {
    container.short_name()
}

/// Processes in a word: `sshd (812)`, `nginx (812 +4)`, `nginx (812), caddy (99)`.
pub(crate) fn process_names<'a>(processes: impl IntoIterator<Item = &'a Process>) -> String {
    let mut programs: Vec<(&str, u32, usize)> = Vec::new();
    for process in processes {
        match programs.iter_mut().find(|(name, ..)| *name == &*process.name) {
            Some((_, _, more)) => *more += 1,
            None => programs.push((&process.name, process.pid, 0)),
        }
    }
    let mut text = String::new();
    for (name, pid, more) in programs {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}{name} ({pid}");
        let _ = if more > 0 { write!(text, " +{more})") } else { write!(text, ")") };
    }
    text
}

/// What stands where a process would, and why none does.
pub(crate) const fn unowned_word(unowned: Unowned) -> &'static str {
    match unowned {
        Unowned::Kernel => KERNEL,
        Unowned::NoFile => "no process",
        Unowned::NotPermitted => "not visible",
        Unowned::InFlight => "in flight",
        Unowned::Vanished => "ended meanwhile",
        Unowned::NotLooked => "not looked",
    }
}

const KERNEL: &str = "kernel";

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, name: &str) -> Process {
        Process { pid, name: name.into(), ..Process::default() }
    }

    #[test]
    fn workers_of_one_program_are_counted_not_listed() {
        let all =
            [process(7, "nginx"), process(8, "nginx"), process(9, "nginx"), process(3, "caddy")];
        assert_eq!(process_names(&all), "nginx (7 +2), caddy (3)");
    }
}
