//! The process that brings back what was before, when nobody confirms.
//!
//! It is this program started again, in a session of its own, with no terminal, no descriptor and no
//! environment of whoever started it: it outlives a lost connection and a killed `apply`. Where systemd
//! runs the machine it is started by systemd, so that it does not end with its caller's cgroup either.
//! It knows its trial by the token. Once that is not the one on trial any more (confirmed, taken back, or
//! taken over by a later apply, which starts a watchdog of its own) its work is done. Asked to end, it
//! brings back what was before at once, rather than leave rules that nobody watches.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::holder::{self, Identity};
use crate::signals::{self, signal};
use crate::tool::Tool;

use super::Place;
use super::change::bring_back;
use super::record::{Trial, since_boot_ms};

/// The hidden subcommand that [`start`] runs; it calls [`watch`].
pub const SUBCOMMAND: &str = "firewall-watch";

/// Starts the watchdog of `trial`, and waits until it watches.
///
/// # Errors
/// When it cannot be started or does not say that it watches.
pub(super) fn start(place: &Place, trial: &Trial) -> io::Result<Identity> {
    place.remove(READY)?;
    let arguments: Vec<OsString> =
        [SUBCOMMAND.into(), place.state().into(), (&trial.token).into()].into();
    let systemd = if place.is_machine() { systemd_run() } else { None };
    if let Some(watchdog) = systemd.and_then(|tool| start_as_unit(&tool, place, trial, &arguments))
    {
        return Ok(watchdog);
    }
    let (ours, theirs) = UnixStream::pair()?;
    drop(ours);
    holder::start(OwnedFd::from(theirs), &arguments)?;
    let silent = || io::Error::other("the watchdog does not say that it watches");
    wait_until_ready(place, trial).ok_or_else(silent)
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
    arguments: &[OsString],
) -> Option<Identity> {
    let program = std::env::current_exe().ok()?;
    let words = unit_words(program.as_os_str(), arguments, &trial.token);
    let said = systemd_run.run(words, Duration::from_secs(10)).ok()?;
    if said.succeeded { wait_until_ready(place, trial) } else { None }
}

/// The arguments of systemd-run(1): a service that is forgotten once it has ended, also where it failed.
fn unit_words(program: &OsStr, arguments: &[OsString], token: &str) -> Vec<OsString> {
    let unit = format!("--unit=portolan-firewall-watch-{token}");
    let own = ["--quiet", "--collect", "--no-ask-password", &unit, "--"].map(OsString::from);
    own.into_iter().chain([program.to_owned()]).chain(arguments.iter().cloned()).collect()
}

fn wait_until_ready(place: &Place, trial: &Trial) -> Option<Identity> {
    for _ in 0..TRIES {
        if let Ok(Some(text)) = place.read(READY)
            && let Some((token, pid)) = text.trim_end().split_once(' ')
            && token == trial.token
        {
            return Identity::of(pid.parse().ok()?);
        }
        thread::sleep(BETWEEN_LOOKS);
    }
    None
}

/// What the watchdog does, until its trial is over.
///
/// # Errors
/// When it cannot begin to watch.
pub fn watch(state: &Path, token: &str) -> io::Result<()> {
    let place = Place::at(state.to_owned());
    // Started by systemd it has neither a socket nor anybody who listens.
    let _ = holder::stand_by(c"portolan-watch");
    let is_asked_to_end = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_asked_to_end);
    signals::each(
        &[signal::SIGTERM, signal::SIGINT, signal::SIGHUP, signal::SIGPIPE],
        move |caught| {
            if caught.number == signal::SIGTERM {
                asked.store(true, Ordering::Relaxed);
            }
            true
        },
    )?;
    place.write(READY, format!("{token} {}\n", std::process::id()).as_bytes())?;
    let mut known = None;
    while let Some(trial) = ours(&place, token, known.take()) {
        let is_over = since_boot_ms() >= trial.deadline_ms;
        if is_over || is_asked_to_end.load(Ordering::Relaxed) {
            let why = if is_over { TIME_OVER } else { "the watchdog was asked to end" };
            finish(&place, trial, why);
            return Ok(());
        }
        known = Some(trial);
        thread::sleep(BETWEEN_LOOKS);
    }
    Ok(())
}

/// Brings back what was before, unless somebody else just did or it was confirmed just now.
fn finish(place: &Place, trial: Trial, why: &str) {
    // Whoever has the lock for longer than this hangs; to bring back twice harms nobody.
    let lock = place.lock(Duration::from_secs(30));
    let token = trial.token.clone();
    if let Some(trial) = ours(place, &token, Some(trial)) {
        bring_back(place, &trial, &trial.caller, why);
    }
    drop(lock);
}

/// The trial, as long as it is the one we watch. Where it cannot be read it is as it was `known`.
fn ours(place: &Place, token: &str, known: Option<Trial>) -> Option<Trial> {
    Trial::read(place).unwrap_or(known).filter(|trial| trial.token == token)
}

/// Why what was before comes back when nobody confirmed.
pub(super) const TIME_OVER: &str = "not confirmed in time";

const READY: &str = "watchdog";
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Five seconds.
const TRIES: u32 = 100;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Purpose;
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
                watchdog: None,
            };
            Self { folder: tempfile::tempdir().unwrap(), trial }
        }

        fn place(&self) -> Place {
            let state = self.folder.path().join("state");
            let place = Place::at(state);
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
            start_as_unit(&Tool::at(path), &place, &self.trial, &arguments)
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
                "--unit=portolan-firewall-watch-0123456789abcdef",
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
