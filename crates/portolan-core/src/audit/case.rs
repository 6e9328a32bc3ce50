//! One audit: what is declared on a host laid beside what listens on it, rule by rule.
//!
//! Each listener is attributed to the entries that declare its port before any rule speaks, so that
//! all rules agree on whose it is.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::inventory::{
    Declared, End, ForwardTarget, ForwardVia, Host, Inventory, Location, Service, Source,
    SourceExtent, Status,
};
use crate::net::{Gap, Port, PortRange, Severity, Transport};
use crate::registry::Registry;
use crate::socket::{Held, Machine, SocketTable};

use super::accepted::{self, Accepted};
use super::binding::{Allowed, Fit};
use super::{Drift, FileLine, Finding, Listening, Opening, Reach, Rule, Subject};
use super::{drift, exposure, holder, numbers, opening, paperwork, reality};

/// Everything an audit looks at.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The intent.
    pub inventory: &'a Inventory,
    /// Which of its hosts this machine is.
    pub host: &'a Host,
    /// What listens here, with its owners.
    pub sockets: &'a SocketTable,
    /// The machine's addresses and port settings.
    pub machine: &'a Machine,
    /// What is known to be risky.
    pub registry: &'a Registry,
    /// Who reaches which port by the rules; empty where they were not seen.
    pub openings: &'a [Opening],
    /// Where the loaded table of ours differs from the inventory; empty where it does not, or is not
    /// there.
    pub drifts: &'a [Drift],
    /// The time of the audit.
    pub now: Timestamp,
}

impl Scene<'_> {
    /// The day of the audit, in UTC.
    pub(super) fn today(&self) -> Date {
        End::Moment(self.now).day()
    }
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// What is wrong, most severe first, then by rule and subject.
    pub findings: Vec<Finding>,
    /// What would be found, had it not been accepted.
    pub accepted: Vec<Accepted>,
    /// What is worth a sentence and is no finding.
    pub notes: Vec<String>,
    /// What could not be judged.
    pub gaps: Vec<Gap>,
}

impl Judgement {
    /// Takes in what was found elsewhere, and keeps the order.
    pub fn merge(&mut self, other: Self) {
        self.findings.extend(other.findings);
        accepted::sort(&mut self.findings);
        self.accepted.extend(other.accepted);
        self.notes.extend(other.notes);
        self.gaps.extend(other.gaps);
    }
}

/// Judges one host.
#[must_use]
pub fn judge(scene: &Scene<'_>) -> Judgement {
    let mut case = Case::open(*scene);
    reality::judge(&mut case);
    holder::judge(&mut case);
    exposure::judge(&mut case);
    numbers::judge(&mut case);
    paperwork::judge(&mut case);
    opening::judge(&mut case);
    drift::judge(&mut case);
    accepted::settle(case)
}

/// A finding on its way, with the sockets it is about, for `[[ignore]]` to look at.
#[derive(Debug)]
pub(super) struct Verdict<'a> {
    pub(super) finding: Finding,
    pub(super) sockets: Vec<&'a Held>,
}

/// A service that is declared on this host.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// The declaration.
    pub(super) service: &'a Service,
    /// The addresses of those who may come from beyond this machine, references and
    /// `[management]` included.
    pub(super) sources: Vec<SourceExtent>,
    /// Where it may be bound.
    pub(super) allowed: Allowed,
    /// The ports that are its own, with the sockets on them, by port and transport.
    pub(super) held: Vec<HeldPort<'a>>,
}

