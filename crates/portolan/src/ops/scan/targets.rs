//! From what was typed to addresses: names resolved, files read, the inventory asked, and what one
//! may scan without being asked twice.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::IpAddr;

use anyhow::Result;
use portolan_core::inventory::{
    AddressSpec, Host, Inventory, Location, NetworkExtent, ProbeDepth, Problem, Refused, SourceFile,
};
use portolan_core::net::{Gap, Prefix, Why};
use portolan_core::scan::TargetSet;
use portolan_core::scan::target::{self, AddressRange, Target};
use portolan_core::socket::InterfaceAddress;
use portolan_host::resolve;

use super::{Family, Request};
use crate::fault::{Fault, Hinted as _};

/// What the words came to.
pub(super) struct Found {
    /// The hosts.
    pub(super) targets: TargetSet,
    /// Names of their addresses.
    pub(super) names: HashMap<IpAddr, String>,
    /// The interface to go through: what a zone names, else what was asked for.
    pub(super) interface: Option<String>,
    /// What could not be resolved or is not to be probed.
    pub(super) gaps: Vec<Gap>,
}

/// Words being turned into addresses.
pub(super) struct Gathering<'a> {
    inventory: Option<&'a Inventory>,
    addresses: &'a [InterfaceAddress],
    family: Option<Family>,
    ranges: Vec<AddressRange>,
    names: HashMap<IpAddr, String>,
    zones: Vec<String>,
    gaps: Vec<Gap>,
}

impl<'a> Gathering<'a> {
    /// Nothing gathered yet.
    pub(super) fn new(
        inventory: Option<&'a Inventory>,
        addresses: &'a [InterfaceAddress],
        family: Option<Family>,
    ) -> Self {
        let (ranges, names, zones, gaps) = Default::default();
        Self { inventory, addresses, family, ranges, names, zones, gaps }
    }

    /// Everything that is asked for, without what is to be left out.
    ///
    /// # Errors
    /// A word that is no target, a file that cannot be read, nothing left to scan.
    pub(super) fn gather(mut self, request: &Request) -> Result<Found> {
        request.exclude.iter().try_for_each(|word| self.word(word))?;
        let mut excluded = std::mem::take(&mut self.ranges);
        // A name left out that cannot be resolved would be scanned.
        if let Some(gap) = self.gaps.first() {
            return Err(Fault::new(format!("cannot leave out {}", gap.what), gap.hint.clone()));
        }
        self.names.clear();
        request.targets.iter().try_for_each(|word| self.word(word))?;
        self.spare(&mut excluded);
        self.spare_broadcasts(&mut excluded);
        if let Some(family) = self.family {
            self.ranges.retain(|r| r.is_v6() == (family == Family::V6));
        }
        let targets = TargetSet::new(self.ranges.iter().copied(), excluded)
            .hinted("too many targets", "name smaller networks; of IPv6 only known hosts")?;
        if targets.is_empty() {
            return Err(self.nothing());
        }
        let interface = self.interface()?.or_else(|| request.interface.clone());
        if interface.is_none() {
            self.refuse_zoneless(&targets)?;
        }
        self.name_by_inventory();
        Ok(Found { targets, names: self.names, interface, gaps: self.gaps })
    }

    fn word(&mut self, word: &str) -> Result<()> {
        if word == "-" {
            return self.list("standard input", &read(&mut io::stdin().lock(), "standard input")?);
        }
        let Some(name) = word.strip_prefix('@') else {
            let target = Target::parse(word).map_err(|e| Fault::new(e.to_string(), e.hint()))?;
            self.target(target);
            return Ok(());
        };
        let hosts = self.inventory.map(|i| i.hosts_in(name)).unwrap_or_default();
        if !hosts.is_empty() {
            hosts.into_iter().for_each(|host| self.host(host));
            return Ok(());
        }
        let hint = "@ stands before a group of the inventory or a file of targets";
        let mut file = File::open(name).hinted(format!("read {name}"), hint)?;
        let text = read(&mut file, name)?;
        self.list(name, &text)
    }

