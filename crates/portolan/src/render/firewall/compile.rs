//! A compiled table, as nft reads it and as JSON.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::firewall;
use serde::Serialize;

use crate::ops::firewall::policy::Intended;
use crate::render::firewall::cut_off::{self, CutOffJson};
use crate::render::json::Document;
use crate::render::screen::Screen;

/// Prints the table, ready to be loaded.
pub(crate) fn text(screen: &mut Screen, intended: &Intended) -> Result<()> {
    write!(screen, "{}", firewall::compile(&intended.policy))?;
    Ok(screen.flush()?)
}

/// Prints it as one document.
pub(crate) fn json(screen: &mut Screen, intended: &Intended) -> Result<()> {
    let script = firewall::compile(&intended.policy);
    let resolved = intended.policy.resolved.iter();
    let body = Body {
        host: &intended.policy.host,
        inventory: intended.loaded.path.display().to_string(),
        hash: script.hash(),
        resolved: resolved.map(|(what, found)| Resolved { what, found }).collect(),
        cut_off: cut_off::json(intended),
        script: script.to_string(),
    };
    screen.json(&Document::new("firewall-compile", body, &intended.gaps))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body<'a> {
    host: &'a str,
    inventory: String,
    hash: String,
    resolved: Vec<Resolved<'a>>,
    /// Servers that the machine relies on and blocks refuse.
    cut_off: Vec<CutOffJson<'a>>,
    script: String,
}

#[derive(Serialize)]
struct Resolved<'a> {
    what: &'a str,
    found: &'a [Box<str>],
}
