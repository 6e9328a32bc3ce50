//! Packet sockets (packet(7)): whole packets out, many in one call, and only those in that a filter
//! lets through.
#![expect(unsafe_code, reason = "no crate wraps sendmmsg(2) and SO_ATTACH_FILTER for packet(7)")]

use std::mem;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use portolan_core::wire::cbpf::Instruction;
use portolan_core::wire::syn::LONGEST;
use rustix::io::{Errno, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::socket::set_option;

/// A packet socket of packets without their link header. Nothing arrives until it is bound.
///
/// # Errors
/// EPERM without CAP_NET_RAW.
pub(crate) fn open() -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)
}

/// Lets only through what `program` does.
///
/// # Errors
/// EINVAL for a program the kernel does not take.
pub(crate) fn attach_filter(socket: BorrowedFd<'_>, program: &[Instruction]) -> Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    // The kernel only reads it, whatever the type says.
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    let size = size_of::<libc::sock_fprog>() as libc::socklen_t;
    let pointer = (&raw const program).cast();
    // SAFETY: the kernel reads `len` instructions of eight bytes, laid out as `struct sock_filter`,
    // and copies them; they outlive the call.
    let answer = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_ATTACH_FILTER, pointer, size)
    };
    if answer == 0 { Ok(()) } else { Err(last_error()) }
}

/// Begins to receive packets of every protocol from every interface, none of our own.
///
/// # Errors
/// Those of bind(2).
pub(crate) fn listen(socket: BorrowedFd<'_>) -> Result<()> {
    // Linux 4.20; on an older kernel the filter refuses them by their type.
    let _ = set_option(socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    listen_both_ways(socket)
}

/// Begins to receive packets of every protocol from every interface, and those this machine sends.
///
/// # Errors
/// Those of bind(2).
pub(crate) fn listen_both_ways(socket: BorrowedFd<'_>) -> Result<()> {
    let address = address(ETH_P_ALL, 0, [0; 6]);
    let size = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the kernel reads `size` bytes at the pointer, which are those of `address`.
    let answer = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
    if answer == 0 { Ok(()) } else { Err(last_error()) }
}

/// Where a packet goes on its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its EtherType.
    pub(crate) protocol: u16,
    /// The interface it leaves by.
    pub(crate) interface: u32,
    /// Whom on the link it is for; ignored where links have no addresses.
    pub(crate) link: [u8; 6],
    /// Whom it is from, on an Ethernet.
    pub(crate) own: Option<[u8; 6]>,
}

/// A packet to be sent.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing {
    /// The packet from its IP header on, `length` bytes of it.
    pub(crate) bytes: [u8; LONGEST],
    length: usize,
    address: libc::sockaddr_ll,
    own: Option<[u8; 6]>,
}

impl Outgoing {
    /// A packet of which nothing is written yet.
    pub(crate) fn new(place: Place) -> Self {
        let address = address(place.protocol, place.interface, place.link);
        Self { bytes: [0; LONGEST], length: 0, address, own: place.own }
    }

    /// Says how many bytes were written.
    pub(crate) fn set_length(&mut self, length: usize) {
        self.length = length.min(LONGEST);
    }

    /// The interface it leaves by, where that is an Ethernet.
    pub(crate) fn ethernet(&self) -> Option<u32> {
        self.own.map(|_| self.address.sll_ifindex.cast_unsigned())
    }

    /// Writes it as a frame of Ethernet.
    pub(crate) fn frame<'a>(&self, room: &'a mut [u8; ETHERNET + LONGEST]) -> &'a [u8] {
        let (header, packet) = room.split_at_mut(ETHERNET);
        header[..6].copy_from_slice(&self.address.sll_addr[..6]);
        header[6..12].copy_from_slice(&self.own.unwrap_or_default());
        header[12..].copy_from_slice(&self.address.sll_protocol.to_ne_bytes()); // as on the wire
        packet.copy_from_slice(&self.bytes);
        &room[..ETHERNET + self.length]
    }
}

/// Sends packets, without waiting; how many have left. The first that cannot leave is at fault when
/// it fails.
///
/// # Errors
/// Those of sendmsg(2): EAGAIN and ENOBUFS when there is no room, ENETDOWN, ENXIO.
pub(crate) fn send(socket: BorrowedFd<'_>, packets: &[Outgoing]) -> Result<usize> {
    let packets = &packets[..packets.len().min(MOST)];
    // SAFETY: both are plain structures for which zeros are good values.
    let (mut parts, mut messages) =
        unsafe { (mem::zeroed::<[libc::iovec; MOST]>(), mem::zeroed::<[libc::mmsghdr; MOST]>()) };
    for ((packet, part), message) in packets.iter().zip(&mut parts).zip(&mut messages) {
        part.iov_base = packet.bytes.as_ptr().cast_mut().cast();
        part.iov_len = packet.length;
        message.msg_hdr.msg_iov = part;
        message.msg_hdr.msg_iovlen = 1;
        message.msg_hdr.msg_name = (&raw const packet.address).cast_mut().cast();
        message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    }
    let count = libc::c_uint::try_from(packets.len()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the first `count` messages point to parts, packets and addresses that outlive the call
    // and have the lengths beside them; a send only reads them, and writes `msg_len` of messages.
    let answer = unsafe {
        libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count, libc::MSG_DONTWAIT)
    };
    usize::try_from(answer).map_err(|_| last_error())
}

fn address(protocol: u16, interface: u32, link: [u8; 6]) -> libc::sockaddr_ll {
    let mut bytes = [0; 8];
    bytes[..6].copy_from_slice(&link);
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: interface.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: bytes,
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::NOSYS)
}

/// How many packets one call sends: more brings nothing (a system call takes as long as a quarter of
/// one packet here).
pub(crate) const MOST: usize = 64;

/// Bytes of a header of Ethernet: to whom, from whom, what.
pub(crate) const ETHERNET: usize = 14;

const SO_ATTACH_FILTER: libc::c_int = 26;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
const ETH_P_ALL: u16 = 3;

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn without_the_right_there_is_no_packet_socket_and_with_it_filters_are_checked() {
        let socket = match open() {
            Ok(socket) => socket,
            Err(error) => return assert_eq!(error, Errno::PERM),
        };
        let end = Instruction { code: 0x06, if_true: 0, if_false: 0, k: 0 };
        attach_filter(socket.as_fd(), &[end]).unwrap();
        let endless = Instruction { code: 0x05, k: u32::MAX, ..end };
        assert_eq!(attach_filter(socket.as_fd(), &[endless]), Err(Errno::INVAL));
    }

    #[test]
    fn an_interface_that_is_not_there_takes_no_packet() {
        let Ok(socket) = open() else { return };
        let place = Place { protocol: 0x0800, interface: u32::MAX >> 1, link: [0; 6], own: None };
        let mut packet = Outgoing::new(place);
        packet.set_length(20);
        assert_eq!(send(socket.as_fd(), &[packet]), Err(Errno::NXIO));
        assert_eq!(send(socket.as_fd(), &[]), Ok(0));
    }
}
