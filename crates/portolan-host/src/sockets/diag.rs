//! Sockets through sock_diag: one dump for each family and protocol.
//!
//! The states go into the request, so that a list of listeners never walks the connections.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use portolan_core::socket::{Address, PortChoice, Socket, SocketTransport, State, StateSet};
use portolan_core::wire::sock_diag::{
    InetMessage, InetRequest, PacketMessage, Selection, UnixMessage, packet_dump, protocol,
    unix_dump,
};
use rustix::net::netlink::SOCK_DIAG;

use super::Query;
use crate::id_index::IdIndex;
use crate::machine;
use crate::netlink::{Dump, Netlink};

/// The kernel's socket tables over netlink.
pub(super) struct Diag<'q> {
    query: &'q Query,
    netlink: Netlink,
    interfaces: Interfaces,
}

impl<'q> Diag<'q> {
    /// Opens netlink.
    ///
    /// # Errors
    /// When this process may not, or the kernel has none.
    pub(super) fn open(query: &'q Query) -> io::Result<Self> {
        let netlink = Netlink::open(Some(SOCK_DIAG))?;
        Ok(Self { query, netlink, interfaces: Interfaces::default() })
    }

    /// Appends the sockets of `transport` to `sockets`; when refused, none of them.
    ///
    /// # Errors
    /// When netlink fails.
    pub(super) fn dump(
        &mut self,
        transport: SocketTransport,
        sockets: &mut Vec<Socket>,
    ) -> io::Result<Dump> {
        let start = sockets.len();
        let mut dump = Ok(Dump::Whole);
        for _ in 0..ATTEMPTS {
            sockets.truncate(start);
            dump = self.attempt(transport, sockets);
            if !matches!(dump, Ok(Dump::Interrupted)) {
                break;
            }
        }
        if matches!(dump, Err(_) | Ok(Dump::Refused(_))) {
            sockets.truncate(start);
        }
        dump
    }

    fn attempt(
        &mut self,
        transport: SocketTransport,
        sockets: &mut Vec<Socket>,
    ) -> io::Result<Dump> {
        match transport {
            SocketTransport::Unix => self.unix(sockets),
            SocketTransport::Packet => self.packet(sockets),
            _ => self.inet(transport, sockets),
        }
    }

    fn inet(&mut self, transport: SocketTransport, sockets: &mut Vec<Socket>) -> io::Result<Dump> {
        let start = sockets.len();
        let (states, netns) = (self.query.states, self.query.netns);
        let interfaces = &mut self.interfaces;
        let mut take = |message: InetMessage| {
            let mut socket = Socket::from_inet(&message, transport, netns);
            socket.device = interfaces.name(message.id.interface);
            sockets.push(socket);
        };
        let dump =
            inet_families(&mut self.netlink, self.query, transport, states, None, &mut take)?;
        match dump {
            Dump::Refused(_) => Ok(dump),
            _ => Ok(worse(dump, self.find_choices(transport, &mut sockets[start..])?)),
        }
    }

    /// Marks who chose the port. The kernel does not report it, it only filters by it, so the
    /// sockets whose port it chose are dumped alone and found again by their cookies.
    fn find_choices(
        &mut self,
        transport: SocketTransport,
        sockets: &mut [Socket],
    ) -> io::Result<Dump> {
        let states = self.query.choice_of & self.query.states;
        if transport.with_ports().is_none() || states == StateSet::NONE || sockets.is_empty() {
            return Ok(Dump::Whole);
        }
        let mut chosen = Vec::new();
        let mut take = |message: InetMessage| chosen.push(message.id.cookie);
        let selection = Some(Selection::Autobound);
        let dump =
            inet_families(&mut self.netlink, self.query, transport, states, selection, &mut take)?;
        if matches!(dump, Dump::Refused(_)) {
            return Ok(Dump::Whole); // a kernel without this filter leaves the question open
        }
        let chosen = IdIndex::new(chosen.into_iter());
        for socket in sockets.iter_mut().filter(|s| states.contains(s.state)) {
            let autobound = socket.cookie.is_some_and(|c| chosen.position(c).is_some());
            let port = socket.local_port().filter(|p| p.0 != 0);
            socket.port_choice = port.map(|p| PortChoice::of(autobound, p, self.query.ephemeral));
        }
        Ok(dump)
    }

    fn unix(&mut self, sockets: &mut Vec<Socket>) -> io::Result<Dump> {
        let start = sockets.len();
        let mut peers = Vec::new();
        let (states, netns) = (self.query.states.mask(), self.query.netns);
        let dump = self.netlink.ask(
            |sequence| unix_dump(sequence, states),
            |_, body| {
                let Ok(message) = UnixMessage::parse(body) else { return };
                sockets.push(Socket::from_unix(&message, netns));
                peers.push(message.peer);
            },
        )?;
        name_unix_peers(&mut sockets[start..], &peers);
        Ok(dump)
    }

