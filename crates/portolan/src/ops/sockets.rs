//! The sockets of this machine and who holds them.

use anyhow::Result;
use portolan_core::net::Observed;
use portolan_core::socket::{SocketTable, SocketTransport, State, StateSet};
use portolan_host::processes::Details;
use portolan_host::sockets::{self, InetFamily, Query};
use portolan_host::{machine, namespace, owners};

/// Which sockets are asked for, and how much of them.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The transports.
    pub(crate) transports: Vec<SocketTransport>,
    /// The IP families.
    pub(crate) families: Vec<InetFamily>,
    /// The states.
    pub(crate) states: StateSet,
    /// In which states to find out who chose the port.
    pub(crate) choice_of: StateSet,
    /// How much of each owner.
    pub(crate) details: Details,
}

impl Request {
    /// Everything with a port that waits for others, who holds it and who chose its port.
    pub(crate) fn listeners(details: Details) -> Self {
        Self {
            transports: WITH_PORTS.to_vec(),
            families: vec![InetFamily::V4, InetFamily::V6],
            states: StateSet::LISTENING,
            choice_of: StateSet::LISTENING | StateSet::of(State::Bound),
            details,
        }
    }

    /// Everything with a port in every state, sockets bound without listening among them.
    pub(crate) fn every_state(details: Details) -> Self {
        Self { states: StateSet::ALL, ..Self::listeners(details) }
    }
}

/// The transports with ports, in the order of `ss`.
pub(crate) const WITH_PORTS: [SocketTransport; 4] =
    [SocketTransport::Tcp, SocketTransport::Udp, SocketTransport::UdpLite, SocketTransport::Sctp];

/// Reads what is asked for.
///
/// # Errors
/// None so far: what cannot be seen is a gap.
pub(crate) fn observe(request: &Request) -> Result<Observed<SocketTable>> {
    let mut gaps = Vec::new();
    let netns = namespace::network();
    let query = Query {
        transports: request.transports.clone(),
        families: request.families.clone(),
        states: request.states,
        choice_of: request.choice_of,
        ephemeral: machine::local_ports().into_value(&mut gaps).ephemeral,
        netns: netns.inode,
    };
    let sockets = sockets::read(&query).into_value(&mut gaps);
    let mut table = owners::attach(sockets, &query, request.details).into_value(&mut gaps);
    table.namespaces.push(netns);
    Ok(Observed { value: table, gaps })
}
