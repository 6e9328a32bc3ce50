//! Timing whole processes, and saying what came of it.
//!
//! No absolute time says much on another machine, so each is given beside the peer's, and what has
//! to hold is a ratio. Whole processes are timed, from their start to their end, as a user waits
//! for them; what they print is thrown away.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A command that is to run alone: nothing in, what it prints thrown away.
pub(crate) fn words(mut command: Command, words: &[&str]) -> Command {
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The median time of each of two programs, run in turn after one run of each that does not count.
pub(crate) fn pairs(
    count: usize,
    first: impl Fn() -> Command,
    second: impl Fn() -> Command,
) -> io::Result<(Duration, Duration)> {
    let mut times = (Vec::with_capacity(count), Vec::with_capacity(count));
    for round in 0..=count {
        let (a, b) = (time(first())?, time(second())?);
        if round > 0 {
            times.0.push(a);
            times.1.push(b);
        }
    }
    Ok((median(times.0), median(times.1)))
}

/// How long one run takes; it must succeed.
pub(crate) fn time(mut command: Command) -> io::Result<Duration> {
    let start = Instant::now();
    let status = command.status()?;
    let taken = start.elapsed();
    if status.success() {
        return Ok(taken);
    }
    Err(io::Error::other(format!("{command:?} ended with {status}")))
}

/// The one in the middle.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The largest resident set, in megabytes, of what runs through [`MEASURED`].
pub(crate) fn peak_memory(mut command: Command, stdin: Stdio) -> io::Result<f64> {
    let output = command.stdin(stdin).stdout(Stdio::null()).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    let peak = told.lines().find_map(|line| line.strip_prefix("peak ")?.parse::<f64>().ok());
    peak.map(|kilobytes| kilobytes * 1024.0 / 1e6)
        .ok_or_else(|| io::Error::other(told.into_owned()))
}

/// Starts its arguments and tells their largest resident set in kilobytes on standard error, as
/// wait4(2) reports it of a child. Python asks for us: the standard library does not, and a foreign
/// function would be `unsafe`.
pub(crate) const MEASURED: [&str; 3] = [
    "/usr/bin/python3",
    "-c",
    "import os, sys
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
print('peak', os.wait4(child, 0)[2].ru_maxrss, file=sys.stderr)",
];

/// What is printed, and whether every bound was kept so far.
#[derive(Debug)]
pub(crate) struct Report {
    kept: bool,
}

impl Report {
    /// Nothing missed yet.
    pub(crate) const fn new() -> Self {
        Self { kept: true }
    }

    /// Whether no bound was missed.
    pub(crate) const fn is_kept(&self) -> bool {
        self.kept
    }

    /// What the next lines are about.
    pub(crate) fn heading(&self, text: &str) -> io::Result<()> {
        writeln!(io::stdout(), "\n{text}")
    }

    /// A time without a bound.
    pub(crate) fn time(&self, what: &str, taken: Duration) -> io::Result<()> {
        writeln!(io::stdout(), "  {what:<44} {:>9.2} ms", taken.as_secs_f64() * 1e3)
    }

    /// A number and the most it may be.
    pub(crate) fn bound(&mut self, what: &str, value: f64, most: f64) -> io::Result<()> {
        let kept = value <= most;
        self.kept &= kept;
        let word = if kept { "ok" } else { "MISSED" };
        writeln!(io::stdout(), "  {what:<44} {value:>9.2}     at most {most}: {word}")
    }

    /// A number and the least it may be.
    pub(crate) fn floor(&mut self, what: &str, value: f64, least: f64) -> io::Result<()> {
        let kept = value >= least;
        self.kept &= kept;
        let word = if kept { "ok" } else { "MISSED" };
        writeln!(io::stdout(), "  {what:<44} {value:>9.2}     at least {least}: {word}")
    }

    /// Something that is either right or not.
    pub(crate) fn right(&mut self, what: &str, problem: Option<&str>) -> io::Result<()> {
        self.kept &= problem.is_none();
        match problem {
            None => writeln!(io::stdout(), "  {what}: ok"),
            Some(problem) => writeln!(io::stdout(), "  {what}: MISSED: {problem}"),
        }
    }

    /// Anything else worth a line.
    pub(crate) fn note(&self, text: &str) -> io::Result<()> {
        writeln!(io::stdout(), "  {text}")
    }
}
