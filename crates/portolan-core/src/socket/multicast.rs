//! Multicast groups that this machine listens to, as /proc/net tells them, and what is sent to the
//! groups that IANA has given a meaning.
//!
//! Formats: `igmp_mc_seq_show` (net/ipv4/igmp.c) and `igmp6_mc_seq_show` (net/ipv6/mcast.c). The
//! kernel tells who is a member by interface only: which socket joined, and on which port it waits, it tells
//! nobody. A port is named only where the group says it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::net::Port;

/// A group, and the interface on which its packets are taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Membership {
    /// The interface.
    pub interface: Box<str>,
    /// The group's address.
    pub group: IpAddr,
}

/// A line that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("/proc/net/{file}, line {line} cannot be read")]
pub struct UnreadableLine {
    /// The file.
    pub file: &'static str,
    /// Counted from one.
    pub line: usize,
}

/// The groups of /proc/net/igmp.
pub fn igmp(text: &str) -> impl Iterator<Item = Result<Membership, UnreadableLine>> + '_ {
    let mut interface = None;
    let lines = text.lines().enumerate().skip(HEADING);
    lines.filter_map(move |(index, line)| {
        let unreadable = UnreadableLine { file: "igmp", line: index + 1 };
        if line.starts_with('\t') {
            let group = line.split_whitespace().next().and_then(group_v4);
            let read = interface.zip(group);
            let found = read.map(|(interface, group)| Membership {
                interface: Box::from(interface),
                group: IpAddr::V4(group),
            });
            return Some(found.ok_or(unreadable));
        }
        interface = heading(line);
        interface.is_none().then_some(Err(unreadable))
    })
}

/// `3 eth0      :     1      V3` with a tab after the number: no interface has a colon in its name
/// (dev_valid_name).
fn heading(line: &str) -> Option<&str> {
    let (start, _) = line.split_once(':')?;
    let mut words = start.split_whitespace();
    words.next()?.parse::<u32>().ok()?;
    words.next()
}

/// A number in the machine's byte order.
fn group_v4(word: &str) -> Option<Ipv4Addr> {
    let is_whole = word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_whole.then(|| u32::from_str_radix(word, 16).ok())??;
    Some(Ipv4Addr::from(number.to_ne_bytes()))
}

/// The groups of /proc/net/igmp6: index, interface, address without colons, and what is not needed.
pub fn igmp6(text: &str) -> impl Iterator<Item = Result<Membership, UnreadableLine>> + '_ {
    text.lines().enumerate().map(|(index, line)| {
        let mut words = line.split_whitespace().skip(1);
        let read = words.next().zip(words.next().and_then(group_v6));
        let found = read.map(|(interface, group)| Membership {
            interface: interface.into(),
            group: IpAddr::V6(group),
        });
        found.ok_or(UnreadableLine { file: "igmp6", line: index + 1 })
    })
}

fn group_v6(word: &str) -> Option<Ipv6Addr> {
    let is_whole = word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_whole.then(|| u128::from_str_radix(word, 16).ok())??;
    Some(Ipv6Addr::from_bits(number))
}

impl Membership {
    /// Whether the kernel joins it by itself: all hosts, solicited nodes, all routers where it forwards,
    /// and those that look for routers where it is a bridge. What comes there is the kernel's own business
    /// (RFC 1112, RFC 4291 §2.7.1, RFC 4286).
    #[must_use]
    pub fn is_kernels(&self) -> bool {
        match self.group {
            IpAddr::V4(group) => matches!(group.octets(), [224, 0, 0, 1 | 106]),
            IpAddr::V6(group) => match group.segments() {
                [0xff01 | 0xff02, 0, 0, 0, 0, 0, 0, 1] => true,
                [0xff01 | 0xff02 | 0xff05, 0, 0, 0, 0, 0, 0, 2] => true,
                [0xff02, 0, 0, 0, 0, 0, 0, 0x6a] => true,
                [0xff02, 0, 0, 0, 0, 1, low, _] => low & 0xff00 == 0xff00,
                _ => false,
            },
        }
    }
}

/// What a group is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupUse {
    /// What people call it.
    pub name: &'static str,
    /// IANA's number of the protocol.
    pub protocol: u8,
    /// The port packets go to, for a protocol with ports.
    pub port: Option<Port>,
}

