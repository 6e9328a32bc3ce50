//! Ports of other machines, asked over the wire: what is to be asked, by which engine, and what
//! becomes known, handed on as it comes.

mod engine;
mod journal;
mod sink;
mod tally;
mod targets;
mod watch;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::net::{Gap, Port, Transport, TransportSet};
use portolan_core::registry::{Registry, port_set};
use portolan_core::scan::journal::Header;
use portolan_core::scan::{self, Pace, Plan, Positions, Progress, Scan, Shard, TargetSet};
use portolan_core::socket::InterfaceAddress;
use portolan_host::clock::{self, Stopwatch};
use portolan_host::machine;
use portolan_host::probe::{Engine, driver};

pub(crate) use engine::{Chosen, EngineKind, Wanted};
pub(crate) use sink::Sink;
pub(crate) use tally::{Summary, Tally};

use crate::fault::{Fault, Hinted as _};
use crate::ops::inventory::{self, Asked};
use journal::JournalFile;
use targets::Gathering;
use watch::Watch;

/// What is to be scanned, as it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Targets, as typed.
    pub(crate) targets: Vec<String>,
    /// What of them is left out, as typed.
    pub(crate) exclude: Vec<String>,
    /// Ports, as typed.
    pub(crate) ports: String,
    /// One family only.
    pub(crate) family: Option<Family>,
    /// Probes a second that are never exceeded.
    pub(crate) rate: Option<f64>,
    /// When to stop.
    pub(crate) budget: Option<Duration>,
    /// Unanswered probes behind a router, at most.
    pub(crate) outstanding: usize,
    /// By which engine.
    pub(crate) engine: Wanted,
    /// Through which interface.
    pub(crate) interface: Option<String>,
    /// From which address.
    pub(crate) source: Option<IpAddr>,
    /// What the order is derived from.
    pub(crate) seed: Option<u64>,
    /// Which part of the work is ours.
    pub(crate) shard: Option<Shard>,
    /// Where to remember what is done, and to go on from.
    pub(crate) resume: Option<PathBuf>,
    /// Whether addresses that are nobody's we know may be scanned.
    pub(crate) public: bool,
    /// The inventory that is consulted.
    pub(crate) asked: Asked,
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A scan before its first probe.
#[derive(Debug)]
pub(crate) struct Opening {
    /// How many hosts.
    pub(crate) hosts: u64,
    /// The ports of each.
    pub(crate) ports: Vec<(Port, Transport)>,
    /// The name an address was given by, or has in the inventory.
    pub(crate) names: HashMap<IpAddr, String>,
    /// The hosts, for those who need to say which of them did not answer.
    pub(crate) targets: TargetSet,
    /// Which engine, and why.
    pub(crate) engine: Chosen,
    /// What the order is derived from.
    pub(crate) seed: u64,
    /// Which part of the work it is.
    pub(crate) shard: Option<Shard>,
    /// Ports that an earlier run has done, of all hosts together.
    pub(crate) resumed: u64,
    /// When it begins.
    pub(crate) started: Timestamp,
    /// What could not be seen.
    pub(crate) gaps: Vec<Gap>,
}

impl Opening {
    /// Whether every port of every host is asked by this very run.
    pub(crate) const fn is_whole(&self) -> bool {
        self.shard.is_none() && self.resumed == 0
    }
}

/// A scan that can begin.
pub(crate) struct Ready {
    plan: Plan,
    engine: engine::Boxed,
    journal: Option<JournalFile>,
    watch: Stopwatch,
}

