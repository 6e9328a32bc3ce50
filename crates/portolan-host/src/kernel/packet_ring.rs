//! Memory that a packet socket shares with the kernel (packet_mmap.rst, TPACKET_V3): packets arrive
//! in it without a call, a block at a time.
#![expect(unsafe_code, reason = "no crate asks for the ring of a packet socket")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use portolan_core::wire::cbpf::Instruction;
use portolan_core::wire::tpacket::{self, Frame, STATUS};
use rustix::io::{Errno, Result};

use super::mapping::Mapping;
use super::{packet, socket};

/// A packet socket that receives, and its ring.
#[derive(Debug)]
pub(crate) struct PacketRing {
    socket: OwnedFd,
    memory: Mapping,
    /// How many blocks there are, and which is the kernel's next to fill.
    blocks: usize,
    next: usize,
}

impl PacketRing {
    /// A ring of `size` bytes that shows what `filter` lets through, from now on.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW; ENOMEM.
    pub(crate) fn open(filter: &[Instruction], size: usize) -> io::Result<Self> {
        let socket = packet::open()?;
        socket::set_option(socket.as_fd(), libc::SOL_PACKET, PACKET_VERSION, TPACKET_V3)?;
        let blocks = (size / BLOCK).max(2);
        request(socket.as_fd(), blocks)?;
        let memory = Mapping::of(socket.as_fd(), 0, blocks * BLOCK)?;
        let ring = Self { socket, memory, blocks, next: 0 };
        packet::attach_filter(ring.as_fd(), filter)?;
        packet::listen(ring.as_fd())?;
        Ok(ring)
    }

    /// Shows every packet of the blocks that are full or whose time is up.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(Frame<'_>)) {
        for _ in 0..self.blocks {
            let at = self.next * BLOCK;
            let status = self.memory.word(at + STATUS);
            if status.load(Ordering::Acquire) & TP_STATUS_USER == 0 {
                return;
            }
            // While its status says it is ours the kernel writes nothing to it.
            tpacket::frames(self.memory.bytes(at, BLOCK)).for_each(&mut each);
            status.store(TP_STATUS_KERNEL, Ordering::Release);
            self.next = (self.next + 1) % self.blocks;
        }
    }

    /// How many packets found no room since this was last asked.
    pub(crate) fn lost(&self) -> Result<u32> {
        let mut statistics = Statistics::default();
        let mut size = size_of::<Statistics>() as libc::socklen_t;
        let pointer = (&raw mut statistics).cast();
        let descriptor = self.socket.as_raw_fd();
        // SAFETY: the kernel writes at most `size` bytes to the pointer, which are `statistics`.
        let answer = unsafe {
            libc::getsockopt(
                descriptor,
                libc::SOL_PACKET,
                PACKET_STATISTICS,
                pointer,
                &raw mut size,
            )
        };
        if answer == 0 { Ok(statistics.drops) } else { Err(last_error()) }
    }
}

impl AsFd for PacketRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Has the kernel make a ring.
fn request(socket: BorrowedFd<'_>, blocks: usize) -> Result<()> {
    let request = Request {
        block_size: BLOCK as u32,
        blocks: u32::try_from(blocks).map_err(|_| Errno::INVAL)?,
        frame_size: FRAME as u32,
        frames: u32::try_from(blocks * (BLOCK / FRAME)).map_err(|_| Errno::INVAL)?,
        retire: RETIRE.as_millis() as u32,
        private: 0,
        features: 0,
    };
    let size = size_of::<Request>() as libc::socklen_t;
    let pointer = (&raw const request).cast();
    // SAFETY: the kernel reads `size` bytes at the pointer, which are those of `request`.
    let answer = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, PACKET_RX_RING, pointer, size)
    };
    if answer == 0 { Ok(()) } else { Err(last_error()) }
}

/// `struct tpacket_req3`.
#[repr(C)]
struct Request {
    block_size: u32,
    blocks: u32,
    frame_size: u32,
    frames: u32,
    retire: u32,
    private: u32,
    features: u32,
}

/// `struct tpacket_stats_v3`.
#[repr(C)]
#[derive(Default)]
struct Statistics {
    packets: u32,
    drops: u32,
    freezes: u32,
}

fn last_error() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::NOSYS)
}

/// A block: some hundreds of answers. A multiple of every page size.
const BLOCK: usize = 1 << 16;

/// The smallest frame; in version 3 it only says how much room one has at least.
const FRAME: usize = 1 << 11;

/// When a block is shown that is not full: the shortest the kernel knows.
const RETIRE: Duration = Duration::from_millis(1);

const TP_STATUS_KERNEL: u32 = 0;
const TP_STATUS_USER: u32 = 1;
const TPACKET_V3: libc::c_int = 2;
const PACKET_RX_RING: libc::c_int = 5;
const PACKET_STATISTICS: libc::c_int = 6;
const PACKET_VERSION: libc::c_int = 10;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    #[test]
    fn packets_arrive_in_the_ring_with_their_time() {
        let all = [Instruction { code: 0x06, if_true: 0, if_false: 0, k: 256 }];
        let Ok(mut ring) = PacketRing::open(&all, 1 << 20) else { return }; // not permitted
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let payload = format!("to be seen by {}", std::process::id());
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(payload.as_bytes(), receiver.local_addr().unwrap()).unwrap();
        let mut found = None;
        for _ in 0..100 {
            let descriptor = ring.as_fd();
            let wait = Timespec::try_from(Duration::from_millis(50)).unwrap();
            poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&wait)).unwrap();
            ring.drain(|frame| {
                if frame.packet.ends_with(payload.as_bytes()) {
                    found = Some((frame.packet[0] >> 4, frame.protocol, frame.at));
                }
            });
            if found.is_some() {
                break;
            }
        }
        let (version, protocol, at) = found.expect("a packet over the loopback is seen");
        assert_eq!((version, protocol), (4, 0x0800));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        assert!(now - at < Duration::from_secs(60), "{at:?}");
        assert_eq!(ring.lost(), Ok(0));
    }
}
