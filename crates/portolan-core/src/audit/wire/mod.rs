//! The wire's word: what a probe from one vantage says against the inventory. P102, P110, P115, P118
//! and P122 of other hosts than this one.
//!
//! A vantage sees what its own address may reach and nothing else, so every finding names it. What
//! a probe could not decide (silence of UDP, a host that answered nothing) is a gap and never a
//! finding. What this machine itself listens on is asked of its sockets instead, which say more.

mod asked;
mod doubt;
mod evidence;
mod one_of;
mod sources;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;

use super::case::{Scene, Verdict, file_line, is_live};
use super::{Finding, Judgement, Reach, Rule, Subject, accepted};
use crate::inventory::matrix::{Row, Subject as Claim, Traffic};
use crate::inventory::{Declared, Expect, Host, Inventory, Location, Service, Source, Status};
use crate::net::{Gap, Port, PortRange, Scope, Severity, Transport, Why};
use crate::registry::Registry;
use crate::scan::Record;
use crate::socket::{Machine, SocketTable};

pub(super) use asked::is_forbidden;
pub use asked::{Asked, ask};
use doubt::{Doubt, Outcome, outcome};
use one_of::OneOf;
use sources::{Admission, Vantage};

/// A port as it was seen from an address of this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Sight {
    /// The host, by its name in the inventory.
    pub host: String,
    /// The address of this machine that the probes came from.
    pub from: IpAddr,
    /// What they showed.
    pub record: Record,
}

/// Everything the wire is judged by.
#[derive(Clone, Copy, Debug)]
pub struct WireScene<'a> {
    /// The intent.
    pub inventory: &'a Inventory,
    /// The machine that probed.
    pub machine: &'a Machine,
    /// Which host of the inventory it is; `None` where it is none of them.
    pub here: Option<&'a Host>,
    /// What it saw.
    pub sights: &'a [Sight],
    /// The time.
    pub now: Timestamp,
}

/// Judges what was seen of all hosts.
#[must_use]
pub fn judge_wire(scene: &WireScene<'_>) -> Judgement {
    let matrix = scene.inventory.matrix();
    let mut rows: BTreeMap<&str, Vec<&Row<'_>>> = BTreeMap::new();
    for row in &matrix.rows {
        rows.entry(&row.host.name).or_default().push(row);
    }
    let mut sights: BTreeMap<&str, Vec<&Sight>> = BTreeMap::new();
    for sight in scene.sights {
        sights.entry(&sight.host).or_default().push(sight);
    }
    let mut judgement = Judgement::default();
    let mut one_of = OneOf::default();
    for host in &scene.inventory.hosts {
        let Some(sights) = sights.get(host.name.as_str()) else { continue };
        let rows = rows.get(host.name.as_str()).map_or(&[][..], Vec::as_slice);
        let mut view = View::of(scene, host, rows, sights);
        view.judge(&mut one_of);
        view.settle(&mut judgement);
    }
    one_of.settle(scene, &mut judgement);
    accepted::sort(&mut judgement.findings);
    judgement
}

/// One host, seen from here.
struct View<'a> {
    scene: &'a WireScene<'a>,
    host: &'a Host,
    /// What its ports are meant for.
    rows: &'a [&'a Row<'a>],
    /// What was seen, by port: of every address that was asked.
    seen: BTreeMap<(Transport, Port), Vec<&'a Sight>>,
    vantage: Vantage<'a>,
    verdicts: Vec<Verdict<'a>>,
    gaps: Vec<Gap>,
}

