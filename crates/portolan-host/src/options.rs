//! The sharing options of a socket that another process holds.
//!
//! sock_diag does not tell them. pidfd_getfd(2) lends us the descriptor, getsockopt(2) reads it, and
//! ours is closed again: the other process notices nothing. Needs the right to trace the process
//! (same user, or CAP_SYS_PTRACE).

use std::os::fd::{AsFd, BorrowedFd};

use portolan_core::socket::{Held, Reuse, Via};
use rustix::io;
use rustix::net::sockopt;

use crate::pidfd;

/// The options of a socket, through whichever of its holders lets us look; `None` when none does
/// or no descriptor stands for it.
#[must_use]
pub fn of(held: &Held) -> Option<Reuse> {
    let by_descriptor = held.holders.iter().filter(|h| h.via == Via::Fd);
    by_descriptor.filter_map(|h| Some((h.pid, h.fd?))).find_map(|(pid, fd)| {
        let borrowed = pidfd::duplicate(pid, fd).ok()?;
        // The number may stand for another file by now: the cookie is the socket's for good.
        let is_same = sockopt::socket_cookie(&borrowed).ok() == held.socket.cookie;
        is_same.then(|| of_own(borrowed.as_fd()).ok()).flatten()
    })
}

/// The options of a socket of our own.
///
/// # Errors
/// When it is no socket.
pub fn of_own(socket: BorrowedFd<'_>) -> io::Result<Reuse> {
    Ok(Reuse {
        address: sockopt::socket_reuseaddr(socket)?,
        port: sockopt::socket_reuseport(socket)?,
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;

    use portolan_core::socket::{Family, Holder, Socket, SocketTransport, State};

    use super::*;

    fn held(listener: &TcpListener) -> Held {
        let bare = Socket::bare(SocketTransport::Tcp, Family::Ipv4, State::Listen, 1, 0);
        let cookie = sockopt::socket_cookie(listener).ok();
        let fd = Some(listener.as_raw_fd());
        let holders = vec![Holder { pid: std::process::id(), fd, via: Via::Fd }];
        Held { socket: Socket { cookie, ..bare }, holders, unowned: None }
    }

    #[test]
    fn the_standard_library_shares_by_address_and_not_by_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(of(&held(&listener)), Some(Reuse::ADDRESS));
    }

    #[test]
    fn a_descriptor_that_is_another_socket_by_now_tells_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut held = held(&listener);
        held.socket.cookie = Some(0);
        assert_eq!(of(&held), None);
    }
}
