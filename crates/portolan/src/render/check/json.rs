//! A check as JSON: one object for each address of each target, its steps with it.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use portolan_core::diagnose::{HopAnswer, Path, Verdict};
use portolan_core::net::Gap;
use portolan_core::reach::SentOn;
use portolan_core::scan::Icmp;
use portolan_core::socket::SocketTable;
use serde::Serialize;

use super::steps::{Step, steps};
use super::words;
use crate::ops::check::{Checked, Report};
use crate::render::firewall::place::PlaceJson;
use crate::render::json::Document;
use crate::render::screen::Screen;

#[derive(Debug, Serialize)]
struct CheckJson<'a> {
    results: Vec<ResultJson<'a>>,
}

#[derive(Debug, Serialize)]
struct ResultJson<'a> {
    target: &'a str,
    address: Option<IpAddr>,
    port: u16,
    transport: &'static str,
    state: &'static str,
    reason: String,
    from: Option<IpAddr>,
    tries: u16,
    rtt_us: Option<u64>,
    verified: Option<bool>,
    verdict_kind: &'static str,
    verdict: String,
    steps: Vec<StepJson>,
    path: Option<Vec<HopJson>>,
    /// The rule of this machine that keeps the question, or its answer, from its way.
    own_rule: Option<PlaceJson>,
    /// Where rules of this machine send what it asks.
    sent_on: Option<SentOnJson>,
    next: Vec<String>,
}

#[derive(Debug, Serialize)]
struct SentOnJson {
    address: IpAddr,
    port: u16,
    rule: Option<PlaceJson>,
}

#[derive(Debug, Serialize)]
struct StepJson {
    name: &'static str,
    outcome: &'static str,
    detail: String,
    took_us: Option<u64>,
}

#[derive(Debug, Serialize)]
struct HopJson {
    hop: u8,
    address: Option<IpAddr>,
    answer: String,
    rtt_us: Option<u64>,
}

/// Prints the document.
pub(crate) fn json(screen: &mut Screen, report: &Report, gaps: &[Gap]) -> Result<()> {
    let results = report.results.iter().map(|checked| result(checked, &report.table)).collect();
    screen.json(&Document::new("check", CheckJson { results }, gaps))
}

fn result<'a>(checked: &'a Checked, table: &SocketTable) -> ResultJson<'a> {
    let target = &checked.target;
    let steps = steps(checked, table).into_iter().map(StepJson::from).collect();
    let nothing = ResultJson {
        target: &target.text,
        address: None,
        port: target.port.0,
        transport: target.transport.as_str(),
        state: "unknown",
        reason: "no-address".to_owned(),
        from: None,
        tries: 0,
        rtt_us: None,
        verified: None,
        verdict_kind: "no-address",
        verdict: String::new(),
        steps,
        path: None,
        own_rule: None,
        sent_on: None,
        next: Vec::new(),
    };
    match &checked.found {
        Err(failure) => ResultJson {
            verdict: words::name_failure(target, *failure),
            next: words::name_next(checked, *failure),
            ..nothing
        },
        Ok(found) => ResultJson {
            address: Some(found.endpoint.address),
            state: found.outcome.state.as_str(),
            reason: found.outcome.reason.to_string(),
            from: found.outcome.from,
            tries: found.outcome.tries,
            rtt_us: found.outcome.rtt.map(micros),
            verified: found.outcome.is_open().then(|| found.is_open()),
            verdict_kind: kind(&found.verdict),
            verdict: words::loose(&words::verdict(checked, found, table)),
            path: found.path.as_ref().map(hops),
            own_rule: found.own_rule.as_ref().map(|refusal| PlaceJson::from(&refusal.rule)),
            sent_on: found.sent_on.as_ref().map(SentOnJson::from),
            next: words::next(checked, found),
            ..nothing
        },
    }
}

impl From<&SentOn> for SentOnJson {
    fn from(sent: &SentOn) -> Self {
        let rule = sent.rule.as_ref().map(PlaceJson::from);
        Self { address: sent.to.address, port: sent.to.port.0, rule }
    }
}

fn hops(path: &Path) -> Vec<HopJson> {
    let answer = |answer: HopAnswer| match answer {
        HopAnswer::Silence => "silence".to_owned(),
        HopAnswer::Router => "router".to_owned(),
        HopAnswer::Arrived => "arrived".to_owned(),
        HopAnswer::Refused(icmp) => Icmp::to_string(&icmp),
    };
    let hop = |hop: &portolan_core::diagnose::Hop| HopJson {
        hop: hop.number,
        address: hop.from,
        answer: answer(hop.answer),
        rtt_us: hop.rtt.map(micros),
    };
    path.telling().iter().map(hop).collect()
}

/// A duration in microseconds.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The verdict in a word, kebab-case, for programs.
const fn kind(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Open => "open",
        Verdict::Proved { .. } => "proved",
        Verdict::EndedAfterAccept { .. } => "ended-after-accept",
        Verdict::Refused => "refused",
        Verdict::RefusedOnTheWay { .. } => "refused-on-the-way",
        Verdict::NothingHere => "not-listening-here",
        Verdict::BoundElsewhere(portolan_core::diagnose::Bound::Loopback) => "loopback-only",
        Verdict::BoundElsewhere(portolan_core::diagnose::Bound::OtherFamily)
        | Verdict::OtherFamily { .. } => "other-family",
        Verdict::BoundElsewhere(portolan_core::diagnose::Bound::OtherAddress) => "other-address",
        Verdict::RefusedBeforeSocket => "refused-by-own-rule",
        Verdict::DroppedBeforeSocket => "dropped-here",
        Verdict::Forbidden { .. } => "forbidden",
        Verdict::Unreachable { .. } => "unreachable",
        Verdict::Loop { .. } => "loop",
        Verdict::Dropped { .. } => "dropped",
        Verdict::UdpSilent { .. } => "udp-silent",
        Verdict::SilentHere => "silent-here",
        Verdict::HostGone { .. } => "host-gone",
        Verdict::NotOneHost => "not-one-host",
        Verdict::NotPaired { .. } => "not-paired",
        Verdict::NoNeighbour { .. } => "no-neighbour",
        Verdict::NoRoute(_) => "no-route",
        Verdict::NotPermitted => "not-permitted",
        Verdict::LocalError(_) => "local-error",
    }
}

impl From<Step> for StepJson {
    fn from(step: Step) -> Self {
        let Step { name, outcome, detail, took } = step;
        Self { name, outcome, detail: words::loose(&detail), took_us: took.map(micros) }
    }
}
