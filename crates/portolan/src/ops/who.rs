//! Who holds a port; or which sockets a program, process, unit or container holds, and why it runs.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use portolan_core::net::{Gap, PortSet, TransportSet};
use portolan_core::registry::Registry;
use portolan_core::registry::port_set::{self, PortSelection};
use portolan_core::socket::{
    Container, Held, Netns, Placement, Process, SocketTable, TurnedAway, Unowned,
};

use crate::fault::Fault;
use crate::ops::behind::{Asking, Behind};
use crate::ops::localhost::{TwoBehindLocalhost, every_two};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    /// Whoever holds one of these ports.
    Ports(Box<PortSelection>),
    /// What this process holds.
    Process(u32),
    /// What the processes of this systemd unit hold; `.service` may be left out.
    Unit(String),
    /// What this container holds: its name, its compose service, or the beginning of its id.
    Container(String),
    /// What the processes of this program hold.
    Program(String),
}

impl Query {
    /// Reads `8080`, `53/udp`, `8000-8010,u:53`, `pid:1`, `unit:ssh`, `container:web` or a program.
    ///
    /// # Errors
    /// A number above 65535, a reversed range, an unknown transport, an empty name.
    pub(crate) fn parse(text: &str, registry: &Registry) -> Result<Self> {
        match text.split_once(':') {
            Some(("pid", pid)) => pid.parse().map(Self::Process).map_err(|_| bad_pid(pid)),
            Some((kind @ ("unit" | "container"), "")) => {
                Err(Fault::new(format!("`{text}` names no {kind}"), WHAT))
            }
            Some(("unit", unit)) => Ok(Self::Unit(unit.to_owned())),
            Some(("container", container)) => Ok(Self::Container(container.to_owned())),
            _ if text.is_empty() => Err(Fault::new("nothing is asked for", WHAT)),
            _ if is_port_set(text) => ports(text, registry)
                .map(|ports| Self::Ports(Box::new(ports)))
                .map_err(|e| Fault::new(e.to_string(), WHAT)),
            _ => Ok(Self::Program(text.to_owned())),
        }
    }

    fn wants(&self, held: &Held, table: &SocketTable) -> bool {
        match self {
            Self::Ports(ports) => {
                let socket = &held.socket;
                let pair = socket.local_port().zip(socket.transport.with_ports());
                pair.is_some_and(|(port, transport)| ports.contains(port, transport))
            }
            Self::Process(pid) => held.holders.iter().any(|h| h.pid == *pid),
            Self::Program(name) => table.owners(held).any(|p| is_program(p, name)),
            Self::Unit(unit) => places(held, table).any(|p| is_unit(&p, unit)),
            Self::Container(name) => {
                places(held, table).any(|p| p.container.is_some_and(|c| is_container(&c, name)))
            }
        }
    }

    /// Whether a socket without a visible owner could belong to the answer.
    const fn could_be(&self, unowned: Unowned) -> bool {
        !matches!(self, Self::Ports(_))
            && matches!(unowned, Unowned::NotPermitted | Unowned::Vanished)
    }
}

/// Everything that answers a query.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    /// What was asked.
    pub(crate) query: &'a str,
    /// The sockets, gathered by who holds them.
    pub(crate) groups: Vec<Group<'a>>,
    /// Sockets whose owner is not visible and that might belong here too.
    pub(crate) unattributed: usize,
    /// Ports at which `localhost` leads to two programs, this holder one of them.
    pub(crate) splits: Vec<TwoBehindLocalhost>,
    /// Whether ports were asked for, and not somebody who may hold some.
    pub(crate) is_of_ports: bool,
    /// How many network namespaces could be looked into.
    pub(crate) namespaces: usize,
    /// Whether there may be sockets that nobody could tell of.
    pub(crate) may_lack_sockets: bool,
    /// The ports of the service that is called like the program nobody runs.
    pub(crate) service_ports: Option<PortSet>,
}

