//! What a scan tells while it runs.

use std::net::IpAddr;
use std::time::Duration;

use super::{LocalError, Record, Signature};

/// Something that is now known.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A port has its final state.
    Port(Record),
    /// Every port of a host has. Comes after the last of them.
    Host(Box<HostReport>),
}

/// What was learned of a host besides its ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostReport {
    /// The host; `None` never leaves a scan.
    pub address: Option<IpAddr>,
    /// Whether it, or the way to it, ever answered anything.
    pub answered: bool,
    /// Whether nobody on the link answers for it.
    pub no_neighbour: bool,
    /// Smoothed round trip.
    pub rtt: Option<Duration>,
    /// Share of probes lost on the way there and back, 0 to 1, from repeated questions to what is
    /// known to answer; `None` where nothing answered.
    pub loss: Option<f64>,
    /// The most tries a silent port had.
    pub tries: u16,
    /// What was asked again and again to know that the host still answers.
    pub canary: Option<Canary>,
    /// Answers of one kind that come at a limited rate only.
    pub caps: Vec<Cap>,
    /// Something that accepts every connection stands in front, and how it is known.
    pub front: Option<Front>,
    /// How SYN-ACKs of open ports and RSTs of closed ones looked: one of each look.
    pub open_looks: Vec<Signature>,
    /// The same of RSTs.
    pub closed_looks: Vec<Signature>,
    /// Probes that could not be sent at first, by cause.
    pub local_errors: Vec<(LocalError, u64)>,
}

/// What told that a host still answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canary {
    /// ICMP echo.
    Echo,
    /// A closed TCP port.
    Closed(crate::net::Port),
    /// An open TCP port.
    Open(crate::net::Port),
    /// A closed UDP port.
    ClosedUdp(crate::net::Port),
}

/// A limit on answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cap {
    /// What is limited.
    pub what: Capped,
    /// Answers a second, once the burst is used up.
    pub per_second: f64,
    /// Answers that came at once before that.
    pub burst: u32,
}

/// Kinds of answers that hosts limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capped {
    /// RST.
    Reset,
    /// ICMP and ICMPv6 errors.
    Icmp,
}

/// Something that answers for ports behind which nothing listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// A SYN proxy: it accepts connections for ports behind which nothing listens, which are reset
    /// at once then.
    SynProxy {
        /// Its SYN-ACKs offered no window.
        zero_window: bool,
        /// Hop limits of its SYN-ACKs and of the host's own answers, where they differ.
        hop_limits: Option<(u8, u8)>,
    },
    /// Every port asked accepts and keeps connections, all with one look.
    OpenEverything {
        /// How many do.
        ports: u32,
    },
}

/// How far a scan is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Ports with a final state.
    pub decided: u64,
    /// All ports of all hosts of our shard.
    pub total: u64,
    /// Probes sent.
    pub probes: u64,
    /// Probes a second just now.
    pub rate: f64,
    /// Whether the bound on unanswered probes behind a router holds it back.
    pub held_back: bool,
    /// How long it will take, as far as can be told.
    pub remaining: Option<Duration>,
}
