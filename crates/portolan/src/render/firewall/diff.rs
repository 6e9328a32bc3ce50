//! What two rulesets do differently, for reading and as JSON.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;
use portolan_core::firewall::analyse::{Beside, Difference, Differences, End, Ends, Fate, Side};
use portolan_core::firewall::simulate::Outcome;
use portolan_core::firewall::{RuleId, Ruleset};
use serde_json::{Value, json};

use super::block::{block_json, block_words, rule_text, witness_json};
use super::place::PlaceJson;
use super::simulate::packet_words;
use super::walk_words::{outcome_word, reject_words, way_word};
use crate::ops::firewall::compare::{Compared, OfFamily, Report};
use crate::render::json::Document;
use crate::render::screen::Screen;
use crate::render::style::Role;

/// So many blocks of one difference are told; JSON has them all.
const SHOWN: usize = 10;

/// Prints a paragraph a difference; what differs alike on several ways and in both families, once.
pub(crate) fn text(screen: &mut Screen, report: &Report<Compared>) -> Result<()> {
    let Some(found) = &report.found else {
        writeln!(screen, "undecided")?;
        return Ok(screen.flush()?);
    };
    let sides = [&found.before, &report.ruleset];
    for told in paragraphs(found, |found| &found.regions, sides) {
        told.print(screen, "")?;
    }
    for told in paragraphs(found, |found| &found.open, sides) {
        told.print(screen, "not known: ")?;
    }
    match found.families.iter().all(|of| of.found().is_some()) {
        true => outcome(screen, found.is_equal(), found.ends_alike(), "")?,
        false => outcomes(screen, found)?,
    }
    Ok(screen.flush()?)
}

/// How the comparison ends: of all packets, or of those of a family. What differs stands above.
fn outcome(
    screen: &mut Screen,
    is_equal: Option<bool>,
    ends_alike: bool,
    family: &str,
) -> Result<()> {
    match is_equal {
        Some(true) => writeln!(screen, "{family}equal: the same becomes of every packet")?,
        Some(false) => {}
        None => {
            let told = match ends_alike {
                true => "otherwise equal: whatever the one lets through, the other does",
                false => "otherwise equal",
            };
            screen.hanging(family, told)?;
        }
    }
    Ok(())
}

/// A line a family: of one that a side does not tell nothing is known.
fn outcomes(screen: &mut Screen, found: &Compared) -> Result<()> {
    for (family, of) in ["IPv4", "IPv6"].into_iter().zip(&found.families) {
        let told = match of {
            OfFamily::Found(_) => {
                let ends_alike = of.ends_alike();
                outcome(screen, of.is_equal(), ends_alike, &format!("{family}: "))?;
                continue;
            }
            OfFamily::NotAsked => "not compared: neither side tells its rules",
            OfFamily::ToldOnly(true) => {
                "not compared: the rules after are of the other family alone"
            }
            OfFamily::ToldOnly(false) => {
                "not compared: the rules before are of the other family alone"
            }
        };
        screen.hanging(&format!("{family}: "), told)?;
    }
    Ok(())
}

/// A difference in words.
#[derive(Debug)]
struct Paragraph {
    ways: Vec<&'static str>,
    families: Vec<&'static str>,
    head: String,
    blocks: Vec<String>,
    beside: Vec<&'static str>,
    before: String,
    after: String,
    witness: String,
}

fn paragraphs(
    found: &Compared,
    of: fn(&Differences) -> &[Difference],
    sides: [&Ruleset; 2],
) -> Vec<Paragraph> {
    let mut told: Vec<Paragraph> = Vec::new();
    for (family, found) in ["IPv4", "IPv6"].into_iter().zip(&found.families) {
        for difference in found.found().map_or(&[][..], of) {
            let new = Paragraph::of(difference, family, sides);
            let is_same = |known: &&mut Paragraph| {
                (&known.head, &known.blocks, &known.before, &known.after)
                    == (&new.head, &new.blocks, &new.before, &new.after)
                    && known.beside == new.beside
            };
            match told.iter_mut().find(is_same) {
                Some(known) => {
                    known.ways.extend(new.ways);
                    known.families.extend(new.families);
                }
                None => told.push(new),
            }
        }
    }
    told
}

