//! Conditions of nft's language.

use portolan_core::firewall::TcpFlags;

use super::values::{self, PORTS};
use super::{Company, Draft, Edge, Line, Role};
use crate::rig::LINKS;

/// The conditions of one rule, which must not contradict each other's headers.
#[derive(Debug)]
pub(super) struct Matches<'a, 'b> {
    pub(super) draft: &'a mut Draft<'b>,
    role: Role,
    pub(super) words: Vec<String>,
    pub(super) edges: Vec<Vec<Edge>>,
    /// The version of IP the rule speaks of.
    pub(super) version: Option<u8>,
    /// The protocol it speaks of.
    pub(super) transport: Option<&'static str>,
}

impl<'a, 'b> Matches<'a, 'b> {
    pub(super) fn new(draft: &'a mut Draft<'b>, role: Role) -> Self {
        let version = match draft.family {
            "ip" => Some(4),
            "ip6" => Some(6),
            _ => None,
        };
        Self { draft, role, words: vec![], edges: vec![], version, transport: None }
    }

    /// One more condition.
    pub(super) fn one(&mut self) {
        let subject = self.draft.subject.for_once(self.draft.chance);
        if subject.condition(self) {
            return;
        }
        match self.draft.chance.below(100) {
            0..16 => self.ports(),
            16..30 => self.address(),
            30..40 => self.links(),
            40..50 => self.state(),
            50..57 => self.flags(),
            57..62 => self.icmp(),
            62..68 => self.protocol(),
            68..74 => self.header(),
            74..80 => self.mark(),
            80..85 => self.concatenation(),
            85..87 => self.several_kinds(),
            87..91 => self.fib(),
            91..94 => self.raw(),
            94..97 => self.connection(),
            _ => self.company(),
        }
    }

    pub(super) fn push(&mut self, text: impl Into<String>, edges: Vec<Edge>) {
        let text = text.into();
        let field = |text: &str| text.split(' ').take(2).collect::<Vec<_>>().join(" ");
        // The same field twice mostly makes a rule that no packet meets.
        if self.words.iter().any(|w| field(w) == field(&text)) && self.draft.chance.percent(80) {
            return;
        }
        self.words.push(text);
        if !edges.is_empty() {
            self.edges.push(edges);
        }
    }

    /// The version of IP of this rule, chosen if it was open.
    pub(super) fn version(&mut self) -> u8 {
        if self.version.is_none() {
            self.version = Some(if self.draft.chance.percent(60) { 4 } else { 6 });
            self.edges.push(vec![Edge::Version(self.version.unwrap_or(4))]);
        }
        self.version.unwrap_or(4)
    }

    fn is_v6(&mut self) -> bool {
        self.version() == 6
    }

