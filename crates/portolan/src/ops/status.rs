//! The chart of this machine: its open ports, a row each, widest reach first.
//!
//! Joins what the kernel says (sockets, owners), who gets through to them by the rules of the
//! firewall, what the number is registered for, what the inventory declares and what the audit finds.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

use portolan_core::audit::{Finding, Judgement, Listening, Reach, Rule};
use portolan_core::firewall::Addresses;
use portolan_core::inventory::{Declared, Host, Inventory, Status};
use portolan_core::net::{Endpoint, Port, Scope, Severity, Transport};
use portolan_core::reach::{Answer, Group, PortReach, Whence};
use portolan_core::registry::Registry;
use portolan_core::socket::{
    Backlog, Held, Machine, Placement, Process, SocketTable, TurnedAway, Unowned,
};

use crate::ops::inventory::Intent;
use crate::ops::reach::chart::{Reaches, sent_to};

/// Everything the chart is made of.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    /// This machine.
    pub(crate) machine: &'a Machine,
    /// Its listeners with their owners.
    pub(crate) table: &'a SocketTable,
    /// What numbers mean.
    pub(crate) registry: &'a Registry,
    /// What was meant to be here.
    pub(crate) intent: &'a Intent,
    /// Who reaches what.
    pub(crate) reaches: Reaches,
    /// What the audit found, and what it would have found, had that not been accepted.
    pub(crate) judgement: Judgement,
}

/// The open ports of a machine.
#[derive(Debug)]
pub(crate) struct Chart<'a> {
    /// The machine.
    pub(crate) machine: &'a Machine,
    /// What was meant to be here.
    pub(crate) intent: &'a Intent,
    /// The rows, widest reach first, then by number.
    pub(crate) ports: Vec<Row<'a>>,
    /// What listeners turned away, where an accept queue is full.
    pub(crate) turned_away: Option<TurnedAway>,
    /// Whether the rules of the firewall could be read.
    pub(crate) are_rules_seen: bool,
    /// Names of the inventory for addresses.
    pub(crate) names: Vec<(String, Addresses)>,
    /// Findings about ports that are not open, such as a service that does not listen.
    pub(crate) elsewhere: Vec<Finding>,
}

/// One open port.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) port: Port,
    pub(crate) transport: Transport,
    /// The usual name of what is registered here.
    pub(crate) service: Option<&'a str>,
    /// Where it is bound, narrowest scope last.
    pub(crate) bound: Vec<Bound>,
    /// Where rules send it on to, where no socket here holds it.
    pub(crate) sent_to: Option<Endpoint>,
    /// The sockets behind the row.
    pub(crate) sockets: Vec<&'a Held>,
    /// Every process that holds one of them, once.
    pub(crate) owners: Vec<&'a Process>,
    /// Why no holder is proved, for the first of its sockets that lacks one.
    pub(crate) unowned: Option<Unowned>,
    /// Unit and container of its first socket that has one.
    pub(crate) placement: Placement,
    /// Whether the kernel chose the number for every socket here.
    pub(crate) chosen_by_kernel: bool,
    /// The accept queue, where one is full.
    pub(crate) full_queue: Option<Backlog>,
    /// Who reaches it.
    pub(crate) reachable: Option<PortReach>,
    /// What the inventory says of it.
    pub(crate) declared: Option<DeclaredAs<'a>>,
    /// Why it is fine although nothing declares it: the reason of an `[[ignore]]`.
    pub(crate) accepted: Option<String>,
    /// What to mind here, from the registry.
    pub(crate) risk: Option<Risk<'a>>,
    /// What the audit says of it.
    pub(crate) findings: Vec<Finding>,
}

/// An address a port is bound to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bound {
    pub(crate) address: IpAddr,
    pub(crate) scope: Scope,
    /// Whether this one IPv6 socket serves IPv4 too.
    pub(crate) dual_stack: bool,
    /// The interface it is bound to.
    pub(crate) device: Option<String>,
}

/// What the inventory declares a port as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeclaredAs<'a> {
    pub(crate) service: &'a str,
    pub(crate) status: Status,
}

/// The registry's security note, as far as the chart shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Risk<'a> {
    pub(crate) class: &'a str,
    pub(crate) severity: Severity,
    pub(crate) exposure: &'a str,
    pub(crate) why: &'a str,
    pub(crate) safer_alternative: &'a str,
}

