//! Ending processes without ever hitting another one (pidfd_open(2), pidfd_send_signal(2)).
//!
//! A process id is only a number: while somebody reads a plan, its process may end and the number
//! go to another. So a process is taken hold of by a pidfd, and before every signal it is asked
//! again whether it is still the one that was meant: it began at the same tick and holds the same
//! socket. What /proc tells is about the held process if that is still alive afterwards; the signal
//! goes through the pidfd, so it reaches that process or none.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use portolan_core::socket::procpid::{Stat, io_uring_sockets, mapped_sockets, socket_inode};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};

use crate::pidfd;
use crate::proc::{Descriptor, IO_URING, Proc, each_descriptor, entry_buffer};

/// A process that is held on to, and the sockets for which it is meant.
#[derive(Debug)]
pub struct Target {
    pid: u32,
    handle: OwnedFd,
    start_ticks: u64,
    inodes: Vec<u64>,
}

/// Why a process was not signalled.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// It has ended.
    #[error("process {pid} has ended")]
    Ended {
        /// Its id.
        pid: u32,
    },
    /// It lives, and has closed the sockets.
    #[error("process {pid} does not hold the port any more")]
    LetGo {
        /// Its id.
        pid: u32,
    },
    /// The number belongs to another process now.
    #[error("process {pid} is another one than before")]
    Another {
        /// The id.
        pid: u32,
    },
    /// It belongs to somebody else.
    #[error("process {pid} belongs to another user")]
    NotPermitted {
        /// Its id.
        pid: u32,
    },
    /// The kernel refused for another reason.
    #[error("process {pid}")]
    Failed {
        /// Its id.
        pid: u32,
        /// Why.
        source: io::Error,
    },
}

/// What is asked of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// SIGTERM: to end in its own way.
    Asked,
    /// SIGKILL: at once.
    Forced,
}

