//! Sockets from the text tables in /proc/net, for protocols whose diag module is missing.
//!
//! Formats: proc_net_tcp.rst and the kernel's `*_seq_show` functions. Less is known than over
//! sock_diag: no cookie, no cgroup, no backlog, no IPV6_V6ONLY, and bound TCP sockets that do not
//! listen are absent. A line that cannot be read is an error of its own, never the end of the table.
//! A unix path may hold a line break, and so invent a line: these tables are not proof.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::IntErrorKind;
use std::str::FromStr;

use super::diag::unix_name;
use super::{Address, Family, Queues, Socket, SocketTransport, State};
use crate::net::{Endpoint, Port};

/// One file of /proc/net.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Table {
    /// The file's name.
    pub file: &'static str,
    /// What its sockets speak.
    pub transport: SocketTransport,
    /// Their family.
    pub family: Family,
}

impl Table {
    /// Every table that is understood.
    pub const ALL: [Self; 12] = [
        Self::new("tcp", SocketTransport::Tcp, Family::Ipv4),
        Self::new("tcp6", SocketTransport::Tcp, Family::Ipv6),
        Self::new("udp", SocketTransport::Udp, Family::Ipv4),
        Self::new("udp6", SocketTransport::Udp, Family::Ipv6),
        Self::new("udplite", SocketTransport::UdpLite, Family::Ipv4),
        Self::new("udplite6", SocketTransport::UdpLite, Family::Ipv6),
        Self::new("raw", SocketTransport::Raw, Family::Ipv4),
        Self::new("raw6", SocketTransport::Raw, Family::Ipv6),
        Self::new("icmp", SocketTransport::Icmp, Family::Ipv4),
        Self::new("icmp6", SocketTransport::Icmp, Family::Ipv6),
        Self::new("unix", SocketTransport::Unix, Family::Unix),
        Self::new("packet", SocketTransport::Packet, Family::Packet),
    ];

    const fn new(file: &'static str, transport: SocketTransport, family: Family) -> Self {
        Self { file, transport, family }
    }

    /// The tables of one transport, one for each family it has.
    pub fn of(transport: SocketTransport) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |table| table.transport == transport)
    }

    /// The sockets of this table's text, as network namespace `netns` shows it.
    pub fn rows(self, text: &[u8], netns: u64) -> impl Iterator<Item = Result<Row, LineError>> {
        let lines = text.split(|byte| *byte == b'\n').enumerate().skip(HEADING);
        lines.filter(|(_, line)| !line.is_empty()).map(move |(index, line)| {
            let read = match self.family {
                Family::Ipv4 | Family::Ipv6 => self.inet(line, netns),
                Family::Unix => unix(line, netns),
                Family::Packet => packet(line, netns),
            };
            read.map_err(|fault| LineError { file: self.file, line: index + 1, fault })
        })
    }

    /// `sl: local remote state tx:rx timer:when retransmits uid timeout inode …`
    fn inet(self, line: &[u8], netns: u64) -> Result<Row, Fault> {
        let mut columns = Columns::of(line);
        columns.skip("slot")?;
        let local = self.endpoint(columns.text("local address")?, "local address")?;
        let peer = self.endpoint(columns.text("remote address")?, "remote address")?;
        let state = columns.hex::<u8>("state")?;
        let (send, receive) = columns.hex_pair("queues")?;
        columns.skip("timer")?;
        columns.skip("retransmits")?;
        let uid: u32 = columns.number("uid")?;
        columns.skip("timeout")?;
        let inode: u64 = columns.number("inode")?;

        let state = State::from_number(state, self.transport);
        let socket = Socket {
            local: Address::Inet(local),
            peer: (!peer.is_unset()).then_some(Address::Inet(peer)),
            // Without an inode the uid is 0 for lack of a better one (get_timewait4_sock).
            uid: (inode != 0 || uid != 0).then_some(uid),
            queues: Queues { receive, send },
            ..Socket::bare(self.transport, self.family, state, inode, netns)
        };
        Ok(Row { socket, interface: 0 })
    }

    /// `0100007F:1F90`: each 32-bit word of the address as a number in the machine's byte order, the
    /// port as a plain number.
    fn endpoint(self, text: &str, column: &'static str) -> Result<Endpoint, Fault> {
        let unreadable = || Fault::Unreadable { column };
        let (address, port) = text.split_once(':').ok_or_else(unreadable)?;
        let port = u16::from_str_radix(port, 16).map_err(|_| unreadable())?;
        let address = match self.family {
            Family::Ipv6 => address_words::<4>(address).map(|words| {
                IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).unwrap_or_default()))
            }),
            _ => address_words::<1>(address).map(|[word]| IpAddr::V4(Ipv4Addr::from(word))),
        };
        Ok(Endpoint::new(address.ok_or_else(unreadable)?, Port(port)))
    }
}

/// A socket, and what names its device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The socket.
    pub socket: Socket,
    /// Index of the interface it is bound to, 0 for none; only packet sockets tell.
    pub interface: u32,
}

