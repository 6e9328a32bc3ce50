//! The part of a plan that is about multicast: groups and queries that would no longer arrive.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::net::PortRange;
use serde::Serialize;

use super::cut::protocol;
use crate::ops::firewall::groups::{CutGroup, CutMulticast, Refused};
use crate::render::owner::process_names;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;

/// Prints it; nothing where nothing is cut.
pub(super) fn text(screen: &mut Screen, cut: &CutMulticast) -> Result<()> {
    if !cut.groups.is_empty() {
        writeln!(screen, "multicast that would no longer arrive:")?;
    }
    for row in &cut.groups {
        let (group, interface) = (row.membership.group, sanitize(&row.membership.interface));
        let owners = process_names(&row.owners);
        let by = if owners.is_empty() { String::new() } else { format!("  {}", sanitize(&owners)) };
        writeln!(screen, "  {group} on {interface}: {}{by}", what(row))?;
    }
    for row in &cut.queries {
        let (name, interface) = (query_word(row.is_v6), sanitize(&row.interface));
        writeln!(
            screen,
            "{name} queries on {interface} would be refused: within minutes switches"
        )?;
        writeln!(screen, "  and routers take this machine for a member of no group")?;
    }
    Ok(())
}

fn what(row: &CutGroup) -> String {
    let traffic = match row.port {
        Some(port) => format!("{port}/{}", protocol(row.protocol)),
        None => protocol(row.protocol),
    };
    let name = row.name.map(|name| format!(" ({name})")).unwrap_or_default();
    match &row.refused {
        Refused::All if row.port.is_none() && row.name.is_none() => {
            "its port is not known, no port of UDP is let in".to_owned()
        }
        Refused::All => format!("{traffic}{name}"),
        Refused::Some(sender) => format!("{traffic}{name} from some, such as {sender}"),
        Refused::AllBut(ranges) => {
            format!("its port is not known, let in are only {} of UDP", words(ranges))
        }
    }
}

fn words(ranges: &[PortRange]) -> String {
    ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

const fn query_word(is_v6: bool) -> &'static str {
    if is_v6 { "MLD" } else { "IGMP" }
}

/// A group in JSON.
#[derive(Serialize)]
pub(super) struct GroupJson {
    group: String,
    interface: String,
    /// What the group is for, by IANA; null where it has no meaning of its own.
    name: Option<&'static str>,
    protocol: String,
    /// Null for protocols without ports, and where it is not known.
    port: Option<u16>,
    processes: Vec<String>,
    /// `all` neighbours, `some`, or whoever calls `other-ports` than those of `let_in`.
    refused: &'static str,
    /// One of those neighbours.
    sender: Option<String>,
    /// Of UDP; null where the port is known.
    let_in: Option<String>,
}

/// The groups of a plan.
pub(super) fn groups(cut: &CutMulticast) -> Vec<GroupJson> {
    let group = |row: &CutGroup| {
        let (refused, sender, let_in) = match &row.refused {
            Refused::All => ("all", None, None),
            Refused::Some(sender) => ("some", Some(sender.to_string()), None),
            Refused::AllBut(ranges) => ("other-ports", None, Some(words(ranges))),
        };
        GroupJson {
            group: row.membership.group.to_string(),
            interface: row.membership.interface.to_string(),
            name: row.name,
            protocol: protocol(row.protocol),
            port: row.port.map(|port| port.0),
            processes: row.owners.iter().map(|process| process.name.to_string()).collect(),
            refused,
            sender,
            let_in,
        }
    };
    cut.groups.iter().map(group).collect()
}

/// Questions for members in JSON.
#[derive(Serialize)]
pub(super) struct QueriesJson<'a> {
    /// `igmp` or `mld`.
    protocol: &'static str,
    interface: &'a str,
}

/// The questions of a plan that would be refused.
pub(super) fn queries(cut: &CutMulticast) -> Vec<QueriesJson<'_>> {
    let mut found = Vec::new();
    for row in &cut.queries {
        let protocol = if row.is_v6 { "mld" } else { "igmp" };
        found.push(QueriesJson { protocol, interface: &row.interface });
    }
    found
}