impl Row<'_> {
    /// The widest reach of its sockets, narrowed by the rules where they were seen.
    pub(crate) fn reach(&self) -> Reach {
        let bound = match self.sockets.is_empty() {
            // Rules send it on: no binding narrows that.
            true => Reach::Anyone,
            false => Reach::of_sockets(self.sockets.iter().copied()),
        };
        let by_port = self.let_through().map_or(bound, |reach| reach.min(bound));
        let behind = self.reachable.iter().flat_map(PortReach::straight);
        behind.map(|group| Reach::of_addresses(&group.senders)).fold(by_port, Reach::max)
    }

    /// How far away those are whom the rules let through; `None` where they were not seen.
    fn let_through(&self) -> Option<Reach> {
        let outside =
            self.reachable.as_ref()?.sources.iter().find(|r| r.source.whence != Whence::Here)?;
        // Where no way leads from anywhere, it is not the rules that keep anybody away.
        outside.groups.iter().find(|group| group.has_way())?;
        let mut reach = Reach::Machine;
        for group in &outside.groups {
            match group.answer {
                Answer::Unknown => return None,
                Answer::Yes | Answer::Depends => {
                    reach = reach.max(Reach::of_addresses(&group.senders));
                }
                Answer::No => {}
            }
        }
        Some(reach)
    }

    /// Whether no way leads here from any other machine, so that nothing but the binding says who could come.
    pub(crate) fn is_cut_off(&self) -> bool {
        let Some(reach) = &self.reachable else { return false };
        let outside = reach.sources.iter().filter(|r| r.source.whence != Whence::Here);
        let mut groups = outside.flat_map(|reached| &reached.groups).peekable();
        groups.peek().is_some() && !groups.any(Group::has_way)
    }

    /// Whether nobody meant it: neither declared nor accepted.
    pub(crate) fn is_undeclared(&self) -> bool {
        self.declared.is_none() && self.accepted.is_none()
    }

    /// Whether it is a UDP socket whose number nobody asked for: most often a client's.
    pub(crate) fn is_passing(&self) -> bool {
        self.transport == Transport::Udp && self.chosen_by_kernel
    }

    /// The worst finding about it.
    pub(crate) fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|f| f.severity).max()
    }
}

impl Chart<'_> {
    /// The host of the inventory this machine is, where there is an inventory that knows it.
    pub(crate) fn host(&self) -> Option<&Host> {
        self.intent.declared().map(|(_, host)| host)
    }
}

/// Draws the chart.
pub(crate) fn chart(sources: Sources<'_>) -> Chart<'_> {
    let mut findings: HashMap<String, Vec<Finding>> = HashMap::new();
    for finding in sources.judgement.findings {
        findings.entry(finding.subject.to_string()).or_default().push(finding);
    }
    let accepted = sources.judgement.accepted.into_iter();
    let mut accepted: HashMap<String, String> = accepted
        .filter(|a| a.finding.rule == Rule::P101)
        .map(|a| (a.finding.subject.to_string(), a.reason))
        .collect();
    let Reaches { ports: mut reaches, names, rules } = sources.reaches;
    let are_rules_seen = rules.is_some();
    let mut ports = Vec::new();
    for listening in Listening::all(sources.table) {
        let (port, transport) = (listening.port, listening.transport);
        let mut row = row(listening, sources.table);
        row.reachable = reaches.remove(&(port, transport));
        ports.push(row);
    }
    // What is sent on to others needs no socket here.
    for (_, reach) in std::mem::take(&mut reaches) {
        let is_open = reach.groups().any(|group| group.answer != Answer::No);
        if is_open || reach.straight().next().is_some() {
            ports.push(sent_on(reach, sources.table));
        }
    }
    for row in &mut ports {
        let (port, transport) = (row.port, row.transport);
        row.service = sources.registry.service_name(port, transport);
        row.risk = risk(sources.registry, port, transport);
        let subject = format!("{port}/{transport}");
        row.findings = findings.remove(&subject).unwrap_or_default();
        row.accepted = accepted.remove(&subject);
    }
    if let Some((inventory, host)) = sources.intent.declared() {
        declare(&mut ports, inventory, host);
    }
    ports.sort_by_key(|row| (Reverse(row.reach()), row.port, row.transport));
    let mut elsewhere: Vec<Finding> = findings.into_values().flatten().collect();
    elsewhere.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.subject.cmp(&b.subject)));
    let turned_away = sources.table.namespaces.first().and_then(|own| own.turned_away);
    let (machine, intent) = (sources.machine, sources.intent);
    Chart { machine, intent, ports, turned_away, are_rules_seen, names, elsewhere }
}

fn row<'a>(listening: Listening<'a>, table: &'a SocketTable) -> Row<'a> {
    let chosen_by_kernel = listening.is_kernel_chosen();
    let Listening { port, transport, sockets } = listening;
    let mut owners: Vec<&Process> = sockets.iter().flat_map(|h| table.owners(h)).collect();
    owners.sort_by_key(|p| p.pid);
    owners.dedup_by_key(|p| p.pid);
    let placements = sockets.iter().map(|h| table.placement(h));
    let full = |h: &&Held| h.socket.backlog.filter(|b| b.is_full());
    Row {
        port,
        transport,
        service: None,
        bound: bound(&sockets),
        unowned: sockets.iter().find_map(|h| h.unowned),
        placement: placements
            .into_iter()
            .find(|p| p.unit.is_some() || p.container.is_some())
            .unwrap_or_default(),
        chosen_by_kernel,
        full_queue: sockets.iter().find_map(full),
        sent_to: None,
        owners,
        sockets,
        reachable: None,
        declared: None,
        accepted: None,
        risk: None,
        findings: Vec::new(),
    }
}

