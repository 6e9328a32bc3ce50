//! This machine's own sockets, where what is tested is one of its own addresses.

use std::net::IpAddr;

use anyhow::Result;
use portolan_core::diagnose::{Here, here};
use portolan_core::net::{Observed, Port, Transport};
use portolan_core::socket::SocketTable;
use portolan_host::processes::Details;

use super::place::Standpoint;
use crate::ops::sockets::{Namespaces, Request, observe};

/// Every listener of the namespace that is asked from, with its owners. An owner that cannot be seen
/// leaves the answer whole: it is about what answers, not who.
pub(super) fn sockets(standpoint: &Standpoint) -> Result<Observed<SocketTable>> {
    let namespaces = if standpoint.is_own() { Namespaces::Own } else { Namespaces::All };
    let request = Request { namespaces, ..Request::listeners(Details::Brief) };
    let mut found = observe(&request)?.aside();
    if let Some(inode) = standpoint.inode() {
        found.value.sockets.retain(|held| held.socket.netns == inode);
    }
    Ok(found)
}

/// Who has the port; its position is one of the table.
pub(super) fn has_port(
    table: &SocketTable,
    address: IpAddr,
    transport: Transport,
    port: Port,
) -> Here {
    here(table.sockets.iter().map(|held| &held.socket), address, transport, port)
}
