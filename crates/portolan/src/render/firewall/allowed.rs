//! What gets in by all rules together: a line for each combination of ports, sources and what it hangs on.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::firewall::RuleId;
use portolan_core::firewall::analyse::{Allowed, Block, SourceSet};
use serde_json::{Value, json};

use super::block::{address_words, networks, places, untold};
use super::feature::{features_json, message_words, other_words, state_words};
use super::walk_words::{has_ports, protocol_word};
use crate::ops::firewall::search::Report;
use crate::render::json::Document;
use crate::render::screen::Screen;
use crate::render::style::Role;
use crate::render::table::{Cell, Column, Table};

/// Prints the table.
pub(crate) fn text(screen: &mut Screen, report: &Report) -> Result<()> {
    let lines = lines(report);
    if report.answer.is_none() {
        let word = screen.style.paint(Role::Warning, "UNDECIDED");
        writeln!(screen, "{word}  the rules are too large to decide")?;
    } else if lines.is_empty() {
        writeln!(screen, "No new connection gets in.")?;
    } else {
        let mut table = Table::new([
            Column::wrapping("LETS IN", 16),
            Column::wrapping("FROM", 18),
            Column::flexible("BY", 12).keeping_end(),
        ]);
        for line in &lines {
            let by = by(line.rules(), report);
            table.push(vec![traffic(line.block()).into(), from(line).into(), by.into()]);
            for note in notes(line) {
                table.push_text(2, Cell::new(Role::Dim, note));
            }
        }
        let (width, style) = (screen.width, screen.style);
        table.write(screen, width, style)?;
    }
    untold(screen, &report.gaps)?;
    Ok(screen.flush()?)
}

/// Blocks of both families that say the same but for the sources.
struct Line<'r> {
    of: [Option<&'r Allowed>; 2],
}

impl<'r> Line<'r> {
    fn first(&self) -> Option<&'r Allowed> {
        self.of.iter().flatten().next().copied()
    }

    fn block(&self) -> Option<&'r Block> {
        self.first().map(|allowed| &allowed.block)
    }

    fn rules(&self) -> &'r [RuleId] {
        self.first().map_or(&[], |allowed| &allowed.rules)
    }

    /// Whether a block of the other family is told by this line too.
    fn takes(&self, allowed: &Allowed, is_v6: bool) -> bool {
        let is_free = self.of[usize::from(is_v6)].is_none();
        is_free && self.first().is_some_and(|first| is_alike(first, allowed))
    }
}

fn is_alike(one: &Allowed, other: &Allowed) -> bool {
    let ends = |allowed: &Allowed| (allowed.block.destinations.is_any, allowed.becomes);
    let (a, b) = (&one.block, &other.block);
    let is_same = a.interfaces == b.interfaces
        && a.protocols == b.protocols
        && a.ports == b.ports
        && a.features == b.features;
    // A chain has a rule for each family.
    let chains =
        |allowed: &Allowed| allowed.rules.iter().map(|rule| rule.chain).collect::<Vec<_>>();
    let is_alike = is_same && chains(one) == chains(other) && ends(one) == ends(other);
    is_alike && one.depends_on == other.depends_on
}

/// All that gets in: each packet by one line.
fn lines(report: &Report) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for allowed in report.found.iter().flat_map(|found| &found.allowed) {
        let is_v6 = is_v6(&allowed.block.sources);
        match lines.iter_mut().find(|line| line.takes(allowed, is_v6)) {
            Some(line) => line.of[usize::from(is_v6)] = Some(allowed),
            None => {
                let mut of = [None, None];
                of[usize::from(is_v6)] = Some(allowed);
                lines.push(Line { of });
            }
        }
    }
    lines.sort_by_key(|line| line.block().map(order));
    lines
}

/// What has ports first, by transport and port.
fn order(block: &Block) -> (bool, u8, u16) {
    let protocol = block.protocols.first().map_or(0, |(first, _)| *first);
    let port = block.ports.first().map_or(0, |(first, _)| *first);
    (!has_ports(protocol), protocol, port)
}

fn is_v6(set: &SourceSet) -> bool {
    set.networks.first().is_some_and(|network| network.address().is_ipv6())
}

/// `22, 9100/tcp`, `icmp`, `any protocol`.
fn traffic(block: Option<&Block>) -> String {
    let Some(block) = block else { return String::new() };
    let protocols = protocols(block);
    let ports = ports(block);
    let has_ports = block.protocols.iter().all(|(first, last)| (*first..=*last).all(has_ports));
    match (has_ports, ports.as_slice()) {
        (false, [any]) if *any == "0-65535" => protocols,
        (_, [any]) if *any == "0-65535" => format!("any/{protocols}"),
        _ => format!("{}/{protocols}", ports.join(", ")),
    }
}

