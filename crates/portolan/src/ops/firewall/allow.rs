//! Letting somebody in to a port, or no longer: an edit of the inventory, which stays the truth.
//!
//! A service that has nothing but ports asked for, on exactly this host, is changed in its `from`; for
//! those that none has, one is written. A service that is more than that keeps its `from`, for what was
//! asked for is less: one for these ports is written beside it, and where it was only observed they are
//! taken out of it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use portolan_core::inventory::edit;
use portolan_core::inventory::{Declared, End, Host, Inventory, Service, Status};
use portolan_core::registry::Registry;
use portolan_core::socket::Machine;
use portolan_host::{clock, machine};

use crate::fault::Fault;
use crate::ops::inventory::edit::{Draft, Set};
use crate::ops::inventory::{self, Asked};

use super::entries::{Entry, LetIn, Reading};
use super::wish::{Item, Wanted, Wish};

/// What is to be changed in the inventory; nothing is written yet.
#[derive(Debug)]
pub(crate) struct Edited {
    /// The host.
    pub(crate) host: String,
    /// The change, with the inventory as it is going to be.
    pub(crate) draft: Draft,
    /// What becomes of what it has on these ports, at least one thing.
    pub(crate) done: Vec<Done>,
    /// What lets the denied in all the same.
    pub(crate) still: Vec<String>,
}

/// What becomes of a service.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    /// The file.
    pub(crate) path: PathBuf,
    /// The service; for a block the ports.
    pub(crate) service: String,
    /// What became of it.
    pub(crate) change: Change,
    /// When it ends.
    pub(crate) until: Option<Timestamp>,
    /// When it ended as it was before, where it was for a while already.
    pub(crate) was_until: Option<Timestamp>,
    /// What said so already.
    pub(crate) already: Vec<Entry>,
}

/// The same in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was written.
    Written,
    /// Its `from` is another one.
    Changed,
    /// It was only observed; now it is approved, for the source asked for alone.
    Approved,
    /// It said so already.
    Unchanged,
    /// A block was written.
    Refused,
    /// It lets nobody of these in anyway.
    NotLetIn,
    /// It is only observed, and lets nobody in.
    OnlyObserved,
    /// It was only observed; these ports are another service's now.
    TakenOut,
    /// Nothing lets anybody in there.
    NotDeclared,
}

impl Change {
    /// Whether nothing had to be done.
    const fn is_none(self) -> bool {
        matches!(self, Self::Unchanged | Self::NotLetIn | Self::OnlyObserved)
    }
}

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

