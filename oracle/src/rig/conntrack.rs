//! Connections told to conntrack over ctnetlink (net/netfilter/nf_conntrack_netlink.c).

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use portolan_core::firewall::Tuple;
use portolan_core::wire::netlink::{self, Payload, push_attribute};
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto, socket_with,
};

use super::Flow;

/// A netlink socket for netfilter's tables.
#[derive(Debug)]
pub(super) struct Conntrack {
    socket: OwnedFd,
    sequence: u32,
}

/// A socket of netlink's family for netfilter.
pub(super) fn open() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(NETFILTER))?;
    bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

/// Sends a request and waits until it is done.
pub(super) fn ask(
    socket: &OwnedFd,
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &[u8],
) -> io::Result<()> {
    let request = netlink::request(kind, flags | netlink::ACKNOWLEDGE, sequence, body);
    sendto(socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut room = [0; 4096];
    loop {
        let (_, length) = recv(socket, &mut room[..], RecvFlags::empty())?;
        for message in netlink::messages(&room[..length.min(4096)]) {
            let message = message.map_err(io::Error::other)?;
            if let Payload::Acknowledged(answer) = message.payload
                && message.sequence == sequence
            {
                return answer.map_err(|errno| io::Error::from_raw_os_error(errno.0));
            }
        }
    }
}

impl Conntrack {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self { socket: open()?, sequence: 0 })
    }

    /// Forgets all connections of this namespace.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.sequence += 1;
        ask(&self.socket, DELETE, 0, self.sequence, &[0, 0, 0, 0])
    }

    /// Makes a connection in a zone. One that is there already stays.
    pub(super) fn add(&mut self, flow: &Flow, zone: u16) -> io::Result<()> {
        self.sequence += 1;
        let answer = ask(&self.socket, NEW, CREATE, self.sequence, &body(flow, zone));
        match answer {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }
}

fn body(flow: &Flow, zone: u16) -> Vec<u8> {
    let family = if flow.original.source.is_ipv6() { 10 } else { 2 };
    let mut body = vec![family, 0, 0, 0];
    push_attribute(&mut body, TUPLE_ORIGINAL, &tuple(&flow.original));
    push_attribute(&mut body, TUPLE_REPLY, &tuple(&flow.original.inverse()));
    let status = CONFIRMED | if flow.has_reply { SEEN_REPLY | ASSURED } else { 0 };
    push_attribute(&mut body, STATUS, &status.to_be_bytes());
    if flow.original.protocol == 6 {
        push_attribute(&mut body, PROTOCOL_INFO, &tcp());
    }
    push_attribute(&mut body, TIMEOUT, &600u32.to_be_bytes());
    if zone != 0 {
        push_attribute(&mut body, ZONE, &zone.to_be_bytes());
    }
    if flow.mark != 0 {
        push_attribute(&mut body, MARK, &flow.mark.to_be_bytes());
    }
    body
}

fn tuple(of: &Tuple) -> Vec<u8> {
    let (mut ends, mut protocol, mut both) = (Vec::new(), Vec::new(), Vec::new());
    for (address, number) in [(of.source, 1), (of.destination, 2)] {
        match address {
            IpAddr::V4(address) => push_attribute(&mut ends, number, &address.octets()),
            IpAddr::V6(address) => push_attribute(&mut ends, number + 2, &address.octets()),
        }
    }
    push_attribute(&mut protocol, 1, &[of.protocol]);
    push_attribute(&mut protocol, 2, &of.source_port.to_be_bytes());
    push_attribute(&mut protocol, 3, &of.destination_port.to_be_bytes());
    push_attribute(&mut both, 1 | NESTED, &ends);
    push_attribute(&mut both, 2 | NESTED, &protocol);
    both
}

/// Established, and no questions about windows.
fn tcp() -> Vec<u8> {
    let mut info = Vec::new();
    push_attribute(&mut info, 1, &[3]);
    push_attribute(&mut info, 4, &[LIBERAL, LIBERAL]);
    push_attribute(&mut info, 5, &[LIBERAL, LIBERAL]);
    let mut outer = Vec::new();
    push_attribute(&mut outer, 1 | NESTED, &info);
    outer
}

/// NFNL_SUBSYS_CTNETLINK with IPCTNL_MSG_CT_NEW and IPCTNL_MSG_CT_DELETE.
const NEW: u16 = 1 << 8;
const DELETE: u16 = 1 << 8 | 2;
/// NLM_F_CREATE with NLM_F_EXCL.
const CREATE: u16 = 0x600;
const NESTED: u16 = 0x8000;
const TUPLE_ORIGINAL: u16 = 1 | NESTED;
const TUPLE_REPLY: u16 = 2 | NESTED;
const STATUS: u16 = 3;
const PROTOCOL_INFO: u16 = 4 | NESTED;
const TIMEOUT: u16 = 7;
const MARK: u16 = 8;
const ZONE: u16 = 18;
const SEEN_REPLY: u32 = 2;
const ASSURED: u32 = 4;
const CONFIRMED: u32 = 8;
/// IP_CT_TCP_FLAG_BE_LIBERAL.
const LIBERAL: u8 = 8;
