//! What travels between a scan and the engine that carries its probes.

use std::net::IpAddr;
use std::time::Duration;

use super::Icmp;
use crate::net::{Port, Transport};

/// What is asked of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Question {
    /// Does TCP accept a connection on this port: a SYN, or the connect() that sends one.
    Tcp(Port),
    /// Does UDP answer on this port: a datagram with what its protocol answers to.
    Udp(Port),
    /// Is the host there: an ICMP or ICMPv6 echo request.
    Echo,
}

impl Question {
    /// The port asked about and its transport; an echo has none.
    #[must_use]
    pub const fn port(self) -> Option<(Port, Transport)> {
        match self {
            Self::Tcp(port) => Some((port, Transport::Tcp)),
            Self::Udp(port) => Some((port, Transport::Udp)),
            Self::Echo => None,
        }
    }
}

/// How far a probe goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Manner {
    /// Until the first answer; what was opened is closed at once (RST).
    #[default]
    Ask,
    /// TCP only: connects for real, holds the connection for `wait` after it was accepted, and tells
    /// whether it was kept ([`Reply::Kept`]) or reset at once ([`Reply::Dropped`]).
    Verify,
}

/// One probe, to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    /// The host.
    pub target: IpAddr,
    /// What is asked.
    pub question: Question,
    /// Which try of this question it is, from 1.
    pub attempt: u16,
    /// How long an answer is waited for. An engine that holds something for the probe (a socket) lets
    /// it go then, and says nothing: silence is the scan's to judge.
    pub wait: Duration,
    /// How far it goes.
    pub manner: Manner,
}

/// What came back for a probe, validated by the engine as an answer to one of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The host that was asked.
    pub target: IpAddr,
    /// What it was asked.
    pub question: Question,
    /// Which try was answered; `None` where the wire does not tell.
    pub attempt: Option<u16>,
    /// What was said.
    pub reply: Reply,
    /// Who said it: the host itself, or a router on the way.
    pub from: IpAddr,
    /// From sending to answer, where the engine knows when this try was sent.
    pub rtt: Option<Duration>,
    /// How the answering packet looked; `None` where the engine saw no packet.
    pub signature: Option<Signature>,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// SYN-ACK, or connect() succeeded.
    SynAck,
    /// A SYN without ACK in answer to ours: a simultaneous open (RFC 9293 §3.5), so open.
    Syn,
    /// RST, or ECONNREFUSED that no ICMP error explains.
    Reset,
    /// An ICMP or ICMPv6 error that quotes the probe.
    Unreachable(Icmp),
    /// A datagram, from this port of the host: another one than asked is how TFTP answers.
    Datagram {
        /// The port it came from.
        port: Port,
    },
    /// An echo reply.
    Echo,
    /// Nobody on the link answered ARP or neighbour discovery for the target.
    NoNeighbour,
    /// [`Manner::Verify`]: the connection was accepted and kept.
    Kept,
    /// [`Manner::Verify`]: the connection was accepted, then reset at once.
    Dropped,
}

/// How an answering TCP packet looked, for telling who answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Signature {
    /// TTL or hop limit as it arrived.
    pub hop_limit: Option<u8>,
    /// The window of the SYN-ACK or RST, unscaled.
    pub window: Option<u16>,
    /// Maximum segment size offered.
    pub mss: Option<u16>,
    /// Window scale offered.
    pub scale: Option<u8>,
    /// The kinds of the TCP options in their order, padding included (RFC 9293 §3.2).
    pub options: Box<[u8]>,
    /// IPv4's don't-fragment bit.
    pub dont_fragment: Option<bool>,
}

/// Why a probe could not be sent: ours to mend, never a port's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LocalError {
    /// No descriptor left (EMFILE, ENFILE).
    Descriptors,
    /// No buffer or memory left (ENOBUFS, ENOMEM, EAGAIN).
    Buffers,
    /// No source port left for this destination (EADDRNOTAVAIL).
    Ports,
    /// Refused here (EPERM, EACCES): an output rule or a missing right.
    NotPermitted,
    /// This machine has no route there (ENETUNREACH, EHOSTUNREACH, EINVAL without an ICMP error).
    NoRoute,
    /// Anything else: the number as in errno(3).
    Other(i32),
}

impl LocalError {
    /// Whether the same probe may go out later, once there is more room.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::Descriptors | Self::Buffers | Self::Ports)
    }

    /// The word used in JSON, kebab-case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Descriptors => "no-descriptors",
            Self::Buffers => "no-buffers",
            Self::Ports => "no-source-ports",
            Self::NotPermitted => "not-permitted",
            Self::NoRoute => "no-route",
            Self::Other(_) => "other",
        }
    }
}
