//! Hosts, services and forwards by name, for a walk over a whole inventory.
//!
//! A file of 10 MB has a hundred thousand of them: looking each up by going through all of them
//! takes minutes. Made of an inventory for the walk and thrown away after it.

use std::collections::HashMap;

use super::{Forward, ForwardTarget, Host, HostSelector, Inventory, Located, Service};

/// The names of one inventory.
#[derive(Debug)]
pub(crate) struct Index<'a> {
    hosts_in_order: &'a [Host],
    hosts: HashMap<&'a str, usize>,
    groups: HashMap<&'a str, Vec<usize>>,
    services: HashMap<&'a str, &'a Service>,
    forwards: HashMap<(&'a str, &'a str), Vec<&'a Forward>>,
}

impl<'a> Index<'a> {
    /// Gathers the names of `inventory`.
    pub(crate) fn of(inventory: &'a Inventory) -> Self {
        let mut groups: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, host) in inventory.hosts.iter().enumerate() {
            host.groups.iter().for_each(|g| groups.entry(g).or_default().push(place));
        }
        let mut forwards: HashMap<(&str, &str), Vec<&Forward>> = HashMap::new();
        for forward in &inventory.forwards {
            if let ForwardTarget::Service { service, host } = &forward.to.value {
                forwards.entry((service, host)).or_default().push(forward);
            }
        }
        let hosts = inventory.hosts.iter().enumerate();
        Self {
            hosts_in_order: &inventory.hosts,
            hosts: hosts.map(|(place, host)| (host.name.as_str(), place)).collect(),
            groups,
            services: inventory.services.iter().map(|s| (s.name.as_str(), s)).collect(),
            forwards,
        }
    }

    /// The host of this name; aliases are not looked at.
    pub(crate) fn host(&self, name: &str) -> Option<&'a Host> {
        self.hosts.get(name).map(|place| &self.hosts_in_order[*place])
    }

    /// The service of this name.
    pub(crate) fn service(&self, name: &str) -> Option<&'a Service> {
        self.services.get(name).copied()
    }

    /// The forwards that hand on to `service` on `host`, in the file's order.
    pub(crate) fn forwards_to(&self, service: &'a str, host: &'a str) -> &[&'a Forward] {
        self.forwards.get(&(service, host)).map_or(&[], Vec::as_slice)
    }

    /// The machines in `group`, given without `@`, in the file's order.
    pub(crate) fn hosts_in(&self, group: &str) -> Vec<&'a Host> {
        let places = self.groups.get(group).into_iter().flatten();
        places.map(|place| &self.hosts_in_order[*place]).collect()
    }

    /// The machines a list of selectors means, in the file's order.
    pub(crate) fn hosts_on(&self, on: &[Located<HostSelector>]) -> Vec<&'a Host> {
        let mut places: Vec<usize> = Vec::new();
        for selector in on {
            match &selector.value {
                HostSelector::All => places.extend(0..self.hosts_in_order.len()),
                HostSelector::Host(name) => places.extend(self.hosts.get(name.as_str())),
                HostSelector::Group(group) => {
                    places.extend(self.groups.get(group.as_str()).into_iter().flatten());
                }
                HostSelector::NotHost(_) | HostSelector::NotGroup(_) => {}
            }
        }
        places.sort_unstable();
        places.dedup();
        let hosts = places.into_iter().map(|place| &self.hosts_in_order[place]);
        hosts.filter(|host| host.is_meant_by(on)).collect()
    }
}
