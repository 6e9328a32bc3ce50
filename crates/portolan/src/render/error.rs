//! How an error reaches a person: `error: what: cause`, then `hint: what to do`.

use std::io::{self, Write as _};

use portolan_core::inventory::Refused;

use crate::cli::args::Color;
use crate::fault::Fault;
use crate::render::inventory::problem;
use crate::render::sanitize::sanitize;
use crate::render::style::{Role, Style};

/// Prints an error on standard error; if even that fails there is nobody left to tell.
pub(crate) fn print(error: &anyhow::Error, color: Color) {
    let style = Style::for_stderr(color);
    if let Some(refused) = error.downcast_ref::<Refused>() {
        problem::print(refused, color);
        // What follows from it, where a command says so.
        if error.to_string() != refused.to_string() {
            let text = error.to_string();
            let _ =
                writeln!(io::stderr(), "{} {}", style.paint(Role::Bad, "error:"), sanitize(&text));
        }
        return;
    }
    let mut out = io::stderr().lock();
    let text = format!("{error:#}");
    let _ = writeln!(out, "{} {}", style.paint(Role::Bad, "error:"), sanitize(&text));
    for hint in error.chain().filter_map(|e| e.downcast_ref::<Fault>()).map(|f| &f.hint) {
        if !hint.is_empty() {
            let _ = writeln!(out, "{} {}", style.paint(Role::Hint, "hint:"), sanitize(hint));
        }
    }
}