/// A service that is not to be changed.
fn untouched(draft: &mut Draft, service: &Service, change: Change) -> Result<Done> {
    let set = draft.change(&key(service, "from"), |text| Ok(text.to_owned()))?;
    Ok(Done { change, ..edited(service, set) })
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

/// Entries, each with its place.
fn places(entries: &[Entry]) -> String {
    let one = |Entry { source, file, line }: &Entry| format!("`{source}` ({file}:{line})");
    entries.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Puts the end of what is for a while anew.
fn prolong(draft: &mut Draft, service: &Service, until: Timestamp) -> Result<Done> {
    let key = key(service, "approved.until");
    let set = draft.change(&key, |text| edit::set(text, &key, &until.to_string()))?;
    let approved = service.docs.approved.as_ref().and_then(|approved| approved.until.as_ref());
    let was_until = approved.map(|end| end.value.moment());
    Ok(Done { until: Some(until), was_until, ..edited(service, set) })
}

/// A service that is to be written.
struct New<'n> {
    host: &'n Host,
    item: Item,
    until: Option<Timestamp>,
    source: &'n str,
    /// The one that has the ports beside others: it is the same program's.
    beside: Option<&'n Service>,
}

fn write(draft: &mut Draft, new: &New<'_>) -> Result<Done> {
    let name = free_name(&draft.inventory()?, new.item);
    let block = block(&name, new);
    let path = draft.add(|text| edit::append_text(text, &block))?;
    Ok(Done { until: new.until, ..changed(path, name, Change::Written) })
}

/// No longer lets somebody in; with an end, refuses them until then.
///
/// # Errors
/// As for [`allow`], and where the source is let in by another word that means more.
pub(crate) fn deny(asked: &Asked, wish: &Wish) -> Result<Edited> {
    let Here { inventory, host, machine } = here(asked)?;
    let reading = Reading { inventory: &inventory, machine: &machine };
    let mut draft = Draft::open(asked)?;
    let management = inventory.management.iter().filter(|management| {
        management.ports.iter().flat_map(|spec| spec.value.pairs()).any(|p| wish.ports.touches(p))
    });
    let management = management.map(|management| {
        let from: Vec<String> = management.from.iter().map(|s| s.value.to_string()).collect();
        format!("[management] lets {} in", from.join(", "))
    });
    let mut still: Vec<String> = management.collect();
    let done = match wish.until {
        Some(until) => vec![refuse(&mut draft, &host, wish, until)?],
        None => deny_in(&mut draft, &reading, &host, wish, &mut still)?,
    };
    Ok(Edited { host: host.name, draft, done, still })
}

fn deny_in(
    draft: &mut Draft,
    reading: &Reading<'_>,
    host: &Host,
    wish: &Wish,
    still: &mut Vec<String>,
) -> Result<Vec<Done>> {
    let Found { own: mut services, wider } = the_services(reading.inventory, host, wish)?;
    let (observed, wider): (Vec<_>, Vec<_>) =
        wider.into_iter().partition(|service| service.status == Status::Observed);
    if let Some(service) = wider.first() {
        return Err(more_than_asked(reading.inventory, service, wish, host));
    }
    let each = observed.iter().map(|service| untouched(draft, service, Change::OnlyObserved));
    let observed: Vec<Done> = each.collect::<Result<_>>()?;
    services.extend(for_a_while(reading.inventory, host, wish));
    if services.is_empty() && !observed.is_empty() {
        return Ok(observed);
    }
    if services.is_empty() {
        let path = draft.root.clone();
        return Ok(vec![changed(path, String::new(), Change::NotDeclared)]);
    }
    if let Some(source) = &wish.source
        && !services.iter().any(|service| names(service, source))
        && services.iter().any(|service| !service.from.is_empty())
    {
        return not_named(draft, reading, &services, source);
    }
    let mut done = observed;
    for service in &services {
        let set = without(draft, service, wish.source.as_deref())?;
        done.push(edited(service, set));
        if let Some(source) = &wish.source {
            still.extend(left(reading, service, source));
        }
    }
    // What said so already is only told where nothing else is to be told.
    if done.iter().any(|done| !done.change.is_none()) {
        done.retain(|done| !done.change.is_none());
    }
    Ok(done)
}

/// Whether `from` has this very item.
fn names(service: &Service, source: &str) -> bool {
    service.from.iter().any(|from| from.value.to_string() == source)
}

/// A source that no entry is: nothing is to be done where none has anybody of it.
fn not_named(
    draft: &mut Draft,
    reading: &Reading<'_>,
    services: &[&Service],
    source: &str,
) -> Result<Vec<Done>> {
    let found: Vec<LetIn> = services.iter().map(|s| reading.let_in(s, source)).collect();
    if found.iter().all(|found| *found == LetIn::None) {
        let each = services.iter().map(|service| untouched(draft, service, Change::NotLetIn));
        return each.collect();
    }
    let is_in = |found: &LetIn| matches!(found, LetIn::All(_) | LetIn::Some(_));
    let i = found.iter().position(is_in).unwrap_or_default();
    let message = format!("service {} does not name {source} in `from`", services[i].name);
    let entries: Vec<Entry> = found.into_iter().flat_map(LetIn::entries).collect();
    let hint = match entries.is_empty() {
        _ if is_everybody(reading, source) => {
            let ports: Vec<String> =
                services.iter().flat_map(|s| &s.ports).map(|p| p.value.to_string()).collect();
            format!("for everybody: portolan deny {}", ports.join(","))
        }
        true => {
            let from = services.iter().flat_map(|service| &service.from);
            let from: Vec<String> = from.map(|source| source.value.to_string()).collect();
            format!("it names {}: deny one of these", from.join(", "))
        }
        false => format!("what lets it in is {}: deny that", places(&entries)),
    };
    Err(Fault::new(message, hint))
}

/// Whether a source is every address there is.
fn is_everybody(reading: &Reading<'_>, source: &str) -> bool {
    let source = reading.inventory.source_named(source);
    source.is_some_and(|s| reading.inventory.extent_of(&s, reading.machine).addresses().is_all())
}

/// What of a service lets all of a source in when its own entry is gone. Of any word that was denied
/// narrower ones are meant to stay.
fn left(reading: &Reading<'_>, service: &Service, source: &str) -> Vec<String> {
    if service.status != Status::Active {
        return Vec::new();
    }
    let others = service.from.iter().filter(|from| from.value.to_string() != source);
    let others: Vec<_> = others.cloned().collect();
    let tell = |entry: Entry| match &*entry.source {
        "any" => format!("service {} is for any", service.name),
        other => {
            format!("service {} lets {other} in ({}:{})", service.name, entry.file, entry.line)
        }
    };
    match reading.let_in_by(&others, source) {
        LetIn::All(entries) => entries.into_iter().map(tell).collect(),
        _ => Vec::new(),
    }
}

/// Takes a source, or all, out of `from` of a service.
fn without(draft: &mut Draft, service: &Service, source: Option<&str>) -> Result<Set> {
    let from = service.from.iter().map(|from| from.value.to_string());
    let gone: Vec<String> =
        from.filter(|from| source.is_none_or(|source| source == from)).collect();
    draft.change(&key(service, "from"), |text| {
        gone.iter().try_fold(text.to_owned(), |text, source| {
            edit::remove_from_list(&text, &key(service, "from"), source)
        })
    })
}

/// Writes a block of these ports that ends by itself.
fn refuse(draft: &mut Draft, host: &Host, wish: &Wish, until: Timestamp) -> Result<Done> {
    let source = wish.source.as_deref().unwrap_or("any");
    let ports: Vec<String> = wish.ports.items().iter().map(|item| format!("\"{item}\"")).collect();
    let block = format!(
        "[[block]]\non    = [{:?}]\nfrom  = [{source:?}]\nports = [{}]\nuntil = {until}\n",
        host.name,
        ports.join(", ")
    );
    let path = draft.add(|text| edit::append_text(text, &block))?;
    let what = wish.ports.to_string();
    Ok(Done { until: Some(until), ..changed(path, what, Change::Refused) })
}

/// What is declared on this host for some of these ports.
fn declared_at<'i>(inventory: &'i Inventory, host: &Host, wish: &Wish) -> Vec<Declared<'i>> {
    let mut declared = inventory.declared_on(host);
    declared.retain(|declared| declared.pairs().into_iter().any(|pair| wish.ports.touches(pair)));
    declared
}

