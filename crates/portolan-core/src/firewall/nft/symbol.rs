//! Words of nft for numbers (nft(8), "DATA TYPES"; include/uapi/linux/netfilter/*.h).

use crate::firewall::bits;

/// Words and their numbers.
pub(in crate::firewall) type Symbols = &'static [(&'static str, u128)];

/// The number of a word.
pub(in crate::firewall) fn number(symbols: Symbols, word: &str) -> Option<u128> {
    symbols.iter().find(|(name, _)| *name == word).map(|(_, number)| *number)
}

/// `ct state`.
pub(super) const CT_STATE: Symbols = &[
    ("invalid", bits::INVALID),
    ("established", bits::ESTABLISHED),
    ("related", bits::RELATED),
    ("new", bits::NEW),
    ("untracked", bits::UNTRACKED),
];

/// `ct status`.
pub(super) const CT_STATUS: Symbols = &[
    ("expected", bits::STATUS_EXPECTED),
    ("seen-reply", bits::STATUS_SEEN_REPLY),
    ("assured", bits::STATUS_ASSURED),
    ("confirmed", bits::STATUS_CONFIRMED),
    ("snat", bits::STATUS_SNAT),
    ("dnat", bits::STATUS_DNAT),
    ("dying", bits::STATUS_DYING),
];

/// `ct direction`.
pub(super) const DIRECTION: Symbols = &[("original", 0), ("reply", 1)];

/// `tcp flags` (RFC 9293 §3.1).
pub(super) const TCP_FLAGS: Symbols = &[
    ("fin", 1),
    ("syn", 2),
    ("rst", 4),
    ("psh", 8),
    ("ack", 16),
    ("urg", 32),
    ("ecn", 64),
    ("cwr", 128),
];

/// `icmp type` (RFC 792 and others).
pub(in crate::firewall) const ICMP_TYPE: Symbols = &[
    ("echo-reply", 0),
    ("destination-unreachable", 3),
    ("source-quench", 4),
    ("redirect", 5),
    ("echo-request", 8),
    ("router-advertisement", 9),
    ("router-solicitation", 10),
    ("time-exceeded", 11),
    ("parameter-problem", 12),
    ("timestamp-request", 13),
    ("timestamp-reply", 14),
    ("info-request", 15),
    ("info-reply", 16),
    ("address-mask-request", 17),
    ("address-mask-reply", 18),
];

/// `icmp code`: those of destination unreachable.
pub(super) const ICMP_CODE: Symbols = &[
    ("net-unreachable", 0),
    ("host-unreachable", 1),
    ("prot-unreachable", 2),
    ("port-unreachable", 3),
    ("frag-needed", 4),
    ("net-prohibited", 9),
    ("host-prohibited", 10),
    ("admin-prohibited", 13),
];

/// `icmpv6 type` (RFC 4443 and others).
pub(in crate::firewall) const ICMP6_TYPE: Symbols = &[
    ("destination-unreachable", 1),
    ("packet-too-big", 2),
    ("time-exceeded", 3),
    ("parameter-problem", 4),
    ("echo-request", 128),
    ("echo-reply", 129),
    ("mld-listener-query", 130),
    ("mld-listener-report", 131),
    ("mld-listener-done", 132),
    ("mld-listener-reduction", 132),
    ("nd-router-solicit", 133),
    ("nd-router-advert", 134),
    ("nd-neighbor-solicit", 135),
    ("nd-neighbor-advert", 136),
    ("nd-redirect", 137),
    ("router-renumbering", 138),
    ("ind-neighbor-solicit", 141),
    ("ind-neighbor-advert", 142),
    ("mld2-listener-report", 143),
];

/// `icmpv6 code`: those of destination unreachable.
pub(super) const ICMP6_CODE: Symbols = &[
    ("no-route", 0),
    ("admin-prohibited", 1),
    ("addr-unreachable", 3),
    ("port-unreachable", 4),
    ("policy-fail", 5),
    ("reject-route", 6),
];

/// `reject with icmpx type`.
pub(super) const ICMPX_CODE: Symbols =
    &[("no-route", 0), ("port-unreachable", 1), ("host-unreachable", 2), ("admin-prohibited", 3)];

