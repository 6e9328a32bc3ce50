//! An audit's report, for reading and as JSON.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::audit::{Accepted, FileLine, Finding, Rule};
use portolan_core::net::Severity;
use serde::Serialize;

use crate::ops::audit::{Acceptance, Probed, Report};
use crate::ops::scan::EngineKind;
use crate::render::json::Document;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;
use crate::render::table::wrap;

/// Prints what was found, most severe first, then what it comes to and what to do next.
pub(crate) fn text(screen: &mut Screen, report: &Report) -> Result<()> {
    let title = format!("audit of {} against {}", report.host, report.inventory);
    heading(screen, &title)?;
    let told = report.failing(Severity::Low);
    told.take(SHOWN_WHOLE).try_for_each(|finding| write_finding(screen, report, finding))?;
    let more = report.failing(Severity::Low).count().saturating_sub(SHOWN_WHOLE);
    if more > 0 {
        writeln!(screen, "\nand {more} more, no worse than these: --json lists them all")?;
    }
    write_notes(screen, report)?;
    writeln!(screen)?;
    let summary = summary(report);
    wrap(&summary, screen.width).iter().try_for_each(|line| writeln!(screen, "{line}"))?;
    line(screen, Role::Hint, "next:", &next_step(report))?;
    Ok(screen.flush()?)
}

fn heading(screen: &mut Screen, title: &str) -> Result<()> {
    let style = screen.style;
    Ok(writeln!(screen, "{}", style.paint(Role::Heading, sanitize(title)))?)
}

fn write_finding(screen: &mut Screen, report: &Report, finding: &Finding) -> Result<()> {
    let style = screen.style;
    let severity = style.paint(role(finding.severity), finding.severity);
    let title = format!("{} {}", finding.rule, finding.rule.title());
    let subject = subject(report, finding);
    writeln!(screen, "\n{severity}  {}  {title}", sanitize(&subject))?;
    paragraph(screen, Role::Plain, &finding.message)?;
    for fact in &finding.evidence {
        line(screen, Role::Dim, "  -", fact)?;
    }
    line(screen, Role::Hint, "  remedy:", &finding.remedy)?;
    let id = finding.id();
    let place = finding.location.as_ref().map(|at| format!("{}:{}, ", at.file, at.line));
    paragraph(screen, Role::Dim, &format!("{}id {id}", place.unwrap_or_default()))
}

/// What a finding is about, with its host where that is another one.
fn subject(report: &Report, finding: &Finding) -> String {
    if finding.host == report.host {
        return finding.subject.to_string();
    }
    format!("{} {}", finding.host, finding.subject)
}

/// Text indented by two, within the screen.
fn paragraph(screen: &mut Screen, role: Role, text: &str) -> Result<()> {
    let (style, width) = (screen.style, screen.width.saturating_sub(2).max(20));
    for line in wrap(&sanitize(text), width) {
        writeln!(screen, "  {}", style.paint(role, line))?;
    }
    Ok(())
}

/// A label, and text that goes on below itself.
fn line(screen: &mut Screen, role: Role, label: &str, text: &str) -> Result<()> {
    let (style, indent) = (screen.style, label.len() + 1);
    let width = screen.width.saturating_sub(indent).max(20);
    for (i, line) in wrap(&sanitize(text), width).iter().enumerate() {
        match i {
            0 => writeln!(screen, "{} {line}", style.paint(role, label))?,
            _ => writeln!(screen, "{:indent$}{line}", "")?,
        }
    }
    Ok(())
}

/// Findings that are notes, a paragraph a rule, and what is no finding at all.
fn write_notes(screen: &mut Screen, report: &Report) -> Result<()> {
    let notes: Vec<&Finding> =
        report.judgement.findings.iter().filter(|f| f.severity == Severity::Note).collect();
    for rule in Rule::ALL {
        let of_rule: Vec<&Finding> = notes.iter().copied().filter(|f| f.rule == rule).collect();
        match *of_rule {
            [] => {}
            [only] => {
                writeln!(screen, "\nnote  {rule} {}", rule.title())?;
                paragraph(screen, Role::Plain, &only.message)?;
                line(screen, Role::Hint, "  remedy:", &only.remedy)?;
            }
            _ => write_rule(screen, rule, &of_rule)?,
        }
    }
    if !report.judgement.notes.is_empty() {
        writeln!(screen)?;
    }
    report.judgement.notes.iter().try_for_each(|note| line(screen, Role::Plain, "note:", note))
}

