//! One verdict out of everything that is known, and what to do next.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::case::is_port_unreachable;
use super::{Case, Comparison, Here, Hold, Hop, PairOutcome};
use crate::net::{Endpoint, Port, Transport};
use crate::scan::{Icmp, LocalError, PortState, Question, Reason};
use crate::wire::route::{NoRoute, RouteKind};

/// What is the matter. Each has its facts; the words are made elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It accepts connections, or answered.
    Open,
    /// `portolan listen` answered: the path carries packets both ways.
    Proved {
        /// Where the other end saw us, where that is not where we are: a NAT is on the way.
        translated: Option<Endpoint>,
    },
    /// Connections are accepted and ended at once without a word.
    EndedAfterAccept {
        /// By RST, and not in order.
        by_reset: bool,
        /// How soon.
        after: Duration,
    },
    /// The host is reachable and nothing listens.
    Refused,
    /// A router refused in the name of the host.
    RefusedOnTheWay {
        /// Which, and how far away.
        by: Hop,
    },
    /// This machine: nothing has the port.
    NothingHere,
    /// This machine: something listens, but not there.
    BoundElsewhere(Bound),
    /// Another machine: the same name answers over the other family only.
    OtherFamily {
        /// The address that is open.
        open: IpAddr,
    },
    /// This machine: a socket is there, and all the same it was refused.
    RefusedBeforeSocket,
    /// This machine: a socket is there, and all the same there was silence.
    DroppedBeforeSocket,
    /// An ICMP error that only a rule sends.
    Forbidden {
        /// Which.
        icmp: Icmp,
        /// Whose rule it is.
        by: IpAddr,
        /// Whether that is the host itself.
        is_host: bool,
    },
    /// An ICMP error: the way ends there.
    Unreachable {
        /// Which.
        icmp: Icmp,
        /// Who said it.
        by: IpAddr,
        /// Whether that is the host itself.
        is_host: bool,
    },
    /// An ICMP error of a router that has looked for the host on its own link, in vain: that takes
    /// it seconds (arp(7): three questions, one a second).
    HostGone {
        /// Which error.
        icmp: Icmp,
        /// Who said it.
        by: IpAddr,
    },
    /// The hop limit ran out: routers hand it round in a circle.
    Loop {
        /// Where it ran out.
        by: IpAddr,
    },
    /// This machine, UDP: a socket is there and silent, which UDP allows it.
    SilentHere,
    /// Silence although the host is there, or the way to it known: something drops.
    Dropped {
        /// Between which hops.
        between: Comparison,
        /// Something else of the host that answers.
        answers: Option<Question>,
        /// Whether the first hop is silent too.
        is_silent_from_start: bool,
        /// Whether the host is on this link: then only it, or this machine, can drop.
        is_on_link: bool,
    },
    /// UDP: silence, which an open port and a filtered one share.
    UdpSilent {
        /// Between which hops a filter would be.
        between: Comparison,
        /// Whether the host says of another port that it is closed: then this one is open, or
        /// filtered by itself.
        others_closed: bool,
        /// Something of the host that answers.
        answers: Option<Question>,
    },
    /// `--pair` was asked for and no `portolan listen` answered.
    NotPaired {
        /// Whether something else did.
        other: bool,
    },
    /// Nobody on the link answers for the next hop.
    NoNeighbour {
        /// Whom nobody answers for.
        address: IpAddr,
        /// Whether that is a router on the way and not the target itself.
        is_gateway: bool,
    },
    /// The address stands for everybody on a link or for a group, and not for one host.
    NotOneHost,
    /// This machine has no way there.
    NoRoute(NoRoute),
    /// This machine does not let it out.
    NotPermitted,
    /// It could not be asked.
    LocalError(LocalError),
}

