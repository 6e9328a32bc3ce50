//! What to end so that a port becomes free, by which means, and what must be left alone.
//!
//! A plan, made of values only: nothing is asked or ended here. Three roles decide what happens to
//! a socket of the port. Whoever *listens* (or holds the number silently) is stopped: through its
//! supervisor where it has one, for a killed service is started again; else by signal. A *client*
//! that happens to use the number as its own end is left alone unless it is asked for. What is
//! *left over* (TIME-WAIT, orphans, connections whose listener is gone) is no process's doing:
//! such sockets are destroyed, on request (SOCK_DESTROY, sock_diag(7)).
//!
//! Never ended: process 1 and the managers of users, the caller and all it descends from, the way
//! it came in by, the proxies of containers (their container is stopped instead), the kernel's own.

mod role;
mod supervisor;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

pub use role::Role;
pub use supervisor::{Manager, socket_units};

use super::{Bind, Container, Held, Process, SocketTable, State, Unowned, Via};
use crate::net::{Endpoint, Port, PortRange, Transport, TransportSet};
use role::Roles;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The port.
    pub port: Port,
    /// In which transports.
    pub transports: TransportSet,
    /// Whether what is left over is destroyed.
    pub sockets: bool,
    /// Whether clients whose own end the port is are stopped too.
    pub clients: bool,
}

impl Wish {
    fn is_about(&self, held: &Held) -> bool {
        let socket = &held.socket;
        socket.local_port() == Some(self.port)
            && socket.transport.with_ports().is_some_and(|t| self.transports.contains(t))
    }
}

/// Who asks: what must survive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The asking process and all it descends from, itself first.
    pub line: Vec<Process>,
    /// Its effective user id.
    pub uid: u32,
    /// For whom root acts (SUDO_UID).
    pub behalf: Option<u32>,
    /// The connections it came in by (SSH_CONNECTION of it or of an ancestor).
    pub came_in: Vec<WayIn>,
}

/// A connection that somebody came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WayIn {
    /// Where it came from.
    pub peer: Endpoint,
    /// Our end.
    pub local: Endpoint,
}

impl Caller {
    /// Whether a process of this user is its own: nobody else is surprised when it ends.
    #[must_use]
    pub fn owns(&self, uid: Option<u32>) -> bool {
        uid.is_some_and(|uid| uid == self.uid || (self.uid == 0 && self.behalf == Some(uid)))
    }

    fn may_signal(&self, uid: Option<u32>) -> bool {
        self.uid == 0 || uid.is_none_or(|uid| uid == self.uid)
    }

    fn descends_from(&self, pid: u32) -> bool {
        self.line.iter().any(|process| process.pid == pid)
    }

    fn is_in_unit(&self, unit: &str) -> bool {
        self.line.iter().any(|process| process.placement.unit.as_deref() == Some(unit))
    }

    fn is_inside(&self, container: &Container) -> bool {
        self.line.iter().any(|process| process.placement.container.as_deref() == Some(container))
    }
}

/// The value of SSH_CONNECTION, `client port server port` (ssh(1)).
#[must_use]
pub fn ssh_connection(value: &str) -> Option<WayIn> {
    let mut words = value.split_ascii_whitespace();
    let mut end = || {
        // A link-local address carries its zone: fe80::7%eth0.
        let address = words.next()?.split('%').next()?.parse().ok()?;
        Some(Endpoint::new(address, words.next()?.parse().ok()?))
    };
    Some(WayIn { peer: end()?, local: end()? })
}

/// What a plan rests on.
pub struct Surroundings<'a> {
    /// The sockets in every state, with their owners.
    pub table: &'a SocketTable,
    /// What the kernel chooses ports from: an unexplained connection from there is a client's.
    pub ephemeral: PortRange,
    /// Who asks.
    pub caller: &'a Caller,
    /// What a process descends from, itself first.
    pub ancestry: &'a dyn Fn(u32) -> Vec<Process>,
    /// Whether the program of a supervisor is here and in charge: `systemctl`, `docker` …
    pub has_tool: &'a dyn Fn(&str) -> bool,
    /// For whom systemd or a container's proxy holds a socket, by the socket's position.
    pub stand_ins: &'a HashMap<usize, StandsFor>,
}