impl<'a> Entry<'a> {
    /// Those of its ports that are in a range.
    pub(super) fn held_in(
        &self,
        range: PortRange,
        transport: Transport,
    ) -> impl Iterator<Item = &HeldPort<'a>> {
        let start = self.held.partition_point(|h| h.port < range.first());
        let from_first = self.held[start..].iter().take_while(move |h| h.port <= range.last());
        from_first.filter(move |h| h.transport == transport)
    }

    /// Whether anybody beyond this machine is meant to come.
    pub(super) fn is_remote(&self) -> bool {
        !self.sources.is_empty()
    }

    /// How far away those who are meant to come are.
    pub(super) fn reach(&self) -> Reach {
        self.sources.iter().map(Reach::of_extent).max().unwrap_or(Reach::Machine)
    }

    /// Whether it is meant to run: approved, or found and not yet approved.
    pub(super) fn is_live(&self) -> bool {
        is_live(self.service)
    }
}

/// A port that listens, and those of its sockets that are one entry's.
#[derive(Clone, Debug)]
pub(super) struct HeldPort<'a> {
    pub(super) port: Port,
    pub(super) transport: Transport,
    pub(super) sockets: Vec<&'a Held>,
}

/// An audit on its way.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) scene: Scene<'a>,
    /// What listens, by port.
    pub(super) listening: Vec<Listening<'a>>,
    /// The services declared here, in the file's order.
    pub(super) entries: Vec<Entry<'a>>,
    /// Everything that claims a port here, services and others, in the file's order.
    pub(super) claims: Claims<'a>,
    pub(super) verdicts: Vec<Verdict<'a>>,
    pub(super) notes: Vec<String>,
    pub(super) gaps: Vec<Gap>,
}

impl<'a> Case<'a> {
    fn open(scene: Scene<'a>) -> Self {
        let declared = scene.inventory.declared_on(scene.host);
        let entries = declared.iter().filter_map(|d| match d {
            Declared::Service(service) => Some(Entry::open(&scene, service)),
            _ => None,
        });
        let mut case = Self {
            listening: Listening::all(scene.sockets),
            entries: entries.collect(),
            claims: Claims::of(declared),
            verdicts: Vec::new(),
            notes: Vec::new(),
            gaps: Vec::new(),
            scene,
        };
        case.attribute();
        case
    }

    /// What listens in a range, whoever declares it.
    pub(super) fn listening_in(
        &self,
        range: PortRange,
        transport: Transport,
    ) -> impl Iterator<Item = &Listening<'a>> {
        let start = self.listening.partition_point(|l| l.port < range.first());
        let from_first = self.listening[start..].iter().take_while(move |l| l.port <= range.last());
        from_first.filter(move |l| l.transport == transport)
    }

    /// As far as a port can be reached: by where it is bound, narrowed by the rules where they were seen.
    pub(super) fn reach_of(&self, port: Port, transport: Transport, bound: Reach) -> Reach {
        let mut openings = self.scene.openings.iter();
        let opening = openings.find(|o| o.port == port && o.transport == transport);
        opening.and_then(Opening::reach).map_or(bound, |reach| reach.min(bound))
    }

    /// The entries that declare a port, by their place in `entries`.
    pub(super) fn entries_at(&self, port: Port, transport: Transport) -> Vec<usize> {
        // Services are the first claims, so a claim's number is the entry's.
        let mut at = self.claims.at(port, transport);
        at.retain(|claim| *claim < self.entries.len());
        at
    }

    /// Adds a finding about a service of this host.
    pub(super) fn find(
        &mut self,
        rule: Rule,
        severity: Severity,
        subject: Subject,
        service: Option<&str>,
        words: Words<'a>,
    ) {
        let finding = Finding {
            rule,
            severity,
            host: self.scene.host.name.clone(),
            subject,
            service: service.map(ToOwned::to_owned),
            message: words.message,
            evidence: words.evidence,
            remedy: words.remedy,
            location: Some(self.file_line(words.at)),
        };
        self.verdicts.push(Verdict { finding, sockets: words.sockets });
    }

    /// A place as a finding names it.
    pub(super) fn file_line(&self, at: &Location) -> FileLine {
        file_line(self.scene.inventory, at)
    }

    /// A place in a sentence: `portolan.toml:12`.
    pub(super) fn place(&self, at: &Location) -> String {
        let place = self.scene.inventory.line_of(at);
        format!("{}:{}", place.file, place.line)
    }

    /// Gives each socket of a declared port to the live entry it belongs to. Where several declare
    /// the port, that is the one whose program holds it, else the one that allows its address.
    fn attribute(&mut self) {
        for listening in &self.listening {
            let mut live = self.claims.at(listening.port, listening.transport);
            live.retain(|claim| self.entries.get(*claim).is_some_and(Entry::is_live));
            let mut given: Vec<(usize, Vec<&Held>)> =
                live.iter().map(|i| (*i, Vec::new())).collect();
            for held in &listening.sockets {
                let owners = belongs_to(&self.scene, &self.entries, &live, held);
                for (_, sockets) in given.iter_mut().filter(|(entry, _)| owners.contains(entry)) {
                    sockets.push(held);
                }
            }
            for (entry, sockets) in given.into_iter().filter(|(_, sockets)| !sockets.is_empty()) {
                let (port, transport) = (listening.port, listening.transport);
                self.entries[entry].held.push(HeldPort { port, transport, sockets });
            }
        }
    }
}

