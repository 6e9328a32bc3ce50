//! Listeners that a policy takes from those who reach them today: from all of them, or from some.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portolan_core::audit::Opening;
use portolan_core::firewall::{
    Addresses, BaseNeed, Block, Pass, Peers, Policy, Tuple, protocol_of,
};
use portolan_core::net::{Endpoint, Prefix, Scope, Transport};
use portolan_core::socket::{Machine, PortChoice, Process, SocketTable};

use crate::ops::inventory::Intent;
use crate::ops::reach::chart::chart;

use super::already::{Already, Today};
use super::judge::Judge;
use super::outsiders::Outsiders;
use super::precheck::calling;
use super::samples::strangers;
use super::still;

/// A listener that nobody outside reaches any more.
#[derive(Debug)]
pub(crate) struct Cut {
    /// Where it is bound.
    pub(crate) bound: Endpoint,
    /// Its transport.
    pub(crate) transport: Transport,
    /// Whose it is.
    pub(crate) owners: Vec<Process>,
    /// Where it is sent on to, where no socket here holds it.
    pub(crate) sent_to: Option<Endpoint>,
    /// That nobody reaches it today either.
    pub(crate) already: Option<Already>,
}

/// A listener that fewer reach than today.
#[derive(Debug)]
pub(crate) struct Narrowed {
    /// Where it is bound.
    pub(crate) bound: Endpoint,
    /// Its transport.
    pub(crate) transport: Transport,
    /// Whose it is.
    pub(crate) owners: Vec<Process>,
    /// Who reaches it then, by their names in the inventory.
    pub(crate) to: Vec<Box<str>>,
    /// Who does no longer.
    pub(crate) lost: Addresses,
    /// Whether that is everybody else, as far as some from all over the address space tell.
    pub(crate) is_everybody: bool,
}

/// What becomes of listeners.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// Those that nobody outside reaches any more.
    pub(super) cut: Vec<Cut>,
    /// Those that fewer reach than today.
    pub(super) narrowed: Vec<Narrowed>,
}

/// What becomes of listeners on more than loopback.
pub(super) fn of_listeners(
    policy: &Policy,
    outsiders: &Outsiders<'_>,
    judge: &Judge<'_>,
    table: &SocketTable,
) -> Lost {
    let rows = listeners(table);
    let ports: Vec<_> = rows.iter().map(|row| (row.bound, row.transport)).collect();
    let live = judge.live();
    let today = live.as_ref().and_then(|live| Today::of(judge, live, &ports));
    let mut lost = Lost::default();
    for mut row in rows {
        if is_in_base(policy, row.bound, row.transport) {
            continue;
        }
        let passes = passes(policy, row.bound, row.transport);
        let mut peers = passes.iter().flat_map(|pass| &pass.peers);
        if !peers.any(|peers| outsiders.has_any(peers)) {
            row.already = today.as_ref().and_then(|today| today.refused(row.bound, row.transport));
            lost.cut.push(row);
        } else if let Some(today) = &today {
            match narrowed(&row, policy, &passes, today, judge) {
                // Of those whom the policy lets in nobody reaches it.
                Some(narrowed) if narrowed.to.is_empty() && !is_knocked(&passes) => {
                    lost.cut.push(row);
                }
                narrowed => lost.narrowed.extend(narrowed),
            }
        }
    }
    lost
}

/// Listeners on more than loopback, each once.
fn listeners(table: &SocketTable) -> Vec<Cut> {
    let mut found: Vec<Cut> = Vec::new();
    for held in &table.sockets {
        let socket = &held.socket;
        let (Some(bound), Some(transport)) =
            (socket.local.endpoint(), socket.transport.with_ports())
        else {
            continue;
        };
        let is_client =
            transport == Transport::Udp && socket.port_choice == Some(PortChoice::Kernel);
        let is_local = socket.scope() == Some(Scope::Loopback);
        if !socket.is_listener() || is_client || is_local {
            continue;
        }
        if !found.iter().any(|cut| cut.bound == bound && cut.transport == transport) {
            let owners = table.owners(held).cloned().collect();
            found.push(Cut { bound, transport, owners, sent_to: None, already: None });
        }
    }
    found.sort_by_key(|cut| (cut.bound.port, cut.transport, cut.bound.address));
    found
}