    /// `tcp` or `udp`, chosen if it was open; `None` where the rule speaks of ICMP.
    pub(super) fn with_ports(&mut self) -> Option<&'static str> {
        if self.transport.is_none() {
            let which = *self.draft.chance.pick(&["tcp", "tcp", "udp"]);
            self.transport = Some(which);
            let number = if which == "tcp" { 6 } else { 17 };
            self.edges.push(vec![Edge::Protocol(number)]);
        }
        self.transport.filter(|t| matches!(*t, "tcp" | "udp" | "th"))
    }

    fn ports(&mut self) {
        if self.transport.is_none() && self.draft.chance.percent(15) {
            let text = *self.draft.chance.pick(&[
                "meta l4proto { tcp, udp }",
                "meta l4proto udp",
                "meta l4proto != icmp",
            ]);
            self.push(text, vec![Edge::Protocol(17), Edge::Protocol(6), Edge::Protocol(47)]);
            self.transport = Some("th");
        }
        let Some(transport) = self.with_ports() else { return };
        let is_source = self.draft.chance.percent(20);
        let side = if is_source { "sport" } else { "dport" };
        let pool: Vec<u32> = PORTS.iter().map(|p| u32::from(*p)).collect();
        let (text, around) = if self.draft.chance.percent(20) {
            let (elements, around) = values::several(self.draft.chance, &pool, 65535);
            let name = self.set("inet_service", &elements);
            let not = if self.draft.chance.percent(30) { "!= " } else { "" };
            (format!("{not}@{name}"), around)
        } else {
            values::number(self.draft.chance, &pool, 65535)
        };
        let edge = |port: u32| {
            let port = port as u16;
            if is_source { Edge::SourcePort(port) } else { Edge::DestinationPort(port) }
        };
        self.push(format!("{transport} {side} {text}"), around.into_iter().map(edge).collect());
    }

    fn address(&mut self) {
        let is_v6 = self.is_v6();
        let is_source = self.draft.chance.percent(60);
        let (family, kind) = if is_v6 { ("ip6", "ipv6_addr") } else { ("ip", "ipv4_addr") };
        let (text, around) = match self.draft.chance.below(10) {
            0..2 => {
                let (elements, around) = values::places(self.draft.chance, is_v6);
                let name = self.set(kind, &elements);
                let not = if self.draft.chance.percent(30) { "!= " } else { "" };
                (format!("{not}@{name}"), around)
            }
            2 if !is_v6 => {
                let mask = *self.draft.chance.pick(&["255.255.255.0", "255.0.0.255", "0.0.0.1"]);
                let (_, around) = values::place(self.draft.chance, false);
                let std::net::IpAddr::V4(value) = around[0] else { return };
                let mask: std::net::Ipv4Addr = mask.parse().expect("our own mask");
                let value = std::net::Ipv4Addr::from(u32::from(value) & u32::from(mask));
                let op = *self.draft.chance.pick(&["==", "!="]);
                (format!("& {mask} {op} {value}"), around)
            }
            _ => values::place(self.draft.chance, is_v6),
        };
        let side = if is_source { "saddr" } else { "daddr" };
        let edge = |a| if is_source { Edge::Source(a) } else { Edge::Destination(a) };
        self.push(format!("{family} {side} {text}"), around.into_iter().map(edge).collect());
    }

    fn links(&mut self) {
        let (has_in, has_out) = match self.role.hook {
            "input" | "prerouting" => (true, false),
            "output" => (false, true),
            _ => (true, true),
        };
        let is_in = has_in && (!has_out || self.draft.chance.percent(50));
        let side = if is_in { "iif" } else { "oif" };
        let one = *self.draft.chance.pick(&LINKS);
        let text = match self.draft.chance.below(6) {
            0 => format!("{side}name {{ \"eth0\", \"out1\" }}"),
            1 => format!("{side}name \"{}*\"", &one[..3]),
            2 => format!("{side}name != \"{one}\""),
            3 => format!("{side} \"{one}\""),
            4 => format!("{side}name != {{ \"eth*\", \"lo\" }}"),
            _ => format!("{side}name \"{one}\""),
        };
        let edge = |l| if is_in { Edge::LinkIn(l) } else { Edge::LinkOut(l) };
        let mut all = vec![edge(one)];
        all.extend(LINKS.map(edge));
        self.push(text, all);
    }

    fn state(&mut self) {
        let text = *self.draft.chance.pick(STATES);
        self.push(text, COMPANIES.iter().map(|c| Edge::State(*c)).collect());
    }

    fn flags(&mut self) {
        if !matches!(self.transport, None | Some("tcp")) {
            return;
        }
        self.transport = Some("tcp");
        self.edges.push(vec![Edge::Protocol(6)]);
        let text = *self.draft.chance.pick(FLAGS);
        let values = [2, 0, 1, 16, 18, 4, 17, 0x18, 0x42, 0xc2, 0xff, 3, 0x29, 6, 0x30, 0x82];
        self.push(text, values.map(|f| Edge::Flags(TcpFlags(f))).to_vec());
    }

    fn icmp(&mut self) {
        if self.transport.is_some() {
            return;
        }
        let is_v6 = self.is_v6();
        let (name, number) = if is_v6 { ("icmpv6", 58) } else { ("icmp", 1) };
        self.transport = Some(name);
        self.edges.push(vec![Edge::Protocol(number)]);
        let types: &[&str] = if is_v6 {
            &[
                "echo-request",
                "{ echo-request, nd-neighbor-solicit, 1-4 }",
                "!= echo-request",
                "nd-router-advert",
                "128-129",
            ]
        } else {
            &[
                "echo-request",
                "{ echo-request, destination-unreachable }",
                "!= echo-request",
                "8-12",
                "timestamp-request",
            ]
        };
        if self.draft.chance.percent(25) {
            let (text, around) = values::number(self.draft.chance, &[0, 1, 3, 4], 255);
            self.push(
                format!("{name} code {text}"),
                around.into_iter().map(|c| Edge::IcmpCode(c as u8)).collect(),
            );
        } else {
            let text = *self.draft.chance.pick(types);
            let near: &[u8] = if is_v6 {
                &[128, 129, 127, 1, 2, 4, 5, 135, 134, 137, 143, 148]
            } else {
                &[8, 0, 3, 7, 9, 12, 13, 11]
            };
            self.push(
                format!("{name} type {text}"),
                near.iter().map(|t| Edge::IcmpType(*t)).collect(),
            );
        }
    }

    fn protocol(&mut self) {
        let protocols = [6, 17, 1, 58, 47, 89].map(Edge::Protocol).to_vec();
        let text = match self.version {
            Some(4) => *self.draft.chance.pick(&[
                "ip protocol tcp",
                "ip protocol != udp",
                "ip protocol { tcp, udp, 47 }",
                "ip protocol icmp",
                "meta l4proto 47",
            ]),
            Some(6) => *self.draft.chance.pick(&[
                "ip6 nexthdr tcp",
                "ip6 nexthdr != udp",
                "ip6 nexthdr { tcp, icmpv6 }",
                "meta l4proto ipv6-icmp",
            ]),
            _ => *self.draft.chance.pick(&[
                "meta l4proto tcp",
                "meta l4proto != tcp",
                "meta l4proto { icmp, ipv6-icmp, 89 }",
                "meta l4proto 6-17",
                "meta nfproto ipv4",
                "meta nfproto ipv6",
                "meta protocol ip6",
                "meta protocol { ip, ip6 }",
            ]),
        };
        if text.contains("proto") || text.contains("nexthdr") {
            // Another condition must not speak of another protocol.
            if self.transport.is_some() {
                return;
            }
            if !text.contains("nfproto") && !text.contains("meta protocol") {
                self.transport = Some("none");
            }
        }
        if text.ends_with("ipv4") || text.ends_with("ipv6") || text.ends_with("ip6") {
            self.version = Some(if text.ends_with('4') { 4 } else { 6 });
            self.edges.push(vec![Edge::Version(self.version.unwrap_or(4))]);
        }
        self.push(text, protocols);
    }

    fn header(&mut self) {
        let is_v6 = self.is_v6();
        match self.draft.chance.below(6) {
            0 | 1 => {
                let word = if is_v6 { "ip6 hoplimit" } else { "ip ttl" };
                let (text, around) = values::number(self.draft.chance, &[1, 2, 64, 128, 254], 255);
                self.push(
                    format!("{word} {text}"),
                    around.into_iter().map(|t| Edge::Ttl(t as u8)).collect(),
                );
            }
            2 => {
                let word = if is_v6 { "ip6 dscp" } else { "ip dscp" };
                let text = *self.draft.chance.pick(&[
                    "ef",
                    "!= ef",
                    "{ cs1, af42 }",
                    "0-10",
                    "46",
                    "!= { 0, 8 }",
                ]);
                let near = [46 << 2, 0, 8 << 2, 36 << 2 | 1, 10 << 2, 11 << 2, 45 << 2 | 2]
                    .map(Edge::Class);
                self.push(format!("{word} {text}"), near.to_vec());
            }
            3 => {
                let word = if is_v6 { "ip6 ecn" } else { "ip ecn" };
                let text = *self.draft.chance.pick(&["ce", "!= not-ect", "{ ect0, ect1 }"]);
                self.push(format!("{word} {text}"), [3, 0, 1, 2, 0xb9].map(Edge::Class).to_vec());
            }
            4 => {
                let (text, around) = values::number(self.draft.chance, &[88, 100, 500, 1200], 1400);
                self.push(
                    format!("meta length {text}"),
                    around.into_iter().map(|l| Edge::Length(l as u16)).collect(),
                );
            }
            _ if is_v6 => {
                let (text, around) = values::number(self.draft.chance, &[60, 100, 500], 1300);
                self.push(
                    format!("ip6 length {text}"),
                    around.into_iter().map(|l| Edge::Length(l as u16 + 40)).collect(),
                );
            }
            _ => {
                if self.draft.chance.percent(40) {
                    let text = *self.draft.chance.pick(&[
                        "ip frag-off & 0x1fff != 0",
                        "ip frag-off 0",
                        "ip frag-off & 0x3fff == 0",
                    ]);
                    self.push(text, vec![Edge::Fragment, Edge::Ttl(9)]);
                    return;
                }
                let (text, around) = values::number(self.draft.chance, &[88, 100, 500, 1200], 1400);
                self.push(
                    format!("ip length {text}"),
                    around.into_iter().map(|l| Edge::Length(l as u16)).collect(),
                );
            }
        }
    }

    fn mark(&mut self) {
        let text = *self.draft.chance.pick(MARKS);
        self.push(text, vec![]);
    }

    fn company(&mut self) {
        let text = match self.role.hook {
            "output" | "postrouting" => "meta skuid 0",
            _ => *self.draft.chance.pick(&[
                "meta pkttype host",
                "meta pkttype != host",
                "meta pkttype { broadcast, multicast }",
                "meta pkttype unicast",
            ]),
        };
        let multicast = Edge::Destination(values::address("224.0.0.1"));
        self.push(text, vec![Edge::Ttl(64), multicast]);
    }

    fn concatenation(&mut self) {
        let is_v6 = self.is_v6();
        let Some(transport) = self.with_ports() else { return };
        if transport == "th" {
            return;
        }
        let (family, kind) = if is_v6 { ("ip6", "ipv6_addr") } else { ("ip", "ipv4_addr") };
        let has_ranges = self.draft.chance.percent(50);
        let (places, addresses) = if has_ranges {
            values::places(self.draft.chance, is_v6)
        } else {
            values::single_places(self.draft.chance, is_v6)
        };
        let port = |draft: &mut Draft<'_>| {
            let low = *draft.chance.pick(PORTS);
            let has_range = has_ranges && low < 65000 && draft.chance.percent(40);
            if has_range { (format!("{low}-{}", low + 7), low) } else { (low.to_string(), low) }
        };
        let mut elements = Vec::new();
        let mut ports = Vec::new();
        for place in &places {
            let (text, low) = port(self.draft);
            ports.extend([low, low.wrapping_add(7), low.wrapping_add(8), low.wrapping_sub(1)]);
            elements.push(format!("{place} . {text}"));
        }
        let side = *self.draft.chance.pick(&["saddr", "saddr", "daddr"]);
        let not = if self.draft.chance.percent(25) { "!= " } else { "" };
        let right = if self.draft.chance.percent(50) {
            let flags = if has_ranges { "flags interval; " } else { "" };
            let kind = format!("type {kind} . inet_service; {flags}");
            format!("@{}", self.set_of(&kind, &elements))
        } else {
            format!("{{ {} }}", elements.join(", "))
        };
        let edge = |a| if side == "saddr" { Edge::Source(a) } else { Edge::Destination(a) };
        self.edges.push(addresses.into_iter().map(edge).collect());
        let ports = ports.into_iter().map(Edge::DestinationPort).collect();
        self.push(format!("{family} {side} . {transport} dport {not}{right}"), ports);
    }

    /// Concatenations of other things than addresses and ports.
    fn several_kinds(&mut self) {
        let is_in = matches!(self.role.hook, "prerouting" | "input" | "forward");
        if is_in && self.draft.chance.percent(50) {
            let Some(transport @ ("tcp" | "udp")) = self.with_ports() else { return };
            let text = *self.draft.chance.pick(&["", "!= "]);
            let set = "{ \"eth0\" . 80, \"out1\" . 22, \"eth1\" . 443-8080 }";
            let edges = [80, 22, 443, 8080, 8081].map(Edge::DestinationPort).to_vec();
            self.edges.push(["eth0", "out1", "eth1"].map(Edge::LinkIn).to_vec());
            return self.push(format!("iifname . {transport} dport {text}{set}"), edges);
        }
        if self.transport.is_some() {
            return;
        }
        self.transport = Some("none");
        let not = if self.draft.chance.percent(30) { "!= " } else { "" };
        self.edges.push([6, 17, 1].map(Edge::Protocol).to_vec());
        let edges = [80, 53, 443, 444, 22].map(Edge::DestinationPort).to_vec();
        let set = "{ tcp . 80, udp . 53, tcp . 443-500 }";
        self.push(format!("meta l4proto {{ tcp, udp }} meta l4proto . th dport {not}{set}"), edges);
    }

    fn fib(&mut self) {
        let text = match self.role.hook {
            "prerouting" | "input" => *self.draft.chance.pick(FIBS),
            "forward" => *self.draft.chance.pick(&FIBS[..5]),
            _ => *self.draft.chance.pick(&FIBS[..3]),
        };
        let to = ["10.0.0.1", "8.8.8.8", "224.0.0.1", "172.17.0.5"].map(values::address);
        self.push(text, to.map(Edge::Destination).to_vec());
    }

    fn raw(&mut self) {
        if self.transport.is_some() {
            return;
        }
        self.transport = Some("none");
        let text =
            *self.draft.chance.pick(&["@th,16,16 80", "@th,0,16 != 22", "@th,16,16 { 22, 443 }"]);
        let guard = *self.draft.chance.pick(&[
            "meta l4proto tcp",
            "meta l4proto udp",
            "meta l4proto { tcp, udp }",
            "meta l4proto { udp, icmp, ipv6-icmp, 47 }",
            "meta l4proto != udp",
        ]);
        self.edges.push([6, 17, 1, 47, 89].map(Edge::Protocol).to_vec());
        self.push(format!("{guard} {text}"), [80, 22, 443, 81].map(Edge::DestinationPort).to_vec());
    }

    fn connection(&mut self) {
        let text = match self.draft.chance.below(5) {
            0 => *self.draft.chance.pick(&["ct direction original", "ct direction reply"]),
            1 => *self.draft.chance.pick(&[
                "ct status dnat",
                "ct status snat",
                "ct status seen-reply",
                "ct status assured",
                "ct status ! dnat",
            ]),
            2 => *self.draft.chance.pick(&["ct mark 0x7", "ct mark & 0x3 == 0x1", "ct mark != 0"]),
            3 => {
                let v6 = self.is_v6();
                if v6 { "ct original ip6 daddr fd00:a::1" } else { "ct original ip daddr 10.0.0.1" }
            }
            _ => {
                if self.transport.is_some() && self.transport != Some("tcp") {
                    return;
                }
                self.transport = Some("none");
                *self.draft.chance.pick(&[
                    "meta l4proto tcp ct original proto-dst { 80, 443 }",
                    "meta l4proto { tcp, udp, icmp } ct original proto-dst 80-2048",
                    "meta l4proto != tcp ct original proto-src != 22",
                    "meta l4proto { tcp, 47 } ct reply proto-src { 0, 22, 80 }",
                ])
            }
        };
        let mut edges: Vec<Edge> = COMPANIES.iter().map(|c| Edge::State(*c)).collect();
        edges.push(Edge::CtMark(7));
        self.push(text, edges);
    }

    /// A named set of this type; ranges and prefixes make it one of intervals.
    fn set(&mut self, kind: &str, elements: &[String]) -> String {
        let has_ranges = elements.iter().any(|e| e.contains('-') || e.contains('/'));
        let flags = if has_ranges { "flags interval; " } else { "" };
        self.set_of(&format!("type {kind}; {flags}"), elements)
    }

    fn set_of(&mut self, head: &str, elements: &[String]) -> String {
        let draft = &mut *self.draft;
        let name = format!("set{}", draft.sets.len());
        let head = if !head.contains("flags") && draft.chance.percent(15) {
            format!("{head}flags timeout; timeout 1h; ")
        } else {
            head.to_owned()
        };
        let text = format!(
            "add set {} {} {name} {{ {head}elements = {{ {} }}; }}",
            draft.family,
            draft.name,
            elements.join(", ")
        );
        draft.sets.push(Line { text, ..Line::default() });
        name
    }
}

