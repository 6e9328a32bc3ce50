//! Where numbers may be taken from: the range, and what in it is out of the question here.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use portolan_core::inventory::{Declared, Inventory, Pool};
use portolan_core::net::{Gap, Port, PortRange, PortSet, TransportSet, Why, nearest};
use portolan_core::reach;
use portolan_core::socket::choose::{self, Exclusion, Exclusions};
use portolan_core::socket::{Machine, Socket, StateSet};
use portolan_host::sockets::{self, InetFamily, Query};
use portolan_host::{containers, machine, namespace};
use rustix::process::geteuid;

use super::standing::socket_transport;
use super::{Assigned, Place, Request};
use crate::fault::Fault;
use crate::ops::firewall::source;
use crate::ops::inventory::{consult, require};
use crate::ops::registry;

/// Where numbers are taken from.
#[derive(Debug)]
pub(super) struct Area {
    /// The range.
    pub(super) range: PortRange,
    /// What is out of the question before sockets and leases are looked at.
    pub(super) exclusions: Exclusions,
    /// The numbers some socket of the asked transports uses, in whatever state.
    pub(super) in_use: PortSet,
    /// How long a lease from the pool lasts.
    pub(super) default_ttl: Option<Duration>,
}

impl Area {
    /// Looks at the machine, the inventory and the registry.
    pub(super) fn of(request: &Request, gaps: &mut Vec<Gap>) -> Result<Self> {
        let machine = machine::read().into_value(gaps);
        let declared = Inventoried::of(request, &machine, gaps)?;
        let range = match (&request.place, request.near) {
            (Place::Range(range), _) => *range,
            (Place::Pool(_), _) => declared.pool,
            (Place::Usual, None) => choose::usual_range(),
            (Place::Usual, Some(_)) => unprivileged(&machine),
        };
        let set_aside = matches!(request.place, Place::Pool(_)).then_some(range);
        let mut exclusions = choose::of_kernel(&machine.ports, set_aside);
        exclusions.add_port(Exclusion::Refused, Port(0));
        if !geteuid().is_root() {
            exclusions.add(Exclusion::Privileged, &below(machine.ports.unprivileged_start));
        }
        if request.assigned == Assigned::Kept {
            exclusions.add(Exclusion::Assigned, &assigned(range, request.transports, gaps));
        }
        exclusions.add(Exclusion::BlockedByBrowsers, &choose::blocked_by_browsers());
        // Whoever names a range or a pool inside theirs means it.
        let node_ports = choose::node_ports();
        let inside = node_ports.contains(range.first()) && node_ports.contains(range.last());
        if !inside || request.place == Place::Usual {
            exclusions.add(Exclusion::NodePort, &PortSet::from_iter([node_ports]));
        }
        exclusions.add(Exclusion::Inventory, &declared.ports);
        exclusions.add(Exclusion::Translated, &translated(request.transports, gaps));
        let in_use = in_use(request.transports, &machine, gaps);
        Ok(Self { range, exclusions, in_use, default_ttl: declared.default_ttl })
    }
}

/// What the inventory says of numbers.
struct Inventoried {
    /// Those that are declared on this host, or on any where this one is not in it.
    ports: PortSet,
    /// The asked pool's range.
    pool: PortRange,
    /// Its leases' length.
    default_ttl: Option<Duration>,
}

impl Inventoried {
    fn of(request: &Request, machine: &Machine, gaps: &mut Vec<Gap>) -> Result<Self> {
        let Place::Pool(name) = &request.place else {
            let loaded = consult(&request.asked)?.into_value(gaps);
            let ports = loaded.map(|l| declared(&l.inventory, machine, request, None));
            let ports = ports.transpose()?.unwrap_or_default();
            return Ok(Self { ports, pool: PortRange::ALL, default_ttl: None });
        };
        let inventory = require(&request.asked)?.inventory;
        let pool = inventory.pool(name).ok_or_else(|| no_pool(name, &inventory))?;
        Ok(Self {
            ports: declared(&inventory, machine, request, Some(pool))?,
            pool: pool.range,
            default_ttl: pool.default_ttl.and_then(|ttl| Duration::try_from(ttl).ok()),
        })
    }
}

