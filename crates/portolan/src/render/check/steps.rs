//! Each step of a check with its outcome and its time, as words; the JSON has the same ones.

use std::time::Duration;

use portolan_core::diagnose::{
    CanaryAnswer, Here, Hold, HopAnswer, Lookup, LookupOutcome, LookupSource, PairOutcome, Path,
    Way,
};
use portolan_core::reach::SentOn;
use portolan_core::scan::{Question, Reason, Reply};
use portolan_core::socket::SocketTable;
use portolan_core::wire::route::{NoRoute, RouteKind};

use super::words::{TIGHT, holder, icmp, local_error, question, time, tries};
use crate::ops::check::{Checked, Found};

/// A step: what it is about, how it went in a word, and what it showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// What was looked at.
    pub(super) name: &'static str,
    /// How it went, kebab-case.
    pub(super) outcome: &'static str,
    /// What it showed, for people.
    pub(super) detail: String,
    /// How long it took, where that says something.
    pub(super) took: Option<Duration>,
}

fn step(name: &'static str, outcome: &'static str, detail: impl Into<String>) -> Step {
    Step { name, outcome, detail: detail.into(), took: None }
}

/// All steps that were taken, in their order.
pub(super) fn steps(checked: &Checked, table: &SocketTable) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    if let Some(resolution) = &checked.resolution {
        let alike = |a: &Lookup, b: &Lookup| {
            (&a.asked, a.kind, a.source, &a.outcome) == (&b.asked, b.kind, b.source, &b.outcome)
        };
        let mut told: Vec<(&Lookup, usize, Duration)> = Vec::new();
        for lookup in &resolution.lookups {
            match told.iter_mut().find(|(known, ..)| alike(known, lookup)) {
                Some((_, count, took)) => {
                    *count += 1;
                    *took += lookup.took;
                }
                None => told.push((lookup, 1, lookup.took)),
            }
        }
        steps.extend(told.into_iter().map(|(lookup, count, took)| {
            let step = self::lookup(lookup);
            let again = if count > 1 { format!(", {count} tries") } else { String::new() };
            Step { detail: format!("{}{again}", step.detail), took: Some(took), ..step }
        }));
        if resolution.lookups.is_empty() {
            steps.push(step("name", "no-such-name", "no source of names here knows it"));
        }
    }
    let Ok(found) = &checked.found else { return steps };
    steps.extend(found.sent_on.as_ref().map(sent_on));
    steps.extend(found.here.as_ref().map(|here| this_machine(here, found, table)));
    if found.here.is_none() && found.sent_on.is_none() {
        steps.extend(found.way.as_ref().map(|way| route(way, found)));
        steps.extend(found.way.as_ref().and_then(|way| neighbour(way, found)));
    }
    steps.push(connect(checked, found));
    steps.extend(found.hold.map(hold));
    steps.extend(greeting(found));
    steps.extend(found.pair.as_ref().map(pair));
    if !found.canaries.is_empty() {
        steps.push(canaries(&found.canaries));
    }
    steps.extend(found.path.as_ref().map(|way| path("path", way)));
    steps.extend(found.working.as_ref().map(|(other, way)| {
        let Step { detail, outcome, .. } = path("compare", way);
        step("compare", outcome, format!("to {}: {detail}", question(*other)))
    }));
    steps
}

fn lookup(lookup: &Lookup) -> Step {
    let kind = lookup.kind.map_or("", |kind| kind.as_str());
    let (outcome, said) = match &lookup.outcome {
        LookupOutcome::Addresses { found, alias } => {
            let list: Vec<String> = found.iter().take(4).map(ToString::to_string).collect();
            let more = found.len().saturating_sub(4);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let alias = alias.as_ref().map_or(String::new(), |a| format!(" (alias of {a})"));
            ("found", format!("{}{more}{alias}", list.join(", ")))
        }
        LookupOutcome::NoAddress => ("no-address", "none".to_owned()),
        LookupOutcome::NoSuchName => ("no-such-name", "no such name (NXDOMAIN)".to_owned()),
        LookupOutcome::Failed(code) => ("failed", code.to_string()),
        LookupOutcome::TimedOut => ("timed-out", "no answer".to_owned()),
        LookupOutcome::Unreachable(_) => ("unreachable", "cannot be asked".to_owned()),
        LookupOutcome::Malformed => ("malformed", "something that is no answer".to_owned()),
    };
    let source = match lookup.source {
        LookupSource::HostsFile => "/etc/hosts".to_owned(),
        LookupSource::Dns(server) => format!("DNS {}", server.ip()),
        LookupSource::System => "the system's resolver".to_owned(),
    };
    let said = match (lookup.source, &lookup.outcome) {
        (LookupSource::System, LookupOutcome::NoSuchName) => "does not know it either".to_owned(),
        _ => said,
    };
    let kind = if kind.is_empty() { String::new() } else { format!(" {kind}") };
    let detail = format!("{}{kind}: {said}, says {source}", lookup.asked);
    Step { took: Some(lookup.took), ..step("name", outcome, detail) }
}

