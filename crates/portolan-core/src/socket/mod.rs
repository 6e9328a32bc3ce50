//! Floor 2, who holds a port here: sockets as the kernel reports them, and their owners.
//!
//! Values only. `portolan-host` reads the kernel's tables and fills these types; what could not be
//! seen is a value too (`Unowned`, `None`), never an empty string or a zero.

mod bind;
pub mod cgroup;
pub mod choose;
pub mod complaint;
pub mod conflict;
pub mod diag;
pub mod ephemeral;
pub mod filter;
mod kernel_use;
mod machine;
pub mod multicast;
mod owner;
pub mod passwd;
pub mod procnet;
pub mod procpid;
mod split;
mod states;
pub mod stop;
mod table;
pub mod task_file;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use bind::{Bind, Reuse};
pub use kernel_use::{KernelUse, nfsd_ports, rxrpc_ports};
pub use machine::{InterfaceAddress, LocalPorts, Machine};
pub use owner::{Container, Holder, Placement, Process, Unowned, Via};
pub use split::{Split, by_precedence, split};
pub use states::StateSet;
pub use table::{Engine, Held, Netns, SocketTable, TurnedAway};

use crate::net::{Endpoint, Port, Scope, Transport};

/// One kernel socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// What it speaks below the application.
    pub transport: SocketTransport,
    /// Its address family.
    pub family: Family,
    /// Where it is bound.
    pub local: Address,
    /// The other end, where there is one.
    pub peer: Option<Address>,
    /// Its state; UDP and raw sockets are `Unconn` or `Established`.
    pub state: State,
    /// Whether an IPv6 socket refuses IPv4; `None` for other families or where the kernel is silent.
    pub v6only: Option<bool>,
    /// The interface it is bound to (SO_BINDTODEVICE), or the zone of a link-local address.
    pub device: Option<Arc<str>>,
    /// Inode of the network namespace it lives in; 0 where unknown.
    pub netns: u64,
    /// The kernel's number for this socket, never reused while the machine runs (SO_COOKIE).
    pub cookie: Option<u64>,
    /// Inode in sockfs, 0 for sockets no file stands for (TIME-WAIT, SYN-RECV, orphans).
    pub inode: u64,
    /// The creator's user id; `None` for mini-sockets, whose message says 0 and means nothing.
    pub uid: Option<u32>,
    /// Who chose the local port; `None` where the kernel cannot tell.
    pub port_choice: Option<PortChoice>,
    /// The accept queue of a TCP listener.
    pub backlog: Option<Backlog>,
    /// Bytes waiting in either direction (for listeners see `backlog`).
    pub queues: Queues,
    /// The id of the cgroup that made it, the inode of its folder in the unified hierarchy.
    pub cgroup: Option<u64>,
    /// How it is willing to share its port; `None` where it could not be found out: sock_diag does
    /// not tell, the bpf engine and a look at the descriptor do.
    pub reuse: Option<Reuse>,
    /// The timer that runs on it.
    pub timer: Option<Timer>,
    /// Whether it takes what is addressed to others (IP_TRANSPARENT); `None` where that is not known.
    pub transparent: Option<bool>,
    /// The mark of what it sends (SO_MARK); `None` where that is not known.
    pub mark: Option<u32>,
}

impl Socket {
    /// The local endpoint of an IP socket.
    #[must_use]
    pub fn local_endpoint(&self) -> Option<Endpoint> {
        self.local.endpoint()
    }

    /// The other end of an IP socket that is connected.
    #[must_use]
    pub fn peer_endpoint(&self) -> Option<Endpoint> {
        self.peer.as_ref().and_then(Address::endpoint)
    }

    /// The local port of an IP socket that has ports.
    #[must_use]
    pub fn local_port(&self) -> Option<Port> {
        self.transport.with_ports()?;
        self.local.endpoint().map(|e| e.port)
    }

    /// How far the local address reaches; `None` for unix and packet sockets.
    #[must_use]
    pub fn scope(&self) -> Option<Scope> {
        self.local.endpoint().map(|e| Scope::of(e.address))
    }

    /// Whether one IPv6 wildcard socket serves IPv4 too.
    #[must_use]
    pub fn is_dual_stack(&self) -> bool {
        self.family == Family::Ipv6
            && self.v6only == Some(false)
            && self.local.endpoint().is_some_and(|e| e.address.is_unspecified())
    }

    /// Whether it waits for others to come: a TCP listener, or a UDP socket without a peer.
    #[must_use]
    pub fn is_listener(&self) -> bool {
        match self.transport {
            SocketTransport::Tcp | SocketTransport::Sctp | SocketTransport::Dccp => {
                self.state == State::Listen
            }
            SocketTransport::Udp | SocketTransport::UdpLite => {
                self.peer.is_none() && self.local_port().is_some_and(|p| p.0 != 0)
            }
            _ => false,
        }
    }
}

/// What a socket speaks below the application, with or without ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SocketTransport {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 3828.
    UdpLite,
    /// RFC 9260.
    Sctp,
    /// RFC 4340.
    Dccp,
    /// raw(7): its "port" is the IP protocol number.
    Raw,
    /// Unprivileged echo sockets, icmp(7): the "port" is the echo identifier.
    Icmp,
    /// unix(7).
    Unix,
    /// packet(7).
    Packet,
}

