//! A network prefix (CIDR, RFC 4632, RFC 4291 §2.3): an address and how many bits of it count.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// A network such as `10.0.0.0/8`; a single address is a /32 or /128. Host bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(IpNet);

impl Prefix {
    /// The network of `length` bits that `address` lies in.
    ///
    /// # Errors
    /// [`PrefixError::Length`] above 32 (IPv4) or 128 (IPv6).
    pub fn new(address: IpAddr, length: u8) -> Result<Self, PrefixError> {
        IpNet::new(address, length)
            .map(|net| Self(net.trunc()))
            .map_err(|_| PrefixError::Length { found: format!("{address}/{length}") })
    }

    /// The lowest address of the network.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.0.network()
    }

    /// How many bits count.
    #[must_use]
    pub fn length(self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether `address` lies inside; never across families.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// Whether all of `other` lies inside.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.0.contains(&other.0)
    }
}

impl From<IpAddr> for Prefix {
    fn from(address: IpAddr) -> Self {
        Self(address.into())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.0.addr().is_ipv4() { 32 } else { 128 };
        if self.0.prefix_len() == host {
            return self.0.addr().fmt(f);
        }
        self.0.fmt(f)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let found = || text.to_owned();
        let Some((address, length)) = text.split_once('/') else {
            return text
                .parse::<IpAddr>()
                .map(Self::from)
                .map_err(|_| PrefixError::Syntax { found: found() });
        };
        let address: IpAddr =
            address.parse().map_err(|_| PrefixError::Syntax { found: found() })?;
        let length = length.parse().map_err(|_| PrefixError::Length { found: found() })?;
        let net =
            IpNet::new(address, length).map_err(|_| PrefixError::Length { found: found() })?;
        if net.trunc() != net {
            return Err(PrefixError::HostBits { found: found(), network: net.trunc().to_string() });
        }
        Ok(Self(net))
    }
}

/// Why a text is not a prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Neither an address nor an address with a length.
    #[error("`{found}` is not an address or a network such as 10.0.0.0/8")]
    Syntax {
        /// The text as given.
        found: String,
    },
    /// A length beyond the family's bits.
    #[error("`{found}` has a prefix length outside 0-32 (IPv4) or 0-128 (IPv6)")]
    Length {
        /// The text as given.
        found: String,
    },
    /// Bits set that do not count: most often a slip, so it is not guessed at.
    #[error("`{found}` has bits set beyond its prefix length; the network is {network}")]
    HostBits {
        /// The text as given.
        found: String,
        /// The network it lies in.
        network: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_address_is_a_network_of_one() {
        let one: Prefix = "10.0.0.1".parse().unwrap();
        assert_eq!(one.length(), 32);
        assert_eq!(one.to_string(), "10.0.0.1");
    }

    #[test]
    fn host_bits_are_pointed_out_with_the_network_meant() {
        let error = "10.1.2.3/8".parse::<Prefix>().unwrap_err();
        assert_eq!(
            error,
            PrefixError::HostBits { found: "10.1.2.3/8".into(), network: "10.0.0.0/8".into() }
        );
    }

    #[test]
    fn families_never_contain_each_other() {
        let any: Prefix = "0.0.0.0/0".parse().unwrap();
        assert!(!any.contains("::1".parse().unwrap()));
    }
}