/// The ports declared on this host but for those of `pool`; on every host where this one is not in
/// the inventory.
fn declared(
    inventory: &Inventory,
    machine: &Machine,
    request: &Request,
    pool: Option<&Pool>,
) -> Result<PortSet> {
    let hosts: Vec<_> = match inventory.identify(machine, request.asked.host.as_deref()) {
        Ok(host) => vec![host],
        Err(error) if request.asked.host.is_some() => {
            return Err(Fault::new(error.to_string(), error.hint()));
        }
        Err(_) => inventory.hosts.iter().collect(),
    };
    let all = hosts.iter().flat_map(|host| inventory.declared_on(host));
    let others =
        all.filter(|d| !matches!(d, Declared::Pool(p) if Some(&p.name) == pool.map(|p| &p.name)));
    let pairs = others.flat_map(Declared::pairs);
    Ok(pairs.filter(|(_, t)| request.transports.contains(*t)).map(|(range, _)| range).collect())
}

fn no_pool(name: &str, inventory: &Inventory) -> anyhow::Error {
    let names = inventory.pools.iter().map(|pool| pool.name.as_str());
    let hint = match nearest(name, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "declare it in the inventory: [pools.NAME] range = \"8000-8099\"".to_owned(),
    };
    Fault::new(format!("the inventory has no pool `{name}`"), hint)
}

fn unprivileged(machine: &Machine) -> PortRange {
    let first = machine.ports.unprivileged_start.max(Port(1024));
    PortRange::new(first, Port::MAX).unwrap_or(PortRange::ALL)
}

fn below(port: Port) -> PortSet {
    (0..port.0).map(|number| PortRange::from(Port(number))).collect()
}

fn assigned(range: PortRange, transports: TransportSet, gaps: &mut Vec<Gap>) -> PortSet {
    registry::load().into_value(gaps).assigned(range, transports)
}

/// Numbers that NAT rules name or containers publish, those of stopped ones too: they will ask for
/// them when they are started.
fn translated(transports: TransportSet, gaps: &mut Vec<Gap>) -> PortSet {
    let mut ports = PortSet::new();
    if geteuid().is_root() {
        if let Some(rules) = source::consult(RULES, gaps) {
            transports.iter().for_each(|t| ports.union_with(&reach::named_ports(&rules, t)));
        }
    } else {
        gaps.push(Gap::aside(RULES, Why::NotPermitted, "run with sudo"));
    }
    // Asking takes time, and without a daemon there is nobody to ask. What podman runs has sockets.
    if Path::new(DOCKER).exists() {
        let runtimes = containers::read().into_value(gaps);
        let published = runtimes.iter().flat_map(|r| &r.containers).flat_map(|c| &c.published);
        let asked = published.filter(|p| transports.contains(p.transport));
        asked.for_each(|p| ports.insert_range(p.ports));
    }
    ports
}

const RULES: &str = "NAT rules";
const DOCKER: &str = "/run/docker.sock";

fn in_use(transports: TransportSet, machine: &Machine, gaps: &mut Vec<Gap>) -> PortSet {
    let query = Query {
        transports: transports.iter().map(socket_transport).collect(),
        families: vec![InetFamily::V4, InetFamily::V6],
        states: StateSet::ALL,
        choice_of: StateSet::NONE,
        ephemeral: machine.ports.ephemeral,
        netns: namespace::network().inode,
        elsewhere: Vec::new(),
    };
    let sockets = sockets::read(&query).into_value(gaps);
    sockets.iter().filter_map(Socket::local_port).map(PortRange::from).collect()
}
