//! Every base chain in the order in which packets meet it.

use anyhow::Result;
use portolan_core::firewall::Hook;

use super::source::{self, Rules};
use crate::cli::args::firewall::Sources;
use crate::fault::Fault;

/// The rules, and what of them is asked for.
#[derive(Debug)]
pub(crate) struct Report {
    /// All of them.
    pub(crate) rules: Rules,
    /// Only this hook.
    pub(crate) hook: Option<Hook>,
}

/// Reads the rules.
///
/// # Errors
/// As [`source::load`]; a hook that is none.
pub(crate) fn show(sources: &Sources, hook: Option<&str>) -> Result<Report> {
    let hook = hook.map(named).transpose()?;
    Ok(Report { rules: source::load(sources)?, hook })
}

fn named(word: &str) -> Result<Hook> {
    HOOKS.into_iter().find(|hook| hook.as_str() == word).ok_or_else(|| {
        let names = HOOKS.map(Hook::as_str).join(", ");
        Fault::new(format!("there is no hook `{word}`"), format!("hooks are {names}"))
    })
}

/// The hooks in the order of a packet's way.
pub(crate) const HOOKS: [Hook; 7] = [
    Hook::Ingress,
    Hook::Prerouting,
    Hook::Input,
    Hook::Forward,
    Hook::Output,
    Hook::Postrouting,
    Hook::Egress,
];