/// The words of a finding and the sockets it is about.
pub(super) struct Words<'a> {
    pub(super) message: String,
    pub(super) evidence: Vec<String>,
    pub(super) remedy: String,
    pub(super) at: &'a Location,
    pub(super) sockets: Vec<&'a Held>,
}

impl<'a> Entry<'a> {
    fn open(scene: &Scene<'a>, service: &'a Service) -> Self {
        let sources = remote_sources(scene, service);
        let allowed = Allowed::of(service, scene.inventory, scene.machine, !sources.is_empty());
        Self { service, sources, allowed, held: Vec::new() }
    }
}

/// A place as a finding names it.
pub(super) fn file_line(inventory: &Inventory, at: &Location) -> FileLine {
    let place = inventory.line_of(at);
    FileLine { file: place.file.to_owned(), line: place.line }
}

/// Whether a service is meant to run: approved, or found and not yet approved.
pub(super) fn is_live(service: &Service) -> bool {
    matches!(service.status, Status::Active | Status::Observed)
}

fn belongs_to(scene: &Scene<'_>, entries: &[Entry<'_>], live: &[usize], held: &Held) -> Vec<usize> {
    let [first, _, ..] = live else { return live.to_vec() };
    let by_holder =
        live.iter().copied().filter(|i| holder::is_named_holder(scene, &entries[*i], held));
    let by_holder: Vec<usize> = by_holder.collect();
    let candidates = if by_holder.is_empty() { live } else { &by_holder };
    let fitting = candidates.iter().copied().filter(|i| entries[*i].allowed.fits(held) != Fit::No);
    let fitting: Vec<usize> = fitting.collect();
    match (fitting.is_empty(), by_holder.is_empty()) {
        (false, _) => fitting,
        (true, false) => by_holder,
        (true, true) => vec![*first],
    }
}

/// What a source of `from` stands for, at the interface that `at` confines it to.
pub(super) fn extent_for(scene: &Scene<'_>, service: &Service, source: &Source) -> SourceExtent {
    let extent = scene.inventory.extent_of(source, scene.machine);
    let at = service.at_network.as_ref().map(|at| {
        scene.inventory.extent_of(&Source::Network(at.value.clone()), scene.machine).interface
    });
    SourceExtent { interface: extent.interface.or(at.flatten()), ..extent }
}