/// The services that let somebody in to some of exactly these ports of this host for a while.
fn for_a_while<'i>(inventory: &'i Inventory, host: &Host, wish: &Wish) -> Vec<&'i Service> {
    let services =
        declared_at(inventory, host, wish).into_iter().filter_map(|declared| match declared {
            Declared::Service(service) if service.docs.is_for_a_while() => Some(service),
            _ => None,
        });
    services.filter(|service| !is_more(inventory, service, wish)).collect()
}

fn edited(service: &Service, set: Set) -> Done {
    let change = if set.changed { Change::Changed } else { Change::Unchanged };
    changed(set.path, service.name.clone(), change)
}

fn changed(path: PathBuf, service: String, change: Change) -> Done {
    Done { path, service, change, until: None, was_until: None, already: Vec::new() }
}

/// The inventory, this host in it, and the machine that reads it.
struct Here {
    inventory: Inventory,
    host: Host,
    machine: Machine,
}

fn here(asked: &Asked) -> Result<Here> {
    let observed = inventory::load(asked)?;
    if observed.value.is_none() && observed.gaps.is_empty() {
        return Err(Fault::new("there is no inventory here: nothing was changed", DRAFT_ONE));
    }
    let loaded = inventory::require(asked)?;
    let machine = machine::read().value;
    let host = loaded.inventory.identify(&machine, asked.host.as_deref());
    let host = host.map_err(|error| Fault::new(error.to_string(), error.hint()))?.clone();
    Ok(Here { inventory: loaded.inventory, host, machine })
}