/// For whom somebody only stands in as the holder of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StandsFor {
    /// Systemd units: the socket unit, and what it starts where that is known.
    Units(Vec<Arc<str>>),
    /// A container that publishes the port.
    Container {
        /// The runtime's program: `docker`, `podman`, `nerdctl`.
        program: Box<str>,
        /// The container's name, else its id.
        name: Box<str>,
    },
}

/// What is to be done, in this order, and what is left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is done, first to last.
    pub steps: Vec<Step>,
    /// What holds the port and is protected: as long as it is there, nothing is done.
    pub spared: Vec<Spared>,
    /// The sockets that listen or hold the number silently, by position in the table.
    pub listeners: Vec<usize>,
    /// Clients' sockets, by position.
    pub clients: Vec<usize>,
    /// What is left over, by position.
    pub leftovers: Vec<usize>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub action: Action,
    /// The sockets that go by it, by position in the table.
    pub sockets: Vec<usize>,
    /// The processes that hold them, by id.
    pub pids: Vec<u32>,
    /// Whether others than the caller are touched: a unit, a container, somebody else's process.
    pub changes_system: bool,
}

/// How a socket's holder is ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Its systemd units, the socket unit first so that nothing starts the service again.
    StopUnits {
        /// Their full names.
        units: Vec<Arc<str>>,
        /// Whose they are.
        manager: Manager,
    },
    /// Its container.
    StopContainer {
        /// The runtime's program.
        program: Box<str>,
        /// The container's name, else its id.
        name: Box<str>,
    },
    /// The process itself: TERM, and KILL after the grace.
    Signal {
        /// The process.
        pid: u32,
    },
    /// What is left over, then: no process is behind it, or none that listens.
    Destroy,
}

/// Something that holds the port and is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spared {
    /// The socket, by position in the table.
    pub socket: usize,
    /// The process, where there is one.
    pub pid: Option<u32>,
    /// Why.
    pub reason: Reason,
}

/// Why something is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Process 1.
    Init,
    /// The systemd of a user, which keeps all of that user's services.
    UserManager,
    /// The caller itself, or something it descends from.
    Ancestor,
    /// The caller came in by it: ending it would lock the caller out.
    WayIn,
    /// It only passes on to a container, and the container is not known.
    Proxy,
    /// The kernel's own socket.
    Kernel,
    /// It belongs to somebody else, and the caller is not root.
    NotPermitted,
    /// Nobody could be seen that holds it.
    NotVisible,
    /// It is not proved that the process holds it.
    NotProved,
    /// A reservation of our own.
    Reservation,
}

impl Reason {
    /// The word used in JSON, kebab-case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Init => "process-1",
            Self::UserManager => "user-manager",
            Self::Ancestor => "callers-ancestor",
            Self::WayIn => "callers-way-in",
            Self::Proxy => "container-proxy",
            Self::Kernel => "kernel",
            Self::NotPermitted => "not-permitted",
            Self::NotVisible => "not-visible",
            Self::NotProved => "not-proved",
            Self::Reservation => "reservation",
        }
    }

    /// Whether it is for want of sight and not because it is protected.
    #[must_use]
    pub const fn is_blindness(self) -> bool {
        matches!(self, Self::NotVisible | Self::NotProved)
    }
}

/// Decides what to do for `wish`.
#[must_use]
pub fn plan(wish: &Wish, around: &Surroundings<'_>) -> Plan {
    let mut planning = Planning::new(wish, around);
    for socket in planning.targets(wish) {
        planning.stop(socket);
    }
    if wish.sockets {
        planning.spare_way_in();
    }
    planning.finish(wish)
}

/// The roles of the sockets of a port, as positions in the table: listeners, clients, leftovers.
#[must_use]
pub fn roles(wish: &Wish, table: &SocketTable, ephemeral: PortRange) -> [Vec<usize>; 3] {
    let roles = Roles::new(table, ephemeral);
    let mut sorted = [const { Vec::new() }; 3];
    for (socket, held) in table.sockets.iter().enumerate().filter(|(_, h)| wish.is_about(h)) {
        match roles.of(held) {
            Role::Listener => sorted[0].push(socket),
            Role::Client => sorted[1].push(socket),
            Role::Leftover => sorted[2].push(socket),
            Role::Accepted => {}
        }
    }
    sorted
}

