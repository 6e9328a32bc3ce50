//! What rules look at: the fields of a packet, of its connection and of its way.

use super::packet::Direction;

/// What of a packet and its company is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The interface it came in by; the empty name where there is none (`meta iif`, `iifname`).
    InterfaceIn,
    /// The interface it leaves by; the empty name where there is none (`meta oif`, `oifname`).
    InterfaceOut,
    /// IPv4 or IPv6 ([`super::bits::NFPROTO_IPV4`]; `meta nfproto`), 8 bits.
    NetworkProtocol,
    /// The transport's protocol number (`meta l4proto`, `ip protocol`), 8 bits. With IPv6 that of the
    /// last header.
    Protocol,
    /// The type of the frame (`meta protocol`, `ether type`), 16 bits: 0x0800 or 0x86dd.
    EtherType,
    /// For whom the frame was (`meta pkttype`), 8 bits.
    PacketType,
    /// `meta mark`, 32 bits.
    Mark,
    /// The bytes of the packet from the IP header on (`meta length`), 32 bits.
    Length,
    /// The user whose socket sends (`meta skuid`), 32 bits; only where a socket is known.
    SocketUser,
    /// The group whose socket sends (`meta skgid`), 32 bits.
    SocketGroup,
    /// `ip saddr`, 32 bits.
    Source4,
    /// `ip daddr`, 32 bits.
    Destination4,
    /// `ip6 saddr`, 128 bits.
    Source6,
    /// `ip6 daddr`, 128 bits.
    Destination6,
    /// `ip ttl`, `ip6 hoplimit`, 8 bits.
    Ttl,
    /// `ip dscp`, `ip6 dscp`, 6 bits.
    Dscp,
    /// `ip ecn`, `ip6 ecn`, 2 bits.
    Ecn,
    /// `ip frag-off` with its flags, 16 bits: offset in units of 8 bytes, 0x2000 more fragments, 0x4000
    /// don't fragment. IPv4 only.
    FragmentOffset,
    /// `ip length`, 16 bits; IPv4 only.
    Length4,
    /// `ip6 length`, the payload's, 16 bits; IPv6 only.
    Length6,
    /// `ip6 nexthdr`: the first header after the fixed one, 8 bits; 44 for a fragment.
    NextHeader6,
    /// The first 16 bits of the transport header (`tcp sport`, `th sport`). In a fragment that
    /// is not the first: what stands there. In ICMP: type and code.
    SourcePort,
    /// The second 16 bits of the transport header (`tcp dport`, `th dport`).
    DestinationPort,
    /// `tcp flags`, 8 bits: CWR ECE URG ACK PSH RST SYN FIN.
    TcpFlags,
    /// `icmp type` and `icmpv6 type`, 8 bits; the guard says which.
    IcmpType,
    /// `icmp code` and `icmpv6 code`, 8 bits.
    IcmpCode,
    /// `ct state`, one bit of [`super::bits`] in 32.
    CtState,
    /// `ct status`, bits of [`super::bits`] in 32. Not there for `invalid` and `untracked`.
    CtStatus,
    /// `ct direction`: 0 original, 1 reply, 8 bits.
    CtDirection,
    /// `ct mark`, 32 bits.
    CtMark,
    /// A part of the connection's tuple before (original) or after (reply) translation.
    CtTuple(Direction, TupleSide),
    /// What the routing table says (`fib …`).
    Fib {
        /// Which parts of the packet are looked up.
        key: FibKey,
        /// What of the answer is wanted.
        result: FibResult,
    },
}

/// A part of a connection's tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TupleSide {
    /// `ct original ip saddr`, 32 bits.
    Source4,
    /// `ct original ip daddr`, 32 bits.
    Destination4,
    /// `ct original ip6 saddr`, 128 bits.
    Source6,
    /// `ct original ip6 daddr`, 128 bits.
    Destination6,
    /// `ct original protocol`, 8 bits.
    Protocol,
    /// `ct original proto-src`, 16 bits.
    SourcePort,
    /// `ct original proto-dst`, 16 bits.
    DestinationPort,
}

/// What `fib` looks up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FibKey {
    /// The source address instead of the destination.
    pub is_source: bool,
    /// Only on the interface the packet came in by.
    pub has_input: bool,
    /// Only on the interface it leaves by.
    pub has_output: bool,
    /// With the packet's mark.
    pub has_mark: bool,
}

/// What `fib` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FibResult {
    /// The kind of address, [`super::bits::FIB_LOCAL`] and its like, 32 bits.
    Type,
    /// The interface, a name; empty where there is no route.
    Interface,
    /// Whether there is a route: 0 or 1 (`fib saddr . iif oif exists`; `missing` is 0).
    Exists,
}

impl Field {
    /// How many bits it has; `None` for names.
    #[must_use]
    pub const fn width(self) -> Option<u32> {
        Some(match self {
            Self::InterfaceIn
            | Self::InterfaceOut
            | Self::Fib { result: FibResult::Interface, .. } => return None,
            Self::Fib { result: FibResult::Exists, .. } => 1,
            Self::Ecn => 2,
            Self::Dscp => 6,
            Self::NetworkProtocol
            | Self::Protocol
            | Self::PacketType
            | Self::Ttl
            | Self::NextHeader6
            | Self::TcpFlags
            | Self::IcmpType
            | Self::IcmpCode
            | Self::CtDirection
            | Self::CtTuple(_, TupleSide::Protocol) => 8,
            Self::EtherType
            | Self::FragmentOffset
            | Self::Length4
            | Self::Length6
            | Self::SourcePort
            | Self::DestinationPort
            | Self::CtTuple(_, TupleSide::SourcePort | TupleSide::DestinationPort) => 16,
            Self::Mark
            | Self::Length
            | Self::SocketUser
            | Self::SocketGroup
            | Self::Source4
            | Self::Destination4
            | Self::CtState
            | Self::CtStatus
            | Self::CtMark
            | Self::CtTuple(_, TupleSide::Source4 | TupleSide::Destination4)
            | Self::Fib { result: FibResult::Type, .. } => 32,
            Self::Source6
            | Self::Destination6
            | Self::CtTuple(_, TupleSide::Source6 | TupleSide::Destination6) => 128,
        })
    }
}
