//! The addresses that sources and targets stand for, with what had to be asked noted down.

use std::net::IpAddr;

use super::super::{AddressSpec, Source, SourceExtent};
use super::Making;
use crate::firewall::{Addresses, Peers};
use crate::net::{Prefix, Scope};

impl Making<'_> {
    /// Who these sources are: one group for all that may come by any interface, one for each interface.
    pub(super) fn peers<'s>(&mut self, sources: impl Iterator<Item = &'s Source>) -> Vec<Peers> {
        let mut groups: Vec<Peers> = Vec::new();
        for source in sources {
            let one = self.source(source);
            if one.addresses.is_empty() {
                continue;
            }
            match groups.iter_mut().find(|group| group.interface == one.interface) {
                Some(group) => {
                    group.addresses = group.addresses.with(&one.addresses);
                    group.label = format!("{}, {}", group.label, one.label).into();
                }
                None => groups.push(one),
            }
        }
        groups.sort_by(|a, b| a.interface.cmp(&b.interface));
        groups
    }

    /// The same for a `[[never]]`, one group for each source: whom [`super::Inventory::ruled_out`] names.
    pub(super) fn ruled_out<'s>(
        &mut self,
        sources: impl Iterator<Item = &'s Source>,
    ) -> Vec<Peers> {
        let (inventory, machine) = (self.inventory, &self.resolutions.machine);
        let each = sources.map(|s| self.extent(s, inventory.ruled_out(s, machine)));
        each.filter(|peers| !peers.addresses.is_empty()).collect()
    }

    fn source(&mut self, source: &Source) -> Peers {
        self.extent(source, self.inventory.extent_of(source, &self.resolutions.machine))
    }

    /// What a source stands for, with what is to be resolved.
    fn extent(&mut self, source: &Source, extent: SourceExtent) -> Peers {
        let label = self.inventory.source_name(source);
        if *source == Source::Network("private".to_owned()) {
            self.note_shared_space();
        }
        let mut addresses = extent.inside();
        for unknown in &extent.unresolved {
            addresses = addresses.with(&self.resolve(unknown, source));
        }
        let addresses = addresses.without(&Addresses::of(extent.except));
        match extent.interface {
            Some(name) if !can_be_said(&name) => {
                self.notes.push(format!("`{label}` is left out: nft cannot name its interface"));
                Peers::default()
            }
            interface => {
                Peers { label: label.into(), addresses, interface: interface.map(Into::into) }
            }
        }
    }

    /// Whoever `to` of an outgoing row means: `dns:NAME`, or anything that is a source.
    pub(super) fn target(&mut self, to: &str) -> Vec<Peers> {
        if let Some(name) = to.strip_prefix("dns:") {
            let spec = AddressSpec::Dns(name.to_owned());
            let addresses = self.resolve(&spec, &Source::Host(name.to_owned()));
            let peers = Peers { label: to.into(), addresses, interface: None };
            return if peers.addresses.is_empty() { Vec::new() } else { vec![peers] };
        }
        let source = self.inventory.source_named(to);
        self.peers(source.iter())
    }

    /// Everything a host is reached by.
    pub(super) fn addresses_of_host(&mut self, host: &str) -> Addresses {
        self.source(&Source::Host(host.to_owned())).addresses
    }

    /// What stands for an address that only the machine or a resolver knows.
    pub(super) fn resolve(&mut self, spec: &AddressSpec, of: &Source) -> Addresses {
        let found: Option<Vec<IpAddr>> = match spec {
            AddressSpec::Prefix(prefix) => return Addresses::of([*prefix]),
            AddressSpec::Dns(name) => self.resolutions.names.get(name).cloned(),
            AddressSpec::Interface(name) => self.of_interface(name, of),
        };
        match found.filter(|found| !found.is_empty()) {
            Some(found) => {
                let addresses = Addresses::of(found.into_iter().map(Prefix::from));
                self.resolved.insert(spec.to_string(), vec![addresses.to_string().into()]);
                addresses
            }
            None => {
                self.notes.push(format!("`{spec}` is not resolved: nothing is let through for it"));
                Addresses::NONE
            }
        }
    }

    /// The addresses of an interface of this host; those of others are not to be seen from here.
    fn of_interface(&self, name: &str, of: &Source) -> Option<Vec<IpAddr>> {
        let is_this = *of == Source::Host(self.host.name.clone());
        let all = self.resolutions.machine.addresses.iter();
        let on = all.filter(|a| a.interface == name).map(|a| a.address);
        is_this.then(|| on.collect())
    }

    /// Whether 100.64.0.0/10 is private depends on the machine, and so is told.
    fn note_shared_space(&mut self) {
        let machine = &self.resolutions.machine;
        if machine.addresses.iter().any(|a| Scope::of(a.address) == Scope::Cgnat) {
            self.resolved.insert("private".to_owned(), vec!["100.64.0.0/10 too".into()]);
        }
    }
}

/// Whether nft can be told this name: it has no way to write a quotation mark in one.
fn can_be_said(interface: &str) -> bool {
    !interface.is_empty()
        && interface.len() < 16
        && !interface.contains(|c: char| c == '"' || c == '\\' || c.is_control())
}