    fn packet(&mut self, sockets: &mut Vec<Socket>) -> io::Result<Dump> {
        let (interfaces, netns) = (&mut self.interfaces, self.query.netns);
        if !self.query.states.contains(State::Unconn) {
            return Ok(Dump::Whole);
        }
        self.netlink.ask(packet_dump, |_, body| {
            let Ok(message) = PacketMessage::parse(body) else { return };
            let mut socket = Socket::from_packet(&message, netns);
            socket.device = interfaces.name(message.interface);
            sockets.push(socket);
        })
    }
}

/// Dumps `transport` in every family of the query; a refusal ends it.
fn inet_families(
    netlink: &mut Netlink,
    query: &Query,
    transport: SocketTransport,
    states: StateSet,
    selection: Option<Selection>,
    take: &mut impl FnMut(InetMessage),
) -> io::Result<Dump> {
    let mut result = Dump::Whole;
    let states = states_of(transport, states);
    for family in query.families.iter().filter(|_| states != StateSet::NONE) {
        let (family, protocol) = (*family, protocol_number(transport));
        let request =
            InetRequest { family, protocol, extensions: 0, states: states.mask(), selection };
        let dump = netlink.ask(
            |sequence| request.dump(sequence),
            |_, body| {
                // An entry of a future kernel that cannot be read is no reason to drop the others.
                if let Ok(message) = InetMessage::parse(body) {
                    take(message);
                }
            },
        )?;
        result = worse(result, dump);
        if matches!(result, Dump::Refused(_)) {
            break;
        }
    }
    Ok(result)
}

/// The states worth asking for. A TCP socket in CLOSE is in none of the kernel's tables, but asking
/// for it makes the kernel walk every connection (net/ipv4/inet_diag.c, inet_diag_dump_icsk).
fn states_of(transport: SocketTransport, states: StateSet) -> StateSet {
    match transport {
        SocketTransport::Tcp => states.without(StateSet::of(State::Close)),
        _ => states,
    }
}

const fn worse(one: Dump, other: Dump) -> Dump {
    match (one, other) {
        (Dump::Refused(_), _) | (Dump::Interrupted, Dump::Whole) => one,
        _ => other,
    }
}

/// A unix socket tells its peer's inode; the peer's name stands in the peer's own entry.
fn name_unix_peers(sockets: &mut [Socket], peers: &[Option<u32>]) {
    let by_inode = IdIndex::new(sockets.iter().map(|s| s.inode));
    let names: Vec<Option<Address>> = peers
        .iter()
        .map(|peer| {
            let position = by_inode.position(u64::from((*peer)?));
            Some(position.map_or(Address::Unix(None), |p| sockets[p as usize].local.clone()))
        })
        .collect();
    for (socket, name) in sockets.iter_mut().zip(names) {
        socket.peer = name;
    }
}

pub(super) const fn protocol_number(transport: SocketTransport) -> u8 {
    match transport {
        SocketTransport::Tcp => protocol::TCP,
        SocketTransport::Udp => protocol::UDP,
        SocketTransport::UdpLite => protocol::UDP_LITE,
        SocketTransport::Sctp => protocol::SCTP,
        SocketTransport::Dccp => protocol::DCCP,
        SocketTransport::Icmp => protocol::ICMP,
        SocketTransport::Raw | SocketTransport::Unix | SocketTransport::Packet => protocol::RAW,
    }
}

/// Names of interfaces by their index, asked for when the first socket is bound to one.
#[derive(Default)]
pub(super) struct Interfaces {
    names: Option<HashMap<u32, Arc<str>>>,
}

impl Interfaces {
    /// Where names cannot be had: each is called by its number.
    pub(super) fn nameless() -> Self {
        Self { names: Some(HashMap::new()) }
    }

    /// The name of an interface; 0 is none, and one that has just gone is called by its number.
    pub(super) fn name(&mut self, index: u32) -> Option<Arc<str>> {
        if index == 0 {
            return None;
        }
        let names = self.names.get_or_insert_with(|| {
            let names = machine::interfaces().unwrap_or_default();
            names.into_iter().map(|(index, name)| (index, name.into())).collect()
        });
        Some(names.entry(index).or_insert_with(|| format!("#{index}").into()).clone())
    }
}

/// How often a table that keeps changing is read before that is told.
const ATTEMPTS: usize = 3;
