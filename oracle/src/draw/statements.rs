//! What rules do: marks, verdicts, maps of verdicts.

use super::{Draft, Line, Role};

impl Draft<'_> {
    /// The statements behind the conditions.
    pub(super) fn statements(
        &mut self,
        role: Role,
        first: usize,
        version: Option<u8>,
        transport: Option<&'static str>,
    ) -> Vec<String> {
        let mut words = Vec::new();
        if self.chance.percent(25) {
            words.push("counter".to_owned());
        }
        if self.chance.percent(8) {
            words.push("limit rate 1000000/second burst 60000 packets".to_owned());
        }
        if self.chance.percent(18) {
            words.push(self.assignment(transport));
        }
        if role.kind != "nat" || self.chance.percent(30) {
            let subject = self.subject.for_once(self.chance);
            words.extend(subject.statement(self, role, version, transport));
        }
        if self.chance.percent(3) {
            words.push(format!("log prefix \"x{first}\" group 3"));
        }
        if self.chance.percent(5)
            && let Some(version) = version
        {
            words.push(self.note_in_set(version));
        }
        let decision = if role.kind == "nat" && self.chance.percent(70) {
            self.translation(role, version, transport)
        } else {
            self.decision(role, first, version, transport)
        };
        words.extend(decision);
        if words.is_empty() {
            words.push("counter".to_owned());
        }
        if self.chance.percent(5) {
            words.push("comment \"why: \\\"so\\\"\"".replace("\\\"", "'"));
        }
        words
    }

    /// Writes into a set that no other rule asks: with room it changes nothing, without it ends the rule.
    fn note_in_set(&mut self, version: u8) -> String {
        let (kind, key, other) = match version {
            4 => ("ipv4_addr", "ip saddr", "192.0.2.99"),
            _ => ("ipv6_addr", "ip6 saddr", "3fff::99"),
        };
        let name = format!("notes{}", self.sets.len());
        let is_full = self.chance.percent(40);
        let (size, elements) = match is_full {
            true => (1, format!(" elements = {{ {other} }};")),
            false => (65535, String::new()),
        };
        let text = format!(
            "add set {} {} {name} {{ type {kind}; size {size}; flags dynamic,timeout; timeout 1h;{elements} }}",
            self.family, self.name
        );
        self.sets.push(Line { text, ..Line::default() });
        let word = *self.chance.pick(&["add", "update"]);
        let write = format!("{word} @{name} {{ {key} }}");
        if self.chance.percent(50) {
            return write;
        }
        // Looked up by the packet that put it in, and taken out again: the listing stays as it is.
        format!("{write} {key} @{name} delete @{name} {{ {key} }}")
    }

    fn assignment(&mut self, transport: Option<&'static str>) -> String {
        if self.chance.percent(15) && matches!(transport, Some("tcp" | "udp")) {
            let transport = transport.unwrap_or("tcp");
            return format!(
                "meta mark set {transport} dport map {{ 22 : 0x1, 80-90 : 0x10, 443 : 0x11 }}"
            );
        }
        (*self.chance.pick(&[
            "meta mark set 0x1",
            "meta mark set 0x10",
            "meta mark set meta mark | 0x10",
            "meta mark set meta mark & 0xfffffff0",
            "meta mark set meta mark ^ 0x11",
            "meta mark set meta mark and 0xf or 0x20",
            "meta mark set ct mark",
            "ct mark set meta mark",
            "ct mark set 0x7",
            "meta mark set ct mark and 0x3",
        ]))
        .to_owned()
    }

    fn decision(
        &mut self,
        role: Role,
        first: usize,
        version: Option<u8>,
        transport: Option<&'static str>,
    ) -> Vec<String> {
        let next: Vec<String> = self
            .chains
            .iter()
            .skip(first)
            .filter(|(_, of)| of.hook == role.hook && of.kind == role.kind)
            .map(|(name, _)| name.clone())
            .collect();
        let text = match self.chance.below(100) {
            0..28 => "accept".to_owned(),
            28..52 => "drop".to_owned(),
            52..60 if role.kind == "filter" && role.hook != "postrouting" => {
                self.rejection(transport)
            }
            60..66 => "return".to_owned(),
            66..68 => "continue".to_owned(),
            68..74 => self.verdict_map(role, &next, version, transport),
            74..77 if matches!(role.hook, "prerouting" | "output") && role.priority <= -300 => {
                "notrack".to_owned()
            }
            74..94 if !next.is_empty() => {
                let word = *self.chance.pick(&["jump", "jump", "goto"]);
                format!("{word} {}", self.chance.pick(&next))
            }
            _ => return Vec::new(),
        };
        vec![text]
    }

    fn rejection(&mut self, transport: Option<&'static str>) -> String {
        let all: &[&str] = match self.family {
            "ip" => &[
                "reject",
                "reject with icmp type host-unreachable",
                "reject with icmp type admin-prohibited",
            ],
            "ip6" => &[
                "reject",
                "reject with icmpv6 type no-route",
                "reject with icmpv6 type admin-prohibited",
            ],
            _ => &[
                "reject",
                "reject with icmpx type admin-prohibited",
                "reject with icmpx type host-unreachable",
                "reject with icmpx type no-route",
            ],
        };
        if transport == Some("tcp") && self.chance.percent(50) {
            return "reject with tcp reset".to_owned();
        }
        (*self.chance.pick(all)).to_owned()
    }

    fn verdict_map(
        &mut self,
        role: Role,
        next: &[String],
        version: Option<u8>,
        transport: Option<&'static str>,
    ) -> String {
        let verdict = |draft: &mut Self| match draft.chance.below(6) {
            0 | 1 => "accept".to_owned(),
            2 | 3 => "drop".to_owned(),
            4 if !next.is_empty() => format!("jump {}", draft.chance.pick(next)),
            5 if !next.is_empty() => format!("goto {}", draft.chance.pick(next)),
            _ => "return".to_owned(),
        };
        let is_in = matches!(role.hook, "prerouting" | "input" | "forward");
        let (key, kind, keys): (String, &str, &[&str]) = match transport {
            _ if is_in && self.chance.percent(15) => {
                ("iifname".to_owned(), "ifname", &["\"eth0\"", "\"out*\"", "\"eth1\""])
            }
            _ if version == Some(4) && self.chance.percent(25) => (
                "ip saddr".to_owned(),
                "ipv4_addr",
                &["10.0.3.0/24", "1.2.3.4", "203.0.113.0-203.0.113.200", "64.0.0.0/3"],
            ),
            _ if version == Some(6) && self.chance.percent(25) => (
                "ip6 daddr".to_owned(),
                "ipv6_addr",
                &["fd00:a::/64", "2001:db8:9::9", "fd00:17::40/122"],
            ),
            Some(t @ ("tcp" | "udp")) if version == Some(4) && self.chance.percent(20) => (
                format!("ip saddr . {t} dport"),
                "ipv4_addr . inet_service",
                &["10.0.3.0/24 . 80", "1.2.3.4 . 22-53", "203.0.113.0/24 . 443"],
            ),
            Some(t @ ("tcp" | "udp")) => {
                (format!("{t} dport"), "inet_service", &["22", "80", "443", "8080-8443"])
            }
            None if self.chance.percent(50) => {
                ("meta l4proto".to_owned(), "inet_proto", &["tcp", "udp", "icmp"])
            }
            _ if self.chance.percent(50) => (
                "ct state".to_owned(),
                "ct_state",
                &["established", "new", "invalid", "related", "untracked"],
            ),
            _ => ("meta mark".to_owned(), "mark", &["0x1", "0x10", "0x0"]),
        };
        let mut elements = Vec::new();
        for key in keys {
            if self.chance.percent(60) {
                elements.push(format!("{key} : {}", verdict(self)));
            }
        }
        if elements.is_empty() {
            elements.push(format!("{} : {}", keys[0], verdict(self)));
        }
        let has_ranges = elements.iter().any(|e| e.contains(['-', '/', '*']));
        if self.chance.percent(40) && !matches!(kind, "ct_state" | "ifname") {
            let name = format!("map{}", self.sets.len());
            let flags = if has_ranges { "flags interval; " } else { "" };
            let text = format!(
                "add map {} {} {name} {{ type {kind} : verdict; {flags}elements = {{ {} }}; }}",
                self.family,
                self.name,
                elements.join(", ")
            );
            self.sets.push(Line { text, ..Line::default() });
            return format!("{key} vmap @{name}");
        }
        format!("{key} vmap {{ {} }}", elements.join(", "))
    }
}