impl<'a> View<'a> {
    fn of(
        scene: &'a WireScene<'a>,
        host: &'a Host,
        rows: &'a [&'a Row<'a>],
        sights: &[&'a Sight],
    ) -> Self {
        let mut seen: BTreeMap<_, Vec<&Sight>> = BTreeMap::new();
        for sight in sights {
            seen.entry((sight.record.transport, sight.record.port)).or_default().push(sight);
        }
        let vantage = Vantage::new(scene);
        Self { scene, host, rows, seen, vantage, verdicts: Vec::new(), gaps: Vec::new() }
    }

    fn judge(&mut self, one_of: &mut OneOf<'a>) {
        self.undecided();
        for row in self.rows {
            if let (Claim::Service(service), Traffic::Ports { range, transport }) =
                (row.subject, row.traffic)
            {
                self.expected(row, service, range, transport, one_of);
            }
        }
        let open: Vec<(Transport, Port)> = self
            .seen
            .iter()
            .filter(|(_, sights)| sights.iter().any(|s| outcome(&s.record) == Outcome::Open))
            .map(|(port, _)| *port)
            .collect();
        for (transport, port) in open {
            self.unwanted(transport, port);
            self.never(transport, port);
        }
    }

    /// What was asked and is not known, a gap for all ports of a kind.
    fn undecided(&mut self) {
        let mut kinds: BTreeMap<Doubt, Vec<String>> = BTreeMap::new();
        for ((transport, port), sights) in &self.seen {
            let doubts = sights.iter().filter_map(|s| Doubt::of(&s.record));
            let open = sights.iter().any(|s| outcome(&s.record) == Outcome::Open);
            if let (Some(doubt), false) = (doubts.max(), open) {
                kinds.entry(doubt).or_default().push(format!("{port}/{transport}"));
            }
        }
        let gap = |(doubt, ports): (Doubt, Vec<String>)| doubt.gap(&self.host.name, &ports);
        self.gaps.extend(kinds.into_iter().map(gap));
    }

    /// P102: a live service that is to be reachable from here and is nowhere.
    fn expected(
        &mut self,
        row: &Row<'a>,
        service: &'a Service,
        range: PortRange,
        transport: Transport,
        one_of: &mut OneOf<'a>,
    ) {
        let admitted = |s: &&&Sight| self.vantage.admission(row, s.from) == Admission::Yes;
        let sights: Vec<&Sight> = self
            .seen
            .range((transport, range.first())..=(transport, range.last()))
            .flat_map(|(_, sights)| sights.iter().filter(admitted).copied())
            .collect();
        // Behind a door it is closed to everybody who has not knocked.
        if sights.is_empty() || row.door.is_some() || service.expect == Expect::Sometimes {
            return;
        }
        let outcomes: Vec<Outcome> = sights.iter().map(|s| outcome(&s.record)).collect();
        let open = outcomes.contains(&Outcome::Open);
        let known = open || outcomes.iter().all(|o| *o == Outcome::NotOpen);
        let subject = Subject::Ports(range, transport);
        let lacking = (known && !open).then(|| self.missed(service, subject, &sights));
        let hosts = || self.scene.inventory.hosts_on(&service.on).len();
        if service.expect == Expect::OneOf && hosts() > 1 {
            one_of.note(service, range, transport, open, lacking);
        } else if let Some(finding) = lacking {
            self.verdicts.push(Verdict { finding, sockets: Vec::new() });
        }
    }

    fn missed(&self, service: &Service, subject: Subject, sights: &[&Sight]) -> Finding {
        let (name, host) = (&service.name, &self.host.name);
        let from = evidence::addresses(sights.iter().map(|s| s.from));
        Finding {
            rule: Rule::P102,
            severity: super::reality::urgency(service),
            host: host.clone(),
            message: format!(
                "{name}@{host} is declared on {subject} and does not answer {from}, which may come"
            ),
            subject,
            service: Some(name.clone()),
            evidence: evidence::of_sights(sights),
            remedy: format!(
                "look there: portolan audit on {host}; from here: portolan check {name}@{host}"
            ),
            location: Some(file_line(self.scene.inventory, &service.at)),
        }
    }

    /// P110, P115, P118: a port that answers here and should not.
    fn unwanted(&mut self, transport: Transport, port: Port) {
        let rows: Vec<&Row<'a>> =
            self.rows.iter().copied().filter(|row| covers(row, transport, port)).collect();
        if rows.is_empty() {
            if let Some(service) = self.idle(transport, port) {
                self.back(service, transport, port);
            }
            return;
        }
        let open = self.open_sights(transport, port);
        let admissions = |s: &Sight| rows.iter().map(|r| self.vantage.admission(r, s.from)).max();
        let stray: Vec<&Sight> =
            open.iter().copied().filter(|s| admissions(s) == Some(Admission::No)).collect();
        if let Some(unsure) = open.iter().find(|s| admissions(s) == Some(Admission::Unknown)) {
            let what = format!(
                "whether {} may reach {port}/{transport} of {}",
                unsure.from, self.host.name
            );
            let hint = "`from` names what is not resolved here; give addresses";
            self.gaps.push(Gap::aside(what, Why::NotLooked, hint));
        }
        if !stray.is_empty() {
            self.stray(&rows, transport, port, &stray);
        }
    }

    /// The service that holds the port and is not to run.
    fn idle(&self, transport: Transport, port: Port) -> Option<&'a Service> {
        let mut here = self.scene.inventory.declared_at(self.host, transport, port).into_iter();
        here.find_map(|declared| match declared {
            Declared::Service(service) if !is_live(service) => Some(service),
            _ => None,
        })
    }

