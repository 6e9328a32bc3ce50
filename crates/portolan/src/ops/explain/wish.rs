//! From the words of a target to what is to be bound.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr, ToSocketAddrs as _};
use std::sync::Arc;

use anyhow::Result;
use portolan_core::net::{Port, Transport};
use portolan_core::registry::Registry;
use portolan_core::socket::{Bind, Reuse};

use crate::fault::Fault;

/// The options a server would set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// SO_REUSEADDR and SO_REUSEPORT.
    pub(crate) reuse: Reuse,
    /// IPV6_V6ONLY.
    pub(crate) v6only: bool,
}

/// What a target stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// One bind, or one for each address of a name.
    pub(crate) binds: Vec<Bind>,
    /// Whether no address was named.
    pub(crate) is_anywhere: bool,
}

impl Wish {
    /// Reads `8080`, `127.0.0.1:8080`, `[::1]:8080/udp`, `[fe80::1%eth0]:80`,
    /// `[fe80::1]%eth0:80`, `localhost:80`, `:80`.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub(crate) fn parse(text: &str, options: Options, registry: &Registry) -> Result<Self> {
        let (place, transport) = match text.split_once('/') {
            Some((place, word)) => (place, word.parse().map_err(|e| bad(text, e))?),
            None => (text, Transport::Tcp),
        };
        let (host, port) = split(place, text)?;
        let port = port_of(port, transport, registry).ok_or_else(|| no_port(text, port))?;
        let addresses = addresses(&host).ok_or_else(|| unknown_host(&host))?;
        let is_anywhere = host.is_empty() || host == "*";
        let bind = |(address, device): (IpAddr, Option<Arc<str>>)| Bind {
            v6only: options.v6only,
            device,
            ..Bind::at(transport, address, port).with(options.reuse)
        };
        let binds: Vec<Bind> = addresses.into_iter().map(bind).collect();
        let is_ipv4 = |bind: &Bind| bind.address.to_canonical().is_ipv4();
        match binds.iter().any(is_ipv4) && options.v6only {
            true => Err(Fault::new(
                format!("`{text}` is IPv4, which --v6only refuses"),
                "leave --v6only out, or ask for an IPv6 address such as [::1]:8080",
            )),
            false => Ok(Self { binds, is_anywhere }),
        }
    }
}

/// Host and port. An IPv6 address stands in brackets, or its last group could be the port.
/// ss and our own reports write its zone behind them.
fn split<'a>(place: &'a str, text: &str) -> Result<(Cow<'a, str>, &'a str)> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(|| bad(text, "a `]` is missing"))?;
        let (zone, port) = rest.split_once(':').ok_or_else(|| bad(text, "a port is missing"))?;
        let is_zone = zone.is_empty() || zone.starts_with('%') && !host.contains('%');
        return match is_zone {
            true => Ok((format!("{host}{zone}").into(), port)),
            false => Err(bad(text, "a port is missing")),
        };
    }
    match place.rsplit_once(':') {
        Some((host, _)) if host.contains(':') => {
            let hint = format!("an IPv6 address stands in brackets: [{host}]:PORT");
            Err(Fault::new(format!("`{text}` may be an address or an address and a port"), hint))
        }
        Some((host, port)) => Ok((host.into(), port)),
        None => Ok(("".into(), place)),
    }
}

/// A number, or a name of the registry.
fn port_of(word: &str, transport: Transport, registry: &Registry) -> Option<Port> {
    let by_name = || {
        let named = registry.by_name(word);
        named.iter().find(|a| a.transports.contains(transport)).and_then(|a| a.port)
    };
    word.parse().ok().or_else(by_name)
}

/// Every address a host stands for, each once; without a host every address of both families.
fn addresses(host: &str) -> Option<Vec<(IpAddr, Option<Arc<str>>)>> {
    if host.is_empty() || host == "*" {
        return Some(vec![(Ipv6Addr::UNSPECIFIED.into(), None)]);
    }
    let (address, zone) = host.split_once('%').map_or((host, None), |(a, z)| (a, Some(z)));
    if let Ok(address) = address.parse() {
        return Some(vec![(address, zone.map(Into::into))]);
    }
    let mut found: Vec<IpAddr> = Vec::new();
    for socket in (host, 0).to_socket_addrs().ok()? {
        if !found.contains(&socket.ip()) {
            found.push(socket.ip());
        }
    }
    (!found.is_empty()).then(|| found.into_iter().map(|address| (address, None)).collect())
}

fn bad(text: &str, why: impl std::fmt::Display) -> anyhow::Error {
    Fault::new(format!("target `{text}`: {why}"), EXAMPLE)
}

fn no_port(text: &str, found: &str) -> anyhow::Error {
    match found.parse::<Port>() {
        Err(error) if !found.is_empty() => bad(text, error),
        _ => bad(text, "a port is missing"),
    }
}

fn unknown_host(host: &str) -> anyhow::Error {
    Fault::new(format!("`{host}` has no address"), EXAMPLE)
}

/// `[::]` unless said otherwise is what a Go, Node or Java server binds.
const EXAMPLE: &str = "ask for 8080, 127.0.0.1:8080, [::1]:8080 or 53/udp";

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn parse(text: &str) -> Result<Wish> {
        Wish::parse(text, Options::default(), &Registry::embedded())
    }

    #[test]
    fn each_form_of_a_target_is_read() {
        let (any, home) = (Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into());
        let six: IpAddr = Ipv6Addr::LOCALHOST.into();
        for (text, address, port, transport) in [
            ("8080", any, 8080, Transport::Tcp),
            (":8080", any, 8080, Transport::Tcp),
            ("*:8080", any, 8080, Transport::Tcp),
            ("53/udp", any, 53, Transport::Udp),
            ("https", any, 443, Transport::Tcp),
            ("127.0.0.1:0", home, 0, Transport::Tcp),
            ("[::1]:8080/udp", six, 8080, Transport::Udp),
            ("[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1".parse().unwrap(), 80, Transport::Tcp),
        ] {
            let wish = parse(text).unwrap();
            assert_eq!(wish.binds, [Bind::at(transport, address, Port(port))], "{text}");
            assert_eq!(wish.is_anywhere, address == any, "{text}");
        }
    }

    #[test]
    fn a_link_local_address_carries_its_interface() {
        assert_eq!(parse("[fe80::1]%eth0:80").unwrap(), parse("[fe80::1%eth0]:80").unwrap());
        for text in ["[fe80::1]eth0:80", "[fe80::1%eth0]%eth1:80", "[fe80::1]%eth0"] {
            assert!(parse(text).is_err(), "{text}");
        }
        let wish = parse("[fe80::1%eth0]:80").unwrap();
        assert_eq!(wish.binds[0].device.as_deref(), Some("eth0"));
    }

    #[test]
    fn a_name_stands_for_all_its_addresses() {
        let wish = parse("localhost:80").unwrap();
        assert!(wish.binds.iter().all(|b| b.address.is_loopback()), "{wish:?}");
        assert!(!wish.is_anywhere);
    }

    #[test]
    fn what_is_no_target_is_refused_with_a_way_out() {
        for text in
            ["", "70000", "80/icmp", "::1:80", "[::1]", "[::1:80", "nobody.invalid:80", "1.2.3.4:"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        let v6 = Options { v6only: true, ..Options::default() };
        for ipv4 in ["127.0.0.1:80", "[::ffff:127.0.0.1]:80"] {
            assert!(Wish::parse(ipv4, v6, &Registry::embedded()).is_err(), "{ipv4}");
        }
    }
}
