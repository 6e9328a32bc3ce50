//! `kill` as one JSON document, the plan and what came of it.

use std::net::IpAddr;

use anyhow::Result;
use portolan_core::net::Transport;
use portolan_core::registry::Registry;
use portolan_core::socket::stop::{Action, Manager, Step};
use serde::Serialize;

use super::words;
use crate::ops::kill::{Bindable, Outcome, Proof, Report, Restart, Standing, Survey};
use crate::render::errno::errno_name;
use crate::render::json::Document;
use crate::render::owner::CommandLines;
use crate::render::screen::Screen;
use crate::render::socket::SocketJson;

/// Prints the document; without a report nothing was done.
pub(crate) fn json(
    screen: &mut Screen,
    survey: &Survey,
    report: Option<&Report>,
    dry_run: bool,
    registry: &Registry,
) -> Result<()> {
    let sockets = |positions: &[usize]| -> Vec<SocketJson<'_>> {
        let held = positions.iter().map(|position| &survey.table.sockets[*position]);
        held.map(|held| SocketJson::new(held, &survey.table, registry, CommandLines::Hidden))
            .collect()
    };
    let body = Body {
        port: survey.wish.port.0,
        transports: survey.wish.transports.iter().map(Transport::as_str).collect(),
        dry_run,
        verdict: verdict(survey, report),
        reason: reason(survey),
        listeners: sockets(&survey.plan.listeners),
        clients: sockets(&survey.plan.clients),
        leftovers: sockets(&survey.plan.leftovers),
        plan: plan(survey, report),
        changes_system: survey.plan.changes_system(),
        protected: survey.plan.spared.iter().map(|s| ProtectedJson::new(s, survey)).collect(),
        bindable: report.map(Report::is_bindable),
        proofs: report.map(|r| r.proofs.iter().map(ProofJson::from).collect()).unwrap_or_default(),
        left: report.map(|r| LeftJson {
            sockets: r.left.0,
            time_wait_s: r.left.1.map(|wait| wait.as_secs()),
        }),
        restarted: report.and_then(|r| r.restart.as_ref()).map(RestartedJson::from),
    };
    screen.json(&Document::new("kill", body, &survey.gaps))?;
    Ok(std::io::Write::flush(screen)?)
}

/// The whole answer in a word.
fn verdict(survey: &Survey, report: Option<&Report>) -> &'static str {
    match report {
        None => words::standing(survey.standing()),
        Some(report) if report.restart.is_some() => "restarted",
        Some(report) if report.has_failed() => "failed",
        Some(report) if report.is_bindable() => "freed",
        Some(_) => "still-taken",
    }
}

fn reason(survey: &Survey) -> Option<String> {
    match survey.standing() {
        Standing::Ready => None,
        Standing::Nothing => Some(words::nothing(survey)),
        Standing::Refused => Some(words::refusal(survey).0),
        Standing::Blind if survey.plan.spared.is_empty() => {
            Some("no listener was seen; there may be sockets that could not be seen".to_owned())
        }
        Standing::Blind => Some(words::refusal(survey).0),
    }
}

fn plan<'a>(survey: &'a Survey, report: Option<&'a Report>) -> Vec<StepJson<'a>> {
    let outcomes = report.map(|report| &*report.outcomes).unwrap_or_default();
    let outcomes = outcomes.iter().map(Some).chain(std::iter::repeat(None));
    survey.plan.steps.iter().zip(outcomes).map(|(s, o)| StepJson::new(s, survey, o)).collect()
}

#[derive(Serialize)]
struct Body<'a> {
    port: u16,
    transports: Vec<&'static str>,
    dry_run: bool,
    verdict: &'static str,
    reason: Option<String>,
    listeners: Vec<SocketJson<'a>>,
    clients: Vec<SocketJson<'a>>,
    leftovers: Vec<SocketJson<'a>>,
    plan: Vec<StepJson<'a>>,
    changes_system: bool,
    protected: Vec<ProtectedJson<'a>>,
    bindable: Option<bool>,
    proofs: Vec<ProofJson<'a>>,
    left: Option<LeftJson>,
    restarted: Option<RestartedJson<'a>>,
}

#[derive(Serialize)]
struct StepJson<'a> {
    action: &'static str,
    target: TargetJson<'a>,
    command: String,
    why: String,
    changes_system: bool,
    outcome: Option<OutcomeJson<'a>>,
}