/// The binds that prove the port free: each address that was held, with no option set.
#[must_use]
pub fn proofs(table: &SocketTable, sockets: impl IntoIterator<Item = usize>) -> Vec<Bind> {
    let mut binds = Vec::new();
    for bind in sockets.into_iter().filter_map(|socket| proof(&table.sockets[socket])) {
        if !binds.contains(&bind) {
            binds.push(bind);
        }
    }
    binds
}

fn proof(held: &Held) -> Option<Bind> {
    let socket = &held.socket;
    let endpoint = socket.local_endpoint()?;
    let plain =
        Bind::at(socket.transport.with_ports()?, endpoint.address.to_canonical(), endpoint.port);
    Some(Bind { v6only: socket.v6only.unwrap_or(false), device: socket.device.clone(), ..plain })
}

struct Planning<'a> {
    around: &'a Surroundings<'a>,
    plan: Plan,
    /// Steps by what they do, so that sockets of one holder share one.
    units: BTreeMap<(Manager, Vec<Arc<str>>), Share>,
    containers: BTreeMap<(Box<str>, Box<str>), Share>,
    signals: BTreeMap<u32, Share>,
}

/// What one step is about.
#[derive(Default)]
struct Share {
    sockets: BTreeSet<usize>,
    pids: BTreeSet<u32>,
}

impl<'a> Planning<'a> {
    fn new(wish: &Wish, around: &'a Surroundings<'a>) -> Self {
        let [listeners, clients, leftovers] = roles(wish, around.table, around.ephemeral);
        Self {
            around,
            plan: Plan { listeners, clients, leftovers, ..Plan::default() },
            units: BTreeMap::new(),
            containers: BTreeMap::new(),
            signals: BTreeMap::new(),
        }
    }

    fn targets(&self, wish: &Wish) -> Vec<usize> {
        let clients = self.plan.clients.iter().filter(|_| wish.clients);
        self.plan.listeners.iter().chain(clients).copied().collect()
    }

