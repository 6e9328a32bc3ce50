//! What could not be seen, said on standard error beside the results.

use std::io::{self, Write as _};

use portolan_core::net::{Gap, Why};

use crate::cli::args::Color;
use crate::render::sanitize::sanitize;
use crate::render::style::{Role, Style};

/// Prints every gap, equal hints once. What was not looked at on purpose is left to the report.
pub(crate) fn print(gaps: &[Gap], color: Color) {
    let style = Style::for_stderr(color);
    let mut out = io::stderr().lock();
    let mut hints: Vec<&str> = Vec::new();
    for gap in gaps.iter().filter(|g| g.why != Why::NotLooked) {
        let label = style.paint(Role::Warning, "not seen:");
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(out, "{label} {} ({})", sanitize(&gap.what), words(gap.why));
        if !gap.hint.is_empty() && !hints.contains(&&*gap.hint) {
            hints.push(&gap.hint);
        }
    }
    drop(out);
    hints.into_iter().for_each(|h| hint(h, color));
}

/// Says on standard error what could be done next.
pub(crate) fn hint(text: &str, color: Color) {
    let label = Style::for_stderr(color).paint(Role::Hint, "hint:").to_string();
    let _ = writeln!(io::stderr(), "{label} {}", sanitize(text));
}

/// Says on standard error what is not as it should be.
pub(crate) fn warning(text: &str, color: Color) {
    let label = Style::for_stderr(color).paint(Role::Warning, "warning:").to_string();
    let _ = writeln!(io::stderr(), "{label} {}", sanitize(text));
}

const fn words(why: Why) -> &'static str {
    match why {
        Why::NotPermitted => "not permitted",
        Why::Vanished => "gone meanwhile",
        Why::Unsupported => "cannot be told here",
        Why::TimedOut => "timed out",
        Why::NotLooked => "not looked at",
        Why::Upstream => "beyond this machine",
    }
}
