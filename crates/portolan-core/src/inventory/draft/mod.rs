//! A first inventory, drafted from what is observed.
//!
//! A service a program and exposure, with everything that is known of it and nothing that is not:
//! `status = "observed"` and `purpose = "TODO"`, because finding something approves nothing. Only
//! what somebody chose to open is written: a UDP socket whose number the kernel chose is a client,
//! and a TCP listener whose number the kernel chose becomes an `[[ignore]]` of its program. Names
//! come from running programs, so that none is written unescaped or used as a bare key.

mod exposure;
mod instance;
mod name;
mod program;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::edit::{IgnoreEntry, MatchValue};
use crate::net::{Port, PortRange, PortSet, Scope, Transport, TransportSet};
use crate::registry::Registry;
use crate::socket::{Held, Machine, PortChoice, SocketTable};

use exposure::{Binding, Exposure, Reachable};
use instance::{Instance, Instances};
use name::Names;
use program::Program;

/// What a draft is made of.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// What listens here, with its owners.
    pub sockets: &'a SocketTable,
    /// The machine's names and addresses.
    pub machine: &'a Machine,
    /// What numbers are registered for.
    pub registry: &'a Registry,
    /// Ports that rules send on to others, a container or another machine, and that somebody beyond
    /// this machine reaches: no socket need be there.
    pub sent_on: &'a [(Port, Transport)],
}

/// A first inventory, or what an existing one lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The host's key.
    pub host: String,
    /// The host's table, where the inventory does not have it yet.
    pub table: Option<HostDraft>,
    /// What listens, by port.
    pub services: Vec<ServiceDraft>,
    /// Programs whose ports the kernel chooses.
    pub ignores: Vec<IgnoreEntry>,
}

/// `[hosts.NAME]` of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostDraft {
    /// The full host name, where the key is another.
    pub alias: Option<String>,
    /// Its addresses, without those every machine has.
    pub address: Vec<std::net::IpAddr>,
}

/// `[services.NAME]` of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceDraft {
    /// The key.
    pub name: String,
    /// Its ports.
    pub ports: Vec<(PortRange, TransportSet)>,
    /// What its ports are registered for, those that are.
    pub registered: Vec<(Port, String)>,
    /// Where it is bound, and who could come.
    pub exposure: Exposure,
    /// Who holds it.
    pub program: Program,
}

impl Draft {
    /// A whole inventory of one machine.
    ///
    /// `host` is the key to use instead of the machine's own name.
    #[must_use]
    pub fn of(seen: &Observation<'_>, host: Option<&str>) -> Self {
        let key = host.map_or_else(|| name::of_host(&seen.machine.hostname), str::to_owned);
        let table = HostDraft::of(seen.machine, &key);
        Self { table: Some(table), ..Self::of_new(seen, key, &BTreeSet::new(), |_, _| true) }
    }

    /// What is new on a host that the inventory has: the ports for which `is_new` holds, under
    /// names that are not `taken`.
    #[must_use]
    pub fn of_new(
        seen: &Observation<'_>,
        host: String,
        taken: &BTreeSet<String>,
        is_new: impl Fn(Transport, Port) -> bool,
    ) -> Self {
        let listening = listening(seen.sockets, &is_new);
        let ignores = ignores(seen, &host, &listening);
        let is_sent = |(port, transport): &&(Port, Transport)| is_new(*transport, *port);
        let sent_on = seen.sent_on.iter().filter(is_sent).copied();
        let sent_on: Vec<_> = sent_on.filter(|port| !listening.contains_key(port)).collect();
        let services = services(seen, &listening, &sent_on, taken);
        Self { host, table: None, services, ignores }
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_none() && self.services.is_empty() && self.ignores.is_empty()
    }

    /// How many numbered ports its services have.
    #[must_use]
    pub fn port_count(&self) -> usize {
        let ports = self.services.iter().flat_map(|s| &s.ports);
        ports.map(|(range, transports)| range.len() * transports.iter().count()).sum()
    }

    /// The text of a whole file, as found on `today`.
    #[must_use]
    pub fn file(&self, today: Date) -> String {
        text::file(self, today)
    }

    /// The text to add to a file that is there, as found on `today`.
    #[must_use]
    pub fn addition(&self, today: Date) -> String {
        text::addition(self, today)
    }
}

impl HostDraft {
    /// The host table of a machine under `key`.
    #[must_use]
    pub fn of(machine: &Machine, key: &str) -> Self {
        let hostname = &machine.hostname;
        let alias = (!hostname.is_empty() && hostname != key).then(|| hostname.clone());
        let mut address = Vec::new();
        for own in &machine.addresses {
            let identifies =
                matches!(Scope::of(own.address), Scope::Private | Scope::Cgnat | Scope::Global);
            if identifies && !is_bridge(&own.interface) && !address.contains(&own.address) {
                address.push(own.address);
            }
        }
        Self { alias, address }
    }
}

/// Every port that somebody chose to open, or of TCP the kernel chose, with its sockets.
fn listening(
    table: &SocketTable,
    is_new: impl Fn(Transport, Port) -> bool,
) -> BTreeMap<(Port, Transport), Vec<&Held>> {
    let mut listening: BTreeMap<_, Vec<&Held>> = BTreeMap::new();
    for held in table.sockets.iter().filter(|h| h.socket.is_listener()) {
        let key = held.socket.local_port().zip(held.socket.transport.with_ports());
        let Some((port, transport)) = key.filter(|(port, transport)| is_new(*transport, *port))
        else {
            continue;
        };
        // A UDP client has a port too; only one that is known to be asked for is a server's.
        if transport == Transport::Udp && held.socket.port_choice != Some(PortChoice::Fixed) {
            continue;
        }
        listening.entry((port, transport)).or_default().push(held);
    }
    listening
}

