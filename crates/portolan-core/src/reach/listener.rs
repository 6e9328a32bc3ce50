//! Which socket takes a packet, by where sockets are bound (ip(7), ipv6(7), SO_BINDTODEVICE of socket(7)).

use std::net::IpAddr;

use crate::net::{Endpoint, Port, Transport};
use crate::socket::{Held, SocketTable};

/// The place of the socket that takes a packet to `to` that came in by `interface`.
pub(super) fn taker(
    table: &SocketTable,
    transport: Transport,
    to: Endpoint,
    interface: &str,
) -> Option<usize> {
    let takes = |held: &Held| {
        is_on(held, transport, to.port)
            && held.socket.device.as_deref().is_none_or(|device| device == interface)
            && held.socket.local_endpoint().is_some_and(|own| covers(held, own.address, to.address))
    };
    table.sockets.iter().position(takes)
}

/// The addresses that listeners of a port are bound to.
pub(super) fn bound(table: &SocketTable, transport: Transport, port: Port) -> Vec<Endpoint> {
    let on_port = table.sockets.iter().filter(|held| is_on(held, transport, port));
    let mut found: Vec<Endpoint> =
        on_port.filter_map(|held| held.socket.local_endpoint()).collect();
    found.sort();
    found.dedup();
    found
}

/// The addresses that listeners are bound to.
pub(super) fn all_bound(table: &SocketTable) -> Vec<IpAddr> {
    let listeners = table.sockets.iter().filter(|held| held.socket.is_listener());
    let addresses = listeners.filter_map(|held| Some(held.socket.local_endpoint()?.address));
    let mut found: Vec<IpAddr> = addresses.filter(|address| !address.is_unspecified()).collect();
    found.sort();
    found.dedup();
    found
}

fn is_on(held: &Held, transport: Transport, port: Port) -> bool {
    held.socket.is_listener()
        && held.socket.local_port() == Some(port)
        && held.socket.transport.with_ports() == Some(transport)
}

pub(super) fn covers(held: &Held, own: IpAddr, to: IpAddr) -> bool {
    if own.is_unspecified() {
        return own.is_ipv4() == to.is_ipv4() || (to.is_ipv4() && held.socket.is_dual_stack());
    }
    own == to
        || matches!((own, to), (IpAddr::V6(own), IpAddr::V4(to)) if own.to_ipv4_mapped() == Some(to))
}
