//! Annotations of a GitHub workflow: one workflow command a finding on standard output.
//!
//! The escapes are those of the runner (actions/toolkit, packages/core/src/command.ts): `%`, CR and
//! LF everywhere, in properties also `:` and `,`.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::audit::Finding;
use portolan_core::net::Severity;

use crate::ops::audit::Report;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;

/// Prints an annotation for every finding, the most severe first, and one for what was not seen.
pub(crate) fn print(screen: &mut Screen, report: &Report) -> Result<()> {
    for finding in &report.judgement.findings {
        writeln!(screen, "{}", annotation(finding))?;
    }
    for gap in report.gaps.iter().filter(|g| g.is_incomplete()) {
        let text = format!("not seen: {} ({})", sanitize(&gap.what), gap.why.as_str());
        writeln!(screen, "::warning title=portolan audit::{}", data(&text))?;
    }
    Ok(screen.flush()?)
}

fn annotation(finding: &Finding) -> String {
    let mut properties = Vec::new();
    if let Some(at) = &finding.location {
        properties.push(format!("file={}", property(&at.file)));
        properties.push(format!("line={}", at.line));
    }
    let title = format!("{} {}: {}", finding.rule, finding.severity, finding.subject);
    properties.push(format!("title={}", property(&title)));
    let mut lines = vec![finding.message.as_str()];
    lines.extend(finding.evidence.iter().map(String::as_str));
    lines.push(&finding.remedy);
    let text: Vec<String> = lines.into_iter().map(|l| sanitize(l).into_owned()).collect();
    format!("::{} {}::{}", level(finding.severity), properties.join(","), data(&text.join("\n")))
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium | Severity::Low => "warning",
        Severity::Note => "notice",
    }
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(&sanitize(text)).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use portolan_core::audit::{FileLine, Rule, Subject};

    use super::*;

    #[test]
    fn what_would_end_a_property_or_a_command_is_escaped() {
        let finding = Finding {
            rule: Rule::P101,
            severity: Severity::High,
            host: "web".to_owned(),
            subject: Subject::Name("a,b:c".to_owned()),
            service: None,
            message: "100 % of it::is\nodd".to_owned(),
            evidence: vec!["held by \u{1b}[2J".to_owned()],
            remedy: "look".to_owned(),
            location: Some(FileLine { file: "a,b.toml".to_owned(), line: 7 }),
        };
        assert_eq!(
            annotation(&finding),
            "::error file=a%2Cb.toml,line=7,title=P101 high%3A a%2Cb%3Ac\
             ::100 %25 of it::is\\nodd%0Aheld by \\x1b[2J%0Alook"
        );
    }
}
