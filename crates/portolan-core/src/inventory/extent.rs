//! Which addresses a source stands for.
//!
//! A function of the inventory and of one fact of the machine: whether an interface here has an
//! address of 100.64.0.0/10, without which `private` leaves that range out. What would have to be
//! asked of an interface or a resolver is named, not guessed.

use std::net::IpAddr;

use crate::firewall::Addresses;
use crate::net::{Prefix, Scope};
use crate::socket::Machine;

use super::{AddressSpec, Host, Inventory, NetworkExtent, Source};

/// The addresses a source stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceExtent {
    /// Whether it is every address of both families; then `prefixes` is empty.
    pub any: bool,
    /// Inside.
    pub prefixes: Vec<Prefix>,
    /// Taken out again.
    pub except: Vec<Prefix>,
    /// Only through this interface.
    pub interface: Option<String>,
    /// What is not known from the file alone: `iface:eth0`, `dns:NAME`.
    pub unresolved: Vec<AddressSpec>,
}

impl SourceExtent {
    /// Every address there is.
    #[must_use]
    pub fn any() -> Self {
        Self { any: true, ..Self::default() }
    }

    /// Whether `address` is known to be inside; the interface is not looked at.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let inside = self.any || self.prefixes.iter().any(|p| p.contains(address));
        inside && !self.except.iter().any(|p| p.contains(address))
    }

    /// What is inside, before anything is taken out again; what is not resolved is not in it.
    #[must_use]
    pub fn inside(&self) -> Addresses {
        if self.any { Addresses::all() } else { Addresses::of(self.prefixes.iter().copied()) }
    }

    /// All addresses that are known to be meant.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.inside().without(&Addresses::of(self.except.iter().copied()))
    }

    fn of_prefixes(prefixes: Vec<Prefix>) -> Self {
        Self { prefixes, ..Self::default() }
    }
}

/// The names every inventory knows without declaring them: `any`, `private`, `loopback`.
pub const BUILT_IN_NETWORKS: [&str; 3] = ["any", "private", "loopback"];

impl Inventory {
    /// The addresses `source` stands for, seen from `machine`.
    ///
    /// A service stands for the hosts it is on; a host for its `address` and `public`.
    #[must_use]
    pub fn extent_of(&self, source: &Source, machine: &Machine) -> SourceExtent {
        match source {
            Source::Network(name) => self.network_extent(name, machine),
            Source::Host(name) => hosts_extent(self.host(name)),
            Source::Group(group) => hosts_extent(self.hosts_in(group)),
            Source::Prefix(prefix) => SourceExtent::of_prefixes(vec![*prefix]),
            Source::Service(name) => {
                hosts_extent(self.service(name).map_or(Vec::new(), |s| self.hosts_on(&s.on)))
            }
        }
    }

    fn network_extent(&self, name: &str, machine: &Machine) -> SourceExtent {
        match self.network(name).map(|n| &n.extent) {
            Some(NetworkExtent::Any) => SourceExtent::any(),
            Some(NetworkExtent::Prefixes { prefixes, except, interface }) => SourceExtent {
                prefixes: prefixes.clone(),
                except: except.clone(),
                interface: interface.clone(),
                ..SourceExtent::default()
            },
            None => built_in(name, machine),
        }
    }
}

fn built_in(name: &str, machine: &Machine) -> SourceExtent {
    let shared = machine.addresses.iter().any(|a| Scope::of(a.address) == Scope::Cgnat);
    match name {
        "any" => SourceExtent::any(),
        "private" => {
            let shared_space = SHARED_SPACE.iter().filter(|_| shared);
            SourceExtent::of_prefixes(fixed(PRIVATE.iter().chain(shared_space)))
        }
        "loopback" => SourceExtent::of_prefixes(fixed(LOOPBACK.iter())),
        _ => SourceExtent::default(),
    }
}

fn hosts_extent<'a>(hosts: impl IntoIterator<Item = &'a Host>) -> SourceExtent {
    let mut extent = SourceExtent::default();
    for host in hosts {
        for address in &host.address {
            match &address.value {
                AddressSpec::Prefix(prefix) => extent.prefixes.push(*prefix),
                unresolved => extent.unresolved.push(unresolved.clone()),
            }
        }
        extent.prefixes.extend(host.public.iter().map(|a| Prefix::from(*a)));
    }
    extent
}

fn fixed<'a>(texts: impl Iterator<Item = &'a &'a str>) -> Vec<Prefix> {
    texts.map(|text| text.parse().expect("the built-in networks are well formed")).collect()
}

/// RFC 1918 §3 and RFC 4193 §3.1.
const PRIVATE: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];
/// RFC 6598 §7: shared address space, private only to those who are in it.
const SHARED_SPACE: [&str; 1] = ["100.64.0.0/10"];
/// RFC 6890 §2.2.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::file;
    use crate::socket::InterfaceAddress;

    const SITE: &str = r#"portolan = 1
[networks]
internet = "any"
lab = { cidr = "10.9.0.0/16", except = "10.9.1.0/24", interface = "eth1" }
[hosts.web]
address = ["10.0.0.10", "iface:eth0"]
public = ["203.0.113.10"]
groups = ["linux"]
[hosts.db]
address = "10.0.0.20"
groups = ["linux"]
[services.cache]
on = ["db"]
ports = "6379/tcp"
"#;

    fn extent(source: &Source, machine: &Machine) -> SourceExtent {
        let site = file::parse("site.toml", SITE.as_bytes()).unwrap();
        site.extent_of(source, machine)
    }

    fn here(source: &Source) -> SourceExtent {
        extent(source, &Machine::default())
    }

    fn has(extent: &SourceExtent, address: &str) -> bool {
        extent.contains(address.parse().unwrap())
    }

    #[test]
    fn any_is_every_address_by_whatever_name() {
        for name in ["any", "internet"] {
            let any = here(&Source::Network(name.into()));
            assert!(any.any && has(&any, "8.8.8.8") && has(&any, "2001:db8::1"), "{name}");
        }
    }

    #[test]
    fn a_network_is_its_addresses_without_the_exceptions() {
        let lab = here(&Source::Network("lab".into()));
        assert!(has(&lab, "10.9.2.1") && !has(&lab, "10.9.1.1") && !has(&lab, "10.8.0.1"));
        assert_eq!(lab.interface.as_deref(), Some("eth1"));
    }

    #[test]
    fn a_host_is_all_its_addresses_and_what_is_not_known_is_named() {
        let web = here(&Source::Host("web".into()));
        assert!(has(&web, "10.0.0.10") && has(&web, "203.0.113.10"));
        assert_eq!(web.unresolved, [AddressSpec::Interface("eth0".into())]);
        let linux = here(&Source::Group("linux".into()));
        assert!(has(&linux, "10.0.0.10") && has(&linux, "10.0.0.20"));
        let cache = here(&Source::Service("cache".into()));
        assert!(has(&cache, "10.0.0.20") && !has(&cache, "10.0.0.10"));
    }

    #[test]
    fn shared_address_space_is_private_only_to_who_is_in_it() {
        let private = Source::Network("private".into());
        assert!(!has(&here(&private), "100.64.0.9"));
        assert!(has(&here(&private), "192.168.1.1") && has(&here(&private), "fd00::1"));
        let address: IpAddr = "100.100.1.1".parse().unwrap();
        let inside = InterfaceAddress { interface: "vpn".into(), address, network: address.into() };
        let machine = Machine { addresses: vec![inside], ..Machine::default() };
        assert!(has(&extent(&private, &machine), "100.64.0.9"));
    }
}
