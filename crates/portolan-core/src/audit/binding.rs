//! Where a service may be bound: what `bind`, `at`, `to` and a missing `from` allow.

use std::net::IpAddr;

use crate::inventory::{AddressSpec, Bind, Inventory, Located, Service, Source};
use crate::net::{Prefix, Scope};
use crate::socket::{Held, Machine};

use super::Reach;

/// What a service's entry says about where it may be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Any address, and the entry says so.
    Wildcard,
    /// Nothing is said that would forbid an address.
    Unsaid,
    /// Loopback only.
    Loopback,
    /// These, and loopback.
    Listed(Listed),
}

/// Addresses that are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// Addresses and networks.
    pub(super) prefixes: Vec<Prefix>,
    /// Interfaces: a socket bound to one of them is fine whatever its address.
    pub(super) interfaces: Vec<String>,
    /// Names that were not resolved: what is bound elsewhere cannot be told to be wrong.
    pub(super) unresolved: Vec<String>,
}

/// Whether an address is one of those allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// A name would have to be resolved first.
    Unknown,
}

impl Allowed {
    /// What the entry of `service` allows, where `remote` says whether anybody beyond this machine
    /// is meant to come.
    pub(super) fn of(
        service: &Service,
        inventory: &Inventory,
        machine: &Machine,
        remote: bool,
    ) -> Self {
        match &service.bind {
            Some(Bind::Any) => Self::Wildcard,
            Some(Bind::Loopback) => Self::Loopback,
            Some(Bind::Addresses(addresses)) => Self::Listed(listed(addresses, service, machine)),
            None => match &service.at_network {
                Some(network) => on_network(inventory, &network.value, service, machine),
                None if remote => Self::Unsaid,
                None if service.to.is_empty() => Self::Loopback,
                None => Self::Listed(Listed { prefixes: groups(service), ..Listed::default() }),
            },
        }
    }

    /// Whether `held` is bound where it may be. Loopback is never too wide.
    pub(super) fn fits(&self, held: &Held) -> Fit {
        if Reach::of_socket(held) == Reach::Machine {
            return Fit::Yes;
        }
        match self {
            Self::Wildcard | Self::Unsaid => Fit::Yes,
            Self::Loopback => Fit::No,
            Self::Listed(listed) => listed.fits(held),
        }
    }

    /// Whether a socket of this entry and one of `other` must want the same address. Where nothing
    /// is said it is taken for some address beyond loopback.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Wildcard, _) | (_, Self::Wildcard) | (Self::Loopback, Self::Loopback) => true,
            (Self::Loopback, other) | (other, Self::Loopback) => other.names_loopback(),
            (Self::Unsaid, _) | (_, Self::Unsaid) => true,
            (Self::Listed(a), Self::Listed(b)) => {
                a.prefixes.iter().any(|p| b.prefixes.iter().any(|q| p.covers(*q) || q.covers(*p)))
                    || a.interfaces.iter().any(|i| b.interfaces.contains(i))
            }
        }
    }

    /// In words, after "allowed: ".
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Wildcard | Self::Unsaid => "any address".to_owned(),
            Self::Loopback => "loopback only".to_owned(),
            Self::Listed(listed) => {
                let prefixes = listed.prefixes.iter().map(ToString::to_string);
                let interfaces = listed.interfaces.iter().map(|i| format!("iface:{i}"));
                let names = listed.unresolved.iter().map(|n| format!("dns:{n}"));
                prefixes.chain(interfaces).chain(names).collect::<Vec<_>>().join(", ")
            }
        }
    }

    fn names_loopback(&self) -> bool {
        matches!(self, Self::Listed(listed) if listed.prefixes.iter().any(|p| {
            matches!(Scope::of(p.address()), Scope::Loopback | Scope::Wildcard)
        }))
    }
}

impl Listed {
    fn fits(&self, held: &Held) -> Fit {
        let Some(endpoint) = held.socket.local_endpoint() else { return Fit::Yes };
        let on_interface =
            held.socket.device.as_ref().is_some_and(|d| self.interfaces.iter().any(|i| **i == **d));
        let inside = self.prefixes.iter().any(|p| p.contains(unmapped(endpoint.address)));
        // A prefix of length 0 says "anything"; the wildcard address itself is in no shorter one.
        if on_interface || inside {
            Fit::Yes
        } else if self.unresolved.is_empty() || Scope::of(endpoint.address) == Scope::Wildcard {
            Fit::No
        } else {
            Fit::Unknown
        }
    }
}

fn listed(addresses: &[Located<AddressSpec>], service: &Service, machine: &Machine) -> Listed {
    let mut listed = Listed { prefixes: groups(service), ..Listed::default() };
    for address in addresses {
        match &address.value {
            AddressSpec::Prefix(prefix) => listed.prefixes.push(*prefix),
            AddressSpec::Interface(name) => listed.add_interface(name, machine),
            AddressSpec::Dns(name) => listed.unresolved.push(name.clone()),
        }
    }
    listed
}

/// `at`: the addresses this machine has on that network, its interface, and the network itself.
fn on_network(inventory: &Inventory, name: &str, service: &Service, machine: &Machine) -> Allowed {
    let extent = inventory.extent_of(&Source::Network(name.to_owned()), machine);
    if extent.any {
        return Allowed::Unsaid;
    }
    let mut listed = Listed { prefixes: groups(service), ..Listed::default() };
    listed.interfaces.extend(extent.interface.clone());
    for own in machine.addresses.iter().filter(|a| extent.contains(a.address)) {
        if !listed.interfaces.contains(&own.interface) {
            listed.interfaces.push(own.interface.clone());
        }
    }
    listed.prefixes.extend(extent.prefixes);
    Allowed::Listed(listed)
}

impl Listed {
    fn add_interface(&mut self, name: &str, machine: &Machine) {
        self.interfaces.push(name.to_owned());
        let own = machine.addresses.iter().filter(|a| a.interface == name);
        self.prefixes.extend(own.map(|a| Prefix::from(a.address)));
    }
}

/// Multicast groups and broadcast addresses of `to`: a receiver may be bound to the group itself.
fn groups(service: &Service) -> Vec<Prefix> {
    service.to.iter().map(|address| Prefix::from(*address)).collect()
}

fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
