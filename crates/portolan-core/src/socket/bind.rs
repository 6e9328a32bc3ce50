//! What a program asks of the kernel before it can serve: an address, a port, and how to share it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::net::{Port, Transport};

/// A bind(2), and for TCP the listen(2) after it, with the options that decide whether it works.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bind {
    /// TCP or UDP.
    pub transport: Transport,
    /// The address; an unspecified one is every address of its family.
    pub address: IpAddr,
    /// The port; 0 leaves it to the kernel.
    pub port: Port,
    /// IPV6_V6ONLY: whether an IPv6 socket refuses IPv4. Means nothing for an IPv4 address.
    pub v6only: bool,
    /// SO_REUSEADDR and SO_REUSEPORT.
    pub reuse: Reuse,
    /// SO_BINDTODEVICE, or the zone of a link-local address.
    pub device: Option<Arc<str>>,
}

/// The two options by which sockets agree to share a port (socket(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reuse {
    /// SO_REUSEADDR.
    pub address: bool,
    /// SO_REUSEPORT.
    pub port: bool,
}

impl Reuse {
    /// Neither option.
    pub const NONE: Self = Self { address: false, port: false };
    /// SO_REUSEADDR alone, as most servers set it.
    pub const ADDRESS: Self = Self { address: true, port: false };
    /// SO_REUSEPORT alone.
    pub const PORT: Self = Self { address: false, port: true };
    /// Both.
    pub const BOTH: Self = Self { address: true, port: true };
}

impl Bind {
    /// A plain bind to one address without options.
    #[must_use]
    pub const fn at(transport: Transport, address: IpAddr, port: Port) -> Self {
        let reuse = Reuse::NONE;
        Self { transport, address, port, v6only: false, reuse, device: None }
    }

    /// Every address of both families through one IPv6 socket, as most servers bind.
    #[must_use]
    pub const fn dual_stack(transport: Transport, port: Port) -> Self {
        Self::at(transport, IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)
    }

    /// The same with other sharing options.
    #[must_use]
    pub fn with(self, reuse: Reuse) -> Self {
        Self { reuse, ..self }
    }

    /// Its address and port as the system calls take them.
    #[must_use]
    pub const fn socket_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port.0)
    }
}
