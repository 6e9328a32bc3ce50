//! What to do, the best first: an action with what it acts on. Words are made in `render`.

use std::net::IpAddr;
use std::sync::Arc;

use portolan_core::net::{Port, PortRange, PortSet, Scope, Transport};
use portolan_core::reach::DivertingRule;
use portolan_core::socket::conflict::{Unshared, Verdict};
use portolan_core::socket::{Bind, Container, Held, InterfaceAddress, Process};
use portolan_host::processes::{self, Details};
use portolan_host::{clock, machine};
use rustix::process::geteuid;

use super::{Blocker, NotLocal, Obstacle, Report, Warning, port_words};
use crate::ops::behind::Behind;
use crate::ops::reservations::Reserved;

/// One thing that helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remedy {
    /// What to do.
    pub(crate) action: Action,
    /// Whether it takes root, which we are not.
    pub(crate) needs_root: bool,
}

/// What can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Stop the unit that would start the server again.
    StopUnit {
        /// Its name.
        unit: Arc<str>,
        /// Whether a user's own manager runs it.
        of_user: bool,
    },
    /// Stop what systemd listens for, and what it has started.
    StopActivation {
        /// The socket unit.
        unit: Arc<str>,
        /// The service it starts.
        service: Option<Arc<str>>,
        /// Whether a user's own manager holds it.
        of_user: bool,
    },
    /// Ask the runtime which container has the port.
    ShowPublisher {
        /// The runtime.
        runtime: &'static str,
        /// The port.
        port: Port,
    },
    /// Look at the rule that diverts the port.
    ShowRule(DivertingRule),
    /// Stop the container behind the port.
    StopContainer(Arc<Container>),
    /// Stop whoever holds it.
    Kill {
        /// The port as `kill` takes it.
        port: String,
        /// The processes that hold it.
        owners: Vec<Process>,
    },
    /// Stop the client whose connection uses the number as its own end.
    KillClients {
        /// The port as `kill` takes it.
        port: String,
        /// The processes that hold the connection.
        owners: Vec<Process>,
    },
    /// End who has the unix socket open that a descriptor is on its way over: `kill` does not, as
    /// it is not proved who will have it.
    EndReceiver(Process),
    /// Give a lease of ours back.
    Release(String),
    /// End the connections on it, no process with them.
    KillSockets {
        /// The port as `kill` takes it.
        port: String,
        /// How many connections.
        count: usize,
    },
    /// Wait until the kernel is done.
    Wait {
        /// For so long.
        seconds: u64,
    },
    /// Set SO_REUSEADDR in the server: tried, and it works.
    ReuseAddress,
    /// Set SO_REUSEPORT in the server.
    ReusePort,
    /// Run the server as the user of the one that is there.
    SameUser {
        /// That user's name, or number.
        user: String,
    },
    /// Keep the kernel from handing the number out again.
    KeepFromKernel {
        /// Everything that is to be kept, the present setting in it.
        reserved: PortSet,
    },
    /// Take another number.
    Pick {
        /// Close to this one.
        near: Option<Port>,
    },
    /// Have systemd bind the port and hand it over.
    ActivateSocket(Bind),
    /// Give the program the right.
    GrantCapability,
    /// Let everybody bind from this port on.
    LowerThreshold(Port),
    /// Listen on a high port and lead the low one there.
    Redirect {
        /// Its transport.
        transport: Transport,
        /// The port that is wished for.
        from: Port,
        /// One that everybody may bind.
        to: Port,
    },
    /// Bind an address that is here.
    ShowAddresses,
    /// Put the address on an interface.
    AddAddress(IpAddr),
    /// Let programs bind addresses that are not here yet.
    BindNonlocal(IpAddr),
    /// Switch IPv6 on.
    EnableIpv6,
    /// Bind through IPv4.
    UseIpv4(Bind),
    /// Name the interface of a link-local address.
    NameZone(Bind),
    /// Ask who uses the ports that the kernel chooses from.
    ShowEphemeral,
    /// Let the kernel choose from more ports.
    WidenRange(PortRange),
    /// Ask the security modules for what they refused.
    ShowRefusals,
    /// Ask systemd what it lets the unit bind.
    ShowBindRules,
    /// Take the interface down that the kernel serves here.
    LinkDown(String),
    /// Look at everything on the port.
    Who(String),
}

