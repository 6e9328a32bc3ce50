//! The part of a plan that is about what is let in and must not be, and what is cut: sockets, open
//! connections.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use portolan_core::firewall::{Addresses, RulePlace, Tuple};
use portolan_core::wire::conntrack::Entry;

use crate::ops::firewall::cut::{Cut, Narrowed};
use crate::ops::firewall::precheck::{self, Violation};
use crate::render::firewall::block;
use crate::render::firewall::in_short::{BUT, in_short};
use crate::render::owner::process_names;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;

pub(super) fn violations(screen: &mut Screen, rows: &[Violation]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let title = screen.style.paint(Role::Bad, "would be let in, and must never be:").to_string();
    writeln!(screen, "{title}")?;
    for row in rows {
        let ports = row.ports.map(|ports| format!(" to {ports}")).unwrap_or_default();
        let (pass, never) = (sanitize(&row.pass).to_string(), sanitize(&row.never).to_string());
        writeln!(screen, "  {}{ports} by {pass}: {never}", row.sources)?;
    }
    Ok(())
}

/// Those of the proof name a packet; what is told already is not told again.
pub(super) fn proved_violations(screen: &mut Screen, found: &precheck::Precheck) -> Result<()> {
    let mut told: Vec<&str> = found.violations.iter().map(|row| &*row.never).collect();
    for violation in found.proven.iter().flat_map(|proof| &proof.violations) {
        if told.contains(&&*violation.name) {
            continue;
        }
        told.push(&violation.name);
        let packet = violation.witness.packet.tuple();
        let never = sanitize(&violation.name).to_string();
        writeln!(screen, "  [[never]] {never}: {} would be let in", flow(&packet))?;
    }
    Ok(())
}

/// What is cut first, then what is refused already, by whom.
pub(super) fn cut(screen: &mut Screen, rows: &[Cut]) -> Result<()> {
    let (refused, cut): (Vec<&Cut>, Vec<&Cut>) = rows.iter().partition(|row| row.already.is_some());
    if !cut.is_empty() {
        writeln!(screen, "nobody outside will reach:")?;
    }
    for row in cut {
        writeln!(screen, "  {}", listener(row))?;
    }
    if !refused.is_empty() {
        writeln!(screen, "nobody outside reaches these today either:")?;
    }
    let by = |row: &Cut| row.already.as_ref().and_then(|already| already.by.clone());
    let mut groups: Vec<(Option<RulePlace>, Vec<String>)> = Vec::new();
    for row in refused {
        match groups.iter_mut().find(|(place, _)| *place == by(row)) {
            Some((_, rows)) => rows.push(listener(row)),
            None => groups.push((by(row), vec![listener(row)])),
        }
    }
    for (place, rows) in groups {
        let by = place.map(|place| format!(" refused by {place}"));
        screen.hanging("  ", &format!("{}{}", rows.join(", "), by.unwrap_or_default()))?;
    }
    Ok(())
}

/// Who reaches what from now on, and who no longer.
pub(super) fn narrowed(screen: &mut Screen, rows: &[Narrowed]) -> Result<()> {
    if !rows.is_empty() {
        writeln!(screen, "fewer will reach:")?;
    }
    for row in rows {
        let owners = match process_names(&row.owners) {
            owners if owners.is_empty() => String::new(),
            owners => format!("  {}", sanitize(&owners)),
        };
        let lost = match row.is_everybody {
            true => "everybody else".to_owned(),
            false => networks(&row.lost),
        };
        let to = match row.to.as_slice() {
            [] => "who knocks first".to_owned(),
            names => names.iter().map(|name| sanitize(name)).collect::<Vec<_>>().join(", "),
        };
        let port = format!("{}/{}{owners}", row.bound, row.transport);
        screen.hanging("  ", &format!("{port}: still {to}; no longer {lost}"))?;
    }
    Ok(())
}

/// A few networks, by family where they are all of it but for some.
fn networks(addresses: &Addresses) -> String {
    let of = |is_v6| {
        let (inside, missing) = in_short(addresses, is_v6);
        let told = block::cut(&inside.iter().map(ToString::to_string).collect::<Vec<_>>());
        let but = block::cut(&missing.iter().map(ToString::to_string).collect::<Vec<_>>());
        match (inside.is_empty(), missing.is_empty()) {
            (true, _) => None,
            (_, true) => Some(told),
            (_, false) => Some(format!("{told}{BUT}{but}")),
        }
    };
    [of(false), of(true)].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn listener(row: &Cut) -> String {
    let owners = process_names(&row.owners);
    let by = match row.sent_to {
        Some(to) => format!("  sent on to {to}"),
        None if owners.is_empty() => String::new(),
        None => format!("  {}", sanitize(&owners)),
    };
    format!("{}/{}{by}", row.bound, row.transport)
}

/// That connections stay which the rules alone would cut.
pub(super) fn untracked(screen: &mut Screen, count: usize) -> Result<()> {
    if count > 0 {
        let text = "that the kernel does not track yet: it is told of them, and they stay open";
        writeln!(screen, "open connections {text}: {count}")?;
    }
    Ok(())
}

pub(super) fn flows(screen: &mut Screen, rows: &[Entry]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(screen, "open connections that the rules would refuse (--drop-flows ends them):")?;
    for row in rows.iter().take(MOST_FLOWS) {
        writeln!(screen, "  {}", flow(&precheck::ends(row)))?;
    }
    let more = rows.len().saturating_sub(MOST_FLOWS);
    if more > 0 {
        writeln!(screen, "  and {more} more (--json has all)")?;
    }
    Ok(())
}

fn flow(tuple: &Tuple) -> String {
    let end = |address: IpAddr, port: u16| match port {
        0 => address.to_string(),
        port => SocketAddr::new(address, port).to_string(),
    };
    let source = end(tuple.source, tuple.source_port);
    let destination = end(tuple.destination, tuple.destination_port);
    format!("{} {source} to {destination}", protocol(tuple.protocol))
}

pub(super) fn protocol(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        33 => "dccp".to_owned(),
        58 => "icmpv6".to_owned(),
        132 => "sctp".to_owned(),
        other => format!("ip:{other}"),
    }
}

const MOST_FLOWS: usize = 10;