fn is_kernel_chosen(sockets: &[&Held]) -> bool {
    sockets.iter().all(|held| held.socket.port_choice == Some(PortChoice::Kernel))
}

/// One entry a program: its number differs after every start, so that no service can name it.
fn ignores(
    seen: &Observation<'_>,
    host: &str,
    listening: &BTreeMap<(Port, Transport), Vec<&Held>>,
) -> Vec<IgnoreEntry> {
    type Key = (Program, Transport, bool);
    let mut programs: BTreeMap<Key, PortSet> = BTreeMap::new();
    for ((port, transport), sockets) in listening.iter().filter(|(_, s)| is_kernel_chosen(s)) {
        let is_local = sockets.iter().all(|held| held.socket.scope() == Some(Scope::Loopback));
        for held in sockets {
            let program = Program::of(seen.sockets, held);
            programs.entry((program, *transport, is_local)).or_default().insert(*port);
        }
    }
    let ephemeral = seen.machine.ports.ephemeral;
    let entry = |(program, transport, is_local): Key, ports: &PortSet| {
        let inside = ports.iter().all(|port| ephemeral.contains(port));
        // Nobody is named: then only the very numbers are known.
        let ranges = if inside && program.is_known() { vec![ephemeral] } else { ports.ranges() };
        let ports = ranges.iter().map(|range| format!("{range}/{transport}")).collect();
        let mut matches = vec![("rule", MatchValue::Text("P101".to_owned()))];
        matches.extend(program.as_match());
        matches.push(("ports", MatchValue::List(ports)));
        // What only this machine could reach is no word on the same program opening to all.
        if is_local {
            matches.push(("bind", MatchValue::Text("loopback".to_owned())));
        }
        let reason = "The kernel chooses its port, another one after every start".to_owned();
        IgnoreEntry { on: vec![host.to_owned()], matches, reason, until: None }
    };
    let mut entries: Vec<IgnoreEntry> = Vec::new();
    for (key, ports) in programs {
        let entry = entry(key, &ports);
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    entries
}

/// One service a program and exposure, by its first port.
fn services(
    seen: &Observation<'_>,
    listening: &BTreeMap<(Port, Transport), Vec<&Held>>,
    sent_on: &[(Port, Transport)],
    taken: &BTreeSet<String>,
) -> Vec<ServiceDraft> {
    type Group = (Program, Exposure, Instance);
    let instances = Instances::of(listening);
    let mut groups: BTreeMap<Group, BTreeSet<(Port, Transport)>> = BTreeMap::new();
    for ((port, transport), sockets) in listening.iter().filter(|(_, s)| !is_kernel_chosen(s)) {
        let mut programs: BTreeMap<Program, Vec<&Held>> = BTreeMap::new();
        for held in sockets {
            programs.entry(Program::of(seen.sockets, held)).or_default().push(held);
        }
        let shared = programs.len() > 1;
        for (program, sockets) in programs {
            let exposure = Exposure::of(&sockets, seen.machine, shared);
            let instance = instances.of_sockets(&program, &sockets, *port);
            groups.entry((program, exposure, instance)).or_default().insert((*port, *transport));
        }
    }
    for (port, transport) in sent_on {
        let exposure = Exposure { from: Reachable::Any, bind: Binding::Unsaid, to: Vec::new() };
        let group = (Program::default(), exposure, Instance::Port(*port));
        groups.entry(group).or_default().insert((*port, *transport));
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|a, b| a.1.first().cmp(&b.1.first()).then_with(|| a.0.cmp(&b.0)));
    let mut names = Names::except(taken);
    let draft = |((program, exposure, _), ports): (Group, BTreeSet<(Port, Transport)>)| {
        let registered = registered(seen.registry, &ports);
        let name = names.give(&program, &ports, seen.registry);
        ServiceDraft { name, ports: ranges(&ports), registered, exposure, program }
    };
    groups.into_iter().map(draft).collect()
}

/// The names of the ports that have one, in the order of the ports.
fn registered(registry: &Registry, ports: &BTreeSet<(Port, Transport)>) -> Vec<(Port, String)> {
    let name = |(port, transport): &(Port, Transport)| {
        registry.service_name(*port, *transport).map(|name| (*port, name.to_owned()))
    };
    let mut names: Vec<(Port, String)> = ports.iter().filter_map(name).collect();
    names.dedup();
    names
}

/// Adjacent numbers as ranges; transports with the same range together.
fn ranges(ports: &BTreeSet<(Port, Transport)>) -> Vec<(PortRange, TransportSet)> {
    let mut merged: BTreeMap<PortRange, TransportSet> = BTreeMap::new();
    for transport in Transport::ALL {
        let of_transport = ports.iter().filter(|(_, t)| *t == transport);
        let set: PortSet = of_transport.map(|(port, _)| PortRange::from(*port)).collect();
        for range in set.ranges() {
            let transports = merged.entry(range).or_default();
            *transports = transports.with(transport);
        }
    }
    merged.into_iter().collect()
}

/// Bridges and taps of containers and guests: their addresses are the same on many machines, so
/// that they identify none.
fn is_bridge(interface: &str) -> bool {
    const PREFIXES: [&str; 12] = [
        "docker", "br-", "virbr", "veth", "cni", "flannel", "cali", "podman", "lxcbr", "lxdbr",
        "vnet", "kube-",
    ];
    PREFIXES.iter().any(|prefix| interface.starts_with(prefix))
}

#[cfg(test)]
mod tests;
