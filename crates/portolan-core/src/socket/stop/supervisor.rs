//! Who keeps a process running: the systemd unit that would start it again.
//!
//! A process is in the cgroup of a unit also when the unit only happens to have started it: what
//! cron runs is in `cron.service`, and whoever stops that to free a port stops far more. So a unit
//! counts as the process's own only if the process is the unit's first, or if between the two there
//! is nothing but what wraps it (a shell, npm) or holds the same socket.

use std::net::IpAddr;
use std::sync::Arc;

use super::Surroundings;
use crate::net::{Endpoint, Port};
use crate::socket::{Process, SocketTransport};

/// Whose unit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manager {
    /// The system's: process 1.
    System,
    /// That of the user with this id.
    User(u32),
}

/// The service that keeps `process` running and the manager it belongs to, if stopping it is the
/// way to stop the process.
pub(super) fn unit_of(process: &Process, around: &Surroundings<'_>) -> Option<(Arc<str>, Manager)> {
    let unit = process.placement.unit.as_ref().filter(|unit| unit.ends_with(".service"))?;
    if around.caller.is_in_unit(unit) || !(around.has_tool)("systemctl") {
        return None;
    }
    let line = (around.ancestry)(process.pid);
    let manager = manager(&line);
    if matches!(manager, Manager::User(uid) if uid != around.caller.uid && around.caller.uid != 0) {
        return None;
    }
    let inside = line.iter().skip(1).take_while(|p| p.placement.unit.as_ref() == Some(unit));
    let mut between = inside.filter(|p| !holds_a_listener(p.pid, process.pid, around));
    between.all(is_wrapper).then(|| (unit.clone(), manager))
}

/// Whether a process holds a socket that `other` holds too.
fn holds_a_listener(pid: u32, other: u32, around: &Surroundings<'_>) -> bool {
    around.table.sockets.iter().any(|held| {
        let holds = |wanted: u32| held.holders.iter().any(|holder| holder.pid == wanted);
        held.socket.peer.is_none() && holds(pid) && holds(other)
    })
}

/// The manager at the top of a line of descent.
fn manager(line: &[Process]) -> Manager {
    let of_user = line.iter().skip(1).find(|p| is_user_manager(p)).and_then(|p| {
        let unit = p.placement.unit.as_deref()?;
        unit.strip_prefix("user@")?.strip_suffix(".service")?.parse().ok()
    });
    of_user.map_or(Manager::System, Manager::User)
}

/// Process 1, or the systemd of a user.
pub(super) fn is_manager(process: &Process) -> bool {
    process.pid == 1 || is_user_manager(process)
}

/// `systemd --user`, and its helper `(sd-pam)`.
fn is_user_manager(process: &Process) -> bool {
    let unit = process.placement.unit.as_deref().unwrap_or_default();
    unit.starts_with("user@") && matches!(&*process.name, "systemd" | "(sd-pam)")
}

/// The process of ours that holds a reserved port (`portolan hold-port`, as `reserve` starts it).
pub(super) fn is_reservation(process: &Process) -> bool {
    let exe = process.exe.as_deref().unwrap_or_default();
    let holds = process.command_line.iter().skip(1).any(|word| &**word == "hold-port");
    exe.rsplit('/').next() == Some("portolan") && holds
}

fn is_wrapper(process: &Process) -> bool {
    let name = process.name.split(' ').next().unwrap_or_default();
    WRAPPERS.contains(&name)
}

/// Socket units that listen on a port, each with what it starts, out of what
/// `systemctl list-sockets --all --show-types --plain --no-legend` prints.
///
/// Lines are `ADDRESS TYPE UNIT ACTIVATES`, such as `[::]:22 Stream ssh.socket ssh.service`; what
/// is started may be missing or `-`.
pub fn socket_units(
    listing: &str,
    port: Port,
    transport: SocketTransport,
) -> Vec<(Arc<str>, Arc<str>)> {
    let kind = match transport {
        SocketTransport::Tcp | SocketTransport::Sctp => "Stream",
        _ => "Datagram",
    };
    let mut units = Vec::new();
    for line in listing.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(address), Some(of_kind), Some(unit)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let service = words.next().filter(|word| *word != "-").unwrap_or_default();
        let is_meant = of_kind == kind && listens_at(address).is_some_and(|end| end.port == port);
        let found = (Arc::from(unit), Arc::from(service));
        if is_meant && unit.ends_with(".socket") && !units.contains(&found) {
            units.push(found);
        }
    }
    units
}

/// `0.0.0.0:22`, `[::]:22`, `[fe80::1]:22%eth0`, `*:22`.
fn listens_at(text: &str) -> Option<Endpoint> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.split('%').next()?.parse().ok()?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address: IpAddr = if host == "*" { "0.0.0.0" } else { host }.parse().ok()?;
    Some(Endpoint::new(address, port))
}

/// What stands between a service and its program and adds nothing of its own.
const WRAPPERS: [&str; 20] = [
    "sh",
    "bash",
    "dash",
    "ash",
    "zsh",
    "busybox",
    "env",
    "npm",
    "npx",
    "yarn",
    "pnpm",
    "su",
    "sudo",
    "runuser",
    "setpriv",
    "timeout",
    "nice",
    "tini",
    "dumb-init",
    "catatonit",
];