impl Target {
    /// Takes hold of the process `pid`, which holds the sockets with these inodes.
    ///
    /// # Errors
    /// [`SignalError`]: it has ended, does not hold them, or may not be looked into.
    pub fn open(pid: u32, inodes: impl IntoIterator<Item = u64>) -> Result<Self, SignalError> {
        let handle = pidfd::open(pid).map_err(|e| refused(pid, e))?;
        let start_ticks = start_ticks(pid).ok_or(SignalError::Ended { pid })?;
        let target = Self { pid, handle, start_ticks, inodes: inodes.into_iter().collect() };
        target.check()?;
        Ok(target)
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Signals it, if it is still the same and still holds one of the sockets.
    ///
    /// # Errors
    /// [`SignalError`]; nothing was sent then.
    pub fn end(&self, how: End) -> Result<(), SignalError> {
        self.check()?;
        let signal = match how {
            End::Asked => Signal::TERM,
            End::Forced => Signal::KILL,
        };
        pidfd_send_signal(&self.handle, signal).map_err(|e| refused(self.pid, e.into()))
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    /// Waits until it has ended or has closed the sockets, at most until `deadline`. `false` when
    /// it still holds one then.
    #[must_use]
    pub fn lets_go(&self, deadline: Instant) -> bool {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.ends_within(left.min(BETWEEN_LOOKS)) || self.check().is_err() {
                return true;
            }
            if left.is_zero() {
                return false;
            }
        }
    }

    /// Waits for its end, for at most `limit`; whether it has come.
    #[must_use]
    pub fn ends_within(&self, limit: Duration) -> bool {
        let mut watched = [PollFd::new(&self.handle, PollFlags::IN)];
        let limit = Timespec::try_from(limit).ok();
        poll(&mut watched, limit.as_ref()).is_ok_and(|ready| ready > 0)
    }

    /// Whether it is the same process and still holds one of the sockets.
    fn check(&self) -> Result<(), SignalError> {
        let pid = self.pid;
        let ticks = start_ticks(pid);
        let holds = holds(pid, &self.inodes);
        // Only now: had it ended before, its number could have gone to another meanwhile.
        match (self.has_ended(), ticks, holds) {
            (true, ..) | (_, None, _) => Err(SignalError::Ended { pid }),
            (_, Some(ticks), _) if ticks != self.start_ticks => Err(SignalError::Another { pid }),
            (_, _, Ok(true)) => Ok(()),
            (_, _, Ok(false)) => Err(SignalError::LetGo { pid }),
            (_, _, Err(Errno::NOENT | Errno::SRCH)) => Err(SignalError::Ended { pid }),
            (_, _, Err(error)) => Err(refused(pid, error.into())),
        }
    }
}

fn refused(pid: u32, error: io::Error) -> SignalError {
    match Errno::from_io_error(&error) {
        Some(Errno::SRCH) => SignalError::Ended { pid },
        Some(Errno::PERM | Errno::ACCESS) => SignalError::NotPermitted { pid },
        _ => SignalError::Failed { pid, source: error },
    }
}

/// The processes that `parent` has started and that are still there.
#[must_use]
pub fn children(parent: u32) -> Vec<u32> {
    let Ok(proc) = Proc::open() else { return Vec::new() };
    let mut buffer = Vec::new();
    let mut is_child = |pid: &u32| {
        let stat = proc.read(*pid, "stat", &mut buffer).ok().and_then(Stat::parse);
        stat.is_some_and(|stat| stat.parent == parent)
    };
    proc.pids().unwrap_or_default().into_iter().filter(|pid| is_child(pid)).collect()
}

fn start_ticks(pid: u32) -> Option<u64> {
    let mut buffer = Vec::new();
    let proc = Proc::open().ok()?;
    Stat::parse(proc.read(pid, "stat", &mut buffer).ok()?).map(|stat| stat.start_ticks)
}

/// Whether a process has one of the sockets open, or registered with an io_uring.
fn holds(pid: u32, inodes: &[u64]) -> Result<bool, Errno> {
    let proc = Proc::open()?;
    if open_in(&proc, pid, "fd", inodes)? {
        return Ok(true);
    }
    // The first thread has none when it ended before the others, and some have their own.
    let holds = |tid: &u32| open_in(&proc, pid, &format!("task/{tid}/fd"), inodes);
    if proc.threads(pid)?.iter().any(|tid| holds(tid).unwrap_or(false)) {
        return Ok(true);
    }
    let mut maps = Vec::new();
    let maps = proc.read(pid, "maps", &mut maps).unwrap_or_default();
    Ok(mapped_sockets(maps).any(|inode| inodes.contains(&inode)))
}

fn open_in(proc: &Proc, pid: u32, folder: &str, inodes: &[u64]) -> Result<bool, Errno> {
    let folder = proc.folder(pid, folder)?;
    let mut found = false;
    each_descriptor(folder.as_fd(), &mut entry_buffer(), |descriptor| {
        found = match socket_inode(descriptor.target) {
            Some(inode) => inodes.contains(&inode),
            None => descriptor.target == IO_URING && registered(proc, pid, &descriptor, inodes),
        };
        if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(found)
}

fn registered(proc: &Proc, pid: u32, ring: &Descriptor<'_>, inodes: &[u64]) -> bool {
    let mut text = Vec::new();
    let Some(number) = ring.number() else { return false };
    let file = format!("fdinfo/{number}");
    let text = proc.read(pid, &file, &mut text).unwrap_or_default();
    io_uring_sockets(text).any(|inode| inodes.contains(&inode))
}

/// A server that closes its listener and then finishes its connections is noticed this soon.
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;
    use std::process::{Child, Command};

    use super::*;

    /// The inode behind a descriptor of ours.
    fn inode(listener: &TcpListener) -> u64 {
        rustix::fs::fstat(listener).unwrap().st_ino
    }

    /// A child that holds a socket of ours as its input.
    fn holder(listener: &TcpListener) -> Child {
        let input = listener.try_clone().unwrap();
        assert!(input.as_raw_fd() > 2);
        Command::new("sleep").arg("60").stdin(OwnedFd::from(input)).spawn().unwrap()
    }

    #[test]
    fn a_process_that_holds_the_socket_is_ended() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut child = holder(&listener);
        let target = Target::open(child.id(), [inode(&listener)]).unwrap();
        target.end(End::Asked).unwrap();
        assert!(target.lets_go(Instant::now() + Duration::from_secs(10)));
        assert!(target.has_ended());
        child.wait().unwrap();
        assert!(matches!(target.end(End::Forced), Err(SignalError::Ended { .. })));
    }

    #[test]
    fn a_process_that_does_not_hold_the_socket_is_not_touched() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut child = holder(&other);
        let refused = Target::open(child.id(), [inode(&listener)]);
        assert!(matches!(refused, Err(SignalError::LetGo { .. })), "{refused:?}");
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The same number with another beginning: what a reused process id looks like.
    #[test]
    fn a_process_that_began_at_another_time_is_not_touched() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut child = holder(&listener);
        let mut target = Target::open(child.id(), [inode(&listener)]).unwrap();
        target.start_ticks -= 1;
        assert!(matches!(target.end(End::Asked), Err(SignalError::Another { .. })));
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_child_is_known_by_its_parent() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(children(std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
