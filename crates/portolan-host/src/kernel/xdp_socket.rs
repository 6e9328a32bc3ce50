//! AF_XDP sockets (af_xdp.rst) that only send: frames are written to memory that the kernel reads,
//! and one call sends dozens. A third less work than a packet socket makes.
//!
//! In copy mode, which every Ethernet device can: without a program, with CAP_NET_RAW alone, and
//! nothing that arrives comes near it. Frames go to the device itself, past queueing disciplines and
//! past what listens with a packet socket.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::Ordering;

use rustix::io::{Errno, Result};
use rustix::net::sockopt::{
    set_xdp_tx_ring_size, set_xdp_umem_completion_ring_size, set_xdp_umem_fill_ring_size,
    set_xdp_umem_reg, xdp_mmap_offsets,
};
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags, XDP_PGOFF_TX_RING, XDP_UMEM_PGOFF_COMPLETION_RING,
    XdpRingOffset, XdpUmemReg, XdpUmemRegFlags,
};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, bind, send, socket_with};

use super::mapping::Mapping;

/// A socket of this network namespace that is bound to nothing yet.
///
/// # Errors
/// EPERM without CAP_NET_RAW, EAFNOSUPPORT on a kernel without it.
pub(crate) fn open() -> Result<OwnedFd> {
    socket_with(AddressFamily::XDP, SocketType::RAW, SocketFlags::CLOEXEC, None)
}

/// A socket that sends through one queue of an interface.
#[derive(Debug)]
pub(crate) struct XdpSocket {
    socket: OwnedFd,
    frames: Mapping,
    /// Where the frames are that may be written.
    free: Vec<u64>,
    /// Frames for the kernel to send,
    sending: Ring,
    /// and those it has done with.
    done: Ring,
}

impl XdpSocket {
    /// Binds it.
    ///
    /// # Errors
    /// EBUSY when somebody else has the queue, EINVAL when there is no such queue, ENOBUFS when
    /// RLIMIT_MEMLOCK leaves no room.
    pub(crate) fn bind(socket: OwnedFd, interface: u32, queue: u32) -> io::Result<Self> {
        let frames = Mapping::anonymous(FRAMES * FRAME)?;
        let memory = XdpUmemReg {
            addr: frames.address(),
            len: (FRAMES * FRAME) as u64,
            chunk_size: FRAME as u32,
            headroom: 0,
            flags: XdpUmemRegFlags::empty(),
            tx_metadata_len: 0,
        };
        set_xdp_umem_reg(&socket, memory)?;
        set_xdp_umem_fill_ring_size(&socket, 1)?; // there must be one, and nothing is received
        set_xdp_umem_completion_ring_size(&socket, FRAMES as u32)?;
        set_xdp_tx_ring_size(&socket, FRAMES as u32)?;
        let offsets = xdp_mmap_offsets(&socket)?;
        let sending = Ring::map(&socket, XDP_PGOFF_TX_RING, &offsets.tx, DESCRIPTOR)?;
        let done = Ring::map(&socket, XDP_UMEM_PGOFF_COMPLETION_RING, &offsets.cr, 8)?;
        bind(&socket, &SocketAddrXdp::new(SocketAddrXdpFlags::XDP_COPY, interface, queue))?;
        let free = (0..FRAMES).map(|number| (number * FRAME) as u64).collect();
        Ok(Self { socket, frames, free, sending, done })
    }

    /// Writes a frame with `write`, which says how long it is; whether there was room.
    pub(crate) fn put(&mut self, write: impl FnOnce(&mut [u8]) -> usize) -> bool {
        if self.free.is_empty() {
            self.reclaim();
        }
        let Some(frame) = self.free.pop() else { return false };
        let length = write(self.frames.bytes_mut(frame as usize, FRAME)) as u32;
        let at = self.sending.entry(self.sending.produced);
        self.sending.memory.double_word(at).store(frame, Ordering::Relaxed);
        self.sending.memory.word(at + 8).store(length, Ordering::Relaxed);
        self.sending.memory.word(at + 12).store(0, Ordering::Relaxed);
        self.sending.produced = self.sending.produced.wrapping_add(1);
        true
    }

    /// Has the kernel send frames: some at a time, so that it is to be called until none is left.
    ///
    /// # Errors
    /// EAGAIN: there are more, or the device is busy. EBUSY: the device refused the last it took.
    /// ENOBUFS, ENETDOWN, ENXIO.
    pub(crate) fn send(&mut self) -> Result<()> {
        let sending = &self.sending;
        sending.memory.word(sending.producer).store(sending.produced, Ordering::Release);
        send(&self.socket, &[], SendFlags::DONTWAIT).map(drop)
    }

