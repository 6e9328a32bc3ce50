//! Flows in log lines of the kernel: what rules with `log` (nft) or `-j LOG` (iptables) write.
//!
//! The words are those of net/netfilter/nf_log_syslog.c: `IN=eth0 OUT= … SRC=192.0.2.7 DST=10.0.0.1 …
//! PROTO=TCP SPT=40000 DPT=443 …`, whatever prefix and date stand before them. A line that quotes a packet
//! inside an ICMP error repeats the words in brackets; only the first ones count.

use std::net::IpAddr;

use super::{Flow, protocol_number};

/// The flow a line tells of; `None` where it tells of none.
#[must_use]
pub fn read(line: &str) -> Option<Flow> {
    let words = || line.split_ascii_whitespace();
    let begin = words().position(|word| word.starts_with("IN="))?;
    let value = |key: &str| words().skip(begin).find_map(|word| word.strip_prefix(key));
    let source: IpAddr = value("SRC=")?.parse().ok()?;
    let destination: IpAddr = value("DST=")?.parse().ok()?;
    let protocol = protocol_number(value("PROTO=")?)?;
    let (from, to) = if matches!(protocol, 1 | 58) { ("TYPE=", "CODE=") } else { ("SPT=", "DPT=") };
    let number = |key| value(key).and_then(|text| text.parse().ok()).unwrap_or(0);
    if source.is_ipv4() != destination.is_ipv4() {
        return None;
    }
    Some(Flow {
        protocol,
        source,
        source_port: number(from),
        destination,
        destination_port: number(to),
        interface: value("IN=").unwrap_or("").into(),
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
    fn other_lines_are_none() {
        assert_eq!(read("sshd[1]: Accepted publickey SRC=1"), None);
        assert_eq!(read("IN=eth0 OUT= ARP HTYPE=1"), None);
    }
}
