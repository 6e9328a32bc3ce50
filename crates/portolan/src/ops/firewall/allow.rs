//! Letting somebody in to a port, or no longer: an edit of the inventory, which stays the truth.
//!
//! A service that has nothing but ports asked for, on exactly this host, is changed in its `from`; for
//! those that none has, one is written. A service that is more than that is not touched: what was asked
//! for is less.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use portolan_core::inventory::edit;
use portolan_core::inventory::{Declared, Host, Inventory, Service, Status};
use portolan_core::net::{PortRange, Transport};
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
#[derive(Debug)]
pub(crate) struct Done {
    /// The file.
    pub(crate) path: PathBuf,
    /// The service; for a block the ports.
    pub(crate) service: String,
    /// What became of it.
    pub(crate) change: Change,
    /// When it ends.
    pub(crate) until: Option<Timestamp>,
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
    /// Nothing lets anybody in there.
    NotDeclared,
}

impl Change {
    /// Whether nothing had to be done.
    const fn is_none(self) -> bool {
        matches!(self, Self::Unchanged | Self::NotLetIn)
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
    let services = the_services(&inventory, &host, wish)?;
    let mut done = Vec::new();
    let here = match wish.until {
        None => {
            for service in &services {
                done.push(let_in(&mut draft, &reading, service, source)?);
            }
            services
        }
        Some(until) => {
            let known = for_a_while_too(&reading, &host, &services, wish)?;
            for service in &known {
                done.push(prolong(&mut draft, service, until)?);
            }
            known
        }
    };
    let taken: Wanted = here.into_iter().flat_map(|s| Declared::Service(s).pairs()).collect();
    for item in wish.ports.without(&taken).items() {
        done.push(write(&mut draft, &host, *item, wish.until, source)?);
    }
    Ok(Edited { host: host.name, draft, done, still: Vec::new() })
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
    for service in services.iter().filter(|service| service.status == Status::Active) {
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
    Ok(Done { until: Some(until), ..edited(service, set) })
}

fn write(
    draft: &mut Draft,
    host: &Host,
    item: Item,
    until: Option<Timestamp>,
    source: &str,
) -> Result<Done> {
    let name = free_name(&draft.inventory()?, item);
    let block = block(&name, host, item, until, source);
    let path = draft.add(|text| edit::append_text(text, &block))?;
    Ok(Done { until, ..changed(path, name, Change::Written) })
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
    let mut services = the_services(reading.inventory, host, wish)?;
    services.extend(for_a_while(reading.inventory, host, wish));
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
    let mut done = Vec::new();
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
        true => {
            let from = services.iter().flat_map(|service| &service.from);
            let from: Vec<String> = from.map(|source| source.value.to_string()).collect();
            format!("it names {}: deny one of these", from.join(", "))
        }
        false => format!("what lets it in is {}: deny that", places(&entries)),
    };
    Err(Fault::new(message, hint))
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
    Done { path, service, change, until: None, already: Vec::new() }
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

/// The services that have these ports here; refused where one is more than that.
fn the_services<'i>(
    inventory: &'i Inventory,
    host: &Host,
    wish: &Wish,
) -> Result<Vec<&'i Service>> {
    let declared = declared_at(inventory, host, wish);
    let services = declared.iter().filter_map(|declared| match declared {
        Declared::Service(service) if !service.docs.is_for_a_while() => Some(*service),
        _ => None,
    });
    let services: Vec<&Service> = services.collect();
    fn pairs(service: &Service) -> Vec<(PortRange, Transport)> {
        Declared::Service(service).pairs()
    }
    let taken: Wanted = services.iter().flat_map(|service| pairs(service)).collect();
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
    for (i, one) in services.iter().enumerate() {
        let own: Wanted = pairs(one).into_iter().collect();
        let is_shared = |other: &&&Service| pairs(other).iter().any(|pair| own.touches(*pair));
        if let Some(other) = services[i + 1..].iter().find(is_shared) {
            let message = format!("{} and {} both have {own}", one.name, other.name);
            return Err(Fault::new(message, "say which with `portolan inventory set`"));
        }
    }
    if let Some(service) = services.iter().find(|service| is_more(inventory, service, wish)) {
        let message =
            format!("service {} has more than {} on {}", service.name, wish.ports, host.name);
        let hint =
            format!("portolan inventory set {} '[…]' changes all of it", key(service, "from"));
        return Err(Fault::new(message, hint));
    }
    Ok(services)
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

fn block(name: &str, host: &Host, item: Item, until: Option<Timestamp>, source: &str) -> String {
    let mut lines = vec![
        format!("[services.{name}]"),
        format!("on    = [{:?}]", host.name),
        format!("ports = [\"{item}\"]"),
        format!("from  = [{source:?}]"),
    ];
    if let Some(until) = until {
        lines.push(format!("approved = {{ until = {until} }}"));
    }
    lines.join("\n") + "\n"
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
