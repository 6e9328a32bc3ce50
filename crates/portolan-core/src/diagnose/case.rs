//! What the steps of a check showed, each as a value; together they are the case to be judged.

use std::net::IpAddr;
use std::time::Duration;

use super::{Here, Hop, Path};
use crate::net::{Endpoint, Transport};
use crate::scan::{Icmp, LocalError, PortState, Question, Reason, Reply};
use crate::wire::neighbour::NeighbourState;
use crate::wire::route::{NoRoute, Route, RouteKind};

/// Everything known about one endpoint.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// The endpoint that was asked.
    pub endpoint: Endpoint,
    /// Its transport.
    pub transport: Transport,
    /// What asking it showed.
    pub outcome: Outcome,
    /// Where the address is one of this machine's: who has the port.
    pub here: Option<Here>,
    /// Which way packets take.
    pub way: Option<&'a Way>,
    /// What else of the host was asked, and what it answered.
    pub canaries: &'a [CanaryAnswer],
    /// The way to the port, hop by hop.
    pub path: Option<&'a Path>,
    /// The way to something of the same host that answers.
    pub working: Option<&'a Path>,
    /// What became of the connection.
    pub hold: Option<Hold>,
    /// Whether the other end said something by itself.
    pub has_greeted: bool,
    /// What the other end of `--pair` said.
    pub pair: Option<PairOutcome>,
    /// A router that refused in the name of the host: it is nearer than the host is.
    pub refused_by: Option<Hop>,
    /// The addresses of the same name, and what they showed.
    pub siblings: &'a [(IpAddr, PortState)],
}

/// What asking a port showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What it is.
    pub state: PortState,
    /// Why.
    pub reason: Reason,
    /// Who answered; `None` for silence.
    pub from: Option<IpAddr>,
    /// How often it was asked.
    pub tries: u16,
    /// From question to answer; `None` where there is none, or it came when nobody looked any more.
    pub rtt: Option<Duration>,
}

impl Outcome {
    /// What an answer means: `target` was asked, `from` answered.
    #[must_use]
    pub fn of_answer(transport: Transport, target: Endpoint, reply: Reply, from: IpAddr) -> Self {
        let (state, reason) = match reply {
            Reply::SynAck | Reply::Kept | Reply::Dropped => (PortState::Open, Reason::SynAck),
            Reply::Syn => (PortState::Open, Reason::SplitHandshake),
            Reply::Reset => (PortState::Closed, Reason::Reset),
            Reply::NoNeighbour => (PortState::Filtered, Reason::NoNeighbour),
            Reply::Datagram { port } if port != target.port => {
                (PortState::Open, Reason::ReplyFrom(port))
            }
            Reply::Datagram { .. } | Reply::Echo => (PortState::Open, Reason::UdpReply),
            Reply::Unreachable(icmp) if is_refusal(transport, target.address, icmp, from) => {
                (PortState::Closed, Reason::Icmp(icmp))
            }
            Reply::Unreachable(icmp) => (PortState::Filtered, Reason::Icmp(icmp)),
        };
        let from = (reason != Reason::NoNeighbour).then_some(from);
        Self { state, reason, from, tries: 1, rtt: None }
    }

    /// What silence means.
    #[must_use]
    pub const fn of_silence(transport: Transport) -> Self {
        let state = match transport {
            Transport::Udp => PortState::OpenFiltered,
            _ => PortState::Filtered,
        };
        Self { state, reason: Reason::NoResponse, from: None, tries: 1, rtt: None }
    }

    /// Whether it is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, PortState::Open)
    }

    /// Nothing was learned: it could not be asked.
    #[must_use]
    pub const fn of_failure(error: LocalError) -> Self {
        let reason = Reason::LocalError(error);
        Self { state: PortState::Unknown, reason, from: None, tries: 0, rtt: None }
    }
}

/// RFC 792 type 3 code 3; RFC 4443 type 1 code 4.
pub(super) const fn is_port_unreachable(icmp: Icmp) -> bool {
    matches!((icmp.v6, icmp.kind, icmp.code), (false, 3, 3) | (true, 1, 4))
}

/// Only the host itself knows that no UDP socket has a port; for TCP it would say RST.
fn is_refusal(transport: Transport, target: IpAddr, icmp: Icmp, from: IpAddr) -> bool {
    transport == Transport::Udp && from == target && is_port_unreachable(icmp)
}

/// The way packets take from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The kernel's route, or why there is none.
    pub route: Result<Route, NoRoute>,
    /// The name of the interface.
    pub interface: Option<String>,
    /// What is known of the next hop on the link, and its address there.
    pub neighbour: Option<(NeighbourState, Option<Vec<u8>>)>,
}

impl Way {
    /// Who is handed the packets on the link.
    #[must_use]
    pub fn next_hop(&self, target: IpAddr) -> IpAddr {
        self.route.ok().and_then(|route| route.gateway).unwrap_or(target)
    }

    /// Whether the target is on a link of this machine, with nobody in between.
    #[must_use]
    pub fn is_on_link(&self) -> bool {
        self.route.is_ok_and(|route| route.kind == RouteKind::Unicast && route.gateway.is_none())
    }

    /// Whether nobody on the link answers for the next hop, asked for so long. It is asked once a
    /// second, and a first question can be lost.
    #[must_use]
    pub fn is_nobody_there(&self, asked_for: Duration) -> bool {
        match self.neighbour.as_ref().map(|(state, _)| *state) {
            Some(NeighbourState::Failed) => true,
            Some(NeighbourState::Incomplete) => asked_for > TWO_QUESTIONS,
            _ => false,
        }
    }
}

/// Something else of the host that was asked, to know whether it is there at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanaryAnswer {
    /// What was asked.
    pub question: Question,
    /// What it answered itself; `None` for silence and for what others answered.
    pub reply: Option<Reply>,
    /// How soon.
    pub rtt: Option<Duration>,
}

/// What became of a connection that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It was kept as long as was waited.
    Kept,
    /// It was closed in order.
    Closed {
        /// How soon.
        after: Duration,
    },
    /// It was reset.
    Reset {
        /// How soon.
        after: Duration,
    },
}

/// What came of `--pair`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairOutcome {
    /// `portolan listen` answered our own challenge.
    Proved {
        /// The code of that listener, to be compared.
        code: String,
        /// Where it saw us.
        seen: Endpoint,
        /// Where we asked from.
        local: Endpoint,
    },
    /// Something answered that is no `portolan listen`.
    Other,
    /// Nobody did.
    Silent,
}

/// By then the second question for a neighbour has been out for a while (arp(7), retrans_time_ms).
const TWO_QUESTIONS: Duration = Duration::from_millis(1500);
