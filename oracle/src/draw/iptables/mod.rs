//! The same in the language of iptables-restore, for iptables with nf_tables beneath.

mod compat;
mod sets;

use portolan_core::firewall::TcpFlags;

use super::matches::COMPANIES;
use super::subject::Subject;
use super::values::{self, FAR4, FAR6, NETWORKS4, NETWORKS6, PORTS};
use super::{Edge, Line};
use crate::chance::Chance;

pub(crate) use sets::SETS;

/// A file of one to three tables.
pub(super) fn file(chance: &mut Chance, subject: Subject, is_v6: bool) -> Vec<Line> {
    let by = |of: Subject, more: usize, usual: usize| if subject == of { more } else { usual };
    let mangled = by(Subject::Marks, 95, 30).max(by(Subject::Headers, 95, 30));
    let all: [(_, _, &[_]); 4] = [
        ("filter", 100, &["INPUT", "FORWARD", "OUTPUT"]),
        (
            "nat",
            by(Subject::Translation, 95, 40),
            &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
        ),
        ("mangle", mangled, &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]),
        ("raw", by(Subject::Tracking, 95, 20), &["PREROUTING", "OUTPUT"]),
    ];
    let mut lines = Vec::new();
    for (name, percent, chains) in all {
        if chance.percent(percent) {
            table(chance, (subject, is_v6), &mut lines, name, chains);
        }
    }
    lines
}

fn table(
    chance: &mut Chance,
    (subject, is_v6): (Subject, bool),
    lines: &mut Vec<Line>,
    name: &'static str,
    chains: &[&'static str],
) {
    lines.push(frame(format!("*{name}")));
    for chain in chains {
        let is_closed = name == "filter" && chance.percent(30);
        lines.push(frame(format!(":{chain} {} [0:0]", if is_closed { "DROP" } else { "ACCEPT" })));
    }
    let own = chance.below(3);
    for at in 0..own {
        lines.push(frame(format!(":U{at} - [0:0]")));
    }
    for _ in 0..1 + chance.below(10) {
        let chain = *chance.pick(chains);
        let mut rule = Rule::new(chance, subject, is_v6, name, chain);
        rule.draw(0, own);
        lines.push(rule.line(chain));
    }
    for at in 0..own {
        for _ in 0..1 + chance.below(4) {
            // Who may ask it is not known here, so only what may stand everywhere does.
            let mut rule = Rule::new(chance, subject, is_v6, name, "");
            rule.draw(at + 1, own);
            lines.push(rule.line(&format!("U{at}")));
        }
    }
    lines.push(frame("COMMIT".to_owned()));
}

fn frame(text: String) -> Line {
    Line { text, edges: vec![], is_frame: true }
}

struct Rule<'a> {
    chance: &'a mut Chance,
    subject: Subject,
    is_v6: bool,
    name: &'static str,
    chain: &'static str,
    transport: Option<&'static str>,
    words: Vec<String>,
    edges: Vec<Vec<Edge>>,
}

impl<'a> Rule<'a> {
    fn new(
        chance: &'a mut Chance,
        subject: Subject,
        is_v6: bool,
        name: &'static str,
        chain: &'static str,
    ) -> Self {
        let (words, edges) = (vec![], vec![]);
        Self { chance, subject, is_v6, name, chain, transport: None, words, edges }
    }
}

