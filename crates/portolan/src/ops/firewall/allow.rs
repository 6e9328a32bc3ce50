//! Letting somebody in to a port, or no longer: an edit of the inventory, which stays the truth.
//!
//! One service that has exactly this port on exactly this host is changed in its `from`; where there is
//! none, one is written. A service that is more than that is not touched: what was asked for is less.

use std::path::PathBuf;

use anyhow::Result;
use jiff::{Timestamp, Unit};
use portolan_core::inventory::edit;
use portolan_core::inventory::{Declared, Host, Inventory, Service, Status};
use portolan_core::net::{Port, PortRange, Transport};
use portolan_core::registry::Registry;
use portolan_host::{clock, machine};

use crate::fault::Fault;
use crate::ops::inventory::edit::{Draft, Set};
use crate::ops::inventory::{self, Asked};

/// Who is to be let in where.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// The port.
    pub(crate) port: Port,
    /// Its transport.
    pub(crate) transport: Transport,
    /// A source as `from` takes it; `None`, for a denial: everybody.
    pub(crate) source: Option<String>,
    /// Until when.
    pub(crate) until: Option<Timestamp>,
}

/// What is to be changed in the inventory; nothing is written yet.
#[derive(Debug)]
pub(crate) struct Edited {
    /// The host.
    pub(crate) host: String,
    /// The change, with the inventory as it is going to be.
    pub(crate) draft: Draft,
    /// What becomes of it.
    pub(crate) done: Done,
}

/// What becomes of a service.
#[derive(Debug)]
pub(crate) struct Done {
    /// The file.
    pub(crate) path: PathBuf,
    /// The service; for a block the port.
    pub(crate) service: String,
    /// What became of it.
    pub(crate) change: Change,
    /// When it ends.
    pub(crate) until: Option<Timestamp>,
    /// What lets the denied in all the same.
    pub(crate) still: Vec<String>,
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
    /// Nothing lets anybody in there.
    NotDeclared,
}

/// Lets somebody in.
///
/// # Errors
/// An inventory that cannot be changed so; it is as it was.
pub(crate) fn allow(asked: &Asked, wish: &Wish) -> Result<Edited> {
    let (inventory, host) = here(asked)?;
    let mut draft = Draft::open(asked)?;
    let done = allow_in(&mut draft, &inventory, &host, wish)?;
    Ok(Edited { host: host.name, draft, done })
}

