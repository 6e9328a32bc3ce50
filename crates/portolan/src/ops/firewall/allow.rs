//! Letting somebody in to a port, or no longer: an edit of the inventory, which stays the truth.
//!
//! One service that has exactly this port on exactly this host is changed in its `from`; where there is
//! none, one is written. A service that is more than that is not touched: what was asked for is less.

use std::path::PathBuf;

use anyhow::Result;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use portolan_core::inventory::edit;
use portolan_core::inventory::{Declared, Host, Inventory, Service, Status};
use portolan_core::net::{Port, Transport};
use portolan_core::registry::Registry;
use portolan_host::{clock, machine};

use crate::fault::Fault;
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
    /// Until when, roughly.
    pub(crate) until: Option<Timestamp>,
}

/// What was changed in the inventory.
#[derive(Debug)]
pub(crate) struct Edited {
    /// The file.
    pub(crate) path: PathBuf,
    /// The service.
    pub(crate) service: String,
    /// What became of it.
    pub(crate) change: Change,
    /// The last day it is approved for.
    pub(crate) until: Option<Date>,
}

/// What became of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was written.
    Written,
    /// Its `from` is another one.
    Changed,
    /// It said so already.
    Unchanged,
    /// Nothing lets anybody in there.
    NotDeclared,
}

/// Lets somebody in.
///
/// # Errors
/// An inventory that cannot be changed so; it is as it was.
pub(crate) fn allow(asked: &Asked, wish: &Wish) -> Result<Edited> {
    let (inventory, host) = here(asked)?;
    let source = wish.source.as_deref().unwrap_or("any");
    let until = wish.until.map(day);
    let Some(service) = the_service(&inventory, &host, wish)? else {
        let name = free_name(&inventory, wish);
        let block = block(&name, &host, wish, source, until);
        let (path, _) = inventory::edit::add(asked, |text| edit::append_text(text, &block))?;
        return Ok(Edited { path, service: name, change: Change::Written, until });
    };
    if until.is_some() {
        let message = format!("service {} is there already, without an end", service.name);
        let hint = format!("portolan inventory set services.{}.approved …", service.name);
        return Err(Fault::new(message, hint));
    }
    if !matches!(service.status, Status::Active | Status::Observed) {
        let status = service.status.as_str();
        let message = format!("service {} is {status}: nobody is let in", service.name);
        let hint = format!("portolan inventory set services.{}.status active", service.name);
        return Err(Fault::new(message, hint));
    }
    // What was only observed is approved by this.
    let approve = service.status == Status::Observed;
    let set = inventory::edit::change(asked, &key(service, "from"), |text| {
        let text = edit::add_to_list(text, &key(service, "from"), source)?;
        if approve { edit::set(&text, &key(service, "status"), "active") } else { Ok(text) }
    })?;
    Ok(edited(service, set))
}

/// No longer lets somebody in.
///
/// # Errors
/// As for [`allow`], and where the source is let in by another word that means more.
pub(crate) fn deny(asked: &Asked, wish: &Wish) -> Result<Edited> {
    let (inventory, host) = here(asked)?;
    let Some(service) = the_service(&inventory, &host, wish)? else {
        let path = inventory::require(asked)?.path;
        let change = Change::NotDeclared;
        return Ok(Edited { path, service: String::new(), change, until: None });
    };
    let from: Vec<String> = service.from.iter().map(|source| source.value.to_string()).collect();
    if let Some(source) = &wish.source
        && !from.contains(source)
        && !from.is_empty()
    {
        let message = format!("service {} does not name {source} in `from`", service.name);
        let hint = format!("it names {}: deny one of these", from.join(", "));
        return Err(Fault::new(message, hint));
    }
    let set = inventory::edit::change(asked, &key(service, "from"), |text| {
        let is_gone = |source: &String| wish.source.as_ref().is_none_or(|s| s == source);
        from.iter().filter(|source| is_gone(source)).try_fold(text.to_owned(), |text, source| {
            edit::remove_from_list(&text, &key(service, "from"), source)
        })
    })?;
    Ok(edited(service, set))
}

fn edited(service: &Service, set: inventory::edit::Set) -> Edited {
    let change = if set.changed { Change::Changed } else { Change::Unchanged };
    Edited { path: set.path, service: service.name.clone(), change, until: None }
}

fn here(asked: &Asked) -> Result<(Inventory, Host)> {
    let loaded = inventory::require(asked)?;
    let machine = machine::read().value;
    let host = loaded.inventory.identify(&machine, asked.host.as_deref());
    let host = host.map_err(|error| Fault::new(error.to_string(), error.hint()))?.clone();
    Ok((loaded.inventory, host))
}

/// The service that has this port here; refused where it is more than that.
fn the_service<'i>(
    inventory: &'i Inventory,
    host: &Host,
    wish: &Wish,
) -> Result<Option<&'i Service>> {
    let (port, transport) = (wish.port, wish.transport);
    let declared = inventory.declared_at(host, transport, port);
    let mut services = declared.iter().filter_map(|declared| match declared {
        Declared::Service(service) => Some(*service),
        _ => None,
    });
    let Some(service) = services.next() else {
        return match declared.iter().find(|d| !matches!(d, Declared::Pool(_))) {
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
    let is_more = Declared::Service(service)
        .pairs()
        .iter()
        .any(|(range, t)| *t != transport || range.first() != port || range.last() != port);
    if is_more || inventory.hosts_on(&service.on).len() > 1 {
        let message =
            format!("service {} has more than {port}/{transport} on {}", service.name, host.name);
        let hint =
            format!("portolan inventory set {} '[…]' changes all of it", key(service, "from"));
        return Err(Fault::new(message, hint));
    }
    Ok(Some(service))
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

fn block(name: &str, host: &Host, wish: &Wish, source: &str, until: Option<Date>) -> String {
    let (port, transport) = (wish.port, wish.transport);
    let mut lines = vec![
        format!("[services.{name}]"),
        format!("on    = [{:?}]", host.name),
        format!("ports = [\"{port}/{transport}\"]"),
        format!("from  = [{source:?}]"),
    ];
    if let Some(until) = until {
        lines.push(format!("approved = {{ until = {until} }}"));
    }
    lines.join("\n") + "\n"
}

fn day(until: Timestamp) -> Date {
    until.to_zoned(TimeZone::UTC).date()
}

/// The moment `lasts` from now.
///
/// # Errors
/// Where no calendar has it.
pub(crate) fn from_now(lasts: std::time::Duration) -> Result<Timestamp> {
    let end = clock::now().checked_add(lasts);
    end.map_err(|_| Fault::new("--until is too far away", "for example --until 2h"))
}
