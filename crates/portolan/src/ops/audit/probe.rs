//! What the inventory's other hosts answer to this one: their declared ports, asked over the wire.
//!
//! Hosts that are asked for the same ports share a scan, and a few scans run at a time, so that one
//! host that drops everything does not keep the others waiting.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Mutex;
use std::thread;

use anyhow::Result;
use portolan_core::audit::{self, Asked, Sight};
use portolan_core::inventory::{Host, Inventory};
use portolan_core::net::{Gap, Observed, Port, Transport, Why};
use portolan_core::scan::{Event, Pace, Plan, Positions, Progress, Record, Scan};
use portolan_core::socket::Machine;
use portolan_core::wire::route::{Route, RouteQuestion};
use portolan_host::clock::Stopwatch;
use portolan_host::probe::driver::{self, Go, Watcher};
use portolan_host::route::Routing;

use crate::fault::Fault;
use crate::ops::scan::{self, EngineKind};

/// What was asked, and what was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Probed {
    /// How many hosts were asked.
    pub(crate) hosts: usize,
    /// How many pairs of address and port.
    pub(crate) ports: usize,
    /// By which engine; `None` where nothing was asked.
    pub(crate) engine: Option<EngineKind>,
    /// From which addresses of this machine.
    pub(crate) from: Vec<IpAddr>,
    /// What was seen.
    pub(crate) sights: Vec<Sight>,
}

/// Asks the ports that the inventory declares on `hosts`, but for `here` itself.
///
/// # Errors
/// When no probe can be sent at all.
pub(super) fn look(
    inventory: &Inventory,
    here: Option<&Host>,
    hosts: &[&Host],
    machine: &Machine,
) -> Result<Observed<Probed>> {
    let mut gaps = Vec::new();
    let asked = audit::ask(inventory, here, hosts).into_value(&mut gaps);
    let ways = ways(&asked, &mut gaps);
    let groups = groups(&asked, &ways);
    let wanted: usize = groups.iter().map(|g| g.addresses.len() * g.ports.len()).sum();
    let (records, engine) = scan_all(groups, machine)?;
    let missing = wanted.saturating_sub(records.len());
    if missing > 0 {
        gaps.push(Gap::new(
            format!("{missing} ports of other hosts"),
            Why::TimedOut,
            "run it again",
        ));
    }
    let named = by_address(&asked);
    let mut sights: Vec<Sight> = records
        .iter()
        .filter_map(|record| {
            Some((record, named.get(&record.address)?, ways.get(&record.address)?))
        })
        .flat_map(|(record, hosts, from)| {
            let asked = hosts.iter().filter(|a| a.ports.contains(&(record.port, record.transport)));
            asked.map(|a| Sight { host: a.host.name.clone(), from: *from, record: record.clone() })
        })
        .collect();
    sights.sort_by_key(|s| (s.record.transport, s.record.port, s.record.address));
    let mut from: Vec<IpAddr> = ways.into_values().collect();
    from.sort_unstable();
    from.dedup();
    let mut seen: Vec<&str> = sights.iter().map(|s| s.host.as_str()).collect();
    seen.sort_unstable();
    seen.dedup();
    let probed = Probed { hosts: seen.len(), ports: records.len(), engine, from, sights };
    Ok(Observed { value: probed, gaps })
}