/// What is sent to a group, by IANA's registries of multicast addresses and the documents of each
/// protocol; empty where it has no meaning of its own, and then nobody knows the port.
#[must_use]
pub fn uses(group: IpAddr) -> &'static [GroupUse] {
    match group {
        IpAddr::V4(group) => uses_v4(group),
        IpAddr::V6(group) => uses_v6(group),
    }
}

const fn uses_v4(group: Ipv4Addr) -> &'static [GroupUse] {
    match group.octets() {
        [224, 0, 0, 2] => const { &[udp("HSRP", 1985), udp("LDP", 646)] },
        [224, 0, 0, 5 | 6] => &[OSPF],
        [224, 0, 0, 9] => const { &[udp("RIP", 520)] },
        [224, 0, 0, 10] => &[EIGRP],
        [224, 0, 0, 13] => &[PIM],
        [224, 0, 0, 18] => &[VRRP],
        [224, 0, 0, 22] => const { &[bare("IGMP reports", 2)] },
        [224, 0, 0, 102] => const { &[udp("HSRP", 1985), udp("GLBP", 3222)] },
        [224, 0, 0, 107] | [224, 0, 1, 129..=132] => PTP,
        [224, 0, 0, 251] => &[MDNS],
        [224, 0, 0, 252] => &[LLMNR],
        [224, 0, 1, 1] => &[NTP],
        [224, 0, 1, 187] => &[COAP],
        [239, 255, 255, 250] => DISCOVERY,
        [239, 255, 255, 253] => &[SLP],
        _ => &[],
    }
}

/// A group of IPv6 carries its scope beside its number (RFC 4291 §2.7); where a protocol may choose
/// the scope, any is meant.
const fn uses_v6(group: Ipv6Addr) -> &'static [GroupUse] {
    let [head, 0, 0, 0, 0, 0, high, low] = group.segments() else { return &[] };
    match (head, high, low) {
        (0xff02, 0, 5 | 6) => &[OSPF],
        (0xff02, 0, 9) => const { &[udp("RIPng", 521)] },
        (0xff02, 0, 0xa) => &[EIGRP],
        (0xff02, 0, 0xd) => &[PIM],
        (0xff02, 0, 0x12) => &[VRRP],
        (0xff02, 0, 0x16) => const { &[bare("MLD reports", 58)] },
        (0xff02, 0, 0x66) => const { &[udp("HSRP", 2029)] },
        (0xff02, 0, 0x6b) => PTP,
        (0xff02, 1, 2) | (0xff05, 1, 3) => const { &[udp("DHCPv6", 547)] },
        (0xff02, 1, 3) => &[LLMNR],
        (0xff00..=0xff0f, 0, 0xfb) => &[MDNS],
        (0xff00..=0xff0f, 0, 0xc) => DISCOVERY,
        (0xff00..=0xff0f, 0, 0xfd) => &[COAP],
        (0xff00..=0xff0f, 0, 0x101) => &[NTP],
        (0xff00..=0xff0f, 0, 0x116) => &[SLP],
        (0xff00..=0xff0f, 0, 0x181..=0x184) => PTP,
        _ => &[],
    }
}

const fn udp(name: &'static str, port: u16) -> GroupUse {
    GroupUse { name, protocol: UDP, port: Some(Port(port)) }
}

const fn bare(name: &'static str, protocol: u8) -> GroupUse {
    GroupUse { name, protocol, port: None }
}

const MDNS: GroupUse = udp("mDNS", 5353);
const LLMNR: GroupUse = udp("LLMNR", 5355);
const NTP: GroupUse = udp("NTP", 123);
const COAP: GroupUse = udp("CoAP", 5683);
const SLP: GroupUse = udp("SLP", 427);
const OSPF: GroupUse = bare("OSPF", 89);
const EIGRP: GroupUse = bare("EIGRP", 88);
const PIM: GroupUse = bare("PIM", 103);
const VRRP: GroupUse = bare("VRRP", 112);
const PTP: &[GroupUse] = &[udp("PTP", 319), udp("PTP", 320)];
/// Two protocols share the address.
const DISCOVERY: &[GroupUse] = &[udp("SSDP", 1900), udp("WS-Discovery", 3702)];