impl Paragraph {
    fn of(difference: &Difference, family: &'static str, sides: [&Ruleset; 2]) -> Self {
        let (before, after) = (&difference.before, &difference.after);
        let head = match before.ends {
            Some(Ends { side: Side::Destination, .. }) => "sent elsewhere".to_owned(),
            Some(Ends { side: Side::Source, .. }) => "from another source".to_owned(),
            None => format!("{} → {}", fate_word(before, after), fate_word(after, before)),
        };
        let witness = &difference.witness;
        let answers = witness.answers.iter().map(|(question, holds)| {
            format!(", if `{question}` {}", if *holds { "holds" } else { "does not hold" })
        });
        let mut answers: String =
            if difference.is_certain { String::new() } else { answers.collect() };
        if !difference.depends_on.is_empty() {
            answers.push_str(&format!(", depending on `{}`", difference.depends_on.join("`, `")));
        }
        Self {
            ways: vec![way_word(difference.way)],
            families: vec![family],
            head,
            blocks: difference.blocks.iter().map(|block| block_words(block, None)).collect(),
            beside: difference.beside.iter().map(|beside| beside_words(*beside)).collect(),
            before: fate_words(before, sides[0], family == "IPv6"),
            after: fate_words(after, sides[1], family == "IPv6"),
            witness: packet_words(&witness.told()) + &answers,
        }
    }

    fn print(&self, screen: &mut Screen, doubt: &str) -> Result<()> {
        let head = format!("{doubt}{}", self.head);
        let head = screen.style.paint(Role::Warning, head).to_string();
        let (ways, families) = (once(&self.ways), once(&self.families));
        writeln!(screen, "{}, {}: {head}", ways.join(" and "), families.join(" and "))?;
        for block in self.blocks.iter().take(SHOWN) {
            screen.hanging("  ", block)?;
        }
        if self.blocks.len() > SHOWN {
            writeln!(screen, "  and {} more (--json has all)", self.blocks.len() - SHOWN)?;
        }
        if !self.beside.is_empty() {
            screen.hanging("  and ", &self.beside.join("; "))?;
        }
        screen.hanging("  before: ", &self.before)?;
        screen.hanging("  after:  ", &self.after)?;
        screen.hanging("  for one: ", &self.witness)?;
        writeln!(screen)?;
        Ok(())
    }
}

const fn beside_words(beside: Beside) -> &'static str {
    match beside {
        Beside::TranslatedEarlier => "some later packets of connections translated earlier",
        Beside::ToLoopback => "some packets to loopback addresses, if route_localnet is on",
        Beside::Related => "some first packets of related connections",
    }
}

const fn beside_json(beside: Beside) -> &'static str {
    match beside {
        Beside::TranslatedEarlier => "translated-earlier",
        Beside::ToLoopback => "to-loopback",
        Beside::Related => "related",
    }
}

fn once<'w>(words: &[&'w str]) -> Vec<&'w str> {
    let mut found: Vec<&str> = Vec::new();
    for word in words {
        if !found.contains(word) {
            found.push(word);
        }
    }
    found
}

/// How they end; two ways to reject are told apart.
fn fate_word(fate: &Fate, other: &Fate) -> String {
    match (fate.outcome, other.outcome) {
        (Outcome::Reject(with), Outcome::Reject(_)) => {
            format!("reject with {}", reject_words(with))
        }
        (outcome, _) => outcome_word(outcome).to_owned(),
    }
}

/// Where they are sent, and the rule that says so.
fn fate_words(fate: &Fate, ruleset: &Ruleset, is_v6: bool) -> String {
    let place = |rule: RuleId| rule_text(rule, ruleset);
    let Some(ends) = &fate.ends else {
        let word = outcome_word(fate.outcome);
        return match fate.decided_by.map(place) {
            Some(rule) => format!("{word} by {rule}"),
            None => format!("{word}; no chain stands in the way"),
        };
    };
    match fate.translated_by.map(place) {
        Some(rule) => format!("{} by {rule}", ends_words(ends, is_v6)),
        None => ends_words(ends, is_v6),
    }
}

