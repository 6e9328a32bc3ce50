//! Options and messages of sockets that no crate lets us have: IP_RECVERR and what the error queue
//! holds (ip(7)).
#![expect(unsafe_code, reason = "no crate reads a socket's error queue or sets IP_RECVERR")]

use std::ffi::c_int;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::io::{Errno, Result};

/// setsockopt(2) with a number.
///
/// # Errors
/// Those of setsockopt(2).
pub(crate) fn set_option(
    socket: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: c_int,
) -> Result<()> {
    let length = size_of::<c_int>() as libc::socklen_t;
    let pointer = (&raw const value).cast();
    // SAFETY: the kernel reads `length` bytes at `pointer`, which are those of `value`.
    let answer = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, pointer, length) };
    if answer == 0 { Ok(()) } else { Err(last_error()) }
}

/// Where a message is put, and how much of each part the kernel filled.
#[derive(Debug)]
pub(crate) struct Message {
    /// The address: whom it is from, or in an error queue whom the erroneous datagram was for.
    name: [u8; NAME],
    /// The datagram.
    data: Box<[u8]>,
    /// What stands beside it, see cmsg(3).
    control: [u64; CONTROL / 8],
    lengths: (usize, usize, usize),
}

impl Message {
    /// Room for a datagram of `length` bytes; what is longer is cut.
    pub(crate) fn new(length: usize) -> Self {
        let data = vec![0; length].into_boxed_slice();
        Self { name: [0; NAME], data, control: [0; CONTROL / 8], lengths: (0, 0, 0) }
    }

    /// The address beside the last message.
    pub(crate) fn name(&self) -> &[u8] {
        &self.name[..self.lengths.0]
    }

    /// The last datagram.
    pub(crate) fn data(&self) -> &[u8] {
        &self.data[..self.lengths.1]
    }

    /// The control messages of the last message.
    pub(crate) fn control(&self) -> &[u8] {
        // SAFETY: the array's own memory, all of it initialised; bytes need no alignment.
        let bytes = unsafe { std::slice::from_raw_parts(self.control.as_ptr().cast(), CONTROL) };
        &bytes[..self.lengths.2]
    }

    /// Takes the next message off a socket, without waiting.
    ///
    /// # Errors
    /// Those of recvmsg(2): EAGAIN when there is none.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>, flags: c_int) -> Result<()> {
        self.lengths = (0, 0, 0);
        let mut part =
            libc::iovec { iov_base: self.data.as_mut_ptr().cast(), iov_len: self.data.len() };
        // SAFETY: a msghdr of zeros is a valid one without any buffer (musl pads it, so it cannot be
        // written out field by field).
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_name = self.name.as_mut_ptr().cast();
        header.msg_namelen = NAME as libc::socklen_t;
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = self.control.as_mut_ptr().cast();
        header.msg_controllen = CONTROL as _;
        let flags = flags | libc::MSG_DONTWAIT;
        // SAFETY: every pointer of `header` is to memory of `self` or `part` of the length beside
        // it, and nothing else uses that memory during the call.
        let answer = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
        let length = usize::try_from(answer).map_err(|_| last_error())?;
        let name = (header.msg_namelen as usize).min(NAME);
        let control = (header.msg_controllen as usize).min(CONTROL);
        self.lengths = (name, length.min(self.data.len()), control);
        Ok(())
    }

    /// Takes the next message off a socket's error queue.
    ///
    /// # Errors
    /// Those of recvmsg(2): EAGAIN when there is none.
    pub(crate) fn receive_error(&mut self, socket: BorrowedFd<'_>) -> Result<()> {
        self.receive(socket, libc::MSG_ERRQUEUE)
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::NOSYS)
}

/// sockaddr_in6, the longest address that comes.
const NAME: usize = portolan_core::wire::sockaddr::LONGEST;

/// Room for an error with its offender (60 bytes) and a few short ones.
const CONTROL: usize = 256;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd as _;

    use portolan_core::wire::extended_error::{ExtendedError, Origin};
    use portolan_core::wire::sockaddr;

    use super::*;

    #[test]
    fn the_error_queue_tells_who_refused_a_datagram() {
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        set_option(socket.as_fd(), libc::IPPROTO_IP, libc::IP_RECVERR, 1).unwrap();
        socket.send_to(b"asked", closed).unwrap();
        let mut message = Message::new(64);
        message.receive_error(socket.as_fd()).unwrap();
        assert_eq!(message.data(), b"asked");
        assert_eq!(sockaddr::parse(message.name()), Some(closed));
        let error = ExtendedError::parse(message.control()).unwrap();
        assert_eq!(error.origin, Origin::Icmp { kind: 3, code: 3 });
        assert_eq!(error.offender, Some(closed.ip()));
        assert_eq!(message.receive_error(socket.as_fd()), Err(Errno::AGAIN));
        assert!(message.data().is_empty() && message.control().is_empty());
    }

    #[test]
    fn a_datagram_comes_with_its_sender_and_is_cut_to_the_room_there_is() {
        let receiver = UdpSocket::bind("[::1]:0").unwrap();
        let sender = UdpSocket::bind("[::1]:0").unwrap();
        sender.send_to(b"a long one", receiver.local_addr().unwrap()).unwrap();
        let mut message = Message::new(6);
        message.receive(receiver.as_fd(), 0).unwrap();
        assert_eq!(message.data(), b"a long");
        assert_eq!(sockaddr::parse(message.name()), Some(sender.local_addr().unwrap()));
    }
}
