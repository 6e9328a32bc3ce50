//! A service that is written for ports that none has.

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::inventory::edit;
use portolan_core::inventory::{Host, Inventory, Service};
use portolan_core::registry::Registry;

use super::{Change, Done, changed};
use crate::ops::firewall::wish::Item;
use crate::ops::inventory::edit::Draft;

/// A service that is to be written.
pub(super) struct New<'n> {
    pub(super) host: &'n Host,
    pub(super) item: Item,
    pub(super) until: Option<Timestamp>,
    pub(super) source: &'n str,
    /// The one that has the ports beside others: it is the same program's.
    pub(super) beside: Option<&'n Service>,
}

pub(super) fn write(draft: &mut Draft, new: &New<'_>) -> Result<Done> {
    let name = free_name(&draft.inventory()?, new.item);
    let block = block(&name, new);
    let path = draft.add(|text| edit::append_text(text, &block))?;
    Ok(Done { until: new.until, ..changed(path, name, Change::Written) })
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