    fn held(&self, socket: usize) -> &'a Held {
        &self.around.table.sockets[socket]
    }

    fn stop(&mut self, socket: usize) {
        let held = self.held(socket);
        match held.unowned {
            Some(Unowned::Kernel) => self.spare(socket, None, Reason::Kernel),
            Some(Unowned::NotPermitted | Unowned::NotLooked) => {
                self.spare(socket, None, Reason::NotVisible);
            }
            Some(Unowned::InFlight) => {
                let pid = held.holders.first().map(|holder| holder.pid);
                self.spare(socket, pid, Reason::NotProved);
            }
            Some(Unowned::Vanished | Unowned::NoFile) => {}
            None if self.is_way_in(held) => {
                let pid = held.holders.first().map(|holder| holder.pid);
                self.spare(socket, pid, Reason::WayIn);
            }
            None => self.stop_holders(socket),
        }
    }

    fn stop_holders(&mut self, socket: usize) {
        let held = self.held(socket);
        let owners: Vec<&Process> = self.around.table.owners(held).collect();
        if let Some(manager) = owners.iter().find(|owner| supervisor::is_manager(owner)) {
            return self.stop_activated(socket, manager, &owners);
        }
        for owner in owners {
            let proved = |h: &super::Holder| {
                h.pid == owner.pid && matches!(h.via, Via::Fd | Via::IoUring | Via::Mapping)
            };
            match self.protection(owner) {
                Some(reason) => self.spare(socket, Some(owner.pid), reason),
                None if is_proxy(owner) => self.stop_published(socket, owner),
                None if !held.holders.iter().any(proved) => {
                    self.spare(socket, Some(owner.pid), Reason::NotProved);
                }
                None => self.stop_holder(socket, owner),
            }
        }
    }

    /// systemd listens for a service that it starts when somebody comes: the socket unit has to be
    /// stopped first, or the next connection starts the service again.
    fn stop_activated(&mut self, socket: usize, manager: &Process, owners: &[&Process]) {
        let others: Vec<&Process> =
            owners.iter().filter(|owner| owner.pid != manager.pid).copied().collect();
        if let Some((pid, reason)) = others.iter().find_map(|o| Some((o.pid, self.protection(o)?)))
        {
            return self.spare(socket, Some(pid), reason);
        }
        let (whose, reason) = match manager.pid {
            1 => (Manager::System, Reason::Init),
            _ => (Manager::User(manager.uid.unwrap_or_default()), Reason::UserManager),
        };
        match self.around.stand_ins.get(&socket) {
            Some(StandsFor::Units(known)) if (self.around.has_tool)("systemctl") => {
                let running = others.iter().filter_map(|owner| owner.placement.unit.clone());
                let mut units = known.clone();
                for unit in running.filter(|unit| unit.ends_with(".service")) {
                    if !units.contains(&unit) {
                        units.push(unit);
                    }
                }
                if units.iter().any(|unit| self.around.caller.is_in_unit(unit)) {
                    return self.spare(socket, Some(manager.pid), Reason::WayIn);
                }
                let pids: Vec<u32> = others.iter().map(|owner| owner.pid).collect();
                self.units.entry((whose, units)).or_default().add(socket, pids);
            }
            _ => self.spare(socket, Some(manager.pid), reason),
        }
    }

    /// A proxy goes with its container; ended alone it would leave a container that nobody reaches.
    fn stop_published(&mut self, socket: usize, owner: &Process) {
        match self.around.stand_ins.get(&socket) {
            Some(StandsFor::Container { program, name }) if (self.around.has_tool)(program) => {
                let key = (program.clone(), name.clone());
                self.containers.entry(key).or_default().add(socket, [owner.pid]);
            }
            _ => self.spare(socket, Some(owner.pid), Reason::Proxy),
        }
    }

    fn stop_holder(&mut self, socket: usize, owner: &Process) {
        if let Some(container) = owner.placement.container.as_deref()
            && !self.around.caller.is_inside(container)
            && let Some(program) = runtime_program(container)
            && (self.around.has_tool)(program)
        {
            let name = container.name.as_ref().unwrap_or(&container.id);
            let key = (program.into(), name.clone());
            self.containers.entry(key).or_default().add(socket, [owner.pid]);
        } else if let Some((unit, manager)) = supervisor::unit_of(owner, self.around) {
            self.units.entry((manager, vec![unit])).or_default().add(socket, [owner.pid]);
        } else if self.around.caller.may_signal(owner.uid) {
            self.signals.entry(owner.pid).or_default().add(socket, [owner.pid]);
        } else {
            self.spare(socket, Some(owner.pid), Reason::NotPermitted);
        }
    }

    fn protection(&self, process: &Process) -> Option<Reason> {
        match process {
            Process { pid: 1, .. } => Some(Reason::Init),
            p if self.around.caller.descends_from(p.pid) => Some(Reason::Ancestor),
            p if supervisor::is_manager(p) => Some(Reason::UserManager),
            p if supervisor::is_reservation(p) => Some(Reason::Reservation),
            _ => None,
        }
    }

    /// Whether the caller came in through this listener: by SSH, or because something it descends
    /// from holds a connection to it (a terminal in the browser, telnet).
    fn is_way_in(&self, held: &Held) -> bool {
        let is_tcp = held.socket.transport.with_ports() == Some(Transport::Tcp);
        let port = held.socket.local_port();
        let by_ssh = self.around.caller.came_in.iter().any(|way| Some(way.local.port) == port);
        is_tcp && held.socket.state == State::Listen && (by_ssh || self.carries_caller(port))
    }

    fn carries_caller(&self, port: Option<Port>) -> bool {
        let connections = self.around.table.sockets.iter();
        let mut of_port = connections.filter(|h| h.socket.local_port() == port);
        of_port.any(|h| h.socket.peer.is_some() && self.holder_above(h).is_some())
    }

    /// The caller or one it descends from, if it holds a socket.
    fn holder_above(&self, held: &Held) -> Option<u32> {
        let mut pids = held.holders.iter().map(|holder| holder.pid);
        pids.find(|pid| self.around.caller.descends_from(*pid))
    }

    /// Connections that outlived their listener and carry the caller are not destroyed.
    fn spare_way_in(&mut self) {
        for socket in self.plan.leftovers.clone() {
            let held = self.held(socket);
            let above = self.holder_above(held);
            if above.is_some() || self.came_in_by(held) {
                let pid = above.or(held.holders.first().map(|holder| holder.pid));
                self.spare(socket, pid, Reason::WayIn);
            }
        }
    }

    fn came_in_by(&self, held: &Held) -> bool {
        let ends = held.socket.local_endpoint().zip(held.socket.peer_endpoint());
        let canonical = |end: Endpoint| Endpoint::new(end.address.to_canonical(), end.port);
        let ends = ends.map(|(local, peer)| (canonical(local), canonical(peer)));
        let ways = self.around.caller.came_in.iter();
        ends.is_some_and(|ends| {
            ways.map(|way| (canonical(way.local), canonical(way.peer))).any(|way| way == ends)
        })
    }

    fn spare(&mut self, socket: usize, pid: Option<u32>, reason: Reason) {
        self.plan.spared.push(Spared { socket, pid, reason });
    }

    fn finish(mut self, wish: &Wish) -> Plan {
        let mut steps = Vec::new();
        for ((manager, units), share) in std::mem::take(&mut self.units) {
            steps.push(share.step(Action::StopUnits { units, manager }, true));
        }
        for ((program, name), share) in std::mem::take(&mut self.containers) {
            steps.push(share.step(Action::StopContainer { program, name }, true));
        }
        for (pid, share) in self.parents_first() {
            let uid = self.around.table.processes.get(&pid).and_then(|p| p.uid);
            let is_foreign = !self.around.caller.owns(uid);
            steps.push(share.step(Action::Signal { pid }, is_foreign));
        }
        // What is stopped may leave something behind in its turn.
        if wish.sockets && !(steps.is_empty() && self.plan.leftovers.is_empty()) {
            let share = Share {
                sockets: self.plan.leftovers.iter().copied().collect(),
                pids: BTreeSet::new(),
            };
            let is_foreign = self.plan.leftovers.iter().any(|socket| self.is_foreign(*socket));
            steps.push(share.step(Action::Destroy, is_foreign));
        }
        Plan { steps, ..self.plan }
    }

    /// A parent that sees its worker end first starts another one.
    fn parents_first(&mut self) -> Vec<(u32, Share)> {
        let mut signals: Vec<_> = std::mem::take(&mut self.signals).into_iter().collect();
        let table = self.around.table;
        let targets: BTreeSet<u32> = signals.iter().map(|(pid, _)| *pid).collect();
        let parent = |pid: u32| table.processes.get(&pid)?.parent.filter(|p| targets.contains(p));
        signals.sort_by_cached_key(|(pid, _)| {
            let above = std::iter::successors(parent(*pid), |p| parent(*p));
            (above.take(targets.len()).count(), *pid)
        });
        signals
    }

    fn is_foreign(&self, socket: usize) -> bool {
        let held = self.held(socket);
        self.around.table.owners(held).any(|p| !self.around.caller.owns(p.uid))
    }
}

