//! Who holds a socket: processes by descriptor, the kernel itself, or nobody that could be seen.

use std::sync::Arc;

use jiff::Timestamp;

/// A process, as /proc tells of it (proc_pid_stat(5), proc_pid_cmdline(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's id; 0 for init and kernel threads, `None` where unreadable.
    pub parent: Option<u32>,
    /// The kernel's short name, at most 15 bytes; a program may choose it freely.
    pub name: Box<str>,
    /// The executable, where it may be read; " (deleted)" cut off.
    pub exe: Option<Box<str>>,
    /// Its arguments. They can hold passwords: shown only on request, never exported.
    pub command_line: Vec<Box<str>>,
    /// Effective user id.
    pub uid: Option<u32>,
    /// Login name of that user, from /etc/passwd.
    pub user: Option<Arc<str>>,
    /// When it started.
    pub started: Option<Timestamp>,
    /// Its systemd unit and container, from its cgroup.
    pub placement: Placement,
    /// Inode of the network namespace it lives in; a socket it holds may live in another.
    pub netns: Option<u64>,
}

/// One descriptor through which a process holds a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// The process, a key of `SocketTable::processes`.
    pub pid: u32,
    /// The descriptor's number; `None` when the process is only a candidate of the cgroup.
    pub fd: Option<i32>,
    /// How it is known.
    pub via: Via,
}

/// How a holder is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Via {
    /// An open descriptor.
    Fd,
    /// A file registered with io_uring.
    IoUring,
    /// A descriptor on its way over a unix socket.
    InFlight,
    /// Memory into which it is mapped, its descriptor closed.
    Mapping,
    /// A process of the cgroup that made the socket: likely, not proved.
    Cgroup,
    /// The kernel holds it itself.
    Kernel,
}

impl Via {
    /// The word used in JSON, kebab-case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fd => "fd",
            Self::IoUring => "io-uring",
            Self::InFlight => "in-flight",
            Self::Mapping => "mapping",
            Self::Cgroup => "cgroup",
            Self::Kernel => "kernel",
        }
    }
}

/// Why no process is named as the proved holder of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unowned {
    /// The kernel's own: every process could be read and none holds it.
    Kernel,
    /// No file stands for it by nature: TIME-WAIT, SYN-RECV, an orphan closing down.
    NoFile,
    /// Some process could not be read, and it may be the holder.
    NotPermitted,
    /// It may be on its way over a unix socket to the holders named; the kernel does not tell what
    /// waits there behind the next message.
    InFlight,
    /// Its holder ended while we looked.
    Vanished,
    /// Owners were not asked for.
    NotLooked,
}

/// The systemd unit and the container a process or socket belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Placement {
    /// A systemd unit's name, such as `ssh.service`.
    pub unit: Option<Arc<str>>,
    /// The container.
    pub container: Option<Arc<Container>>,
}

/// A container, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Container {
    /// `docker`, `podman`, `containerd`, `cri-o`, `lxc`, `nspawn`, `kubernetes` …
    pub runtime: Box<str>,
    /// The full id or, where the runtime uses names, the name.
    pub id: Box<str>,
    /// Its name, where the runtime could be asked.
    pub name: Option<Box<str>>,
    /// Compose project or Kubernetes namespace.
    pub project: Option<Box<str>>,
    /// Compose service or pod.
    pub service: Option<Box<str>>,
}

impl Container {
    /// Its name, else the first twelve letters of its id, as docker shows it.
    #[must_use]
    pub fn short_name(&self) -> &str {
        let id = &self.id;
        self.name
            .as_deref()
            .unwrap_or_else(|| id.char_indices().nth(12).map_or(id, |(i, _)| &id[..i]))
    }
}
