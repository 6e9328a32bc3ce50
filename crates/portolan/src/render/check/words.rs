//! The words of a check: what a state, an ICMP error and a verdict are called, and what to do.

use std::net::IpAddr;
use std::time::Duration;

use portolan_core::diagnose::{Bound, Comparison, Here, Hop, NameFailure, Next, Outcome, Verdict};
use portolan_core::net::{Endpoint, Port, Transport};
use portolan_core::scan::{Icmp, LocalError, PortState, Question, Reason};
use portolan_core::socket::SocketTable;
use portolan_core::wire::route::NoRoute;

use crate::ops::check::target::{Place, Target};
use crate::ops::check::{Checked, Found, is_silence, port_words};
use crate::render::owner::process_names;
use crate::render::shell::operand;
use crate::render::socket::on_device;

/// A state with the common word beside it.
pub(crate) fn state(outcome: &Outcome) -> String {
    state_because(outcome.state, outcome.reason)
}

/// The same of a state and its reason.
pub(crate) fn state_because(state: PortState, reason: Reason) -> String {
    let common = match (state, reason) {
        (PortState::Open, _) => return "open".to_owned(),
        (PortState::Closed, _) => "refused",
        // What was heard, or not, is of this machine itself.
        (PortState::Unknown, _) => "it could not be asked",
        (_, Reason::NoNeighbour) => "no such host on the link",
        (PortState::Filtered, Reason::Icmp(_)) => "rejected",
        (PortState::Filtered | PortState::OpenFiltered, _) => "no answer",
    };
    format!("{} ({common})", state.as_str())
}

/// What an ICMP error says (RFC 792, RFC 1812 §5.2.7, RFC 4443 §3).
pub(crate) fn icmp(icmp: Icmp) -> String {
    let meaning = match (icmp.v6, icmp.kind, icmp.code) {
        (false, 3, 0) => "network unreachable",
        (false, 3, 1) | (true, 1, 3) => "host unreachable",
        (false, 3, 2) => "protocol unreachable",
        (false, 3, 3) | (true, 1, 4) => "port unreachable",
        (false, 3, 9) => "network administratively prohibited",
        (false, 3, 10) => "host administratively prohibited",
        (false, 3, 13) | (true, 1, 1) => "administratively prohibited",
        (true, 1, 0) => "no route",
        (true, 1, 5) => "source address refused by policy",
        (true, 1, 6) => "route rejects",
        (false, 11, _) | (true, 3, _) => "time to live exceeded",
        _ => "error",
    };
    let family = if icmp.v6 { "ICMPv6" } else { "ICMP" };
    format!("{meaning}, {family} {}/{}", icmp.kind, icmp.code)
}

/// A time as people read it: `0.21 ms`, `34 ms`, `3.0 s`, `2 min 5 s`.
pub(crate) fn time(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1e3;
    match (millis, duration.as_secs()) {
        (m, _) if m < 10.0 => format!("{m:.2}{TIGHT}ms"),
        (m, _) if m < 1000.0 => format!("{m:.0}{TIGHT}ms"),
        (m, s) if s < 60 => format!("{:.1}{TIGHT}s", m / 1e3),
        (_, s) if s < 3600 => format!("{}{TIGHT}min {}{TIGHT}s", s / 60, s % 60),
        (_, s) => format!("{}{TIGHT}h {}{TIGHT}min", s / 3600, s / 60 % 60),
    }
}

/// A blank at which no line is broken; [`loose`] makes it one again.
pub(super) const TIGHT: char = '\u{a0}';

/// A line as it is printed.
pub(super) fn loose(line: &str) -> String {
    line.replace(TIGHT, " ")
}

/// `1 try`, `3 tries`.
pub(crate) fn tries(count: u16) -> String {
    if count == 1 { "1 try".to_owned() } else { format!("{count} tries") }
}

/// What was asked, in a word: `443/tcp`, `echo`.
pub(crate) fn question(question: Question) -> String {
    match question.port() {
        Some((port, transport)) => format!("{port}/{transport}"),
        None => "echo".to_owned(),
    }
}

/// The hop as `hop 1 (10.77.0.254)`.
fn hop(hop: Hop) -> String {
    match hop.from {
        Some(from) => format!("hop {} ({from})", hop.number),
        None => format!("hop {}", hop.number),
    }
}

