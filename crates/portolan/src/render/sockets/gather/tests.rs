//! Rows of the table gathered: what is one row to a person, and what is not.

use portolan_core::net::Endpoint;
use portolan_core::socket::{Address, Family, Holder, Queues, SocketTransport, State, Via};

use super::*;

fn listener(address: &str, pid: u32) -> Held {
    let end: std::net::SocketAddr = address.parse().unwrap();
    let socket = Socket {
        transport: SocketTransport::Tcp,
        family: Family::Ipv4,
        local: Address::Inet(Endpoint::new(end.ip(), Port(end.port()))),
        peer: None,
        state: State::Listen,
        v6only: None,
        device: None,
        netns: 1,
        cookie: None,
        inode: u64::from(end.port()),
        uid: Some(0),
        port_choice: None,
        backlog: None,
        queues: Queues::default(),
        cgroup: None,
        reuse: None,
        timer: None,
        transparent: None,
        mark: None,
    };
    Held { socket, holders: vec![Holder { pid, fd: Some(3), via: Via::Fd }], unowned: None }
}

fn table(sockets: Vec<Held>) -> SocketTable {
    let pids = sockets.iter().flat_map(|held| &held.holders).map(|h| h.pid);
    let processes = pids.map(|pid| (pid, Process { pid, ..Process::default() })).collect();
    SocketTable { sockets, processes, ..SocketTable::default() }
}

fn shown(table: &SocketTable) -> Vec<String> {
    let shown = rows(table);
    let line = |row: &Row<'_>| {
        let pids: Vec<u32> = row.owners(table).iter().map(|p| p.pid).collect();
        format!(
            "{}-{} x{} {pids:?}",
            row.first.socket.local_endpoint().unwrap(),
            row.last_port,
            row.sharing
        )
    };
    shown.iter().map(line).collect()
}

#[test]
fn ports_that_follow_each_other_share_a_row_while_another_address_passes_by() {
    let table = table(vec![
        listener("127.0.0.1:3001", 7),
        listener("10.0.0.1:3001", 7),
        listener("127.0.0.1:3000", 7),
        listener("10.0.0.1:3000", 7),
        listener("127.0.0.1:3003", 7),
    ]);
    assert_eq!(
        shown(&table),
        ["10.0.0.1:3000-3001 x1 [7]", "127.0.0.1:3000-3001 x1 [7]", "127.0.0.1:3003-3003 x1 [7]"]
    );
}

#[test]
fn another_process_ends_a_range() {
    let table = table(vec![listener("127.0.0.1:3000", 7), listener("127.0.0.1:3001", 8)]);
    assert_eq!(shown(&table), ["127.0.0.1:3000-3000 x1 [7]", "127.0.0.1:3001-3001 x1 [8]"]);
}

#[test]
fn sockets_that_share_a_port_share_a_row_with_all_their_owners() {
    let table = table(vec![
        listener("127.0.0.1:80", 9),
        listener("127.0.0.1:80", 7),
        listener("127.0.0.1:80", 8),
    ]);
    assert_eq!(shown(&table), ["127.0.0.1:80-80 x3 [7, 8, 9]"]);
}

#[test]
fn the_last_port_of_all_ends_its_range_without_an_overflow() {
    let table = table(vec![listener("127.0.0.1:65534", 7), listener("127.0.0.1:65535", 7)]);
    assert_eq!(shown(&table), ["127.0.0.1:65534-65535 x1 [7]"]);
}
