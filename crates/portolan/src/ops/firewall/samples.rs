//! What packets that are only asked about are made of: protocols by IANA's numbers, and ends that are
//! nobody's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portolan_core::firewall::protocol_of;
use portolan_core::net::Transport;
use portolan_core::wire::icmp;

pub(super) const UDP: u8 = protocol_of(Transport::Udp);
pub(super) const ICMP: u8 = icmp::PROTOCOL;
pub(super) const ICMPV6: u8 = icmp::PROTOCOL_V6;
pub(super) const IGMP: u8 = 2;

/// A client's port that no rule names, in the middle of the kernel's usual range (ip(7),
/// `ip_local_port_range`).
pub(super) const SOME_PORT: u16 = 50_000;

/// Somebody far away: RFC 5737, RFC 3849.
pub(super) const AFAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
pub(super) const AFAR_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x77);

/// Some from all over the address space: a list of the bad has few of them.
pub(super) fn strangers(is_v6: bool) -> Vec<IpAddr> {
    let far = |i: u8| match is_v6 {
        true => Ipv6Addr::new(0x2001 + 0x100 * u16::from(i), 0xdb8, 7, 0, 0, 0, 0, 0x77).into(),
        false => Ipv4Addr::new(20 + 28 * i, 0, 113, 77).into(),
    };
    (0..7).map(far).collect()
}

/// A router on the link.
pub(super) const ROUTER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
