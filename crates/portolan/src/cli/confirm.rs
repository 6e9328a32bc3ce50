//! Asking before something changes that is not the caller's own.
//!
//! On a terminal a person is asked, on standard error so that results stay clean, and only `y` or
//! `yes` is a yes. Elsewhere nobody can answer, and `--yes` has to say it.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::Result;

use crate::cli::args::Color;
use crate::fault::Fault;
use crate::render::sanitize::sanitize;
use crate::render::style::{Role, Style};

/// Goes on only when it is meant: `yes` was said, or a person at a terminal says it now.
///
/// # Errors
/// When the answer is anything else, or there is nobody to ask.
pub(crate) fn confirm(question: &str, yes: bool, color: Color) -> Result<()> {
    if yes {
        return Ok(());
    }
    let (stdin, stderr) = (io::stdin(), io::stderr());
    if !(stdin.is_terminal() && stderr.is_terminal()) {
        return Err(Fault::new("nothing was done: it was not confirmed", "add --yes"));
    }
    let asked = Style::for_stderr(color).paint(Role::Strong, sanitize(question)).to_string();
    write!(stderr.lock(), "{asked} [y/N] ")?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    match is_yes(&answer) {
        true => Ok(()),
        false => Err(Fault::new("nothing was done: it was not confirmed", "")),
    }
}

/// Whether an answer is a yes. The end of input is an empty one, and that is a no.
fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        for answer in ["y\n", "Yes\n", " YES "] {
            assert!(is_yes(answer), "{answer:?}");
        }
        for answer in ["", "\n", "n\n", "yep\n", "y n\n"] {
            assert!(!is_yes(answer), "{answer:?}");
        }
    }
}
