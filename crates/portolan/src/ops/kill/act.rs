//! Carrying a plan out: supervisors first, then signals, at last what is left over.

use std::error::Error;
use std::iter;
use std::time::{Duration, Instant};

use portolan_core::socket::Socket;
use portolan_core::socket::stop::{self, Action, Manager, Step};
use portolan_host::ending::{End, SignalError, Target};
use portolan_host::sockets::{DestroyError, destroy};
use portolan_host::tool::Tool;
use rustix::process::geteuid;

use super::{Report, Survey, proof};

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The process ended as it was asked to.
    Ended {
        /// How long it took.
        after: Duration,
    },
    /// It did not end in time and was killed.
    Killed {
        /// How long it was waited for.
        after: Duration,
    },
    /// It closed its sockets and lives on, mostly to finish its connections.
    LetGo {
        /// How long it took.
        after: Duration,
    },
    /// It was gone before it was asked.
    Gone,
    /// The unit or container was stopped.
    Stopped {
        /// How long it took.
        after: Duration,
    },
    /// What was left over is destroyed.
    Destroyed {
        /// How many sockets.
        count: usize,
    },
    /// It was not done.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Does what was planned, waiting for a process for `grace`, and looks what came of it.
pub(crate) fn carry_out(survey: &Survey, grace: Duration) -> Report {
    let parents = proof::parents(survey);
    let steps = &survey.plan.steps;
    let mut outcomes: Vec<Outcome> = steps.iter().map(|step| begin(step, survey, grace)).collect();
    let started = Instant::now();
    for (step, outcome) in steps.iter().zip(&mut outcomes) {
        if let (Action::Signal { pid }, Outcome::Ended { .. }) = (&step.action, &*outcome)
            && let Some(Ok(target)) = survey.targets.get(pid)
        {
            *outcome = await_end(target, started, grace);
        }
    }
    if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Stopped { .. })) {
        proof::await_listeners_gone(survey, started + grace);
    }
    let restart = proof::restart(survey, &parents);
    for (step, outcome) in steps.iter().zip(&mut outcomes) {
        if step.action == Action::Destroy {
            *outcome = sweep(survey);
        }
    }
    let left = proof::left(survey);
    Report { outcomes, proofs: proof::proofs(survey), restart, left }
}

/// The part of a step that does not wait for others: every process is asked before any is awaited.
fn begin(step: &Step, survey: &Survey, grace: Duration) -> Outcome {
    match &step.action {
        Action::StopUnits { units, manager } => {
            let words = systemctl_words(*manager, units.iter().map(|unit| &**unit));
            run("systemctl", &words, UNIT_STOPS)
        }
        Action::StopContainer { program, name } => {
            let seconds = grace.as_secs().max(1).to_string();
            let words = ["stop", "-t", &seconds, "--", name].map(str::to_owned);
            run(program, &words, grace + CONTAINER_STOPS)
        }
        Action::Signal { pid } => match survey.targets.get(pid) {
            Some(Ok(target)) => {
                let asked = target.end(End::Asked);
                asked.map_or_else(|e| unsent(&e), |()| Outcome::Ended { after: Duration::ZERO })
            }
            Some(Err(error)) => unsent(error),
            None => Outcome::Gone,
        },
        Action::Destroy => Outcome::Destroyed { count: 0 },
    }
}

/// What `systemctl` is told: the manager of another user is reached through its machine name.
pub(crate) fn systemctl_words<'a>(
    manager: Manager,
    units: impl Iterator<Item = &'a str>,
) -> Vec<String> {
    let mut words = match manager {
        Manager::System => vec!["--no-ask-password".to_owned()],
        Manager::User(uid) if uid == geteuid().as_raw() => vec!["--user".to_owned()],
        Manager::User(uid) => vec!["--user".to_owned(), format!("--machine={uid}@.host")],
    };
    words.extend(["stop", "--"].map(str::to_owned));
    words.extend(units.map(str::to_owned));
    words
}

fn run(program: &str, words: &[String], limit: Duration) -> Outcome {
    let started = Instant::now();
    let Some(tool) = Tool::find(program) else {
        return Outcome::Failed { reason: format!("{program} is not installed") };
    };
    match tool.run(words, limit) {
        Ok(said) if said.succeeded => Outcome::Stopped { after: started.elapsed() },
        Ok(said) => Outcome::Failed { reason: format!("{program}: {}", said.reason()) },
        Err(error) => failed(&error),
    }
}

/// A failure with what it came of.
fn failed(error: &(dyn Error + 'static)) -> Outcome {
    let causes = iter::successors(Some(error), |&error| error.source());
    let reason: Vec<String> = causes.map(ToString::to_string).collect();
    Outcome::Failed { reason: reason.join(": ") }
}

/// Why nothing was sent: a process that is gone or gave the port up needs nothing more.
fn unsent(error: &SignalError) -> Outcome {
    match error {
        SignalError::Ended { .. } | SignalError::LetGo { .. } => Outcome::Gone,
        error => failed(error),
    }
}

fn await_end(target: &Target, started: Instant, grace: Duration) -> Outcome {
    if target.lets_go(started + grace) {
        let after = started.elapsed();
        // Closing its sockets comes before its end; a server that finishes connections stays.
        return match target.ends_within(JUST_ENDING) {
            true => Outcome::Ended { after },
            false => Outcome::LetGo { after },
        };
    }
    let after = started.elapsed();
    match target.end(End::Forced) {
        Ok(()) if target.lets_go(Instant::now() + KILL_TAKES) => Outcome::Killed { after },
        Ok(()) => Outcome::Failed {
            reason: "it does not end even when killed: the kernel holds it".into(),
        },
        Err(SignalError::Ended { .. }) => Outcome::Ended { after: started.elapsed() },
        Err(SignalError::LetGo { .. }) => Outcome::LetGo { after: started.elapsed() },
        Err(error) => failed(&error),
    }
}

/// Destroys what is left over now. Peers that close meanwhile change states under our hands, so
/// it is looked more than once.
fn sweep(survey: &Survey) -> Outcome {
    let mut count = 0;
    for _ in 0..ROUNDS {
        let table = proof::sockets(survey);
        let [_, _, leftovers] = stop::roles(&survey.wish, &table, survey.ephemeral);
        if leftovers.is_empty() {
            break;
        }
        for socket in leftovers {
            match end_socket(&table.sockets[socket].socket) {
                Ok(ended) => count += usize::from(ended),
                Err(reason) => return Outcome::Failed { reason },
            }
        }
    }
    Outcome::Destroyed { count }
}

/// Whether it had to be destroyed: it may have gone by itself.
fn end_socket(socket: &Socket) -> Result<bool, String> {
    match destroy(socket) {
        Ok(()) => Ok(true),
        Err(DestroyError::Gone) => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

/// systemd itself gives a unit 90 s (DefaultTimeoutStopSec) before it kills, and reports then.
const UNIT_STOPS: Duration = Duration::from_secs(100);

/// Beyond the grace that the runtime gives the container.
const CONTAINER_STOPS: Duration = Duration::from_secs(30);

/// A killed process is gone within milliseconds, unless the kernel waits for a device.
const KILL_TAKES: Duration = Duration::from_secs(2);

/// Between a process's closing its sockets and its being gone.
const JUST_ENDING: Duration = Duration::from_millis(100);

const ROUNDS: usize = 3;