    /// How many frames the kernel has not taken yet.
    pub(crate) fn left(&self) -> usize {
        let taken = self.sending.memory.word(self.sending.consumer).load(Ordering::Acquire);
        self.sending.produced.wrapping_sub(taken) as usize
    }

    /// Takes back the frames that the kernel has done with.
    fn reclaim(&mut self) {
        let done = &mut self.done;
        let produced = done.memory.word(done.producer).load(Ordering::Acquire);
        while done.consumed != produced {
            let frame = done.memory.double_word(done.entry(done.consumed)).load(Ordering::Relaxed);
            self.free.push(frame);
            done.consumed = done.consumed.wrapping_add(1);
        }
        done.memory.word(done.consumer).store(produced, Ordering::Release);
    }
}

/// A ring of entries that one side puts in and the other takes out.
#[derive(Debug)]
struct Ring {
    memory: Mapping,
    /// Where it stands how many were put in, how many were taken out, and the entries.
    producer: usize,
    consumer: usize,
    entries: usize,
    /// Bytes of an entry.
    size: usize,
    /// How many we have put in, or taken out.
    produced: u32,
    consumed: u32,
}

impl Ring {
    fn map(socket: &OwnedFd, page: u64, at: &XdpRingOffset, size: usize) -> io::Result<Self> {
        let offset = |offset: u64| usize::try_from(offset).map_err(|_| Errno::INVAL);
        let (producer, consumer) = (offset(at.producer)?, offset(at.consumer)?);
        let entries = offset(at.desc)?;
        let memory = Mapping::of(socket.as_fd(), page, entries + FRAMES * size)?;
        Ok(Self { memory, producer, consumer, entries, size, produced: 0, consumed: 0 })
    }

    const fn entry(&self, number: u32) -> usize {
        self.entries + number as usize % FRAMES * self.size
    }
}

/// How many frames there may be on their way: enough for a device that tells late what it has sent.
const FRAMES: usize = 512;

/// Room of one: the smallest the kernel knows (XDP_UMEM_MIN_CHUNK_SIZE).
const FRAME: usize = 2048;

/// `struct xdp_desc`: where the frame is (8 bytes), how long (4), options (4).
const DESCRIPTOR: usize = 16;

#[cfg(test)]
mod tests {
    use portolan_core::wire::cbpf::Instruction;

    use super::*;
    use crate::kernel::packet_ring::PacketRing;

    const LOOPBACK: u32 = 1;

    /// An Ethernet frame of a type nobody uses (IEEE 802, local experimental), with a number.
    fn frame(number: u32, room: &mut [u8]) -> usize {
        room[..14].copy_from_slice(b"\0\0\0\0\0\0\0\0\0\0\0\0\x88\xb5");
        room[14..18].copy_from_slice(&number.to_be_bytes());
        room[18..22].copy_from_slice(&std::process::id().to_be_bytes());
        room[22..60].fill(0);
        60
    }

    fn send_all(socket: &mut XdpSocket) {
        while socket.left() > 0 {
            match socket.send() {
                Ok(()) | Err(Errno::AGAIN) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn frames_leave_in_their_order_and_their_room_is_used_again() {
        for _ in 0..2 {
            send_and_see(); // the first has let go of everything
        }
    }

    fn send_and_see() {
        let everything = [Instruction { code: 0x06, if_true: 0, if_false: 0, k: 256 }];
        let Ok(mut ring) = PacketRing::open(&everything, 4 << 20) else { return }; // not permitted
        let Ok(socket) = open() else { return };
        let Ok(mut socket) = XdpSocket::bind(socket, LOOPBACK, 0) else { return }; // somebody has it
        let count = 3 * FRAMES as u32;
        for number in 0..count {
            while !socket.put(|room| frame(number, room)) {
                send_all(&mut socket);
            }
        }
        send_all(&mut socket);
        std::thread::sleep(std::time::Duration::from_millis(50));
        let mut seen = Vec::new();
        ring.drain(|frame| {
            if frame.protocol == 0x88b5 && frame.packet[4..8] == std::process::id().to_be_bytes() {
                seen.push(u32::from_be_bytes(frame.packet[..4].try_into().unwrap()));
            }
        });
        assert_eq!(ring.lost(), Ok(0));
        assert!(seen.iter().copied().eq(0..count), "{} of {count}", seen.len());
    }

    #[test]
    fn a_queue_that_is_not_there_cannot_be_had() {
        let Ok(socket) = open() else { return };
        assert!(XdpSocket::bind(socket, LOOPBACK, 4096).is_err());
    }
}
