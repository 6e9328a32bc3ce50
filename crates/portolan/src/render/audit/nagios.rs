//! A plugin's answer to Nagios, Icinga and their kin: one line, performance data, an exit code.
//!
//! By the Monitoring Plugins Development Guidelines: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; a
//! value is `label=value;warn;crit;min`. A bar in the text would begin the data, so it has none.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::net::Severity;

use crate::ops::audit::Report;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;

/// The code of "could not look".
pub(crate) const UNKNOWN: u8 = 3;

/// Prints the line and gives the code. Findings below `fail_on` are counted and do not alarm.
pub(crate) fn print(screen: &mut Screen, report: &Report, fail_on: Severity) -> Result<u8> {
    let state = State::of(report, fail_on);
    let text = format!("PORTOLAN {} - {}", state.word(), text(report, fail_on));
    writeln!(screen, "{} | {}", one_line(&text), data(report))?;
    screen.flush()?;
    Ok(state.code())
}

/// Prints that nothing could be said, and why.
pub(crate) fn failure(screen: &mut Screen, error: &anyhow::Error) -> Result<()> {
    writeln!(screen, "PORTOLAN UNKNOWN - {}", one_line(&format!("{error:#}")))?;
    Ok(screen.flush()?)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    Warning,
    Critical,
    Unknown,
}

impl State {
    fn of(report: &Report, fail_on: Severity) -> Self {
        match report.failing(fail_on).map(|f| f.severity).max() {
            Some(worst) if worst >= Severity::High => Self::Critical,
            Some(_) => Self::Warning,
            None if report.is_partial() => Self::Unknown,
            None => Self::Ok,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => UNKNOWN,
        }
    }
}

fn text(report: &Report, fail_on: Severity) -> String {
    let failing = report.failing(fail_on).count();
    match report.failing(fail_on).next() {
        Some(worst) if failing == 1 => format!("{}: {} {}", report.host, worst.rule, worst.message),
        Some(worst) => {
            format!("{}: {failing} findings, worst {} {}", report.host, worst.rule, worst.message)
        }
        None => match report.gaps.iter().find(|g| g.is_incomplete()) {
            Some(gap) => format!("{}: not seen: {} ({})", report.host, gap.what, gap.why.as_str()),
            None => format!("{}: {}", report.host, calm(report, fail_on)),
        },
    }
}

/// What is said where nothing alarms, though something milder may have been found.
fn calm(report: &Report, fail_on: Severity) -> String {
    let listening = format!("{} listening ports", report.listening);
    match report.judgement.findings.len() {
        0 => format!("{listening} as declared"),
        milder => format!("{listening}, {milder} findings below {fail_on}"),
    }
}

fn data(report: &Report) -> String {
    let count = |severity| report.count(severity);
    format!(
        "critical={};;0;0 high={};;0;0 medium={};0;;0 low={};0;;0 note={};;;0 accepted={};;;0 \
         listening={};;;0",
        count(Severity::Critical),
        count(Severity::High),
        count(Severity::Medium),
        count(Severity::Low),
        count(Severity::Note),
        report.judgement.accepted.len(),
        report.listening
    )
}

fn one_line(text: &str) -> String {
    sanitize(text).replace('|', "/")
}
