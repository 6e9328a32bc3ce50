//! One packet as the rules see it.

use std::net::IpAddr;

use super::World;
use super::nft::symbol;
use super::value::bits;

/// A packet and its company: what a rule can ask of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who sends it; of the same family as the destination.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// IANA's number of the transport protocol: 6 TCP, 17 UDP, 1 ICMP, 58 ICMPv6.
    pub protocol: u8,
    /// The sender's port, for protocols with ports.
    pub source_port: u16,
    /// The port it goes to.
    pub destination_port: u16,
    /// The flags of a TCP packet.
    pub tcp_flags: TcpFlags,
    /// Type and code of an ICMP or ICMPv6 packet.
    pub icmp: IcmpMessage,
    /// Whether it is a fragment that is not the first, and so has no transport header. Rules read what
    /// stands in its place all the same; ports and flags say what that is.
    pub is_later_fragment: bool,
    /// The interface it came in by; empty for packets of this machine, and where it is not known.
    pub interface_in: Box<str>,
    /// The interface it leaves by, where that is given; else the routes decide.
    pub interface_out: Option<Box<str>>,
    /// The connection's state, one of [`bits`]; `None`: that of a packet without an earlier flow.
    pub state: Option<u128>,
    /// `ct status` bits beyond what translation sets.
    pub status: u128,
    /// Which way of its connection it goes.
    pub direction: Direction,
    /// The tuple the connection began with, where a packet of an existing connection is translated;
    /// `None`: it is not. In the original direction the packet then comes in as this and leaves as the
    /// other fields say; in the reply direction it comes in as those say and is translated back.
    pub original: Option<Tuple>,
    /// `meta mark`.
    pub mark: u32,
    /// `ct mark`.
    pub ct_mark: u32,
    /// Time to live, hop limit.
    pub ttl: u8,
    /// The byte of DSCP and ECN.
    pub traffic_class: u8,
    /// The bytes from the IP header on.
    pub length: u16,
    /// `meta pkttype`, see [`bits`].
    pub packet_type: u8,
    /// The user and group whose socket sends it, for packets of this machine.
    pub socket: Option<(u32, u32)>,
}

/// Which way of a connection a packet goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// As the first packet.
    #[default]
    Original,
    /// As the answer to it.
    Reply,
}

/// Ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// From.
    pub source: IpAddr,
    /// To.
    pub destination: IpAddr,
    /// IANA's protocol number.
    pub protocol: u8,
    /// From this port.
    pub source_port: u16,
    /// To this port.
    pub destination_port: u16,
}

impl Tuple {
    /// The same as the other end has it.
    #[must_use]
    pub const fn inverse(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            protocol: self.protocol,
            source_port: self.destination_port,
            destination_port: self.source_port,
        }
    }
}

/// The flags byte of a TCP header (RFC 9293 §3.1): CWR ECE URG ACK PSH RST SYN FIN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// FIN.
    pub const FIN: Self = Self(1);
    /// SYN.
    pub const SYN: Self = Self(2);
    /// RST.
    pub const RST: Self = Self(4);
    /// PSH.
    pub const PSH: Self = Self(8);
    /// ACK.
    pub const ACK: Self = Self(16);
    /// URG.
    pub const URG: Self = Self(32);
    /// ECE.
    pub const ECE: Self = Self(64);
    /// CWR.
    pub const CWR: Self = Self(128);

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Type and code of an ICMP or ICMPv6 message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IcmpMessage {
    /// What kind of message.
    pub kind: u8,
    /// What precisely.
    pub code: u8,
}

impl IcmpMessage {
    /// The type of a name of nft(8).
    #[must_use]
    pub fn named(word: &str, is_v6: bool) -> Option<u8> {
        symbol::number(Self::symbols(is_v6), word).and_then(|number| u8::try_from(number).ok())
    }

    /// The name of a type.
    #[must_use]
    pub fn name_of(kind: u8, is_v6: bool) -> Option<&'static str> {
        let known = Self::symbols(is_v6).iter().find(|(_, number)| *number == u128::from(kind));
        known.map(|(name, _)| *name)
    }

    /// All names of types.
    pub fn names(is_v6: bool) -> impl Iterator<Item = &'static str> {
        Self::symbols(is_v6).iter().map(|(name, _)| *name)
    }

    const fn symbols(is_v6: bool) -> symbol::Symbols {
        if is_v6 { symbol::ICMP6_TYPE } else { symbol::ICMP_TYPE }
    }
}