/// A line that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("/proc/net/{file}, line {line}: {fault}")]
pub struct LineError {
    /// The table.
    pub file: &'static str,
    /// Its line, counted from one, the heading being the first.
    pub line: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The line ends too early.
    #[error("no {column}")]
    Missing {
        /// The column that should have come next.
        column: &'static str,
    },
    /// A column holds something else.
    #[error("the {column} cannot be read")]
    Unreadable {
        /// That column.
        column: &'static str,
    },
}

/// `Num: RefCount Protocol Flags Type St Inode [Path]`
fn unix(line: &[u8], netns: u64) -> Result<Row, Fault> {
    let mut columns = Columns::of(line);
    for column in ["number", "reference count", "protocol"] {
        columns.skip(column)?;
    }
    let flags = columns.hex::<u32>("flags")?;
    columns.skip("type")?;
    let state = columns.hex::<u8>("state")?;
    let inode = columns.number("inode")?;
    // One blank parts the inode from the path, which may begin with blanks of its own.
    let name = columns.rest.strip_prefix(b" ").unwrap_or_default();

    let state = match state {
        _ if flags & SO_ACCEPTCON != 0 => State::Listen,
        SS_CONNECTING => State::SynSent,
        SS_CONNECTED => State::Established,
        SS_DISCONNECTING => State::Closing,
        _ => State::Unconn,
    };
    let socket = Socket {
        local: unix_name(name),
        ..Socket::bare(SocketTransport::Unix, Family::Unix, state, inode, netns)
    };
    Ok(Row { socket, interface: 0 })
}

/// `sk RefCnt Type Proto Iface R Rmem User Inode`
fn packet(line: &[u8], netns: u64) -> Result<Row, Fault> {
    let mut columns = Columns::of(line);
    for column in ["socket", "reference count", "type"] {
        columns.skip(column)?;
    }
    let protocol = columns.hex("protocol")?;
    let interface = columns.number("interface")?;
    columns.skip("running")?;
    let receive = columns.number("memory")?;
    let uid = columns.number("user")?;
    let inode = columns.number("inode")?;

    let socket = Socket {
        local: Address::Packet { protocol },
        uid: Some(uid),
        queues: Queues { receive, send: 0 },
        ..Socket::bare(SocketTransport::Packet, Family::Packet, State::Unconn, inode, netns)
    };
    Ok(Row { socket, interface })
}

/// A line, column by column.
struct Columns<'a> {
    rest: &'a [u8],
}

impl<'a> Columns<'a> {
    const fn of(line: &'a [u8]) -> Self {
        Self { rest: line }
    }

    fn text(&mut self, column: &'static str) -> Result<&'a str, Fault> {
        let line = self.rest.trim_ascii_start();
        let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let (found, rest) = line.split_at(end);
        self.rest = rest;
        if found.is_empty() {
            return Err(Fault::Missing { column });
        }
        std::str::from_utf8(found).map_err(|_| Fault::Unreadable { column })
    }

    fn skip(&mut self, column: &'static str) -> Result<(), Fault> {
        self.text(column).map(|_| ())
    }

    fn number<T: FromStr>(&mut self, column: &'static str) -> Result<T, Fault> {
        self.text(column)?.parse().map_err(|_| Fault::Unreadable { column })
    }

    fn hex<T: TryFrom<u32>>(&mut self, column: &'static str) -> Result<T, Fault> {
        let number = u32::from_str_radix(self.text(column)?, 16).ok();
        number.and_then(|n| T::try_from(n).ok()).ok_or(Fault::Unreadable { column })
    }

    fn hex_pair(&mut self, column: &'static str) -> Result<(u32, u32), Fault> {
        let unreadable = Fault::Unreadable { column };
        let (first, second) = self.text(column)?.split_once(':').ok_or(unreadable)?;
        Ok((saturating_hex(first).ok_or(unreadable)?, saturating_hex(second).ok_or(unreadable)?))
    }
}

/// The kernel prints a negative queue, which happens for a moment, with all its bits.
fn saturating_hex(text: &str) -> Option<u32> {
    match u32::from_str_radix(text, 16) {
        Ok(number) => Some(number),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => Some(u32::MAX),
        Err(_) => None,
    }
}

fn address_words<const N: usize>(text: &str) -> Option<[[u8; 4]; N]> {
    if text.len() != 8 * N || !text.is_ascii() {
        return None;
    }
    let mut words = [[0; 4]; N];
    for (index, word) in words.iter_mut().enumerate() {
        *word = u32::from_str_radix(&text[8 * index..8 * (index + 1)], 16).ok()?.to_ne_bytes();
    }
    Some(words)
}

const HEADING: usize = 1;

/// __SO_ACCEPTCON of linux/net.h, in the flags of a listener.
const SO_ACCEPTCON: u32 = 1 << 16;

// enum socket_state of linux/net.h; 1 is unconnected.
const SS_CONNECTING: u8 = 2;
const SS_CONNECTED: u8 = 3;
const SS_DISCONNECTING: u8 = 4;

#[cfg(test)]
mod tests;
