//! A packet written down: words of the command line, or of a line of a batch.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use portolan_core::firewall::simulate::Way;
use portolan_core::firewall::{
    Chain, Field, IcmpMessage, Packet, TcpFlags, World, bits, protocol_of,
};
use portolan_core::net::Transport;

use super::source;
use crate::fault::Fault;
use crate::ops;

impl Taken {
    /// Whether rules of these chains ask for the length, the time to live, the class.
    pub(crate) fn asked(chains: &[&Chain]) -> [bool; 3] {
        let asks = |is_wanted: &dyn Fn(Field) -> bool| {
            let rules = chains.iter().flat_map(|chain| &chain.rules);
            rules.flat_map(|rule| &rule.statements).any(|each| each.reads(&is_wanted))
        };
        [
            asks(&|field| matches!(field, Field::Length | Field::Length4 | Field::Length6)),
            asks(&|field| field == Field::Ttl),
            asks(&|field| field == Field::Dscp),
        ]
    }
}

/// A packet in words; what is absent has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) transport: String,
    pub(crate) source: String,
    pub(crate) source_port: Option<u16>,
    pub(crate) destination: String,
    pub(crate) destination_port: Option<u16>,
    pub(crate) interface_in: Option<String>,
    pub(crate) interface_out: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) flags: Option<String>,
    pub(crate) hook: Option<String>,
    pub(crate) icmp_type: Option<String>,
    pub(crate) code: Option<u8>,
    pub(crate) mark: Option<String>,
    pub(crate) length: Option<u16>,
    pub(crate) ttl: Option<u8>,
    pub(crate) dscp: Option<u8>,
}

/// Something of a packet that was taken as usual, though rules on its way ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Its bytes.
    Length(u16),
    /// Its time to live or hop limit.
    Ttl(u8),
    /// Its class.
    Dscp(u8),
}

/// A source port where none was given: the first of the dynamic ones (RFC 6335 §6).
const SOURCE_PORT: u16 = 49_152;

impl Written {
    /// The packet and its way; without a hook the addresses of `world` decide.
    ///
    /// # Errors
    /// A word that is none.
    pub(crate) fn read(&self, world: &World) -> Result<(Packet, Way)> {
        let protocol = protocol(&self.transport)?;
        let (source, sport) = end(&self.source, self.source_port, protocol)?;
        let (destination, dport) = end(&self.destination, self.destination_port, protocol)?;
        for name in [&self.interface_in, &self.interface_out].into_iter().flatten() {
            source::there_is(name, world)?;
        }
        check_families(protocol, source, destination)?;
        let dport = match (has_ports(protocol), dport) {
            (true, None) => return Err(no_port(&self.destination)),
            (false, Some(_)) => return Err(no_ports_in(&self.transport)),
            (_, port) => port.unwrap_or(0),
        };
        let sport = sport.unwrap_or(if has_ports(protocol) { SOURCE_PORT } else { 0 });
        let mut packet =
            Packet::new(protocol, source, destination).framed(world).ports(sport, dport);
        self.company(&mut packet)?;
        let way = match self.hook.as_deref() {
            Some(word) => way(word)?,
            None if is_sent_from_here(&packet, world) => Way::Output,
            None => Way::ByRoute,
        };
        Ok((packet, way))
    }