/// `ip dscp` (RFC 2474, 2597, 3246, 5865).
pub(super) const DSCP: Symbols = &[
    ("cs0", 0x00),
    ("cs1", 0x08),
    ("cs2", 0x10),
    ("cs3", 0x18),
    ("cs4", 0x20),
    ("cs5", 0x28),
    ("cs6", 0x30),
    ("cs7", 0x38),
    ("df", 0x00),
    ("be", 0x00),
    ("lephb", 0x01),
    ("af11", 0x0a),
    ("af12", 0x0c),
    ("af13", 0x0e),
    ("af21", 0x12),
    ("af22", 0x14),
    ("af23", 0x16),
    ("af31", 0x1a),
    ("af32", 0x1c),
    ("af33", 0x1e),
    ("af41", 0x22),
    ("af42", 0x24),
    ("af43", 0x26),
    ("va", 0x2c),
    ("ef", 0x2e),
];

/// `ip ecn` (RFC 3168 §5).
pub(super) const ECN: Symbols = &[("not-ect", 0), ("ect1", 1), ("ect0", 2), ("ce", 3)];

/// `meta pkttype`.
pub(super) const PACKET_TYPE: Symbols = &[
    ("host", bits::PACKET_HOST),
    ("unicast", bits::PACKET_HOST),
    ("broadcast", bits::PACKET_BROADCAST),
    ("multicast", bits::PACKET_MULTICAST),
    ("other", bits::PACKET_OTHER_HOST),
    ("otherhost", bits::PACKET_OTHER_HOST),
];

/// `fib … type`.
pub(super) const ADDRESS_TYPE: Symbols = &[
    ("unspec", bits::FIB_UNSPEC),
    ("unicast", bits::FIB_UNICAST),
    ("local", bits::FIB_LOCAL),
    ("broadcast", bits::FIB_BROADCAST),
    ("anycast", bits::FIB_ANYCAST),
    ("multicast", bits::FIB_MULTICAST),
    ("blackhole", bits::FIB_BLACKHOLE),
    ("unreachable", bits::FIB_UNREACHABLE),
    ("prohibit", bits::FIB_PROHIBIT),
];

/// `meta nfproto`.
pub(super) const NETWORK_PROTOCOL: Symbols =
    &[("ipv4", bits::NFPROTO_IPV4), ("ipv6", bits::NFPROTO_IPV6)];

/// `meta protocol`, `ether type` (include/uapi/linux/if_ether.h).
pub(super) const ETHER_TYPE: Symbols = &[
    ("ip", 0x0800),
    ("arp", 0x0806),
    ("ip6", 0x86dd),
    ("vlan", 0x8100),
    ("8021q", 0x8100),
    ("8021ad", 0x88a8),
];

/// `meta l4proto`, `ip protocol`: nft takes the names from /etc/protocols, which says these (IANA).
pub(super) const PROTOCOL: Symbols = &[
    ("ip", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("ggp", 3),
    ("ipencap", 4),
    ("st", 5),
    ("tcp", 6),
    ("egp", 8),
    ("igp", 9),
    ("pup", 12),
    ("udp", 17),
    ("hmp", 20),
    ("xns-idp", 22),
    ("rdp", 27),
    ("iso-tp4", 29),
    ("dccp", 33),
    ("xtp", 36),
    ("ddp", 37),
    ("idpr-cmtp", 38),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("idrp", 45),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ipsec-esp", 50),
    ("ah", 51),
    ("ipsec-ah", 51),
    ("skip", 57),
    ("icmpv6", 58),
    ("ipv6-icmp", 58),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("rspf", 73),
    ("vmtp", 81),
    ("eigrp", 88),
    ("ospf", 89),
    ("ospfigp", 89),
    ("ax.25", 93),
    ("ipip", 94),
    ("etherip", 97),
    ("encap", 98),
    ("pim", 103),
    ("comp", 108),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("isis", 124),
    ("sctp", 132),
    ("fc", 133),
    ("mobility-header", 135),
    ("udplite", 136),
    ("mpls-in-ip", 137),
    ("manet", 138),
    ("hip", 139),
    ("shim6", 140),
    ("wesp", 141),
    ("rohc", 142),
    ("ethernet", 143),
    ("mptcp", 262),
];
