//! `kill` for reading: what holds the port, the plan, what was done, the proof.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use portolan_core::socket::stop::{Action, Step};
use portolan_core::socket::{Held, Process};

use super::words::{bound_at, command, count, nothing, place, port, spared, states, why};
use crate::ops::kill::{Bindable, Outcome, Proof, Report, Restart, Standing, Survey};
use crate::render::owner::{process_names, unowned_word};
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;
use crate::render::table::wrap;

/// Prints who holds the port and what would be done about it.
pub(crate) fn plan(screen: &mut Screen, survey: &Survey, grace: Duration) -> Result<()> {
    for (label, text) in holders(survey) {
        line(screen, Role::Strong, label, &text)?;
    }
    for (label, text) in clients(survey) {
        line(screen, Role::Dim, label, &text)?;
    }
    if !survey.plan.leftovers.is_empty() {
        line(screen, Role::Dim, "left over", &states(survey, &survey.plan.leftovers))?;
    }
    match survey.standing() {
        Standing::Ready => steps(screen, survey, grace)?,
        Standing::Nothing => nothing_to_do(screen, survey)?,
        Standing::Refused | Standing::Blind => {
            for one in &survey.plan.spared {
                line(screen, Role::Warning, "left alone", &spared(one, survey).0)?;
            }
        }
    }
    Ok(screen.flush()?)
}

fn steps(screen: &mut Screen, survey: &Survey, grace: Duration) -> Result<()> {
    let signalled = survey.plan.steps.iter().filter(|step| is_signal(step));
    let processes: Vec<&Process> =
        signalled.flat_map(|step| &step.pids).filter_map(|pid| survey.process(*pid)).collect();
    for step in survey.plan.steps.iter().filter(|step| !is_signal(step) && !is_last(step)) {
        let text = format!("{}: {}", command(step), of_processes(step, survey));
        line(screen, Role::Plain, "plan", &text)?;
    }
    if !processes.is_empty() {
        let whom = process_names(processes);
        let when = match grace.is_zero() {
            true => "at once what does not".to_owned(),
            false => format!("after {}", seconds(grace)),
        };
        let text = format!("ask {whom} to end (TERM), kill {when}");
        line(screen, Role::Plain, "plan", &text)?;
    }
    for step in survey.plan.steps.iter().filter(|step| is_last(step)) {
        let what = match step.sockets.is_empty() {
            true => "whatever is left over then".to_owned(),
            false => states(survey, &step.sockets),
        };
        let text = format!("destroy {what}; no process is signalled for that");
        line(screen, Role::Plain, "plan", &text)?;
    }
    Ok(())
}

fn is_signal(step: &Step) -> bool {
    matches!(step.action, Action::Signal { .. })
}

fn is_last(step: &Step) -> bool {
    step.action == Action::Destroy
}

fn of_processes(step: &Step, survey: &Survey) -> String {
    let processes: Vec<&Process> =
        step.pids.iter().filter_map(|pid| survey.process(*pid)).collect();
    match processes.is_empty() {
        true => why(step, survey),
        false => process_names(processes),
    }
}

fn nothing_to_do(screen: &mut Screen, survey: &Survey) -> Result<()> {
    line(screen, Role::Plain, &port(survey), &nothing(survey))?;
    if !survey.plan.clients.is_empty() {
        line(screen, Role::Hint, "next", &format!("portolan kill {} --clients", port(survey)))?;
    }
    if !survey.plan.leftovers.is_empty() {
        line(screen, Role::Hint, "next", &format!("portolan kill {} --sockets", port(survey)))?;
    }
    Ok(())
}