pub(super) const COMPANIES: &[Company] =
    &[Company::Fresh, Company::Established, Company::Reply, Company::Related, Company::Invalid];

const STATES: &[&str] = &[
    "ct state established,related",
    "ct state new",
    "ct state invalid",
    "ct state != new,established",
    "ct state ! new",
    "ct state { new, established }",
    "ct state != { new, invalid }",
    "ct state != established",
    "ct state established",
    "ct state related",
    "ct state new,untracked",
    "ct state ! established,related",
    "ct state untracked",
    "ct state == new",
];

const FLAGS: &[&str] = &[
    "tcp flags syn",
    "tcp flags syn,ack",
    "tcp flags { syn, ack }",
    "tcp flags == syn",
    "tcp flags != syn",
    "tcp flags ! syn",
    "tcp flags & (syn|ack) == syn",
    "tcp flags & (fin|syn|rst|ack) != syn",
    "tcp flags & (fin|syn) == (fin|syn)",
    "tcp flags syn / syn,ack",
    "tcp flags != syn / fin,syn,rst,ack",
    "tcp flags & 0x3f == 0x0",
    "tcp flags & (fin | psh | urg) == fin | psh | urg",
    "tcp flags != { syn, syn | ack }",
    "tcp flags ! fin,rst",
    "tcp flags & rst == rst",
    "tcp flags == 0x0",
];

const MARKS: &[&str] = &[
    "meta mark 0x1",
    "meta mark != 0x0",
    "meta mark & 0xff == 0x10",
    "meta mark & 0x3 != 0x3",
    "meta mark { 0x1, 0x10-0x20 }",
    "meta mark and 0x1 == 0x1",
    "meta mark != 0x5-0x11",
    "meta mark ^ 0x10 == 0x1",
];

const FIBS: &[&str] = &[
    "fib daddr type local",
    "fib daddr type != local",
    "fib daddr type { broadcast, multicast }",
    "fib saddr type unicast",
    "fib daddr type unicast",
    "fib saddr . iif oif missing",
    "fib saddr . iif oif exists",
    "fib saddr oif \"out0\"",
];
