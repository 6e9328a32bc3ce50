//! The process that brings back what was before, when nobody confirms.
//!
//! It is this program started again, in a session of its own, with no terminal, no descriptor and no
//! environment of whoever started it: it outlives a lost connection and a killed `apply`. Where systemd
//! runs the machine it is started by systemd, so that it does not end with its caller's cgroup either.
//! There are two, each of which can do all of it alone, and the kernel does not kill them when memory
//! runs out. Each holds in memory what was before. Its work is done when the kernel says so: when the rules
//! that are loaded are not on trial any more, or not on this one (confirmed, taken back, or taken over by a
//! later apply, which starts watchdogs of its own). That a file is gone shows nothing; then it brings back
//! what was before at once, as it does when it is asked to end, rather than leave rules nobody watches.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::holder::{self, Identity};
use crate::signals::{self, signal};
use crate::tool::Tool;

use super::Place;
use super::change::{RECORD_LOST, before, bring_back};
use super::keep;
use super::record::{Purpose, Trial, entry, since_boot_ms, tell};
use super::table::{self, TableError};

/// The hidden subcommand that `start` runs; it calls [`watch`].
pub const SUBCOMMAND: &str = "firewall-watch";

/// Starts the watchdogs of `trial`, and waits until they watch. One is enough.
///
/// # Errors
/// When none can be started or says that it watches.
pub(super) fn start(place: &Place, trial: &Trial) -> io::Result<Vec<Identity>> {
    let mut watchdogs = Vec::new();
    let mut failure = None;
    for ready in READY {
        match start_one(place, trial, ready) {
            Ok(watchdog) => watchdogs.push(watchdog),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if watchdogs.is_empty() => Err(error),
        _ => Ok(watchdogs),
    }
}

fn start_one(place: &Place, trial: &Trial, ready: &str) -> io::Result<Identity> {
    place.remove(ready)?;
    let mut arguments: Vec<OsString> =
        [SUBCOMMAND.into(), place.state().into(), (&trial.token).into(), ready.into()].into();
    arguments.extend(place.boot_root().map(OsString::from));
    let systemd = if place.is_machine() { systemd_run() } else { None };
    let started = systemd.and_then(|tool| start_as_unit(&tool, place, trial, ready, &arguments));
    if let Some(watchdog) = started {
        return Ok(watchdog);
    }
    let (ours, theirs) = UnixStream::pair()?;
    drop(ours);
    holder::start(OwnedFd::from(theirs), &arguments)?;
    let silent = || io::Error::other("the watchdog does not say that it watches");
    wait_until_ready(place, trial, ready).ok_or_else(silent)
}

/// Tells all watchdogs of a place that their work is done.
pub(super) fn dismiss(place: &Place) {
    let state = place.state().as_os_str().as_bytes();
    for process in holder::started_as(SUBCOMMAND) {
        let arguments = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
        if arguments.split(|byte| *byte == 0).nth(2) == Some(state) {
            let _ = Identity::of(process.pid).map(|watchdog| watchdog.dismiss());
        }
    }
}

/// What has systemd start something, where systemd runs the machine (sd_booted(3)).
fn systemd_run() -> Option<Tool> {
    let is_booted = Path::new("/run/systemd/system").is_dir();
    if is_booted { Tool::find("systemd-run") } else { None }
}

/// Has systemd start it as a unit of its own, outside of our session's cgroup. `None` where it does not,
/// or where what it started does not say that it watches.
fn start_as_unit(
    systemd_run: &Tool,
    place: &Place,
    trial: &Trial,
    ready: &str,
    arguments: &[OsString],
) -> Option<Identity> {
    let program = std::env::current_exe().ok()?;
    let words = unit_words(program.as_os_str(), arguments, ready, &trial.token);
    let said = systemd_run.run(words, Duration::from_secs(10)).ok()?;
    if said.succeeded { wait_until_ready(place, trial, ready) } else { None }
}

/// The arguments of systemd-run(1): a service that is forgotten once it has ended, also where it failed.
fn unit_words(program: &OsStr, arguments: &[OsString], ready: &str, token: &str) -> Vec<OsString> {
    let unit = format!("--unit=portolan-firewall-{ready}-{token}");
    let own = ["--quiet", "--collect", "--no-ask-password", &unit, "--"].map(OsString::from);
    own.into_iter().chain([program.to_owned()]).chain(arguments.iter().cloned()).collect()
}

fn wait_until_ready(place: &Place, trial: &Trial, ready: &str) -> Option<Identity> {
    for _ in 0..TRIES {
        if let Ok(Some(text)) = place.read(ready)
            && let Some((token, pid)) = text.trim_end().split_once(' ')
            && token == trial.token
        {
            return Identity::of(pid.parse().ok()?);
        }
        thread::sleep(BETWEEN_LOOKS);
    }
    None
}

/// What the watchdog does, until its trial is over. `ready` is the file in which it says that it
/// watches, `root` where the boot files of a confirmed trial go.
///
/// # Errors
/// When it cannot begin to watch.
pub fn watch(state: &Path, token: &str, ready: &str, root: Option<&Path>) -> io::Result<()> {
    let place = Place::at(state.to_owned(), root.map(Path::to_owned));
    // Started by systemd it has neither a socket nor anybody who listens.
    let _ = holder::stand_by(c"portolan-watch");
    // Whoever runs out of memory must not lose the way back (proc_pid_oom_score_adj(5)).
    // As low as we may.
    let _ =
        ["-1000", "0"].iter().find(|score| fs::write("/proc/self/oom_score_adj", score).is_ok());
    let asked = Arc::new(Asked::default());
    let told = Arc::clone(&asked);
    let numbers =
        [signal::SIGTERM, signal::SIGUSR1, signal::SIGINT, signal::SIGHUP, signal::SIGPIPE];
    signals::each(&numbers, move |caught| {
        match caught.number {
            signal::SIGTERM => told.to_end.store(true, Ordering::Relaxed),
            signal::SIGUSR1 => told.to_go.store(true, Ordering::Relaxed),
            _ => {}
        }
        true
    })?;
    let known = Trial::read(&place)?.filter(|trial| trial.token == token);
    let Some(known) = known else { return Ok(()) };
    let before = before(&place, &known);
    let mut guard = Guard { place, known, before, asked_kernel: None };
    guard.place.write(ready, format!("{token} {}\n", std::process::id()).as_bytes())?;
    guard.watch(&asked);
    Ok(())
}

/// What it was asked for by a signal.
#[derive(Debug, Default)]
struct Asked {
    to_end: AtomicBool,
    to_go: AtomicBool,
}

/// What a watchdog knows by itself, whatever becomes of the folder.
struct Guard {
    place: Place,
    known: Trial,
    before: Option<String>,
    asked_kernel: Option<Instant>,
}

/// How its trial stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// It goes on.
    GoesOn,
    /// The rules are loaded, and nothing remembers why.
    Lost,
    /// It has ended.
    Over,
}

