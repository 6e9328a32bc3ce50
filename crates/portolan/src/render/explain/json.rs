//! The answer as one document.

use std::net::IpAddr;

use anyhow::Result;
use portolan_core::firewall::RulePlace;
use portolan_core::net::Gap;
use portolan_core::reach::Diversion;
use portolan_core::socket::Bind;
use portolan_core::socket::conflict::Unshared;
use serde::Serialize;

use super::{remedy, words};
use crate::ops::explain::command::{Ran, Refused};
use crate::ops::explain::{Attempt, Blocker, Pasted, Refusal, Report, Warning};
use crate::render::behind::BehindJson;
use crate::render::errno::errno_name;
use crate::render::json::Document;
use crate::render::screen::Screen;
use crate::render::socket::{ReuseJson, SocketJson};
use crate::render::who::{AncestorJson, Context};

/// Prints it.
pub(crate) fn json(
    screen: &mut Screen,
    report: &Report,
    context: &Context<'_>,
    gaps: &[Gap],
) -> Result<()> {
    of_command(screen, report, context, gaps, None)
}

/// The same with what became of the command it is about.
pub(super) fn of_command(
    screen: &mut Screen,
    report: &Report,
    context: &Context<'_>,
    gaps: &[Gap],
    command: Option<CommandJson<'_>>,
) -> Result<()> {
    let socket = |position: usize| socket(report, position, context);
    let decisive = report.decisive();
    let body = Body {
        bindable: report.is_bindable(),
        verdict: report.verdict.as_str(),
        reason: (!report.is_bindable()).then(|| words::reason(report)),
        complaint: report.pasted.as_ref().map(ComplaintJson::from),
        target: TargetJson::from(&decisive.bind),
        reuseaddr: words::reuseaddr(report),
        uid: report.uid,
        blockers: report.blockers.iter().map(|b| blocker(report, b, context)).collect(),
        sharers: report.sharers.iter().map(|position| socket(*position)).collect(),
        irrelevant: report
            .irrelevant
            .iter()
            .map(|(position, why)| IrrelevantJson { socket: socket(*position), why: why.as_str() })
            .collect(),
        remedies: report.remedies.iter().map(RemedyJson::from).collect(),
        probe: ProbeJson::from(decisive),
        probes: report.attempts.iter().map(AttemptJson::from).collect(),
        warnings: report.warnings.iter().map(|w| WarningJson::new(w, report)).collect(),
        command,
    };
    screen.json(&Document::new("explain", body, gaps))?;
    Ok(std::io::Write::flush(screen)?)
}

#[derive(Serialize)]
struct Body<'a> {
    bindable: bool,
    verdict: &'static str,
    reason: Option<String>,
    /// What a pasted text says; null where a target was named.
    complaint: Option<ComplaintJson<'a>>,
    target: TargetJson<'a>,
    /// Whether SO_REUSEADDR would help, where that was tried.
    reuseaddr: Option<String>,
    /// The user id it was tried with.
    uid: u32,
    blockers: Vec<BlockerJson<'a>>,
    sharers: Vec<SocketJson<'a>>,
    irrelevant: Vec<IrrelevantJson<'a>>,
    remedies: Vec<RemedyJson>,
    /// The attempt that decides.
    probe: ProbeJson,
    /// All of them, where a name has several addresses.
    probes: Vec<AttemptJson<'a>>,
    warnings: Vec<WarningJson>,
    /// Of `explain -- COMMAND`.
    command: Option<CommandJson<'a>>,
}

/// A command that was run to see what it cannot bind.
#[derive(Serialize)]
pub(super) struct CommandJson<'a> {
    /// 128 and the signal where one ended it; null while it runs.
    exit_code: Option<u8>,
    bound: Vec<TargetJson<'a>>,
    refused: Vec<RefusedJson<'a>>,
}

#[derive(Serialize)]
struct RefusedJson<'a> {
    target: TargetJson<'a>,
    errno: String,
    call: String,
}

impl<'a> From<&'a Ran> for CommandJson<'a> {
    fn from(ran: &'a Ran) -> Self {
        let refused = |refused: &'a Refused| RefusedJson {
            target: TargetJson::from(&refused.bind),
            errno: errno_name(refused.refusal.errno),
            call: refused.refusal.call.to_string(),
        };
        Self {
            exit_code: ran.code,
            bound: ran.bound.iter().map(TargetJson::from).collect(),
            refused: ran.refused.iter().map(refused).collect(),
        }
    }
}

#[derive(Serialize)]
struct ComplaintJson<'a> {
    error: &'static str,
    target: String,
    line: usize,
    text: &'a str,
    /// Whether the place stands in another line than the error.
    apart: bool,
    /// Other places of the text.
    others: &'a [String],
}

impl<'a> From<&'a Pasted> for ComplaintJson<'a> {
    fn from(pasted: &'a Pasted) -> Self {
        Self {
            error: pasted.complaint.refused.as_str(),
            target: pasted.target(),
            line: pasted.complaint.line,
            text: &pasted.line,
            apart: pasted.complaint.is_apart,
            others: &pasted.others,
        }
    }
}

#[derive(Serialize)]
struct TargetJson<'a> {
    transport: &'static str,
    address: String,
    port: u16,
    device: Option<&'a str>,
    v6only: Option<bool>,
    reuse: ReuseJson,
}

