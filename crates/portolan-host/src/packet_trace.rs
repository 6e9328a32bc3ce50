//! Following real packets through the rules: nf_tables' own trace, and a look at the wire.
//!
//! A table of our own sets the trace mark on the packets asked about, before every other rule, and has
//! empty chains behind every other rule, which tell how far a packet came. It belongs to the nft that
//! made it (flag `owner`, Linux 5.12): when that ends, because we say so or because we are gone and its
//! input with us, the kernel removes the table. It decides nothing.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use portolan_core::net::{Endpoint, Port, Transport};
use portolan_core::wire::cbpf::{Assembler, Instruction, PROTOCOL, Width};
use portolan_core::wire::ipv4::Ipv4;
use portolan_core::wire::ipv6::Ipv6;
use portolan_core::wire::netlink::{self, Payload};
use portolan_core::wire::nftrace::{self, TraceEvent};
use portolan_core::wire::tcp::{self, Tcp};
use portolan_core::wire::udp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::kernel::packet;
use crate::tool::Tool;

/// Which packets are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// From there.
    pub from: IpAddr,
    /// With this transport.
    pub transport: Transport,
    /// To this port.
    pub port: Port,
    /// Where their destination is translated to, whence the answers come then.
    pub behind: Vec<Endpoint>,
}

/// Something that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A step of a packet through the rules.
    Step(TraceEvent),
    /// A packet on the wire.
    Wire(Wire),
}

/// A packet on the wire, before all rules or after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// From.
    pub from: Endpoint,
    /// To.
    pub to: Endpoint,
    /// The flags of a TCP packet.
    pub flags: Option<u8>,
    /// Whether it is an ICMP error about a packet of theirs.
    pub is_error: bool,
}

/// A trace that runs; ends with this value.
#[derive(Debug)]
pub struct Tracer {
    wanted: Wanted,
    table: String,
    events: OwnedFd,
    wire: Option<OwnedFd>,
    nft: Child,
}

/// Why packets cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// nft is not there.
    #[error("nft is not installed")]
    NoTool,
    /// The kernel or nft refused.
    #[error("{0}")]
    Refused(String),
    /// A socket failed.
    #[error("open a socket for traces")]
    Socket(#[from] io::Error),
}

impl Tracer {
    /// The table that would be made, by name.
    #[must_use]
    pub fn table_name() -> String {
        format!("{}{}", portolan_core::reach::TRACING, std::process::id())
    }

    /// Whether packets could be traced, before anything is changed.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN, without nft.
    pub fn precheck() -> Result<(), TraceError> {
        Tool::find("nft").ok_or(TraceError::NoTool)?;
        subscribe().map(drop).map_err(TraceError::from)
    }

    /// Makes the table and listens.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN, without nft, on a kernel before 5.12.
    pub fn begin(wanted: Wanted) -> Result<Self, TraceError> {
        let tool = Tool::find("nft").ok_or(TraceError::NoTool)?;
        let events = subscribe()?;
        let wire = capture(wanted.from).ok();
        let table = Self::table_name();
        let mut nft = Command::new(tool.path())
            .arg("-i")
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(input) = &mut nft.stdin {
            input.write_all(script(&table, &wanted).as_bytes())?;
            input.flush()?;
        }
        let mut tracer = Self { wanted, table, events, wire, nft };
        tracer.await_table(&tool)?;
        Ok(tracer)
    }

    /// Our table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Whether the wire is looked at too (CAP_NET_RAW).
    #[must_use]
    pub const fn sees_wire(&self) -> bool {
        self.wire.is_some()
    }

    fn await_table(&mut self, tool: &Tool) -> Result<(), TraceError> {
        for _ in 0..TRIES {
            let listed = tool.run(["list", "chain", "inet", &*self.table, "last"], LIMIT);
            if listed.is_ok_and(|said| said.succeeded) {
                return Ok(());
            }
            if self.nft.try_wait()?.is_some() {
                break;
            }
            thread::sleep(PAUSE);
        }
        self.end();
        let mut complaint = String::new();
        if let Some(mut errors) = self.nft.stderr.take() {
            let _ = errors.read_to_string(&mut complaint);
        }
        let first = complaint.lines().next().unwrap_or("nft made no table").to_owned();
        Err(TraceError::Refused(first))
    }

