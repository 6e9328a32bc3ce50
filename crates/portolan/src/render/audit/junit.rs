//! An audit as JUnit XML, for the test reports of build servers.
//!
//! A test case a finding: failed from the threshold on, passed with its text below it, skipped
//! where it was accepted. A rule that found nothing is a passed case, and what could not be seen
//! an error, so that an audit that saw nothing never looks like a clean one.

use std::io::{self, Write};

use anyhow::Result;
use portolan_core::audit::{Accepted, Finding, Rule};
use portolan_core::net::{Gap, Severity};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::ops::audit::Report;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;

/// Prints the document.
pub(crate) fn print(screen: &mut Screen, report: &Report, fail_on: Severity) -> Result<()> {
    write(&mut *screen, report, fail_on)?;
    screen.write_all(b"\n")?;
    Ok(screen.flush()?)
}

fn write(out: impl Write, report: &Report, fail_on: Severity) -> io::Result<()> {
    let mut writer = Writer::new_with_indent(out, b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let suite = Suite { report, fail_on };
    let counts = suite.counts();
    let root = writer.create_element("testsuites").with_attributes(attributes(&counts));
    root.write_inner_content(|writer| suite.write(writer))?;
    Ok(())
}

struct Suite<'a> {
    report: &'a Report,
    fail_on: Severity,
}

impl Suite<'_> {
    fn counts(&self) -> [(&'static str, String); 6] {
        let judgement = &self.report.judgement;
        let errors = self.gaps().count();
        let tests =
            judgement.findings.len() + judgement.accepted.len() + self.silent().count() + errors;
        [
            ("name", format!("portolan audit of {}", clean(&self.report.host))),
            ("tests", tests.to_string()),
            ("failures", self.report.failing(self.fail_on).count().to_string()),
            ("errors", errors.to_string()),
            ("skipped", judgement.accepted.len().to_string()),
            ("time", "0".to_owned()),
        ]
    }

    fn write<W: Write>(&self, writer: &mut Writer<W>) -> io::Result<()> {
        let counts = self.counts();
        let suite = writer.create_element("testsuite").with_attributes(attributes(&counts));
        suite.write_inner_content(|writer| {
            let judgement = &self.report.judgement;
            judgement.findings.iter().try_for_each(|f| self.finding(writer, f))?;
            judgement.accepted.iter().try_for_each(|a| self.accepted(writer, a))?;
            self.gaps().try_for_each(|gap| self.gap(writer, gap))?;
            self.silent().try_for_each(|rule| self.passed(writer, rule))
        })?;
        Ok(())
    }

    fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.report.gaps.iter().filter(|gap| gap.is_incomplete())
    }

    /// The rules that were judged and say nothing of anything.
    fn silent(&self) -> impl Iterator<Item = Rule> {
        let judgement = &self.report.judgement;
        let speaks = |rule: Rule| {
            let accepted = judgement.accepted.iter().map(|a| &a.finding);
            judgement.findings.iter().chain(accepted).any(|f| f.rule == rule)
        };
        let judged = |rule: Rule| {
            self.report.probed.is_some() || self.report.saw_rules || !rule.needs_witness()
        };
        Rule::ALL.into_iter().filter(move |rule| judged(*rule) && !speaks(*rule))
    }

    fn finding<W: Write>(&self, writer: &mut Writer<W>, finding: &Finding) -> io::Result<()> {
        let case = self.case(finding);
        let element = writer.create_element("testcase").with_attributes(attributes(&case));
        element.write_inner_content(|writer| {
            let text = clean(&details(finding));
            if finding.severity < self.fail_on {
                let out = writer.create_element("system-out");
                out.write_text_content(BytesText::new(&text))?;
                return Ok(());
            }
            let message = clean(&finding.message);
            let failure = [("message", message), ("type", finding.severity.to_string())];
            let failure = writer.create_element("failure").with_attributes(attributes(&failure));
            failure.write_text_content(BytesText::new(&text))?;
            Ok(())
        })?;
        Ok(())
    }

    fn accepted<W: Write>(&self, writer: &mut Writer<W>, accepted: &Accepted) -> io::Result<()> {
        let case = self.case(&accepted.finding);
        let element = writer.create_element("testcase").with_attributes(attributes(&case));
        let until = accepted.until.map(|day| format!(" until {day}")).unwrap_or_default();
        let message = clean(&format!("accepted{until}: {}", accepted.reason));
        element.write_inner_content(|writer| {
            let skipped = writer.create_element("skipped");
            skipped.with_attribute(("message", message.as_str())).write_empty()?;
            Ok(())
        })?;
        Ok(())
    }

    fn gap<W: Write>(&self, writer: &mut Writer<W>, gap: &Gap) -> io::Result<()> {
        let name = format!("not seen: {}", clean(&gap.what));
        let case = [("name", name), ("classname", self.class("gaps")), ("time", "0".to_owned())];
        let element = writer.create_element("testcase").with_attributes(attributes(&case));
        element.write_inner_content(|writer| {
            let error = [("message", clean(&gap.hint)), ("type", gap.why.as_str().to_owned())];
            writer.create_element("error").with_attributes(attributes(&error)).write_empty()?;
            Ok(())
        })?;
        Ok(())
    }

    fn passed<W: Write>(&self, writer: &mut Writer<W>, rule: Rule) -> io::Result<()> {
        let name = format!("{rule} {}", rule.title());
        let case =
            [("name", name), ("classname", self.class(rule.as_str())), ("time", "0".to_owned())];
        writer.create_element("testcase").with_attributes(attributes(&case)).write_empty()?;
        Ok(())
    }

    fn case(&self, finding: &Finding) -> Vec<(&'static str, String)> {
        let subject = finding.subject.to_string();
        let service = finding.service.as_ref().filter(|name| **name != subject);
        let service = service.map(|name| format!(" ({name})")).unwrap_or_default();
        let name = format!("{} {subject}{service}", finding.rule);
        let mut case = vec![
            ("name", clean(&name)),
            ("classname", class(&finding.host, finding.rule.as_str())),
            ("time", "0".to_owned()),
        ];
        if let Some(at) = &finding.location {
            case.push(("file", clean(&at.file)));
            case.push(("line", at.line.to_string()));
        }
        case
    }

    fn class(&self, name: &str) -> String {
        class(&self.report.host, name)
    }
}

fn class(host: &str, name: &str) -> String {
    format!("portolan.{}.{name}", clean(host))
}

fn details(finding: &Finding) -> String {
    let mut lines = vec![finding.message.clone()];
    lines.extend(finding.evidence.iter().map(|fact| format!("- {fact}")));
    lines.push(format!("remedy: {}", finding.remedy));
    lines.push(format!("id: {}", finding.id()));
    lines.join("\n")
}

fn attributes<'a>(pairs: &'a [(&'static str, String)]) -> impl Iterator<Item = (&'a str, &'a str)> {
    pairs.iter().map(|(name, value)| (*name, value.as_str()))
}

/// Without what XML 1.0 §2.2 forbids: control characters, and the two non-characters.
fn clean(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| sanitize(line).into_owned()).collect();
    lines.join("\n").replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}
