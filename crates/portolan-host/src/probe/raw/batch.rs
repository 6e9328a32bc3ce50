//! Packets that are sent together, and what they leave through.
//!
//! Many at once leave by a socket that works for Ethernet alone, with a third less effort
//! ([`XdpSocket`]). Few, and whatever finds no such socket, leave by a packet socket, which works
//! everywhere and tells exactly what cannot be sent.

use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use portolan_core::scan::{LocalError, Probe};
use portolan_core::wire::syn::LONGEST;
use rustix::io::Errno;

use crate::kernel::packet::{self, ETHERNET, MOST, Outgoing, Place};
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
        let mut room = [0; ETHERNET + LONGEST];
        let mut packets = self.packets.iter();
        let count = packets.by_ref().take_while(|p| socket.put(p.frame(&mut room))).count();
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
    which: usize,
}

/// The socket for many frames of Ethernet.
#[derive(Debug)]
enum Direct {
    /// Not asked for yet.
    InStock(Arc<Mutex<Stock>>),
    /// For one interface.
    To(u32, XdpSocket),
    /// It is not to be had, or has failed.
    None,
}

/// Such sockets for two threads: they are bound together, to the first interface that many packets
/// leave by.
#[derive(Debug)]
enum Stock {
    /// Of the network namespace they were made in.
    Unbound([OwnedFd; 2]),
    /// To this interface.
    Bound(u32, Box<[Option<XdpSocket>; 2]>),
    /// There are none.
    None,
}

impl Outlet {
    /// Outlets for two threads.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW.
    pub(super) fn open_two() -> io::Result<[Self; 2]> {
        let stock = Arc::new(Mutex::new(Stock::open()));
        let outlet = |which| -> io::Result<Self> {
            let direct = Direct::InStock(Arc::clone(&stock));
            Ok(Self { socket: packet::open()?, direct, which })
        };
        Ok([outlet(0)?, outlet(1)?])
    }

    /// The direct socket to an interface.
    fn direct(&mut self, interface: u32) -> Option<&mut XdpSocket> {
        if let Direct::InStock(stock) = &self.direct {
            let mut stock = stock.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = stock.take(self.which, interface);
            drop(stock);
            self.direct = taken.map_or(Direct::None, |(at, socket)| Direct::To(at, socket));
        }
        match &mut self.direct {
            Direct::To(at, socket) if *at == interface => Some(socket),
            _ => None,
        }
    }
}

impl Stock {
    fn open() -> Self {
        match (xdp_socket::open(), xdp_socket::open()) {
            (Ok(first), Ok(second)) => Self::Unbound([first, second]),
            _ => Self::None,
        }
    }

    fn take(&mut self, which: usize, interface: u32) -> Option<(u32, XdpSocket)> {
        *self = match mem::replace(self, Self::None) {
            Self::Unbound(sockets) => xdp_socket::bind_pair(sockets, interface)
                .map_or(Self::None, |pair| Self::Bound(interface, Box::new(pair.map(Some)))),
            known => known,
        };
        match self {
            Self::Bound(at, pair) => Some((*at, pair[which].take()?)),
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
