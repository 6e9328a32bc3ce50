//! The other end of a row: what a host with `egress = "drop"` may open connections to.
//!
//! One fact, two uses: the host that `from` names may also leave for there. A network in `from`
//! names no host, so that "anybody may come" does not mean "everybody may leave". `needs` adds what
//! is outside the inventory.

use crate::inventory::{
    Declared, FirewallDefault, Forward, ForwardTarget, ForwardVia, Host, Inventory, Need, Service,
    Status,
};

use super::{Row, Traffic, traffic, traffic_of};

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
pub(super) fn rows<'a>(inventory: &'a Inventory, declared: &[Row<'a>]) -> Vec<Outgoing<'a>> {
    let closed = |h: &&Host| h.firewall.egress == FirewallDefault::Drop;
    let mut rows: Vec<Outgoing<'a>> = Vec::new();
    for host in inventory.hosts.iter().filter(closed) {
        rows.extend(named_in_from(inventory, declared, host));
        rows.extend(needed(inventory, host));
        rows.extend(handed_on(inventory, host));
    }
    rows.sort_by(|a, b| a.key().cmp(&b.key()));
    rows.dedup_by(|later, first| later.key() == first.key());
    rows
}

impl Outgoing<'_> {
    fn key(&self) -> (&str, &str, Traffic<'_>) {
        (&self.host.name, &self.to, self.traffic)
    }
}

fn named_in_from<'a>(
    inventory: &'a Inventory,
    declared: &[Row<'a>],
    host: &'a Host,
) -> Vec<Outgoing<'a>> {
    let names = |row: &&Row<'a>| {
        let mut sources = row.from.iter().flat_map(|o| inventory.hosts_named_by(&o.source));
        row.is_compiled() && row.host != host && sources.any(|h| h == host)
    };
    let row = |row: &Row<'a>| Outgoing {
        host,
        to: row.host.name.clone(),
        traffic: row.traffic,
        reason: Reason::From(row.subject.name()),
    };
    declared.iter().filter(names).map(row).collect()
}

fn needed<'a>(inventory: &'a Inventory, host: &'a Host) -> Vec<Outgoing<'a>> {
    let here = |d: &Declared<'a>| match d {
        Declared::Service(service) if service.status == Status::Active => Some(*service),
        _ => None,
    };
    let services: Vec<&Service> = inventory.declared_on(host).iter().filter_map(here).collect();
    let mut rows = Vec::new();
    for service in services {
        for need in &service.needs {
            let targets = targets_of(inventory, &need.value).into_iter();
            rows.extend(targets.filter(|(to, _)| **to != host.name).map(|(to, traffic)| {
                let reason = Reason::NeededBy(service);
                Outgoing { host, to: to.to_owned(), traffic, reason }
            }));
        }
    }
    rows
}

fn targets_of<'a>(inventory: &'a Inventory, need: &'a Need) -> Vec<(&'a str, Traffic<'a>)> {
    match need {
        Need::Endpoint { target, port } => {
            traffic_of(port).into_iter().map(|traffic| (target.as_str(), traffic)).collect()
        }
        Need::Service { name, host: on } => {
            let Some(service) = inventory.service(name) else { return Vec::new() };
            let hosts = inventory.hosts_on(&service.on).into_iter();
            let hosts = hosts.filter(|h| on.as_ref().is_none_or(|on| *on == h.name));
            hosts
                .flat_map(|h| traffic(service.ports.iter()).map(|t| (h.name.as_str(), t)))
                .collect()
        }
    }
}

/// A proxy's own connections to a target that is no service of the inventory.
fn handed_on<'a>(inventory: &'a Inventory, host: &'a Host) -> Vec<Outgoing<'a>> {
    let mut rows = Vec::new();
    for forward in &inventory.forwards {
        let ForwardTarget::Endpoint(to) = &forward.to.value else { continue };
        if forward.via != ForwardVia::Proxy || !host.is_meant_by(&forward.on) {
            continue;
        }
        rows.extend(forward.listen.value.pairs().map(|(_, transport)| Outgoing {
            host,
            to: to.address.to_string(),
            traffic: Traffic::Ports { range: to.port.into(), transport },
            reason: Reason::Forward(forward),
        }));
    }
    rows
}