fn write_rule(screen: &mut Screen, rule: Rule, findings: &[&Finding]) -> Result<()> {
    writeln!(screen, "\nnote  {rule} {} ({})", rule.title(), findings.len())?;
    let mut subjects: Vec<String> =
        findings.iter().take(SHOWN).map(|f| f.subject.to_string()).collect();
    let more = findings.len().saturating_sub(SHOWN);
    if more > 0 {
        subjects.push(format!("{more} more (--json lists them all)"));
    }
    paragraph(screen, Role::Plain, &subjects.join(", "))
}

fn summary(report: &Report) -> String {
    let open = looked_at(report);
    let mut counts: Vec<String> = Severity::ALL
        .into_iter()
        .rev()
        .filter(|severity| report.count(*severity) > 0)
        .map(|severity| format!("{} {severity}", report.count(severity)))
        .collect();
    if !report.judgement.accepted.is_empty() {
        counts.push(format!("{} accepted", report.judgement.accepted.len()));
    }
    if counts.is_empty() && report.is_partial() {
        return format!("Nothing that could be seen differs: {open}. Not everything could be.");
    }
    if counts.is_empty() {
        return format!("Nothing differs: {open}.");
    }
    let findings = report.judgement.findings.len();
    format!("{} in {open}: {}.", plural(findings, "finding"), counts.join(", "))
}

fn looked_at(report: &Report) -> String {
    let here = format!(
        "{} and {}",
        plural(report.listening, "listening port"),
        plural(report.services, "declared service")
    );
    let Some(probed) = &report.probed else { return here };
    let hosts = if probed.hosts == 1 { "host" } else { "other hosts" };
    let ports = plural(probed.ports, "port");
    format!("{here} here, {ports} of {} {hosts} over the wire", probed.hosts)
}

fn next_step(report: &Report) -> String {
    match report.judgement.findings.first() {
        Some(worst) if worst.severity > Severity::Note && worst.host != report.host => {
            format!("the remedy of {} {}", worst.rule, subject(report, worst))
        }
        Some(worst) if worst.severity > Severity::Note => match worst.subject.ports() {
            Some((range, transport)) if range.len() == 1 && worst.rule != Rule::P102 => format!(
                "portolan who {}/{transport}, then its remedy; what is fine as it is: \
                 portolan audit accept ID --reason '…'",
                range.first()
            ),
            _ => format!("the remedy of {} {}", worst.rule, worst.subject),
        },
        Some(worst) => worst.remedy.clone(),
        None if report.is_partial() && report.probed.is_some() => {
            "look at what was not seen, listed below".to_owned()
        }
        None if report.is_partial() => "run with sudo to see what is hidden now".to_owned(),
        None => "nothing to do; run it again after the next change".to_owned(),
    }
}

const fn role(severity: Severity) -> Role {
    match severity {
        Severity::Note => Role::Dim,
        Severity::Low | Severity::Medium => Role::Warning,
        Severity::High | Severity::Critical => Role::Bad,
    }
}

fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// More findings than this are counted: nobody reads them one by one in a terminal.
const SHOWN_WHOLE: usize = 100;
/// More than this many notes of one rule are counted, not named.
const SHOWN: usize = 24;

/// Prints the report as one document.
pub(crate) fn json(screen: &mut Screen, report: &Report) -> Result<()> {
    let body = Body {
        host: &report.host,
        inventory: &report.inventory,
        findings: report.judgement.findings.iter().map(FindingJson::from).collect(),
        accepted: report.judgement.accepted.iter().map(AcceptedJson::from).collect(),
        notes: &report.judgement.notes,
        probe: report.probed.as_ref().map(ProbeJson::from),
        summary: SummaryJson::from(report),
    };
    screen.json(&Document::new("audit", body, &report.gaps))?;
    Ok(screen.flush()?)
}

#[derive(Debug, Serialize)]
struct Body<'a> {
    host: &'a str,
    inventory: &'a str,
    findings: Vec<FindingJson<'a>>,
    accepted: Vec<AcceptedJson<'a>>,
    notes: &'a [String],
    probe: Option<ProbeJson>,
    summary: SummaryJson,
}

