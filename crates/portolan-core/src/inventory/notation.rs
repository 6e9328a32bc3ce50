//! Values as the file writes them: `@linux`, `dns:NAME`, `postgres@db`, `6/30s`, `180d`.
//!
//! What is printed here, `file` reads back as the same value. Spans of time are written in the
//! largest unit that divides them, so that `24h` comes back as `1d`.

use std::fmt;

use jiff::SignedDuration;

use super::{AddressSpec, ForwardTarget, HostSelector, Need, Rate, Source};

impl fmt::Display for HostSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Host(name) => f.write_str(name),
            Self::Group(group) => write!(f, "@{group}"),
            Self::NotHost(name) => write!(f, "!{name}"),
            Self::NotGroup(group) => write!(f, "!@{group}"),
        }
    }
}

impl fmt::Display for AddressSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::Interface(name) => write!(f, "iface:{name}"),
            Self::Dns(name) => write!(f, "dns:{name}"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(name) | Self::Host(name) => f.write_str(name),
            Self::Group(group) => write!(f, "@{group}"),
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::Service(name) => write!(f, "service:{name}"),
        }
    }
}

impl fmt::Display for ForwardTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service { service, host } => write!(f, "{service}@{host}"),
            Self::Endpoint(endpoint) => endpoint.fmt(f),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service { name, host: Some(host) } => write!(f, "{name}@{host}"),
            Self::Service { name, host: None } => f.write_str(name),
            Self::Endpoint { target, port } if is_ipv6(target) => write!(f, "[{target}]:{port}"),
            Self::Endpoint { target, port } => write!(f, "{target}:{port}"),
        }
    }
}

/// An address or network of IPv6, which needs brackets before a port (RFC 3986 §3.2.2).
fn is_ipv6(target: &str) -> bool {
    !target.starts_with("dns:") && !target.starts_with("service:") && target.contains(':')
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, duration(self.per))
    }
}

/// A span of time as the file writes it, such as `30s` or `180d`.
#[must_use]
pub fn duration(span: SignedDuration) -> String {
    let milliseconds = span.as_millis();
    let unit = UNITS.iter().find(|(size, _)| milliseconds % size == 0);
    let (size, letters) = unit.unwrap_or(&(1, "ms"));
    format!("{}{letters}", milliseconds / size)
}

/// Milliseconds of each unit, the largest first. Weeks are read but not written: `180d` and not
/// `25w5d` is what people say.
const UNITS: [(i128, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_takes_the_largest_unit_that_divides_it() {
        let text = |ms| duration(SignedDuration::from_millis(ms));
        assert_eq!(text(180 * 86_400_000), "180d");
        assert_eq!(text(36 * 3_600_000), "36h");
        assert_eq!(text(90_000), "90s");
        assert_eq!(text(1500), "1500ms");
    }

    #[test]
    fn an_ipv6_need_has_brackets_before_its_port() {
        let port: crate::net::PortRange = "443".parse().unwrap();
        let port =
            super::super::PortSpec::Ports { range: port, transports: "tcp".parse().unwrap() };
        let need = |target: &str| Need::Endpoint { target: target.into(), port: port.clone() };
        assert_eq!(need("2001:db8::/32").to_string(), "[2001:db8::/32]:443/tcp");
        assert_eq!(need("dns:deb.example.org").to_string(), "dns:deb.example.org:443/tcp");
    }
}