    /// Everything beside addresses and ports.
    fn company(&self, packet: &mut Packet) -> Result<()> {
        packet.interface_in = self.interface_in.as_deref().unwrap_or_default().into();
        packet.interface_out = self.interface_out.as_deref().map(Into::into);
        if let Some(word) = &self.state {
            packet.state = Some(state(word)?);
            if word == "established" {
                packet.status =
                    bits::STATUS_SEEN_REPLY | bits::STATUS_ASSURED | bits::STATUS_CONFIRMED;
            }
        }
        if let Some(words) = &self.flags {
            if packet.protocol != 6 {
                return Err(Fault::new("only TCP has flags", "leave --flags away"));
            }
            packet.tcp_flags = flags(words)?;
        }
        if let Some(word) = &self.icmp_type {
            let kind = icmp_type(word, packet.protocol)?;
            packet.icmp = IcmpMessage { kind, code: self.code.unwrap_or(0) };
        }
        if let Some(word) = &self.mark {
            packet.mark = mark(word)?;
        }
        packet.length = self.length.unwrap_or(packet.length);
        packet.ttl = self.ttl.unwrap_or(packet.ttl);
        if let Some(class) = self.dscp {
            if class > 63 {
                return Err(Fault::new(format!("{class} is no DSCP"), "it has six bits: 0 to 63"));
            }
            packet.traffic_class = class << 2;
        }
        Ok(())
    }

    /// What was not said of `packet` and is asked for by a rule of these chains.
    pub(crate) fn taken(&self, packet: &Packet, chains: &[&Chain]) -> Vec<Taken> {
        let [length, ttl, dscp] = Taken::asked(chains);
        let is_taken = [
            (length && self.length.is_none(), Taken::Length(packet.length)),
            (ttl && self.ttl.is_none(), Taken::Ttl(packet.ttl)),
            (dscp && self.dscp.is_none(), Taken::Dscp(packet.traffic_class >> 2)),
        ];
        is_taken.into_iter().filter(|(is_taken, _)| *is_taken).map(|(_, taken)| taken).collect()
    }
}

fn is_sent_from_here(packet: &Packet, world: &World) -> bool {
    let is_own = world.is_known() && world.is_local(packet.source);
    is_own && packet.interface_in.is_empty() && !world.is_local(packet.destination)
}

const PROTOCOLS: [(&str, u8); 12] = [
    ("tcp", 6),
    ("udp", 17),
    ("icmp", 1),
    ("icmpv6", 58),
    ("icmp6", 58),
    ("ipv6-icmp", 58),
    ("sctp", 132),
    ("dccp", 33),
    ("udplite", 136),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
];

fn protocol(word: &str) -> Result<u8> {
    let lower = word.to_ascii_lowercase();
    let named = PROTOCOLS.iter().find(|(name, _)| *name == lower).map(|(_, number)| *number);
    named.or_else(|| lower.parse().ok()).ok_or_else(|| {
        let hint =
            "transports are tcp, udp, icmp, icmpv6, sctp, dccp, udplite, gre, esp, ah or a number";
        Fault::new(format!("`{word}` is no transport"), hint)
    })
}

const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 33 | 132 | 136)
}

/// An address with or without its port: `10.0.0.1`, `10.0.0.1:80`, `10.0.0.1:ssh`, `fd00::1`, `[fd00::1]:80`.
fn end(text: &str, port: Option<u16>, protocol: u8) -> Result<(IpAddr, Option<u16>)> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok((address, port));
    }
    let Some((address, word)) = parts(text) else {
        let hint = "write 10.0.0.1, 10.0.0.1:80, fd00::1 or [fd00::1]:80; names are not resolved";
        return Err(Fault::new(format!("`{text}` is no address"), hint));
    };
    let said = port_of(word, protocol)?;
    match port.is_none_or(|port| port == said) {
        true => Ok((address, Some(said))),
        false => Err(Fault::new(format!("`{text}` has two ports"), "")),
    }
}

/// The address of an end, and what stands where its port does.
fn parts(text: &str) -> Option<(IpAddr, &str)> {
    if let Some((address, word)) = text.strip_prefix('[').and_then(|text| text.split_once("]:")) {
        return Some((address.parse::<Ipv6Addr>().ok()?.into(), word));
    }
    let (address, word) = text.split_once(':')?;
    Some((address.parse::<Ipv4Addr>().ok()?.into(), word))
}