/// `node (4121 +3) of ann on [::]:3000/tcp`: a line for each place, whoever shares it.
fn holders(survey: &Survey) -> Vec<(&'static str, String)> {
    let mut places: Vec<(&'static str, String, Vec<&Held>)> = Vec::new();
    for held in survey.plan.listeners.iter().map(|socket| &survey.table.sockets[*socket]) {
        let label = if held.socket.is_listener() { "listens" } else { "holds" };
        let place = place(held);
        match places.iter_mut().find(|(l, p, _)| *l == label && *p == place) {
            Some((_, _, sharing)) => sharing.push(held),
            None => places.push((label, place, vec![held])),
        }
    }
    let told = |(label, place, sharing): (&'static str, String, Vec<&Held>)| {
        let user = sharing.iter().find_map(|held| survey.table.owners(held).next()?.user.clone());
        let of = user.map(|user| format!(" of {user}")).unwrap_or_default();
        let silent = if label == "holds" { ", not listening" } else { "" };
        (label, format!("{}{of} on {place}{silent}", names(&sharing, survey)))
    };
    places.into_iter().map(told).collect()
}

/// `curl (99) from 127.0.0.1:40001/tcp to 127.0.0.1:80`
fn clients(survey: &Survey) -> Vec<(&'static str, String)> {
    let all = &survey.plan.clients;
    let told = |socket: &usize| {
        let held = &survey.table.sockets[*socket];
        let peer = held.socket.peer_endpoint();
        let to = peer.map(|peer| format!(" to {peer}")).unwrap_or_default();
        ("client", format!("{} from {}{to}", names(&[held], survey), place(held)))
    };
    let mut lines: Vec<_> = all.iter().take(CLIENTS_SHOWN).map(told).collect();
    if let Some(more) = all.len().checked_sub(CLIENTS_SHOWN).filter(|more| *more > 0) {
        lines.push(("", format!("and {more} more; portolan who {} lists them", port(survey))));
    }
    lines
}

/// Who holds some sockets, each process once, or why nobody can be named.
fn names(sharing: &[&Held], survey: &Survey) -> String {
    let mut owners: Vec<&Process> =
        sharing.iter().flat_map(|held| survey.table.owners(held)).collect();
    owners.sort_by_key(|process| process.pid);
    owners.dedup_by_key(|process| process.pid);
    match sharing.iter().find_map(|held| held.unowned) {
        Some(unowned) if owners.is_empty() => unowned_word(unowned).to_owned(),
        _ => process_names(owners),
    }
}

/// Prints what was done and what the port is like now.
pub(crate) fn report(screen: &mut Screen, survey: &Survey, report: &Report) -> Result<()> {
    let steps = survey.plan.steps.iter().zip(&report.outcomes);
    for (role, label, text) in told(steps, survey) {
        line(screen, role, label, &text)?;
    }
    match &report.restart {
        Some(restart) => again(screen, survey, restart)?,
        None => {
            for proof in &report.proofs {
                tell_proof(screen, proof, report)?;
            }
            advice(screen, survey, report)?;
        }
    }
    Ok(screen.flush()?)
}

/// What came of the steps, processes of which the same is to be said together.
fn told<'a>(
    steps: impl Iterator<Item = (&'a Step, &'a Outcome)>,
    survey: &Survey,
) -> Vec<(Role, &'static str, String)> {
    let mut lines: Vec<(Role, &'static str, String)> = Vec::new();
    let mut ended: Vec<&Process> = Vec::new();
    let mut longest = Duration::ZERO;
    for (step, outcome) in steps {
        let process = step.pids.first().and_then(|pid| survey.process(*pid));
        match (&step.action, outcome, process) {
            (Action::Signal { .. }, Outcome::Ended { after }, Some(process)) => {
                ended.push(process);
                longest = longest.max(*after);
            }
            _ => lines.extend(told_step(step, outcome, process)),
        }
    }
    if !ended.is_empty() {
        let text = format!("{} ended after {}", process_names(ended), seconds(longest));
        lines.insert(0, (Role::Good, "done", text));
    }
    lines
}

fn told_step(
    step: &Step,
    outcome: &Outcome,
    process: Option<&Process>,
) -> Option<(Role, &'static str, String)> {
    let who = match (&step.action, process) {
        (Action::Signal { .. }, Some(process)) => process_names([process]),
        _ => command(step),
    };
    Some(match outcome {
        Outcome::Ended { after } => {
            (Role::Good, "done", format!("{who} ended after {}", seconds(*after)))
        }
        Outcome::Killed { after } => {
            (Role::Warning, "killed", format!("{who} did not end within {}", seconds(*after)))
        }
        Outcome::LetGo { after } => {
            let text = format!("{who} closed the port after {} and runs on", seconds(*after));
            (Role::Good, "done", text)
        }
        Outcome::Gone => (Role::Good, "done", format!("{who} was gone already")),
        Outcome::Stopped { after } => {
            (Role::Good, "done", format!("{who} took {}", seconds(*after)))
        }
        Outcome::Destroyed { count: 0 } => return None,
        Outcome::Destroyed { count: n } => {
            (Role::Good, "done", format!("{} destroyed", count(*n, "socket")))
        }
        Outcome::Failed { reason } if step.action == Action::Destroy => {
            (Role::Bad, "failed", format!("to destroy what is left over: {reason}"))
        }
        Outcome::Failed { reason } => (Role::Bad, "failed", format!("{who}: {reason}")),
    })
}

fn again(screen: &mut Screen, survey: &Survey, restart: &Restart) -> Result<()> {
    let new =
        restart.process.as_ref().map_or_else(|| "somebody".to_owned(), |p| process_names([p]));
    let text = match &restart.by {
        Some(by) => format!(
            "{new} listens on {} again: its parent {} ({}) starts it again",
            port(survey),
            by.name,
            by.pid
        ),
        None => format!("{new} listens on {} again", port(survey)),
    };
    line(screen, Role::Bad, "taken", &text)?;
    if let Some(by) = &restart.by {
        let text =
            format!("end {} ({}) first, then: portolan kill {}", by.name, by.pid, port(survey));
        line(screen, Role::Hint, "next", &text)?;
    }
    Ok(())
}

fn tell_proof(screen: &mut Screen, proof: &Proof, report: &Report) -> Result<()> {
    let place = bound_at(&proof.bind);
    match &proof.bindable {
        Bindable::Plainly => line(screen, Role::Good, "free", &format!("{place} can be bound")),
        Bindable::WithReuseAddress(_) => {
            let text = format!(
                "{place} can be bound by servers that set SO_REUSEADDR, as most do; by others {}",
                when(report)
            );
            line(screen, Role::Good, "free", &text)
        }
        Bindable::Refused(refusal) => {
            line(screen, Role::Bad, "taken", &format!("{place} cannot be bound: {refusal}"))
        }
    }
}

/// When a plain bind will work.
fn when(report: &Report) -> String {
    match report.left {
        (_, Some(wait)) => format!("in {} s", wait.as_secs() + 1),
        (1, None) => "once the socket that is left over is gone".to_owned(),
        (n, None) => format!("once the {n} sockets that are left over are gone"),
    }
}

fn advice(screen: &mut Screen, survey: &Survey, report: &Report) -> Result<()> {
    let is_plain = |proof: &Proof| proof.bindable == Bindable::Plainly;
    let (left, _) = report.left;
    if left == 0 || survey.wish.sockets || report.proofs.iter().all(is_plain) {
        return Ok(());
    }
    let what = count(left, "socket");
    let text = format!("{what} left over; at once: portolan kill {} --sockets", port(survey));
    line(screen, Role::Hint, "next", &text)
}

fn line(screen: &mut Screen, role: Role, label: &str, text: &str) -> Result<()> {
    let (style, width) = (screen.style, screen.width);
    let mut label = label;
    for part in wrap(&sanitize(text), width.saturating_sub(LABEL + 1)) {
        writeln!(screen, "{} {part}", style.paint(role, format!("{label:LABEL$}")))?;
        label = "";
    }
    Ok(())
}

/// `3 s`, `0.1 s`
fn seconds(duration: Duration) -> String {
    match duration.as_millis().max(100) {
        whole if whole % 1000 == 0 => format!("{} s", whole / 1000),
        millis => format!("{:.1} s", (millis as f64) / 1000.0),
    }
}

/// More clients than that are counted.
const CLIENTS_SHOWN: usize = 5;

/// Columns of the longest label, `left alone`.
const LABEL: usize = 10;