/// Whom the policy lets in to a listener and whom it takes it from, of those who reach it today. Whom an
/// interface is asked of counts as let in by any, and who has to knock first does not; of long lists of
/// the blocked nothing is said for each port.
fn narrowed(
    row: &Cut,
    policy: &Policy,
    passes: &[&Pass],
    today: &Today<'_>,
    judge: &Judge<'_>,
) -> Option<Narrowed> {
    let open = passes.iter().filter(|pass| pass.door.is_none()).flat_map(|pass| &pass.peers);
    let open: Vec<&Peers> = open.collect();
    let blocked = blocked(policy, row.bound, row.transport);
    let let_in = open.iter().fold(Addresses::NONE, |all, peers| all.with(&peers.addresses));
    let let_in = let_in.without(&blocked);
    let own = [false, true].into_iter().flat_map(|is_v6| judge.own(is_v6)).map(Prefix::from);
    let nobody = still::nobody().with(&Addresses::of(own));
    let senders = today.senders(row.bound, row.transport).without(&nobody);
    let lost = senders.without(&let_in);
    if lost.is_empty() {
        return None;
    }
    let is_everybody = [false, true].into_iter().all(|is_v6| {
        let afar = strangers(is_v6).into_iter().filter(|address| !let_in.contains(*address));
        let afar: Vec<_> = afar.collect();
        let is_all = !afar.is_empty() && afar.iter().all(|address| lost.contains(*address));
        lost.intervals(is_v6).is_empty() || is_all
    });
    let stays = |peers: &&&Peers| peers.addresses.without(&blocked).meets(&senders);
    // Several sources of one pass are labelled together.
    let names = open.iter().filter(stays).flat_map(|peers| peers.label.split(", "));
    let to: BTreeSet<Box<str>> = names.map(Box::from).collect();
    let Cut { bound, transport, owners, .. } = row;
    let (bound, transport, owners) = (*bound, *transport, owners.clone());
    Some(Narrowed { bound, transport, owners, to: to.into_iter().collect(), lost, is_everybody })
}

/// Whom blocks refuse a port.
fn blocked(policy: &Policy, bound: Endpoint, transport: Transport) -> Addresses {
    let call = call_of(bound, transport);
    let is_of = |block: &&Block| {
        block.traffic.is_empty() || block.traffic.iter().any(|traffic| traffic.covers(&call))
    };
    let peers = policy.blocks.iter().filter(is_of).flat_map(|block| &block.peers);
    let is_short = |peers: &&Peers| {
        [false, true].iter().all(|v6| peers.addresses.intervals(*v6).len() <= MOST_TOLD)
    };
    let short = peers.filter(|peers| peers.interface.is_none()).filter(is_short);
    short.fold(Addresses::NONE, |all, peers| all.with(&peers.addresses))
}

/// So many networks of a block are told port by port.
const MOST_TOLD: usize = 100;

/// Ports that rules send on to others, whom somebody outside reaches now and no pass lets anybody to.
pub(super) fn sent_on(policy: &Policy, machine: &Machine, table: &SocketTable) -> Vec<Cut> {
    let reaches = chart(table, machine, &Intent::None, &mut Vec::new());
    let mut found = Vec::new();
    for opening in reaches.openings().into_iter().filter(Opening::is_open) {
        let (port, transport) = (opening.port, opening.transport);
        let Some(to) = opening.sent_to.filter(|to| !machine.has_address(to.address)) else {
            continue;
        };
        let tuple = calling(to.address, to.address, port, transport);
        let passes = policy.management.iter().chain(&policy.passes);
        let mut passes = passes.filter(|pass| pass.way.has_translated() && !pass.peers.is_empty());
        if !passes.any(|pass| pass.traffic.covers(&tuple)) {
            let any: IpAddr = match to.address.is_ipv4() {
                true => Ipv4Addr::UNSPECIFIED.into(),
                false => Ipv6Addr::UNSPECIFIED.into(),
            };
            let (bound, owners) = (Endpoint::new(any, port), Vec::new());
            let sent_to = Some(to);
            found.push(Cut { bound, transport, owners, sent_to, already: None });
        }
    }
    found
}

/// What lets somebody in to a socket.
fn passes(policy: &Policy, bound: Endpoint, transport: Transport) -> Vec<&Pass> {
    let tuple = call_of(bound, transport);
    let is_one = |pass: &&Pass| {
        let is_there = bound.address.is_unspecified()
            || pass.destinations.as_ref().is_none_or(|to| to.contains(bound.address));
        pass.way.has_input() && pass.traffic.covers(&tuple) && is_there
    };
    policy.management.iter().chain(&policy.passes).filter(is_one).collect()
}

/// A call of a port by nobody in particular.
const fn call_of(bound: Endpoint, transport: Transport) -> Tuple {
    let (source, destination) = (bound.address, bound.address);
    let (protocol, destination_port) = (protocol_of(transport), bound.port.0);
    Tuple { source, destination, protocol, source_port: 0, destination_port }
}

/// Whether somebody is let in who knocks first.
fn is_knocked(passes: &[&Pass]) -> bool {
    passes.iter().any(|pass| pass.door.is_some())
}

/// Whether a row of the base lets somebody in to a socket.
fn is_in_base(policy: &Policy, bound: Endpoint, transport: Transport) -> bool {
    policy.base.iter().any(|row| match row.traffic {
        BaseNeed::Port { transport: t, destination, .. } => {
            !row.is_outgoing && t == transport && destination == bound.port.0
        }
        _ => false,
    })
}