fn allow_in(draft: &mut Draft, inventory: &Inventory, host: &Host, wish: &Wish) -> Result<Done> {
    let source = wish.source.as_deref().unwrap_or("any");
    let service = the_service(inventory, host, wish)?;
    if let Some(until) = wish.until {
        return allow_for_a_while(draft, (inventory, host), service, wish, (source, until));
    }
    let Some(service) = service else { return write(draft, inventory, host, wish, source) };
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
    let set = draft.change(&from, |text| edit::add_to_list(text, &from, source))?;
    Ok(edited(service, set))
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

/// Lets somebody in until a moment: by a service of its own, so that what stands there does not end.
fn allow_for_a_while(
    draft: &mut Draft,
    (inventory, host): (&Inventory, &Host),
    service: Option<&Service>,
    wish: &Wish,
    (source, until): (&str, Timestamp),
) -> Result<Done> {
    let names = |service: &Service| service.from.iter().any(|s| s.value.to_string() == source);
    if let Some(service) = service.filter(|s| s.status == Status::Active && names(s)) {
        let message = format!("service {} lets {source} in already, without an end", service.name);
        let hint = format!("portolan deny {}/{} --from {source}", wish.port, wish.transport);
        return Err(Fault::new(message, hint));
    }
    let mut known = for_a_while(inventory, host, wish).into_iter();
    let Some(known) = known.find(|s| s.from.len() == 1 && names(s)) else {
        return write(draft, inventory, host, wish, source);
    };
    let key = key(known, "approved.until");
    let set = draft.change(&key, |text| edit::set(text, &key, &until.to_string()))?;
    Ok(Done { until: Some(until), ..edited(known, set) })
}

fn write(
    draft: &mut Draft,
    inventory: &Inventory,
    host: &Host,
    wish: &Wish,
    source: &str,
) -> Result<Done> {
    let name = free_name(inventory, wish);
    let block = block(&name, host, wish, source);
    let path = draft.add(|text| edit::append_text(text, &block))?;
    let until = wish.until;
    Ok(Done { until, ..changed(path, name, Change::Written) })
}

/// No longer lets somebody in; with an end, refuses them until then.
///
/// # Errors
/// As for [`allow`], and where the source is let in by another word that means more.
pub(crate) fn deny(asked: &Asked, wish: &Wish) -> Result<Edited> {
    let (inventory, host) = here(asked)?;
    let mut draft = Draft::open(asked)?;
    let done = match wish.until {
        Some(until) => refuse(&mut draft, &host, wish, until)?,
        None => deny_in(&mut draft, &inventory, &host, wish)?,
    };
    let management = inventory.management.iter().filter(|management| {
        let mut ports = management.ports.iter().flat_map(|spec| spec.value.pairs());
        ports.any(|(range, transport)| transport == wish.transport && range.contains(wish.port))
    });
    let management = management.map(|management| {
        let from: Vec<String> = management.from.iter().map(|s| s.value.to_string()).collect();
        format!("[management] lets {} in", from.join(", "))
    });
    let still = management.chain(done.still).collect();
    Ok(Edited { host: host.name, draft, done: Done { still, ..done } })
}

fn deny_in(draft: &mut Draft, inventory: &Inventory, host: &Host, wish: &Wish) -> Result<Done> {
    let service = the_service(inventory, host, wish)?;
    let services: Vec<&Service> =
        service.into_iter().chain(for_a_while(inventory, host, wish)).collect();
    let Some(first) = services.first() else {
        let path = draft.root.clone();
        return Ok(changed(path, String::new(), Change::NotDeclared));
    };
    let from: Vec<String> =
        services.iter().flat_map(|s| &s.from).map(|source| source.value.to_string()).collect();
    if let Some(source) = &wish.source
        && !from.contains(source)
        && !from.is_empty()
    {
        let message = format!("service {} does not name {source} in `from`", first.name);
        let hint = format!("it names {}: deny one of these", from.join(", "));
        return Err(Fault::new(message, hint));
    }
    let mut told = None;
    for service in &services {
        let set = without(draft, service, wish.source.as_deref())?;
        let told = told.get_or_insert_with(|| edited(service, set.clone()));
        if set.changed {
            *told = edited(service, set);
        }
    }
    let is_left =
        |from: &&String| *from == "any" && wish.source.as_ref().is_some_and(|s| s != *from);
    let still = from.iter().find(is_left).map(|_| format!("service {} is for any", first.name));
    let told = told.ok_or_else(|| Fault::new("nothing to deny", ""))?;
    Ok(Done { still: still.into_iter().collect(), ..told })
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

/// Writes a block of this port that ends by itself.
fn refuse(draft: &mut Draft, host: &Host, wish: &Wish, until: Timestamp) -> Result<Done> {
    let (port, transport) = (wish.port, wish.transport);
    let source = wish.source.as_deref().unwrap_or("any");
    let what = format!("{port}/{transport}");
    let block = format!(
        "[[block]]\non    = [{:?}]\nfrom  = [{source:?}]\nports = [\"{what}\"]\nuntil = {until}\n",
        host.name
    );
    let path = draft.add(|text| edit::append_text(text, &block))?;
    Ok(Done { until: Some(until), ..changed(path, what, Change::Refused) })
}

/// The services that let somebody in to exactly this port of this host for a while.
fn for_a_while<'i>(inventory: &'i Inventory, host: &Host, wish: &Wish) -> Vec<&'i Service> {
    let declared = inventory.declared_at(host, wish.transport, wish.port);
    let services = declared.into_iter().filter_map(|declared| match declared {
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
    Done { path, service, change, until: None, still: Vec::new() }
}

fn here(asked: &Asked) -> Result<(Inventory, Host)> {
    let observed = inventory::load(asked)?;
    if observed.value.is_none() && observed.gaps.is_empty() {
        return Err(Fault::new("there is no inventory here: nothing was changed", DRAFT_ONE));
    }
    let loaded = inventory::require(asked)?;
    let machine = machine::read().value;
    let host = loaded.inventory.identify(&machine, asked.host.as_deref());
    let host = host.map_err(|error| Fault::new(error.to_string(), error.hint()))?.clone();
    Ok((loaded.inventory, host))
}

const DRAFT_ONE: &str = "draft one of what listens now, look through it, then allow: sudo portolan \
                         inventory init --inventory /etc/portolan/portolan.toml";

/// The service that has this port here; refused where it is more than that.
fn the_service<'i>(
    inventory: &'i Inventory,
    host: &Host,
    wish: &Wish,
) -> Result<Option<&'i Service>> {
    let (port, transport) = (wish.port, wish.transport);
    let declared = inventory.declared_at(host, transport, port);
    let mut services = declared.iter().filter_map(|declared| match declared {
        Declared::Service(service) if !service.docs.is_for_a_while() => Some(*service),
        _ => None,
    });
    let Some(service) = services.next() else {
        let is_other = |d: &&Declared<'_>| !matches!(d, Declared::Pool(_) | Declared::Service(_));
        return match declared.iter().find(is_other) {
            None => Ok(None),
            Some(other) => {
                let message = format!("{port}/{transport} is not a service's but {}", other.name());
                Err(Fault::new(message, "change it with `portolan inventory set`"))
            }
        };
    };
    if let Some(other) = services.next() {
        let message = format!("{} and {} both have {port}/{transport}", service.name, other.name);
        return Err(Fault::new(message, "say which with `portolan inventory set`"));
    }
    if is_more(inventory, service, wish) {
        let message =
            format!("service {} has more than {port}/{transport} on {}", service.name, host.name);
        let hint =
            format!("portolan inventory set {} '[…]' changes all of it", key(service, "from"));
        return Err(Fault::new(message, hint));
    }
    Ok(Some(service))
}