impl SocketTransport {
    /// The word used in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::UdpLite => "udplite",
            Self::Sctp => "sctp",
            Self::Dccp => "dccp",
            Self::Raw => "raw",
            Self::Icmp => "icmp",
            Self::Unix => "unix",
            Self::Packet => "packet",
        }
    }

    /// The transport whose port space it uses; UDP-Lite has one of its own that IANA shares with UDP.
    #[must_use]
    pub const fn with_ports(self) -> Option<Transport> {
        match self {
            Self::Tcp => Some(Transport::Tcp),
            Self::Udp | Self::UdpLite => Some(Transport::Udp),
            Self::Sctp => Some(Transport::Sctp),
            Self::Dccp => Some(Transport::Dccp),
            Self::Raw | Self::Icmp | Self::Unix | Self::Packet => None,
        }
    }
}

impl fmt::Display for SocketTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The address family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// AF_INET.
    Ipv4,
    /// AF_INET6.
    Ipv6,
    /// AF_UNIX.
    Unix,
    /// AF_PACKET.
    Packet,
}

impl Family {
    /// The word used in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Unix => "unix",
            Self::Packet => "packet",
        }
    }
}

/// What a socket is bound or connected to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// An IP socket.
    Inet(Endpoint),
    /// A unix socket's name: a path, `@name` when abstract, `None` when it has none.
    Unix(Option<Box<str>>),
    /// A packet socket: the EtherType it takes (0x0003 is all).
    Packet {
        /// EtherType in host order.
        protocol: u16,
    },
}

impl Address {
    /// The endpoint of an IP socket.
    #[must_use]
    pub const fn endpoint(&self) -> Option<Endpoint> {
        match self {
            Self::Inet(endpoint) => Some(*endpoint),
            _ => None,
        }
    }
}

/// A socket's state, by RFC 9293's names, plus what Linux adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Connected.
    Established,
    /// Sent SYN, waiting.
    SynSent,
    /// Got SYN, answered.
    SynRecv,
    /// Closed here, FIN sent.
    FinWait1,
    /// Our FIN was acknowledged.
    FinWait2,
    /// Waits out old segments.
    TimeWait,
    /// Not connected; TCP: neither bound to listen nor connecting.
    Close,
    /// The other end closed, ours has not.
    CloseWait,
    /// Both closed, waiting for the last acknowledgement.
    LastAck,
    /// Accepting connections.
    Listen,
    /// Both closed at once.
    Closing,
    /// TCP, bound to a port and not listening (kernel 6.8 and later report it, bit 13).
    Bound,
    /// UDP, raw, unix: without a peer.
    Unconn,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 13] = [
        Self::Established,
        Self::SynSent,
        Self::SynRecv,
        Self::FinWait1,
        Self::FinWait2,
        Self::TimeWait,
        Self::Close,
        Self::CloseWait,
        Self::LastAck,
        Self::Listen,
        Self::Closing,
        Self::Bound,
        Self::Unconn,
    ];

    /// The word used in JSON, kebab-case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::SynSent => "syn-sent",
            Self::SynRecv => "syn-recv",
            Self::FinWait1 => "fin-wait-1",
            Self::FinWait2 => "fin-wait-2",
            Self::TimeWait => "time-wait",
            Self::Close => "close",
            Self::CloseWait => "close-wait",
            Self::LastAck => "last-ack",
            Self::Listen => "listen",
            Self::Closing => "closing",
            Self::Bound => "bound",
            Self::Unconn => "unconn",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who chose a socket's local port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortChoice {
    /// The program asked for this number.
    Fixed,
    /// The program left it to the kernel: bind(0), connect or listen without bind.
    Kernel,
}

impl PortChoice {
    /// The word used in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Kernel => "kernel",
        }
    }
}

/// A TCP listener's accept queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Connections that wait for accept().
    pub queued: u32,
    /// The most that may wait, from listen() and net.core.somaxconn.
    pub max: u32,
}

impl Backlog {
    /// Whether the kernel refuses further connections: it drops once more than `max` wait
    /// (include/net/sock.h sk_acceptq_is_full).
    #[must_use]
    pub const fn is_full(self) -> bool {
        self.queued > self.max
    }
}

/// A timer that runs on a TCP socket (struct inet_diag_msg, idiag_timer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// What happens when it ends.
    pub kind: TimerKind,
    /// How long until then.
    pub left: Duration,
}

/// What a TCP timer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerKind {
    /// Unacknowledged data is sent again.
    Retransmit,
    /// Keepalive, a SYN-ACK, or the end of an orphan in FIN-WAIT-2: what runs on `sk_timer`.
    Keepalive,
    /// The end of TIME-WAIT: the port is free afterwards.
    TimeWait,
    /// A zero window is probed.
    Probe,
}

/// Bytes waiting in a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// Received, not yet read by the program.
    pub receive: u32,
    /// Sent, not yet acknowledged.
    pub send: u32,
}
