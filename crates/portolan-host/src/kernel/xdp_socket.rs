//! AF_XDP sockets (af_xdp.rst) that only send: frames are written to memory that the kernel reads,
//! and one call sends dozens. A third less work than a packet socket makes.
//!
//! In copy mode, which every Ethernet device can: without a program, with CAP_NET_RAW alone, and
//! nothing that arrives comes near it. Frames go to the device itself, past queueing disciplines and
//! past what listens with a packet socket.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::{Errno, Result};
use rustix::net::sockopt::{
    set_xdp_tx_ring_size, set_xdp_umem_completion_ring_size, set_xdp_umem_fill_ring_size,
    set_xdp_umem_reg, xdp_mmap_offsets,
};
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags, SocketAddrXdpWithSharedUmem, XDP_PGOFF_TX_RING,
    XDP_UMEM_PGOFF_COMPLETION_RING, XdpRingOffset, XdpUmemReg, XdpUmemRegFlags,
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

/// A socket that sends through the first queue of an interface, in one of two threads: every device
/// has a first queue, and of a queue there is but one memory.
#[derive(Debug)]
pub(crate) struct XdpSocket {
    socket: OwnedFd,
    /// Frames for the kernel to send.
    sending: Ring,
    /// Where our frames are that may be written.
    free: Vec<u64>,
    memory: Arc<Memory>,
    /// Which of the two it is.
    which: usize,
}

/// What the two share.
#[derive(Debug)]
struct Memory {
    /// The frames: of the first, then of the second.
    frames: Mapping,
    done: Mutex<Done>,
}

/// Frames the kernel has done with: in its ring, and taken out of it for each of the two.
#[derive(Debug)]
struct Done {
    ring: Ring,
    free: [Vec<u64>; 2],
}

/// Binds two sockets.
///
/// # Errors
/// EBUSY when somebody else has the queue, ENOBUFS when RLIMIT_MEMLOCK leaves no room.
pub(crate) fn bind_pair(sockets: [OwnedFd; 2], interface: u32) -> io::Result<[XdpSocket; 2]> {
    let [first, second] = sockets;
    let frames = Mapping::anonymous(2 * FRAMES * FRAME)?;
    let region = XdpUmemReg {
        addr: frames.address(),
        len: (2 * FRAMES * FRAME) as u64,
        chunk_size: FRAME as u32,
        headroom: 0,
        flags: XdpUmemRegFlags::empty(),
        tx_metadata_len: 0,
    };
    set_xdp_umem_reg(&first, region)?;
    set_xdp_umem_fill_ring_size(&first, 1)?; // there must be one, and nothing is received
    set_xdp_umem_completion_ring_size(&first, 2 * FRAMES as u32)?;
    let at = xdp_mmap_offsets(&first)?.cr;
    let ring = Ring::map(&first, XDP_UMEM_PGOFF_COMPLETION_RING, &at, 8, 2 * FRAMES)?;
    let rings = [sending_ring(&first)?, sending_ring(&second)?];
    bind(&first, &SocketAddrXdp::new(SocketAddrXdpFlags::XDP_COPY, interface, 0))?;
    let addr = SocketAddrXdp::new(SocketAddrXdpFlags::XDP_SHARED_UMEM, interface, 0);
    bind(&second, &SocketAddrXdpWithSharedUmem { addr, shared_umem_fd: first.as_fd() })?;
    let done = Mutex::new(Done { ring, free: [Vec::new(), Vec::new()] });
    let memory = Arc::new(Memory { frames, done });
    let [ours, theirs] = rings;
    Ok([
        XdpSocket::new(first, ours, 0, Arc::clone(&memory)),
        XdpSocket::new(second, theirs, 1, memory),
    ])
}

fn sending_ring(socket: &OwnedFd) -> io::Result<Ring> {
    set_xdp_tx_ring_size(socket, FRAMES as u32)?;
    let at = xdp_mmap_offsets(socket)?.tx;
    Ring::map(socket, XDP_PGOFF_TX_RING, &at, DESCRIPTOR, FRAMES)
}

impl XdpSocket {
    fn new(socket: OwnedFd, sending: Ring, which: usize, memory: Arc<Memory>) -> Self {
        let numbers = which * FRAMES..(which + 1) * FRAMES;
        let free = numbers.map(|number| (number * FRAME) as u64).collect();
        Self { socket, sending, free, memory, which }
    }

    /// Puts a frame with the others to be sent; whether there was room.
    pub(crate) fn put(&mut self, frame: &[u8]) -> bool {
        if self.free.is_empty() {
            self.reclaim();
        }
        let Some(place) = self.free.pop() else { return false };
        let frame = &frame[..frame.len().min(FRAME)];
        self.memory.frames.store(place as usize, frame);
        let at = self.sending.entry(self.sending.count);
        self.sending.memory.store(at, &descriptor(place, frame.len()));
        self.sending.count = self.sending.count.wrapping_add(1);
        true
    }

    /// Has the kernel send frames: some at a time, so that it is to be called until none is left.
    ///
    /// # Errors
    /// EAGAIN: there are more, or the device is busy. EBUSY: the device refused the last it took.
    /// ENOBUFS, ENETDOWN, ENXIO.
    pub(crate) fn send(&mut self) -> Result<()> {
        let sending = &self.sending;
        sending.memory.word(sending.producer).store(sending.count, Ordering::Release);
        send(&self.socket, &[], SendFlags::DONTWAIT).map(drop)
    }