const DRAFT_ONE: &str = "draft one of what listens now, look through it, then allow: sudo portolan \
                         inventory init --inventory /etc/portolan/portolan.toml";

/// The services that have some of these ports here, but for those of a while.
struct Found<'i> {
    /// Those with nothing but these ports, here.
    own: Vec<&'i Service>,
    /// Those with others besides, or on other hosts too.
    wider: Vec<&'i Service>,
}

/// The services that have these ports here; refused where one is nobody's or of two.
fn the_services<'i>(inventory: &'i Inventory, host: &Host, wish: &Wish) -> Result<Found<'i>> {
    let declared = declared_at(inventory, host, wish);
    let services = declared.iter().filter_map(|declared| match declared {
        Declared::Service(service) if !service.docs.is_for_a_while() => Some(*service),
        _ => None,
    });
    let services: Vec<&Service> = services.collect();
    let taken: Wanted = services.iter().flat_map(|s| Declared::Service(s).pairs()).collect();
    let is_other = |d: &&Declared<'_>| {
        let is_other = !matches!(d, Declared::Pool(_) | Declared::Service(_));
        is_other && !d.pairs().iter().all(|pair| taken.covers(*pair))
    };
    if let Some(other) = declared.iter().find(is_other) {
        let own = other.pairs().into_iter().filter(|pair| wish.ports.touches(*pair));
        let own: Wanted = own.collect();
        let message = format!("{own} is not a service's but {}", other.name());
        return Err(Fault::new(message, "change it with `portolan inventory set`"));
    }
    let (wider, own): (Vec<_>, Vec<_>) =
        services.into_iter().partition(|service| is_more(inventory, service, wish));
    for (i, one) in own.iter().enumerate() {
        let ports: Wanted = Declared::Service(one).pairs().into_iter().collect();
        let is_shared =
            |other: &&&Service| Declared::Service(other).pairs().iter().any(|p| ports.touches(*p));
        if let Some(other) = own[i + 1..].iter().find(is_shared) {
            let message = format!("{} and {} both have {ports}", one.name, other.name);
            return Err(Fault::new(message, "say which with `portolan inventory set`"));
        }
    }
    Ok(Found { own, wider })
}

/// That a service cannot be denied some of its ports alone, with what can be done.
fn more_than_asked(
    inventory: &Inventory,
    service: &Service,
    wish: &Wish,
    host: &Host,
) -> anyhow::Error {
    let is_on_others = inventory.hosts_on(&service.on).len() > 1;
    let message = match is_on_others {
        true => {
            format!("service {} is on other hosts too, not on {} alone", service.name, host.name)
        }
        false => format!("service {} has more than {} on {}", service.name, wish.ports, host.name),
    };
    let asked: Vec<String> = wish.ports.items().iter().map(ToString::to_string).collect();
    let from = wish.source.as_ref().map(|s| format!(" --from {s}")).unwrap_or_default();
    let alone =
        format!("these alone, for a while: portolan deny {}{from} --until 2h", asked.join(","));
    let hint = match is_on_others {
        false => {
            let all: Vec<String> = service.ports.iter().map(|p| p.value.to_string()).collect();
            format!("all of it: portolan deny {}{from}; {alone}", all.join(","))
        }
        true => format!("on all of them: change `from` of [services.{}]; {alone}", service.name),
    };
    Fault::new(message, hint)
}

/// Whether a service is more than these ports on one host.
fn is_more(inventory: &Inventory, service: &Service, wish: &Wish) -> bool {
    let pairs = Declared::Service(service).pairs();
    pairs.iter().any(|pair| !wish.ports.covers(*pair)) || inventory.hosts_on(&service.on).len() > 1
}

fn key(service: &Service, key: &str) -> String {
    let bare = service.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    match bare {
        true => format!("services.{}.{key}", service.name),
        false => format!("services.{:?}.{key}", service.name),
    }
}

