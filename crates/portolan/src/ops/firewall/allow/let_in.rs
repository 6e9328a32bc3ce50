//! Letting somebody in: a source more in services that have the ports, and services for those that none has.

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::inventory::edit;
use portolan_core::inventory::{Declared, End, Host, Inventory, Service, Status};
use portolan_host::clock;

use super::services::{Found, for_a_while, the_services};
use super::write::{New, write};
use super::{Change, Done, Edited, Here, changed, edited, here, key, places, untouched};
use crate::fault::Fault;
use crate::ops::firewall::entries::{Entry, LetIn, Reading};
use crate::ops::firewall::wish::{Item, Wanted, Wish};
use crate::ops::inventory::Asked;
use crate::ops::inventory::edit::Draft;

/// Lets somebody in.
///
/// # Errors
/// An inventory that cannot be changed so; it is as it was.
pub(crate) fn allow(asked: &Asked, wish: &Wish) -> Result<Edited> {
    let Here { inventory, host, machine } = here(asked)?;
    let reading = Reading { inventory: &inventory, machine: &machine };
    let mut draft = Draft::open(asked)?;
    let source = wish.source.as_deref().unwrap_or("any");
    let Found { own, wider } = the_services(&inventory, &host, wish)?;
    let mut done = Vec::new();
    let here = match wish.until {
        None => {
            for service in &own {
                done.push(let_in(&mut draft, &reading, service, source)?);
            }
            let lets_in = let_in_by_wider(&mut draft, &reading, &wider, source)?;
            done.extend(lets_in.iter().map(|(done, _)| done.clone()));
            own.into_iter().chain(lets_in.into_iter().map(|(_, service)| service)).collect()
        }
        Some(until) => {
            let services = [own, wider.clone()].concat();
            let known = for_a_while_too(&reading, &host, &services, wish)?;
            for service in &known {
                done.push(prolong(&mut draft, service, until)?);
            }
            known
        }
    };
    let taken: Wanted = here.into_iter().flat_map(|s| Declared::Service(s).pairs()).collect();
    for item in wish.ports.without(&taken).items() {
        let beside = wider.iter().find(|service| has(service, *item)).copied();
        // What is for a while is more access to another's port.
        let beside = beside.filter(|_| wish.until.is_none());
        let new = New { host: &host, item: *item, until: wish.until, source, beside };
        done.push(write(&mut draft, &new)?);
        if let Some(observed) = beside {
            done.extend(take_out(&mut draft, &inventory, observed, *item)?);
        }
    }
    Ok(Edited { host: host.name, draft, done, still: Vec::new() })
}

/// Whether a service has some of these ports.
fn has(service: &Service, item: Item) -> bool {
    let item: Wanted = item.transports.iter().map(|transport| (item.range, transport)).collect();
    Declared::Service(service).pairs().into_iter().any(|pair| item.touches(pair))
}

/// Those of the services with more than was asked for that let all of the source in already.
fn let_in_by_wider<'i>(
    draft: &mut Draft,
    reading: &Reading<'_>,
    wider: &[&'i Service],
    source: &str,
) -> Result<Vec<(Done, &'i Service)>> {
    let mut found = Vec::new();
    for &service in wider.iter().filter(|service| is_in_force(service)) {
        if let LetIn::All(already) = reading.let_in(service, source) {
            found
                .push((Done { already, ..untouched(draft, service, Change::Unchanged)? }, service));
        }
    }
    Ok(found)
}

/// Takes ports out of what was only observed here, so that they are one service's alone.
fn take_out(
    draft: &mut Draft,
    inventory: &Inventory,
    service: &Service,
    item: Item,
) -> Result<Option<Done>> {
    if service.status != Status::Observed || inventory.hosts_on(&service.on).len() > 1 {
        return Ok(None);
    }
    let item: Wanted = item.transports.iter().map(|transport| (item.range, transport)).collect();
    let ports = key(service, "ports");
    let mut is_out = true;
    let set = draft.change(&ports, |before| {
        let text = taken_out(before, &ports, service, &item);
        is_out = text.is_some();
        Ok(text.unwrap_or_else(|| before.to_owned()))
    })?;
    let is_out = is_out && set.changed;
    Ok(is_out.then(|| changed(set.path, service.name.clone(), Change::TakenOut)))
}

