//! The process that brings back what was before, when nobody confirms.
//!
//! It is this program started again, in a session of its own, with no terminal, no descriptor and no
//! environment of whoever started it: it outlives a lost connection and a killed `apply`. Where systemd
//! runs the machine it is started by systemd, so that it does not end with its caller's cgroup either.
//! It knows its trial by the token. Once that is not the one on trial any more (confirmed, taken back, or
//! taken over by a later apply, which starts a watchdog of its own) its work is done. Asked to end, it
//! brings back what was before at once, rather than leave rules that nobody watches.

use std::ffi::OsString;
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
    if place.is_machine()
        && start_by_systemd(&arguments, &trial.token)
        && let Some(watchdog) = wait_until_ready(place, trial)
    {
        return Ok(watchdog);
    }
    let (ours, theirs) = UnixStream::pair()?;
    drop(ours);
    holder::start(OwnedFd::from(theirs), &arguments)?;
    let silent = || io::Error::other("the watchdog does not say that it watches");
    wait_until_ready(place, trial).ok_or_else(silent)
}

/// Whether systemd has started it: as a unit of its own, outside of our session's cgroup.
fn start_by_systemd(arguments: &[OsString], token: &str) -> bool {
    if !Path::new("/run/systemd/system").is_dir() {
        return false;
    }
    let (Some(tool), Ok(program)) = (Tool::find("systemd-run"), std::env::current_exe()) else {
        return false;
    };
    let unit = format!("--unit=portolan-firewall-watch-{token}");
    let own = ["--quiet", "--collect", "--no-ask-password", &unit, "--"].map(OsString::from);
    let words = own.into_iter().chain([program.into()]).chain(arguments.iter().cloned());
    tool.run(words, Duration::from_secs(10)).is_ok_and(|said| said.succeeded)
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
