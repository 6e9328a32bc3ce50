//! Matches and targets that iptables alone has.

use portolan_core::firewall::TcpFlags;

use super::{Edge, Rule};
use crate::draw::matches::COMPANIES;
use crate::draw::values;

impl Rule<'_> {
    /// A match of an extension.
    pub(super) fn extension(&mut self) {
        match self.chance.below(14) {
            0 => self.any_port(),
            1 | 2 => self.original(),
            3 => self.route_of(),
            4 => self.service(),
            5..8 => self.set(),
            8 => self.masked_mark(),
            9 => self.destinations(),
            10 => self.budget(),
            11 => self.sender(),
            _ => self.company(),
        }
    }

    fn not(&mut self, percent: usize) -> &'static str {
        if self.chance.percent(percent) { "! " } else { "" }
    }

    /// `multiport --ports`: either of both.
    fn any_port(&mut self) {
        if !matches!(self.transport, Some("tcp" | "udp")) {
            return;
        }
        let not = self.not(30);
        let text =
            *self.chance.pick(&["--ports 80,443:445", "--ports 53", "--sports 1000:30000,443"]);
        let mut edges = vec![];
        for port in [80, 443, 445, 446, 53, 54] {
            edges.extend([Edge::DestinationPort(port), Edge::SourcePort(port)]);
        }
        self.push(format!("-m multiport {not}{text}"), edges);
    }

    /// The connection's ends as its first packet had them, and as the answers have.
    fn original(&mut self) {
        let texts: &[&str] = match self.is_v6 {
            false => &[
                "--ctorigsrc 10.0.3.0/24",
                "--ctorigdst 10.0.0.1",
                "--ctreplsrc 10.0.0.1",
                "--ctrepldst 10.0.3.0/24",
                "--ctorigdst 192.168.7.0/24",
                "--ctreplsrc 172.17.0.0/24",
            ],
            true => &[
                "--ctorigsrc fd00:a::/64",
                "--ctorigdst fd00:a::1",
                "--ctreplsrc fd00:17::/64",
                "--ctrepldst 2400::/12",
            ],
        };
        let others = [
            "--ctproto tcp",
            "--ctproto udp",
            "--ctstatus SEEN_REPLY",
            "--ctstatus ASSURED,EXPECTED",
            "--ctstatus CONFIRMED",
            "--ctdir ORIGINAL",
            "--ctdir REPLY",
            "--ctstate NEW",
            "--ctstate RELATED,ESTABLISHED",
            "--ctstate UNTRACKED",
            "--ctstate NEW,SNAT",
        ];
        let mut words = vec!["-m conntrack".to_owned()];
        for _ in 0..1 + self.chance.below(2) {
            let not = self.not(25);
            let all = if self.chance.percent(50) { texts } else { &others };
            let text = *self.chance.pick(all);
            let option = text.split(' ').next().unwrap_or_default();
            if words.iter().all(|word| !word.contains(option)) {
                words.push(format!("{not}{text}"));
            }
        }
        if self.chance.percent(25) && words.iter().all(|word| !word.contains("--ctproto")) {
            let not = self.not(25);
            let side = *self.chance.pick(&["orig", "repl"]);
            let end = *self.chance.pick(&["src", "dst"]);
            let port = *self.chance.pick(&["80", "22:443", "8080"]);
            words.push(format!("--ctproto tcp {not}--ct{side}{end}port {port}"));
            self.edges.push(vec![Edge::Protocol(6), Edge::Protocol(17)]);
        }
        let from: &[&str] =
            if self.is_v6 { &["fd00:a::9", "fd00:b::9"] } else { &["10.0.3.9", "10.0.4.0"] };
        self.edges.push(from.iter().map(|a| Edge::Source(values::address(a))).collect());
        self.edges.push([80, 22, 443, 444, 8080].map(Edge::DestinationPort).to_vec());
        self.push(words.join(" "), COMPANIES.iter().map(|c| Edge::State(*c)).collect());
    }

    fn route_of(&mut self) {
        let is_in = matches!(self.chain, "INPUT" | "PREROUTING");
        let is_early = is_in && self.chain == "PREROUTING" && matches!(self.name, "raw" | "mangle");
        let text = match self.chance.below(6) {
            0 | 1 if is_early => {
                *self.chance.pick(&["-m rpfilter", "-m rpfilter --invert", "-m rpfilter --loose"])
            }
            2 if is_in => *self.chance.pick(&[
                "-m addrtype --dst-type LOCAL --limit-iface-in",
                "-m addrtype ! --dst-type LOCAL --limit-iface-in",
            ]),
            _ => *self.chance.pick(&[
                "-m addrtype --src-type UNICAST --dst-type LOCAL",
                "-m addrtype ! --src-type LOCAL",
                "-m addrtype --dst-type UNICAST,LOCAL",
                "-m addrtype ! --dst-type MULTICAST",
                "-m addrtype --dst-type ANYCAST",
            ]),
        };
        let to: &[&str] = match self.is_v6 {
            false => &["10.0.0.1", "192.168.7.1", "8.8.8.8", "224.0.0.1", "10.0.255.255"],
            true => &["fd00:a::1", "fd00:b::1", "2400:cafe::1", "fd00:17::41"],
        };
        self.edges.push(["eth0", "eth1", "out0", "out1"].map(Edge::LinkIn).to_vec());
        self.push(text, to.iter().map(|a| Edge::Destination(values::address(a))).collect());
    }

    /// The byte of DSCP and ECN, and the flags of TCP that go with it.
    fn service(&mut self) {
        let not = self.not(30);
        let near = [0x10, 0x11, 0, 0xb8, 0xbb, 0x08, 0x1c, 3, 1, 2].map(Edge::Class).to_vec();
        if self.transport == Some("tcp") && self.chance.percent(40) {
            let text = *self.chance.pick(&["--ecn-tcp-cwr", "--ecn-tcp-ece"]);
            let flags = [0x42, 0x82, 0xc2, 2, 0x50].map(|f| Edge::Flags(TcpFlags(f))).to_vec();
            return self.push(format!("-m ecn {not}{text}"), flags);
        }
        let text = *self.chance.pick(&[
            "tos --tos 0x10/0x3f",
            "tos --tos 0xb8",
            "tos --tos 0x01/0x03",
            "tos --tos 0x11/0x1f",
            "dscp --dscp-class CS1",
            "dscp --dscp 0x00",
            "ecn --ecn-ip-ect 3",
            "ecn --ecn-ip-ect 0",
        ]);
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        self.push(format!("-m {name} {not}{rest}"), near);
    }

    fn masked_mark(&mut self) {
        let not = self.not(30);
        let text = *self.chance.pick(&[
            "connmark NOT--mark 0x1/0xff",
            "connmark NOT--mark 0x10/0xf0",
            "connmark NOT--mark 0x7",
            "connmark NOT--mark 0x100/0xff",
            "mark NOT--mark 0x10/0xf0",
            "mark NOT--mark 0x7/0x7",
            "mark NOT--mark 0x0/0xf",
        ]);
        let marks = [7, 0, 1, 0x10, 0x11, 0x1f, 0x101, 0xff].map(Edge::CtMark).to_vec();
        self.edges.push([0x10, 0, 7, 0x17, 0xf].map(Edge::Mark).to_vec());
        self.push(format!("-m {}", text.replace("NOT", not)), marks);
    }

    fn destinations(&mut self) {
        let not = self.not(30);
        let (low, high, near): (_, _, &[&str]) = match self.is_v6 {
            false => {
                ("10.0.0.1", "172.17.0.5", &["10.0.0.1", "172.17.0.5", "172.17.0.6", "8.8.8.8"])
            }
            true => (
                "fd00:17::41",
                "fd00:a::1",
                &["fd00:17::41", "fd00:a::1", "fd00:b::1", "fd00:17::40"],
            ),
        };
        let edges = near.iter().map(|a| Edge::Destination(values::address(a))).collect();
        self.push(format!("-m iprange {not}--dst-range {low}-{high}"), edges);
    }

    /// Budgets that no packet of a run uses up.
    fn budget(&mut self) {
        let number = self.chance.below(9);
        let text = match self.chance.below(7) {
            0 => format!(
                "-m hashlimit --hashlimit-upto 10000/sec --hashlimit-burst 60000 --hashlimit-mode srcip --hashlimit-name up{number}"
            ),
            1 => format!(
                "-m hashlimit --hashlimit-above 10000/sec --hashlimit-burst 60000 --hashlimit-mode dstport,srcip --hashlimit-name over{number}"
            ),
            2 => "-m quota --quota 900000000".to_owned(),
            3 => "-m quota ! --quota 900000000".to_owned(),
            // A connection that began before the rule was there is not counted by it.
            4 => "-m state --state NEW -m connlimit --connlimit-above 60000".to_owned(),
            5 => "-m state --state NEW -m connlimit --connlimit-upto 60000".to_owned(),
            _ => format!("-m recent --name nobody{number} --rcheck"),
        };
        self.push(text, vec![]);
    }

    fn sender(&mut self) {
        if !matches!(self.chain, "OUTPUT" | "POSTROUTING") {
            return;
        }
        let not = self.not(30);
        let text = *self.chance.pick(&[
            "--uid-owner 0",
            "--uid-owner 5-10",
            "--gid-owner 0",
            "--socket-exists",
        ]);
        self.push(format!("-m owner {not}{text}"), vec![]);
    }

    fn company(&mut self) {
        let not = self.not(30);
        match self.chance.below(4) {
            0 => {
                let kind = *self.chance.pick(&["unicast", "multicast", "broadcast"]);
                let to = ["224.0.0.1", "10.0.0.1", "10.0.255.255"].map(values::address);
                self.push(
                    format!("-m pkttype {not}--pkt-type {kind}"),
                    to.map(Edge::Destination).to_vec(),
                );
            }
            1 => {
                let text = *self.chance.pick(&["100", ":100", "100:", "61:90"]);
                let near = [100, 99, 101, 61, 90, 91].map(Edge::Length).to_vec();
                self.push(format!("-m length {not}--length {text}"), near);
            }
            2 if self.is_v6 => {
                let text = *self.chance.pick(&["--hl-eq 64", "--hl-gt 63", "--hl-lt 2"]);
                self.push(format!("-m hl {text}"), [64, 63, 65, 1, 2].map(Edge::Ttl).to_vec());
            }
            2 => {
                let text = *self.chance.pick(&["--ttl-gt 63", "--ttl-lt 2", "--ttl-eq 1"]);
                self.push(format!("-m ttl {text}"), [64, 63, 65, 1, 2].map(Edge::Ttl).to_vec());
            }
            _ => self.push("-m comment --comment \"-m set ! --match-set x src -j DROP\"", vec![]),
        }
    }

    /// What conntrack is told.
    pub(super) fn tracking(&mut self) -> String {
        (*self.chance.pick(&[
            "-j CT --notrack",
            "-j CT --notrack",
            "-j NOTRACK",
            "-j CT --zone 1",
            "-j CT --zone 2",
            "-j CT --zone-orig 1",
            "-j CT --zone-reply 3",
            "-j CT --zone mark",
            "-j CT --ctevents new",
            "-j ACCEPT",
            "-j DROP",
        ]))
        .to_owned()
    }

    /// What is written into marks.
    pub(super) fn marking(&mut self) -> String {
        (*self.chance.pick(&[
            "-j MARK --set-mark 0x1",
            "-j MARK --set-mark 0x10/0xf0",
            "-j MARK --set-xmark 0x10/0xff",
            "-j MARK --set-xmark 0x11/0x1",
            "-j MARK --or-mark 0x10",
            "-j MARK --and-mark 0xf",
            "-j MARK --xor-mark 0x11",
            "-j CONNMARK --set-mark 0x7",
            "-j CONNMARK --set-xmark 0x10/0xff",
            "-j CONNMARK --set-mark 0x10/0xf0",
            "-j CONNMARK --or-mark 0x10",
            "-j CONNMARK --and-mark 0xf",
            "-j CONNMARK --xor-mark 0x3",
            "-j CONNMARK --restore-mark",
            "-j CONNMARK --restore-mark --nfmask 0xf0 --ctmask 0xf0",
            "-j CONNMARK --restore-mark --mask 0x0f",
            "-j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0x0f",
            "-j CONNMARK --save-mark",
            "-j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff",
            "-j CONNMARK --save-mark --nfmask 0x0f --ctmask 0xffffffff",
        ]))
        .to_owned()
    }

    /// What is written into headers.
    pub(super) fn rewriting(&mut self) -> String {
        let text = match (self.chance.below(10), self.transport, self.is_v6) {
            (0..4, _, false) => *self.chance.pick(&[
                "-j TTL --ttl-set 9",
                "-j TTL --ttl-set 1",
                "-j TTL --ttl-set 64",
                "-j TTL --ttl-inc 1",
                "-j TTL --ttl-dec 1",
            ]),
            (0..4, _, true) => {
                *self.chance.pick(&["-j HL --hl-set 9", "-j HL --hl-set 1", "-j HL --hl-dec 1"])
            }
            (4, Some("tcp"), false) => "-j ECN --ecn-tcp-remove",
            (5, Some("tcp"), _) if self.chain != "INPUT" => "-j TCPMSS --set-mss 1000",
            _ => *self.chance.pick(&[
                "-j DSCP --set-dscp 0x08",
                "-j DSCP --set-dscp-class EF",
                "-j TOS --set-tos 0x10/0x3f",
                "-j TOS --set-tos 0x1d",
                "-j TOS --or-tos 0x11",
                "-j TOS --and-tos 0xf0",
                "-j TOS --xor-tos 0x13",
            ]),
        };
        text.to_owned()
    }

    /// Translations to ranges and networks.
    pub(super) fn elaborate(&mut self, has_ports: bool) -> String {
        let flag = *self.chance.pick(&["", "", " --random", " --persistent"]);
        let only_random = *self.chance.pick(&["", "", " --random"]);
        let is_v6 = self.is_v6;
        match (self.chain, self.chance.below(6)) {
            ("PREROUTING" | "OUTPUT", 0) if has_ports => {
                format!("-j REDIRECT --to-ports 8080-8090{only_random}")
            }
            ("PREROUTING" | "OUTPUT", 1) if has_ports => {
                "-j DNAT --to-destination :8080".to_owned()
            }
            ("PREROUTING" | "OUTPUT", 2) if has_ports && is_v6 => {
                format!("-j DNAT --to-destination [fd00:17::41-fd00:17::44]:80-90{flag}")
            }
            ("PREROUTING" | "OUTPUT", 2) if has_ports => {
                format!("-j DNAT --to-destination 172.17.0.5-172.17.0.6:80-90{flag}")
            }
            ("PREROUTING" | "OUTPUT", 3) if has_ports && !is_v6 => {
                "-j DNAT --to-destination 172.17.0.5:8080-8090/80".to_owned()
            }
            ("PREROUTING" | "OUTPUT", 4) if is_v6 => "-j NETMAP --to 2400:cafe::/64".to_owned(),
            ("PREROUTING" | "OUTPUT", 4) => "-j NETMAP --to 172.17.0.0/24".to_owned(),
            ("PREROUTING" | "OUTPUT", _) if is_v6 => {
                format!("-j DNAT --to-destination fd00:17::41-fd00:17::44{flag}")
            }
            ("PREROUTING" | "OUTPUT", _) => {
                format!("-j DNAT --to-destination 172.17.0.5-172.17.0.6{flag}")
            }
            ("POSTROUTING", 0 | 1) if has_ports => {
                format!("-j MASQUERADE --to-ports 1024-2000{only_random}")
            }
            ("POSTROUTING", 2) => "-j MASQUERADE --random".to_owned(),
            (_, 3) if is_v6 => "-j NETMAP --to 2001:db8:9:0:9::/80".to_owned(),
            (_, 3) => "-j NETMAP --to 10.9.3.0/24".to_owned(),
            (_, 4) if has_ports && !is_v6 => "-j SNAT --to-source 10.9.0.77:1024-2000".to_owned(),
            _ if is_v6 => format!("-j SNAT --to-source 2001:db8:9::77-2001:db8:9::79{flag}"),
            _ => format!("-j SNAT --to-source 10.9.0.77-10.9.0.80{flag}"),
        }
    }
}