    fn stray(&mut self, rows: &[&Row<'a>], transport: Transport, port: Port, stray: &[&'a Sight]) {
        let row = rows.iter().find(|r| r.subject.service().is_some()).unwrap_or(&rows[0]);
        let subject = Subject::Ports(PortRange::from(port), transport);
        let name = row.subject.name();
        let named: Vec<&Source> = rows.iter().flat_map(|r| &r.from).map(|o| &o.source).collect();
        let message = format!(
            "{name}@{} answers {} on {subject}; {}",
            self.host.name,
            evidence::addresses(stray.iter().map(|s| s.from)),
            evidence::whom(self.scene.inventory, &named),
        );
        let remedy = match row.subject {
            Claim::Service(service) => format!(
                "let the firewall of {} drop it or bind it more narrowly; if it is meant: \
                 portolan inventory set services.{}.from '[…]'",
                self.host.name, service.name
            ),
            _ => format!(
                "let the firewall of {} drop it, or name the source in `from`",
                self.host.name
            ),
        };
        let words =
            Words { message, evidence: evidence::of_sights(stray), remedy, at: row.subject.at() };
        let service = row.subject.service().map(|s| s.name.as_str());
        self.find(Rule::P115, Severity::High, subject, service, words);
    }

    /// What is not meant to run yet, or any more, answers.
    fn back(&mut self, service: &'a Service, transport: Transport, port: Port) {
        let open = self.open_sights(transport, port);
        let subject = Subject::Ports(PortRange::from(port), transport);
        let (host, name) = (&self.host.name, &service.name);
        let reach = open.iter().map(|s| Reach::of_scope(Scope::of(s.from))).max();
        let severity = reach.unwrap_or(Reach::Site).severity().max(Severity::Medium);
        let (rule, message) = match service.status {
            Status::Retired => {
                (Rule::P118, format!("{name}@{host} is retired, and {subject} answers"))
            }
            _ => (
                Rule::P110,
                format!("{subject} of {host} is held for {name}, which is planned, and answers"),
            ),
        };
        let remedy = format!(
            "look there: portolan who {subject} on {host}; if it is meant to run: \
             portolan inventory set services.{name}.status active"
        );
        let words =
            Words { message, evidence: evidence::of_sights(&open), remedy, at: &service.at };
        self.find(rule, severity, subject, Some(name), words);
    }

    /// P122: what `[[never]]` forbids for this vantage is reachable.
    fn never(&mut self, transport: Transport, port: Port) {
        let inventory = self.scene.inventory;
        for never in &inventory.never {
            if !is_forbidden(inventory, never, self.host, transport, port) {
                continue;
            }
            let open = self.open_sights(transport, port).into_iter();
            let open: Vec<&Sight> =
                open.filter(|s| self.vantage.is_ruled_out(never, s.from)).collect();
            if open.is_empty() {
                continue;
            }
            let subject = Subject::Ports(PortRange::from(port), transport);
            let why = never.reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
            let message = format!(
                "{subject} of {} must never be reachable from {}{why}, and answers",
                self.host.name,
                evidence::addresses(open.iter().map(|s| s.from)),
            );
            let remedy = format!(
                "close it now: stop it, bind it to loopback, or let the firewall of {} drop it",
                self.host.name
            );
            let words =
                Words { message, evidence: evidence::of_sights(&open), remedy, at: &never.at };
            let service = never.service.as_ref().map(|s| s.value.as_str());
            self.find(Rule::P122, Severity::Critical, subject, service, words);
        }
    }

    fn open_sights(&self, transport: Transport, port: Port) -> Vec<&'a Sight> {
        let sights = self.seen.get(&(transport, port)).into_iter().flatten().copied();
        sights.filter(|s| outcome(&s.record) == Outcome::Open).collect()
    }

    fn find(
        &mut self,
        rule: Rule,
        severity: Severity,
        subject: Subject,
        service: Option<&str>,
        words: Words<'_>,
    ) {
        let finding = Finding {
            rule,
            severity,
            host: self.host.name.clone(),
            subject,
            service: service.map(ToOwned::to_owned),
            message: words.message,
            evidence: words.evidence,
            remedy: words.remedy,
            location: Some(file_line(self.scene.inventory, words.at)),
        };
        self.verdicts.push(Verdict { finding, sockets: Vec::new() });
    }

    /// Takes out what is accepted on the host.
    fn settle(self, judgement: &mut Judgement) {
        settle(self.scene, self.host, self.verdicts, judgement);
        judgement.gaps.extend(self.gaps);
    }
}

fn settle<'a>(
    scene: &WireScene<'a>,
    host: &Host,
    verdicts: Vec<Verdict<'_>>,
    judgement: &mut Judgement,
) {
    let (sockets, registry) = (SocketTable::default(), Registry::embedded());
    let WireScene { inventory, machine, now, .. } = *scene;
    let there = Scene {
        inventory,
        host,
        sockets: &sockets,
        machine,
        registry: &registry,
        openings: &[],
        drifts: &[],
        now,
    };
    accepted::divide(&there, verdicts, judgement);
}

struct Words<'a> {
    message: String,
    evidence: Vec<String>,
    remedy: String,
    at: &'a Location,
}

fn covers(row: &Row<'_>, transport: Transport, port: Port) -> bool {
    matches!(row.traffic, Traffic::Ports { range, transport: t } if t == transport && range.contains(port))
}