impl Share {
    fn add(&mut self, socket: usize, pids: impl IntoIterator<Item = u32>) {
        self.sockets.insert(socket);
        self.pids.extend(pids);
    }

    fn step(self, action: Action, changes_system: bool) -> Step {
        let (sockets, pids) = (self.sockets.into_iter().collect(), self.pids.into_iter().collect());
        Step { action, sockets, pids, changes_system }
    }
}

impl Plan {
    /// Whether somebody other than the caller is touched, so that the caller is asked first.
    #[must_use]
    pub fn changes_system(&self) -> bool {
        self.steps.iter().any(|step| step.changes_system)
    }
}

/// A program that only passes on to a container: Docker's and those of rootless engines.
fn is_proxy(process: &Process) -> bool {
    PROXIES.contains(&process.name.split('.').next().unwrap_or_default())
}

/// The program that stops containers of a runtime by name or id.
fn runtime_program(container: &Container) -> Option<&'static str> {
    match &*container.runtime {
        "docker" => Some("docker"),
        "podman" => Some("podman"),
        _ => None,
    }
}

/// `pasta` runs as `pasta.avx2` too.
const PROXIES: [&str; 6] =
    ["docker-proxy", "rootlessport", "rootlesskit", "slirp4netns", "pasta", "conmon"];

#[cfg(test)]
mod tests;
