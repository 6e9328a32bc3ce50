//! The firewall of one host, as it follows from the inventory.
//!
//! A function of the inventory, the host's name and what was resolved, which the policy lists. What is
//! planned, retired or only observed opens nothing, nor does a pool. A declared port is open to its
//! sources whether a socket or a published container answers there; the port of a `via = "nat"` forward
//! is open to the translation alone. Blocks come after management: they refuse everything else, also
//! what was established before.

mod base;
mod cut_off;
mod forwards;
mod peers;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::matrix::{Matrix, Outgoing, Reason, Row, Subject, Traffic};
use super::{
    Documentation, Door, DoorMethod, End, FirewallDefault, ForwardVia, Helper, Host, Inventory,
    Location, NetworkExtent, Rate, Service, Source,
};
use crate::firewall::{
    Addresses, Block, ConntrackHelper, Knock, Never, Pass, PassTraffic, PassWay, Peers, Policy,
    RateLimit, Stance,
};
use crate::net::{Prefix, Transport};
use crate::socket::Machine;

pub use cut_off::{CutOff, Server, ServerRole};

/// What had to be asked of the machine, of resolvers and of the calendar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolutions {
    /// The machine the policy is for: `iface:eth0`, and whether 100.64.0.0/10 is private here.
    pub machine: Machine,
    /// What `dns:NAME` stands for, by name without `dns:`.
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// The name servers the machine asks.
    pub resolvers: Vec<IpAddr>,
    /// Whom the machine relies on for other things, and these again: only [`Inventory::cut_off`] asks.
    pub servers: Vec<Server>,
    /// What time it is, for what ends. `None`: nothing has ended.
    pub now: Option<Timestamp>,
}

impl Inventory {
    /// The firewall of `host`.
    #[must_use]
    pub fn policy(&self, host: &Host, resolutions: &Resolutions) -> Policy {
        let matrix = self.matrix();
        let mut making = Making::new(self, host, resolutions);
        let management = making.management(&matrix);
        let blocks = making.blocks();
        let base = making.base(&matrix);
        let passes = making.passes(&matrix);
        let egress = making.egress(&matrix);
        let doors = making.doors();
        let translations = making.translations();
        let never = making.never();
        let (resolved, notes) = making.end();
        Policy {
            host: host.name.as_str().into(),
            input: stance(host.firewall.input),
            forward: stance(host.firewall.forward),
            output: stance(host.firewall.egress),
            management,
            blocks,
            base,
            passes,
            egress,
            doors,
            translations,
            never,
            resolved,
            notes,
        }
    }

    /// The names that have to be resolved for a policy, without `dns:`, sorted.
    #[must_use]
    pub fn names_to_resolve(&self) -> Vec<String> {
        let addresses = self.hosts.iter().flat_map(|host| &host.address);
        let of_hosts = addresses.filter_map(|address| match &address.value {
            super::AddressSpec::Dns(name) => Some(name.clone()),
            _ => None,
        });
        let needs = self.services.iter().flat_map(|service| &service.needs);
        let of_needs = needs.filter_map(|need| match &need.value {
            super::Need::Endpoint { target, .. } => target.strip_prefix("dns:").map(str::to_owned),
            super::Need::Service { .. } => None,
        });
        let mut names: Vec<String> = of_hosts.chain(of_needs).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// A policy in the making: what was asked, and what could not be answered.
struct Making<'a> {
    inventory: &'a Inventory,
    host: &'a Host,
    resolutions: &'a Resolutions,
    resolved: BTreeMap<String, Vec<Box<str>>>,
    notes: Vec<String>,
}

impl<'a> Making<'a> {
    fn new(inventory: &'a Inventory, host: &'a Host, resolutions: &'a Resolutions) -> Self {
        let (resolved, notes) = (BTreeMap::new(), Vec::new());
        Self { inventory, host, resolutions, resolved, notes }
    }

    #[expect(clippy::type_complexity, reason = "as the policy keeps them")]
    fn end(mut self) -> (Vec<(Box<str>, Vec<Box<str>>)>, Vec<String>) {
        self.notes.sort();
        self.notes.dedup();
        let resolved = self.resolved.into_iter().map(|(what, found)| (what.into(), found));
        (resolved.collect(), self.notes)
    }

