//! From the words of a target to what is to be tested: `db:5432`, `db 5432`, `[::1]:53/udp`,
//! `https://x/`, `db:postgresql`, `postgres@db`.

use std::net::IpAddr;

use anyhow::Result;
use portolan_core::inventory::{AddressSpec, Inventory, ProbeDepth};
use portolan_core::net::{Port, Transport, TransportSet};
use portolan_core::registry::{Registry, port_set};

use crate::fault::Fault;

/// One port of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// As it was typed.
    pub(crate) text: String,
    /// The host.
    pub(crate) place: Place,
    /// The interface that a link-local address belongs to.
    pub(crate) zone: Option<String>,
    /// The port.
    pub(crate) port: Port,
    /// Its transport.
    pub(crate) transport: Transport,
}

/// A host as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// An address.
    Address(IpAddr),
    /// A name.
    Name(String),
}

impl Place {
    fn parse(text: &str) -> (Self, Option<String>) {
        let (address, zone) = text.split_once('%').map_or((text, None), |(a, z)| (a, Some(z)));
        match address.parse::<IpAddr>() {
            Ok(address) => (Self::Address(address.to_canonical()), zone.map(str::to_owned)),
            Err(_) => (Self::Name(text.to_owned()), None),
        }
    }
}

/// Reads every word. A host without a port takes the next word as its port.
///
/// # Errors
/// What is wrong with one, and how it is written.
pub(crate) fn parse(
    words: &[String],
    registry: &Registry,
    inventory: Option<&Inventory>,
) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if let Some(declared) = declared(word, inventory)? {
            targets.extend(declared);
            continue;
        }
        let (host, ports) = match split(word)? {
            (host, Some(ports)) => (host, ports),
            (host, None) => match words.next() {
                Some(ports) => (host, ports.clone()),
                None => return Err(no_port(word)),
            },
        };
        targets.extend(each_port(word, &host, &ports, registry)?);
    }
    Ok(targets)
}

/// Host and ports of a word; an IPv6 address stands in brackets, or its last group could be the port.
fn split(word: &str) -> Result<(String, Option<String>)> {
    if let Some((scheme, rest)) = word.split_once("://") {
        return of_url(scheme, rest);
    }
    if let Some(rest) = word.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(|| bad(word, "a `]` is missing"))?;
        let (zone, port) = rest.split_once(':').map_or((rest, None), |(z, p)| (z, Some(p)));
        return match zone.is_empty() || zone.starts_with('%') && !host.contains('%') {
            true => Ok((format!("{host}{zone}"), port.map(str::to_owned))),
            false => Err(bad(word, "a port follows the brackets behind a colon")),
        };
    }
    match word.rsplit_once(':') {
        Some((host, _)) if host.contains(':') => {
            let address = word.split('%').next().unwrap_or(word);
            match address.parse::<IpAddr>() {
                Ok(_) => Ok((word.to_owned(), None)),
                Err(_) => Err(bad(word, "an IPv6 address stands in brackets")),
            }
        }
        Some((host, ports)) if !host.is_empty() => Ok((host.to_owned(), Some(ports.to_owned()))),
        Some(_) => Err(bad(word, "a host is missing")),
        None => Ok((word.to_owned(), None)),
    }
}

/// The host of a URL, and its port or that of its scheme (RFC 3986 §3.2).
fn of_url(scheme: &str, rest: &str) -> Result<(String, Option<String>)> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let transport = match scheme {
        "udp" | "tcp" => format!("/{scheme}"),
        _ => String::new(),
    };
    if authority.is_empty() {
        return Err(bad(&format!("{scheme}://{rest}"), "a host is missing"));
    }
    match split(authority)? {
        (host, Some(port)) => Ok((host, Some(format!("{port}{transport}")))),
        (host, None) if transport.is_empty() => {
            let scheme =
                SCHEMES.iter().find(|(name, _)| *name == scheme).map_or(scheme, |(_, s)| s);
            Ok((host, Some(scheme.to_owned())))
        }
        (host, None) => Ok((host, None)),
    }
}

/// Schemes that are called otherwise than their service.
const SCHEMES: [(&str, &str); 5] = [
    ("ws", "http"),
    ("wss", "https"),
    ("postgres", "postgresql"),
    ("mongodb", "27017"),
    ("amqp", "5672"),
];

fn each_port(word: &str, host: &str, ports: &str, registry: &Registry) -> Result<Vec<Target>> {
    let chosen = port_set::parse(ports, TransportSet::from_iter([Transport::Tcp]), registry)
        .map_err(|error| {
            let hint = match word.split_once("://") {
                Some((scheme, _)) if scheme == ports => format!("name the port: {host}:PORT"),
                _ => error.hint().to_owned(),
            };
            Fault::new(format!("target `{word}`: {error}"), hint)
        })?;
    let (place, zone) = Place::parse(host);
    let mut targets = Vec::new();
    for transport in chosen.transports().iter() {
        if !matches!(transport, Transport::Tcp | Transport::Udp) {
            let hint = format!("tcp and udp can: {host}:PORT, {host}:PORT/udp");
            return Err(Fault::new(format!("target `{word}`: {transport} cannot be asked"), hint));
        }
        for port in chosen.of(transport).iter() {
            if targets.len() == MOST || port.0 == 0 {
                let hint = "`portolan scan` is for many ports";
                let what =
                    if port.0 == 0 { "there is no port 0 to connect to" } else { "too many ports" };
                return Err(Fault::new(format!("target `{word}`: {what}"), hint));
            }
            let (place, zone) = (place.clone(), zone.clone());
            targets.push(Target {
                text: text(host, port, transport),
                place,
                zone,
                port,
                transport,
            });
        }
    }
    Ok(targets)
}

