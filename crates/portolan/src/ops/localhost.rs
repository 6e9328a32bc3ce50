//! Two programs behind one `localhost:PORT`, and which of them a client reaches here.

use std::collections::BTreeSet;
use std::net::IpAddr;

use portolan_core::net::{Port, Transport};
use portolan_core::socket::{Held, SocketTable, Split, split};
use portolan_host::localhost;

/// Two programs behind `localhost`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TwoBehindLocalhost {
    /// Their sockets, as positions in the table that was asked.
    pub(crate) split: Split,
    /// What `localhost` means first, and whose socket that is.
    pub(crate) reached: Option<(IpAddr, usize)>,
}

/// Whether `localhost` leads to two programs at a port in the namespace `netns`.
pub(crate) fn two_behind(
    table: &SocketTable,
    netns: u64,
    transport: Transport,
    port: Port,
) -> Option<TwoBehindLocalhost> {
    let split = split(table, netns, transport, port)?;
    Some(TwoBehindLocalhost { split, reached: split.reached(&localhost::addresses()) })
}

/// The same at every port that one of `sockets` listens on.
pub(crate) fn every_two<'a>(
    table: &SocketTable,
    sockets: impl IntoIterator<Item = &'a Held>,
) -> Vec<TwoBehindLocalhost> {
    let listeners = sockets.into_iter().map(|held| &held.socket).filter(|s| s.is_listener());
    let places: BTreeSet<(u64, Port, Transport)> = listeners
        .filter_map(|s| Some((s.netns, s.local_port()?, s.transport.with_ports()?)))
        .collect();
    places.into_iter().filter_map(|(netns, port, t)| two_behind(table, netns, t, port)).collect()
}
