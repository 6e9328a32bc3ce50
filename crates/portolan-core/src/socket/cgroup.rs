//! Systemd unit and container of a process, from the path of its cgroup.
//!
//! Nobody but the path is asked, so this works for every user and in every namespace. Shapes:
//! systemd's tree (systemd.unit(5), systemd.slice(5)), the scopes and folders of runc, crun and
//! the container engines above them, LXC, systemd-nspawn, BuildKit, Cloud Foundry's Garden.
//!
//! A path is read from the root down. The last unit counts, so a service of a user's manager is
//! found behind `user@1000.service`, and one inside a container behind the container. The scope of
//! a container is no unit, nor is the service of the engine that made it. Names are foreign text:
//! what is not a well-formed name is passed over.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Container, Placement};

/// The placement of a process, from the text of its /proc/PID/cgroup (cgroups(7)).
///
/// The unified hierarchy (`0::`) is believed first, then systemd's own, then the others.
#[must_use]
pub fn of_process(text: &[u8]) -> Placement {
    let mut paths: Vec<_> = text.split(|byte| *byte == b'\n').filter_map(hierarchy).collect();
    paths.sort_by_key(|(rank, _)| *rank);
    let mut whole = Placement::default();
    for placement in paths.into_iter().map(|(_, path)| of_path(path)) {
        whole.unit = whole.unit.or(placement.unit);
        whole.container = whole.container.or(placement.container);
    }
    whole
}

/// The placement that a cgroup's path, relative to the root of its hierarchy, speaks of.
#[must_use]
pub fn of_path(path: &str) -> Placement {
    let mut reading = Reading::default();
    for folder in path.split('/').filter(|folder| !folder.is_empty()) {
        reading.enter(folder);
    }
    Placement {
        unit: reading.unit.map(Arc::from),
        container: reading.container.map(|found| Arc::new(found.into())),
    }
}

/// How far a hierarchy is believed; the first is believed most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Unified,
    Systemd,
    Controller,
}

/// `0::/path`, `1:name=systemd:/path`, `7:cpu,cpuacct:/path`
fn hierarchy(line: &[u8]) -> Option<(Rank, &str)> {
    let mut fields = std::str::from_utf8(line).ok()?.splitn(3, ':');
    let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let rank = match (number, controllers) {
        ("0", "") => Rank::Unified,
        (_, "name=systemd") => Rank::Systemd,
        _ => Rank::Controller,
    };
    // The kernel marks a cgroup that was removed under the process.
    Some((rank, path.strip_suffix(" (deleted)").unwrap_or(path)))
}

/// A container as its path names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found<'a> {
    runtime: &'static str,
    id: Cow<'a, str>,
}

impl<'a> Found<'a> {
    fn new(runtime: &'static str, id: impl Into<Cow<'a, str>>) -> Self {
        Self { runtime, id: id.into() }
    }
}

impl From<Found<'_>> for Container {
    fn from(found: Found<'_>) -> Self {
        Self {
            runtime: found.runtime.into(),
            id: found.id.into(),
            name: None,
            project: None,
            service: None,
        }
    }
}

/// What the folders so far spoke of.
#[derive(Default)]
struct Reading<'a> {
    unit: Option<&'a str>,
    container: Option<Found<'a>>,
    /// The engine whose folder we are in: below it a bare id is one of its containers.
    engine: Option<&'static str>,
    parent: &'a str,
}

impl<'a> Reading<'a> {
    fn enter(&mut self, folder: &'a str) {
        if let Some(container) = self.container(folder) {
            self.unit = self.unit.filter(|unit| !belongs_to_an_engine(unit));
            self.container = Some(container);
        } else if let Some(unit) = unit(folder).filter(|unit| !self.is_inner_init(unit)) {
            self.unit = Some(unit);
        }
        self.engine = engine(folder).or(self.engine);
        self.parent = folder;
    }

    /// A user's manager lives in `user@1000.service/init.scope`: the service is what names it.
    fn is_inner_init(&self, unit: &str) -> bool {
        unit == "init.scope" && self.unit.is_some()
    }

    fn container(&self, folder: &'a str) -> Option<Found<'a>> {
        scope(folder)
            .or_else(|| named_child(self.parent, folder))
            .or_else(|| colon_form(folder))
            .or_else(|| self.bare_id(folder))
    }

    /// `docker/ID`, `kubepods/burstable/podUID/ID`, or a full id of which nobody says whose it is.
    fn bare_id(&self, folder: &'a str) -> Option<Found<'a>> {
        let is_container = is_id(folder) && (self.engine.is_some() || folder.len() == FULL_ID);
        is_container.then(|| Found::new(self.engine.unwrap_or("oci"), folder))
    }
}

/// The unit a folder stands for. Slices only sort units.
fn unit(folder: &str) -> Option<&str> {
    // systemd puts `_` before a name that the kernel reserves (cg_escape).
    let name = folder.strip_prefix('_').unwrap_or(folder);
    let (prefix, kind) = name.rsplit_once('.')?;
    let is_unit = matches!(kind, "service" | "scope" | "socket" | "mount" | "swap")
        && name.len() <= NAME_MAX
        && !prefix.is_empty()
        && !prefix.starts_with('.')
        && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b));
    is_unit.then_some(name)
}

