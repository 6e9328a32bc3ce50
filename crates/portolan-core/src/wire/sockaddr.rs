//! Socket addresses as the kernel writes them beside a message: sockaddr_in and sockaddr_in6
//! (ip(7), ipv6(7)).
//!
//! ```text
//! IPv4 = family u16 · port be16 · address 4
//! IPv6 = family u16 · port be16 · flow be32 · address 16 · scope u32
//! ```

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Bytes of the longest that is read here, sockaddr_in6.
pub const LONGEST: usize = 28;

/// The address in `bytes`, which may be longer; `None` when cut short or of another family.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<SocketAddr> {
    let (family, rest) = bytes.split_first_chunk()?;
    let (port, rest) = rest.split_first_chunk()?;
    let port = u16::from_be_bytes(*port);
    match u16::from_ne_bytes(*family) {
        AF_INET => {
            let address = Ipv4Addr::from(*rest.first_chunk::<4>()?);
            Some(SocketAddrV4::new(address, port).into())
        }
        AF_INET6 => {
            let (flow, rest) = rest.split_first_chunk()?;
            let (address, rest) = rest.split_first_chunk::<16>()?;
            let scope = u32::from_ne_bytes(*rest.first_chunk()?);
            let flow = u32::from_be_bytes(*flow);
            Some(SocketAddrV6::new(Ipv6Addr::from(*address), port, flow, scope).into())
        }
        _ => None,
    }
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_read() {
        let four = [2u16.to_ne_bytes().as_slice(), &[0x1f, 0x90, 10, 0, 0, 1], &[0; 8]].concat();
        assert_eq!(parse(&four), Some("10.0.0.1:8080".parse().unwrap()));
        let address: Ipv6Addr = "fe80::7".parse().unwrap();
        let six = [
            10u16.to_ne_bytes().as_slice(),
            &[0, 53, 0, 0, 0, 0],
            &address.octets(),
            &3u32.to_ne_bytes(),
        ]
        .concat();
        assert_eq!(parse(&six), Some(SocketAddrV6::new(address, 53, 0, 3).into()));
        assert_eq!(six.len(), LONGEST);
    }

    #[test]
    fn what_is_cut_short_or_foreign_is_no_address() {
        let six = [10u16.to_ne_bytes().as_slice(), &[0; 26]].concat();
        assert!((0..six.len()).all(|end| parse(&six[..end]).is_none()));
        let four = [2u16.to_ne_bytes().as_slice(), &[0; 6]].concat();
        assert!((0..four.len()).all(|end| parse(&four[..end]).is_none()));
        assert_eq!(parse(&[1, 0, b'/', b't', b'm', b'p', 0, 0]), None);
    }
}
