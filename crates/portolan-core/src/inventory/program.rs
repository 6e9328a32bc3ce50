//! Whether a process is the program an inventory means by `process`, `unit`, `exe` or `container`.
//!
//! A name is compared with everything a program is known by: its executable, the kernel's short
//! name for it, its systemd unit, and the service a `.socket` unit starts (systemd.socket(5)).
//! Works on names alone; a process whose names could not be read is never a match.

use crate::inventory::glob;
use crate::socket::{Container, Process};

/// Whether `pattern` names this process, found in `unit`.
///
/// A pattern with a slash is compared with the executable's path, any other with the file name of
/// the executable, the command name and the unit.
#[must_use]
pub fn is_program(pattern: &str, process: &Process, unit: Option<&str>) -> bool {
    is_executable(pattern, process)
        || is_command(pattern, &process.name)
        || unit.is_some_and(|unit| is_unit_program(pattern, unit))
}

/// Whether `pattern` names `unit`: whole, without its suffix, or the service it starts.
#[must_use]
pub fn is_unit(pattern: &str, unit: &str) -> bool {
    let (stem, kind) = unit.rsplit_once('.').unwrap_or((unit, ""));
    let matches = |name: &str| glob::matches(pattern, name);
    matches(unit)
        || (kind == "service" && matches(stem))
        || (kind == "socket" && (matches(stem) || matches(&format!("{stem}.service"))))
}

/// Whether `pattern` names the program of `unit`: the unit, its stem, or that of its template.
///
/// A socket unit stands for the service it starts, whose daemon by custom has a `d` at its end:
/// ssh.socket starts sshd.
#[must_use]
pub fn is_unit_program(pattern: &str, unit: &str) -> bool {
    let (stem, kind) = unit.rsplit_once('.').unwrap_or((unit, ""));
    let stem = stem.split_once('@').map_or(stem, |(template, _)| template);
    is_unit(pattern, unit)
        || (matches!(kind, "service" | "socket") && glob::matches(pattern, stem))
        || (kind == "socket" && glob::matches(pattern, &format!("{stem}d")))
}

/// Whether `pattern` names a container: `project/service`, its name, or the start of its id.
#[must_use]
pub fn is_container(pattern: &str, container: &Container) -> bool {
    if let Some((project, service)) = pattern.split_once('/') {
        let of = |part: &Option<Box<str>>, pattern| {
            part.as_ref().is_some_and(|p| glob::matches(pattern, p))
        };
        return of(&container.project, project) && of(&container.service, service);
    }
    container.name.as_ref().is_some_and(|name| glob::matches(pattern, name))
        || glob::matches(pattern, &container.id)
        || (pattern.len() >= SHORT_ID && container.id.starts_with(pattern))
}

fn is_executable(pattern: &str, process: &Process) -> bool {
    let Some(exe) = process.exe.as_deref() else { return false };
    if pattern.contains('/') {
        return glob::matches(pattern, exe);
    }
    exe.rsplit('/').next().is_some_and(|name| glob::matches(pattern, name))
}

/// The kernel cuts command names after 15 bytes (TASK_COMM_LEN, include/linux/sched.h), so one of
/// full length matches every pattern that could go on from there.
fn is_command(pattern: &str, name: &str) -> bool {
    glob::matches(pattern, name) || (name.len() >= COMMAND_LENGTH && glob::may_begin(pattern, name))
}

/// TASK_COMM_LEN without the final zero.
const COMMAND_LENGTH: usize = 15;
/// Container runtimes print the first twelve digits of an id.
const SHORT_ID: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn process(name: &str, exe: Option<&str>) -> Process {
        Process { pid: 7, name: name.into(), exe: exe.map(Into::into), ..Process::default() }
    }

    #[test]
    fn a_program_is_known_by_its_executable_or_its_command_name() {
        assert!(is_program("nginx", &process("nginx", None), None));
        assert!(is_program("nginx", &process("worker", Some("/usr/sbin/nginx")), None));
        assert!(is_program("/usr/sbin/*", &process("worker", Some("/usr/sbin/nginx")), None));
        assert!(!is_program("nginx", &process("caddy", Some("/usr/bin/caddy")), None));
    }

    #[test]
    fn a_command_name_the_kernel_cut_is_recognised() {
        let cut = process("systemd-resolve", None);
        assert!(is_program("systemd-resolved", &cut, None));
        assert!(is_program("systemd-resolve", &cut, None));
        assert!(!is_program("systemd-networkd", &cut, None));
        assert!(!is_program("sshd-long", &process("sshd", None), None));
    }

    #[test]
    fn a_socket_unit_stands_for_the_service_it_starts() {
        let systemd = process("systemd", Some("/usr/lib/systemd/systemd"));
        assert!(is_program("sshd", &systemd, Some("ssh.socket")));
        assert!(is_program("ssh", &systemd, Some("ssh.socket")));
        assert!(is_unit("ssh.service", "ssh.socket"));
        assert!(!is_program("sshd", &systemd, Some("cups.socket")));
    }

    #[test]
    fn a_unit_is_known_with_and_without_suffix_and_instance() {
        assert!(is_unit("nginx", "nginx.service"));
        assert!(is_unit("postgresql@*", "postgresql@16-main.service"));
        assert!(is_program(
            "postgresql",
            &process("postgres", None),
            Some("postgresql@16-main.service")
        ));
        assert!(!is_unit("nginx", "nginx.timer"));
    }

    #[test]
    fn a_container_is_known_by_project_and_service_or_name_or_id() {
        let container = Container {
            runtime: "docker".into(),
            id: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".into(),
            name: Some("shop-edge-1".into()),
            project: Some("shop".into()),
            service: Some("edge".into()),
        };
        for pattern in ["shop/edge", "shop-edge-*", "0123456789ab"] {
            assert!(is_container(pattern, &container), "{pattern}");
        }
        for pattern in ["shop/app", "edge", "0123"] {
            assert!(!is_container(pattern, &container), "{pattern}");
        }
    }
}