impl Guard {
    fn watch(&mut self, asked: &Asked) {
        while !asked.to_go.load(Ordering::Relaxed) {
            let look = self.look(EVERY_SECOND);
            let is_over = since_boot_ms() >= self.known.deadline_ms;
            let why = match look {
                Look::Over => return,
                Look::Lost => Some(RECORD_LOST),
                Look::GoesOn if is_over => Some(TIME_OVER),
                Look::GoesOn if asked.to_end.load(Ordering::Relaxed) => {
                    Some("the watchdog was asked to end")
                }
                Look::GoesOn => None,
            };
            if let Some(why) = why {
                return self.finish(why, asked);
            }
            if keep::is_committed(&self.place, &self.known.token) {
                // Whoever confirmed it was stopped on the way.
                let _lock = self.place.lock(PATIENCE);
                self.complete();
            }
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// What the record says; where it is not of our trial the kernel, asked again after `pause`. Only
    /// that the rules are not loaded any more shows that a trial has ended.
    fn look(&mut self, pause: Duration) -> Look {
        let record = Trial::read(&self.place);
        if let Ok(Some(trial)) = &record
            && trial.token == self.known.token
        {
            self.known = trial.clone();
            return Look::GoesOn;
        }
        if self.asked_kernel.is_some_and(|asked| asked.elapsed() < pause) {
            return Look::GoesOn;
        }
        self.asked_kernel = Some(Instant::now());
        match (record, self.is_in_force()) {
            (_, Ok(false)) => Look::Over,
            (Ok(Some(later)), _) if self.known.purpose == Purpose::Off && later.is_watched() => {
                Look::Over
            }
            (Ok(None), Ok(true)) if self.known.purpose == Purpose::Apply => Look::Lost,
            _ => Look::GoesOn,
        }
    }

    /// Whether the kernel is as our trial left it.
    fn is_in_force(&self) -> Result<bool, TableError> {
        Ok(match self.known.purpose {
            Purpose::Apply => table::on_trial()?.as_ref() == Some(&self.known.token),
            Purpose::Off => table::stamp()?.is_none(),
        })
    }

    /// Goes on with a confirmation that was not finished; whether it is now.
    fn complete(&self) -> bool {
        keep::is_committed(&self.place, &self.known.token)
            && keep::complete(&self.place, &self.known, &self.known.caller).is_ok()
    }

    /// Brings back what was before, unless somebody else just did or it was confirmed just now. It tries
    /// until it can.
    fn finish(&mut self, why: &str, asked: &Asked) {
        let mut pauses = PAUSES.iter().copied();
        let mut is_told = false;
        while !asked.to_go.load(Ordering::Relaxed) {
            // Whoever has the lock for longer than this hangs; to bring back twice harms nobody.
            let lock = self.place.lock(Duration::from_secs(30));
            if self.look(Duration::ZERO) == Look::Over || self.complete() {
                return;
            }
            let (place, trial) = (&self.place, &self.known);
            let tried = bring_back(place, trial, self.before.as_deref(), &trial.caller, why);
            let Err(error) = tried else { return };
            if !is_told {
                let detail = format!("{why}; {error}; it is tried again");
                let _ = tell(place, &entry("failed", trial, &trial.caller, &detail));
                is_told = true;
            }
            drop(lock);
            thread::sleep(pauses.next().unwrap_or(AT_LAST));
        }
    }
}

/// Why what was before comes back when nobody confirmed.
pub(super) const TIME_OVER: &str = "not confirmed in time";

/// In which each of the two says that it watches.
pub(super) const READY: [&str; 2] = ["watchdog", "watchdog-2"];
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
const EVERY_SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);
/// Before it tries again.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
const AT_LAST: Duration = Duration::from_secs(60);

/// Five seconds.
const TRIES: u32 = 100;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::caller::caller;
    use super::super::record::boot;
    use super::*;
    use crate::clock;

