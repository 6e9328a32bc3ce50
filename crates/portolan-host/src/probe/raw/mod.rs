//! The engine that writes its own packets: SYNs through packet sockets, with CAP_NET_RAW.
//!
//! It holds nothing for a probe: what a SYN carries proves the answer to it
//! (`portolan_core::scan::cookie`). The kernel writes the link header, so it works over Ethernet,
//! tunnels and WireGuard alike; many SYNs at once over Ethernet take a shorter way (`batch`). The
//! kernel is asked for the way to each target, and whoever is on the link is asked for by ourselves.
//! What is no SYN over a wire is carried by the engine of plain connections: UDP, echo, real
//! connections, and this machine's own addresses, to which the kernel takes no packet of ours.

mod batch;
mod link;
mod ports;
mod sender;
mod way;

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::time::Duration;

use portolan_core::net::{Moment, Port};
use portolan_core::scan::cookie::{Cookies, Ignored, Proof, Reset};
use portolan_core::scan::{Ability, Answer, LocalError, Manner, Probe, Question, Reply};
use portolan_core::wire::arp;
use portolan_core::wire::icmp::PROTOCOL_V6;
use portolan_core::wire::ipv6::Ipv6;
use portolan_core::wire::syn::Syn;
use portolan_core::wire::tpacket::Frame;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, netdevice, socket};

use super::{ConnectEngine, Engine, Heard, Options};
use crate::clock::Stopwatch;
use crate::kernel::packet::{self, Place};
use crate::kernel::packet_ring::PacketRing;
use link::{Due, Found, Key, Links};
use ports::SourcePorts;
use sender::Sender;
use way::{Hop, Way, Ways};

/// Carries TCP probes as packets of its own, and the rest as plain connections.
#[derive(Debug)]
pub struct RawEngine {
    watch: Stopwatch,
    connect: Plain,
    cookies: Cookies,
    #[expect(dead_code, reason = "holds the ports as long as it lives")]
    ports: SourcePorts,
    ways: Ways,
    links: Links,
    sender: Sender,
    ring: PacketRing,
    /// Targets of late, ready for the next probe; each has one place where it may be.
    ready: Box<[Option<Ready>]>,
    /// Added to the clock of our SYNs.
    clock: u32,
    heard: Vec<Heard>,
    counts: Counts,
}

/// What arrived and was no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that have nothing to do with our SYNs.
    pub foreign: u64,
    /// Packets that pretend to answer one, without having seen it.
    pub forged: u64,
    /// Packets for which there was no room any more.
    pub lost: u64,
}

/// The engine of plain connections, and what it is used for so far.
#[derive(Debug)]
struct Plain {
    engine: ConnectEngine,
    is_used: bool,
    is_used_for_tcp: bool,
}

/// Everything that is the same for all ports of a target.
#[derive(Debug)]
struct Ready {
    target: IpAddr,
    source: IpAddr,
    syn: Syn,
    place: Place,
    until: Moment,
}

impl RawEngine {
    /// An engine in the network namespace of this thread.
    ///
    /// # Errors
    /// [`io::ErrorKind::PermissionDenied`] without CAP_NET_RAW there, which [`ConnectEngine`] does
    /// without; else when ports, memory or netlink are not to be had.
    pub fn new(options: &Options) -> io::Result<Self> {
        let sender = Sender::open()?;
        let random = |what: u64| RandomState::new().hash_one(what);
        let ports = SourcePorts::reserve(random(0))?;
        let cookies = Cookies::new((random(1), random(2)), ports.first, ports::COUNT);
        let interface = options.interface.as_deref().map(index).transpose()?;
        let engine = ConnectEngine::new(options)?;
        Ok(Self {
            watch: options.watch,
            connect: Plain { engine, is_used: false, is_used_for_tcp: false },
            cookies,
            ports,
            ways: Ways::open(options.source, interface)?,
            links: Links::default(),
            sender,
            ring: PacketRing::open(&cookies.filter(), RING)?,
            ready: (0..PLACES).map(|_| None).collect(),
            clock: random(3) as u32,
            heard: Vec::new(),
            counts: Counts::default(),
        })
    }