/// Sockets with the same holders.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    /// The processes, by id; empty when none can be named.
    pub(crate) owners: Vec<&'a Process>,
    /// Why none can be proved.
    pub(crate) unowned: Option<Unowned>,
    /// Their unit and container.
    pub(crate) placement: Placement,
    /// What the first of them descends from, its parent first.
    pub(crate) ancestry: Vec<Process>,
    /// The user who made the sockets, where no process can be named.
    pub(crate) creator: Option<String>,
    /// The sockets that wait for others, or hold a port without listening.
    pub(crate) holding: Vec<&'a Held>,
    /// The rest: connections, by state.
    pub(crate) connections: Vec<&'a Held>,
    /// Whom its holder stands in for, where it does.
    pub(crate) behind: Option<Behind>,
    /// What the kernel holds them for: `vxlan vx0`.
    pub(crate) kernel_use: Option<String>,
    /// The network namespace of the sockets, where it is not ours.
    pub(crate) elsewhere: Option<&'a Netns>,
    /// What the listeners of that namespace turned away, where an accept queue is full.
    pub(crate) turned_away: Option<TurnedAway>,
    /// The network namespace the first process lives in, where that is not the sockets'.
    pub(crate) lives_in: Option<LivesIn>,
}

/// The network namespace of a process whose sockets are in another.
#[derive(Debug)]
pub(crate) enum LivesIn {
    /// Ours, which has no name.
    Here,
    /// This one.
    There(Netns),
}

impl Report<'_> {
    /// Whether somebody holds it whose name is not visible, or nobody was found and there are
    /// sockets that could not be seen or looked behind.
    pub(crate) fn is_partial(&self) -> bool {
        let hidden =
            |g: &Group<'_>| matches!(g.unowned, Some(Unowned::NotPermitted | Unowned::Vanished));
        let is_in_doubt = self.unattributed > 0 || self.may_lack_sockets;
        self.groups.iter().any(hidden) || (self.groups.is_empty() && is_in_doubt)
    }
}

/// Adds what stands around the sockets found: whom their holders stand in for, and who else is
/// behind `localhost`.
pub(crate) fn look_around(report: &mut Report<'_>, table: &SocketTable, gaps: &mut Vec<Gap>) {
    let mut asking = Asking::default();
    for group in &mut report.groups {
        group.behind = group.holding.iter().find_map(|held| asking.about(table, held));
    }
    gaps.append(&mut asking.gaps);
    let holding = report.groups.iter().flat_map(|group| group.holding.iter().copied());
    report.splits = every_two(table, holding);
}

/// Answers a query from a table of sockets in every state.
///
/// `ancestry` tells what a process descends from, itself first.
pub(crate) fn answer<'a>(
    text: &'a str,
    query: &Query,
    table: &'a SocketTable,
    ancestry: impl Fn(u32) -> Vec<Process>,
) -> Report<'a> {
    let wanted = table.sockets.iter().filter(|held| query.wants(held, table));
    let mut by_holders: BTreeMap<_, Vec<&Held>> = BTreeMap::new();
    for held in wanted {
        let pids: Vec<u32> = table.owners(held).map(|p| p.pid).collect();
        let unowned = held.unowned.filter(|_| pids.is_empty());
        let alone = unowned.map(|u| (u as u8, held.socket.uid, kernel_use(held, table)));
        by_holders.entry((pids, alone, held.socket.netns)).or_default().push(held);
    }
    let unattributed =
        table.sockets.iter().filter(|h| h.unowned.is_some_and(|u| query.could_be(u))).count();
    let mut groups: Vec<Group<'_>> =
        by_holders.into_values().map(|sockets| group(sockets, table)).collect();
    for group in &mut groups {
        group.ancestry = group.owners.first().map(|p| ancestry(p.pid)).unwrap_or_default();
        group.ancestry.drain(..group.ancestry.len().min(1));
    }
    groups.sort_by_key(|g| {
        let first = g.owners.first().map(|p| p.pid);
        (g.elsewhere.is_some(), g.holding.is_empty(), first)
    });
    Report {
        query: text,
        groups,
        unattributed,
        splits: Vec::new(),
        is_of_ports: matches!(query, Query::Ports(_)),
        namespaces: table.namespaces.iter().filter(|netns| !netns.is_unseen).count(),
        may_lack_sockets: table.may_lack_sockets,
        service_ports: None,
    }
}

