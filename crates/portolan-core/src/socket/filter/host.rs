//! Host and port, as they follow `src` and `dst`: `10.0.0.0/8`, `*:22`, `[::1]:80`, `unix:/run/*`.

use std::net::{IpAddr, Ipv4Addr};

use super::expression::Host;
use super::fnmatch::Pattern;
use super::{Names, Problem};
use crate::net::{Port, Prefix};
use crate::socket::Family;

/// Reads what follows `src` or `dst`, and the family it names, if it does.
pub(super) fn host(text: &str, names: &Names<'_>) -> Result<(Host, Option<Family>), Problem> {
    // A path or an abstract name can be nothing else; ss wants the prefix unless -x is given.
    let bare = text.starts_with(['/', '@']).then_some(text);
    if let Some(pattern) = text.strip_prefix("unix:").or(bare) {
        return Ok((Host::Unix(Pattern::new(pattern)), Some(Family::Unix)));
    }
    if let Some(family) = OTHER_FAMILIES.iter().find(|family| text.starts_with(**family)) {
        let why = "only inet, inet6 and unix sockets have addresses here";
        return Err(Problem::Unsupported { word: (*family).to_owned(), why });
    }
    let (family, text) = family(text);
    let (address, port) = halves(text)?;
    let networks = networks(address, family, names).map_err(|problem| match problem {
        // Without brackets the last part was taken for a port.
        Problem::UnknownHost { .. } => Problem::UnknownHost { found: text.to_owned() },
        other => other,
    })?;
    let port = port.map(|port| self::port(port, names)).transpose()?.flatten();
    Ok((Host::Inet { networks, port }, family))
}

/// Reads what follows `sport` or `dport`; `None` is every port.
pub(super) fn any_port(
    text: &str,
    names: &Names<'_>,
) -> Result<(Option<Port>, Option<Family>), Problem> {
    let (family, text) = family(text);
    let port = text.strip_prefix(':').unwrap_or(text);
    if port.contains([':', '.', '[', '/']) {
        return Err(Problem::Expected { wanted: "a port", found: Some(text.to_owned()) });
    }
    Ok((self::port(port, names)?, family))
}

fn family(text: &str) -> (Option<Family>, &str) {
    let of = |prefix, family| text.strip_prefix(prefix).map(|rest| (Some(family), rest));
    of("inet:", Family::Ipv4).or_else(|| of("inet6:", Family::Ipv6)).unwrap_or((None, text))
}

/// Address and port, apart. A port begins at the last colon behind the prefix length; an IPv6
/// address with a port therefore stands in brackets.
fn halves(text: &str) -> Result<(&str, Option<&str>), Problem> {
    let unknown = || Problem::UnknownHost { found: text.to_owned() };
    let Some(bracketed) = text.strip_prefix('[') else {
        let searched = text.find('/').unwrap_or(0);
        let colon = text[searched..].rfind(':').map(|at| searched + at);
        return Ok(colon.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..]))));
    };
    let (inside, behind) = bracketed.split_once(']').ok_or_else(unknown)?;
    match behind.strip_prefix(':') {
        Some(port) => Ok((inside, Some(port))),
        None if behind.is_empty() => Ok((inside, None)),
        None => Err(unknown()),
    }
}

/// The networks an address stands for; `None` is every address.
fn networks(
    text: &str,
    family: Option<Family>,
    names: &Names<'_>,
) -> Result<Option<Vec<Prefix>>, Problem> {
    if matches!(text, "" | "*" | "any" | "all") {
        return Ok(None);
    }
    let unknown = || Problem::UnknownHost { found: text.to_owned() };
    let found = match text.split_once('/') {
        Some((address, length)) => vec![network(address, length).ok_or_else(unknown)?],
        None => addresses(text, names),
    };
    let fits = |network: &Prefix| match family {
        Some(Family::Ipv4) => network.address().is_ipv4(),
        Some(Family::Ipv6) => network.address().is_ipv6(),
        _ => true,
    };
    let networks: Vec<_> = found.iter().copied().filter(fits).collect();
    match (found.is_empty(), networks.is_empty(), family) {
        (true, _, _) => Err(unknown()),
        (_, true, Some(Family::Ipv4)) => {
            Err(Problem::OtherFamily { found: text.to_owned(), family: "IPv4" })
        }
        (_, true, _) => Err(Problem::OtherFamily { found: text.to_owned(), family: "IPv6" }),
        _ => Ok(Some(networks)),
    }
}

fn addresses(text: &str, names: &Names<'_>) -> Vec<Prefix> {
    let resolved = || match text {
        // Digits and dots alone are a slip, not a name.
        _ if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') || text.contains(':') => {
            Vec::new()
        }
        _ => (names.host)(text),
    };
    text.parse()
        .map_or_else(|_| resolved(), |address| vec![address])
        .into_iter()
        .map(Prefix::from)
        .collect()
}

/// `127.0.0.1/8`, `10/8`, `192.168.0.0/255.255.0.0`, `2001:db8::/32`; host bits do not count.
fn network(address: &str, length: &str) -> Option<Prefix> {
    let address = address.parse().ok().or_else(|| short_address(address))?;
    let length = length.parse().ok().or_else(|| mask_length(length))?;
    Prefix::new(address, length).ok()
}

/// `10` and `192.168`: the leading bytes of an IPv4 address.
fn short_address(text: &str) -> Option<IpAddr> {
    let mut octets = [0; 4];
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() >= octets.len() {
        return None;
    }
    for (octet, part) in octets.iter_mut().zip(&parts) {
        *octet = part.parse().ok()?;
    }
    Some(Ipv4Addr::from(octets).into())
}

fn mask_length(mask: &str) -> Option<u8> {
    let bits = mask.parse::<Ipv4Addr>().ok()?.to_bits();
    let is_mask = bits.leading_ones() + bits.trailing_zeros() >= u32::BITS;
    is_mask.then(|| bits.leading_ones().try_into().ok()).flatten()
}

/// A number, `0x` and hexadecimal digits, a service; `None` for `*` and nothing.
fn port(text: &str, names: &Names<'_>) -> Result<Option<Port>, Problem> {
    if matches!(text, "" | "*") {
        return Ok(None);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        let number = u16::from_str_radix(digits, 16);
        return number.map(|n| Some(Port(n))).map_err(|_| unknown_service(text));
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(Some(text.parse()?));
    }
    (names.port)(text).map(Some).ok_or_else(|| unknown_service(text))
}

fn unknown_service(text: &str) -> Problem {
    Problem::UnknownService { found: text.to_owned() }
}

const OTHER_FAMILIES: [&str; 3] = ["link:", "netlink:", "vsock:"];
