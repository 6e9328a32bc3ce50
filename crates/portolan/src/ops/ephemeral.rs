//! How close each network namespace is to having no port left that the kernel could choose, who
//! holds most of them, and what helps.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::ErrorKind;

use anyhow::Result;
use portolan_core::net::{Gap, Observed, Port, PortRange, PortSet, Why};
use portolan_core::socket::ephemeral::{Advice, Circumstances, ClosingSettings, TRANSPORTS, Usage};
use portolan_core::socket::{
    Held, LocalPorts, Netns, PortChoice, Process, SocketTable, SocketTransport, State, StateSet,
    Unowned,
};
use portolan_host::namespace::Place;
use portolan_host::owners::Choice;
use portolan_host::processes::Details;
use portolan_host::{machine, namespace};

use crate::ops::sockets::{Namespaces, Request, observe};

/// What was found in one network namespace.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    /// The namespace.
    pub(crate) netns: &'a Netns,
    /// Whether it is the one the program was run in.
    pub(crate) is_own: bool,
    /// Its settings for port numbers.
    pub(crate) ports: LocalPorts,
    /// Its settings for connections that have ended.
    pub(crate) closing: ClosingSettings,
    /// How much of the range is in use.
    pub(crate) usage: Usage,
    /// TCP sockets on ports of the range, by state, the most first.
    pub(crate) states: Vec<(State, usize)>,
    /// Who holds ports of the range, those with most first.
    pub(crate) holders: Vec<Holding<'a>>,
    /// Sockets on ports of the range that their programs have chosen.
    pub(crate) fixed: Vec<&'a Held>,
    /// What helps, the strongest first.
    pub(crate) advice: Vec<Advice>,
}

/// Ports of the range with the same holder.
#[derive(Debug)]
pub(crate) struct Holding<'a> {
    /// The process; the first by id where several share a socket.
    pub(crate) process: Option<&'a Process>,
    /// Why there is none.
    pub(crate) unowned: Option<Unowned>,
    /// A socket of it, to name unit and container.
    pub(crate) example: &'a Held,
    /// How many different ports, TCP and UDP each for itself.
    pub(crate) ports: usize,
}

/// The sockets to count: every state, for only some of them tell that they hold a port.
///
/// # Errors
/// When an engine was asked for that does not run here.
pub(crate) fn sockets(namespaces: Namespaces, engine: Choice) -> Result<Observed<SocketTable>> {
    observe(&Request {
        transports: TRANSPORTS.to_vec(),
        choice_of: StateSet::ALL,
        namespaces,
        engine,
        ..Request::every_state(Details::Brief)
    })
}

/// Counts each namespace of `table`; the settings are asked for inside each.
pub(crate) fn reports<'a>(table: &'a SocketTable, gaps: &mut Vec<Gap>) -> Vec<Report<'a>> {
    let places = match table.namespaces.len() {
        ..=1 => Vec::new(),
        _ => namespace::all().value,
    };
    let mut by_namespace: HashMap<u64, Vec<&Held>> = HashMap::new();
    for held in &table.sockets {
        by_namespace.entry(held.socket.netns).or_default().push(held);
    }
    let mut reports = Vec::new();
    for (i, netns) in table.namespaces.iter().enumerate() {
        let Some((ports, closing)) = settings(netns, i == 0, &places, gaps) else { continue };
        let sockets = by_namespace.remove(&netns.inode).unwrap_or_default();
        reports.push(Report { is_own: i == 0, ..report(netns, &sockets, ports, closing, table) });
    }
    reports
}

type Settings = (LocalPorts, ClosingSettings);

fn settings(
    netns: &Netns,
    is_own: bool,
    places: &[Place],
    gaps: &mut Vec<Gap>,
) -> Option<Settings> {
    let ask = || (machine::local_ports(), machine::closing_settings());
    let place = places.iter().find(|place| place.netns.inode == netns.inode);
    let asked = match place {
        _ if is_own => Ok(ask()),
        Some(place) => place.enter(ask),
        None => Err(ErrorKind::NotFound.into()),
    };
    match asked {
        Ok((ports, closing)) => Some((ports.into_value(gaps), closing.into_value(gaps))),
        Err(error) => {
            let what = format!("the range the kernel chooses ports from in {netns}");
            gaps.push(match error.kind() {
                ErrorKind::NotFound => Gap::aside(what, Why::Vanished, ""),
                _ => Gap::new(what, Why::NotPermitted, namespace::more_rights()),
            });
            None
        }
    }
}

fn report<'a>(
    netns: &'a Netns,
    sockets: &[&'a Held],
    ports: LocalPorts,
    closing: ClosingSettings,
    table: &'a SocketTable,
) -> Report<'a> {
    let usage = Usage::of(sockets.iter().map(|held| &held.socket), &ports, closing.reuse);
    let mut inside: Vec<&Held> =
        sockets.iter().filter(|held| is_inside(held, &usage)).copied().collect();
    inside.sort_by_key(|h| (h.socket.local_port(), h.socket.transport, h.socket.local.clone()));
    let advice = usage.advice(&ports, &circumstances(sockets, &inside));
    Report {
        netns,
        is_own: false,
        states: states(&inside),
        holders: holders(&inside, table),
        fixed: inside.iter().filter(|held| is_fixed(held)).copied().collect(),
        advice,
        ports,
        closing,
        usage,
    }
}

fn is_inside(held: &Held, usage: &Usage) -> bool {
    held.socket.local_port().is_some_and(|port| usage.is_choosable(port))
}

/// Whether its program asked for this number and waits there.
fn is_fixed(held: &Held) -> bool {
    held.socket.port_choice == Some(PortChoice::Fixed) && held.socket.peer.is_none()
}

fn circumstances(sockets: &[&Held], inside: &[&Held]) -> Circumstances {
    let count = |wanted: &dyn Fn(&Held) -> bool| inside.iter().filter(|held| wanted(held)).count();
    let fixed = sockets.iter().filter(|held| is_fixed(held));
    let fixed: PortSet =
        fixed.filter_map(|held| held.socket.local_port()).map(PortRange::from).collect();
    Circumstances {
        fixed,
        close_wait: count(&|held| held.socket.state == State::CloseWait),
        orphans: count(&|held| held.socket.state == State::FinWait2 && held.socket.inode == 0),
    }
}

fn states(inside: &[&Held]) -> Vec<(State, usize)> {
    let mut counts: BTreeMap<State, usize> = BTreeMap::new();
    for held in inside.iter().filter(|held| held.socket.transport == SocketTransport::Tcp) {
        *counts.entry(held.socket.state).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(state, count)| (Reverse(*count), *state));
    counts
}

fn holders<'a>(inside: &[&'a Held], table: &'a SocketTable) -> Vec<Holding<'a>> {
    type Key = (Option<u32>, Option<u8>);
    let mut found: BTreeMap<Key, (Holding<'a>, HashSet<(SocketTransport, Port)>)> = BTreeMap::new();
    for held in inside {
        let process = table.owners(held).next();
        let unowned = held.unowned.filter(|_| process.is_none());
        let key = (process.map(|p| p.pid), unowned.map(|u| u as u8));
        let (_, ports) = found.entry(key).or_insert_with(|| {
            (Holding { process, unowned, example: held, ports: 0 }, HashSet::new())
        });
        ports.extend(held.socket.local_port().map(|port| (held.socket.transport, port)));
    }
    let counted = found.into_values();
    let mut holders: Vec<_> =
        counted.map(|(holding, ports)| Holding { ports: ports.len(), ..holding }).collect();
    holders.sort_by_key(|holding| Reverse(holding.ports));
    holders
}
