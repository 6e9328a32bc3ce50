//! How far a scan is: one line on standard error that is drawn over, on a terminal only.

use std::io::{self, IsTerminal as _, Write as _};

use portolan_core::scan::Progress;

use super::Form;
use super::words::time;
use crate::render::number::thousands;

/// The line.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    is_shown: bool,
    /// How often there was something to draw.
    told: u32,
    is_drawn: bool,
}

impl ProgressLine {
    /// For a scan whose results are of `form`; not where results come on the same screen.
    pub(crate) fn on_stderr(form: Form, goes_to_file: bool) -> Self {
        let comes = form != Form::Table && !goes_to_file && io::stdout().is_terminal();
        Self { is_shown: io::stderr().is_terminal() && !comes, told: 0, is_drawn: false }
    }

    /// Draws it, from a second on and twice a second; takes it away for `None`, which comes before
    /// results are written. It is asked ten times a second.
    pub(crate) fn draw(&mut self, progress: Option<&Progress>) {
        let Some(progress) = progress else { return self.clear() };
        self.told += 1;
        if !self.is_shown || self.told < QUIET || !self.told.is_multiple_of(EVERY) {
            return;
        }
        let width = portolan_host::terminal::columns(&io::stderr()).unwrap_or(80);
        let text: String = line(progress).chars().take(width.saturating_sub(1)).collect();
        // Nobody sees it when standard error is gone.
        let _ = write!(io::stderr(), "\r\x1b[K{text}");
        let _ = io::stderr().flush();
        self.is_drawn = true;
    }

    /// Takes it away.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

const QUIET: u32 = 10;
const EVERY: u32 = 5;

/// `1,204 of 65,536 ports (1 %), 3,000/s, 12 s left`.
fn line(progress: &Progress) -> String {
    let Progress { decided, total, rate, held_back, remaining, .. } = *progress;
    let share = decided.saturating_mul(100).checked_div(total).unwrap_or(100);
    let mut parts = vec![
        format!("{} of {} ports ({share} %)", thousands(decided), thousands(total)),
        format!("{rate:.0} probes/s"),
    ];
    parts.extend(remaining.map(|left| format!("{} left", time(left))));
    if held_back {
        parts.push("held back by --outstanding".to_owned());
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_says_how_far_and_how_long() {
        let progress = Progress {
            decided: 1204,
            total: 65_536,
            probes: 9,
            rate: 3000.4,
            held_back: true,
            remaining: Some(Duration::from_secs(12)),
        };
        assert_eq!(
            line(&progress),
            "1,204 of 65,536 ports (1 %), 3000 probes/s, 12.0 s left, held back by --outstanding"
        );
        assert!(line(&Progress::default()).starts_with("0 of 0 ports (100 %)"));
    }
}
