//! The small languages inside the file's strings: ports, sources, addresses, durations, dates.
//!
//! Each function takes the text and gives the value or what is wrong with it; names are taken as
//! they stand and looked up by the caller, who knows them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use jiff::SignedDuration;
use jiff::civil::Date;

use super::node::shortened;
use crate::inventory::{AddressSpec, End, HostSelector, PortSpec, Rate};
use crate::net::{Endpoint, Port, PortError, PortRange, Prefix, PrefixError, TransportSet};

/// What is wrong with a text, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// One line.
    pub(crate) message: String,
    /// One line, or empty.
    pub(crate) hint: String,
}

impl Wrong {
    /// An error with its hint.
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// `443/tcp`, `5000-5010/tcp`, `53/tcp+udp`, also `tcp/443` and `tcp:443`; `ip:112`, `esp`.
pub(crate) fn port_spec(text: &str) -> Result<PortSpec, Wrong> {
    if let Some(protocol) = protocol(text)? {
        return Ok(protocol);
    }
    let Some((left, right)) = text.split_once(['/', ':']) else {
        return Err(without_transport(text));
    };
    let (numbers, transports) = match left.parse::<TransportSet>() {
        Ok(_) => (right, left),
        Err(_) => (left, right),
    };
    let transports = transports
        .parse::<TransportSet>()
        .map_err(|error| Wrong::new(error.to_string(), PORT_EXAMPLE))?;
    Ok(PortSpec::Ports { range: port_range(numbers)?, transports })
}

fn without_transport(text: &str) -> Wrong {
    match port_range(text) {
        Ok(range) => Wrong::new(
            format!("`{range}` lacks its transport"),
            format!("write \"{range}/tcp\" or \"{range}/udp\""),
        ),
        Err(wrong) => wrong,
    }
}

/// `ip:N` or the name of an IP protocol; `None` where the text is neither.
fn protocol(text: &str) -> Result<Option<PortSpec>, Wrong> {
    let known = IP_PROTOCOLS.iter().find(|(name, _)| *name == text);
    if let Some((name, number)) = known {
        return Ok(Some(PortSpec::Protocol { number: *number, name: Some((*name).to_owned()) }));
    }
    let Some(digits) = text.strip_prefix("ip:") else { return Ok(None) };
    let number = digits.parse().map_err(|_| {
        Wrong::new(
            format!("`{}` is not the number of an IP protocol", shortened(text)),
            "write ip:0 to ip:255, such as ip:112",
        )
    })?;
    Ok(Some(PortSpec::Protocol { number, name: None }))
}

/// `443` or `5000-5010`. Port 0 is never listened on and so refused.
pub(crate) fn port_range(text: &str) -> Result<PortRange, Wrong> {
    let range: PortRange = shortened(text).parse().map_err(|error: PortError| {
        let hint = match &error {
            PortError::Reversed { first, last } => format!("write {last}-{first}"),
            PortError::TooLarge { .. } => "ports end at 65535".to_owned(),
            PortError::NotANumber { .. } => PORT_EXAMPLE.to_owned(),
        };
        Wrong::new(error.to_string(), hint)
    })?;
    if range.first() == Port(0) {
        return Err(Wrong::new("nothing can listen on port 0", "ports begin at 1"));
    }
    Ok(range)
}

const PORT_EXAMPLE: &str = "ports are written \"443/tcp\", \"53/tcp+udp\", \"5000-5010/udp\"";

/// IP protocols that firewalls are asked to let through, by the names and numbers of IANA's
/// registry "Assigned Internet Protocol Numbers".
const IP_PROTOCOLS: [(&str, u8); 12] = [
    ("icmp", 1),
    ("igmp", 2),
    ("ipip", 4),
    ("ipv6", 41),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmpv6", 58),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
];

/// `*`, `host`, `@group`, `!host`, `!@group`.
pub(crate) fn host_selector(text: &str) -> Result<HostSelector, Wrong> {
    let selector = match text.strip_prefix('!').map_or((false, text), |rest| (true, rest)) {
        (false, "*") => HostSelector::All,
        (true, "*") => return Err(Wrong::new("`!*` leaves no host", "leave it out")),
        (negated, name) => match (negated, name.strip_prefix('@')) {
            (false, Some(group)) => HostSelector::Group(group.to_owned()),
            (true, Some(group)) => HostSelector::NotGroup(group.to_owned()),
            (false, None) => HostSelector::Host(name.to_owned()),
            (true, None) => HostSelector::NotHost(name.to_owned()),
        },
    };
    Ok(selector)
}

/// An address or a network. One of IPv4 written as IPv6 (RFC 4291 §2.5.5.2) is refused: programs show
/// it, no packet carries it, so a rule about it would never match.
pub(crate) fn prefix(text: &str) -> Result<Prefix, Wrong> {
    let parsed: Result<Prefix, _> = shortened(text).parse();
    if let Ok(prefix) = parsed
        && let IpAddr::V4(plain) = prefix.address().to_canonical()
        && prefix.address().is_ipv6()
        && prefix.length() >= 96
    {
        return Err(mapped(text, plain, prefix.length() - 96));
    }
    parsed.map_err(|error: PrefixError| {
        let hint = match &error {
            PrefixError::HostBits { found, network } => {
                let alone = found.split('/').next().unwrap_or(found);
                format!("write {network} for the network or {alone} for the one address")
            }
            _ => String::new(),
        };
        Wrong::new(error.to_string(), hint)
    })
}

fn mapped(text: &str, plain: Ipv4Addr, length: u8) -> Wrong {
    let message = format!("`{}` is IPv4 written as IPv6: no packet carries it", shortened(text));
    let plain = if length == 32 { plain.to_string() } else { format!("{plain}/{length}") };
    Wrong::new(message, format!("write {plain}"))
}

/// One address.
pub(crate) fn address(text: &str) -> Result<IpAddr, Wrong> {
    let parsed: IpAddr = text.parse().map_err(|_| {
        Wrong::new(format!("`{}` is not an IP address", shortened(text)), "such as 192.0.2.7")
    })?;
    match parsed.to_canonical() {
        IpAddr::V4(plain) if parsed.is_ipv6() => Err(mapped(text, plain, 32)),
        _ => Ok(parsed),
    }
}

/// An address, a network, `iface:eth0` or `dns:NAME`.
pub(crate) fn address_spec(text: &str) -> Result<AddressSpec, Wrong> {
    if let Some(interface) = text.strip_prefix("iface:") {
        return interface_name(interface).map(AddressSpec::Interface);
    }
    if let Some(name) = text.strip_prefix("dns:") {
        return dns_name(name).map(AddressSpec::Dns);
    }
    prefix(text).map(AddressSpec::Prefix).map_err(|wrong| match wrong.hint.is_empty() {
        true => Wrong { hint: "or \"iface:eth0\", or \"dns:name.example.org\"".into(), ..wrong },
        false => wrong,
    })
}

/// A group (RFC 1112, RFC 4291 §2.7) or a broadcast address, whose host part is all ones.
pub(crate) fn group_address(text: &str) -> Result<IpAddr, Wrong> {
    let address = address(text)?;
    let shared = match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4.octets()[3] & 0b11 == 0b11,
        IpAddr::V6(v6) => v6.is_multicast(),
    };
    if shared {
        return Ok(address);
    }
    Err(Wrong::new(
        format!("{address} is neither a multicast nor a broadcast address"),
        "`to` is for groups such as 224.0.0.251; a machine's own addresses go into `bind`",
    ))
}

