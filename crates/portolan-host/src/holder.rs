//! Processes of our own that outlive the command that started them, and telling one process from
//! another that got its number later.
//!
//! Such a process is this program started again (never a fork), with a socket as its standard input
//! and nothing else of ours: no descriptors, no environment, no terminal, working folder `/`.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use portolan_core::socket::Process;
use portolan_core::socket::procpid::Stat;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal, setsid};

use crate::kernel::inheritance;
use crate::pidfd;
use crate::proc::Proc;
use crate::processes::{self, Details};

/// One process for good: its number, and what tells it from a later one with the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub pid: u32,
    /// When it started, in clock ticks since boot (field 22 of proc_pid_stat(5)).
    pub start_ticks: u64,
    /// Which boot that was (random(4), boot_id).
    pub boot: String,
}

impl Identity {
    /// The process that has the number `pid` now; `None` where none has or it is hidden.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = Stat::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)?;
        Some(Self { pid, start_ticks: stat.start_ticks, boot: boot() })
    }

    /// Whether it still runs. One that has ended and was not waited for does not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.open().is_some_and(|process| !has_ended(&process, Duration::ZERO))
    }

    /// Asks it to end (SIGTERM) and waits up to a second; nothing where it is gone already.
    ///
    /// # Errors
    /// When it may not be ended, or does not end.
    pub fn end(&self) -> io::Result<()> {
        let Some(process) = self.open() else { return Ok(()) };
        tell(&process, Signal::TERM)?;
        let ended = has_ended(&process, Duration::from_secs(1));
        ended.then_some(()).ok_or_else(|| io::Error::from(io::ErrorKind::TimedOut))
    }

    /// Sends it SIGUSR1, which of our own processes means that its work is done; nothing where it is gone.
    ///
    /// # Errors
    /// When it may not be told.
    pub fn dismiss(&self) -> io::Result<()> {
        self.open().map_or(Ok(()), |process| tell(&process, Signal::USR1))
    }

    /// A handle on it, taken before it is compared, so that it is the process that was meant.
    fn open(&self) -> Option<OwnedFd> {
        let process = pidfd::open(self.pid).ok()?;
        (Self::of(self.pid).as_ref() == Some(self)).then_some(process)
    }
}

fn tell(process: &OwnedFd, signal: Signal) -> io::Result<()> {
    match pidfd_send_signal(process, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A process's handle becomes readable when it ends (pidfd_open(2)).
fn has_ended(process: &OwnedFd, within: Duration) -> bool {
    let mut asked = [PollFd::new(process, PollFlags::IN)];
    let within = Timespec::try_from(within).ok();
    poll(&mut asked, within.as_ref()).is_ok_and(|ready| ready > 0)
}

/// Which boot this is; empty where /proc does not tell.
fn boot() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim_end().to_owned()
}

/// The working folder of a process; `None` where it has ended or is not ours to look at.
#[must_use]
pub fn working_folder(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// The processes of this program, whoever's, that were started with `subcommand`, by what they say of
/// themselves: everybody may read their arguments, while only their user sees what they hold.
#[must_use]
pub fn started_as(subcommand: &str) -> Vec<Process> {
    let pids = Proc::open().and_then(|proc| proc.pids()).unwrap_or_default();
    let is_meant = |pid: &u32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).nth(1) == Some(subcommand.as_bytes())
    };
    processes::read(pids.into_iter().filter(is_meant), Details::Full)
}

/// Starts this program again with `arguments` and `socket` as its standard input, and waits until
/// it says through [`stand_by`] that it stands on its own.
///
/// # Errors
/// When it cannot be started or ends at once.
pub fn start(socket: OwnedFd, arguments: &[OsString]) -> io::Result<Identity> {
    // Where the kernel is too old for it, std has marked what is ours, which is all there usually is.
    let _ = inheritance::keep_to_ourselves();
    let mut child = Command::new("/proc/self/exe")
        .arg0("portolan")
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(socket)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut said = [0];
    let heard = child.stdout.take().map(|mut pipe| pipe.read_exact(&mut said));
    match heard {
        Some(Ok(())) => {}
        _ => return Err(io::Error::other("the process that should hold it ended at once")),
    }
    let gone = || io::Error::other("the process that should hold it ended");
    Identity::of(child.id()).ok_or_else(gone)
}

/// In the process that was started: leaves the terminal's session, takes a name that `ps` shows,
/// and says that it is ready.
///
/// # Errors
/// When standard input is no socket, or nobody waits for it.
pub fn stand_by(name: &std::ffi::CStr) -> io::Result<()> {
    let input = rustix::fs::fstat(io::stdin())?;
    if rustix::fs::FileType::from_raw_mode(input.st_mode) != rustix::fs::FileType::Socket {
        return Err(io::Error::other("standard input is no socket"));
    }
    // Nobody reads what UDP brings while nothing serves there: the kernel keeps its least, 2 kB.
    rustix::net::sockopt::set_socket_recv_buffer_size(io::stdin(), 0)?;
    // Started by a shell itself it may lead a group already, and then stays where it is.
    let _ = setsid();
    let _ = rustix::thread::set_name(name);
    io::stdout().write_all(b".")?;
    io::stdout().flush()
}

/// Waits until the clock says `until`, also when the machine sleeps or the clock is set meanwhile.
pub fn wait_until(until: Timestamp) {
    loop {
        let left = Duration::try_from(until.duration_since(crate::clock::now()));
        match left {
            Ok(left) if !left.is_zero() => thread::sleep(left.min(BETWEEN_LOOKS)),
            _ => return,
        }
    }
}

/// The clock may be set, and sleep(3) does not count the time a machine was suspended.
const BETWEEN_LOOKS: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_until_it_ends() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let identity = Identity::of(child.id()).unwrap();
        assert!(identity.is_alive());
        let later = Identity { start_ticks: identity.start_ticks + 1, ..identity.clone() };
        assert!(!later.is_alive(), "another process with the same number");
        later.end().unwrap();
        assert!(identity.is_alive(), "the wrong process was ended");
        identity.end().unwrap();
        assert!(!identity.is_alive(), "one that nobody has waited for");
        child.wait().unwrap();
        identity.end().unwrap();
    }

    #[test]
    fn a_process_is_found_by_how_it_was_started() {
        let mut child = Command::new("sleep").arg("61.25").spawn().unwrap();
        // spawn() returns a moment before the arguments stand in /proc.
        let mut found = Vec::new();
        for _ in 0..200 {
            found = started_as("61.25");
            if !found.is_empty() {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.iter().map(|p| p.pid).collect::<Vec<_>>(), [child.id()]);
    }

    #[test]
    fn our_own_working_folder_is_known() {
        assert_eq!(working_folder(std::process::id()), std::env::current_dir().ok());
    }

    #[test]
    fn waiting_for_the_past_takes_no_time() {
        wait_until(crate::clock::now());
    }
}