fn ends_words(ends: &Ends, is_v6: bool) -> String {
    let lead = match ends.side {
        Side::Destination => "to",
        Side::Source => "from",
    };
    if let (End::Is(number), End::Is(port)) = (&ends.address, &ends.port) {
        let port = u16::try_from(*port).unwrap_or(u16::MAX);
        return format!("{lead} {}", SocketAddr::new(address_of(*number, is_v6), port));
    }
    match (vague(&ends.address, is_v6, false), vague(&ends.port, is_v6, true)) {
        (None, None) => "as they came".to_owned(),
        (Some(host), None) => format!("{lead} {host}"),
        (None, Some(door)) => format!("{lead} port {door}"),
        (Some(host), Some(door)) => format!("{lead} {host} port {door}"),
    }
}

fn vague(end: &End, is_v6: bool, is_port: bool) -> Option<String> {
    match end {
        End::Kept => None,
        End::Is(number) if is_port => Some(number.to_string()),
        End::Is(number) => Some(address_of(*number, is_v6).to_string()),
        End::Vague(words) => Some(words.clone()),
        End::Varies => Some("one that the packet decides".to_owned()),
    }
}

fn address_of(number: u128, is_v6: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(four) if !is_v6 => Ipv4Addr::from_bits(four).into(),
        _ => Ipv6Addr::from_bits(number).into(),
    }
}

/// Prints it as one document.
pub(crate) fn json(screen: &mut Screen, report: &Report<Compared>) -> Result<()> {
    let found = report.found.as_ref();
    let regions = |of: fn(&Differences) -> &[Difference]| -> Vec<Value> {
        let Some(compared) = found else { return Vec::new() };
        let sides = [&compared.before, &report.ruleset];
        let families = [false, true].into_iter().zip(&compared.families);
        let all = families.flat_map(|(is_v6, found)| {
            found.found().map_or(&[][..], of).iter().map(move |one| (is_v6, one))
        });
        all.map(|(is_v6, one)| region_json(one, is_v6, sides)).collect()
    };
    let body = json!({
        "equal": found.and_then(Compared::is_equal),
        "families": families_json(found),
        "complete": found.is_none_or(Compared::is_whole),
        "regions": regions(|found| &found.regions),
        "open": regions(|found| &found.open),
    });
    screen.json(&Document::new("firewall-diff", body, &report.gaps))
}

/// For each family: null where that is not known, and where it was not compared.
fn families_json(found: Option<&Compared>) -> Vec<Value> {
    let Some(found) = found else { return Vec::new() };
    let told = ["ip", "ip6"].into_iter().zip(&found.families).map(|(family, of)| {
        json!({"family": family, "equal": of.is_equal(), "compared": of.found().is_some()})
    });
    told.collect()
}

fn region_json(difference: &Difference, is_v6: bool, sides: [&Ruleset; 2]) -> Value {
    let (before, after) = (&difference.before, &difference.after);
    let place = |rule: Option<RuleId>, ruleset: &Ruleset| {
        json!(rule.and_then(|rule| ruleset.place(rule)).as_ref().map(PlaceJson::from))
    };
    let side = |fate: &Fate, ruleset: &Ruleset| {
        json!({
            "decided_by": place(fate.decided_by, ruleset),
            "translated_by": place(fate.translated_by, ruleset),
            "translated_to": fate.ends.as_ref().map(|ends| ends_json(ends, is_v6)),
        })
    };
    json!({
        "hook": way_word(difference.way),
        "family": if is_v6 { "ip6" } else { "ip" },
        "before": outcome_word(before.outcome),
        "after": outcome_word(after.outcome),
        "before_detail": side(before, sides[0]),
        "after_detail": side(after, sides[1]),
        "certain": difference.is_certain,
        "depends_on": difference.depends_on,
        "witness": witness_json(Some(&difference.witness)),
        "beside": difference.beside.iter().map(|one| beside_json(*one)).collect::<Vec<_>>(),
        "blocks": difference.blocks.iter().map(block_json).collect::<Vec<_>>(),
    })
}

/// Each end: null where it is as it came, a string where nobody knows.
fn ends_json(ends: &Ends, is_v6: bool) -> Value {
    let address = |end: &End| json!(vague(end, is_v6, false));
    let port = |end: &End| match end {
        End::Is(number) => json!(*number as u64),
        other => json!(vague(other, is_v6, true)),
    };
    let (host, door) = match ends.side {
        Side::Destination => ("dst", "dport"),
        Side::Source => ("src", "sport"),
    };
    json!({ host: address(&ends.address), door: port(&ends.port) })
}
