//! `portolan audit` and `portolan audit accept ID`.

use anyhow::Result;
use portolan_core::net::Severity;

use crate::cli::args::{self, Audit, AuditCommand, AuditFormat, Global};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::ops::audit::{Probing, Report};
use crate::render::screen::Screen;
use crate::{ops, render};

/// Audits this machine, or accepts one of the findings.
pub(crate) fn run(arguments: &Audit, global: &Global) -> Result<Exit> {
    if let Some(AuditCommand::Accept { id, reason, until }) = &arguments.command {
        let acceptance =
            ops::audit::accept(&global.asked(), id, reason, *until, probing(arguments).as_ref())?;
        let mut screen = Screen::open(global);
        if global.json {
            render::audit::accepted_json(&mut screen, &acceptance)?;
        } else {
            render::audit::accepted_text(&mut screen, &acceptance)?;
        }
        return Ok(Exit::Yes);
    }
    let fail_on = arguments.fail_on.into();
    let report = match (
        format(arguments, global)?,
        ops::audit::run(&global.asked(), probing(arguments).as_ref()),
    ) {
        // A plugin's only way to say that it could not look.
        (AuditFormat::Nagios, Err(error)) => {
            render::audit::nagios::failure(&mut Screen::open(global), &error)?;
            return Ok(Exit::Nagios(render::audit::nagios::UNKNOWN));
        }
        (_, report) => report?,
    };
    print(arguments, global, &report, fail_on)
}

/// What is asked over the wire, where anything is.
fn probing(arguments: &Audit) -> Option<Probing> {
    arguments.probe.then(|| Probing { hosts: arguments.only.clone() })
}

fn print(arguments: &Audit, global: &Global, report: &Report, fail_on: Severity) -> Result<Exit> {
    let mut screen = Screen::open(global);
    match format(arguments, global)? {
        AuditFormat::Text => {
            render::audit::text(&mut screen, report)?;
            render::gap::print(&report.gaps, global.color);
        }
        AuditFormat::Json => render::audit::json(&mut screen, report)?,
        AuditFormat::Sarif => render::audit::sarif::print(&mut screen, report)?,
        AuditFormat::Junit => render::audit::junit::print(&mut screen, report, fail_on)?,
        AuditFormat::Github => render::audit::github::print(&mut screen, report)?,
        AuditFormat::Nagios => {
            let code = render::audit::nagios::print(&mut screen, report, fail_on)?;
            return Ok(Exit::Nagios(code));
        }
    }
    Ok(exit(report, fail_on))
}

/// `--json` is `--format json`; another format beside it is a contradiction.
fn format(arguments: &Audit, global: &Global) -> Result<AuditFormat> {
    match arguments.format {
        AuditFormat::Text | AuditFormat::Json if global.json => Ok(AuditFormat::Json),
        _ if global.json => {
            Err(Fault::new("--json and --format ask for two forms", "give one of them"))
        }
        format => Ok(format),
    }
}

fn exit(report: &Report, fail_on: Severity) -> Exit {
    if report.failing(fail_on).next().is_some() {
        Exit::No
    } else if report.is_partial() {
        Exit::Partial
    } else {
        Exit::Yes
    }
}

impl From<args::Severity> for Severity {
    fn from(severity: args::Severity) -> Self {
        match severity {
            args::Severity::Note => Self::Note,
            args::Severity::Low => Self::Low,
            args::Severity::Medium => Self::Medium,
            args::Severity::High => Self::High,
            args::Severity::Critical => Self::Critical,
        }
    }
}
