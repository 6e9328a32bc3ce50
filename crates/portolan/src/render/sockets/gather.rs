//! Which sockets share a row, and in which order the rows stand.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::net::IpAddr;

use portolan_core::net::Port;
use portolan_core::registry::Registry;
use portolan_core::socket::{Backlog, Held, Process, Socket, SocketTable, SocketTransport};

/// Sockets that share a row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// The first of them, which speaks for all.
    pub(super) first: &'a Held,
    /// The port of the last one: more than the first's where they follow each other.
    pub(super) last_port: Port,
    /// How many have the same address and port (SO_REUSEPORT).
    pub(super) sharing: usize,
    /// The others that share its address and port.
    others: Vec<&'a Held>,
}

/// The sockets in the order people look for them: by namespace, our own first, then by port,
/// transport, address, peer.
pub(super) fn sorted(table: &SocketTable) -> Vec<&Held> {
    let order: HashMap<u64, usize> =
        table.namespaces.iter().enumerate().map(|(rank, netns)| (netns.inode, rank)).collect();
    let rank = |socket: &Socket| order.get(&socket.netns).copied();
    // What most of them differ in is looked up once, not each time two are compared.
    let mut sockets: Vec<_> = table
        .sockets
        .iter()
        .map(|held| ((rank(&held.socket), first_key(&held.socket)), held))
        .collect();
    sockets.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| compare(&a.1.socket, &b.1.socket)));
    sockets.into_iter().map(|(_, held)| held).collect()
}

/// The rows of the table, in that order.
pub(super) fn rows(table: &SocketTable) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for held in sorted(table) {
        if let Some(row) = rows.last_mut().filter(|row| shares_port(row.first, held)) {
            row.sharing += 1;
            row.others.push(held);
        } else {
            rows.push(Row {
                first: held,
                last_port: port(&held.socket),
                sharing: 1,
                others: Vec::new(),
            });
        }
    }
    join_ranges(rows)
}

impl<'a> Row<'a> {
    /// The processes that hold them, each once, by id.
    pub(super) fn owners(&self, table: &'a SocketTable) -> Vec<&'a Process> {
        let mut owners: Vec<&Process> = self.processes(table).collect();
        owners.sort_unstable_by_key(|process| process.pid);
        owners.dedup_by_key(|process| process.pid);
        owners
    }

    /// The same, some perhaps several times.
    pub(super) fn processes(&self, table: &'a SocketTable) -> impl Iterator<Item = &'a Process> {
        let members = std::iter::once(self.first).chain(self.others.iter().copied());
        members.flat_map(|held| table.owners(held))
    }

    /// Whether its accept queue is full.
    pub(super) fn is_full(&self) -> bool {
        is_full(&self.first.socket)
    }

    /// Whether `next` continues this row with the next port and differs in nothing else.
    fn continues(&self, next: &Self) -> bool {
        let (a, b) = (&self.first.socket, &next.first.socket);
        self.sharing == 1
            && next.sharing == 1
            && a.transport.with_ports().is_some()
            && self.last_port.0.checked_add(1) == Some(port(b).0)
            && (a.netns, a.transport) == (b.netns, b.transport)
            && address(a) == address(b)
            && (a.state, a.port_choice, a.is_dual_stack())
                == (b.state, b.port_choice, b.is_dual_stack())
            && (&a.peer, &a.device) == (&b.peer, &b.device)
            && is_full(a) == is_full(b)
            && !is_full(a)
            && has_same_owners(self.first, next.first)
    }
}

/// Ports that follow each other. A row waits for its next port while others, of the same port on
/// another address, pass by.
fn join_ranges(rows: Vec<Row<'_>>) -> Vec<Row<'_>> {
    let mut joined: Vec<Row<'_>> = Vec::with_capacity(rows.len());
    let mut open = Open::default();
    for row in rows {
        open.advance(port(&row.first.socket), &joined);
        let before = open.previous.iter().find(|i| joined[**i].continues(&row)).copied();
        let at = before.unwrap_or(joined.len());
        match before {
            Some(at) => joined[at].last_port = row.last_port,
            None => joined.push(row),
        }
        open.current.push(at);
    }
    joined
}

/// Rows that end at the port before the one that is looked at, and at that one.
#[derive(Default)]
struct Open {
    port: Port,
    previous: Vec<usize>,
    current: Vec<usize>,
}

impl Open {
    /// Goes on to `port`; a smaller one begins another namespace.
    fn advance(&mut self, port: Port, joined: &[Row<'_>]) {
        if port == self.port {
            return;
        }
        self.port = port;
        self.previous.clear();
        std::mem::swap(&mut self.previous, &mut self.current);
        let follows = |i: &usize| joined[*i].last_port.0.checked_add(1) == Some(port.0);
        self.previous.retain(follows);
        if self.previous.len() > REMEMBERED {
            // Many connections of one server: what listens may still go on at the next port.
            self.previous.retain(|i| joined[*i].first.socket.peer.is_none());
            self.previous.truncate(REMEMBERED);
        }
    }
}

/// The service a socket is about: of its own port, or of the one it is connected to.
pub(super) fn service<'r>(registry: &'r Registry, socket: &Socket) -> Option<&'r str> {
    let transport = socket.transport.with_ports()?;
    let peer = socket.peer_endpoint().map(|e| e.port);
    let ports = [socket.local_port(), peer];
    ports.into_iter().flatten().find_map(|port| registry.service_name(port, transport))
}

fn first_key(socket: &Socket) -> (bool, Port, SocketTransport) {
    (socket.transport.with_ports().is_none(), port(socket), socket.transport)
}

/// The order of those that have the same first key.
fn compare(a: &Socket, b: &Socket) -> Ordering {
    a.local
        .cmp(&b.local)
        .then_with(|| a.device.cmp(&b.device))
        .then_with(|| a.peer.cmp(&b.peer))
        .then_with(|| a.state.cmp(&b.state))
        .then_with(|| (a.inode, a.cookie).cmp(&(b.inode, b.cookie)))
}

fn port(socket: &Socket) -> Port {
    socket.local_port().unwrap_or_default()
}

fn address(socket: &Socket) -> Option<IpAddr> {
    socket.local_endpoint().map(|e| e.address)
}

/// Whether two sockets wait at the same place: only SO_REUSEPORT and SO_REUSEADDR allow that.
pub(super) fn shares_port(a: &Held, b: &Held) -> bool {
    let (x, y) = (&a.socket, &b.socket);
    x.is_listener()
        && y.is_listener()
        && (x.netns, x.transport) == (y.netns, y.transport)
        && x.local == y.local
        && x.device == y.device
        && x.is_dual_stack() == y.is_dual_stack()
}

fn is_full(socket: &Socket) -> bool {
    socket.backlog.is_some_and(Backlog::is_full)
}

fn has_same_owners(a: &Held, b: &Held) -> bool {
    let of = |held: &'_ Held| held.holders.iter().map(|h| (h.pid, h.via)).collect::<Vec<_>>();
    a.unowned == b.unowned
        && a.socket.uid == b.socket.uid
        && match (&a.holders[..], &b.holders[..]) {
            ([], []) => a.socket.cgroup == b.socket.cgroup,
            ([x], [y]) => (x.pid, x.via) == (y.pid, y.via),
            _ => of(a) == of(b),
        }
}

/// Ranges that are followed at a time. A machine that has more of them at one port is none whose
/// table is read line by line.
const REMEMBERED: usize = 32;

#[cfg(test)]
mod tests;
