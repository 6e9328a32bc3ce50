//! Proof that an answer is one: what our SYNs carry is derived from whom they are for, so that
//! nothing needs to be remembered of them, and nobody who has not seen one can answer it.
//!
//! Source port and initial sequence number come from a keyed hash of both addresses and the port
//! asked, and each try leaves from another source port: Linux answers a SYN that it holds half open
//! already only every half a second (tcp_invalid_ratelimit, tcp_check_req of
//! net/ipv4/tcp_minisocks.c), so tries of one flow would not be tries of their own.

mod filter;

use std::net::IpAddr;

use super::{Icmp, Reply, Signature, SipHash};
use crate::net::Port;
use crate::wire::cbpf::Instruction;
use crate::wire::checksum::Sum;
use crate::wire::icmp::{self, Message, Version};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::ipv6::{self, Ipv6};
use crate::wire::syn::Varying;
use crate::wire::tcp::{self, Start, Tcp, TcpOption};

/// What proofs are derived from.
#[derive(Clone, Copy, Debug)]
pub struct Cookies {
    hash: SipHash,
    /// The first of our source ports, and how many there are.
    first: Port,
    count: u16,
}

/// What is said to one port of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// The source port of the first of our ports that its tries go round.
    pub from: Port,
    first: Port,
    count: u16,
    /// Its sequence number.
    pub sequence: u32,
    /// What the identification of its first try lies one above.
    pub id: u16,
}

impl Cookies {
    /// With this key, for SYNs that leave from the `count` ports from `first` on.
    #[must_use]
    pub const fn new(key: (u64, u64), first: Port, count: u16) -> Self {
        Self { hash: SipHash::new(key.0, key.1), first, count: if count == 0 { 1 } else { count } }
    }

    /// What is said to `port` of `target` from our address `source`.
    #[must_use]
    #[inline]
    pub fn cookie(&self, source: IpAddr, target: IpAddr, port: Port) -> Cookie {
        let port = u64::from(port.0);
        let hash = match (source, target) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                let ends = u64::from(source.to_bits()) << 32 | u64::from(target.to_bits());
                self.hash.hash_words(&[ends, port])
            }
            (source, target) => {
                let (source, target) = (halves(source), halves(target));
                self.hash.hash_words(&[source.0, source.1, target.0, target.1, port])
            }
        };
        let place = (hash >> 48) as u16 % self.count;
        Cookie {
            from: Port(self.first.0.wrapping_add(place)),
            first: self.first,
            count: self.count,
            sequence: hash as u32,
            id: (hash >> 32) as u16,
        }
    }

    /// A filter for packet sockets (SOCK_DGRAM) that lets through what [`Self::read`] may take, and
    /// answers of ARP and neighbour discovery.
    #[must_use]
    pub fn filter(&self) -> Vec<Instruction> {
        filter::program(self.first, self.count)
    }

    /// What packet `bytes`, from its IP header on, proves; or why it proves nothing.
    ///
    /// # Errors
    /// For whatever is no answer to a SYN of ours.
    pub fn read(&self, bytes: &[u8]) -> Result<Proof, Ignored> {
        let packet = Packet::parse(bytes).ok_or(Ignored::Foreign)?;
        match packet.protocol {
            Inside::Tcp => self.segment(&packet),
            Inside::Icmp(version) => self.error(&packet, version),
            Inside::Other => Err(Ignored::Foreign),
        }
    }

    fn segment(&self, packet: &Packet<'_>) -> Result<Proof, Ignored> {
        let segment = Tcp::parse(packet.inside).ok_or(Ignored::Foreign)?;
        if !self.is_ours(segment.to) {
            return Err(Ignored::Foreign);
        }
        let cookie = self.cookie(packet.to, packet.from, segment.from);
        let reply = judged(&cookie, &segment).ok_or(Ignored::Forged)?;
        let echo = timestamps(&segment).map(|(_, echo)| echo);
        let sent = echo.filter(|echo| *echo != 0 && reply != Reply::Reset);
        Ok(Proof {
            source: packet.to,
            target: packet.from,
            port: segment.from,
            reply,
            from: packet.from,
            attempt: None,
            sent,
            signature: Some(packet.signature(&segment)),
            reset: Reset::answering(packet, &segment, &cookie),
        })
    }

    fn error(&self, packet: &Packet<'_>, version: Version) -> Result<Proof, Ignored> {
        let Some(Message::Error { kind, code, quoted }) = Message::parse(version, packet.inside)
        else {
            return Err(Ignored::Foreign);
        };
        let quoted = Packet::parse(quoted).filter(|quoted| quoted.protocol == Inside::Tcp);
        let quoted = quoted.ok_or(Ignored::Foreign)?;
        let start = Start::parse(quoted.inside).ok_or(Ignored::Foreign)?;
        if !self.is_ours(start.from) || quoted.from != packet.to {
            return Err(Ignored::Foreign);
        }
        let cookie = self.cookie(quoted.from, quoted.to, start.to);
        if start.sequence != cookie.sequence {
            return Err(Ignored::Forged);
        }
        if is_advice(version, kind, code) {
            return Err(Ignored::Foreign);
        }
        // Routers that keep to RFC 792 quote eight bytes of the segment, others all of it.
        let sent = Tcp::parse(quoted.inside).and_then(|syn| Some(timestamps(&syn)?.0));
        Ok(Proof {
            source: quoted.from,
            target: quoted.to,
            port: start.to,
            reply: Reply::Unreachable(Icmp { v6: version == Version::V6, kind, code }),
            from: packet.from,
            attempt: quoted.id.and_then(|id| cookie.attempt(id)),
            sent,
            signature: None,
            reset: None,
        })
    }

    fn is_ours(&self, port: Port) -> bool {
        port.0.wrapping_sub(self.first.0) < self.count
    }
}

