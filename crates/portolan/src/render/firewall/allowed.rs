//! What gets in by all rules together: a line for each combination of ports, sources and what it hangs on.

use std::io::Write as _;
use std::net::IpAddr;

use anyhow::Result;
use portolan_core::firewall::analyse::{Allowed, Block, SourceSet};
use portolan_core::firewall::{Family, RuleId, Statement, TABLE};
use portolan_core::net::Prefix;
use serde_json::{Value, json};

use super::block::{address_words, networks, places};
use super::feature::{features_json, message_words, other_words, state_words};
use super::in_short::BUT;
use super::search::{families_json, untold};
use super::walk_words::{has_ports, protocol_word};
use crate::ops::firewall::search::{Known, Report};
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
        let over = match report.families {
            [Known::Untold, Known::Untold] => None,
            [Known::Untold, _] => Some(" over IPv6"),
            [_, Known::Untold] => Some(" over IPv4"),
            _ => Some(""),
        };
        if let Some(over) = over {
            writeln!(screen, "No new connection gets in{over}.")?;
        }
    } else {
        let mut table = Table::new([
            Column::wrapping("LETS IN", 16),
            Column::wrapping("FROM", 18),
            Column::flexible("BY", 12).keeping_end(),
        ]);
        for line in &lines {
            let by = by(&line.rules(), report);
            table.push(vec![traffic(line.block()).into(), from(line).into(), by.into()]);
            for note in notes(line, &report.own) {
                table.push_text(2, Cell::new(Role::Dim, note));
            }
        }
        let (width, style) = (screen.width, screen.style);
        table.write(screen, width, style)?;
    }
    for (family, known) in ["IPv4", "IPv6"].into_iter().zip(report.families) {
        if known == Known::Untold {
            untold(screen, family)?;
        }
    }
    Ok(screen.flush()?)
}

/// Blocks of both families that say the same but for the sources.
struct Line<'r> {
    of: [Option<&'r Allowed>; 2],
    /// Those that differ from it in nothing but the interface and the rule that lets them in by it.
    by_others: Vec<[Option<&'r Allowed>; 2]>,
}

impl<'r> Line<'r> {
    fn first(&self) -> Option<&'r Allowed> {
        self.of.iter().flatten().next().copied()
    }

    fn block(&self) -> Option<&'r Block> {
        self.first().map(|allowed| &allowed.block)
    }

    /// The first of each fold, itself before the others.
    fn folds(&self) -> impl Iterator<Item = &'r Allowed> + '_ {
        let others = self.by_others.iter().filter_map(|of| of.iter().flatten().next().copied());
        self.first().into_iter().chain(others)
    }

    fn rules(&self) -> Vec<RuleId> {
        let mut rules: Vec<RuleId> = Vec::new();
        for rule in self.folds().flat_map(|allowed| &allowed.rules) {
            if !rules.contains(rule) {
                rules.push(*rule);
            }
        }
        rules
    }

    fn interfaces(&self) -> Vec<&'r str> {
        self.folds().flat_map(|allowed| &allowed.block.interfaces).map(|name| &**name).collect()
    }

    /// Whether a block of the other family is told by this line too.
    fn takes(&self, allowed: &Allowed, is_v6: bool) -> bool {
        let is_free = self.of[usize::from(is_v6)].is_none();
        is_free && self.first().is_some_and(|first| is_alike(first, allowed))
    }

    /// Whether the other one is told by this line too, with its interfaces.
    fn folds_in(&self, other: &Self) -> bool {
        let is_named = |line: &Self| line.block().is_some_and(|block| !block.interfaces.is_empty());
        let mut both = self.of.iter().zip(&other.of);
        let is_same = both.all(|(one, other)| match (one, other) {
            (Some(one), Some(other)) => is_same_but_interface(one, other),
            (one, other) => one.is_none() && other.is_none(),
        });
        is_same && is_named(self) && is_named(other)
    }
}

