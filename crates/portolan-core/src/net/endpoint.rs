//! An address with a port: one end of a connection, or where a listener is bound.
//!
//! Printed as RFC 3986 §3.2.2 and RFC 5952 §6 do: `127.0.0.1:80`, `[::1]:80`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::Port;

/// One end of a connection or the place a socket is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address, an IPv4-mapped IPv6 address left as the kernel gave it.
    pub address: IpAddr,
    /// The port; for raw sockets the IP protocol number stands here, as in ss.
    pub port: Port,
}

impl Endpoint {
    /// An endpoint from its two parts.
    #[must_use]
    pub const fn new(address: IpAddr, port: Port) -> Self {
        Self { address, port }
    }

    /// Whether address and port say "nobody": what the kernel gives as the peer of a listener.
    #[must_use]
    pub const fn is_unset(self) -> bool {
        self.address.is_unspecified() && self.port.0 == 0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_stands_in_brackets() {
        let endpoint = Endpoint::new("::1".parse().unwrap(), Port(80));
        assert_eq!(endpoint.to_string(), "[::1]:80");
        assert_eq!(format!("{endpoint:>10}"), "  [::1]:80");
    }
}