fn group<'a>(sockets: Vec<&'a Held>, table: &'a SocketTable) -> Group<'a> {
    let (mut holding, mut connections): (Vec<&Held>, Vec<&Held>) =
        sockets.into_iter().partition(|held| holds_its_port(held));
    holding.sort_by_key(|h| (h.socket.local_port(), h.socket.transport, h.socket.local.clone()));
    connections.sort_by_key(|h| (h.socket.state, h.socket.local_port(), h.socket.peer.clone()));
    let first = holding.first().or(connections.first()).copied();
    let elsewhere = first.and_then(|held| table.elsewhere(held));
    Group {
        elsewhere,
        turned_away: first.and_then(|held| table.namespace(held.socket.netns)?.turned_away),
        lives_in: first.and_then(|held| lives_in(held, table)),
        owners: first.map(|held| table.owners(held).collect()).unwrap_or_default(),
        unowned: first.and_then(|held| held.unowned),
        placement: first.map(|held| table.placement(held)).unwrap_or_default(),
        ancestry: Vec::new(),
        creator: first.and_then(|held| creator(held, table)),
        behind: None,
        kernel_use: first.and_then(|held| kernel_use(held, table)),
        holding,
        connections,
    }
}

fn lives_in(held: &Held, table: &SocketTable) -> Option<LivesIn> {
    let inode = table.namespace_apart(held, table.owners(held).next()?)?;
    let known = table.namespace(inode).cloned();
    let netns = known.unwrap_or_else(|| Netns { inode, ..Netns::default() });
    let is_own = table.namespaces.first().is_some_and(|own| own.inode == inode);
    Some(if is_own && netns.name.is_none() { LivesIn::Here } else { LivesIn::There(netns) })
}

fn holds_its_port(held: &Held) -> bool {
    held.socket.peer.is_none()
}

fn creator(held: &Held, table: &SocketTable) -> Option<String> {
    let uid = held.socket.uid?;
    Some(table.users.get(&uid).map_or_else(|| format!("uid {uid}"), ToString::to_string))
}

/// What the kernel holds a socket of its own for.
fn kernel_use(held: &Held, table: &SocketTable) -> Option<String> {
    table.kernel_use(held).map(ToString::to_string)
}

/// Every unit and container a socket's holders belong to, and its own cgroup's.
fn places<'a>(held: &'a Held, table: &'a SocketTable) -> impl Iterator<Item = Placement> {
    table
        .owners(held)
        .map(|p| p.placement.clone())
        .chain(std::iter::once_with(|| table.placement(held)))
}

/// By command name (cut at 15 bytes by the kernel), or by the executable's file name or path.
fn is_program(process: &Process, name: &str) -> bool {
    let cut =
        name.char_indices().map(|(i, c)| i + c.len_utf8()).take_while(|end| *end <= 15).last();
    let exe = process.exe.as_deref().unwrap_or_default();
    *process.name == *name
        || cut.is_some_and(|end| name.len() > 15 && *process.name == name[..end])
        || exe == name
        || exe.rsplit('/').next() == Some(name)
}

fn is_unit(placement: &Placement, name: &str) -> bool {
    placement.unit.as_deref().is_some_and(|unit| {
        unit == name || unit.strip_suffix(".service").is_some_and(|stem| stem == name)
    })
}

