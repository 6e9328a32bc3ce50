//! Sockets on their way: sent over a unix socket (SCM_RIGHTS, unix(7)) and not yet received, so that
//! no process has a descriptor of them.
//!
//! The kernel tells of a unix socket how many descriptors wait in it (`scm_fds` of its fdinfo), not
//! which. The next message is looked into as its receiver would, without taking anything: a peek of
//! no bytes moves neither the message nor SO_PEEK_OFF. What waits behind it stays unseen, and what
//! is unseen makes its receiver a candidate, no more.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{FileType, fstat};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::pidfd;

/// A descriptor of a unix socket in which other descriptors wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mailbox {
    /// The process that may receive them.
    pub(super) pid: u32,
    /// Its descriptor.
    pub(super) fd: i32,
    /// How many wait.
    pub(super) waiting: usize,
}

/// What waits in a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// Inodes of the sockets in its first message.
    pub(super) sockets: Vec<u64>,
    /// Descriptors in later messages, or all of them where we may not look.
    pub(super) unseen: usize,
}

impl Mailbox {
    /// Looks at what would be received next.
    pub(super) fn peek(self) -> Content {
        let files = self.first_message().unwrap_or_default();
        let unseen = self.waiting.saturating_sub(files.len());
        let sockets = files.iter().filter_map(|file| {
            let stat = fstat(file).ok()?;
            (FileType::from_raw_mode(stat.st_mode) == FileType::Socket).then_some(stat.st_ino)
        });
        Content { sockets: sockets.collect(), unseen }
    }

    /// The descriptors in the next message, as duplicates of our own.
    fn first_message(self) -> Option<Vec<OwnedFd>> {
        let socket = pidfd::duplicate(self.pid, self.fd).ok()?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        recvmsg(socket.as_fd(), &mut [IoSliceMut::new(&mut [])], &mut control, flags).ok()?;
        let files = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files),
            _ => None,
        });
        Some(files.flatten().collect())
    }
}

/// The most descriptors the kernel takes in one message (include/net/scm.h, SCM_MAX_FD).
const MOST: usize = 253;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::net::UnixStream;

    use rustix::io::IoSlice;
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;

    fn send(over: &UnixStream, listener: &TcpListener) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files = [listener.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&files)));
        sendmsg(over, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
    }

    #[test]
    fn what_waits_first_is_seen_and_stays_where_it_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = fstat(&listener).unwrap().st_ino;
        let (near, far) = UnixStream::pair().unwrap();
        send(&near, &listener);
        send(&near, &listener);
        let mailbox = Mailbox { pid: std::process::id(), fd: far.as_raw_fd(), waiting: 2 };
        let expected = Content { sockets: vec![inode], unseen: 1 };
        assert_eq!(mailbox.peek(), expected);
        assert_eq!(mailbox.peek(), expected);
    }

    #[test]
    fn what_may_not_be_looked_into_stays_unseen() {
        let mailbox = Mailbox { pid: std::process::id(), fd: i32::MAX, waiting: 3 };
        assert_eq!(mailbox.peek(), Content { sockets: Vec::new(), unseen: 3 });
    }
}