    fn list(&mut self, file: &str, text: &str) -> Result<()> {
        let listed = target::list(text).map_err(|error| {
            let at = Location { file: 0, span: error.span };
            let problem = Problem::new(at, error.mistake.to_string(), error.mistake.hint());
            let files = vec![SourceFile::new(file, text)];
            Refused { files, problems: vec![problem], omitted: 0 }
        })?;
        listed.into_iter().for_each(|target| self.target(target));
        Ok(())
    }

    fn target(&mut self, target: Target) {
        match target {
            Target::Addresses { ranges, zone } => {
                self.ranges.extend(ranges);
                self.zones.extend(zone.map(String::from));
            }
            Target::Name(name) => match self.inventory.and_then(|i| named(i, &name)) {
                Some(host) => self.host(host),
                None => self.name(&name, &name),
            },
        }
    }

    /// All addresses that `name` resolves to.
    fn name(&mut self, name: &str, shown: &str) {
        match resolve::addresses(name) {
            Ok(addresses) => addresses.into_iter().for_each(|a| self.address(a, shown)),
            Err(error) => {
                let cause = error.to_string();
                let cause = cause.rsplit(": ").next().unwrap_or(&cause);
                let what = format!("the host {name} ({cause})");
                self.gaps.push(Gap::new(
                    what,
                    Why::Unsupported,
                    "check its name, or name its address",
                ));
            }
        }
    }

    fn address(&mut self, address: IpAddr, name: &str) {
        self.ranges.push(address.into());
        self.names.entry(address).or_insert_with(|| name.to_owned());
    }

    /// A host of the inventory; by its own name where no address is declared.
    fn host(&mut self, host: &Host) {
        let before = (self.ranges.len(), self.gaps.len());
        for spec in &host.address {
            match &spec.value {
                AddressSpec::Prefix(prefix) if is_single(*prefix) => {
                    self.address(prefix.address(), &host.name);
                }
                AddressSpec::Prefix(_) => {}
                AddressSpec::Dns(name) => self.name(name, &host.name),
                AddressSpec::Interface(name) => {
                    let here = self.addresses.iter().filter(|a| a.interface == *name);
                    here.for_each(|a| {
                        self.ranges.push(a.address.into());
                        self.names.insert(a.address, host.name.clone());
                    });
                }
            }
        }
        if before == (self.ranges.len(), self.gaps.len()) {
            self.name(&host.name, &host.name);
        }
    }

    /// Leaves out the hosts of which the inventory says `probe = "never"`.
    fn spare(&mut self, excluded: &mut Vec<AddressRange>) {
        let hosts = self.inventory.map_or(&[][..], |i| &i.hosts);
        for host in hosts.iter().filter(|h| h.probe == ProbeDepth::Never) {
            let spared: Vec<AddressRange> = single_addresses(host).map(Into::into).collect();
            let meets = |r: &AddressRange| {
                self.ranges.iter().any(|asked| asked.place_of(r.first()).is_some())
            };
            if spared.iter().any(meets) {
                let what = format!("the host {}", host.name);
                let hint = "the inventory says probe = \"never\"";
                self.gaps.push(Gap::new(what, Why::NotLooked, hint));
            }
            excluded.extend(spared);
        }
    }

    /// Leaves out the addresses that mean all hosts of a network of ours (RFC 919 §7): none of them is
    /// a host.
    fn spare_broadcasts(&mut self, excluded: &mut Vec<AddressRange>) {
        for here in self.addresses {
            let network = here.network;
            let all = AddressRange::from(network).last();
            let is_asked = self.ranges.iter().any(|asked| asked.place_of(all).is_some());
            if network.address().is_ipv4() && network.length() < 31 && is_asked {
                let what = format!("{all}, the broadcast address of {}", here.interface);
                let gap = Gap::new(what, Why::NotLooked, "it is the address of no host");
                if !self.gaps.contains(&gap) {
                    self.gaps.push(gap);
                }
                excluded.push(all.into());
            }
        }
    }

    /// Refuses link-local IPv6 addresses of which nobody says on which link: every link has its own
    /// (RFC 4007 §6).
    fn refuse_zoneless(&self, targets: &TargetSet) -> Result<()> {
        let Some(range) = targets.ranges().find(|range| is_link_local(range.first())) else {
            return Ok(());
        };
        let target = range.first();
        let here = self.addresses.iter().filter(|a| is_link_local(a.address));
        let mut zones: Vec<String> = here.map(|a| format!("{target}%{}", a.interface)).collect();
        zones.dedup();
        let hint = match zones.is_empty() {
            true => "no interface here has a link-local address".into(),
            false => format!("name it: {}", zones.join(" or ")),
        };
        Err(Fault::new(format!("{target} is link-local, and no interface is named"), hint))
    }