    fn here<'m>(&self, matrix: &'m Matrix<'a>) -> impl Iterator<Item = &'m Row<'a>> + use<'m, 'a> {
        let host = self.host;
        let now = self.resolutions.now;
        matrix.rows.iter().filter(move |row| row.host.name == host.name && is_open(row, now))
    }

    fn management(&mut self, matrix: &Matrix<'a>) -> Vec<Pass> {
        let rows = self.here(matrix).filter(|row| matches!(row.subject, Subject::Management(_)));
        rows.filter_map(|row| self.pass(row, PassWay::Input)).collect()
    }

    fn passes(&mut self, matrix: &Matrix<'a>) -> Vec<Pass> {
        self.tell_ended(matrix);
        let here: Vec<&Row<'_>> = self.here(matrix).collect();
        let mut passes: Vec<Pass> =
            here.into_iter().filter_map(|row| way(row).and_then(|w| self.pass(row, w))).collect();
        if self.host.firewall.forward == FirewallDefault::Drop {
            passes.extend(self.through(matrix));
        }
        passes
    }

    /// The pass of a row; `None` where it is for this machine only, or nobody it names is known.
    fn pass(&mut self, row: &Row<'a>, way: PassWay) -> Option<Pass> {
        let peers = self.peers(row.from.iter().map(|origin| &origin.source));
        if peers.is_empty() {
            return None;
        }
        let service = row.subject.service();
        service.into_iter().for_each(|service| self.tell_cut_limit(service));
        let (interface, at) = service.map_or((None, None), |service| self.place(service));
        let to = service.filter(|service| !service.to.is_empty());
        let to = to.map(|service| Addresses::of(service.to.iter().map(|a| Prefix::from(*a))));
        Some(Pass {
            name: row.subject.name().into(),
            way,
            traffic: traffic(row.traffic),
            peers,
            destinations: to.or(at),
            interface,
            limit: service.and_then(|service| service.limit).map(limit),
            door: row.door.map(|door| door.name.as_str().into()),
            helper: service.and_then(|service| service.helper).map(helper),
            until: row.subject.docs().and_then(end).map(End::moment),
        })
    }

    /// Says where nft counts fewer than a limit says.
    fn tell_cut_limit(&mut self, service: &Service) {
        let Some(rate) = service.limit.filter(|rate| limit(*rate).is_cut()) else { return };
        let ((count, unit), name) = (limit(rate).in_units(), &service.name);
        self.notes.push(format!(
            "the limit {rate} of `{name}` becomes {count} a {unit}: nft counts whole numbers by the \
             second, minute, hour, day or week"
        ));
    }

    /// `at`: the interface of that network, or where it names none, the addresses in it.
    fn place(&mut self, service: &Service) -> (Option<Box<str>>, Option<Addresses>) {
        let Some(at) = &service.at_network else { return (None, None) };
        let network = self.inventory.network(&at.value).map(|n| &n.extent);
        match network {
            Some(NetworkExtent::Prefixes { interface: Some(name), .. }) => {
                (Some(name.as_str().into()), None)
            }
            Some(NetworkExtent::Any) => (None, None),
            _ => {
                let source = Source::Network(at.value.clone());
                let addresses = self.peers([&source].into_iter()).into_iter();
                let none = Addresses::NONE;
                (None, Some(addresses.fold(none, |all, peers| all.with(&peers.addresses))))
            }
        }
    }

    /// What a router lets through to the other hosts, and from those that say what they need.
    fn through(&mut self, matrix: &Matrix<'a>) -> Vec<Pass> {
        let mut passes = Vec::new();
        let now = self.resolutions.now;
        let others = |host: &Host| host.name != self.host.name;
        let rows: Vec<&Row<'_>> =
            matrix.rows.iter().filter(|r| is_open(r, now) && others(r.host)).collect();
        let leaving: Vec<&Outgoing<'_>> =
            matrix.outgoing.iter().filter(|o| others(o.host)).collect();
        for row in rows.into_iter().filter(|row| way(row).is_some()) {
            let to = self.addresses_of_host(&row.host.name);
            let pass = self.pass(row, PassWay::Through).filter(|_| !to.is_empty());
            // What is behind a door or limited is so on the host itself.
            passes.extend(pass.map(|pass| Pass {
                destinations: Some(pass.destinations.unwrap_or(to)),
                interface: None,
                limit: None,
                door: None,
                ..pass
            }));
        }
        for row in leaving {
            let Some(until) = self.until_of(row) else { continue };
            let source = Source::Host(row.host.name.clone());
            let peers = self.peers([&source].into_iter());
            let to = self.target(&row.to).into_iter();
            let to = to.fold(Addresses::NONE, |all, peers| all.with(&peers.addresses));
            if !peers.is_empty() && !to.is_empty() {
                let destinations = Some(to);
                let pass = outgoing(row, peers, PassWay::Through);
                passes.push(Pass { destinations, until, ..pass });
            }
        }
        passes
    }

