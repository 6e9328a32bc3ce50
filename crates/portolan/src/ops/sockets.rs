//! The sockets of this machine and who holds them.

use std::collections::HashSet;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;

use anyhow::Result;
use portolan_core::net::Observed;
use portolan_core::registry::Registry;
use portolan_core::socket::filter::{Filter, Names};
use portolan_core::socket::{Backlog, Held, SocketTable, SocketTransport, State, StateSet};
use portolan_host::namespace::Place;
use portolan_host::owners::{Choice, Search, Unavailable};
use portolan_host::processes::Details;
use portolan_host::sockets::{self, InetFamily, Query};
use portolan_host::{cgroups, machine, namespace};

use crate::fault::{Fault, Hinted as _};

/// Which sockets are asked for, and how much of them.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The transports.
    pub(crate) transports: Vec<SocketTransport>,
    /// The IP families.
    pub(crate) families: Vec<InetFamily>,
    /// The states.
    pub(crate) states: StateSet,
    /// In which states to find out who chose the port.
    pub(crate) choice_of: StateSet,
    /// How much of each owner.
    pub(crate) details: Details,
    /// Which engine is to find owners.
    pub(crate) engine: Choice,
    /// Which of them to keep; owners are looked for only for those.
    pub(crate) filter: Filter,
    /// In which network namespaces.
    pub(crate) namespaces: Namespaces,
}

/// Which network namespaces are looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Namespaces {
    /// The one this process lives in: what a machine offers to others.
    Own,
    /// Every one that can be found.
    All,
}

impl From<bool> for Namespaces {
    /// From the flag `--all-netns`.
    fn from(all: bool) -> Self {
        if all { Self::All } else { Self::Own }
    }
}

impl Request {
    /// Everything with a port that waits for others, who holds it and who chose its port.
    pub(crate) fn listeners(details: Details) -> Self {
        Self {
            transports: WITH_PORTS.to_vec(),
            families: vec![InetFamily::V4, InetFamily::V6],
            states: StateSet::LISTENING,
            choice_of: StateSet::LISTENING | StateSet::of(State::Bound),
            details,
            engine: Choice::Auto,
            filter: Filter::default(),
            namespaces: Namespaces::Own,
        }
    }

    /// Everything with a port in every state, sockets bound without listening among them.
    pub(crate) fn every_state(details: Details) -> Self {
        Self { states: StateSet::ALL, ..Self::listeners(details) }
    }
}

/// The transports with ports, in the order of `ss`.
pub(crate) const WITH_PORTS: [SocketTransport; 4] =
    [SocketTransport::Tcp, SocketTransport::Udp, SocketTransport::UdpLite, SocketTransport::Sctp];

/// Reads what is asked for.
///
/// # Errors
/// When an engine was asked for that does not run here; what cannot be seen is a gap.
pub(crate) fn observe(request: &Request) -> Result<Observed<SocketTable>> {
    let mut gaps = Vec::new();
    let places = places(request.namespaces);
    let may_lack_namespaces = places.is_partial();
    let places = places.into_value(&mut gaps);
    let (own, elsewhere): (Vec<_>, Vec<_>) = places.into_iter().partition(Place::is_own);
    let netns = own.into_iter().next().map_or_else(namespace::network, |place| place.netns);
    let query = Query {
        transports: request.transports.clone(),
        families: request.families.clone(),
        states: request.states,
        choice_of: request.choice_of,
        ephemeral: machine::local_ports().into_value(&mut gaps).ephemeral,
        netns: netns.inode,
        elsewhere,
    };
    let search = Search::begin(&query, request.engine);
    let read = sockets::read(&query);
    let may_lack_sockets = read.is_partial();
    let mut sockets = read.into_value(&mut gaps);
    if !request.filter.is_empty() {
        sockets.retain(|socket| request.filter.matches(socket));
    }
    let attached = search.attach(sockets, &query, request.details);
    let hint = attached.as_ref().err().map_or("", Unavailable::hint);
    let attached = attached.hinted("find owners with the bpf engine", hint)?;
    let mut table = attached.into_value(&mut gaps);
    table.namespaces = std::iter::once(netns)
        .chain(query.elsewhere.iter().map(|place| place.netns.clone()))
        .collect();
    ask_for_full_queues(&mut table, &query.elsewhere);
    table.may_lack_sockets = may_lack_sockets || may_lack_namespaces;
    Ok(Observed { value: table, gaps })
}

fn places(namespaces: Namespaces) -> Observed<Vec<Place>> {
    match namespaces {
        Namespaces::Own => Observed::whole(Vec::new()),
        Namespaces::All => namespace::all(),
    }
}

/// Where an accept queue is full, finds out how many connections were turned away.
fn ask_for_full_queues(table: &mut SocketTable, elsewhere: &[Place]) {
    let is_full = |held: &&Held| held.socket.backlog.is_some_and(Backlog::is_full);
    let full = table.sockets.iter().filter(is_full).map(|held| held.socket.netns);
    for inode in full.collect::<HashSet<_>>() {
        let Some(netns) = table.namespaces.iter_mut().find(|n| n.inode == inode) else { continue };
        let place = elsewhere.iter().find(|place| place.netns.inode == inode);
        netns.turned_away = match place {
            None => machine::turned_away(),
            Some(place) => place.enter(machine::turned_away).ok().flatten(),
        };
    }
}

/// Reads a filter in the language of ss; names are those of this machine.
///
/// # Errors
/// What is wrong with it, with its place.
pub(crate) fn filter(words: &[String], registry: &Registry) -> Result<Filter> {
    let names = Names {
        port: &|name| registry.by_name(name).first().and_then(|a| a.port),
        host: &|name| addresses(name),
        device: &|name| device(name),
        cgroup: &|path| cgroups::id(path),
    };
    Filter::parse(words, &names).map_err(|error| {
        let hint = error.hint().unwrap_or_else(|| EXAMPLE.to_owned());
        Fault::new(format!("filter `{}`: {error}", error.text), hint)
    })
}

fn addresses(name: &str) -> Vec<IpAddr> {
    let found = (name, 0).to_socket_addrs();
    found.map(|all| all.map(|socket| socket.ip()).collect()).unwrap_or_default()
}

/// The interface with a name or an index.
fn device(name: &str) -> Option<Arc<str>> {
    let interfaces = machine::interfaces().ok()?;
    let index = name.parse().ok();
    let mut named = interfaces.into_iter().filter(|(i, n)| n == name || Some(*i) == index);
    named.next().map(|(_, name)| name.into())
}

const EXAMPLE: &str = "for example: state established ( sport = :22 or dst 10.0.0.0/8 )";
