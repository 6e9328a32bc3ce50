//! What `allow` and `deny` wrote, for reading and as JSON.

use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;

use crate::ops::firewall::allow::{Change, Edited};
use crate::render::json::Document;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;

/// Says what stands in the inventory now.
pub(crate) fn edited(screen: &mut Screen, edited: &Edited) -> Result<()> {
    let path = sanitize(&edited.path.display().to_string()).to_string();
    let service = sanitize(&edited.service).to_string();
    match edited.change {
        Change::Written => writeln!(screen, "{path}: service {service} is written")?,
        Change::Changed => writeln!(screen, "{path}: `from` of service {service} is changed")?,
        Change::Approved => writeln!(
            screen,
            "{path}: service {service}, only observed so far, is approved for this source alone"
        )?,
        Change::Unchanged => writeln!(screen, "{path}: service {service} says so already")?,
        Change::Refused => writeln!(screen, "{path}: a [[block]] of {service} is written")?,
        Change::NotDeclared => writeln!(screen, "{path}: no service lets anybody in there")?,
    }
    if let Some(until) = edited.until {
        writeln!(screen, "  until {until}, when the kernel ends it by itself")?;
    }
    for still in &edited.still {
        let word = screen.style.paint(Role::Warning, "still open:").to_string();
        writeln!(screen, "  {word} {}", sanitize(still))?;
    }
    Ok(screen.flush()?)
}

/// Says what makes it so.
pub(crate) fn next(screen: &mut Screen, edited: &Edited) -> Result<()> {
    let path = sanitize(&edited.root.display().to_string()).to_string();
    let next = screen.style.paint(Role::Hint, "Next:").to_string();
    writeln!(screen, "{next} sudo portolan firewall apply --inventory {path}")?;
    Ok(screen.flush()?)
}

/// The same as one document.
pub(crate) fn json(screen: &mut Screen, edited: &Edited) -> Result<()> {
    let body = Body {
        file: edited.path.display().to_string(),
        service: Some(edited.service.as_str()).filter(|name| !name.is_empty()),
        change: match edited.change {
            Change::Written => "written",
            Change::Changed => "changed",
            Change::Approved => "approved",
            Change::Unchanged => "unchanged",
            Change::Refused => "refused",
            Change::NotDeclared => "not-declared",
        },
        until: edited.until.map(|day| day.to_string()),
        still: &edited.still,
    };
    screen.json(&Document::new("firewall-edit", body, &[]))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body<'a> {
    file: String,
    service: Option<&'a str>,
    change: &'static str,
    until: Option<String>,
    /// What lets the denied in all the same.
    still: &'a [String],
}