fn is_container(container: &Container, name: &str) -> bool {
    let named = |n: &Option<Box<str>>| n.as_deref() == Some(name);
    let by_id = name.len() >= 4 && container.id.starts_with(name);
    named(&container.name) || named(&container.service) || by_id || &*container.id == name
}

/// Whether a text is meant as ports: it begins as a number, a list or range of them, or has a prefix
/// or a transport. What begins with a digit and is no number is a program, such as `7z`.
fn is_port_set(text: &str) -> bool {
    let (body, transport) = text.split_once('/').map_or((text, None), |(b, t)| (b, Some(t)));
    let prefix = body.split_once(':').map(|(prefix, _)| prefix);
    let is_prefix = |p: &str| matches!(p.to_ascii_lowercase().as_str(), "t" | "u" | "s" | "d");
    let is_numeric = body.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b',' | b' '));
    prefix.is_some_and(is_prefix)
        || text.starts_with(|c: char| c.is_ascii_digit())
            && (is_numeric || transport.is_some() || body.contains(','))
        || transport.is_some_and(|t| t.parse::<TransportSet>().is_ok())
}

/// A bare number means every transport.
fn ports(text: &str, registry: &Registry) -> Result<PortSelection, port_set::PortSetError> {
    port_set::parse(text, TransportSet::ALL, registry)
}

/// The ports of the service called `name`, for somebody who asked for a program of that name.
pub(crate) fn service_ports(query: &Query, registry: &Registry) -> Option<PortSet> {
    match query {
        Query::Program(name) => ports(name, registry).ok().map(|found| found.ports()),
        _ => None,
    }
}

fn bad_pid(found: &str) -> anyhow::Error {
    Fault::new(format!("`{found}` is not a process id"), WHAT)
}

/// How many connections there are in each state.
pub(crate) fn states(connections: &[&Held]) -> Vec<(&'static str, usize)> {
    let mut counts: HashMap<&'static str, usize> = HashMap::new();
    for held in connections {
        *counts.entry(held.socket.state.as_str()).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(state, count)| (std::cmp::Reverse(*count), *state));
    counts
}

const WHAT: &str = "ask for 8080, 53/udp, 8000-8010, a program, pid:N, unit:U or container:C";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_a_question_is_told_apart() {
        let registry = Registry::embedded();
        let ports = |text: &str| {
            Query::Ports(Box::new(port_set::parse(text, TransportSet::ALL, &registry).unwrap()))
        };
        for (text, query) in [
            ("8080", ports("8080")),
            ("53/udp", ports("u:53")),
            ("8000-8010/tcp", ports("t:8000-8010")),
            ("80,443", ports("80,443")),
            ("u:53,t:80", ports("u:53,t:80")),
            ("https/tcp", ports("t:443")),
            ("pid:12", Query::Process(12)),
            ("unit:ssh.service", Query::Unit("ssh.service".into())),
            ("container:web", Query::Container("web".into())),
            ("nginx", Query::Program("nginx".into())),
            ("7z", Query::Program("7z".into())),
            ("/usr/sbin/nginx", Query::Program("/usr/sbin/nginx".into())),
        ] {
            assert_eq!(Query::parse(text, &registry).unwrap(), query, "{text}");
        }
    }

    #[test]
    fn a_number_that_is_no_port_is_refused_and_not_taken_for_a_program() {
        let registry = Registry::embedded();
        for text in
            ["70000", "90-80", "53/upd", "pid:x", "unit:", "99999/tcp", "80,70000", "u:9-5", "22/"]
        {
            assert!(Query::parse(text, &registry).is_err(), "{text}");
        }
    }

    #[test]
    fn a_program_is_known_by_the_name_the_kernel_cut_short() {
        let process = Process { name: "a-very-long-nam".into(), ..Process::default() };
        assert!(is_program(&process, "a-very-long-name"));
        assert!(!is_program(&process, "a-very"));
    }
}
