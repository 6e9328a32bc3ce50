//! Whom the sources of a `[[never]]` mean: one answer for the audit, the proof and every change.
//!
//! `any`, addresses, hosts and networks mean exactly that, whoever else in the inventory has a name for
//! some of them; so does a network with an interface, which is whoever comes by it. A network of the file
//! that is everybody (`internet = "any"`) is written for those outside: it means the strangers, whoever
//! has no name in the inventory. Names are the networks and hosts that the file gives addresses; who is
//! known by `dns:` or `iface:` alone is a stranger, for an answer of a resolver opens no guard.

use crate::firewall::Addresses;
use crate::socket::Machine;

use super::{Inventory, Source, SourceExtent};

impl Inventory {
    /// The addresses that `source` stands for in `from` of a `[[never]]`, seen from `machine`.
    #[must_use]
    pub fn ruled_out(&self, source: &Source, machine: &Machine) -> SourceExtent {
        let extent = self.extent_of(source, machine);
        if !self.is_outside(source, &extent) {
            return extent;
        }
        let strangers = Addresses::all().without(&self.named_addresses(machine));
        let prefixes = [strangers.prefixes(false), strangers.prefixes(true)].concat();
        SourceExtent { prefixes, ..SourceExtent::default() }
    }

    /// Whether it is a network of the file, not the built-in `any`, that is everybody.
    fn is_outside(&self, source: &Source, extent: &SourceExtent) -> bool {
        let is_declared = |name: &str| name != "any" && self.network(name).is_some();
        matches!(source, Source::Network(name) if is_declared(name))
            && extent.interface.is_none()
            && extent.addresses().is_all()
    }

    /// Every address that a network or host of the file has, but for those that are everybody.
    fn named_addresses(&self, machine: &Machine) -> Addresses {
        let networks = self.networks.iter().map(|n| Source::Network(n.name.clone()));
        let hosts = self.hosts.iter().map(|h| Source::Host(h.name.clone()));
        let known = networks.chain(hosts).map(|s| self.extent_of(&s, machine).addresses());
        let prefixes = |one: Addresses| [one.prefixes(false), one.prefixes(true)].concat();
        Addresses::of(known.filter(|known| !known.is_all()).flat_map(prefixes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::file;

    const SITE: &str = r#"portolan = 1
[networks]
internet = "any"
world = ["0.0.0.0/0", "::/0"]
lan = "10.9.0.0/24"
wan = { interface = "eth0" }
[hosts.far]
address = ["203.0.113.9", "dns:far.example.org"]
"#;

    /// Which of a few addresses a `[[never]]` from `source` is about.
    fn meant(source: &str) -> Vec<&'static str> {
        let site = file::parse("site.toml", SITE.as_bytes()).unwrap();
        let source = site.source_named(source).unwrap();
        let extent = site.ruled_out(&source, &Machine::default());
        let all = ["10.9.0.7", "203.0.113.9", "198.51.100.7", "2001:db8::7"];
        all.into_iter().filter(|address| extent.contains(address.parse().unwrap())).collect()
    }

    #[test]
    fn any_and_addresses_mean_exactly_that_whoever_has_a_name_for_them() {
        let all = ["10.9.0.7", "203.0.113.9", "198.51.100.7", "2001:db8::7"];
        assert_eq!(meant("any"), all);
        assert_eq!(meant("wan"), all, "by their interface");
        assert_eq!(meant("0.0.0.0/0"), all[..3]);
        assert_eq!(meant("10.0.0.0/8"), ["10.9.0.7"]);
        assert_eq!(meant("lan"), ["10.9.0.7"]);
    }

    #[test]
    fn a_network_of_the_file_that_is_everybody_means_whoever_has_no_name() {
        for outside in ["internet", "world"] {
            assert_eq!(meant(outside), ["198.51.100.7", "2001:db8::7"], "{outside}");
        }
    }
}