/// What was asked over the wire.
#[derive(Debug, Serialize)]
struct ProbeJson {
    engine: Option<&'static str>,
    from: Vec<String>,
    hosts: usize,
    ports: usize,
}

impl From<&Probed> for ProbeJson {
    fn from(probed: &Probed) -> Self {
        let from = probed.from.iter().map(ToString::to_string).collect();
        let engine = probed.engine.map(EngineKind::as_str);
        Self { engine, from, hosts: probed.hosts, ports: probed.ports }
    }
}

#[derive(Debug, Serialize)]
struct FindingJson<'a> {
    id: String,
    rule: &'static str,
    severity: &'static str,
    host: &'a str,
    subject: String,
    service: Option<&'a str>,
    message: &'a str,
    evidence: &'a [String],
    remedy: &'a str,
    location: Option<LocationJson<'a>>,
}

#[derive(Debug, Serialize)]
struct LocationJson<'a> {
    file: &'a str,
    line: usize,
}

#[derive(Debug, Serialize)]
struct AcceptedJson<'a> {
    #[serde(flatten)]
    finding: FindingJson<'a>,
    reason: &'a str,
    until: Option<String>,
    accepted_at: LocationJson<'a>,
}

#[derive(Debug, Serialize)]
struct SummaryJson {
    critical: usize,
    high: usize,
    medium: usize,
    low: usize,
    note: usize,
    accepted: usize,
    listening: usize,
    services: usize,
}

impl<'a> From<&'a Finding> for FindingJson<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            id: finding.id(),
            rule: finding.rule.as_str(),
            severity: finding.severity.as_str(),
            host: &finding.host,
            subject: finding.subject.to_string(),
            service: finding.service.as_deref(),
            message: &finding.message,
            evidence: &finding.evidence,
            remedy: &finding.remedy,
            location: finding.location.as_ref().map(LocationJson::from),
        }
    }
}

impl<'a> From<&'a FileLine> for LocationJson<'a> {
    fn from(at: &'a FileLine) -> Self {
        Self { file: &at.file, line: at.line }
    }
}

impl<'a> From<&'a Accepted> for AcceptedJson<'a> {
    fn from(accepted: &'a Accepted) -> Self {
        Self {
            finding: FindingJson::from(&accepted.finding),
            reason: &accepted.reason,
            until: accepted.until.map(|day| day.to_string()),
            accepted_at: LocationJson::from(&accepted.location),
        }
    }
}

impl From<&Report> for SummaryJson {
    fn from(report: &Report) -> Self {
        Self {
            critical: report.count(Severity::Critical),
            high: report.count(Severity::High),
            medium: report.count(Severity::Medium),
            low: report.count(Severity::Low),
            note: report.count(Severity::Note),
            accepted: report.judgement.accepted.len(),
            listening: report.listening,
            services: report.services,
        }
    }
}

/// Prints what was accepted and where that is written now.
pub(crate) fn accepted_text(screen: &mut Screen, acceptance: &Acceptance) -> Result<()> {
    let finding = &acceptance.finding;
    let until = acceptance.until.map(|day| format!(" until {day}")).unwrap_or_default();
    let accepted = format!("accepted {}{until}: {}", finding.id(), finding.message);
    for line in wrap(&sanitize(&accepted), screen.width) {
        writeln!(screen, "{line}")?;
    }
    let path = acceptance.path.display().to_string();
    writeln!(screen, "wrote an [[ignore]] at the end of {}", sanitize(&path))?;
    Ok(screen.flush()?)
}

/// Prints the same as one document.
pub(crate) fn accepted_json(screen: &mut Screen, acceptance: &Acceptance) -> Result<()> {
    let body = AcceptanceJson {
        accepted: FindingJson::from(&acceptance.finding),
        until: acceptance.until.map(|day| day.to_string()),
        file: acceptance.path.display().to_string(),
    };
    screen.json(&Document::new("audit-accept", body, &[]))?;
    Ok(screen.flush()?)
}

#[derive(Debug, Serialize)]
struct AcceptanceJson<'a> {
    accepted: FindingJson<'a>,
    until: Option<String>,
    file: String,
}