/// Who beyond this machine may come: `from`, the forwards that lead here, and `[management]`.
fn remote_sources(scene: &Scene<'_>, service: &Service) -> Vec<SourceExtent> {
    let inventory = scene.inventory;
    let mut sources: Vec<SourceExtent> =
        service.from.iter().map(|s| extent_for(scene, service, &s.value)).collect();
    for forward in &inventory.forwards {
        let ForwardTarget::Service { service: name, host } = &forward.to.value else { continue };
        if *name != service.name || *host != scene.host.name {
            continue;
        }
        let seen_as_forwarder = forward.masquerade || forward.via == ForwardVia::Proxy;
        if seen_as_forwarder {
            let others = inventory.hosts_on(&forward.on).into_iter();
            let others = others.filter(|forwarder| forwarder.name != scene.host.name);
            sources.extend(others.map(|forwarder| {
                let source = Source::Host(forwarder.name.clone());
                inventory.extent_of(&source, scene.machine)
            }));
        } else {
            let original = forward.from.iter();
            sources.extend(original.map(|s| inventory.extent_of(&s.value, scene.machine)));
        }
    }
    if let Some(management) = &inventory.management {
        let pairs: Vec<(PortRange, Transport)> =
            management.ports.iter().flat_map(|p| p.value.pairs()).collect();
        let own = service.ports.iter().flat_map(|p| p.value.pairs());
        let mut own = own.filter(|(r, t)| pairs.iter().any(|(q, u)| t == u && r.overlaps(*q)));
        if own.next().is_some() {
            let from = management.from.iter();
            sources.extend(from.map(|s| inventory.extent_of(&s.value, scene.machine)));
        }
    }
    sources.retain(|extent| Reach::of_extent(extent) != Reach::Machine && !is_own(scene, extent));
    sources
}

/// Whether a source is nothing but this machine's own addresses, which loopback serves too.
fn is_own(scene: &Scene<'_>, extent: &SourceExtent) -> bool {
    let is_own = |prefix: &crate::net::Prefix| {
        let single = prefix.length() == if prefix.address().is_ipv4() { 32 } else { 128 };
        single && scene.machine.has_address(prefix.address())
    };
    !extent.any && extent.unresolved.is_empty() && extent.prefixes.iter().all(is_own)
}

/// Who claims which ports: intervals by transport and first number, for quick stabbing.
#[derive(Debug)]
pub(super) struct Claims<'a> {
    /// Everything declared on the host; services first.
    pub(super) declared: Vec<Declared<'a>>,
    /// By transport and first port; `last_so_far` is the largest end up to here in its transport.
    intervals: Vec<Interval>,
}

#[derive(Clone, Copy, Debug)]
struct Interval {
    transport: Transport,
    range: PortRange,
    last_so_far: Port,
    claim: usize,
}

impl<'a> Claims<'a> {
    fn of(declared: Vec<Declared<'a>>) -> Self {
        let mut intervals: Vec<Interval> = Vec::new();
        for (claim, entry) in declared.iter().enumerate() {
            intervals.extend(entry.pairs().into_iter().map(|(range, transport)| Interval {
                transport,
                range,
                last_so_far: range.last(),
                claim,
            }));
        }
        intervals.sort_by_key(|i| (i.transport, i.range.first(), i.claim));
        for i in 1..intervals.len() {
            let before = intervals[i - 1];
            if before.transport == intervals[i].transport {
                intervals[i].last_so_far = intervals[i].last_so_far.max(before.last_so_far);
            }
        }
        Self { declared, intervals }
    }

    /// The claims on one port, by their place in `declared`.
    pub(super) fn at(&self, port: Port, transport: Transport) -> Vec<usize> {
        self.overlapping(PortRange::from(port), transport)
    }

    /// The claims on any port of a range, each once, by their place in `declared`.
    pub(super) fn overlapping(&self, range: PortRange, transport: Transport) -> Vec<usize> {
        let end = self
            .intervals
            .partition_point(|i| (i.transport, i.range.first()) <= (transport, range.last()));
        let mut claims: Vec<usize> = self.intervals[..end]
            .iter()
            .rev()
            .take_while(|i| i.transport == transport && i.last_so_far >= range.first())
            .filter(|i| i.range.overlaps(range))
            .map(|i| i.claim)
            .collect();
        claims.sort_unstable();
        claims.dedup();
        claims
    }
}
