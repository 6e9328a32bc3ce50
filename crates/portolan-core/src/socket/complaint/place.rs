//! Addresses and ports in a line of somebody's error text.
//!
//! ```text
//! 0.0.0.0:80   [::]:80   :::80   *:80   :80   localhost:80   tcp://HOST:80   127.0.0.1#53
//! ('127.0.0.1', 80)   "0.0.0.0" port 80   port 80 on 0.0.0.0   port: 80   {0.0.0.0:80}
//! /ip4/127.0.0.1/tcp/80   Connector["http-nio-80"]   0.0.0.0:80/udp
//! ```
//! Times, positions in files (`net.js:1908:16`) and error numbers look alike and are none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::Host;
use crate::net::{Port, Transport};

/// A place as far as a line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: Option<Host>,
    pub(super) port: Option<Port>,
    pub(super) transport: Option<Transport>,
    pub(super) span: Range<usize>,
}

/// The first place of a line that has a port.
pub(super) fn first(line: &str) -> Option<Place> {
    let mut at = 0;
    while at < line.len() {
        match place(line, at) {
            Some(place) if place.port.is_some() => return Some(place),
            Some(place) => at = place.span.end.max(at + 1),
            None => at += line[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    None
}

/// The first address of a line, with or without a port.
pub(super) fn address(line: &str) -> Option<IpAddr> {
    let starts = line.char_indices().map(|(at, _)| at);
    starts.filter_map(|at| place(line, at)).find_map(|place| match place.host {
        Some(Host::Address(address)) => Some(address),
        _ => None,
    })
}

/// The place that begins at a position, if one does.
fn place(line: &str, at: usize) -> Option<Place> {
    let rest = &line[at..];
    let before = line[..at].chars().next_back();
    if let Some(found) = scheme(line, at) {
        return Some(found);
    }
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':');
    // `--port 80` is an option, `nio-8080` part of a name.
    if before.is_some_and(|c| is_inside(c) || (c == '-' && !rest.starts_with("port"))) {
        return None;
    }
    if rest.starts_with(CONNECTOR) {
        return connector(line, at);
    }
    let (host, length) = match rest.bytes().next()? {
        b'[' => bracketed(rest)?,
        b'0'..=b'9' | b':' | b'a'..=b'f' | b'A'..=b'F' => return bare(line, at),
        b'*' => (Host::Any, 1),
        b'l' | b'L' => localhost(rest)?,
        b'p' | b'P' => return after_word(line, at),
        b'/' => return multiaddr(line, at),
        _ => return None,
    };
    with_port(line, at, at + length, host)
}

/// An address in brackets. `[Errno 98]` is none.
fn bracketed(rest: &str) -> Option<(Host, usize)> {
    let rest = rest.strip_prefix('[')?;
    let end = rest.find(']').filter(|end| *end < LONGEST)?;
    let (inside, _zone) = rest[..end].split_once('%').unwrap_or((&rest[..end], ""));
    Some((Host::Address(inside.parse::<Ipv6Addr>().ok()?.into()), end + 2))
}

fn localhost(rest: &str) -> Option<(Host, usize)> {
    let name = rest.get(..LOCALHOST.len()).filter(|n| n.eq_ignore_ascii_case(LOCALHOST))?;
    Some((Host::Name(name.into()), name.len()))
}

/// An address without brackets, or a colon with nothing before it.
fn bare(line: &str, at: usize) -> Option<Place> {
    let rest = &line[at..];
    let dotted = length(rest, |c| c.is_ascii_digit() || c == '.');
    if let Ok(address) = rest[..dotted].trim_end_matches('.').parse::<Ipv4Addr>() {
        let end = at + rest[..dotted].trim_end_matches('.').len();
        return with_port(line, at, end, Host::Address(address.into()));
    }
    let run = length(rest, |c| c.is_ascii_hexdigit() || matches!(c, ':' | '.'));
    let run = rest[..run.min(LONGEST)].trim_end_matches('.');
    let six = |text: &str| text.parse::<Ipv6Addr>().ok().map(|a| Host::Address(a.into()));
    if run.contains("::") {
        // `:::80` is `::` and 80; `::1` alone is an address.
        let run = run.strip_suffix(':').filter(|run| !run.ends_with(':')).unwrap_or(run);
        if let Some((head, tail)) = run.rsplit_once(':')
            && let (Some(host), Some(port)) = (six(head), number(tail))
        {
            return Some(place_of(line, at..at + run.len(), Some(host), port));
        }
        return with_port(line, at, at + run.len(), six(run)?);
    }
    // `:80` after a blank: Go's way to say every address.
    let before = line[..at].chars().next_back();
    before.is_none_or(|c| c.is_whitespace() || "'\"`(=,".contains(c)).then_some(())?;
    let digits = rest.strip_prefix(':').map(|rest| length(rest, |c| c.is_ascii_digit()))?;
    let port = number(&rest[1..=digits])?;
    let behind = rest[1 + digits..].chars().next();
    let is_whole = behind.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '.');
    is_whole.then(|| place_of(line, at..at + 1 + digits, Some(Host::Any), port))
}

/// A host that has been read up to `end`, and the port behind it, in whatever way it is joined.
fn with_port(line: &str, start: usize, end: usize, host: Host) -> Option<Place> {
    let rest = &line[end..];
    if let Some(joined) = rest.strip_prefix([':', '#']) {
        let digits = length(joined, |c| c.is_ascii_digit());
        if let Some(port) = number(&joined[..digits]) {
            return Some(place_of(line, start..end + 1 + digits, Some(host), port));
        }
    }
    // ('127.0.0.1', 80)   "0.0.0.0" port 80   address: '::', port: 80
    let behind = rest.trim_start_matches(['\'', '"']);
    let between = behind.trim_start_matches([',', ' ']);
    let word = between.get(..4).filter(|word| word.eq_ignore_ascii_case("port"));
    let value = between[word.map_or(0, str::len)..].trim_start_matches([':', '=', ' ']);
    let digits = length(value, |c| c.is_ascii_digit());
    let is_joined = word.is_some() || (rest != behind && behind.starts_with(','));
    let port = number(&value[..digits]).filter(|_| is_joined);
    let stop = line.len() - value.len() + digits;
    match port {
        Some(port) => Some(place_of(line, start..stop, Some(host), port)),
        // `*` alone is no place.
        None if host == Host::Any || matches!(host, Host::Name(_)) => None,
        None => Some(Place { host: Some(host), port: None, transport: None, span: start..end }),
    }
}

/// `tcp://0.0.0.0:80`, `http://localhost:80/`, at the beginning of the host.
fn scheme(line: &str, at: usize) -> Option<Place> {
    let scheme = line[..at].strip_suffix("://")?;
    let rest = &line[at..];
    let (host, end) = bracketed(rest).or_else(|| {
        let end = length(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '*'));
        let name = &rest[..end];
        let host = match name {
            "*" => Host::Any,
            "" => return None,
            _ => name.parse().map_or_else(|_| Host::Name(name.into()), Host::Address),
        };
        Some((host, end))
    })?;
    let place = with_port(line, at, at + end, host).filter(|place| place.port.is_some())?;
    let is_udp = scheme.ends_with("udp");
    Some(Place { transport: place.transport.or(is_udp.then_some(Transport::Udp)), ..place })
}