fn is_same_but_interface(one: &Allowed, other: &Allowed) -> bool {
    let (a, b) = (&one.block, &other.block);
    let is_same = a.sources == b.sources
        && a.destinations == b.destinations
        && a.protocols == b.protocols
        && a.ports == b.ports
        && a.features == b.features;
    is_same && one.becomes == other.becomes && one.depends_on == other.depends_on
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
                lines.push(Line { of, by_others: Vec::new() });
            }
        }
    }
    let mut folded: Vec<Line<'_>> = Vec::new();
    for line in lines {
        match folded.iter_mut().find(|known| known.folds_in(&line)) {
            Some(known) => known.by_others.push(line.of),
            None => folded.push(line),
        }
    }
    let mut lines = folded;
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
    let of_family = |words: String, family: &str| match words.strip_prefix("any") {
        Some(rest) => format!("any ({family}){rest}"),
        None => words,
    };
    let [four, six] = line.of.map(words);
    if four == six {
        return four.unwrap_or_default();
    }
    let four = four.map(|words| of_family(words, "IPv4"));
    match [four, six.map(|words| of_family(words, "IPv6"))] {
        [Some(four), Some(six)] if four.contains(BUT) || six.contains(BUT) => {
            format!("{four}; {six}")
        }
        [Some(four), Some(six)] => format!("{four}, {six}"),
        [one, other] => one.or(other).unwrap_or_default(),
    }
}

/// The rule that decides: its chain and number; and how many more. Ours says whom the inventory lets in,
/// whatever others let through behind it; one that translates only leads there.
fn by(rules: &[RuleId], report: &Report) -> String {
    let translates = |rule: &&RuleId| {
        let found = report.ruleset.rule(**rule);
        found.is_some_and(|rule| rule.statements.iter().any(|s| matches!(s, Statement::Nat(_))))
    };
    let is_ours = |rule: &&RuleId| {
        let table = report.ruleset.tables.get(rule.chain.table);
        table.is_some_and(|table| table.family == Family::Inet && *table.name == *TABLE)
    };
    let last = |is_it: &dyn Fn(&&RuleId) -> bool| rules.iter().rev().find(is_it);
    let ours = last(&|rule| is_ours(rule) && !translates(rule));
    let decides = ours.or_else(|| last(&|rule| !translates(rule))).or(rules.last());
    let Some(place) = decides.and_then(|rule| report.ruleset.place(*rule)) else {
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

/// Whether these are all addresses of this machine of their family: no line needs to say that.
fn is_every_own(set: &SourceSet, own: &[IpAddr]) -> bool {
    let Some(first) = set.networks.first() else { return false };
    let is_v4 = first.address().is_ipv4();
    let mut of_family = own.iter().filter(|own| own.is_ipv4() == is_v4);
    of_family.all(|own| set.networks.contains(&Prefix::from(*own)))
        && set.networks.iter().all(|one| own.iter().any(|own| *one == Prefix::from(*own)))
}

/// Where to, by which interface, and what it hangs on.
fn notes(line: &Line<'_>, own: &[IpAddr]) -> Vec<String> {
    let mut notes = Vec::new();
    let Some(first) = line.first() else { return notes };
    let interfaces = line.interfaces();
    if !interfaces.is_empty() {
        notes.push(format!("by {}", interfaces.join(", ")));
    }
    let to = line.of.iter().flatten().map(|allowed| &allowed.block.destinations);
    let to = to.filter(|set| !set.is_any && !is_every_own(set, own));
    let to: Vec<String> = to.map(address_words).collect();
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
        "families": families_json(report),
        "complete": report.is_whole(),
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
        "interfaces": line.interfaces(),
        "features": line.block().map(|block| features_json(&block.features)),
        "depends_on": open,
        "translated_to": to.map(|(address, port)| json!({"address": address, "port": port})),
        "rules": places(&line.rules(), &report.ruleset),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_own_addresses_of_a_family_need_no_words_and_fewer_do() {
        let own: Vec<IpAddr> =
            ["10.0.0.1", "10.1.0.1", "fe80::1"].map(|text| text.parse().unwrap()).into();
        let set = |texts: &[&str]| {
            let networks = texts.iter().map(|text| text.parse().unwrap()).collect();
            SourceSet { networks, is_any: false, all_but: Vec::new() }
        };
        assert!(is_every_own(&set(&["10.0.0.1/32", "10.1.0.1/32"]), &own));
        assert!(is_every_own(&set(&["fe80::1/128"]), &own));
        assert!(!is_every_own(&set(&["10.0.0.1/32"]), &own));
        assert!(!is_every_own(&set(&["10.0.0.1/32", "10.1.0.1/32", "10.2.0.1/32"]), &own));
        assert!(!is_every_own(&set(&["10.0.0.0/8"]), &own));
    }
}
