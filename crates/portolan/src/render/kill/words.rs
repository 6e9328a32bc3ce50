//! The words that the text and the JSON of `kill` share.

use std::time::Duration;

use portolan_core::net::Transport;
use portolan_core::socket::stop::{Action, Reason, Spared, Step};
use portolan_core::socket::{Bind, Held, State};
use rustix::process::geteuid;

use crate::ops::kill::{Outcome, Standing, Survey, longest_wait, systemctl_words};
use crate::render::owner::process_names;
use crate::render::socket::on_device;

/// The port as it was asked for: `8080`, or `8080/tcp` where not every transport was meant.
pub(super) fn port(survey: &Survey) -> String {
    let wish = &survey.wish;
    match wish.transports.iter().count() {
        n if n == Transport::ALL.len() => wish.port.to_string(),
        _ => format!("{}/{}", wish.port, wish.transports),
    }
}

/// Where a socket is bound: `[::]:8080/tcp`.
pub(super) fn place(held: &Held) -> String {
    let socket = &held.socket;
    let end = socket.local_endpoint().map(|end| on_device(end, socket.device.as_deref()));
    format!("{}/{}", end.unwrap_or_default(), socket.transport)
}

/// Where a proof was made, as [`place`].
pub(super) fn bound_at(bind: &Bind) -> String {
    let end = portolan_core::net::Endpoint::new(bind.address, bind.port);
    format!("{}/{}", on_device(end, bind.device.as_deref()), bind.transport)
}

/// What a step runs, as one would type it.
pub(super) fn command(step: &Step) -> String {
    match &step.action {
        Action::StopUnits { units, manager } => {
            let words = systemctl_words(*manager, units.iter().map(|unit| &**unit));
            let shown = words.iter().filter(|word| !matches!(&***word, "--" | "--no-ask-password"));
            let words: Vec<&str> = shown.map(String::as_str).collect();
            format!("systemctl {}", words.join(" "))
        }
        Action::StopContainer { program, name } => format!("{program} stop {name}"),
        Action::Signal { pid } => format!("kill -TERM {pid}"),
        Action::Destroy => "SOCK_DESTROY".to_owned(),
    }
}

/// Why a step is taken.
pub(super) fn why(step: &Step, survey: &Survey) -> String {
    if step.action == Action::Destroy {
        return match step.sockets.len() {
            0 => "whatever is left over then".to_owned(),
            _ => left_over(survey, &step.sockets),
        };
    }
    let clients = &survey.plan.clients;
    let verb = match step.sockets.iter().all(|socket| clients.contains(socket)) {
        true => "is a client on",
        false => "listens on",
    };
    let mut places: Vec<String> =
        step.sockets.iter().map(|socket| place(&survey.table.sockets[*socket])).collect();
    places.dedup();
    format!("{verb} {}", places.join(", "))
}

/// `3 sockets left over: 2 time-wait (57 s), 1 fin-wait-2`
pub(super) fn left_over(survey: &Survey, sockets: &[usize]) -> String {
    format!("{} left over: {}", count(sockets.len(), "socket"), states(survey, sockets))
}

/// `2 time-wait (57 s), 1 fin-wait-2`: how many in which state, and the longest wait.
pub(super) fn states(survey: &Survey, sockets: &[usize]) -> String {
    let held: Vec<&Held> = sockets.iter().map(|socket| &survey.table.sockets[*socket]).collect();
    let told = |(state, n): (&str, usize)| match longest_wait(&survey.table, sockets) {
        Some(wait) if state == State::TimeWait.as_str() => {
            format!("{n} {state} ({} s)", wait.as_secs() + 1)
        }
        _ => format!("{n} {state}"),
    };
    crate::ops::who::states(&held).into_iter().map(told).collect::<Vec<_>>().join(", ")
}

/// Why there is nothing to stop.
pub(super) fn nothing(survey: &Survey) -> String {
    let mut parts = vec!["no listener".to_owned()];
    parts.extend(clients(survey));
    if !survey.plan.leftovers.is_empty() {
        parts.push(left_over(survey, &survey.plan.leftovers));
    }
    parts.push("nothing to kill".to_owned());
    parts.join("; ")
}