impl<'a> From<&'a Bind> for TargetJson<'a> {
    fn from(bind: &'a Bind) -> Self {
        Self {
            transport: bind.transport.as_str(),
            address: bind.address.to_string(),
            port: bind.port.0,
            device: bind.device.as_deref(),
            v6only: bind.address.is_ipv6().then_some(bind.v6only),
            reuse: bind.reuse.into(),
        }
    }
}

#[derive(Serialize)]
struct BlockerJson<'a> {
    #[serde(flatten)]
    socket: SocketJson<'a>,
    verdict: &'static str,
    /// Why it does not share; null where that could not be found out.
    unshared: Option<&'static str>,
    seconds_left: Option<u64>,
    /// Connections that it accepted and that are still open.
    connections: usize,
    /// The unit or container that its holder stands in for.
    behind: Option<BehindJson<'a>>,
    ancestry: Vec<AncestorJson<'a>>,
}

fn blocker<'a>(
    report: &'a Report,
    blocker: &'a Blocker,
    context: &'a Context<'a>,
) -> BlockerJson<'a> {
    let held = &report.table.sockets[blocker.position];
    let line = held.holders.first().and_then(|h| report.ancestries.get(&h.pid));
    BlockerJson {
        socket: socket(report, blocker.position, context),
        verdict: blocker.verdict.as_str(),
        unshared: blocker.why.map(unshared_word),
        seconds_left: blocker.seconds_left,
        connections: blocker.connections,
        behind: blocker.behind.as_ref().map(BehindJson::from),
        ancestry: line.into_iter().flatten().skip(1).map(AncestorJson::from).collect(),
    }
}

fn socket<'a>(report: &'a Report, position: usize, context: &'a Context<'a>) -> SocketJson<'a> {
    let held = &report.table.sockets[position];
    SocketJson::new(held, &report.table, context.registry, context.command_lines)
}

const fn unshared_word(why: Unshared) -> &'static str {
    match why {
        Unshared::NotAsked => "not-asked",
        Unshared::NotGranted => "not-granted",
        Unshared::Listens => "listens",
        Unshared::OtherUser => "other-user",
    }
}

#[derive(Serialize)]
struct IrrelevantJson<'a> {
    #[serde(flatten)]
    socket: SocketJson<'a>,
    why: &'static str,
}

#[derive(Serialize)]
struct RemedyJson {
    command: Option<String>,
    effect: String,
}

impl From<&crate::ops::explain::Remedy> for RemedyJson {
    fn from(remedy: &crate::ops::explain::Remedy) -> Self {
        let (command, effect) = remedy::words(remedy);
        Self { command, effect }
    }
}

/// What the kernel said.
#[derive(Serialize)]
struct ProbeJson {
    errno: Option<String>,
    call: Option<String>,
    /// The same with SO_REUSEADDR, where it was tried too: `{"errno":null}` is yes.
    with_reuseaddr: Option<ErrnoJson>,
}

#[derive(Serialize)]
struct ErrnoJson {
    errno: Option<String>,
}

impl From<&Attempt> for ProbeJson {
    fn from(attempt: &Attempt) -> Self {
        let name = |refusal: Refusal| errno_name(refusal.errno);
        Self {
            errno: attempt.refusal.map(name),
            call: attempt.refusal.map(|refusal| refusal.call.to_string()),
            with_reuseaddr: attempt
                .with_reuseaddr
                .map(|said| ErrnoJson { errno: said.err().map(name) }),
        }
    }
}

#[derive(Serialize)]
struct AttemptJson<'a> {
    target: TargetJson<'a>,
    #[serde(flatten)]
    probe: ProbeJson,
    /// What the rules say of the sockets that are visible; null where an option is not known.
    model: Option<bool>,
}

impl<'a> From<&'a Attempt> for AttemptJson<'a> {
    fn from(attempt: &'a Attempt) -> Self {
        Self {
            target: TargetJson::from(&attempt.bind),
            probe: ProbeJson::from(attempt),
            model: attempt.judgement.is_bindable(),
        }
    }
}

#[derive(Serialize)]
struct WarningJson {
    kind: &'static str,
    message: String,
    /// The rules that divert the port.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<Vec<RuleJson>>,
    /// The address that `localhost` means first.
    #[serde(skip_serializing_if = "Option::is_none")]
    reached_first: Option<IpAddr>,
}

impl WarningJson {
    fn new(warning: &Warning, report: &Report) -> Self {
        let (kind, message) = words::warning(warning, report);
        let (rules, reached_first) = match warning {
            Warning::NatShadow(diversions) => {
                (Some(diversions.iter().map(RuleJson::from).collect()), None)
            }
            Warning::SplitFamily(two) => (None, two.reached.map(|(address, _)| address)),
            _ => (None, None),
        };
        Self { kind, message, rules, reached_first }
    }
}

/// A rule that diverts the port.
#[derive(Serialize)]
struct RuleJson {
    path: &'static str,
    family: &'static str,
    table: String,
    chain: String,
    handle: Option<u64>,
    /// Its place in the chain, from 0.
    index: usize,
    text: String,
    target: String,
    takes_all: bool,
}

impl From<&Diversion> for RuleJson {
    fn from(diversion: &Diversion) -> Self {
        let RulePlace { family, table, chain, index, text } = &diversion.rule.place;
        Self {
            path: diversion.hook.as_str(),
            family: family.as_str(),
            table: table.to_string(),
            chain: chain.to_string(),
            handle: diversion.rule.handle,
            index: index.unwrap_or_default(),
            text: text.to_string(),
            target: diversion.target.to_string(),
            takes_all: diversion.takes_all,
        }
    }
}
