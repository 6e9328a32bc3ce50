//! From the kernel's sock_diag entries to sockets.
//!
//! What an entry leaves open stays the caller's to fill: the name of the interface
//! (`message.id.interface`) and who chose the port, which takes a second dump.

use std::time::Duration;

use super::{
    Address, Backlog, Family, PortChoice, Queues, Socket, SocketTransport, State, Timer, TimerKind,
};
use crate::net::{Port, PortRange};
use crate::wire::sock_diag::{InetFamily, InetMessage, Options, PacketMessage, UnixMessage};

impl Socket {
    /// An IP socket of network namespace `netns`.
    #[must_use]
    pub fn from_inet(message: &InetMessage, transport: SocketTransport, netns: u64) -> Self {
        let id = &message.id;
        let state = inet_state(message, transport);
        let queues = Queues { receive: message.receive_queue, send: message.send_queue };
        let is_listener = state == State::Listen;
        Self {
            transport,
            family: match message.family {
                InetFamily::V4 => Family::Ipv4,
                InetFamily::V6 => Family::Ipv6,
            },
            local: Address::Inet(id.local),
            peer: (!id.peer.is_unset()).then_some(Address::Inet(id.peer)),
            state,
            v6only: message.v6only,
            device: None,
            netns,
            cookie: Some(id.cookie),
            inode: u64::from(message.inode),
            // Mini-sockets, orphans and connections not yet accepted come with uid 0 (inet_diag.c).
            uid: (message.inode != 0 || message.uid != 0).then_some(message.uid),
            port_choice: None,
            backlog: is_listener.then_some(Backlog { queued: queues.receive, max: queues.send }),
            queues: if is_listener { Queues::default() } else { queues },
            cgroup: message.cgroup,
            reuse: None,
            timer: timer(message),
            transparent: message.options.map(Options::transparent),
            mark: message.mark,
        }
    }

    /// A unix socket of network namespace `netns`. The name of its peer stands in the peer's entry.
    #[must_use]
    pub fn from_unix(message: &UnixMessage<'_>, netns: u64) -> Self {
        let state = State::from_number(message.state, SocketTransport::Unix);
        let queues = Queues { receive: message.receive_queue, send: message.send_queue };
        let is_listener = state == State::Listen;
        Self {
            local: unix_name(message.name),
            cookie: Some(message.cookie),
            uid: message.uid,
            backlog: is_listener.then_some(Backlog { queued: queues.receive, max: queues.send }),
            queues: if is_listener { Queues::default() } else { queues },
            ..Self::bare(
                SocketTransport::Unix,
                Family::Unix,
                state,
                u64::from(message.inode),
                netns,
            )
        }
    }

    /// A packet socket of network namespace `netns`.
    #[must_use]
    pub fn from_packet(message: &PacketMessage, netns: u64) -> Self {
        let inode = u64::from(message.inode);
        Self {
            local: Address::Packet { protocol: message.protocol },
            cookie: Some(message.cookie),
            uid: message.uid,
            queues: Queues { receive: message.receive_queue, send: 0 },
            ..Self::bare(SocketTransport::Packet, Family::Packet, State::Unconn, inode, netns)
        }
    }

    /// A socket without an address, of which no more is known.
    #[must_use]
    pub fn bare(
        transport: SocketTransport,
        family: Family,
        state: State,
        inode: u64,
        netns: u64,
    ) -> Self {
        Self {
            transport,
            family,
            local: Address::Unix(None),
            peer: None,
            state,
            v6only: None,
            device: None,
            netns,
            cookie: None,
            inode,
            uid: None,
            port_choice: None,
            backlog: None,
            queues: Queues::default(),
            cgroup: None,
            reuse: None,
            timer: None,
            transparent: None,
            mark: None,
        }
    }
}

/// Numbers of `idiag_timer` (Documentation: ss(8) -o; net/ipv4/inet_diag.c, inet_sk_diag_fill).
fn timer(message: &InetMessage) -> Option<Timer> {
    let kind = match message.timer {
        1 => TimerKind::Retransmit,
        2 => TimerKind::Keepalive,
        3 => TimerKind::TimeWait,
        4 => TimerKind::Probe,
        _ => return None,
    };
    Some(Timer { kind, left: Duration::from_millis(u64::from(message.expires)) })
}

impl State {
    /// The state with the kernel's number (include/net/tcp_states.h). What TCP calls CLOSE is, for
    /// everything else, simply a socket without a peer.
    #[must_use]
    pub const fn from_number(number: u8, transport: SocketTransport) -> Self {
        match number {
            1 => Self::Established,
            2 => Self::SynSent,
            3 | 12 => Self::SynRecv,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            13 => Self::Bound,
            _ if matches!(transport, SocketTransport::Tcp) => Self::Close,
            _ => Self::Unconn,
        }
    }

    /// The kernel's number; `Close` and `Unconn` share one.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Established => 1,
            Self::SynSent => 2,
            Self::SynRecv => 3,
            Self::FinWait1 => 4,
            Self::FinWait2 => 5,
            Self::TimeWait => 6,
            Self::Close | Self::Unconn => 7,
            Self::CloseWait => 8,
            Self::LastAck => 9,
            Self::Listen => 10,
            Self::Closing => 11,
            Self::Bound => 13,
        }
    }
}