/// The name of a network interface: up to 15 bytes, no slash, no space (linux: dev_valid_name). No asterisk
/// either, which nft would take for any ending (nft(8)).
pub(crate) fn interface_name(text: &str) -> Result<String, Wrong> {
    let possible = !text.is_empty()
        && text.len() <= 15
        && !matches!(text, "." | "..")
        && !text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control());
    if possible && text.contains('*') {
        let hint = "name each of them: a network for each interface, and all of them in `from`";
        return Err(Wrong::new(
            format!("`{text}` would be many interfaces, and one is meant"),
            hint,
        ));
    }
    if possible {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{}` cannot be an interface", shortened(text)), "such as eth0"))
}

/// A host name that can be asked for (RFC 1123 §2.1; underscores are common and allowed).
pub(crate) fn dns_name(text: &str) -> Result<String, Wrong> {
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(label) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{}` cannot be a DNS name", shortened(text)), "such as db.example.org"))
}

/// `10.0.0.1:80` or `[2001:db8::1]:80`; `None` where it does not look like one.
pub(crate) fn endpoint(text: &str) -> Option<Endpoint> {
    let address: SocketAddr = text.parse().ok()?;
    (address.port() != 0).then(|| Endpoint::new(address.ip(), Port(address.port())))
}

/// `30s`, `2h`, `180d`, `1w`, also `1h30m`; longer than nothing.
pub(crate) fn duration(text: &str) -> Result<SignedDuration, Wrong> {
    let total = sum_of_parts(text).filter(|total| !total.is_zero());
    total.ok_or_else(|| {
        Wrong::new(
            format!("`{}` is not a duration", shortened(text)),
            "a number and ms, s, m, h, d or w, such as \"30s\" or \"180d\"",
        )
    })
}

