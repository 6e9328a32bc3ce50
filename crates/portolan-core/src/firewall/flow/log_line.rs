//! Flows in lines of text: what the kernel logs, and what `conntrack -L` prints.
//!
//! Rules with `log` (nft) or `-j LOG` (iptables) write the words of net/netfilter/nf_log_syslog.c: `IN=eth0
//! OUT= … SRC=192.0.2.7 DST=10.0.0.1 … PROTO=TCP SPT=40000 DPT=443 …`, whatever prefix and date stand before
//! them; a packet quoted inside an ICMP error repeats the words, and only the first ones count. conntrack(8)
//! writes `tcp 6 431999 ESTABLISHED src=… dst=… sport=… dport=… src=…`: first the connection as its client
//! began it, then the answers.

use std::net::IpAddr;

use super::{Flow, protocol_number};
use crate::firewall::simulate::Way;

/// The flow a line tells of; `None` where it tells of none.
#[must_use]
pub fn read(line: &str) -> Option<Flow> {
    logged(line).or_else(|| tracked(line))
}

/// Which way the packet of a line of the kernel went: what it came in by and leaves by stand there. `None`
/// where the line is of no packet, as those of conntrack are not.
#[must_use]
pub fn way(line: &str) -> Option<Way> {
    let mut words = line.split_ascii_whitespace();
    let came_in = words.find_map(|word| word.strip_prefix("IN="))?;
    let leaves = words.find_map(|word| word.strip_prefix("OUT=")).unwrap_or_default();
    Some(match (came_in.is_empty(), leaves.is_empty()) {
        (_, true) => Way::Input,
        (false, false) => Way::Forward,
        (true, false) => Way::Output,
    })
}

fn logged(line: &str) -> Option<Flow> {
    let words = || line.split_ascii_whitespace();
    let begin = words().position(|word| word.starts_with("IN="))?;
    let value = |key: &str| words().skip(begin).find_map(|word| word.strip_prefix(key));
    let protocol = protocol_number(value("PROTO=")?)?;
    let (from, to) = if is_icmp(protocol) { ("TYPE=", "CODE=") } else { ("SPT=", "DPT=") };
    let ends = [value("SRC=")?, value("DST=")?];
    flow(protocol, ends, [value(from), value(to)], value("IN=").unwrap_or(""))
}

fn tracked(line: &str) -> Option<Flow> {
    let words = || line.split_ascii_whitespace();
    let value = |key: &str| words().find_map(|word| word.strip_prefix(key));
    let ends = [value("src=")?, value("dst=")?];
    // With `-o extended` the network protocol and its number stand first.
    let protocol = words().take_while(|word| !word.contains('=')).find_map(named)?;
    let (from, to) = if is_icmp(protocol) { ("type=", "code=") } else { ("sport=", "dport=") };
    flow(protocol, ends, [value(from), value(to)], "")
}

/// A protocol by name alone: a number may be a time.
fn named(word: &str) -> Option<u8> {
    let is_name = word.starts_with(|first: char| first.is_ascii_alphabetic());
    protocol_number(word).filter(|_| is_name)
}

const fn is_icmp(protocol: u8) -> bool {
    matches!(protocol, 1 | 58)
}

fn flow(protocol: u8, ends: [&str; 2], ports: [Option<&str>; 2], interface: &str) -> Option<Flow> {
    let [source, destination] = ends.map(|text| text.parse::<IpAddr>().ok());
    let [source_port, destination_port] =
        ports.map(|port| port.and_then(|text| text.parse().ok()).unwrap_or(0));
    let (source, destination) = (source?, destination?);
    let is_one_family = source.is_ipv4() == destination.is_ipv4();
    let interface = interface.into();
    is_one_family.then_some(Flow {
        protocol,
        source,
        source_port,
        destination,
        destination_port,
        interface,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_is_a_flow() {
        let line = "Nov 28 03:00:00 web kernel: [UFW BLOCK] IN=eth0 OUT= MAC=02:00 SRC=192.0.2.7 \
                    DST=10.0.0.1 LEN=60 TOS=0x00 PREC=0x00 TTL=52 ID=1 DF PROTO=TCP SPT=40000 DPT=22 \
                    WINDOW=64240 RES=0x00 SYN URGP=0";
        let flow = read(line).unwrap();
        assert_eq!(super::super::csv::line_of(&flow), "tcp,192.0.2.7,40000,10.0.0.1,22,eth0");
    }

    #[test]
    fn an_icmp_error_counts_as_itself_and_not_as_what_it_quotes() {
        let line = "IN=eth0 OUT= SRC=192.0.2.1 DST=10.0.0.1 PROTO=ICMP TYPE=3 CODE=1 \
                    [SRC=10.0.0.1 DST=192.0.2.7 PROTO=TCP SPT=1 DPT=2 ]";
        let flow = read(line).unwrap();
        assert_eq!((flow.protocol, flow.source_port, flow.destination_port), (1, 3, 1));
    }

    #[test]
    fn a_line_of_conntrack_is_the_flow_as_its_client_began_it() {
        let line = "ipv4     2 tcp      6 431999 ESTABLISHED src=192.0.2.7 dst=10.0.0.1 sport=40000 \
                    dport=443 src=172.17.0.2 dst=192.0.2.7 sport=8443 dport=40000 [ASSURED] mark=0 use=1";
        let flow = read(line).unwrap();
        assert_eq!(super::super::csv::line_of(&flow), "tcp,192.0.2.7,40000,10.0.0.1,443,");
    }

    #[test]
    fn a_line_of_the_kernel_says_which_way_its_packet_went() {
        let of = |interfaces: &str| {
            way(&format!("kernel: {interfaces} SRC=192.0.2.7 DST=10.0.0.1 PROTO=TCP"))
        };
        assert_eq!(of("IN=eth0 OUT= MAC=02:00"), Some(Way::Input));
        assert_eq!(of("IN=eth0 OUT=eth1"), Some(Way::Forward));
        assert_eq!(of("IN= OUT=eth0"), Some(Way::Output));
        assert_eq!(way("tcp 6 9 ESTABLISHED src=192.0.2.7 dst=10.0.0.1 sport=1 dport=2"), None);
    }

    #[test]
    fn other_lines_are_none() {
        assert_eq!(read("sshd[1]: Accepted publickey SRC=1"), None);
        assert_eq!(read("IN=eth0 OUT= ARP HTYPE=1"), None);
    }
}