/// A port by its number or by the name of what is registered for it.
fn port_of(word: &str, protocol: u8) -> Result<u16> {
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
        let no_port = || Fault::new(format!("there is no port {word}"), "ports end with 65535");
        return word.parse().map_err(|_| no_port());
    }
    let registry = ops::registry::load().value;
    let transport = Transport::ALL.into_iter().find(|t| protocol_of(*t) == protocol);
    let all = registry.by_name(word);
    let all = || all.iter().filter(|assignment| assignment.port.is_some());
    let alike = all().find(|a| transport.is_some_and(|t| a.transports.contains(t)));
    let port = alike.or_else(|| all().next()).and_then(|assignment| assignment.port);
    port.map(|port| port.0).ok_or_else(|| {
        let hint = "write its number; names are those of portolan lookup";
        Fault::new(format!("`{word}` is no port"), hint)
    })
}

fn check_families(protocol: u8, source: IpAddr, destination: IpAddr) -> Result<()> {
    if source.is_ipv6() != destination.is_ipv6() {
        let what = format!("{source} and {destination} are of two families");
        return Err(Fault::new(what, "a packet is IPv4 or IPv6"));
    }
    match (protocol, source.is_ipv6()) {
        (1, true) => Err(Fault::new("icmp is IPv4's", "write icmpv6")),
        (58, false) => Err(Fault::new("icmpv6 is IPv6's", "write icmp")),
        _ => Ok(()),
    }
}

fn no_port(destination: &str) -> anyhow::Error {
    let end = if destination.contains("::") {
        format!("[{destination}]:80")
    } else {
        format!("{destination}:80")
    };
    Fault::new(format!("`{destination}` has no port"), format!("write {end}"))
}

fn no_ports_in(transport: &str) -> anyhow::Error {
    Fault::new(format!("{transport} has no ports"), "leave the port away")
}

pub(super) fn way(word: &str) -> Result<Way> {
    match word {
        "prerouting" => Ok(Way::Prerouting),
        "input" => Ok(Way::Input),
        "forward" => Ok(Way::Forward),
        "output" => Ok(Way::Output),
        _ => {
            let hint = "ways are prerouting, input, forward and output";
            Err(Fault::new(format!("there is no way by the hook `{word}`"), hint))
        }
    }
}

/// The words for states, as nft has them.
pub(crate) const STATES: [(&str, u128); 5] = [
    ("new", bits::NEW),
    ("established", bits::ESTABLISHED),
    ("related", bits::RELATED),
    ("invalid", bits::INVALID),
    ("untracked", bits::UNTRACKED),
];

fn state(word: &str) -> Result<u128> {
    let found = STATES.iter().find(|(name, _)| *name == word.to_ascii_lowercase());
    found.map(|(_, bit)| *bit).ok_or_else(|| {
        let hint = "states are new, established, related, invalid and untracked; a packet has one";
        Fault::new(format!("`{word}` is no state"), hint)
    })
}

/// The words for flags of TCP.
pub(crate) const FLAGS: [(&str, TcpFlags); 8] = [
    ("fin", TcpFlags::FIN),
    ("syn", TcpFlags::SYN),
    ("rst", TcpFlags::RST),
    ("psh", TcpFlags::PSH),
    ("ack", TcpFlags::ACK),
    ("urg", TcpFlags::URG),
    ("ece", TcpFlags::ECE),
    ("cwr", TcpFlags::CWR),
];

fn flags(words: &str) -> Result<TcpFlags> {
    let words = words.to_ascii_lowercase();
    let mut all = TcpFlags::default();
    for word in words.split([',', '|', ' ']).filter(|word| !word.is_empty() && *word != "none") {
        let found = FLAGS.iter().find(|(name, _)| *name == word);
        let Some((_, flag)) = found else {
            let hint = "flags are fin, syn, rst, psh, ack, urg, ece, cwr, and none";
            return Err(Fault::new(format!("`{word}` is no TCP flag"), hint));
        };
        all = all.with(*flag);
    }
    Ok(all)
}