    /// Whether this process may write its own packets in the network namespace of this thread.
    #[must_use]
    pub fn is_permitted() -> bool {
        packet::open().is_ok()
    }

    /// What arrived and was no answer, so far.
    pub fn counts(&mut self) -> Counts {
        self.counts.lost += u64::from(self.ring.lost().unwrap_or(0));
        self.counts
    }

    /// Sends the SYN of a probe, or has it wait for its neighbour.
    fn ask(&mut self, now: Moment, probe: Probe, port: Port) {
        let place = slot(probe.target);
        let is_ready = |ready: &Ready| ready.target == probe.target && now < ready.until;
        if !self.ready[place].as_ref().is_some_and(is_ready) {
            self.ready[place] = self.prepare(now, &probe);
        }
        let Some(ready) = &self.ready[place] else { return };
        let cookie = self.cookies.cookie(ready.source, ready.target, port);
        let clock = self.clock.wrapping_add(micros(now));
        let packet = self.sender.next(ready.place, Some(probe));
        let length = ready.syn.write(&cookie.syn(port, probe.attempt, clock), &mut packet.bytes);
        packet.set_length(length);
    }

    /// What all SYNs to a target have in common; `None` where none can leave now, and the probe has
    /// been seen to.
    fn prepare(&mut self, now: Moment, probe: &Probe) -> Option<Ready> {
        let target = probe.target;
        let hop = match self.ways.of(now, target) {
            Way::Wire(hop) => hop,
            Way::Kernel => {
                self.connect.send(now, *probe);
                return None;
            }
            Way::None(error) => {
                self.heard.push(Heard::Refused(*probe, error));
                return None;
            }
        };
        let link = match self.link(now, &hop) {
            Found::At(link) => link,
            Found::Asked => {
                self.links.hold(key(&hop)?, *probe);
                return None;
            }
            Found::Absent => {
                self.heard.push(nobody(probe, &hop));
                return None;
            }
            Found::Unknown => {
                self.connect.send(now, *probe);
                return None;
            }
        };
        let Some(syn) = Syn::new(hop.source, target, hop.mtu) else {
            self.heard.push(Heard::Refused(*probe, LocalError::NoRoute));
            return None;
        };
        let place = place(target, &hop, link);
        Some(Ready { target, source: hop.source, syn, place, until: now + READY })
    }

    /// The link address a hop needs; begins to ask for it where nobody knows. `Unknown` only where we
    /// cannot ask.
    fn link(&mut self, now: Moment, hop: &Hop) -> Found {
        let Some(key) = key(hop) else { return Found::At([0; 6]) };
        let found = self.links.find(now, key);
        if found != Found::Unknown {
            return found;
        }
        let known = self.ways.neighbour(key.0, key.1).filter(|known| known.state.is_sure());
        let known = known.and_then(|known| known.link_address?.first_chunk().copied());
        if let Some(link) = known {
            self.links.learn(now, key, link);
            return Found::At(link);
        }
        // A router of the other family cannot be asked from an address of this one.
        if key.1.is_ipv4() == hop.source.is_ipv4() {
            self.links.ask(now, key, *hop);
        }
        self.links.find(now, key)
    }

    /// Asks for neighbours whose turn it is, and gives those up that never answered.
    fn ask_neighbours(&mut self, now: Moment) {
        while let Some(due) = self.links.due(now) {
            match due {
                Due::Ask((_, address), hop) => self.solicit(address, &hop),
                Due::GiveUp(hop, probes) => {
                    self.heard.extend(probes.iter().map(|probe| nobody(probe, &hop)));
                }
            }
        }
    }

    fn solicit(&mut self, address: IpAddr, hop: &Hop) {
        match (hop.source, address) {
            (IpAddr::V4(source), IpAddr::V4(address)) => {
                let question = arp::request(hop.link.unwrap_or_default(), source, address);
                let interface = hop.interface;
                let (protocol, link) = (ETHERTYPE_ARP, arp::BROADCAST);
                let place = Place { protocol, interface, link, own: hop.link };
                self.write(place, &question);
            }
            (IpAddr::V6(source), IpAddr::V6(address)) => {
                let (question, group) =
                    arp::solicitation(hop.link.unwrap_or_default(), source, address);
                self.write(place(address.into(), hop, group), &question);
            }
            _ => {} // never begun, see `link`
        }
    }

