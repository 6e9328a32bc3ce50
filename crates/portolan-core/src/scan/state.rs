//! The state of a port as the wire shows it, always with its reason and who answered.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::LocalError;
use crate::net::{Port, Transport};

/// What probing a port showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortState {
    /// Something accepts connections or answered a datagram.
    Open,
    /// The host is reachable and nothing listens.
    Closed,
    /// Something on the way takes the probes or refuses them.
    Filtered,
    /// UDP: silence, which an open port and a filtered one share.
    OpenFiltered,
    /// Not found out, and the reason says why.
    Unknown,
}

impl PortState {
    /// The word used in JSON and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Filtered => "filtered",
            Self::OpenFiltered => "open|filtered",
            Self::Unknown => "unknown",
        }
    }
}

/// Type and code of an ICMP (RFC 792) or ICMPv6 (RFC 4443) error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Icmp {
    /// Whether it is ICMPv6.
    pub v6: bool,
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
}

impl fmt::Display for Icmp {
    /// As in reasons: `icmp-3-13`, `icmp6-1-4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "icmp{}-{}-{}", if self.v6 { "6" } else { "" }, self.kind, self.code)
    }
}

/// Why a port has its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// SYN-ACK: open.
    SynAck,
    /// A SYN in answer to a SYN: open.
    SplitHandshake,
    /// RST: closed.
    Reset,
    /// Silence, with every try.
    NoResponse,
    /// An ICMP error.
    Icmp(Icmp),
    /// A datagram from the port asked.
    UdpReply,
    /// A datagram from another port of the host.
    ReplyFrom(Port),
    /// Nobody on the link answers for the address: there is no such host now.
    NoNeighbour,
    /// It could not be asked.
    LocalError(LocalError),
    /// Silence, while the host or the way to it was not answering anything else either.
    HostSilent,
    /// Silence, but the host limits its answers and time ran out before it was asked often enough.
    RateLimited,
    /// Time ran out (--budget) or the scan was interrupted.
    NotFinished,
}

impl fmt::Display for Reason {
    /// The word used in JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SynAck => f.write_str("syn-ack"),
            Self::SplitHandshake => f.write_str("split-handshake"),
            Self::Reset => f.write_str("reset"),
            Self::NoResponse => f.write_str("no-response"),
            Self::Icmp(icmp) => icmp.fmt(f),
            Self::UdpReply => f.write_str("udp-reply"),
            Self::ReplyFrom(port) => write!(f, "reply-from:{port}"),
            Self::NoNeighbour => f.write_str("no-neighbour"),
            Self::LocalError(_) => f.write_str("local-error"),
            Self::HostSilent => f.write_str("host-silent"),
            Self::RateLimited => f.write_str("rate-limited"),
            Self::NotFinished => f.write_str("not-finished"),
        }
    }
}

/// Something about an answer that a reader should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Note {
    /// Its TTL differs from the host's other answers: something nearer answered.
    AnsweredNearer,
    /// The host accepts connections, but this one was silent though it answered earlier.
    AnsweredEarlier,
}

/// What is known of one port of one host.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The host.
    pub address: IpAddr,
    /// The port.
    pub port: Port,
    /// Its transport.
    pub transport: Transport,
    /// What it is.
    pub state: PortState,
    /// Why.
    pub reason: Reason,
    /// Who answered; `None` for silence.
    pub from: Option<IpAddr>,
    /// How many probes were sent.
    pub tries: u16,
    /// From probe to answer.
    pub rtt: Option<Duration>,
    /// How likely a port that answers would have looked like this all the same; `None` where nothing
    /// of the host ever answered, so that nobody can tell. 0 for an answer.
    pub miss_probability: Option<f64>,
    /// Whether a connection was really accepted and not reset at once; `None` where not tried.
    pub verified: Option<bool>,
    /// What else should be known.
    pub note: Option<Note>,
    /// Where in the scan's order it stands, for resuming.
    pub position: u64,
}
