//! Two programs behind one `localhost:PORT`, and which of them a client reaches here.

use std::collections::BTreeSet;
use std::net::IpAddr;

use portolan_core::container::Publisher;
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
    let split = split(table, netns, transport, port)
        .filter(|split| !leads_to_one(table, *split, transport, port))?;
    Some(TwoBehindLocalhost { split, reached: split.reached(&localhost::addresses()) })
}

/// docker-proxy runs once for each family, and both lead to one server in a container.
fn leads_to_one(table: &SocketTable, split: Split, transport: Transport, port: Port) -> bool {
    let publisher = |position: usize| {
        let mut owners = table.owners(&table.sockets[position]);
        owners.find_map(|p| Publisher::of(&p.name, &p.command_line, transport, port))
    };
    publisher(split.ipv4).is_some_and(|one| Some(one) == publisher(split.ipv6))
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

#[cfg(test)]
mod tests {
    use portolan_core::net::Endpoint;
    use portolan_core::socket::{
        Address, Family, Holder, Process, Socket, SocketTransport, State, Via,
    };

    use super::*;

    fn listener(address: &str, pid: u32) -> Held {
        let address: IpAddr = address.parse().unwrap();
        let family = if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let bare = Socket::bare(SocketTransport::Tcp, family, State::Listen, u64::from(pid), 1);
        let local = Address::Inet(Endpoint::new(address, Port(8080)));
        let socket = Socket { local, v6only: Some(true), ..bare };
        let holders = vec![Holder { pid, fd: Some(4), via: Via::Fd }];
        Held { socket, holders, unowned: None }
    }

    fn proxy(pid: u32, container: &str) -> (u32, Process) {
        let line = ["docker-proxy", "-container-ip", container, "-container-port", "80"];
        let command_line = line.map(Into::into).to_vec();
        (pid, Process { pid, name: "docker-proxy".into(), command_line, ..Process::default() })
    }

    fn is_split(ipv4: &str, ipv6: &str) -> bool {
        let sockets = vec![listener("0.0.0.0", 7), listener("::", 8)];
        let processes = [proxy(7, ipv4), proxy(8, ipv6)].into_iter().collect();
        let table = SocketTable { sockets, processes, ..SocketTable::default() };
        two_behind(&table, 1, Transport::Tcp, Port(8080)).is_some()
    }

    #[test]
    fn two_proxies_of_one_container_are_no_two_servers() {
        assert!(!is_split("172.17.0.2", "172.17.0.2"));
        assert!(is_split("172.17.0.2", "172.17.0.3"));
    }
}
