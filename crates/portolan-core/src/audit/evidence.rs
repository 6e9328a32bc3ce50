//! What was seen, a fact a line: sockets with their inode, and who holds them.

use crate::socket::{Held, PortChoice, Process, SocketTable, Unowned};

use super::Listening;

/// A line for each socket, a line for each of its owners; the first few where there are many.
pub(super) fn of_sockets(table: &SocketTable, sockets: &[&Held]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for held in sockets.iter().take(SHOWN) {
        lines.push(socket(held));
        for line in owners(table, held) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    if sockets.len() > SHOWN {
        lines.push(format!("and {} more sockets", sockets.len() - SHOWN));
    }
    lines
}

/// The processes that hold a port, each name once, for a sentence; `None` where none is seen.
pub(super) fn holders(table: &SocketTable, listening: &Listening<'_>) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for process in listening.sockets.iter().flat_map(|held| table.owners(held)) {
        if !names.contains(&&*process.name) {
            names.push(&process.name);
        }
    }
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    let mut text = names.join(", ");
    if more > 0 {
        text.push_str(" and others");
    }
    (!text.is_empty()).then_some(text)
}

/// The addresses some sockets are bound to, each once.
pub(super) fn addresses(sockets: &[&Held]) -> String {
    let mut all: Vec<String> = Vec::new();
    for held in sockets {
        let Some(endpoint) = held.socket.local_endpoint() else { continue };
        let device = held.socket.device.as_ref().map(|d| format!("%{d}")).unwrap_or_default();
        let address = format!("{}{device}", endpoint.address);
        if !all.contains(&address) {
            all.push(address);
        }
    }
    let more = all.len().saturating_sub(SHOWN);
    all.truncate(SHOWN);
    if more > 0 {
        all.push(format!("{more} more"));
    }
    all.join(", ")
}

fn socket(held: &Held) -> String {
    let socket = &held.socket;
    let mut line = format!("{} {}", socket.transport, socket.state);
    if let Some(endpoint) = socket.local_endpoint() {
        line.push_str(&format!(" {endpoint}"));
    }
    if let Some(device) = &socket.device {
        line.push_str(&format!(" on {device}"));
    }
    if socket.is_dual_stack() {
        line.push_str(", IPv4 too");
    }
    line.push_str(&format!(", inode {}", socket.inode));
    match socket.port_choice {
        Some(PortChoice::Kernel) => line.push_str(", port chosen by the kernel"),
        Some(PortChoice::Fixed) => line.push_str(", port chosen by the program"),
        None => {}
    }
    line
}

fn owners(table: &SocketTable, held: &Held) -> Vec<String> {
    let placement = table.placement(held);
    let mut lines: Vec<String> = table.owners(held).take(SHOWN).map(owner).collect();
    let count = table.owners(held).count();
    if count > SHOWN {
        lines.push(format!("and {} more processes", count - SHOWN));
    }
    if lines.is_empty() {
        lines.push(nobody(table, held));
    }
    if let Some(unit) = &placement.unit {
        lines.push(format!("unit {unit}"));
    }
    if let Some(container) = &placement.container {
        let name = container.name.as_ref().unwrap_or(&container.id);
        lines.push(format!("{} container {name}", container.runtime));
    }
    lines
}

fn owner(process: &Process) -> String {
    let mut line = format!("held by {} (pid {})", process.name, process.pid);
    match (&process.user, process.uid) {
        (Some(user), _) => line.push_str(&format!(", user {user}")),
        (None, Some(uid)) => line.push_str(&format!(", uid {uid}")),
        (None, None) => {}
    }
    if let Some(exe) = &process.exe {
        line.push_str(&format!(", {exe}"));
    }
    line
}

fn nobody(table: &SocketTable, held: &Held) -> String {
    let why = match held.unowned {
        Some(Unowned::Kernel) => return "held by the kernel itself".to_owned(),
        Some(Unowned::Vanished) => "its process ended meanwhile",
        Some(Unowned::NotLooked) => "owners were not looked for",
        Some(Unowned::InFlight) => "it may be on its way over a unix socket",
        Some(Unowned::NoFile) => "no descriptor stands for it",
        Some(Unowned::NotPermitted) | None => "its process is not visible without root",
    };
    let user = held.socket.uid.map(|uid| {
        table.users.get(&uid).map_or_else(|| format!("uid {uid}"), |name| format!("user {name}"))
    });
    match user {
        Some(user) => format!("created by {user}; {why}"),
        None => why.to_owned(),
    }
}

/// More than this many of a kind are counted, not listed.
const SHOWN: usize = 4;