/// `outgoing connection of pid 4121`
fn clients(survey: &Survey) -> Option<String> {
    let held: Vec<&Held> =
        survey.plan.clients.iter().map(|socket| &survey.table.sockets[*socket]).collect();
    let connected = held.iter().all(|h| h.socket.peer.is_some() && h.socket.state != State::Bound);
    let what = if connected { "outgoing connection" } else { "client's socket" };
    let mut pids: Vec<u32> = held.iter().flat_map(|h| &h.holders).map(|h| h.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    let s = if held.len() == 1 { "" } else { "s" };
    match &pids[..] {
        _ if held.is_empty() => None,
        [] => Some(format!("{what}{s} of a process that could not be seen")),
        [pid] => Some(format!("{what}{s} of pid {pid}")),
        pids => {
            let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
            Some(format!("{what}{s} of pids {}", pids.join(", ")))
        }
    }
}

/// The whole answer of a survey in one word, kebab-case.
pub(super) const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Ready => "planned",
        Standing::Nothing => "no-listener",
        Standing::Refused => "refused",
        Standing::Blind => "not-visible",
    }
}

/// What is left alone, with the reason, and the way out.
pub(super) fn spared(spared: &Spared, survey: &Survey) -> (String, String) {
    let process = spared.pid.and_then(|pid| survey.process(pid));
    let name = process.map_or_else(|| "its holder".to_owned(), |p| process_names([p]));
    let (port, pid) = (port(survey), spared.pid.unwrap_or(0));
    let (why, hint) = match spared.reason {
        Reason::Init => (
            "process 1 is never stopped",
            "systemctl list-sockets tells for which unit it listens".to_owned(),
        ),
        Reason::UserManager => {
            ("it keeps all services of its user", "systemctl --user list-sockets".to_owned())
        }
        Reason::Ancestor => {
            ("you descend from it", format!("if you mean it, from somewhere else: kill {pid}"))
        }
        Reason::WayIn => (
            "you came in by it, and would be locked out",
            "if you mean it, from the console".to_owned(),
        ),
        Reason::Proxy => (
            "it passes on to a container; stop that",
            format!("docker ps --filter publish={} names it", survey.wish.port),
        ),
        Reason::Kernel => {
            ("the kernel holds it itself", format!("portolan who {port} says for what"))
        }
        Reason::NotPermitted => ("it belongs to another user", "run with sudo".to_owned()),
        Reason::NotVisible if geteuid().is_root() => (
            "who holds it could not be seen",
            "it may be outside this container: ask the host".to_owned(),
        ),
        Reason::NotVisible => ("who holds it could not be seen", "run with sudo".to_owned()),
        Reason::NotProved => (
            "it may hold it, but that is not proved",
            format!("portolan who {port} tells what is known"),
        ),
        Reason::Reservation => {
            ("portolan reserves it", format!("portolan reserve {} --release", survey.wish.port))
        }
    };
    (format!("{name}: {why}"), hint)
}

/// What a survey that refuses says as an error, and the way out.
pub(crate) fn refusal(survey: &Survey) -> (String, String) {
    let first = survey.plan.spared.iter().max_by_key(|s| !s.reason.is_blindness());
    let (what, hint) = first.map(|first| spared(first, survey)).unwrap_or_default();
    let others = survey.plan.steps.is_empty();
    let hint = match survey.wish.transports.iter().count() {
        n if n > 1 && !others => {
            format!("{hint}; or name one transport, such as {}/tcp", survey.wish.port)
        }
        _ => hint,
    };
    (format!("nothing was stopped on {}: {what}", port(survey)), hint)
}

/// What a person is asked before others are touched.
pub(crate) fn question(survey: &Survey) -> String {
    format!("Free {} this way?", port(survey))
}

/// The word of an outcome in JSON, kebab-case.
pub(super) const fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Ended { .. } => "ended",
        Outcome::Killed { .. } => "killed",
        Outcome::LetGo { .. } => "let-go",
        Outcome::Gone => "gone",
        Outcome::Stopped { .. } => "stopped",
        Outcome::Destroyed { .. } => "destroyed",
        Outcome::Failed { .. } => "failed",
    }
}

/// How long a step took.
pub(super) const fn took(outcome: &Outcome) -> Option<Duration> {
    match outcome {
        Outcome::Ended { after }
        | Outcome::Killed { after }
        | Outcome::LetGo { after }
        | Outcome::Stopped { after } => Some(*after),
        Outcome::Gone | Outcome::Destroyed { .. } | Outcome::Failed { .. } => None,
    }
}

/// `1 socket`, `3 sockets`
pub(super) fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