impl Rule<'_> {
    fn line(self, chain: &str) -> Line {
        Line {
            text: format!("-A {chain} {}", self.words.join(" ")),
            edges: self.edges,
            is_frame: false,
        }
    }

    fn draw(&mut self, first: usize, own: usize) {
        if self.chance.percent(55) {
            self.protocol();
        }
        for _ in 0..self.chance.below(4) {
            self.one();
        }
        let target = self.target(first, own);
        self.words.push(target);
    }

    fn push(&mut self, text: impl Into<String>, edges: Vec<Edge>) {
        let text = text.into();
        // The same option twice is refused.
        let option = text.trim_start_matches("! ").split(' ').take(2).collect::<Vec<_>>().join(" ");
        let first = option.split(' ').next().unwrap_or_default().to_owned();
        let key = if first == "-m" { option } else { first };
        if self.words.iter().any(|w| w.contains(&key)) {
            return;
        }
        self.words.push(text);
        if !edges.is_empty() {
            self.edges.push(edges);
        }
    }

    fn protocol(&mut self) {
        let icmp = if self.is_v6 { "ipv6-icmp" } else { "icmp" };
        let which = *self.chance.pick(&["tcp", "tcp", "udp", "udp", icmp, "47"]);
        let number = match which {
            "tcp" => 6,
            "udp" => 17,
            "icmp" => 1,
            "ipv6-icmp" => 58,
            _ => 47,
        };
        let not = if self.chance.percent(8) { "! " } else { "" };
        self.push(format!("{not}-p {which}"), vec![Edge::Protocol(number), Edge::Protocol(17)]);
        if not.is_empty() {
            self.transport = Some(which);
            self.transported();
        }
    }

    fn transported(&mut self) {
        match self.transport {
            Some(t @ ("tcp" | "udp")) if self.chance.percent(75) => self.ports(t),
            Some("tcp") => {
                let text = *self.chance.pick(&[
                    "--syn",
                    "! --syn",
                    "--tcp-flags SYN,ACK SYN",
                    "--tcp-flags ALL NONE",
                    "! --tcp-flags FIN,SYN,RST,ACK SYN",
                    "--tcp-flags ALL SYN,ACK",
                    "--tcp-flags RST RST",
                ]);
                let values = [2, 0, 16, 18, 4, 17, 0x42, 0xff, 3];
                self.push(
                    format!("-m tcp {text}"),
                    values.map(|f| Edge::Flags(TcpFlags(f))).to_vec(),
                );
            }
            Some("icmp") => {
                let text = *self.chance.pick(&[
                    "echo-request",
                    "8/0",
                    "3/1",
                    "destination-unreachable",
                    "any",
                ]);
                let not = if self.chance.percent(20) && text != "any" { "! " } else { "" };
                let near = [8, 0, 3, 11].map(Edge::IcmpType).to_vec();
                self.push(format!("-m icmp {not}--icmp-type {text}"), near);
                self.edges.push([0, 1, 2].map(Edge::IcmpCode).to_vec());
            }
            Some("ipv6-icmp") => {
                let text =
                    *self.chance.pick(&["echo-request", "1/4", "neighbour-solicitation", "128"]);
                let near = [128, 1, 135, 129, 4, 137, 143, 148].map(Edge::IcmpType).to_vec();
                self.push(format!("-m icmp6 --icmpv6-type {text}"), near);
                self.edges.push([0, 4, 1].map(Edge::IcmpCode).to_vec());
            }
            _ => {}
        }
    }

    fn ports(&mut self, transport: &str) {
        let is_source = self.chance.percent(20);
        let side = if is_source { "sport" } else { "dport" };
        let low = *self.chance.pick(PORTS);
        let high = low.saturating_add(self.chance.between(1, 20) as u16);
        let not = if self.chance.percent(20) { "! " } else { "" };
        let text = match self.chance.below(5) {
            0 | 1 => format!("-m {transport} {not}--{side} {low}"),
            2 => format!("-m {transport} {not}--{side} {low}:{high}"),
            3 => format!("-m multiport {not}--{side}s {low},{high}"),
            _ if high < 60000 => format!("-m multiport {not}--{side}s {low}:{high},{}", high + 9),
            _ => format!("-m {transport} {not}--{side} :{low}"),
        };
        let near = [low, high, low.wrapping_sub(1), high.wrapping_add(1), high.wrapping_add(9)];
        let edge = |p| if is_source { Edge::SourcePort(p) } else { Edge::DestinationPort(p) };
        self.push(text, near.map(edge).to_vec());
    }

    fn one(&mut self) {
        if self.subject.for_once(self.chance) == Subject::Compat {
            return self.extension();
        }
        match self.chance.below(12) {
            0..4 => self.address(),
            4 | 5 => self.links(),
            6 | 7 => {
                let text = *self.chance.pick(&[
                    "-m conntrack --ctstate RELATED,ESTABLISHED",
                    "-m conntrack --ctstate NEW",
                    "-m conntrack ! --ctstate NEW",
                    "-m conntrack --ctstate INVALID",
                    "-m state --state NEW,ESTABLISHED",
                    "-m conntrack --ctstate NEW,UNTRACKED",
                    "-m conntrack --ctstate DNAT",
                    "-m conntrack --ctdir REPLY",
                    "-m conntrack ! --ctstate RELATED,ESTABLISHED",
                ]);
                self.push(text, COMPANIES.iter().map(|c| Edge::State(*c)).collect());
            }
            8 => {
                let text = *self.chance.pick(&[
                    "-m mark --mark 0x1",
                    "-m mark ! --mark 0x0",
                    "-m mark --mark 0x10/0xff",
                    "-m connmark --mark 0x7",
                ]);
                self.push(text, vec![Edge::CtMark(0), Edge::CtMark(7)]);
            }
            9 => {
                let (low, high) = values::bounds(self.chance.word(if self.is_v6 {
                    NETWORKS6
                } else {
                    NETWORKS4
                }));
                let low = values::shift(low, 1);
                if low > high {
                    return;
                }
                let not = if self.chance.percent(30) { "! " } else { "" };
                let near = [low, high, values::shift(low, -1), values::shift(high, 1)];
                self.push(
                    format!("-m iprange {not}--src-range {low}-{high}"),
                    near.map(Edge::Source).to_vec(),
                );
            }
            10 => {
                let text = *self.chance.pick(&[
                    "-m addrtype --dst-type LOCAL",
                    "-m addrtype ! --dst-type LOCAL",
                    "-m addrtype --dst-type BROADCAST,MULTICAST",
                    "-m addrtype --src-type UNICAST",
                    "-m comment --comment \"a -j DROP 'b'\"",
                    "-m limit --limit 10000/sec --limit-burst 9999",
                ]);
                self.push(text, vec![]);
            }
            _ => self.header(),
        }
    }

    fn address(&mut self) {
        let networks = if self.is_v6 { NETWORKS6 } else { NETWORKS4 };
        let network = *self.chance.pick(networks);
        let (low, high) = values::bounds(network);
        let is_source = self.chance.percent(60);
        let not = if self.chance.percent(25) { "! " } else { "" };
        let side = if is_source { "-s" } else { "-d" };
        let near = [low, high, values::shift(low, -1), values::shift(high, 1)];
        let edge = |a| if is_source { Edge::Source(a) } else { Edge::Destination(a) };
        self.push(format!("{not}{side} {network}"), near.map(edge).to_vec());
    }

    fn links(&mut self) {
        let link = *self.chance.pick(&["eth0", "eth1", "out0", "out1"]);
        let is_in = match self.chain {
            "INPUT" | "PREROUTING" => true,
            "OUTPUT" | "POSTROUTING" => false,
            "FORWARD" => self.chance.percent(50),
            _ => return,
        };
        let not = if self.chance.percent(25) { "! " } else { "" };
        let text =
            if self.chance.percent(30) { format!("{}+", &link[..3]) } else { link.to_owned() };
        let side = if is_in { "-i" } else { "-o" };
        let edge = |l| if is_in { Edge::LinkIn(l) } else { Edge::LinkOut(l) };
        self.push(
            format!("{not}{side} {text}"),
            vec![edge(link), edge("eth0"), edge("out1"), edge("out0")],
        );
    }

    fn header(&mut self) {
        match self.chance.below(4) {
            0 if !self.is_v6 => {
                let text = *self.chance.pick(&[
                    "--ttl-lt 64",
                    "--ttl-eq 64",
                    "--ttl-gt 128",
                    "! --ttl-eq 9",
                ]);
                let text = if text.starts_with('!') { "! --ttl-eq 9" } else { text };
                self.push(
                    format!("-m ttl {text}"),
                    [63, 64, 65, 128, 129, 9].map(Edge::Ttl).to_vec(),
                );
            }
            0 => self.push("-m hl --hl-lt 64", [63, 64, 65].map(Edge::Ttl).to_vec()),
            1 => {
                let not = if self.chance.percent(30) { "! " } else { "" };
                let lengths = [100, 200, 99, 201].map(Edge::Length).to_vec();
                self.push(format!("-m length {not}--length 100:200"), lengths);
            }
            2 => {
                let not = if self.chance.percent(30) { "! " } else { "" };
                let near = [0xb8, 0, 0xbb, 0xb4].map(Edge::Class).to_vec();
                self.push(format!("-m dscp {not}--dscp 0x2e"), near);
            }
            _ if !self.is_v6 && self.transport.is_none() => {
                let not = if self.chance.percent(30) { "! " } else { "" };
                self.push(format!("{not}-f"), vec![Edge::Fragment, Edge::Ttl(9)]);
            }
            _ => {}
        }
    }

    fn target(&mut self, first: usize, own: usize) -> String {
        let has_ports = matches!(self.transport, Some("tcp" | "udp"));
        if self.name == "nat" && self.chance.percent(60) && !self.chain.is_empty() {
            return self.translation(has_ports);
        }
        let of_subject = self.subject.for_once(self.chance);
        match (self.name, of_subject) {
            ("mangle", Subject::Headers) => return self.rewriting(),
            ("mangle", Subject::Marks) => return self.marking(),
            ("mangle", _) if self.chance.percent(50) => {
                return if self.chance.percent(20) { self.rewriting() } else { self.marking() };
            }
            ("raw", Subject::Tracking) => return self.tracking(),
            ("raw", _) if self.chance.percent(40) => return self.tracking(),
            _ => {}
        }
        // The nat table takes no DROP.
        let kind =
            if self.name == "nat" { 11 + self.chance.below(9) } else { self.chance.below(20) };
        match kind {
            0..6 => "-j ACCEPT".to_owned(),
            6..11 => "-j DROP".to_owned(),
            11..14 if self.name == "filter" => self.rejection(),
            14 => "-j RETURN".to_owned(),
            15 => "-j LOG --log-prefix \"a b: \"".to_owned(),
            16 => String::new(),
            _ if first < own => {
                let to = first + self.chance.below(own - first);
                let word = *self.chance.pick(&["-j", "-j", "-g"]);
                format!("{word} U{to}")
            }
            _ => "-j ACCEPT".to_owned(),
        }
    }

    fn rejection(&mut self) -> String {
        if self.transport == Some("tcp") && self.chance.percent(50) {
            return "-j REJECT --reject-with tcp-reset".to_owned();
        }
        let all: &[&str] = if self.is_v6 {
            &[
                "-j REJECT",
                "-j REJECT --reject-with icmp6-adm-prohibited",
                "-j REJECT --reject-with icmp6-no-route",
            ]
        } else {
            &[
                "-j REJECT",
                "-j REJECT --reject-with icmp-admin-prohibited",
                "-j REJECT --reject-with icmp-host-unreachable",
            ]
        };
        (*self.chance.pick(all)).to_owned()
    }

    fn translation(&mut self, has_ports: bool) -> String {
        let port = *self.chance.pick(&PORTS[1..]);
        let to = *self.chance.pick(if self.is_v6 { FAR6 } else { FAR4 });
        let with_port = has_ports && self.chance.percent(60);
        if self.subject.for_once(self.chance) == Subject::Translation {
            return self.elaborate(has_ports);
        }
        match self.chain {
            "PREROUTING" | "OUTPUT" if self.chance.percent(40) && has_ports => {
                format!("-j REDIRECT --to-ports {port}")
            }
            "PREROUTING" | "OUTPUT" if with_port && self.is_v6 => {
                format!("-j DNAT --to-destination [{to}]:{port}")
            }
            "PREROUTING" | "OUTPUT" if with_port => format!("-j DNAT --to-destination {to}:{port}"),
            "PREROUTING" | "OUTPUT" => format!("-j DNAT --to-destination {to}"),
            "POSTROUTING" if self.chance.percent(50) => "-j MASQUERADE".to_owned(),
            _ if self.is_v6 => "-j SNAT --to-source 2001:db8:9::77".to_owned(),
            _ => "-j SNAT --to-source 10.9.0.77".to_owned(),
        }
    }
}