impl Cookie {
    /// The SYN of this try.
    #[must_use]
    #[inline]
    pub const fn syn(&self, to: Port, attempt: u16, clock: u32) -> Varying {
        let id = self.id.wrapping_add(attempt);
        Varying { from: self.source_port(attempt), to, sequence: self.sequence, clock, id }
    }

    /// The source port of this try: the next of ours, round and round.
    const fn source_port(&self, attempt: u16) -> Port {
        let place = self.from.0.wrapping_sub(self.first.0) as u32 + attempt as u32;
        Port(self.first.0.wrapping_add((place % self.count as u32) as u16))
    }

    /// Which try had this identification. One that was rewritten on the way is hardly ever so near.
    fn attempt(&self, id: u16) -> Option<u16> {
        let attempt = id.wrapping_sub(self.id);
        (1..=MOST_TRIES).contains(&attempt).then_some(attempt)
    }
}

/// An answer to a SYN of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Our address that it left from.
    pub source: IpAddr,
    /// The host asked.
    pub target: IpAddr,
    /// The port asked.
    pub port: Port,
    /// What was said.
    pub reply: Reply,
    /// Who said it.
    pub from: IpAddr,
    /// Which try, where a quoted SYN tells.
    pub attempt: Option<u16>,
    /// [`Varying::clock`] of the SYN that was answered, where it came back.
    pub sent: Option<u32>,
    /// How a segment that answered looked.
    pub signature: Option<Signature>,
    /// What has to be sent so that the host keeps nothing of us.
    pub reset: Option<Reset>,
}

/// Why a packet proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// It has nothing to do with our SYNs, or cannot be read.
    Foreign,
    /// It pretends to answer one, without having seen it.
    Forged,
}

/// The RST that ends what our SYN began, for where the kernel's own is kept from leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    source: IpAddr,
    target: IpAddr,
    from: Port,
    to: Port,
    sequence: u32,
    acknowledgement: Option<u32>,
}

impl Reset {
    /// RFC 9293 §3.10.7.1: with the number that was acknowledged; where none was, acknowledging.
    fn answering(packet: &Packet<'_>, segment: &Tcp<'_>, cookie: &Cookie) -> Option<Self> {
        let is_reset = segment.flags & tcp::RST != 0;
        let is_acknowledging = segment.flags & tcp::ACK != 0;
        let acknowledgement = (!is_acknowledging).then(|| segment.sequence.wrapping_add(1));
        (!is_reset).then_some(Self {
            source: packet.to,
            target: packet.from,
            from: segment.to,
            to: segment.from,
            sequence: cookie.sequence.wrapping_add(1),
            acknowledgement,
        })
    }

    /// Whom it is for.
    #[must_use]
    pub const fn target(&self) -> IpAddr {
        self.target
    }

    /// Writes the whole packet to the beginning of `out`; gives its length, 0 where `out` has no
    /// room for [`RESET`] bytes.
    pub fn write(&self, out: &mut [u8]) -> usize {
        let Some(out) = out.get_mut(..RESET) else { return 0 };
        let start = match (self.source, self.target) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let header = Ipv4::new(from, to, tcp::PROTOCOL, tcp::HEADER).bytes();
                out[..ipv4::HEADER].copy_from_slice(&header);
                ipv4::HEADER
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let header = Ipv6::new(from, to, tcp::PROTOCOL, tcp::HEADER).bytes();
                out[..ipv6::HEADER].copy_from_slice(&header);
                ipv6::HEADER
            }
            _ => return 0,
        };
        let segment = Tcp {
            from: self.from,
            to: self.to,
            sequence: self.sequence,
            acknowledgement: self.acknowledgement.unwrap_or(0),
            flags: tcp::RST | if self.acknowledgement.is_some() { tcp::ACK } else { 0 },
            window: 0,
            options: &[],
        };
        let place = &mut out[start..start + tcp::HEADER];
        if segment.write(place).is_none() {
            return 0;
        }
        let sum = Sum::new().pseudo_header(self.source, self.target, tcp::PROTOCOL, tcp::HEADER);
        let checksum = sum.bytes(place).finish();
        place[16..18].copy_from_slice(&checksum.to_be_bytes());
        start + tcp::HEADER
    }
}

