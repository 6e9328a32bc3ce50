//! Floor 1, the formats: bytes to values and back, one file a format. Never panics on foreign bytes.

pub mod arp;
pub mod bpf;
pub mod btf;
pub mod cbpf;
pub mod checksum;
pub mod conntrack;
pub mod device;
pub mod dns;
pub mod extended_error;
pub mod genetlink;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod neighbour;
pub mod netlink;
pub mod pair;
pub mod resolver;
pub mod route;
pub mod route_table;
pub mod rtnetlink;
pub mod sock_diag;
pub mod sockaddr;
pub mod syn;
pub mod tcp;
pub mod tpacket;
pub mod udp;
