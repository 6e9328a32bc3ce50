//! The sockets that send packets and see them again.

use std::cell::RefCell;
use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};

use portolan_core::firewall::Packet;
use socket2::{Domain, Protocol, Socket, Type};

use super::namespace::Namespaces;
use super::wire::{self, Headers};

/// Both families' raw sockets for whole packets.
#[derive(Debug)]
struct Senders {
    v4: Socket,
    v6: Socket,
}

impl Senders {
    fn open() -> io::Result<Self> {
        let v4 = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW)))?;
        v4.set_header_included_v4(true)?;
        v4.set_broadcast(true)?;
        let v6 = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(RAW)))?;
        v6.set_header_included_v6(true)?;
        Ok(Self { v4, v6 })
    }

    fn send(&self, bytes: &[u8], to: IpAddr) -> io::Result<()> {
        let socket = if to.is_ipv6() { &self.v6 } else { &self.v4 };
        match socket.send_to(bytes, &SocketAddr::new(to, 0).into()) {
            // The rules do not let it out (EPERM), or rerouted it to nowhere.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::HostUnreachable => Ok(()),
            other => other.map(drop),
        }
    }
}

/// A host on a link of the firewall's.
#[derive(Debug)]
pub(super) struct Neighbour {
    pub(super) link: &'static str,
    senders: Senders,
    v4: Socket,
    v6: Socket,
}

impl Neighbour {
    pub(super) fn open(namespaces: &Namespaces, link: &'static str) -> io::Result<Self> {
        namespaces.beside(link, || {
            Ok(Self {
                link,
                senders: Senders::open()?,
                v4: listener(ETH_P_IP)?,
                v6: listener(ETH_P_IPV6)?,
            })
        })?
    }

    pub(super) fn send(&self, bytes: &[u8], to: IpAddr) -> io::Result<()> {
        self.senders.send(bytes, to)
    }

    /// What arrived of the packet with this number.
    pub(super) fn take(&self, packet: &Packet, number: u32) -> io::Result<Option<Headers>> {
        let socket = if packet.is_v6() { &self.v6 } else { &self.v4 };
        let mut found = None;
        each(socket, |bytes| {
            found =
                wire::headers(bytes).filter(|(_, id)| *id == wire::id(number, packet)).or(found);
        })?;
        Ok(found.map(|(headers, _)| headers))
    }

    pub(super) fn drain(&self) -> io::Result<()> {
        each(&self.v4, |_| {})?;
        each(&self.v6, |_| {})
    }
}

/// The firewall's own sockets: one of each protocol that is sent.
#[derive(Debug)]
pub(super) struct Firewall {
    senders: Senders,
    v4: Vec<(u8, Socket)>,
    v6: Vec<(u8, Socket)>,
}

impl Firewall {
    pub(super) fn open() -> io::Result<Self> {
        let all = |domain, protocols: &[u8]| -> io::Result<Vec<(u8, Socket)>> {
            let open = |protocol: u8| {
                let protocol = Protocol::from(i32::from(protocol));
                let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
                socket.set_nonblocking(true)?;
                io::Result::Ok(socket)
            };
            protocols.iter().map(|p| Ok((*p, open(*p)?))).collect()
        };
        let (v4, v6) = (all(Domain::IPV4, wire::V4)?, all(Domain::IPV6, wire::V6)?);
        Ok(Self { senders: Senders::open()?, v4, v6 })
    }

    /// Sends with a mark (SO_MARK).
    pub(super) fn send(&self, bytes: &[u8], to: IpAddr, mark: u32) -> io::Result<()> {
        let socket = if to.is_ipv6() { &self.senders.v6 } else { &self.senders.v4 };
        if mark == 0 {
            return self.senders.send(bytes, to);
        }
        socket.set_mark(mark)?;
        let sent = self.senders.send(bytes, to);
        socket.set_mark(0)?;
        sent
    }

    /// Whether the packet arrived here, with what could be seen of it: IPv6 shows no header.
    pub(super) fn take(
        &self,
        packet: &Packet,
        mark: Option<u32>,
    ) -> io::Result<Option<Option<Headers>>> {
        let sockets = if packet.is_v6() { &self.v6 } else { &self.v4 };
        let Some((_, socket)) = sockets.iter().find(|(p, _)| *p == packet.protocol) else {
            return Ok(None);
        };
        let mut found = None;
        each(socket, |bytes| {
            if packet.is_v6() {
                let seen = wire::mark_in(packet.protocol, bytes);
                if mark.is_none() || seen == mark {
                    found = Some(None);
                }
            } else if let Some((headers, id)) = wire::headers(bytes) {
                let number = mark.unwrap_or_default();
                if mark.is_none() || id == wire::id(number, packet) {
                    found = Some(Some(headers));
                }
            }
        })?;
        Ok(found)
    }

    pub(super) fn drain(&self) -> io::Result<()> {
        self.v4.iter().chain(&self.v6).try_for_each(|(_, socket)| each(socket, |_| {}))
    }
}

/// Calls `use_it` with every packet a socket holds.
fn each(socket: &Socket, mut use_it: impl FnMut(&[u8])) -> io::Result<()> {
    thread_local! {
        static ROOM: RefCell<[u8; 2048]> = const { RefCell::new([0; 2048]) };
    }
    ROOM.with_borrow_mut(|room| {
        loop {
            match (&*socket).read(room) {
                Ok(length) => use_it(&room[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    })
}

/// Packets of one protocol that come in, without their frame; what is sent is not among them, as it
/// would be with every protocol (packet(7)).
fn listener(protocol: u16) -> io::Result<Socket> {
    let protocol = Protocol::from(i32::from(protocol.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
/// IPPROTO_RAW: sends whole packets, receives nothing.
const RAW: i32 = 255;