/// Makes a scan ready: everything that can be wrong with it is found out here.
///
/// # Errors
/// Targets or ports that are none, public ones without leave, an engine that is not to be had, a
/// journal of another scan.
pub(crate) fn prepare(request: &Request, registry: &Registry) -> Result<(Opening, Ready)> {
    let mut gaps = Vec::new();
    let ports = ports(&request.ports, registry)?;
    let loaded = inventory::consult(&request.asked)?.into_value(&mut gaps);
    let inventory = loaded.as_ref().map(|l| &l.inventory);
    let addresses = machine::addresses().unwrap_or_default();
    let found = Gathering::new(inventory, &addresses, request.family).gather(request)?;
    gaps.extend(found.gaps);
    let targets = found.targets;
    bounded(&targets, ports.len())?;
    if !request.public {
        targets::refuse_public(&targets, inventory, &addresses)?;
    }
    let watch = Stopwatch::start();
    let needs = engine::Needs {
        wanted: request.engine,
        interface: found.interface,
        source: request.source,
        only_own: targets::only_own(&targets, &addresses),
    };
    let (engine, chosen) = engine::open(&needs, watch)?;
    let shown = port_set_text(&request.ports, registry)?;
    let header = |seed| Header {
        seed,
        shard: request.shard,
        hosts: targets.len(),
        targets: targets.digest(),
        ports: shown,
    };
    let (journal, seed, done) = journal::open(request, header)?;
    let plan = Plan {
        targets: targets.clone(),
        ports: ports.clone(),
        seed,
        shard: request.shard,
        pace: pace(request, addresses),
        ability: engine.ability(),
        done: done.clone(),
    };
    let opening = Opening {
        hosts: targets.len(),
        ports,
        names: found.names,
        targets,
        engine: chosen,
        seed,
        shard: request.shard,
        resumed: done.len(),
        started: clock::now(),
        gaps,
    };
    Ok((opening, Ready { plan, engine, journal, watch }))
}

/// The faster engine that runs here, for another question that asks over the wire.
///
/// # Errors
/// When there is none.
pub(in crate::ops) fn engine(
    only_own: bool,
    watch: Stopwatch,
) -> Result<(Box<dyn Engine>, Chosen)> {
    engine::open(
        &engine::Needs { wanted: Wanted::Auto, interface: None, source: None, only_own },
        watch,
    )
}

impl Ready {
    /// Runs it to its end, or until somebody interrupts it.
    ///
    /// # Errors
    /// When the engine fails, or nobody takes what is found.
    pub(crate) fn run(
        mut self,
        sink: &mut dyn Sink,
        meanwhile: &mut dyn FnMut(Option<&Progress>),
    ) -> Result<Summary> {
        let mut watch = Watch::new(sink, self.journal.take(), meanwhile)?;
        watch.begin()?;
        let mut scan = Scan::new(self.plan);
        let ran = driver::run(&mut scan, &mut *self.engine, self.watch, &mut watch);
        let progress = scan.progress(self.watch.now());
        watch.finish(ran, &progress, self.watch.now())
    }
}

fn ports(text: &str, registry: &Registry) -> Result<Vec<(Port, Transport)>> {
    let selection = selection(text, registry)?;
    scan::ports(&selection).hinted("-p", "TCP is meant unless u: stands before: -p 22,443,u:53")
}

fn port_set_text(text: &str, registry: &Registry) -> Result<String> {
    selection(text, registry).map(|s| s.to_string())
}

fn selection(text: &str, registry: &Registry) -> Result<port_set::PortSelection> {
    let tcp = TransportSet::NONE.with(Transport::Tcp);
    port_set::parse(text, tcp, registry).map_err(|e| Fault::new(format!("-p: {e}"), e.hint()))
}

/// More pairs of host and port than this nobody can get through: at a million a second, 12 days.
const MOST_PAIRS: u64 = 1 << 40;

fn bounded(targets: &TargetSet, ports: usize) -> Result<()> {
    let pairs = targets.len().saturating_mul(ports as u64);
    if pairs <= MOST_PAIRS {
        return Ok(());
    }
    let what = format!("{} hosts with {ports} ports each are too many", targets.len());
    Err(Fault::new(what, "name fewer ports, or a smaller network; 2^40 together are the most"))
}

fn pace(request: &Request, addresses: Vec<InterfaceAddress>) -> Pace {
    Pace {
        on_link: addresses.iter().map(|a| a.network).collect(),
        own: addresses.into_iter().map(|a| a.address).collect(),
        ceiling: request.rate,
        outstanding: request.outstanding,
        budget: request.budget,
    }
}

/// What was done before, where nothing was.
fn nothing_done() -> Positions {
    Positions::default()
}
