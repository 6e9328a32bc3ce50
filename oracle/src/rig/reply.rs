//! What the firewall's kernel answers, as nfnetlink_log hands it over.

use std::io;
use std::os::fd::OwnedFd;

use portolan_core::wire::netlink::{self, Payload, push_attribute};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::conntrack;

/// What a sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A TCP RST.
    Reset,
    /// An ICMP or ICMPv6 message.
    Icmp {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
    },
}

/// The socket that hears of answers.
#[derive(Debug)]
pub(super) struct Replies {
    socket: OwnedFd,
}

impl Replies {
    pub(super) fn open() -> io::Result<Self> {
        let socket = conntrack::open()?;
        let [high, low] = GROUP.to_be_bytes();
        let config = |kind: u16, value: &[u8]| {
            let mut body = vec![0, 0, high, low];
            push_attribute(&mut body, kind, value);
            body
        };
        conntrack::ask(&socket, CONFIG, 0, 1, &config(COMMAND, &[BIND]))?;
        conntrack::ask(&socket, CONFIG, 0, 2, &config(MODE, &[0, 0, 0, 128, COPY_PACKET, 0]))?;
        Ok(Self { socket })
    }

    /// The first answer that came since the last time; the others are forgotten.
    pub(super) fn take(&self) -> io::Result<Option<Reply>> {
        let mut room = [0; 4096];
        let mut found = None;
        loop {
            match recv(&self.socket, &mut room[..], RecvFlags::DONTWAIT) {
                Ok((_, length)) => found = found.or(read(&room[..length.min(4096)])),
                Err(Errno::AGAIN) => return Ok(found),
                Err(Errno::NOBUFS) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn read(datagram: &[u8]) -> Option<Reply> {
    netlink::messages(datagram).flatten().find_map(|message| match message.payload {
        Payload::Entry { kind: PACKET, body } => {
            let mut attributes = netlink::attributes(body.get(4..)?).flatten();
            reply(attributes.find(|a| a.kind == PAYLOAD)?.value)
        }
        _ => None,
    })
}

/// What a packet from its IP header on answers.
fn reply(packet: &[u8]) -> Option<Reply> {
    let is_v6 = packet.first()? >> 4 == 6;
    let at = if is_v6 { 40 } else { usize::from(packet[0] & 15) * 4 };
    match packet.get(if is_v6 { 6 } else { 9 })? {
        6 => Some(Reply::Reset),
        1 | 58 => Some(Reply::Icmp { kind: *packet.get(at)?, code: *packet.get(at + 1)? }),
        _ => None,
    }
}

/// The group of the rule that logs.
const GROUP: u16 = 7;
/// NFNL_SUBSYS_ULOG with NFULNL_MSG_PACKET and NFULNL_MSG_CONFIG.
const PACKET: u16 = 4 << 8;
const CONFIG: u16 = 4 << 8 | 1;
const COMMAND: u16 = 1;
const BIND: u8 = 1;
const MODE: u16 = 2;
const COPY_PACKET: u8 = 2;
const PAYLOAD: u16 = 9;