/// `port 80`, `Port: 80`, `--port=80`, `port 22 on 0.0.0.0`.
fn after_word(line: &str, at: usize) -> Option<Place> {
    let rest = &line[at..];
    rest.get(..4).filter(|word| word.eq_ignore_ascii_case("port"))?;
    let value = rest[4..].trim_start_matches([' ', ':', '=', '#', '\'', '"']);
    if value.len() == rest.len() - 4 {
        return None; // portable, ports, port8080
    }
    let digits = length(value, |c| c.is_ascii_digit());
    let port = number(&value[..digits])?;
    let is_address = |c: char| c.is_ascii_alphanumeric();
    if value[digits..].strip_prefix('.').is_some_and(|rest| rest.starts_with(is_address)) {
        return None; // port 0.0.0.0:80
    }
    let end = line.len() - value.len() + digits;
    let host = line[end..].strip_prefix(" on ").and_then(|_| place(line, end + 4)?.host);
    Some(place_of(line, at..end, host, port))
}

/// `Connector["http-nio-80"]`, `Connector[HTTP/1.1-80]`: Tomcat.
fn connector(line: &str, at: usize) -> Option<Place> {
    let inside = &line[at + CONNECTOR.len()..];
    let name = inside[..inside.find(']')?].trim_end_matches('"');
    let (before, port) = name.rsplit_once('-')?;
    let start = at + CONNECTOR.len() + before.len() + 1;
    Some(place_of(line, start..start + port.len(), None, number(port)?))
}

/// `/ip4/127.0.0.1/tcp/80`
fn multiaddr(line: &str, at: usize) -> Option<Place> {
    let mut words = line[at + 1..].splitn(5, '/');
    let family = words.next().filter(|word| matches!(*word, "ip4" | "ip6"))?;
    let (address, transport, port) = (words.next()?, words.next()?, words.next()?);
    let digits = length(port, |c| c.is_ascii_digit());
    let end = at + 4 + family.len() + address.len() + transport.len() + digits;
    let place = Place {
        host: Some(Host::Address(address.parse().ok()?)),
        port: Some(number(&port[..digits])?),
        transport: Some(transport.parse().ok()?),
        span: at..end,
    };
    Some(place)
}

/// A place, with the transport that may stand behind the port: `80/udp`.
fn place_of(line: &str, span: Range<usize>, host: Option<Host>, port: Port) -> Place {
    let behind = line[span.end..].strip_prefix('/').unwrap_or_default();
    let word = length(behind, |c| c.is_ascii_alphabetic());
    Place { host, port: Some(port), transport: behind[..word].parse().ok(), span }
}

fn number(digits: &str) -> Option<Port> {
    digits.parse().ok()
}

/// Bytes at the beginning of a text that `is_part` accepts, all of them ASCII.
fn length(text: &str, is_part: impl Fn(char) -> bool) -> usize {
    text.find(|c: char| !is_part(c)).unwrap_or(text.len())
}

const CONNECTOR: &str = "Connector[";
const LOCALHOST: &str = "localhost";
/// More than the longest address with its zone takes.
const LONGEST: usize = 64;