    /// What is seen within `wait`; empty when nothing is.
    ///
    /// # Errors
    /// When a socket fails.
    pub fn next(&mut self, wait: Duration) -> io::Result<Vec<Seen>> {
        let mut polled = vec![PollFd::new(&self.events, PollFlags::IN)];
        polled.extend(self.wire.as_ref().map(|wire| PollFd::new(wire, PollFlags::IN)));
        let wait = Timespec::try_from(wait).map_err(io::Error::other)?;
        match poll(&mut polled, Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut seen = Vec::new();
        self.steps(&mut seen)?;
        self.packets(&mut seen);
        Ok(seen)
    }

    fn steps(&self, seen: &mut Vec<Seen>) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let length = match recv(&self.events, buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((_, length)) => length,
                Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                // More was told than the socket holds: some steps are missing.
                Err(Errno::NOBUFS) => continue,
                Err(error) => return Err(error.into()),
            };
            for message in netlink::messages(&buffer[..length.min(BUFFER)]).flatten() {
                let Payload::Entry { kind: nftrace::TRACE, body } = message.payload else {
                    continue;
                };
                seen.extend(TraceEvent::parse(body).ok().flatten().map(Seen::Step));
            }
        }
    }

    fn packets(&self, seen: &mut Vec<Seen>) {
        let Some(wire) = &self.wire else { return };
        let mut buffer = [0; KEPT];
        while let Ok((_, length)) = recv(wire, buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
            let packet = &buffer[..length.min(KEPT)];
            seen.extend(read(packet, &self.wanted).map(Seen::Wire));
        }
    }

    fn end(&mut self) {
        drop(self.nft.stdin.take());
        for _ in 0..TRIES {
            if !matches!(self.nft.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(PAUSE / 5);
        }
        let _ = self.nft.kill();
        let _ = self.nft.wait();
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.end();
    }
}

/// What nft is told. The first chains mark, the last ones only tell that a packet came so far. Answers
/// are marked in chains of their own, by which they are told from what they answer.
fn script(table: &str, wanted: &Wanted) -> String {
    let Wanted { from, transport, port, behind } = wanted;
    let ip = if from.is_ipv4() { "ip" } else { "ip6" };
    let mark = format!("{ip} saddr {from} meta l4proto {transport} th dport {port}");
    let mut script = format!("add table inet {table} {{ flags owner; }}\n");
    let mut chain = |first: &str, hook: &str, rules: &[String]| {
        let name = format!("{table} {first}-{hook}");
        script.push_str(&format!(
            "add chain inet {name} {{ type filter hook {hook} priority -350; }}\n"
        ));
        for rule in rules {
            script.push_str(&format!("add rule inet {name} {rule} meta nftrace set 1\n"));
        }
    };
    for hook in ["prerouting", "output"] {
        chain("first", hook, std::slice::from_ref(&mark));
    }
    let answer = |port: Port, and: String| {
        format!("{ip} daddr {from} meta l4proto {transport} th sport {port}{and}")
    };
    let mut own = vec![answer(*port, String::new())];
    own.extend(behind.iter().map(|at| answer(at.port, String::new())));
    let of_others = behind.iter().map(|at| answer(at.port, format!(" {ip} saddr {}", at.address)));
    let of_others: Vec<String> = of_others.collect();
    chain(ANSWER, "output", &own);
    chain(ANSWER, "prerouting", &of_others);
    for hook in ["input", "postrouting"] {
        script.push_str(&format!(
            "add chain inet {table} last-{hook} {{ type filter hook {hook} priority {LAST}; }}\n"
        ));
    }
    // It is there when everything before it is.
    script.push_str(&format!("add chain inet {table} last\n"));
    script
}

fn subscribe() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(NETFILTER))?;
    bind(&socket, &SocketAddrNetlink::new(0, 1 << (nftrace::GROUP - 1)))?;
    let _ = sockopt::set_socket_recv_buffer_size(&socket, 1 << 22);
    Ok(socket)
}