fn sent_on(sent: &SentOn) -> Step {
    let by = sent.rule.as_ref().map(|rule| format!(" by {rule}")).unwrap_or_default();
    step("nat", "sent-on", format!("to {}{by}", sent.to))
}

fn this_machine(here: &Here, found: &Found, table: &SocketTable) -> Step {
    let outcome = match here {
        Here::Answers(_) => "listens",
        Here::LoopbackOnly(_) => "loopback-only",
        Here::OtherFamily(_) => "other-family",
        Here::OtherAddress(_) => "other-address",
        Here::Nothing => "not-listening",
    };
    let detail = match here {
        Here::Nothing => "this machine: nothing has the port".to_owned(),
        _ => format!("this machine: {}", holder(found, table)),
    };
    step("local", outcome, detail)
}

fn route(way: &Way, found: &Found) -> Step {
    let route = match way.route {
        Ok(route) => route,
        Err(NoRoute::Missing) => return step("route", "missing", "none"),
        Err(NoRoute::Unreachable) => return step("route", "unreachable", "unreachable"),
        Err(NoRoute::Prohibit) => return step("route", "prohibit", "prohibited"),
        Err(NoRoute::Blackhole) => return step("route", "blackhole", "blackhole"),
        Err(NoRoute::Other(_)) => return step("route", "failed", "none"),
    };
    let outcome = match route.kind {
        RouteKind::Blackhole => return step("route", "blackhole", "blackhole"),
        RouteKind::Unreachable => return step("route", "unreachable", "unreachable"),
        RouteKind::Prohibit => return step("route", "prohibit", "prohibited"),
        RouteKind::Local => "local",
        _ => "found",
    };
    let via = match route.gateway {
        Some(gateway) => format!("via {gateway}"),
        None => format!("{} is on the link", found.endpoint.address),
    };
    let device = way.interface.as_ref().map_or(String::new(), |name| format!(" dev {name}"));
    let source = route.source.map_or(String::new(), |source| format!(" from {source}"));
    let mtu = route.mtu.map_or(String::new(), |mtu| format!(" mtu {mtu}"));
    step("route", outcome, format!("{via}{device}{source}{mtu}"))
}

fn neighbour(way: &Way, found: &Found) -> Option<Step> {
    let (state, link) = way.neighbour.as_ref()?;
    let address = way.next_hop(found.endpoint.address);
    let hex = |bytes: &Vec<u8>| {
        let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        pairs.join(":")
    };
    let detail = match link.as_ref().filter(|link| !link.is_empty()) {
        Some(link) => format!("{address} is {} ({})", hex(link), state.as_str()),
        None if way.is_nobody_there(found.took) => format!("{address} does not answer on the link"),
        None => format!("{address} ({})", state.as_str()),
    };
    Some(step("neighbour", state.as_str(), detail))
}

fn connect(checked: &Checked, found: &Found) -> Step {
    let outcome = &found.outcome;
    let asked = tries(outcome.tries);
    let name = match checked.target.transport {
        portolan_core::net::Transport::Udp => "datagram",
        _ => "connect",
    };
    let (word, said) = match outcome.reason {
        Reason::SynAck | Reason::SplitHandshake => ("accepted", "accepted".to_owned()),
        Reason::Reset => ("refused", "refused (RST)".to_owned()),
        Reason::UdpReply => ("answered", "answered".to_owned()),
        Reason::ReplyFrom(port) => ("answered", format!("answered from port {port}")),
        Reason::Icmp(error) => {
            let by = outcome.from.map_or(String::new(), |by| format!("{by} says: "));
            ("rejected", format!("{by}{}", icmp(error)))
        }
        Reason::NoNeighbour => ("no-neighbour", "nobody on the link answers for it".to_owned()),
        Reason::LocalError(error) => ("local-error", local_error(error)),
        _ => ("silent", "no answer".to_owned()),
    };
    let took = match outcome.rtt {
        Some(rtt) => Some(rtt),
        None if outcome.tries > 0 => Some(found.took),
        None => None,
    };
    let count = if outcome.tries > 1 { format!(", {asked}") } else { String::new() };
    Step { took, ..step(name, word, format!("{said}{count}")) }
}