fn sum_of_parts(text: &str) -> Option<SignedDuration> {
    let mut total = SignedDuration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, after) = after.split_at(letters);
        total = total.checked_add(part(number.parse().ok()?, unit)?)?;
        rest = after;
    }
    Some(total)
}

fn part(number: i64, unit: &str) -> Option<SignedDuration> {
    let seconds = match unit {
        "ms" => return Some(SignedDuration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    number.checked_mul(seconds).filter(|s| *s <= LONGEST_SECONDS).map(SignedDuration::from_secs)
}

/// A thousand years: beyond it a date plus a duration leaves the calendar.
const LONGEST_SECONDS: i64 = 1000 * 366 * 86_400;

/// `2027-03-01`, a day of the calendar and nothing more.
pub(crate) fn date(text: &str) -> Result<Date, Wrong> {
    let shape = text.len() == 10 && text.is_ascii();
    shape.then(|| text.parse().ok()).flatten().ok_or_else(|| {
        Wrong::new(format!("`{}` is not a date", shortened(text)), "such as 2027-03-01")
    })
}

/// `2027-03-01`, or `2027-03-01T16:00:00Z`: where a time of day stands, so does its offset.
pub(crate) fn end(text: &str) -> Result<End, Wrong> {
    if text.len() <= 10 {
        return date(text).map(End::Day);
    }
    text.parse().map_err(|_| {
        Wrong::new(
            format!("`{}` is neither a date nor a moment", shortened(text)),
            "such as 2027-03-01 or 2027-03-01T16:00:00Z",
        )
    })
}

/// `6/30s`: so many in so long, as the kernel can count them.
pub(crate) fn rate(text: &str) -> Result<Rate, Wrong> {
    let parts = text.split_once('/').and_then(|(count, per)| {
        let count = count.parse().ok().filter(|c| *c > 0)?;
        Some(Rate { count, per: duration(per).ok()? })
    });
    let rate = parts.ok_or_else(|| {
        Wrong::new(
            format!("`{}` is not a limit", shortened(text)),
            "connections and a time, such as \"6/30s\"",
        )
    })?;
    if rate.count > MOST_IN_A_LIMIT {
        let message = format!("`{}` is more than a limit counts", shortened(text));
        return Err(Wrong::new(message, format!("1 to {MOST_IN_A_LIMIT} connections in a time")));
    }
    if !(SHORTEST_LIMIT..=LONGEST_LIMIT).contains(&rate.per) {
        let message = format!("`{}` is over a time that no limit counts over", shortened(text));
        return Err(Wrong::new(message, "from 100ms to 7d (nft counts by the week at most)"));
    }
    Ok(rate)
}

/// A week of nanoseconds times this is the most that the kernel's 64 bits hold (net/netfilter/nft_limit.c).
const MOST_IN_A_LIMIT: u32 = 30_000;
/// With the most connections this is less than a million in a second, more than any machine accepts.
const SHORTEST_LIMIT: SignedDuration = SignedDuration::from_millis(100);
/// The longest unit of nft(8)'s `limit rate`.
const LONGEST_LIMIT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How long the kernel keeps something in a set: whole seconds, as a compiled set says it, up to a year.
/// nft(8) reads no number of more than eight digits there.
pub(crate) fn set_timeout(text: &str) -> Result<SignedDuration, Wrong> {
    let span = duration(text)?;
    let is_whole = span.subsec_nanos() == 0;
    if is_whole && (SHORTEST_TIMEOUT..=LONGEST_TIMEOUT).contains(&span) {
        return Ok(span);
    }
    let message = format!("`{}` is no time the kernel keeps a source for", shortened(text));
    Err(Wrong::new(message, "whole seconds, from 1s to 365d"))
}

const SHORTEST_TIMEOUT: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_TIMEOUT: SignedDuration = SignedDuration::from_hours(365 * 24);

/// A name that can be referred to: letters, digits, `-`, `_`, `.`, `+`; no address, no port.
pub(crate) fn name(text: &str) -> Result<(), Wrong> {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    if text.is_empty() || text.starts_with('-') || !text.chars().all(fine) {
        return Err(Wrong::new(
            format!("`{}` cannot be a name", shortened(text)),
            "names are of letters, digits, `-`, `_` and `.`",
        ));
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err(Wrong::new(
            format!("`{text}` is an address and cannot be a name"),
            "name it after what it is, and write the address inside",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