/// Packets from and to an address, as they come in before all rules and as they go out after them.
fn capture(address: IpAddr) -> io::Result<OwnedFd> {
    let socket = packet::open()?;
    packet::attach_filter(socket.as_fd(), &filter(address))?;
    packet::listen_both_ways(socket.as_fd())?;
    Ok(socket)
}

fn filter(address: IpAddr) -> Vec<Instruction> {
    let mut code = Assembler::new();
    let (yes, no) = (code.label(), code.label());
    let (kind, words, places) = match address {
        IpAddr::V4(v4) => (0x0800, vec![v4.to_bits()], [12, 16]),
        IpAddr::V6(v6) => (0x86dd, v6.octets().chunks(4).map(big32).collect(), [8, 24]),
    };
    code.load_ancillary(PROTOCOL);
    code.if_not_equal(kind, no);
    for place in places {
        let other = code.label();
        for (number, word) in words.iter().enumerate() {
            code.load(Width::Word, place + 4 * number as u32);
            code.if_not_equal(*word, other);
        }
        code.if_equal(words[words.len() - 1], yes);
        code.mark(other);
    }
    code.end(0);
    code.mark(yes);
    code.end(KEPT as u32);
    code.mark(no);
    code.end(0);
    code.finish()
}

fn big32(bytes: &[u8]) -> u32 {
    bytes.try_into().map(u32::from_be_bytes).unwrap_or(0)
}

/// A packet that is asked about or an answer to one.
fn read(packet: &[u8], wanted: &Wanted) -> Option<Wire> {
    let (from, to, protocol, inside): (IpAddr, IpAddr, u8, &[u8]) = match packet.first()? >> 4 {
        4 => {
            let (ip, inside) = Ipv4::parse(packet)?;
            (ip.from.into(), ip.to.into(), ip.protocol, inside)
        }
        6 => {
            let (ip, inside) = Ipv6::parse(packet)?;
            (ip.from.into(), ip.to.into(), ip.protocol, inside)
        }
        _ => return None,
    };
    let is_icmp = matches!(protocol, 1 | 58);
    if is_icmp && to == wanted.from && matches!(inside.first()?, 3 | 1) {
        let from = Endpoint::new(from, Port(0));
        let to = Endpoint::new(to, Port(0));
        return Some(Wire { from, to, flags: None, is_error: true });
    }
    let port = |at: usize| Some(Port(u16::from_be_bytes(inside.get(at..at + 2)?.try_into().ok()?)));
    let (from, to) = (Endpoint::new(from, port(0)?), Endpoint::new(to, port(2)?));
    let is_theirs = from.address == wanted.from && to.port == wanted.port;
    let is_ours = to.address == wanted.from && from.port == wanted.port;
    let flags = match (protocol, wanted.transport) {
        (tcp::PROTOCOL, Transport::Tcp) => Some(Tcp::parse(inside)?.flags),
        (udp::PROTOCOL, Transport::Udp) => None,
        _ => return None,
    };
    (is_theirs || is_ours).then_some(Wire { from, to, flags, is_error: false })
}

/// Sends the first packet of a connection from an address of this machine.
///
/// # Errors
/// When the address is not ours; that nothing answers is none.
pub fn send(wanted: &Wanted, to: IpAddr) -> io::Result<()> {
    let domain = Domain::for_address(SocketAddr::new(to, 0));
    let (kind, protocol) = match wanted.transport {
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
        _ => (Type::STREAM, Protocol::TCP),
    };
    let socket = Socket::new(domain, kind, Some(protocol))?;
    socket.bind(&SocketAddr::new(wanted.from, 0).into())?;
    let to = SocketAddr::new(to, wanted.port.0).into();
    if wanted.transport == Transport::Udp {
        let _ = socket.send_to(b"\n", &to);
        return Ok(());
    }
    let _ = socket.connect_timeout(&to, Duration::from_millis(500));
    Ok(())
}

/// How the chains that mark answers are called, before their hook.
pub const ANSWER: &str = "answer";
/// Behind every chain anybody would make.
const LAST: i32 = 2_147_000_000;
const TRIES: usize = 40;
const PAUSE: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(2);
const BUFFER: usize = 1 << 16;
const KEPT: usize = 128;
