//! Ports that the kernel hands on to other machines.

use std::net::IpAddr;

use super::super::{AddressSpec, Forward, ForwardTarget, ForwardVia, Source};
use super::Making;
use crate::firewall::{Addresses, Peers, Translation, address_of};
use crate::net::{PortRange, Transport};

impl Making<'_> {
    /// The translations of this host: `nat`, and `router` where this host is the router.
    pub(super) fn translations(&mut self) -> Vec<Translation> {
        let inventory = self.inventory;
        let kernel = inventory.forwards.iter().filter(|forward| forward.via != ForwardVia::Proxy);
        let now = self.resolutions.now;
        let kernel = kernel.filter(|forward| !super::has_ended(&forward.docs, now));
        let here: Vec<&Forward> = kernel.filter(|f| self.host.is_meant_by(&f.on)).collect();
        here.into_iter().flat_map(|forward| self.translation(forward)).collect()
    }

    fn translation(&mut self, forward: &Forward) -> Vec<Translation> {
        let peers = self.peers(forward.from.iter().map(|source| &source.value));
        let targets = self.targets(forward);
        let mut translations = Vec::new();
        for (range, transport) in forward.listen.value.pairs() {
            if !targets.is_empty() && !peers.is_empty() {
                let port = self.port_there(forward, range, transport);
                translations.push(translation(forward, range, transport, &peers, &targets, port));
            }
        }
        translations
    }

    /// Where to, at most one address a family: the first of the host's.
    fn targets(&mut self, forward: &Forward) -> Vec<IpAddr> {
        let found = match &forward.to.value {
            ForwardTarget::Endpoint(endpoint) => vec![endpoint.address],
            ForwardTarget::Service { host, .. } => self.first_addresses(host),
        };
        if found.is_empty() {
            let name = &forward.name;
            self.notes.push(format!("`{name}` hands on nothing: its target has no known address"));
        }
        if found.iter().any(|a| self.is_own(*a)) {
            let name = &forward.name;
            self.notes
                .push(format!("`{name}` hands on to this machine itself, which nft does not"));
            return Vec::new();
        }
        found
    }

    fn is_own(&self, address: IpAddr) -> bool {
        let own = self.host.address.iter();
        own.filter_map(|a| match &a.value {
            AddressSpec::Prefix(prefix) => Some(*prefix),
            _ => None,
        })
        .any(|prefix| prefix.address() == address)
    }

    fn first_addresses(&mut self, host: &str) -> Vec<IpAddr> {
        let Some(host) = self.inventory.host(host) else { return Vec::new() };
        let source = Source::Host(host.name.clone());
        let mut first: [Option<IpAddr>; 2] = [None, None];
        for spec in &host.address {
            let addresses = self.resolve(&spec.value, &source);
            for (place, is_v6) in [false, true].into_iter().enumerate() {
                first[place] = first[place].or_else(|| single(&addresses, is_v6));
            }
        }
        first.into_iter().flatten().collect()
    }

    /// The port there; `None` where it is the one that was called.
    fn port_there(&self, forward: &Forward, range: PortRange, transport: Transport) -> Option<u16> {
        let there = match &forward.to.value {
            ForwardTarget::Endpoint(endpoint) => PortRange::from(endpoint.port),
            ForwardTarget::Service { service, .. } => {
                let specs = &self.inventory.service(service)?.ports;
                let mut pairs = specs.iter().flat_map(|spec| spec.value.pairs());
                pairs.find(|(_, t)| *t == transport)?.0
            }
        };
        (there != range).then_some(there.first().0)
    }
}

fn translation(
    forward: &Forward,
    range: PortRange,
    transport: Transport,
    peers: &[Peers],
    targets: &[IpAddr],
    port: Option<u16>,
) -> Translation {
    Translation {
        name: forward.name.as_str().into(),
        transport,
        range,
        peers: peers.to_vec(),
        targets: targets.to_vec(),
        port,
        masquerade: forward.masquerade,
        until: super::end(&forward.docs).map(super::End::moment),
    }
}

/// The one address, where it is one.
fn single(addresses: &Addresses, is_v6: bool) -> Option<IpAddr> {
    match addresses.intervals(is_v6) {
        [(first, last)] if first == last => Some(address_of(*first, is_v6)),
        _ => None,
    }
}