/// IANA's name of the port, else its number; with a number behind it where that is taken.
fn free_name(inventory: &Inventory, item: Item) -> String {
    let registry = Registry::embedded();
    let names = item.transports.iter().flat_map(|transport| {
        [item.range.first(), item.range.last()].map(|port| registry.service_name(port, transport))
    });
    let names: Vec<Option<&str>> = names.collect();
    let is_one = item.range.len() == 1;
    let mut known = names.iter().flatten().copied();
    let known = known.next().filter(|name| is_one || names.iter().all(|n| *n == Some(*name)));
    let number = || format!("port-{}", item.to_string().replace(['/', '+'], "-"));
    let name = known.map_or_else(number, str::to_owned);
    let names = (1..).map(|n| if n == 1 { name.clone() } else { format!("{name}-{n}") });
    let mut free = names.filter(|name| inventory.service(name).is_none());
    free.next().unwrap_or_default()
}

fn block(name: &str, new: &New<'_>) -> String {
    let mut lines = vec![
        format!("[services.{name}]"),
        format!("on    = [{:?}]", new.host.name),
        format!("ports = [\"{}\"]", new.item),
        format!("from  = [{:?}]", new.source),
    ];
    if let Some(until) = new.until {
        lines.push(format!("approved = {{ until = {until} }}"));
    }
    lines.extend(new.beside.into_iter().flat_map(program));
    lines.join("\n") + "\n"
}

/// What says whose a service's ports are, where it can be written as it is.
fn program(service: &Service) -> Vec<String> {
    let is_plain =
        |text: &String| text.chars().all(|c| !c.is_control() && !matches!(c, '"' | '\\'));
    let process =
        (!service.process.is_empty() && service.process.iter().all(is_plain)).then(|| {
            let all: Vec<String> = service.process.iter().map(|one| format!("\"{one}\"")).collect();
            format!("process = [{}]", all.join(", "))
        });
    let others = [("unit", &service.unit), ("container", &service.container)];
    let others = others.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    let others = others.filter(|(_, value)| is_plain(value));
    process.into_iter().chain(others.map(|(key, value)| format!("{key} = \"{value}\""))).collect()
}

/// The moment `lasts` from now, in whole seconds.
///
/// # Errors
/// Where nothing is left of it, and where no calendar has it.
pub(crate) fn from_now(lasts: Duration) -> Result<Timestamp> {
    after(clock::now(), lasts)
}

/// The second that `lasts` ends in is had whole: nothing ends before it was asked to.
fn after(now: Timestamp, lasts: Duration) -> Result<Timestamp> {
    let no_date = |_| Fault::new("--until is too far away", UNTIL);
    let end = not_over(now.checked_add(lasts).map_err(no_date)?, now)?;
    let up = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil);
    end.round(up).map_err(no_date)
}

/// A moment that is still to come.
///
/// # Errors
/// Where it is over.
pub(crate) fn to_come(end: Timestamp) -> Result<Timestamp> {
    not_over(end, clock::now())
}

fn not_over(end: Timestamp, now: Timestamp) -> Result<Timestamp> {
    match end > now {
        true => Ok(end),
        false => Err(Fault::new("--until is over already", UNTIL)),
    }
}

/// What to write where a time was none.
const UNTIL: &str = "for example --until 2h";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_before_it_was_asked_to_and_no_time_at_all_is_over_in_any_part_of_a_second() {
        for start in ["2026-11-28T03:00:00Z", "2026-11-28T03:00:00.2Z", "2026-11-28T03:00:00.7Z"] {
            let start: Timestamp = start.parse().unwrap();
            assert!(after(start, Duration::ZERO).is_err(), "{start}");
            for lasts in [Duration::from_millis(300), Duration::from_secs(2)] {
                let over = after(start, lasts).unwrap();
                assert!(over >= start.checked_add(lasts).unwrap(), "{start} {over}");
                assert_eq!(over.subsec_nanosecond(), 0, "{start} {over}");
            }
            assert!(after(start, Duration::MAX).is_err(), "{start}");
        }
    }
}
