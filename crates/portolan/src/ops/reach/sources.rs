//! Who is asked about: what `--from` names, or everybody worth asking about.

use std::net::{IpAddr, Ipv6Addr};

use anyhow::Result;
use portolan_core::firewall::{Addresses, Interface, World};
use portolan_core::inventory::{BUILT_IN_NETWORKS, Inventory, Source as Declared};
use portolan_core::net::{Prefix, PrefixError, Scope, nearest};
use portolan_core::reach::Source;
use portolan_core::socket::Machine;

use crate::fault::Fault;
use crate::ops::firewall::source;
use crate::ops::inventory::Intent;
use crate::ops::kill::came_in;

/// What sources are looked up in.
#[derive(Debug)]
pub(crate) struct Directory<'a> {
    /// The machine asked about, where it is this one.
    pub(crate) machine: &'a Machine,
    /// Its interfaces.
    pub(crate) world: &'a World,
    /// What the inventory names.
    pub(crate) intent: &'a Intent,
}

impl Directory<'_> {
    /// The source that `word` names.
    ///
    /// # Errors
    /// When it names none.
    pub(crate) fn named(&self, word: &str) -> Result<Source> {
        let nothing = Inventory::default();
        let inventory = self.intent.declared().map_or(&nothing, |(inventory, _)| inventory);
        let extent = |source: &Declared| {
            let extent = inventory.extent_of(source, self.machine);
            Source::of_extent(word, &extent)
        };
        if let Ok(prefix) = word.parse::<Prefix>() {
            return Ok(Source::prefix(prefix));
        }
        if let Some((address, zone)) = word.split_once('%')
            && let Ok(address) = address.parse::<Ipv6Addr>()
        {
            return self.on_link(address, zone);
        }
        if inventory.network(word).is_some() || word == "private" {
            return Ok(extent(&Declared::Network(word.to_owned())));
        }
        if inventory.host(word).is_some() {
            return Ok(extent(&Declared::Host(word.to_owned())));
        }
        if let Some(name) = word.strip_prefix("service:").filter(|n| inventory.service(n).is_some())
        {
            return Ok(extent(&Declared::Service(name.to_owned())));
        }
        if let Some(group) = word.strip_prefix('@').filter(|g| !inventory.hosts_in(g).is_empty()) {
            return Ok(extent(&Declared::Group(group.to_owned())));
        }
        let interface = word.strip_prefix("iface:").unwrap_or(word);
        if interface != word || self.world.interface(interface).is_some() {
            source::there_is(interface, self.world)?;
            return Ok(Source::interface(interface));
        }
        match word {
            "any" => Ok(Source::any()),
            "internet" => Ok(Source::internet()),
            "loopback" | "localhost" | "lo" => Ok(Source::loopback()),
            "caller" => caller().map(Source::prefix).ok_or_else(|| {
                Fault::new("nobody came in by SSH here", "name an address, or `any`")
            }),
            _ => Err(self.unknown(inventory, word)),
        }
    }

    /// Somebody on one link; which interfaces there are is known of a machine that is seen.
    fn on_link(&self, address: Ipv6Addr, zone: &str) -> Result<Source> {
        source::there_is(zone, self.world)?;
        if !address.is_unicast_link_local() {
            let hint = "leave the interface out, or name an address of a link: fe80::7%eth0";
            return Err(Fault::new(format!("{address} is no address of a link"), hint));
        }
        Ok(Source::on_link(Prefix::from(IpAddr::from(address)), zone))
    }

    fn unknown(&self, inventory: &Inventory, word: &str) -> anyhow::Error {
        if let Some(error) = no_network(word) {
            return Fault::new(error.to_string(), HINT);
        }
        let networks = inventory.networks.iter().map(|n| n.name.as_str());
        let hosts = inventory.hosts.iter().map(|h| h.name.as_str());
        let all = networks.chain(hosts).chain(BUILT_IN_NETWORKS).chain(["internet", "caller"]);
        let hint = match nearest(word, all) {
            Some(near) => format!("did you mean `{near}`?"),
            None => HINT.to_owned(),
        };
        Fault::new(format!("there is no source `{word}`"), hint)
    }

    /// Everybody worth asking about where nobody is named: this machine, everyone else, what the
    /// inventory names, each interface, and whoever asks.
    pub(crate) fn everybody(&self) -> Vec<Source> {
        let mut all = vec![Source::loopback(), Source::any()];
        if let Some((inventory, host)) = self.intent.declared() {
            let networks = inventory.networks.iter().map(|n| n.name.as_str());
            let others = inventory.hosts.iter().filter(|h| h.name != host.name);
            let names = networks.chain(others.map(|h| h.name.as_str())).take(MOST);
            all.extend(names.filter_map(|name| self.named(name).ok()));
        }
        let is_asked = |i: &&Interface| &*i.name != "lo" && i.master.is_none() && self.is_used(i);
        let with_address = self.world.interfaces.iter().filter(is_asked);
        let named = with_address.map(|i| Source::interface(&i.name)).take(MOST);
        all.extend(named.map(|source| Source { name: format!("iface:{}", source.name), ..source }));
        all.extend(caller().map(|prefix| {
            let name = format!("caller ({prefix})");
            Source { name, ..Source::prefix(prefix) }
        }));
        all
    }

    /// Whether an interface has an address that others beyond its link can send to.
    fn is_used(&self, interface: &Interface) -> bool {
        let mut own = self.world.addresses.iter().filter(|own| own.interface == interface.name);
        own.any(|own| Scope::of(own.address) != Scope::LinkLocal)
    }

    /// Names for addresses, for telling groups: the inventory's networks.
    pub(crate) fn names(&self) -> Vec<(String, Addresses)> {
        let Some((inventory, _)) = self.intent.declared() else { return Vec::new() };
        let networks = inventory.networks.iter().map(|network| {
            let source = Declared::Network(network.name.clone());
            let extent = inventory.extent_of(&source, self.machine);
            let inside = Addresses::of(extent.prefixes.iter().copied());
            let except = Addresses::of(extent.except.iter().copied());
            (network.name.clone(), inside.without(&except))
        });
        networks.filter(|(_, addresses)| !addresses.is_empty()).collect()
    }
}

/// Why a word that is meant as an address or a network is none.
fn no_network(word: &str) -> Option<PrefixError> {
    let has_length = word.split_once('/').is_some_and(|(address, _)| address.contains(['.', ':']));
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '/');
    let is_meant = has_length || word.contains('.') && word.chars().all(is_number);
    word.parse::<Prefix>().err().filter(|_| is_meant)
}

/// Whoever came in by SSH to ask.
fn caller() -> Option<Prefix> {
    let peer: IpAddr = came_in()?;
    Some(Prefix::from(peer))
}

const HINT: &str = "an address, a network, a name of the inventory, iface:eth0, any, internet, \
                    private, loopback or caller";
/// More names of an inventory are not asked about one by one.
const MOST: usize = 64;
