//! What a probe saw, a fact a line, and the words of findings about it.

use std::net::{IpAddr, SocketAddr};

use super::Sight;
use crate::inventory::{Inventory, Source};
use crate::scan::{PortState, Reason, Record};

/// A line for each address and port; the first few where there are many.
pub(super) fn of_sights(sights: &[&Sight]) -> Vec<String> {
    let mut lines: Vec<String> = sights.iter().take(SHOWN).map(|s| line(s)).collect();
    if sights.len() > SHOWN {
        lines.push(format!("and {} more ports or addresses alike", sights.len() - SHOWN));
    }
    lines
}

fn line(sight: &Sight) -> String {
    let Record { address, port, transport, state, tries, .. } = sight.record;
    let target = SocketAddr::new(address, port.0);
    let why = why(&sight.record);
    let word = if tries == 1 { "try" } else { "tries" };
    format!(
        "probe from {}: {target}/{transport} {} ({why}), {tries} {word}",
        sight.from,
        state.as_str()
    )
}

/// The common word for a reason, and who said it where that was not the host.
fn why(record: &Record) -> String {
    let by = match record.from {
        Some(from) if from != record.address => format!(" from {from}"),
        _ => String::new(),
    };
    let word = match (record.state, record.reason) {
        (PortState::Open, Reason::SynAck) => "accepted".to_owned(),
        (PortState::Closed, Reason::Reset) => "refused".to_owned(),
        (_, Reason::NoResponse) => "timed out".to_owned(),
        (_, reason) => reason.to_string(),
    };
    format!("{word}{by}")
}

/// Addresses, each once.
pub(super) fn addresses(all: impl Iterator<Item = IpAddr>) -> String {
    let mut once: Vec<IpAddr> = all.collect();
    once.sort_unstable();
    once.dedup();
    once.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whom `from` names instead.
pub(super) fn whom(inventory: &Inventory, named: &[&Source]) -> String {
    if named.is_empty() {
        return "without `from` it is for its own machine only".to_owned();
    }
    let mut names: Vec<String> = named.iter().map(|s| inventory.source_name(s)).collect();
    names.sort_unstable();
    names.dedup();
    format!("`from` names only {}", names.join(", "))
}

/// More than this many of a kind are counted, not listed.
pub(super) const SHOWN: usize = 4;
