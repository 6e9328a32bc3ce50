//! What surrounds the rules: the addresses and routes that decide whether a packet stays here.

use std::net::{IpAddr, Ipv4Addr};

use crate::net::Prefix;
use crate::wire::route_table::RoutingRule;

/// Addresses, interfaces and routes of a network namespace. Empty: nothing is known of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// Its own addresses.
    pub addresses: Vec<LocalAddress>,
    /// Its interfaces.
    pub interfaces: Vec<Interface>,
    /// The routes of the main table, any order; the longest prefix, then the lowest metric holds.
    pub routes: Vec<Route>,
    /// Whether packets of others are passed on (`net.ipv4.ip_forward`), where an interface says nothing
    /// else.
    pub forwards_v4: bool,
    /// The same (`net.ipv6.conf.all.forwarding`).
    pub forwards_v6: bool,
    /// Networks that are wholly this machine's though no interface has their addresses: routes of type
    /// local (`ip route add local 10.66.0.0/16 dev lo`).
    pub local_networks: Vec<Prefix>,
    /// The rules of policy routing, those that every machine has among them; empty where there are no
    /// others, or nothing is known of them: the main table decides alone.
    pub policy: Vec<RoutingRule>,
    /// The routes of tables other than the main one, by the table's number.
    pub tables: Vec<(u32, Route)>,
}

/// An address of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// On this interface.
    pub interface: Box<str>,
    /// The address.
    pub address: IpAddr,
    /// The network it lies in.
    pub network: Prefix,
}

impl LocalAddress {
    /// The broadcast address of its IPv4 network; /31 and /32 have none (fib_add_ifaddr).
    #[must_use]
    pub fn broadcast(&self) -> Option<IpAddr> {
        let IpAddr::V4(first) = self.network.address() else { return None };
        let length = u32::from(self.network.length());
        let hosts = u32::MAX.checked_shr(length).filter(|_| length < 31)?;
        Some(Ipv4Addr::from_bits(first.to_bits() | hosts).into())
    }
}

/// A network interface. A setting that is `None` is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: Box<str>,
    /// The bridge or bond it is a port of.
    pub master: Option<Box<str>>,
    /// Whether IPv4 packets of others that come in by it are passed on
    /// (`net.ipv4.conf.NAME.forwarding`; net/ipv4/route.c asks this one alone).
    pub forwards_v4: Option<bool>,
    /// Whether packets to and from 127.0.0.0/8 may come in by it (`route_localnet` of all or of it).
    pub route_localnet: Option<bool>,
    /// Whether packets from addresses of this machine may come in by it (`accept_local` of all or of it).
    pub accept_local: Option<bool>,
    /// How the way back to the sender is checked (`rp_filter`, the greater of all's and its own); not known
    /// either where rules of policy routing may lead back another way.
    pub reverse_path: Option<ReversePath>,
}

/// Which IPv4 packets are dropped because of the way back to their sender (RFC 3704;
/// `__fib_validate_source` in net/ipv4/fib_frontend.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReversePath {
    /// `rp_filter` 0: none.
    Unchecked,
    /// 1: those to whose sender the route leaves by another interface.
    Strict,
    /// 2: those to whose sender there is no route.
    Loose,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// To there.
    pub destination: Prefix,
    /// By this interface; empty where it has none, or where nobody told which.
    pub interface: Box<str>,
    /// What becomes of packets.
    pub kind: RouteKind,
    /// Lower is preferred.
    pub metric: u32,
}

/// What becomes of packets of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// Sent on.
    Unicast,
    /// Dropped in silence.
    Blackhole,
    /// Refused: unreachable.
    Unreachable,
    /// Refused: prohibited.
    Prohibit,
}

impl World {
    /// The broadcast addresses of its networks.
    pub fn broadcasts(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses.iter().filter_map(LocalAddress::broadcast)
    }

    /// Whether anything is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.addresses.is_empty() || !self.routes.is_empty()
    }

    /// Whether all its interfaces are known: a list of them has the loopback device, what was said with an
    /// address has not.
    #[must_use]
    pub fn are_interfaces_known(&self) -> bool {
        self.interface("lo").is_some()
    }

    /// Whether `address` is one of this machine's; the whole of 127.0.0.0/8 is.
    #[must_use]
    pub fn is_local(&self, address: IpAddr) -> bool {
        let is_loopback = address.is_loopback();
        is_loopback
            || self.addresses.iter().any(|own| own.address == address)
            || self.local_networks.iter().any(|network| network.contains(address))
    }

    /// Whether packets of others that come in by an interface are passed on.
    #[must_use]
    pub fn forwards(&self, is_v6: bool, by: &str) -> bool {
        match self.interface(by).and_then(|interface| interface.forwards_v4) {
            _ if is_v6 => self.forwards_v6,
            Some(forwards) => forwards,
            None => self.forwards_v4,
        }
    }

    /// The interface of this name.
    #[must_use]
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| &*interface.name == name)
    }

    /// The ports of a bridge or bond.
    pub fn ports_of(&self, master: &str) -> impl Iterator<Item = &str> {
        let ports = self.interfaces.iter();
        let ports = ports.filter(move |port| port.master.as_deref() == Some(master));
        ports.map(|port| &*port.name)
    }

    /// The route a packet to `address` takes, where it is not for this machine; of several alike, as
    /// those of each link to its own addresses, the first.
    #[must_use]
    pub fn route(&self, address: IpAddr) -> Option<&Route> {
        let fits = self.routes.iter().filter(|route| route.destination.contains(address));
        fits.min_by_key(|route| (std::cmp::Reverse(route.destination.length()), route.metric))
    }
}