/// Ranks what helps against the verdict.
pub(super) fn rank(report: &Report) -> Vec<Remedy> {
    let mut actions = match (report.is_bindable(), report.blockers.first()) {
        (true, _) => free(report),
        (false, Some(first)) => against(report, first),
        (false, None) => against_obstacle(report),
    };
    actions.extend(diverting_rules(report));
    let mut seen = Vec::new();
    actions.retain(|action| {
        let is_new = !seen.contains(action);
        seen.push(action.clone());
        is_new
    });
    actions.into_iter().map(|action| with_rights(report, action)).collect()
}

/// Ours is given back; another user's ends by itself.
fn end_reservation(first: &Blocker, port: String) -> Action {
    match &first.reserved {
        Some(Reserved { project: None, expires, .. }) => {
            let left = expires.duration_since(clock::now()).as_secs();
            Action::Wait { seconds: u64::try_from(left).unwrap_or(0) + 1 }
        }
        _ => Action::Release(port),
    }
}

fn diverting_rules(report: &Report) -> Vec<Action> {
    let all = report.warnings.iter().filter_map(|warning| match warning {
        Warning::NatShadow(diversions) => Some(diversions),
        _ => None,
    });
    all.flatten().map(|diversion| Action::ShowRule(diversion.rule.clone())).collect()
}

fn free(report: &Report) -> Vec<Action> {
    let is_at_risk = report.warnings.iter().any(|w| matches!(w, Warning::Ephemeral { .. }));
    if is_at_risk { vec![keep_from_kernel(report)] } else { Vec::new() }
}

fn against(report: &Report, first: &Blocker) -> Vec<Action> {
    let port = || port_words(&report.decisive().bind);
    let mut actions = Vec::new();
    match first.verdict {
        Verdict::TimeWait | Verdict::FinWait => {
            actions.extend(reuse_address(report));
            actions.extend(longest(report).map(|seconds| Action::Wait { seconds }));
            actions.push(Action::KillSockets { port: port(), count: report.blockers.len() });
        }
        Verdict::EstablishedLeftover => {
            let count = report.blockers.iter().filter(|b| b.verdict == first.verdict).count();
            actions.push(Action::KillSockets { port: port(), count });
            actions.extend(reuse_address(report));
        }
        Verdict::Outgoing => {
            let owners = report.table.owners(&report.table.sockets[first.position]);
            actions.push(Action::KillClients { port: port(), owners: owners.cloned().collect() });
            actions.extend(reuse_address(report));
        }
        Verdict::Kernel => {
            actions.extend(report.blockers.iter().filter_map(|b| release(report, b)));
        }
        Verdict::Reserved => actions.push(end_reservation(first, port())),
        _ => {
            actions.extend(shared(first, report));
            actions.extend(stop_all(report));
            actions.extend(left_over(report));
        }
    }
    if is_chosen_from(report) {
        actions.push(keep_from_kernel(report));
    }
    actions.push(pick(report));
    actions
}

/// Stops whoever holds the port; one command ends all who are ended by process.
fn stop_all(report: &Report) -> Vec<Action> {
    let is_left_over = |b: &&Blocker| LEFT_OVER.contains(&b.verdict);
    let holders = report.blockers.iter().filter(|b| !is_left_over(b));
    let (kills, mut actions): (Vec<Action>, Vec<Action>) =
        holders.filter_map(|b| stop(report, b)).partition(|a| matches!(a, Action::Kill { .. }));
    let mut ended: Vec<Process> = Vec::new();
    for kill in &kills {
        let Action::Kill { owners, .. } = kill else { continue };
        let new = owners.iter().filter(|p| ended.iter().all(|known| known.pid != p.pid));
        let new: Vec<Process> = new.cloned().collect();
        ended.extend(new);
    }
    if !kills.is_empty() {
        let port = port_words(&report.decisive().bind);
        actions.push(Action::Kill { port, owners: ended });
    }
    actions
}

