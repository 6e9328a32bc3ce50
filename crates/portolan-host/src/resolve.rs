//! What a host name stands for here: /etc/hosts, DNS and whatever else nsswitch.conf(5) names.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};

/// Every address of `name`, none twice, in the order of getaddrinfo(3).
///
/// # Errors
/// What the resolver says when it has none.
pub fn addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in (name, 0).to_socket_addrs()? {
        let address = address.ip().to_canonical();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_for_itself_and_no_address_is_told_twice() {
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(addresses("192.0.2.1").unwrap(), [one]);
        assert!(addresses("localhost").unwrap().iter().all(IpAddr::is_loopback));
    }
}