/// Why a name has no address.
pub(crate) fn name_failure(target: &Target, failure: NameFailure) -> String {
    let name = match &target.place {
        Place::Name(name) => name,
        Place::Address(_) => &target.text,
    };
    match failure {
        NameFailure::NotAName => format!("{name} cannot be a host name."),
        NameFailure::NoSuchName { server: Some(server) } => {
            format!("There is no such name: {} says NXDOMAIN.", server.ip())
        }
        NameFailure::NoSuchName { server: None } => "No source of names here knows it.".to_owned(),
        NameFailure::NoAddress { .. } => {
            format!("{name} is there, but has no address of the family asked for.")
        }
        NameFailure::ServerFailed { server, code } => {
            let does = match code.to_string().as_str() {
                "REFUSED" => "does not answer us: it says REFUSED".to_owned(),
                said => format!("failed: it says {said}"),
            };
            format!("The name server {} {does}. The name may be fine.", server.ip())
        }
        NameFailure::TimedOut { server } => {
            format!("The name server {} does not answer. The name may be fine.", server.ip())
        }
        NameFailure::Unreachable { server, errno } => {
            let why = match errno {
                111 => "nothing listens there",
                101 | 113 => "there is no way to it",
                1 | 13 => "this machine does not let the question out",
                _ => "it cannot be reached",
            };
            format!("The name server {} cannot be asked: {why}.", server.ip())
        }
        NameFailure::Malformed { server } => {
            format!("The name server {} sends something that is no answer.", server.ip())
        }
    }
}

/// What to do about a name without an address.
pub(crate) fn name_next(checked: &Checked, failure: NameFailure) -> Vec<String> {
    let name = match &checked.target.place {
        Place::Name(name) => operand(name),
        Place::Address(_) => "NAME".into(),
    };
    let server_of = match failure {
        NameFailure::NoSuchName { server } | NameFailure::NoAddress { server } => server,
        NameFailure::ServerFailed { server, .. }
        | NameFailure::TimedOut { server }
        | NameFailure::Unreachable { server, .. }
        | NameFailure::Malformed { server } => Some(server),
        NameFailure::NotAName => None,
    };
    match (failure, server_of) {
        (NameFailure::NoSuchName { .. }, _) => {
            vec!["see whether it is spelled right and its zone is the one you mean".to_owned()]
        }
        (NameFailure::NoAddress { .. }, _) => vec!["ask without -4 or -6".to_owned()],
        (NameFailure::ServerFailed { .. }, Some(server)) => vec![
            format!("dig @{} {name}     (may tell the reason)", server.ip()),
            format!("look at the log of the resolver on {}", server.ip()),
        ],
        (_, Some(server)) => vec![
            format!("portolan check {}/udp", server),
            "the servers are those of /etc/resolv.conf".to_owned(),
        ],
        (NameFailure::NotAName, None) => vec![
            "a host name has letters, digits, hyphens and dots; one of another script is written \
             in its xn-- form"
                .to_owned(),
        ],
        _ => Vec::new(),
    }
}

/// The verdict in one sentence, sometimes with a second that says why it is known.
pub(crate) fn verdict(checked: &Checked, found: &Found, table: &SocketTable) -> String {
    let sentence = sentence(checked, found, table);
    // A process keeps its name; what cannot be seen begins a sentence like any word.
    let sentence = match sentence.strip_prefix(UNSEEN) {
        Some(rest) => format!("Something{rest}"),
        None => sentence,
    };
    match &found.sent_on {
        Some(sent) => format!("This machine sends it on to {}. {sentence}", sent.to),
        None => sentence,
    }
}