fn protocols(block: &Block) -> String {
    let count: usize = block.protocols.iter().map(|(a, b)| usize::from(b - a) + 1).sum();
    match count {
        256 => "any protocol".to_owned(),
        1..=6 => protocol_list(block).join("+"),
        _ => format!("{count} protocols"),
    }
}

fn protocol_list(block: &Block) -> Vec<String> {
    block.protocols.iter().flat_map(|(first, last)| (*first..=*last).map(protocol_word)).collect()
}

fn ports(block: &Block) -> Vec<String> {
    let word = |(from, to): &(u16, u16)| match from == to {
        true => from.to_string(),
        false => format!("{from}-{to}"),
    };
    block.ports.iter().map(word).collect()
}

/// The sources of both families; `any` where it is anybody of both.
fn from(line: &Line<'_>) -> String {
    let words = |of: Option<&Allowed>| of.map(|allowed| address_words(&allowed.block.sources));
    match [words(line.of[0]), words(line.of[1])] {
        [Some(four), Some(six)] if four == six => four,
        [Some(four), Some(six)] => format!("{four}, {six}"),
        [Some(any), None] if any == "any" => "any (IPv4)".to_owned(),
        [None, Some(any)] if any == "any" => "any (IPv6)".to_owned(),
        [one, other] => one.or(other).unwrap_or_default(),
    }
}

/// The rule that decides: its chain and number; and how many more.
fn by(rules: &[RuleId], report: &Report) -> String {
    let Some(place) = rules.last().and_then(|rule| report.ruleset.place(*rule)) else {
        return String::new();
    };
    let number =
        place.index.map_or_else(|| "policy".to_owned(), |index| format!("rule {}", index + 1));
    let text = format!("{} {} {} {number}", place.family, place.table, place.chain);
    match rules.len() - 1 {
        0 => text,
        more => format!("{text} +{more}"),
    }
}

/// Where to, by which interface, and what it hangs on.
fn notes(line: &Line<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let Some(first) = line.first() else { return notes };
    if !first.block.interfaces.is_empty() {
        notes.push(format!("by {}", first.block.interfaces.join(", ")));
    }
    let to = line.of.iter().flatten().map(|allowed| &allowed.block.destinations);
    let to: Vec<String> = to.filter(|set| !set.is_any).map(address_words).collect();
    if !to.is_empty() {
        notes.push(format!("to {}", to.join(", ")));
    }
    if let Some((address, port)) = first.becomes {
        notes.push(format!("translated to {}", std::net::SocketAddr::new(address, port)));
    }
    notes.extend(state_words(&first.block.features));
    notes.extend(message_words(&first.block.features, is_v6(&first.block.sources)));
    notes.extend(other_words(&first.block.features));
    notes.extend(first.depends_on.iter().map(|open| format!("only if {}", open.text)));
    notes
}

/// Prints it as one document.
pub(crate) fn json(screen: &mut Screen, report: &Report) -> Result<()> {
    let allowed: Vec<Value> = lines(report).iter().map(|line| line_json(line, report)).collect();
    let body = json!({
        "allowed": allowed,
        "decided": report.answer.is_some(),
        "complete": report.found.iter().all(|found| found.is_whole),
    });
    screen.json(&Document::new("firewall-allowed", body, &report.gaps))?;
    Ok(screen.flush()?)
}

fn line_json(line: &Line<'_>, report: &Report) -> Value {
    let both = |set: fn(&Block) -> &SourceSet| -> Vec<String> {
        line.of.iter().flatten().flat_map(|allowed| networks(set(&allowed.block))).collect()
    };
    let first = line.first();
    let open: Vec<&str> = first
        .map_or(&[][..], |first| &first.depends_on)
        .iter()
        .map(|open| open.text.as_str())
        .collect();
    let to = first.and_then(|first| first.becomes);
    json!({
        "protocols": line.block().map(protocol_list),
        "ports": line.block().map(ports),
        "sources": both(|block| &block.sources),
        "destinations": both(|block| &block.destinations),
        "interfaces": line.block().map(|block| &block.interfaces),
        "features": line.block().map(|block| features_json(&block.features)),
        "depends_on": open,
        "translated_to": to.map(|(address, port)| json!({"address": address, "port": port})),
        "rules": places(line.rules(), &report.ruleset),
    })
}
