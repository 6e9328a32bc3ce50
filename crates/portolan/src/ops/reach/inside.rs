//! Whether something listens where rules send packets to: in the network namespace that has the address.

use std::net::IpAddr;

use portolan_core::net::{Endpoint, Transport};
use portolan_core::reach::{Group, PortReach, Taker};
use portolan_core::socket::{Socket, StateSet};
use portolan_core::wire::sock_diag::InetFamily;
use portolan_host::machine;
use portolan_host::namespace;
use portolan_host::sockets::{self, Query};

use crate::ops::sockets::WITH_PORTS;

/// What is known of the places behind ports.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inside {
    /// Each with whether something listens there; those nothing is known of are not among them.
    known: Vec<(At, bool)>,
}

/// A place behind a port.
type At = (Endpoint, Transport);

impl Inside {
    /// Looks into the other network namespaces of this machine, where any place is asked about.
    pub(crate) fn look(reaches: &[&PortReach]) -> Self {
        let mut wanted: Vec<At> = Vec::new();
        for reach in reaches {
            let groups = reach.groups().chain(reach.straight());
            wanted.extend(groups.filter_map(|group| Some((behind(group)?, reach.transport))));
        }
        wanted.sort();
        wanted.dedup();
        let mut inside = Self::default();
        if wanted.is_empty() {
            return inside;
        }
        for place in namespace::all().value.iter().filter(|place| !place.is_own()) {
            let looked = place.enter(|| look(place.netns.inode, &wanted));
            inside.known.extend(looked.unwrap_or_default());
        }
        inside
    }

    /// Whether something listens where the packets of a group go; `None` where that is not known.
    pub(crate) fn listens(&self, group: &Group, transport: Transport) -> Option<bool> {
        let wanted = (behind(group)?, transport);
        // An address may be there more than once: one that listens is enough.
        let about = self.known.iter().filter(|(place, _)| *place == wanted);
        about.map(|(_, listens)| *listens).max()
    }
}

/// What of the places is in the namespace this is called in.
fn look(netns: u64, wanted: &[At]) -> Vec<(At, bool)> {
    let own = machine::addresses().unwrap_or_default();
    let own: Vec<IpAddr> = own.into_iter().map(|own| own.address).collect();
    let here: Vec<At> =
        wanted.iter().copied().filter(|(to, _)| own.contains(&to.address)).collect();
    let Some(sockets) = (!here.is_empty()).then(|| listeners(netns)).flatten() else {
        return Vec::new();
    };
    let about = |at: At| (at, sockets.iter().any(|socket| takes(socket, at)));
    here.into_iter().map(about).collect()
}

fn behind(group: &Group) -> Option<Endpoint> {
    match &group.taker {
        Some(Taker::Behind { to, .. }) => Some(*to),
        _ => None,
    }
}

/// The listeners of the namespace this is called in; `None` where they could not all be read.
fn listeners(netns: u64) -> Option<Vec<Socket>> {
    let query = Query {
        transports: WITH_PORTS.to_vec(),
        families: vec![InetFamily::V4, InetFamily::V6],
        states: StateSet::LISTENING,
        choice_of: StateSet::NONE,
        ephemeral: machine::local_ports().value.ephemeral,
        netns,
        elsewhere: Vec::new(),
    };
    let read = sockets::read(&query);
    (!read.is_partial()).then_some(read.value)
}

fn takes(socket: &Socket, (to, transport): At) -> bool {
    let Some(own) = socket.local_endpoint() else { return false };
    let is_dual = || own.address.is_ipv4() == to.address.is_ipv4() || socket.is_dual_stack();
    let is_there = own.address == to.address || (own.address.is_unspecified() && is_dual());
    socket.is_listener()
        && own.port == to.port
        && socket.transport.with_ports() == Some(transport)
        && is_there
}
