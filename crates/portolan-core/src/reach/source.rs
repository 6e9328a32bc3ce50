//! Who asks: the sources of traffic a question is about, as addresses and the interface they come by.

use crate::firewall::Addresses;
use crate::inventory::{AddressSpec, SourceExtent};
use crate::net::Prefix;

/// Somebody who might want to reach a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// As it is told: `any`, `loopback`, a network of the inventory, `10.0.0.0/8`, `eth1`.
    pub name: String,
    /// From where its packets come.
    pub whence: Whence,
    /// What of it is not known: names that were not resolved.
    pub unresolved: Vec<String>,
    /// Which addresses it was named by; none: all who are `whence`.
    pub by: Addresses,
}

/// From where packets come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whence {
    /// From programs of this machine.
    Here,
    /// From other machines.
    Outside {
        /// With these addresses.
        addresses: Addresses,
        /// By this interface; `None`: by the one that answers to them leave by.
        interface: Option<Box<str>>,
    },
}

impl Source {
    /// Every other machine, of both families.
    #[must_use]
    pub fn any() -> Self {
        Self::outside("any", senders(), None)
    }

    /// Machines with public addresses.
    #[must_use]
    pub fn internet() -> Self {
        Self::outside("internet", senders().without(&prefixes(&PRIVATE)), None)
    }

    /// Programs of this machine.
    #[must_use]
    pub fn loopback() -> Self {
        let (name, whence) = ("loopback".to_owned(), Whence::Here);
        Self { name, whence, unresolved: Vec::new(), by: Addresses::NONE }
    }

    /// Whoever comes by an interface.
    #[must_use]
    pub fn interface(name: &str) -> Self {
        if name == "lo" {
            return Self::loopback();
        }
        Self::outside(name, senders(), Some(name.into()))
    }

    /// An address of a link, with the interface that the link is at: `fe80::1%eth0`.
    #[must_use]
    pub fn on_link(prefix: Prefix, interface: &str) -> Self {
        let name = format!("{prefix}%{interface}");
        Self::outside(&name, Addresses::of([prefix]).and(&senders()), Some(interface.into()))
    }

    /// The addresses of a network.
    #[must_use]
    pub fn prefix(prefix: Prefix) -> Self {
        let addresses = Addresses::of([prefix]);
        if addresses.without(&prefixes(&LOOPBACK)).is_empty() {
            return Self { name: prefix.to_string(), by: addresses, ..Self::loopback() };
        }
        Self::outside(&prefix.to_string(), addresses.and(&senders()), None)
    }

    /// A source of the inventory, by what it stands for.
    #[must_use]
    pub fn of_extent(name: &str, extent: &SourceExtent) -> Self {
        let inside =
            if extent.any { senders() } else { Addresses::of(extent.prefixes.iter().copied()) };
        let addresses = inside.without(&Addresses::of(extent.except.iter().copied()));
        let is_here = !addresses.is_empty() && addresses.without(&prefixes(&LOOPBACK)).is_empty();
        let unresolved = extent.unresolved.iter().map(AddressSpec::to_string).collect();
        let interface = extent.interface.as_deref().map(Into::into);
        let whence = match is_here {
            true => Whence::Here,
            false => Whence::Outside { addresses: addresses.and(&senders()), interface },
        };
        Self { name: name.to_owned(), whence, unresolved, by: addresses }
    }

    fn outside(name: &str, addresses: Addresses, interface: Option<Box<str>>) -> Self {
        let by = addresses.clone();
        let whence = Whence::Outside { addresses, interface };
        Self { name: name.to_owned(), whence, unresolved: Vec::new(), by }
    }
}

/// Every address a packet of another machine may have as its source: of IPv4 all but some (RFC 1122
/// §3.2.1.3), of IPv6 the global and the local ones that IANA has given a use (RFC 4291 §2.4, RFC 4193),
/// and those of a link, which have no meaning beyond it.
#[must_use]
pub fn senders() -> Addresses {
    let v4 = Addresses::all().family(false).without(&prefixes(&NO_SENDERS));
    v4.with(&prefixes(&SENDERS_V6))
}

pub(super) fn prefixes(texts: &[&str]) -> Addresses {
    Addresses::of(texts.iter().map(|t| t.parse::<Prefix>().expect("networks written here parse")))
}

/// This network, loopback, multicast, reserved.
const NO_SENDERS: [&str; 4] = ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4"];
const SENDERS_V6: [&str; 3] = ["2000::/3", "fc00::/7", "fe80::/10"];
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1"];
/// RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291 §2.5.6.
pub(super) const PRIVATE: [&str; 7] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
];