/// A target in its usual form.
fn text(host: &str, port: Port, transport: Transport) -> String {
    let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match transport {
        Transport::Tcp => format!("{bracketed}:{port}"),
        other => format!("{bracketed}:{port}/{other}"),
    }
}

/// SERVICE@HOST of the inventory: every port of the service at the first address of the host.
fn declared(word: &str, inventory: Option<&Inventory>) -> Result<Option<Vec<Target>>> {
    let Some((service, host)) = word.split_once('@') else { return Ok(None) };
    if word.contains("://") || host.contains(':') {
        return Ok(None);
    }
    let Some(inventory) = inventory else {
        let hint = "SERVICE@HOST is looked up in the inventory: name one with --inventory FILE";
        return Err(Fault::new(format!("target `{word}`: there is no inventory here"), hint));
    };
    let show = "`portolan inventory show` lists services and hosts";
    let named = |h: &&portolan_core::inventory::Host| {
        h.name == host || h.aliases.iter().any(|alias| alias == host)
    };
    let found = inventory.hosts.iter().find(named);
    let machine =
        found.ok_or_else(|| Fault::new(format!("the inventory has no host `{host}`"), show))?;
    let wanted = inventory
        .service(service)
        .ok_or_else(|| Fault::new(format!("the inventory has no service `{service}`"), show))?;
    if machine.probe == ProbeDepth::Never {
        let hint = "ask for its address and port to test it all the same";
        return Err(Fault::new(
            format!("host `{host}` is not to be probed (probe = \"never\")"),
            hint,
        ));
    }
    let place = machine.address.iter().find_map(|address| place_of(&address.value));
    let place = place.unwrap_or_else(|| Place::Name(host.to_owned()));
    let pairs = wanted.ports.iter().flat_map(|spec| spec.value.pairs());
    let mut targets = Vec::new();
    for (range, transport) in pairs {
        if matches!(transport, Transport::Tcp | Transport::Udp) {
            let of = |port| Target {
                text: word.to_owned(),
                place: place.clone(),
                zone: None,
                port,
                transport,
            };
            targets.extend(range.iter().take(MOST).map(of));
        }
    }
    if targets.is_empty() {
        return Err(Fault::new(format!("service `{service}` has no TCP or UDP port"), show));
    }
    Ok(Some(targets))
}

fn place_of(spec: &AddressSpec) -> Option<Place> {
    match spec {
        AddressSpec::Prefix(prefix) => {
            let bits = if prefix.address().is_ipv4() { 32 } else { 128 };
            (prefix.length() == bits).then(|| Place::Address(prefix.address()))
        }
        AddressSpec::Dns(name) => Some(Place::Name(name.clone())),
        AddressSpec::Interface(_) => None,
    }
}

fn bad(word: &str, why: &str) -> anyhow::Error {
    Fault::new(format!("target `{word}`: {why}"), EXAMPLE)
}

fn no_port(word: &str) -> anyhow::Error {
    Fault::new(format!("target `{word}`: a port is missing"), EXAMPLE)
}

/// More ports are a scan.
const MOST: usize = 32;

const EXAMPLE: &str = "ask for db:5432, db 5432, [::1]:53/udp, https://x/, db:postgresql";

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(line: &str) -> Result<Vec<Target>> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words, &Registry::embedded(), None)
    }

    #[test]
    fn each_form_of_a_target_is_read() {
        for (line, text) in [
            ("db:5432", "db:5432"),
            ("db 5432", "db:5432"),
            ("db 53/udp", "db:53/udp"),
            ("[::1]:53/udp", "[::1]:53/udp"),
            ("::1 80", "[::1]:80"),
            ("db:postgresql", "db:5432"),
            ("https://x.example/path?q#f", "x.example:443"),
            ("http://user:secret@x.example:8080/", "x.example:8080"),
            ("postgres://me@db/name", "db:5432"),
            ("udp://db:53", "db:53/udp"),
            ("[fe80::1]%eth0:80", "[fe80::1%eth0]:80"),
            ("wss://[2001:db8::1]/", "[2001:db8::1]:443"),
        ] {
            assert_eq!(targets(line).unwrap()[0].text, text, "{line}");
        }
        let zone = targets("[fe80::1%eth0]:80").unwrap();
        assert_eq!(zone[0].zone.as_deref(), Some("eth0"));
    }

    #[test]
    fn several_targets_and_several_ports_are_all_read() {
        let texts = |line| targets(line).unwrap().into_iter().map(|t| t.text).collect::<Vec<_>>();
        assert_eq!(texts("a:1 b 2 c:3"), ["a:1", "b:2", "c:3"]);
        assert_eq!(texts("a:80,443"), ["a:80", "a:443"]);
        assert_eq!(texts("a:53/tcp+udp"), ["a:53", "a:53/udp"]);
    }

    #[test]
    fn what_is_no_target_is_refused_with_a_way_out() {
        for line in [
            "db",
            ":80",
            "db:70000",
            "db:0",
            "::1:80:x",
            "[::1",
            "db:all",
            "x:22/sctp",
            "a@b",
            "http:///x",
        ] {
            assert!(targets(line).is_err(), "{line}");
        }
    }
}
