//! Flows somebody observed: who spoke to which port, over which transport, by which interface.
//!
//! Read from CSV ([`csv`]), from a compact binary form of it ([`binary`]) and from the lines the kernel
//! logs for rules with a log statement ([`log_line`]). Replayed against rules they say what a change would
//! cut; a narrower policy is made from them.

pub mod binary;
pub mod csv;
pub mod log_line;

use std::net::IpAddr;

/// One flow: the first packet of a connection, or a datagram.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// IANA's protocol number.
    pub protocol: u8,
    /// Who spoke; of the same family as the destination.
    pub source: IpAddr,
    /// From which port; the type of an ICMP message.
    pub source_port: u16,
    /// To whom.
    pub destination: IpAddr,
    /// To which port; the code of an ICMP message.
    pub destination_port: u16,
    /// By which interface it came in; empty where that is not known.
    pub interface: Box<str>,
}

/// IANA's numbers of the protocols that have names in flows.
const PROTOCOLS: [(&str, u8); 10] = [
    ("tcp", 6),
    ("udp", 17),
    ("icmp", 1),
    ("icmpv6", 58),
    ("ipv6-icmp", 58),
    ("sctp", 132),
    ("dccp", 33),
    ("udplite", 136),
    ("esp", 50),
    ("gre", 47),
];

/// The number of a protocol by its name in any case, or by the number itself.
#[must_use]
pub fn protocol_number(text: &str) -> Option<u8> {
    let named = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    named.map(|(_, number)| *number).or_else(|| text.parse().ok())
}

/// The name of a protocol, or its number as text.
#[must_use]
pub fn protocol_name(number: u8) -> String {
    let named = PROTOCOLS.iter().find(|(_, known)| *known == number);
    named.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}