    /// Says what is closed because nobody approves it any more.
    fn tell_ended(&mut self, matrix: &Matrix<'a>) {
        let rows = matrix.rows.iter().filter(|row| row.host.name == self.host.name);
        for row in rows.filter(|row| row.is_compiled()) {
            let end = row.subject.docs().and_then(end);
            if let Some(end) = end.filter(|end| is_over(*end, self.resolutions.now)) {
                let name = row.subject.name();
                self.notes.push(format!("`{name}` was approved until {end}: it is closed"));
            }
        }
    }

    /// Until when packets may leave for a row: as long as its service or forward is approved. `None`
    /// where that is over.
    #[expect(clippy::option_option, reason = "no end at all is an answer too")]
    fn until_of(&self, row: &Outgoing<'_>) -> Option<Option<Timestamp>> {
        let docs = match row.reason {
            Reason::From(name) => self.inventory.service(name).map(|service| &service.docs),
            Reason::NeededBy(service) => Some(&service.docs),
            Reason::Forward(forward) => Some(&forward.docs),
        };
        let end = docs.and_then(end);
        let is_over = end.is_some_and(|end| is_over(end, self.resolutions.now));
        (!is_over).then(|| end.map(End::moment))
    }

    fn egress(&mut self, matrix: &Matrix<'a>) -> Vec<Pass> {
        let rows = matrix.outgoing.iter().filter(|row| row.host.name == self.host.name);
        let rows: Vec<&Outgoing<'_>> = rows.collect();
        let mut passes = Vec::new();
        for row in rows {
            let Some(until) = self.until_of(row) else { continue };
            let peers = self.target(&row.to);
            if !peers.is_empty() {
                passes.push(Pass { until, ..outgoing(row, peers, PassWay::Output) });
            }
        }
        passes
    }

    fn blocks(&mut self) -> Vec<Block> {
        self.blocks_with_places().into_iter().map(|(block, _)| block).collect()
    }

    /// The same with the line each stands at.
    fn blocks_with_places(&mut self) -> Vec<(Block, Location)> {
        let inventory = self.inventory;
        let mut blocks = Vec::new();
        let is_here =
            |block: &&super::Block| block.on.is_empty() || self.host.is_meant_by(&block.on);
        for block in inventory.blocks.iter().filter(is_here) {
            let name = block.reason.as_deref().unwrap_or("block");
            let ended = block.until.filter(|end| is_over(*end, self.resolutions.now));
            if let Some(end) = ended {
                self.notes.push(format!("the block `{name}` ended on {end}"));
                continue;
            }
            let peers = self.peers(block.from.iter().map(|source| &source.value));
            let refused =
                block.ports.iter().flat_map(|spec| super::matrix::traffic_of(&spec.value));
            let traffic: Vec<PassTraffic> = refused.map(traffic).collect();
            let until = block.until.map(End::moment);
            blocks.push((Block { name: name.into(), peers, traffic, until }, block.at.clone()));
        }
        blocks
    }

    fn doors(&mut self) -> Vec<Knock> {
        let inventory = self.inventory;
        let now = self.resolutions.now;
        let here = inventory.doors.iter().filter(|door| self.host.is_meant_by(&door.on));
        let here = here.filter(|door| !has_ended(&door.docs, now));
        here.map(|door| self.door(door)).collect()
    }

