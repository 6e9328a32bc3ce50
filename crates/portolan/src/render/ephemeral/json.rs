//! The report for programs: one object a network namespace.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use portolan_core::net::Gap;
use portolan_core::registry::Registry;
use portolan_core::socket::ephemeral::{Destination, Fill, TRANSPORTS};
use portolan_core::socket::{Held, SocketTable};
use serde::Serialize;

use super::advice::words;
use crate::ops::ephemeral::{Holding, Report};
use crate::render::json::Document;
use crate::render::namespace::NetnsJson;
use crate::render::owner::{CommandLines, ContainerJson, OwnerJson, owners_json};
use crate::render::screen::Screen;
use crate::render::socket::gap_word;

/// Prints the reports as one document.
pub(crate) fn json(
    screen: &mut Screen,
    reports: &[Report<'_>],
    table: &SocketTable,
    registry: &Registry,
    gaps: &[Gap],
) -> Result<()> {
    use std::io::Write as _;
    let namespaces = reports.iter().map(|r| NamespaceJson::new(r, table, registry)).collect();
    screen.json(&Document::new("ephemeral", Body { namespaces }, gaps))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body<'a> {
    namespaces: Vec<NamespaceJson<'a>>,
}

#[derive(Serialize)]
struct NamespaceJson<'a> {
    netns: NetnsJson<'a>,
    own: bool,
    range: RangeJson,
    /// Ports of the range that are never handed out.
    reserved: usize,
    usable: usize,
    /// What is left where it is tightest.
    tightest: FillJson,
    tcp_states: BTreeMap<&'static str, usize>,
    /// TCP ports that a bind() holds: lost to every connect().
    bound: usize,
    likely_bound: usize,
    destinations: Vec<DestinationJson<'a>>,
    /// What `bind(address, 0)` has left.
    addresses: Vec<AddressJson>,
    holders: Vec<HolderJson<'a>>,
    fixed: Vec<FixedJson<'a>>,
    settings: BTreeMap<&'static str, String>,
    advice: Vec<AdviceJson>,
}

impl<'a> NamespaceJson<'a> {
    fn new(report: &'a Report<'a>, table: &'a SocketTable, registry: &'a Registry) -> Self {
        let usage = &report.usage;
        let destinations = usage.destinations().iter();
        let states = report.states.iter().map(|(state, count)| (state.as_str(), *count));
        Self {
            netns: NetnsJson::of(report.netns.inode, table),
            own: report.is_own,
            range: RangeJson {
                first: report.ports.ephemeral.first().0,
                last: report.ports.ephemeral.last().0,
            },
            reserved: report.ports.ephemeral.len() - usage.usable(),
            usable: usage.usable(),
            tightest: usage.tightest().into(),
            tcp_states: states.collect(),
            bound: usage.bound().len(),
            likely_bound: usage.likely_bound(),
            destinations: destinations.map(|d| DestinationJson::new(d, report, registry)).collect(),
            addresses: addresses(report),
            holders: report.holders.iter().map(|h| HolderJson::new(h, table)).collect(),
            fixed: report.fixed.iter().map(|held| FixedJson::new(held, table)).collect(),
            settings: settings(report),
            advice: report.advice.iter().map(|a| AdviceJson::from(words(a, report))).collect(),
        }
    }
}

fn addresses(report: &Report<'_>) -> Vec<AddressJson> {
    let of = |transport| report.usage.addresses(transport).into_iter().map(move |a| (transport, a));
    TRANSPORTS
        .into_iter()
        .flat_map(of)
        .map(|(transport, (address, fill))| AddressJson {
            transport: transport.as_str(),
            address,
            fill: fill.into(),
        })
        .collect()
}

