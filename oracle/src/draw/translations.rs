//! Translations: to one end or a range of them, by maps, of whole networks.

use super::subject::Subject;
use super::values::{FAR4, FAR6, OWN4, PORTS};
use super::{Draft, Line, Role};

impl Draft<'_> {
    /// A translation that may stand in a chain of this role.
    pub(super) fn translation(
        &mut self,
        role: Role,
        version: Option<u8>,
        transport: Option<&'static str>,
    ) -> Vec<String> {
        let is_by_map = match self.subject {
            Subject::Translation => self.chance.percent(70),
            _ => self.chance.percent(15),
        };
        if is_by_map && let Some(text) = self.elaborate(role, version, transport) {
            return vec![text];
        }
        vec![self.plain_translation(role, version, transport)]
    }

    fn plain_translation(
        &mut self,
        role: Role,
        version: Option<u8>,
        transport: Option<&'static str>,
    ) -> String {
        let has_ports = matches!(transport, Some("tcp" | "udp"));
        let port = *self.chance.pick(&PORTS[1..]);
        let to_port =
            if has_ports && self.chance.percent(70) { format!(":{port}") } else { String::new() };
        match (role.hook, version) {
            ("prerouting" | "output", Some(version)) => {
                if self.chance.percent(40) {
                    let to =
                        if to_port.is_empty() { String::new() } else { format!(" to {to_port}") };
                    return format!("redirect{to}");
                }
                let own = self.chance.percent(20);
                let to = match (version, own) {
                    (4, true) => *self.chance.pick(OWN4),
                    (4, false) => *self.chance.pick(FAR4),
                    _ => *self.chance.pick(FAR6),
                };
                let is_bracketed = version == 6 && !to_port.is_empty();
                let to = if is_bracketed { format!("[{to}]") } else { to.to_owned() };
                format!("dnat {}to {to}{to_port}", self.of_family(version))
            }
            ("postrouting" | "input", Some(version)) => {
                if self.chance.percent(40) && role.hook == "postrouting" {
                    return "masquerade".to_owned();
                }
                let to = if version == 4 { "10.9.0.77" } else { "2001:db8:9::77" };
                format!("snat {}to {to}", self.of_family(version))
            }
            ("prerouting" | "output", None) => "redirect".to_owned(),
            ("postrouting", None) => "masquerade".to_owned(),
            _ => "accept".to_owned(),
        }
    }

    /// `ip ` or `ip6 ` in tables of both.
    fn of_family(&self, version: u8) -> &'static str {
        match (self.family, version) {
            ("inet", 4) => "ip ",
            ("inet", _) => "ip6 ",
            _ => "",
        }
    }

    /// By a map, to a range, or of a network; `None` where the rule does not say enough for one.
    fn elaborate(
        &mut self,
        role: Role,
        version: Option<u8>,
        transport: Option<&'static str>,
    ) -> Option<String> {
        let version = version?;
        let ported = transport.filter(|t| matches!(*t, "tcp" | "udp"));
        match role.hook {
            "prerouting" | "output" => self.new_destination(role, version, ported),
            "postrouting" | "input" => self.new_source(role, version, ported),
            _ => None,
        }
    }

    fn new_destination(
        &mut self,
        role: Role,
        version: u8,
        ported: Option<&'static str>,
    ) -> Option<String> {
        let of = self.of_family(version);
        let is_v6 = version == 6;
        let is_in = role.hook == "prerouting";
        Some(match (self.chance.below(14), ported, is_v6) {
            (0, Some(t), false) => format!(
                "dnat {of}to {t} dport map {{ 80 : 172.17.0.5, 443 : 10.9.0.17, 8080-8443 : 10.0.0.1 }}"
            ),
            (1, Some(t), false) => format!(
                "dnat {of}addr . port to {t} dport map {{ 80 : 172.17.0.5 . 8080, 22 : 172.17.0.6 . 22 }}"
            ),
            (2, Some(t), false) => format!(
                "dnat {of}to ip daddr . {t} dport map {{ 10.0.0.1 . 80 : 172.17.0.5, 192.168.7.1 . 443 : 10.9.0.17 }}"
            ),
            (3, Some(t), false) => {
                let data =
                    "10.0.0.0/16 . 80-90 : 172.17.0.5 . 8080, 192.168.7.1 . 443 : 10.9.0.17 . 22";
                let kind = "ipv4_addr . inet_service : ipv4_addr . inet_service; flags interval";
                let name = self.map(kind, data);
                format!("dnat {of}addr . port to ip daddr . {t} dport map @{name}")
            }
            (4, Some(t), false) => {
                let data = "1.2.3.4 . 22 : 172.17.0.6 . 2222, 10.0.3.1 . 80 : 10.0.0.1 . 8080";
                let kind = "ipv4_addr . inet_service : ipv4_addr . inet_service";
                let name = self.map(kind, data);
                format!("dnat {of}addr . port to ip saddr . {t} dport map @{name}")
            }
            (5, Some(t), _) => {
                format!("redirect to :{t} dport map {{ 80 : 8080, 22-25 : 2222, 443 : 80 }}")
            }
            (6, Some(_), _) => format!("redirect to :8080-8090{}", self.flag()),
            (7, Some(_), _) => "redirect to :80-443".to_owned(),
            (8, Some(_), false) => format!("dnat {of}to 172.17.0.5-172.17.0.6:80-90"),
            (8, Some(_), true) => format!("dnat {of}to [fd00:17::41]:80-90{}", self.flag()),
            (9, Some(t), true) => format!(
                "dnat {of}addr . port to {t} dport map {{ 80 : fd00:17::41 . 8080, 22 : 2001:db8:9::9 . 22 }}"
            ),
            (10, Some(t), true) => format!(
                "dnat {of}to ip6 daddr . {t} dport map {{ fd00:a::1 . 80 : fd00:17::41, fd00:b::1 . 22-53 : 2400:cafe::1 }}"
            ),
            (11, Some(_), _) => format!("dnat {of}to :8080"),
            (12, _, false) if is_in => {
                format!("dnat {of}to iifname map {{ \"eth0\" : 172.17.0.5, \"out0\" : 10.0.3.9 }}")
            }
            (13, _, false) => format!(
                "dnat {of}prefix to ip daddr map {{ 10.9.0.0/24 : 172.17.0.0/24, 10.0.4.0/23 : 10.0.6.0/23 }}"
            ),
            (_, _, false) => match self.chance.below(4) {
                0 => format!("dnat {of}to 172.17.0.5-172.17.0.6{}", self.flag()),
                1 => format!(
                    "dnat {of}to ip daddr map {{ 10.0.0.1 : 172.17.0.5, 192.168.7.0/24 : 8.8.8.8 }}"
                ),
                2 => format!("dnat {of}to meta mark map {{ 0x0 : 172.17.0.6, 0x1 : 10.0.0.1 }}"),
                _ => format!("dnat {of}to numgen inc mod 2 map {{ 0 : 172.17.0.5, 1 : 10.0.0.1 }}"),
            },
            (_, _, true) => match self.chance.below(3) {
                0 => format!("dnat {of}to fd00:17::41-fd00:17::44"),
                1 => format!(
                    "dnat {of}to ip6 daddr map {{ fd00:a::1 : fd00:17::41, fd00:b::/64 : 2400:cafe::1 }}"
                ),
                _ => format!(
                    "dnat {of}to ip6 saddr map {{ fd00:a::/64 : fd00:17::41, 2400::/12 : fd00:b::1 }}"
                ),
            },
        })
    }

    fn new_source(
        &mut self,
        role: Role,
        version: u8,
        ported: Option<&'static str>,
    ) -> Option<String> {
        let of = self.of_family(version);
        let is_v6 = version == 6;
        let is_out = role.hook == "postrouting";
        Some(match (self.chance.below(10), ported, is_v6) {
            (0, Some(_), _) if is_out => format!("masquerade to :1024-2000{}", self.flag()),
            (1, _, _) if is_out => format!("masquerade{}", self.flag()),
            (2, Some(_), false) => format!("snat {of}to 10.9.0.77:1024-2000"),
            (2, Some(_), true) => format!("snat {of}to [2001:db8:9::77]:1024-2000"),
            (3, Some(t), false) => format!(
                "snat {of}addr . port to ip saddr . {t} dport map {{ 10.0.3.1 . 80 : 10.9.0.77 . 2000, 1.2.3.4 . 22 : 10.9.0.78 . 2001 }}"
            ),
            (4, Some(t), false) => format!(
                "snat {of}to {t} dport map {{ 80 : 10.9.0.77, 22-53 : 10.9.0.78, 443 : 172.17.0.1 }}"
            ),
            (5, _, false) => format!("snat {of}to 10.9.0.77-10.9.0.80{}", self.flag()),
            (6, _, false) => format!(
                "snat {of}prefix to ip saddr map {{ 10.0.3.0/24 : 10.9.3.0/24, 203.0.113.0/24 : 198.51.100.0/24 }}"
            ),
            (_, _, false) => format!(
                "snat {of}to ip saddr map {{ 10.0.3.0/24 : 10.9.0.77, 1.2.3.4 : 10.9.0.78, 203.0.113.0-203.0.113.99 : 10.9.0.79 }}"
            ),
            (5 | 6, _, true) => format!("snat {of}to 2001:db8:9::77-2001:db8:9::79"),
            (_, _, true) => format!(
                "snat {of}to ip6 saddr map {{ fd00:a::/64 : 2001:db8:9::77, 2400::/12 : 2001:db8:9::78 }}"
            ),
        })
    }

    fn flag(&mut self) -> &'static str {
        self.chance.word(&["", "", " random", " persistent", " random,persistent"])
    }

    fn map(&mut self, kind: &str, data: &str) -> String {
        let name = format!("to{}", self.sets.len());
        let text = format!(
            "add map {} {} {name} {{ type {kind}; elements = {{ {data} }}; }}",
            self.family, self.name
        );
        self.sets.push(Line { text, ..Line::default() });
        name
    }
}
