//! Rules analysed, replayed and compiled: what the limits are, and the kernel beside it.
//!
//! Rules and flows are made up by [`rules`] from a seed, so that every run asks the same.

mod analysis;
mod compiled;
mod replay;
mod rules;

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::measure::Report;

/// Measures and prints one subject, or all for "".
pub(crate) fn run(portolan: &str, subject: &str, report: &mut Report) -> io::Result<()> {
    type Measure = fn(&str, &mut Report) -> io::Result<()>;
    let subjects: [(&str, Measure); 3] =
        [("analysis", analysis::run), ("replay", replay::run), ("compiled", compiled::run)];
    for (_, measure) in subjects.iter().filter(|(name, _)| subject.is_empty() || *name == subject) {
        measure(portolan, report)?;
    }
    Ok(())
}

/// What one of our commands prints as JSON, whatever it ends with but a failure.
fn answer(portolan: &str, words: &[&str]) -> io::Result<Value> {
    let output = Command::new(portolan).args(words).arg("--json").stdin(Stdio::null()).output()?;
    if output.status.code().is_none_or(|code| code == 2) {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    serde_json::from_slice(&output.stdout).map_err(io::Error::other)
}

fn path(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::Error::other("a path is no text"))
}