/// How something of this machine is bound when not where it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// To the loopback only.
    Loopback,
    /// To the other family only.
    OtherFamily,
    /// To another address.
    OtherAddress,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Look at who has the port here.
    Who(Transport, Port),
    /// Look at who has the port, over there.
    WhoThere(Transport, Port),
    /// Bind it to every address, or to this one.
    BindTo(IpAddr),
    /// Use the address that is open.
    Use(IpAddr),
    /// Look at the rules of a machine: forwarded traffic where it is a router.
    RulesOf {
        /// Which machine.
        address: IpAddr,
        /// Whether it is on the way.
        is_router: bool,
    },
    /// Look at this machine's own rules for what comes in.
    InputRules,
    /// Look at this machine's own rules for what goes out.
    OutputRules,
    /// Look whether packets leave and come back.
    Capture {
        /// On which interface is told with the way.
        transport: Transport,
        /// The endpoint.
        endpoint: Endpoint,
    },
    /// If something does listen there: a rule that rejects with a reset looks the same.
    ResettingRule,
    /// Whatever listens may accept no more: look at it, over there.
    StillAccepts(Transport, Port),
    /// Look at the routes of a router.
    RoutesOf(IpAddr),
    /// Look at this machine's route.
    OwnRoute(IpAddr),
    /// See whether the host is up, its address right, and it is on this link.
    IsItUp(IpAddr),
    /// Prove the path with `portolan listen` over there.
    Pair(Transport, Port),
    /// Look at what this machine lacks.
    Lack(LocalError),
    /// Look whether the listener over there showed something.
    LookAtListener,
    /// Look at what stands behind whatever accepted: the backend of a proxy, a container's port, an
    /// access list.
    Behind(Transport, Port),
}

/// Judges a case.
#[must_use]
pub fn judge(case: &Case<'_>) -> (Verdict, Vec<Next>) {
    let verdict = verdict(case);
    let next = next(case, &verdict);
    (verdict, next)
}

fn verdict(case: &Case<'_>) -> Verdict {
    if let (
        Some(PairOutcome::Other | PairOutcome::Silent),
        PortState::Open | PortState::OpenFiltered,
    ) = (&case.pair, case.outcome.state)
    {
        return Verdict::NotPaired { other: case.pair == Some(PairOutcome::Other) };
    }
    match case.outcome.state {
        PortState::Open => open(case),
        PortState::Closed => closed(case),
        PortState::Unknown => unknown(case),
        PortState::Filtered | PortState::OpenFiltered => filtered(case),
    }
}

fn open(case: &Case<'_>) -> Verdict {
    match (&case.pair, case.hold) {
        (Some(PairOutcome::Proved { seen, local, .. }), _) => {
            Verdict::Proved { translated: (seen != local).then_some(*seen) }
        }
        (_, Some(Hold::Reset { after })) if !case.has_greeted => {
            Verdict::EndedAfterAccept { by_reset: true, after }
        }
        (_, Some(Hold::Closed { after })) if !case.has_greeted => {
            Verdict::EndedAfterAccept { by_reset: false, after }
        }
        _ => Verdict::Open,
    }
}

fn closed(case: &Case<'_>) -> Verdict {
    match case.here {
        Some(Here::Nothing) => Verdict::NothingHere,
        Some(Here::LoopbackOnly(_)) => Verdict::BoundElsewhere(Bound::Loopback),
        Some(Here::OtherFamily(_)) => Verdict::BoundElsewhere(Bound::OtherFamily),
        Some(Here::OtherAddress(_)) => Verdict::BoundElsewhere(Bound::OtherAddress),
        Some(Here::Answers(_)) => Verdict::RefusedBeforeSocket,
        None => match (case.refused_by, open_sibling(case)) {
            (Some(by), _) => Verdict::RefusedOnTheWay { by },
            (None, Some(open)) => Verdict::OtherFamily { open },
            (None, None) => Verdict::Refused,
        },
    }
}

/// An address of the same name and the other family that is open.
fn open_sibling(case: &Case<'_>) -> Option<IpAddr> {
    let is_other = |a: IpAddr| a.is_ipv4() != case.endpoint.address.is_ipv4();
    let mut open = case.siblings.iter().filter(|(_, state)| *state == PortState::Open);
    open.find(|(address, _)| is_other(*address)).map(|(address, _)| *address)
}

