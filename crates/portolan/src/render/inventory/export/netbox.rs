//! NetBox's bulk import of application services, as NetBox 4.7 and later read it.
//!
//! <https://netboxlabs.com/docs/netbox/models/ipam/service/>: `port_mappings` took the place of
//! `protocol` and `ports` in 4.7. `ipaddresses` and `tags` are left out, because a row is refused
//! that names one NetBox does not have; a service without addresses means any of its machine's.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::inventory::{Documentation, Host};
use portolan_core::net::Transport;

use crate::ops::inventory::export::{Entry, Export};
use crate::render::inventory::export::csv::Writer;
use crate::render::inventory::export::words;
use crate::render::screen::Screen;

/// Prints the table: what is meant to answer. NetBox has no status to say that something does not.
pub(crate) fn print(screen: &mut Screen, export: &Export<'_>) -> Result<()> {
    let mut writer = Writer::new();
    writer.row(COLUMNS.map(str::to_owned))?;
    for entry in export.listeners() {
        let mappings = port_mappings(entry);
        if !mappings.is_empty() {
            writer.row(cells(export, entry, mappings))?;
        }
    }
    screen.write_all(&writer.finish()?)?;
    Ok(screen.flush()?)
}

const COLUMNS: [&str; 6] =
    ["parent_object_type", "parent", "name", "port_mappings", "description", "comments"];

/// `tcp/443,udp/443,tcp/5000-5010`; NetBox knows TCP, UDP and SCTP.
fn port_mappings(entry: &Entry<'_>) -> String {
    let known = entry.ports().filter(|(_, transport)| *transport != Transport::Dccp);
    known.map(|(range, transport)| format!("{transport}/{range}")).collect::<Vec<_>>().join(",")
}

fn cells(export: &Export<'_>, entry: &Entry<'_>, mappings: String) -> [String; 6] {
    let docs = entry.subject.docs();
    [
        parent_type(entry.host).to_owned(),
        entry.host.name.clone(),
        entry.subject.name().chars().take(NAME_MAX).collect(),
        mappings,
        docs.map(words::purpose).unwrap_or_default().chars().take(DESCRIPTION_MAX).collect(),
        comments(export, entry, docs),
    ]
}

/// A machine is a device to NetBox unless it is tagged as a virtual one.
fn parent_type(host: &Host) -> &'static str {
    match host.tags.iter().any(|tag| tag == "vm") {
        true => "virtualization.virtualmachine",
        false => "dcim.device",
    }
}

fn comments(export: &Export<'_>, entry: &Entry<'_>, docs: Option<&Documentation>) -> String {
    let place = export.inventory.line_of(entry.subject.at());
    let mut facts = vec![format!("from: {}", words::from(export, entry).join(", "))];
    let mut fact = |name: &str, value: Option<&str>| {
        facts.extend(value.map(|value| format!("{name}: {value}")));
    };
    fact("behind", entry.door.map(|door| door.name.as_str()));
    fact("owner", docs.and_then(|d| d.owner.as_ref()).map(|owner| owner.value.as_str()));
    fact("security", docs.and_then(|d| d.security.as_deref()));
    fact("declared", Some(&format!("{}:{}", place.file, place.line)));
    facts.join("; ")
}

/// NetBox's longest name of a service, in characters.
const NAME_MAX: usize = 100;
/// NetBox's longest description, in characters.
const DESCRIPTION_MAX: usize = 200;