fn icmp_type(word: &str, protocol: u8) -> Result<u8> {
    if !matches!(protocol, 1 | 58) {
        return Err(Fault::new("only ICMP has types", "leave --type away"));
    }
    let is_v6 = protocol == 58;
    let named = IcmpMessage::named(word, is_v6);
    named.or_else(|| word.parse().ok()).ok_or_else(|| {
        let known: Vec<&str> = IcmpMessage::names(is_v6).collect();
        Fault::new(
            format!("`{word}` is no ICMP type known here"),
            format!("write its number, or {}", known.join(", ")),
        )
    })
}

fn mark(word: &str) -> Result<u32> {
    let parsed = match word.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => word.parse(),
    };
    parsed.map_err(|_| Fault::new(format!("`{word}` is no mark"), "write 0x10 or 16"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(transport: &str, source: &str, destination: &str) -> Written {
        let word = str::to_owned;
        let (transport, source) = (word(transport), word(source));
        Written { transport, source, destination: word(destination), ..Written::default() }
    }

    fn read(written: &Written) -> Result<Packet> {
        written.read(&World::default()).map(|(packet, _)| packet)
    }

    #[test]
    fn ends_have_ports_or_not() {
        let packet = read(&written("tcp", "10.0.0.1:5", "10.0.0.2:80")).unwrap();
        assert_eq!((packet.source_port, packet.destination_port), (5, 80));
        let packet = read(&written("udp", "fd00::1", "[fd00::2]:53")).unwrap();
        assert_eq!((packet.source_port, packet.destination_port), (49_152, 53));
        assert!(read(&written("tcp", "10.0.0.1", "10.0.0.2")).is_err());
        assert!(read(&written("icmp", "10.0.0.1", "10.0.0.2:8")).is_err());
        assert!(read(&written("icmp", "10.0.0.1", "10.0.0.2")).is_ok());
        assert!(read(&written("tcp", "10.0.0.1", "[fd00::2]:53")).is_err());
        assert!(read(&written("icmp", "fd00::1", "fd00::2")).is_err());
        assert!(read(&written("tcp", "host", "10.0.0.2:80")).is_err());
    }

    #[test]
    fn a_port_may_be_named_and_one_that_is_none_is_called_so() {
        let port = |transport: &str, end: &str| {
            let from = if end.starts_with('[') { "fd00::1" } else { "10.0.0.1" };
            read(&written(transport, from, end))
                .map(|p| p.destination_port)
                .map_err(|e| e.to_string())
        };
        assert_eq!(port("tcp", "10.0.0.2:ssh").unwrap(), 22);
        assert_eq!(port("udp", "[fd00::2]:domain").unwrap(), 53);
        assert_eq!(port("tcp", "10.0.0.2:99999").unwrap_err(), "there is no port 99999");
        assert_eq!(port("tcp", "10.0.0.2:shh").unwrap_err(), "`shh` is no port");
        assert_eq!(port("tcp", "10.0.0.2:").unwrap_err(), "`` is no port");
        assert_eq!(port("tcp", "10.0.0.256:22").unwrap_err(), "`10.0.0.256:22` is no address");
    }

    #[test]
    fn flags_and_types_have_names() {
        let flagged = |flags: &str| Written {
            flags: Some(flags.into()),
            ..written("tcp", "10.0.0.1", "10.0.0.2:80")
        };
        assert_eq!(read(&flagged("SYN,ack")).unwrap().tcp_flags, TcpFlags(18));
        assert_eq!(read(&flagged("none")).unwrap().tcp_flags, TcpFlags(0));
        assert!(read(&flagged("sin")).is_err());
        let icmp = Written {
            icmp_type: Some("time-exceeded".into()),
            code: Some(1),
            ..written("icmp", "10.0.0.1", "10.0.0.2")
        };
        assert_eq!(read(&icmp).unwrap().icmp, IcmpMessage { kind: 11, code: 1 });
    }
}
