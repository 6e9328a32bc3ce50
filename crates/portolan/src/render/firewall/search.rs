//! Who can reach a port, for reading and as JSON.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::firewall::analyse::{Allowed, Answer};
use serde_json::{Value, json};

use super::block::{block_json, block_words, packet_words, places, rule_text, witness_json};
use crate::ops::firewall::search::Report;
use crate::render::json::Document;
use crate::render::sanitize::sanitize;
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
    let role = match report.answer {
        Some(Answer::Always) => Role::Good,
        Some(Answer::Never) => Role::Bad,
        Some(Answer::Depends) | None => Role::Warning,
    };
    let answer = screen.style.paint(role, &word(report.answer).to_uppercase()).to_string();
    writeln!(screen, "{answer}")?;
    for allowed in report.found.iter().flat_map(|found| &found.allowed) {
        let block = block_words(&allowed.block, Some(&report.source));
        writeln!(screen, "\n{block}{}", becomes(allowed))?;
        for rule in &allowed.rules {
            writeln!(screen, "  {}", rule_text(*rule, &report.ruleset))?;
        }
        for open in &allowed.depends_on {
            writeln!(screen, "  only if: {}", sanitize(&open.text))?;
        }
    }
    if let Some(witness) = report.found.iter().find_map(|found| found.witness.as_ref()) {
        writeln!(screen, "\nfor one: {}", packet_words(&witness.packet))?;
    }
    Ok(screen.flush()?)
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
        "complete": report.found.iter().all(|found| found.is_whole),
        "witness": witness_json(witness),
    });
    screen.json(&Document::new("firewall-search", body, &report.gaps))
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
