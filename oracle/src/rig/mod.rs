//! The stage: a firewall in a namespace of its own, a neighbour on each of its four links, and
//! sockets that see what becomes of a packet.
//!
//! ```text
//! eth0 ─┐            ┌─ out0 (the default route)
//!       ├─ firewall ─┤
//! eth1 ─┘            └─ out1
//! ```
//! A packet leaves through a raw socket of a neighbour, or of the firewall itself. veth hands it over
//! within the system call, so what became of it can be read as soon as that returns: it is in a raw
//! socket of the firewall (it was for the firewall, and let in), in a packet socket of a neighbour
//! (passed on, or sent), or in neither. What the firewall's kernel answers meets, before any rule under
//! test, a chain that logs it to us and drops it: so a refusal is told from a drop, and no answer
//! changes a connection's state.

mod conntrack;
mod namespace;
mod reply;
mod sockets;
mod tables;
mod wire;

use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::process::{Command, Stdio};

use portolan_core::firewall::{Packet, Tuple, World};

pub use namespace::{LINKS, world};
pub use reply::Reply;
pub use tables::remove;
pub use wire::{Headers, shortest};

use crate::draw::SETS;
use conntrack::Conntrack;
use namespace::Namespaces;
use reply::Replies;
use sockets::{Firewall, Neighbour};

/// One packet, and the connection that is to exist before it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The packet. With `interface_in` empty the firewall sends it.
    pub packet: Packet,
    /// A connection that conntrack is told of before.
    pub flow: Option<Flow>,
}

/// A connection that conntrack knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// As its first packet went.
    pub original: Tuple,
    /// Whether an answer was seen.
    pub has_reply: bool,
    /// `ct mark`.
    pub mark: u32,
    /// Whether the packet is an ICMP error about it instead of one of its own.
    pub is_quoted: bool,
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It reached a socket of the firewall.
    Local(Option<Headers>),
    /// It left by this link.
    Left(&'static str, Headers),
    /// Nothing came of it.
    Dropped,
    /// The sender was told.
    Refused(Reply),
}

/// The stage.
#[derive(Debug)]
pub struct Rig {
    firewall: Firewall,
    neighbours: Vec<Neighbour>,
    conntrack: Conntrack,
    replies: Replies,
    namespaces: Namespaces,
    count: u32,
    zones: u16,
    has_ipset: bool,
}

impl Rig {
    /// A new one. The calling thread moves into the firewall's namespace for good, so that the tools it
    /// starts act there: make one a thread.
    ///
    /// # Errors
    /// Without root, iproute2 or nft.
    pub fn new() -> io::Result<Self> {
        let namespaces = Namespaces::new()?;
        let neighbours = LINKS
            .iter()
            .map(|link| Neighbour::open(&namespaces, link))
            .collect::<Result<_, _>>()?;
        namespaces.enter_firewall()?;
        nft(WITNESS)?;
        let firewall = Firewall::open()?;
        let (conntrack, replies) = (Conntrack::open()?, Replies::open()?);
        // Without ipset the rules that ask its sets are refused, and left out.
        let has_ipset = feed("ipset", &["restore"], SETS).is_ok();
        let (count, zones) = (0, 1);
        Ok(Self { firewall, neighbours, conntrack, replies, namespaces, count, zones, has_ipset })
    }

    /// What surrounds the rules here.
    #[must_use]
    pub fn world(&self) -> World {
        world()
    }