    /// How many frames the kernel has not taken yet.
    pub(crate) fn left(&self) -> usize {
        let taken = self.sending.memory.word(self.sending.consumer).load(Ordering::Acquire);
        self.sending.count.wrapping_sub(taken) as usize
    }

    /// Takes back the frames that the kernel has done with.
    fn reclaim(&mut self) {
        let mut done = self.memory.done.lock().unwrap_or_else(PoisonError::into_inner);
        let Done { ring, free } = &mut *done;
        let produced = ring.memory.word(ring.producer).load(Ordering::Acquire);
        while ring.count != produced {
            let place =
                ring.memory.double_words(ring.entry(ring.count), 1)[0].load(Ordering::Relaxed);
            free[usize::from(place >= (FRAMES * FRAME) as u64)].push(place);
            ring.count = ring.count.wrapping_add(1);
        }
        ring.memory.word(ring.consumer).store(produced, Ordering::Release);
        self.free.append(&mut free[self.which]);
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
    /// Bytes of an entry, and how many there is room for.
    size: usize,
    room: usize,
    /// How many we have put in, or taken out.
    count: u32,
}

impl Ring {
    fn map(
        socket: &OwnedFd,
        page: u64,
        at: &XdpRingOffset,
        size: usize,
        room: usize,
    ) -> io::Result<Self> {
        let offset = |offset: u64| usize::try_from(offset).map_err(|_| Errno::INVAL);
        let (producer, consumer) = (offset(at.producer)?, offset(at.consumer)?);
        let entries = offset(at.desc)?;
        let memory = Mapping::of(socket.as_fd(), page, entries + room * size)?;
        Ok(Self { memory, producer, consumer, entries, size, room, count: 0 })
    }

    const fn entry(&self, number: u32) -> usize {
        self.entries + number as usize % self.room * self.size
    }
}

/// How many frames of one socket there may be on their way: enough for a device that tells late what
/// it has sent.
const FRAMES: usize = 256;

/// Room of one: the smallest the kernel knows (XDP_UMEM_MIN_CHUNK_SIZE).
const FRAME: usize = 2048;

/// `struct xdp_desc`: where the frame is, how long, options.
fn descriptor(place: u64, length: usize) -> [u8; DESCRIPTOR] {
    let mut bytes = [0; DESCRIPTOR];
    bytes[..8].copy_from_slice(&place.to_ne_bytes());
    bytes[8..12].copy_from_slice(&(length as u32).to_ne_bytes());
    bytes
}

const DESCRIPTOR: usize = 16;

#[cfg(test)]
mod tests {
    use portolan_core::wire::cbpf::Instruction;

    use super::*;
    use crate::kernel::packet_ring::PacketRing;

    /// An Ethernet frame of a type nobody uses (IEEE 802, local experimental), with who sent it and a
    /// number.
    fn frame(which: u32, number: u32) -> Vec<u8> {
        let mut frame = vec![0; 60];
        frame[12..14].copy_from_slice(&TYPE.to_be_bytes());
        for (part, at) in [std::process::id(), which, number].iter().zip([14, 18, 22]) {
            frame[at..at + 4].copy_from_slice(&part.to_be_bytes());
        }
        frame
    }

    fn send_all(socket: &mut XdpSocket) {
        while socket.left() > 0 {
            match socket.send() {
                Ok(()) | Err(Errno::AGAIN) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn send_many(mut socket: XdpSocket, which: u32) {
        for number in 0..COUNT {
            while !socket.put(&frame(which, number)) {
                send_all(&mut socket);
            }
        }
        send_all(&mut socket);
    }

    #[test]
    fn frames_of_two_threads_leave_in_their_order_and_all_is_let_go_of() {
        for _ in 0..2 {
            send_and_see();
        }
    }

    fn send_and_see() {
        let everything = [Instruction { code: 0x06, if_true: 0, if_false: 0, k: 256 }];
        let Ok(mut ring) = PacketRing::open(&everything, 8 << 20) else { return }; // not permitted
        let (Ok(first), Ok(second)) = (open(), open()) else { return };
        let Ok(pair) = bind_pair([first, second], LOOPBACK) else { return }; // somebody has it
        std::thread::scope(|scope| {
            pair.into_iter().zip(0..).for_each(|(socket, which)| {
                scope.spawn(move || send_many(socket, which));
            });
        });
        std::thread::sleep(std::time::Duration::from_millis(50));
        let mut seen = [Vec::new(), Vec::new()];
        ring.drain(|frame| {
            let word = |at: usize| u32::from_be_bytes(*frame.packet[at..].first_chunk().unwrap());
            if frame.protocol == TYPE && word(0) == std::process::id() {
                seen[word(4) as usize].push(word(8));
            }
        });
        assert_eq!(ring.lost(), Ok(0));
        for seen in seen {
            assert!(seen.iter().copied().eq(0..COUNT), "{} of {COUNT}", seen.len());
        }
    }

    #[test]
    fn an_interface_that_is_not_there_cannot_be_had() {
        let (Ok(first), Ok(second)) = (open(), open()) else { return };
        assert!(bind_pair([first, second], u32::MAX >> 1).is_err());
    }

    const LOOPBACK: u32 = 1;
    const TYPE: u16 = 0x88b5;
    const COUNT: u32 = 3 * FRAMES as u32;
}
