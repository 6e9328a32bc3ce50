//! The other end of a row: what a host with `egress = "drop"` may open connections to.
//!
//! One fact, two uses: the host that `from` names may also leave for there. A network in `from`
//! names no host, so that "anybody may come" does not mean "everybody may leave". `needs` adds what
//! is outside the inventory.

use crate::inventory::index::Index;
use crate::inventory::{
    FirewallDefault, Forward, ForwardTarget, ForwardVia, Host, Inventory, Need, Service, Status,
};

use super::{Row, Traffic, hosts_named_by, traffic, traffic_of};

/// Something a host may reach, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// The machine that leaves.
    pub host: &'a Host,
    /// Where to: a host's name, or what `needs` says.
    pub to: String,
    /// The port or protocol there.
    pub traffic: Traffic<'a>,
    /// Why.
    pub reason: Reason<'a>,
}

/// Why a host may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason<'a> {
    /// The `from` of this service, forward or door names it, or implies it.
    From(&'a str),
    /// A service on it needs this.
    NeededBy(&'a Service),
    /// A forward on it hands on to this.
    Forward(&'a Forward),
}

/// What every host that drops what it sends may reach, by host, target and port.
pub(super) fn rows<'a>(
    inventory: &'a Inventory,
    index: &Index<'a>,
    declared: &[Row<'a>],
) -> Vec<Outgoing<'a>> {
    let mut rows = named_in_from(index, declared);
    rows.extend(needed(inventory, index));
    rows.extend(handed_on(inventory, index));
    rows.sort_by(|a, b| a.key().cmp(&b.key()));
    rows.dedup_by(|later, first| later.key() == first.key());
    rows
}

impl Outgoing<'_> {
    fn key(&self) -> (&str, &str, Traffic<'_>) {
        (&self.host.name, &self.to, self.traffic)
    }
}

/// The hosts that `from` names, in the order of the rows.
fn named_in_from<'a>(index: &Index<'a>, declared: &[Row<'a>]) -> Vec<Outgoing<'a>> {
    let mut rows = Vec::new();
    for row in declared.iter().filter(|row| row.is_compiled()) {
        let named = row.from.iter().flat_map(|o| hosts_named_by(index, &o.source));
        // Most hosts are open, and a row for each of them would only be thrown away.
        let closed = named.filter(|host| is_closed(host) && host.name != row.host.name);
        rows.extend(closed.map(|host| Outgoing {
            host,
            to: row.host.name.clone(),
            traffic: row.traffic,
            reason: Reason::From(row.subject.name()),
        }));
    }
    rows
}

fn is_closed(host: &Host) -> bool {
    host.firewall.egress == FirewallDefault::Drop
}

fn needed<'a>(inventory: &'a Inventory, index: &Index<'a>) -> Vec<Outgoing<'a>> {
    let mut rows = Vec::new();
    let active = |s: &&Service| s.status == Status::Active && !s.needs.is_empty();
    for service in inventory.services.iter().filter(active) {
        let hosts = index.hosts_on(&service.on).into_iter();
        for host in hosts.filter(|host| is_closed(host)) {
            for need in &service.needs {
                let targets = targets_of(index, &need.value).into_iter();
                rows.extend(targets.filter(|(to, _)| **to != host.name).map(|(to, traffic)| {
                    let reason = Reason::NeededBy(service);
                    Outgoing { host, to: to.to_owned(), traffic, reason }
                }));
            }
        }
    }
    rows
}

fn targets_of<'a>(index: &Index<'a>, need: &'a Need) -> Vec<(&'a str, Traffic<'a>)> {
    match need {
        Need::Endpoint { target, port } => {
            traffic_of(port).into_iter().map(|traffic| (target.as_str(), traffic)).collect()
        }
        Need::Service { name, host: on } => {
            let Some(service) = index.service(name) else { return Vec::new() };
            let hosts = index.hosts_on(&service.on).into_iter();
            let hosts = hosts.filter(|h| on.as_ref().is_none_or(|on| *on == h.name));
            hosts
                .flat_map(|h| traffic(service.ports.iter()).map(|t| (h.name.as_str(), t)))
                .collect()
        }
    }
}

/// A proxy's own connections to a target that is no service of the inventory.
fn handed_on<'a>(inventory: &'a Inventory, index: &Index<'a>) -> Vec<Outgoing<'a>> {
    let mut rows = Vec::new();
    for forward in inventory.forwards.iter().filter(|f| f.via == ForwardVia::Proxy) {
        let ForwardTarget::Endpoint(to) = &forward.to.value else { continue };
        let hosts = index.hosts_on(&forward.on).into_iter();
        for host in hosts.filter(|host| is_closed(host)) {
            rows.extend(forward.listen.value.pairs().map(|(_, transport)| Outgoing {
                host,
                to: to.address.to_string(),
                traffic: Traffic::Ports { range: to.port.into(), transport },
                reason: Reason::Forward(forward),
            }));
        }
    }
    rows
}