/// The address of this machine that each target sees; where there is no way, there is none. A host
/// that is left without an address is a gap, one address of several is an aside.
fn ways(asked: &[Asked<'_>], gaps: &mut Vec<Gap>) -> BTreeMap<IpAddr, IpAddr> {
    let mut ways = BTreeMap::new();
    let mut routing = Routing::open();
    for Asked { host, addresses, .. } in asked {
        let mut missing = Vec::new();
        for target in addresses {
            let way = routing.as_mut().ok().and_then(|routing| way(routing, *target));
            match way {
                Some(from) => drop(ways.insert(*target, from)),
                None => missing.push(target.to_string()),
            }
        }
        if !missing.is_empty() {
            let all = missing.len() == addresses.len();
            let what = format!("the ports of {} at {}", host.name, missing.join(", "));
            let hint = "this machine has no route there";
            let why = if all { Why::TimedOut } else { Why::Upstream };
            gaps.push(Gap { what, why, hint: hint.to_owned(), asked: all });
        }
    }
    ways
}

fn way(routing: &mut Routing, target: IpAddr) -> Option<IpAddr> {
    let question = RouteQuestion { target, source: None, interface: None };
    let Route { source, .. } = routing.route(&question).ok()?.ok()?;
    source
}

fn by_address<'a>(asked: &'a [Asked<'a>]) -> BTreeMap<IpAddr, Vec<&'a Asked<'a>>> {
    let mut named: BTreeMap<IpAddr, Vec<&Asked<'_>>> = BTreeMap::new();
    for asked in asked {
        asked.addresses.iter().for_each(|address| named.entry(*address).or_default().push(asked));
    }
    named
}

/// The addresses of one scan, with the ports that all of them are asked for.
#[derive(Debug)]
struct Group {
    addresses: Vec<IpAddr>,
    ports: Vec<(Port, Transport)>,
}

/// An address that two hosts share is asked for the ports of both, once.
fn groups(asked: &[Asked<'_>], ways: &BTreeMap<IpAddr, IpAddr>) -> Vec<Group> {
    let mut of_address: BTreeMap<IpAddr, Vec<(Port, Transport)>> = BTreeMap::new();
    for Asked { addresses, ports, .. } in asked {
        for address in addresses.iter().filter(|a| ways.contains_key(a)) {
            of_address.entry(*address).or_default().extend(ports);
        }
    }
    let mut groups: BTreeMap<Vec<(Port, Transport)>, Vec<IpAddr>> = BTreeMap::new();
    for (address, mut ports) in of_address {
        ports.sort_unstable();
        ports.dedup();
        groups.entry(ports).or_default().push(address);
    }
    groups.into_iter().map(|(ports, addresses)| Group { addresses, ports }).collect()
}

/// What was found, and by which engine.
type Found = (Vec<Record>, Option<EngineKind>);

/// Scans the groups, a few at a time.
fn scan_all(groups: Vec<Group>, machine: &Machine) -> Result<Found> {
    let workers = groups.len().min(AT_A_TIME);
    let left = Mutex::new(groups.into_iter());
    let next = || left.lock().ok()?.next();
    let work = || -> Result<Found> {
        let mut found = Found::default();
        while let Some(group) = next() {
            found.1 = Some(scan(group, machine, &mut found.0)?);
        }
        Ok(found)
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut all = Found::default();
        for worker in running {
            let failed = |_| Fault::new("a scan has failed", "run it again");
            let (records, engine) = worker.join().map_err(failed)??;
            all.0.extend(records);
            all.1 = engine.or(all.1);
        }
        Ok(all)
    })
}

/// One scan, to its end.
fn scan(group: Group, machine: &Machine, records: &mut Vec<Record>) -> Result<EngineKind> {
    let watch = Stopwatch::start();
    let own = |address: &IpAddr| machine.has_address(*address);
    let (mut engine, chosen) = scan::engine(group.addresses.iter().all(own), watch)?;
    let mut scan = Scan::new(Plan {
        targets: group.addresses.into_iter().collect(),
        ports: group.ports,
        seed: 0,
        shard: None,
        pace: Pace {
            on_link: machine.addresses.iter().map(|a| a.network).collect(),
            own: machine.addresses.iter().map(|a| a.address).collect(),
            ceiling: None,
            outstanding: OUTSTANDING,
            budget: None,
        },
        ability: engine.ability(),
        done: Positions::default(),
    });
    driver::run(&mut scan, &mut *engine, watch, &mut Collector(records))?;
    Ok(chosen.kind)
}

/// Keeps what is known of ports.
struct Collector<'a>(&'a mut Vec<Record>);

impl Watcher for Collector<'_> {
    fn event(&mut self, event: Event) -> io::Result<()> {
        if let Event::Port(record) = event {
            self.0.push(record);
        }
        Ok(())
    }

    fn tick(&mut self, _progress: &Progress) -> Go {
        Go::On
    }
}

/// Scans that run together.
const AT_A_TIME: usize = 8;
/// Unanswered probes behind a router, for each scan: a small part of a small router's table.
const OUTSTANDING: usize = 500;
