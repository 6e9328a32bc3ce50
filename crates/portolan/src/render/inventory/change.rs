//! What the commands that write an inventory say when they have.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::net::Gap;
use serde::Serialize;

use crate::ops::inventory::edit::{Form, Formatted, Set};
use crate::ops::inventory::init::{Outcome, Report, as_option};
use crate::render::json::Document;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;

/// What `init` found and wrote, and what to do next.
pub(crate) fn init(screen: &mut Screen, report: &Report) -> Result<()> {
    let (style, draft) = (screen.style, &report.draft);
    let path = report.path.display().to_string();
    let path = sanitize(&path);
    if report.outcome == Outcome::Unchanged {
        writeln!(screen, "{path} lacks nothing of what listens here: unchanged.")?;
        return Ok(screen.flush()?);
    }
    let did = if report.outcome == Outcome::Created { "Wrote" } else { "Added to" };
    let services = many(draft.services.len(), "service");
    let ports = many(draft.port_count(), "port");
    writeln!(screen, "{did} {path}: host {}, {services}, {ports}.", sanitize(&draft.host))?;
    if !draft.ignores.is_empty() {
        let programs = many(draft.ignores.len(), "program");
        writeln!(screen, "The kernel chooses the ports of {programs}: an [[ignore]] each.")?;
    }
    if !draft.services.is_empty() {
        writeln!(screen, "Nothing in it is approved yet: each service is `observed`.")?;
    }
    let edit = format!("$EDITOR {path}");
    let audit = format!("portolan audit{}", sanitize(&as_option(&report.path)));
    let width = edit.len().max(audit.len());
    let next = style.paint(Role::Hint, "Next:");
    writeln!(screen, "\n{next} {edit:width$}   say why each service is there")?;
    writeln!(screen, "      {audit:width$}   what is left to do")?;
    Ok(screen.flush()?)
}

/// The same as a document.
pub(crate) fn init_json(screen: &mut Screen, report: &Report, gaps: &[Gap]) -> Result<()> {
    #[derive(Serialize)]
    struct Body<'a> {
        file: String,
        outcome: &'static str,
        host: &'a str,
        services: Vec<&'a str>,
        ports: usize,
        ignores: usize,
    }
    let body = Body {
        file: report.path.display().to_string(),
        outcome: match report.outcome {
            Outcome::Created => "created",
            Outcome::Added => "added",
            Outcome::Unchanged => "unchanged",
        },
        host: &report.draft.host,
        services: report.draft.services.iter().map(|s| s.name.as_str()).collect(),
        ports: report.draft.port_count(),
        ignores: report.draft.ignores.len(),
    };
    screen.json(&Document::new("inventory-init", body, gaps))?;
    Ok(screen.flush()?)
}

/// What `set` did.
pub(crate) fn set(screen: &mut Screen, key: &str, set: &Set) -> Result<()> {
    let path = set.path.display().to_string();
    let did = if set.changed { "set" } else { "unchanged" };
    writeln!(screen, "{}: {} {did}", sanitize(&path), sanitize(key))?;
    Ok(screen.flush()?)
}

/// The same as a document.
pub(crate) fn set_json(screen: &mut Screen, key: &str, set: &Set) -> Result<()> {
    #[derive(Serialize)]
    struct Body<'a> {
        file: String,
        key: &'a str,
        changed: bool,
    }
    let body = Body { file: set.path.display().to_string(), key, changed: set.changed };
    screen.json(&Document::new("inventory-set", body, &[]))?;
    Ok(screen.flush()?)
}

/// Which files were put into their usual form, or would be.
pub(crate) fn format(screen: &mut Screen, form: Form, files: &[Formatted]) -> Result<()> {
    let did = match form {
        Form::Write => "formatted",
        Form::Check => "would be formatted",
    };
    for file in files {
        let said = if file.changed { did } else { "already in its usual form" };
        writeln!(screen, "{}: {said}", sanitize(&file.path))?;
    }
    Ok(screen.flush()?)
}

/// The same as a document.
pub(crate) fn format_json(screen: &mut Screen, files: &[Formatted]) -> Result<()> {
    #[derive(Serialize)]
    struct Body<'a> {
        files: Vec<File<'a>>,
    }
    #[derive(Serialize)]
    struct File<'a> {
        file: &'a str,
        changed: bool,
    }
    let files = files.iter().map(|f| File { file: &f.path, changed: f.changed }).collect();
    screen.json(&Document::new("inventory-fmt", Body { files }, &[]))?;
    Ok(screen.flush()?)
}

fn many(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