    /// The name of the firewall's namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        self.namespaces.firewall()
    }

    /// Connections that probes belong to are made in so many zones from now on.
    pub fn expect_zones(&mut self, zones: u16) {
        self.zones = zones;
    }

    /// Forgets every connection.
    ///
    /// # Errors
    /// When netlink fails.
    pub fn forget(&mut self) -> io::Result<()> {
        self.conntrack.flush()
    }

    /// Sends a packet and says what became of it.
    ///
    /// # Errors
    /// When a socket fails; not when the firewall does not let it out.
    pub fn send(&mut self, probe: &Probe) -> io::Result<Outcome> {
        self.count = self.count.wrapping_add(1);
        if let Some(flow) = &probe.flow {
            // In whichever zone it is looked for, it is there.
            for zone in 0..self.zones {
                self.conntrack.add(flow, zone)?;
            }
        }
        let bytes = wire::bytes(probe, self.count);
        let to = probe.packet.destination;
        match self.neighbours.iter().find(|n| *n.link == *probe.packet.interface_in) {
            Some(neighbour) => neighbour.send(&bytes, to)?,
            None => self.firewall.send(&bytes, to, probe.packet.mark)?,
        }
        self.outcome(probe)
    }

    fn outcome(&mut self, probe: &Probe) -> io::Result<Outcome> {
        let packet = &probe.packet;
        let mark = wire::mark(self.count, probe);
        let local = self.firewall.take(packet, mark)?;
        let mut left = None;
        for neighbour in &self.neighbours {
            if let Some(headers) = neighbour.take(packet, self.count)? {
                left = Some(Outcome::Left(neighbour.link, headers));
            }
        }
        let reply = self.replies.take()?;
        Ok(match (local, left, reply) {
            (Some(headers), ..) => Outcome::Local(headers),
            (None, Some(left), _) => left,
            (None, None, Some(reply)) => Outcome::Refused(reply),
            (None, None, None) => Outcome::Dropped,
        })
    }

    /// Throws away what came late.
    ///
    /// # Errors
    /// When a socket fails.
    pub fn settle(&mut self) -> io::Result<()> {
        std::thread::sleep(std::time::Duration::from_millis(2));
        self.firewall.drain()?;
        for neighbour in &self.neighbours {
            neighbour.drain()?;
        }
        self.replies.take().map(drop)
    }

    /// What `nft -j list ruleset` says, without the table that logs answers.
    ///
    /// # Errors
    /// When nft fails.
    pub fn listing(&self) -> io::Result<String> {
        let text = output("nft", &["-j", "list", "ruleset"])?;
        Ok(without_witness(&text))
    }

    /// What `ipset save` says.
    ///
    /// # Errors
    /// When it fails.
    pub fn ipsets(&self) -> io::Result<String> {
        if self.has_ipset { output("ipset", &["save"]) } else { Ok(String::new()) }
    }

    /// What `iptables-save` or `ip6tables-save` says.
    ///
    /// # Errors
    /// When it fails.
    pub fn saved(&self, is_v6: bool) -> io::Result<String> {
        output(if is_v6 { "ip6tables-save" } else { "iptables-save" }, &[])
    }
}

/// Feeds `nft -f` in the namespace of this thread.
///
/// # Errors
/// With nft's complaint.
pub fn nft(script: &str) -> io::Result<()> {
    feed("nft", &["-f", "-"], script)
}

/// Feeds iptables-restore or ip6tables-restore, without flushing what the file does not name.
///
/// # Errors
/// With its complaint.
pub fn restore(script: &str, is_v6: bool) -> io::Result<()> {
    feed(if is_v6 { "ip6tables-restore" } else { "iptables-restore" }, &[], script)
}

fn feed(program: &str, arguments: &[&str], input: &str) -> io::Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut complaint = String::new();
    // Both are small beside a pipe's room, or the program reads all before it complains.
    let fed = child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(input.as_bytes()));
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_string(&mut complaint)?;
    }
    if child.wait()?.success() {
        return fed;
    }
    Err(io::Error::other(complaint))
}

fn output(program: &str, arguments: &[&str]) -> io::Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}

/// Cuts our own table, the first that was made, out of a listing.
fn without_witness(listing: &str) -> String {
    let table = |from: usize| listing[from..].find("{\"table\":").map(|at| from + at);
    let Some(own) = table(0) else { return listing.to_owned() };
    match table(own + 1) {
        Some(next) => format!("{}{}", &listing[..own], &listing[next..]),
        None => format!("{}]}}", listing[..own].trim_end_matches([',', ' '])),
    }
}

/// Whether an address is of the firewall's own in the world of [`world`].
#[must_use]
pub fn is_own(address: IpAddr) -> bool {
    world().is_local(address)
}

/// Answers of the kernel's: what no process sends. `skuid` is there only for sockets of processes.
const WITNESS: &str = "table inet portolan_oracle_witness {
  chain answers {
    type filter hook output priority -2147483648; policy accept;
    meta skuid 0-4294967295 accept
    log group 7 snaplen 128 queue-threshold 1 drop
  }
}
";
