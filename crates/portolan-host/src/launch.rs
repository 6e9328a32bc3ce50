//! Starting a command with sockets in its hands and, if wanted, its binds watched.
//!
//! Nothing is forked here. This program is started once more; that process puts everything in place
//! for itself, where no other thread can interfere, and then becomes the command, under the same
//! process id. It is told what to do on its command line, by numbers of descriptors it inherits:
//!
//! ```text
//! portolan run …        ── starts ──▶  portolan start-command --parent 7 --sockets 40 --tell 41 … -- CMD
//!                       ◀─ listener ─  (SCM_RIGHTS over 41)  ── exec ──▶  CMD
//! ```

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::bind_watch::{BIND, BIND_AND_LISTEN, BindWatch};
use crate::kernel::seccomp;

/// The hidden subcommand that [`Launch::start`] runs; it parses its flags and calls [`become_it`].
pub const SUBCOMMAND: &str = "start-command";

/// A command to start.
#[derive(Debug)]
pub struct Launch<'l> {
    /// The program, found through PATH, and its arguments.
    pub command: &'l [OsString],
    /// Variables beside our own.
    pub environment: &'l [(OsString, OsString)],
    /// Sockets it finds from descriptor 3 on; with any, LISTEN_PID is set to its process id.
    pub sockets: &'l [OwnedFd],
    /// Which of its calls are stopped for us.
    pub watch: Option<Calls>,
    /// Where its standard output goes.
    pub output: Output,
}

/// Which calls are stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// bind(2).
    Bind,
    /// bind(2) and listen(2).
    BindAndListen,
}

/// Where a command's standard output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// To ours.
    Ours,
    /// To our standard error: ours is for one document.
    StandardError,
}

impl Calls {
    const fn word(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::BindAndListen => "bind-and-listen",
        }
    }
}

impl FromStr for Calls {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = [Self::Bind, Self::BindAndListen].into_iter().find(|c| c.word() == word);
        known.ok_or_else(|| "expected bind or bind-and-listen".to_owned())
    }
}

impl Launch<'_> {
    /// Starts it. The watch is there when one is wanted and the command got as far as that.
    ///
    /// # Errors
    /// When this program cannot be started again. That the command itself cannot be run is told by
    /// the exit status of its process.
    pub fn start(&self) -> io::Result<(Child, Option<BindWatch>)> {
        // The link itself, not what it says: that file may be replaced, or out of our user's reach.
        let mut this = Command::new("/proc/self/exe");
        this.arg0("portolan").arg(SUBCOMMAND).arg("--parent").arg(std::process::id().to_string());
        this.envs(self.environment.iter().map(|(n, v)| (n, v)));
        let mut inherited = Vec::new();
        for socket in self.sockets {
            let copy = self.inheritable(socket)?;
            this.arg("--sockets").arg(copy.as_raw_fd().to_string());
            inherited.push(copy);
        }
        let mut told = None;
        if let Some(calls) = self.watch {
            let (ours, theirs) = UnixStream::pair()?;
            let theirs = self.inheritable(&theirs.into())?;
            this.args(["--watch", calls.word(), "--tell"]).arg(theirs.as_raw_fd().to_string());
            inherited.push(theirs);
            told = Some(ours);
        }
        if self.output == Output::StandardError {
            this.stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?));
        }
        let child = this.arg("--").args(self.command).spawn()?;
        // Otherwise the end of the other side would never be seen.
        drop(inherited);
        let watch = told.map(|ours| receive_listener(&ours)).transpose()?.flatten();
        Ok((child, watch))
    }

    /// A copy that survives exec, above the numbers the sockets will have.
    fn inheritable(&self, descriptor: &OwnedFd) -> io::Result<OwnedFd> {
        let above = RawFd::try_from(self.sockets.len()).map_err(io::Error::other)? + FIRST;
        let copy = fcntl_dupfd_cloexec(descriptor, above)?;
        fcntl_setfd(&copy, FdFlags::empty())?;
        Ok(copy)
    }
}