const UDP: u8 = 17;
const HEADING: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// Copied from Linux 6.18 (x86_64): mDNS and VRRP joined on a veth.
    const IGMP: &str = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter
1\tlo        :     1      V3
\t\t\t\t010000E0     1 0:00000000\t\t0
2\tlongname01234:     3      V3
\t\t\t\t120000E0     1 0:00000000\t\t0
\t\t\t\tFB0000E0     1 0:00000000\t\t0
\t\t\t\t010000E0     1 0:00000000\t\t0
";
    const IGMP6: &str = "\
1    lo              ff020000000000000000000000000001     1 0000000C 0
3    v0              ff0200000000000000000001ff5e599b     1 00000004 0
3    v0              ff0200000000000000000000000000fb     1 00000004 0
";

    fn group(text: &str) -> Membership {
        Membership { interface: "v0".into(), group: text.parse().unwrap() }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn groups_of_ipv4_are_read_with_their_interface() {
        let found: Vec<_> = igmp(IGMP).map(Result::unwrap).collect();
        let told = found.iter().map(|m| format!("{} {}", m.interface, m.group));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                "lo 224.0.0.1",
                "longname01234 224.0.0.18",
                "longname01234 224.0.0.251",
                "longname01234 224.0.0.1"
            ]
        );
        let own: Vec<_> = found.iter().filter(|m| !m.is_kernels()).collect();
        assert_eq!(own.len(), 2);
    }

    #[test]
    fn groups_of_ipv6_are_read_with_their_interface() {
        let found: Vec<_> = igmp6(IGMP6).map(Result::unwrap).collect();
        assert_eq!(found[2], group("ff02::fb"));
        assert_eq!(
            found.iter().map(Membership::is_kernels).collect::<Vec<_>>(),
            [true, true, false]
        );
    }

    #[test]
    fn a_line_that_cannot_be_read_is_told_and_the_others_are_read() {
        for (text, file) in [(IGMP, "igmp"), (IGMP6, "igmp6")] {
            for length in 0..text.len() {
                let read: Vec<_> = match file {
                    "igmp" => igmp(&text[..length]).collect(),
                    _ => igmp6(&text[..length]).collect(),
                };
                let whole = text[..length].matches('\n').count();
                let bad = read.iter().filter_map(|row| row.as_ref().err());
                assert!(bad.clone().all(|error| error.file == file && error.line > whole));
                assert!(bad.count() <= 1);
            }
        }
        let broken = "heading\n\t\t\t\tFB0000E0 1\nx y\n3\tv0 : 1 V3\n\t\t\t\tFB\u{e9}000E0 1\n";
        assert_eq!(igmp(broken).filter(Result::is_err).count(), 3);
    }

    #[test]
    fn the_kernels_own_groups_are_told_from_those_of_programs() {
        for own in ["224.0.0.1", "ff01::1", "ff02::1", "ff02::2", "ff05::2", "ff02::1:ff00:1"] {
            assert!(group(own).is_kernels(), "{own}");
        }
        for other in ["224.0.0.2", "224.0.0.251", "ff02::fb", "ff02::1:3", "ff02::1:fe00:1"] {
            assert!(!group(other).is_kernels(), "{other}");
        }
    }

    #[test]
    fn a_port_is_known_only_where_the_group_has_one() {
        let told = |text: &str| {
            let group: IpAddr = text.parse().unwrap();
            let each = uses(group).iter().map(|u| match u.port {
                Some(port) => format!("{} {}:{port}", u.name, u.protocol),
                None => format!("{} {}", u.name, u.protocol),
            });
            each.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(told("224.0.0.251"), "mDNS 17:5353");
        assert_eq!(told("ff05::fb"), "mDNS 17:5353");
        assert_eq!(told("239.255.255.250"), "SSDP 17:1900, WS-Discovery 17:3702");
        assert_eq!(told("224.0.0.18"), "VRRP 112");
        assert_eq!(told("ff02::5"), "OSPF 89");
        assert_eq!(told("ff15::fb"), "", "a transient group is anybody's");
        assert_eq!(told("239.1.2.3"), "");
    }
}