/// What would still be there when nobody holds the port any more.
fn left_over(report: &Report) -> Option<Action> {
    let count = report.blockers.iter().filter(|b| LEFT_OVER.contains(&b.verdict)).count();
    let port = port_words(&report.decisive().bind);
    (count > 0).then_some(Action::KillSockets { port, count })
}

/// What no process has to be stopped for.
const LEFT_OVER: [Verdict; 3] = [Verdict::EstablishedLeftover, Verdict::TimeWait, Verdict::FinWait];

/// Stops who holds a socket: through the supervisor that would start it again, else by process.
/// `None` where even root sees nobody: the holder is outside this container.
fn stop(report: &Report, blocker: &Blocker) -> Option<Action> {
    let held = &report.table.sockets[blocker.position];
    let place = report.table.placement(held);
    if let Some(behind) = &blocker.behind {
        return Some(stop_behind(behind, report));
    }
    if let Some(container) = place.container {
        return Some(Action::StopContainer(container));
    }
    if let Some(unit) = place.unit.filter(|unit| is_stoppable(unit)) {
        return Some(Action::StopUnit { unit, of_user: is_of_user(report, held) });
    }
    let owners: Vec<Process> = report.table.owners(held).cloned().collect();
    match owners.first() {
        Some(first) if blocker.verdict == Verdict::InFlight => {
            Some(Action::EndReceiver(first.clone()))
        }
        None if geteuid().is_root() => None,
        _ => Some(Action::Kill { port: port_words(&report.decisive().bind), owners }),
    }
}

/// What makes the kernel let go: its device going down, where it has one.
fn release(report: &Report, blocker: &Blocker) -> Option<Action> {
    let usage = report.table.kernel_use(&report.table.sockets[blocker.position])?;
    usage.device.as_deref().map(|device| Action::LinkDown(device.to_owned()))
}

fn stop_behind(behind: &Behind, report: &Report) -> Action {
    let port = report.decisive().bind.port;
    match behind {
        Behind::Activation { unit, service, of_user } => Action::StopActivation {
            unit: unit.clone(),
            service: service.clone(),
            of_user: *of_user,
        },
        Behind::Published { container: Some(container), .. } => {
            Action::StopContainer(container.clone())
        }
        Behind::Published { by, .. } => {
            Action::ShowPublisher { runtime: by.runtime.unwrap_or("docker"), port }
        }
    }
}

/// A service of its own, and not the one we run in ourselves: a session, a terminal.
fn is_stoppable(unit: &str) -> bool {
    let ours = processes::read([std::process::id()], Details::Brief).pop();
    let our_unit = ours.and_then(|process| process.placement.unit);
    let is_manager = unit.starts_with("user@") || unit == "init.scope";
    unit.ends_with(".service") && !is_manager && our_unit.as_deref() != Some(unit)
}

/// Whether a systemd other than process 1 is above it.
fn is_of_user(report: &Report, held: &Held) -> bool {
    let line = held.holders.first().and_then(|h| report.ancestries.get(&h.pid));
    line.is_some_and(|line| line.iter().any(|p| &*p.name == "systemd" && p.pid != 1))
}

/// How to become one of those who share the port.
fn shared(first: &Blocker, report: &Report) -> Option<Action> {
    if first.verdict != Verdict::ListenerShared {
        return None;
    }
    let socket = &report.table.sockets[first.position].socket;
    match first.why {
        Some(Unshared::OtherUser) => Some(Action::SameUser { user: user(report, socket.uid?) }),
        _ => Some(Action::ReusePort),
    }
}

fn user(report: &Report, uid: u32) -> String {
    report.table.users.get(&uid).map_or_else(|| format!("uid {uid}"), ToString::to_string)
}

fn reuse_address(report: &Report) -> Option<Action> {
    report
        .decisive()
        .with_reuseaddr
        .is_some_and(|said| said.is_ok())
        .then_some(Action::ReuseAddress)
}

/// Until the last of them is gone; `None` when one of them never goes by itself.
fn longest(report: &Report) -> Option<u64> {
    let each: Option<Vec<u64>> = report.blockers.iter().map(|b| b.seconds_left).collect();
    each?.into_iter().max()
}

fn is_chosen_from(report: &Report) -> bool {
    report.warnings.iter().any(|w| matches!(w, Warning::Ephemeral { .. }))
        && report.blockers.iter().any(|b| b.verdict == Verdict::Outgoing)
}