    fn write(&mut self, place: Place, bytes: &[u8]) {
        let packet = self.sender.next(place, None);
        if let Some(room) = packet.bytes.get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
            packet.set_length(bytes.len());
        }
    }

    /// Reads what has arrived.
    fn drain(&mut self, now: Moment) {
        let mut arrived = Arrived::default();
        let started = self.watch.started();
        let (cookies, clock, heard) = (&self.cookies, self.clock, &mut self.heard);
        self.ring.drain(|frame| {
            let arrival = micros(Moment::after(frame.at.saturating_sub(started)));
            if let Some(proof) = arrived.take(cookies, &frame) {
                heard.push(answer(proof, arrival.wrapping_add(clock)));
            }
        });
        self.counts.foreign += arrived.foreign;
        self.counts.forged += arrived.forged;
        for reset in arrived.resets {
            self.reset(now, &reset);
        }
        for (key, link) in arrived.neighbours {
            for probe in self.links.heard(now, key, link).unwrap_or_default() {
                self.send(now, probe);
            }
        }
    }

    /// Lets a host forget us; also where a rule keeps the kernel's own reset from leaving.
    fn reset(&mut self, now: Moment, reset: &Reset) {
        let Way::Wire(hop) = self.ways.of(now, reset.target()) else { return };
        let Found::At(link) = self.link(now, &hop) else { return };
        let packet = self.sender.next(place(reset.target(), &hop, link), None);
        let length = reset.write(&mut packet.bytes);
        packet.set_length(length);
    }

    /// Waits until something arrives, or something is due.
    fn wait(&self, now: Moment, wait: Duration) -> io::Result<()> {
        let due = self.links.next_due().map_or(wait, |at| wait.min(at - now));
        let mut wait = if self.sender.is_busy() { due.min(SOON) } else { due };
        if self.connect.is_used {
            wait = wait.min(PATIENCE);
        }
        if wait.is_zero() {
            return Ok(());
        }
        let (ring, connect) = (self.ring.as_fd(), self.connect.engine.as_fd());
        let mut both = [PollFd::new(&ring, PollFlags::IN), PollFd::new(&connect, PollFlags::IN)];
        // What nobody reads would stay readable, and a raw ICMPv6 socket hears the neighbours talk.
        let some = if self.connect.is_used { 2 } else { 1 };
        match poll(&mut both[..some], Timespec::try_from(wait).ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Engine for RawEngine {
    fn ability(&self) -> Ability {
        let echo = self.connect.engine.ability().echo;
        Ability { echo, connects: false }
    }

    fn room(&self) -> usize {
        let room = HELD.saturating_sub(self.links.held());
        if self.connect.is_used_for_tcp { room.min(self.connect.engine.room()) } else { room }
    }

    fn send(&mut self, now: Moment, probe: Probe) {
        match (probe.question, probe.manner) {
            (Question::Tcp(port), Manner::Ask) => self.ask(now, probe, port),
            _ => self.connect.send(now, probe),
        }
    }

    fn receive(&mut self, now: Moment, wait: Duration, heard: &mut Vec<Heard>) -> io::Result<()> {
        self.ask_neighbours(now);
        self.sender.flush();
        self.take_refusals();
        let wait = if self.heard.is_empty() { wait } else { Duration::ZERO };
        self.wait(now, wait)?;
        let now = self.watch.now();
        self.drain(now);
        self.ask_neighbours(now);
        self.sender.flush();
        self.take_refusals();
        if self.connect.is_used {
            self.connect.engine.receive(now, Duration::ZERO, &mut self.heard)?;
        }
        heard.append(&mut self.heard);
        Ok(())
    }
}

impl RawEngine {
    fn take_refusals(&mut self) {
        let refused = self.sender.refused().map(|(probe, error)| Heard::Refused(probe, error));
        self.heard.extend(refused);
    }
}

impl Plain {
    fn send(&mut self, now: Moment, probe: Probe) {
        self.is_used = true;
        self.is_used_for_tcp |= matches!(probe.question, Question::Tcp(_));
        self.engine.send(now, probe);
    }
}

/// What a look into the ring brought.
#[derive(Default)]
struct Arrived {
    foreign: u64,
    forged: u64,
    resets: Vec<Reset>,
    neighbours: Vec<(Key, arp::LinkAddress)>,
}

impl Arrived {
    fn take(&mut self, cookies: &Cookies, frame: &Frame<'_>) -> Option<Proof> {
        if let Some((address, link)) = neighbour(frame) {
            self.neighbours.push(((frame.interface, address), link));
            return None;
        }
        match cookies.read(frame.packet) {
            Ok(proof) => {
                self.resets.extend(proof.reset);
                Some(proof)
            }
            Err(Ignored::Foreign) => {
                self.foreign += 1;
                None
            }
            Err(Ignored::Forged) => {
                self.forged += 1;
                None
            }
        }
    }
}

/// Who tells their address on the link with this packet, if it is one that does.
fn neighbour(frame: &Frame<'_>) -> Option<(IpAddr, arp::LinkAddress)> {
    match frame.protocol {
        ETHERTYPE_ARP => arp::reply(frame.packet).map(|(address, link)| (address.into(), link)),
        ETHERTYPE_IPV6 if frame.packet.get(6) == Some(&PROTOCOL_V6) => {
            let (header, message) = Ipv6::parse(frame.packet)?;
            arp::advertisement(&header, message).map(|(address, link)| (address.into(), link))
        }
        _ => None,
    }
}

/// `arrival` is on the clock of our SYNs.
fn answer(proof: Proof, arrival: u32) -> Heard {
    let rtt = proof.sent.map(|sent| Duration::from_micros(arrival.wrapping_sub(sent).into()));
    Heard::Answer(Answer {
        target: proof.target,
        question: Question::Tcp(proof.port),
        attempt: proof.attempt,
        reply: proof.reply,
        from: proof.from,
        // What is not within reason was not our clock.
        rtt: rtt.filter(|rtt| *rtt < LONGEST_RTT),
        signature: proof.signature,
    })
}

/// Nobody on the link has the address that the probe had to be handed to.
fn nobody(probe: &Probe, hop: &Hop) -> Heard {
    Heard::Answer(Answer {
        target: probe.target,
        question: probe.question,
        attempt: Some(probe.attempt),
        reply: Reply::NoNeighbour,
        from: hop.source,
        rtt: None,
        signature: None,
    })
}

fn key(hop: &Hop) -> Option<Key> {
    hop.neighbour.map(|neighbour| (hop.interface, neighbour))
}

fn place(target: IpAddr, hop: &Hop, link: arp::LinkAddress) -> Place {
    let protocol = if target.is_ipv4() { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 };
    Place { protocol, interface: hop.interface, link, own: hop.link }
}

/// Where a target may be among those that are ready: neighbours by number get places side by side.
const fn slot(target: IpAddr) -> usize {
    let bits = match target {
        IpAddr::V4(v4) => v4.to_bits() as usize,
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            (bits ^ (bits >> 64)) as usize
        }
    };
    bits % PLACES
}

/// The clock of our SYNs, before something random is added: it comes round in 71 minutes.
fn micros(moment: Moment) -> u32 {
    moment.since_start().as_micros() as u32
}

fn index(interface: &str) -> io::Result<u32> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    Ok(netdevice::name_to_index(&socket, interface)?)
}

/// The ring: room for the answers of a tenth of a second and more at full speed.
const RING: usize = 8 << 20;

/// Probes that may wait for neighbours.
const HELD: usize = 1 << 16;

/// How many targets are ready at most: as many as a scan works on at a time, and more.
const PLACES: usize = 1024;

/// How long a target stays ready without another look at its way.
const READY: Duration = Duration::from_millis(500);

/// How long is waited at most while the second thread may have something to tell.
const SOON: Duration = Duration::from_millis(2);

/// And while the other engine may have to let go of something.
const PATIENCE: Duration = Duration::from_millis(10);

const LONGEST_RTT: Duration = Duration::from_secs(120);
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