/// The settings that matter here, as the kernel has them.
fn settings(report: &Report<'_>) -> BTreeMap<&'static str, String> {
    let (ports, closing) = (&report.ports, &report.closing);
    let range = format!("{} {}", ports.ephemeral.first(), ports.ephemeral.last());
    BTreeMap::from([
        ("net.ipv4.ip_local_port_range", range),
        ("net.ipv4.ip_local_reserved_ports", ports.reserved.to_string()),
        ("net.ipv4.ip_unprivileged_port_start", ports.unprivileged_start.to_string()),
        ("net.ipv4.tcp_tw_reuse", closing.reuse.policy.number().to_string()),
        ("net.ipv4.tcp_tw_reuse_delay", closing.reuse.after.as_millis().to_string()),
        ("net.ipv4.tcp_timestamps", u8::from(closing.reuse.timestamps).to_string()),
        ("net.ipv4.tcp_fin_timeout", closing.fin_timeout.as_secs().to_string()),
    ])
}

#[derive(Serialize)]
struct RangeJson {
    first: u16,
    last: u16,
}

#[derive(Serialize)]
struct FillJson {
    used: usize,
    usable: usize,
    percent: u8,
    full: bool,
}

impl From<Fill> for FillJson {
    fn from(fill: Fill) -> Self {
        let Fill { used, usable } = fill;
        Self { used, usable, percent: fill.percent(), full: fill.is_full() }
    }
}

#[derive(Serialize)]
struct DestinationJson<'a> {
    source: IpAddr,
    address: IpAddr,
    port: u16,
    service: Option<&'a str>,
    #[serde(flatten)]
    fill: FillJson,
    live: usize,
    time_wait: usize,
    /// Of those, how many a new connection may follow at once.
    time_wait_reusable: usize,
    /// When the first and the last of them end.
    first_end_ms: Option<u64>,
    last_end_ms: Option<u64>,
}

impl<'a> DestinationJson<'a> {
    fn new(destination: &Destination, report: &Report<'_>, registry: &'a Registry) -> Self {
        let peer = destination.peer;
        let transport = portolan_core::net::Transport::Tcp;
        Self {
            source: destination.source,
            address: peer.address,
            port: peer.port.0,
            service: registry.service_name(peer.port, transport),
            fill: report.usage.toward(destination).into(),
            live: destination.live,
            time_wait: destination.time_wait,
            time_wait_reusable: destination.reusable,
            first_end_ms: destination.first_end.and_then(milliseconds),
            last_end_ms: destination.last_end.and_then(milliseconds),
        }
    }
}

fn milliseconds(time: Duration) -> Option<u64> {
    time.as_millis().try_into().ok()
}

#[derive(Serialize)]
struct AddressJson {
    transport: &'static str,
    address: IpAddr,
    #[serde(flatten)]
    fill: FillJson,
}

#[derive(Serialize)]
struct HolderJson<'a> {
    pid: Option<u32>,
    process: Option<&'a str>,
    user: Option<&'a str>,
    unit: Option<&'a str>,
    container: Option<ContainerJson<'a>>,
    owner_gap: Option<&'static str>,
    ports: usize,
}

impl<'a> HolderJson<'a> {
    fn new(holding: &Holding<'a>, table: &'a SocketTable) -> Self {
        Self {
            pid: holding.process.map(|p| p.pid),
            process: holding.process.map(|p| &*p.name),
            user: holding.process.and_then(|p| p.user.as_deref()),
            unit: table.unit(holding.example),
            container: table.container(holding.example).map(ContainerJson::from),
            owner_gap: holding.unowned.and_then(gap_word),
            ports: holding.ports,
        }
    }
}

#[derive(Serialize)]
struct FixedJson<'a> {
    transport: &'static str,
    address: Option<IpAddr>,
    port: Option<u16>,
    owners: Vec<OwnerJson<'a>>,
}

impl<'a> FixedJson<'a> {
    fn new(held: &'a Held, table: &'a SocketTable) -> Self {
        let local = held.socket.local_endpoint();
        Self {
            transport: held.socket.transport.as_str(),
            address: local.map(|e| e.address),
            port: local.map(|e| e.port.0),
            owners: owners_json(table, held, CommandLines::Hidden),
        }
    }
}

#[derive(Serialize)]
struct AdviceJson {
    code: &'static str,
    why: String,
    command: Option<String>,
}

impl From<super::advice::Words> for AdviceJson {
    fn from(words: super::advice::Words) -> Self {
        Self { code: words.code, why: words.why, command: words.command }
    }
}