fn sentence(checked: &Checked, found: &Found, table: &SocketTable) -> String {
    let Endpoint { address, port } = found.end();
    let transport = checked.target.transport;
    let refusal = found.own_rule.as_ref().filter(|_| found.here.is_none());
    if refusal.is_some_and(|refusal| refusal.is_answer) {
        return "No answer gets in: one of this machine's own rules drops it.".to_owned();
    }
    match &found.verdict {
        Verdict::Open => opened(found, transport, table),
        Verdict::Proved { translated: None } => {
            "Proved both ways: `portolan listen` got the probe and its answer came back.".to_owned()
        }
        Verdict::Proved { translated: Some(seen) } => format!(
            "Proved both ways: `portolan listen` answered. It saw us as {seen}: our address is \
             translated on the way (NAT)."
        ),
        Verdict::EndedAfterAccept { by_reset, after } => {
            let how = if *by_reset { "reset" } else { "closed without a word" };
            let soon = match after.as_millis() {
                0 => "at once".to_owned(),
                _ => format!("after {}", time(*after)),
            };
            format!(
                "Accepted, then {how} {soon}: something in front accepts (a proxy, a SYN proxy, \
                 docker-proxy, an access list), and nothing behind it serves."
            )
        }
        Verdict::Refused if transport == Transport::Udp => {
            format!("{address} is reachable and says that nothing listens on {port}/udp.")
        }
        Verdict::Refused => {
            format!("{address} is reachable and nothing listens on {port}/{transport}.")
        }
        Verdict::RefusedOnTheWay { by } => format!(
            "Refused, and not by the host: {} resets it in the name of {address}, by a rule.",
            hop(*by)
        ),
        Verdict::NothingHere => {
            format!("This is this machine, and nothing listens on {port}/{transport}.")
        }
        Verdict::BoundElsewhere(bound) => bound_elsewhere(found, *bound, table),
        Verdict::OtherFamily { open } => {
            let (here, there) = families(address);
            format!("It listens on {there} only: {open} is open, {here} is refused.")
        }
        Verdict::RefusedBeforeSocket => format!(
            "{} listens here, and all the same it was refused: a rule of this machine rejects.",
            holder(found, table)
        ),
        Verdict::DroppedBeforeSocket if !matches!(found.here, Some(Here::Answers(_))) => format!(
            "This is this machine, and a rule of its own drops what is sent to {port}/{transport}. \
             Nothing listens at {address} anyway."
        ),
        Verdict::SilentHere => format!(
            "This is this machine, and {} gave no answer, which UDP allows; or a rule of its own \
             drops.",
            holder(found, table)
        ),
        Verdict::DroppedBeforeSocket => format!(
            "This is this machine, and there was no answer: a rule of its own drops, or {} does not \
             accept (its queue is full).",
            holder(found, table)
        ),
        Verdict::Forbidden { icmp: error, by, is_host } => {
            let who = match (is_host, &found.here) {
                (true, Some(_)) => "this machine itself".to_owned(),
                (true, None) => "the host itself".to_owned(),
                (false, _) => format!("the router {by}"),
            };
            let route = if *is_host { "" } else { " (or a prohibit route)" };
            format!("A firewall rule{route} of {who} rejects it: {by} answered {}.", icmp(*error))
        }
        Verdict::Unreachable { icmp: error, by, is_host: false } => {
            format!("The router {by} has no way to {address}: it answered {}.", icmp(*error))
        }
        Verdict::HostGone { icmp: error, by } => format!(
            "The router {by} finds nobody at {address}: it is down, or not there. It answered {}.",
            icmp(*error)
        ),
        Verdict::Unreachable { icmp: error, by, is_host: true } => {
            format!("{by} itself answered {}.", icmp(*error))
        }
        Verdict::Loop { by } => format!(
            "The packets do not arrive: their time to live runs out at {by}. Routers hand them round \
             in a circle, or a rule shortens it."
        ),
        Verdict::Dropped { .. } if found.sent_on.is_some() => {
            format!("No answer: nobody takes it at {address}, or a rule drops it on the way.")
        }
        Verdict::Dropped { between, answers, is_silent_from_start, is_on_link } => {
            dropped(found, *between, *answers, *is_silent_from_start, *is_on_link)
        }
        Verdict::UdpSilent { between, others_closed, answers } => {
            udp_silent(found, *between, *others_closed, *answers)
        }
        Verdict::NotPaired { other: true } => {
            "Something answers that is not `portolan listen`.".to_owned()
        }
        Verdict::NotPaired { other: false } => {
            "No answer of `portolan listen`: the probe or its answer was lost, or it does not run \
             there."
                .to_owned()
        }
        Verdict::NoNeighbour { address: gone, is_gateway: false } => {
            format!("Nobody on the link answers for {gone}: there is no such host, or it is down.")
        }
        Verdict::NoNeighbour { address: gone, is_gateway: true } => {
            format!("The router {gone} does not answer on the link: it is down, or not there.")
        }
        Verdict::NotOneHost => format!(
            "{address} stands for everybody on the link or for a group, not for one host: nobody in \
             particular can be asked."
        ),
        Verdict::NoRoute(no_route) => self::no_route(*no_route, address),
        Verdict::NotPermitted if is_silence(found.outcome.reason) => {
            "No answer: dropped on its way out of this machine, by one of its own rules. Nothing is \
             known of the port."
                .to_owned()
        }
        Verdict::NotPermitted if found.outcome.reason == Reason::Reset => {
            "This machine itself refuses it: one of its output rules resets it in the name of the \
             host. Nothing is known of the port."
                .to_owned()
        }
        Verdict::NotPermitted => {
            "This machine itself does not let the probe out: one of its output rules refuses it. \
             Nothing is known of the port."
                .to_owned()
        }
        Verdict::LocalError(error) => {
            format!("It could not be asked: {}. Nothing is known of the port.", local_error(*error))
        }
    }
}