/// The text without some ports of a service; `None` where they are not written as a list of ours would be.
fn taken_out(text: &str, key: &str, service: &Service, ports: &Wanted) -> Option<String> {
    let mut text = text.to_owned();
    for spec in service.ports.iter().map(|port| &port.value) {
        if !spec.pairs().any(|pair| ports.touches(pair)) {
            continue;
        }
        let own: Wanted = spec.pairs().collect();
        // What is left of it goes in first: the list is never empty then.
        for left in own.without(ports).items() {
            text = edit::add_to_list(&text, key, &left.to_string()).ok()?;
        }
        let without = edit::remove_from_list(&text, key, &spec.to_string()).ok()?;
        text = Some(without).filter(|without| *without != text)?;
    }
    Some(text)
}

/// Adds the source to a service, unless an entry of it has all of the source already.
fn let_in(
    draft: &mut Draft,
    reading: &Reading<'_>,
    service: &Service,
    source: &str,
) -> Result<Done> {
    if !matches!(service.status, Status::Active | Status::Observed) {
        let status = service.status.as_str();
        let message = format!("service {} is {status}: nobody is let in", service.name);
        let hint = format!("portolan inventory set services.{}.status active", service.name);
        return Err(Fault::new(message, hint));
    }
    if let Some(end) = ended(service) {
        let message =
            format!("service {} was approved until {end}: nobody is let in by it", service.name);
        let until = key(service, "approved.until");
        let hint = format!(
            "a later end: portolan inventory set {until} 2999-12-31 (or the day you mean), and allow again; for a while: --until 2h"
        );
        return Err(Fault::new(message, hint));
    }
    let from = key(service, "from");
    if service.status == Status::Observed {
        return approve(draft, service, &from, source);
    }
    if let LetIn::All(already) = reading.let_in(service, source) {
        return Ok(Done { already, ..untouched(draft, service, Change::Unchanged)? });
    }
    let set = draft.change(&from, |text| edit::add_to_list(text, &from, source))?;
    Ok(edited(service, set))
}

/// When the approval of a service ended, where it has.
fn ended(service: &Service) -> Option<End> {
    let approved = service.docs.approved.as_ref().filter(|_| service.docs.has_ended(clock::now()));
    approved.and_then(|approved| approved.until.as_ref()).map(|until| until.value)
}

/// Whether a service lets anybody in by what its `from` says.
fn is_in_force(service: &Service) -> bool {
    service.status == Status::Active && ended(service).is_none()
}

/// What was only observed let nobody in, whatever its `from` says; approved is the one source.
fn approve(draft: &mut Draft, service: &Service, from: &str, source: &str) -> Result<Done> {
    let set = draft.change(from, |text| {
        let others = service.from.iter().map(|from| from.value.to_string());
        let text = others
            .filter(|other| other != source)
            .try_fold(text.to_owned(), |text, other| edit::remove_from_list(&text, from, &other))?;
        let text = edit::add_to_list(&text, from, source)?;
        edit::set(&text, &key(service, "status"), "active")
    })?;
    Ok(Done { change: Change::Approved, ..edited(service, set) })
}

/// The services of their own that let this source alone in until a moment, so that what stands there
/// does not end; refused where one of `services` lets it in for good.
fn for_a_while_too<'i>(
    reading: &Reading<'i>,
    host: &Host,
    services: &[&Service],
    wish: &Wish,
) -> Result<Vec<&'i Service>> {
    let source = wish.source.as_deref().unwrap_or("any");
    for service in services.iter().filter(|service| is_in_force(service)) {
        if let LetIn::All(entries) = reading.let_in(service, source) {
            return Err(without_an_end(service, source, &entries));
        }
    }
    let mut known = for_a_while(reading.inventory, host, wish);
    let names = |service: &Service| service.from.iter().any(|s| s.value.to_string() == source);
    known.retain(|service| service.from.len() == 1 && names(service));
    Ok(known)
}

fn without_an_end(service: &Service, source: &str, entries: &[Entry]) -> anyhow::Error {
    let message = format!("service {} lets {source} in already, without an end", service.name);
    let ports: Vec<String> = service.ports.iter().map(|port| port.value.to_string()).collect();
    let hint = match entries.iter().all(|entry| entry.source == source) {
        true => format!("portolan deny {} --from {source}", ports.join(",")),
        false => format!("by {}: there is nothing to do", places(entries)),
    };
    Fault::new(message, hint)
}

/// Puts the end of what is for a while anew.
fn prolong(draft: &mut Draft, service: &Service, until: Timestamp) -> Result<Done> {
    let key = key(service, "approved.until");
    let set = draft.change(&key, |text| edit::set(text, &key, &until.to_string()))?;
    let approved = service.docs.approved.as_ref().and_then(|approved| approved.until.as_ref());
    let was_until = approved.map(|end| end.value.moment());
    Ok(Done { until: Some(until), was_until, ..edited(service, set) })
}