/// The row of a port that no socket holds, and whose packets rules send on.
fn sent_on(reach: PortReach, table: &SocketTable) -> Row<'_> {
    let (port, transport) = (reach.port, reach.transport);
    let nobody = Listening { port, transport, sockets: Vec::new() };
    let sent_to = sent_to(&reach);
    let empty = row(nobody, table);
    Row { reachable: Some(reach), sent_to, chosen_by_kernel: false, ..empty }
}

fn bound(sockets: &[&Held]) -> Vec<Bound> {
    let mut bound: Vec<Bound> = sockets
        .iter()
        .filter_map(|held| {
            let address = held.socket.local_endpoint()?.address;
            Some(Bound {
                address,
                scope: Scope::of(address),
                dual_stack: held.socket.is_dual_stack(),
                device: held.socket.device.as_deref().map(str::to_owned),
            })
        })
        .collect();
    bound.sort_by_key(|b| (Reverse(Reach::of_scope(b.scope)), b.address, b.device.clone()));
    bound.dedup();
    bound
}

/// Writes into each row what declares its port: services first, then in the file's order, and
/// `[management]` where nothing else does.
fn declare<'a>(rows: &mut [Row<'a>], inventory: &'a Inventory, host: &Host) {
    let open = |row: &Row<'_>| (row.transport, row.port);
    rows.sort_by_key(open);
    for declared in inventory.declared_on(host) {
        let Some(name) = declared_as(declared) else { continue };
        for (range, transport) in declared.pairs() {
            let start = rows.partition_point(|row| open(row) < (transport, range.first()));
            let claimed = rows[start..]
                .iter_mut()
                .take_while(|row| (row.transport, row.port) <= (transport, range.last()));
            claimed.for_each(|row| row.declared = row.declared.or(Some(name)));
        }
    }
    let Some(management) = &inventory.management else { return };
    let name = DeclaredAs { service: "[management]", status: Status::Active };
    let named = rows.iter_mut().filter(|row| management.names(row.port, row.transport));
    named.for_each(|row| row.declared = row.declared.or(Some(name)));
}

/// A pool holds numbers and says of none what is to listen there.
fn declared_as(declared: Declared<'_>) -> Option<DeclaredAs<'_>> {
    let status = match declared {
        Declared::Service(service) => service.status,
        Declared::Forward(_) | Declared::Door(_) => Status::Active,
        Declared::Pool(_) => return None,
    };
    Some(DeclaredAs { service: declared.name(), status })
}

fn risk(registry: &Registry, port: Port, transport: Transport) -> Option<Risk<'_>> {
    registry.security(port, transport).map(|note| Risk {
        class: note.risk_class,
        severity: note.severity,
        exposure: note.exposure.as_str(),
        why: note.why,
        safer_alternative: note.safer_alternative,
    })
}

#[cfg(test)]
mod tests {
    use portolan_core::net::Endpoint;
    use portolan_core::socket::{
        Address, Family, PortChoice, Queues, Socket, SocketTransport, State,
    };

    use super::*;

    fn listener(address: &str, port: u16) -> Held {
        let address: IpAddr = address.parse().unwrap();
        let socket = Socket {
            transport: SocketTransport::Tcp,
            family: if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 },
            local: Address::Inet(Endpoint::new(address, Port(port))),
            peer: None,
            state: State::Listen,
            v6only: None,
            device: None,
            netns: 0,
            cookie: None,
            inode: 1,
            uid: Some(0),
            port_choice: Some(PortChoice::Fixed),
            backlog: None,
            queues: Queues::default(),
            cgroup: None,
            reuse: None,
            timer: None,
            transparent: None,
            mark: None,
        };
        Held { socket, holders: Vec::new(), unowned: Some(Unowned::NotPermitted) }
    }

    fn drawn(sockets: Vec<Held>) -> Vec<(Port, Reach, usize)> {
        let table = SocketTable { sockets, ..SocketTable::default() };
        let (machine, registry) = (Machine::default(), Registry::embedded());
        let sources = Sources {
            machine: &machine,
            table: &table,
            registry: &registry,
            intent: &Intent::None,
            reaches: Reaches::default(),
            judgement: Judgement::default(),
        };
        let chart = chart(sources);
        chart.ports.iter().map(|r| (r.port, r.reach(), r.bound.len())).collect()
    }

    #[test]
    fn what_anyone_could_reach_stands_first() {
        let rows = drawn(vec![
            listener("127.0.0.1", 22),
            listener("0.0.0.0", 9000),
            listener("10.0.0.1", 80),
        ]);
        assert_eq!(
            rows,
            [
                (Port(9000), Reach::Anyone, 1),
                (Port(80), Reach::Site, 1),
                (Port(22), Reach::Machine, 1),
            ]
        );
    }

    #[test]
    fn one_port_on_two_addresses_is_one_row_with_the_wider_reach() {
        let rows = drawn(vec![listener("127.0.0.1", 53), listener("192.168.1.1", 53)]);
        assert_eq!(rows, [(Port(53), Reach::Site, 2)]);
    }
}