/// What is reserved already stays so: the sysctl replaces the whole list.
fn keep_from_kernel(report: &Report) -> Action {
    let mut reserved = report.ports.reserved.clone();
    reserved.insert(report.decisive().bind.port);
    Action::KeepFromKernel { reserved }
}

/// A number near one that the kernel chooses from would be no better.
fn pick(report: &Report) -> Action {
    let port = report.decisive().bind.port;
    let is_good = !report.ports.ephemeral.contains(port) && port >= report.ports.unprivileged_start;
    Action::Pick { near: is_good.then_some(port) }
}

fn against_obstacle(report: &Report) -> Vec<Action> {
    let bind = &report.decisive().bind;
    match &report.obstacle {
        Some(Obstacle::Privileged { .. }) => vec![
            Action::ActivateSocket(bind.clone()),
            Action::GrantCapability,
            Action::LowerThreshold(bind.port),
            Action::Redirect {
                transport: bind.transport,
                from: bind.port,
                to: Port(8000 + bind.port.0 % 1000),
            },
        ],
        Some(Obstacle::NotLocal(why)) => against_address(*why, bind),
        Some(Obstacle::Exhausted(found)) => {
            let first = Port(found.range.first().0.min(15000));
            let wider = PortRange::new(first, found.range.last().max(Port(60999)));
            let mut actions = vec![Action::ShowEphemeral];
            actions.extend(wider.ok().filter(|w| *w != found.range).map(Action::WidenRange));
            actions
        }
        Some(Obstacle::Policy(_)) => vec![Action::ShowRefusals, Action::ShowBindRules],
        Some(Obstacle::Unexplained(_)) | None => {
            vec![Action::Who(port_words(bind)), pick(report)]
        }
    }
}

fn against_address(why: NotLocal, bind: &Bind) -> Vec<Action> {
    match why {
        NotLocal::NoSuchAddress => vec![
            Action::ShowAddresses,
            Action::AddAddress(bind.address),
            Action::BindNonlocal(bind.address),
        ],
        NotLocal::Tentative | NotLocal::NoSuchDevice => vec![Action::ShowAddresses],
        NotLocal::Ipv6Disabled => vec![Action::EnableIpv6, Action::UseIpv4(bind.clone())],
        NotLocal::NoIpv6 => vec![Action::UseIpv4(bind.clone())],
        NotLocal::NoZone => vec![Action::NameZone(Bind { device: zone(bind), ..bind.clone() })],
    }
}

/// The interface that has the link-local address, or else any that has one.
fn zone(bind: &Bind) -> Option<Arc<str>> {
    let all = machine::addresses().ok()?;
    let is_link_local = |a: &&InterfaceAddress| Scope::of(a.address) == Scope::LinkLocal;
    let found = all.iter().find(|a| a.address == bind.address);
    found.or_else(|| all.iter().find(is_link_local)).map(|a| a.interface.as_str().into())
}

fn with_rights(report: &Report, action: Action) -> Remedy {
    let is_root = geteuid().is_root();
    let ours = Some(geteuid().as_raw());
    let takes_root = match &action {
        Action::StopUnit { of_user, .. } | Action::StopActivation { of_user, .. } => !of_user,
        Action::Kill { owners, .. } | Action::KillClients { owners, .. } => {
            owners.is_empty() || owners.iter().any(|p| p.uid != ours)
        }
        Action::EndReceiver(process) => process.uid != ours,
        Action::KillSockets { .. }
        | Action::KeepFromKernel { .. }
        | Action::GrantCapability
        | Action::LowerThreshold(_)
        | Action::Redirect { .. }
        | Action::ActivateSocket(_)
        | Action::AddAddress(_)
        | Action::BindNonlocal(_)
        | Action::EnableIpv6
        | Action::WidenRange(_)
        | Action::ShowRefusals
        | Action::ShowRule(_)
        | Action::LinkDown(_) => true,
        Action::Who(_) => report.blockers.iter().any(|b| b.verdict == Verdict::Unknown),
        _ => false,
    };
    Remedy { needs_root: takes_root && !is_root, action }
}