    /// A folder with a program in the place of systemd-run, which writes down what it is told.
    struct Machine {
        folder: tempfile::TempDir,
        trial: Trial,
    }

    impl Machine {
        fn new() -> Self {
            let trial = Trial {
                purpose: Purpose::Apply,
                token: "0123456789abcdef".into(),
                at: clock::now(),
                applied_ms: 0,
                deadline_ms: 0,
                boot: boot(),
                before_ms: 0,
                policy: String::new(),
                inventory: String::new(),
                caller: caller(),
                has_before: false,
                watchdogs: Vec::new(),
            };
            Self { folder: tempfile::tempdir().unwrap(), trial }
        }

        fn place(&self) -> Place {
            let state = self.folder.path().join("state");
            let place = Place::at(state, None);
            place.make().unwrap();
            place
        }

        fn starts(&self, then: &str) -> Option<Identity> {
            let path = self.folder.path().join("systemd-run");
            let told = self.folder.path().join("told");
            let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > {}\n{then}\n", told.display());
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            let place = self.place();
            let arguments: Vec<OsString> =
                [SUBCOMMAND.into(), place.state().into(), (&self.trial.token).into()].into();
            start_as_unit(&Tool::at(path), &place, &self.trial, READY[0], &arguments)
        }

        fn told(&self) -> Vec<String> {
            let text = fs::read_to_string(self.folder.path().join("told")).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    #[test]
    fn systemd_is_told_a_unit_a_program_and_its_arguments() {
        let machine = Machine::new();
        // It starts what it was told: state folder and token are the last two arguments.
        let watches = "shift 7\nsleep 20 >&- 2>&- &\necho \"$2 $!\" > \"$1/watchdog\"";
        let watchdog = machine.starts(watches).expect("it says that it watches");
        let program = std::env::current_exe().unwrap().display().to_string();
        let state = machine.place().state().display().to_string();
        let told = machine.told();
        assert_eq!(
            told,
            [
                "--quiet",
                "--collect",
                "--no-ask-password",
                "--unit=portolan-firewall-watchdog-0123456789abcdef",
                "--",
                &program,
                SUBCOMMAND,
                &state,
                "0123456789abcdef",
            ]
        );
        assert!(watchdog.is_alive());
        let pid = i32::try_from(watchdog.pid).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::KILL).unwrap();
    }

    #[test]
    fn a_systemd_that_refuses_leaves_it_to_us() {
        let machine = Machine::new();
        assert!(machine.starts("exit 1").is_none());
        assert_eq!(machine.told().len(), 9);
    }
}
