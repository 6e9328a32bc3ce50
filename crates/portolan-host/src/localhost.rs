//! What `localhost` means here, in the order in which clients try it.

use std::fs;
use std::net::{IpAddr, ToSocketAddrs as _};

use portolan_core::socket::by_precedence;

/// The addresses of `localhost`, as getaddrinfo(3) orders them: /etc/hosts and whatever else
/// nsswitch.conf(5) names, sorted by RFC 6724 and gai.conf(5). Empty when nothing knows the name.
#[must_use]
pub fn addresses() -> Vec<IpAddr> {
    let found = ("localhost", 0).to_socket_addrs();
    let mut addresses: Vec<IpAddr> = found.into_iter().flatten().map(|a| a.ip()).collect();
    addresses.dedup();
    by_precedence(addresses, &fs::read_to_string("/etc/gai.conf").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_this_machine_and_nothing_else() {
        assert!(addresses().iter().all(IpAddr::is_loopback));
    }
}