fn unknown(case: &Case<'_>) -> Verdict {
    // What this machine lacks is no matter of routes.
    if let Reason::LocalError(error) = case.outcome.reason
        && error.is_passing()
    {
        return Verdict::LocalError(error);
    }
    let kind = case.way.and_then(|way| way.route.ok()).map(|route| route.kind);
    let is_of_many = matches!(kind, Some(RouteKind::Broadcast | RouteKind::Multicast));
    if is_of_many || is_address_of_many(case.endpoint.address) {
        return Verdict::NotOneHost;
    }
    if let Some(no_route) = no_route(case) {
        return Verdict::NoRoute(no_route);
    }
    match case.outcome.reason {
        Reason::LocalError(LocalError::NotPermitted) => Verdict::NotPermitted,
        Reason::LocalError(LocalError::NoRoute) => Verdict::NoRoute(NoRoute::Missing),
        Reason::LocalError(error) => Verdict::LocalError(error),
        _ => Verdict::LocalError(LocalError::Other(0)),
    }
}

/// Why there is no route. Linux tells a blackhole of IPv6 as a route and not as an error.
fn no_route(case: &Case<'_>) -> Option<NoRoute> {
    match case.way?.route {
        Err(no_route) => Some(no_route),
        Ok(route) => match route.kind {
            RouteKind::Blackhole => Some(NoRoute::Blackhole),
            RouteKind::Unreachable => Some(NoRoute::Unreachable),
            RouteKind::Prohibit => Some(NoRoute::Prohibit),
            _ => None,
        },
    }
}

fn filtered(case: &Case<'_>) -> Verdict {
    let target = case.endpoint.address;
    if let (Reason::Icmp(icmp), Some(by)) = (case.outcome.reason, case.outcome.from) {
        let has_searched = case.outcome.rtt.is_none_or(|rtt| rtt > SEARCHED);
        return match is_host_unreachable(icmp) && has_searched && by != target {
            true => Verdict::HostGone { icmp, by },
            false => reported(icmp, by, by == target),
        };
    }
    if case.outcome.reason == Reason::NoNeighbour {
        let address = case.way.map_or(target, |way| way.next_hop(target));
        return Verdict::NoNeighbour { address, is_gateway: address != target };
    }
    match case.here {
        Some(Here::Answers(_)) if case.transport == Transport::Udp => return Verdict::SilentHere,
        // Where no UDP socket is, the kernel would have said so.
        Some(_) => return Verdict::DroppedBeforeSocket,
        None => {}
    }
    if let Some(by) = case.path.and_then(super::Path::circle) {
        return Verdict::Loop { by };
    }
    silence(case)
}

fn silence(case: &Case<'_>) -> Verdict {
    let between = case
        .path
        .map_or(Comparison { after: None, next: None }, |path| Comparison::of(path, case.working));
    let answers = case.canaries.iter().find(|c| c.reply.is_some()).map(|c| c.question);
    if case.transport == Transport::Udp {
        let is_closed_udp =
            |c: &&super::CanaryAnswer| matches!(c.question, Question::Udp(_)) && c.reply.is_some();
        let others_closed = case.canaries.iter().any(|c| is_closed_udp(&c));
        return Verdict::UdpSilent { between, others_closed, answers };
    }
    let is_silent_from_start = case.path.is_some_and(super::Path::is_silent);
    let is_on_link = case.way.is_some_and(super::Way::is_on_link);
    Verdict::Dropped { between, answers, is_silent_from_start, is_on_link }
}

/// What an ICMP error says of the way.
fn reported(icmp: Icmp, by: IpAddr, is_host: bool) -> Verdict {
    match (icmp.v6, icmp.kind, icmp.code) {
        (false, 11, _) | (true, 3, _) => Verdict::Loop { by },
        // RFC 792: 9, 10, 13 are prohibitions; a port that is unreachable for TCP, and a protocol,
        // are said by no stack of itself but by a rule. RFC 4443 §3.1: 1, 5, 6.
        (false, 3, 2 | 9 | 10 | 13) | (true, 1, 1 | 5 | 6) => {
            Verdict::Forbidden { icmp, by, is_host }
        }
        _ if is_port_unreachable(icmp) => Verdict::Forbidden { icmp, by, is_host },
        _ => Verdict::Unreachable { icmp, by, is_host },
    }
}

