//! Rules and flows made up from a seed.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// Numbers that look random and are the same on every run (splitmix64).
pub(super) struct Chance(pub(super) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// One below `bound`.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        (self.next() % u64::from(bound.max(1))) as u32
    }
}

/// The ports of services, the most usual first.
pub(super) const SERVICES: [u16; 16] =
    [22, 80, 443, 5432, 3306, 6379, 8080, 9100, 25, 53, 389, 636, 993, 5671, 9092, 27017];

/// `count` rules of a host, as iptables-save: a network of 256 addresses may reach one of its services,
/// everything else is dropped.
pub(super) fn host_rules(count: u32) -> String {
    let mut chance = Chance(7);
    let mut text =
        "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n".to_owned();
    text +=
        "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -i lo -j ACCEPT\n";
    for _ in 0..count {
        let network = Ipv4Addr::from(0x0a00_0000 | chance.below(1 << 16) << 8);
        let port = SERVICES[chance.below(SERVICES.len() as u32) as usize];
        let _ = writeln!(text, "-A INPUT -s {network}/24 -p tcp -m tcp --dport {port} -j ACCEPT");
    }
    text + "COMMIT\n"
}

/// `count` rules of a firewall between networks, as they grow over years: pairs of networks and hosts,
/// single ports and ranges, lists of ports, refusals in between, a chain for each of the inner networks.
pub(super) fn realistic_rules(count: u32) -> String {
    let mut chance = Chance(11);
    let mut text =
        "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n".to_owned();
    for inner in 0..INNER {
        let _ = writeln!(text, ":net{inner} - [0:0]");
    }
    text += "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n";
    for inner in 0..INNER {
        let _ = writeln!(text, "-A FORWARD -d 10.{inner}.0.0/16 -o eth{} -j net{inner}", inner % 4);
    }
    for _ in 0..count {
        let inner = chance.below(INNER);
        let source = source(&mut chance);
        let target = Ipv4Addr::from(0x0a00_0000 | inner << 16 | chance.below(1 << 16));
        let ports = ports(&mut chance);
        let protocol = if chance.below(4) == 0 { "udp" } else { "tcp" };
        let verdict = if chance.below(10) == 0 { "DROP" } else { "ACCEPT" };
        let _ = writeln!(
            text,
            "-A net{inner} {source}-d {target}/32 -p {protocol} {ports} -j {verdict}"
        );
    }
    text + "COMMIT\n"
}

/// So many networks lie behind the firewall.
const INNER: u32 = 40;

fn source(chance: &mut Chance) -> String {
    let address = Ipv4Addr::from(0xc600_0000 | chance.below(1 << 22) << 2);
    match chance.below(4) {
        0 => String::new(),
        1 => format!("-s {address}/32 "),
        2 => format!("-s {}/24 ", Ipv4Addr::from(u32::from(address) & !0xff)),
        _ => format!(
            "-s {}/16 -i eth{} ",
            Ipv4Addr::from(u32::from(address) & !0xffff),
            chance.below(4)
        ),
    }
}

fn ports(chance: &mut Chance) -> String {
    let service = SERVICES[chance.below(SERVICES.len() as u32) as usize];
    match chance.below(6) {
        0 => {
            let first = 1024 + chance.below(50_000);
            format!("--dport {first}:{}", first + chance.below(1000))
        }
        1 => format!("-m multiport --dports 80,443,{}", 1024 + chance.below(60_000)),
        _ => format!("--dport {service}"),
    }
}

/// `count` flows as CSV, most of them near what [`host_rules`] lets in.
pub(super) fn flows(count: u32) -> String {
    let mut chance = Chance(13);
    let mut text = "transport,src,sport,dst,dport,in\n".to_owned();
    for _ in 0..count {
        let source = Ipv4Addr::from(0x0a00_0000 | chance.below(1 << 24));
        let port = SERVICES[chance.below(SERVICES.len() as u32) as usize];
        let from = 32_768 + chance.below(28_000);
        let _ = writeln!(text, "tcp,{source},{from},192.0.2.1,{port},eth0");
    }
    text
}
