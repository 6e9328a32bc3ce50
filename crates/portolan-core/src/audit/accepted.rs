//! `[[ignore]]`: what is known and accepted, with a reason, until its last day.
//!
//! Every field of `match` that is given must agree. Fields about the holder are asked of every
//! socket of a finding, so that a second program on an accepted port is not accepted with it.

use std::collections::HashSet;

use jiff::civil::Date;

use crate::inventory::{AddressSpec, Bind, Ignore, IgnoreMatch, PortSpec, program};
use crate::net::Scope;
use crate::socket::{Held, SocketTable};

use super::case::{Case, Judgement, Scene, Verdict, file_line};
use super::{FileLine, Finding};

/// A finding that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What was found.
    pub finding: Finding,
    /// Why it is fine.
    pub reason: String,
    /// The last day that counts.
    pub until: Option<Date>,
    /// The `[[ignore]]`.
    pub location: FileLine,
}

/// Takes out what is accepted and puts the rest in order.
pub(super) fn settle(mut case: Case<'_>) -> Judgement {
    let scene = case.scene;
    let mut judgement = Judgement::default();
    divide(&scene, std::mem::take(&mut case.verdicts), &mut judgement);
    sort(&mut judgement.findings);
    let ended = scene.inventory.ignores.iter().filter(|i| is_here(i, &scene));
    let ended = ended.filter(|i| has_ended(i, scene.today())).filter_map(|i| {
        let until = i.until.as_ref()?.value;
        Some(format!("the [[ignore]] at {} ended on {until} ({})", case.place(&i.at), i.reason))
    });
    case.notes.extend(ended.collect::<Vec<_>>());
    judgement.notes = case.notes;
    judgement.gaps = case.gaps;
    judgement
}

/// Puts each verdict about a host to its findings or, where an `[[ignore]]` covers it, to what is
/// accepted.
pub(super) fn divide(scene: &Scene<'_>, verdicts: Vec<Verdict<'_>>, judgement: &mut Judgement) {
    let ignores = scene.inventory.ignores.iter();
    let counting: Vec<&Ignore> =
        ignores.filter(|i| is_here(i, scene) && !has_ended(i, scene.today())).collect();
    for verdict in each_once(verdicts) {
        match counting.iter().find(|ignore| covers(scene, &ignore.matches, &verdict)) {
            Some(ignore) => judgement.accepted.push(Accepted {
                finding: verdict.finding,
                reason: ignore.reason.clone(),
                until: ignore.until.as_ref().map(|u| u.value),
                location: file_line(scene.inventory, &ignore.at),
            }),
            None => judgement.findings.push(verdict.finding),
        }
    }
}

/// The most severe first, then by rule, subject, service and host.
pub(super) fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        b.severity.cmp(&a.severity).then_with(|| {
            (a.rule, &a.subject, &a.service, &a.host)
                .cmp(&(b.rule, &b.subject, &b.service, &b.host))
        })
    });
}

fn is_here(ignore: &Ignore, scene: &Scene<'_>) -> bool {
    ignore.on.is_empty() || scene.host.is_meant_by(&ignore.on)
}

/// The last verdict of each id: a port that an entry names twice is one fact, and of several who
/// want a number the last names all the others.
fn each_once(verdicts: Vec<Verdict<'_>>) -> Vec<Verdict<'_>> {
    let mut seen = HashSet::new();
    let mut last: Vec<Verdict<'_>> =
        verdicts.into_iter().rev().filter(|v| seen.insert(v.finding.id())).collect();
    last.reverse();
    last
}

/// The last day still counts.
fn has_ended(ignore: &Ignore, today: Date) -> bool {
    ignore.until.as_ref().is_some_and(|until| until.value < today)
}

fn covers(scene: &Scene<'_>, matches: &IgnoreMatch, verdict: &Verdict<'_>) -> bool {
    let finding = &verdict.finding;
    let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|w| w == found);
    matches.id.as_ref().is_none_or(|id| *id == finding.id())
        && is(&matches.rule, finding.rule.as_str())
        && matches.service.as_ref().is_none_or(|s| finding.service.as_ref() == Some(s))
        && covers_ports(matches, finding)
        && covers_sockets(scene, matches, &verdict.sockets)
}

fn covers_ports(matches: &IgnoreMatch, finding: &Finding) -> bool {
    if matches.ports.is_empty() {
        return true;
    }
    let Some((range, transport)) = finding.subject.ports() else { return false };
    matches.ports.iter().flat_map(PortSpec::pairs).any(|(wanted, t)| {
        t == transport && wanted.contains(range.first()) && wanted.contains(range.last())
    })
}

fn covers_sockets(scene: &Scene<'_>, matches: &IgnoreMatch, sockets: &[&Held]) -> bool {
    let asks_nothing = matches.process.is_none()
        && matches.user.is_none()
        && matches.container.is_none()
        && matches.bind.is_none();
    if asks_nothing {
        return true;
    }
    !sockets.is_empty() && sockets.iter().all(|held| covers_socket(scene, matches, held))
}

fn covers_socket(scene: &Scene<'_>, matches: &IgnoreMatch, held: &Held) -> bool {
    let table = scene.sockets;
    matches.process.as_ref().is_none_or(|pattern| is_program(table, held, pattern))
        && matches.user.as_ref().is_none_or(|user| is_user(table, held, user))
        && matches.container.as_ref().is_none_or(|wanted| {
            let container = table.placement(held).container;
            container.is_some_and(|c| program::is_container(wanted, &c))
        })
        && matches.bind.as_ref().is_none_or(|bind| is_bound(scene, held, bind))
}

fn is_program(table: &SocketTable, held: &Held, pattern: &str) -> bool {
    let unit = table.placement(held).unit;
    let by_process = table.owners(held).any(|p| program::is_program(pattern, p, unit.as_deref()));
    by_process || unit.is_some_and(|unit| program::is_unit_program(pattern, &unit))
}

fn is_user(table: &SocketTable, held: &Held, user: &str) -> bool {
    let mut owners = table.owners(held).peekable();
    if owners.peek().is_some() {
        return owners.any(|p| is_named_or_numbered(p.user.as_deref(), p.uid, user));
    }
    let creator = held.socket.uid.and_then(|uid| table.users.get(&uid));
    is_named_or_numbered(creator.map(|name| &**name), held.socket.uid, user)
}

/// A user no local file names is known by number alone.
fn is_named_or_numbered(name: Option<&str>, uid: Option<u32>, wanted: &str) -> bool {
    name == Some(wanted) || uid.is_some_and(|uid| wanted.parse() == Ok(uid))
}

fn is_bound(scene: &Scene<'_>, held: &Held, bind: &Bind) -> bool {
    let Some(endpoint) = held.socket.local_endpoint() else { return false };
    let address = endpoint.address.to_canonical();
    match bind {
        Bind::Any => Scope::of(address) == Scope::Wildcard,
        Bind::Loopback => Scope::of(address) == Scope::Loopback,
        Bind::Addresses(addresses) => addresses.iter().any(|a| match &a.value {
            AddressSpec::Prefix(prefix) => prefix.contains(address),
            AddressSpec::Interface(name) => {
                let mut own = scene.machine.addresses.iter().filter(|own| own.interface == *name);
                held.socket.device.as_deref() == Some(name.as_str())
                    || own.any(|own| own.address == address)
            }
            AddressSpec::Dns(_) => false,
        }),
    }
}