fn next(case: &Case<'_>, verdict: &Verdict) -> Vec<Next> {
    let (transport, port, address) = (case.transport, case.endpoint.port, case.endpoint.address);
    let capture = Next::Capture { transport, endpoint: case.endpoint };
    match verdict {
        Verdict::Open | Verdict::Proved { .. } => vec![],
        Verdict::EndedAfterAccept { .. } => vec![Next::Behind(transport, port)],
        Verdict::Refused if transport == Transport::Udp => vec![Next::WhoThere(transport, port)],
        Verdict::Refused => vec![Next::WhoThere(transport, port), Next::ResettingRule],
        Verdict::RefusedOnTheWay { by } => {
            by.from.map(|address| Next::RulesOf { address, is_router: true }).into_iter().collect()
        }
        Verdict::NothingHere => vec![Next::Who(transport, port)],
        Verdict::BoundElsewhere(_) => vec![Next::BindTo(address), Next::Who(transport, port)],
        Verdict::OtherFamily { open } => vec![Next::Use(*open), Next::WhoThere(transport, port)],
        Verdict::RefusedBeforeSocket | Verdict::DroppedBeforeSocket => {
            vec![Next::InputRules, Next::Who(transport, port)]
        }
        Verdict::SilentHere => vec![Next::Who(transport, port), Next::InputRules],
        Verdict::Forbidden { is_host: true, .. } if case.here.is_some() => vec![Next::InputRules],
        Verdict::HostGone { by, .. } => vec![Next::IsItUp(address), Next::RoutesOf(*by)],
        Verdict::Forbidden { by, is_host, .. } => {
            vec![Next::RulesOf { address: *by, is_router: !is_host }]
        }
        Verdict::Unreachable { by, .. } | Verdict::Loop { by } => vec![Next::RoutesOf(*by)],
        Verdict::Dropped { between, answers, is_silent_from_start, .. } => {
            dropped(case, *between, *answers, *is_silent_from_start)
        }
        Verdict::UdpSilent { .. } => vec![Next::Pair(transport, port), capture],
        Verdict::NotPaired { other: true } => vec![Next::Pair(transport, port)],
        Verdict::NotPaired { other: false } => vec![Next::LookAtListener, capture],
        Verdict::NoNeighbour { address, .. } => vec![Next::IsItUp(*address)],
        Verdict::NoRoute(_) => vec![Next::OwnRoute(address)],
        Verdict::NotPermitted => vec![Next::OutputRules],
        Verdict::NotOneHost => vec![],
        Verdict::LocalError(error) => vec![Next::Lack(*error)],
    }
}

fn dropped(
    case: &Case<'_>,
    between: Comparison,
    answers: Option<Question>,
    is_silent_from_start: bool,
) -> Vec<Next> {
    let target = case.endpoint.address;
    let mut next = Vec::new();
    if is_silent_from_start {
        next.push(Next::OutputRules);
    }
    let machine = |hop: Hop| {
        let is_router = hop.from.is_some_and(|from| from != target);
        hop.from.map(|address| Next::RulesOf { address, is_router })
    };
    next.extend(between.after.and_then(machine));
    next.extend(between.next.and_then(machine));
    if answers.is_some()
        && !next.iter().any(|n| matches!(n, Next::RulesOf { is_router: false, .. }))
    {
        next.push(Next::RulesOf { address: target, is_router: false });
    }
    if answers.is_some() {
        next.push(Next::StillAccepts(case.transport, case.endpoint.port));
    }
    if answers.is_none() && between.next.is_none() {
        next.push(Next::IsItUp(target));
    }
    next.push(Next::Capture { transport: case.transport, endpoint: case.endpoint });
    next
}

/// RFC 792 type 3 code 1, RFC 1812 §5.2.7.1 code 7; RFC 4443 type 1 code 3.
const fn is_host_unreachable(icmp: Icmp) -> bool {
    matches!((icmp.v6, icmp.kind, icmp.code), (false, 3, 1 | 7) | (true, 1, 3))
}

/// Whether an address is that of a group or of everybody (RFC 919 §7).
fn is_address_of_many(address: IpAddr) -> bool {
    address.is_multicast() || address == Ipv4Addr::BROADCAST
}

/// No route takes that long to be found missing; a neighbour does.
const SEARCHED: Duration = Duration::from_millis(900);
