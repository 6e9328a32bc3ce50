//! Asking the kernel over netlink(7): one request, all the answers to it.
//!
//! The socket answers for the network namespace it was opened in. What an answer means is for the
//! caller and its format in `portolan_core::wire`.

use std::io;
use std::os::fd::OwnedFd;

use portolan_core::wire::netlink::{self, Payload};
use rustix::io::retry_on_intr;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto,
    socket_with, sockopt,
};

/// A netlink socket and the buffer its answers arrive in.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// How a dump ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// Every entry was seen.
    Whole,
    /// The table changed meanwhile; entries may be missing or doubled (NLM_F_DUMP_INTR).
    Interrupted,
    /// The kernel refused: the error number as in errno(3).
    Refused(netlink::Errno),
}

impl Netlink {
    /// Opens a socket of a netlink family such as [`rustix::net::netlink::SOCK_DIAG`]; `None` is
    /// number 0, NETLINK_ROUTE.
    ///
    /// # Errors
    /// When the kernel or a seccomp filter does not allow it.
    pub fn open(family: Option<Protocol>) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, family)?;
        bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        // A dump is paced by our reading, so this only saves calls; a refusal costs nothing.
        let _ = sockopt::set_socket_recv_buffer_size(&socket, BUFFER);
        Ok(Self { socket, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// Asks for a table with `kind` and `body`; every entry goes to `entry` as (kind, body).
    ///
    /// # Errors
    /// When the socket fails or what arrives is no netlink.
    pub fn dump(
        &mut self,
        kind: u16,
        body: &[u8],
        entry: impl FnMut(u16, &[u8]),
    ) -> io::Result<Dump> {
        self.ask(|sequence| netlink::request(kind, netlink::DUMP, sequence, body), entry)
    }

    /// Sends what `request` makes of a sequence number; every entry goes to `entry` as (kind, body).
    ///
    /// # Errors
    /// When the socket fails or what arrives is no netlink.
    pub fn ask(
        &mut self,
        request: impl FnOnce(u32) -> Vec<u8>,
        mut entry: impl FnMut(u16, &[u8]),
    ) -> io::Result<Dump> {
        self.sequence += 1;
        let request = request(self.sequence);
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.socket, &request, SendFlags::empty(), &kernel)?;
        let mut end = Dump::Whole;
        loop {
            let length = self.receive()?;
            for message in netlink::messages(&self.buffer[..length]) {
                let message = message.map_err(io::Error::other)?;
                if message.sequence != self.sequence {
                    continue; // the rest of an earlier dump that was given up
                }
                if message.interrupted {
                    end = Dump::Interrupted;
                }
                match message.payload {
                    Payload::Entry { kind, body } => entry(kind, body),
                    // An acknowledgement comes last, and only where one was asked for.
                    Payload::Done(Ok(())) | Payload::Acknowledged(Ok(())) => return Ok(end),
                    Payload::Done(Err(errno)) | Payload::Acknowledged(Err(errno)) => {
                        return Ok(Dump::Refused(errno));
                    }
                    Payload::Nothing => {}
                }
            }
        }
    }

    fn receive(&mut self) -> io::Result<usize> {
        // TRUNC makes the kernel tell the whole length, so that a cut-off datagram is noticed.
        let (_, length) =
            retry_on_intr(|| recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC))?;
        if length > self.buffer.len() {
            let message = format!("a netlink answer of {length} bytes, more than {BUFFER}");
            return Err(io::Error::other(message));
        }
        Ok(length)
    }
}

/// More than the kernel puts into one datagram of a dump (net/netlink/af_netlink.c: 32 KiB, or
/// what the reader's buffer took last time).
const BUFFER: usize = 256 * 1024;