    fn door(&mut self, door: &Door) -> Knock {
        let peers = match door.from.is_empty() {
            true => vec![Peers::anybody()],
            false => self.peers(door.from.iter().map(|source| &source.value)),
        };
        let (sequence, window) = match &door.method {
            DoorMethod::Spa { .. } => (Vec::new(), None),
            DoorMethod::Sequence { ports, window } => {
                let steps = ports.iter().filter_map(|p| p.value.pairs().next());
                let step = |(range, transport): (crate::net::PortRange, Transport)| {
                    (transport, range.first().0)
                };
                (steps.map(step).collect(), *window)
            }
        };
        Knock {
            name: door.name.as_str().into(),
            open: door.open.map_or(OPEN, whole),
            sequence,
            window: window.map_or(WINDOW, whole),
            peers,
            until: end(&door.docs).map(End::moment),
        }
    }

    fn never(&mut self) -> Vec<Never> {
        let inventory = self.inventory;
        let mut all = Vec::new();
        for never in &inventory.never {
            let service = never.service.as_ref().and_then(|name| inventory.service(&name.value));
            let service = service.filter(|service| self.host.is_meant_by(&service.on));
            let of_service = service.into_iter().flat_map(|service| &service.ports);
            let specs = of_service.chain(&never.ports);
            let traffic: Vec<PassTraffic> = specs
                .flat_map(|spec| super::matrix::traffic_of(&spec.value))
                .map(traffic)
                .collect();
            let peers = self.ruled_out(never.from.iter().map(|source| &source.value));
            let name = never.reason.as_deref().unwrap_or("never").into();
            if !traffic.is_empty() && !peers.is_empty() {
                all.push(Never { name, traffic, peers });
            }
        }
        all
    }
}

/// How long a door stays open where nothing is said.
const OPEN: Duration = Duration::from_secs(30);
/// How long a sequence may pause where nothing is said.
const WINDOW: Duration = Duration::from_secs(10);

/// On which way a row lies; `None` where it is no pass: management has its own, and a sequence of ports
/// is followed, not let in.
fn way(row: &Row<'_>) -> Option<PassWay> {
    match row.subject {
        Subject::Management(_) => None,
        Subject::Door(door) => match door.method {
            DoorMethod::Spa { .. } => Some(PassWay::Input),
            DoorMethod::Sequence { .. } => None,
        },
        Subject::Forward(forward) if forward.via != ForwardVia::Proxy => Some(PassWay::Translated),
        Subject::Forward(_) | Subject::Service(_) => Some(PassWay::InputOrTranslated),
    }
}

/// When the approval ends that lets something in.
fn end(docs: &Documentation) -> Option<End> {
    Some(docs.approved.as_ref()?.until.as_ref()?.value)
}

fn is_over(end: End, now: Option<Timestamp>) -> bool {
    now.is_some_and(|now| end.is_over(now))
}

fn has_ended(docs: &Documentation, now: Option<Timestamp>) -> bool {
    end(docs).is_some_and(|end| is_over(end, now))
}

/// Whether a row is compiled and its approval has not ended.
fn is_open(row: &Row<'_>, now: Option<Timestamp>) -> bool {
    row.is_compiled() && !row.subject.docs().is_some_and(|docs| has_ended(docs, now))
}

fn outgoing(row: &Outgoing<'_>, peers: Vec<Peers>, way: PassWay) -> Pass {
    let name = match row.reason {
        Reason::From(name) => name,
        Reason::NeededBy(service) => &service.name,
        Reason::Forward(forward) => &forward.name,
    };
    Pass::plain(name.into(), way, traffic(row.traffic), peers)
}

fn traffic(of: Traffic<'_>) -> PassTraffic {
    match of {
        Traffic::Ports { range, transport } => PassTraffic::Ports { transport, range },
        Traffic::Protocol { number, .. } => PassTraffic::Protocol(number),
    }
}

fn limit(rate: Rate) -> RateLimit {
    RateLimit { count: rate.count, per: whole(rate.per) }
}

/// A span of time; one that is not positive is the shortest there is.
fn whole(span: SignedDuration) -> Duration {
    Duration::try_from(span).unwrap_or(Duration::ZERO).max(Duration::from_millis(1))
}

fn helper(of: Helper) -> ConntrackHelper {
    match of {
        Helper::Ftp => ConntrackHelper::Ftp,
        Helper::Tftp => ConntrackHelper::Tftp,
        Helper::Sip => ConntrackHelper::Sip,
    }
}

fn stance(of: FirewallDefault) -> Stance {
    match of {
        FirewallDefault::Accept => Stance::Accept,
        FirewallDefault::Drop => Stance::Drop,
        FirewallDefault::Keep => Stance::Keep,
    }
}