/// What the hidden subcommand was told.
#[derive(Clone, Debug)]
pub struct Handed {
    /// The process that started it.
    pub parent: u32,
    /// The sockets, by the numbers they were inherited under.
    pub sockets: Vec<RawFd>,
    /// The calls to stop, and the number of the socket over which to tell of them.
    pub watch: Option<(Calls, RawFd)>,
}

/// Why a command was not started.
#[derive(Debug, thiserror::Error)]
pub enum Unstarted {
    /// Its sockets could not be put in place.
    #[error("pass a socket on")]
    Sockets(#[source] io::Error),
    /// Its calls cannot be watched.
    #[error("watch its bind()")]
    Watch(#[source] io::Error),
    /// Whoever started this has ended already.
    #[error("not started: portolan has ended")]
    Orphaned,
    /// There is no such program.
    #[error("command not found")]
    Missing,
    /// The program is there; what is to run it, which it names in its first line or its ELF header,
    /// is not.
    #[error("its interpreter is not there")]
    Uninterpreted,
    /// It cannot be run.
    #[error("cannot be run")]
    Refused(#[source] io::Error),
}

/// Becomes the command. It returns only to tell why not.
pub fn become_it(handed: &Handed, command: &[OsString]) -> Unstarted {
    let Some((program, arguments)) = command.split_first() else { return Unstarted::Missing };
    let mut command = Command::new(program);
    command.args(arguments);
    if let Err(error) = place_sockets(&handed.sockets) {
        return Unstarted::Sockets(error);
    }
    if !handed.sockets.is_empty() {
        command.env("LISTEN_PID", std::process::id().to_string());
    }
    if let Some((calls, tell)) = handed.watch
        && let Err(error) = hand_over_calls(calls, tell)
    {
        return Unstarted::Watch(error);
    }
    // Without us nobody answers for its ports any more. It may decide otherwise itself.
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
    // Whoever ended before that tells nobody (PR_SET_PDEATHSIG(2const)).
    if getppid().is_none_or(|parent| parent.as_raw_nonzero().get().cast_unsigned() != handed.parent)
    {
        return Unstarted::Orphaned;
    }
    match command.exec() {
        error if error.kind() != io::ErrorKind::NotFound => Unstarted::Refused(error),
        // With a slash it was not searched for.
        _ if program.as_bytes().contains(&b'/') && Path::new(program).exists() => {
            Unstarted::Uninterpreted
        }
        _ => Unstarted::Missing,
    }
}

/// Moves the sockets to 3, 4, 5 …
fn place_sockets(numbers: &[RawFd]) -> io::Result<()> {
    for (target, number) in (FIRST..).zip(numbers) {
        // Dropped, and with that closed, under its old number.
        let socket = seccomp::adopt(*number)?;
        seccomp::place(&socket, target)?;
    }
    Ok(())
}

/// Stops the calls from here on and gives away the descriptor that answers them.
fn hand_over_calls(calls: Calls, tell: RawFd) -> io::Result<()> {
    let tell = seccomp::adopt(tell)?;
    rustix::thread::set_no_new_privs(true)?;
    let listener = seccomp::stop_calls(match calls {
        Calls::Bind => BIND,
        Calls::BindAndListen => BIND_AND_LISTEN,
    })?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    let passed = [listener.as_fd()];
    message.push(SendAncillaryMessage::ScmRights(&passed));
    sendmsg(&tell, &[IoSlice::new(b"!")], &mut message, SendFlags::empty())?;
    Ok(())
}

/// `None` when the other side ended without a word; it has said why itself.
fn receive_listener(from: &UnixStream) -> io::Result<Option<BindWatch>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut into = [IoSliceMut::new(&mut byte)];
    rustix::io::retry_on_intr(|| recvmsg(from, &mut into, &mut message, RecvFlags::CMSG_CLOEXEC))?;
    let listener = message.drain().find_map(|part| match part {
        RecvAncillaryMessage::ScmRights(mut passed) => passed.next(),
        _ => None,
    });
    Ok(listener.map(BindWatch::from))
}

/// The first descriptor that is passed on, sd_listen_fds(3).
const FIRST: RawFd = 3;
