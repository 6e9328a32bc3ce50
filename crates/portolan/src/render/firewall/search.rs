//! Who can reach a port, for reading and as JSON.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::firewall::analyse::{Allowed, Answer, Block};
use serde_json::{Value, json};

use super::block::{block_json, block_words, places, rule_text, witness_json};
use super::simulate::packet_words;
use crate::ops::firewall::search::{Known, Report};
use crate::render::json::Document;
use crate::render::screen::Screen;
use crate::render::style::Role;

const fn word(answer: Option<Answer>) -> &'static str {
    match answer {
        Some(Answer::Always) => "always",
        Some(Answer::Never) => "never",
        Some(Answer::Depends) => "depends",
        None => "undecided",
    }
}

/// Prints the answer, who may, and a packet that shows it.
pub(crate) fn text(screen: &mut Screen, report: &Report) -> Result<()> {
    match report.is_untold() {
        false => headline(screen, report.answer, "", report)?,
        true => headlines(screen, report)?,
    }
    for alike in told_alike(report) {
        writeln!(screen)?;
        lines(&alike, report).iter().try_for_each(|line| screen.hanging("", line))?;
        why(screen, alike[0], report)?;
    }
    if let Some(witness) = report.found.iter().find_map(|found| found.witness.as_ref()) {
        writeln!(screen)?;
        screen.hanging("for one: ", &packet_words(&witness.told()))?;
    }
    Ok(screen.flush()?)
}

fn headline(
    screen: &mut Screen,
    answer: Option<Answer>,
    family: &str,
    report: &Report,
) -> Result<()> {
    let role = match answer {
        Some(Answer::Always) => Role::Good,
        Some(Answer::Never) => Role::Bad,
        Some(Answer::Depends) | None => Role::Warning,
    };
    let word = screen.style.paint(role, &word(answer).to_uppercase()).to_string();
    writeln!(screen, "{word}{family}  {}", sentence(answer, report))?;
    Ok(())
}

/// A line a family: what is known of the one is no answer for the other.
fn headlines(screen: &mut Screen, report: &Report) -> Result<()> {
    for (family, known) in ["IPv4", "IPv6"].into_iter().zip(report.families) {
        match known {
            Known::NotAsked => {}
            Known::Answered(answer) => {
                headline(screen, answer, &format!(" over {family}"), report)?;
            }
            Known::Untold => untold(screen, family)?,
        }
    }
    Ok(())
}

/// That files say nothing of a family.
pub(super) fn untold(screen: &mut Screen, family: &str) -> Result<()> {
    let word = screen.style.paint(Role::Warning, "NOT KNOWN").to_string();
    writeln!(screen, "{word} over {family}  none of the files has its rules")?;
    Ok(())
}

/// What the answer means.
fn sentence(answer: Option<Answer>, report: &Report) -> &'static str {
    let mut open = report.found.iter().flat_map(|found| &found.allowed);
    match answer {
        Some(Answer::Always) => "every packet asked about gets through",
        Some(Answer::Never) => "no packet asked about gets through",
        Some(Answer::Depends) if open.any(|allowed| !allowed.depends_on.is_empty()) => {
            "who gets through hangs on more than the packet:"
        }
        Some(Answer::Depends) => "these get through, others do not:",
        None => "the rules are too large to decide; ask about fewer ports or sources",
    }
}

/// What gets through, together where the same rules let it, of whatever transport and family.
fn told_alike(report: &Report) -> Vec<Vec<&Allowed>> {
    let is_alike = |one: &Allowed, other: &Allowed| {
        one.rules == other.rules
            && one.depends_on == other.depends_on
            && one.becomes == other.becomes
    };
    let mut groups: Vec<Vec<&Allowed>> = Vec::new();
    for allowed in report.found.iter().flat_map(|found| &found.allowed) {
        match groups.iter_mut().find(|group| is_alike(group[0], allowed)) {
            Some(group) => group.push(allowed),
            None => groups.push(vec![allowed]),
        }
    }
    groups
}

/// A line for each block; one for what reads the same in both families.
fn lines(alike: &[&Allowed], report: &Report) -> Vec<String> {
    let mut lines: Vec<(String, &'static str)> = Vec::new();
    for allowed in alike {
        let words = block_words(&allowed.block, Some(&report.source));
        let only = only_family(&allowed.block, &words);
        let words = format!("{words}{}", becomes(allowed));
        match lines.iter_mut().find(|(line, _)| *line == words) {
            Some((_, family)) => *family = "",
            None => lines.push((words, only)),
        }
    }
    lines.into_iter().map(|(line, family)| line + family).collect()
}

/// The family of a block, where no address in its words says it.
fn only_family(block: &Block, words: &str) -> &'static str {
    match block.sources.networks.first() {
        Some(network) if block.destinations.is_any && !words.contains(&network.to_string()) => {
            if network.address().is_ipv6() {
                " (IPv6 only)"
            } else {
                " (IPv4 only)"
            }
        }
        _ => "",
    }
}

/// The rules that let them through, and what that hangs on.
fn why(screen: &mut Screen, allowed: &Allowed, report: &Report) -> Result<()> {
    for rule in &allowed.rules {
        screen.hanging("  by ", &rule_text(*rule, &report.ruleset))?;
    }
    for open in &allowed.depends_on {
        screen.hanging("  only if ", &open.text)?;
    }
    Ok(())
}

fn becomes(allowed: &Allowed) -> String {
    match allowed.becomes {
        Some((address, port)) => {
            format!(", translated to {}", std::net::SocketAddr::new(address, port))
        }
        None => String::new(),
    }
}

/// Prints it as one document.
pub(crate) fn json(screen: &mut Screen, report: &Report) -> Result<()> {
    let all = report.found.iter().flat_map(|found| &found.allowed);
    let allowed: Vec<Value> = all.map(|allowed| allowed_json(allowed, report)).collect();
    let witness = report.found.iter().find_map(|found| found.witness.as_ref());
    let body = json!({
        "answer": word(report.answer),
        "allowed": allowed,
        "families": families_json(report),
        "complete": report.is_whole(),
        "witness": witness_json(witness),
    });
    screen.json(&Document::new("firewall-search", body, &report.gaps))
}

/// The answer for each family asked about; null where files do not tell its rules.
pub(super) fn families_json(report: &Report) -> Vec<Value> {
    let families = ["ip", "ip6"].into_iter().zip(report.families);
    let told = families.filter_map(|(family, known)| match known {
        Known::NotAsked => None,
        Known::Untold => Some(json!({"family": family, "answer": null})),
        Known::Answered(answer) => Some(json!({"family": family, "answer": word(answer)})),
    });
    told.collect()
}

fn allowed_json(allowed: &Allowed, report: &Report) -> Value {
    let mut value = block_json(&allowed.block);
    let Value::Object(object) = &mut value else { return value };
    let open: Vec<&str> = allowed.depends_on.iter().map(|open| open.text.as_str()).collect();
    object.insert("depends_on".to_owned(), json!(open));
    object.insert("rules".to_owned(), json!(places(&allowed.rules, &report.ruleset)));
    let to = allowed.becomes.map(|(address, port)| json!({"address": address, "port": port}));
    object.insert("translated_to".to_owned(), json!(to));
    value
}