impl Packet {
    /// The first packet of a TCP connection (a SYN), a UDP datagram, an echo request, or whatever
    /// `protocol` is.
    #[must_use]
    pub fn new(protocol: u8, source: IpAddr, destination: IpAddr) -> Self {
        Self {
            source,
            destination,
            protocol,
            source_port: 0,
            destination_port: 0,
            tcp_flags: TcpFlags::SYN,
            icmp: IcmpMessage { kind: first_message(protocol), code: 0 },
            is_later_fragment: false,
            interface_in: "".into(),
            interface_out: None,
            state: None,
            status: 0,
            direction: Direction::Original,
            original: None,
            mark: 0,
            ct_mark: 0,
            ttl: 64,
            traffic_class: 0,
            length: if source.is_ipv4() { 40 } else { 60 },
            packet_type: frame_to(destination),
            socket: None,
        }
    }

    /// The same, in the frame it comes in on a link of this machine: that to everybody, where its destination
    /// is the broadcast address of one of its networks.
    #[must_use]
    pub fn framed(mut self, world: &World) -> Self {
        if world.broadcasts().any(|broadcast| broadcast == self.destination) {
            self.packet_type = bits::PACKET_BROADCAST as u8;
        }
        self
    }

    /// The same with ports.
    #[must_use]
    pub fn ports(self, source_port: u16, destination_port: u16) -> Self {
        Self { source_port, destination_port, ..self }
    }

    /// Whether it is of IPv6.
    #[must_use]
    pub const fn is_v6(&self) -> bool {
        self.destination.is_ipv6()
    }

    /// The tuple it has now.
    #[must_use]
    pub const fn tuple(&self) -> Tuple {
        Tuple {
            source: self.source,
            destination: self.destination,
            protocol: self.protocol,
            source_port: self.source_port,
            destination_port: self.destination_port,
        }
    }

    /// The state conntrack gives a packet without an earlier flow: measured with every combination of
    /// flags (nf_conntrack_proto_tcp.c, with `nf_conntrack_tcp_loose` on, its default). SYN and bare ACK
    /// begin a connection, whatever PSH, ECE and CWR say; anything with FIN or RST, SYN with ACK and a
    /// packet without flags do not. Of ICMP and ICMPv6 only requests begin one, and neighbour discovery
    /// and multicast listener reports are not tracked (nf_conntrack_proto_icmp.c, its like for IPv6), nor are,
    /// since Linux 6.9, those by which multicast routers are found; before, these are invalid.
    #[must_use]
    pub const fn fresh_state(&self) -> u128 {
        match (self.protocol, self.tcp_flags.0 & 0b0001_0111, self.icmp.kind) {
            (6, 0b0000_0010 | 0b0001_0000, _) => bits::NEW,
            (6, ..) => bits::INVALID,
            // Echo, timestamp, information and address mask requests.
            (1, _, 8 | 13 | 15 | 17) => bits::NEW,
            (1, ..) => bits::INVALID,
            // Echo request, node information query.
            (58, _, 128 | 139) => bits::NEW,
            (58, _, 130..=136 | 143 | 151 | 152) if self.is_v6() => bits::UNTRACKED,
            (58, ..) => bits::INVALID,
            _ => bits::NEW,
        }
    }

    /// Whether this is an error or an answer of ICMP: it never begins a connection, and conntrack judges it by
    /// the one that it is about (`nf_conntrack_icmpv4_error`, `nf_conntrack_icmpv6_error`; RFC 792, RFC 950,
    /// RFC 4443 §2.1, RFC 4620).
    #[must_use]
    pub const fn is_of_a_connection(&self) -> bool {
        match (self.protocol, self.icmp.kind) {
            // Errors; answers to echo, timestamp, information and address mask requests.
            (1, kind) => matches!(kind, 3 | 4 | 5 | 11 | 12 | 0 | 14 | 16 | 18),
            // Errors; echo reply, node information reply.
            (58, kind) => matches!(kind, 1..=127 | 129 | 140),
            _ => false,
        }
    }
}

/// Whether a transport header of this protocol begins with two ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
pub(crate) const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 33 | 132 | 136)
}

/// The ICMP message that begins an exchange: an echo request.
const fn first_message(protocol: u8) -> u8 {
    match protocol {
        1 => 8,
        58 => 128,
        _ => 0,
    }
}

/// For whom the frame is that brings a packet to this destination: RFC 1112 §6.4, RFC 2464 §7, RFC 919 §7.
const fn frame_to(destination: IpAddr) -> u8 {
    let kind = match destination {
        IpAddr::V4(all) if all.is_broadcast() => bits::PACKET_BROADCAST,
        group if group.is_multicast() => bits::PACKET_MULTICAST,
        _ => bits::PACKET_HOST,
    };
    kind as u8
}