    /// Names that nobody typed, of addresses that the inventory knows.
    fn name_by_inventory(&mut self) {
        for host in self.inventory.map_or(&[][..], |i| &i.hosts) {
            for address in single_addresses(host) {
                self.names.entry(address).or_insert_with(|| host.name.clone());
            }
        }
    }

    fn interface(&self) -> Result<Option<String>> {
        let first = self.zones.first();
        match self.zones.iter().find(|zone| Some(*zone) != first) {
            None => Ok(first.cloned()),
            Some(other) => Err(Fault::new(
                format!("targets on {} and on {other}", first.map_or("", |z| z)),
                "a scan goes through one interface: run it once for each",
            )),
        }
    }

    fn nothing(&self) -> anyhow::Error {
        match self.gaps.first() {
            Some(gap) => Fault::new(format!("cannot scan {}", gap.what), gap.hint.clone()),
            None => Fault::new(
                "no target is left to scan",
                "look at what --exclude, -4 and -6 leave out",
            ),
        }
    }
}

/// Refuses addresses that are neither private nor known to be ours.
///
/// # Errors
/// With the first such address.
pub(super) fn refuse_public(
    targets: &TargetSet,
    inventory: Option<&Inventory>,
    addresses: &[InterfaceAddress],
) -> Result<()> {
    let here = addresses.iter().map(|a| a.network);
    let ours = here.chain(inventory.into_iter().flat_map(known));
    let Some(stranger) = target::public_part(targets, ours) else { return Ok(()) };
    Err(Fault::new(
        format!("{stranger} is public, and the inventory does not name it"),
        "scan only what is yours or what you may; --public says that you may",
    ))
}

/// Whether every target is this machine itself.
pub(super) fn only_own(targets: &TargetSet, addresses: &[InterfaceAddress]) -> bool {
    let own = addresses.iter().map(|a| AddressRange::from(a.address));
    let loopback = ["127.0.0.0/8", "::1"].into_iter().filter_map(|t| t.parse::<Prefix>().ok());
    let own = own.chain(loopback.map(AddressRange::from));
    TargetSet::new(targets.ranges(), own).is_ok_and(|rest| rest.is_empty())
}

/// Every address and network that the inventory writes out.
fn known(inventory: &Inventory) -> Vec<Prefix> {
    let mut known = Vec::new();
    for host in &inventory.hosts {
        known.extend(host.address.iter().filter_map(|a| match &a.value {
            AddressSpec::Prefix(prefix) => Some(*prefix),
            _ => None,
        }));
        known.extend(host.public.iter().map(|a| Prefix::from(*a)));
    }
    for network in &inventory.networks {
        if let NetworkExtent::Prefixes { prefixes, .. } = &network.extent {
            known.extend(prefixes);
        }
    }
    known
}

fn named<'i>(inventory: &'i Inventory, name: &str) -> Option<&'i Host> {
    let by_alias = |h: &&Host| h.aliases.iter().any(|a| a == name);
    inventory.host(name).or_else(|| inventory.hosts.iter().find(by_alias))
}

fn single_addresses(host: &Host) -> impl Iterator<Item = IpAddr> {
    let written = host.address.iter().filter_map(|a| match &a.value {
        AddressSpec::Prefix(prefix) if is_single(*prefix) => Some(prefix.address()),
        _ => None,
    });
    written.chain(host.public.iter().copied())
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

fn is_single(prefix: Prefix) -> bool {
    prefix.length() == if prefix.address().is_ipv4() { 32 } else { 128 }
}

fn read(from: &mut impl io::Read, name: &str) -> Result<String> {
    let mut text = String::new();
    from.take(LARGEST).read_to_string(&mut text).hinted(format!("read {name}"), "")?;
    Ok(text)
}

/// Ten million addresses.
const LARGEST: u64 = 256 << 20;