/// Bytes of the longest reset.
pub const RESET: usize = ipv6::HEADER + tcp::HEADER;

/// What a segment to one of our ports says, if it has seen our SYN.
fn judged(cookie: &Cookie, segment: &Tcp<'_>) -> Option<Reply> {
    let next = cookie.sequence.wrapping_add(1);
    let flags = segment.flags & (tcp::SYN | tcp::ACK | tcp::RST | tcp::FIN);
    match flags {
        SYN_ACK if segment.acknowledgement == next => Some(Reply::SynAck),
        // Some stacks acknowledge the number as it was sent.
        RST_ACK if [next, cookie.sequence].contains(&segment.acknowledgement) => Some(Reply::Reset),
        // It acknowledges nothing: that it was sent to a port of ours is all its proof.
        tcp::SYN => Some(Reply::Syn),
        _ => None,
    }
}

/// Source quench, "fragment me", "too big": no refusals, and no SYN is so large.
fn is_advice(version: Version, kind: u8, code: u8) -> bool {
    match version {
        Version::V4 => kind == 4 || (kind, code) == (3, 4),
        Version::V6 => kind == 2,
    }
}

fn timestamps(segment: &Tcp<'_>) -> Option<(u32, u32)> {
    segment.options().find_map(|option| match option {
        TcpOption::Timestamps { value, echo } => Some((value, echo)),
        _ => None,
    })
}

/// What of a packet is asked for, of either family.
struct Packet<'a> {
    from: IpAddr,
    to: IpAddr,
    protocol: Inside,
    hop_limit: u8,
    id: Option<u16>,
    dont_fragment: Option<bool>,
    inside: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Tcp,
    Icmp(Version),
    Other,
}

impl<'a> Packet<'a> {
    /// `None` for what is cut off, and for pieces of a packet: answers are small.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        if bytes.first()? >> 4 == 4 {
            let (header, inside) = Ipv4::parse(bytes).filter(|(header, _)| !header.is_fragment)?;
            return Some(Self {
                from: header.from.into(),
                to: header.to.into(),
                protocol: match header.protocol {
                    tcp::PROTOCOL => Inside::Tcp,
                    icmp::PROTOCOL => Inside::Icmp(Version::V4),
                    _ => Inside::Other,
                },
                hop_limit: header.ttl,
                id: Some(header.id),
                dont_fragment: Some(header.dont_fragment),
                inside,
            });
        }
        let (header, inside) = Ipv6::parse(bytes).filter(|(header, _)| !header.is_fragment)?;
        Some(Self {
            from: header.from.into(),
            to: header.to.into(),
            protocol: match header.protocol {
                tcp::PROTOCOL => Inside::Tcp,
                icmp::PROTOCOL_V6 => Inside::Icmp(Version::V6),
                _ => Inside::Other,
            },
            hop_limit: header.hop_limit,
            id: None,
            dont_fragment: None,
            inside,
        })
    }

    fn signature(&self, segment: &Tcp<'_>) -> Signature {
        let mut signature = Signature {
            hop_limit: Some(self.hop_limit),
            window: Some(segment.window),
            dont_fragment: self.dont_fragment,
            ..Signature::default()
        };
        if segment.options.is_empty() {
            return signature; // every RST: nothing is allocated for it
        }
        let mut kinds = Vec::with_capacity(segment.options.len());
        for option in segment.options() {
            kinds.push(option.kind());
            match option {
                TcpOption::SegmentSize(size) => signature.mss = Some(size),
                TcpOption::WindowScale(scale) => signature.scale = Some(scale),
                _ => {}
            }
        }
        if segment.has_end_of_options() {
            kinds.push(0);
        }
        signature.options = kinds.into();
        signature
    }
}

fn halves(address: IpAddr) -> (u64, u64) {
    let bits = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    ((bits >> 64) as u64, bits as u64)
}

const SYN_ACK: u8 = tcp::SYN | tcp::ACK;
const RST_ACK: u8 = tcp::RST | tcp::ACK;

/// Tries that are told apart by the identification.
const MOST_TRIES: u16 = 32;

#[cfg(test)]
mod tests;