fn opened(found: &Found, transport: Transport, table: &SocketTable) -> String {
    let who = match (&found.here, &found.sent_on) {
        (Some(_), _) => format!(" by {}", holder(found, table)),
        (None, Some(sent)) => format!(" at {}", sent.to),
        (None, None) => String::new(),
    };
    match transport {
        Transport::Udp => format!("Open: it answered{who}."),
        _ => format!("Open: the connection was accepted{who}."),
    }
}

fn bound_elsewhere(found: &Found, bound: Bound, table: &SocketTable) -> String {
    let who = holder(found, table);
    let asked = found.end().address;
    match bound {
        Bound::Loopback => {
            format!("{who} is bound to loopback only: it answers this machine, and not at {asked}.")
        }
        Bound::OtherFamily => {
            let (here, there) = families(asked);
            format!("{who} listens on {there} only, and was asked over {here}.")
        }
        Bound::OtherAddress => format!("{who} listens on another address only, not on {asked}."),
    }
}

/// The family of an address, and the other one.
const fn families(address: IpAddr) -> (&'static str, &'static str) {
    if address.is_ipv4() { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") }
}

/// Who has the port here: `postgres (812) on 127.0.0.1:5432`.
pub(crate) fn holder(found: &Found, table: &SocketTable) -> String {
    let held = found.here.as_ref().and_then(Here::position).map(|at| &table.sockets[at]);
    let Some(held) = held else { return "whatever listens".to_owned() };
    let names = process_names(table.owners(held));
    let who = if names.is_empty() { UNSEEN.to_owned() } else { names };
    let place =
        held.socket.local_endpoint().map(|end| on_device(end, held.socket.device.as_deref()));
    place.map_or(who.clone(), |place| format!("{who} on {place}"))
}

fn dropped(
    found: &Found,
    between: Comparison,
    answers: Option<Question>,
    is_silent_from_start: bool,
    is_on_link: bool,
) -> String {
    let address = found.endpoint.address;
    let proof = match answers {
        Some(other) => format!(" The host itself is there: it answers {}.", question(other)),
        None => {
            " Nothing else of the host answered either: it may be down, or not be there.".to_owned()
        }
    };
    let place = match (between.after, between.next) {
        _ if is_on_link => {
            format!("No answer: dropped by {address} itself, which is on this link.")
        }
        (Some(after), Some(next)) => {
            let last = match next.from == Some(address) {
                true => "by the host itself".to_owned(),
                false => format!("at {}", hop(next)),
            };
            format!("No answer: dropped at or after {}, {last} at the latest.", place(after))
        }
        (Some(after), None) => format!("No answer: dropped at or after {}.", place(after)),
        (None, Some(next)) => format!(
            "No answer: dropped on its way out of this machine or at {}, where others get through.",
            hop(next)
        ),
        (None, None) if is_silent_from_start => {
            "No answer, not even from the first hop: dropped right at the start, or no router here \
             tells of itself."
                .to_owned()
        }
        (None, None) => "No answer.".to_owned(),
    };
    format!("{place}{proof}")
}

/// `10.77.0.254 (hop 1)`.
fn place(hop: Hop) -> String {
    match hop.from {
        Some(from) => format!("{from} (hop {})", hop.number),
        None => format!("hop {}", hop.number),
    }
}

fn udp_silent(
    found: &Found,
    between: Comparison,
    others_closed: bool,
    answers: Option<Question>,
) -> String {
    let port = found.endpoint.port;
    let start = "No answer, which UDP allows an open port too.";
    let path = match between.after {
        Some(after) => format!(" Packets come as far as {}.", place(after)),
        None => String::new(),
    };
    let host = match (others_closed, answers) {
        (true, _) => format!(
            " The host says of another port that it is closed, so something has {port}/udp, or a rule \
             drops just that."
        ),
        (false, Some(other)) => {
            format!(" The host itself is there: it answers {}.", question(other))
        }
        (false, None) => " Nothing else of the host answered either.".to_owned(),
    };
    format!("{start}{path}{host}")
}

fn no_route(no_route: NoRoute, address: IpAddr) -> String {
    match no_route {
        NoRoute::Missing => format!("This machine has no route to {address}."),
        NoRoute::Unreachable => {
            format!("A route of this machine says that {address} is unreachable.")
        }
        NoRoute::Prohibit => format!("A route of this machine prohibits {address}."),
        NoRoute::Blackhole => {
            format!("A route of this machine throws away what is sent to {address} (blackhole).")
        }
        NoRoute::Other(errno) => {
            format!("This machine finds no route to {address}: {}.", errno_text(errno.0))
        }
    }
}

fn errno_text(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// Why something could not be asked.
pub(crate) fn local_error(error: LocalError) -> String {
    match error {
        LocalError::Descriptors => "no descriptor is left here".to_owned(),
        LocalError::Buffers => "the kernel has no memory left for it".to_owned(),
        LocalError::Ports => {
            "there is no such source address here, or no port left on it".to_owned()
        }
        LocalError::NotPermitted => "this machine does not let it out".to_owned(),
        LocalError::NoRoute => "this machine has no way there".to_owned(),
        LocalError::Other(errno) => errno_text(errno),
    }
}

/// What to do next, one line each.
pub(crate) fn next(checked: &Checked, found: &Found) -> Vec<String> {
    let lines = found.next.iter().map(|next| one_next(checked, found, *next));
    lines.filter(|line| !line.is_empty()).collect()
}

fn one_next(checked: &Checked, found: &Found, next: Next) -> String {
    let asked = &checked.target.text;
    match next {
        Next::Who(transport, port) => match found.here.as_ref().and_then(Here::position) {
            Some(_) => format!("portolan who {}", port_words(port, transport)),
            None => format!(
                "start the service, or look where it listens: portolan sockets -l, portolan explain {}",
                port_words(port, transport)
            ),
        },
        Next::WhoThere(transport, port) => {
            format!(
                "on {}: portolan who {}, and start what should listen",
                found.end().address,
                port_words(port, transport)
            )
        }
        Next::Behind(transport, port) => format!(
            "on {}: portolan who {} names what accepts; look at its backend and access list",
            found.end().address,
            port_words(port, transport)
        ),
        Next::BindTo(address) => format!("let it listen on {address} or on every address"),
        Next::Use(address) => format!(
            "use {}, or let it listen on both families",
            Endpoint::new(address, found.end().port)
        ),
        Next::RulesOf { address, is_router: true } => {
            format!(
                "look at the rules of the router {address} for forwarded traffic (nft list ruleset)"
            )
        }
        Next::RulesOf { address, is_router: false } => {
            format!("look at the input rules of {address} (nft list ruleset)")
        }
        Next::ResettingRule => {
            "if it does listen there, a rule on the way resets in its name: nft list ruleset"
                .to_owned()
        }
        Next::StillAccepts(transport, port) => format!(
            "on {}: portolan who {}; a server that hangs is silent too (its queue is full)",
            found.endpoint.address,
            port_words(port, transport)
        ),
        Next::Lack(error) => lack(error).to_owned(),
        Next::InputRules if let Some(rule) = &found.own_rule => {
            format!("of this machine's own input rules this one stops it: {}", rule.rule)
        }
        Next::OutputRules if let Some(rule) = &found.own_rule => {
            format!("of this machine's own output rules this one stops it: {}", rule.rule)
        }
        Next::InputRules => "look at this machine's input rules: nft list ruleset".to_owned(),
        Next::OutputRules => {
            "look at this machine's own output rules (nft list ruleset): they may drop it"
                .to_owned()
        }
        Next::Capture { transport, endpoint } => capture(found, transport, endpoint),
        Next::RoutesOf(router) => format!("on {router}: ip route get {}", found.endpoint.address),
        Next::OwnRoute(address) => format!("ip route get {address}; ip route; ip rule"),
        Next::IsItUp(address) => {
            format!("see whether {address} is up, is the right address and is on the right network")
        }
        Next::Pair(transport, port) => format!(
            "to prove the path: on the host, once nothing has the port, portolan listen {} --bind any; \
             here portolan check --pair {asked}",
            port_words(port, transport)
        ),
        Next::LookAtListener => {
            "look at the listener: a line there means the way there works and the way back does not"
                .to_owned()
        }
    }
}

/// Where to look for what this machine lacks; empty where nobody knows.
const fn lack(error: LocalError) -> &'static str {
    match error {
        LocalError::Ports => {
            "ip address shows this machine's addresses, portolan sockets --ephemeral its ports"
        }
        LocalError::Descriptors => "ulimit -n     (how many are allowed)",
        LocalError::Buffers => "free     (the memory there is); then ask again",
        _ => "",
    }
}

fn capture(found: &Found, transport: Transport, endpoint: Endpoint) -> String {
    let device = found.way.as_ref().and_then(|way| way.interface.as_deref());
    let on = device.map_or_else(|| "any".into(), |name| operand(name).into_owned());
    let Endpoint { address, port: Port(port) } = endpoint;
    format!(
        "see it leave: tcpdump -ni {on} host {address} and \\({transport} port {port} or icmp or icmp6\\)"
    )
}

/// What an owner that cannot be seen is called.
const UNSEEN: &str = "something";