fn hold(hold: Hold) -> Step {
    match hold {
        Hold::Kept => step("hold", "kept", "the connection stays"),
        Hold::Closed { after } => {
            Step { took: Some(after), ..step("hold", "closed", "closed by the other end") }
        }
        Hold::Reset { after } => {
            Step { took: Some(after), ..step("hold", "reset", "reset by the other end") }
        }
    }
}

/// What the server said first; harmless by the time it is printed, and short.
fn greeting(found: &Found) -> Option<Step> {
    if found.greeting.is_empty() || matches!(found.pair, Some(PairOutcome::Proved { .. })) {
        return None;
    }
    let text = String::from_utf8_lossy(&found.greeting);
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    // What is mostly no text is a protocol's own and says nothing to people.
    let odd = line.chars().filter(|c| c.is_control() || *c == char::REPLACEMENT_CHARACTER).count();
    let line = if odd * 3 > line.chars().count() { "" } else { line };
    let clean = crate::render::sanitize::sanitize(line.trim_end()).into_owned();
    let short: String = clean.chars().take(GREETING).collect();
    let cut = if short.len() < clean.len() { "…" } else { "" };
    let bytes = found.greeting.len();
    let detail = match short.is_empty() {
        true => format!("{bytes} bytes without text"),
        false => format!("{short}{cut}"),
    };
    let name = if found.hold.is_some() { "greeting" } else { "answer" };
    Some(step(name, "heard", detail))
}

fn pair(pair: &PairOutcome) -> Step {
    match pair {
        PairOutcome::Proved { code, seen, local } => step(
            "pair",
            "proved",
            format!("the listener shows code {code} and saw us as {seen} (we are {local})"),
        ),
        PairOutcome::Other => step("pair", "other", "what answered is not `portolan listen`"),
        PairOutcome::Silent => step("pair", "silent", "no answer of `portolan listen`"),
    }
}

fn canaries(canaries: &[CanaryAnswer]) -> Step {
    let word = |question: Question, reply: Reply| match reply {
        // The host's own word that no UDP socket has the port; others' words are not kept.
        Reply::Unreachable(_) if matches!(question, Question::Udp(_)) => "refused",
        Reply::SynAck | Reply::Syn | Reply::Kept | Reply::Dropped => "open",
        Reply::Reset => "refused",
        Reply::Unreachable(_) => "rejected",
        _ => "answered",
    };
    let said: Vec<String> = canaries
        .iter()
        .map(|c| {
            format!(
                "{}{TIGHT}{}",
                question(c.question),
                c.reply.map_or("silent", |r| word(c.question, r))
            )
        })
        .collect();
    let outcome = if canaries.iter().any(|c| c.reply.is_some()) { "answered" } else { "silent" };
    let fastest = canaries.iter().filter_map(|c| c.rtt).min();
    Step { took: fastest, ..step("others", outcome, said.join(", ")) }
}

fn path(name: &'static str, path: &Path) -> Step {
    let outcome = match (path.arrival(), path.last_answer()) {
        (Some(_), _) => "arrived",
        (None, Some(_)) => "lost",
        (None, None) => "silent",
    };
    let hop = |hop: &portolan_core::diagnose::Hop| {
        let who = hop.from.map_or_else(|| "no answer".to_owned(), |from| from.to_string());
        let rtt = hop.rtt.map_or(String::new(), |rtt| format!("{TIGHT}{}", time(rtt)));
        let note = match hop.answer {
            HopAnswer::Refused(error) => format!(" ({})", icmp(error)),
            _ => String::new(),
        };
        format!("{}{TIGHT}{who}{rtt}{note}", hop.number)
    };
    let hops: Vec<String> = path.telling().iter().map(hop).collect();
    step(name, outcome, hops.join(", "))
}

/// Characters of a greeting that are shown.
const GREETING: usize = 80;
