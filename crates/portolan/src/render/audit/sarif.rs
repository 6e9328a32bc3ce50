//! An audit as SARIF 2.1.0, fit for an upload to code scanning.
//!
//! What GitHub asks beyond the standard: a relative, non-empty URI, a line from 1 on, partial
//! fingerprints that stay the same, and `security-severity` on the rule, by which it ranks.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::audit::{FileLine, Finding, Rule};
use portolan_core::net::{Gap, Severity};
use serde_json::{Value, json};

use crate::ops::audit::Report;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;

/// Prints the document.
pub(crate) fn print(screen: &mut Screen, report: &Report) -> Result<()> {
    serde_json::to_writer_pretty(&mut *screen, &document(report))?;
    screen.write_all(b"\n")?;
    Ok(screen.flush()?)
}

fn document(report: &Report) -> Value {
    let judgement = &report.judgement;
    let found = judgement.findings.iter().map(|f| result(report, f, None));
    let accepted = judgement.accepted.iter().map(|a| result(report, &a.finding, Some(&a.reason)));
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "portolan",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": Rule::ALL.iter().map(|r| rule(report, *r)).collect::<Vec<_>>(),
            } },
            "automationDetails": { "id": format!("portolan-audit/{}/", report.host) },
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": { ROOT: { "uri": "file:///" } },
            "invocations": [invocation(report)],
            "results": found.chain(accepted).collect::<Vec<_>>(),
        }],
    })
}

/// A rule's metadata. Its rank is that of the worst it found, since a finding has none of its own.
fn rule(report: &Report, rule: Rule) -> Value {
    let of_rule = report.judgement.findings.iter().filter(|f| f.rule == rule);
    let worst = of_rule.map(|f| f.severity).max().unwrap_or_else(|| usual(rule));
    json!({
        "id": rule.as_str(),
        "name": name(rule),
        "shortDescription": { "text": sentence(rule.title()) },
        "fullDescription": { "text": rule.help() },
        "help": { "text": rule.help(), "markdown": rule.help() },
        "defaultConfiguration": { "level": level(worst) },
        "properties": {
            "tags": ["security", "ports"],
            "precision": "very-high",
            "security-severity": score(worst),
        },
    })
}

fn result(report: &Report, finding: &Finding, reason: Option<&str>) -> Value {
    let index = Rule::ALL.iter().position(|r| *r == finding.rule);
    let mut text = vec![finding.message.as_str()];
    text.extend(finding.evidence.iter().map(String::as_str));
    text.push(&finding.remedy);
    let text: Vec<String> = text.into_iter().map(|line| sanitize(line).into_owned()).collect();
    let mut result = json!({
        "ruleId": finding.rule.as_str(),
        "ruleIndex": index,
        "level": level(finding.severity),
        "message": { "text": text.join("\n") },
        "locations": [{
            "physicalLocation": physical(report, finding.location.as_ref()),
            "logicalLocations": [{
                "name": finding.subject.to_string(),
                "fullyQualifiedName": format!("{}/{}", finding.host, finding.subject),
                "kind": "resource",
            }],
        }],
        "partialFingerprints": { "portolanFinding/v1": finding.id() },
        "properties": {
            "id": finding.id(),
            "severity": finding.severity.as_str(),
            "security-severity": score(finding.severity),
            "host": finding.host,
            "subject": finding.subject.to_string(),
            "service": finding.service,
            "evidence": finding.evidence,
            "remedy": finding.remedy,
        },
    });
    if let Some(reason) = reason {
        result["suppressions"] = json!([{ "kind": "external", "justification": reason }]);
    }
    result
}

/// The file and line; the inventory's first line where a finding has none.
fn physical(report: &Report, at: Option<&FileLine>) -> Value {
    let (file, line) = at.map_or((report.inventory.as_str(), 1), |at| (at.file.as_str(), at.line));
    let mut artifact = json!({ "uri": uri(file.trim_start_matches('/')) });
    if file.starts_with('/') {
        artifact["uriBaseId"] = json!(ROOT);
    }
    json!({ "artifactLocation": artifact, "region": { "startLine": line.max(1) } })
}

fn invocation(report: &Report) -> Value {
    let incomplete: Vec<&Gap> = report.gaps.iter().filter(|g| g.is_incomplete()).collect();
    let told = |gap: &&Gap| {
        json!({
            "level": "warning",
            "message": { "text": format!("not seen: {} ({})", sanitize(&gap.what), gap.why.as_str()) },
        })
    };
    json!({
        "executionSuccessful": true,
        "toolExecutionNotifications": incomplete.iter().map(told).collect::<Vec<_>>(),
    })
}

/// The severity of a rule that has not spoken.
const fn usual(rule: Rule) -> Severity {
    match rule {
        Rule::P122 => Severity::Critical,
        Rule::P101
        | Rule::P103
        | Rule::P104
        | Rule::P108
        | Rule::P115
        | Rule::P116
        | Rule::P118 => Severity::High,
        Rule::P102 | Rule::P109 | Rule::P110 | Rule::P114 => Severity::Medium,
        Rule::P111 | Rule::P112 => Severity::Low,
        Rule::P117 => Severity::Note,
    }
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium | Severity::Low => "warning",
        Severity::Note => "note",
    }
}

/// Inside GitHub's bands: above 9.0 critical, from 7.0 high, from 4.0 medium, below it low.
const fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.5",
        Severity::Note => "0.5",
    }
}

/// `UnexpectedListener`: SARIF §3.49.7 wants a name for people that is one word.
fn name(rule: Rule) -> String {
    let words = rule.title().split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
    words.map(capitalised).collect()
}

fn sentence(text: &str) -> String {
    format!("{}.", capitalised(text))
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// A path as a relative reference: what RFC 3986 §3.3 does not allow in a path is percent-encoded,
/// and a colon too, which would make the first part a scheme.
fn uri(path: &str) -> String {
    let path = path.trim_start_matches("./");
    if path.is_empty() {
        return "portolan.toml".to_owned();
    }
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

/// The base of files that are named from the root of the file system.
const ROOT: &str = "ROOT";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_relative_reference() {
        assert_eq!(uri("./hosts.d/a b:c.toml"), "hosts.d/a%20b%3Ac.toml");
        assert_eq!(uri("portolan.toml"), "portolan.toml");
        assert_eq!(uri(""), "portolan.toml");
    }

    #[test]
    fn every_rule_has_a_one_word_name() {
        for rule in Rule::ALL {
            assert!(name(rule).chars().all(char::is_alphanumeric), "{}", name(rule));
        }
        assert_eq!(name(Rule::P101), "UnexpectedListener");
    }

    #[test]
    fn scores_fall_into_the_bands_of_their_words() {
        let score = |s| score(s).parse::<f64>().unwrap();
        assert!(score(Severity::Critical) > 9.0);
        assert!((7.0..9.0).contains(&score(Severity::High)));
        assert!((4.0..7.0).contains(&score(Severity::Medium)));
        assert!(score(Severity::Low) < 4.0);
    }
}