impl<'a> StepJson<'a> {
    fn new(step: &'a Step, survey: &'a Survey, outcome: Option<&'a Outcome>) -> Self {
        let processes = step.pids.iter().filter_map(|pid| survey.process(*pid));
        let mut target = TargetJson {
            processes: processes
                .map(|p| ProcessJson { pid: p.pid, process: &p.name, user: p.user.as_deref() })
                .collect(),
            units: Vec::new(),
            manager: None,
            container: None,
            sockets: step.sockets.len(),
        };
        let action = match &step.action {
            Action::StopUnits { units, manager } => {
                target.units = units.iter().map(|unit| &**unit).collect();
                target.manager = Some(match manager {
                    Manager::System => "system",
                    Manager::User(_) => "user",
                });
                "stop-unit"
            }
            Action::StopContainer { name, .. } => {
                target.container = Some(name);
                "stop-container"
            }
            Action::Signal { .. } => "signal",
            Action::Destroy => "destroy",
        };
        Self {
            action,
            target,
            command: words::command(step),
            why: words::why(step, survey),
            changes_system: step.changes_system,
            outcome: outcome.map(OutcomeJson::from),
        }
    }
}

#[derive(Serialize)]
struct TargetJson<'a> {
    processes: Vec<ProcessJson<'a>>,
    units: Vec<&'a str>,
    manager: Option<&'static str>,
    container: Option<&'a str>,
    sockets: usize,
}

#[derive(Serialize)]
struct ProcessJson<'a> {
    pid: u32,
    process: &'a str,
    user: Option<&'a str>,
}

#[derive(Serialize)]
struct OutcomeJson<'a> {
    result: &'static str,
    after_ms: Option<u128>,
    sockets: Option<usize>,
    reason: Option<&'a str>,
}

impl<'a> From<&'a Outcome> for OutcomeJson<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        let sockets = match outcome {
            Outcome::Destroyed { count } => Some(*count),
            _ => None,
        };
        let reason = match outcome {
            Outcome::Failed { reason } => Some(&**reason),
            _ => None,
        };
        let after_ms = words::took(outcome).map(|took| took.as_millis());
        Self { result: words::outcome(outcome), after_ms, sockets, reason }
    }
}

#[derive(Serialize)]
struct ProtectedJson<'a> {
    local: Option<EndJson>,
    transport: &'static str,
    pid: Option<u32>,
    process: Option<&'a str>,
    reason: &'static str,
    why: String,
    hint: String,
}

impl<'a> ProtectedJson<'a> {
    fn new(spared: &portolan_core::socket::stop::Spared, survey: &'a Survey) -> Self {
        let socket = &survey.table.sockets[spared.socket].socket;
        let (why, hint) = words::spared(spared, survey);
        Self {
            local: socket.local_endpoint().map(|e| EndJson { address: e.address, port: e.port.0 }),
            transport: socket.transport.as_str(),
            pid: spared.pid,
            process: spared.pid.and_then(|pid| survey.process(pid)).map(|p| &*p.name),
            reason: spared.reason.as_str(),
            why,
            hint,
        }
    }
}

#[derive(Serialize)]
struct EndJson {
    address: IpAddr,
    port: u16,
}

/// A real bind: with which option it worked, and what the kernel answered without any.
#[derive(Serialize)]
struct ProofJson<'a> {
    transport: &'static str,
    address: IpAddr,
    port: u16,
    v6only: bool,
    device: Option<&'a str>,
    bindable: bool,
    with: Option<&'static str>,
    errno: Option<String>,
}

impl<'a> From<&'a Proof> for ProofJson<'a> {
    fn from(proof: &'a Proof) -> Self {
        let (with, refusal) = match proof.bindable {
            Bindable::Plainly => (Some("no-option"), None),
            Bindable::WithReuseAddress(refusal) => (Some("reuseaddr"), Some(refusal)),
            Bindable::Refused(refusal) => (None, Some(refusal)),
        };
        Self {
            transport: proof.bind.transport.as_str(),
            address: proof.bind.address,
            port: proof.bind.port.0,
            v6only: proof.bind.v6only,
            device: proof.bind.device.as_deref(),
            bindable: with.is_some(),
            with,
            errno: refusal.map(|refusal| errno_name(refusal.errno)),
        }
    }
}

/// What is left over on the port afterwards.
#[derive(Serialize)]
struct LeftJson {
    sockets: usize,
    time_wait_s: Option<u64>,
}

#[derive(Serialize)]
struct RestartedJson<'a> {
    pid: Option<u32>,
    process: Option<&'a str>,
    parent: Option<ProcessJson<'a>>,
}

impl<'a> From<&'a Restart> for RestartedJson<'a> {
    fn from(restart: &'a Restart) -> Self {
        let of = |p: &'a portolan_core::socket::Process| ProcessJson {
            pid: p.pid,
            process: &p.name,
            user: p.user.as_deref(),
        };
        Self {
            pid: restart.process.as_ref().map(|p| p.pid),
            process: restart.process.as_ref().map(|p| &*p.name),
            parent: restart.by.as_ref().map(of),
        }
    }
}