impl PortChoice {
    /// Who chose `port`, from whether the kernel counts the socket among the autobound ones.
    ///
    /// It counts accepted connections there as well, whose port is their listener's: a port
    /// outside the `ephemeral` range was asked for by a program.
    #[must_use]
    pub const fn of(autobound: bool, port: Port, ephemeral: PortRange) -> Self {
        if autobound && ephemeral.contains(port) { Self::Kernel } else { Self::Fixed }
    }
}

/// A bound TCP socket that does not listen is reported as CLOSE; its port tells it apart.
fn inet_state(message: &InetMessage, transport: SocketTransport) -> State {
    match State::from_number(message.state, transport) {
        State::Close if message.id.local.port.0 != 0 => State::Bound,
        state => state,
    }
}

/// A path, or `@name` for an abstract one, whose zero bytes are printed as `@` too, as ss does.
#[must_use]
pub fn unix_name(name: &[u8]) -> Address {
    let name = if name.first() == Some(&0) {
        name
    } else {
        name.split(|b| *b == 0).next().unwrap_or_default()
    };
    let name = String::from_utf8_lossy(name).replace('\0', "@");
    Address::Unix((!name.is_empty()).then(|| name.into_boxed_str()))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::net::Endpoint;
    use crate::wire::sock_diag::SocketId;

    const LISTEN: u8 = 10;

    fn endpoint(text: &str) -> Endpoint {
        let at: std::net::SocketAddr = text.parse().unwrap();
        Endpoint::new(at.ip(), Port(at.port()))
    }

    fn message(state: u8, local: &str, peer: &str) -> InetMessage {
        let (local, peer) = (endpoint(local), endpoint(peer));
        InetMessage {
            family: match local.address {
                IpAddr::V4(_) => InetFamily::V4,
                IpAddr::V6(_) => InetFamily::V6,
            },
            state,
            timer: 0,
            expires: 0,
            id: SocketId { local, peer, interface: 0, cookie: 1 },
            receive_queue: 3,
            send_queue: 128,
            uid: 0,
            inode: 77,
            shutdown: None,
            v6only: None,
            protocol: None,
            mark: None,
            cgroup: None,
            options: None,
        }
    }

    fn tcp(message: &InetMessage) -> Socket {
        Socket::from_inet(message, SocketTransport::Tcp, 4)
    }

    #[test]
    fn a_listeners_queues_are_its_backlog() {
        let socket = tcp(&message(LISTEN, "[::]:80", "[::]:0"));
        assert_eq!(socket.backlog, Some(Backlog { queued: 3, max: 128 }));
        assert_eq!(socket.queues, Queues::default());
        assert_eq!((socket.peer, socket.family), (None, Family::Ipv6));
    }

    #[test]
    fn a_connection_has_queues_and_a_peer() {
        let socket = tcp(&message(1, "[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:4000"));
        assert_eq!(socket.queues, Queues { receive: 3, send: 128 });
        assert_eq!(socket.backlog, None);
        assert_eq!(socket.peer, Some(Address::Inet(endpoint("[::ffff:127.0.0.1]:4000"))));
    }

    #[test]
    fn a_time_wait_socket_is_nobodys_not_roots() {
        let orphan = InetMessage { inode: 0, ..message(6, "127.0.0.1:80", "127.0.0.1:4000") };
        assert_eq!(tcp(&orphan).uid, None);
        assert_eq!(tcp(&message(1, "127.0.0.1:80", "127.0.0.1:4000")).uid, Some(0));
    }

    #[test]
    fn state_seven_is_bound_closed_or_unconnected() {
        let with_port = message(7, "127.0.0.1:22001", "0.0.0.0:0");
        assert_eq!(tcp(&with_port).state, State::Bound);
        assert_eq!(tcp(&message(7, "0.0.0.0:0", "0.0.0.0:0")).state, State::Close);
        assert_eq!(Socket::from_inet(&with_port, SocketTransport::Udp, 4).state, State::Unconn);
    }

    #[test]
    fn every_state_comes_back_from_its_number() {
        for state in State::ALL.into_iter().filter(|s| *s != State::Unconn) {
            assert_eq!(State::from_number(state.number(), SocketTransport::Tcp), state);
        }
    }

    #[test]
    fn an_accepted_connection_keeps_the_port_its_listener_asked_for() {
        let ephemeral = PortRange::new(Port(32768), Port(60999)).unwrap();
        assert_eq!(PortChoice::of(true, Port(18080), ephemeral), PortChoice::Fixed);
        assert_eq!(PortChoice::of(true, Port(40000), ephemeral), PortChoice::Kernel);
        assert_eq!(PortChoice::of(false, Port(40000), ephemeral), PortChoice::Fixed);
    }

    #[test]
    fn unix_names_are_paths_abstract_or_missing() {
        let name = |bytes| unix_name(bytes);
        assert_eq!(name(b""), Address::Unix(None));
        assert_eq!(name(b"/run/a.sock\0"), Address::Unix(Some("/run/a.sock".into())));
        assert_eq!(name(b"\0a\0b"), Address::Unix(Some("@a@b".into())));
        assert_eq!(name(b"\xff"), Address::Unix(Some("\u{fffd}".into())));
    }
}
