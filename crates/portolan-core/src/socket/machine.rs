//! The facts of a machine that port numbers depend on: its names, addresses and kernel settings.

use std::net::IpAddr;

use crate::net::{Port, PortRange, PortSet, Prefix};

/// One machine, as it knows itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Its host name (uname(2) nodename).
    pub hostname: String,
    /// The kernel's release, as `uname -r` prints it.
    pub kernel: String,
    /// Every address of every interface.
    pub addresses: Vec<InterfaceAddress>,
    /// The kernel's settings for port numbers.
    pub ports: LocalPorts,
}

impl Machine {
    /// Whether `address` is one of this machine's own.
    #[must_use]
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|a| a.address == address)
    }
}

/// An address on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface's name.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// The network it is on.
    pub network: Prefix,
}

/// What the kernel of this network namespace does with port numbers (ip(7), ip-sysctl).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPorts {
    /// net.ipv4.ip_local_port_range: what the kernel chooses from; it rules IPv6 too.
    pub ephemeral: PortRange,
    /// net.ipv4.ip_unprivileged_port_start: below it a program needs CAP_NET_BIND_SERVICE.
    pub unprivileged_start: Port,
    /// net.ipv4.ip_local_reserved_ports: never chosen by the kernel, free to be asked for.
    pub reserved: PortSet,
}

impl Default for LocalPorts {
    /// Linux's own defaults (net/ipv4/af_inet.c, inet_init_net).
    fn default() -> Self {
        Self {
            ephemeral: PortRange::new(Port(32768), Port(60999)).expect("32768 is below 60999"),
            unprivileged_start: Port(1024),
            reserved: PortSet::new(),
        }
    }
}