/// Whether a unit holds cgroups of containers without being what they are for.
fn belongs_to_an_engine(unit: &str) -> bool {
    let name = unit.strip_suffix(".service").unwrap_or(unit);
    name.starts_with("user@") || ENGINE_UNITS.contains(&name)
}

/// The engine that keeps its containers in folders below this one.
fn engine(folder: &str) -> Option<&'static str> {
    match folder {
        "docker" | "ecs" => Some("docker"),
        "default" | "k8s.io" | "moby" => Some("containerd"),
        "libpod_parent" => Some("podman"),
        "crio" => Some("cri-o"),
        _ if folder.starts_with("kubepods") => Some("kubernetes"),
        _ => None,
    }
}

/// `docker-ID.scope`, `libpod-payload-ID`, `lxc.payload.NAME`, `machine-NAME.scope` and their like.
fn scope(folder: &str) -> Option<Found<'_>> {
    let name = folder.strip_suffix(".scope").unwrap_or(folder);
    if let Some(name) = name.strip_prefix("lxc.payload.") {
        return is_name(name).then(|| Found::new("lxc", name));
    }
    if let Some(machine) = name.strip_prefix("machine-") {
        return machine_name(machine).map(|name| Found::new("nspawn", name));
    }
    let of_prefix = |(prefix, runtime): &(&str, &'static str)| {
        let id = name.strip_prefix(prefix)?.strip_prefix('-')?;
        is_id(id).then(|| Found::new(runtime, id))
    };
    SCOPE_PREFIXES.iter().find_map(of_prefix)
}

/// Children of folders that hold containers by name.
fn named_child<'a>(parent: &'a str, folder: &'a str) -> Option<Found<'a>> {
    let runtime = match parent {
        "lxc" | "lxc.payload" => "lxc",
        "garden" => "garden",
        "buildkit" => "buildkit",
        _ => return nspawn_payload(parent, folder),
    };
    is_name(folder).then(|| Found::new(runtime, folder))
}

/// `systemd-nspawn@NAME.service/payload`; beside it, in `supervisor`, is nspawn itself.
fn nspawn_payload<'a>(parent: &'a str, folder: &str) -> Option<Found<'a>> {
    let name = parent.strip_prefix("systemd-nspawn@")?.strip_suffix(".service")?;
    (folder == "payload" && is_name(name)).then(|| Found::new("nspawn", name))
}

/// `kubepods-pod….slice:cri-containerd:ID`: a path meant for systemd, made without it.
fn colon_form(folder: &str) -> Option<Found<'_>> {
    let (above, id) = folder.rsplit_once(':').filter(|(_, id)| is_id(id))?;
    let (_, prefix) = above.rsplit_once(':')?;
    let known = SCOPE_PREFIXES.iter().find(|(known, _)| *known == prefix);
    Some(Found::new(known.map_or("oci", |(_, runtime)| runtime), id))
}

/// systemd escapes a machine's name (`\x2d` for `-`). Virtual machines and libvirt's containers have
/// scopes of the same form, such as `machine-qemu\x2d1\x2dweb.scope`; those are not nspawn's.
fn machine_name(escaped: &str) -> Option<String> {
    let name = escaped.replace(r"\x2d", "-");
    let is_libvirt = ["qemu-", "lxc-", "libvirt-"].iter().any(|prefix| name.starts_with(prefix));
    (!is_libvirt && is_name(&name)).then_some(name)
}

/// Hexadecimal, and not shorter than what engines print for people.
fn is_id(text: &str) -> bool {
    text.len() >= SHORT_ID && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= NAME_MAX
        && !text.starts_with('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// What runc, crun and the engines above them put before the id, and what is running then.
const SCOPE_PREFIXES: [(&str, &str); 6] = [
    ("docker", "docker"),
    ("libpod-payload", "podman"),
    ("libpod", "podman"),
    ("cri-containerd", "containerd"),
    ("nerdctl", "containerd"),
    ("crio", "cri-o"),
];

/// Services below which engines put the containers of others.
const ENGINE_UNITS: [&str; 11] = [
    "containerd",
    "crio",
    "docker",
    "garden",
    "k3s",
    "k3s-agent",
    "kubelet",
    "podman",
    "rke2-agent",
    "rke2-server",
    "snap.docker.dockerd",
];

/// UNIT_NAME_MAX of systemd; file names end there as well.
const NAME_MAX: usize = 255;
const FULL_ID: usize = 64;
const SHORT_ID: usize = 12;

#[cfg(test)]
mod tests;