/// Whether a service is more than this port on one host.
fn is_more(inventory: &Inventory, service: &Service, wish: &Wish) -> bool {
    let is_other = |(range, transport): &(PortRange, Transport)| {
        *transport != wish.transport || range.first() != wish.port || range.last() != wish.port
    };
    Declared::Service(service).pairs().iter().any(is_other)
        || inventory.hosts_on(&service.on).len() > 1
}

fn key(service: &Service, key: &str) -> String {
    let bare = service.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    match bare {
        true => format!("services.{}.{key}", service.name),
        false => format!("services.{:?}.{key}", service.name),
    }
}

/// IANA's name of the port, else its number; with a number behind it where that is taken.
fn free_name(inventory: &Inventory, wish: &Wish) -> String {
    let registry = Registry::embedded();
    let known = registry.service_name(wish.port, wish.transport).map(str::to_owned);
    let name = known.unwrap_or_else(|| format!("port-{}-{}", wish.port, wish.transport));
    let names = (1..).map(|n| if n == 1 { name.clone() } else { format!("{name}-{n}") });
    let mut free = names.filter(|name| inventory.service(name).is_none());
    free.next().unwrap_or_default()
}

fn block(name: &str, host: &Host, wish: &Wish, source: &str) -> String {
    let (port, transport) = (wish.port, wish.transport);
    let mut lines = vec![
        format!("[services.{name}]"),
        format!("on    = [{:?}]", host.name),
        format!("ports = [\"{port}/{transport}\"]"),
        format!("from  = [{source:?}]"),
    ];
    if let Some(until) = wish.until {
        lines.push(format!("approved = {{ until = {until} }}"));
    }
    lines.join("\n") + "\n"
}

/// The moment `lasts` from now.
///
/// # Errors
/// Where no calendar has it.
pub(crate) fn from_now(lasts: std::time::Duration) -> Result<Timestamp> {
    let end = clock::now().checked_add(lasts).and_then(|end| end.round(Unit::Second));
    end.map_err(|_| Fault::new("--until is too far away", "for example --until 2h"))
}

/// A moment that is still to come.
///
/// # Errors
/// Where it is over.
pub(crate) fn not_over(end: Timestamp) -> Result<Timestamp> {
    match end > clock::now() {
        true => Ok(end),
        false => Err(Fault::new("--until is over already", "for example --until 2h")),
    }
}
