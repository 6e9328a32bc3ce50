//! Packets that are sent together, and what they leave through.
//!
//! Many at once leave by a socket that works for Ethernet alone, with a third less effort
//! ([`XdpSocket`]). Few, and whatever finds no such socket, leave by a packet socket, which works
//! everywhere and tells exactly what cannot be sent.

use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;
use std::time::Duration;

use portolan_core::scan::{LocalError, Probe};
use rustix::io::Errno;

use crate::kernel::packet::{self, MOST, Outgoing, Place};
use crate::kernel::xdp_socket::{self, XdpSocket};
use crate::probe::fault;

/// A probe that did not leave, and why.
pub(super) type Refusal = (Probe, LocalError);

/// Packets and the probes they are for, side by side.
#[derive(Default)]
pub(super) struct Batch {
    packets: Vec<Outgoing>,
    probes: Vec<Option<Probe>>,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} packets", self.packets.len())
    }
}

impl Batch {
    /// Room for the next packet, which is for `probe` if it is for one.
    #[inline]
    pub(super) fn next(&mut self, place: Place, probe: Option<Probe>) -> &mut Outgoing {
        self.probes.push(probe);
        self.packets.push(Outgoing::new(place));
        self.packets.last_mut().expect("one was pushed just now")
    }

    /// Whether it holds as much as is sent at once.
    pub(super) const fn is_full(&self) -> bool {
        self.packets.len() >= MOST
    }

    /// Whether it holds so much that it is worth some effort.
    pub(super) const fn is_large(&self) -> bool {
        self.packets.len() > MOST / 2
    }

    /// Sends all of it; what cannot leave goes to `refused`.
    pub(super) fn send(&mut self, outlet: &mut Outlet, refused: &mut Vec<Refusal>) {
        let (mut at, mut patience) = (self.send_direct(outlet), PATIENCE);
        while at < self.packets.len() {
            match packet::send(outlet.socket.as_fd(), &self.packets[at..]) {
                Ok(sent) => (at, patience) = (at + sent, PATIENCE),
                Err(Errno::INTR) => {}
                Err(error) if is_passing(error) && patience > 0 => pause(&mut patience),
                Err(error) => {
                    refused.extend(self.probes[at].map(|probe| (probe, fault::local(error))));
                    at += 1;
                }
            }
        }
        self.packets.clear();
        self.probes.clear();
    }

    /// Sends what can leave with less effort, from the first on; how many those were.
    fn send_direct(&self, outlet: &mut Outlet) -> usize {
        let Some(socket) = self.interface().and_then(|interface| outlet.direct(interface)) else {
            return 0;
        };
        let packets = self.packets.iter();
        let count = packets.take_while(|packet| socket.put(|room| packet.frame(room))).count();
        let mut patience = PATIENCE;
        loop {
            let left = socket.left();
            if left == 0 {
                return count;
            }
            match socket.send() {
                Ok(()) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if socket.left() < left => {} // it takes some at a time
                Err(error) if is_passing(error) && patience > 0 => pause(&mut patience),
                Err(_) => {
                    let sent = count - socket.left();
                    outlet.direct = Direct::None;
                    return sent;
                }
            }
        }
    }

    /// The interface they leave by, if they are many and frames of Ethernet on one link.
    fn interface(&self) -> Option<u32> {
        let first = self.packets.first()?.ethernet()?;
        let is_one = self.packets.iter().all(|packet| packet.ethernet() == Some(first));
        (is_one && self.is_large()).then_some(first)
    }
}

/// What the packets of one thread leave through: what the kernel counts for a socket would go back and
/// forth between two processors.
#[derive(Debug)]
pub(super) struct Outlet {
    socket: OwnedFd,
    direct: Direct,
    queue: u32,
}

/// The socket for many frames of Ethernet.
#[derive(Debug)]
enum Direct {
    /// Not used yet: of the network namespace it was made in, whoever uses it.
    Unbound(OwnedFd),
    /// For one interface.
    To(u32, XdpSocket),
    /// It is not to be had, or has failed.
    None,
}

impl Outlet {
    /// An outlet that uses a queue of its own where a device has several.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW.
    pub(super) fn open(queue: u32) -> io::Result<Self> {
        let direct = xdp_socket::open().map_or(Direct::None, Direct::Unbound);
        Ok(Self { socket: packet::open()?, direct, queue })
    }

    /// The direct socket, which is for the first interface that many packets leave by.
    fn direct(&mut self, interface: u32) -> Option<&mut XdpSocket> {
        if matches!(self.direct, Direct::Unbound(_))
            && let Direct::Unbound(socket) = mem::replace(&mut self.direct, Direct::None)
            && let Ok(socket) = XdpSocket::bind(socket, interface, self.queue)
        {
            self.direct = Direct::To(interface, socket);
        }
        match &mut self.direct {
            Direct::To(at, socket) if *at == interface => Some(socket),
            _ => None,
        }
    }
}

/// Whether there will be room when a little time has passed. EBUSY: a device has dropped one, which
/// is then lost as on the way.
const fn is_passing(error: Errno) -> bool {
    matches!(error, Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM | Errno::BUSY)
}

fn pause(patience: &mut u32) {
    *patience -= 1;
    thread::sleep(PAUSE);
}

/// How long and how often room is waited for before a probe is handed back.
const PAUSE: Duration = Duration::from_micros(200);
const PATIENCE: u32 = 100;
